"""The base of all data sources, and how a name, a path or arrays become one."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from ..core.errors import InputError
from ..parts.part import Part
from .dataset import ImageShape, Samples
from .pieces import PieceReader
from .reading.column_choice import ColumnChoice
from .reading.image_files import has_subfolders, read_image
from .reading.table_files import text_of_table
from .tables import is_frame

if TYPE_CHECKING:
    import numpy as np
    import polars

# Paths with these endings are tables, whether or not the file exists.
_SUFFIXES = (".csv", ".tsv", ".parquet", ".xlsx")


class SourceReader(NamedTuple):
    """How the rows of a source are read.

    Attributes:
        load: from a seed, all rows.
        pieces: from about a number of bytes of text, a reader of pieces of that size; None: only as a whole.
        numbers: about how many numbers the rows are, found without reading them; 0: they are read only as a whole.
    """

    load: Callable[[int], Samples]
    pieces: Callable[[int], PieceReader | None]
    numbers: Callable[[], int]


class Source(Part, ABC, family="data source"):
    """Where rows come from.

    Besides the forms of every part, a source may be given as the path of a table (.csv, .tsv, .parquet, .xlsx), the
    path of a folder with IDX files or with a subfolder of images for each class, a frame of polars or pandas, or
    arrays: (x, y) or (x, y, weight).

    >>> from thalweg.data import Source
    >>> Source.of("rings 500").samples, Source.of("my table.csv").file
    (500, 'my table.csv')
    """

    draws_rows: ClassVar[bool] = False
    """Whether each seed draws rows of its own, and does not only split the same rows in another way."""

    @property
    def is_table(self) -> bool:
        """Whether its columns are measures of different kinds, and not the pixels of a picture or places in a plane."""
        return False

    @property
    def named_files(self) -> tuple[str, ...]:
        """The files and folders that its options name."""
        return ()

    @abstractmethod
    def load(self, seed: int) -> Samples:
        """All rows; sources that draw their rows draw them from the seed."""

    def pieces(self, size: int) -> PieceReader | None:
        """A reader of the rows that holds about `size` bytes of text at a time; None: the rows load only as a whole."""
        return None

    def numbers(self) -> int:
        """About how many numbers the rows are, found without reading them; 0: they are read only as a whole."""
        return 0

    def reader(self, choice: ColumnChoice) -> SourceReader:
        """How the rows are read where some columns are needed; sources of text read no others."""
        return SourceReader(self.load, self.pieces, self.numbers)

    def rows_like_these(self, file: str) -> polars.DataFrame:
        """The rows of another file of the same form, whose text is still to be read. Raises InputError as `load`."""
        return text_of_table(file)

    def image_like_these(self, file: str, shape: ImageShape) -> np.ndarray:
        """Another image of the shape of those that the source gives. Raises InputError for one of another size."""
        return read_image(Path(file), shape)

    @classmethod
    def of(cls, value: object) -> Self:
        """The source that `value` describes. Raises InputError if it describes none."""
        return super().of(value if cls.kind or isinstance(value, cls) else _table(value, cls.kinds))


def _table(value: object, kinds: Mapping[str, type[Part]]) -> object:
    """A table for `Part.of` where `value` is a path, arrays or the description of arrays; else `value` itself."""
    if isinstance(value, tuple):
        if len(value) not in (2, 3):
            raise InputError("data source", f"expected (x, y) or (x, y, weight), received {len(value)} values")
        return {"kind": "arrays", **dict(zip(("x", "y", "weight"), value, strict=False))}
    if is_frame(value):
        return {"kind": "arrays", "x": value}
    if isinstance(value, Mapping) and value.get("kind") == "arrays" and "x" not in value:
        return {**value, "kind": "absent"}
    if isinstance(value, Mapping) and isinstance(value.get("kind"), str) and value["kind"] not in kinds:
        # `--set data.source.separator=";"` puts an option beside a path.
        described = _table(value["kind"], kinds)
        return {**value, **described} if isinstance(described, Mapping) else value
    if isinstance(value, str | os.PathLike):
        path = Path(value)
        first = str(value).split()[:1]
        named = isinstance(value, str) and bool(first) and first[0] in kinds
        if path.suffix.lower() in _SUFFIXES and first != ["table"]:
            return {"kind": "table", "file": str(value)}
        if named:
            return value
        if str(value) and os.path.isdir(value):
            return {"kind": "images" if has_subfolders(Path(value)) else "idx", "folder": str(value)}
        if os.path.isfile(value):
            return {"kind": "table", "file": str(value)}
        if not isinstance(value, str):
            expected = "a table (CSV, TSV, Parquet or .xlsx), or a folder of IDX files or images"
            raise InputError("data source", f"expected {expected}, but there is no such file: {value}")
        if (path.suffix and re.fullmatch(r"\.\w{1,8}", path.suffix)) or "/" in value:
            raise InputError("data source", f"there is no file {value!r}, and no data source of this name")
    return value
