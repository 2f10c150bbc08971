"""Why each optimizer was invented: one kind of ground after another, and the paths that the optimizers take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ...core.progress import ProgressMessage
from ...insight.optimizer_paths import optimizer_path
from ...insight.test_functions import Cliff, Landscape, Plateau, Point, Quadratic, Rosenbrock, Saddle
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import contours
from ...parts.clipping import ClipNorm
from ...parts.optimizers import SGD, Adam, Momentum, Nesterov, RMSProp
from ...parts.part import Count, Fraction, Optimizer, Positive
from .lesson import Lesson

_DESCENT, _MOMENTUM, _NESTEROV, _RMSPROP, _ADAM = "gradient descent", "momentum", "Nesterov", "RMSProp", "Adam"
_PLACES = 81
_DRAWN = 1e-4

Paths = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Optimizers(Lesson, kind="optimizers"):
    """A ravine, a saddle, a plateau and a cliff: gradient descent, momentum, Nesterov, RMSProp and Adam on each.

    The first three share a rate that belongs to the ground; RMSProp and Adam have one rate for all of it. `ground` is
    another one to look at, of `thalweg.landscapes`, with `ground_rate` for the first three.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, sections 8.2, 8.3 and 8.5; Goh 2017, Why momentum really
    works.

    >>> lesson = Optimizers()
    >>> paths = lesson.paths(Quadratic(condition=lesson.condition), lesson.quadratic_rate)
    >>> {name: lesson.arrival(Quadratic(), path) for name, path in paths.items() if name in ("momentum", "Adam")}
    {'momentum': 44, 'Adam': 121}
    """

    title = "Why each optimizer was invented"
    subject = "Five optimizers on a ravine, a saddle, a plateau and at a cliff: what stops each, and what helps."
    quick: ClassVar[Mapping[str, Any]] = {"steps": 400}

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
        """The five, by their names."""
        return {
            _DESCENT: SGD(rate),
            _MOMENTUM: Momentum(rate, self.momentum),
            _NESTEROV: Nesterov(rate, self.momentum),
            _RMSPROP: RMSProp(self.adaptive_rate),
            _ADAM: Adam(self.adaptive_rate),
        }

    def paths(self, landscape: Landscape, rate: float, start: Point | None = None) -> dict[str, np.ndarray]:
        """The places (steps + 1, 2) that each optimizer comes to."""
        optimizers = self.optimizers(rate)
        return {name: optimizer_path(landscape, rule, self.steps, start) for name, rule in optimizers.items()}

    def arrival(self, landscape: Landscape, path: np.ndarray, share: float = 0.01) -> int:
        """The steps until at most that share of the first height is left for good; steps + 1 if that never comes."""
        left = _heights(landscape, path)
        return int(np.flatnonzero(~(left <= share * left[0]))[-1]) + 1

    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        yield Text(
            "An optimizer sees nothing but the gradient under its feet. Here the parameters are two numbers, x and y, "
            "so that the whole ground can be drawn. All start at the same place. Gradient descent, momentum and "
            f"Nesterov have the same rate η, chosen for the ground; RMSProp and Adam have η = {self.adaptive_rate:g} "
            f"everywhere. Momentum is μ = {self.momentum:g}. A path has arrived when at most 1 % of its first height "
            "above the minimum is left, and stays so."
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
        yield from self._another()
        yield Suggestion("a rounder valley: momentum gains less", "thalweg lesson optimizers --set condition=5")
        yield Suggestion(
            "a rate above the limit of gradient descent",
            f"thalweg lesson optimizers --set quadratic_rate={2.1 / self.condition:.3g}",
        )
        yield Suggestion("start closer to the ridge of the saddle", "thalweg lesson optimizers --set aside=1e-6")
        yield Suggestion("less momentum", "thalweg lesson optimizers --set momentum=0.5")
        yield Suggestion("another ground, with four minima", "thalweg lesson optimizers --set ground=himmelblau")
        yield Suggestion("and one with walls at its corners", "thalweg lesson optimizers --set ground=beale")

    def _straight_ravine(self) -> Iterator[Block]:
        ground = Quadratic(condition=self.condition)
        rate, limit = self.quadratic_rate, 2 / self.condition
        paths = self.paths(ground, rate)
        yield Heading("A straight ravine")
        yield Text(
            f"The ground is {self.condition:g} times as steep across the ravine as along it. Each step of gradient "
            f"descent multiplies the distance along y by 1 - η λ with λ = {self.condition:g}, and along x by 1 - η. So "
            f"η must be below 2 / λ = {limit:.4g}, and with that little the way along x is slow. Momentum adds up the "
            "steps along x, which all point the same way, while those across change sign and cancel. RMSProp and Adam "
            "divide each direction by its own size of gradient. RMSProp's steps never become much shorter than its "
            "rate, which keeps it hopping about the minimum."
        )
        yield Formula(f"f = ½ (x² + λ y²), λ = {self.condition:g};   rate η = {rate:g}, at most 2 / λ = {limit:.4g}")
        yield from self._walks(ground, paths)
        steps = {name: self.arrival(ground, path) for name, path in paths.items()}
        says = "Momentum arrives in fewer steps than gradient descent at the same rate"
        yield Check(says, steps[_MOMENTUM] < steps[_DESCENT])
        heights = {
            share: _heights(ground, optimizer_path(ground, SGD(share * limit), self.steps))[-1]
            for share in (0.99, 1.01)
        }
        start = _heights(ground, np.array([ground.start]))[0]
        yield Check("Gradient descent converges at 0.99 times the rate 2 / λ", heights[0.99] < start)
        yield Check("Gradient descent diverges at 1.01 times the rate 2 / λ", not heights[1.01] < start)

    def _bent_ravine(self) -> Iterator[Block]:
        ground, rate = Rosenbrock(), self.rosenbrock_rate
        paths = self.paths(ground, rate)
        yield Heading("A bent ravine")
        yield Text(
            "Rosenbrock's function. The floor hardly falls, and the walls are so steep that the rate has to be small. "
            "Along the floor the gradient keeps its direction for long: momentum gathers speed there."
        )
        yield Formula(f"f = (1 - x)² + 100 (y - x²)²;   rate η = {rate:g}")
        yield from self._walks(ground, paths)
        steps = {name: self.arrival(ground, path) for name, path in paths.items()}
        yield Check("Momentum arrives in fewer steps than gradient descent", steps[_MOMENTUM] < steps[_DESCENT])

    def _saddle(self) -> Iterator[Block]:
        ground, rate = Saddle(), self.saddle_rate
        start = (ground.start[0], self.aside)
        paths = self.paths(ground, rate, start)
        ridge = self.paths(ground, rate, (ground.start[0], 0.0))
        yield Heading("A saddle")
        yield Text(
            "At (0, 0) the ground falls to both sides along y, and rises along x. Exactly on the ridge y = 0 the "
            "gradient has no part along y, and none of the five ever leaves it: each update is made of gradients "
            f"alone. The paths of the figure start {self.aside:g} beside the ridge. There gradient descent grows y by "
            f"a factor of at most 1 + 2 η = {1 + 2 * rate:g} a step; momentum adds these steps up, and RMSProp and "
            "Adam divide by the gradient's size, so that a small slope makes a full step."
        )
        yield Formula(f"f = x² - y² + y⁴/4;   minima at (0, ±√2);   rate η = {rate:g}")
        yield from self._walks(ground, paths)
        off = [abs(float(path[-1, 1])) for path in ridge.values()]
        yield Check("Started on the ridge, none of the five leaves it", off, [0.0] * len(off))
        aside = {name: np.abs(path[:, 1]) > 1 for name, path in paths.items()}
        away = {name: int(np.argmax(far)) if far.any() else self.steps + 1 for name, far in aside.items()}
        words = ", ".join(f"{name} {count if count <= self.steps else 'never'}" for name, count in away.items())
        yield Text(f"Steps until y is more than 1 from the ridge: {words}.")
        says = "Started beside the ridge, the other four are far from it before gradient descent"
        yield Check(says, all(away[name] < away[_DESCENT] for name in away if name != _DESCENT))

    def _plateau(self) -> Iterator[Block]:
        ground, rate = Plateau(), self.plateau_rate
        paths = self.paths(ground, rate)
        first = {name: np.abs(path[1] - path[0]) for name, path in paths.items()}
        slope = float(np.linalg.norm(ground.gradient(np.array(ground.start))))
        length = float(np.linalg.norm(first[_DESCENT]))
        yield Heading("A plateau")
        yield Text(
            f"Far from the basin the slope is {slope:.2g}, and the first step of gradient descent is η times that: "
            f"{length:.2g}. RMSProp and Adam divide the gradient by its own size. Adam's first step is η in each "
            f"direction, {first[_ADAM][0]:.4g} and {first[_ADAM][1]:.4g}, however flat the ground is. RMSProp's first "
            f"steps are longer still, {first[_RMSPROP][0]:.3g}: its mean square starts at 0 and nobody corrects that. "
            "Near the minimum it goes on making steps of about η."
        )
        yield Formula(f"f = r² / (1 + r²), r² = x² + y²;   rate η = {rate:g}")
        yield from self._walks(ground, paths)
        says = "Adam's first step is the rate in each direction"
        yield Check(says, first[_ADAM] / self.adaptive_rate, [1.0, 1.0], 1e-4)
        steps = {name: self.arrival(ground, path) for name, path in paths.items()}
        yield Check(
            "Adam arrives before momentum, and momentum before gradient descent",
            steps[_ADAM] < steps[_MOMENTUM] < steps[_DESCENT],
        )

    def _cliff(self) -> Iterator[Block]:
        ground, rate = Cliff(), self.cliff_rate
        clipped = f"descent, clipped to {self.clip:g}"
        paths = self.paths(ground, rate)
        paths = {_DESCENT: paths[_DESCENT], _MOMENTUM: paths[_MOMENTUM], _ADAM: paths[_ADAM]}
        paths[clipped] = optimizer_path(ground, SGD(rate), self.steps, clip=ClipNorm(self.clip))
        first = {name: float(np.linalg.norm(path[1] - path[0])) for name, path in paths.items()}
        slope = float(np.linalg.norm(ground.gradient(np.array(ground.start))))
        yield Heading("A cliff")
        yield Text(
            f"The start stands on a wall, where the gradient is {slope:.3g} long. One step of gradient descent is "
            f"{first[_DESCENT]:.3g} long: across the whole valley, whose floor then leads back slowly. With the "
            f"gradient clipped to a length of {self.clip:g} the direction stays, and the step is {first[clipped]:.3g}. "
            f"Adam's is {first[_ADAM]:.3g}, for it depends on the gradient's sign more than on its size."
        )
        yield Formula(
            "f = 50 ((softplus(10 x + c) - softplus(c)) / 10 - 0.01 x) + ½ y², σ(c) = 0.01;   "
            f"rate η = {rate:g}\nclipping: g ← g · min(1, {self.clip:g} / |g|)"
        )
        yield from self._walks(ground, paths)
        says = "The first step of gradient descent is the rate times the length of the gradient"
        yield Check(says, first[_DESCENT], rate * slope, 1e-9)
        says = "Clipped, it is the rate times the limit"
        yield Check(says, first[clipped], rate * self.clip, 1e-9)
        steps = {name: self.arrival(ground, path) for name, path in paths.items()}
        says = "Clipped descent and Adam arrive before plain descent and momentum"
        yield Check(says, max(steps[clipped], steps[_ADAM]) < min(steps[_DESCENT], steps[_MOMENTUM]))

    def _another(self) -> Iterator[Block]:
        if self.ground:
            yield Heading(f"Another ground: {self.ground.kind}")
            yield Text(f"The rate of gradient descent, momentum and Nesterov is η = {self.ground_rate:g}.")
            yield from self._walks(self.ground, self.paths(self.ground, self.ground_rate))

    def _walks(self, ground: Landscape, paths: Paths) -> Iterator[Block]:
        (low, high), (bottom, top) = ground.bounds
        x, y = np.linspace(low, high, _PLACES), np.linspace(bottom, top, _PLACES)
        heights = ground.value(*np.meshgrid(x, y))
        drawn = {name: path[: self.arrival(ground, path, _DRAWN) + 1] for name, path in paths.items()}
        figure = contours(x, y, heights, drawn, f"Paths on the {ground.kind}", ("x", "y"), np.array(ground.minima))
        seen = f"{ground.about[0].upper()}{ground.about[1:]}."
        yield Chart(figure, f"{seen} Paths are drawn until {_DRAWN:.2%} of the height is left.")
        columns = ("optimizer", "first step", "height at the end", "steps to arrive")
        yield Table(f"{self.steps} steps on each path", columns, [self._row(ground, *item) for item in paths.items()])

    def _row(self, ground: Landscape, name: str, path: np.ndarray) -> tuple[Any, ...]:
        arrival, last = self.arrival(ground, path), _heights(ground, path)[-1]
        reached = arrival if arrival <= self.steps else "never"
        return name, float(np.linalg.norm(path[1] - path[0])), float(last) if np.isfinite(last) else "diverged", reached


def _heights(landscape: Landscape, path: np.ndarray) -> np.ndarray:
    """How far above the minimum each place of a path (n, 2) lies."""
    with np.errstate(all="ignore"):
        return landscape.value(*path.T) - landscape.value(*landscape.minima[0])
