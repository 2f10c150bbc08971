"""Landscapes: functions of two variables with their gradients, on which optimizers show what they are made for.

Each is a height f(x, y) over the plane. `descent` lets an optimizer walk on it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from .arrays import Array, Tree, namespace
from .functions import sigmoid, softplus
from .parts import Optimizer, Part, Positive

Place = tuple[float, float]
Clip = Callable[[Tree], tuple[Tree, Array]]
# The slope of the cliff's floor as a part of its height, and the logit of it.
_FLOOR = 0.01
_FOOT = math.log(_FLOOR / (1 - _FLOOR))


class Landscape(Part, ABC, family="landscape"):
    """A height over the plane.

    `bounds` are ((x from, x to), (y from, y to)) of its picture, `start` is where optimizers usually start, and
    `minima` are the lowest places.

    >>> Landscape.of("rosenbrock").minima
    ((1.0, 1.0),)
    """

    about: ClassVar[str]
    """What it asks of an optimizer, in one line."""
    bounds: ClassVar[tuple[Place, Place]]
    start: ClassVar[Place]
    minima: ClassVar[tuple[Place, ...]]

    @abstractmethod
    def value(self, x: Array, y: Array) -> Array:
        """f(x, y), for numbers or arrays of one shape."""

    @abstractmethod
    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        """(∂f/∂x, ∂f/∂y), each of the shape of x and y."""

    def gradient(self, place: Array) -> Array:
        """∇f (..., 2) at the places (..., 2).

        >>> Landscape.of("saddle").gradient(np.array([1.0, 0.5])).tolist()
        [2.0, -0.875]
        """
        return namespace(place).stack(self.slopes(place[..., 0], place[..., 1]), axis=-1)


@dataclass(frozen=True)
class Rosenbrock(Landscape, kind="rosenbrock"):
    """A bent ravine: f = (1 - x)² + steepness (y - x²)². Its floor falls gently to the minimum f(1, 1) = 0.

    Source: Rosenbrock 1960 (steepness 100).

    >>> Rosenbrock().value(-1.0, 1.0)
    4.0
    """

    steepness: Positive = 100.0
    about = "a bent ravine: steep walls, and a floor that hardly falls"
    bounds = ((-2.0, 2.0), (-1.0, 3.0))
    start = (-1.2, 1.0)
    minima = ((1.0, 1.0),)

    def value(self, x: Array, y: Array) -> Array:
        return (1 - x) ** 2 + self.steepness * (y - x * x) ** 2

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        above = y - x * x
        return -2 * (1 - x) - 4 * self.steepness * x * above, 2 * self.steepness * above


@dataclass(frozen=True)
class Quadratic(Landscape, kind="quadratic"):
    """A straight ravine: f = 1/2 (x² + condition y²). Its Hessian has the eigenvalues 1 and `condition`.

    >>> Quadratic(condition=50).slopes(2.0, 1.0)
    (2.0, 50.0)
    """

    condition: Annotated[float, Field(ge=1, allow_inf_nan=False, strict=True)] = 50.0
    about = "a straight ravine: one direction is many times as steep as the other"
    bounds = ((-10.5, 2.0), (-2.5, 2.5))
    start = (-10.0, 1.5)
    minima = ((0.0, 0.0),)

    def value(self, x: Array, y: Array) -> Array:
        return (x * x + self.condition * y * y) / 2

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        return x, self.condition * y


@dataclass(frozen=True)
class Saddle(Landscape, kind="saddle"):
    """A saddle at (0, 0): f = x² - y² + y⁴/4; the minima f(0, ±√2) = -1 lie on both sides of it.

    On the ridge y = 0 the gradient has no part along y.

    >>> Saddle().slopes(1.0, 0.0)[1]
    0.0
    """

    about = "a saddle: the slope vanishes where the way down begins"
    bounds = ((-1.6, 1.6), (-2.0, 2.0))
    start = (1.3, 0.001)
    minima = ((0.0, -(2**0.5)), (0.0, 2**0.5))

    def value(self, x: Array, y: Array) -> Array:
        return x * x - y * y + y**4 / 4

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        return 2 * x, y**3 - 2 * y


@dataclass(frozen=True)
class Plateau(Landscape, kind="plateau"):
    """A basin in a plain: f = r² / (1 + r²) with r² = x² + y²; far from the minimum f(0, 0) = 0 it is flat.

    The slope falls as 2 / r³.

    >>> round(Plateau().slopes(30.0, 40.0)[0] * 50**3 / 2 * 50 / 30, 2)
    1.0
    """

    about = "a plateau: far from the basin there is hardly any slope"
    bounds = ((-6.0, 2.0), (-2.0, 5.0))
    start = (-5.0, 4.0)
    minima = ((0.0, 0.0),)

    def value(self, x: Array, y: Array) -> Array:
        square = x * x + y * y
        return square / (1 + square)

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        flatness = (1 + x * x + y * y) ** 2
        return 2 * x / flatness, 2 * y / flatness


@dataclass(frozen=True)
class Cliff(Landscape, kind="cliff"):
    """A valley before a wall: f = height ((softplus(k x + c) - softplus(c)) / k - σ(c) x) + y²/2, k the sharpness.

    σ(c) = 1/100: the floor falls by height/100 towards the minimum f(0, 0) = 0, and right behind it the wall rises 99
    times as steeply.

    Source: after Pascanu, Mikolov, Bengio 2013, figure 6.

    >>> Cliff().slopes(-4.0, 0.0)[0].round(6), Cliff().slopes(1.0, 0.0)[0].round(1)
    (np.float64(-0.5), np.float64(49.3))
    """

    height: Positive = 50.0
    sharpness: Positive = 10.0
    about = "a cliff: one step against the wall throws the point far back"
    bounds = ((-6.0, 1.5), (-2.0, 2.0))
    start = (1.0, 1.5)
    minima = ((0.0, 0.0),)

    def value(self, x: Array, y: Array) -> Array:
        rise = softplus(self.sharpness * x + _FOOT) - softplus(_FOOT)
        return self.height * (rise / self.sharpness - _FLOOR * x) + y * y / 2

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        return self.height * (sigmoid(self.sharpness * x + _FOOT) - _FLOOR), y


@dataclass(frozen=True)
class Beale(Landscape, kind="beale"):
    """f = (1.5 - x + x y)² + (2.25 - x + x y²)² + (2.625 - x + x y³)²: flat, with steep corners; f(3, 1/2) = 0.

    Source: Moré, Garbow, Hillstrom 1981, problem 5.

    >>> Beale().value(3.0, 0.5)
    0.0
    """

    about = "a flat valley between steep corners"
    bounds = ((-4.5, 4.5), (-4.5, 4.5))
    start = (1.0, 1.0)
    minima = ((3.0, 0.5),)

    def value(self, x: Array, y: Array) -> Array:
        return sum(miss * miss for miss in self._misses(x, y))

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        misses = list(enumerate(self._misses(x, y), 1))
        return (
            sum(2 * miss * (y**power - 1) for power, miss in misses),
            sum(2 * miss * power * x * y ** (power - 1) for power, miss in misses),
        )

    def _misses(self, x: Array, y: Array) -> list[Array]:
        return [target - x + x * y**power for power, target in enumerate((1.5, 2.25, 2.625), 1)]


@dataclass(frozen=True)
class Himmelblau(Landscape, kind="himmelblau"):
    """Four minima of the same height 0: f = (x² + y - 11)² + (x + y² - 7)².

    Source: Himmelblau 1972.

    >>> Himmelblau().value(3.0, 2.0)
    0.0
    """

    about = "four minima: which one is found depends on the way"
    bounds = ((-5.0, 5.0), (-5.0, 5.0))
    start = (0.0, 0.0)
    minima = (
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.283185991286170),
        (3.584428340330492, -1.848126526964404),
    )

    def value(self, x: Array, y: Array) -> Array:
        return (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        first, second = x * x + y - 11, x + y * y - 7
        return 4 * x * first + 2 * second, 2 * first + 4 * y * second


def descent(
    landscape: Landscape, optimizer: Optimizer, steps: int, start: Place | None = None, clip: Clip | None = None
) -> np.ndarray:
    """The places (steps + 1, 2) that an optimizer comes to from `start`, the landscape's own unless another is given.

    `clip` changes the gradients before the optimizer sees them. A path that diverges ends in infinities and NaN.

    >>> from thalweg.optimizers import SGD
    >>> descent(Quadratic(condition=4.0), SGD(0.25), steps=1, start=(1.0, 2.0)).tolist()
    [[1.0, 2.0], [0.75, 0.0]]
    """
    params = (np.array(landscape.start if start is None else start, dtype=float),)
    moments, path = optimizer.init(params), [params[0]]
    with np.errstate(all="ignore"):
        for step in range(steps):
            grads = (landscape.gradient(params[0]),)
            updates, moments = optimizer.update(clip(grads)[0] if clip else grads, moments, params, step)
            params = (params[0] + updates[0],)
            path.append(params[0])
    return np.stack(path)
