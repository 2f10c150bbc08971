"""Statistics of the arms of an experiment: means, paired differences, the best arm, the effect of each axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..core.intervals import Difference, differences, mean_interval
from ..pages.numbers import measure_value
from ..parts.metrics import is_share, larger_is_better
from .experiment import Experiment

# An arm learned where it closes at least this share of the gap that the best arm closes.
_LEAST_SHARE = 0.2


class ArmResult(NamedTuple):
    """Result of an arm.

    Attributes:
        label: label of the arm.
        values: the measure of each seed (seeds,); NaN where a trial diverged or could not run.
        mean: mean of the finite values; NaN where there are none.
        interval: 95 % interval of the mean, (NaN, NaN) for fewer than two values and for equal ones.
        loss: mean validation loss, which ranks arms with equal means.
        diverged: number of trials that diverged or could not run.
        difference: paired difference from the baseline over the seeds that both finished; None for the baseline and
            where there is no such seed. The intervals of all arms hold together.
        better: True or False where the interval of the difference lies on the better or the worse side of 0, None where
            it cannot be decided.
    """

    label: str
    values: np.ndarray
    mean: float
    interval: tuple[float, float]
    loss: float
    diverged: int
    difference: Difference | None
    better: bool | None


class ArmPair(NamedTuple):
    """Two arms: labels, the paired difference first minus second (None where they share no seed), and its verdict."""

    first: str
    second: str
    difference: Difference | None
    better: bool | None


class AxisEffect(NamedTuple):
    """Effect of one setting of an axis compared with the baseline's setting, with all other axes held fixed.

    Attributes:
        axis: name of the axis.
        setting: label of the setting.
        against: label of the baseline's setting.
        by_context: mean difference for each combination of the other axes (combinations,).
        difference: mean of these differences over all combinations, with its interval over the seeds. The intervals of
            all effects hold together.
        better: as in `ArmResult`.
    """

    axis: str
    setting: str
    against: str
    by_context: np.ndarray
    difference: Difference
    better: bool | None


@dataclass(frozen=True, eq=False)
class Ranking:
    """The arms of an experiment, compared by one measure.

    Attributes:
        measure: the measure, as "validation_accuracy".
        baseline: label of the arm that the others are compared with; None where there is none.
        arms: the results, in the order of the experiment.
    """

    measure: str
    baseline: str | None
    arms: tuple[ArmResult, ...]

    @classmethod
    def of(
        cls, values: Mapping[str, np.ndarray], losses: Mapping[str, np.ndarray], measure: str, baseline: str | None
    ) -> Ranking:
        """The ranking of arms with these values of the measure and these validation losses, (seeds,) for each label."""
        found: dict[str, Difference | None] = {}
        if baseline is not None:
            others = [label for label in values if label != baseline]
            against = _differences([values[label] for label in others], values[baseline])
            found = dict(zip(others, against, strict=True))
        arms = (_arm_result(label, values[label], losses[label], found.get(label), measure) for label in values)
        return cls(measure, baseline, tuple(arms))

    @property
    def seeds(self) -> int:
        """Number of seeds of each arm."""
        return len(self.arms[0].values)

    @cached_property
    def ranked(self) -> tuple[ArmResult, ...]:
        """The arms, best first: by fewest diverged trials, then by mean, then by validation loss."""
        sign = -1 if larger_is_better(self.measure) else 1
        return tuple(sorted(self.arms, key=lambda arm: (arm.diverged, sign * arm.mean, arm.loss)))

    @property
    def best(self) -> ArmResult:
        """The first of the ranked arms."""
        return self.ranked[0]

    @property
    def comparisons(self) -> int:
        """Number of differences from the baseline whose intervals hold together; 0 where there are none."""
        return next((arm.difference.comparisons for arm in self.arms if arm.difference), 0)

    @cached_property
    def against_best(self) -> dict[str, Difference]:
        """The difference of each arm from the best one, where they share a seed on which neither diverged.

        Any arm may turn out to be the best: the intervals hold together for all pairs of arms. Those of pairs with the
        baseline are the intervals of the differences from it.
        """
        others = [arm for arm in self.arms if arm.label != self.best.label]
        finished = sum(arm.diverged < self.seeds for arm in self.arms)
        found = {}
        for arm in others:
            with_baseline = self.baseline in (arm.label, self.best.label)
            pairs = self.comparisons if with_baseline else finished * (finished - 1) // 2
            found[arm.label] = differences(arm.values, self.best.values, max(1, pairs))[0]
        return {label: each for label, each in found.items() if each}

    @cached_property
    def pairs(self) -> tuple[ArmPair, ...]:
        """Every pair of the arms that finished, the better mean first, with intervals that hold together."""
        arms = [arm for arm in self.ranked if math.isfinite(arm.mean)]
        pairs = list(itertools.combinations(arms, 2))
        if not pairs:
            return ()
        first, second = (np.stack([pair[place].values for pair in pairs]) for place in (0, 1))
        found = differences(first, second, comparisons=len(pairs))
        return tuple(
            ArmPair(a.label, b.label, each, is_better(each, self.measure) if each else None)
            for (a, b), each in zip(pairs, found, strict=True)
        )

    @property
    def rivals(self) -> tuple[str, ...]:
        """Labels of the arms of which it cannot be decided whether the best arm is better."""
        return tuple(label for label, found in self.against_best.items() if is_better(found, self.measure) is None)

    @property
    def unsteady(self) -> tuple[str, ...]:
        """Labels of the arms that are better than the best arm where they finish, but diverge more often."""
        return tuple(label for label, found in self.against_best.items() if is_better(found, self.measure))


def _differences(
    values: Sequence[np.ndarray], base: np.ndarray, comparisons: int | None = None
) -> tuple[Difference | None, ...]:
    return differences(np.stack(values), base, comparisons) if values else ()


def _arm_result(
    label: str, values: np.ndarray, losses: np.ndarray, difference: Difference | None, measure: str
) -> ArmResult:
    return ArmResult(
        label=label,
        values=values,
        mean=_mean(values),
        interval=mean_interval_of(measure, values),
        loss=_mean(losses),
        diverged=int((~np.isfinite(values)).sum()),
        difference=difference,
        better=None if difference is None else is_better(difference, measure),
    )


def mean_interval_of(measure: str, values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of a measure, within the values that the measure can have.

    >>> [round(end, 3) for end in mean_interval_of("accuracy", np.array([0.9, 1.0]))]
    [0.315, 1.0]
    """
    low, high = mean_interval(values)
    signed = measure.endswith("r2")
    return (
        low if signed else np.maximum(low, 0.0).item(),
        np.minimum(high, 1.0).item() if signed or is_share(measure) else high,
    )


def is_better(difference: Difference, measure: str) -> bool | None:
    """Whether a difference of a measure is an improvement; None where it cannot be decided."""
    if difference.verdict == "undecided":
        return None
    return (difference.verdict == "higher") == larger_is_better(measure)


def axis_effects(experiment: Experiment, ranking: Ranking) -> tuple[AxisEffect, ...]:
    """The effect of each setting of each axis; empty for a single axis, and for arms that are drawn at random.

    For each seed the differences are averaged over the other axes; those of diverged trials are left out.
    """
    axes = experiment.axes
    labels = [tuple(setting.label for setting in arm.settings) for arm in experiment.arms]
    grid = itertools.product(*([setting.label for setting in axis.settings] for axis in axes))
    bases = [arm.settings for arm in experiment.arms if arm.label == ranking.baseline]
    if len(axes) < 2 or len(labels) < 2 or labels != list(grid) or not bases:
        return ()
    seeds = ranking.seeds
    sizes = [len(axis.settings) for axis in axes]
    values = np.stack([arm.values for arm in ranking.arms]).reshape(*sizes, seeds)
    places, changed, unchanged = [], [], []
    for place, axis in enumerate(axes):
        base = axis.settings.index(bases[0][place])
        by_setting = np.moveaxis(values, place, 0).reshape(sizes[place], -1, seeds)
        for number, setting in enumerate(axis.settings):
            if number != base:
                places.append((axis.name, setting.label, axis.settings[base].label))
                paired = np.isfinite(by_setting[number] - by_setting[base])
                changed.append(np.where(paired, by_setting[number], np.nan))
                unchanged.append(np.where(paired, by_setting[base], np.nan))
    after, before = (np.stack([_finite_means(each, 0) for each in side]) for side in (changed, unchanged))
    found = differences(after, before)
    return tuple(
        AxisEffect(*named, _finite_means(one - other, 1), difference, is_better(difference, ranking.measure))
        for named, one, other, difference in zip(places, changed, unchanged, found, strict=True)
        if difference
    )


def _finite_means(values: np.ndarray, axis: int) -> np.ndarray:
    """The means of the finite values along an axis; NaN where there are none."""
    finite = np.isfinite(values)
    count = finite.sum(axis=axis)
    return np.where(count > 0, np.where(finite, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    """The mean of the finite values; NaN where there are none."""
    finite = values[np.isfinite(values)]
    # 12 digits, so that rounding errors do not rank arms with equal means.
    return float(f"{finite.mean():.12g}") if finite.size else math.nan


class Baseline(NamedTuple):
    """The arm that the others are compared with.

    Attributes:
        label: label of the arm; None where no arm learned.
        remark: what is to be said of the choice; empty where there is nothing.
    """

    label: str | None
    remark: str = ""


def baseline_of(
    named: str | None, scores: Mapping[str, np.ndarray], constants: Mapping[str, float], measure: str
) -> Baseline:
    """The named arm, or the first one that learned.

    An arm did not learn where half of its trials or more diverged, or where its mean score is at most that of the best
    constant answer plus a fifth of what the best arm has more than that answer.

    Args:
        named: the arm that the user names as the baseline.
        scores: accuracy or R² of each arm by seed (seeds,), in the order of the experiment; NaN where a trial diverged.
        constants: the score of the best constant answer for each arm.
        measure: "accuracy" or "r2".

    >>> scores = {"A": np.array([0.5, 0.5]), "B": np.array([0.9, 0.8])}
    >>> baseline_of(None, scores, {"A": 0.5, "B": 0.5}, "accuracy").label
    'B'
    """
    gains = {label: _mean(values) - constants[label] for label, values in scores.items()}
    steady = {label: 2 * np.isfinite(values).sum() > len(values) for label, values in scores.items()}
    most = max((gain for gain in gains.values() if math.isfinite(gain)), default=0.0)
    learned = [label for label in scores if steady[label] and most > 0 and gains[label] > _LEAST_SHARE * most]
    first = next(iter(scores)) if named is None else named
    if first in learned:
        return Baseline(first)
    reason = _why_not_learned(scores[first], constants[first], measure)
    if named is not None:
        return Baseline(named, f"The baseline `{named}` did not learn: {reason}.")
    if not learned:
        return Baseline(None, f"No arm learned, so there is no baseline; of the first one, `{first}`, {reason}.")
    return Baseline(
        learned[0],
        f"The first arm, `{first}`, did not learn: {reason}. The baseline is `{learned[0]}`, the first that learned.",
    )


def _why_not_learned(values: np.ndarray, constant: float, measure: str) -> str:
    lost = int((~np.isfinite(values)).sum())
    if 2 * lost >= len(values):
        return f"{lost} of {len(values)} trials diverged or could not run"
    name = "R²" if measure == "r2" else measure
    return (
        f"its mean validation {name} is {measure_value(measure, _mean(values))},"
        f" that of the best constant answer {measure_value(measure, constant)}"
    )
