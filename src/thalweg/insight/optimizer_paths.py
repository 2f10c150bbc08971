"""Paths of optimizers on test functions: one path in NumPy, or many from different starts on an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..core.arrays import Array, Grads, Moments, Scalar, map_arrays
from ..core.noise import Noise
from ..engine.engine import Engine
from ..parts.part import Optimizer
from .test_functions import Landscape, Point

Clip = Callable[[tuple[Grads, ...]], tuple[tuple[Grads, ...], Scalar]]
"""A rule that limits gradients: (limited gradients, whether it acted)."""


def optimizer_path(
    landscape: Landscape, optimizer: Optimizer, steps: int, start: Point | None = None, clip: Clip | None = None
) -> np.ndarray:
    """The points (steps + 1, 2) that an optimizer visits. A path that diverges ends in infinities and NaN.

    Args:
        landscape: the function to minimise.
        optimizer: the update rule.
        steps: the number of updates.
        start: the first point; the landscape's own start by default.
        clip: applied to each gradient before the optimizer gets it.

    >>> from thalweg.insight.test_functions import Quadratic
    >>> from thalweg.parts.optimizers import SGD
    >>> optimizer_path(Quadratic(condition=4.0), SGD(0.25), steps=1, start=(1.0, 2.0)).tolist()
    [[1.0, 2.0], [0.75, 0.0]]
    """
    params = (np.array(landscape.start if start is None else start, dtype=float),)
    moments = optimizer.init(params)
    path = [params[0]]
    with np.errstate(all="ignore"):
        for step in range(steps):
            grads = (landscape.gradient(params[0]),)
            updates, moments = optimizer.update(clip(grads)[0] if clip else grads, moments, params, np.array(step))
            params = (params[0] + updates[0],)
            path.append(params[0])
    return np.stack(path)


class DescentState(NamedTuple):
    """The points of n paths, x (n,) and y (n,), with the moments of their optimizer."""

    point: tuple[Array, Array]
    moments: Moments


class Descent(NamedTuple):
    """An optimizer on a landscape from many starts at once: its update is elementwise, so the paths are independent.

    `noise` is the standard deviation of noise that is added to both slopes at every step. The noise depends on the key,
    the step and the start alone, so that every optimizer gets the same.
    """

    landscape: Landscape
    optimizer: Optimizer
    noise: float | None = None

    def begin(self, x: Array, y: Array) -> DescentState:
        """The state at the starts."""
        return DescentState((x, y), self.optimizer.init((x, y)))

    def step(self, state: DescentState, key: Array, step: Array) -> DescentState:
        """The state after the update that follows `step` updates; `key` (2,) seeds the noise."""
        slopes = self.landscape.slopes(*state.point)
        if self.noise is not None:
            noise = Noise(key, step)
            x, y = (noise.at(axis).normal(slope.shape, slope.dtype) for axis, slope in enumerate(slopes))
            slopes = slopes[0] + self.noise * x, slopes[1] + self.noise * y
        updates, moments = self.optimizer.update(slopes, state.moments, state.point, step)
        return DescentState(map_arrays(lambda p, u: p + u, state.point, updates), moments)


class Paths(NamedTuple):
    """n paths: x, y and height (steps + 1, n), the starts first."""

    x: np.ndarray
    y: np.ndarray
    height: np.ndarray


def follow_paths(descent: Descent, engine: Engine, starts: np.ndarray, key: np.ndarray, steps: int) -> Paths:
    """The paths from all starts (n, 2), computed on an engine; `key` (2,) seeds the noise."""
    x, y, key = engine.place((starts[:, 0], starts[:, 1], key))
    _, points = engine.loop(_step, engine.call(_begin, descent, x, y), 0, steps, steps, descent, key)
    first, later = engine.fetch(((x, y), points))
    x, y = (np.concatenate([start[None], rest]) for start, rest in zip(first, later, strict=True))
    return Paths(x, y, engine.fetch(engine.call(_height, descent, *engine.place((x, y)))))


def _begin(descent: Descent, x: Array, y: Array) -> DescentState:
    return descent.begin(x, y)


def _step(state: DescentState, index: Array, descent: Descent, key: Array) -> tuple[DescentState, tuple[Array, Array]]:
    state = descent.step(state, key, index)
    return state, state.point


def _height(descent: Descent, x: Array, y: Array) -> Array:
    return descent.landscape.value(x, y)
