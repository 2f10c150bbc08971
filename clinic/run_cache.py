"""A cache of runs: each spec is trained once, with the probes that the doctor needs.

A run is a folder of the cache (clinic/runs by default). Its name is a key: the SHA-256 of the spec and of the rows. The
key does not depend on Thalweg's own code: after a change of its arithmetic, remove the folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from learns import Outcome, Range, measure_of, outcome_of, range_of
from thalweg.core.errors import InputError
from thalweg.data import Dataset
from thalweg.experiments.experiment import Trial
from thalweg.experiments.results import read_trial
from thalweg.experiments.runner import run_trials
from thalweg.experiments.variation import Arm
from thalweg.parts.settings import Standard
from thalweg.spec.complete import completed
from thalweg.spec.differences import canonical_json
from thalweg.spec.spec import CompleteSpec, Spec
from thalweg.training.checkpoints import fingerprints

CACHE = Path(__file__).parent / "runs"


class CachedRun(NamedTuple):
    """A spec with a seed, and the place of its run in the cache."""

    name: str
    seed: int
    spec: CompleteSpec
    key: str
    """Name of the folder in the cache."""
    train: Dataset
    """The training rows."""
    rows: str
    """Identity of the training rows, whatever their scale."""


class _Rows(NamedTuple):
    """The training rows of a spec, their fingerprints, and their identity whatever their scale."""

    train: Dataset
    prints: dict[str, int]
    unscaled: str


def cached_runs(specs: Mapping[str, Spec], seeds: Sequence[int] | None = None) -> list[CachedRun]:
    """The runs of each spec with the seed in the spec, or all specs with the first of several seeds, then the next."""
    rows_by_data: dict[str, _Rows] = {}
    wholes = {}
    for name, spec in specs.items():
        prepared = spec.prepared_data
        data = canonical_json(prepared.describe())
        if data not in rows_by_data:
            split = prepared.load(seed=0)
            assert isinstance(split.train, Dataset)
            unscaled = canonical_json([spec.data.source.describe(), spec.data.test, spec.data.validation])
            rows_by_data[data] = _Rows(split.train, fingerprints(split), unscaled)
        rows = rows_by_data[data]
        wholes[name] = dataclasses.replace(completed(spec, rows.train), probes=Standard()), rows
    return [
        _cached_run(name, spec.training.seed if seed is None else seed, spec, rows)
        for seed in seeds or [None]
        for name, (spec, rows) in wholes.items()
    ]


def _cached_run(name: str, seed: int, spec: CompleteSpec, rows: _Rows) -> CachedRun:
    whole = dataclasses.replace(spec, training=dataclasses.replace(spec.training, seed=seed))
    table = whole.describe()
    # The fingerprints stand for the rows, so that the place of their file makes no difference.
    table["data"] = {key: value for key, value in table["data"].items() if key != "source"}
    identity = canonical_json({"spec": table, "rows": rows.prints})
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return CachedRun(name=name, seed=seed, spec=whole, key=key, train=rows.train, rows=rows.unscaled)


def folders_of(runs: Sequence[CachedRun], cache: Path = CACHE, jobs: int | None = None) -> dict[tuple[str, int], Path]:
    """The folder of each run by name and seed; runs that are missing are trained. Progress goes to stderr."""
    missing = {run.key: run for run in runs if not (cache / run.key).is_dir()}
    trials = [Trial(Arm(run.name, ()), run.seed, run.spec, run.key) for run in missing.values()]
    done = 0

    def on_finished(trial: Trial, path: Path) -> None:
        nonlocal done
        done += 1
        os.replace(path, cache / trial.key)
        print(f"{done} of {len(trials)}: {trial.arm.label}, seed {trial.seed}", file=sys.stderr, flush=True)

    if trials:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=cache) as folder:
            failed = run_trials(trials, Path(folder), on_finished, jobs)
        if failed:
            key, error = next(iter(failed.items()))
            raise InputError(missing[key].name, str(error))
    return {(run.name, run.seed): cache / run.key for run in runs}


def outcomes_of(
    runs: Sequence[CachedRun], cache: Path = CACHE, jobs: int | None = None
) -> dict[tuple[str, int], Outcome]:
    """The outcome of each run by name and seed; runs that are missing are trained."""
    folders = folders_of(runs, cache, jobs)
    ranges: dict[str, Range] = {}
    outcomes = {}
    for run in runs:
        # The scaling of the inputs makes no difference to a forest, which finds the attainable score.
        if run.rows not in ranges:
            ranges[run.rows] = range_of(run.train)
        result = read_trial(folders[run.name, run.seed])
        outcomes[run.name, run.seed] = outcome_of(measure_of(run.train), ranges[run.rows], run.seed, result)
    return outcomes
