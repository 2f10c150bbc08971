"""Landscapes: functions of two variables with their gradients, on which optimizers show what they are made for.

Each is a height f(x, y) over the plane. `descent` lets an optimizer walk on it, `Walk` many at once.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from ..core.arrays import Array, Tree, map_arrays, namespace
from ..core.errors import InputError
from ..core.expressions import Expression
from ..core.functions import sigmoid, softplus
from ..core.noise import Noise
from ..engine.engine import Engine
from ..parts.part import Optimizer, Part, Positive

Place = tuple[float, float]
Clip = Callable[[Tree], tuple[Tree, Array]]
# The slope of the cliff's floor as a part of its height, and the logit of it.
_FLOOR = 0.01
_FOOT = math.log(_FLOOR / (1 - _FLOOR))
# The search for the lowest place of a formula: places on each side of a grid, and grids, each ten times finer.
_GRID, _GRIDS = 401, 12


class Landscape(Part, ABC, family="landscape"):
    """A height over the plane.

    >>> Landscape.of("rosenbrock").minima
    ((1.0, 1.0),)
    """

    about: ClassVar[str]
    """What it asks of an optimizer, in one line."""
    exact: ClassVar[bool] = True
    """Whether its minima are known, and not searched for."""

    @property
    @abstractmethod
    def start(self) -> Place:
        """Where optimizers usually start."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[Place, Place]:
        """((x from, x to), (y from, y to)) of its picture."""

    @property
    @abstractmethod
    def minima(self) -> tuple[Place, ...]:
        """The lowest places."""

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


@dataclass(frozen=True)
class Branin(Landscape, kind="branin"):
    """Three minima of one height 0.398: f = (y - b x² + 5x/π - 6)² + 10 (1 - 1/(8π)) cos x + 10, b = 5.1/(4π²).

    Source: Branin 1972; Dixon and Szegö 1978.

    >>> round(float(Branin().value(math.pi, 2.275)), 6)
    0.397887
    """

    about = "three minima of one height, in a bowl with a bent floor"
    bounds = ((-5.0, 10.0), (0.0, 15.0))
    start = (1.0, 9.0)
    minima = ((-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475))

    def value(self, x: Array, y: Array) -> Array:
        return self._miss(x, y) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * namespace(x).cos(x) + 10

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        miss = self._miss(x, y)
        by_x = -2 * 5.1 / (4 * math.pi**2) * x + 5 / math.pi
        return 2 * miss * by_x - 10 * (1 - 1 / (8 * math.pi)) * namespace(x).sin(x), 2 * miss

    def _miss(self, x: Array, y: Array) -> Array:
        return y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6


@dataclass(frozen=True)
class Rastrigin(Landscape, kind="rastrigin"):
    """A bowl full of pits: f = 20 + x² - 10 cos 2πx + y² - 10 cos 2πy; one pit at each pair of whole numbers.

    The lowest is f(0, 0) = 0; those beside it lie near 1, 2, 4, 5, ...

    Source: Rastrigin 1974; Mühlenbein, Schomisch, Born 1991.

    >>> [round(float(Rastrigin().value(x, 1.0)), 6) for x in (0.0, 1.0)]
    [1.0, 2.0]
    """

    about = "a bowl full of pits: nearly every start has a nearer minimum than the lowest"
    bounds = ((-5.12, 5.12), (-5.12, 5.12))
    start = (2.3, -1.6)
    minima = ((0.0, 0.0),)

    def value(self, x: Array, y: Array) -> Array:
        cos = namespace(x).cos
        return 20 + x * x - 10 * cos(2 * math.pi * x) + y * y - 10 * cos(2 * math.pi * y)

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        sin = namespace(x).sin
        steepness = 20 * math.pi
        return 2 * x + steepness * sin(2 * math.pi * x), 2 * y + steepness * sin(2 * math.pi * y)


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[Expression, Expression, Expression]:
    """A formula of x and y with its two derivatives."""
    height = Expression.parse(text, ("x", "y"))
    return height, height.derivative("x"), height.derivative("y")


@dataclass(frozen=True)
class Formula(Landscape, kind="formula"):
    """A formula of x and y as a user types it, with its exact derivatives; from -reach to reach on both axes.

    Its lowest place within the picture is searched for, on a grid and then on ever finer ones about the lowest place
    found. Raises InputError where it can not be read, has no derivative, or is the same everywhere in the picture.

    >>> ground = Formula("(x - 1)^2 + 10*y^2")
    >>> ground.value(2.0, 1.0), ground.slopes(2.0, 1.0), round(ground.minima[0][0], 6)
    (11.0, (2.0, 20.0), 1.0)
    """

    text: str
    reach: Positive = 5.0
    about = "a formula of your own"
    exact = False

    def __post_init__(self) -> None:
        super().__post_init__()
        heights = self._heights(*self._axes((0.0, 0.0), self.reach))
        heights = heights[np.isfinite(heights)]
        if not heights.size or heights.min() == heights.max():
            found = "is the same everywhere" if heights.size else "is nowhere a number"
            raise InputError(
                "formula",
                f"expected a height that changes with x and y; {self.text!r} {found} between"
                f" -{self.reach:g} and {self.reach:g}",
            )

    @property
    def bounds(self) -> tuple[Place, Place]:
        """-reach to reach."""
        return (-self.reach, self.reach), (-self.reach, self.reach)

    @property
    def start(self) -> Place:
        """A place near the upper left corner."""
        return -0.8 * self.reach, 0.7 * self.reach

    @functools.cached_property
    def minima(self) -> tuple[Place, ...]:
        """The lowest place of the picture that was found."""
        best, width = (0.0, 0.0), self.reach
        for _ in range(_GRIDS):
            x, y = self._axes(best, width)
            heights = self._heights(x, y)
            row, column = np.unravel_index(np.nanargmin(heights), heights.shape)
            best, width = (float(x[column]), float(y[row])), width / 10
        return (best,)

    def _axes(self, centre: Place, width: float) -> tuple[np.ndarray, np.ndarray]:
        around = np.linspace(-width, width, _GRID)
        x, y = (np.clip(middle + around, -self.reach, self.reach) for middle in centre)
        return x, y

    def _heights(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            heights = self.value(*np.meshgrid(x, y))
        return np.where(np.isfinite(heights), heights, np.nan)

    def value(self, x: Array, y: Array) -> Array:
        return self._like(x, _parsed(self.text)[0](x=x, y=y))

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        _, by_x, by_y = _parsed(self.text)
        return self._like(x, by_x(x=x, y=y)), self._like(x, by_y(x=x, y=y))

    @staticmethod
    def _like(x: Array, value: Array) -> Array:
        """The value in the shape of x, for a part of a formula may be one number alone."""
        return value + 0.0 * x if isinstance(value, float) and not isinstance(x, float) else value


class Walkers(NamedTuple):
    """Where many walks are, x (n,) and y (n,), with the moments of their optimizer."""

    place: tuple[Array, Array]
    moments: Tree


class Walk(NamedTuple):
    """An optimizer on a landscape, from many starts at once: its arithmetic is by element, so that each walks alone.

    With a `deviation`, noise of that standard deviation is added to each of the two slopes at every step; it comes
    from counters, so that every optimizer meets the same.
    """

    landscape: Landscape
    optimizer: Optimizer
    deviation: float | None = None

    def begin(self, x: Array, y: Array) -> Walkers:
        """The walkers at their starts."""
        return Walkers((x, y), self.optimizer.init((x, y)))

    def step(self, walkers: Walkers, key: Array, step: Array) -> Walkers:
        """The walkers after the update that follows `step` updates; `key` (2,) is that of the noise."""
        slopes = self.landscape.slopes(*walkers.place)
        if self.deviation is not None:
            noise = Noise(key, step)
            x, y = (noise.at(axis).normal(slope.shape, slope.dtype) for axis, slope in enumerate(slopes))
            slopes = slopes[0] + self.deviation * x, slopes[1] + self.deviation * y
        updates, moments = self.optimizer.update(slopes, walkers.moments, walkers.place, step)
        return Walkers(map_arrays(lambda p, u: p + u, walkers.place, updates), moments)


class Track(NamedTuple):
    """Where walks came to, and how high that is: x, y and height (steps + 1, n), their starts first."""

    x: np.ndarray
    y: np.ndarray
    height: np.ndarray


def follow(walk: Walk, engine: Engine, starts: np.ndarray, key: np.ndarray, steps: int) -> Track:
    """Where the walks from all starts (n, 2) come to in so many steps; `key` (2,) is that of the noise."""
    x, y, key = engine.place((starts[:, 0], starts[:, 1], key))
    _, places = engine.loop(_step, engine.call(_begin, walk, x, y), 0, steps, steps, walk, key)
    begun, later = engine.fetch(((x, y), places))
    x, y = (np.concatenate([start[None], rest]) for start, rest in zip(begun, later, strict=True))
    return Track(x, y, engine.fetch(engine.call(_height, walk, *engine.place((x, y)))))


def _begin(walk: Walk, x: Array, y: Array) -> Walkers:
    return walk.begin(x, y)


def _step(walkers: Walkers, index: Array, walk: Walk, key: Array) -> tuple[Walkers, tuple[Array, Array]]:
    walkers = walk.step(walkers, key, index)
    return walkers, walkers.place


def _height(walk: Walk, x: Array, y: Array) -> Array:
    return walk.landscape.value(x, y)


def descent(
    landscape: Landscape, optimizer: Optimizer, steps: int, start: Place | None = None, clip: Clip | None = None
) -> np.ndarray:
    """The places (steps + 1, 2) that an optimizer comes to from `start`, the landscape's own unless another is given.

    `clip` changes the gradients before the optimizer sees them. A path that diverges ends in infinities and NaN.

    >>> from thalweg.parts.optimizers import SGD
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
