"""What comes of a trial, and the folder of an experiment: its trials are the truth, all else is made from them.

experiment.toml             the spec with its variations
trials/KEY/                 one run for each trial, without its report (`thalweg report` makes it)
trials.parquet, trials.csv  the table of all trials
best.toml                   the spec of the best arm
report.html                 the comparison, for a browser, offline
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..core.errors import InputError
from ..runs.run import Run
from ..runs.run_folder import make_folder, read_records, read_result, write_spec

TRIALS = "trials"


class TrialResult(NamedTuple):
    """What the comparison needs of a run; `folder` is where the whole of it lies, if anywhere."""

    history: list[dict[str, float]]
    measures: dict[str, dict[str, float]]
    outcome: str
    diverged: str
    seconds: float
    folder: Path | None = None


def read_trial(path: Path) -> TrialResult:
    """The result of the run in a folder. Raises InputError where a file of it is missing or damaged."""
    found = read_result(path)
    chosen = {name: found[name] for name in ("measures", "outcome", "diverged", "seconds")}
    return TrialResult(read_records(path / "metrics.jsonl"), **chosen, folder=path)


def read_results(folder: Path, keys: Iterable[str]) -> dict[str, TrialResult]:
    """The results of those of the trials that lie finished in the folder of an experiment."""
    paths = {key: folder / TRIALS / key for key in keys}
    return {key: read_trial(path) for key, path in paths.items() if path.is_dir()}


def write_run(path: Path, run: Run) -> None:
    """Write the run of a trial, without its report, in the place of one that was broken off. Raises InputError."""
    if path.exists():
        shutil.rmtree(path)
    write_spec(make_folder(path), run.spec)
    run.write(path)


def keep_trial(path: Path, folder: Path) -> Path:
    """Move the whole folder of a run among the finished trials of an experiment's folder. Raises InputError."""
    place = folder / TRIALS / path.name
    try:
        os.replace(path, place)
    except OSError as error:
        raise InputError(str(place), f"can not be written: {error.strerror or error}") from error
    return place
