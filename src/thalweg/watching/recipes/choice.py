"""Which remedies of a recipe are worth fresh seeds: those that gain with a few seeds of their own."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...core.errors import InputError
from ...core.intervals import differences
from ...doctor.findings import Remedy
from ...experiments.remedy_trials.arms import setting_of
from ...experiments.remedy_trials.effects import MARGIN, ArmScores
from ...experiments.remedy_trials.score import Score
from ...experiments.remedy_trials.trials import TrialLog
from ...pages.numbers import difference
from .arms import RecipeArms, RecipeCandidate

_SEEDS = 3
# More comparisons make each of them less certain.
_MOST = 3
# Without any gain so many are tried nevertheless: two faults may hide each other.
_WITHOUT_GAIN = 2
# A recipe that closes this part of the way from the best constant answer to the best arm needs no repair.
_NEAR = 0.9
# The part of the time that choosing may take.
_SHARE = 1 / 3
# Of remedies that change the length of steps only the best one is tried with fresh seeds.
_STEP_PLACES = {"learning_rate", "optimizer"}


class ChosenRemedies(NamedTuple):
    """The remedies that are tried with fresh seeds, and what is to be said of the choice."""

    remedies: list[Remedy]
    remarks: tuple[str, ...]


def choose(arms: RecipeArms, log: TrialLog, remedies: Sequence[Remedy]) -> ChosenRemedies:
    """Try all remedies with seeds that judge nothing else, and choose those that gain, the largest gain first.

    A recipe that is near the best arm needs no repair: none is chosen. Where there are no more remedies than are tried
    without any gain, there is nothing to choose.
    """
    if len(remedies) <= _WITHOUT_GAIN:
        return ChosenRemedies(list(remedies), ())
    candidates = [(remedy, arm) for remedy in remedies if (arm := _candidate(arms, remedy))]
    unchanged, scores = _tried(arms, log, [arm for _, arm in candidates])
    gains = {remedy.label: _gain(own, unchanged) for (remedy, _), own in zip(candidates, scores, strict=True)}
    remarks = (_in_words({label: gain for label, gain in gains.items() if gain > -math.inf}, arms.score),)
    if _is_near(unchanged, scores, arms.score):
        near = (
            f"The recipe closes at least {_NEAR:.0%} of the way from the best constant answer to the best of these arms"
        )
        return ChosenRemedies([], (f"{near}: it needs no repair.", *remarks))
    best: dict[str, Remedy] = {}
    for remedy, _ in sorted(candidates, key=lambda each: -gains[each[0].label]):
        best.setdefault(_subject_of(remedy), remedy)
    number = sum(gains[remedy.label] >= MARGIN for remedy in best.values()) or _WITHOUT_GAIN
    return ChosenRemedies(list(best.values())[: min(number, _MOST)], remarks)


def _candidate(arms: RecipeArms, remedy: Remedy) -> RecipeCandidate | None:
    """The arm of a remedy; None where it does not suit the recipe."""
    try:
        return arms.candidate(remedy.label, [setting_of(remedy)])
    except InputError:
        return None


def _tried(arms: RecipeArms, log: TrialLog, candidates: Sequence[RecipeCandidate]) -> tuple[ArmScores, list[ArmScores]]:
    """The scores of the unchanged recipe and of all candidates with the seeds of the choice."""
    first = max(log.seeds) + 1
    seeds = range(first, first + _SEEDS)
    now = time.monotonic()
    until = now + (log.until - now) * _SHARE
    if log.jobs is None:
        # How long one training takes decides whether processes are worth their start.
        log.run([(arms.unchanged, first)], until, "unchanged", jobs=1)
    log.run([(arm, seed) for seed in seeds for arm in (arms.unchanged, *candidates)], until, "choosing remedies")
    return (
        log.scores_of(arms.unchanged, arms.score, seeds),
        [log.scores_of(arm, arms.score, seeds) for arm in candidates],
    )


def _gain(arm: ArmScores, unchanged: ArmScores) -> float:
    """The mean gain over the seeds that both finish, or how many more seeds it finishes; -inf without a trial."""
    if not arm.tried or not unchanged.tried:
        return -math.inf
    found = differences(arm.values, unchanged.values, comparisons=1)[0]
    if found:
        return found.mean
    return float(np.isfinite(arm.values).sum() - np.isfinite(unchanged.values).sum())


def _is_near(unchanged: ArmScores, scores: Sequence[ArmScores], score: Score) -> bool:
    best = max((arm.mean for arm in scores if math.isfinite(arm.mean)), default=score.constant)
    return unchanged.mean - score.constant >= _NEAR * (best - score.constant) > 0


def _subject_of(remedy: Remedy) -> str:
    """What a remedy is about: its places, where all that change the length of steps are one."""
    return " ".join(sorted({"step" if place in _STEP_PLACES else place for place, _ in remedy.changes}))


def _in_words(gains: Mapping[str, float], score: Score) -> str:
    if not gains:
        return "The time was too short to choose among the remedies: the first ones are tried."
    ranked = sorted(gains, key=lambda label: -gains[label])
    listed = ", ".join(f"`{label}` {difference(score.measure, gains[label])}" for label in ranked)
    return f"Mean gains with the {_SEEDS} seeds of the choice, which judge nothing else: {listed}."
