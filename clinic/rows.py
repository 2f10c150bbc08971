"""Rows that no source of Thalweg gives, drawn with a fixed seed: for healthy runs, and with faults put into them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_blobs, make_friedman1, make_moons

DRAWN = Path(__file__).parent / "data" / "drawn"
Rows = tuple[np.ndarray, np.ndarray]


def four_labels() -> Rows:
    """Eight inputs, and whether each of four slanted planes lies below them."""
    rng = np.random.default_rng(0)
    x, planes = rng.standard_normal((600, 8)), rng.standard_normal((8, 4))
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


def _standard(bunch: Any) -> Rows:
    return (bunch.data - bunch.data.mean(axis=0)) / bunch.data.std(axis=0), bunch.target


def _columns(rows: Callable[[], Rows], low: float, high: float) -> Callable[[], Rows]:
    """Columns in units from `low` to `high` times their own deviation."""

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
    """Targets dealt out anew: they have nothing to do with the inputs."""

    def dealt() -> Rows:
        x, y = rows()
        return x, np.random.default_rng(1).permutation(y)

    return dealt


def _sorted(rows: Callable[[], Rows]) -> Callable[[], Rows]:
    """Class after class."""

    def put() -> Rows:
        x, y = rows()
        order = np.argsort(y, kind="stable")
        return x[order], y[order]

    return put


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


def source(name: str) -> dict[str, str]:
    """The source of a spec that holds these rows; they are written where they are not there yet."""
    paths = {part: DRAWN / f"{name}-{part}.npy" for part in "xy"}
    if not all(path.exists() for path in paths.values()):
        DRAWN.mkdir(exist_ok=True)
        for path, array in zip(paths.values(), ROWS[name](), strict=True):
            np.save(path, array)
    return {"kind": "npy", **{part: str(path) for part, path in paths.items()}}
