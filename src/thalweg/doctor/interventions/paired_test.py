"""The test by paired runs: how much of a shortfall a change closes, and whether fresh seeds confirm it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ...core.errors import InputError
from ...training.paired import Changes, PairedRuns, PairedScore
from ..findings import Confirmation, Learned, Scored
from ..measurements import BEYOND_CHANCE, LEARNED, LEAST_GAP
from .suspect import Suspect
from .trial import MOST, TriedChange

PROMISING = 0.2
"""Suspects that close this fraction of the shortfall with one seed are tried with fresh seeds."""
CERTAIN = 0.5
"""In a network that learned, only a change that closes at least this fraction is a cause."""
SURE_GAIN = 0.1
"""On held-out rows it must gain at least this."""
_PAIRS = 3


class PairedTest:
    """Compares changed trainings with the unchanged one, by the part of its shortfall that they close.

    Args:
        learned: what the training reached, and what is attainable.
        runs: trains the changed specs.
        scored: the rows whose score is compared.
    """

    def __init__(self, learned: Learned, runs: PairedRuns, scored: Scored) -> None:
        self.learned = learned
        self.runs = runs
        self.scored: Scored = scored
        self._seed = runs.spec.training.seed
        self._fresh_seeds = range(self._seed + 1, self._seed + 1 + _PAIRS)
        # How wrong a network is that learned nothing does not matter.
        self.base = self._score(learned.score)
        self.is_sound = learned.share >= LEARNED
        self.best = float(np.fmax(learned.attainable, learned.constant))
        # What is wrong with the rows may be wrong with the reference learner: there may be more to gain than it says.
        self._least = SURE_GAIN / CERTAIN if self.is_sound and scored == "held-out" else LEAST_GAP
        self.shortfall = max(self.best - self.base, self._least)

    def trial(self, suspects: tuple[Suspect, ...], until: float) -> TriedChange | None:
        """What putting suspects back closes with the seed of the training; None where it makes no valid spec."""
        trial = TriedChange(suspects, 0.0)
        try:
            score = self.score(trial.changes, until)
            base = self.score(trial.unchanged, until) if trial.unchanged else self.base
        except InputError:
            return None
        return trial._replace(closed=self.closed(score, base))

    def score(self, changes: Changes, until: float) -> float:
        """The score of some changes with the seed of the training; NaN where it diverged.

        Raises:
            InputError: the changes make no spec that suits the rows.
        """
        return self._read(self.runs.score(changes, self._seed, until))

    def fresh(self, changes: Changes, until: float) -> np.ndarray | None:
        """The scores of some changes with each fresh seed (pairs,); None where the time was up before the last."""
        scores = []
        for seed in self._fresh_seeds:
            score = None if time.monotonic() >= until else self.runs.score(changes, seed, until)
            if score is None or score.out_of_time:
                return None
            scores.append(self._score(self._read(score)))
        return np.array(scores)

    def confirmation(self, trial: TriedChange, until: float) -> Confirmation | None:
        """The scores of a trial and of the unchanged spec with fresh seeds; None where the time was up before one."""
        before: list[float] = []
        after: list[float] = []
        parts: list[np.ndarray] = []
        for seed in self._fresh_seeds:
            if time.monotonic() >= until:
                break
            control, changed = (self.runs.score(changes, seed, until) for changes in (trial.control, trial.changes))
            if control.out_of_time or changed.out_of_time:
                break
            before.append(self._score(self._read(control)))
            after.append(self._score(self._read(changed)))
            parts.append(self._parts(changed) - self._parts(control))
        if not before:
            return None
        gains = np.subtract(after, before)
        mean = float(gains.mean())
        rows = min(map(len, parts))
        # One pair alone must show much.
        least = MOST if len(before) == 1 else PROMISING
        status: Literal["confirmed", "not confirmed", "undecided"] = "not confirmed"
        # Where the fresh seeds lack less than the examined one, a gain is compared with what they lack.
        lacking = min(self.shortfall, self.best - float(np.mean(before)))
        if gains.min() > 0 and mean >= max(LEAST_GAP, least * lacking):
            status = "confirmed"
            if self.scored == "held-out" and mean <= BEYOND_CHANCE * gain_error([part[:rows] for part in parts]):
                status = "undecided"
        change = " and ".join(suspect.remedy.label for suspect in trial.suspects)
        means = float(np.mean(before)), float(np.mean(after))
        return Confirmation(status, self.learned.measure, *means, len(before), change, self.scored)

    def closed(self, score: float, base: float) -> float:
        """The fraction of the shortfall between a score and the base; a training that diverged closes nothing."""
        return (self._score(score) - self._score(base)) / self.shortfall

    def closed_by(self, result: Confirmation) -> float:
        """The fraction of the shortfall that a confirmation closes, on its own seeds."""
        return (result.after - result.before) / max(self.best - result.before, self._least)

    def _read(self, score: PairedScore) -> float:
        return score.training if self.scored == "training" else score.held_out

    def _score(self, score: float) -> float:
        """The score, at least that of the best constant output, which one that diverged has too."""
        return max(score, self.learned.constant) if math.isfinite(score) else self.learned.constant

    def _parts(self, score: PairedScore) -> np.ndarray:
        """The part of each held-out row in the score (n,); equal parts where it is that of a constant output."""
        n = max(len(score.parts), 1)
        none = not math.isfinite(score.held_out) or score.held_out <= self.learned.constant
        return np.full(n, self.learned.constant / n) if none else score.parts


def gain_error(parts: Sequence[np.ndarray]) -> float:
    """The standard error of the mean gain of pairs that are scored on the same few rows, by the gain of each row in
    each pair (n,): √Σ (d - mean d)² for the mean gains d of the rows."""
    gains = np.mean(parts, axis=0)
    return float(np.sqrt(np.sum((gains - gains.mean()) ** 2)))
