"""Rows that no data source of Thalweg has, drawn with fixed seeds: for healthy runs, and with faults in the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_blobs,
    make_classification,
    make_friedman1,
    make_friedman3,
    make_gaussian_quantiles,
    make_moons,
    make_multilabel_classification,
    make_swiss_roll,
)

DRAWN = Path(__file__).parent / "data" / "drawn"
Rows = tuple[np.ndarray, np.ndarray]


def four_labels() -> Rows:
    """Eight inputs, and for each of four slanted planes whether the row lies above it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 8))
    planes = rng.standard_normal((8, 4))
    planes[2:, :2] = planes[:6, 2:] = 0
    return x, (x @ planes > 0).astype(np.uint8)


def friedman() -> Rows:
    """Friedman's first problem: five of ten inputs matter."""
    return make_friedman1(600, noise=0.5, random_state=0)


def ten_blobs() -> Rows:
    """Ten clouds in eight dimensions."""
    x, y = make_blobs(800, 8, centers=10, cluster_std=2.0, random_state=0)
    return (x - x.mean(axis=0)) / x.std(axis=0), y


def wave() -> Rows:
    """A sine with a little noise."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-np.pi, np.pi, (500, 1))
    return x, np.sin(x[:, 0]) + 0.05 * rng.standard_normal(500)


def iris() -> Rows:
    """Three irises in standard units."""
    return _standard(load_iris())


def wine() -> Rows:
    """Three growers' wines in standard units."""
    return _standard(load_wine())


def cancer() -> Rows:
    """Tumours in standard units."""
    return _standard(load_breast_cancer())


def moons() -> Rows:
    """Two half circles."""
    return make_moons(600, noise=0.1, random_state=0)


def shells() -> Rows:
    """Three shells of a cloud in five dimensions."""
    return make_gaussian_quantiles(n_samples=700, n_features=5, n_classes=3, random_state=0)


def checks() -> Rows:
    """The fields of a draughtboard of three by three."""
    x = np.random.default_rng(0).uniform(-1.5, 1.5, (800, 2))
    return x, np.floor(x + 1.5).astype(int).sum(axis=1) % 2


def clusters() -> Rows:
    """Three classes of two clusters each, on 8 of 20 inputs."""
    x, y = make_classification(
        900, 20, n_informative=8, n_redundant=4, n_classes=3, n_clusters_per_class=2, class_sep=1.5, random_state=0
    )
    return (x - x.mean(axis=0)) / x.std(axis=0), y


def clouds() -> Rows:
    """Four clouds in six dimensions."""
    x, y = make_blobs(600, 6, centers=4, cluster_std=2.5, random_state=1)
    return (x - x.mean(axis=0)) / x.std(axis=0), y


def even() -> Rows:
    """Handwritten digits: whether the number is even."""
    x, y = load_digits(return_X_y=True)
    return x / 16, (y % 2 == 0).astype(int)


def topics() -> Rows:
    """Texts by the counts of 15 words, and which of four topics they are about."""
    x, y = make_multilabel_classification(700, 15, n_classes=4, n_labels=2, random_state=0)
    return (x - x.mean(axis=0)) / x.std(axis=0), y.astype(np.uint8)


def roll() -> Rows:
    """The position of a point along a rolled sheet."""
    x, y = make_swiss_roll(700, noise=0.3, random_state=0)
    return (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()


def angle() -> Rows:
    """Friedman's third problem: an angle in an electric circuit."""
    x, y = make_friedman3(700, noise=0.05, random_state=0)
    return (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()


def product() -> Rows:
    """The product of two of four inputs."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 4))
    return x, x[:, 0] * x[:, 1] + 0.1 * rng.standard_normal(600)


def planes() -> Rows:
    """A slanted plane over twelve inputs with a bend in it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 12))
    heights = x @ rng.standard_normal(12) / np.sqrt(12)
    return x, np.abs(heights) + heights / 2 + 0.1 * rng.standard_normal(600)


def flower() -> Rows:
    """Points of a plane inside and outside of a flower of five petals."""
    x = np.random.default_rng(0).uniform(-1.6, 1.6, (1000, 2))
    edge = 1 + 0.5 * np.cos(5 * np.arctan2(x[:, 1], x[:, 0]))
    return x, (np.hypot(x[:, 0], x[:, 1]) < edge).astype(int)


def tones() -> Rows:
    """Sixteen samples of a tone of one of three pitches, at any phase, with noise."""
    rng = np.random.default_rng(0)
    pitch = rng.integers(0, 3, 1000)
    phase = rng.uniform(0, 2 * np.pi, (1000, 1))
    waves = np.sin((0.5 + 0.25 * pitch[:, None]) * np.arange(16) + phase)
    return waves + 0.3 * rng.standard_normal(waves.shape), pitch


def loops() -> Rows:
    """Handwritten digits: whether the digit is drawn with a closed loop."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return x[order] / 16, np.isin(y[order], (0, 6, 8, 9)).astype(int)


def bands() -> Rows:
    """Five classes: where a slanted sum of waves of four inputs lies between its quintiles."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1200, 4))
    height = x[:, 0] + np.sin(2 * x[:, 1]) + x[:, 2] * x[:, 3]
    return x, np.digitize(height, np.quantile(height, (0.2, 0.4, 0.6, 0.8)))


def caps() -> Rows:
    """Which of four caps of a sphere in six dimensions a point is nearest to; each class has two of eight caps."""
    rng = np.random.default_rng(0)
    x, poles = rng.standard_normal((1100, 6)), rng.standard_normal((8, 6))
    return x, (x @ poles.T / np.linalg.norm(poles, axis=1)).argmax(axis=1) % 4


def tags() -> Rows:
    """Ten inputs, and five tags, each of which holds where the product of two inputs is positive or a third is high."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 10))
    return x, np.stack([(x[:, k] * x[:, k + 5] / 2 + x[:, (k + 1) % 10] > 0.2) for k in range(5)], axis=1).astype(int)


def ripple() -> Rows:
    """The height of a wave around a stone in a pond, with noise."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, (900, 2))
    return x / np.sqrt(3), np.cos(2 * np.hypot(x[:, 0], x[:, 1])) + 0.1 * rng.standard_normal(len(x))


def lens() -> Rows:
    """Where a thin lens makes the image, from the distance of the object, the focal length and the height."""
    rng = np.random.default_rng(0)
    distance, focal, height = rng.uniform((3, 0.5, 0.2), (10, 2, 2), (900, 3)).T
    image = focal * distance / (distance - focal)
    x, y = np.stack([distance, focal, height], axis=1), height * image / distance
    y += 0.02 * rng.standard_normal(len(y))
    return (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()


def roof() -> Rows:
    """The highest of three slanted planes over five inputs, with noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((900, 5))
    return x, (x @ rng.standard_normal((5, 3))).max(axis=1) / 2 + 0.1 * rng.standard_normal(len(x))


def springs() -> Rows:
    """Where two coupled springs are after a while, from where they start and how fast."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((900, 4))
    slow, fast = (x[:, 0] + x[:, 1]) / 2, (x[:, 0] - x[:, 1]) / 2
    place = slow * np.cos(1.2) + fast * np.cos(2.1 + x[:, 2] ** 2 / 4) + np.tanh(x[:, 3]) / 2
    return x, place + 0.05 * rng.standard_normal(len(x))


def _standard(bunch: Any) -> Rows:
    return (bunch.data - bunch.data.mean(axis=0)) / bunch.data.std(axis=0), bunch.target


def _columns(rows: Callable[[], Rows], low: float, high: float) -> Callable[[], Rows]:
    """Columns scaled by factors from `low` to `high`."""

    def scaled() -> Rows:
        x, y = rows()
        return x * np.logspace(np.log10(low), np.log10(high), x.shape[1]), y

    return scaled


def _offset(rows: Callable[[], Rows], by: float) -> Callable[[], Rows]:
    def moved() -> Rows:
        x, y = rows()
        return x + by, y

    return moved


def _targets(rows: Callable[[], Rows], times: float) -> Callable[[], Rows]:
    def scaled() -> Rows:
        x, y = rows()
        return x, times * y

    return scaled


def _permuted(rows: Callable[[], Rows]) -> Callable[[], Rows]:
    """Permuted targets, which are independent of the inputs."""

    def permuted() -> Rows:
        x, y = rows()
        return x, np.random.default_rng(1).permutation(y)

    return permuted


def _sorted(rows: Callable[[], Rows]) -> Callable[[], Rows]:
    """Rows sorted by class."""

    def ordered() -> Rows:
        x, y = rows()
        order = np.argsort(y, kind="stable")
        return x[order], y[order]

    return ordered


def _doubled(rows: Callable[[], Rows]) -> Callable[[], Rows]:
    """Each row twice."""

    def twice() -> Rows:
        x, y = rows()
        return np.repeat(x, 2, axis=0), np.repeat(y, 2, axis=0)

    return twice


ROWS: dict[str, Callable[[], Rows]] = {
    "four-labels": four_labels,
    "friedman": friedman,
    "ten-blobs": ten_blobs,
    "cancer-columns": _columns(cancer, 1e-1, 1e6),
    "iris-thousands": _columns(iris, 1e3, 1e3),
    "friedman-thousands": _columns(friedman, 1e3, 1e4),
    "moons-offset": _offset(moons, 1000.0),
    "wave-ten-thousands": _targets(wave, 1e4),
    "friedman-ten-thousands": _targets(friedman, 1e4),
    "iris-permuted": _permuted(iris),
    "cancer-permuted": _permuted(cancer),
    "wave-permuted": _permuted(wave),
    "ten-blobs-sorted": _sorted(ten_blobs),
    "wine-sorted": _sorted(wine),
    "moons-doubled": _doubled(moons),
    "wine-doubled": _doubled(wine),
    "friedman-doubled": _doubled(friedman),
}
_UNSEEN = (shells, checks, clusters, clouds, even, topics, roll, angle, product, planes)
_REDRAWN = (flower, tones, loops, bands, caps, tags, ripple, lens, roof, springs)
# The same faults in all rows of unseen.py and of fresh/redrawn.py.
for _rows in (*_UNSEEN, *_REDRAWN):
    ROWS |= {
        _rows.__name__: _rows,
        f"{_rows.__name__}-thousands": _columns(_rows, 1e3, 1e3),
        f"{_rows.__name__}-columns": _columns(_rows, 1e-1, 1e5),
        f"{_rows.__name__}-offset": _offset(_rows, 300.0),
        f"{_rows.__name__}-ten-thousands": _targets(_rows, 1e4),
        f"{_rows.__name__}-permuted": _permuted(_rows),
    }
for _rows in _UNSEEN:
    ROWS |= {f"{_rows.__name__}-sorted": _sorted(_rows), f"{_rows.__name__}-doubled": _doubled(_rows)}


def source(name: str) -> dict[str, str]:
    """The data source of a spec for these rows, which are written to files if they are missing."""
    return saved(name, ROWS[name])


def saved(name: str, rows: Callable[[], Rows]) -> dict[str, str]:
    """The data source of a spec for rows, which are written to files of that name if they are missing."""
    paths = {part: DRAWN / f"{name}-{part}.npy" for part in "xy"}
    if not all(path.exists() for path in paths.values()):
        DRAWN.mkdir(exist_ok=True)
        for path, array in zip(paths.values(), rows(), strict=True):
            np.save(path, array)
    return {"kind": "npy", **{part: str(path) for part, path in paths.items()}}
