"""Statistics of the arms of an experiment: means, paired differences, the best arm, the effect of each axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..core.intervals import Difference, bootstrap, differences
from ..parts.metrics import LARGER_IS_BETTER
from .experiment import Experiment
from .paired import paired_difference


class ArmResult(NamedTuple):
    """Result of an arm.

    Attributes:
        label: label of the arm.
        values: the measure of each seed (seeds,); NaN where a trial diverged or could not run.
        mean: mean of the finite values; NaN where there are none.
        interval: 95 % interval of the mean, (NaN, NaN) for fewer than two values.
        loss: mean validation loss, which ranks arms with equal means.
        diverged: number of trials that diverged or could not run.
        difference: paired difference from the baseline; None for the baseline and where no seed has both.
        better: True or False where the interval of the difference lies on the better or the worse side of 0, None where
            it includes 0.
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
        difference: mean of these differences over all combinations, with its interval over the seeds.
        better: as in `ArmResult`.
    """

    axis: str
    setting: str
    against: str
    by_context: np.ndarray
    difference: Difference
    better: bool | None


def larger_is_better(measure: str) -> bool:
    """Whether a measure of validation or test rows grows as a network learns."""
    return measure.removeprefix("validation_").removeprefix("test_") in LARGER_IS_BETTER


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
        base = {label: None if baseline is None or label == baseline else values[baseline] for label in values}
        arms = (_arm_result(label, values[label], losses[label], base[label], measure) for label in values)
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

    @cached_property
    def _against_best(self) -> dict[str, bool | None]:
        """Whether each arm is better than the best one on the seeds that both have, for the arms that share some."""
        others = [arm for arm in self.arms if arm.label != self.best.label]
        differences = {arm.label: paired_difference(arm.values, self.best.values) for arm in others}
        return {label: _is_better(found, self.measure) for label, found in differences.items() if found}

    @property
    def comparable(self) -> int:
        """Number of arms that share a seed with the best arm on which neither diverged."""
        return len(self._against_best)

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
            ArmPair(a.label, b.label, each, _is_better(each, self.measure) if each else None)
            for (a, b), each in zip(pairs, found, strict=True)
        )

    @property
    def rivals(self) -> tuple[str, ...]:
        """Labels of the arms whose paired difference from the best arm has an interval that includes 0."""
        return tuple(label for label, better in self._against_best.items() if better is None)

    @property
    def unsteady(self) -> tuple[str, ...]:
        """Labels of the arms that are better than the best arm where they finish, but diverge more often."""
        return tuple(label for label, better in self._against_best.items() if better)


def _arm_result(label: str, values: np.ndarray, losses: np.ndarray, base: np.ndarray | None, measure: str) -> ArmResult:
    finite = values[np.isfinite(values)]
    difference = None if base is None else paired_difference(values, base)
    return ArmResult(
        label=label,
        values=values,
        mean=_mean(values),
        interval=bootstrap(finite),
        loss=_mean(losses),
        diverged=len(values) - finite.size,
        difference=difference,
        better=None if difference is None else _is_better(difference, measure),
    )


def _is_better(difference: Difference, measure: str) -> bool | None:
    if not difference.low > 0 and not difference.high < 0:
        return None
    return (difference.mean > 0) == larger_is_better(measure)


def axis_effects(experiment: Experiment, ranking: Ranking) -> tuple[AxisEffect, ...]:
    """The effect of each setting of each axis; empty for a single axis, and for arms that are drawn at random.

    For each seed the differences are averaged over the other axes; those of diverged trials are left out.
    """
    axes = experiment.axes
    labels = [tuple(setting.label for setting in arm.settings) for arm in experiment.arms]
    grid = itertools.product(*([setting.label for setting in axis.settings] for axis in axes))
    bases = [arm.settings for arm in experiment.arms if arm.label == ranking.baseline]
    if len(axes) < 2 or labels != list(grid) or not bases:
        return ()
    seeds = ranking.seeds
    sizes = [len(axis.settings) for axis in axes]
    values = np.stack([arm.values for arm in ranking.arms]).reshape(*sizes, seeds)
    effects = []
    for place, axis in enumerate(axes):
        base = axis.settings.index(bases[0][place])
        by_setting = np.moveaxis(values, place, 0).reshape(sizes[place], -1, seeds)
        for number, setting in enumerate(axis.settings):
            differences = by_setting[number] - by_setting[base]
            difference = paired_difference(_finite_means(differences, 0), np.zeros(seeds))
            if number != base and difference is not None:
                effects.append(
                    AxisEffect(
                        axis=axis.name,
                        setting=setting.label,
                        against=axis.settings[base].label,
                        by_context=_finite_means(differences, 1),
                        difference=difference,
                        better=_is_better(difference, ranking.measure),
                    )
                )
    return tuple(effects)


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
