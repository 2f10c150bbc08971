"""The folder of a run: its plain files, but for the state itself.

spec.toml                   everything that decides the run
metrics.jsonl               one line an epoch
probes.jsonl                one line for each look of the probes
frames.*                    what the network answered on a plane through its training, and its manifest
checkpoints/step-*          what the training needs to go on (`snapshots`)
checkpoints/final.*         the state that answers (safetensors), and its manifest with SHA-256 and the preprocessing
result.json                 outcome, measures by set, facts and notes
report.html                 the report, for a browser, offline
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import InputError
from ..core.files import commit
from ..models.network import Network
from ..models.summary import network_in_words
from ..spec.spec import Spec, data_name
from ..spec.toml import read_spec, to_toml

# What result.json holds of a run.
RESULT = (
    "outcome",
    "seconds",
    "remarks",
    "interrupted",
    "diverged",
    "threshold",
    "measures",
    "confusion",
    "facts",
    "notes",
    "per_epoch",
)


class Row(NamedTuple):
    """One line of the list of runs."""

    name: str
    finished: str
    data: str
    network: str
    epochs: int
    outcome: str
    measures: dict[str, dict[str, float]]


def new_folder(name: str, parent: Path = Path("runs")) -> Path:
    """A folder for a run that does not exist yet: its name and the time, to the second, and a number if need be."""
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = (parent / (stem if number == 1 else f"{stem}-{number}") for number in range(1, 10_000))
    return next(path for path in candidates if not path.exists())


def make_folder(folder: Path) -> Path:
    """Make the folder of a run. Raises InputError where it holds something already, or can not be made or written."""
    make_room(folder)
    if any(folder.iterdir()):
        raise InputError(str(folder), "expected a new or an empty folder, and this one holds files")
    return folder


def make_room(folder: Path) -> Path:
    """Make a folder if there is none. Raises InputError where it can not be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(str(folder), f"can not be used as a folder to write to: {error.strerror or error}") from error
    return folder


def write_spec(folder: Path, spec: Spec) -> None:
    """Write spec.toml."""
    commit(folder / "spec.toml", to_toml(spec).encode())


def line_of(record: dict[str, Any]) -> bytes:
    """A line of metrics.jsonl or probes.jsonl."""
    return json.dumps(record).encode() + b"\n"


class Journal:
    """A file of a running training with one line a record; it begins with those of a part that has gone before."""

    def __init__(self, path: Path, history: Sequence[dict[str, Any]] = ()) -> None:
        self.path, self.written = path, len(history)
        commit(self.path, b"".join(map(line_of, history)))

    def write(self, history: Sequence[dict[str, Any]], flush: bool = False) -> None:
        """Append what is new; with `flush` also to the disk itself. Raises InputError where that fails."""
        try:
            with open(self.path, "ab") as file:
                file.writelines(map(line_of, history[self.written :]))
                self.written = max(self.written, len(history))
                if flush:
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise InputError(str(self.path), f"can not be written: {error.strerror or error}") from error


def read_result(path: Path) -> dict[str, Any]:
    """What result.json of a run's folder holds. Raises InputError where it is missing or damaged."""
    try:
        result: dict[str, Any] = json.loads((path / "result.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(str(path / "result.json"), f"can not be read: {error}") from error
    if not isinstance(result, dict) or not set(RESULT) <= set(result):
        raise InputError(str(path / "result.json"), f"expected a table with {', '.join(RESULT)}")
    return result


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl or probes.jsonl, but for a last line that a crash has torn.

    Raises InputError where the file can not be read.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(str(path), f"can not be read: {error.strerror or error}") from error
    records = []
    for line in content.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not isinstance(record, dict):
            break
        records.append(record)
    return records


def list_runs(parent: Path) -> list[Row]:
    """The runs below a folder, the oldest first. One that was broken off is listed as such."""
    rows = []
    for path in sorted(parent.glob("*/spec.toml")):
        folder = path.parent
        try:
            spec = read_spec(str(path))
            result = read_result(folder) if (folder / "result.json").exists() else {}
            epochs = len(read_records(folder / "metrics.jsonl"))
        except InputError as error:
            rows.append(Row(folder.name, "", "", "", 0, str(error), {}))
            continue
        rows.append(
            Row(
                name=folder.name,
                finished=result.get("facts", {}).get("finished", ""),
                data=data_name(spec),
                network=network_in_words(spec.network) if isinstance(spec.network, Network) else "",
                epochs=epochs,
                outcome=result.get("outcome", f"Broken off; to go on: thalweg train --resume {folder}"),
                measures=result.get("measures", {}),
            )
        )
    return sorted(rows, key=lambda row: row.finished)
