"""The folder of a run and its plain files, all but those that hold arrays.

run.json                    version of the format of these files
spec.toml                   everything that decides the run
metrics.jsonl               one line for each epoch
probes.jsonl                one line for each look of the probes
frames.*                    the outputs on a plane of the inputs during training, and their manifest
frames.jsonl                the same while the training runs, one line for each frame
checkpoints/step-*          what is needed to resume the training (`training/checkpoints.py`)
checkpoints/final.*         the state that predicts (safetensors), its manifest with SHA-256 and the preprocessing
result.json                 outcome, measures of each set, facts and notes
report.html                 the report, for a browser without a network
.lock                       who writes here (`core/locks.py`)

A training writes the records first, then the checkpoint that they belong to. result.json comes when all other files are
there, and only the report after it: it is there if and only if the run has ended, or was interrupted, with these files.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, cast

from ..core.errors import InputError
from ..core.files import Json, commit
from ..core.locks import LOCK_FILE, locked, sweep
from ..models.network import Network
from ..models.summary import network_in_words
from ..spec.spec import Spec, data_name
from ..spec.toml import read_spec, to_toml
from ..training.checkpoints import checkpoint_folder

FORMAT = 1
"""Version of the files in the folder of a run. Folders of version 0 have no run.json, and are read like version 1."""


class Result(TypedDict):
    """The fields of a run in result.json."""

    outcome: str
    """How the training ended, in a sentence."""
    seconds: float
    """How long it took."""
    remarks: list[str]
    """What was found besides the measures."""
    interrupted: bool
    """Whether a signal ended it."""
    diverged: str
    """The number that became NaN or infinite first, or ""."""
    threshold: float | None
    """The tuned decision threshold."""
    measures: dict[str, dict[str, float]]
    """Measures by set of rows."""
    confusion: list[list[int]] | None
    """Counts by true class (row) and predicted class (column)."""
    facts: dict[str, str]
    """What the report lists of the training."""
    notes: list[str]
    """Notes on the rows."""
    per_epoch: int
    """Updates in an epoch."""


RESULT = tuple(Result.__annotations__)
"""The names of these fields."""
RESULT_FILE = "result.json"
REPORT_FILE = "report.html"


class RunRow(NamedTuple):
    """A line in the list of runs."""

    name: str
    """Name of the folder."""
    finished: str
    """Date and time of the end; "" for an interrupted training."""
    data: str
    """The data source."""
    network: str
    """The layers in words."""
    epochs: int
    """Epochs that have ended."""
    outcome: str
    """How the training ended, or the error that its folder raises."""
    measures: dict[str, dict[str, float]]
    """Measures by set of rows."""


def new_folder(name: str, parent: Path = Path("runs")) -> Path:
    """A folder for a run that does not exist yet: its name, the time to the second, and a number where needed."""
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = (parent / (stem if number == 1 else f"{stem}-{number}") for number in range(1, 10_000))
    return next(path for path in candidates if not path.exists())


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """The folder of a run for this process alone, without half-written files of processes that died.

    Raises:
        InputError: another process writes there, it cannot be written, or its checkpoints are a link to elsewhere.
    """
    with locked(folder):
        sweep(checkpoint_folder(folder))
        yield


@contextmanager
def new_run_folder(folder: Path) -> Iterator[None]:
    """A new folder of a run, for this process alone.

    Raises:
        InputError: it is not empty, another process writes there, or it cannot be made or written.
    """
    make_room(folder)
    _expect_empty(folder)
    with writing(folder):
        _expect_empty(folder)
        yield


def _expect_empty(folder: Path) -> None:
    if any(path.name != LOCK_FILE for path in folder.iterdir()):
        raise InputError(str(folder), "expected a new or an empty folder, received one that holds files")


def make_room(folder: Path) -> Path:
    """Make a folder unless it exists. Raises InputError where it cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(str(folder), f"cannot be used as a folder to write to: {error.strerror or error}") from error
    return folder


def write_spec(folder: Path, spec: Spec) -> None:
    """Write run.json and spec.toml, the files that a run has from its start."""
    # A folder with a spec alone is one of version 0, and can be resumed; a folder without a spec is none of a run.
    commit(folder / "spec.toml", to_toml(spec).encode())
    commit(folder / "run.json", json.dumps({"format": FORMAT}).encode() + b"\n")


def check_format(folder: Path) -> None:
    """Raise InputError unless a folder is that of a run, in a format that this version reads."""
    if not (folder / "spec.toml").is_file():
        raise InputError(
            str(folder), "not a run folder: spec.toml is missing; `thalweg runs` lists the runs of a folder"
        )
    path = folder / "run.json"
    if not path.exists():
        return
    try:
        version = json.loads(path.read_bytes())["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), f"cannot be read: {error!r}") from error
    if not isinstance(version, int) or version > FORMAT:
        fix = "it was written by a newer version of thalweg: upgrade this one"
        raise InputError(str(path), f"expected a format of at most {FORMAT}, received {version!r}; {fix}")


def json_line(record: Mapping[str, object]) -> bytes:
    """A line of metrics.jsonl, probes.jsonl or frames.jsonl."""
    return json.dumps(record).encode() + b"\n"


class Journal:
    """A file of a running training with one line for each record.

    Args:
        path: the file; it is replaced as a whole.
        records: the records of the training before it was resumed.

    Attributes:
        written: number of records in the file.
    """

    def __init__(self, path: Path, records: Iterable[Mapping[str, object]] = ()) -> None:
        self.path = path
        lines = [json_line(record) for record in records]
        self.written = len(lines)
        commit(self.path, b"".join(lines))

    def append(self, records: Iterable[Mapping[str, object]], flush: bool = False) -> None:
        """Append records; `flush` forces all to the disk. Raises InputError where that fails."""
        lines = [json_line(record) for record in records]
        try:
            with open(self.path, "ab") as file:
                file.writelines(lines)
                self.written += len(lines)
                if flush:
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise InputError(str(self.path), f"cannot be written: {error.strerror or error}") from error


def read_result(folder: Path) -> Result:
    """The content of result.json. Raises InputError where it is missing or damaged."""
    path = folder / RESULT_FILE
    try:
        result: Json = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"cannot be read: {error}") from error
    if not isinstance(result, dict) or not set(RESULT) <= set(result):
        raise InputError(str(path), f"expected a table with {', '.join(RESULT)}")
    return cast(Result, result)


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl, probes.jsonl or frames.jsonl by rising step.

    Lines that a crash has torn are left out, and so is all but the last of the records with the same step: earlier
    versions let two processes write the same file. Raises InputError where the file cannot be read.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror or error}") from error
    by_step: dict[int, dict[str, Any]] = {}
    for line in content.splitlines():
        try:
            record: Json = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(step := record.get("step"), int):
            by_step[step] = record
    return [by_step[step] for step in sorted(by_step)]


def list_runs(parent: Path) -> list[RunRow]:
    """The runs in a folder, the oldest first; interrupted ones are marked."""
    rows = [_row(path.parent) for path in sorted(parent.glob("*/spec.toml"))]
    return sorted(rows, key=lambda row: row.finished)


def _row(folder: Path) -> RunRow:
    try:
        check_format(folder)
        spec = read_spec(str(folder / "spec.toml"))
        result = read_result(folder) if (folder / RESULT_FILE).exists() else None
        epochs = len(read_records(folder / "metrics.jsonl"))
    except InputError as error:
        return RunRow(name=folder.name, finished="", data="", network="", epochs=0, outcome=str(error), measures={})
    return RunRow(
        name=folder.name,
        finished=result["facts"].get("finished", "") if result else "",
        data=data_name(spec),
        network=network_in_words(spec.network) if isinstance(spec.network, Network) else "",
        epochs=epochs,
        outcome=result["outcome"] if result else f"Interrupted; resume it: thalweg train --resume {folder}",
        measures=result["measures"] if result else {},
    )
