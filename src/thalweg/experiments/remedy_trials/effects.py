"""What the arms of a remedy trial reach, and the effects of remedies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from ...core.files import JsonObject
from ...core.intervals import Difference, differences, mean_interval
from ..experiment import plain_value
from ..variation import Changes

MARGIN = 0.01
"""A gain below this is kept only where its interval lies above 0; an arm this close to 1 gets no further remedy, and
one that is no further above the best constant answer is no repair."""

_ENOUGH_EQUAL_GAINS = 5

Verdict = Literal["helps", "undecided", "harms", "not tried"]


@dataclass(frozen=True, eq=False)
class ArmScores:
    """The scores of an arm.

    Attributes:
        label: label of the arm.
        changes: what it changes in the completed spec.
        values: score of each seed (seeds,); NaN where a seed was not tried, or diverged while others did not.
        lost: whether the trial of each seed diverged; empty where none did.
        updates: number of parameter updates that a trial plans.
        least: the lowest score that there is.
        problem: why the arm could not be tried; empty where it could.
    """

    label: str
    changes: Changes
    values: np.ndarray
    lost: tuple[bool, ...] = ()
    updates: int = 0
    least: float = 0.0
    problem: str = ""

    @property
    def tried(self) -> int:
        """Number of seeds that were tried."""
        return int((np.isfinite(self.values) | np.array(self.lost or False)).sum())

    @property
    def diverged(self) -> int:
        """Number of trials that diverged."""
        return sum(self.lost)

    @cached_property
    def mean(self) -> float:
        """Mean score over the seeds that did not diverge; NaN where none was tried."""
        finite = self.values[np.isfinite(self.values)]
        return float(finite.mean()) if finite.size else math.nan

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean, as far as there are such scores."""
        low, high = np.clip(mean_interval(self.values), self.least, 1)
        return float(low), float(high)

    def diverges_more_often_than(self, other: ArmScores) -> bool:
        """Whether a larger part of its trials diverged."""
        return self.diverged * other.tried > other.diverged * self.tried

    def describe(self) -> JsonObject:
        """The scores as JSON."""
        return {
            "label": self.label,
            "changes": plain_value(dict(self.changes)),
            "values": [_finite(value) for value in self.values],
            "mean": _finite(self.mean),
            "interval": [_finite(end) for end in self.interval],
            "diverged": self.diverged,
            "updates": self.updates,
            "problem": self.problem,
        }


@dataclass(frozen=True, eq=False)
class RemedyEffect:
    """The effect of an arm, compared with the unchanged spec and with a random change, paired by seed.

    Attributes:
        arm: the arm.
        unchanged: the unchanged spec.
        control: a random change of equal cost; None where there is none.
        comparisons: number of effects whose intervals hold together with a probability of 95 %.
        constant: score of the best constant answer.
    """

    arm: ArmScores
    unchanged: ArmScores
    control: ArmScores | None = None
    comparisons: int = 1
    constant: float = 0.0

    @cached_property
    def difference(self) -> Difference | None:
        """Arm minus unchanged; None where no seed has both."""
        return self._between(self.arm, self.unchanged)

    @cached_property
    def control_difference(self) -> Difference | None:
        """Random change minus unchanged; None where no seed has both."""
        return self._between(self.control, self.unchanged) if self.control else None

    @cached_property
    def beyond_control(self) -> Difference | None:
        """Arm minus random change; None where no seed has both."""
        return self._between(self.arm, self.control) if self.control else None

    def _between(self, changed: ArmScores, base: ArmScores) -> Difference | None:
        return differences(changed.values, base.values, self.comparisons)[0]

    @property
    def verdict(self) -> Verdict:
        """Whether the interval of the difference lies above 0, below 0, or neither.

        An arm that diverges more often than the unchanged spec does not help.
        """
        if not self.arm.tried or not self.unchanged.tried:
            return "not tried"
        found = self.difference.verdict if self.difference else "undecided"
        if found == "lower":
            return "harms"
        if found == "higher" and not self.arm.diverges_more_often_than(self.unchanged):
            return "helps"
        return "undecided"

    @property
    def gains(self) -> bool:
        """Whether it helps, or gains the same with each of five seeds or more.

        Equal differences have no interval: whether other seeds gain as much is not known. That an arm without any
        effect gains with each of five seeds has a chance of at most 1 in 32.
        """
        found = self.difference
        alike = found is not None and found.all_equal and found.pairs >= _ENOUGH_EQUAL_GAINS and found.mean >= MARGIN
        return self.verdict == "helps" or (alike and not self.arm.diverges_more_often_than(self.unchanged))

    @property
    def repairs(self) -> bool:
        """Whether it may be the repair: it gains, and what it reaches is better than any constant answer."""
        return self.gains and self.arm.mean >= self.constant + MARGIN

    @property
    def against_control(self) -> str:
        """Whether the interval of the difference to the random change lies above 0, below 0, or neither."""
        if self.beyond_control is None:
            return "not tried"
        return {"higher": "better", "lower": "worse", "undecided": "not told apart"}[self.beyond_control.verdict]

    def describe(self) -> JsonObject:
        """The effect as JSON."""
        control: JsonObject | None = None
        if self.control:
            control = self.control.describe() | {"difference": difference_json(self.control_difference)}
        return self.arm.describe() | {
            "verdict": self.verdict,
            "repairs": self.repairs,
            "difference": difference_json(self.difference),
            "random": control,
            "beyond_random": difference_json(self.beyond_control),
            "against_random": self.against_control,
        }


class Combination(NamedTuple):
    """Several remedies tried together.

    Attributes:
        remedies: labels of the remedies.
        effect: their joint effect.
        base: labels of the best remedies before; empty for the unchanged spec.
        gain: gain over that base; None where no seed has both.
        kept: whether the combination became the best one.
    """

    remedies: tuple[str, ...]
    effect: RemedyEffect
    base: tuple[str, ...]
    gain: Difference | None
    kept: bool

    def describe(self) -> JsonObject:
        """The combination as JSON."""
        own: JsonObject = {"remedies": list(self.remedies), "base": list(self.base), "kept": self.kept}
        return own | {"gain": difference_json(self.gain)} | self.effect.describe()


def difference_json(difference: Difference | None) -> JsonObject | None:
    """A difference as JSON; None is null."""
    return None if difference is None else difference.describe()


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
