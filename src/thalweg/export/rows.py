"""How exported files of Python read rows. It is copied into them, so it needs NumPy and the standard library alone."""

from __future__ import annotations

import argparse
import base64
import csv
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

import numpy as np

EPOCH = datetime(1970, 1, 1)
DAY = timedelta(days=1)


class ExportedColumn(NamedTuple):
    """How the cells of a column become numbers.

    Attributes:
        name: name of the column.
        kind: number, time (days since 1970), boolean (0 or 1) or category (one number for each category).
        fill: replaces a missing value; a missing or unknown category is 0 for each category.
        categories: the categories.
        coded: whether a category is a single number, from 1; 0 of a missing or unknown one.
        pattern: a regular expression of numbers in text; "" for those of Python.
        decimal: the decimal mark of numbers in text.
        thousands: the separator between groups of three digits.
        affix: a percent sign or currency.
        form: the form of dates and times in text, as `strftime` has it; "" for ISO 8601.
        missing: words for a missing value, in lower case.
        exact: words for a missing value of which the case matters.
    """

    name: str
    kind: str = "number"
    fill: float = 0.0
    categories: tuple[str, ...] = ()
    coded: bool = False
    pattern: str = ""
    decimal: str = "."
    thousands: str = ""
    affix: str = ""
    form: str = ""
    missing: tuple[str, ...] = ("", "nan")
    exact: tuple[str, ...] = ()

    def encode(self, cells: Sequence[object]) -> np.ndarray:
        """The cells (n,) as numbers (n, 1), or (n, categories)."""
        if self.kind == "category":
            texts = [_text(cell) for cell in cells]
            if self.coded:
                codes: dict[str | None, float] = {text: float(code) for code, text in enumerate(self.categories, 1)}
                return np.array([[codes.get(text, 0.0)] for text in texts])
            return np.array([[float(text == category) for category in self.categories] for text in texts])
        return np.array([[self.number(cell, row)] for row, cell in enumerate(cells, 1)])

    def number(self, cell: object, row: int) -> float:
        """The number of a cell. Raises ValueError for a cell that is not understood; `row` counts from 1."""
        text = cell.strip() if isinstance(cell, str) else None
        if text is not None and (text.lower() in self.missing or text in self.exact):
            return self.fill
        if _is_missing(cell):
            return self.fill
        try:
            value = self._of_value(cell) if text is None else self._of_text(text)
            if not math.isfinite(value):
                raise ValueError
        except (TypeError, ValueError, KeyError):
            raise ValueError(f"column {self.name!r}: expected a {self.kind}, received {cell!r} in row {row}") from None
        return value

    def _of_value(self, cell: Any) -> float:
        if self.kind == "time":
            return _days(cell.item() if isinstance(cell, np.generic) else cell)
        return float(bool(cell)) if self.kind == "boolean" else float(cell)

    def _of_text(self, text: str) -> float:
        if self.kind == "boolean":
            return {"true": 1.0, "false": 0.0}[text.lower()]
        if self.kind == "time":
            return _days(_moment(text, self.form))
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise ValueError
        body = text.replace("−", "-").replace(self.affix, "")
        if self.pattern and (self.thousands in ("", " ") or self.affix):
            body = re.sub("[ \u00a0\u2009\u202f]", "", body)
        for mark in {"'": "'’"}.get(self.thousands, self.thousands):
            body = body.replace(mark, "")
        body = body.replace(self.decimal, ".")
        # A division would round once more.
        return float(body + "e-2" if self.affix == "%" else body)


def _is_missing(cell: Any) -> bool:
    """Whether a cell is None, NaN, or one of the marks of pandas."""
    try:
        return cell is None or bool(cell != cell)
    except TypeError:
        return True


def _text(cell: object) -> str | None:
    if _is_missing(cell):
        return None
    return str(cell).lower() if isinstance(cell, bool | np.bool_) else str(cell).strip()


def _moment(text: str, form: str) -> datetime | time:
    """The moment that a text of a form stands for."""
    if not form:
        return time.fromisoformat(text) if re.fullmatch(r"\d\d:.*", text) else datetime.fromisoformat(text)
    fraction = re.search(r"\.\d{1,9}(?=$|Z$|[+-]\d\d:\d\d$)", text) if "%.f" in form else None
    if fraction:
        text = text.replace(fraction.group(), "")
    moment = datetime.strptime(text, form.replace("%.f", "").replace("%:z", "%z"))
    moment += timedelta(seconds=float(fraction.group())) if fraction else timedelta()
    return moment if "%d" in form else moment.time()


def _days(value: datetime | date | time | timedelta) -> float:
    """Days since 1970, of the day, or of a duration."""
    if isinstance(value, time):
        value = datetime.combine(EPOCH, value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        value = (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value) - EPOCH
    return value / DAY


def table_of(rows: Any, names: Sequence[str]) -> dict[str, Sequence[object]]:
    """The columns of rows by their names.

    Args:
        rows: a dictionary of columns, or of one row; a list of dictionaries; a frame of pandas or polars; or rows of
            cells (n, columns) in the order of `names`.
        names: the names of the columns that are needed.

    Raises:
        ValueError: a column is missing.
    """
    if hasattr(rows, "columns"):
        rows = {str(name): rows[name].to_list() for name in rows.columns}
    elif isinstance(rows, Mapping):
        single = not any(isinstance(cells, list | tuple | np.ndarray) for cells in rows.values())
        rows = {name: [cells] for name, cells in rows.items()} if single else rows
    elif len(rows) and isinstance(rows[0], Mapping):
        rows = {name: [row.get(name) for row in rows] for name in {name: None for row in rows for name in row}}
    else:
        cells = [list(row) for row in rows]
        if any(len(row) != len(names) for row in cells):
            raise ValueError(f"expected rows of {len(names)} values: {', '.join(names)}")
        rows = dict(zip(names, zip(*cells, strict=True), strict=True))
    missing = [name for name in names if name not in rows]
    if missing:
        raise ValueError(f"the column {missing[0]!r} is missing; expected {', '.join(names)}")
    return {name: list(rows[name]) for name in names}


def encoded(rows: Any, columns: Sequence[ExportedColumn], table: bool) -> np.ndarray:
    """Rows as numbers (n, features), in float64 and not scaled; of an array without a table each row is flattened."""
    names = [column.name for column in columns]
    named = hasattr(rows, "columns") or isinstance(rows, Mapping) or (len(rows) and isinstance(rows[0], Mapping))
    if table or named:
        cells = table_of(rows, names)
        return np.hstack([column.encode(cells[column.name]) for column in columns])
    x = np.asarray(rows, np.float64)
    x = x.reshape(len(x), -1) if x.ndim > 2 else x
    if x.ndim != 2 or x.shape[1] != len(names):
        raise ValueError(f"expected rows of {len(names)} numbers, received shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("some numbers are NaN or infinite")
    return x


def erf(z: np.ndarray) -> np.ndarray:
    """The error function."""
    return np.vectorize(math.erf, otypes=[z.dtype])(z)


def array(dtype: str, shape: tuple[int, ...], text: str) -> np.ndarray:
    """The array that a text of base64 holds."""
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


def named_results(
    predicted: np.ndarray, outputs: np.ndarray, targets: Sequence[str], classes: bool
) -> dict[str, np.ndarray]:
    """Predictions as columns by their names, and for classes the probability of each, or the single output.

    Args:
        predicted: names of classes (n,), or labels or values (n,) or (n, K).
        outputs: the outputs (n, K).
        targets: names of the classes, the labels or the targets.
        classes: whether the task is classification.
    """
    if classes:
        known = len(targets) == outputs.shape[1]
        headings = [f"p({name})" for name in targets] if known else ["output"]
        return {"prediction": predicted, **dict(zip(headings, outputs.T, strict=True))}
    if len(targets) == 1:
        return {"prediction": predicted.reshape(-1)}
    return {f"prediction({name})": values for name, values in zip(targets, predicted.T, strict=True)}


def main(names: Sequence[str], results_of: Callable[[Any], Mapping[str, Iterable[object]]]) -> None:
    """Read the CSV file that the first argument names, and print a CSV of the results by their names."""
    parser = argparse.ArgumentParser(description="Predict the rows of a CSV file, and print CSV.")
    parser.add_argument("file")
    parser.add_argument("--separator", help="the character between cells; found from the first line by default")
    parser.add_argument("--encoding", default="utf-8-sig")
    options = parser.parse_args()
    try:
        with open(options.file, encoding=options.encoding, newline="") as file:
            first = file.readline()
            file.seek(0)
            separator = options.separator or max(",;\t|", key=first.count)
            lines = [line for line in csv.reader(file, delimiter=separator) if line]
        header = [" ".join(cell.split()) for cell in lines[0]] if lines else []
        # A file without names has the columns in the order of the training.
        rows = [dict(zip(header, line, strict=False)) for line in lines[1:]] if set(header) & set(names) else lines
        results = results_of(rows)
    except (OSError, ValueError) as error:
        sys.exit(f"{options.file}: {error}")
    writer = csv.writer(sys.stdout)
    writer.writerow(results)
    writer.writerows(zip(*results.values(), strict=True))
