"""Data of one's own: a table file, a folder of IDX files, arrays in memory."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from ..core.errors import InputError
from .dataset import Samples, as_matrix, as_targets, as_weight, check_lengths
from .idx import find_idx, read_folder
from .pieces import PieceReader, array_pieces, csv_pieces, parquet_pieces, release
from .source import Source
from .tables import as_frame, check_file, check_table, is_frame, read_table

_HASHED_BYTES = 8_000_000
FilePath = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, Path) else value)]


@dataclass(frozen=True)
class TableFile(Source, kind="table"):
    """A .csv, .tsv or .parquet file; `[data] target` names the column to learn.

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
    """Two .npy files of NumPy: x (n, features), or pictures (n, height, width), and y (n,) or (n, outputs).

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
    try:
        array: np.ndarray = np.load(path, mmap_mode=mode, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(path, "there is no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(path, f"can not be read as an array of numbers: {str(error).splitlines()[0]}") from None
    if not isinstance(array, np.ndarray):
        raise InputError(path, "expected one array (.npy), received an archive of several")
    return array


@dataclass(frozen=True)
class IdxFolder(Source, kind="idx"):
    """A folder of IDX files (`read_idx`): train-images, train-labels, and if it has them those of t10k or test.

    >>> Source.of({"kind": "idx", "folder": "pictures"})
    IdxFolder(folder='pictures')
    """

    folder: FilePath

    def load(self, seed: int) -> Samples:
        files = find_idx(self.folder)
        if files is None:
            raise InputError("idx", f"no train-images and train-labels files in the folder {self.folder}")
        return read_folder(files)


@dataclass(frozen=True, eq=False)
class Arrays(Source, kind="arrays"):
    """Rows in memory: x (n, features) as an array, a list of rows or a frame; y (n,) or (n, outputs); weight (n,).

    x may also be an array of pictures (n, height, width), which are scaled to 0 ... 1 unless `[data] scale` says other.
    y may be left out if x is a frame whose target column `[data] target` names. Two of them are equal if their contents
    are. `describe` gives their size and SHA-256, not the data: a spec can not bring them back.

    >>> Arrays([[0.0], [1.0]], [0, 1]) == Arrays(np.array([[0.0], [1.0]]), (0, 1))
    True
    """

    x: Any
    y: Any = None
    weight: Any = None

    def load(self, seed: int) -> Samples:
        if is_frame(self.x):
            x: Any = as_frame(self.x)
            check_table(x)
        else:
            x = as_matrix(self.x, self._image_shape)
        return self._samples(x)

    def pieces(self, size: int) -> PieceReader | None:
        if self.y is None or not isinstance(self.x, np.ndarray) or self.x.ndim not in (2, 3) or not self.x.size:
            return None
        return array_pieces(self._samples(self.x))

    def _samples(self, x: Any) -> Samples:
        y = None
        if self.y is not None:
            y = as_targets(self.y)
            check_lengths(x, y)
        samples = Samples(x, y, weight=self._weight(len(x)))
        return samples._replace(image_shape=self._image_shape, scale="range") if self._image_shape else samples

    def describe(self) -> dict[str, Any]:
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
                # In pieces, or an array that is mapped from a file would be in memory as a whole.
                for piece in np.array_split(np.atleast_1d(array), 1 + array.nbytes // _HASHED_BYTES):
                    digest.update(piece.tobytes())
                    release(array)
        return digest.hexdigest()

    def _weight(self, rows: int) -> np.ndarray | None:
        return None if self.weight is None else as_weight(self.weight, rows)


@dataclass(frozen=True)
class AbsentArrays(Source, kind="absent"):
    """Rows that were in memory when their run was made: what a spec holds of `Arrays`. They can not be loaded again.

    >>> Source.of({"kind": "arrays", "samples": 4, "features": 2, "sha256": "1f"})
    AbsentArrays(samples=4, features=2, sha256='1f')
    """

    samples: int
    features: int
    sha256: str

    def load(self, seed: int) -> Samples:
        raise InputError(
            "arrays",
            f"these data ({self.samples} rows) were in memory, and a spec does not hold them; "
            "give them again in Python, or write them to a .parquet file and name it as the source",
        )

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"kind": Arrays.kind}
