"""The search for the changes that close the shortfall of a training, within a time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...core.progress import ProgressMessage, Watch
from ..findings import Confirmation, Finding, Learned
from ..measurements import LEAST_GAP
from ..registry import CODES, STUCK
from .paired_test import CERTAIN, PROMISING, PairedTest
from .suspect import Suspect
from .suspects import longer
from .trial import EQUAL, MOST, Confirmed, TriedChange, compatible, is_longer, ranked_trials, roots_first

FIRST = 3
"""Of the changes that are taken away, so many are tried with each change that may make up for them."""
# The part of the budget in which suspects are tried with one seed.
_SCREENING = 0.55
# The parts that are left for pairs, and for the fresh seeds of what was found together.
_FOR_PAIRS = 0.35
_FOR_FRESH = 0.15
_CANDIDATES = 5
# A longer training that closes at least this fraction still rises.
_RISING = 0.05


class SuspectSearch:
    """The search for the changes that close the shortfall of a training, within a time.

    Args:
        test: compares changed trainings with the unchanged one.
        suspects: what may be put back.
        seconds: the time.
        watch: is called with the progress.
    """

    def __init__(self, test: PairedTest, suspects: Sequence[Suspect], seconds: float, watch: Watch) -> None:
        self.test = test
        self.watch = watch
        self.seconds = seconds
        self.began = time.monotonic()
        self.until = self.began + seconds
        self._screened_until = self.began + _SCREENING * seconds
        # First what checks have found; longer trainings last: they take the time of many.
        self.suspects = tuple(sorted(suspects, key=lambda one: (is_longer(one), one.finding is None, one.order)))
        self.not_tried: list[Suspect] = []
        self._tried: list[TriedChange] = []
        self._failed: list[tuple[TriedChange, Confirmation]] = []

    def run(self) -> list[Confirmed]:
        """The confirmed changes, the root cause first."""
        found: list[Confirmed] = []
        left = list(self.suspects)
        while left and self._screened_until > time.monotonic() and not (found and found[0].closed >= MOST):
            left = self._screen(left)
            left = left or self._further_lengths()
            known = [*(one.trial for one in found), *(trial for trial, _ in self._failed)]
            new = [trial for trial in self._best_first() if trial.closed >= PROMISING and trial not in known]
            found = roots_first([*found, *self.confirm(new)])
        self.not_tried += left
        for jointly in (self._together, self._pair):
            if not found or found[0].closed < MOST:
                joint = jointly()
                best = max((one.trial.closed for one in found), default=0.0)
                if joint is not None and len(joint.suspects) > 1 and joint.closed > best + EQUAL:
                    found = roots_first([*found, *self.confirm([joint])])
        if self.test.is_sound:
            # Many healthy networks would gain a little from another setting.
            found = [one for one in found if one.closed >= CERTAIN and _keeps_back(one.trial, self.test.learned)]
        return roots_first(found)

    def confirm(self, trials: Sequence[TriedChange]) -> list[Confirmed]:
        """Those of the trials that gain in pairs of fresh seeds."""
        found: list[Confirmed] = []
        for trial in trials[:_CANDIDATES]:
            if any(one.closed >= MOST and one.closed > trial.closed + EQUAL for one in found):
                break
            labels = " and ".join(suspect.remedy.label for suspect in trial.suspects)
            left = (self.until - time.monotonic()) / self.seconds
            self.watch(ProgressMessage(f"confirming {labels}", min(1.0, 1 - left)))
            result = self.test.confirmation(trial, self.until)
            if result is None:
                break
            closed = self.test.closed_by(result)
            if result.status == "confirmed":
                found.append(Confirmed(trial, result, closed))
            else:
                self._failed.append((trial, result))
        return found

    def confirmation_of(self, finding: Finding) -> Confirmation | None:
        """What the runs say of a finding that they did not confirm; None where no change tries it."""
        if finding.severity == "note" or CODES[finding.code].group == STUCK:
            return None
        remedies = [one.changes for one in finding.remedies]
        mine = [
            suspect
            for suspect in self.suspects
            if (suspect.remedy.changes in remedies if suspect.rows is None else suspect.finding == finding)
        ]
        if not mine and (self.test.scored == "held-out" or not finding.remedies):
            return None
        tried = [trial for trial in self._tried if trial.suspects[0] in mine]
        measure = self.test.learned.measure
        failed = [result for trial, result in self._failed if trial.suspects[0] in mine and len(trial.suspects) == 1]
        if failed:
            return failed[0]
        best = max(tried, key=lambda trial: trial.closed, default=None)
        if best is None or best.closed >= PROMISING:
            return Confirmation("not tried", measure)
        after = self.test.base + best.closed * self.test.shortfall
        label = best.suspects[0].remedy.label
        return Confirmation("not confirmed", measure, self.test.base, after, 1, label, self.test.scored)

    def _screen(self, group: Sequence[Suspect]) -> list[Suspect]:
        """Try suspects with the seed of the training, until one closes nearly all; returns those that are left.

        What is nearer to the beginning than that one is tried all the same; the others could not close more, and are
        tried if it is not confirmed.
        """
        farther: list[Suspect] = []
        nearest: TriedChange | None = None
        for index, suspect in enumerate(group):
            if nearest is not None and TriedChange((suspect,), 0.0).order >= nearest.order:
                farther.append(suspect)
                continue
            now = time.monotonic()
            left = self._screened_until - now
            if left <= 0:
                return [*farther, *group[index:]]
            # A slow training is compared by what it reaches in its share of the time.
            share = max(left / (len(group) - index) * 2, left / 5)
            self.watch(ProgressMessage(f"trying {suspect.remedy.label}", 1 - (self.until - now) / self.seconds))
            trial = self.test.trial((suspect,), now + share)
            if trial is not None:
                self._tried.append(trial)
                if trial.closed >= 1 - EQUAL:
                    nearest = trial
        return farther

    def _best_first(self) -> list[TriedChange]:
        """The trials, the best first."""
        return [trial for trial, _ in ranked_trials((trial, trial.closed) for trial in self._tried)]

    def _together(self) -> TriedChange | None:
        """The fewest suspects that close the shortfall together, where all of them do; None where they do not.

        Halves, quarters, ... of them are left out as long as the others still close it.

        Source: Zeller and Hildebrandt 2002, Simplifying and isolating failure-inducing input.
        """
        group = compatible([one for one in self.suspects if not one.compensates and not is_longer(one)])
        whole = self._timely(group)
        if whole is None or whole.closed < PROMISING:
            return None
        # Where they explain the shortfall, no pair is tried after them.
        spared = _FOR_FRESH if whole.closed >= MOST else _FOR_PAIRS
        size = len(group) // 2
        while size:
            start = 0
            while start < len(whole.suspects) > 1:
                fewer = self._timely(whole.suspects[:start] + whole.suspects[start + size :], spared)
                if fewer is not None and fewer.closed >= whole.closed - EQUAL:
                    whole = fewer
                else:
                    start += size
            size //= 2
        return whole

    def _pair(self) -> TriedChange | None:
        """The best pair of one of the first suspects and what a check found or may make up for it.

        A rate or a rule that was chosen for a fault does not suit the training without it.
        """
        others = [one for one in self.suspects if not one.enlarges and not is_longer(one)]
        seconds = [one for one in others if one.compensates or one.finding is not None]
        best: TriedChange | None = None
        for place, first in enumerate(others[:FIRST]):
            for second in seconds:
                pair = compatible((first, second)) if second not in others[: place + 1] else ()
                trial = self._timely(pair, _FOR_FRESH) if len(pair) > 1 else None
                if trial is not None and (best is None or trial.closed > best.closed):
                    best = trial
                if best is not None and best.closed >= 1 - EQUAL:
                    return best
        return best

    def _further_lengths(self) -> list[Suspect]:
        """Four times the most epochs that were tried, where these gained and did not close the shortfall."""
        lengths = {
            value: trial.closed
            for trial in self._tried
            for path, value in trial.changes
            if path == "training.epochs" and isinstance(value, int)
        }
        most = max(lengths, default=0)
        return [longer(most)] if most and _RISING <= lengths[most] < 1 - EQUAL else []

    def _timely(self, suspects: tuple[Suspect, ...], spared: float = _FOR_PAIRS) -> TriedChange | None:
        """A trial of several suspects; None where there is nothing to put back, or only the spared part of the time."""
        now = time.monotonic()
        if not suspects or self.until - now < spared * self.seconds:
            return None
        self.watch(ProgressMessage("trying changes together", 1 - (self.until - now) / self.seconds))
        return self.test.trial(suspects, now + (self.until - now) / 5)


def _keeps_back(trial: TriedChange, learned: Learned) -> bool:
    """Whether what a trial changes may keep a network back that learned: something that is taken away; or else another
    rate, rule or length, where the network closed nothing of what is attainable beyond the best straight line."""
    beyond = learned.attainable - learned.line
    only_line = beyond >= LEAST_GAP and learned.score - learned.line < EQUAL * beyond
    return not trial.suspects[0].compensates or (only_line and not trial.enlarges)
