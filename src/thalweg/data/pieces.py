"""Sources that are read piece by piece, so that their rows are never in memory all at once."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import numpy as np

from ..core.errors import InputError, Problem, nearest
from .dataset import Samples, as_matrix
from .reading.column_choice import ColumnChoice
from .reading.notation import TableReading
from .tables import take_target


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


def separate_target(samples: Samples, choice: ColumnChoice) -> LabeledRows:
    """Separate the targets from the rows, of which the columns that are inputs are left.

    Raises InputError if the target column is missing, or if it is named although the source has targets.
    """
    target = choice.target
    samples = choice.applied(samples)
    if samples.y is not None:
        if target is not None:
            raise InputError("data", f"target = {target!r} does not apply: the source has targets; remove target")
        return LabeledRows(samples, samples.y, missing=0)
    if isinstance(samples.x, np.ndarray):
        raise InputError("data", "y is missing: pass (x, y)")
    if target is None:
        known = nearest("", samples.x.columns)
        raise InputError("data", f"target is missing: name the column to predict; {known}")
    _check_target(samples.table, target)
    table = take_target(samples.x, target)
    weight = None if samples.weight is None else samples.weight[table.kept]
    missing = len(table.kept) - len(table.y)
    return LabeledRows(samples._replace(x=table.frame, weight=weight), table.y, missing)


def _check_target(table: TableReading | None, target: str) -> None:
    """Raise InputError if more than one column has the name of the target, or if it is not understood."""
    if table is None:
        return
    if target in table.duplicated:
        raise InputError(
            "table",
            f"more than one column has the name {target!r} of the target, so that the target would be an input; rename "
            "or remove one of them",
        )
    if target in table.mixed:
        fix = "correct or empty these cells, or name them as marks of missing values (`missing = [...]` of the source)"
        raise InputError("table", f"target column {target!r}: {table.mixed[target]}; {fix}")


def piece_bytes(memory: int) -> int:
    """Size of a piece as float32, in bytes, such that all arrays made from it, float64 too, fit into half the memory.

    The other half is for what is known of each row: its target, and the set that it belongs to.
    """
    return memory // 64


@dataclass(frozen=True)
class LabeledPieces:
    """Rows in pieces, separated from their targets; loading reads them three times.

    Attributes:
        reader: reads the pieces.
        size: number of rows of a piece.
        choice: the columns that are inputs, and the target.
        on_load: called after each piece with the number of rows prepared so far and in total.
        readings: number of readings that have begun.
    """

    reader: PieceReader
    size: int
    choice: ColumnChoice
    on_load: Callable[[int, int], None]
    readings: Iterator[int] = field(default_factory=count)

    def __iter__(self) -> Iterator[LabeledRows]:
        done = next(self.readings) * self.reader.rows
        start = 0
        for samples in self.reader.read(self.size):
            with rows_from(start):
                yield separate_target(samples, self.choice)
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
