"""Rows on the disk that do not fit into memory, read part by part."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from ..core.errors import InputError
from ..core.files import cache_folder
from ..core.noise import generator
from .column_statistics import ColumnMoments
from .dataset import Dataset, ImageShape, Task, check_any_weight
from .orders import EpochIndex, Order
from .preprocessing import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

# Parts that may be in memory at the same time. In training: one on the device, the next one on the device too, and one
# that is read and placed there. While held-out rows are evaluated: three more. One covers everything small.
_PARTS_IN_MEMORY = 8
# Rows that are adjacent on the disk are read together, this many bytes at a time.
_BLOCK_BYTES = 1_000_000
_BLOCKS_A_PART = 16
_HEAD_ROWS = 100_000

Item = TypeVar("Item")
RowRange: TypeAlias = tuple[int, int]
"""Rows from the first number up to, but without, the second."""


class _ColumnFile:
    """Arrays of one shape and type, one for each row, in an anonymous file that vanishes with the process."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.row_bytes = self.dtype.itemsize * int(np.prod(shape))
        self.lock = threading.Lock()
        self.folder = os.environ.get("TMPDIR") or str(cache_folder())
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            self.file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - open as long as the column is
        except OSError as error:
            raise self._input_error(error) from error
        weakref.finalize(self, self.file.close)

    def append(self, rows: np.ndarray) -> None:
        try:
            self.file.write(np.ascontiguousarray(rows, self.dtype).data)
            self.file.flush()
        except OSError as error:
            raise self._input_error(error) from error

    def read(self, ranges: Iterable[RowRange]) -> np.ndarray:
        ranges = list(ranges)
        rows = np.empty((sum(stop - start for start, stop in ranges), *self.shape), self.dtype)
        buffer = rows.reshape(-1).view(np.uint8).data
        done = 0
        for start, stop in ranges:
            end = done + (stop - start) * self.row_bytes
            with self.lock:
                self.file.seek(start * self.row_bytes)
                self.file.readinto(buffer[done:end])
            done = end
        return rows

    def _input_error(self, error: OSError) -> InputError:
        return InputError(
            self.folder,
            f"cannot hold the streamed rows: {error.strerror or error}; free some space, or set TMPDIR to a folder on "
            "a larger disk",
        )


@dataclass(frozen=True, eq=False)
class StreamedDataset:
    """The rows that a network trains on, on the disk: the interface of `Dataset`, and parts that fit into memory.

    Attributes:
        task: classification, regression or multilabel.
        target_names: the classes, the outputs or the labels.
        image_shape: shape of an image where each row is one.
        features: number of columns of x.
        rows: number of rows.
        memory: bytes that all parts in use may take together.
        target_variance: weighted variance of each target of a regression, (outputs,); empty for other tasks.
        columns: the files of x, y, and if present weight and key.
        numbers: the columns of x that hold numbers; None: all columns.
        codes: the columns of x that hold numbers of categories, each with how many there are.
    """

    task: Task
    target_names: tuple[str, ...]
    image_shape: ImageShape | None
    features: int
    rows: int
    memory: int
    target_variance: np.ndarray
    columns: Mapping[str, _ColumnFile]
    numbers: tuple[int, ...] | None = None
    codes: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return self.rows

    @property
    def outputs(self) -> int:
        """Number of classes, or of target columns."""
        return len(self.target_names)

    def part_rows(self, batch_size: int) -> int:
        """Rows of a part: as many whole batches as the memory allows, but no more than all rows need.

        Raises InputError with the least memory needed if the memory does not hold one batch.
        """
        batches = self.memory // _PARTS_IN_MEMORY // self._row_bytes // batch_size
        if not batches:
            least = -(-_PARTS_IN_MEMORY * batch_size * self._row_bytes // 10**6)
            raise InputError(
                "data.memory",
                f"{self.memory / 1e6:g} MB cannot hold the parts of the data that are in use at the same time: batches "
                f"of {batch_size} rows need at least memory = {least}; raise memory or lower batch_size",
            )
        return min(batches, -(-self.rows // batch_size)) * batch_size

    def parts(self) -> Iterator[Dataset]:
        """All rows in the order of the file, part by part."""
        size = self.part_rows(1)
        ranges = [[(start, min(start + size, self.rows))] for start in range(0, self.rows, size)]
        yield from ahead(map(self._part, ranges))

    def head(self) -> Dataset:
        """The rows that are looked at to describe them: the first 100,000, or the first part where that is less."""
        return self._part([(0, min(self.rows, self.part_rows(1), _HEAD_ROWS))])

    def epoch(self, order: Order, epoch_index: EpochIndex) -> Iterator[tuple[Dataset, np.ndarray]]:
        """The parts of an epoch, each with the order of its rows (n,); every row is in exactly one part.

        Blocks of adjacent rows are visited in random order, and cut into parts of `part_rows(batch_size)` rows, the
        last of them smaller. Within a part `order` applies. In the order of time nothing is shuffled. The result is a
        function of the seed and the epoch alone.
        """
        for number, ranges in enumerate(_cut(self._blocks(order, epoch_index), self.part_rows(epoch_index.batch_size))):
            part = self._part(ranges)
            yield part, order.rows(epoch_index._replace(part=number), part)

    @property
    def _row_bytes(self) -> int:
        return sum(column.row_bytes for column in self.columns.values())

    def _blocks(self, order: Order, epoch_index: EpochIndex) -> Iterator[RowRange]:
        size = max(1, min(_BLOCK_BYTES, self.memory // _PARTS_IN_MEMORY // _BLOCKS_A_PART) // self._row_bytes)
        blocks = np.arange(-(-self.rows // size))
        if not order.in_time:
            epoch = 0 if order.same_each_epoch else epoch_index.epoch
            blocks = generator(epoch_index.seed, "blocks", epoch).permutation(len(blocks))
        return ((block * size, min((block + 1) * size, self.rows)) for block in blocks.tolist())

    def _part(self, ranges: list[RowRange]) -> Dataset:
        columns = {name: column.read(ranges) for name, column in self.columns.items()}
        return Dataset.without_checks(
            x=columns["x"],
            y=columns["y"],
            weight=columns.get("weight"),
            key=columns.get("key"),
            task=self.task,
            target_names=self.target_names,
            image_shape=self.image_shape,
            numbers=self.numbers,
            codes=self.codes,
        )


RowSource = Dataset | StreamedDataset


def _cut(blocks: Iterable[RowRange], size: int) -> list[list[RowRange]]:
    """Blocks grouped into parts of `size` rows, the last one smaller; a block may be cut in two.

    >>> _cut([(4, 8), (0, 4)], 3)
    [[(4, 7)], [(7, 8), (0, 2)], [(2, 4)]]
    """
    parts: list[list[RowRange]] = [[]]
    room = size
    for start, stop in blocks:
        while start < stop:
            if not room:
                parts.append([])
                room = size
            end = min(stop, start + room)
            parts[-1].append((start, end))
            room -= end - start
            start = end
    return parts


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items, each of which is made in a thread while the one before it is used; the thread ends with the iterator.

    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    with ThreadPoolExecutor(1, "thalweg-ahead") as pool:
        upcoming = pool.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = pool.submit(next, items, None)
            yield item


# Writers --------------------------------------------------------------------------------------------------------------


class DiskWriter:
    """Writes the preprocessed rows of a data set to the disk, piece by piece; `memory` in bytes."""

    def __init__(self, preprocessing: Preprocessing, memory: int) -> None:
        self.preprocessing = preprocessing
        self.memory = memory
        self.columns: dict[str, _ColumnFile] = {}
        self.rows = 0
        self.any_weight = False
        self.target_moments: ColumnMoments | None = None

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Write rows: x, y, and if present weight and key. Raises InputError if the disk is full."""
        y = rows["y"]
        weight = rows.get("weight")
        if not self.columns:
            self.columns = {name: _ColumnFile(values.shape[1:], values.dtype) for name, values in rows.items()}
        for name, values in rows.items():
            self.columns[name].append(values)
        self.rows += len(y)
        any_weight = weight is None or bool(weight.any())
        self.any_weight |= any_weight
        if y.ndim == 2 and any_weight:
            moments = ColumnMoments.of(y, weight)
            self.target_moments = self.target_moments.merged(moments) if self.target_moments else moments

    def finish(self) -> StreamedDataset:
        """The data set of all rows. Raises InputError if every row has the weight 0."""
        check_any_weight(self.any_weight)
        return StreamedDataset(
            task=self.preprocessing.task,
            target_names=self.preprocessing.target_names,
            image_shape=self.preprocessing.image_shape,
            features=self.preprocessing.features,
            rows=self.rows,
            memory=self.memory,
            target_variance=self.target_moments.variance if self.target_moments else np.zeros(0),
            columns=self.columns,
            numbers=self.preprocessing.numbers,
            codes=self.preprocessing.codes,
        )


class MemoryWriter:
    """Collects the preprocessed rows of a data set in memory, piece by piece."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self.pieces: list[Mapping[str, np.ndarray]] = []

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Keep rows: x, y, and if present weight and key."""
        self.pieces.append(rows)

    def finish(self) -> Dataset:
        """The data set of all rows. Raises InputError if every row has the weight 0."""
        pieces = {name: [piece[name] for piece in self.pieces] for name in self.pieces[0]}
        self.pieces = []
        columns = {name: arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for name, arrays in pieces.items()}
        return Dataset(
            x=columns["x"],
            y=columns["y"],
            task=self.preprocessing.task,
            weight=columns.get("weight"),
            target_names=self.preprocessing.target_names,
            image_shape=self.preprocessing.image_shape,
            key=columns.get("key"),
            precision=self.preprocessing.precision,
            numbers=self.preprocessing.numbers,
            codes=self.preprocessing.codes,
        )
