"""Results of trials, and the folder of an experiment. The trials are the data; all other files are made from them.

experiment.toml             the spec with its variations
trials/KEY/                 one run for each trial, without its report (`thalweg report` makes it)
trials.parquet, trials.csv  the table of all trials
arms.csv, arms.md, arms.tex  the table of the arms, for a paper
best.toml                   the spec of the best arm
report.html                 the comparison, a page that works offline
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..core.errors import InputError
from ..core.files import replace
from ..core.locks import locked
from ..runs.run import Run
from ..runs.run_folder import make_room, read_history, read_result, write_spec

EXPERIMENT_FILE = "experiment.toml"
"""The spec with its variations, in an experiment's folder."""
TRIALS = "trials"
"""The folder of the finished trials, inside of an experiment's folder."""
RUNNING = ".running-"
"""How the temporary folders of running trials begin, inside of an experiment's folder."""


class TrialResult(NamedTuple):
    """What a comparison needs of a run.

    Attributes:
        history: one record for each epoch.
        measures: the final measures by set ("training", "validation", "test"), each by name.
        outcome: how the training ended, in a sentence.
        diverged: what diverged and when; empty where nothing did.
        seconds: the time that the training took.
        folder: the folder of the run; None where it was not kept.
    """

    history: list[dict[str, float]]
    measures: Mapping[str, Mapping[str, float]]
    outcome: str
    diverged: str
    seconds: float
    folder: Path | None = None


def read_trial(path: Path) -> TrialResult:
    """The result of the run in a folder. Raises InputError where one of its files is missing or damaged."""
    result = read_result(path)
    return TrialResult(
        history=read_history(path),
        measures=result["measures"],
        outcome=result["outcome"],
        diverged=result["diverged"],
        seconds=result["seconds"],
        folder=path,
    )


def read_results(folder: Path, keys: Iterable[str]) -> dict[str, TrialResult]:
    """The results of those trials that an experiment's folder holds, by key."""
    paths = {key: folder / TRIALS / key for key in keys}
    return {key: read_trial(path) for key, path in paths.items() if path.is_dir()}


def write_run(path: Path, run: Run) -> None:
    """Write the run of a trial, without its report; an unfinished run there is replaced. Raises InputError."""
    if path.exists():
        shutil.rmtree(path)
    write_spec(make_room(path), run.spec)
    run.write(path)


def keep_trial(path: Path, folder: Path) -> Path:
    """Move the folder of a finished run to the trials of an experiment's folder. Raises InputError."""
    place = folder / TRIALS / path.name
    try:
        replace(path, place)
    except OSError as error:
        raise InputError(str(place), f"cannot be written: {error.strerror or error}") from error
    return place


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """An experiment's folder, locked for this process, without the remains of trials that were cut off.

    Raises:
        InputError: another process holds the lock, or the folder cannot be made or written.
    """
    make_room(folder / TRIALS)
    with locked(folder):
        for remains in folder.glob(f"{RUNNING}*"):
            shutil.rmtree(remains, ignore_errors=True)
        yield
