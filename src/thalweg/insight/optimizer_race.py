"""The arena: optimizers race from many starts on one test function, each tuned with the same budget beforehand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError
from ..core.intervals import wilson
from ..core.progress import ProgressMessage, Watch, ignore_progress
from ..engine.engine import Engine, make_engine
from ..pages.blocks import ArrayBlock, Block, Chart, Heading, Suggestion, Table, Text
from ..pages.figures import contours, curves
from ..pages.numbers import count_noun, number, percent
from ..pages.page import Page, Paged
from ..parts.optimizers import SGD, Adam, Momentum
from ..parts.part import Optimizer
from .race_trials import (
    FORGETTING,
    MEMORY_OPTIONS,
    RATES,
    RaceResult,
    RaceTrack,
    draw_starts,
    noise_key_for,
    variant,
)
from .test_functions import Landscape

TARGET_FRACTION = 0.001
"""The default target: this fraction of the median height of the starts above the minimum."""
_MOST_STEPS = 5_000_000
_GRID_POINTS = 121
_CURVE_POINTS = 500


@dataclass(frozen=True)
class Contender:
    """An optimizer with its given and with its tuned hyper-parameters, from the same starts."""

    name: str
    default: RaceResult
    tuned: RaceResult


@dataclass(frozen=True)
class Arena(Paged):
    """The results of a race.

    Attributes:
        landscape: the function that was minimised.
        contenders: the optimizers in the given order.
        starts: the number of starts.
        steps: the number of steps of each path.
        budget: the number of tuning trials of each optimizer.
        seed: seeds the starts, the trials and the noise.
        deviation: standard deviation of the noise on both slopes; None for no noise.
        lowest: the height of the minimum.
        distance: a path arrives at the step from which on it stays within this height of the minimum.
    """

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
        """The tuned contenders by cost, the best first."""
        return sorted(self.contenders, key=lambda contender: contender.tuned.cost)

    def page(self) -> Page:
        """The setup, the results and their interpretation as a page."""
        names = ", ".join(contender.name for contender in self.contenders)
        settings = {
            "starts": self.starts,
            "steps": number(self.steps),
            "budget": self.budget,
            "noise": number(self.deviation or 0),
            "seed": self.seed,
        }
        return Page(
            title=f"Arena: {self.landscape.title}",
            blocks=(*self._setup(), *self._results(), *self._interpretation()),
            summary=f"{names} from {count_noun(self.starts, 'start')}, each tuned with {self._trials}.",
            settings=tuple((name, str(value)) for name, value in settings.items()),
        )

    @property
    def _trials(self) -> str:
        return count_noun(self.budget, "trial")

    def _setup(self) -> Iterator[Block]:
        yield Text(f"The test function: {self.landscape.about}.")
        yield Heading("Setup")
        (left, right), (bottom, top) = self.landscape.bounds
        yield Text(
            f"All optimizers start at the same {count_noun(self.starts, 'point')}, uniform over x from"
            f" {number(left)} to {number(right)} and y from {number(bottom)} to {number(top)}. Before the race each is"
            f" tuned with {self._trials} on {number(self.starts)} other starts. The first trial uses the given"
            " hyper-parameters. The others are random search: the learning rate is drawn from"
            f" {number(RATES[0])} to {number(RATES[1])}, evenly on a logarithmic scale, and 1 - momentum, 1 - rho and"
            " 1 - beta, if the optimizer has them, in the same way from"
            f" {number(FORGETTING[0])} to {number(FORGETTING[1])}. Trial by trial, all optimizers get the same values."
            " The trial with the fewest steps on average is kept; a path that does not arrive counts as"
            f" {number(2 * self.steps)} steps."
        )
        yield Text(
            "A path arrives at the step from which on it stays at most"
            f" {number(self.distance, 3)} above the minimum. Each step uses one gradient."
        )
        if self.deviation is not None:
            yield Text(
                f"Noise of standard deviation {number(self.deviation)} is added to each slope at every step. At the"
                " same step from the same start it is the same for all optimizers."
            )
        if not self.landscape.minima_known:
            yield from self._searched_minimum()

    def _searched_minimum(self) -> Iterator[Block]:
        # The search stops when neighbours have equal heights; adding 0 removes the sign of a zero.
        point = np.round(self.landscape.minima[0], 6) + 0.0
        yield Text(
            "The minimum of this formula is not known. It is replaced by the lowest point that a search on finer and"
            " finer grids found within the bounds; the optimizers are not used for this search."
        )
        yield ArrayBlock("lowest point", point, remark=f"height {number(self.lowest, 6)}")
        results = [result for one in self.contenders for result in (one.default, one.tuned)]
        lowest_end = min(result.final_heights.min() for result in results)
        if lowest_end < -self.distance:
            yield Text(
                f"Some paths end {number(-lowest_end, 3)} below this point: the function decreases further, most likely"
                " outside of the bounds. Arriving then means to come down to the lowest point within the bounds."
            )

    def _results(self) -> Iterator[Block]:
        yield Heading("Default and tuned")
        rows = [
            (one.name, setting, *_result_cells(result))
            for one in self.contenders
            for setting, result in (("default", one.default), ("tuned", one.tuned))
        ]
        yield Table(
            f"From {count_noun(self.starts, 'start')}, {count_noun(self.steps, 'step')} each: the fraction that arrived"
            " with its 95 % interval (Wilson); the median steps until arrival with the quartiles; the median height"
            " above the minimum at the end.",
            ("optimizer", "", "arrived", "95 %", "steps", "final height"),
            rows,
        )
        settings = [
            (one.name, name, value, _hyper_parameters(one.tuned.optimizer)[name])
            for one in self.contenders
            for name, value in _hyper_parameters(one.default.optimizer).items()
        ]
        yield Table("Hyper-parameters", ("optimizer", "name", "default", "tuned"), settings)
        yield self._arrival_chart()
        yield self._path_chart()

    def _arrival_chart(self) -> Chart:
        steps = np.unique(np.linspace(0, self.steps, _CURVE_POINTS).astype(int))
        series = {
            one.name: (one.tuned.steps[:, None] <= steps).mean(axis=0)  # (starts, steps) -> (steps,)
            for one in self.contenders
        }
        figure = curves(steps, series, "Arrived by step, tuned", "step", "fraction of starts")
        figure.update_yaxes(range=[0, 1.03])
        return Chart(figure, "The fraction of starts from which each tuned optimizer has arrived for good.")

    def _path_chart(self) -> Chart:
        (left, right), (bottom, top) = self.landscape.bounds
        x = np.linspace(left, right, _GRID_POINTS)
        y = np.linspace(bottom, top, _GRID_POINTS)
        with np.errstate(all="ignore"):
            heights = self.landscape.value(*np.meshgrid(x, y))
        paths = {one.name: _path_until_arrival(one.tuned) for one in self.contenders}
        minima = np.array(self.landscape.minima)
        figure = contours(x, y, heights, paths, "Paths from one start, tuned", ("x", "y"), minima)
        steps = "; ".join(f"{one.name} {_step_count(one.tuned.steps[0])}" for one in self.contenders)
        return Chart(figure, f"The paths from the first start until arrival. Steps: {steps}.")

    def _interpretation(self) -> Iterator[Block]:
        yield Heading("Conclusions")
        yield Text(self._verdict())
        yield Text(
            "This holds for this function, for starts that are uniform within the bounds, and for tuning with"
            f" {self._trials} from the ranges above. An optimizer with more hyper-parameters gets the same number of"
            " trials for a larger space. Another seed uses other starts and other trials."
        )
        yield Suggestion("the same race with other starts and trials", self._command(seed=self.seed + 1))
        yield Suggestion("with more trials for each optimizer", self._command(budget=4 * self.budget))
        if self.deviation is None:
            yield Suggestion("with noise on the gradient", self._command(noise=1.0))

    def _verdict(self) -> str:
        best, *others = self.ranking
        if not best.tuned.arrived:
            return "No optimizer arrives from any start, tuned or not: the race does not rank them."
        low, high = (percent(end, 3) for end in best.tuned.interval)
        sentences = [
            f"Tuned, {best.name} needs the fewest steps on average and arrives from {best.tuned.arrived} of"
            f" {count_noun(self.starts, 'start')} (95 % interval for all possible starts: {low} to {high}).",
            *(_comparison(best, other) for other in others),
        ]
        first = min(self.contenders, key=lambda contender: contender.default.cost)
        if others and first is not best:
            sentences.append(
                f"With the given hyper-parameters, {first.name} is first: that ranking compares the defaults alone."
            )
        return " ".join(sentences)

    def _command(self, **changed: float) -> str:
        """The command of this race with some options changed."""
        options: dict[str, float] = {
            "starts": self.starts,
            "steps": self.steps,
            "budget": self.budget,
            "seed": self.seed,
        }
        if self.deviation is not None:
            options["noise"] = self.deviation
        words = " ".join(f"--{name} {value:g}" for name, value in {**options, **changed}.items())
        names = ",".join(one.name for one in self.contenders)
        return f"thalweg arena {self.landscape.shell_arguments} --optimizers {names} {words}"


def arena(
    landscape: Landscape | Mapping[str, object] | str,
    optimizers: Sequence[Optimizer | Mapping[str, object] | str] = (SGD(), Momentum(), Adam()),
    starts: int = 200,
    steps: int = 1000,
    budget: int = 30,
    seed: int = 0,
    deviation: float | None = None,
    distance: float | None = None,
    engine: Engine | None = None,
    watch: Watch = ignore_progress,
) -> Arena:
    """Tune every optimizer with the same budget, and compare them from the same starts.

    Args:
        landscape: the function to minimise.
        optimizers: the optimizers, each kind at most once.
        starts: the number of starts.
        steps: the number of steps of each path.
        budget: tuning trials of each optimizer: as given, then random variants (`variant`).
        seed: seeds the starts, the trials and the noise.
        deviation: standard deviation of the noise on both slopes.
        distance: the height above the minimum that counts as arrived; by default 0.001 times the median of the starts.
        engine: computes the paths; XLA in float64 by default.
        watch: receives progress messages.

    Raises InputError for arguments out of range, and for an optimizer that is given twice.

    >>> race = arena("quadratic", ["sgd", "momentum"], starts=5, steps=100, budget=9, engine=make_engine("eager"))
    >>> [contender.name for contender in race.ranking]
    ['momentum', 'sgd']
    """
    function = Landscape.of(landscape)
    rules = [Optimizer.of(optimizer) for optimizer in optimizers]
    _check(rules, starts, steps, budget, deviation, distance)
    track = RaceTrack(engine or make_engine("compiled", "float64"), function, deviation or None, steps)
    practice, judged = (draw_starts(function, starts, seed, purpose) for purpose in ("practice", "race"))
    target = distance or _default_target(track, practice)
    contenders = []
    for position, rule in enumerate(rules):
        trials = []
        for trial in range(budget):
            message = f"{rule.kind}: trial {trial + 1} of {budget}"
            watch(ProgressMessage(message, (position + trial / budget) / len(rules)))
            candidate = variant(rule, seed, trial) if trial else rule
            trials.append(track.run(candidate, practice, noise_key_for(seed, "practice"), target))
        tuned = min(trials, key=lambda result: result.cost).optimizer
        results = (track.run(each, judged, noise_key_for(seed, "race"), target) for each in (rule, tuned))
        contenders.append(Contender(rule.kind, *results))
    return Arena(
        landscape=function,
        contenders=tuple(contenders),
        starts=starts,
        steps=steps,
        budget=budget,
        seed=seed,
        deviation=track.deviation,
        lowest=track.lowest,
        distance=target,
    )


def _default_target(track: RaceTrack, starts: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        heights = track.landscape.value(*starts.T) - track.lowest
    return TARGET_FRACTION * float(np.median(heights))


def _check(
    rules: Sequence[Optimizer], starts: int, steps: int, budget: int, deviation: float | None, distance: float | None
) -> None:
    for name, count in (("starts", starts), ("steps", steps), ("budget", budget)):
        if count < 1:
            raise InputError(name, f"expected at least 1, received {count}")
    if starts * (steps + 1) > _MOST_STEPS:
        raise InputError(
            "starts", f"expected at most {number(_MOST_STEPS)} starts times steps, received {number(starts * steps)}"
        )
    if deviation is not None and not 0 <= deviation < math.inf:
        raise InputError("noise", f"expected a standard deviation of at least 0, received {deviation}")
    if distance is not None and not 0 < distance < math.inf:
        raise InputError("distance", f"expected a height above 0, received {distance}")
    kinds = [rule.kind for rule in rules]
    if not kinds:
        raise InputError("optimizers", "expected at least one, received none")
    twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
    if twice:
        raise InputError(
            "optimizers", f"expected each kind once, because tuning sets the options; received twice: {twice[0]}"
        )


def _result_cells(result: RaceResult) -> tuple[str, str, str, str]:
    low, high = result.interval
    first, middle, last = (_step_count(count) for count in result.quartiles)
    final_height = result.cost[1]
    return (
        percent(result.arrived / len(result.steps), 2),
        f"{percent(low, 2)} to {percent(high, 2)}",
        middle if first == last else f"{middle} ({first} to {last})",
        number(final_height, 2) if final_height < np.inf else "diverged",
    )


def _comparison(best: Contender, other: Contender) -> str:
    """The comparison of two tuned optimizers, start by start."""
    earlier = int((best.tuned.steps < other.tuned.steps).sum())
    different = earlier + int((best.tuned.steps > other.tuned.steps).sum())
    if not different:
        return f"{other.name} needs the same number of steps from every start."
    low, high = wilson(earlier, different)
    share = (
        f"from {earlier} of the {count_noun(different, 'start')} with different numbers of steps"
        f" ({percent(low, 2)} to {percent(high, 2)})"
    )
    if low > 0.5:
        return f"It arrives before {other.name} {share}: more than chance explains."
    if high < 0.5:
        return f"It arrives before {other.name} only {share}: {other.name} loses by a few slow starts."
    return f"It arrives before {other.name} {share}: this may be chance."


def _path_until_arrival(result: RaceResult) -> np.ndarray:
    """The path from the first start until arrival, or all of it."""
    return result.path if np.isinf(result.steps[0]) else result.path[: int(result.steps[0]) + 1]


def _step_count(count: float) -> str:
    return "never" if np.isinf(count) else number(round(count))


def _hyper_parameters(optimizer: Optimizer) -> dict[str, str]:
    """The hyper-parameters that tuning changes, as text."""
    values = {name: getattr(optimizer, name) for name in ("learning_rate", *MEMORY_OPTIONS) if hasattr(optimizer, name)}
    return {name: number(value) if isinstance(value, float) else value.kind for name, value in values.items()}
