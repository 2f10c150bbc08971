"""Tables in memory, and how their columns become numbers."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeGuard, cast

import numpy as np

from ..core.errors import InputError, Problem, nearest
from .column_statistics import ColumnMoments, ColumnQuantiles, ColumnRange
from .reading.notation import Evidence, Reading, TableReading, TextOptions, read_columns

if TYPE_CHECKING:
    import polars
    from polars._typing import PolarsDataType

Kind = Literal["number", "time", "boolean", "category"]

# With at least this many values, a text column that has another one in more than half of its rows identifies rows.
_FEWEST_IDENTIFIERS = 8
# Whole numbers of rows that are drawn by chance are all different, within this many times the number of the rows, in
# less than one of a hundred columns of this many rows.
_DENSE = 3
_FEWEST_ROW_NUMBERS = 30
# Identifiers may occur twice where rows were measured twice.
_NEARLY_ALL = 0.9
# As many numbers rise from row to row by chance in one of a thousand columns.
_FEWEST_RISING = 6
# Names of columns that identify rows: id, user_id, userId, row number, index.
_IDENTIFIER = re.compile(r"(?i:(^|[^a-z])(id|uid|uuid|key|index|nr|row|number)$)|[a-z](Id|ID|Nr|Index|Key)$")
# No text column is a category with more distinct values than this, however many rows it has.
_MOST_TEXTS = 100_000
_DAY_US = 86_400_000_000


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
        if twice := [name for name, count in Counter(map(str, x.columns)).items() if count > 1]:
            raise InputError("x", f"more than one column has the name {twice[0]!r}; rename one of them")
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
        elif series.dtype.is_float() and len(rows := np.flatnonzero(np.isinf(series.to_numpy()))):
            message = f"{len(rows)} infinite values, the first in row {rows[0]} (from 0); correct or empty these cells"
            problems.append(Problem(f"column {series.name!r}", message))
    if problems:
        raise InputError("table", problems)


def check_columns(frame: polars.DataFrame, names: tuple[str, ...]) -> None:
    """Raise InputError with every missing column."""
    known = set(frame.columns)
    problems = [
        Problem("", f"column {name!r} is missing; {_within(name, frame.columns) or nearest(name, frame.columns)}")
        for name in names
        if name not in known
    ]
    if problems:
        raise InputError("table", problems)


def _within(name: str, columns: Sequence[str]) -> str:
    """A hint where a name is part of the name of a column, as if the separator were another one."""
    for column in columns:
        if name and name in re.split(r"[,;|\t :]+", column):
            return (
                f"it is part of the name {column!r}; is this the separator of the file? Set `separator` of the source"
            )
    return ""


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
        reading: how text cells are read; None: as they suggest.
        coded: whether a category is a single input, its number from 1, for an embedding layer.
    """

    name: str
    kind: Kind
    fill: float = 0.0
    categories: tuple[str, ...] = ()
    reading: Reading | None = None
    coded: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the network's inputs that this column becomes."""
        if self.coded:
            return (self.name,)
        return tuple(f"{self.name}={category}" for category in self.categories) or (self.name,)

    @property
    def is_scaled(self) -> bool:
        """Whether its inputs are scaled; booleans and categories stay 0 and 1."""
        return self.kind in ("number", "time")

    def encode(self, series: polars.Series) -> np.ndarray:
        """The values as an array (n, inputs). Raises InputError for values of another type."""
        import polars

        if self.kind == "category":
            text = _cast(series, polars.String).str.strip_chars()
            known = text.cast(polars.Enum(self.categories), strict=False).to_physical()
            codes = known.cast(polars.Int64).fill_null(-1).to_numpy() + 1
            if self.coded:
                return codes.astype(float).reshape(-1, 1)
            ones = np.zeros((len(codes), len(self.categories) + 1))
            ones[np.arange(len(codes)), codes] = 1.0
            return ones[:, 1:]
        numbers = self.numbers(series)
        return (numbers.fill_null(self.fill) if numbers.null_count() else numbers).to_numpy().reshape(-1, 1)

    def numbers(self, series: polars.Series) -> polars.Series:
        """The values of a column that is no category as float64; a missing value is null."""
        import polars

        if series.dtype == polars.String:
            series = self._reading_of(series).check(series)
        return _numbers(series, self.kind)

    def _reading_of(self, series: polars.Series) -> Reading:
        """How text cells of a column that is no category are read."""
        if self.reading is not None:
            return self.reading
        found = read_columns({self.name: Evidence.of(series, TextOptions())}, TextOptions()).readings[self.name]
        return found if found.kind == self.kind else _USUAL[self.kind]


_USUAL = {
    "number": Reading("number"),
    "time": Reading("time", form="%Y-%m-%d"),
    "boolean": Reading("boolean"),
}


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
        different: the different numbers of a column of whole numbers, sorted; None where many occur twice.
        rising: whether these numbers rise from row to row, from the first to the last.
        ends: the first and the last of them.
        quantiles: quantiles of the numbers that are there; None where they are not asked for.
    """

    name: str
    kind: Kind | None
    rows: int
    missing: int
    moments: ColumnMoments | None = None
    range: ColumnRange | None = None
    categories: tuple[str, ...] = ()
    different: np.ndarray | None = None
    rising: bool = False
    ends: tuple[float, float] = (0.0, 0.0)
    quantiles: ColumnQuantiles | None = None

    @classmethod
    def of(cls, series: polars.Series, quantiles: bool = False) -> ColumnSummary:
        """The summary of a column; with the `quantiles` of its numbers, for which they are sorted."""
        import polars

        kind = _kind(series.dtype)
        missing = _without_nan(series).null_count()
        summary = cls(series.name, kind, rows=len(series), missing=missing)
        if kind is None or missing == len(series):
            return summary
        if kind != "category":
            present = _numbers(series, kind)
            numbers = (present.drop_nulls() if missing else present).to_numpy().reshape(-1, 1)
            summary = summary._replace(
                moments=ColumnMoments.of(numbers),
                range=ColumnRange.of(numbers),
                quantiles=ColumnQuantiles.of(numbers) if quantiles else None,
            )
            return summary._with_order_of(numbers[:, 0]) if series.dtype.is_integer() else summary
        text = series.cast(polars.String).drop_nulls()
        return summary._replace(categories=tuple(text.unique().sort().to_list()))

    def _with_order_of(self, numbers: np.ndarray) -> ColumnSummary:
        """The summary with what tells whether whole numbers count the rows."""
        different = np.unique(numbers)
        if len(different) < _NEARLY_ALL * len(numbers):
            return self
        rising = bool((np.diff(numbers) > 0).all())
        return self._replace(different=different, rising=rising, ends=(float(numbers[0]), float(numbers[-1])))

    def merged(self, later: ColumnSummary) -> ColumnSummary:
        """The summary of these rows and later ones together."""
        moments = self.moments or later.moments
        if self.moments and later.moments:
            moments = self.moments.merged(later.moments)
        quantiles = self.quantiles or later.quantiles
        if self.quantiles and later.quantiles:
            quantiles = self.quantiles.merged(later.quantiles)
        both_ranges = self.range or later.range
        if self.range and later.range:
            both_ranges = self.range.merged(later.range)
        return self._replace(
            rows=self.rows + later.rows,
            missing=self.missing + later.missing,
            moments=moments,
            range=both_ranges,
            quantiles=quantiles,
            categories=self._categories_with(later),
        )._with_order_of_both(self, later)

    def _with_order_of_both(self, first: ColumnSummary, later: ColumnSummary) -> ColumnSummary:
        empty = [summary for summary in (first, later) if summary.missing == summary.rows]
        if empty:
            other = later if empty[0] is first else first
            return self._replace(different=other.different, rising=other.rising, ends=other.ends)
        if first.different is None or later.different is None:
            return self._replace(different=None, rising=False)
        different = np.union1d(first.different, later.different)
        if len(different) < _NEARLY_ALL * (self.rows - self.missing):
            return self._replace(different=None, rising=False)
        rising = first.rising and later.rising and first.ends[1] < later.ends[0]
        return self._replace(different=different, rising=rising, ends=(first.ends[0], later.ends[1]))

    @property
    def counts_rows(self) -> bool:
        """Whether the column has whole numbers that differ from row to row because they count or name the rows."""
        if self.different is None or not len(self.different):
            return False
        rows = self.rows - self.missing
        span = self.different[-1] - self.different[0]
        dense = len(self.different) == rows and span < _DENSE * rows
        named = _IDENTIFIER.search(self.name) is not None and rows >= _FEWEST_IDENTIFIERS
        return named or (dense and (rows >= _FEWEST_ROW_NUMBERS or (self.rising and rows >= _FEWEST_RISING)))

    def _categories_with(self, later: ColumnSummary) -> tuple[str, ...]:
        if len(self.categories) > _MOST_TEXTS or self.categories == later.categories:
            return self.categories
        return tuple(sorted({*self.categories, *later.categories}))

    def input_statistics(self, column: Column) -> tuple[ColumnRange, ColumnMoments]:
        """Range and moments of the inputs that the column becomes; those of 0 and 1 where they are not scaled."""
        if self.moments is None or self.range is None or not column.is_scaled:
            zeros = np.zeros(len(column.inputs))
            ones = np.ones(len(column.inputs))
            highest = ones * len(column.categories) if column.coded else ones
            return ColumnRange(zeros, highest), ColumnMoments(ones * self.rows, zeros, ones)
        # Missing values are filled by the mean, which adds rows but nothing to the sum of squared deviations.
        rows = np.array([float(self.rows)])
        variance = self.moments.variance * (self.moments.total / rows)
        return self.range, ColumnMoments(rows, self.moments.mean, variance)

    def five_numbers(self, column: Column) -> ColumnQuantiles | None:
        """The five numbers of the inputs that the column becomes; those of 0 and 1 where they are not scaled."""
        if self.quantiles is not None and column.is_scaled:
            return self.quantiles.five
        if self.quantiles is None and column.is_scaled:
            return None
        values = np.repeat([[0.0], [0.0], [0.0], [1.0], [1.0]], len(column.inputs), axis=1)
        return ColumnQuantiles(self.rows, values)


def fit_columns(
    summaries: Sequence[ColumnSummary], table: TableReading, codes_above: int | None = None
) -> tuple[tuple[Column | None, ...], tuple[str, ...]]:
    """How each column becomes numbers (None: it is dropped), and notes for the user about irregular columns.

    A column of more than `codes_above` categories becomes codes. Raises InputError if no column can be an input.
    """
    row_numbers = [summary.name not in table.keep and summary.counts_rows for summary in summaries]
    # A table that has nothing else is one of a function of these numbers.
    dropped = row_numbers if not all(row_numbers) else [False] * len(row_numbers)
    fitted = [_fit(summary, table, drop) for summary, drop in zip(summaries, dropped, strict=True)]
    if not any(column for column, _ in fitted):
        fitted = [_fit(summary, table, is_row_number=False) for summary in summaries]
    notes = tuple(
        f"column {summary.name!r}: {note}"
        for summary, (_, column_notes) in zip(summaries, fitted, strict=True)
        for note in column_notes
    )
    if not any(column for column, _ in fitted):
        reason = "; ".join(notes) or "the table has no column but the target"
        raise InputError("table", f"no column can be an input: {reason}")
    columns = (column for column, _ in fitted)
    return tuple(column and _coded(column, codes_above) for column in columns), notes


def _coded(column: Column, codes_above: int | None) -> Column:
    is_coded = codes_above is not None and len(column.categories) > codes_above
    return dataclasses.replace(column, coded=True) if is_coded else column


def _fit(summary: ColumnSummary, table: TableReading, is_row_number: bool) -> tuple[Column | None, list[str]]:
    if summary.kind == "category" and summary.categories:
        return _fit_category(summary, keep=summary.name in table.keep)
    if summary.kind is None or summary.moments is None or summary.range is None:
        return None, ["dropped: it has no value in the training rows"]
    if is_row_number:
        low, high = int(summary.range.low[0]), int(summary.range.high[0])
        return None, [
            f"dropped: whole numbers from {low} to {high}, another in nearly every row, count or name the rows; {_KEEP}"
        ]
    mean = float(summary.moments.mean[0])
    notes = []
    if summary.missing:
        notes.append(f"{summary.missing} missing values, filled by the mean of the training rows, {mean:.6g}")
    elif summary.range.low[0] == summary.range.high[0]:
        notes.append("the same value in all training rows")
    return Column(summary.name, summary.kind, fill=mean, reading=table.readings.get(summary.name)), notes


_KEEP = "to have it as an input, set `keep = [...]` of a table file, or give a frame with numbers that are not whole"


def _fit_category(summary: ColumnSummary, keep: bool) -> tuple[Column | None, list[str]]:
    notes = []
    values = summary.rows - summary.missing
    distinct = len(summary.categories)
    if distinct > _MOST_TEXTS or (2 * distinct > values and distinct >= _FEWEST_IDENTIFIERS and not keep):
        return None, [f"dropped: {distinct} different texts in {values} rows identify rows, not classes"]
    if distinct == values > 1:
        notes.append(f"each of its {values} rows has a category of its own")
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
    # NumPy looks at a column much faster than an expression of polars, which counts where columns are many.
    if not series.dtype.is_float() or (not series.null_count() and not np.isnan(series.to_numpy()).any()):
        return series
    return series.fill_nan(None)


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
        return series if series.dtype == dtype else series.cast(dtype)
    except polars.exceptions.PolarsError as error:
        raise InputError("table", f"column {series.name!r}: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
