"""Text files of cells: their compression, encoding, separator and names are found from the file, or given."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, cast

from ...core.errors import InputError
from .notation import CURRENCIES, NOTATIONS

if TYPE_CHECKING:
    import polars

_SAMPLE_CHARACTERS = 200_000
_BLANKS = re.compile(r"(?:[ \t\u00a0]|\r?\n)+")
_SAMPLE_LINES = 200
_SAMPLE_CHARACTERS = 5_000_000
_FEWEST_LINES = 20
_SAMPLE_CELLS = 100
_LONGEST_LINE = 10_000_000
_READ_BYTES = 1 << 20
_SEPARATORS = ("\t", ";", "|", ",", " ")
SEPARATOR_WORDS = {"tab": "\t", "space": " ", "comma": ",", "semicolon": ";", "\\t": "\t"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_VALUE = re.compile(
    "|".join((*(reading.pattern for reading in NOTATIONS), r"^\d{1,4}([-/.]\d{1,2}){2,3}$|^\d{4}-\d\d-\d\d"))
)


class FileOptions(NamedTuple):
    """What the user has said of a text file; None: found from the file."""

    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None


# Compression and encoding ---------------------------------------------------------------------------------------------


def opened(path: Path) -> IO[bytes]:
    """The bytes of a file, uncompressed. Raises InputError for a compression that cannot be read."""
    with open(path, "rb") as file:
        start = file.read(8)
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if start.startswith(b"BZh"):
        return bz2.open(path, "rb")
    if start.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(path, "rb")
    if start.startswith(b"PK"):
        return _member(path)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstandard(path)
    if start.startswith(b"7z\xbc\xaf\x27\x1c") or start.startswith(b"Rar!"):
        raise InputError(str(path), "is an archive that is not read; unpack it first")
    return open(path, "rb")


def _zstandard(path: Path) -> IO[bytes]:
    try:
        from zstandard import ZstdDecompressor
    except ImportError as error:
        fix = "pip install 'thalweg[tables]', or decompress it first (`zstd -d`)"
        raise InputError(str(path), f"is compressed by Zstandard, and its package is not installed; {fix}") from error
    return io.BufferedReader(_Frames(open(path, "rb"), lambda: ZstdDecompressor().decompressobj()), _READ_BYTES)


class _Frame(Protocol):
    """A decompressor of one frame of Zstandard."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes:
        """The content of the next bytes of the frame."""


class _Frames(io.RawIOBase):
    """The content of a file of Zstandard. Reading raises EOFError where it is cut off, unlike the package's reader."""

    def __init__(self, file: IO[bytes], new_frame: Callable[[], _Frame]) -> None:
        self._file = file
        self._new_frame = new_frame
        self._frame = new_frame()
        self._content = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._content:
            rest = self._frame.unused_data if self._frame.eof else b""
            block = rest or self._file.read(_READ_BYTES)
            if not block:
                if self._frame.eof:
                    return 0
                raise EOFError
            if self._frame.eof:
                self._frame = self._new_frame()
            self._content = self._frame.decompress(block)
        count = min(len(buffer), len(self._content))
        buffer[:count] = self._content[:count]
        self._content = self._content[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def is_workbook(path: Path) -> bool:
    """Whether the file is a workbook of Excel (.xlsx), by its content."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "xl/workbook.xml" in archive.namelist()


def _member(path: Path) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(path)
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        if len(names) == 1:
            return archive.open(names[0])
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError):
        raise InputError(str(path), "is a damaged or encrypted ZIP file; unpack it first") from None
    if "[Content_Types].xml" in names or any(name.endswith("content.xml") for name in names):
        raise InputError(str(path), "is a spreadsheet or document; export the table as CSV or .xlsx")
    raise InputError(str(path), f"is a ZIP file of {len(names)} files; expected one table; unpack it first")


@contextmanager
def file_errors(path: Path | str) -> Iterator[None]:
    """Raise what goes wrong while a text file is read as InputError."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(str(path), "its compressed content is damaged or cut off") from error
    except UnicodeError:
        raise InputError(
            str(path), "has bytes that are not text in this encoding; name the encoding of the file (`encoding`)"
        ) from None
    except csv.Error as error:
        known = "larger than field limit" in str(error)
        what = (
            f"has a cell of more than {csv.field_size_limit()} characters"
            if known
            else "has a cell with a stray quotation mark"
        )
        raise InputError(
            str(path), f"{what}; is a quotation mark not closed, or one within a cell not doubled?"
        ) from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror or 'its content is damaged'}") from None
    except Exception as error:
        # The package is imported only for a file that needs it.
        if type(error).__module__.startswith("zstandard"):
            raise InputError(str(path), "its compressed content is damaged or cut off") from error
        raise


def encoding_of(path: Path) -> tuple[str, str]:
    """The encoding of a file without one given, and a note. Raises InputError if it is not text."""
    with opened(path) as file:
        start = file.read(4096)
        for mark, name in _BOMS:
            if start.startswith(mark):
                return name, ""
        if b"\0" in start:
            even, odd = start[0::2].count(0), start[1::2].count(0)
            if max(even, odd) > 0.3 * len(start) / 2 and min(even, odd) < 0.1 * len(start) / 2:
                name = "utf-16-be" if even > odd else "utf-16-le"
                return name, f"the encoding is read as {name.upper()}, which the file does not name"
            raise InputError(str(path), "is not a text file: it has zero bytes")
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            block = start
            while block:
                if b"\0" in block:
                    raise InputError(str(path), "is not a text file: it has zero bytes")
                decoder.decode(block)
                block = file.read(_READ_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return _single_byte(path)
    return "utf-8", ""


def _single_byte(path: Path) -> tuple[str, str]:
    name = "cp1252"
    controls = 0
    with opened(path) as file:
        while block := file.read(_READ_BYTES):
            controls += sum(block.count(byte) for byte in (1, 2, 3, 4, 5, 6, 14, 15, 16, 17, 18, 19, 127))
            try:
                block.decode(name)
            except UnicodeDecodeError:
                name = "latin-1"
    if controls:
        raise InputError(str(path), "is not a text file: it has control characters")
    return name, f"the file is not UTF-8 and is read as {name}; set `encoding` of the source if letters are wrong"


# Lines ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextTable:
    """A text file of cells, of which is known how it is read.

    Attributes:
        path: the file.
        encoding: name of its encoding.
        separator: the separator between cells.
        skipped: number of lines before the names or, without names, before the first row.
        header: whether the first line is names.
        names: names of the columns.
        notes: messages for the user about the file.
        duplicated: names that more than one column had.
        spare: number of empty cells at the end of each line, which belong to no column.
    """

    path: Path
    encoding: str
    separator: str
    skipped: int
    header: bool
    names: tuple[str, ...]
    notes: tuple[str, ...]
    duplicated: frozenset[str] = frozenset()
    spare: int = 0

    @classmethod
    def of(cls, path: Path, options: FileOptions) -> TextTable:
        """What the first lines of the file tell. Raises InputError for a file that is no table."""
        with file_errors(path):
            encoding, note = (options.encoding, "") if options.encoding else encoding_of(path)
            try:
                codecs.lookup(encoding)
            except LookupError:
                raise InputError(
                    "table", f"encoding: {encoding!r} is not known; such as utf-8, cp1252, utf-16"
                ) from None
            with opened(path) as file, io.TextIOWrapper(file, encoding, newline="") as reader:
                sample = _sample(_lines(reader, path))
        return _found(path, encoding, sample, options, note)

    def blocks(self, rows: int) -> Iterator[polars.DataFrame]:
        """The rows as frames of text, about `rows` rows at a time. Raises InputError for a line of another length."""
        import polars

        schema = dict.fromkeys(self.names, polars.String)
        with (
            file_errors(self.path),
            opened(self.path) as file,
            io.TextIOWrapper(file, self.encoding, newline="") as text,
        ):
            lines = _lines(text, self.path)
            for _ in range(self.skipped):
                next(lines, None)
            counted = _Counted(lines, self.skipped)
            reader = reader_of(counted, self.separator)
            if self.header:
                next(reader, None)
            while block := list(islice(self._cells(reader, counted), rows)):
                yield polars.DataFrame(block, schema=schema, orient="row")

    def _cells(self, reader: Iterator[list[str]], lines: _Counted) -> Iterator[list[str]]:
        width = len(self.names)
        for cells in reader:
            if len(cells) == width + self.spare:
                if any(cells) or width == 1:
                    yield cells[:width]
                continue
            if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
                continue
            if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
                yield cells[:width]
                continue
            if len(cells) == width:
                yield cells
                continue
            raise InputError(
                str(self.path),
                f"line {lines.number} has {len(cells)} cells, but there are {width} columns (separated by "
                f"{self.separator!r}); correct the line, or set `separator` of the source",
            )


class _Counted:
    """Lines with the number of the last one, counted from 1."""

    def __init__(self, lines: Iterator[str], number: int) -> None:
        self.lines = lines
        self.number = number

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.number += 1
        return line


def _lines(file: io.TextIOWrapper, path: Path) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise InputError(str(path), f"has a line of more than {_LONGEST_LINE} characters; is it a table of text?")
        yield line


def reader_of(lines: Iterator[str] | Sequence[str], separator: str) -> Iterator[list[str]]:
    """The cells of lines; blanks separate cells in runs of any length."""
    if separator == " ":
        lines = (line.replace("\t", " ").strip(" ") for line in lines)
    return csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t", strict=True)


# What the first lines tell --------------------------------------------------------------------------------------------


def _found(path: Path, encoding: str, sample: list[str], options: FileOptions, note: str) -> TextTable:
    notes = [note] if note else []
    separator = options.separator
    skipped = 0
    if sample and (named := re.match(r"\ufeff?sep=(.)\r?\n?$", sample[0], re.IGNORECASE)):
        separator = separator or named[1]
        skipped = 1
    while skipped < len(sample) and not sample[skipped].strip():
        skipped += 1
    comments = skipped
    while comments < len(sample) and (sample[comments].startswith("#") or not sample[comments].strip()):
        comments += 1
    body = sample[comments:]
    if not body:
        if not sample or not "".join(sample).strip():
            raise InputError(str(path), "is empty: expected a line of column names, and rows below it")
        body, comments = sample[skipped:], skipped
    if separator is None:
        separator = _separator(body, path)
        if separator != ",":
            words = {sign: word for word, sign in SEPARATOR_WORDS.items() if word.isalpha()}
            notes.append(f"the separator between cells is {words.get(separator, repr(separator))}")
    rows = [cells for cells in _sampled(body, separator) if any(cell.strip() for cell in cells)]
    if comments > skipped:
        head = [cell.strip() for cell in next(iter(_sampled([sample[comments - 1].lstrip("# \t")], separator)), [])]
        if rows and len(head) == len(rows[0]) > 1 and any(map(_is_number, rows[0])) and options.header is not False:
            comments -= 1
            rows = [head, *rows]
        else:
            notes.append(f"{comments - skipped} lines of comments before the table are left out")
    if not rows:
        raise InputError(str(path), "is empty: expected a line of column names, and rows below it")
    header, header_note = (options.header, "") if options.header is not None else _has_header(rows)
    notes += [header_note] if header_note else []
    names, duplicated, spare = _names(rows, header, notes)
    return TextTable(path, encoding, separator, comments, header, names, tuple(notes), duplicated, spare)


def _sample(lines: Iterator[str]) -> list[str]:
    """The first lines; fewer where they are long."""
    sample: list[str] = []
    length = 0
    for line in islice(lines, _SAMPLE_LINES):
        sample.append(line)
        length += len(line)
        if length > _SAMPLE_CHARACTERS and len(sample) >= _FEWEST_LINES:
            break
    return sample


def _sampled(lines: list[str], separator: str) -> list[list[str]]:
    """The cells of some lines, as far as they can be read; the last line may be cut within quotes."""
    return _sampled_and_left(lines, separator)[0]


def _sampled_and_left(lines: list[str], separator: str) -> tuple[list[list[str]], int]:
    """The cells of some lines, and the number of lines from the first one that cannot be read."""
    rows = []
    counted = _Counted(iter(lines), 0)
    try:
        for cells in reader_of(counted, separator):
            rows.append(cells)
    except csv.Error:
        pass
    return rows, len(lines) - counted.number


def _separator(lines: list[str], path: Path) -> str:
    """The separator by which the lines have the same number of cells, more than one."""
    usual = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    best = (0.0, 0.0, 0.0, 0, usual)
    for place, separator in enumerate(_SEPARATORS):
        cells_of_lines, left = _sampled_and_left(lines, separator)
        counts = [len(cells) for cells in cells_of_lines if any(cells)]
        if not counts:
            continue
        width, times = Counter(counts).most_common(1)[0]
        share = times / (len(counts) + left)
        if width < 2 or (separator == " " and share < 1) or share < 0.5 or counts[0] == 1:
            continue
        # Where lines have the same number of cells by several separators, the right one leaves no other one within
        # cells, and parts the values.
        cells = [cell for row in cells_of_lines for cell in row[:_SAMPLE_CELLS]]
        clean = sum(not any(mark in cell for mark in "\t;|") for cell in cells) / len(cells)
        values = sum(map(_is_number, cells)) / len(cells)
        candidate = (share, clean, values, -place, separator)
        best = max(best, candidate)
    return best[4]


def _is_number(cell: str) -> bool:
    return bool(_VALUE.match(cell.strip().strip(f"{CURRENCIES}% ")))


def _has_header(rows: list[list[str]]) -> tuple[bool, str]:
    """Whether the first line is names, and a note where that may surprise.

    A number among numbers, or a text that occurs again below, is a value; a text above numbers is a name.
    """
    first, below = [cell.strip() for cell in rows[0]], rows[1:]
    if not below:
        return True, ""
    all_numbers = all(map(_is_number, first))
    counting = first in ([*map(str, range(len(first)))], [*map(str, range(1, len(first) + 1))])
    values = names = 0
    for place, cell in enumerate(first):
        column = [row[place].strip() for row in below if len(row) > place]
        numeric = sum(map(_is_number, column)) > 0.5 * len(column)
        if _is_number(cell):
            values += numeric and not re.fullmatch(r"\d+", cell)
        elif cell:
            names += numeric
            values += not numeric and len(cell) > 0 and cell in column
    if counting and len(first) > 2:
        return (
            True,
            "the first line counts the columns and is read as their names; set `header = false` of the source if it is "
            "a row",
        )
    if names or not (values or all_numbers):
        return True, ""
    return False, (
        "the first line has values like the lines below and is read as a row: the columns are named column 1, "
        "column 2, ...; set `header = true` of the source if it has names"
    )


def _names(rows: list[list[str]], header: bool, notes: list[str]) -> tuple[tuple[str, ...], frozenset[str], int]:
    """The names of the columns, those that were there twice, and the number of empty cells after them."""
    width = len(rows[0]) if header else Counter(map(len, rows)).most_common(1)[0][0]
    given = [_BLANKS.sub(" ", cell).strip(" ") for cell in rows[0]] if header else [""] * width
    spare = 0
    while width > 1 and not given[-1] and all(len(row) < width or not row[width - 1].strip() for row in rows):
        given.pop()
        width -= 1
        spare += 1
    if header and spare:
        notes.append(f"{spare} empty columns at the end, without a name, are left out")
    counts = Counter(name for name in given if name)
    names: dict[str, None] = {}
    for place, name in enumerate(given, 1):
        new = name or f"column {place}"
        number = 1
        while new in names or (new != name and new in counts):
            number += 1
            new = f"{name or f'column {place}'} ({number})"
        if header and new != name:
            notes.append(
                f"column {place} has no name and is called {new!r}"
                if not name
                else f"the name {name!r} occurs more than once; column {place} is called {new!r}"
            )
        names[new] = None
    return tuple(names), frozenset(name for name, count in counts.items() if count > 1), spare
