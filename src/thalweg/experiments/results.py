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

from ..errors import InputError
from ..folders import make_folder, read_records, read_result, write_spec
from ..runs import Run

TRIALS = "trials"


class Result(NamedTuple):
    """What the comparison needs of a run; `folder` is where the whole of it lies, if anywhere."""

    history: list[dict[str, float]]
    measures: dict[str, dict[str, float]]
    outcome: str
    diverged: str
    seconds: float
    folder: Path | None = None


def result_of(run: Run) -> Result:
    """The result of a run in memory."""
    return Result(run.history, run.measures, run.outcome, run.diverged, run.seconds)


def read_results(folder: Path, keys: Iterable[str]) -> dict[str, Result]:
    """The results of those of the trials that lie finished in the folder of an experiment."""
    found = {}
    for key in keys:
        path = folder / TRIALS / key
        if path.is_dir():
            result = read_result(path)
            history = read_records(path / "metrics.jsonl")
            chosen = {name: result[name] for name in ("measures", "outcome", "diverged", "seconds")}
            found[key] = Result(history, **chosen, folder=path)
    return found


def write_trial(folder: Path, key: str, run: Run) -> Path:
    """Write the run of a trial into the folder of an experiment, whole or not at all. Raises InputError."""
    path = folder / TRIALS / key
    beside = path.with_name(f".{key}.part")
    try:
        if beside.exists():
            shutil.rmtree(beside)
        write_spec(make_folder(beside), run.spec)
        run.write(beside)
        os.replace(beside, path)
    except OSError as error:
        raise InputError(str(path), f"can not be written: {error.strerror or error}") from error
    return path
