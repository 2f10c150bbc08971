"""Try the remedies of a spec in paired trials, and repair the spec."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from typing_extensions import TypedDict

from ...core.errors import InputError
from ...core.progress import ProgressMessage
from ...doctor.findings import Remedy
from ...spec.spec import CompleteSpec, Spec
from ..results import locked_folder
from .arms import ArmFactory, Candidate
from .effects import ArmScores, Combination, RemedyEffect
from .proof import Proof
from .score import Score
from .search import Repair, Search
from .trials import TrialLog
from .tried_arm import A


def prove(
    spec: Spec,
    remedies: Sequence[Remedy],
    *,
    seeds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    minutes: float | None = None,
    folder: str | Path | None = None,
    watch: Callable[[ProgressMessage], None] = lambda now: None,
    loading: Callable[[int, int], None] = lambda done, total: None,
) -> Proof:
    """Try remedies in trials paired by seed, and repair the spec by those that help.

    The unchanged spec and each remedy are tried first, together with a random change of as many settings and no more
    updates for each remedy. Then remedies are combined: starting from the best one that repairs, each of the others is
    added in their order and kept where it improves the result. Where no single remedy repairs, all pairs are screened
    with two further seeds, and those that gain are tried with the seeds of the other arms; then the first three
    remedies, and so on. Arms that gain with two seeds are tried with all seeds before others.

    Arms are scored on validation rows; where the spec has none, or they cannot score, on training rows that are held
    out in all trials; where the rows are too few for that, on the training rows.

    Args:
        spec: the spec.
        remedies: the remedies, the most likely first; they change places of the completed spec, as in `Run.spec`. Of
            two remedies that change the same place the earlier one is used.
        seeds: number of seeds of each arm.
        seed: the first seed; the others are seed + 1, seed + 2, ...
        jobs: number of processes. None: one for each core, where there is enough to do; 1: this process.
        minutes: the time after which trials are given up; the proof then covers what has finished.
        folder: keeps the trials and the proof (`Proof.save`); trials that it holds are not run again.
        watch: is called with the progress.
        loading: is called with the number of rows prepared and their total, while data are loaded.

    Raises:
        InputError: the spec does not suit its data, or an argument is invalid.
        NoScoreError: the rows cannot show whether an arm is better than another one.
        KeyboardInterrupt: at Ctrl-C; the same call with the same folder continues.

    >>> spec = Spec.of({"data": "rings", "network": ["dense 4", "tanh", "dense 2"], "optimizer": "adam 1e-6",
    ...                 "training": {"epochs": 10, "engine": "eager"}})
    >>> proof = prove(spec, [Remedy("rate 0.1", (("optimizer.learning_rate", 0.1),))], seeds=3, jobs=1)
    >>> proof.effects[0].verdict, proof.repaired.optimizer
    ('helps', Adam(learning_rate=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-08))
    """
    check_remedies(remedies)
    check_bounds(seeds, minutes, jobs)
    began = time.monotonic()
    factory = ArmFactory(spec, loading)
    until = math.inf if minutes is None else began + 60 * minutes
    path = Path(folder) if folder is not None else None
    log = TrialLog(range(seed, seed + seeds), jobs, path, until, watch)
    with locked_folder(path) if path else nullcontext():
        proof = _proof(Search(factory, log), factory.spec, remedies, began, path)
        if path:
            watch(ProgressMessage("writing the report"))
            proof.save(path)
    return proof


def _proof(
    search: Search[Candidate], spec: CompleteSpec, remedies: Sequence[Remedy], began: float, folder: Path | None
) -> Proof:
    repair = search.run(remedies)
    return Proof(
        spec=spec,
        repaired=repair.best.candidate.spec if repair.best else None,
        **results_of(search, repair),
        seconds=time.monotonic() - began,
        folder=folder,
    )


class SearchResults(TypedDict):
    """What a search gives to any proof; the fields are those of `RemedyTrials`."""

    score: Score
    seeds: Sequence[int]
    unchanged: ArmScores
    effects: tuple[RemedyEffect, ...]
    combinations: tuple[Combination, ...]
    chosen: tuple[str, ...]
    repair: RemedyEffect | None
    remarks: tuple[str, ...]


def results_of(search: Search[A], repair: Repair[A]) -> SearchResults:
    """The results of a search that has ended."""
    return SearchResults(
        score=search.score,
        seeds=search.log.seeds,
        unchanged=search.unchanged,
        effects=search.effects,
        combinations=tuple(repair.combinations),
        chosen=repair.best.names if repair.best else (),
        repair=repair.effect,
        remarks=search.remarks,
    )


def check_remedies(remedies: Sequence[Remedy]) -> None:
    """Raise InputError for no remedies, or two of the same label."""
    if not remedies:
        raise InputError("remedies", "expected at least one remedy, received none")
    labels = Counter(remedy.label for remedy in remedies)
    if repeated := [label for label, count in labels.items() if count > 1]:
        raise InputError("remedies", f"expected a different label for each remedy, received {repeated[0]!r} twice")


def check_bounds(seeds: int | None, minutes: float | None, jobs: int | None) -> None:
    """Raise InputError for an invalid number of seeds, minutes or processes; None is valid."""
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value is not None and value < 1:
            raise InputError(name, f"expected a whole number of at least 1, received {value}")
    if minutes is not None and not minutes > 0:
        raise InputError("minutes", f"expected a number above 0, received {minutes}")
