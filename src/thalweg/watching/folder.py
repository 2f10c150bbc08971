"""The folder of a watched training: plain files that are written as the training runs, and read without PyTorch.

watch.json      version, and the model, loss and optimizer when the watch attached
looks.jsonl     one line for each look
losses.jsonl    the losses of the steps, one line for each look or epoch
epochs.jsonl    one line for each epoch
end.json        what is known only at the end: number of steps, rates, the final scores, faults
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..core.bounds import problem_of
from ..core.errors import InputError, Problem
from ..core.files import commit, read_bytes
from .facts import Look, Nonfinite, WatchedEpoch, WatchedModel, WatchedTraining

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
"""Version of the files."""
WATCH_FILE = "watch.json"
_LOOKS, _LOSSES, _EPOCHS, _END = "looks.jsonl", "losses.jsonl", "epochs.jsonl", "end.json"
_LARGEST = 2**29
# Seconds between the times at which the records are forced to the disk.
_FLUSH = 10.0

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class _Head:
    format: int
    model: WatchedModel


@dataclasses.dataclass(frozen=True)
class _Losses:
    first: int
    losses: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class _End:
    steps: int
    rates: tuple[tuple[int, tuple[float, ...]], ...] = ()
    final: WatchedEpoch | None = None
    nonfinite: Nonfinite | None = None
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    closed: bool = True


class WatchRow(NamedTuple):
    """A watched training in the list of runs."""

    name: str
    """Name of the folder."""
    model: str
    """The class of the model, and its modules in words."""
    epochs: int
    steps: int
    outcome: str
    """How it ended, or the error that its folder raises."""


class WatchFolder:
    """Writes what a watch sees.

    Args:
        path: a new or an empty folder.
        model: what is watched.

    Raises:
        InputError: the folder is not empty, or cannot be written.
    """

    def __init__(self, path: Path, model: WatchedModel) -> None:
        if path.is_dir() and any(path.iterdir()):
            raise InputError(str(path), "expected a new or an empty folder, received one that holds files")
        self.path = path
        self._flushed = time.monotonic()
        self._written = 0
        commit(path / WATCH_FILE, _as_json(_Head(FORMAT, model)))

    def add_look(self, look: Look, losses: Sequence[float], training: WatchedTraining) -> None:
        """Append a look, and the losses of the steps before it that are not written yet."""
        self._append(_LOOKS, look)
        self._add_losses(losses)
        if len(training.looks) == 1 or time.monotonic() - self._flushed > _FLUSH:
            self._write_end(training, closed=False)
            self._flushed = time.monotonic()

    def add_epoch(self, epoch: WatchedEpoch, losses: Sequence[float]) -> None:
        """Append an epoch, and the losses of its steps that are not written yet."""
        self._add_losses(losses)
        self._append(_EPOCHS, epoch)

    def close(self, training: WatchedTraining) -> None:
        """Write what is known only at the end."""
        self._add_losses(training.losses[self._written :])
        self._write_end(training, closed=True)

    def _write_end(self, training: WatchedTraining, closed: bool) -> None:
        end = _End(
            steps=training.steps,
            rates=training.rates,
            final=training.final,
            nonfinite=training.nonfinite,
            faults=training.faults,
            remarks=training.remarks,
            closed=closed,
        )
        for name in (_LOOKS, _LOSSES, _EPOCHS):
            _force(self.path / name)
        commit(self.path / _END, _as_json(end))

    def _add_losses(self, losses: Sequence[float]) -> None:
        if losses:
            self._append(_LOSSES, _Losses(self._written, tuple(losses)))
            self._written += len(losses)

    def _append(self, name: str, record: Any) -> None:
        with open(self.path / name, "ab") as file:
            file.write(_as_json(record))


def _force(path: Path) -> None:
    """Force a file to the disk, if there is one."""
    if path.exists():
        with open(path, "ab") as file:
            os.fsync(file.fileno())


def _as_json(record: Any) -> bytes:
    return json.dumps(dataclasses.asdict(record)).encode() + b"\n"


def is_watch_folder(path: Path) -> bool:
    """Whether a folder holds a watched training."""
    return (path / WATCH_FILE).is_file()


def read_watch(path: Path) -> WatchedTraining:
    """The watched training in a folder; one that was killed has what was seen until then.

    Raises:
        InputError: a file is missing, or is not as it should be.
    """
    head = _parsed(_Head, path / WATCH_FILE, read_bytes(path / WATCH_FILE, _LARGEST))
    if head.format != FORMAT:
        raise InputError(str(path / WATCH_FILE), f"format: expected {FORMAT}, received {head.format}")
    looks = tuple(_records(Look, path / _LOOKS))
    epochs = tuple(_records(WatchedEpoch, path / _EPOCHS))
    losses = [loss for part in _records(_Losses, path / _LOSSES) for loss in part.losses]
    end = _End(steps=len(losses))
    if (path / _END).is_file():
        end = _parsed(_End, path / _END, read_bytes(path / _END, _LARGEST))
    broken = () if end.closed else ("The training was broken off, or its watch was not closed.",)
    return WatchedTraining(
        model=head.model,
        looks=looks,
        epochs=epochs,
        final=end.final,
        losses=tuple(losses),
        rates=end.rates,
        steps=max(end.steps, len(losses)),
        nonfinite=end.nonfinite,
        faults=end.faults,
        remarks=(*end.remarks, *broken),
    )


def list_watches(parent: Path) -> list[WatchRow]:
    """The watched trainings in a folder, by name. Raises OSError where the folder cannot be read."""
    return [_row(path) for path in sorted(parent.iterdir()) if path.is_dir() and is_watch_folder(path)]


def _row(path: Path) -> WatchRow:
    try:
        training = read_watch(path)
    except (InputError, PermissionError) as error:
        return WatchRow(path.name, "", 0, 0, str(error))
    model = training.model
    last = next((loss for loss in reversed(training.losses) if math.isfinite(loss)), math.nan)
    kinds = ", ".join(module.kind for module in model.modules[:8])
    return WatchRow(
        name=path.name,
        model=f"{model.kind}: {kinds}{', ...' if len(model.modules) > 8 else ''}",
        epochs=len(training.epochs),
        steps=training.steps,
        outcome=f"Watched in PyTorch; last loss {last:.3g}.",
    )


def _records(kind: type[T], path: Path) -> list[T]:
    """The lines of a file; a last one that a crash has torn is left out."""
    if not path.is_file():
        return []
    lines = read_bytes(path, _LARGEST).split(b"\n")
    # What stands behind the last line end is no whole line.
    return [_parsed(kind, path, line, f"line {number}") for number, line in enumerate(lines[:-1], 1)]


def _parsed(kind: type[T], path: Path, content: bytes, place: str = "") -> T:
    from pydantic import TypeAdapter, ValidationError

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    adapter: TypeAdapter[T] = _ADAPTERS[kind]
    try:
        return adapter.validate_json(content, strict=True)
    except ValidationError as error:
        problems: list[Problem] = [problem_of(item) for item in error.errors(include_url=False)]
        raise InputError(str(path), [problem.below(place) if place else problem for problem in problems]) from None


_ADAPTERS: dict[object, TypeAdapter[Any]] = {}
