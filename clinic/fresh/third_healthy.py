"""Healthy specs that are unusual, of the ten bases of the third part, for false alarms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rows import Rows
from thalweg.data.splitting import RowSplit

from .bases import Base, by
from .healthy import setting, with_hidden
from .kinds import Case, Kind, Wrong, cases_of, inserted
from .third_bases import third_bases

_RATE = "optimizer.learning_rate"


def _longer(base: Base, **changes: Any) -> Wrong:
    return Wrong({"training.epochs": base.epochs * 3 // 2, **changes})


def _linear(base: Base) -> Wrong:
    return _longer(base, **{_RATE: {"kind": "polynomial", "initial": 1.5 * base.rate}})


def _cycle(base: Base) -> Wrong:
    return _longer(base, **{_RATE: {"kind": "one_cycle", "peak": 3 * base.rate}})


def _restarts(base: Base) -> Wrong:
    period = f"{base.epochs // 4} epochs"
    return _longer(base, **{_RATE: {"kind": "warm_restarts", "peak": 1.5 * base.rate, "period": period}})


def _warm_up(base: Base) -> Wrong:
    return _longer(base, **{_RATE: {"kind": "linear_warmup", "then": base.rate, "steps": "15 %"}})


def _plateau(base: Base) -> Wrong:
    return _longer(base, **{_RATE: {"kind": "plateau", "initial": base.rate, "factor": 0.3, "patience": 6}})


def _full_batch(base: Base) -> Wrong:
    return Wrong({"training.batch_size": "full", "training.epochs": 12 * base.epochs, "optimizer": "adam 0.01"})


def _single_rows(base: Base) -> Wrong:
    optimizer = by("sgd", 0.004 if base.numbers else 0.01)
    return Wrong({"training.batch_size": 1, "training.epochs": max(4, base.epochs // 4), "optimizer": optimizer})


def _curriculum(base: Base) -> Wrong | None:
    return None if base.images else Wrong({"data.order": {"kind": "curriculum", "by": "x0", "start": 0.4}})


def _buckets(base: Base) -> Wrong | None:
    """Batches of rows that are alike in an input, of a network without a normalisation over batches."""
    return None if base.images or base.name == "alarms" else Wrong({"data.order": {"kind": "buckets", "by": "x1"}})


def _wide(base: Base) -> Wrong:
    return with_hidden(base, ["dense 300", "relu"], optimizer="adam 0.002", **{"network.init": "he_normal"})


def _tapering(base: Base) -> Wrong:
    hidden = ["dense 64", "elu", "dense 24", "elu", "dense 12", "elu"]
    return with_hidden(base, hidden, optimizer="adam 0.004", **{"network.init": "he_normal"})


def _of_two_kinds(base: Base) -> Wrong:
    hidden = ["dense 40", "relu", "dense 20", "tanh"]
    return with_hidden(base, hidden, optimizer="adam 0.004", **{"network.init": "glorot_uniform"})


def _normalised_inputs(base: Base) -> Wrong | None:
    """Inputs in their own units, which a normalisation scales instead of the data."""
    if base.images or base.numbers:
        return None
    wrong = inserted(base, base.dense[0], "batch_norm")
    return wrong._replace(changes={**wrong.changes, "data.scale": "none"})


def _pairs_of_inputs(base: Base) -> Wrong | None:
    """The products of the inputs as more inputs."""
    few = base.rows()[0].shape[1] <= 10 and not base.images
    return inserted(base, base.dense[0], "products") if few else None


def _squares_for_classes(base: Base) -> Wrong | None:
    if base.numbers:
        return None
    return Wrong({"loss": "squared_error", "optimizer": "adam 0.005", "training.epochs": 2 * base.epochs})


def _heavy_tails(base: Base) -> Wrong | None:
    """Inputs whose distribution has heavy tails."""

    def stretch(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return np.sinh((x - x.mean(axis=0)) / x.std(axis=0)), y

    return None if base.images else Wrong({"data.source": base.altered("tails", stretch)})


def _two_digits(base: Base) -> Wrong | None:
    """Inputs kept with a step of a fifth of their deviation."""

    def round_off(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        step = x.std(axis=0) / 5
        return np.round(x / step) * step, y

    return None if base.images or base.name == "texts" else Wrong({"data.source": base.altered("digits", round_off)})


def _some_twice(base: Base) -> Wrong:
    """A few training rows occur twice."""

    def repeat(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = rng.choice(split.train, (2, len(split.train) // 40), replace=False)
        x[rows[0]], y[rows[0]] = x[rows[1]], y[rows[1]]
        return x, y

    return Wrong({"data.source": base.altered("some-twice", repeat)})


def _optimizer(kind: str, rate: float, **more: float) -> Callable[[Base], Wrong]:
    return lambda base: _longer(base, optimizer=by(kind, rate, **more))


KINDS = (
    Kind("linear to nothing at the end", _linear),
    Kind("one cycle", _cycle),
    Kind("restarts", _restarts),
    Kind("warm-up of a sixth", _warm_up),
    Kind("patient plateau", _plateau),
    Kind("all rows in a batch and many epochs", _full_batch),
    Kind("single rows at a low rate", _single_rows),
    Kind("from low to high inputs", _curriculum),
    Kind("like rows in a batch", _buckets),
    Kind("one wide layer", _wide),
    Kind("layers that taper", _tapering),
    Kind("activations of two kinds", _of_two_kinds),
    Kind("inputs normalised by a layer", _normalised_inputs),
    Kind("products of the inputs", _pairs_of_inputs),
    Kind("squared error for classes", _squares_for_classes),
    Kind("inputs with heavy tails", _heavy_tails),
    Kind("inputs of few digits", _two_digits),
    Kind("some rows twice", _some_twice),
    Kind("adadelta at its own rate", _optimizer("adadelta", 1.0)),
    Kind("adam with short memories", _optimizer("adam", 0.003, beta_1=0.5, beta_2=0.97)),
    Kind("adam without momentum", _optimizer("adam", 0.003, beta_1=0.0)),
    Kind("adam with a large epsilon", _optimizer("adam", 0.005, epsilon=1e-3)),
    Kind("nesterov in place of another", _optimizer("nesterov", 0.01)),
    Kind("biases start a little above 0", setting("network.bias_init", {"kind": "constant", "value": 0.1})),
    Kind("truncated normal start", setting("network.init", {"kind": "truncated_normal", "deviation": 0.25})),
    Kind("weak lasso", setting("regularization.l1", 1e-5)),
    Kind("small alpha", setting("regularization.alpha", 0.003)),
    Kind("four batches for an update", setting("training.accumulate", 4, lambda base: base.optimizer != "sgd")),
    Kind("clip of each layer", setting("training.clip", {"kind": "norm", "limit": 2.0})),
    Kind("time limit of a minute", setting("stopping", {"seconds": 60.0})),
    Kind("many validation rows", setting("data.validation", 0.35)),
)


def third_unusual() -> dict[str, Case]:
    """The specs by name."""
    return cases_of("o", KINDS, most=2, among=third_bases)
