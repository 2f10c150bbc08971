"""How worksheets write numbers: six digits, in columns that stand below each other, large arrays by their corner."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from .blocks import Check

# An array with more rows or columns than the first number is shown by as many as the second.
_ROWS, _COLUMNS = (12, 6), (10, 6)
_FEW = 12
# Room for ten columns of the longest numbers.
_WIDE = 200


def number(value: Any) -> str:
    """A number with six digits, `1e-5` for small and large ones; yes and no for truth; other values as they are.

    >>> [number(value) for value in (0.1 + 0.2, 2.0, -0.00001, 12345, True)]
    ['0.3', '2', '-1e-5', '12,345', 'yes']
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        # Adding 0 makes 0 of -0.
        digits, e, exponent = f"{float(value) + 0.0:.6g}".partition("e")
        return f"{digits}e{int(exponent)}" if e else digits.replace("nan", "NaN")
    return "–" if value is None else str(value)


def inline(value: Any) -> str:
    """A number, or a small array within a sentence, axes of length 1 left out; of a larger one its shape.

    >>> inline([0.659, 0.242]), inline([[1, 2], [3, 4]]), inline(0.5)
    ('(0.659, 0.242)', '((1, 2), (3, 4))', '0.5')
    """
    array = np.squeeze(value)
    if array.ndim == 0:
        return number(array.item())
    if array.size > _FEW:
        return f"an array of shape {np.shape(value)}"
    return f"({', '.join(inline(item) for item in array)})"


def evidence(claim: Check) -> str:
    """What was measured beside what was expected, in words; nothing where a sentence is simply true.

    >>> evidence(Check("the loss is 2", 2.0, 2.0)), evidence(Check("the loss is 2", 1.0, 2.0))
    ('measured 2, as expected', 'does not hold here: measured 1, expected 2')
    """
    if claim.expected is True:
        return "" if claim.holds else "does not hold here"
    measured, expected = inline(claim.measured), inline(claim.expected)
    within = f" within {number(claim.tolerance)}" if claim.tolerance else ""
    if not claim.holds:
        return f"does not hold here: measured {measured}, expected {expected}{within}"
    if measured == expected:
        return f"measured {measured}, as expected{within}"
    return f"measured {measured}, expected {expected}{within}"


def shape_of(values: np.ndarray) -> str:
    """The shape in words; nothing for a single number.

    >>> shape_of(np.zeros((4, 2))), shape_of(np.zeros(3)), shape_of(np.zeros(()))
    ('(4, 2)', '(3,)', '')
    """
    return str(np.shape(values)) if np.ndim(values) else ""


class Grid(NamedTuple):
    """The lines of an array, and whether they hold all of it."""

    lines: list[str]
    whole: bool


def grid(values: np.ndarray, width: int = _WIDE) -> Grid:
    """An array as lines of aligned numbers, at most `width` characters wide.

    Up to 12 rows and 10 columns stand in full, columns that find no room below the others; else the first 6, with dots.
    Of more than two axes the first matrix.

    >>> print(*grid(np.array([[1.0, -20.25], [0.5, 3.0]])).lines, sep="\\n")
    1    -20.25
    0.5    3
    """
    array = np.asarray(values)
    matrix = np.atleast_2d(array[(0,) * max(0, array.ndim - 2)] if array.size else array.reshape(0, 0))
    if not matrix.size:
        return Grid(["no numbers"], True)
    height, breadth = matrix.shape
    rows = height if height <= _ROWS[0] else _ROWS[1]
    columns = breadth if breadth <= _COLUMNS[0] else _COLUMNS[1]
    shown = (matrix.astype(int) if matrix.dtype == bool else matrix)[:rows, :columns]
    blocks = [_aligned([number(item) for item in column.tolist()]) for column in shown.T]
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
    return Grid(lines, columns == breadth and rows == height and matrix.size == array.size)


def statistics(values: np.ndarray) -> dict[str, float]:
    """Root mean square, smallest and largest number of an array, and how many of it are NaN or infinite."""
    array = np.asarray(values)
    if array.dtype.kind not in "iufb" or not array.size:
        return {}
    array = array.astype(np.float64)
    finite = array[np.isfinite(array)]
    found: dict[str, float] = {}
    if finite.size:
        found = {"rms": float(np.sqrt(np.mean(finite**2))), "smallest": float(finite.min())}
        found["largest"] = float(finite.max())
    lost = array.size - finite.size
    return found | ({"not_finite": lost} if lost else {})


def in_short(values: np.ndarray) -> str:
    """What the corner of an array does not tell: RMS, the range, how many numbers are none.

    >>> in_short(np.array([3.0, 4.0]))
    'RMS 3.53553, from 3 to 4'
    """
    found = statistics(values)
    parts = []
    if "rms" in found:
        rms, low, high = f"RMS {number(found['rms'])}", number(found["smallest"]), number(found["largest"])
        alike = found["smallest"] == found["largest"] and "not_finite" not in found
        parts += [f"all {low}"] if alike else [rms, f"from {low} to {high}"]
    if "not_finite" in found:
        parts.append(f"{number(found['not_finite'])} NaN or infinite")
    if np.ndim(values) > 2:
        parts.append("here the first matrix of it")
    return ", ".join(parts)


def _aligned(column: Sequence[str]) -> list[str]:
    """Numbers of one column, their decimal points below each other."""
    parts = [text.partition(".") for text in column]
    before, after = max(len(whole) for whole, _, _ in parts), max(len(dot + rest) for _, dot, rest in parts)
    return [whole.rjust(before) + (dot + rest).ljust(after) for whole, dot, rest in parts]
