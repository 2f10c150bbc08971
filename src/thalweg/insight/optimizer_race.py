"""The arena: optimizers race from many starts on one test function, each tuned with the same budget beforehand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError
from ..core.intervals import Difference, differences, mean_interval
from ..core.progress import ProgressMessage, Watch, ignore_progress
from ..engine.engine import Engine, make_engine
from ..pages.blocks import ArrayBlock, Block, Chart, Heading, Suggestion, Table, Text
from ..pages.figures import contours, curves
from ..pages.figures.axes import log_axis
from ..pages.numbers import count_noun, number, percent
from ..pages.page import Page, Paged
from ..parts.optimizers import SGD, Adam, Momentum
from ..parts.part import Optimizer
from .race.trials import (
    FORGETTING,
    MEMORY_OPTIONS,
    RATES,
    RaceResult,
    RaceTrack,
    draw_starts,
)
from .race.tuning import Contender, tune
from .test_functions import Landscape

TARGET_FRACTION = 0.001
"""The default target: this fraction of the median height of the starts above the minimum."""
_MOST_STEPS = 5_000_000
_GRID_POINTS = 121
_CURVE_POINTS = 500
# Budgets of the table; the last row has all trials.
_BUDGETS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
# An axis of more trials is logarithmic.
_FEW_TRIALS = 10
# Changes of the first place that a sentence lists.
_MOST_CHANGES = 4


@dataclass(frozen=True)
class Arena(Paged):
    """The results of a race.

    Attributes:
        landscape: the function that was minimised.
        contenders: the optimizers in the given order.
        starts: the number of starts.
        steps: the number of steps of each path.
        budget: the number of tuning trials of each optimizer.
        repeats: how often each optimizer was tuned, each time with other trials and other starts.
        seed: seeds the starts, the trials and the noise of the first repetition; the others have the seeds after it.
        deviation: standard deviation of the noise on both slopes; None for no noise.
        lowest: the height of the minimum.
        distance: a path arrives at the step from which on it stays within this height of the minimum.
    """

    landscape: Landscape
    contenders: tuple[Contender, ...]
    starts: int
    steps: int
    budget: int
    repeats: int
    seed: int
    deviation: float | None
    lowest: float
    distance: float

    @property
    def ranking(self) -> list[Contender]:
        """The tuned contenders by mean cost over the repetitions, the best first."""
        return self.ranking_after(self.budget)

    def ranking_after(self, budget: int) -> list[Contender]:
        """The contenders, each tuned with the first `budget` trials, by mean cost, the best first."""
        return sorted(self.contenders, key=lambda contender: contender.rank(budget))

    def page(self) -> Page:
        """The setup, the results and their interpretation as a page."""
        names = ", ".join(contender.name for contender in self.contenders)
        settings = {
            "starts": self.starts,
            "steps": number(self.steps),
            "budget": self.budget,
            "repeats": self.repeats,
            "noise": number(self.deviation or 0),
            "seed": self.seed,
        }
        return Page(
            title=f"Arena: {self.landscape.title}",
            blocks=(*self._setup(), *self._results(), *self._interpretation()),
            summary=f"{names} from {count_noun(self.starts, 'start')}, each tuned with {self._trials},"
            f" {count_noun(self.repeats, 'time')} over.",
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
        if self.repeats > 1:
            yield Text(
                f"All of this is repeated {self.repeats} times with other trials and other starts, which shows how much"
                " is due to the luck of the search. In each repetition all optimizers have the same ones."
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
            (one.name, setting, *_result_cells(one, budget))
            for one in self.contenders
            for setting, budget in (("default", 1), ("tuned", self.budget))
        ]
        over = "with its 95 % interval (Wilson)"
        if self.repeats > 1:
            over = f"with the 95 % interval of its mean over {self.repeats} repetitions (Student's t)"
        yield Table(
            f"From {count_noun(self.starts, 'start')}, {count_noun(self.steps, 'step')} each: the fraction that arrived"
            f" {over}; the median steps until arrival with the quartiles; the median height above the minimum at the"
            " end.",
            ("optimizer", "", "arrived", "95 %", "steps", "final height"),
            rows,
        )
        yield self._hyper_parameters()
        if self.budget > 1:
            yield Heading("Results by the tuning budget")
            yield from self._budget_blocks()
        yield Heading("The tuned optimizers")
        yield self._arrival_chart()
        yield self._path_chart()

    def _hyper_parameters(self) -> Table:
        rows = []
        for one in self.contenders:
            tuned = [_hyper_parameters(race.optimizer) for race in one.races(self.budget)]
            for name, value in _hyper_parameters(one.default.optimizer).items():
                rows.append((one.name, name, value, ", ".join(dict.fromkeys(values[name] for values in tuned))))
        return Table("Hyper-parameters; tuned: of each repetition", ("optimizer", "name", "default", "tuned"), rows)

    def _budget_blocks(self) -> Iterator[Block]:
        """How the result depends on the number of trials."""
        budgets = [budget for budget in _BUDGETS if budget < self.budget] + [self.budget]
        rows = [
            (one.name, budget, _share_cell(one.arrived(budget)), self._steps_cell(one, budget))
            for one in self.contenders
            for budget in budgets
        ]
        yield Text(self._first_by_budget())
        yield Table(
            f"The best of the first trials: the fraction of starts that arrived and the mean steps until arrival (twice"
            f" the {number(self.steps)} for never), with 95 % intervals over {count_noun(self.repeats, 'repetition')}",
            ("optimizer", "trials", "arrived", "steps"),
            rows,
        )
        trials = np.arange(1, self.budget + 1)
        figures = (
            ("Arrived by tuning budget", "fraction of starts", Contender.arrived, (0.0, 1.0)),
            ("Steps by tuning budget", "mean steps until arrival", Contender.costs, (0.0, 2.0 * self.steps)),
        )
        for title, y_title, values, ends in figures:
            by_trial = {one.name: [values(one, int(trial)) for trial in trials] for one in self.contenders}
            means = {name: [float(each.mean()) for each in found] for name, found in by_trial.items()}
            bands = {name: _band(found, ends) for name, found in by_trial.items()} if self.repeats > 1 else {}
            figure = curves(trials, means, title, "tuning trials", y_title, bands=bands)
            if self.budget > _FEW_TRIALS:
                figure.update_xaxes(**log_axis(trials))
            at_end = "; ".join(f"{name} {number(found[-1], 3)}" for name, found in means.items())
            over = f"mean over {count_noun(self.repeats, 'repetition')} with its 95 % interval"
            yield Chart(figure, f"The {over}; with all trials: {at_end}.")

    def _steps_cell(self, one: Contender, budget: int) -> str:
        """The mean steps until arrival, with the 95 % interval over the repetitions where there is one."""
        costs = one.costs(budget)
        low, high = _within(mean_interval(costs), (0.0, 2.0 * self.steps))
        text = number(float(costs.mean()), 3)
        return text if math.isnan(low) else f"{text} ({number(low, 3)} to {number(high, 3)})"

    def _first_by_budget(self) -> str:
        """Which contender is first with which budget."""
        first = [self.ranking_after(budget)[0].name for budget in range(1, self.budget + 1)]
        changes = [place for place in range(len(first)) if place == 0 or first[place] != first[place - 1]]
        parts = [
            f"{first[place]} {'with' if place == 0 else 'from'} {count_noun(place + 1, 'trial')}" for place in changes
        ]
        shown = ", ".join(parts[:_MOST_CHANGES])
        if len(changes) == 1:
            return f"The first on average is {first[0]}, with every number of trials from 1 to {self.budget}."
        more = f", and {len(parts) - _MOST_CHANGES} more changes" if len(parts) > _MOST_CHANGES else ""
        return (
            f"Who is first on average depends on the budget: {shown}{more}. With one trial the given hyper-parameters"
            " are compared."
        )

    def _arrival_chart(self) -> Chart:
        steps = np.unique(np.linspace(0, self.steps, _CURVE_POINTS).astype(int))
        series = {
            # (starts, steps) -> (steps,)
            one.name: (one.pooled(self.budget).steps[:, None] <= steps).mean(axis=0)
            for one in self.contenders
        }
        figure = curves(steps, series, "Arrived by step, tuned", "step", "fraction of starts")
        figure.update_yaxes(range=[0, 1.03])
        return Chart(
            figure, "The fraction of starts from which each tuned optimizer has arrived for good, over all repetitions."
        )

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
        return Chart(figure, f"The paths from the first start of the first repetition until arrival. Steps: {steps}.")

    def _interpretation(self) -> Iterator[Block]:
        yield Heading("Conclusions")
        yield Text(self._verdict())
        yield Text(
            "This holds for this function, for starts that are uniform within the bounds, and for tuning with"
            f" {self._trials} from the ranges above. An optimizer with more hyper-parameters gets the same number of"
            " trials for a larger space. Another seed uses other starts and other trials."
        )
        yield Suggestion("the same race with other starts and trials", self._command(seed=self.seed + self.repeats))
        yield Suggestion("with more trials for each optimizer", self._command(budget=4 * self.budget))
        if self.deviation is None:
            yield Suggestion("with noise on the gradient", self._command(noise=1.0))

    def _verdict(self) -> str:
        best, *others = self.ranking
        arrived = best.arrived(self.budget)
        if not arrived.any():
            return "No optimizer arrives from any start, tuned or not: the race does not rank them."
        sentences = [
            f"Tuned, {best.name} needs the fewest steps on average, {self._steps_cell(best, self.budget)}, and arrives"
            f" from {_share_cell(arrived)} of the starts (in brackets: 95 % intervals)."
        ]
        if self.repeats == 1:
            sentences.append("One tuning cannot show what is due to the luck of its trials: repeat it.")
        else:
            sentences += self._against(best, others)
        first = self.ranking_after(1)[0]
        if others and first is not best:
            sentences.append(
                f"With the given hyper-parameters, {first.name} is first: that ranking compares the defaults alone."
            )
        return " ".join(sentences)

    def _against(self, best: Contender, others: Sequence[Contender]) -> list[str]:
        """The best contender compared with each other one, paired by repetition; any pair could have been this one."""
        if not others:
            return []
        costs = np.stack([other.costs(self.budget) for other in others])
        found = differences(costs, best.costs(self.budget), comparisons=math.comb(len(others) + 1, 2))
        return [_comparison(other.name, each) for other, each in zip(others, found, strict=True) if each]

    def _command(self, **changed: float) -> str:
        """The command of this race with some options changed."""
        options: dict[str, float] = {
            "starts": self.starts,
            "steps": self.steps,
            "budget": self.budget,
            "repeats": self.repeats,
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
    repeats: int = 5,
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
        repeats: how often the tuning is repeated, each time with other trials and other starts.
        seed: seeds the starts, the trials and the noise of the first repetition; the others have the seeds after it.
        deviation: standard deviation of the noise on both slopes.
        distance: the height above the minimum that counts as arrived; by default 0.001 times the median of the starts.
        engine: computes the paths; XLA in float64 by default.
        watch: receives progress messages.

    Raises InputError for arguments out of range, and for an optimizer that is given twice.

    Source: Sivaprasad et al. 2020, Optimizer benchmarking needs to account for hyperparameter tuning; Dodge et al.
    2019, Show your work: improved reporting of experimental results.

    >>> race = arena("quadratic", ["sgd", "momentum"], starts=5, steps=100, budget=9, engine=make_engine("eager"))
    >>> [contender.name for contender in race.ranking]
    ['momentum', 'sgd']
    """
    function = Landscape.of(landscape)
    rules = [Optimizer.of(optimizer) for optimizer in optimizers]
    _check(rules, starts, steps, budget, repeats, deviation, distance)
    track = RaceTrack(engine or make_engine("compiled", "float64"), function, deviation or None, steps)
    target = distance or _default_target(track, draw_starts(function, starts, seed, "practice"))
    return Arena(
        landscape=function,
        contenders=_tuned(rules, track, starts, budget, range(seed, seed + repeats), target, watch),
        starts=starts,
        steps=steps,
        budget=budget,
        repeats=repeats,
        seed=seed,
        deviation=track.deviation,
        lowest=track.lowest,
        distance=target,
    )


def _tuned(
    rules: Sequence[Optimizer],
    track: RaceTrack,
    starts: int,
    budget: int,
    seeds: range,
    target: float,
    watch: Watch,
) -> tuple[Contender, ...]:
    """Each optimizer tuned once for each seed; arguments as in `tune`."""
    contenders = []
    for position, rule in enumerate(rules):

        def watched(repeat: int, trial: int, kind: str = rule.kind, position: int = position) -> None:
            done = (position + (repeat + trial / budget) / len(seeds)) / len(rules)
            text = f"{kind}: tuning {repeat + 1} of {len(seeds)}, trial {trial + 1} of {budget}"
            watch(ProgressMessage(text, done))

        contenders.append(tune(rule, track, starts, budget, seeds, target, watched))
    return tuple(contenders)


def _default_target(track: RaceTrack, starts: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        heights = track.landscape.value(*starts.T) - track.lowest
    return TARGET_FRACTION * float(np.median(heights))


def _check(
    rules: Sequence[Optimizer],
    starts: int,
    steps: int,
    budget: int,
    repeats: int,
    deviation: float | None,
    distance: float | None,
) -> None:
    for name, count in (("starts", starts), ("steps", steps), ("budget", budget), ("repeats", repeats)):
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


def _result_cells(one: Contender, budget: int) -> tuple[str, str, str, str]:
    result = one.pooled(budget)
    low, high = result.interval
    if len(one.tunings) > 1:
        low, high = _within(mean_interval(one.arrived(budget)), (0.0, 1.0))
    first, middle, last = (_step_count(count) for count in result.quartiles)
    final_height = result.cost[1]
    return (
        percent(result.arrived / len(result.steps), 2),
        "–" if math.isnan(low) else f"{percent(low, 2)} to {percent(high, 2)}",
        middle if first == last else f"{middle} ({first} to {last})",
        number(final_height, 2) if final_height < np.inf else "diverged",
    )


def _share_cell(values: np.ndarray) -> str:
    """The mean of fractions (repeats,), with its 95 % interval where there is one."""
    low, high = _within(mean_interval(values), (0.0, 1.0))
    text = percent(values.mean(), 3)
    return text if math.isnan(low) else f"{text} ({percent(low, 3)} to {percent(high, 3)})"


def _within(ends: tuple[float, float], bounds: tuple[float, float]) -> tuple[float, float]:
    """An interval cut off at the bounds of what is possible."""
    low, high = np.clip(ends, *bounds)
    return float(low), float(high)


def _band(values: Sequence[np.ndarray], bounds: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The ends (budgets,) of the intervals of means; where all values are equal, both ends are that value."""
    ends = np.array([_within(mean_interval(each), bounds) for each in values])
    means = np.array([each.mean() for each in values])
    low, high = np.where(np.isnan(ends.T), means, ends.T)
    return low, high


def _comparison(name: str, found: Difference) -> str:
    """How many more steps an optimizer needs than the best one, paired by repetition."""
    if found.all_equal:
        return f"{name} differs from it by {number(found.mean, 3)} steps in every repetition: this cannot be judged."
    ends = f"{number(found.mean, 3)} more ({number(found.low, 3)} to {number(found.high, 3)})"
    if found.verdict == "higher":
        return f"{name} needs {ends}: more than chance explains."
    needed = found.seeds_needed
    more = f"; about {needed} would" if needed else ""
    return f"{name} needs {ends}: {found.pairs} repetitions do not decide this{more}."


def _path_until_arrival(result: RaceResult) -> np.ndarray:
    """The path from the first start until arrival, or all of it."""
    return result.path if np.isinf(result.steps[0]) else result.path[: int(result.steps[0]) + 1]


def _step_count(count: float) -> str:
    return "never" if np.isinf(count) else number(round(count))


def _hyper_parameters(optimizer: Optimizer) -> dict[str, str]:
    """The hyper-parameters that tuning changes, as text."""
    values = {name: getattr(optimizer, name) for name in ("learning_rate", *MEMORY_OPTIONS) if hasattr(optimizer, name)}
    return {name: number(value) if isinstance(value, float) else value.kind for name, value in values.items()}
