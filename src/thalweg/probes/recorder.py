"""Who looks at a training for the probes, and keeps what they found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.arrays import Tree
from ..core.noise import generator
from ..data import Dataset
from ..engine.engine import Engine
from ..engine.step import Batch, Plan, State
from ..parts.settings import Full, Light, Standard
from ..training.batch_plan import BatchPlan, Chunk, as_batch, in_batches
from ..training.callbacks import Callback
from .curvature import curvature_at
from .observe import alive, observe
from .records import Record

_ROWS = 2048
# What takes as long as some dozens of steps is looked at less often.
_RARELY = 5
_DIGITS, _MOST_DECADES = 6, 290


class ProbeCallback(Callback):
    """An onlooker (`training.Onlooker`) with probes: `records` has one observation for each time that it looked.

    `start` are the parameters that the training began with, as NumPy arrays; a training that goes on hands over the
    records from before.
    """

    def __init__(self, probes: Light, course: BatchPlan, start: Tree, records: Sequence[Record] = ()) -> None:
        self.every = probes.cadence(course.steps)
        # Without its cadence, which would make another program of each.
        self._probes = type(probes)()
        self._course, self._start, self._placed = course, start, None
        self._data: Batch | None = None
        self._records, self._pending = list(records), list[tuple[int, Any, Any]]()

    def next_step(self, step: int) -> int:
        """The next multiple of the cadence."""
        return -(-step // self.every) * self.every

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, block: Chunk, index: int) -> None:
        """Record the step that is to come."""
        self._placed = self._placed or engine.place(self._start)
        # Of streamed rows a part must not outlive its block.
        self._data = block.data if isinstance(self._course.data, Dataset) else None
        step = block.first + index
        rows = np.stack([block.rows[index], self._following(block, index)])
        found = engine.call(observe, plan, self._probes, state, self._placed, block.data, rows)
        more: Record = {"whole": {}, "layers": {}}
        if isinstance(self._probes, Full) and step // self.every % _RARELY == 0:
            more["layers"] = self._dead(engine, plan, state)
            more["whole"] = self._curvature(engine, plan, state, block.data, rows, step)
        # What a device may still work at is fetched later.
        self._pending.append((step, found, more))

    def on_train_end(self, engine: Engine, plan: Plan, state: State, step: int) -> None:
        """Record which units are dead on all training rows, as the training leaves them."""
        if isinstance(self._probes, Standard):
            self._pending.append((step, {"whole": {}, "layers": self._dead(engine, plan, state)}, {}))

    @property
    def records(self) -> list[Record]:
        """The observations so far, in plain numbers of six digits; None stands for what is NaN or infinite.

        They end with the first look at a loss that is no number.
        """
        for step, found, more in self._pending:
            if self._records and self._records[-1]["whole"].get("loss", 0.0) is None:
                break
            both = [{kind: part.get(kind, {}) for kind in ("whole", "layers")} for part in (found, more)]
            numbers = {kind: both[0][kind] | both[1][kind] for kind in ("whole", "layers")}
            self._records.append({"step": step} | _plain(numbers))
        self._pending.clear()
        return self._records

    def _following(self, block: Chunk, index: int) -> np.ndarray:
        """The rows of the next batch; none at the end of an epoch, or of a part of streamed rows."""
        if self._course.per_epoch == 1:
            # A full batch is the same rows again.
            return block.rows[index]
        # Where a block of epochs ends depends on where a training was taken up again: an epoch's end does not.
        if index + 1 == block.steps or (block.first + index + 1) % self._course.per_epoch == 0:
            return np.full_like(block.rows[index], -1)
        return block.rows[index + 1]

    def _dead(self, engine: Engine, plan: Plan, state: State) -> dict[str, Any]:
        """The share of units, by layer, whose derivative is 0 for every training row."""
        living: list[np.ndarray] = []
        for data, rows in self._batches(engine):
            found = engine.fetch(engine.call(alive, plan, state, data, rows))
            living = [a | b if len(a) else a for a, b in zip(living or found, found, strict=True)]
            if all(np.all(units) for units in living):
                break
        return {"dead_over_set": [1 - float(np.mean(units)) if len(units) else None for units in living]}

    def _batches(self, engine: Engine) -> Iterator[tuple[Batch, np.ndarray]]:
        """All training rows: where they are on the device, and which of them, (1, rows) at a time."""
        size = min(_ROWS, len(self._course.data))
        for part in self._course.data.parts():
            # Rows in memory are there already; of streamed ones, the device gets a part after another.
            data = self._data or engine.place(as_batch(part, size))
            for rows in in_batches(np.arange(len(part)), size):
                yield data, rows[None]

    def _curvature(
        self, engine: Engine, plan: Plan, state: State, data: Batch, rows: np.ndarray, step: int
    ) -> dict[str, Any]:
        found = curvature_at(engine, plan, state, data, rows, generator(step, "curvature"))
        names = ("largest_eigenvalue", "hessian_trace", "hessian_trace_error")
        return dict(zip(names, found, strict=True))


def _plain(value: Any) -> Any:
    """Nested dictionaries, lists and arrays as lists and numbers of six digits; None for what is no finite number."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    numbers = np.asarray([np.nan if item is None else item for item in value] if isinstance(value, list) else value)
    numbers = np.asarray(numbers, dtype=float)
    finite, size = np.isfinite(numbers), np.abs(numbers)
    exponent = np.floor(np.log10(size, out=np.zeros_like(size), where=finite & (size > 0)))
    factor = 10.0 ** (_DIGITS - 1 - np.clip(exponent, -_MOST_DECADES, _MOST_DECADES))
    rounded = np.asarray(np.round(np.where(finite, numbers, 0.0) * factor) / factor)
    if finite.all():
        return rounded.tolist()
    known = rounded.astype(object)
    known[~finite] = None
    return known.tolist()
