"""Confirmation: a cause is what, taken away, lets the network learn. Suspects are put back in paired runs."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from ...core.errors import InputError
from ...core.progress import ProgressMessage, Watch, ignore_progress
from ...pages.numbers import count_noun, number
from ...spec.edit import overlap
from ...training.paired import ROWS, Changes, PairedRuns, PairedScore
from ..attainable import UncertainScore
from ..causes import causes as explained_causes
from ..causes import ranked
from ..diagnosis import Diagnosis
from ..findings import Cause, Confirmation, Finding, Learned, Scored, Severity
from ..measurements import BEYOND_CHANCE, LEARNED, LEAST_GAP
from ..registry import CODES, STUCK, explanation_graph
from .suspect import Suspect

LEAST_SECONDS = 30.0
"""The budget of a confirmation is at least this."""
BUDGET_FACTOR = 3.0
"""It is at least this many times the time of the training."""

_PAIRS = 3
# The part of the budget in which suspects are tried with one seed.
_SCREENING = 0.55
# Suspects that close this fraction of the shortfall with one seed are tried with fresh seeds.
_PROMISING = 0.2
_CANDIDATES = 5
# Two changes whose closed fractions differ by less are equal.
_EQUAL = 0.15
# A single change that closes more explains the shortfall alone.
_MOST = 0.5
# In a network that learned, only a change that closes at least this fraction is a cause.
_CERTAIN = 0.5
# On held-out rows it must gain at least this.
_SURE_GAIN = 0.1
# The part of the budget in which suspects of the rows are tried, before all others.
_FOR_ROWS = 0.4


def budget_for(seconds: float) -> float:
    """Seconds for the confirmation of a diagnosis, by those of the training: max(30, 3 seconds).

    >>> budget_for(2.0), budget_for(100.0)
    (30.0, 300.0)
    """
    return max(LEAST_SECONDS, BUDGET_FACTOR * seconds)


class _Trial(NamedTuple):
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


class _Confirmed(NamedTuple):
    """A trial with its scores on fresh seeds."""

    trial: _Trial
    result: Confirmation
    closed: float


def confirmed(
    diagnosis: Diagnosis,
    suspects: Sequence[Suspect],
    runs: PairedRuns,
    seconds: float,
    watch: Watch = ignore_progress,
    *,
    held_out: UncertainScore | None = None,
    of_rows: Sequence[Suspect] = (),
) -> Diagnosis:
    """The diagnosis with causes that were tried: a change without which the network learns.

    Each suspect is put back in a training with the seed of the examined one. The most promising are tried again with
    three fresh seeds, each beside the unchanged spec. A suspect is a cause if each of these pairs gains and the mean
    gain is relevant. The change that closes most of the shortfall is the root cause; of equal ones the one that is
    nearest to the beginning of a training. Where no single change closes half of the shortfall, the fewest that close
    it together are looked for.

    Suspects of the rows come first. They are scored on held-out rows, where a gain must be beyond chance too. So are
    all others where the score of the training rows is fine and that of the held-out rows is not.

    A training that reached what is attainable has nothing to confirm, and keeps its diagnosis.

    Args:
        diagnosis: the diagnosis by the checks alone.
        suspects: what may be put back in the spec.
        runs: trains the changed specs.
        seconds: the time for all runs.
        watch: is called with the progress.
        held_out: the score on the validation rows; None: there are none, or too few.
        of_rows: suspects that are scored on held-out rows.

    Raises:
        KeyboardInterrupt: at Ctrl-C.
    """
    learned = diagnosis.learned
    if learned is None:
        return diagnosis
    until = time.monotonic() + seconds
    searches: list[_Search] = []
    found: list[_Confirmed] = []
    if held_out is not None and of_rows:
        there = learned._replace(score=held_out.value)
        searches.append(_Search(there, of_rows, runs, _FOR_ROWS * seconds, watch, scored="held-out"))
        found = searches[0].run()
    of_spec = _judged(learned, held_out)
    if of_spec is not None and suspects and not (found and found[0].closed >= _MOST):
        there, scored = of_spec
        searches.append(_Search(there, suspects, runs, until - time.monotonic(), watch, scored))
        found = [*found, *searches[-1].run()]
    return _rewritten(diagnosis, searches, found) if searches else diagnosis


def _judged(learned: Learned, held_out: UncertainScore | None) -> tuple[Learned, Scored] | None:
    """The score that falls short, by a relevant amount that chance does not explain, and the rows that it is of.

    The score of the training rows, or that of the held-out rows where the training rows are learned and these are not.
    None where neither does.
    """
    if not math.isfinite(learned.attainable):
        return None
    # How wrong a network is that learned nothing does not matter.
    score = max(learned.score, learned.constant) if math.isfinite(learned.score) else learned.constant
    if learned.attainable - score > max(LEAST_GAP, BEYOND_CHANCE * learned.error):
        return learned, "training"
    if held_out is None or not math.isfinite(held_out.value):
        return None
    there = learned._replace(score=held_out.value)
    chance = BEYOND_CHANCE * math.hypot(learned.error, held_out.error)
    far = learned.share >= LEARNED > there.share and there.attainable - there.score > max(LEAST_GAP, chance)
    return (there, "held-out") if far else None


class _Search:
    """The search for the changes that close the shortfall of a training, within a time."""

    def __init__(
        self,
        learned: Learned,
        suspects: Sequence[Suspect],
        runs: PairedRuns,
        seconds: float,
        watch: Watch,
        scored: Scored,
    ) -> None:
        self.learned = learned
        self.scored: Scored = scored
        self.runs = runs
        self.watch = watch
        self.seed = runs.spec.training.seed
        # How wrong a network is that learned nothing does not matter.
        self.base = self._score(learned.score)
        self.is_sound = learned.share >= LEARNED
        self.best = float(np.fmax(learned.attainable, learned.constant))
        # What is wrong with the rows may be wrong with the reference learner: there may be more to gain than it says.
        self.least = _SURE_GAIN / _CERTAIN if self.is_sound and scored == "held-out" else LEAST_GAP
        self.shortfall = max(self.best - self.base, self.least)
        self.seconds = seconds
        self.began = time.monotonic()
        self.until = self.began + seconds
        self.screened_until = self.began + _SCREENING * seconds
        # Longer trainings last: they take the time of many.
        self.suspects = tuple(sorted(suspects, key=lambda one: (_is_longer(one), one.order)))
        self.tried: list[_Trial] = []
        self.not_tried: list[Suspect] = []
        self.failed: list[tuple[_Trial, Confirmation]] = []

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
        if not mine and (self.scored == "held-out" or not finding.remedies):
            return None
        tried = [trial for trial in self.tried if trial.suspects[0] in mine]
        measure = self.learned.measure
        failed = [result for trial, result in self.failed if trial.suspects[0] in mine and len(trial.suspects) == 1]
        if failed:
            return failed[0]
        best = max(tried, key=lambda trial: trial.closed, default=None)
        if best is None or best.closed >= _PROMISING:
            return Confirmation("not tried", measure)
        after = self.base + best.closed * self.shortfall
        label = best.suspects[0].remedy.label
        return Confirmation("not confirmed", measure, self.base, after, 1, label, self.scored)

    def run(self) -> list[_Confirmed]:
        """The confirmed changes, the root cause first."""
        found: list[_Confirmed] = []
        left = list(self.suspects)
        while left and self.screened_until > time.monotonic() and not (found and found[0].closed >= _MOST):
            left = self._screen(left)
            known = [*(one.trial for one in found), *(trial for trial, _ in self.failed)]
            new = [trial for trial in self._best_first() if trial.closed >= _PROMISING and trial not in known]
            found = _roots_first([*found, *self._confirm(new)])
        self.not_tried += left
        if not found or found[0].closed < _MOST:
            joint = self._together()
            best = max((one.trial.closed for one in found), default=0.0)
            if joint is not None and len(joint.suspects) > 1 and joint.closed > best + _EQUAL:
                found += self._confirm([joint])
        if self.is_sound:
            # Many healthy networks would gain a little from another setting.
            found = [one for one in found if one.closed >= _CERTAIN and _keeps_back(one.trial, self.learned)]
        return _roots_first(found)

    def _screen(self, group: Sequence[Suspect]) -> list[Suspect]:
        """Try suspects with the seed of the training, until one closes nearly all; returns those that are left.

        What is nearer to the beginning than that one is tried all the same: the others could not close more.
        """
        farther: list[Suspect] = []
        nearest: _Trial | None = None
        for index, suspect in enumerate(group):
            if nearest is not None and _Trial((suspect,), 0.0).order > nearest.order:
                farther.append(suspect)
                continue
            now = time.monotonic()
            left = self.screened_until - now
            if left <= 0:
                return [*farther, *group[index:]]
            # A slow training is compared by what it reaches in its share of the time.
            share = max(left / (len(group) - index) * 2, left / 5)
            self.watch(ProgressMessage(f"trying {suspect.remedy.label}", 1 - (self.until - now) / self.seconds))
            trial = self._trial((suspect,), now + share)
            if trial is not None:
                self.tried.append(trial)
                if trial.closed >= 1 - _EQUAL:
                    nearest = trial
        return farther

    def _trial(self, suspects: tuple[Suspect, ...], until: float) -> _Trial | None:
        """What putting suspects back closes with the seed of the training; None where it makes no valid spec."""
        trial = _Trial(suspects, 0.0)
        try:
            score = self._read(self.runs.score(trial.changes, self.seed, until))
            base = self._read(self.runs.score(trial.unchanged, self.seed, until)) if trial.unchanged else self.base
        except InputError:
            return None
        return trial._replace(closed=self._closed(score, base))

    def _read(self, score: PairedScore) -> float:
        return score.training if self.scored == "training" else score.held_out

    def _closed(self, score: float, base: float) -> float:
        """The fraction of the shortfall between a score and the base; a training that diverged closes nothing."""
        return (self._score(score) - self._score(base)) / self.shortfall

    def _score(self, score: float) -> float:
        """The score, at least that of the best constant output, which one that diverged has too."""
        return max(score, self.learned.constant) if math.isfinite(score) else self.learned.constant

    def _parts(self, score: PairedScore) -> np.ndarray:
        """The part of each held-out row in the score (n,); equal parts where it is that of a constant output."""
        n = max(len(score.parts), 1)
        none = not math.isfinite(score.held_out) or score.held_out <= self.learned.constant
        return np.full(n, self.learned.constant / n) if none else score.parts

    def _best_first(self) -> list[_Trial]:
        """The trials, the best first."""
        return [trial for trial, _ in _ranked((trial, trial.closed) for trial in self.tried)]

    def _together(self) -> _Trial | None:
        """The fewest suspects that close the shortfall together, where all of them do; None where they do not.

        Halves, quarters, ... of them are left out as long as the others still close it.

        Source: Zeller and Hildebrandt 2002, Simplifying and isolating failure-inducing input.
        """
        group = _compatible([one for one in self.suspects if not one.compensates and not _is_longer(one)])
        whole = self._timely(group)
        if whole is None or whole.closed < _PROMISING:
            return None
        size = len(group) // 2
        while size:
            start = 0
            while start < len(whole.suspects) > 1:
                fewer = self._timely(whole.suspects[:start] + whole.suspects[start + size :])
                if fewer is not None and fewer.closed >= whole.closed - _EQUAL:
                    whole = fewer
                else:
                    start += size
            size //= 2
        return whole

    def _timely(self, suspects: tuple[Suspect, ...]) -> _Trial | None:
        """A trial of several suspects; None where there is no time for it, or nothing to put back."""
        now = time.monotonic()
        if not suspects or self.until - now < (1 - _SCREENING) / 2 * self.seconds:
            return None
        self.watch(ProgressMessage("trying changes together", 1 - (self.until - now) / self.seconds))
        return self._trial(suspects, now + (self.until - now) / 5)

    def _confirm(self, trials: Sequence[_Trial]) -> list[_Confirmed]:
        """Those of the trials that gain in pairs of fresh seeds."""
        found: list[_Confirmed] = []
        for trial in trials[:_CANDIDATES]:
            if any(one.closed >= _MOST and one.closed > trial.closed + _EQUAL for one in found):
                break
            labels = " and ".join(suspect.remedy.label for suspect in trial.suspects)
            left = (self.until - time.monotonic()) / self.seconds
            self.watch(ProgressMessage(f"confirming {labels}", min(1.0, 1 - left)))
            result = self._paired(trial)
            if result is None:
                break
            closed = (result.after - result.before) / max(self.best - result.before, self.least)
            if result.status == "confirmed":
                found.append(_Confirmed(trial, result, closed))
            else:
                self.failed.append((trial, result))
        return found

    def _paired(self, trial: _Trial) -> Confirmation | None:
        """The scores of a trial and of the unchanged spec with fresh seeds; None where the time was up before one."""
        before: list[float] = []
        after: list[float] = []
        parts: list[np.ndarray] = []
        for seed in range(self.seed + 1, self.seed + 1 + _PAIRS):
            until = self.until
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
        least = _MOST if len(before) == 1 else _PROMISING
        status: Literal["confirmed", "not confirmed", "undecided"] = "not confirmed"
        if gains.min() > 0 and mean >= max(LEAST_GAP, least * self.shortfall):
            status = "confirmed"
            if self.scored == "held-out" and mean <= BEYOND_CHANCE * _error([part[:rows] for part in parts]):
                status = "undecided"
        change = " and ".join(suspect.remedy.label for suspect in trial.suspects)
        means = float(np.mean(before)), float(np.mean(after))
        return Confirmation(status, self.learned.measure, *means, len(before), change, self.scored)


def _error(parts: Sequence[np.ndarray]) -> float:
    """The standard error of the mean gain of pairs that are scored on the same few rows, by the gain of each row in
    each pair (n,): √Σ (d - mean d)² for the mean gains d of the rows."""
    gains = np.mean(parts, axis=0)
    return float(np.sqrt(np.sum((gains - gains.mean()) ** 2)))


def _keeps_back(trial: _Trial, learned: Learned) -> bool:
    """Whether what a trial changes may keep a network back that learned: something that is taken away; or else another
    rate, rule or length, where the network closed nothing of what is attainable beyond the best straight line."""
    beyond = learned.attainable - learned.line
    only_line = beyond >= LEAST_GAP and learned.score - learned.line < _EQUAL * beyond
    return not trial.suspects[0].compensates or (only_line and not trial.enlarges)


def _is_longer(suspect: Suspect) -> bool:
    return any(path == "training.epochs" for path, _ in suspect.remedy.changes)


def _compatible(suspects: Iterable[Suspect]) -> tuple[Suspect, ...]:
    """Suspects whose changes do not touch each other: of two that do, the first."""
    chosen: list[Suspect] = []
    taken: list[str] = []
    for suspect in suspects:
        paths = [path for path, _ in suspect.changes]
        if not any(overlap(one, other) for one in paths for other in taken):
            chosen.append(suspect)
            taken += paths
    return tuple(chosen)


def _roots_first(found: Iterable[_Confirmed]) -> list[_Confirmed]:
    """The change that closes most first; of equal ones the nearest to the beginning."""
    found = list(found)
    ranked_trials = [trial for trial, _ in _ranked((one.trial, one.closed) for one in found)]
    return [one for trial in ranked_trials for one in found if one.trial is trial]


def _ranked(closed: Iterable[tuple[_Trial, float]]) -> list[tuple[_Trial, float]]:
    """Trials with what they close, in bands of equal gain, and within a band the nearest to the beginning first.

    A larger network makes up for nearly every fault: it comes last where something that is taken away explains the
    shortfall.
    """
    left = sorted(closed, key=lambda entry: -entry[1])
    taken_away = [part for trial, part in left if not any(suspect.compensates for suspect in trial.suspects)]
    if max(taken_away, default=0.0) >= _MOST:
        left.sort(key=lambda entry: entry[0].enlarges)
    result: list[tuple[_Trial, float]] = []
    while left:
        trial, best = left[0]
        band = [entry for entry in left if entry[1] >= best - _EQUAL and entry[0].enlarges <= trial.enlarges]
        result += sorted(band, key=lambda entry: entry[0].order)
        left = [entry for entry in left if entry not in band]
    return result


def _rewritten(diagnosis: Diagnosis, searches: Sequence[_Search], found: Sequence[_Confirmed]) -> Diagnosis:
    """The diagnosis with what the runs say of its findings, and with the causes that they confirm."""
    search = searches[-1]
    learned = search.learned
    sound = diagnosis.learned is not None and diagnosis.learned.share >= LEARNED
    of_rows = [suspect.finding for search in searches for suspect in search.suspects if suspect.rows is not None]
    findings: list[Finding] = []
    for finding in diagnosis.findings:
        results = (search.confirmation_of(finding) for search in searches)
        result = next(filter(None, results), None)
        # Odd rows without which nothing is better.
        harmless = finding in of_rows and result is not None and result.status == "not confirmed"
        severity = "note" if harmless and sound else finding.severity
        findings.append(finding._replace(severity=severity, confirmation=result))
    roots: dict[tuple[str, str], Finding] = {}
    for one in found:
        for suspect in one.trial.suspects:
            if roots and suspect.compensates and suspect.finding is None:
                continue
            finding = _named(suspect, one, certain=suspect.rows is not None or learned.share < LEARNED)
            roots.setdefault((finding.code, finding.place), finding)
    others = [finding for finding in findings if (finding.code, finding.place) not in roots]
    if not roots and learned.share >= LEARNED:
        # Harm on other rows has no paired runs here. A symptom is no cause, whatever was learned.
        causes = explained_causes(
            finding for finding in ranked(findings) if finding.severity == "note" or CODES[finding.code].group != STUCK
        )
    else:
        causes = _causes(list(roots.values()), others)
    tried = f"{count_noun(search.runs.trained, 'paired run')} in {number(time.monotonic() - searches[0].began, 2)} s"
    further = sum(len(one.not_tried) for one in searches)
    left = f"; not tried: {count_noun(further, 'further change')}" if further else ""
    return dataclasses.replace(
        diagnosis,
        findings=ranked([*roots.values(), *others]),
        causes=causes,
        evidence=(*diagnosis.evidence, f"changes were tried in {tried}{left}"),
    )


def _named(suspect: Suspect, one: _Confirmed, certain: bool) -> Finding:
    """The finding of a confirmed suspect."""
    partners = [other.remedy.label for other in one.trial.suspects if other is not suspect]
    together = f" together with {' and '.join(partners)}" if partners else ""
    result = one.result._replace(change=suspect.remedy.label + together)
    severity: Severity = "severe" if certain and one.closed >= _MOST else "warning"
    if suspect.finding is not None and suspect.rows is not None:
        return suspect.finding._replace(severity=severity, confirmation=result)
    if suspect.finding is not None:
        finding = suspect.finding
        remedies = (suspect.remedy, *(remedy for remedy in finding.remedies if remedy != suspect.remedy))
        return finding._replace(remedies=remedies, confirmation=result)
    return Finding(
        code=suspect.code,
        stage="in paired runs",
        severity=severity,
        place=suspect.place,
        value=one.closed,
        measured=result.in_words(),
        normal="about the same score with and without it",
        sentence=f"With {suspect.remedy.label}{together}, it learns what it does not learn as it is.",
        remedies=(suspect.remedy,) if suspect.remedy.changes else (),
        confirmation=result,
    )


def _causes(roots: Sequence[Finding], others: Sequence[Finding]) -> tuple[Cause, ...]:
    """The roots, of which the first explains the symptoms, and the findings that nothing tries and no root explains.

    A finding that was tried and not confirmed is no cause; one that could not be tried in time stays one where there is
    no root.
    """
    above = [finding for finding in others if finding.severity != "note"]
    graph = explanation_graph()
    effects = {code for root in roots for code in graph[root.code]}
    untried = [
        finding
        for finding in above
        if CODES[finding.code].group != STUCK
        and finding.code not in effects
        and (
            finding.confirmation is None
            or finding.confirmation.status == "undecided"
            or (finding.confirmation.status == "not tried" and not roots)
        )
    ]
    explained = tuple(finding for finding in above if finding not in untried) if roots else ()
    causes = [Cause(root, explained if not number else ()) for number, root in enumerate(roots)]
    return (*causes, *explained_causes(untried))
