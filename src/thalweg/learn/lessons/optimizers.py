"""Why each optimizer was invented: five loss surfaces, and the paths that the optimizers take on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ...core.arrays import Array
from ...core.progress import ProgressMessage
from ...insight.optimizer_paths import optimizer_path
from ...insight.test_functions import Cliff, Landscape, Plateau, Point, Quadratic, Rosenbrock, Saddle
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import contours
from ...pages.numbers import number, percent
from ...parts.clipping import ClipNorm
from ...parts.optimizers import SGD, Adam, Momentum, Nesterov, RMSProp
from ...parts.part import Count, Fraction, Optimizer, Positive
from ..lesson import Lesson

_DESCENT = "gradient descent"
_MOMENTUM = "momentum"
_NESTEROV = "Nesterov"
_RMSPROP = "RMSProp"
_ADAM = "Adam"
_GRID_POINTS = 81
_ARRIVED = 0.01
_DRAWN_UNTIL = 1e-4

Paths = Mapping[str, Array]


@dataclass(frozen=True)
class OptimizersLesson(Lesson, kind="optimizers"):
    """A ravine, a saddle, a plateau and a cliff: gradient descent, momentum, Nesterov, RMSProp and Adam on each.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, sections 8.2, 8.3 and 8.5; Goh 2017, Why momentum really
    works.

    Attributes:
        condition: The condition number of the straight ravine.
        quadratic_rate: The learning rate on the straight ravine of gradient descent, momentum and Nesterov.
        rosenbrock_rate: The same on Rosenbrock's function.
        saddle_rate: The same on the saddle.
        plateau_rate: The same on the plateau.
        cliff_rate: The same on the cliff.
        adaptive_rate: The learning rate of RMSProp and Adam on all surfaces.
        momentum: The momentum μ.
        aside: The distance of the start from the ridge of the saddle.
        clip: The largest length of the clipped gradient.
        ground: Another surface to look at, one of `thalweg.landscapes`.
        ground_rate: The learning rate of the first three on it.
        steps: The number of steps.

    >>> lesson = OptimizersLesson()
    >>> paths = lesson.paths(Quadratic(condition=lesson.condition), lesson.quadratic_rate)
    >>> {name: lesson.arrival(Quadratic(), path) for name, path in paths.items() if name in ("momentum", "Adam")}
    {'momentum': 44, 'Adam': 121}
    """

    title = "Why each optimizer was invented"
    subject = "Five optimizers on a ravine, a saddle, a plateau and at a cliff: what stops each, and what helps."
    chapter = "The way down"
    place = 1
    quick: ClassVar[Mapping[str, object]] = {"steps": 400}

    condition: Annotated[float, Field(gt=1, allow_inf_nan=False, strict=True)] = 50.0
    quadratic_rate: Positive = 0.025
    rosenbrock_rate: Positive = 0.001
    saddle_rate: Positive = 0.05
    plateau_rate: Positive = 0.1
    cliff_rate: Positive = 0.1
    adaptive_rate: Positive = 0.1
    momentum: Fraction = 0.9
    aside: Positive = 0.001
    clip: Positive = 1.0
    ground: Landscape | None = None
    ground_rate: Positive = 0.01
    steps: Count = 1000

    def optimizers(self, rate: float) -> dict[str, Optimizer]:
        """The five optimizers by their names; the first three with the learning rate `rate`."""
        return {
            _DESCENT: SGD(rate),
            _MOMENTUM: Momentum(rate, self.momentum),
            _NESTEROV: Nesterov(rate, self.momentum),
            _RMSPROP: RMSProp(self.adaptive_rate),
            _ADAM: Adam(self.adaptive_rate),
        }

    def paths(self, landscape: Landscape, rate: float, start: Point | None = None) -> dict[str, Array]:
        """The path (steps + 1, 2) of each optimizer."""
        optimizers = self.optimizers(rate)
        return {name: optimizer_path(landscape, optimizer, self.steps, start) for name, optimizer in optimizers.items()}

    def arrival(self, landscape: Landscape, path: Array, fraction: float = _ARRIVED) -> int:
        """The number of steps after which at most a fraction of the first height is left; steps + 1 if never."""
        heights = _heights(landscape, path)
        return int(np.flatnonzero(~(heights <= fraction * heights[0]))[-1]) + 1

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "An optimizer knows nothing but the gradient at its present place. Here the parameters are two numbers, x "
            "and y, so that the whole loss surface can be drawn. All optimizers start at the same place. Gradient "
            "descent, momentum and Nesterov share a learning rate η that is chosen for the surface; RMSProp and Adam "
            f"use η = {number(self.adaptive_rate)} everywhere. Momentum is μ = {number(self.momentum)}. A path has "
            f"arrived when at most {percent(_ARRIVED)} of its first height above the minimum is left, and stays so."
        )
        yield Formula(
            "gradient descent   Δ = -η g\n"
            "momentum           v ← μ v - η g;   Δ = v\n"
            "Nesterov           v ← μ v - η g;   Δ = μ v - η g\n"
            "RMSProp            s ← ρ s + (1-ρ) g²;   Δ = -η g / (√s + ε)\n"
            "Adam               m ← β₁ m + (1-β₁) g;   v ← β₂ v + (1-β₂) g²;   Δ = -η m̂ / (√v̂ + ε)"
        )
        yield from self._straight_ravine()
        yield from self._bent_ravine()
        yield from self._saddle()
        yield from self._plateau()
        yield from self._cliff()
        yield from self._other_ground()
        yield Suggestion("a rounder valley: momentum gains less", "thalweg lesson optimizers --set condition=5")
        yield Suggestion(
            "a learning rate above the limit of gradient descent",
            f"thalweg lesson optimizers --set quadratic_rate={2.1 / self.condition:.3g}",
        )
        yield Suggestion("a start closer to the ridge of the saddle", "thalweg lesson optimizers --set aside=1e-6")
        yield Suggestion("less momentum", "thalweg lesson optimizers --set momentum=0.5")
        yield Suggestion("another surface, with four minima", "thalweg lesson optimizers --set ground=himmelblau")
        yield Suggestion("a surface with walls at its corners", "thalweg lesson optimizers --set ground=beale")

    def _straight_ravine(self) -> Iterator[Block]:
        ground = Quadratic(condition=self.condition)
        rate = self.quadratic_rate
        limit = 2 / self.condition
        paths = self.paths(ground, rate)
        condition = number(self.condition)
        yield Heading("A straight ravine")
        yield Text(
            f"The curvature across the ravine is {condition} times that along it. Each step of gradient descent "
            f"multiplies the distance along y by 1 - η λ with λ = {condition}, and along x by 1 - η. So η must be "
            f"below 2 / λ = {number(limit)}, and progress along x is slow. Momentum adds up the steps along x, which "
            "all point the same way, while those across change sign and cancel. RMSProp and Adam divide each direction "
            "by the size of the gradient in it. The steps of RMSProp never become much shorter than its learning rate, "
            "so it keeps jumping around the minimum."
        )
        yield Formula(f"f = ½ (x² + λ y²), λ = {condition};   rate η = {number(rate)}, at most 2 / λ = {number(limit)}")
        yield from self._race(ground, paths)
        arrivals = {name: self.arrival(ground, path) for name, path in paths.items()}
        yield Check(
            "Straight ravine: momentum arrives in fewer steps than gradient descent at the same learning rate",
            arrivals[_MOMENTUM] < arrivals[_DESCENT],
        )
        final = {
            factor: _heights(ground, optimizer_path(ground, SGD(factor * limit), self.steps))[-1]
            for factor in (0.99, 1.01)
        }
        start = _heights(ground, np.array([ground.start]))[0]
        yield Check("Gradient descent converges at 0.99 times the rate 2 / λ", final[0.99] < start)
        yield Check("Gradient descent diverges at 1.01 times the rate 2 / λ", not final[1.01] < start)

    def _bent_ravine(self) -> Iterator[Block]:
        ground = Rosenbrock()
        paths = self.paths(ground, self.rosenbrock_rate)
        yield Heading("A bent ravine")
        yield Text(
            "Rosenbrock's function. The floor is almost flat, and the walls are so steep that the learning rate has to "
            "be small. Along the floor the gradient keeps its direction for a long time, so momentum gains speed there."
        )
        yield Formula(f"f = (1 - x)² + 100 (y - x²)²;   rate η = {number(self.rosenbrock_rate)}")
        yield from self._race(ground, paths)
        arrivals = {name: self.arrival(ground, path) for name, path in paths.items()}
        yield Check(
            "Bent ravine: momentum arrives in fewer steps than gradient descent",
            arrivals[_MOMENTUM] < arrivals[_DESCENT],
        )

    def _saddle(self) -> Iterator[Block]:
        ground = Saddle()
        rate = self.saddle_rate
        x = ground.start[0]
        paths = self.paths(ground, rate, (x, self.aside))
        ridge = self.paths(ground, rate, (x, 0.0))
        yield Heading("A saddle")
        yield Text(
            "At (0, 0) the surface falls to both sides along y, and rises along x. Exactly on the ridge y = 0 the "
            "gradient has no component along y, and none of the five ever leaves it: each update is made of gradients "
            f"only. The paths of the figure start {number(self.aside)} from the ridge. There gradient descent "
            f"multiplies y by at most 1 + 2 η = {number(1 + 2 * rate)} in a step; momentum adds up these steps, and "
            "RMSProp and Adam divide by the size of the gradient, so that a small slope still makes a full step."
        )
        yield Formula(f"f = x² - y² + y⁴/4;   minima at (0, ±√2);   rate η = {number(rate)}")
        yield from self._race(ground, paths)
        off_ridge = [abs(float(path[-1, 1])) for path in ridge.values()]
        yield Check("Started on the ridge, none of the five leaves it", off_ridge, [0.0] * len(off_ridge))
        escapes = {name: self._escape(path) for name, path in paths.items()}
        listed = ", ".join(f"{name} {number(self._or_never(steps))}" for name, steps in escapes.items())
        yield Text(f"Steps until y is more than 1 from the ridge: {listed}.")
        yield Check(
            "Started next to the ridge, the other four are far from it before gradient descent",
            all(escapes[name] < escapes[_DESCENT] for name in escapes if name != _DESCENT),
        )

    def _escape(self, path: Array) -> int:
        """The number of steps until |y| > 1; steps + 1 if never."""
        far = np.abs(path[:, 1]) > 1
        return int(np.argmax(far)) if far.any() else self.steps + 1

    def _plateau(self) -> Iterator[Block]:
        ground = Plateau()
        rate = self.plateau_rate
        paths = self.paths(ground, rate)
        first = {name: np.abs(path[1] - path[0]) for name, path in paths.items()}
        slope = float(np.linalg.norm(ground.gradient(np.array(ground.start))))
        length = float(np.linalg.norm(first[_DESCENT]))
        adam_x, adam_y = first[_ADAM]
        yield Heading("A plateau")
        yield Text(
            f"Far from the basin the slope is {number(slope, 2)}, and the first step of gradient descent is η times "
            f"that: {number(length, 2)}. RMSProp and Adam divide the gradient by its own size. Adam's first step is η "
            f"in each direction, {number(adam_x)} and {number(adam_y)}, however flat the surface is. RMSProp's first "
            f"steps are even longer, {number(first[_RMSPROP][0], 3)}, because its mean square starts at 0 without a "
            "correction. Near the minimum it keeps making steps of about η."
        )
        yield Formula(f"f = r² / (1 + r²), r² = x² + y²;   rate η = {number(rate)}")
        yield from self._race(ground, paths)
        yield Check(
            "Adam's first step is the learning rate in each direction",
            first[_ADAM] / self.adaptive_rate,
            [1.0, 1.0],
            1e-4,
        )
        arrivals = {name: self.arrival(ground, path) for name, path in paths.items()}
        yield Check(
            "Plateau: Adam arrives before momentum, and momentum before gradient descent",
            arrivals[_ADAM] < arrivals[_MOMENTUM] < arrivals[_DESCENT],
        )

    def _cliff(self) -> Iterator[Block]:
        ground = Cliff()
        rate = self.cliff_rate
        clipped = f"descent, clipped to {number(self.clip)}"
        all_paths = self.paths(ground, rate)
        paths = {name: all_paths[name] for name in (_DESCENT, _MOMENTUM, _ADAM)}
        paths[clipped] = optimizer_path(ground, SGD(rate), self.steps, clip=ClipNorm(self.clip))
        first = {name: float(np.linalg.norm(path[1] - path[0])) for name, path in paths.items()}
        slope = float(np.linalg.norm(ground.gradient(np.array(ground.start))))
        limit = number(self.clip)
        yield Heading("A cliff")
        yield Text(
            f"The start is on a wall, where the gradient has the length {number(slope, 3)}. One step of gradient "
            f"descent is {number(first[_DESCENT], 3)} long: it crosses the whole valley, whose floor then leads back "
            f"slowly. With the gradient clipped to a length of {limit} the direction stays the same, and the step is "
            f"{number(first[clipped], 3)}. Adam's step is {number(first[_ADAM], 3)}, because it depends on the sign of "
            "the gradient more than on its size."
        )
        yield Formula(
            "f = 50 ((softplus(10 x + c) - softplus(c)) / 10 - 0.01 x) + ½ y², σ(c) = 0.01;   "
            f"rate η = {number(rate)}\nclipping: g ← g · min(1, {limit} / |g|)"
        )
        yield from self._race(ground, paths)
        yield Check(
            "The first step of gradient descent is the learning rate times the length of the gradient",
            first[_DESCENT],
            rate * slope,
            1e-9,
        )
        yield Check("With clipping it is the learning rate times the limit", first[clipped], rate * self.clip, 1e-9)
        arrivals = {name: self.arrival(ground, path) for name, path in paths.items()}
        yield Check(
            "Cliff: clipped descent and Adam arrive before plain descent and momentum",
            max(arrivals[clipped], arrivals[_ADAM]) < min(arrivals[_DESCENT], arrivals[_MOMENTUM]),
        )

    def _other_ground(self) -> Iterator[Block]:
        if self.ground:
            yield Heading(f"Another surface: {self.ground.kind}")
            yield Text(
                f"The learning rate of gradient descent, momentum and Nesterov is η = {number(self.ground_rate)}."
            )
            yield from self._race(self.ground, self.paths(self.ground, self.ground_rate))

    def _race(self, ground: Landscape, paths: Paths) -> Iterator[Block]:
        """A figure of the paths, and a table of their steps."""
        (left, right), (bottom, top) = ground.bounds
        x = np.linspace(left, right, _GRID_POINTS)
        y = np.linspace(bottom, top, _GRID_POINTS)
        heights = ground.value(*np.meshgrid(x, y))
        drawn = {name: path[: self.arrival(ground, path, _DRAWN_UNTIL) + 1] for name, path in paths.items()}
        figure = contours(x, y, heights, drawn, f"Paths on the {ground.kind}", ("x", "y"), np.array(ground.minima))
        about = f"{ground.about[0].upper()}{ground.about[1:]}."
        yield Chart(figure, f"{about} The paths are drawn until {percent(_DRAWN_UNTIL)} of the height is left.")
        yield Table(
            f"{number(self.steps)} steps on each path",
            ("optimizer", "first step", "height at the end", "steps to arrive"),
            [self._row(ground, name, path) for name, path in paths.items()],
        )

    def _row(self, ground: Landscape, name: str, path: Array) -> tuple[str | float, ...]:
        final = float(_heights(ground, path)[-1])
        return (
            name,
            float(np.linalg.norm(path[1] - path[0])),
            final if np.isfinite(final) else "diverged",
            self._or_never(self.arrival(ground, path)),
        )

    def _or_never(self, steps: int) -> int | str:
        return steps if steps <= self.steps else "never"


def _heights(landscape: Landscape, path: Array) -> Array:
    """The height above the minimum of each place of a path (n, 2)."""
    with np.errstate(all="ignore"):
        return landscape.value(*path.T) - landscape.value(*np.array(landscape.minima[0]))
