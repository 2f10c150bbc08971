"""Tables: reading them, and turning their columns into numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..core.errors import InputError, Problem, nearest
from .column_statistics import ColumnMoments, ColumnRange

if TYPE_CHECKING:
    import polars

Kind = Literal["number", "time", "boolean", "category"]

SUFFIXES = (".csv", ".tsv", ".parquet")

# A column of text with more different values than this, and than half of the rows, says who, not what.
_MOST_CATEGORIES = 50
# So many of them it never has, however many rows there are.
_MOST_TEXTS = 100_000
_DAY_US = 86_400_000_000


def read_table(path: str | os.PathLike[str]) -> polars.DataFrame:
    """The table of a .csv, .tsv or .parquet file; dates and times are recognised.

    Raises InputError for a file that is missing, empty, damaged or of another kind.
    """
    import polars

    place = check_file(path)
    with faults_of(path):
        if place.suffix.lower() == ".parquet":
            frame = polars.read_parquet(place)
        else:
            frame = polars.read_csv(
                place, separator=separator_of(place), infer_schema_length=None, try_parse_dates=True
            )
    if not frame.height:
        raise InputError(str(path), "has column names and no rows")
    return frame


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a table. Raises InputError if there is no such file, or it is of another kind."""
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(str(path), f"expected a table ({', '.join(SUFFIXES)}), received the suffix {suffix!r}")
    if not place.is_file():
        raise InputError(str(path), "there is no such file")
    return place


def separator_of(place: Path) -> str:
    """What stands between the cells of a .csv or .tsv file."""
    return "\t" if place.suffix.lower() == ".tsv" else ","


@contextmanager
def faults_of(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise what polars finds wrong with a file as InputError."""
    import polars

    try:
        yield
    except polars.exceptions.NoDataError:
        raise InputError(str(path), "is empty: expected a line of column names and rows below") from None
    # Some damaged Parquet files make polars panic.
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        suffix, fault = Path(path).suffix[1:].upper(), str(error).splitlines()[0]
        raise InputError(str(path), f"can not be read as {suffix}: {fault}") from None


def is_frame(x: Any) -> bool:
    """Whether `x` is a table with named columns, of polars or pandas."""
    return hasattr(x, "columns")


def as_frame(x: Any, names: tuple[str, ...] = ()) -> polars.DataFrame:
    """`x` as a polars frame: a frame of polars or pandas, rows as dictionaries, or rows in the order of `names`."""
    import polars

    if isinstance(x, polars.DataFrame):
        return x
    if is_frame(x):
        return polars.DataFrame([_series(str(name), x[name]) for name in x.columns])
    rows = x.tolist() if isinstance(x, np.ndarray) else list(x)
    try:
        if rows and isinstance(rows[0], dict):
            return polars.DataFrame(rows, infer_schema_length=None)
        if any(len(row) != len(names) for row in rows):
            raise InputError("x", f"expected rows of {len(names)} values: {', '.join(names)}")
        return polars.DataFrame(rows, schema=list(names), orient="row", infer_schema_length=None)
    except (TypeError, polars.exceptions.PolarsError) as error:
        raise InputError("x", f"expected rows of {', '.join(names)}: {str(error).splitlines()[0]}") from None


def _series(name: str, column: Any) -> polars.Series:
    import polars

    # pandas marks a gap in many ways (None, NaN, NaT, NA); only its own isna knows them all.
    values = [None if gap else value for value, gap in zip(column.tolist(), column.isna().tolist(), strict=True)]
    try:
        return polars.Series(name, values)
    except (TypeError, polars.exceptions.PolarsError) as error:
        raise InputError("x", f"column {name!r} mixes kinds of values: {str(error).splitlines()[0]}") from None


def check_table(frame: polars.DataFrame) -> None:
    """InputError for an empty table, columns of a type that can not become numbers, and infinite numbers."""
    if not frame.height or not frame.width:
        raise InputError("table", f"is empty: {frame.height} rows, {frame.width} columns")
    problems = []
    for series in frame:
        if _kind(series.dtype) is None:
            fault = f"the type {series.dtype} can not become numbers; drop the column or spread it into several"
            problems.append(Problem(f"column {series.name!r}", fault))
        elif series.dtype.is_float() and (rows := series.is_infinite().arg_true().to_list()):
            fault = f"{len(rows)} infinite values, the first in row {rows[0]} (from 0); empty or mend these cells"
            problems.append(Problem(f"column {series.name!r}", fault))
    if problems:
        raise InputError("table", problems)


def check_columns(frame: polars.DataFrame, wanted: tuple[str, ...]) -> None:
    """InputError that names every missing column."""
    problems = [
        Problem("", f"column {name!r} is missing; {nearest(name, frame.columns)}")
        for name in wanted
        if name not in frame.columns
    ]
    if problems:
        raise InputError("table", problems)


class Target(NamedTuple):
    """A table without its target column, and the targets; rows without a target are left out, `kept` are the others."""

    frame: polars.DataFrame
    y: np.ndarray
    kept: np.ndarray


def take_target(frame: polars.DataFrame, target: str) -> Target:
    """Part the target column from the table. Raises InputError if it is missing or of no use."""
    import polars

    check_columns(frame, (target,))
    check_table(frame)
    kept = _without_nan(frame[target]).is_not_null()
    series = frame[target].filter(kept)
    kind = _kind(series.dtype)
    if series.dtype == polars.Null or kind is None or kind == "time":
        raise InputError(
            "table", f"the target column {target!r} holds {series.dtype} values, expected classes or numbers"
        )
    if kind == "category":
        y = np.array(series.cast(polars.String).to_list(), dtype=np.str_)
    elif kind == "boolean":
        y = series.to_numpy()
    else:
        y = _cast(series, polars.Int64 if series.dtype.is_integer() else polars.Float64).to_numpy()
    return Target(frame.drop(target).filter(kept), y, kept.to_numpy())


@dataclass(frozen=True)
class Column:
    """How one column becomes numbers.

    number: as it is; time: days (since 1970, or of a duration, or of the day); boolean: 0 or 1; category: one input a
    category, 1 where it is meant. A missing value becomes `fill`, a missing or unknown category 0 everywhere.
    """

    name: str
    kind: Kind
    fill: float = 0.0
    categories: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of its inputs to the network."""
        return tuple(f"{self.name}={category}" for category in self.categories) or (self.name,)

    @property
    def is_scaled(self) -> bool:
        """Whether its inputs are scaled: 0 and 1 stay what they are."""
        return self.kind in ("number", "time")

    def encode(self, series: polars.Series) -> np.ndarray:
        """Its values as an array (n, inputs). Raises InputError for values of another kind."""
        import polars

        if self.kind == "category":
            text = _cast(series, polars.String)
            return np.column_stack([(text == c).fill_null(False).to_numpy() for c in self.categories]).astype(float)
        return _numbers(series, self.kind).fill_null(self.fill).to_numpy().reshape(-1, 1)


class ColumnSummary(NamedTuple):
    """What rows show about a column: moments and extent of its numbers without gaps, or its different texts, sorted.

    `wrong` counts the texts that are no numbers, row by row; `first_wrong` is the first of them.
    """

    name: str
    kind: Kind | None
    rows: int
    gaps: int
    moments: ColumnMoments | None = None
    extent: ColumnRange | None = None
    texts: tuple[str, ...] = ()
    wrong: int = 0
    first_wrong: str = ""

    @classmethod
    def by(cls, series: polars.Series) -> ColumnSummary:
        """What the rows of a column show."""
        import polars

        kind, gaps = _kind(series.dtype), _without_nan(series).null_count()
        shown = cls(series.name, kind, len(series), gaps)
        if kind is None or gaps == len(series):
            return shown
        if kind != "category":
            numbers = _numbers(series, kind).drop_nulls().to_numpy().reshape(-1, 1)
            return shown._replace(moments=ColumnMoments.of(numbers), extent=ColumnRange.of(numbers))
        text = series.cast(polars.String).drop_nulls()
        wrong = text.filter(text.cast(polars.Float64, strict=False).is_null())
        texts = tuple(text.unique().sort().to_list())
        return shown._replace(texts=texts, wrong=len(wrong), first_wrong=wrong[0] if len(wrong) else "")

    def merged(self, later: ColumnSummary) -> ColumnSummary:
        """What these rows and later ones show together."""
        moments, extent = self.moments or later.moments, self.extent or later.extent
        if self.moments and later.moments and self.extent and later.extent:
            moments, extent = self.moments.merged(later.moments), self.extent.merged(later.extent)
        return self._replace(
            rows=self.rows + later.rows,
            gaps=self.gaps + later.gaps,
            moments=moments,
            extent=extent,
            texts=self._texts_with(later),
            wrong=self.wrong + later.wrong,
            first_wrong=self.first_wrong or later.first_wrong,
        )

    def _texts_with(self, later: ColumnSummary) -> tuple[str, ...]:
        if len(self.texts) > _MOST_TEXTS or self.texts == later.texts:
            return self.texts
        return tuple(sorted({*self.texts, *later.texts}))

    def inputs(self, column: Column) -> tuple[ColumnRange, ColumnMoments]:
        """Those of the inputs that the column becomes, gaps filled; 0 and 1 are left what they are."""
        if self.moments is None or self.extent is None or not column.is_scaled:
            zeros, ones = np.zeros(len(column.inputs)), np.ones(len(column.inputs))
            return ColumnRange(zeros, ones), ColumnMoments(ones * self.rows, zeros, ones)
        # What is filled in is the mean: it adds rows, and nothing to the deviations.
        rows, mean = np.array([float(self.rows)]), self.moments.mean
        return self.extent, ColumnMoments(rows, mean, self.moments.variance * (self.moments.total / rows))


def fit_columns(shown: Sequence[ColumnSummary]) -> tuple[tuple[Column | None, ...], tuple[str, ...]]:
    """How columns become numbers, or None where one can not serve, with notes on all that is not as one would wish."""
    fitted = [_fit(column) for column in shown]
    notes = tuple(
        f"column {column.name!r}: {text}" for column, (_, said) in zip(shown, fitted, strict=True) for text in said
    )
    if not any(column for column, _ in fitted):
        raise InputError("table", f"no column can serve as an input: {'; '.join(notes) or 'only the target is there'}")
    return tuple(column for column, _ in fitted), notes


def _fit(shown: ColumnSummary) -> tuple[Column | None, list[str]]:
    if shown.kind == "category" and shown.texts:
        return _fit_category(shown)
    if shown.kind is None or shown.moments is None or shown.extent is None:
        return None, ["dropped, it has no value in the training rows"]
    mean = float(shown.moments.mean[0])
    notes = [f"{shown.gaps} missing values, filled by the mean of the training rows, {mean:.6g}"] if shown.gaps else []
    constant = shown.extent.low[0] == shown.extent.high[0] and not shown.gaps
    notes += ["the same value in all training rows"] if constant else []
    return Column(shown.name, shown.kind, fill=mean), notes


def _fit_category(shown: ColumnSummary) -> tuple[Column | None, list[str]]:
    notes, filled = [], shown.rows - shown.gaps
    if 0 < shown.wrong < filled / 2:
        notes.append(
            f"taken as text because {shown.wrong} of {filled} values are no numbers, such as {shown.first_wrong!r}; "
            "empty these cells to have the column taken as numbers"
        )
    if len(shown.texts) > min(_MOST_TEXTS, max(_MOST_CATEGORIES, shown.rows / 2)):
        return None, [
            *notes,
            f"dropped, {len(shown.texts)} different texts in {shown.rows} rows tell rows apart, not classes",
        ]
    notes += [f"{shown.gaps} missing values, 0 in each of its inputs"] if shown.gaps else []
    notes += ["the same value in all training rows"] if len(shown.texts) == 1 and not shown.gaps else []
    return Column(shown.name, "category", categories=shown.texts), notes


def _kind(dtype: polars.DataType) -> Kind | None:
    import polars

    if dtype.is_numeric():
        return "number"
    if dtype.is_temporal():
        return "time"
    if dtype == polars.Boolean:
        return "boolean"
    # A column without a single value reads as Null; it is dropped when the columns are fitted.
    return "category" if dtype in (polars.String, polars.Categorical, polars.Enum, polars.Null) else None


def _without_nan(series: polars.Series) -> polars.Series:
    return series.fill_nan(None) if series.dtype.is_float() else series


def _numbers(series: polars.Series, kind: str) -> polars.Series:
    import polars

    if kind == "time" and series.dtype.is_temporal():
        if series.dtype == polars.Date:
            return series.cast(polars.Int32).cast(polars.Float64)
        unit = {polars.Duration: polars.Duration("us"), polars.Time: polars.Duration("us")}
        whole = series.cast(unit.get(type(series.dtype), polars.Datetime("us")))
        return whole.cast(polars.Int64).cast(polars.Float64) / _DAY_US
    if kind == "time" and series.dtype != polars.Null:
        raise InputError("table", f"column {series.name!r}: expected dates or times, received {series.dtype}")
    if kind == "boolean":
        return _cast(_cast(series, polars.Boolean), polars.Float64)
    return _without_nan(_cast(series, polars.Float64))


def _cast(series: polars.Series, dtype: Any) -> polars.Series:
    import polars

    try:
        return series.cast(dtype)
    except polars.exceptions.PolarsError as error:
        raise InputError("table", f"column {series.name!r}: {str(error).splitlines()[0]}") from None
