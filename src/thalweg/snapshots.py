"""The checkpoints of a running training: snapshot <-> files in the folder of the run.

checkpoints/step-0000000938.safetensors     state, best state, reports of the running epoch
checkpoints/step-0000000938.json            its SHA-256; spec, counters, fingerprint of the data
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .blocks import Rows
from .checkpoint import arranged, read_arrays, read_manifest, save_state
from .errors import InputError
from .files import remove
from .schedules import Memory
from .step import State, answering
from .stopping import Counters
from .training import Snapshot

FOLDER = "checkpoints"


class _Arrays(NamedTuple):
    state: State
    best: State | tuple[()]
    reports: tuple[np.ndarray, ...]


def fingerprint(data: Rows) -> int:
    """A number that changes when the rows do: the CRC-32 of all their inputs, targets, weights and keys."""
    code = 0
    for part in data.parts():
        for array in (part.x, part.y, part.weight, part.key):
            code = code if array is None else zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, code)
    return code


def save_snapshot(folder: Path, snapshot: Snapshot, facts: dict[str, Any], keep: int) -> None:
    """Write a snapshot into the folder of a run, and remove all but the last `keep` there. Raises InputError."""
    path = folder / FOLDER / f"step-{int(snapshot.state.step):010}.safetensors"
    counters = snapshot.counters._asdict()
    save_state(path, _Arrays(snapshot.state, snapshot.best, snapshot.reports), {"counters": counters, **facts})
    for old in _saved(folder)[keep:]:
        # The manifest goes first: without it the arrays do not count.
        remove(old.with_suffix(".json"))
        remove(old)


def _saved(folder: Path) -> list[Path]:
    """The committed checkpoints, the newest first."""
    manifests = sorted((folder / FOLDER).glob("step-*.json"), reverse=True)
    return [path.with_suffix(".safetensors") for path in manifests]


def newest(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint that is whole, and its manifest. Raises InputError where there is none."""
    faults = []
    for path in _saved(folder):
        try:
            read_arrays(path)
            return path, read_manifest(path)
        except InputError as error:
            faults.append(str(error))
    raise InputError(str(folder), "; ".join(["has no checkpoint to go on from", *faults]))


def load_snapshot(path: Path, start: State) -> Snapshot:
    """The snapshot of a checkpoint but for its history, for a training that begins with a state like `start`.

    Raises InputError where the file is damaged, or is another network's.
    """
    arrays, counters = read_arrays(path), read_manifest(path)["counters"]

    def under(name: str) -> dict[str, np.ndarray]:
        return {
            place.removeprefix(f"{name}."): array for place, array in arrays.items() if place.startswith(f"{name}.")
        }

    best, reports = under("best"), under("reports")
    return Snapshot(
        state=arranged(path, under("state"), start),
        best=arranged(path, best, answering(start)) if best else (),
        reports=tuple(reports[str(index)] for index in range(len(reports))),
        counters=Counters(**counters | {"rates": tuple(Memory(*memory) for memory in counters["rates"])}),
    )


def check_records(snapshot: Snapshot, per_epoch: int) -> None:
    """Raise InputError where a snapshot's history and reports are not those of its updates, `per_epoch` an epoch."""
    epochs, updates = divmod(int(snapshot.state.step), per_epoch)
    found = len(snapshot.history), len(snapshot.reports[0]) if snapshot.reports else 0
    if found != (epochs, updates):
        raise InputError(
            "checkpoint",
            f"expected the records of {epochs} epochs and {updates} updates, at {per_epoch} updates an epoch, received"
            f" {found[0]} and {found[1]}; go on with the batch size and the rows that it was made with, or train anew",
        )


def remove_remains(folder: Path, last: Path) -> None:
    """Remove what a process that was killed left half-written, and checkpoints that are newer than the `last` whole
    one: damaged as they are, they would count among those to keep. Raises InputError.
    """
    for path in (*folder.glob(".*.part"), *(folder / FOLDER).glob(".*.part")):
        remove(path)
    committed = {path for path in _saved(folder) if path <= last}
    for path in (folder / FOLDER).glob("step-*"):
        if path.with_suffix(".safetensors") not in committed:
            remove(path)
