"""Tables: reading them, and turning their columns into numbers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..errors import InputError, Problem, nearest

if TYPE_CHECKING:
    import polars

SUFFIXES = (".csv", ".tsv", ".parquet")

# A column of text with more different values than this, and than half of the rows, says who, not what.
_MOST_CATEGORIES = 50
_DAY_US = 86_400_000_000


def read_table(path: str | os.PathLike[str]) -> polars.DataFrame:
    """The table of a .csv, .tsv or .parquet file; dates and times are recognised.

    Raises InputError for a file that is missing, empty, damaged or of another kind.
    """
    import polars

    place = Path(path)
    suffix = place.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(str(path), f"expected a table ({', '.join(SUFFIXES)}), received the suffix {suffix!r}")
    if not place.is_file():
        raise InputError(str(path), "there is no such file")
    try:
        if suffix == ".parquet":
            frame = polars.read_parquet(place)
        else:
            frame = polars.read_csv(
                place, separator="\t" if suffix == ".tsv" else ",", infer_schema_length=None, try_parse_dates=True
            )
    except polars.exceptions.NoDataError:
        raise InputError(str(path), "is empty: expected a line of column names and rows below") from None
    # Some damaged Parquet files make polars panic.
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        fault = str(error).splitlines()[0]
        raise InputError(str(path), f"can not be read as {suffix[1:].upper()}: {fault}") from None
    if not frame.height:
        raise InputError(str(path), "has column names and no rows")
    return frame


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
    notes: tuple[str, ...]


def take_target(frame: polars.DataFrame, target: str) -> Target:
    """Part the target column from the table. Raises InputError if it is missing or of no use."""
    import polars

    check_columns(frame, (target,))
    check_table(frame)
    kept = _without_nan(frame[target]).is_not_null()
    missing = frame.height - kept.sum()
    series = frame[target].filter(kept)
    kind = _kind(series.dtype)
    if missing == frame.height or kind is None or kind == "time":
        raise InputError(
            "table", f"the target column {target!r} holds {series.dtype} values, expected classes or numbers"
        )
    if kind == "category":
        y = np.array(series.cast(polars.String).to_list(), dtype=np.str_)
    elif kind == "boolean":
        y = series.to_numpy()
    else:
        y = _cast(series, polars.Int64 if series.dtype.is_integer() else polars.Float64).to_numpy()
    notes = (f"{missing} of {frame.height} rows have no value of {target!r} and are left out",) if missing else ()
    return Target(frame.drop(target).filter(kept), y, kept.to_numpy(), notes)


@dataclass(frozen=True)
class Column:
    """How one column becomes numbers.

    number: as it is; time: days (since 1970, or of a duration, or of the day); boolean: 0 or 1; category: one input a
    category, 1 where it is meant. A missing value becomes `fill`, a missing or unknown category 0 everywhere.
    """

    name: str
    kind: Literal["number", "time", "boolean", "category"]
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


def fit_columns(frame: polars.DataFrame) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """How the columns of these training rows become numbers, with notes on all that is not as one would wish."""
    columns: list[Column] = []
    notes: list[str] = []
    for series in frame:
        column, said = _fit(series)
        columns += [column] if column else []
        notes += [f"column {series.name!r}: {text}" for text in said]
    if not columns:
        raise InputError("table", f"no column can serve as an input: {'; '.join(notes) or 'only the target is there'}")
    return tuple(columns), tuple(notes)


def _fit(series: polars.Series) -> tuple[Column | None, list[str]]:
    kind = _kind(series.dtype)
    gaps = _without_nan(series).null_count()
    if kind is None or gaps == len(series):
        return None, ["dropped, it has no value in the training rows"]
    if kind == "category":
        return _fit_category(series, gaps)
    numbers = _numbers(series, kind)
    mean = float(numbers.drop_nulls().to_numpy().mean())
    notes = [f"{gaps} missing values, filled by the mean of the training rows, {mean:.6g}"] if gaps else []
    notes += ["the same value in all training rows"] if numbers.n_unique() == 1 else []
    return Column(series.name, kind, fill=mean), notes


def _fit_category(series: polars.Series, gaps: int) -> tuple[Column | None, list[str]]:
    import polars

    text = series.cast(polars.String).drop_nulls()
    categories = tuple(text.unique().sort().to_list())
    notes = []
    bad = text.filter(text.cast(polars.Float64, strict=False).is_null())
    if 0 < len(bad) < len(text) / 2:
        notes.append(
            f"taken as text because {len(bad)} of {len(text)} values are no numbers, such as {bad[0]!r}; "
            "empty these cells to have the column taken as numbers"
        )
    if len(categories) > max(_MOST_CATEGORIES, len(series) / 2):
        return None, [
            *notes,
            f"dropped, {len(categories)} different texts in {len(series)} rows tell rows apart, not classes",
        ]
    notes += [f"{gaps} missing values, 0 in each of its inputs"] if gaps else []
    notes += ["the same value in all training rows"] if len(categories) == 1 and not gaps else []
    return Column(series.name, "category", categories=categories), notes


def _kind(dtype: polars.DataType) -> Literal["number", "time", "boolean", "category"] | None:
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
