"""Test functions for optimizers: heights f(x, y) over the plane, each with its gradient and its known minima.

`optimizer_paths.optimizer_path` runs an optimizer on one of them.
"""

from __future__ import annotations

import functools
import math
import shlex
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ..core.arrays import Array, namespace
from ..core.errors import InputError
from ..core.expressions import Expression
from ..core.functions import sigmoid, softplus
from ..parts.part import Part, Positive

Point = tuple[float, float]
# The floor of the cliff falls by this fraction of its height; _FOOT is its logit.
_FLOOR = 0.01
_FOOT = math.log(_FLOOR / (1 - _FLOOR))
_FOOT_HEIGHT = float(softplus(np.array(_FOOT)))
# The search for the lowest point of a formula: points along each side of a grid, and grids, each ten times finer.
_GRID_POINTS = 401
_GRIDS = 12


class Landscape(Part, ABC, family="landscape"):
    """A height f(x, y) over the plane.

    >>> Landscape.of("rosenbrock").minima
    ((1.0, 1.0),)
    """

    about: ClassVar[str]
    """What makes it hard for an optimizer, in one line."""
    minima_known: ClassVar[bool] = True
    """Whether the minima are known exactly; otherwise they are searched for."""

    @property
    @abstractmethod
    def start(self) -> Point:
        """The usual starting point of optimizers."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[Point, Point]:
        """The region that is plotted: ((x from, x to), (y from, y to))."""

    @property
    @abstractmethod
    def minima(self) -> tuple[Point, ...]:
        """The global minima."""

    @abstractmethod
    def value(self, x: Array, y: Array) -> Array:
        """f(x, y), for numbers or arrays of one shape."""

    @abstractmethod
    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        """(∂f/∂x, ∂f/∂y), each of the shape of x and y."""

    @property
    def title(self) -> str:
        """Its name with its options."""
        return " ".join(str(value) for value in self.describe().values())

    @property
    def shell_arguments(self) -> str:
        """The arguments of `thalweg arena` that name it."""
        return shlex.quote(self.title)

    def gradient(self, point: Array) -> Array:
        """∇f (..., 2) at the points (..., 2).

        >>> Landscape.of("saddle").gradient(np.array([1.0, 0.5])).tolist()
        [2.0, -0.875]
        """
        return namespace(point).stack(self.slopes(point[..., 0], point[..., 1]), axis=-1)


@dataclass(frozen=True)
class Rosenbrock(Landscape, kind="rosenbrock"):
    """A curved ravine: f = (1 - x)² + steepness (y - x²)². Its floor falls gently to the minimum f(1, 1) = 0.

    Source: Rosenbrock 1960 (steepness 100).

    >>> Rosenbrock().value(-1.0, 1.0)
    4.0
    """

    steepness: Positive = 100.0
    about = "a curved ravine: steep walls, and a floor that hardly falls"
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
    """A saddle at (0, 0): f = x² - y² + y⁴/4, with the minima f(0, ±√2) = -1 on both sides.

    On the ridge y = 0 the slope along y is 0.

    >>> Saddle().slopes(1.0, 0.0)[1]
    0.0
    """

    about = "a saddle: the gradient is small where the descent begins"
    bounds = ((-1.6, 1.6), (-2.0, 2.0))
    start = (1.3, 0.001)
    minima = ((0.0, -(2**0.5)), (0.0, 2**0.5))

    def value(self, x: Array, y: Array) -> Array:
        return x * x - y * y + y**4 / 4

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        return 2 * x, y**3 - 2 * y


@dataclass(frozen=True)
class Plateau(Landscape, kind="plateau"):
    """A basin in a plain: f = r² / (1 + r²) with r² = x² + y². It is flat far from the minimum f(0, 0) = 0.

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
    """A valley below a wall: f = height ((softplus(k x + c) - softplus(c)) / k - σ(c) x) + y²/2, k the sharpness.

    σ(c) = 1/100: the floor falls with a slope of height/100 towards the minimum f(0, 0) = 0, and the wall just beyond
    it rises 99 times as steeply.

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
        rise = softplus(self.sharpness * x + _FOOT) - _FOOT_HEIGHT
        return self.height * (rise / self.sharpness - _FLOOR * x) + y * y / 2

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        return self.height * (sigmoid(self.sharpness * x + _FOOT) - _FLOOR), y


@dataclass(frozen=True)
class Beale(Landscape, kind="beale"):
    """f = (1.5 - x + x y)² + (2.25 - x + x y²)² + (2.625 - x + x y³)²: flat with steep corners; f(3, 1/2) = 0.

    Source: Moré, Garbow, Hillstrom 1981, problem 5.

    >>> Beale().value(3.0, 0.5)
    0.0
    """

    about = "a flat valley between steep corners"
    bounds = ((-4.5, 4.5), (-4.5, 4.5))
    start = (1.0, 1.0)
    minima = ((3.0, 0.5),)

    def value(self, x: Array, y: Array) -> Array:
        return sum(residual * residual for residual in self._residuals(x, y))

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        residuals = list(enumerate(self._residuals(x, y), 1))
        return (
            sum(2 * residual * (y**power - 1) for power, residual in residuals),
            sum(2 * residual * power * x * y ** (power - 1) for power, residual in residuals),
        )

    def _residuals(self, x: Array, y: Array) -> list[Array]:
        return [target - x + x * y**power for power, target in enumerate((1.5, 2.25, 2.625), 1)]


@dataclass(frozen=True)
class Himmelblau(Landscape, kind="himmelblau"):
    """Four minima of height 0: f = (x² + y - 11)² + (x + y² - 7)².

    Source: Himmelblau 1972.

    >>> Himmelblau().value(3.0, 2.0)
    0.0
    """

    about = "four minima: the path decides which one is found"
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
        first = x * x + y - 11
        second = x + y * y - 7
        return 4 * x * first + 2 * second, 2 * first + 4 * y * second


@dataclass(frozen=True)
class Branin(Landscape, kind="branin"):
    """Three minima of height 0.398: f = (y - b x² + 5x/π - 6)² + 10 (1 - 1/(8π)) cos x + 10, b = 5.1/(4π²).

    Source: Branin 1972; Dixon and Szegö 1978.

    >>> round(float(Branin().value(math.pi, 2.275)), 6)
    0.397887
    """

    about = "three minima of equal height, in a bowl with a curved floor"
    bounds = ((-5.0, 10.0), (0.0, 15.0))
    start = (1.0, 9.0)
    minima = ((-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475))

    def value(self, x: Array, y: Array) -> Array:
        return self._residual(x, y) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * namespace(x).cos(x) + 10

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        residual = self._residual(x, y)
        by_x = -2 * 5.1 / (4 * math.pi**2) * x + 5 / math.pi
        return 2 * residual * by_x - 10 * (1 - 1 / (8 * math.pi)) * namespace(x).sin(x), 2 * residual

    def _residual(self, x: Array, y: Array) -> Array:
        return y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6


@dataclass(frozen=True)
class Rastrigin(Landscape, kind="rastrigin"):
    """A bowl full of pits: f = 20 + x² - 10 cos 2πx + y² - 10 cos 2πy, with a pit near each pair of integers.

    The lowest is f(0, 0) = 0; the heights of its neighbours are near 1, 2, 4, 5, ...

    Source: Rastrigin 1974; Mühlenbein, Schomisch, Born 1991.

    >>> [round(float(Rastrigin().value(x, 1.0)), 6) for x in (0.0, 1.0)]
    [1.0, 2.0]
    """

    about = "a bowl full of pits: for nearly every start another minimum is nearer than the lowest"
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
    """The formula f(x, y), ∂f/∂x and ∂f/∂y."""
    height = Expression.parse(text, ("x", "y"))
    return height, height.derivative("x"), height.derivative("y")


@dataclass(frozen=True)
class CustomLandscape(Landscape, kind="formula"):
    """A formula of x and y that a user types, with its exact derivatives, from -reach to reach on both axes.

    Its lowest point in this region is searched for on a grid, and then on finer and finer grids about the lowest point
    found. Raises InputError if the formula cannot be parsed, has no derivative, or is constant in the region.

    >>> landscape = CustomLandscape("(x - 1)^2 + 10*y^2")
    >>> landscape.value(2.0, 1.0), landscape.slopes(2.0, 1.0), round(landscape.minima[0][0], 6)
    (11.0, (2.0, 20.0), 1.0)
    """

    text: str
    reach: Positive = 5.0
    about = "a formula of your own"
    minima_known = False

    def __post_init__(self) -> None:
        super().__post_init__()
        heights = self._heights(*self._axes((0.0, 0.0), self.reach))
        heights = heights[np.isfinite(heights)]
        if not heights.size or heights.min() == heights.max():
            fault = "is constant" if heights.size else "is not a finite number anywhere"
            raise InputError(
                "formula",
                f"expected a height that changes with x and y; {self.text!r} {fault} between"
                f" -{self.reach:g} and {self.reach:g}",
            )

    @property
    def title(self) -> str:
        """The formula."""
        return self.text

    @property
    def shell_arguments(self) -> str:
        """The options of `thalweg arena` for a formula."""
        return f"--formula {shlex.quote(self.text)} --reach {self.reach:g}"

    @property
    def bounds(self) -> tuple[Point, Point]:
        """-reach to reach."""
        return (-self.reach, self.reach), (-self.reach, self.reach)

    @property
    def start(self) -> Point:
        """A point near the upper left corner."""
        return -0.8 * self.reach, 0.7 * self.reach

    @functools.cached_property
    def minima(self) -> tuple[Point, ...]:
        """The lowest point that the search found."""
        best = (0.0, 0.0)
        width = self.reach
        for _ in range(_GRIDS):
            x, y = self._axes(best, width)
            heights = self._heights(x, y)
            row, column = np.unravel_index(np.nanargmin(heights), heights.shape)
            best = (float(x[column]), float(y[row]))
            width /= 10
        return (best,)

    def _axes(self, centre: Point, width: float) -> tuple[np.ndarray, np.ndarray]:
        offsets = np.linspace(-width, width, _GRID_POINTS)
        x, y = (np.clip(middle + offsets, -self.reach, self.reach) for middle in centre)
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
    def _like(x: Array, value: Array | float) -> Array:
        """The value in the shape of x: a derivative may be a constant."""
        return value + 0.0 * x if isinstance(value, float) else value
