"""Sources that are read piece by piece, so that their rows are never in memory all at once."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from ..core.errors import InputError, Problem, nearest
from .dataset import Samples, as_matrix
from .tables import check_file, faults_of, separator_of, take_target

if TYPE_CHECKING:
    import polars

# The bytes that a cell of a text file takes, more or less.
_CELL = 8
_LONGEST_LINE = 10_000_000
# No common writer of Parquet puts more rows into a row group, unless it is told to; and what may be held of one, in
# pieces.
_GROUP_ROWS = 1 << 20
_GROUP_SHARE = 5


class PieceReader(NamedTuple):
    """Rows to be read piece by piece, as often as one likes.

    rows: how many there are; width: the numbers in each; read: a function that reads them all, in pieces of about so
    many rows.
    """

    rows: int
    width: int
    read: Callable[[int], Iterator[Samples]]


class LabeledRows(NamedTuple):
    """Rows with the column to learn taken out of them: the samples, their targets, and how many had none."""

    samples: Samples
    y: np.ndarray
    missing: int


def separate_target(samples: Samples, target: str | None) -> LabeledRows:
    """Part the targets from the rows; `target` is the column of a table that is to be learnt."""
    if samples.y is not None:
        if target is not None:
            raise InputError("data", f"target = {target!r} has no place here: the source has its own targets")
        return LabeledRows(samples, samples.y, 0)
    if isinstance(samples.x, np.ndarray):
        raise InputError("data", "y is missing: give (x, y)")
    if target is None:
        known = nearest("", samples.x.columns)
        raise InputError("data", f"target is missing: the column of the table that is to be learnt; {known}")
    aimed = take_target(samples.x, target)
    weight = None if samples.weight is None else samples.weight[aimed.kept]
    return LabeledRows(samples._replace(x=aimed.frame, weight=weight), aimed.y, len(aimed.kept) - len(aimed.y))


def piece_bytes(memory: int) -> int:
    """How large a piece may be as float32, such that all that is made of it, in float64 too, fits into the memory."""
    return memory // 32


@dataclass(frozen=True)
class LabeledPieces:
    """Rows in pieces of about `size`, parted from their targets; `watch` hears of each of three readings."""

    pieces: PieceReader
    size: int
    target: str | None
    watch: Callable[[int, int], None]
    readings: Iterator[int] = field(default_factory=count)

    def __iter__(self) -> Iterator[LabeledRows]:
        done = next(self.readings) * self.pieces.rows
        start = 0
        for samples in self.pieces.read(self.size):
            with rows_from(start):
                yield separate_target(samples, self.target)
            start += len(samples.x)
            self.watch((done + start) // 3, self.pieces.rows)


@contextmanager
def rows_from(start: int) -> Iterator[None]:
    """Say where the piece stands in whose rows an error is found."""
    try:
        yield
    except InputError as error:
        if not start:
            raise
        where = f"(rows counted from row {start})"
        raise InputError(error.subject, [Problem(p.place, f"{p.message} {where}") for p in error.problems]) from None


def array_pieces(samples: Samples) -> PieceReader:
    """The rows of an array, which may be mapped from a file."""
    x: Any = samples.x

    def read(rows: int) -> Iterator[Samples]:
        for start in range(0, len(x), rows):
            index = slice(start, start + rows)
            with rows_from(start):
                matrix = as_matrix(x[index], samples.image_shape)
            y, weight = samples.y, samples.weight
            yield samples._replace(
                x=matrix, y=None if y is None else y[index], weight=None if weight is None else weight[index]
            )
            release(x)

    return PieceReader(len(x), int(np.prod(x.shape[1:])), read)


def release(x: Any) -> None:
    """Give back the memory of what was read of an array that is mapped from a file; the file keeps it."""
    # A private mapping ("c") is left alone: it may hold changes that are in no file.
    if isinstance(x, np.memmap) and x.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        base: Any = x
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap):
            base.madvise(mmap.MADV_DONTNEED)


def parquet_pieces(path: str, size: int) -> PieceReader:
    """The rows of a .parquet file, of which `size` bytes are meant to be held at once.

    Of a row group polars reads whole columns, however few rows are asked for; where groups may be large, some columns
    are read at a time. Raises InputError as `read_table` does.
    """
    import polars

    place = check_file(path)
    with faults_of(path):
        frame = polars.scan_parquet(place, glob=False)
        height = frame.select(polars.len()).collect().item()
        names = frame.collect_schema().names()
    if not height:
        raise InputError(path, "has column names and no rows")
    group = place.stat().st_size * min(1, _GROUP_ROWS / height)
    together = max(1, int(len(names) * _GROUP_SHARE * size / group))

    def read(rows: int) -> Iterator[Samples]:
        for start in range(0, height, rows):
            with faults_of(path):
                piece = polars.concat(
                    [
                        frame.select(names[first : first + together]).slice(start, rows).collect(engine="streaming")
                        for first in range(0, len(names), together)
                    ],
                    how="horizontal",
                )
            yield Samples(piece, None)

    return PieceReader(height, len(names), read)


@dataclass(frozen=True)
class _Csv:
    """A .csv or .tsv file, cut into whole lines."""

    path: str
    separator: str

    def parse(self, block: bytes, **options: Any) -> polars.DataFrame:
        import polars

        with faults_of(self.path):
            return polars.read_csv(BytesIO(block), separator=self.separator, **options)

    def blocks(self, size: int) -> Iterator[bytes]:
        """The lines below the names of the columns, in blocks of about so many bytes."""
        with open(self.path, "rb") as file:
            self.names_in(file)
            rest = b""
            while read := file.read(size):
                block = rest + read
                end = _last_line(block)
                rest = block[end:]
                if len(rest) > _LONGEST_LINE + size:
                    raise InputError(self.path, f"has a line of more than {len(rest)} bytes: is a quote left open?")
                if end:
                    yield block[:end]
            if rest:
                yield rest

    def names_in(self, file: BinaryIO) -> bytes:
        """The line of column names, with which the file begins; quoted names may hold line breaks."""
        head = file.readline()
        while head.count(b'"') % 2 and (more := file.readline()):
            head += more
        return head


def _last_line(block: bytes) -> int:
    """Where the last whole line ends: behind a line break with an even number of quotes before it; else 0."""
    end = block.rfind(b"\n") + 1
    while end and block.count(b'"', 0, end) % 2:
        end = block.rfind(b"\n", 0, end - 1) + 1
    return end


def csv_pieces(path: str, size: int) -> PieceReader:
    """The rows of a .csv or .tsv file; `size` bytes are held at once while the types of its columns are found.

    The types are those that `read_table` finds. Raises InputError as it does.
    """
    place = check_file(path)
    csv = _Csv(path, separator_of(place))
    with open(path, "rb") as file:
        head = csv.names_in(file)
    names = csv.parse(head, infer_schema=False).columns
    found: list[set[polars.DataType]] = [set() for _ in names]
    height = 0
    for block in csv.blocks(size):
        frame = csv.parse(head + block, infer_schema_length=None, try_parse_dates=True)
        height += frame.height
        for types, series in zip(found, frame, strict=True):
            if series.null_count() < len(series):
                types.add(series.dtype)
    if not height:
        raise InputError(path, "has column names and no rows")
    schema = dict(zip(names, map(_common, found), strict=True))

    def read(rows: int) -> Iterator[Samples]:
        for block in csv.blocks(rows * len(names) * _CELL):
            yield Samples(csv.parse(head + block, schema=schema, try_parse_dates=True), None)

    return PieceReader(height, len(names), read)


def _common(types: set[polars.DataType]) -> polars.DataType:
    """The type of a column whose pieces are of these types: as polars finds it for the whole."""
    import polars

    if len(types) == 1:
        return types.pop()
    if types and all(dtype.is_integer() for dtype in types):
        return polars.Int128()
    if types and all(dtype.is_numeric() for dtype in types):
        return polars.Float64()
    return polars.String()
