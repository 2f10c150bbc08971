"""Checkpoints of a running training, and their files in the folder of the run.

checkpoints/step-0000000938.safetensors     state, best state, metrics of the running epoch
checkpoints/step-0000000938.json            its SHA-256; spec, early stopping, fingerprint of the data
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, cast

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from ..core.bounds import LARGEST_INTEGER, declared
from ..core.errors import InputError, Problem
from ..core.files import JsonObject, remove
from ..data import RowSource, Split
from ..engine.step import State, inference_state
from ..parts.schedules.metric_schedules import MetricScheduleState
from .callbacks import Record
from .early_stopping import EarlyStoppingState
from .saved_state import arranged, read_arrays, read_manifest, save_state

FOLDER = "checkpoints"


class Checkpoint(NamedTuple):
    """All that is needed to resume a training as if it had never stopped, as NumPy arrays and plain numbers."""

    state: State
    """The state after `step` updates."""
    best: State | tuple[()] = ()
    """The state with the best weights so far, or `()`."""
    reports: tuple[np.ndarray, ...] = ()
    """Metrics of the steps of the running epoch, one array for each of their numbers."""
    early_stopping: EarlyStoppingState = EarlyStoppingState()
    """What early stopping and metric schedules remember."""
    history: tuple[Record, ...] = ()
    """Records of the epochs that have ended."""
    before: int = 0
    """Updates that the state had before this training began."""

    @property
    def step(self) -> int:
        """Updates of this training."""
        return int(self.state.step) - self.before


class CheckpointFacts(TypedDict):
    """What the manifest of a checkpoint says of the training."""

    spec: Mapping[str, object]
    """The spec as tables."""
    rows: dict[str, int]
    """The fingerprint of each set of rows."""
    preprocessing: Mapping[str, object]
    """The preprocessing as tables."""


_Number = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Counters(TypedDict):
    """`EarlyStoppingState` in the manifest of a checkpoint."""

    best: float | None
    best_epoch: _Number
    waited: _Number
    seconds: Annotated[_Finite, Field(ge=0)]
    rates: list[Annotated[list[float | None], Field(min_length=4, max_length=4)]]


class _Manifest(TypedDict):
    """What the manifest of a checkpoint says of the decisions between epochs."""

    counters: _Counters


class _Arrays(NamedTuple):
    state: State
    best: State | tuple[()]
    reports: tuple[np.ndarray, ...]


def fingerprint(data: RowSource) -> int:
    """A number that changes when the rows do: the CRC-32 of all their inputs, targets, weights and keys."""
    code = 0
    for part in data.parts():
        for array in (part.x, part.y, part.weight, part.key):
            code = code if array is None else zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, code)
    return code


def fingerprints(split: Split) -> dict[str, int]:
    """The fingerprint of each set of rows, by its name."""
    return {name: fingerprint(rows) for name, rows in split.sets.items()}


def checkpoint_folder(folder: Path) -> Path:
    """The folder of the checkpoints in that of a run. Raises InputError where it is a link, which is never followed."""
    path = folder / FOLDER
    if path.is_symlink() or getattr(os.path, "isjunction", os.path.islink)(path):
        raise InputError(str(path), "expected a folder, received a link to another one; move the files there")
    return path


def save_checkpoint(folder: Path, checkpoint: Checkpoint, facts: CheckpointFacts, keep: int) -> None:
    """Write a checkpoint into the folder of a run, and remove all but the last `keep` there.

    Args:
        folder: the folder of the run.
        checkpoint: what is written, all but its history.
        facts: what the manifest says of the training.
        keep: number of checkpoints that stay.

    Raises:
        InputError: the files cannot be written.
    """
    path = checkpoint_folder(folder) / f"step-{int(checkpoint.state.step):010}.safetensors"
    arrays = _Arrays(checkpoint.state, checkpoint.best, checkpoint.reports)
    save_state(path, arrays, {"counters": checkpoint.early_stopping._asdict(), **cast(JsonObject, facts)})
    for old in _saved(folder)[keep:]:
        # The manifest goes first: without it the arrays do not count.
        remove(old.with_suffix(".json"))
        remove(old)


def step_of(path: Path) -> int:
    """The number of updates before a checkpoint, which is in the name of its file."""
    return int(path.stem.removeprefix("step-"))


def _saved(folder: Path) -> list[Path]:
    """The committed checkpoints, the newest first."""
    manifests = sorted(checkpoint_folder(folder).glob("step-*.json"), reverse=True)
    return [path.with_suffix(".safetensors") for path in manifests]


def has_checkpoints(folder: Path) -> bool:
    """Whether the folder of a run has checkpoints, whole or damaged. Raises InputError where they are a link."""
    return bool(_saved(folder))


def newest(folder: Path) -> tuple[Path, CheckpointFacts]:
    """The newest checkpoint that is whole, and its manifest. Raises InputError where there is none."""
    return next(whole_checkpoints(folder))


def whole_checkpoints(folder: Path) -> Iterator[tuple[Path, CheckpointFacts]]:
    """The checkpoints that are whole, with their manifests, the newest first. Raises InputError where there is none."""
    faults = []
    paths = _saved(folder)
    for path in paths:
        try:
            read_arrays(path)
            manifest = read_manifest(path)
            declared(CheckpointFacts, manifest, str(path.with_suffix(".json")))
            facts = cast(CheckpointFacts, manifest)
        except InputError as error:
            faults.append(str(error))
            continue
        yield path, facts
    if len(faults) == len(paths):
        raise InputError(str(folder), "; ".join(["no checkpoint to resume from", *faults]))


def missing_records(history: Sequence[Record], step: int) -> int:
    """How many epochs before update number `step` have no record; 0 without any record, where it cannot be known.

    >>> missing_records([{"epoch": 1, "step": 5}, {"epoch": 4, "step": 20}], step=23)
    2
    """
    if not history:
        return 0
    per_epoch = history[0]["step"] // history[0]["epoch"]
    return int(step // per_epoch) - len(history)


def load_checkpoint(path: Path, start: State) -> Checkpoint:
    """A checkpoint without its history, for a training that begins with a state like `start`.

    Raises InputError where the file is damaged, or belongs to another network.
    """
    arrays = read_arrays(path)
    remembered = declared(_Manifest, read_manifest(path), str(path.with_suffix(".json")))["counters"]

    def under(name: str) -> dict[str, np.ndarray]:
        prefix = f"{name}."
        return {place.removeprefix(prefix): array for place, array in arrays.items() if place.startswith(prefix)}

    best = under("best")
    reports = under("reports")
    return Checkpoint(
        state=arranged(path, under("state"), start),
        best=arranged(path, best, inference_state(start)) if best else (),
        reports=_reports(path, reports),
        early_stopping=EarlyStoppingState(
            best=remembered["best"],
            best_epoch=remembered["best_epoch"],
            waited=remembered["waited"],
            seconds=remembered["seconds"],
            rates=tuple(_rate(path, numbers) for numbers in remembered["rates"]),
        ),
    )


def _rate(path: Path, numbers: Sequence[float | None]) -> MetricScheduleState:
    """The memory of a rate from its four numbers. Raises InputError unless three of them are finite."""
    value, best, waited, cooldown = numbers
    if value is None or waited is None or cooldown is None or not math.isfinite(value + waited + cooldown):
        expected = "expected a value, the best measure or null, and two counts"
        raise InputError(str(path.with_suffix(".json")), [Problem("counters.rates", expected)])
    return MetricScheduleState(value, best, int(waited), int(cooldown))


def _reports(path: Path, reports: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """The metrics of the steps of the running epoch. Raises InputError unless they are numbers of as many steps."""
    ordered = [reports.get(str(index), np.empty(())) for index in range(len(reports))]
    if any(array.ndim == 0 or len(array) != len(ordered[0]) or array.dtype.kind not in "fiu" for array in ordered):
        raise InputError(str(path), [Problem("reports", "expected an array of numbers for each metric of the steps")])
    return tuple(ordered)


def check_records(checkpoint: Checkpoint, per_epoch: int) -> None:
    """Raise InputError where the history of a checkpoint does not end with its updates, `per_epoch` an epoch."""
    expected = divmod(int(checkpoint.state.step), per_epoch)
    epochs = int(checkpoint.history[-1]["epoch"]) if checkpoint.history else 0
    received = epochs, len(checkpoint.reports[0]) if checkpoint.reports else 0
    if received != expected:
        raise InputError(
            "checkpoint",
            f"expected the records of {expected[0]} epochs and {expected[1]} updates, at {per_epoch} updates an epoch,"
            f" received {received[0]} and {received[1]}; resume with the batch size and the rows that it was made with,"
            " or train anew",
        )


def remove_newer(folder: Path, last: Path) -> None:
    """Remove checkpoints newer than `last`, the newest one that is whole and has all of its records.

    Damaged as they are, these would count among the checkpoints to keep. Raises InputError.
    """
    committed = {path for path in _saved(folder) if path <= last}
    for path in checkpoint_folder(folder).glob("step-*"):
        if path.with_suffix(".safetensors") not in committed:
            remove(path)
