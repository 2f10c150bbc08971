"""Prove remedies of a spec."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from ...core.errors import InputError
from ...core.progress import ProgressMessage
from ...doctor.findings import Remedy
from ...spec.spec import Spec
from ..compare import held
from .arms import ArmFactory
from .result import Proof
from .score import score_for
from .search import _Course


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
    """Try remedies of a spec, the most likely first, in trials paired by seed, and repair the spec by those that help.

    First the unchanged spec, each remedy, and for each remedy a random change of as many settings and no more updates,
    with the seeds `seed`, `seed + 1`, ...; then the remedies together: the best one that helps, and the others added in
    their order, each kept where it improves on what there was before. Where none helps alone, the first two, the first
    three, and so on. What gains by two seeds is tried with all before anything else is. The changes of a remedy are
    places of the completed spec, as `Run.spec` has it; of two remedies that want the same place the earlier has it.

    After `minutes` no trial is waited for; what was found by then is told. With a folder it holds the trials, which are
    not run again, and the proof (`Proof.save`). `jobs` is the number of processes (None: one for each core, where there
    is enough to do; 1: this one). Raises InputError where the spec does not suit its data, and KeyboardInterrupt at
    Ctrl-C; what is finished then lies in the folder, and the same call goes on.

    >>> spec = Spec.of({"data": "xor", "network": ["dense 4", "tanh", "dense 2"], "optimizer": "adam 1e-6",
    ...                 "training": {"epochs": 100, "engine": "eager"}})
    >>> proof = prove(spec, [Remedy("rate 0.1", (("optimizer.learning_rate", 0.1),))], seeds=3, jobs=1)
    >>> proof.effects[0].verdict, proof.repaired.optimizer
    ('helps', Adam(learning_rate=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-08))
    """
    _check(remedies)
    check_bounds(seeds, minutes, jobs)
    began = time.monotonic()
    bench = ArmFactory(spec, loading)
    until = math.inf if minutes is None else began + 60 * minutes
    path = Path(folder) if folder is not None else None
    with held(path) if path else nullcontext():
        numbers = range(seed, seed + seeds)
        course = _Course(bench, numbers, jobs, path, until, watch, score_for([bench.unchanged.split]))
        combinations, best, repair = course.whole(remedies)
        proof = Proof(
            bench.spec,
            course.score,
            numbers,
            course.came(bench.unchanged),
            course.effects,
            tuple(combinations),
            best.names if best else (),
            repair,
            best.candidate.spec if best else None,
            course.remarked(),
            time.monotonic() - began,
            path,
        )
        if path:
            watch(ProgressMessage("writing the report"))
            proof.save(path)
    return proof


def _check(remedies: Sequence[Remedy]) -> None:
    if not remedies:
        raise InputError("remedies", "expected at least one, received none; there is nothing to prove")
    labels = Counter(remedy.label for remedy in remedies)
    if twice := [label for label, count in labels.items() if count > 1]:
        raise InputError("remedies", f"expected a label of its own for each, received {twice[0]!r} twice")


def check_bounds(seeds: int | None, minutes: float | None, jobs: int | None) -> None:
    """Raise InputError for numbers of seeds, minutes or processes that no proof can have; None is none of them."""
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value is not None and value < 1:
            raise InputError(name, f"expected a whole number of at least 1, received {value}")
    if minutes is not None and not minutes > 0:
        raise InputError("minutes", f"expected a number above 0, received {minutes}")
