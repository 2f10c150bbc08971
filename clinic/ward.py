"""Runs that are kept: a spec is trained once, with what the doctor looks at, and found again by what decides it.

A run lies in a folder of the cache (clinic/runs, unless told otherwise) under a key: the SHA-256 of its spec and of its
rows. What a change of Thalweg's own arithmetic does to it the key does not know: remove the folder then.
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


class Stay(NamedTuple):
    """A spec with a seed, and the key of its run; by what it is scored, and what its rows allow."""

    name: str
    seed: int
    spec: CompleteSpec
    key: str
    measure: str
    rows: Range


class _Rows(NamedTuple):
    """What is known of the rows of a spec."""

    train: Dataset
    prints: dict[str, int]
    allow: Range


def stays(specs: Mapping[str, Spec], seeds: Sequence[int] | None = None) -> list[Stay]:
    """The runs of each spec with its own seed, or with each of several, all specs with one seed before the next."""
    known: dict[str, _Rows] = {}
    ranges: dict[str, Range] = {}
    wholes = {}
    for name, spec in specs.items():
        data = canonical_json(spec.data.describe())
        if data not in known:
            split = spec.data.load(seed=0)
            assert isinstance(split.train, Dataset)
            # A forest does not mind how inputs are scaled.
            held = canonical_json([spec.data.source.describe(), spec.data.test, spec.data.validation])
            if held not in ranges:
                ranges[held] = range_of(split.train)
            known[data] = _Rows(split.train, fingerprints(split), ranges[held])
        wholes[name] = dataclasses.replace(completed(spec, known[data].train), probes=Standard()), known[data]
    return [
        _stay(name, spec.training.seed if seed is None else seed, spec, rows)
        for seed in seeds or [None]
        for name, (spec, rows) in wholes.items()
    ]


def _stay(name: str, seed: int, spec: CompleteSpec, rows: _Rows) -> Stay:
    whole = dataclasses.replace(spec, training=dataclasses.replace(spec.training, seed=seed))
    table = whole.describe()
    # Rows are told by their fingerprints: where their file lies does not matter.
    table["data"] = {key: value for key, value in table["data"].items() if key != "source"}
    decided = canonical_json({"spec": table, "rows": rows.prints})
    key = hashlib.sha256(decided.encode()).hexdigest()[:16]
    return Stay(name, seed, whole, key, measure_of(rows.train), rows.allow)


def trained(wanted: Sequence[Stay], cache: Path = CACHE, jobs: int | None = None) -> dict[tuple[str, int], Path]:
    """The folder of each run by name and seed; those that are not there are trained. Progress goes to stderr."""
    missing = {stay.key: stay for stay in wanted if not (cache / stay.key).is_dir()}
    trials = [Trial(Arm(stay.name, ()), stay.seed, stay.spec, stay.key) for stay in missing.values()]
    done = 0

    def finished(trial: Trial, path: Path) -> None:
        nonlocal done
        done += 1
        os.replace(path, cache / trial.key)
        print(f"{done} of {len(trials)}: {trial.arm.label}, seed {trial.seed}", file=sys.stderr, flush=True)

    if trials:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=cache) as folder:
            failed = run_trials(trials, Path(folder), finished, jobs)
        if failed:
            key, error = next(iter(failed.items()))
            raise InputError(missing[key].name, str(error))
    return {(stay.name, stay.seed): cache / stay.key for stay in wanted}


def outcomes(wanted: Sequence[Stay], cache: Path = CACHE, jobs: int | None = None) -> dict[tuple[str, int], Outcome]:
    """What each run came to, by name and seed."""
    folders = trained(wanted, cache, jobs)
    return {
        (stay.name, stay.seed): outcome_of(
            stay.measure, stay.rows, stay.seed, read_trial(folders[stay.name, stay.seed])
        )
        for stay in wanted
    }
