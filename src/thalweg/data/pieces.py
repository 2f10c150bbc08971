"""Sources that are read piece by piece, so that their rows are never in memory all at once."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from ..core.errors import InputError, Problem, nearest
from .dataset import Samples, as_matrix
from .tables import check_file, check_rows, polars_errors_of, separator_of, take_target

if TYPE_CHECKING:
    import polars
    from polars._typing import SchemaDict

# Typical number of bytes of a cell of a text file.
_CELL_BYTES = 8
_LONGEST_LINE = 10_000_000
# Common writers of Parquet put at most this many rows into a row group by default.
_GROUP_ROWS = 1 << 20
# The columns of a row group that are read at a time take at most this many pieces.
_GROUP_PIECES = 5


class PieceReader(NamedTuple):
    """Rows that can be read piece by piece, any number of times.

    Attributes:
        rows: number of rows.
        width: number of values in each row.
        read: read(size) yields all rows in pieces of about `size` rows.
    """

    rows: int
    width: int
    read: Callable[[int], Iterator[Samples]]


class LabeledRows(NamedTuple):
    """Rows separated from their targets.

    Attributes:
        samples: the rows without the target column.
        y: their targets.
        missing: number of rows that were dropped because they had no target.
    """

    samples: Samples
    y: np.ndarray
    missing: int


def separate_target(samples: Samples, target: str | None) -> LabeledRows:
    """Separate the targets from the rows; `target` names the target column of a table.

    Raises InputError if the target column is missing, or if it is named although the source has targets.
    """
    if samples.y is not None:
        if target is not None:
            raise InputError("data", f"target = {target!r} does not apply: the source has targets; remove target")
        return LabeledRows(samples, samples.y, missing=0)
    if isinstance(samples.x, np.ndarray):
        raise InputError("data", "y is missing: pass (x, y)")
    if target is None:
        known = nearest("", samples.x.columns)
        raise InputError("data", f"target is missing: name the column to predict; {known}")
    table = take_target(samples.x, target)
    weight = None if samples.weight is None else samples.weight[table.kept]
    missing = len(table.kept) - len(table.y)
    return LabeledRows(samples._replace(x=table.frame, weight=weight), table.y, missing)


def piece_bytes(memory: int) -> int:
    """Size of a piece as float32, in bytes, such that all arrays made from it, float64 too, fit into the memory."""
    return memory // 32


@dataclass(frozen=True)
class LabeledPieces:
    """Rows in pieces, separated from their targets; loading reads them three times.

    Attributes:
        reader: reads the pieces.
        size: number of rows of a piece.
        target: name of the target column of a table.
        on_load: called after each piece with the number of rows prepared so far and in total.
        readings: number of readings that have begun.
    """

    reader: PieceReader
    size: int
    target: str | None
    on_load: Callable[[int, int], None]
    readings: Iterator[int] = field(default_factory=count)

    def __iter__(self) -> Iterator[LabeledRows]:
        done = next(self.readings) * self.reader.rows
        start = 0
        for samples in self.reader.read(self.size):
            with rows_from(start):
                yield separate_target(samples, self.target)
            start += len(samples.x)
            self.on_load((done + start) // 3, self.reader.rows)


@contextmanager
def rows_from(start: int) -> Iterator[None]:
    """Add to an InputError about the rows of a piece where the piece starts."""
    try:
        yield
    except InputError as error:
        if not start:
            raise
        offset = f"(rows counted from row {start})"
        problems = [Problem(problem.place, f"{problem.message} {offset}") for problem in error.problems]
        raise InputError(error.subject, problems) from None


# Arrays ---------------------------------------------------------------------------------------------------------------


def array_pieces(samples: Samples) -> PieceReader:
    """A reader of the rows of an array, which may be mapped from a file."""
    x = samples.x
    assert isinstance(x, np.ndarray)

    def read(rows: int) -> Iterator[Samples]:
        for start in range(0, len(x), rows):
            index = slice(start, start + rows)
            with rows_from(start):
                matrix = as_matrix(x[index], samples.image_shape)
            y = None if samples.y is None else samples.y[index]
            weight = None if samples.weight is None else samples.weight[index]
            yield samples._replace(x=matrix, y=y, weight=weight)
            release(x)

    return PieceReader(rows=len(x), width=int(np.prod(x.shape[1:])), read=read)


def release(x: np.ndarray) -> None:
    """Free the memory of the pages read so far of an array that is mapped from a file."""
    # A private mapping ("c") is left alone: it may hold changes that are in no file.
    if isinstance(x, np.memmap) and x.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        base: object = x
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap):
            base.madvise(mmap.MADV_DONTNEED)


# Parquet --------------------------------------------------------------------------------------------------------------


def parquet_pieces(path: str, size: int) -> PieceReader:
    """A reader of the rows of a .parquet file that holds about `size` bytes at a time.

    polars reads whole columns of a row group, however few rows are wanted; where the groups may be large, the columns
    are read a few at a time. Raises InputError as `read_table` does.
    """
    import polars

    table_path = check_file(path)
    with polars_errors_of(path):
        frame = polars.scan_parquet(table_path, glob=False)
        height = frame.select(polars.len()).collect().item()
        names = frame.collect_schema().names()
    check_rows(height, path)
    group_bytes = table_path.stat().st_size * min(1, _GROUP_ROWS / height)
    columns = max(1, int(len(names) * _GROUP_PIECES * size / group_bytes))

    def read(rows: int) -> Iterator[Samples]:
        for start in range(0, height, rows):
            with polars_errors_of(path):
                piece = polars.concat(
                    [
                        frame.select(names[first : first + columns]).slice(start, rows).collect(engine="streaming")
                        for first in range(0, len(names), columns)
                    ],
                    how="horizontal",
                )
            yield Samples(piece, None)

    return PieceReader(rows=height, width=len(names), read=read)


# CSV ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _CsvFile:
    """A .csv or .tsv file, cut into blocks of whole lines."""

    path: str
    separator: str

    def names(self, header: bytes) -> list[str]:
        """The names of the columns."""
        import polars

        with polars_errors_of(self.path):
            return polars.read_csv(BytesIO(header), separator=self.separator, infer_schema=False).columns

    def parse(self, block: bytes, schema: SchemaDict | None = None) -> polars.DataFrame:
        """The rows of a block that begins with the names; without a schema the types are inferred from all rows."""
        import polars

        with polars_errors_of(self.path):
            return polars.read_csv(
                BytesIO(block),
                separator=self.separator,
                schema=schema,
                infer_schema_length=None if schema is None else 100,
                try_parse_dates=True,
            )

    def blocks(self, size: int) -> Iterator[bytes]:
        """The lines below the names of the columns, in blocks of about `size` bytes."""
        with open(self.path, "rb") as file:
            self.header_of(file)
            rest = b""
            while read := file.read(size):
                block = rest + read
                end = _last_line_end(block)
                rest = block[end:]
                if len(rest) > _LONGEST_LINE + size:
                    raise InputError(
                        self.path, f"has a line of more than {len(rest)} bytes; is a quotation mark not closed?"
                    )
                if end:
                    yield block[:end]
            if rest:
                yield rest

    def header_of(self, file: BinaryIO) -> bytes:
        """Read the line of column names at the start of the file; quoted names may hold line breaks."""
        header = file.readline()
        while header.count(b'"') % 2 and (more := file.readline()):
            header += more
        return header


def _last_line_end(block: bytes) -> int:
    """Where the last whole line ends: after a line break with an even number of quotes before it; 0 if none does."""
    end = block.rfind(b"\n") + 1
    while end and block.count(b'"', 0, end) % 2:
        end = block.rfind(b"\n", 0, end - 1) + 1
    return end


def csv_pieces(path: str, size: int) -> PieceReader:
    """A reader of the rows of a .csv or .tsv file; it holds about `size` bytes while it infers the column types.

    The types are the same as those of `read_table`. Raises InputError as it does.
    """
    csv = _CsvFile(path, separator_of(check_file(path)))
    with open(path, "rb") as file:
        header = csv.header_of(file)
    names = csv.names(header)
    types: list[set[polars.DataType]] = [set() for _ in names]
    height = 0
    for block in csv.blocks(size):
        frame = csv.parse(header + block)
        height += frame.height
        for column_types, series in zip(types, frame, strict=True):
            if series.null_count() < len(series):
                column_types.add(series.dtype)
    check_rows(height, path)
    schema = dict(zip(names, map(_common_type, types), strict=True))

    def read(rows: int) -> Iterator[Samples]:
        for block in csv.blocks(rows * len(names) * _CELL_BYTES):
            yield Samples(csv.parse(header + block, schema), None)

    return PieceReader(rows=height, width=len(names), read=read)


def _common_type(types: set[polars.DataType]) -> polars.DataType:
    """The type that polars infers for a whole column whose pieces have these types."""
    import polars

    if len(types) == 1:
        return types.pop()
    if types and all(dtype.is_integer() for dtype in types):
        return polars.Int128()
    if types and all(dtype.is_numeric() for dtype in types):
        return polars.Float64()
    return polars.String()
