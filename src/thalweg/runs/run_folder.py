"""The folder of a run and its plain files, all but those that hold arrays.

run.json                    version of the format of these files
spec.toml                   everything that decides the run
metrics.jsonl               one line for each epoch
probes.jsonl                one line for each look of the probes
frames.*                    the outputs on a plane of the inputs during training, and their manifest
checkpoints/step-*          what is needed to resume the training (`training/checkpoints.py`)
checkpoints/final.*         the state that predicts (safetensors), its manifest with SHA-256 and the preprocessing
result.json                 outcome, measures of each set, facts and notes
report.html                 the report, for a browser without a network
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, cast

from ..core.errors import InputError
from ..core.files import Json, commit
from ..models.network import Network
from ..models.summary import network_in_words
from ..spec.spec import Spec, data_name
from ..spec.toml import read_spec, to_toml

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


def make_folder(folder: Path) -> Path:
    """Make the folder of a run. Raises InputError where it is not empty, or cannot be made or written."""
    make_room(folder)
    if any(folder.iterdir()):
        raise InputError(str(folder), "expected a new or an empty folder, received one that holds files")
    return folder


def make_room(folder: Path) -> Path:
    """Make a folder unless it exists. Raises InputError where it cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(str(folder), f"cannot be used as a folder to write to: {error.strerror or error}") from error
    return folder


def write_spec(folder: Path, spec: Spec) -> None:
    """Write run.json and spec.toml, the files that a run has from its start."""
    commit(folder / "run.json", json.dumps({"format": FORMAT}).encode() + b"\n")
    commit(folder / "spec.toml", to_toml(spec).encode())


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
    """A line of metrics.jsonl or probes.jsonl."""
    return json.dumps(record).encode() + b"\n"


class Journal:
    """A file of a running training with one line for each record.

    Args:
        path: the file; it is written anew.
        history: the records of the training before it was resumed.
    """

    def __init__(self, path: Path, history: Sequence[Mapping[str, object]] = ()) -> None:
        self.path = path
        self.written = len(history)
        commit(self.path, b"".join(map(json_line, history)))

    def write(self, history: Sequence[Mapping[str, object]], flush: bool = False) -> None:
        """Append the records that are new; `flush` forces them to the disk. Raises InputError where that fails."""
        try:
            with open(self.path, "ab") as file:
                file.writelines(map(json_line, history[self.written :]))
                self.written = max(self.written, len(history))
                if flush:
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise InputError(str(self.path), f"cannot be written: {error.strerror or error}") from error


def read_result(folder: Path) -> Result:
    """The content of result.json. Raises InputError where it is missing or damaged."""
    path = folder / "result.json"
    try:
        result: Json = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"cannot be read: {error}") from error
    if not isinstance(result, dict) or not set(RESULT) <= set(result):
        raise InputError(str(path), f"expected a table with {', '.join(RESULT)}")
    return cast(Result, result)


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl or probes.jsonl, without a last line that a crash has torn.

    Raises InputError where the file cannot be read.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror or error}") from error
    records = []
    for line in content.splitlines():
        try:
            record: Json = json.loads(line)
        except ValueError:
            break
        if not isinstance(record, dict):
            break
        records.append(record)
    return records


def list_runs(parent: Path) -> list[RunRow]:
    """The runs in a folder, the oldest first; interrupted ones are marked.

    Raises OSError where the folder cannot be read.
    """
    rows = [_row(folder) for folder in sorted(parent.iterdir()) if _may_be_run(folder)]
    return sorted(rows, key=lambda row: row.finished)


def _may_be_run(folder: Path) -> bool:
    """Whether a folder has the spec of a run, or hides what it has."""
    try:
        return (folder / "spec.toml").exists()
    except PermissionError:
        return True


def _row(folder: Path) -> RunRow:
    try:
        check_format(folder)
        spec = read_spec(str(folder / "spec.toml"))
        result = read_result(folder) if (folder / "result.json").exists() else None
        epochs = len(read_records(folder / "metrics.jsonl"))
    except (InputError, PermissionError) as error:
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
