"""The user's own data: a table, .npy files, a folder of IDX files or of images, or arrays in memory."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from ..core.errors import InputError
from ..core.files import JsonObject, open_regular
from ..parts.part import Count
from .dataset import ImageShape, Samples, as_matrix, as_targets, as_weight, check_lengths, image_shape_of
from .idx import find_idx, read_folder
from .pieces import PieceReader, array_pieces, release
from .reading.column_choice import ColumnChoice
from .reading.image_files import ColorMode, read_image, read_image_folder
from .reading.table_files import TableOptions, load_table, table_numbers, table_pieces, text_of_table, understood
from .source import Source, SourceReader
from .tables import as_frame, check_table, is_frame

if TYPE_CHECKING:
    import polars

_HASHED_BYTES = 8_000_000


def _path_text(value: object) -> object:
    """A path as text, which the file of a spec can hold."""
    return str(value) if isinstance(value, Path) else value


FilePath = Annotated[str, BeforeValidator(_path_text)]


@dataclass(frozen=True)
class TableFile(Source, kind="table"):
    """A file of text (CSV and its relatives), Parquet or Excel; `[data] target` names the column to predict.

    Separator, decimal mark, encoding, names, dates and missing values are found from the file; what is converted is
    said in a note, and what is not understood is refused or said. The options decide where the file does not.

    Attributes:
        file: path of the file; a text file may be compressed by gzip, bzip2, xz, Zstandard or as the only file of a
            ZIP archive; of a workbook (.xlsx) the first sheet is read.
        separator: the character between cells, or `tab`, `space`, `comma`, `semicolon`.
        decimal: the decimal mark of all numbers, "." or ",".
        encoding: such as `utf-8`, `cp1252`, `utf-16`.
        header: whether the first line has the names of the columns.
        missing: more words for a missing value, besides the usual ones (NA, nan, null, ?, ...).
        day_first: whether 1/2/2000 is in February.
        drop: columns that are left out.
        keep: columns that are inputs even if they look like identifiers.

    >>> Source.of("my table.csv").file
    'my table.csv'
    >>> Source.of({"kind": "table", "file": "a.csv", "separator": ";", "decimal": ","}).decimal
    ','
    """

    file: FilePath
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] = ()
    day_first: bool | None = None
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    @property
    def named_files(self) -> tuple[str, ...]:
        return (self.file,)

    @property
    def is_table(self) -> bool:
        return True

    def load(self, seed: int) -> Samples:
        return load_table(self.file, self._options)

    def pieces(self, size: int) -> PieceReader:
        return table_pieces(self.file, self._options, size)

    def reader(self, choice: ColumnChoice) -> SourceReader:
        options = self._options._replace(choice=choice)
        return SourceReader(
            lambda seed: load_table(self.file, options),
            lambda size: table_pieces(self.file, options, size),
            self.numbers,
        )

    def numbers(self) -> int:
        return table_numbers(self.file)

    def rows_like_these(self, file: str) -> polars.DataFrame:
        return text_of_table(file, self._options)

    def describe(self) -> JsonObject:
        return {name: value for name, value in super().describe().items() if value != []}

    @property
    def _options(self) -> TableOptions:
        said = ("separator", "decimal", "encoding", "header", "missing", "day_first", "drop", "keep")
        return TableOptions(**{name: getattr(self, name) for name in said})


@dataclass(frozen=True)
class NpyFiles(Source, kind="npy"):
    """Two .npy files of NumPy: x (n, features), or images as in `Arrays`, and y (n,) or (n, outputs).

    >>> Source.of({"kind": "npy", "x": "x.npy", "y": "y.npy"})
    NpyFiles(x='x.npy', y='y.npy')
    """

    x: FilePath
    y: FilePath

    @property
    def named_files(self) -> tuple[str, ...]:
        return self.x, self.y

    @property
    def is_table(self) -> bool:
        return Arrays(_npy(self.x, "r")).is_table

    def load(self, seed: int) -> Samples:
        return Arrays(_npy(self.x), _npy(self.y)).load(seed)

    def pieces(self, size: int) -> PieceReader | None:
        return Arrays(_npy(self.x, "r"), _npy(self.y)).pieces(size)

    def numbers(self) -> int:
        return Arrays(_npy(self.x, "r"), _npy(self.y, "r")).numbers()


def _npy(path: str, mode: Literal["r"] | None = None) -> np.ndarray:
    _check_npy(Path(path))
    try:
        array: np.ndarray = np.load(path, mmap_mode=mode, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(path, "there is no such file") from None
    except (OSError, ValueError, EOFError) as error:
        if "Object arrays" in str(error) or "Python objects" in str(error):
            fix = "received Python objects, which are not read; save x.astype(float), or text as a table"
            raise InputError(path, f"expected an array of numbers, {fix}") from None
        fix = "save it again by numpy.save"
        raise InputError(path, f"cannot be read as an array of numbers: it is damaged or no .npy file; {fix}") from None
    if not isinstance(array, np.ndarray):
        raise InputError(path, "expected one array (.npy), received an archive of several arrays")
    return _numbers_in(array, path)


def _numbers_in(array: np.ndarray, path: str) -> np.ndarray:
    """The array, if each of its values is one number, boolean or text; bytes become text."""
    kind = array.dtype.kind
    if kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            raise InputError(path, "has bytes that are not text in UTF-8; save an array of text or numbers") from None
    if kind in "biufU":
        return array
    what = {
        "c": "complex numbers, of which only the real part could be used; save real and imaginary part as two columns",
        "M": "dates; save days as numbers, such as x.astype('datetime64[D]').astype(float)",
        "m": "durations; save them as numbers, such as x / np.timedelta64(1, 'D')",
        "V": f"records of {len(array.dtype.names or ())} fields; save an array of numbers, or a table as CSV",
    }
    raise InputError(path, f"expected an array of numbers, received {what.get(kind, f'the type {array.dtype}')}")


def _check_npy(path: Path) -> None:
    """Raise InputError where the header of a .npy file claims more numbers than the file holds."""
    if not os.path.exists(path):
        # What is missing is said where it is read.
        return
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = read(file)
        except (ValueError, EOFError):
            # What it is instead is said where it is read.
            return
        claimed = math.prod(shape) * kind.itemsize
        if claimed > size - file.tell() and not kind.hasobject:
            has = f"claims {claimed:,} bytes of numbers in shape {shape}, the file has {size - file.tell():,}"
            raise InputError(str(path), f"its header {has}; write the file again")


@dataclass(frozen=True)
class IdxFolder(Source, kind="idx"):
    """A folder of IDX files: train-images, train-labels, and optionally t10k-images, t10k-labels (or test-).

    >>> Source.of({"kind": "idx", "folder": "images"})
    IdxFolder(folder='images')
    """

    folder: FilePath

    @property
    def named_files(self) -> tuple[str, ...]:
        return (self.folder,)

    def load(self, seed: int) -> Samples:
        files = find_idx(self.folder)
        if files is None:
            raise InputError("idx", f"the folder {self.folder} has no train-images and train-labels files")
        return read_folder(files)


@dataclass(frozen=True)
class ImageFolder(Source, kind="images"):
    """A folder with a subfolder of images (PNG, JPEG, GIF) for each class, whose name is that of the class.

    All images have one size, or are resized to one. Numbers of pixels are 0 to 255. Images are turned upright as their
    EXIF data say; transparent pixels are laid over white; palettes and CMYK become RGB; 16 bits become 8. Each of these
    is said in a note. Files with other endings are left out.

    folder: path of the folder.
    resize: (height, width) in pixels that all images are resized to, by bilinear interpolation over the area of the new
    pixel; None: they must have one size.
    color_mode: "grayscale" or "rgb"; None: "grayscale" if all images are grey.

    Raises InputError for damaged, animated and too large images, images of several sizes, and classes without images.

    >>> Source.of({"kind": "images", "folder": "flowers", "resize": [32, 32]})
    ImageFolder(folder='flowers', resize=(32, 32), color_mode=None)
    """

    folder: FilePath
    resize: tuple[Count, Count] | None = None
    color_mode: ColorMode | None = None

    @property
    def named_files(self) -> tuple[str, ...]:
        return (self.folder,)

    def load(self, seed: int) -> Samples:
        return read_image_folder(Path(self.folder), self.resize, self.color_mode)

    def image_like_these(self, file: str, shape: ImageShape) -> np.ndarray:
        return read_image(Path(file), shape, resized=self.resize is not None)


@dataclass(frozen=True, eq=False)
class Arrays(Source, kind="arrays"):
    """Rows in memory: x (n, features) as an array, a list of rows or a frame; y (n,) or (n, outputs); weight (n,).

    x may also be an array of images (n, height, width) or (n, height, width, channels), which are scaled to 0 ... 1
    unless `[data] scale` is set. y may be omitted if x is a frame whose target column `[data] target` names. Two
    sources of arrays are equal if their contents are. `describe` gives their size and SHA-256, not the data: they
    cannot be loaded from a spec.

    >>> Arrays([[0.0], [1.0]], [0, 1]) == Arrays(np.array([[0.0], [1.0]]), (0, 1))
    True
    """

    x: Any
    y: Any = None
    weight: Any = None

    @property
    def is_table(self) -> bool:
        return self._image_shape is None

    def load(self, seed: int) -> Samples:
        return self._load(TableOptions())

    def reader(self, choice: ColumnChoice) -> SourceReader:
        return SourceReader(lambda seed: self._load(TableOptions(choice=choice)), self.pieces, self.numbers)

    def _load(self, options: TableOptions) -> Samples:
        if not is_frame(self.x):
            return self._samples(as_matrix(self.x, self._image_shape))
        frame = as_frame(self.x)
        check_table(frame)
        table = understood(frame, options)
        assert is_frame(table.x)
        return self._samples(as_frame(table.x))._replace(table=table.table, notes=table.notes)

    def pieces(self, size: int) -> PieceReader | None:
        return array_pieces(self._samples(self.x)) if self.numbers() else None

    def numbers(self) -> int:
        has_rows = self.y is not None and isinstance(self.x, np.ndarray) and self.x.ndim in (2, 3, 4)
        return int(self.x.size) if has_rows else 0

    def _samples(self, x: np.ndarray | polars.DataFrame) -> Samples:
        y = None
        if self.y is not None:
            y = as_targets(self.y)
            check_lengths(x, y)
        samples = Samples(x, y, weight=self._weight(len(x)))
        return samples._replace(image_shape=self._image_shape, scale="range") if self._image_shape else samples

    def describe(self) -> JsonObject:
        rows, *sizes = self.x.shape if hasattr(self.x, "shape") else np.shape(self.x)
        return {"kind": self.kind, "samples": int(rows), "features": math.prod(sizes), "sha256": self._digest}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Arrays) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    @property
    def _image_shape(self) -> ImageShape | None:
        return image_shape_of(getattr(self.x, "shape", ()))

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for value in (self.x, self.y, self.weight):
            if is_frame(value):
                frame = as_frame(value)
                digest.update(f"{frame.schema}".encode() + frame.write_ndjson().encode())
            else:
                array = np.asanyarray(value)
                digest.update(f"{array.dtype} {array.shape}".encode())
                if array.dtype.kind == "O":
                    digest.update(repr(array.tolist()).encode())
                    continue
                # In pieces, so that an array that is mapped from a file is never in memory as a whole.
                for piece in np.array_split(np.atleast_1d(array), 1 + array.nbytes // _HASHED_BYTES):
                    digest.update(piece.tobytes())
                    release(array)
        return digest.hexdigest()

    def _weight(self, rows: int) -> np.ndarray | None:
        return None if self.weight is None else as_weight(self.weight, rows)


@dataclass(frozen=True)
class AbsentArrays(Source, kind="absent"):
    """The description of `Arrays` in a spec: rows that were in memory in an earlier run and cannot be loaded again.

    >>> Source.of({"kind": "arrays", "samples": 4, "features": 2, "sha256": "1f"})
    AbsentArrays(samples=4, features=2, sha256='1f')
    """

    samples: int
    features: int
    sha256: str

    def load(self, seed: int) -> Samples:
        raise InputError(
            "arrays",
            f"the {self.samples} rows were arrays in memory, which a spec cannot store; pass them again in Python, or "
            "write them to a .parquet file and name it as the source",
        )

    def describe(self) -> JsonObject:
        return super().describe() | {"kind": Arrays.kind}
