"""The arena: optimizers race from many starts on one landscape, each tuned with the same budget beforehand."""

from __future__ import annotations

import functools
import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..core.intervals import wilson
from ..core.noise import generator
from ..core.progress import ProgressMessage
from ..engine.engine import Engine, make_engine
from ..pages.blocks import ArrayBlock, Block, Chart, Heading, Suggestion, Table, Text
from ..pages.figures import contours, curves
from ..pages.page import Page
from ..parts.optimizers import SGD, Adam, Momentum
from ..parts.part import Optimizer, options_of
from .test_functions import Formula, Landscape, Walk, follow

RATES = (1e-5, 10.0)
"""The learning rates that tuning draws from, evenly on a logarithmic scale."""
FORGETTING = (0.001, 0.5)
"""1 - momentum, 1 - rho, 1 - beta: drawn in the same way."""
SHARE = 0.001
"""The target: this share of the median height of the starts above the minimum, unless a distance is given."""
_MEMORIES = ("momentum", "rho", "beta_1", "beta_2")
_LARGEST = 5_000_000
_PLACES = 121
_CURVE = 500
_DRAWS = 100

Watch = Callable[[ProgressMessage], None]


def arrivals(left: np.ndarray, distance: float) -> np.ndarray:
    """The steps (n,) from which on a walk is at most `distance` above the minimum for good; infinity for never.

    `left` (steps + 1, n) are the heights above the minimum, the starts first. NaN is above everything.

    >>> arrivals(np.array([[4.0, 4.0], [0.5, 0.5], [2.0, 0.4], [0.1, np.nan]]), 1.0).tolist()
    [3.0, inf]
    """
    steps = len(left) - 1
    above = ~(left <= distance)
    last = np.where(above.any(axis=0), steps - np.argmax(above[::-1], axis=0), -1)
    return np.where(last == steps, np.inf, last + 1.0)


@dataclass(frozen=True, eq=False)
class Result:
    """How an optimizer did from n starts.

    `steps` (n,) are those until it arrives for good, infinity where it never does within `limit`; `ends` (n,) the
    heights above the minimum after the last step, infinity where it diverged; `path` (limit + 1, 2) is its way from
    the first start.
    """

    optimizer: Optimizer
    steps: np.ndarray
    ends: np.ndarray
    path: np.ndarray
    limit: int

    @property
    def arrived(self) -> int:
        """From how many starts it arrives."""
        return int(np.isfinite(self.steps).sum())

    @property
    def interval(self) -> tuple[float, float]:
        """The share of all possible starts from which it arrives, with 95 % certainty."""
        return wilson(self.arrived, len(self.steps))

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """A quarter, a half and three quarters of all starts arrive within so many steps; infinity for never."""
        low, middle, high = np.quantile(self.steps, (0.25, 0.5, 0.75), method="inverted_cdf")
        return float(low), float(middle), float(high)

    @property
    def cost(self) -> tuple[float, float]:
        """What tuning makes small: the mean of the steps, 2 · limit for never; among equals, the median end."""
        counted = np.where(np.isfinite(self.steps), self.steps, 2.0 * self.limit)
        return float(counted.mean()), float(np.quantile(self.ends, 0.5, method="inverted_cdf"))


@dataclass(frozen=True)
class Contender:
    """An optimizer as it was given, and tuned: each on the same starts."""

    name: str
    default: Result
    tuned: Result


@dataclass(frozen=True)
class _Course:
    """What all walks have in common."""

    engine: Engine
    landscape: Landscape
    deviation: float | None
    steps: int

    @functools.cached_property
    def lowest(self) -> float:
        return float(self.landscape.value(*self.landscape.minima[0]))

    def walked(self, optimizer: Optimizer, starts: np.ndarray, key: np.ndarray, distance: float) -> Result:
        walk = Walk(self.landscape, optimizer, self.deviation)
        track = follow(walk, self.engine, starts, key, self.steps)
        with np.errstate(all="ignore"):
            left = track.height - self.lowest
        ends = np.where(left[-1] < np.inf, left[-1], np.inf)
        path = np.stack([track.x[:, 0], track.y[:, 0]], axis=1)
        return Result(optimizer, arrivals(left, distance), ends, path, self.steps)


@dataclass(frozen=True)
class Arena:
    """What came of a race: the contenders in the order given, and everything that made it fair."""

    landscape: Landscape
    contenders: tuple[Contender, ...]
    starts: int
    steps: int
    budget: int
    seed: int
    deviation: float | None
    lowest: float
    distance: float

    @property
    def ranking(self) -> list[Contender]:
        """The tuned contenders, by what tuning made small, now on the starts of the race."""
        return sorted(self.contenders, key=lambda contender: contender.tuned.cost)

    def page(self) -> Page:
        """The race as a page."""
        settings = (
            ("starts", f"{self.starts}"),
            ("steps", f"{self.steps}"),
            ("budget", f"{self.budget}"),
            ("noise", f"{self.deviation or 0:g}"),
            ("seed", f"{self.seed}"),
        )
        names = ", ".join(contender.name for contender in self.contenders)
        summary = f"{names} from {self.starts} starts, each tuned by {self.budget} trials."
        return Page(f"Arena: {_title(self.landscape)}", tuple(self._blocks()), summary, settings)

    def _blocks(self) -> Iterator[Block]:
        yield Text(f"The ground: {self.landscape.about}.")
        yield from self._fairness()
        yield Heading("Default and tuned")
        rows = [
            (one.name, setting, *self._row(result))
            for one in self.contenders
            for setting, result in (("default", one.default), ("tuned", one.tuned))
        ]
        caption = (
            f"From {self.starts} starts, {self.steps} steps each. The share that arrived with its 95 % interval "
            "(Wilson); the median of the steps with the quartiles, where never is the slowest; the median height above "
            "the minimum at the end."
        )
        yield Table(caption, ("optimizer", "", "arrived", "95 %", "steps", "at the end"), rows)
        named = [
            (one.name, name, value, _settings(one.tuned.optimizer)[name])
            for one in self.contenders
            for name, value in _settings(one.default.optimizer).items()
        ]
        yield Table("Hyper-parameters", ("optimizer", "name", "default", "tuned"), named)
        yield self._progress()
        yield self._paths()
        yield Heading("What this supports")
        yield Text(self._verdict())
        yield Text(
            f"It holds for this ground, for starts drawn evenly from the picture, and for tuning by {self.budget} "
            "trials from the ranges named above. An optimizer with more hyper-parameters has the same number "
            "of trials for a larger space. Another seed draws other starts and other trials."
        )
        yield Suggestion("the same race with other starts and trials", self._command(seed=self.seed + 1))
        yield Suggestion("with more trials for each", self._command(budget=4 * self.budget))
        if self.deviation is None:
            yield Suggestion("with noise on the gradient", self._command(noise=1.0))

    def _command(self, **changed: float) -> str:
        """The command of this race, with other numbers."""
        named = {"starts": self.starts, "steps": self.steps, "budget": self.budget, "seed": self.seed}
        noise = {} if self.deviation is None else {"noise": self.deviation}
        numbers = " ".join(f"--{name} {value:g}" for name, value in {**named, **noise, **changed}.items())
        who = ",".join(one.name for one in self.contenders)
        return f"thalweg arena {_on_the_shell(self.landscape)} --optimizers {who} {numbers}"

    def _fairness(self) -> Iterator[Block]:
        yield Heading("How it was made fair")
        (left, right), (bottom, top) = self.landscape.bounds
        yield Text(
            f"All optimizers start at the same {self.starts} places, drawn evenly from x {left:g} to {right:g} and y "
            f"{bottom:g} to {top:g}. Before that each was tuned by {self.budget} trials on {self.starts} other starts. "
            "The first trial is its default: what it comes with, or was given. The others are random search: the "
            f"learning rate is drawn from {RATES[0]:g} to {RATES[1]:g}, evenly on a logarithmic scale, and 1 - "
            "momentum, 1 - rho and 1 - beta, where the optimizer has them, likewise from "
            f"{FORGETTING[0]:g} to {FORGETTING[1]:g}; trial by trial all draw the same numbers. The trial with the "
            f"fewest steps on average is kept, where never arriving counts as {2 * self.steps}."
        )
        yield Text(
            f"A walk has arrived at the step from which on it is at most {self.distance:.3g} above the minimum, and "
            f"stays so to the end. One step is one gradient."
        )
        if self.deviation is not None:
            yield Text(
                f"Noise of standard deviation {self.deviation:g} is added to each slope at every step: at the same "
                "step from the same start it is the same for all optimizers."
            )
        if not self.landscape.exact:
            yield from self._searched()

    def _searched(self) -> Iterator[Block]:
        """What stands for the minimum of a formula."""
        # The grids end where the heights of neighbours are equal; adding 0 takes the sign off a zero.
        place = np.round(self.landscape.minima[0], 6) + 0.0
        yield Text(
            "No minimum of this formula is known. The lowest place in the picture that a search on ever finer grids "
            "found stands for it; none of the optimizers took part in that."
        )
        yield ArrayBlock("lowest place", place, remark=f"height {self.lowest:.6g}")
        ends = [result.ends.min() for one in self.contenders for result in (one.default, one.tuned)]
        if min(ends) < -self.distance:
            yield Text(
                f"Some walks end {-min(ends):.3g} below it: the ground falls on, most likely outside of the picture. "
                "To arrive then means to come down to the lowest place of the picture."
            )

    def _row(self, result: Result) -> tuple[Any, ...]:
        low, high = result.interval
        first, middle, last = (_steps(count) for count in result.quartiles)
        end = result.cost[1]
        return (
            f"{result.arrived / self.starts:.0%}",
            f"{low:.0%} to {high:.0%}",
            middle if first == last else f"{middle} ({first} to {last})",
            f"{end:.2g}" if end < np.inf else "diverged",
        )

    def _progress(self) -> Chart:
        steps = np.unique(np.linspace(0, self.steps, _CURVE).astype(int))
        series = {
            one.name: (one.tuned.steps[:, None] <= steps).mean(axis=0)  # (starts, steps) -> (steps,)
            for one in self.contenders
        }
        figure = curves(steps, series, "Arrived by step, tuned", "step", "share of starts")
        figure.update_yaxes(range=[0, 1.03])
        return Chart(figure, "The share of all starts from which each tuned optimizer has arrived for good.")

    def _paths(self) -> Chart:
        (left, right), (bottom, top) = self.landscape.bounds
        x, y = np.linspace(left, right, _PLACES), np.linspace(bottom, top, _PLACES)
        with np.errstate(all="ignore"):
            heights = self.landscape.value(*np.meshgrid(x, y))
        paths = {one.name: _until_arrival(one.tuned) for one in self.contenders}
        minima = np.array(self.landscape.minima)
        figure = contours(x, y, heights, paths, "Paths from one start, tuned", ("x", "y"), minima)
        said = "; ".join(f"{one.name} {_steps(one.tuned.steps[0])}" for one in self.contenders)
        return Chart(figure, f"From the first start, until each has arrived. Steps: {said}.")

    def _verdict(self) -> str:
        best, *others = self.ranking
        if not best.tuned.arrived:
            return "No optimizer arrives from any start, tuned or not: nothing is known of their order."
        low, high = best.tuned.interval
        said = [
            f"Tuned, {best.name} needs the fewest steps on average, and arrives from {best.tuned.arrived} of "
            f"{self.starts} starts (of all possible ones, {low:.1%} to {high:.1%} with 95 % certainty).",
            *(_compared(best, other) for other in others),
        ]
        first = min(self.contenders, key=lambda contender: contender.default.cost)
        if others and first is not best:
            said.append(f"Untuned, {first.name} would have come first: that order tells of the defaults alone.")
        return " ".join(said)


def arena(
    landscape: Any,
    optimizers: Sequence[Any] = (SGD(), Momentum(), Adam()),
    starts: int = 200,
    steps: int = 1000,
    budget: int = 30,
    seed: int = 0,
    deviation: float | None = None,
    distance: float | None = None,
    engine: Engine | None = None,
    watch: Watch = lambda now: None,
) -> Arena:
    """Tune every optimizer with `budget` trials, and let all walk from the same `starts`; XLA in float64 by default.

    The first trial is the optimizer as it is, the others are random search, each with `variant`.

    `deviation` is that of the noise on both slopes; `distance` the height above the minimum that counts as arrived,
    unless given a thousandth of the median height of the starts. Raises InputError for what can not be raced.

    >>> race = arena("quadratic", ["sgd", "momentum"], starts=5, steps=100, budget=9, engine=make_engine("eager"))
    >>> [contender.name for contender in race.ranking]
    ['momentum', 'sgd']
    """
    ground = Landscape.of(landscape)
    rules = [Optimizer.of(optimizer) for optimizer in optimizers]
    _check(rules, starts, steps, budget, deviation, distance)
    course = _Course(engine or make_engine("compiled", "float64"), ground, deviation or None, steps)
    practice, judged = (draw_starts(ground, starts, seed, purpose) for purpose in ("practice", "race"))
    with np.errstate(all="ignore"):
        target = distance or SHARE * float(np.median(ground.value(*practice.T) - course.lowest))

    def tuned(number: int, rule: Optimizer) -> Optimizer:
        trials = []
        for trial in range(budget):
            watch(
                ProgressMessage(f"{rule.kind}: trial {trial + 1} of {budget}", (number + trial / budget) / len(rules))
            )
            candidate = variant(rule, seed, trial) if trial else rule
            trials.append(course.walked(candidate, practice, _key(seed, "practice"), target))
        return min(trials, key=lambda result: result.cost).optimizer

    def judge(optimizer: Optimizer) -> Result:
        return course.walked(optimizer, judged, _key(seed, "race"), target)

    contenders = tuple(
        Contender(rule.kind, judge(rule), judge(tuned(number, rule))) for number, rule in enumerate(rules)
    )
    return Arena(ground, contenders, starts, steps, budget, seed, course.deviation, course.lowest, target)


def draw_starts(landscape: Landscape, count: int, seed: int, purpose: str) -> np.ndarray:
    """Places (count, 2), drawn evenly from the picture, where the height is a number; each purpose has its own.

    Raises InputError where hardly any place has a height.

    >>> draw_starts(Landscape.of("saddle"), 3, seed=0, purpose="race").shape
    (3, 2)
    """
    low, high = np.array(landscape.bounds).T
    known = np.empty((0, 2))
    for draw in range(_DRAWS):
        places = generator(seed, "arena", purpose, "starts", draw).uniform(low, high, (count, 2))
        with np.errstate(all="ignore"):
            known = np.concatenate([known, places[np.isfinite(landscape.value(*places.T))]])
        if len(known) >= count:
            return known[:count]
    raise InputError("formula", "expected a height in most of the picture; it is a number hardly anywhere")


def variant(optimizer: Optimizer, seed: int, trial: int) -> Optimizer:
    """The optimizer with the hyper-parameters of that trial, which are the same for all that have them.

    >>> variant(SGD(), 0, 3).learning_rate == variant(Adam(), 0, 3).learning_rate
    True
    """
    names = [field.name for field in options_of(type(optimizer))]
    drawn = {"learning_rate": _drawn(RATES, seed, trial, "learning_rate")}
    drawn |= {name: 1 - _drawn(FORGETTING, seed, trial, name) for name in _MEMORIES if name in names}
    return Optimizer.of({**optimizer.describe(), **drawn})


def _drawn(bounds: tuple[float, float], seed: int, trial: int, name: str) -> float:
    low, high = map(math.log, bounds)
    return math.exp(generator(seed, "arena", "trial", trial, name).uniform(low, high))


def _key(seed: int, purpose: str) -> np.ndarray:
    return generator(seed, "arena", purpose, "noise").integers(2**32, size=2, dtype=np.uint32)


def _check(
    rules: Sequence[Optimizer], starts: int, steps: int, budget: int, deviation: float | None, distance: float | None
) -> None:
    for name, count in (("starts", starts), ("steps", steps), ("budget", budget)):
        if count < 1:
            raise InputError(name, f"expected at least 1, received {count}")
    if starts * (steps + 1) > _LARGEST:
        raise InputError("starts", f"expected at most {_LARGEST:,} starts times steps, received {starts * steps:,}")
    if deviation is not None and not 0 <= deviation < math.inf:
        raise InputError("noise", f"expected a standard deviation of at least 0, received {deviation}")
    if distance is not None and not 0 < distance < math.inf:
        raise InputError("distance", f"expected a height above 0, received {distance}")
    kinds = [rule.kind for rule in rules]
    if not kinds:
        raise InputError("optimizers", "expected at least one, received none")
    twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
    if twice:
        raise InputError("optimizers", f"expected each once, for tuning makes them equal; received twice: {twice[0]}")


def _compared(best: Contender, other: Contender) -> str:
    """What the starts say of two tuned optimizers, start by start."""
    earlier = int((best.tuned.steps < other.tuned.steps).sum())
    decided = earlier + int((best.tuned.steps > other.tuned.steps).sum())
    if not decided:
        return f"It can not be told from {other.name}: from every start both need the same number of steps."
    low, high = wilson(earlier, decided)
    share = f"from {earlier} of the {decided} starts that make a difference ({low:.0%} to {high:.0%})"
    if low > 0.5:
        return f"It arrives before {other.name} {share}: more than the luck of the starts."
    if high < 0.5:
        return f"Yet it arrives before {other.name} only {share}: {other.name} loses by the few where it is slow."
    return f"It arrives before {other.name} {share}: that may be the luck of the starts."


def _until_arrival(result: Result) -> np.ndarray:
    """The path from the first start, to its end if it never arrives."""
    return result.path if np.isinf(result.steps[0]) else result.path[: int(result.steps[0]) + 1]


def _steps(count: float) -> str:
    return "never" if np.isinf(count) else f"{count:.0f}"


def _settings(optimizer: Optimizer) -> dict[str, str]:
    """The hyper-parameters that tuning changes."""
    known = {name: getattr(optimizer, name) for name in ("learning_rate", *_MEMORIES) if hasattr(optimizer, name)}
    return {name: f"{value:.4g}" if isinstance(value, float) else value.kind for name, value in known.items()}


def _title(landscape: Landscape) -> str:
    """The formula, or the name with its options."""
    if isinstance(landscape, Formula):
        return landscape.text
    return " ".join(str(value) for value in landscape.describe().values())


def _on_the_shell(landscape: Landscape) -> str:
    if isinstance(landscape, Formula):
        return f"--formula {shlex.quote(landscape.text)} --reach {landscape.reach:g}"
    return shlex.quote(_title(landscape))
