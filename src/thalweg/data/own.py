"""Data of one's own: a table file, a folder of IDX files, arrays in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from ..errors import InputError
from .dataset import Samples, as_matrix, as_targets, as_weight, check_lengths
from .idx import find_idx, read_folder
from .source import Source
from .tables import as_frame, check_table, is_frame, read_table

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
            x = as_matrix(self.x)
        if self.y is None:
            return Samples(x, None, weight=self._weight(len(x)))
        y = as_targets(self.y)
        check_lengths(x, y)
        return Samples(x, y, weight=self._weight(len(x)))

    def describe(self) -> dict[str, Any]:
        rows, features = self.x.shape if hasattr(self.x, "shape") else np.shape(self.x)
        return {"kind": self.kind, "samples": int(rows), "features": int(features), "sha256": self._digest}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Arrays) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for value in (self.x, self.y, self.weight):
            if is_frame(value):
                frame = as_frame(value)
                digest.update(f"{frame.schema}".encode() + frame.write_ndjson().encode())
            else:
                array = np.asarray(value)
                content = array.tobytes() if array.dtype.kind != "O" else repr(array.tolist()).encode()
                digest.update(f"{array.dtype} {array.shape}".encode() + content)
        return digest.hexdigest()

    def _weight(self, rows: int) -> np.ndarray | None:
        return None if self.weight is None else as_weight(self.weight, rows)
