"""Rows on a disk: more than fit into memory, read part by part."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np

from ..core.errors import InputError
from ..core.files import cache_folder
from ..core.noise import generator
from .column_statistics import ColumnMoments
from .dataset import Dataset, Task
from .orders import EpochIndex, Fixed, Order

# Parts that may be in memory at one time: in training one on the device, one placed beside it (there and as it was
# read) and one that is being read; three more while held-out rows are measured; and one for all that is small.
_LIVE = 8
# Rows that lie together on the disk are read together, this many bytes at a time.
_BLOCK_BYTES = 1_000_000
_BLOCKS_A_PART = 16

Place = TypeVar("Place")
Read = TypeVar("Read")
Piece = tuple[int, int]
"""Rows from the first number to before the second."""


class _Column:
    """Numbers of one kind, row after row, in a file that no folder names: it is gone when the process is."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.row_bytes = self.dtype.itemsize * int(np.prod(shape))
        self.lock = threading.Lock()
        self.folder = os.environ.get("TMPDIR") or str(cache_folder())
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            self.file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - open as long as the column is
        except OSError as error:
            raise self._fault(error) from error
        weakref.finalize(self, self.file.close)

    def append(self, rows: np.ndarray) -> None:
        try:
            self.file.write(np.ascontiguousarray(rows, self.dtype).data)
            self.file.flush()
        except OSError as error:
            raise self._fault(error) from error

    def read(self, pieces: Iterable[Piece]) -> np.ndarray:
        pieces = list(pieces)
        rows = np.empty((sum(stop - start for start, stop in pieces), *self.shape), self.dtype)
        view, done = memoryview(cast(Any, rows.reshape(-1).view(np.uint8))), 0
        for start, stop in pieces:
            end = done + (stop - start) * self.row_bytes
            with self.lock:
                self.file.seek(start * self.row_bytes)
                self.file.readinto(view[done:end])
            done = end
        return rows

    def _fault(self, error: OSError) -> InputError:
        return InputError(
            self.folder,
            f"can not hold the rows that stream: {error.strerror or error}; free some space, or set TMPDIR to a folder "
            "of a larger disk",
        )


@dataclass(frozen=True, eq=False)
class StreamedDataset:
    """What a network trains on where the rows are on a disk: the face of `Dataset`, and parts of it to hold in memory.

    memory: the bytes that the parts in use may take together. target_variance: the weighted variance of each target of
    a regression, (outputs,); empty for others.
    """

    task: Task
    target_names: tuple[str, ...]
    image_shape: tuple[int, int] | None
    features: int
    rows: int
    memory: int
    target_variance: np.ndarray
    columns: Mapping[str, _Column]

    def __len__(self) -> int:
        return self.rows

    @property
    def outputs(self) -> int:
        """Number of classes, or of target columns."""
        return len(self.target_names)

    def part_rows(self, batch_size: int) -> int:
        """The rows of a part: as many whole batches as the memory allows, and not more than hold all rows.

        Raises InputError that names the least memory if it does not hold one batch.
        """
        fitting = self.memory // _LIVE // self._row_bytes // batch_size
        if not fitting:
            least = -(-_LIVE * batch_size * self._row_bytes // 10**6)
            raise InputError(
                "data.memory",
                f"{self.memory / 1e6:g} MB do not hold the parts of the data that are in use at one time: batches of "
                f"{batch_size} rows need at least memory = {least}, or take smaller batches",
            )
        return min(fitting, -(-self.rows // batch_size)) * batch_size

    def parts(self) -> Iterator[Dataset]:
        """All rows in their order, part by part."""
        size = self.part_rows(1)
        pieces = [[(start, min(start + size, self.rows))] for start in range(0, self.rows, size)]
        yield from _ahead(self._part, pieces)

    def epoch(self, order: Order, turn: EpochIndex) -> Iterator[tuple[Dataset, np.ndarray]]:
        """The parts of an epoch, each with the order of its rows (n,); every row is in one of them.

        Blocks of rows that lie together on the disk are met in random order, and are cut into parts of
        `part_rows(batch_size)` rows, the last of them smaller. Inside of a part `order` rules. In the order of time
        nothing is shuffled. All is a function of the seed and the epoch alone.
        """
        size = self.part_rows(turn.batch_size)
        parts = _cut(self._blocks(order, turn), size)

        def read(numbered: tuple[int, list[Piece]]) -> tuple[Dataset, np.ndarray]:
            part = self._part(numbered[1])
            return part, order.rows(turn._replace(part=numbered[0]), part)

        yield from _ahead(read, list(enumerate(parts)))

    @property
    def _row_bytes(self) -> int:
        return sum(column.row_bytes for column in self.columns.values())

    def _blocks(self, order: Order, turn: EpochIndex) -> Iterator[Piece]:
        size = max(1, min(_BLOCK_BYTES, self.memory // _LIVE // _BLOCKS_A_PART) // self._row_bytes)
        blocks: Any = range(-(-self.rows // size))
        if not order.in_time:
            epoch = 0 if isinstance(order, Fixed) else turn.epoch
            blocks = generator(turn.seed, "blocks", epoch).permutation(len(blocks)).tolist()
        return ((block * size, min((block + 1) * size, self.rows)) for block in blocks)

    def _part(self, pieces: list[Piece]) -> Dataset:
        columns = {name: column.read(pieces) for name, column in self.columns.items()}
        return Dataset.without_checks(
            **columns, task=self.task, target_names=self.target_names, image_shape=self.image_shape
        )


RowSource = Dataset | StreamedDataset


def _cut(blocks: Iterable[Piece], size: int) -> list[list[Piece]]:
    """Blocks in parts of `size` rows, the last one smaller; a block may be cut in two.

    >>> _cut([(4, 8), (0, 4)], 3)
    [[(4, 7)], [(7, 8), (0, 2)], [(2, 4)]]
    """
    parts: list[list[Piece]] = [[]]
    room = size
    for start, stop in blocks:
        while start < stop:
            if not room:
                parts.append([])
                room = size
            end = min(stop, start + room)
            parts[-1].append((start, end))
            start, room = end, room - (end - start)
    return parts


def _ahead(read: Callable[[Place], Read], places: list[Place]) -> Iterator[Read]:
    """read(place) for each place; a thread reads one ahead, and ends with the iterator."""
    with ThreadPoolExecutor(1, "thalweg-read") as pool:
        coming = pool.submit(read, places[0])
        for place in places[1:]:
            ready = coming.result()
            coming = pool.submit(read, place)
            yield ready
        yield coming.result()


class DiskWriter:
    """Takes the encoded rows of a data set piece by piece, and writes them to the disk."""

    def __init__(
        self, task: Task, target_names: tuple[str, ...], image_shape: tuple[int, int] | None, memory: int
    ) -> None:
        self.task, self.target_names, self.image_shape, self.memory = task, target_names, image_shape, memory
        self.columns: dict[str, _Column] = {}
        self.features = self.rows = 0
        self.weighs = False
        self.moments: ColumnMoments | None = None

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Write rows, a column for each field of `Dataset`. Raises InputError if the disk is full."""
        x, y, weight = rows["x"], rows["y"], rows.get("weight")
        if not self.columns:
            self.features = x.shape[1]
            self.columns = {name: _Column(values.shape[1:], values.dtype) for name, values in rows.items()}
        for name, values in rows.items():
            self.columns[name].append(values)
        self.rows += len(x)
        weighs = weight is None or bool(weight.any())
        self.weighs |= weighs
        if y.ndim == 2 and weighs:
            moments = ColumnMoments.of(y, weight)
            self.moments = self.moments.merged(moments) if self.moments else moments

    def finish(self) -> StreamedDataset:
        """The data set of all rows. Raises InputError if each of them has the weight 0."""
        if not self.weighs:
            raise InputError("weight", "is 0 for every row: nothing would be learnt")
        return StreamedDataset(
            self.task,
            self.target_names,
            self.image_shape,
            self.features,
            self.rows,
            self.memory,
            self.moments.variance if self.moments else np.zeros(0),
            self.columns,
        )


class MemoryWriter:
    """Takes the encoded rows of a data set piece by piece, and keeps them in memory."""

    def __init__(self, task: Task, target_names: tuple[str, ...], image_shape: tuple[int, int] | None) -> None:
        self.task, self.target_names, self.image_shape = task, target_names, image_shape
        self.pieces: list[Mapping[str, np.ndarray]] = []

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Keep rows, a column for each field of `Dataset`."""
        self.pieces.append(rows)

    def finish(self) -> Dataset:
        """The data set of all rows."""
        columns = {name: [piece[name] for piece in self.pieces] for name in self.pieces[0]}
        self.pieces = []
        whole: dict[str, Any] = {
            name: parts[0] if len(parts) == 1 else np.concatenate(parts) for name, parts in columns.items()
        }
        return Dataset(**whole, task=self.task, target_names=self.target_names, image_shape=self.image_shape)
