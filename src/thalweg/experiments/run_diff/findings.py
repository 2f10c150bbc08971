"""What was found of two runs: differences of their records, of their replays and of their outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ...spec.differences import Change
from .interventions import Explanation
from .lockstep import Lockstep
from .record import FactPair, MeasurePair, RecordedPart, RunRecord, changes_training, rounding_of_records
from .rounding import relative_difference
from .rows import SetDifference

Verdict = Literal["same", "rounding", "differs"]


class Reproduction(NamedTuple):
    """How the replay of a run compares with its record.

    Attributes:
        epochs: epochs that were replayed to their end and recorded.
        difference: the largest relative difference of their losses.
        bound: what rounding explains of it where no step makes it larger.
    """

    epochs: int
    difference: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the replay gives the recorded losses, up to rounding."""
        return self.difference <= self.bound


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found of two runs.

    Attributes:
        records: both runs, as far as they were recorded.
        changes: where the completed specs differ, with the values of the first and of the second run.
        rows: the sets of rows.
        versions: recorded versions of both runs.
        machine: what was recorded of both machines.
        outcomes: the measures at the end of both trainings.
        recorded_loss: the first epoch whose recorded losses differ; None where they are equal.
        recorded_probe: the first quantity of the probes that differs; None where none does.
        lockstep: both trainings replayed side by side; None where that is not possible.
        why_not_replayed: why there is no replay; empty where there is one.
        reproductions: how the replay of each run compares with its record; None where no epoch was replayed.
        better: the run with the better outcome, 0 or 1; None where there is none.
        explanation: what explains the difference of the outcomes.
    """

    records: tuple[RunRecord, RunRecord]
    changes: tuple[Change, ...]
    rows: tuple[SetDifference, ...]
    versions: tuple[FactPair, ...]
    machine: tuple[FactPair, ...]
    outcomes: tuple[MeasurePair, ...]
    recorded_loss: RecordedPart | None
    recorded_probe: RecordedPart | None
    lockstep: Lockstep | None
    why_not_replayed: str
    reproductions: tuple[Reproduction | None, Reproduction | None]
    better: int | None
    explanation: Explanation

    @property
    def verdict(self) -> Verdict:
        """Whether the trainings are the "same" to the bit, differ by "rounding" alone, or "differs"."""
        if self.lockstep and self.lockstep.parting:
            return "differs"
        if self.records[0].steps != self.records[1].steps or self._other_outcome:
            return "differs"
        if self.lockstep is None or self.lockstep.steps < self.records[0].steps:
            return self._recorded_verdict
        if any(each and not each.holds for each in self.reproductions):
            return "differs"
        return "rounding" if self.lockstep.verdict == "rounding" or self._recorded_verdict != "same" else "same"

    @property
    def _recorded_verdict(self) -> Verdict:
        """The verdict by what both runs recorded."""
        parts = [part for part in (self.recorded_loss, self.recorded_probe) if part]
        if any(part.beyond for part in parts) or any(each.same is False for each in self.rows):
            return "differs"
        return "rounding" if parts or any(each.values[0] != each.values[1] for each in self.outcomes) else "same"

    @property
    def _other_outcome(self) -> bool:
        """Whether settings that a replay does not show, such as the best epoch's weights, change the outcome."""
        if not any(changes_training(change) for change in self.changes):
            return False
        bound = (self.records[0].steps + 1) * rounding_of_records(*self.records)
        return any(relative_difference(*np.array(each.values)) > bound for each in self.outcomes)

    @property
    def names(self) -> tuple[str, str]:
        """The names of both runs; numbered where they are the same."""
        one, other = (record.name for record in self.records)
        return (one, other) if one != other else (f"{one} (1)", f"{other} (2)")
