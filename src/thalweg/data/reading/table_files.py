"""Tables in files: text of any notation, Parquet and workbooks of Excel; as a whole or piece by piece."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...core.errors import InputError, nearest
from ..dataset import Samples
from ..pieces import PieceReader
from .column_choice import EVERY_COLUMN, ColumnChoice
from .notation import Decimal, Evidence, TableReading, TextOptions, read_columns
from .text_files import SEPARATOR_WORDS, FileOptions, TextTable, is_workbook

if TYPE_CHECKING:
    import polars

# The cells of a text file that are parsed at a time.
_BLOCK_CELLS = 500_000
# A block has a cost for each column.
_BLOCK_ROWS = 32
# A cell of text and its separator take at least so many bytes; more of them, where they are compressed.
_CELL_BYTES = 2
# Bytes of a cell while it is parsed, in units of the 4 bytes that it takes in a piece.
_PARSED_SIZE = 16
# Common writers of Parquet put at most this many rows into a row group by default.
_GROUP_ROWS = 1 << 20
# The columns of a row group that are read at a time take at most this many pieces.
_GROUP_PIECES = 5
_FIRST_BYTES = 512


class TableOptions(NamedTuple):
    """What the user has said of a table; None: found from the file.

    Attributes:
        separator: the separator between cells, or its name: tab, space, comma, semicolon.
        decimal: the decimal mark of all numbers.
        encoding: the encoding of the file.
        header: whether the first line has the names of the columns.
        missing: more words for a missing value.
        day_first: whether 1/2/2000 is in February.
        drop: columns that are left out.
        keep: columns that are inputs even if they look like identifiers.
        choice: which columns are needed, and of which kind they are.
    """

    separator: str | None = None
    decimal: Decimal | None = None
    encoding: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] = ()
    day_first: bool | None = None
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    choice: ColumnChoice = EVERY_COLUMN

    def for_text(self, separator: str = ",") -> TextOptions:
        """The options of the cells."""
        return TextOptions(self.decimal, self.missing, self.day_first, separator, self.choice.types)

    def for_file(self) -> FileOptions:
        """The options of the file."""
        separator = SEPARATOR_WORDS.get(self.separator, self.separator) if self.separator else None
        if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
            known = ", ".join(word for word in SEPARATOR_WORDS if word.isalpha())
            raise InputError("table", f"separator: expected one character, or {known}; received {self.separator!r}")
        return FileOptions(separator, self.encoding, self.header)


FOUND = TableOptions()
"""Everything is found from the file."""


def read_table(path: str | os.PathLike[str], options: TableOptions = FOUND) -> polars.DataFrame:
    """The table in a text file, in Parquet or in the first sheet of a workbook, with its numbers, dates and gaps.

    Raises InputError for a file that is missing, empty, damaged or not understood.
    """
    table = load_table(path, options).x
    import polars

    assert isinstance(table, polars.DataFrame)
    return table


def text_of_table(path: str | os.PathLike[str], options: TableOptions = FOUND) -> polars.DataFrame:
    """The table in a file with the cells of a text file as they are, to be read as those of another table were."""
    import polars

    table_path = check_file(path)
    if is_parquet(table_path):
        with polars_errors_of(path):
            return polars.read_parquet(table_path, glob=False)
    if is_workbook(table_path):
        return _first_sheet(table_path)
    return _whole(TextTable.of(table_path, options.for_file()), path)


def load_table(path: str | os.PathLike[str], options: TableOptions) -> Samples:
    """The table in a file, and how its text was read. Raises InputError as `read_table` does."""
    table_path = check_file(path)
    if is_parquet(table_path) or is_workbook(table_path):
        frame = text_of_table(path, options)
        check_rows(frame.height, path)
        return understood(frame, options)
    text = TextTable.of(table_path, options.for_file())
    return understood(_whole(text, path), options, text)


def _first_sheet(path: Path) -> polars.DataFrame:
    """The first sheet of a workbook of Excel. Raises InputError where it cannot be read."""
    import polars

    try:
        return polars.read_excel(path)
    except ModuleNotFoundError as error:
        fix = "pip install 'thalweg[tables]', or export the table as CSV"
        raise InputError(str(path), f"is a workbook, and the package fastexcel is not installed; {fix}") from error
    except Exception as error:
        # Each engine of polars has errors of its own.
        raise InputError(str(path), f"cannot be read as a workbook: {str(error).splitlines()[0]}") from error


def _whole(text: TextTable, path: str | os.PathLike[str]) -> polars.DataFrame:
    import polars

    blocks = list(text.blocks(max(_BLOCK_ROWS, _BLOCK_CELLS // len(text.names))))
    check_rows(sum(block.height for block in blocks), path)
    return blocks[0] if len(blocks) == 1 else polars.concat(blocks)


def understood(frame: polars.DataFrame, options: TableOptions, text: TextTable | None = None) -> Samples:
    """A frame whose columns of text are read as numbers, dates and missing values where they are certain."""
    dropped = _dropped(frame.columns, options)
    evidence = _evidence([frame], dropped, options, text)
    reading = _reading(evidence, options, text)
    return Samples(_converted(frame.drop(dropped), evidence, reading), None, table=reading, notes=reading.notes)


def table_numbers(path: str) -> int:
    """About how many numbers the rows of a file are, without reading them: rather too many than too few.

    Raises InputError for a file that is missing or damaged.
    """
    table_path = check_file(path)
    if is_parquet(table_path):
        frames = _ParquetFrames(table_path, 0)
        return frames.rows * len(frames.names)
    return table_path.stat().st_size // _CELL_BYTES


def table_pieces(path: str, options: TableOptions, size: int) -> PieceReader:
    """A reader of the rows of a file that holds about `size` bytes of numbers at a time; the columns are read as by
    `load_table`. Raises InputError as it does."""
    table_path = check_file(path)
    text = None
    read_frames: Callable[[int], Iterator[polars.DataFrame]]
    strings: Callable[[int], Iterator[polars.DataFrame]]
    if is_parquet(table_path):
        frames = _ParquetFrames(table_path, size)
        read_frames, names, rows = frames.read, frames.names, frames.rows
        strings = frames.texts
    elif is_workbook(table_path):
        sheet = _first_sheet(table_path)
        read_frames, names, rows = sheet.iter_slices, sheet.columns, sheet.height
        strings = read_frames
    else:
        text = TextTable.of(table_path, options.for_file())
        read_frames, names, rows = text.blocks, list(text.names), None
        strings = read_frames
    dropped = _dropped(names, options)
    per_piece = max(1, size // (4 * len(names)))
    counted = _Counted(strings(max(1, per_piece // (_PARSED_SIZE if text else 1))))
    evidence = _evidence(counted, dropped, options, text)
    reading = _reading(evidence, options, text)
    height = counted.rows if rows is None else rows
    check_rows(height, path)

    def read(rows: int) -> Iterator[Samples]:
        for frame in read_frames(rows):
            yield Samples(_converted(frame.drop(dropped), evidence, reading), None, table=reading, notes=reading.notes)

    return PieceReader(rows=height, width=len(names), read=read)


class _Counted:
    """Frames, and the number of their rows so far."""

    def __init__(self, frames: Iterable[polars.DataFrame]) -> None:
        self.frames = frames
        self.rows = 0

    def __iter__(self) -> Iterator[polars.DataFrame]:
        for frame in self.frames:
            self.rows += frame.height
            yield frame


def _evidence(
    frames: Iterable[polars.DataFrame], dropped: list[str], options: TableOptions, text: TextTable | None
) -> dict[str, Evidence]:
    """The evidence of the text columns of frames."""
    import polars

    of_text = options.for_text(text.separator if text else ",")
    merged: dict[str, Evidence] = {}
    for number, frame in enumerate(frames):
        for series in frame.get_columns():
            needed = series.name not in dropped and options.choice.is_read(series.name)
            if series.dtype == polars.String and needed:
                evidence = Evidence.of(series, of_text)
                merged[series.name] = merged[series.name].merged(evidence) if number else evidence
    return merged


def _dropped(columns: Sequence[str], options: TableOptions) -> list[str]:
    """The columns that are left out. Raises InputError where the options name columns that are missing."""
    known = set(columns)
    for word, names in (("drop", options.drop), ("keep", options.keep)):
        for name in names:
            if name not in known:
                raise InputError("table", f"{word}: column {name!r} is missing; {nearest(name, columns)}")
    options.choice.check(columns)
    return list(options.drop)


def _reading(evidence: dict[str, Evidence], options: TableOptions, text: TextTable | None) -> TableReading:
    reading = read_columns(evidence, options.for_text(text.separator if text else ","))
    return reading._replace(
        notes=(*(text.notes if text else ()), *reading.notes),
        duplicated=text.duplicated if text else frozenset(),
        keep=(*options.keep, *(name for name, _ in options.choice.types)),
    )


def _converted(frame: polars.DataFrame, evidence: dict[str, Evidence], reading: TableReading) -> polars.DataFrame:
    import polars

    columns = []
    for series in frame.get_columns():
        how = reading.readings.get(series.name)
        if how is not None:
            series = how.convert(series)
            if how.kind == "number" and how.is_plain and evidence[series.name].whole:
                series = series.cast(polars.Int64, strict=False)
        columns.append(series)
    return polars.DataFrame(columns)


# Parquet --------------------------------------------------------------------------------------------------------------


class _ParquetFrames:
    """The rows of a Parquet file, piece by piece.

    polars reads whole columns of a row group, however few rows are wanted; where the groups may be large, the columns
    are read a few at a time.
    """

    def __init__(self, path: Path, size: int) -> None:
        import polars

        self.path = path
        with polars_errors_of(path):
            self.frame = polars.scan_parquet(path, glob=False)
            self.rows = int(self.frame.select(polars.len()).collect().item())
            schema = self.frame.collect_schema()
        self.names = schema.names()
        self.text_names = [name for name, kind in schema.items() if kind == polars.String]
        check_rows(self.rows, path)
        group_bytes = path.stat().st_size * min(1, _GROUP_ROWS / self.rows)
        self.columns = max(1, int(len(self.names) * _GROUP_PIECES * size / group_bytes))

    def read(self, rows: int) -> Iterator[polars.DataFrame]:
        """All columns."""
        return self._read(self.names, rows)

    def texts(self, rows: int) -> Iterator[polars.DataFrame]:
        """The columns of text; no frame where there are none."""
        return self._read(self.text_names, rows) if self.text_names else iter(())

    def _read(self, names: list[str], rows: int) -> Iterator[polars.DataFrame]:
        import polars

        for start in range(0, self.rows, rows):
            with polars_errors_of(self.path):
                piece = polars.concat(
                    [
                        self.frame.select(names[first : first + self.columns])
                        .slice(start, rows)
                        .collect(engine="streaming")
                        for first in range(0, len(names), self.columns)
                    ],
                    how="horizontal",
                )
            yield piece


# Files ----------------------------------------------------------------------------------------------------------------


def checked_name(path: str) -> str:
    """The path itself. Raises InputError if it is not UTF-8, because neither a spec nor polars can hold it then."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError(path, "expected a file name in UTF-8, received other bytes; rename the file") from None
    return path


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a table. Raises InputError if there is no such file, or if it cannot be a table."""
    table_path = Path(checked_name(str(path)))
    if not os.path.isfile(table_path):
        raise InputError(
            str(path), "there is no such file" if not os.path.exists(table_path) else "is not a regular file"
        )
    try:
        with open(table_path, "rb") as file:
            start = file.read(_FIRST_BYTES)
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror or 'its content is damaged'}") from None
    if not start:
        raise InputError(str(path), "is empty: expected a line of column names, and rows below it")
    if start.startswith(b"\x93NUMPY"):
        raise InputError(str(path), 'is an array of NumPy: name it as source = { kind = "npy", x = ..., y = ... }')
    if start.startswith((b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89HDF", b"SQLite format", b"ARROW1")):
        raise InputError(str(path), "is not a table of text or Parquet; export the table as CSV or Parquet")
    if start.lstrip().startswith((b"{", b"[{", b"<")):
        raise InputError(str(path), "looks like JSON, XML or HTML, not a table; export the table as CSV or Parquet")
    return table_path


def is_parquet(path: Path) -> bool:
    """Whether the file is of Parquet: by its content or, where that is damaged, by its name."""
    with open(path, "rb") as file:
        return file.read(4) == b"PAR1" or path.suffix.lower() in (".parquet", ".pq")


def check_rows(rows: int, path: str | os.PathLike[str]) -> None:
    """Raise InputError if a table has no rows."""
    if not rows:
        raise InputError(str(path), "has column names but no rows")


@contextmanager
def polars_errors_of(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise the errors of polars about a Parquet file as InputError."""
    import polars

    try:
        yield
    except (MemoryError, polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        # Some damaged Parquet files make polars panic.
        raise InputError(
            str(path), "cannot be read as Parquet: the file is damaged, cut off, or of another kind; write it again"
        ) from error
