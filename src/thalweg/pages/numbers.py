"""Numbers for people: every page, chart and command writes its numbers with these functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..parts.metrics import is_share
from .blocks import Check

DIGITS = 4
"""Significant digits of a number in text, tables and charts."""
EXACT_DIGITS = 6
"""Significant digits of worked examples, which readers recompute: numbers and arrays of at most 12 of them."""

# An array with more rows or columns than the first number is cut to the second number of them.
_ROWS = (12, 6)
_COLUMNS = (10, 6)
_SHORT_ARRAY = 12
# A difference that comes from the rounding of numbers of 64 bits alone.
_ROUNDING = 1e-9
# Room for ten columns of the longest numbers.
_GRID_WIDTH = 200
_LARGEST_PLAIN = 1e6
_SMALLEST_PLAIN = 1e-4
_LARGEST_WHOLE = 1e9
_NO_VALUE = "–"
_PERCENT = "\u202f%"
_MOST_DECIMALS = 12

_MEASURE_NAMES = {"r2": "R²", "clipped": "updates clipped", "penalty": "penalty of L1 and L2"}


class Share(float):
    """A fraction of a whole, which is written in percent: in a table, 0.875 is 87.5 %."""


def number(value: object, digits: int = DIGITS) -> str:
    """A value as text.

    Real numbers have at most `digits` significant digits, without trailing zeros; whole numbers below 1e9 and integers
    are written in full, with thousands separated by commas. Below 1e-4 and from 1e6 on the notation is `1.5e-5`.
    A `Share` is in percent, truth values are yes and no, None is a dash, all else is `str(value)`.

    >>> [number(value) for value in (2 / 3, 2.0, -0.00001, 12345, 12345.6, True)]
    ['0.6667', '2', '-1e-5', '12,345', '12,350', 'yes']
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Share):
        return percent(value, digits)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        return _real(float(value), digits)
    return _NO_VALUE if value is None else str(value)


def percent(share: float, digits: int = DIGITS) -> str:
    """A fraction in percent with at most `digits` significant digits; NaN is a dash.

    Only exactly 1 is 100 %: fractions slightly below get more digits.

    >>> percent(0.875), percent(1 / 3, digits=2), percent(0.99996, digits=2), percent(1)
    ('87.5\u202f%', '33\u202f%', '99.996\u202f%', '100\u202f%')
    """
    value = 100 * float(share)
    if math.isnan(value):
        return _NO_VALUE
    text = _real(value, digits)
    while text == "100" and value < 100 and digits < _MOST_DECIMALS:
        digits += 1
        text = _real(value, digits)
    return text + _PERCENT


def measure_name(measure: str) -> str:
    """The name of a measure in words: `mean_absolute_error` -> `mean absolute error`, `r2` -> `R²`."""
    return _MEASURE_NAMES.get(measure, measure.replace("_", " "))


def measured(measure: str, value: float | None) -> float | None:
    """The value of a measure as a cell of a table: shares are written in percent, NaN is a dash.

    >>> number(measured("accuracy", 0.875)), number(measured("loss", 0.25)), number(measured("loss", float("nan")))
    ('87.5\u202f%', '0.25', '–')
    """
    if value is None or math.isnan(value):
        return None
    return Share(value) if is_share(measure) else float(value)


def measure_value(measure: str, value: float | None, unit: str = "", digits: int = DIGITS) -> str:
    """The value of a measure as text: shares in percent, others in `unit`, the unit of the target; NaN is a dash.

    >>> measure_value("accuracy", 0.9825), measure_value("mean_absolute_error", 41.2345, "mg/dl")
    ('98.25\u202f%', '41.23 mg/dl')
    """
    cell = measured(measure, value)
    text = number(cell, digits)
    return f"{text} {unit}" if unit and cell is not None and not is_share(measure) else text


def difference(measure: str, value: float | None, unit: str = "", digits: int = 3) -> str:
    """The difference of two values of a measure with its sign: of shares in percentage points.

    >>> difference("accuracy", 0.0125), difference("loss", -0.5), difference("loss", 0)
    ('+1.25 points', '-0.5', '0')
    """
    if value is None or math.isnan(value):
        return _NO_VALUE
    scale, words = (100, "points") if is_share(measure) else (1, unit)
    text = _real(scale * float(value), digits)
    sign = "+" if value > 0 else ""
    return f"{sign}{text} {words}" if words else sign + text


def interval(
    measure: str,
    low: float,
    high: float,
    unit: str = "",
    write: Callable[[str, float, str], str] = measure_value,
) -> str:
    """Both ends of an interval of a measure, the unit only once; `write=difference` for an interval of differences.

    >>> interval("accuracy", 0.875, 0.91), interval("accuracy", -0.01, 0.02, write=difference)
    ('87.5 to 91\u202f%', '-1 to +2 points')
    """
    first = write(measure, low, unit)
    last = write(measure, high, unit)
    for words in (_PERCENT, " points", f" {unit}"):
        if words.strip() and last.endswith(words):
            first = first.removesuffix(words)
    return f"{first} to {last}"


def count_noun(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: `1 seed`, `3 seeds`; `plural` if it is irregular.

    >>> count_noun(1, "seed"), count_noun(1200, "row"), count_noun(2, "entry", "entries")
    ('1 seed', '1,200 rows', '2 entries')
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def inline(values: ArrayLike, digits: int = EXACT_DIGITS) -> str:
    """A number or a small array within a sentence, without axes of length 1; of a larger array its shape.

    >>> inline([0.659, 0.242]), inline([[1, 2], [3, 4]]), inline(0.5)
    ('(0.659, 0.242)', '((1, 2), (3, 4))', '0.5')
    """
    array = np.squeeze(values)
    if array.ndim == 0:
        return number(array.item(), digits)
    if array.size > _SHORT_ARRAY:
        return f"an array of shape {np.shape(values)}"
    return f"({', '.join(inline(item, digits) for item in array)})"


def evidence(check: Check) -> str:
    """The measured and the expected value of a check in words; empty where the statement alone says as much.

    That is so where it holds and both values are the same to a reader: equal to four digits, or 0 but for rounding.

    >>> evidence(Check("the loss is 2", 2.0, 2.0)), evidence(Check("the loss is 2", 1.0, 2.0))
    ('', 'does not hold here: measured 1, expected 2')
    >>> evidence(Check("the loss is about 2", 1.9, 2.0, tolerance=0.2))
    'measured 1.9, expected 2 within 0.2'
    """
    if isinstance(check.expected, bool) and check.expected:
        return "" if check.holds else "does not hold here"
    if check.holds:
        if check.tolerance <= _ROUNDING or np.allclose(check.measured, check.expected, 10.0**-DIGITS, _ROUNDING):
            return ""
        value, expected = (inline(values, DIGITS) for values in (check.measured, check.expected))
        return f"measured {value}, expected {expected} within {number(check.tolerance)}"
    within = f" within {number(check.tolerance)}" if check.tolerance else ""
    return f"does not hold here: measured {inline(check.measured)}, expected {inline(check.expected)}{within}"


def shape_text(values: ArrayLike) -> str:
    """The shape of an array as text; empty for a single number.

    >>> shape_text(np.zeros((4, 2))), shape_text(np.zeros(3)), shape_text(np.zeros(()))
    ('(4, 2)', '(3,)', '')
    """
    return str(np.shape(values)) if np.ndim(values) else ""


class Grid(NamedTuple):
    """An array as lines of text; `complete` if they hold all of its numbers."""

    lines: list[str]
    complete: bool


def grid(values: ArrayLike, width: int = _GRID_WIDTH) -> Grid:
    """An array as lines of aligned numbers, at most `width` characters wide.

    Up to 12 numbers have six digits, more have four. Up to 12 rows and 10 columns are shown in full; columns without
    room stand below the others. Larger arrays show their first 6 rows or columns and dots, arrays of more than two axes
    their first matrix.

    >>> print(*grid(np.array([[1.0, -20.25], [0.5, 3.0]])).lines, sep="\\n")
    1    -20.25
    0.5    3
    """
    array = np.asarray(values)
    digits = EXACT_DIGITS if array.size <= _SHORT_ARRAY else DIGITS
    matrix = np.atleast_2d(array[(0,) * max(0, array.ndim - 2)] if array.size else array.reshape(0, 0))
    if not matrix.size:
        return Grid(["no numbers"], complete=True)
    height, breadth = matrix.shape
    rows = height if height <= _ROWS[0] else _ROWS[1]
    columns = breadth if breadth <= _COLUMNS[0] else _COLUMNS[1]
    corner = (matrix.astype(int) if matrix.dtype == bool else matrix)[:rows, :columns]
    blocks = [_aligned([number(item, digits) for item in column.tolist()]) for column in corner.T]
    room = width - len("  …")
    lines: list[str] = []
    first = 0
    while first < columns:
        last = first + 1
        while last < columns and sum(len(block[0]) + 2 for block in blocks[first : last + 1]) <= room:
            last += 1
        dots = [["…"] * rows] if last == columns < breadth else []
        if first and height > 1:
            lines.append(f"columns {first + 1} to {last}:" if last > first + 1 else f"column {last}:")
        lines += ["  ".join(row).rstrip() for row in zip(*blocks[first:last], *dots, strict=True)]
        lines += [] if rows == height else ["⋮"]
        first = last
    return Grid(lines, complete=columns == breadth and rows == height and matrix.size == array.size)


def statistics(values: ArrayLike) -> dict[str, float]:
    """RMS, smallest and largest finite number of an array, and the count of NaN and infinite ones (`not_finite`)."""
    array = np.asarray(values)
    if array.dtype.kind not in "iufb" or not array.size:
        return {}
    array = array.astype(np.float64)
    finite = array[np.isfinite(array)]
    result: dict[str, float] = {}
    if finite.size:
        result["rms"] = float(np.sqrt(np.mean(finite**2)))
        result["smallest"] = float(finite.min())
        result["largest"] = float(finite.max())
    if finite.size < array.size:
        result["not_finite"] = array.size - finite.size
    return result


def array_summary(values: ArrayLike) -> str:
    """RMS, range, and count of numbers that are not finite, for an array that is not shown in full.

    >>> array_summary(np.array([3.0, 4.0]))
    'RMS 3.536, from 3 to 4'
    """
    known = statistics(values)
    parts = []
    if "rms" in known:
        low = number(known["smallest"])
        high = number(known["largest"])
        constant = known["smallest"] == known["largest"] and "not_finite" not in known
        parts += [f"all {low}"] if constant else [f"RMS {number(known['rms'])}", f"from {low} to {high}"]
    if "not_finite" in known:
        parts.append(f"{number(known['not_finite'])} NaN or infinite")
    if np.ndim(values) > 2:
        parts.append("the first matrix is shown")
    return ", ".join(parts)


def _real(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value:.0f}"
    if value.is_integer() and abs(value) < _LARGEST_WHOLE:
        return f"{int(value):,}"
    text = f"{value:.{digits - 1}e}"
    mantissa, _, exponent = text.partition("e")
    if not _SMALLEST_PLAIN <= abs(float(text)) < _LARGEST_PLAIN:
        return f"{_stripped(mantissa)}e{int(exponent)}"
    return _stripped(f"{float(text):,.{max(0, digits - 1 - int(exponent))}f}")


def _stripped(text: str) -> str:
    """Decimals without trailing zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _aligned(column: Sequence[str]) -> list[str]:
    """The numbers of a column padded so that their decimal points are aligned."""
    parts = [text.partition(".") for text in column]
    before = max(len(whole) for whole, _, _ in parts)
    after = max(len(dot + decimals) for _, dot, decimals in parts)
    return [whole.rjust(before) + (dot + decimals).ljust(after) for whole, dot, decimals in parts]
