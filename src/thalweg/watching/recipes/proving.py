"""Try the remedies of a recipe in paired trials."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from ...core.progress import ProgressMessage
from ...doctor.findings import Remedy
from ...experiments.remedy_trials.prove import check_bounds, check_remedies, results_of
from ...experiments.remedy_trials.search import Search
from ...experiments.remedy_trials.trials import TrialLog
from ...experiments.results import locked_folder
from ...pages.numbers import count_noun
from .arms import RecipeArms
from .choice import choose
from .origin import check_importable
from .proof import RecipeProof
from .recipe import Recipe
from .remedies import remedies_for
from .trials import RecipeSource


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
    tried = list(remedies_for(arms.parts) if remedies is None else remedies)
    check_remedies(tried)
    until = math.inf if minutes is None else began + 60 * minutes
    path = Path(folder) if folder is not None else None
    log = TrialLog(range(seed, seed + seeds), jobs, path, until, watch)
    with locked_folder(path) if path else nullcontext():
        search = Search(arms, log)
        choice = choose(arms, log, tried)
        repair = search.run(choice.remedies)
        results = results_of(search, repair)
        results["remarks"] = (*_not_scored(arms), *choice.remarks, *results["remarks"])
        proof = RecipeProof(
            changes=repair.best.candidate.changes if repair.best else None,
            **results,
            seconds=time.monotonic() - began,
            folder=path,
        )
        if path:
            watch(ProgressMessage("writing the report"))
            proof.save(path)
    return proof


def _not_scored(arms: RecipeArms) -> tuple[str, ...]:
    count = arms.rows.not_scored
    return (
        (f"Left out of every score: {count_noun(count, 'held-out row')} with a NaN or an infinity.",) if count else ()
    )
