"""The folder of a run and its plain files, all but those that hold arrays.

run.json                    version of the format of these files, and the modules of parts that are not Thalweg's own
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
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from ..core.bounds import LARGEST_INTEGER, declared
from ..core.errors import InputError, Problem
from ..core.files import Json, commit, read_bytes, read_json
from ..core.locks import LOCK_FILE, is_locked, locked, sweep
from ..core.printable import received
from ..models.network import Network
from ..models.summary import network_in_words
from ..parts.part import Part, each_part
from ..probes.records import Record
from ..spec.spec import Spec, data_name
from ..spec.toml import read_spec, to_toml
from ..training.checkpoints import checkpoint_folder

FORMAT = 1
"""Version of the files in the folder of a run. Folders of version 0 have no run.json, and are read like version 1."""
_LARGEST_JSON = 2**26
_LARGEST_RECORDS = 2**29

_Words = Annotated[str, Field(max_length=100_000)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
_SetName = Annotated[str, Field(pattern="^(training|validation|test)$")]
_Measures = dict[Annotated[str, Field(max_length=100)], float]


class _Version(TypedDict):
    """The content of run.json."""

    format: int
    own_parts: NotRequired[dict[_Words, _Words]]
    """The module of each part of the spec that Thalweg does not have, by family and kind."""


class Result(TypedDict):
    """The fields of a run in result.json."""

    outcome: _Words
    """How the training ended, in a sentence."""
    seconds: Annotated[_Finite, Field(ge=0)]
    """How long it took."""
    remarks: list[_Words]
    """What was found besides the measures."""
    interrupted: bool
    """Whether a signal ended it."""
    diverged: _Words
    """The number that became NaN or infinite first, or ""."""
    threshold: _Finite | None
    """The tuned decision threshold."""
    measures: dict[_SetName, _Measures]
    """Measures by set of rows."""
    confusion: list[list[Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]]] | None
    """Counts by true class (row) and predicted class (column)."""
    facts: dict[_Words, _Words]
    """What the report lists of the training."""
    notes: list[_Words]
    """Notes on the rows."""
    per_epoch: _Count
    """Updates in an epoch."""


RESULT = tuple(Result.__annotations__)
"""The names of these fields."""
RESULT_FILE = "result.json"
REPORT_FILE = "report.html"


RunStatus = Literal["finished", "diverged", "interrupted", "running", "damaged"]


class RunScore(NamedTuple):
    """A measure of a run."""

    rows: str
    """The set of rows: test, validation or training."""
    measure: str
    """The name of the measure, such as accuracy or r2."""
    value: float
    """Its value; larger is better."""


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
    status: RunStatus
    """Whether the training has ended, and how; or whether its folder cannot be read."""
    seconds: float
    """How long the training took; 0 while it is not known."""

    @property
    def score(self) -> RunScore | None:
        """The score on the rows that are furthest from the training: those of the test, else of the validation."""
        rows, measures = next(reversed(self.measures.items()), ("", {}))
        return next((RunScore(rows, name, value) for name, value in measures.items() if name != "loss"), None)


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
    facts: dict[str, object] = {"format": FORMAT}
    if own := _own_parts(spec):
        facts["own_parts"] = own
    commit(folder / "run.json", json.dumps(facts).encode() + b"\n")


def _own_parts(spec: Spec) -> dict[str, str]:
    """The module of each part of a spec that Thalweg does not have, by family and kind."""
    own = [part for part in each_part(spec) if part.kind and not type(part).__module__.startswith("thalweg.")]
    return {f"{part.family} {part.kind}": type(part).__module__ for part in own}


def check_format(folder: Path) -> None:
    """Raise InputError unless a folder is that of a run, in a format that this version reads."""
    if not os.path.isfile(folder / "spec.toml"):
        raise InputError(
            str(folder), "not a run folder: spec.toml is missing; `thalweg runs` lists the runs of a folder"
        )
    path = folder / "run.json"
    if not os.path.lexists(path):
        return
    facts = declared(_Version, read_json(path, _LARGEST_JSON), str(path))
    version = facts["format"]
    if not 0 <= version <= FORMAT:
        fix = "; it was written by a newer version of thalweg: upgrade this one" if version > FORMAT else ""
        raise InputError(str(path), f"format: expected a version from 0 to {FORMAT}, received {version}{fix}")
    problems = [
        _not_imported(name, module) for name, module in facts.get("own_parts", {}).items() if not _is_known(name)
    ]
    if problems:
        raise InputError(str(folder / "spec.toml"), problems)


def _is_known(name: str) -> bool:
    """Whether this process knows a part, given by its family and its kind."""
    family, _, kind = name.rpartition(" ")
    return family in Part.families and kind in Part.families[family].kinds


def _not_imported(name: str, module: str) -> Problem:
    where, fix = f"is defined in the module {received(module)}", "import that module"
    if module == "__main__":
        where, fix = "was defined in the program that trained the run", "define it again"
    return Problem("", f"the part {received(name)} {where}; {fix} before you load the run")


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
    """The content of result.json. Raises InputError where it is missing, or a field is not as declared."""
    path = folder / RESULT_FILE
    result = declared(Result, read_json(path, _LARGEST_JSON), str(path))
    if "training" not in result["measures"]:
        raise InputError(str(path), [Problem("measures", "expected those of the training rows")])
    return result


def read_history(folder: Path) -> list[dict[str, float]]:
    """The records of metrics.jsonl, one for each epoch.

    Raises InputError where the file cannot be read, or a record is not as declared.
    """
    return read_records(folder / "metrics.jsonl", _Epoch, _Measures)


class _Epoch(TypedDict):
    """What the record of every epoch has besides its measures."""

    epoch: _Count
    step: _Count
    learning_rate: float
    loss: float


def read_observations(folder: Path) -> tuple[Record, ...]:
    """The records of probes.jsonl, one for each look of the probes; none where the file is missing.

    Raises InputError where the file cannot be read, or a record is not as declared.
    """
    return tuple(cast("list[Record]", read_records(folder / "probes.jsonl", Record)))


def read_records(path: Path, *declarations: type[object]) -> list[dict[str, Any]]:
    """The records of metrics.jsonl, probes.jsonl or frames.jsonl by rising step, each as all `declarations` have it.

    Lines that a crash has torn are left out, and so is all but the last of the records with the same step: earlier
    versions let two processes write the same file. Raises InputError where the file cannot be read, or a record is not
    as declared.
    """
    content = read_bytes(path, _LARGEST_RECORDS) if os.path.lexists(path) else b""
    kinds: tuple[type[object], ...] = (_Stepped, *declarations)
    by_step: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(content.splitlines(), 1):
        try:
            record: Json = json.loads(line)
        except ValueError:
            continue
        except RecursionError:
            raise InputError(str(path), [Problem(f"line {number}", "is nested too deeply")]) from None
        if isinstance(record, dict):
            for kind in kinds:
                declared(kind, record, str(path), f"line {number}")
            by_step[cast(int, record["step"])] = record
    return [by_step[step] for step in sorted(by_step)]


class _Stepped(TypedDict):
    """What every record has."""

    step: Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]


def list_runs(parent: Path) -> list[RunRow]:
    """The runs in a folder, the oldest first; interrupted ones are marked.

    Args:
        parent: the folder that holds the folders of the runs.

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
        result = read_result(folder) if os.path.lexists(folder / RESULT_FILE) else None
        epochs = len(read_history(folder))
    except (InputError, PermissionError) as error:
        return RunRow(folder.name, "", "", "", 0, str(error), {}, status="damaged", seconds=0.0)
    status = _status(folder, result)
    unfinished = "Running." if status == "running" else f"Interrupted; resume it: thalweg train --resume {folder}"
    return RunRow(
        name=folder.name,
        finished=result["facts"].get("finished", "") if result else "",
        data=data_name(spec),
        network=network_in_words(spec.network) if isinstance(spec.network, Network) else "",
        epochs=epochs,
        outcome=result["outcome"] if result else unfinished,
        measures=result["measures"] if result else {},
        status=status,
        seconds=result["seconds"] if result else 0.0,
    )


def _status(folder: Path, result: Result | None) -> RunStatus:
    if is_locked(folder):
        return "running"
    if result is None or result["interrupted"]:
        return "interrupted"
    return "diverged" if result["diverged"] else "finished"
