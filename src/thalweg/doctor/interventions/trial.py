"""What paired runs tried and confirmed: suspects put back together, and the order of such trials."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...spec.edit import merged, overlap
from ...training.paired import ROWS, Changes
from ..findings import Confirmation, Remedy
from .suspect import Suspect

EQUAL = 0.15
"""Two changes whose closed fractions of a shortfall differ by less are equal."""
MOST = 0.5
"""A single change that closes more explains the shortfall alone."""


class TriedChange(NamedTuple):
    """Suspects that are put back together, and the fraction of the shortfall that this closes."""

    suspects: tuple[Suspect, ...]
    closed: float

    @property
    def order(self) -> tuple[int, list[tuple[bool, bool, float]]]:
        """Its place among equal trials: single changes first, and of these the nearest to the beginning."""
        return len(self.suspects), sorted(suspect.order for suspect in self.suspects)

    @property
    def enlarges(self) -> bool:
        return any(suspect.enlarges for suspect in self.suspects)

    @property
    def changes(self) -> Changes:
        return tuple(change for suspect in self.suspects for change in suspect.changes)

    @property
    def unchanged(self) -> Changes:
        """What the trial is compared with: nothing changed, scored on the rows that score the trial."""
        return tuple((ROWS, suspect.rows.unchanged) for suspect in self.suspects if suspect.rows is not None)

    @property
    def control(self) -> Changes:
        """What fresh seeds compare the trial with."""
        return tuple((ROWS, suspect.rows.control) for suspect in self.suspects if suspect.rows is not None)


class Confirmed(NamedTuple):
    """A trial with its scores on fresh seeds."""

    trial: TriedChange
    result: Confirmation
    closed: float
    further: tuple[Suspect, ...] = ()
    """What closes more of the shortfall beside it: part of the repair, but no cause."""

    @property
    def causes(self) -> tuple[Suspect, ...]:
        """The suspects of the trial without those that only make up for what another one takes away."""
        first, *others = self.trial.suspects
        return first, *(one for one in others if not one.compensates or one.finding is not None)

    @property
    def changes(self) -> Changes:
        """All changes of the repair."""
        return merged((*self.trial.changes, *(change for suspect in self.further for change in suspect.changes)))

    def remedy_of(self, cause: Suspect) -> Remedy:
        """The remedy of a cause; that of the first has what is no cause too."""
        if cause != self.causes[0]:
            return cause.remedy
        others = [one for one in self.trial.suspects if one not in self.causes]
        parts = [one.remedy for one in (cause, *others, *self.further)]
        changes = merged(change for remedy in parts for change in remedy.changes)
        return Remedy(" and ".join(remedy.label for remedy in parts), changes)


def is_longer(suspect: Suspect) -> bool:
    """Whether a suspect is trained for another number of epochs."""
    return any(path == "training.epochs" for path, _ in suspect.remedy.changes)


def compatible(suspects: Iterable[Suspect]) -> tuple[Suspect, ...]:
    """Suspects whose changes do not touch each other: of two that do, the first."""
    chosen: list[Suspect] = []
    taken: list[str] = []
    for suspect in suspects:
        paths = [path for path, _ in suspect.changes]
        if not any(overlap(one, other) for one in paths for other in taken):
            chosen.append(suspect)
            taken += paths
    return tuple(chosen)


def roots_first(found: Iterable[Confirmed]) -> list[Confirmed]:
    """The change that closes most first; of equal ones the nearest to the beginning."""
    found = list(found)
    trials = [trial for trial, _ in ranked_trials((one.trial, one.closed) for one in found)]
    return [one for trial in trials for one in found if one.trial is trial]


def ranked_trials(closed: Iterable[tuple[TriedChange, float]]) -> list[tuple[TriedChange, float]]:
    """Trials with what they close, in bands of equal gain, and within a band the nearest to the beginning first.

    A larger network makes up for nearly every fault: it comes last where something that is taken away explains the
    shortfall.
    """
    left = sorted(closed, key=lambda entry: -entry[1])
    taken_away = [part for trial, part in left if not any(suspect.compensates for suspect in trial.suspects)]
    if max(taken_away, default=0.0) >= MOST:
        left.sort(key=lambda entry: entry[0].enlarges)
    result: list[tuple[TriedChange, float]] = []
    while left:
        trial, best = left[0]
        band = [entry for entry in left if entry[1] >= best - EQUAL and entry[0].enlarges <= trial.enlarges]
        result += sorted(band, key=lambda entry: entry[0].order)
        left = [entry for entry in left if entry not in band]
    return result
