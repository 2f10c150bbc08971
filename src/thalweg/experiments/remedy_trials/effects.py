"""What the arms of a remedy trial reach, and the effects of remedies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from ...core.files import JsonObject
from ...core.intervals import Difference, bootstrap
from ..experiment import plain_value
from ..paired import ENOUGH_SEEDS, paired_difference
from ..variation import Changes

MARGIN = 0.01
"""A gain below this is kept only where its interval lies above 0; an arm this close to 1 gets no further remedy."""

Verdict = Literal["helps", "no evidence", "harms", "not tried"]


@dataclass(frozen=True, eq=False)
class ArmScores:
    """The scores of an arm.

    Attributes:
        label: label of the arm.
        changes: what it changes in the completed spec.
        values: score of each seed (seeds,); NaN where a seed was not tried.
        diverged: number of trials that diverged.
        updates: number of parameter updates that a trial plans.
        problem: why the arm could not be tried; empty where it could.
    """

    label: str
    changes: Changes
    values: np.ndarray
    diverged: int = 0
    updates: int = 0
    problem: str = ""

    @property
    def tried(self) -> int:
        """Number of seeds that were tried."""
        return int(np.isfinite(self.values).sum())

    @cached_property
    def mean(self) -> float:
        """Mean score over the seeds; NaN where none was tried."""
        return float(np.nanmean(self.values)) if self.tried else math.nan

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean."""
        return bootstrap(self.values[np.isfinite(self.values)])

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
    """

    arm: ArmScores
    unchanged: ArmScores
    control: ArmScores | None = None

    @cached_property
    def difference(self) -> Difference | None:
        """Arm minus unchanged; None where no seed has both."""
        return paired_difference(self.arm.values, self.unchanged.values)

    @cached_property
    def control_difference(self) -> Difference | None:
        """Random change minus unchanged; None where no seed has both."""
        return paired_difference(self.control.values, self.unchanged.values) if self.control else None

    @cached_property
    def beyond_control(self) -> Difference | None:
        """Arm minus random change; None where no seed has both."""
        return paired_difference(self.arm.values, self.control.values) if self.control else None

    @property
    def verdict(self) -> Verdict:
        """Whether the 95 % interval of the difference lies above 0, below 0, or includes it."""
        if self.difference is None:
            return "not tried"
        if self.difference.low > 0:
            return "helps"
        return "harms" if self.difference.high < 0 else "no evidence"

    @property
    def pairs(self) -> int:
        """Number of seeds that both this arm and the unchanged spec were tried with."""
        return int(np.isfinite(self.arm.values - self.unchanged.values).sum())

    @property
    def hint(self) -> bool:
        """Whether the verdict is only a hint, because there are few pairs."""
        return self.verdict in ("helps", "harms") and self.pairs < ENOUGH_SEEDS

    @property
    def against_control(self) -> str:
        """Whether the 95 % interval of the difference to the random change lies above 0, below 0, or includes it."""
        if self.beyond_control is None:
            return "not tried"
        if self.beyond_control.low > 0:
            return "better"
        return "worse" if self.beyond_control.high < 0 else "not told apart"

    def describe(self) -> JsonObject:
        """The effect as JSON."""
        control: JsonObject | None = None
        if self.control:
            control = self.control.describe() | {"difference": difference_json(self.control_difference)}
        return self.arm.describe() | {
            "verdict": self.verdict,
            "pairs": self.pairs,
            "hint": self.hint,
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
    """A difference as JSON; ends that are not finite are null."""
    return None if difference is None else {name: _finite(value) for name, value in difference._asdict().items()}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
