"""Which columns of the rows are inputs, and of which kind they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import numpy as np
from pydantic import BeforeValidator

from ...core.errors import InputError, Problem, nearest
from ..dataset import Samples, feature_names_of
from ..tables import Kind

if TYPE_CHECKING:
    import polars


def _pairs(value: object) -> object:
    """The pairs of a table, which a frozen part can hold."""
    return tuple(value.items()) if isinstance(value, Mapping) else value


ColumnTypes: TypeAlias = Annotated[tuple[tuple[str, Kind], ...], BeforeValidator(_pairs)]
"""Names of columns with their kinds; a table of them, or pairs."""


class ColumnChoice(NamedTuple):
    """What the user has said of the columns.

    Attributes:
        target: the column to predict.
        columns: the columns that are inputs; empty: all but the other ones.
        drop: columns that are left out.
        types: of some columns, the kind; the others have the one that their values suggest.
        id: a column that names the rows; it is no input.
    """

    target: str | None = None
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    types: tuple[tuple[str, Kind], ...] = ()
    id: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether all columns are inputs, of the kinds that their values suggest."""
        return not (self.columns or self.drop or self.types or self.id)

    def is_read(self, name: str) -> bool:
        """Whether the values of a column are needed."""
        return name == self.target or self.is_input(name)

    def is_input(self, name: str) -> bool:
        """Whether a column is an input."""
        is_chosen = not self.columns or name in self.columns
        return is_chosen and name not in self.drop and name not in (self.id, self.target)

    def applied(self, samples: Samples) -> Samples:
        """The samples with the inputs alone, and the target where it is a column.

        Raises InputError for a column that is missing or cannot be of its kind, and for images.
        """
        if self.is_all:
            return samples
        x = samples.x
        if not isinstance(x, np.ndarray):
            self.check(x.columns)
            kinds = dict(self.types)
            read = [_typed(series, kinds.get(series.name)) for series in x if self.is_read(series.name)]
            return samples._replace(x=type(x)(read))
        if samples.image_shape or self.types:
            raise InputError("data", "columns and drop need rows of numbers, types need a table; received others")
        names = feature_names_of(x.shape[1], samples.feature_names)
        self.check(names)
        places = [place for place, name in enumerate(names) if self.is_input(name)]
        kept = tuple(names[place] for place in places)
        x_test = None if samples.x_test is None else samples.x_test[:, places]
        return samples._replace(x=x[:, places], x_test=x_test, feature_names=kept)

    def check(self, names: Iterable[str]) -> None:
        """Raise InputError with every name of which there is no column, and where no input is left."""
        known = list(names)
        said = {
            "columns": self.columns,
            "drop": self.drop,
            "types": [name for name, _ in self.types],
            "id": (self.id,) if self.id else (),
        }
        problems = [
            Problem(place, f"column {name!r} is missing; {nearest(name, known)}")
            for place, listed in said.items()
            for name in listed
            if name not in known
        ]
        problems += [
            Problem("drop", f"column {name!r} is in columns too") for name in self.drop if name in self.columns
        ]
        if not (problems or self.is_all or any(map(self.is_input, known))):
            problems = [Problem("columns" if self.columns else "drop", "leave no column that is an input")]
        if problems:
            raise InputError("data", problems)


EVERY_COLUMN = ColumnChoice()
"""All columns, of the kinds that their values suggest."""


def _typed(series: polars.Series, kind: Kind | None) -> polars.Series:
    """A column as one of that kind. Raises InputError where its values are of another one."""
    import polars

    suits = {
        None: True,
        "number": series.dtype.is_numeric(),
        "time": series.dtype.is_temporal(),
        "boolean": series.dtype == polars.Boolean,
        "category": series.dtype == polars.String,
    }
    if suits[kind] or series.dtype == polars.Null:
        return series
    types = {"number": polars.Float64, "boolean": polars.Boolean, "category": polars.String}
    try:
        if kind in types and not series.dtype.is_temporal():
            return series.cast(types[kind])
    except polars.exceptions.PolarsError:
        pass
    raise InputError("data", [Problem("types", f"column {series.name!r}: expected {kind}, received {series.dtype}")])
