"""Healthy specs that are unusual: the doctor raises a false alarm if it warns of one that learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rows import Rows
from thalweg.data.splitting import RowSplit

from .bases import Base
from .kinds import Case, Kind, Wrong, cases_of, inserted


def setting(path: str, value: Any, suits: Callable[[Base], bool] = lambda base: True) -> Callable[[Base], Wrong | None]:
    """A value at a path, in the bases that it suits."""
    return lambda base: Wrong({path: value}) if suits(base) else None


def _classes(base: Base) -> bool:
    return not base.numbers


def with_hidden(base: Base, hidden: list[Any], **more: Any) -> Wrong:
    """The base with other hidden layers."""
    return Wrong({"network.layers": ["flatten"] * base.images + hidden + base.output, **more})


def _with_units(activation: str, init: str) -> Callable[[Base], Wrong]:
    def change(base: Base) -> Wrong:
        layers = [activation if item == base.activation else item for item in base.layers]
        return Wrong({"network.layers": layers, "network.init": init})

    return change


def _smoothed(base: Base) -> Wrong | None:
    loss = "cross_entropy" if base.softmax else "binary_cross_entropy"
    return None if base.numbers else Wrong({"loss": {"kind": loss, "label_smoothing": 0.05}})


def _large_batches(base: Base) -> Wrong:
    size = 2 * int(base.table["training"]["batch_size"])
    changes = {"training.batch_size": size, "training.epochs": 2 * base.epochs}
    return Wrong(changes)


def _deep_and_normalised(base: Base) -> Wrong | None:
    hidden = ["dense 24", "batch_norm", "relu"] * 8
    return None if base.nearly_straight else with_hidden(base, hidden, optimizer="adam 0.003")


def _deep_and_residual(base: Base) -> Wrong | None:
    block = {"kind": "residual", "layers": ["layer_norm", "dense 24", "relu"]}
    hidden = ["dense 24", "relu", *[block] * 9]
    return None if base.nearly_straight else with_hidden(base, hidden, optimizer="adam 0.002")


def _mild_dropout(base: Base) -> Wrong:
    hidden = [part for item in base.layers for part in ([item, "dropout 0.05"] if item == base.activation else [item])]
    return Wrong({"network.layers": hidden})


def _cosine(base: Base) -> Wrong:
    schedule = {"kind": "cosine", "peak": 2 * base.rate, "warmup": "5 %"}
    return Wrong({"optimizer.learning_rate": schedule, "training.epochs": base.epochs * 3 // 2})


def _late_step(base: Base) -> Wrong:
    schedule = {"kind": "step_decay", "initial": base.rate, "factor": 0.1, "every": "70 %"}
    return Wrong({"optimizer.learning_rate": schedule, "training.epochs": base.epochs * 3 // 2})


def _faint_noise(base: Base) -> Wrong:
    return inserted(base, base.dense[0], {"kind": "gaussian_noise", "deviation": 0.05})


def _without_biases(base: Base) -> Wrong:
    return Wrong({f"network.layers.{place}.bias": False for place in base.dense[:-1]})


def _wide_radial(base: Base) -> Wrong | None:
    """Radial features as wide as the cloud of the rows, where there are few inputs."""
    if base.name not in ("pinwheel", "pendulum"):
        return None
    return with_hidden(
        base, [{"kind": "radial", "units": 120, "width": 1.0}, "dense 24", "relu"], optimizer="adam 0.005"
    )


def _held_features(base: Base) -> Wrong:
    """A wide first layer of random features, which does not learn."""
    place = base.dense[0]
    wide = {"kind": "dense", "width": 200, "trainable": False}
    return Wrong({f"network.layers.{place}": wide})


def _large_targets(base: Base) -> Wrong | None:
    """Numbers of millions, which are standardised."""

    def scale(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return x, 1e6 * y + 1e7

    return Wrong({"data.source": base.altered("millions", scale)}) if base.numbers else None


def _faint_columns(base: Base) -> Wrong | None:
    """Two more columns of noise."""

    def add(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return np.hstack([x, rng.standard_normal((len(x), 2))]), y

    return None if base.images else Wrong({"data.source": base.altered("faint", add)})


def _few_wrong(base: Base) -> Wrong | None:
    """One label of fifty is wrong, in training, validation and test alike."""

    def deal(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        wrong = rng.choice(len(y), len(y) // 50, replace=False)
        y[wrong] = rng.permutation(y[wrong])
        return x, y

    return Wrong({"data.source": base.altered("few-wrong", deal)}) if base.softmax else None


KINDS = (
    Kind("targets smoothed a little", _smoothed),
    Kind("average of the last weights", setting("training.average", 0.99)),
    Kind("average that decays slowly", setting("training.average", 0.99999)),
    Kind("largest norm that is loose", setting("regularization.max_norm", 6.0)),
    Kind("batches of seven", setting("training.batch_size", 7, lambda base: not base.normalised)),
    Kind("large batches and more epochs", _large_batches),
    Kind("deep and normalised", _deep_and_normalised),
    Kind("deep and residual", _deep_and_residual),
    Kind("mild dropout", _mild_dropout),
    Kind("cosine with a warm-up", _cosine),
    Kind("rate that falls late", _late_step),
    Kind("clip that rarely acts", setting("training.clip", {"kind": "global_norm", "limit": 30.0})),
    Kind("numbers of 64 bits", setting("training.precision", "float64")),
    Kind("weak penalty", setting("regularization.l2", 1e-4)),
    Kind("slow decay", setting("regularization.weight_decay", 1e-3)),
    Kind("patience for long", setting("stopping", {"patience": 15})),
    Kind("faint noise on the inputs", _faint_noise),
    Kind("the same order each epoch", setting("data.order", "fixed", lambda base: "order" not in base.table["data"])),
    Kind("batches in proportion", setting("data.order", "stratified", lambda base: base.softmax)),
    Kind("inputs from 0 to 1", setting("data.scale", "range", lambda base: base.softmax)),
    Kind("orthogonal start", setting("network.init", "orthogonal")),
    Kind("no biases in hidden layers", _without_biases),
    Kind("softplus units", _with_units("softplus", "glorot_normal")),
    Kind("leaky units", _with_units("leaky_relu", "he_normal")),
    Kind("two batches for an update", setting("training.accumulate", 2)),
    Kind("huber beyond a deviation", setting("loss", {"kind": "huber", "delta": 1.5}, lambda base: base.numbers)),
    Kind("radial features", _wide_radial),
    Kind("features that do not learn", _held_features),
    Kind("targets of millions", _large_targets),
    Kind("two columns of noise", _faint_columns),
    Kind("few wrong labels", _few_wrong),
)


def unusual() -> dict[str, Case]:
    """The specs by name."""
    return cases_of("h", KINDS, most=2)
