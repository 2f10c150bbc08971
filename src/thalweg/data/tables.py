"""Tables: reading them, and converting their columns to numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeGuard, cast

import numpy as np

from ..core.errors import InputError, Problem, nearest
from .column_statistics import ColumnMoments, ColumnRange

if TYPE_CHECKING:
    import polars
    from polars._typing import PolarsDataType

Kind = Literal["number", "time", "boolean", "category"]

SUFFIXES = (".csv", ".tsv", ".parquet")

# A text column with more distinct values than this, and than half of its rows, identifies rows rather than classes.
_MOST_CATEGORIES = 50
# No text column is a category with more distinct values than this, however many rows it has.
_MOST_TEXTS = 100_000
_DAY_US = 86_400_000_000


# Files ----------------------------------------------------------------------------------------------------------------


def read_table(path: str | os.PathLike[str]) -> polars.DataFrame:
    """The table in a .csv, .tsv or .parquet file; dates and times are recognised.

    Raises InputError for a file that is missing, empty, damaged or of another kind.
    """
    import polars

    table_path = check_file(path)
    with polars_errors_of(path):
        if table_path.suffix.lower() == ".parquet":
            frame = polars.read_parquet(table_path, glob=False)
        else:
            frame = polars.read_csv(
                table_path,
                separator=separator_of(table_path),
                infer_schema_length=None,
                try_parse_dates=True,
                glob=False,
            )
    check_rows(frame.height, path)
    return frame


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a table. Raises InputError if there is no such file, or if it is of another kind."""
    table_path = Path(checked_name(str(path)))
    suffix = table_path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(str(path), f"expected a table ({', '.join(SUFFIXES)}), received the suffix {suffix!r}")
    if not table_path.is_file():
        raise InputError(str(path), "there is no such file")
    return table_path


def checked_name(path: str) -> str:
    """The path itself. Raises InputError if it is not UTF-8, because neither a spec nor polars can hold it then."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError(path, "expected a file name in UTF-8, received other bytes; rename the file") from None
    return path


def check_rows(rows: int, path: str | os.PathLike[str]) -> None:
    """Raise InputError if a table has no rows."""
    if not rows:
        raise InputError(str(path), "has column names but no rows")


def separator_of(path: Path) -> str:
    """The separator between the cells of a .csv or .tsv file."""
    return "\t" if path.suffix.lower() == ".tsv" else ","


@contextmanager
def polars_errors_of(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise the errors of polars about a file as InputError."""
    import polars

    try:
        yield
    except polars.exceptions.NoDataError:
        raise InputError(str(path), "is empty: expected a line of column names, and rows below it") from None
    # Some damaged Parquet files make polars panic.
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        suffix = Path(path).suffix[1:].upper()
        raise InputError(str(path), f"cannot be read as {suffix}: {_first_line(error)}") from None


# Frames ---------------------------------------------------------------------------------------------------------------


class _PandasColumn(Protocol):
    def tolist(self) -> list[object]: ...

    def isna(self) -> _PandasColumn: ...


class Frame(Protocol):
    """A table with named columns: a frame of polars or pandas."""

    @property
    def columns(self) -> Iterable[object]:
        """Names of the columns."""

    def __getitem__(self, name: Any, /) -> Any:
        """A column."""


def is_frame(x: object) -> TypeGuard[Frame]:
    """Whether `x` is a table with named columns, of polars or pandas."""
    return hasattr(x, "columns")


def as_frame(x: object, names: tuple[str, ...] = ()) -> polars.DataFrame:
    """`x` as a polars frame: a frame of polars or pandas, rows as dictionaries, or rows in the order of `names`."""
    import polars

    if isinstance(x, polars.DataFrame):
        return x
    if is_frame(x):
        return polars.DataFrame([_series_from_pandas(str(name), x[name]) for name in x.columns])
    try:
        rows: list[Any] = x.tolist() if isinstance(x, np.ndarray) else list(cast("Iterable[object]", x))
        if rows and isinstance(rows[0], dict):
            return polars.DataFrame(rows, infer_schema_length=None)
        if any(len(row) != len(names) for row in rows):
            raise InputError("x", f"expected rows of {len(names)} values: {', '.join(names)}")
        return polars.DataFrame(rows, schema=list(names), orient="row", infer_schema_length=None)
    except (TypeError, polars.exceptions.PolarsError) as error:
        raise InputError("x", f"expected rows of {', '.join(names)}: {_first_line(error)}") from None


def _series_from_pandas(name: str, column: _PandasColumn) -> polars.Series:
    import polars

    # pandas marks a missing value in several ways (None, NaN, NaT, NA); only its own isna knows them all.
    values = [None if gap else value for value, gap in zip(column.tolist(), column.isna().tolist(), strict=True)]
    try:
        return polars.Series(name, values)
    except (TypeError, polars.exceptions.PolarsError) as error:
        raise InputError("x", f"column {name!r} mixes types of values: {_first_line(error)}") from None


def check_table(frame: polars.DataFrame) -> None:
    """Raise InputError for an empty table, columns that cannot become numbers, and infinite numbers."""
    if not frame.height or not frame.width:
        raise InputError("table", f"is empty: {frame.height} rows, {frame.width} columns")
    problems = []
    for series in frame:
        if _kind(series.dtype) is None:
            message = f"type {series.dtype} cannot become numbers; drop the column or spread it over several columns"
            problems.append(Problem(f"column {series.name!r}", message))
        elif series.dtype.is_float() and (rows := series.is_infinite().arg_true().to_list()):
            message = f"{len(rows)} infinite values, the first in row {rows[0]} (from 0); correct or empty these cells"
            problems.append(Problem(f"column {series.name!r}", message))
    if problems:
        raise InputError("table", problems)


def check_columns(frame: polars.DataFrame, names: tuple[str, ...]) -> None:
    """Raise InputError with every missing column."""
    problems = [
        Problem("", f"column {name!r} is missing; {nearest(name, frame.columns)}")
        for name in names
        if name not in frame.columns
    ]
    if problems:
        raise InputError("table", problems)


class Target(NamedTuple):
    """A table without its target column, and the targets; rows without a target are dropped.

    `kept` (n,) are booleans over the rows of the whole table: whether the row has a target.
    """

    frame: polars.DataFrame
    y: np.ndarray
    kept: np.ndarray


def take_target(frame: polars.DataFrame, target: str) -> Target:
    """Separate the target column from the table. Raises InputError if it is missing or holds no classes or numbers."""
    import polars

    check_columns(frame, (target,))
    check_table(frame)
    kept = _without_nan(frame[target]).is_not_null()
    series = frame[target].filter(kept)
    kind = _kind(series.dtype)
    if series.dtype == polars.Null or kind is None or kind == "time":
        raise InputError("table", f"target column {target!r}: expected classes or numbers, received {series.dtype}")
    if kind == "category":
        y = np.array(series.cast(polars.String).to_list(), dtype=np.str_)
    elif kind == "boolean":
        y = series.to_numpy()
    else:
        y = _cast(series, polars.Int64 if series.dtype.is_integer() else polars.Float64).to_numpy()
    return Target(frame.drop(target).filter(kept), y, kept.to_numpy())


# Columns --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """How one column of a table becomes numbers.

    Attributes:
        name: name of the column.
        kind: "number": unchanged; "time": days (since 1970, of a duration, or of the day); "boolean": 0 or 1;
            "category": one input for each category, 1 for the category of the row and 0 for the others.
        fill: replaces a missing value; a missing or unknown category is 0 in every input.
        categories: the categories, in the order of their inputs.
    """

    name: str
    kind: Kind
    fill: float = 0.0
    categories: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the network's inputs that this column becomes."""
        return tuple(f"{self.name}={category}" for category in self.categories) or (self.name,)

    @property
    def is_scaled(self) -> bool:
        """Whether its inputs are scaled; booleans and categories stay 0 and 1."""
        return self.kind in ("number", "time")

    def encode(self, series: polars.Series) -> np.ndarray:
        """The values as an array (n, inputs). Raises InputError for values of another type."""
        import polars

        if self.kind == "category":
            text = _cast(series, polars.String)
            return np.column_stack([(text == c).fill_null(False).to_numpy() for c in self.categories]).astype(float)
        return _numbers(series, self.kind).fill_null(self.fill).to_numpy().reshape(-1, 1)


class ColumnSummary(NamedTuple):
    """What is known of a column of a table, computed piece by piece and merged.

    Attributes:
        name: name of the column.
        kind: how it can become numbers; None: it cannot.
        rows: number of rows.
        missing: number of rows without a value.
        moments: moments of the numbers that are there; None for categories and columns without values.
        range: lowest and highest number; None for categories and columns without values.
        categories: distinct texts, sorted.
        not_numbers: number of rows whose text does not read as a number.
        first_text: the first such text.
    """

    name: str
    kind: Kind | None
    rows: int
    missing: int
    moments: ColumnMoments | None = None
    range: ColumnRange | None = None
    categories: tuple[str, ...] = ()
    not_numbers: int = 0
    first_text: str = ""

    @classmethod
    def of(cls, series: polars.Series) -> ColumnSummary:
        """The summary of a column."""
        import polars

        kind = _kind(series.dtype)
        missing = _without_nan(series).null_count()
        summary = cls(series.name, kind, rows=len(series), missing=missing)
        if kind is None or missing == len(series):
            return summary
        if kind != "category":
            numbers = _numbers(series, kind).drop_nulls().to_numpy().reshape(-1, 1)
            return summary._replace(moments=ColumnMoments.of(numbers), range=ColumnRange.of(numbers))
        text = series.cast(polars.String).drop_nulls()
        not_numbers = text.filter(text.cast(polars.Float64, strict=False).is_null())
        return summary._replace(
            categories=tuple(text.unique().sort().to_list()),
            not_numbers=len(not_numbers),
            first_text=not_numbers[0] if len(not_numbers) else "",
        )

    def merged(self, later: ColumnSummary) -> ColumnSummary:
        """The summary of these rows and later ones together."""
        moments = self.moments or later.moments
        if self.moments and later.moments:
            moments = self.moments.merged(later.moments)
        both_ranges = self.range or later.range
        if self.range and later.range:
            both_ranges = self.range.merged(later.range)
        return self._replace(
            rows=self.rows + later.rows,
            missing=self.missing + later.missing,
            moments=moments,
            range=both_ranges,
            categories=self._categories_with(later),
            not_numbers=self.not_numbers + later.not_numbers,
            first_text=self.first_text or later.first_text,
        )

    def _categories_with(self, later: ColumnSummary) -> tuple[str, ...]:
        if len(self.categories) > _MOST_TEXTS or self.categories == later.categories:
            return self.categories
        return tuple(sorted({*self.categories, *later.categories}))

    def input_statistics(self, column: Column) -> tuple[ColumnRange, ColumnMoments]:
        """Range and moments of the inputs that the column becomes; those of 0 and 1 where they are not scaled."""
        if self.moments is None or self.range is None or not column.is_scaled:
            zeros = np.zeros(len(column.inputs))
            ones = np.ones(len(column.inputs))
            return ColumnRange(zeros, ones), ColumnMoments(ones * self.rows, zeros, ones)
        # Missing values are filled by the mean, which adds rows but nothing to the sum of squared deviations.
        rows = np.array([float(self.rows)])
        variance = self.moments.variance * (self.moments.total / rows)
        return self.range, ColumnMoments(rows, self.moments.mean, variance)


def fit_columns(summaries: Sequence[ColumnSummary]) -> tuple[tuple[Column | None, ...], tuple[str, ...]]:
    """How each column becomes numbers (None: it is dropped), and notes for the user about irregular columns.

    Raises InputError if no column can be an input.
    """
    fitted = [_fit(summary) for summary in summaries]
    notes = tuple(
        f"column {summary.name!r}: {note}"
        for summary, (_, column_notes) in zip(summaries, fitted, strict=True)
        for note in column_notes
    )
    if not any(column for column, _ in fitted):
        reason = "; ".join(notes) or "the table has no column but the target"
        raise InputError("table", f"no column can be an input: {reason}")
    return tuple(column for column, _ in fitted), notes


def _fit(summary: ColumnSummary) -> tuple[Column | None, list[str]]:
    if summary.kind == "category" and summary.categories:
        return _fit_category(summary)
    if summary.kind is None or summary.moments is None or summary.range is None:
        return None, ["dropped: it has no value in the training rows"]
    mean = float(summary.moments.mean[0])
    notes = []
    if summary.missing:
        notes.append(f"{summary.missing} missing values, filled by the mean of the training rows, {mean:.6g}")
    elif summary.range.low[0] == summary.range.high[0]:
        notes.append("the same value in all training rows")
    return Column(summary.name, summary.kind, fill=mean), notes


def _fit_category(summary: ColumnSummary) -> tuple[Column | None, list[str]]:
    notes = []
    values = summary.rows - summary.missing
    if 0 < summary.not_numbers < values / 2:
        notes.append(
            f"read as text because {summary.not_numbers} of {values} values are not numbers, such as "
            f"{summary.first_text!r}; empty these cells to have the column read as numbers"
        )
    distinct = len(summary.categories)
    if distinct > min(_MOST_TEXTS, max(_MOST_CATEGORIES, summary.rows / 2)):
        notes.append(f"dropped: {distinct} different texts in {summary.rows} rows identify rows, not classes")
        return None, notes
    if summary.missing:
        notes.append(f"{summary.missing} missing values, encoded as 0 in each of its inputs")
    elif distinct == 1:
        notes.append("the same value in all training rows")
    return Column(summary.name, "category", categories=summary.categories), notes


def _kind(dtype: polars.DataType) -> Kind | None:
    import polars

    if dtype.is_numeric():
        return "number"
    if dtype.is_temporal():
        return "time"
    if dtype == polars.Boolean:
        return "boolean"
    # A column without a single value has the type Null; it is dropped when the columns are fitted.
    return "category" if dtype in (polars.String, polars.Categorical, polars.Enum, polars.Null) else None


def _without_nan(series: polars.Series) -> polars.Series:
    return series.fill_nan(None) if series.dtype.is_float() else series


def _numbers(series: polars.Series, kind: str) -> polars.Series:
    """The values of a column of that kind as float64; missing values are null."""
    import polars

    if kind == "time" and series.dtype.is_temporal():
        if series.dtype == polars.Date:
            return series.cast(polars.Int32).cast(polars.Float64)
        unit = {polars.Duration: polars.Duration("us"), polars.Time: polars.Duration("us")}
        microseconds = series.cast(unit.get(type(series.dtype), polars.Datetime("us"))).cast(polars.Int64)
        return microseconds.cast(polars.Float64) / _DAY_US
    if kind == "time" and series.dtype != polars.Null:
        raise InputError("table", f"column {series.name!r}: expected dates or times, received {series.dtype}")
    if kind == "boolean":
        return _cast(_cast(series, polars.Boolean), polars.Float64)
    return _without_nan(_cast(series, polars.Float64))


def _cast(series: polars.Series, dtype: PolarsDataType) -> polars.Series:
    import polars

    try:
        return series.cast(dtype)
    except polars.exceptions.PolarsError as error:
        raise InputError("table", f"column {series.name!r}: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
