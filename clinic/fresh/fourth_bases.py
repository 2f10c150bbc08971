"""The healthy specs of the fourth part: eight tasks on rows, networks, losses and optimizers that no other file has.

Rows are split as in bases.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

from faults import stack, table
from rows import Rows, saved

from .bases import Base, base_of, by, spread

# Rows. ------------------------------------------------------------------------------------------------------------


def halves() -> Rows:
    """Handwritten digits of which only the lower half is seen: images of 4 x 8 pixels."""
    images, digits = load_digits(return_X_y=True)
    return spread(images.reshape(-1, 8, 8)[:, 4:], digits)


def spot() -> Rows:
    """Where a wide bright spot is in an image of 9 x 9 pixels that also has a small one, and noise."""
    rng = np.random.default_rng(0)
    wide, small = rng.uniform(1, 7, (1300, 2)), rng.uniform(1, 7, (1300, 2))
    pixel = np.stack(np.mgrid[:9, :9], axis=-1)

    def around(place: np.ndarray, size: float) -> np.ndarray:
        return np.exp(-((pixel - place[:, None, None]) ** 2).sum(axis=-1) / (2 * size**2))

    images = around(wide, 1.6) + 0.7 * around(small, 0.6) + 0.1 * rng.standard_normal((1300, 9, 9))
    return images, wide


def cells() -> Rows:
    """The worst radius, texture and smoothness among the cells of a tumour, from the means of ten measures."""
    x, _ = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return x[order, :10], x[order][:, [20, 21, 24]]


def failures() -> Rows:
    """Whether a machine fails, as one of twenty does: hot and slow ones, or loaded and worn ones, by seven sensors."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2400, 7))
    danger = np.maximum(x[:, 0] - x[:, 1], x[:, 2] + x[:, 3]) - 0.3 * np.abs(x[:, 4]) + 0.15 * rng.standard_normal(2400)
    units = np.array([12.0, 400.0, 0.3, 2000.0, 1.0, 25.0, 0.05])
    return spread(units * (x + 3), (danger > np.quantile(danger, 0.95)).astype(int))


def wages() -> Rows:
    """The wage of an hour by years of work, years of school, hours, a union, a town and the size of the firm."""
    rng = np.random.default_rng(0)
    work, school, hours = rng.uniform((0, 8, 10), (40, 20, 50), (1500, 3)).T
    union, town = rng.random((2, 1500)) < np.array([[0.3], [0.6]])
    size = rng.exponential(120, 1500)
    wage = 6 + 0.06 * (school - 6) ** 2 + 0.02 * work * (school - 4) - 0.012 * (work - 12) ** 2
    wage += 4 * union * (work < 20) + 3 * town * (school > 12) + 2 * np.sin(hours / 6)
    wage += 1.5 * np.log1p(size / 40) + 1.3 * rng.standard_t(4, 1500)
    return np.stack([work, school, hours, union, town, size], axis=1).astype(float), wage


def recipes() -> Rows:
    """Which of four courses a dish is: its flour, its fat and its spice, one of each, its sugar and its heat."""
    rng = np.random.default_rng(0)
    flour, fat, spice = (rng.integers(0, kinds, 1600) for kinds in (5, 4, 6))
    sugar, heat = rng.standard_normal((2, 1600))
    taste = np.random.default_rng(3).standard_normal((4, 5, 4))
    tilt = np.random.default_rng(4).standard_normal((4, 6, 2))
    scores = taste[:, flour, fat] + tilt[:, spice, 0] * sugar + tilt[:, spice, 1] * heat
    parts = [np.eye(5)[flour], np.eye(4)[fat], np.eye(6)[spice], sugar[:, None], heat[:, None]]
    return spread(np.hstack(parts), (scores + 0.15 * rng.gumbel(size=scores.shape)).argmax(axis=0))


def signals() -> Rows:
    """Twenty samples of a sine, a square, a saw or a burst, at any place and loudness, with noise."""
    rng = np.random.default_rng(0)
    shape = np.arange(1600) % 4
    phase = rng.uniform(0, 1, (1600, 1)) + np.arange(20) / 10
    turn = phase % 1
    waves = np.stack(
        [np.sin(2 * np.pi * phase), np.where(turn < 0.5, 0.8, -0.8), 1.6 * turn - 0.8, 2.5 * np.exp(-20 * turn) - 0.3]
    )[shape, np.arange(1600)]
    return spread(rng.uniform(0.7, 1.4, (1600, 1)) * waves + 0.2 * rng.standard_normal(waves.shape), shape)


def switches() -> Rows:
    """Which of four lamps are lit, each by three of nine dials: one has to be high, the other two on the same side."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1600, 9))
    dials = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 4, 8]])
    lit = x[:, dials[:, 0]] + 2 * x[:, dials[:, 1]] * x[:, dials[:, 2]] + 0.08 * rng.standard_normal((1600, 4)) > 0.1
    return x, lit.astype(np.uint8)


# Specs. -----------------------------------------------------------------------------------------------------------


def fourth_bases() -> dict[str, Base]:
    """The healthy specs by name."""
    # fmt: off
    chosen = {
        halves: (["flatten", *stack(1, 56, "elu", "dense 10", "softmax")], "he_normal", by("adagrad", 0.03), 30),
        spot: (["flatten", *stack(2, 44, "relu", "dense 2")], "he_uniform", by("adam", 0.003), 35),
        cells: (stack(1, 14, "tanh", "dense 3"), "glorot_normal", by("nesterov", 0.01), 60, 16),
        failures: (stack(2, 20, "gelu", "dense 1", "sigmoid"), "orthogonal", by("rmsprop", 0.003), 30, 48),
        wages: (stack(2, 30, "swish", "dense 1"), "he_normal", by("adamw", 0.004), 50),
        recipes: (stack(2, 36, "selu", "dense 4", "softmax"), "lecun_uniform", by("momentum", 0.02), 40),
        signals: (stack(3, 36, "relu", "dense 4", "softmax"), "he_normal", by("nadam", 0.002), 40, 24),
        switches: (stack(2, 40, "tanh", "dense 4", "sigmoid"), "glorot_uniform", by("adam_hat", 0.004), 60),
    }
    # fmt: on
    losses: dict[Any, Any] = {
        cells: "squared_error",
        wages: {"kind": "huber", "delta": 1.5},
        recipes: {"kind": "cross_entropy", "label_smoothing": 0.02},
    }
    result = {}
    for rows, settings in chosen.items():
        more: dict[str, Any] = {"loss": losses[rows]} if rows in losses else {}
        whole = table(saved(f"fresh-{rows.__name__}", rows), *settings, **more)
        result[rows.__name__] = base_of(rows, whole, rows in (cells, halves))
    result["failures"].table["data"]["order"] = "balanced"
    return result
