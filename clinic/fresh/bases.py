"""The healthy specs that faults are put into: nine tasks on rows that no other file of the clinic has.

The rows of each task stand in one order, in which the first train, the next validate and the last test. So a fault can
be put into the rows of one of these sets by a rule, and the test rows still tell what a network is worth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_diabetes, load_digits, load_wine

from faults import stack, table
from rows import Rows, saved
from thalweg.data.splitting import RowSplit, split_in_time

VALIDATION = 0.15
TEST = 0.3

Table = dict[str, Any]


class Base(NamedTuple):
    """A healthy spec."""

    name: str
    table: Table
    """Its sections."""
    rows: Callable[[], Rows]
    """Its rows in their order."""
    nearly_straight: bool = False
    """Whether a straight line is nearly as good an answer as a curve."""

    @property
    def layers(self) -> list[Any]:
        """The layers of its network."""
        return list(self.table["network"]["layers"])

    @property
    def output(self) -> list[Any]:
        """The last dense layer and what follows it."""
        return self.layers[self.dense[-1] :]

    @property
    def dense(self) -> list[int]:
        """The positions of the dense layers."""
        return [place for place, layer in enumerate(self.layers) if str(layer).startswith("dense")]

    @property
    def numbers(self) -> bool:
        """Whether the targets are numbers."""
        return self.layers[-1] not in ("softmax", "sigmoid")

    @property
    def softmax(self) -> bool:
        """Whether the network ends with softmax."""
        return self.layers[-1] == "softmax"

    @property
    def images(self) -> bool:
        """Whether a row is an image."""
        return bool(self.layers[0] == "flatten")

    @property
    def normalised(self) -> bool:
        """Whether the network has batch normalisation."""
        return "batch_norm" in self.layers

    @property
    def activation(self) -> str:
        """The activation of its hidden layers."""
        return next(layer for layer in self.layers if layer in ("relu", "tanh", "elu", "selu", "gelu", "swish"))

    @property
    def optimizer(self) -> str:
        """The kind of its optimizer."""
        return str(self.table["optimizer"]["kind"])

    @property
    def by_gradient(self) -> bool:
        """Whether a step grows with the gradient."""
        return self.optimizer in ("sgd", "momentum", "nesterov")

    @property
    def rate(self) -> float:
        """Its learning rate."""
        return float(self.table["optimizer"]["learning_rate"])

    @property
    def epochs(self) -> int:
        """The number of its epochs."""
        return int(self.table["training"]["epochs"])

    def altered(self, name: str, alter: Callable[..., Rows]) -> dict[str, str]:
        """The data source with rows that `alter(x, y, split, rng)` makes of those of the base."""

        def made() -> Rows:
            x, y = self.rows()
            return alter(x.copy(), y.copy(), split_of(len(x)), np.random.default_rng(0))

        return saved(f"fresh-{self.name}-{name}", made)


def split_of(rows: int) -> RowSplit:
    """The training, validation and test rows of a base."""
    return split_in_time(rows, VALIDATION, TEST)


def known(split: RowSplit) -> np.ndarray:
    """The rows that are not for the test."""
    return np.concatenate([split.train, split.validation])


# Rows. ------------------------------------------------------------------------------------------------------------


def spread(x: np.ndarray, y: np.ndarray) -> Rows:
    """Rows in an order in which those of each class are spread evenly."""
    x, y = _mixed(x, y)
    place = np.empty(len(y))
    for name in np.unique(y):
        of_class = np.flatnonzero(y == name)
        place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    order = np.argsort(place, kind="stable")
    return x[order], y[order]


def _mixed(x: np.ndarray, y: np.ndarray) -> Rows:
    """Rows in random order."""
    order = np.random.default_rng(0).permutation(len(y))
    return x[order], y[order]


def progress() -> Rows:
    """Whether diabetes progresses faster than in half of the patients; other inputs would tell more."""
    x, y = load_diabetes(return_X_y=True)
    return spread(x, (y > np.median(y)).astype(int))


def flavanoids() -> Rows:
    """A chemical measure of a wine from the other twelve."""
    x, _ = load_wine(return_X_y=True)
    return _mixed(np.delete(x, 6, axis=1), x[:, 6])


def strokes() -> Rows:
    """Handwritten digits of 8 x 8 pixels, in three groups: drawn with loops, with straight lines, with open curves."""
    images, digits = load_digits(return_X_y=True)
    groups = np.array([0, 1, 2, 2, 1, 2, 0, 1, 0, 0])
    return spread(images.reshape(-1, 8, 8) / 16, groups[digits])


def bars() -> Rows:
    """Images of 10 x 10 pixels with noise: a horizontal line, a vertical one, a square, or a cross, at any place."""
    rng = np.random.default_rng(0)
    kinds = np.arange(2400) % 4
    images = np.zeros((len(kinds), 10, 10))
    for image, kind in zip(images, kinds, strict=True):
        row, column = rng.integers(3, 7, 2)
        if kind in (0, 3):
            image[row, column - 2 : column + 3] = 1
        if kind in (1, 3):
            image[row - 2 : row + 3, column] = 1
        if kind == 2:
            image[row - 1 : row + 2, column - 1 : column + 2] = 1
    return spread(images + 0.15 * rng.standard_normal(images.shape), kinds)


def mixture() -> Rows:
    """Five classes of three clouds each, in eight dimensions."""
    rng = np.random.default_rng(0)
    centres = 2.2 * rng.standard_normal((15, 8))
    cloud = np.arange(1200) % 15
    return spread(centres[cloud] + rng.standard_normal((len(cloud), 8)), cloud % 5)


def additive() -> Rows:
    """A sum of curves of four of eight inputs, which have different units, with noise."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (1500, 8))
    y = 2 * np.sin(2 * x[:, 0]) + x[:, 1] ** 2 - 1.5 * np.abs(x[:, 2]) + x[:, 3]
    units = np.array([1.0, 40.0, 0.02, 5.0, 300.0, 1.0, 0.1, 12.0])
    return units * (x + np.arange(8)), y + 0.4 * rng.standard_normal(len(y))


def rare() -> Rows:
    """One row of 33 is positive: one of the largest by a plane with a bend and a little noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2400, 6))
    height = x[:, 0] + x[:, 1] + np.abs(x[:, 2]) + 0.1 * rng.standard_normal(len(x))
    return spread(x, (height > np.quantile(height, 1 - 0.03)).astype(int))


def pinwheel() -> Rows:
    """Six curved arms in a plane."""
    rng = np.random.default_rng(0)
    arm = np.arange(1200) % 6
    radius = rng.uniform(0.3, 2.0, len(arm))
    angle = 2 * np.pi * arm / 6 + 1.2 * radius + 0.13 * rng.standard_normal(len(arm))
    return spread(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), arm)


def pendulum() -> Rows:
    """The period of a pendulum from its length, its amplitude, gravity, and the mass, which does not matter."""
    rng = np.random.default_rng(0)
    length, amplitude, gravity, mass = rng.uniform((0.1, 0.1, 1.5, 0.1), (3.0, 2.8, 25.0, 5.0), (800, 4)).T
    period = 2 * np.pi * np.sqrt(length / gravity) * (1 + amplitude**2 / 16 + 11 * amplitude**4 / 3072)
    return np.stack([length, amplitude, gravity, mass], axis=1), period * rng.normal(1, 0.02, len(period))


# Specs. -----------------------------------------------------------------------------------------------------------


def by(kind: str, rate: float, **more: float) -> dict[str, Any]:
    """The table of an optimizer."""
    return {"kind": kind, "learning_rate": rate, **more}


def _block(width: int, *rest: str) -> list[Any]:
    return [f"dense {width}", *rest]


def bases() -> dict[str, Base]:
    """The healthy specs by name."""
    # fmt: off
    chosen = {
        progress: (stack(1, 8, "tanh", "dense 1", "sigmoid"), "glorot_uniform", by("sgd", 0.03), 60, 16),
        flavanoids: (stack(1, 12, "elu", "dense 1"), "glorot_normal", by("nesterov", 0.003), 50, 16),
        strokes: (["flatten", *stack(2, 32, "relu", "dense 3", "softmax")], "he_uniform", by("momentum", 0.02), 30),
        bars: (["flatten", *stack(2, 48, "relu", "dense 4", "softmax")], "he_normal", by("adam", 0.002), 25),
        mixture: (stack(2, 32, "tanh", "dense 5", "softmax"), "glorot_normal", by("nadam", 0.005), 40),
        additive: (stack(2, 32, "relu", "dense 1"), "he_normal", by("momentum", 0.01), 40),
        rare: (stack(2, 24, "relu", "dense 1", "sigmoid"), "he_normal", by("adamw", 0.003), 30, 64),
        pinwheel: (
            [*_block(24, "batch_norm", "relu") * 3, "dense 6", "softmax"], "he_normal", by("rmsprop", 0.003), 40, 48,
        ),
        pendulum: (stack(3, 24, "swish", "dense 1"), "he_uniform", by("amsgrad", 0.004), 50),
    }
    # fmt: on
    straight = (progress, flavanoids, strokes, rare, pendulum)
    result = {}
    for rows, settings in chosen.items():
        name = rows.__name__
        result[name] = base_of(rows, table(saved(f"fresh-{name}", rows), *settings), rows in straight)
    result["rare"].table["data"]["order"] = "balanced"
    return result


def base_of(rows: Callable[[], Rows], whole: Table, nearly_straight: bool) -> Base:
    """A base with the name of its rows, whose split and scale are those of all bases."""
    whole["data"] |= {"validation": VALIDATION, "test": TEST, "split": "time", "scale": "standard"}
    return Base(rows.__name__, whole, rows, nearly_straight)
