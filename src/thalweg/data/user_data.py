"""The user's own data: a table, .npy files, a folder of IDX files, or arrays in memory."""

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
from .dataset import Samples, as_matrix, as_targets, as_weight, check_lengths
from .idx import find_idx, read_folder
from .pieces import PieceReader, array_pieces, csv_pieces, parquet_pieces, release
from .source import Source
from .tables import as_frame, check_file, check_table, checked_name, is_frame, read_table

if TYPE_CHECKING:
    import polars

_HASHED_BYTES = 8_000_000


def _path_text(value: object) -> object:
    """A path as text, which the file of a spec can hold. Raises InputError where it cannot."""
    return checked_name(str(value)) if isinstance(value, str | Path) else value


FilePath = Annotated[str, BeforeValidator(_path_text)]


@dataclass(frozen=True)
class TableFile(Source, kind="table"):
    """A .csv, .tsv or .parquet file; `[data] target` names the column to predict.

    >>> Source.of("my table.csv")
    TableFile(file='my table.csv')
    """

    file: FilePath

    def load(self, seed: int) -> Samples:
        return Samples(read_table(self.file), None)

    def pieces(self, size: int) -> PieceReader:
        read = parquet_pieces if check_file(self.file).suffix.lower() == ".parquet" else csv_pieces
        return read(self.file, size)


@dataclass(frozen=True)
class NpyFiles(Source, kind="npy"):
    """Two .npy files of NumPy: x (n, features), or images (n, height, width), and y (n,) or (n, outputs).

    >>> Source.of({"kind": "npy", "x": "x.npy", "y": "y.npy"})
    NpyFiles(x='x.npy', y='y.npy')
    """

    x: FilePath
    y: FilePath

    def load(self, seed: int) -> Samples:
        return Arrays(_npy(self.x), _npy(self.y)).load(seed)

    def pieces(self, size: int) -> PieceReader | None:
        return Arrays(_npy(self.x, "r"), _npy(self.y)).pieces(size)


def _npy(path: str, mode: Literal["r"] | None = None) -> np.ndarray:
    _check_npy(Path(path))
    try:
        array: np.ndarray = np.load(path, mmap_mode=mode, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(path, "there is no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(path, f"cannot be read as an array of numbers: {str(error).splitlines()[0]}") from None
    if not isinstance(array, np.ndarray):
        raise InputError(path, "expected one array (.npy), received an archive of several arrays")
    return array


def _check_npy(path: Path) -> None:
    """Raise InputError where the header of a .npy file claims more numbers than the file holds."""
    if path.suffix != ".npy" and not path.exists():
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

    def load(self, seed: int) -> Samples:
        files = find_idx(self.folder)
        if files is None:
            raise InputError("idx", f"the folder {self.folder} has no train-images and train-labels files")
        return read_folder(files)


@dataclass(frozen=True, eq=False)
class Arrays(Source, kind="arrays"):
    """Rows in memory: x (n, features) as an array, a list of rows or a frame; y (n,) or (n, outputs); weight (n,).

    x may also be an array of images (n, height, width), which are scaled to 0 ... 1 unless `[data] scale` is set.
    y may be omitted if x is a frame whose target column `[data] target` names. Two sources of arrays are equal if their
    contents are. `describe` gives their size and SHA-256, not the data: they cannot be loaded from a spec.

    >>> Arrays([[0.0], [1.0]], [0, 1]) == Arrays(np.array([[0.0], [1.0]]), (0, 1))
    True
    """

    x: Any
    y: Any = None
    weight: Any = None

    def load(self, seed: int) -> Samples:
        if not is_frame(self.x):
            return self._samples(as_matrix(self.x, self._image_shape))
        frame = as_frame(self.x)
        check_table(frame)
        return self._samples(frame)

    def pieces(self, size: int) -> PieceReader | None:
        if self.y is None or not isinstance(self.x, np.ndarray) or self.x.ndim not in (2, 3) or not self.x.size:
            return None
        return array_pieces(self._samples(self.x))

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
    def _image_shape(self) -> tuple[int, int] | None:
        shape = getattr(self.x, "shape", ())
        return tuple(shape[1:]) if len(shape) == 3 else None

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
