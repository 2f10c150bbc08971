"""Recording the probes while a training runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np

from ..core.arrays import Array, Params
from ..core.files import Json
from ..core.noise import generator
from ..data import Dataset
from ..engine.engine import Engine
from ..engine.step import Batch, Plan, State
from ..parts.settings import Full, Light, Standard
from ..training.batch_plan import BatchPlan, Chunk, as_batch, in_batches
from ..training.callbacks import Callback
from .curvature import curvature_at
from .observe import Observed, alive, observe
from .records import LayerNumbers, Number, Record

_ROWS = 2048
# Probes that take as long as dozens of steps are recorded at every fifth observation only.
_RARELY = 5
_DIGITS = 6
_MOST_DECADES = 290
_Numbers = Array | float | list[float | None]


class _Pending(NamedTuple):
    """An observation that the device may still compute."""

    step: int
    observed: Observed
    whole: Mapping[str, _Numbers]
    """Further quantities of the whole network."""
    layers: Mapping[str, _Numbers]
    """Further quantities of the layers."""


class ProbeCallback(Callback):
    """A callback that records the probes at regular steps.

    Args:
        probes: the preset with its cadence.
        batches: the batches of the training.
        start: the parameters at the start of the training, as NumPy arrays.
        records: the records so far of a resumed training.
    """

    def __init__(self, probes: Light, batches: BatchPlan, start: Params, records: Sequence[Record] = ()) -> None:
        self.every = probes.cadence(batches.steps)
        # Without its cadence, which would compile another program for each.
        self._probes = type(probes)()
        self._batches = batches
        self._start = start
        self._placed: Params | None = None
        self._data: Batch | None = None
        self._records = list(records)
        self._pending: list[_Pending] = []

    def next_step(self, step: int) -> int:
        """The next multiple of the cadence."""
        return -(-step // self.every) * self.every

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, chunk: Chunk, index: int) -> None:
        """Record the step that begins."""
        self._placed = self._placed or engine.place(self._start)
        # A part of streamed rows must not outlive its chunk.
        self._data = chunk.data if isinstance(self._batches.data, Dataset) else None
        step = chunk.first + index
        rows = np.stack([chunk.rows[index], self._next_rows(chunk, index)])
        observed = engine.call(observe, plan, self._probes, state, self._placed, chunk.data, rows)
        whole: Mapping[str, _Numbers] = {}
        layers: Mapping[str, _Numbers] = {}
        if isinstance(self._probes, Full) and step // self.every % _RARELY == 0:
            layers = self._dead_over_set(engine, plan, state)
            whole = _curvature(engine, plan, state, chunk.data, rows, step)
        # Fetched later, so that training does not wait for it.
        self._pending.append(_Pending(step, observed, whole, layers))

    def on_train_end(self, engine: Engine, plan: Plan, state: State, step: int) -> None:
        """Record which units are dead on all training rows at the end."""
        if isinstance(self._probes, Standard):
            self._pending.append(_Pending(step, {}, {}, self._dead_over_set(engine, plan, state)))

    @property
    def records(self) -> list[Record]:
        """The records so far, in numbers of six digits; None replaces NaN and infinity.

        They end with the first record whose loss is not a number.
        """
        for pending in self._pending:
            if self._records and self._records[-1]["whole"].get("loss", 0.0) is None:
                break
            whole = {**pending.observed.get("whole", {}), **pending.whole}
            layers = {**pending.observed.get("layers", {}), **pending.layers}
            self._records.append(
                {
                    "step": pending.step,
                    "whole": cast("dict[str, Number]", {name: _plain(value) for name, value in whole.items()}),
                    "layers": cast("dict[str, LayerNumbers]", {name: _plain(value) for name, value in layers.items()}),
                }
            )
        self._pending.clear()
        return self._records

    def _next_rows(self, chunk: Chunk, index: int) -> np.ndarray:
        """The rows of the next batch; -1 at the end of an epoch, or of a part of streamed rows."""
        if self._batches.per_epoch == 1:
            # The next full batch has the same rows.
            return chunk.rows[index]
        # Where a chunk of epochs ends depends on where a training was resumed; where an epoch ends does not.
        if index + 1 == chunk.steps or (chunk.first + index + 1) % self._batches.per_epoch == 0:
            return np.full_like(chunk.rows[index], -1)
        return chunk.rows[index + 1]

    def _dead_over_set(self, engine: Engine, plan: Plan, state: State) -> dict[str, list[float | None]]:
        """The fraction of the units, by layer, whose derivative is 0 for every training row."""
        living: list[np.ndarray] = []
        for data, rows in self._all_rows(engine):
            units = cast("tuple[np.ndarray, ...]", engine.fetch(engine.call(alive, plan, state, data, rows)))
            living = [a | b if len(a) else a for a, b in zip(living or units, units, strict=True)]
            if all(np.all(flags) for flags in living):
                break
        return {"dead_over_set": [1 - float(np.mean(flags)) if len(flags) else None for flags in living]}

    def _all_rows(self, engine: Engine) -> Iterator[tuple[Batch, np.ndarray]]:
        """All training rows: the batches on the device, and the numbers of their rows (1, rows)."""
        size = min(_ROWS, len(self._batches.data))
        for part in self._batches.data.parts():
            # Rows in memory are on the device already; streamed rows are placed part after part.
            data = self._data or engine.place(as_batch(part, size))
            for rows in in_batches(np.arange(len(part)), size):
                yield data, rows[None]


def _curvature(engine: Engine, plan: Plan, state: State, data: Batch, rows: np.ndarray, step: int) -> dict[str, float]:
    values = curvature_at(engine, plan, state, data, rows, generator(step, "curvature"))
    names = ("largest_eigenvalue", "hessian_trace", "hessian_trace_error")
    return dict(zip(names, values, strict=True))


def _plain(value: _Numbers) -> Json:
    """A number, a list or an array as numbers of six digits, in nested lists; None for NaN and infinity."""
    numbers = np.asarray([np.nan if item is None else item for item in value] if isinstance(value, list) else value)
    numbers = np.asarray(numbers, dtype=float)
    finite = np.isfinite(numbers)
    size = np.abs(numbers)
    exponent = np.floor(np.log10(size, out=np.zeros_like(size), where=finite & (size > 0)))
    factor = 10.0 ** (_DIGITS - 1 - np.clip(exponent, -_MOST_DECADES, _MOST_DECADES))
    rounded = np.asarray(np.round(np.where(finite, numbers, 0.0) * factor) / factor)
    if finite.all():
        return cast("Json", rounded.tolist())
    known = rounded.astype(object)
    known[~finite] = None
    return cast("Json", known.tolist())
