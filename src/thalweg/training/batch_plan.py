"""Blocks: the rows of the coming steps, placed on the device, whether all rows are in memory or stream from a disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..data import Dataset, EpochIndex, Order, RowSource, StreamedDataset
from ..engine.engine import Engine
from ..engine.step import Batch

# Epochs that nobody looks at in between run as one program of up to this many steps.
_BLOCK_STEPS = 2048


class Chunk(NamedTuple):
    """Steps that run on one piece of data: `rows` (at least `steps`, batch size) name its rows, -1 is padding.

    `first` is the number of steps of the training before its first one.
    """

    data: Batch
    rows: np.ndarray
    first: int
    steps: int


class BatchPlan(NamedTuple):
    """How the rows of a training are met: `step_rows` in each update, `turn` says seed and number of epochs."""

    data: RowSource
    order: Order
    epoch_index: EpochIndex
    step_rows: int

    @property
    def per_epoch(self) -> int:
        """Updates in an epoch."""
        return -(-len(self.data) // self.step_rows)

    @property
    def steps(self) -> int:
        """Updates of the whole training."""
        return self.per_epoch * self.epoch_index.epochs

    def chunks(self, engine: Engine, start: int, look_every: int) -> Iterator[Chunk]:
        """The blocks that hold step `start` and all later ones.

        A block ends wherever a multiple of `look_every` epochs does. All blocks have arrays of the same shapes.
        """
        if isinstance(self.data, StreamedDataset):
            return self._streamed(self.data, engine, start)
        return self._in_memory(self.data, engine, start, look_every)

    def _in_memory(self, data: Dataset, engine: Engine, start: int, look_every: int) -> Iterator[Chunk]:
        placed = engine.place(as_batch(data))
        together = max(1, min(self.epoch_index.epochs, look_every, _BLOCK_STEPS // self.per_epoch))
        # The first block is short, so that the device can begin; the others are made while it works.
        epoch, count = start // self.per_epoch, max(1, together // 8)
        while epoch < self.epoch_index.epochs:
            count = min(count, self.epoch_index.epochs - epoch, look_every - epoch % look_every)
            rows = np.full((together, self.per_epoch * self.step_rows), -1, dtype=np.int32)
            for index in range(count):
                rows[index, : len(data)] = self.order.rows(self.epoch_index._replace(epoch=epoch + index), data)
            steps = self.per_epoch
            yield Chunk(placed, rows.reshape(-1, self.step_rows), epoch * steps, count * steps)
            epoch, count = epoch + count, together

    def _streamed(self, data: StreamedDataset, engine: Engine, start: int) -> Iterator[Chunk]:
        size = data.part_rows(self.step_rows)
        for epoch in range(start // self.per_epoch, self.epoch_index.epochs):
            first = epoch * self.per_epoch
            for part, rows in data.epoch(self.order, self.epoch_index._replace(epoch=epoch)):
                steps = -(-len(rows) // self.step_rows)
                if first + steps > start:
                    yield Chunk(
                        engine.place(as_batch(part, size)), in_batches(rows, self.step_rows, size), first, steps
                    )
                first += steps


def as_batch(data: Dataset, rows: int = 0) -> Batch:
    """All rows of a data set as one batch, each of weight 1 unless it has its own; filled up to `rows` of weight 0."""
    weight = np.ones(len(data), dtype=np.float32) if data.weight is None else data.weight
    batch = Batch(data.x, data.y, weight)
    return Batch(*(_filled(array, rows) for array in batch)) if rows > len(data) else batch


def _filled(array: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])


def in_batches(rows: np.ndarray, batch_size: int, at_least: int = 0) -> np.ndarray:
    """Rows in batches (steps, batch size), filled up with -1, to no fewer than `at_least` rows.

    >>> in_batches(np.arange(5), 2).tolist()
    [[0, 1], [2, 3], [4, -1]]
    """
    steps = -(-max(len(rows), at_least) // batch_size)
    padded = np.full(steps * batch_size, -1, dtype=np.int32)
    padded[: len(rows)] = rows
    return padded.reshape(steps, batch_size)
