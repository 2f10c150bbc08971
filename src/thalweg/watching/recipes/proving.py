"""Try the remedies of a recipe in paired trials."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...core.intervals import differences
from ...core.progress import ProgressMessage
from ...doctor.findings import Remedy
from ...experiments.remedy_trials.arms import setting_of
from ...experiments.remedy_trials.effects import MARGIN
from ...experiments.remedy_trials.prove import check_bounds, check_remedies, results_of
from ...experiments.remedy_trials.search import Search
from ...experiments.remedy_trials.trials import TrialLog
from ...experiments.results import locked_folder
from .proof import RecipeProof
from .recipe import Recipe
from .remedies import remedies_for
from .trials import RecipeArms, RecipeCandidate, RecipeSource, check_importable

# Remedies are chosen with this many seeds, which judge nothing else.
_SCREENING_SEEDS = 3
# So many remedies are tried with fresh seeds at most; without any gain so many nevertheless: two faults may hide
# each other. More comparisons make each of them less certain.
_MOST = 3
_WITHOUT_GAIN = 2
# Of remedies that change the length of steps only the best is tried with fresh seeds.
_STEP_PLACES = {"learning_rate", "optimizer"}
# The part of the time that choosing may take.
_SCREENING_SHARE = 1 / 3


def prove_recipe(
    source: RecipeSource,
    remedies: Sequence[Remedy] | None = None,
    *,
    seeds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    minutes: float | None = None,
    folder: str | Path | None = None,
    watch: Callable[[ProgressMessage], None] = lambda now: None,
) -> RecipeProof:
    """Try remedies of a recipe in trials paired by seed; see `thalweg.prove`.

    Remedies are chosen on seeds of their own, and judged on fresh ones.

    Raises:
        InputError: the factories do not fit together, or other processes cannot import them.
        NoScoreError: the held-out rows cannot show whether an arm is better than another one.
        KeyboardInterrupt: at Ctrl-C.
    """
    check_bounds(seeds, minutes, jobs)
    began = time.monotonic()
    if isinstance(source, Recipe) and jobs != 1:
        check_importable(source)
    arms = RecipeArms(source)
    tried = list(remedies_for(arms.parts()) if remedies is None else remedies)
    check_remedies(tried)
    until = math.inf if minutes is None else began + 60 * minutes
    path = Path(folder) if folder is not None else None
    log = TrialLog(range(seed, seed + seeds), jobs, path, until, watch)
    with locked_folder(path) if path else nullcontext():
        search = Search(arms, log)
        repair = search.run(_chosen(arms, log, tried))
        proof = RecipeProof(
            changes=repair.best.candidate.changes if repair.best else None,
            **results_of(search, repair),
            seconds=time.monotonic() - began,
            folder=path,
        )
        if path:
            watch(ProgressMessage("writing the report"))
            proof.save(path)
    return proof


def _chosen(arms: RecipeArms, log: TrialLog, remedies: Sequence[Remedy]) -> list[Remedy]:
    """The remedies that gain most with the screening seeds, in the order of their gains."""
    if len(remedies) <= _WITHOUT_GAIN:
        return list(remedies)
    candidates = {remedy.label: _candidate(arms, remedy) for remedy in remedies}
    able = [arm for arm in candidates.values() if arm]
    first = max(log.seeds) + 1
    seeds = range(first, first + _SCREENING_SEEDS)
    now = time.monotonic()
    until = now + (log.until - now) * _SCREENING_SHARE
    if log.jobs is None:
        # How long one training takes decides whether processes are worth their start.
        log.run([(arms.unchanged, first)], until, "unchanged", jobs=1)
    log.run([(arm, seed) for seed in seeds for arm in (arms.unchanged, *able)], until, "choosing remedies")
    unchanged = log.scores_of(arms.unchanged, arms.score, seeds).values

    def gain(remedy: Remedy) -> float:
        arm = candidates[remedy.label]
        if arm is None:
            return -math.inf
        scores = log.scores_of(arm, arms.score, seeds).values
        found = differences(scores, unchanged, comparisons=1)[0]
        if found:
            return found.mean
        # Where the unchanged recipe diverges, finishing is a gain.
        return float(np.isfinite(scores).sum() - np.isfinite(unchanged).sum())

    gains = {remedy.label: gain(remedy) for remedy in remedies}
    best: dict[str, Remedy] = {}
    for remedy in sorted(remedies, key=lambda remedy: -gains[remedy.label]):
        if gains[remedy.label] > -math.inf:
            best.setdefault(_subject_of(remedy), remedy)
    number = sum(gains[remedy.label] >= MARGIN for remedy in best.values()) or _WITHOUT_GAIN
    return list(best.values())[: min(number, _MOST)]


def _subject_of(remedy: Remedy) -> str:
    """What a remedy is about: its places, where all that change the length of steps are one."""
    return " ".join(sorted({"step" if place in _STEP_PLACES else place for place, _ in remedy.changes}))


def _candidate(arms: RecipeArms, remedy: Remedy) -> RecipeCandidate | None:
    """The arm of a remedy; None where it does not suit the recipe."""
    try:
        return arms.candidate(remedy.label, [setting_of(remedy)])
    except InputError:
        return None
