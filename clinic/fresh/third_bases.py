"""The healthy specs of the third part: ten tasks on rows, networks, losses and optimizers that no other file has.

Rows are split as in bases.py; all but the images have an even number of training rows, for batches of two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits, make_friedman2, make_hastie_10_2, make_s_curve

from faults import stack, table
from rows import Rows, saved

from .bases import Base, base_of, by, spread

# Rows. ------------------------------------------------------------------------------------------------------------


def texts() -> Rows:
    """Counts of 36 words in texts of different lengths; each of five topics is two ways to write about it."""
    rng = np.random.default_rng(0)
    usage = rng.dirichlet(np.full(36, 0.4), 10)
    way = np.arange(1600) % 10
    length = rng.integers(15, 60, len(way))
    return spread(np.array([rng.poisson(n * usage[k]) for n, k in zip(length, way, strict=True)]), way % 5)


def calls() -> Rows:
    """The number of calls in an hour: two peaks a day, fewer at weekends, more in the cold."""
    rng = np.random.default_rng(0)
    hour, day, cold = rng.uniform(0, 24, 1520), rng.integers(0, 7, 1520), rng.standard_normal(1520)
    peaks = np.exp(-(((hour - 10) / 2.5) ** 2)) + 0.7 * np.exp(-(((hour - 17) / 2) ** 2))
    mean = np.exp(0.6 + 2.2 * peaks - 0.8 * (day > 4) + 0.3 * np.maximum(cold, 0))
    return np.column_stack([(hour - 12) / 7, day > 4, cold]).astype(float), rng.poisson(mean).astype(float)


def arm() -> Rows:
    """Where the hand of an arm is, and how it is turned, from the angles of its three joints."""
    rng = np.random.default_rng(0)
    angles = rng.uniform((-1.5, 0.0, -1.2), (1.5, 2.2, 1.2), (1300, 3))
    turned = np.cumsum(angles, axis=1)
    lengths = np.array([1.0, 0.8, 0.4])
    places = np.stack([np.cos(turned) @ lengths, np.sin(turned) @ lengths, np.sin(turned[:, 2])], axis=1)
    return angles, places + 0.03 * rng.standard_normal(places.shape)


def tide() -> Rows:
    """The next level of a stream of levels from the last eight: a map that bends, with noise."""
    rng = np.random.default_rng(0)
    levels = list(rng.standard_normal(8))
    for _ in range(1300):
        past = levels[-8:]
        levels.append(1.8 * np.sin(1.6 * past[-1]) - 0.5 * past[-3] + 0.1 * rng.standard_normal())
    return np.lib.stride_tricks.sliding_window_view(np.array(levels[:-1]), 8).copy(), np.array(levels[8:])


def patches() -> Rows:
    """Handwritten digits whose 8 x 8 pixels are averaged to 4 x 4."""
    images, digits = load_digits(return_X_y=True)
    return spread(images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)), digits)


def ball() -> Rows:
    """Ten inputs, and whether their squares sum to more than the median."""
    x, y = make_hastie_10_2(1700, random_state=0)
    return spread(x, (y > 0).astype(int))


def circuit() -> Rows:
    """Friedman's second problem: the impedance of a circuit from four numbers of different units."""
    return make_friedman2(1270, noise=60.0, random_state=0)


def alarms() -> Rows:
    """Quiet, warning or alarm, at 86, 9 and 5 rows of a hundred: two ridges in a plane, and three more inputs."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2500, 5))
    height = np.sin(1.6 * x[:, 0]) + x[:, 1] ** 2 / 2 + 0.5 * x[:, 2] + 0.1 * rng.standard_normal(len(x))
    return spread(x, np.digitize(height, np.quantile(height, (0.86, 0.95))))


def chords() -> Rows:
    """Which of six notes sound, from the loudness of 24 bands, in which each note has four overtones."""
    rng = np.random.default_rng(0)
    notes = (rng.random((1300, 6)) < 0.35).astype(np.uint8)
    bands = np.zeros((6, 24))
    for note in range(6):
        bands[note, (2 + note) * np.arange(1, 5) % 24] = 1 / np.arange(1, 5)
    loudness = (notes * rng.uniform(0.5, 1.5, notes.shape)) @ bands
    return np.log(0.05 + loudness) + 0.25 * rng.standard_normal(loudness.shape), notes


def ribbon() -> Rows:
    """Which of four pieces of a ribbon that is bent to an S in space a point lies on, in two crossing stripes."""
    x, along = make_s_curve(1600, noise=0.08, random_state=0)
    return spread(x, 2 * (np.sin(2.2 * along) > 0) + (x[:, 1] > 1))


# Specs. -----------------------------------------------------------------------------------------------------------


def _residual(width: int) -> dict[str, Any]:
    return {"kind": "residual", "layers": [f"dense {width}", "swish"]}


def third_bases() -> dict[str, Base]:
    """The healthy specs by name."""
    # fmt: off
    chosen = {
        texts: (stack(1, 40, "gelu", "dense 5", "softmax"), "lecun_normal", by("adam_hat", 0.003), 25),
        calls: (stack(2, 24, "tanh", "dense 1", "exponential"), "glorot_uniform", by("adam", 0.004), 45),
        arm: (stack(2, 36, "elu", "dense 3"), "he_uniform", by("momentum", 0.02), 60),
        tide: (stack(2, 28, "swish", "dense 1"), "lecun_uniform", by("rmsprop", 0.002), 50, 24),
        patches: (["flatten", *stack(2, 40, "tanh", "dense 10", "softmax")], "glorot_normal", by("nesterov", 0.02), 30),
        ball: (["dense 32", "layer_norm", "relu"] * 2 + ["dense 1", "sigmoid"], "he_normal", by("adamw", 0.003), 40),
        circuit: (stack(2, 24, "gelu", "dense 1"), "orthogonal", by("sgd", 0.05), 60, 16),
        alarms: (stack(3, 24, "relu", "dense 3", "softmax"), "he_uniform", by("amsgrad", 0.003), 30, 48),
        chords: (stack(1, 32, "selu", "dense 6", "sigmoid"), "lecun_normal", by("adagrad", 0.05), 30),
        ribbon: (
            ["dense 24", "swish", *[_residual(24)] * 2, "dense 4", "softmax"],
            "lecun_normal", by("nadam", 0.003), 40,
        ),
    }
    losses = {calls: "poisson", arm: "huber", tide: "mae", circuit: "half_mean_squared_error"}
    # fmt: on
    result = {}
    for rows, settings in chosen.items():
        more: dict[str, Any] = {"loss": losses[rows]} if rows in losses else {}
        whole = table(saved(f"fresh-{rows.__name__}", rows), *settings, **more)
        result[rows.__name__] = base_of(rows, whole, rows in (texts, chords))
    # Counts are no numbers in standard units, and are not classes.
    result["calls"].table["data"] |= {"scale": "none", "task": "regression"}
    result["alarms"].table["data"]["order"] = "balanced"
    return result
