"""Healthy specs that are unusual, of the eight bases of the fourth part, for false alarms."""

from __future__ import annotations

from typing import Any

import numpy as np

from rows import Rows
from thalweg.data.splitting import RowSplit

from .bases import Base, by
from .fourth_bases import fourth_bases
from .healthy import setting, with_hidden
from .kinds import Case, Kind, Wrong, cases_of, inserted

_RATE = "optimizer.learning_rate"


def _triangles(base: Base) -> Wrong:
    """A rate that rises and falls ten times, and ends low."""
    schedule = {"kind": "triangular", "low": base.rate / 5, "high": 1.5 * base.rate, "period": "10 %"}
    return Wrong({_RATE: schedule, "training.epochs": base.epochs * 3 // 2})


def _two_rates(base: Base) -> Wrong:
    """The rate of the base for most of the training, and a hundredth of it at the end."""
    parts = [{"kind": "constant", "value": rate} for rate in (base.rate, base.rate / 100)]
    return Wrong({_RATE: {"kind": "joined", "schedules": parts, "boundaries": ["80 %"]}})


def _heavy_ball(base: Base) -> Wrong:
    """Little rate, and a momentum that makes it a hundred times as long."""
    optimizer = by("momentum", 0.001, momentum=0.99)
    return Wrong({"optimizer": optimizer, "training.epochs": 2 * base.epochs})


def _signs_of_gradients(base: Base) -> Wrong:
    """An optimizer that forgets the squares at once, so that each step has nearly one length, and falls to nothing."""
    schedule = {"kind": "cosine", "peak": 0.004}
    return Wrong({"optimizer": {"kind": "rmsprop", "learning_rate": schedule, "rho": 0.2}})


def _large_epsilon(base: Base) -> Wrong:
    """Adam as gradient descent with momentum: an epsilon beyond most gradients, and a rate that fits."""
    return Wrong({"optimizer": by("adam", 0.3, epsilon=3.0), "training.epochs": 3 * base.epochs})


def _pairs_of_rows(base: Base) -> Wrong:
    """Batches of two rows, of which sixteen make an update."""
    return Wrong({"training.batch_size": 2, "training.accumulate": 16})


def _as_in_the_file(base: Base) -> Wrong:
    """Nothing is shuffled, where the file is mixed."""
    return Wrong({"data.order": "time"})


def _quadratic(base: Base) -> Wrong | None:
    """Squares and products as inputs of a small network."""
    if base.images or base.name == "recipes":
        return None
    return inserted(base, base.dense[0], "polynomial 2")


def _very_wide(base: Base) -> Wrong:
    return with_hidden(base, ["dense 700", "relu"], optimizer="adam 0.001", **{"network.init": "he_normal"})


def _narrowing_and_widening(base: Base) -> Wrong:
    """A waist that is wide enough."""
    hidden = ["dense 64", "relu", "dense 12", "relu", "dense 64", "relu"]
    return with_hidden(base, hidden, optimizer="adam 0.003", **{"network.init": "he_normal"})


def _of_sigmoids(base: Base) -> Wrong:
    hidden = ["dense 48", "sigmoid"]
    changes = {"network.init": "glorot_normal", "training.epochs": 2 * base.epochs}
    return with_hidden(base, hidden, optimizer="adam 0.02", **changes)


def _layers_in_a_row(base: Base) -> Wrong:
    """Each hidden layer is a product of two, which has no activation in between."""
    hidden: list[Any] = ["dense 40", "dense 40", "relu"]
    return with_hidden(base, hidden, optimizer="adam 0.003", **{"network.init": "he_normal"})


def _sharp_shortcuts(base: Base) -> Wrong:
    """Ten residual blocks that begin as nearly nothing."""
    inner = {"kind": "dense", "width": 32, "init": {"kind": "normal", "deviation": 0.01}}
    block = {"kind": "residual", "layers": [inner, "relu"]}
    return with_hidden(base, ["dense 32", "relu", *[block] * 10], optimizer="adam 0.002")


def _twice_in_two_units(base: Base) -> Wrong | None:
    """The first input occurs twice, once in another unit."""

    def repeat(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return np.column_stack([x, 1.8 * x[:, 0] + 32]), y

    return None if base.images else Wrong({"data.source": base.altered("two-units", repeat)})


def _empty_column(base: Base) -> Wrong | None:
    """A column that has the same value in all rows."""

    def add(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return np.column_stack([x, np.full(len(x), 7.0)]), y

    return None if base.images else Wrong({"data.source": base.altered("empty", add)})


def _few_cells_filled(base: Base) -> Wrong | None:
    """Two of a hundred cells were missing, and were filled by the mean of their column."""

    def fill(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return np.where(rng.random(x.shape) < 0.02, x.mean(axis=0), x), y

    return None if base.images else Wrong({"data.source": base.altered("cells-filled", fill)})


def _small_units(base: Base) -> Wrong | None:
    """Inputs and numbers in units in which they are millionths, which are standardised."""

    def shrink(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return 1e-6 * x, 1e-6 * y

    return Wrong({"data.source": base.altered("millionths", shrink)}) if base.numbers else None


def _few_wild_targets(base: Base) -> Wrong | None:
    """A few training targets are wild, and the loss counts them by their size, not by its square."""
    if not base.numbers:
        return None

    def spoil(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = rng.choice(split.train, 6, replace=False)
        y[rows] += 6 * y.std(axis=0) * rng.choice([-1.0, 1.0], (6, *y.shape[1:]))
        return x, y

    return Wrong({"data.source": base.altered("wild", spoil), "loss": "mean_absolute_error"})


KINDS = (
    Kind("rate in triangles", _triangles),
    Kind("two rates", _two_rates),
    Kind("heavy ball", _heavy_ball),
    Kind("squares forgotten at once", _signs_of_gradients),
    Kind("epsilon beyond gradients and a rate that fits", _large_epsilon),
    Kind("pairs of rows", _pairs_of_rows),
    Kind("as in the file", _as_in_the_file),
    Kind("squares and products", _quadratic),
    Kind("very wide", _very_wide),
    Kind("waist of twelve", _narrowing_and_widening),
    Kind("layer of sigmoids", _of_sigmoids),
    Kind("layers in a row", _layers_in_a_row),
    Kind("shortcuts that begin as nothing", _sharp_shortcuts),
    Kind("an input in two units", _twice_in_two_units),
    Kind("empty column", _empty_column),
    Kind("few cells filled", _few_cells_filled),
    Kind("units of millionths", _small_units),
    Kind("few wild targets and a loss that fits", _few_wild_targets),
    Kind("norm of three", setting("regularization.max_norm", 3.0)),
    Kind("biases start low", setting("network.bias_init", {"kind": "constant", "value": -0.2})),
)


def fourth_unusual() -> dict[str, Case]:
    """The specs by name."""
    return cases_of("v", KINDS, most=1, among=fourth_bases)
