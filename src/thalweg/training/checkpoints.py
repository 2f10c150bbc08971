"""State <-> files: a crash at any moment leaves the old files or the new ones, and damage never goes unseen."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from ..core.arrays import Tree, arrays_of, map_arrays
from ..core.errors import InputError
from ..core.files import commit, remove
from ..data import RowSource
from ..engine.step import State, inference_state
from ..parts.metric_schedules import MetricScheduleState
from .early_stopping import EarlyStoppingState


class Checkpoint(NamedTuple):
    """All that a training needs to go on as if it had never stopped, as NumPy arrays and plain numbers.

    `best` is the state with the best weights so far, or `()`; `reports` are those of the steps of the running epoch,
    one array for each of their numbers. `before` counts the updates that the state had before this training began.
    """

    state: State
    best: State | tuple[()] = ()
    reports: tuple[np.ndarray, ...] = ()
    counters: EarlyStoppingState = EarlyStoppingState()
    history: tuple[dict[str, float], ...] = ()
    before: int = 0

    @property
    def step(self) -> int:
        """The updates of this training."""
        return int(self.state.step) - self.before


_FORMAT = 2


def save_state(path: Path, state: Tree, facts: dict[str, Any]) -> None:
    """Write the arrays of a state to `path` (safetensors), and beside it a manifest with their SHA-256 and the facts.

    The manifest has a SHA-256 of its own, and is committed last: a file of arrays counts only once its manifest does.
    """
    arrays = {place: np.asarray(array, order="C") for place, array in arrays_of(state)}
    content = safetensors.save(arrays)
    commit(path, content)
    manifest = {"format": _FORMAT, "file": path.name, "sha256": hashlib.sha256(content).hexdigest(), **facts}
    commit(path.with_suffix(".json"), json.dumps({**manifest, "seal": _seal(manifest)}, indent=1).encode())


def _seal(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a saved state. Raises InputError where there is none, or it is damaged."""
    place = str(path.with_suffix(".json"))
    try:
        manifest = json.loads(path.with_suffix(".json").read_bytes())
    except OSError as error:
        raise InputError(place, f"can not be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(place, f"is damaged: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise InputError(place, f"expected a manifest of format {_FORMAT}")
    if manifest.pop("seal", None) != _seal(manifest):
        raise InputError(place, "is damaged: its content does not match its own SHA-256")
    return manifest


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a saved state by their places. InputError where the file does not match its manifest's SHA-256."""
    manifest = read_manifest(path)
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != manifest.get("sha256"):
            raise InputError(str(path), "is damaged: its content does not match the SHA-256 of its manifest")
        return safetensors.load(content)
    except OSError as error:
        raise InputError(str(path), f"can not be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise InputError(str(path), f"is no safetensors file: {error}") from error


def load_state(path: Path, like: Tree) -> Tree:
    """The saved state with the structure and the shapes of `like`.

    Raises InputError where the file is missing, does not match the SHA-256 of its manifest, or holds other arrays.
    """
    return arranged(path, read_arrays(path), like)


def arranged(path: Path, arrays: dict[str, np.ndarray], like: Tree) -> Tree:
    """Arrays by their places as a tree like `like`. Raises InputError where they are others than those of `like`."""
    expected = {place: np.shape(array) for place, array in arrays_of(like)}
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        differing = sorted(set(found.items()) ^ set(expected.items()))
        raise InputError(str(path), f"holds other arrays than the network of its spec needs: {differing[:4]}")
    ordered = iter([arrays[place] for place in expected])
    return map_arrays(lambda _: next(ordered), like)


FOLDER = "checkpoints"


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


def save_snapshot(folder: Path, snapshot: Checkpoint, facts: dict[str, Any], keep: int) -> None:
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


def load_snapshot(path: Path, start: State) -> Checkpoint:
    """The snapshot of a checkpoint but for its history, for a training that begins with a state like `start`.

    Raises InputError where the file is damaged, or is another network's.
    """
    arrays, counters = read_arrays(path), read_manifest(path)["counters"]

    def under(name: str) -> dict[str, np.ndarray]:
        return {
            place.removeprefix(f"{name}."): array for place, array in arrays.items() if place.startswith(f"{name}.")
        }

    best, reports = under("best"), under("reports")
    return Checkpoint(
        state=arranged(path, under("state"), start),
        best=arranged(path, best, inference_state(start)) if best else (),
        reports=tuple(reports[str(index)] for index in range(len(reports))),
        counters=EarlyStoppingState(
            **counters | {"rates": tuple(MetricScheduleState(*memory) for memory in counters["rates"])}
        ),
    )


def check_records(snapshot: Checkpoint, per_epoch: int) -> None:
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
