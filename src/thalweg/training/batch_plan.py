"""The rows of the coming steps, placed on the device in chunks, from memory or streamed from a disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..data import Dataset, EpochIndex, Order, RowSource, StreamedDataset
from ..data.streaming import ahead
from ..engine.engine import Engine
from ..engine.step import Batch

# Epochs with nothing between them run as one program of up to this many steps.
_CHUNK_STEPS = 2048


class Chunk(NamedTuple):
    """Consecutive steps that run on one piece of data."""

    data: Batch
    """The rows that the steps choose from, on the device."""
    rows: np.ndarray
    """Indices of the rows of each step, (at least `steps`, batch size); -1 is padding."""
    first: int
    """Steps of the training before the first one of the chunk."""
    steps: int
    """Number of steps."""


class BatchPlan(NamedTuple):
    """The rows that each update of a training meets."""

    data: RowSource
    """The training rows."""
    order: Order
    """The order of the rows in each epoch."""
    epoch_index: EpochIndex
    """Seed, number of epochs and rows of an update, as the order needs them."""
    step_rows: int
    """Rows of an update."""

    @property
    def per_epoch(self) -> int:
        """Updates in an epoch."""
        return -(-len(self.data) // self.step_rows)

    @property
    def steps(self) -> int:
        """Updates of the whole training."""
        return self.per_epoch * self.epoch_index.epochs

    def chunks(self, engine: Engine, start: int, look_every: int) -> Iterator[Chunk]:
        """The chunks that hold step `start` and all later ones.

        A chunk ends wherever a multiple of `look_every` epochs does. All chunks have arrays of the same shapes.
        """
        if isinstance(self.data, StreamedDataset):
            return ahead(self._streamed(self.data, engine, start))
        return self._in_memory(self.data, engine, start, look_every)

    def _in_memory(self, data: Dataset, engine: Engine, start: int, look_every: int) -> Iterator[Chunk]:
        placed = engine.place(as_batch(data))
        together = max(1, min(self.epoch_index.epochs, look_every, _CHUNK_STEPS // self.per_epoch))
        # The first chunk is short, so that the device can begin; the others are prepared while it works.
        epoch = start // self.per_epoch
        count = max(1, together // 8)
        while epoch < self.epoch_index.epochs:
            count = min(count, self.epoch_index.epochs - epoch, look_every - epoch % look_every)
            rows = np.full((together, self.per_epoch * self.step_rows), -1, dtype=np.int32)
            for index in range(count):
                rows[index, : len(data)] = self.order.rows(self.epoch_index._replace(epoch=epoch + index), data)
            steps = self.per_epoch
            yield Chunk(placed, rows.reshape(-1, self.step_rows), epoch * steps, count * steps)
            epoch += count
            count = together

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
    """All rows of a data set as one batch, of weight 1 unless they have weights; padded to `rows` with weight 0."""
    weight = np.ones(len(data), dtype=np.float32) if data.weight is None else data.weight
    batch = Batch(data.x, data.y, weight)
    return Batch(*(filled(array, rows) for array in batch)) if rows > len(data) else batch


def filled(array: np.ndarray, rows: int) -> np.ndarray:
    """The rows of an array, and rows of 0 after them so that there are `rows`."""
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])


def in_batches(rows: np.ndarray, batch_size: int, at_least: int = 0) -> np.ndarray:
    """Row indices in batches (steps, batch size), padded with -1 to at least `at_least` rows.

    >>> in_batches(np.arange(5), 2).tolist()
    [[0, 1], [2, 3], [4, -1]]
    """
    steps = -(-max(len(rows), at_least) // batch_size)
    padded = np.full(steps * batch_size, -1, dtype=np.int32)
    padded[: len(rows)] = rows
    return padded.reshape(steps, batch_size)
