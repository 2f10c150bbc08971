"""Statistics of input values that were not measured: those at the end of a sensor's range, and those carried forward.

Both leave a trace in the rows. They count where a reference learner has larger errors on the rows with them than on the
others: a natural limit of a quantity, a sorted column and a slow series leave the same traces without larger errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

# A run of at least this many equal values counts as carried forward, if at least the first fraction of the rows is in
# such runs and at least the second one outside of them.
_LONG = 3
_LEAST_CARRIED = 0.05
_LEAST_SINGLE = 0.2
# The end of a range has this part of the rows, and this many times as many as any value inside.
_LEAST_SHARE = 0.05
_TIMES_AS_FREQUENT = 10
_BESIDE = 0.1
# Fewer rows of either kind say nothing about the errors.
_FEW = 30
# Errors are larger by this many standard errors of their difference, and by this factor.
_BEYOND = 4.0
_LARGER = 1.5
# The ends of a fraction or a percentage, within this part of it.
_LIMITS = (1.0, 100.0)
_NEAR = 1e-6

How = Literal["at the end of the range", "carried forward"]


class Unmeasured(NamedTuple):
    """Values of an input column that were not measured, with what this costs."""

    column: int
    """Number of the column."""
    how: How
    """Where the values come from."""
    share: float
    """Fraction of the rows that have one."""
    value: float
    """The end of the range in the unit of the source; NaN for values carried forward."""
    ratio: float
    """Mean squared error of a reference learner in these rows, divided by that in the rows that they compare with."""
    lost: float
    """What the larger errors take from the score of all rows, whose targets have a variance of 1."""


def carried(values: np.ndarray, repeated: np.ndarray) -> np.ndarray:
    """Which rows (n,) repeat the value before them, in runs of three or more of a column that varies otherwise.

    Otherwise: outside of the runs a fifth of all rows have values of their own, and no run has the value of another. In
    a column on a grid values come back, in one of groups hardly any row stands alone.

    Args:
        values: the column (n,) in the order of the rows.
        repeated: whether a whole row is equal to the one before it (n,), which carries no single value forward.

    >>> column = np.array([0.3, 1.2, 1.2, 1.2, 0.7, 0.1, 2.2, 2.2, 2.2, 2.2])
    >>> np.flatnonzero(carried(column, np.zeros(10, bool))).tolist()
    [2, 3, 7, 8, 9]
    >>> carried(np.arange(100) // 4, np.zeros(100, bool)).any()
    np.False_
    """
    n = len(values)
    begins = np.append(True, values[1:] != values[:-1])
    run = np.cumsum(begins) - 1
    lengths = np.bincount(run)
    kept = values[begins]
    in_run = (lengths >= _LONG)[run]
    single = lengths[run] == 1
    found = in_run & ~begins & ~repeated
    comes_back = len(np.unique(kept)) < len(kept)
    enough = found.sum() >= _LEAST_CARRIED * n and single.sum() >= _LEAST_SINGLE * n
    return found if enough and not comes_back else np.zeros(n, bool)


def at_the_ends(values: np.ndarray, lowest: float, highest: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which rows (n,) have the smallest or the largest value, where many share it, and the rows next to it.

    Next to it: a tenth of all, so that noise which grows towards the end does not count.
    Many: a twentieth, and ten times as many as any value between the ends, of which most occur once. A value that is a
    limit of quantities themselves is left out: 0, or the end of a fraction or of a percentage.

    Args:
        values: the column (n,).
        lowest, highest: its range in the unit of the source.

    >>> column = np.minimum(np.linspace(0, 1, 100), 0.85)
    >>> [int(has_it.sum()) for has_it, _ in at_the_ends(column, 3.0, 8.1)]
    [15]
    """
    found, counts = np.unique(values, return_counts=True)
    between = counts[1:-1]
    if not len(between) or 2 * np.sum(between == 1) < between.sum():
        return
    least = max(_LEAST_SHARE * len(values), _TIMES_AS_FREQUENT * between.max())
    for end, original in ((0, lowest), (-1, highest)):
        limits = (0.0, *_LIMITS) if end and lowest >= 0 else (0.0,)
        if counts[end] < least or any(abs(original - limit) <= _NEAR * (highest - lowest) for limit in limits):
            continue
        has_it = values == found[end]
        others = np.flatnonzero((values != found[0]) & (values != found[-1]))
        distance = np.abs(values[others] - found[end])
        beside = np.zeros(len(values), bool)
        beside[others[np.argsort(distance, kind="stable")[: max(2 * _FEW, int(_BESIDE * len(values)))]]] = True
        yield has_it, beside


def told_less(errors: np.ndarray, rows: np.ndarray, others: np.ndarray) -> tuple[float, float] | None:
    """By how much larger the errors of some rows are than those of others, as a ratio of means, and what it costs.

    None where they are not beyond chance: by fewer than four standard errors of the difference of the means (Welch),
    or less than half as large again.

    Args:
        errors: squared errors (n,) of a learner that has not seen the row, for targets with a variance of 1.
        rows: which rows (n,) are asked about.
        others: which rows they are compared with.
    """
    if min(rows.sum(), others.sum()) < _FEW:
        return None
    here, there = errors[rows], errors[others]
    more = float(here.mean() - there.mean())
    error = np.sqrt(here.var(ddof=1) / len(here) + there.var(ddof=1) / len(there))
    if more <= _BEYOND * error or here.mean() < _LARGER * there.mean():
        return None
    return float(here.mean() / max(there.mean(), np.finfo(float).tiny)), float(more * rows.mean())


def unmeasured_inputs(x: np.ndarray, errors: np.ndarray, shift: np.ndarray, span: np.ndarray) -> tuple[Unmeasured, ...]:
    """The columns with values that were not measured and tell less, those that cost most first.

    Args:
        x: inputs (n, columns) in the order of their source.
        errors: squared errors (n,) as for `told_less`.
        shift, span: a value of each column in the unit of the source is shift + span times the one in x (columns,).
    """
    repeated = np.append(False, np.all(x[1:] == x[:-1], axis=1))
    found: list[Unmeasured] = []
    for column, values in enumerate(x.T):
        lowest, highest = (float(shift[column] + span[column] * end) for end in (values.min(), values.max()))
        for has_it, beside in at_the_ends(values, lowest, highest):
            value = highest if values[has_it][0] == values.max() else lowest
            if less := told_less(errors, has_it, beside):
                found.append(Unmeasured(column, "at the end of the range", float(has_it.mean()), value, *less))
        rows = carried(values, repeated)
        if rows.any() and (less := told_less(errors, rows, ~rows)):
            found.append(Unmeasured(column, "carried forward", float(rows.mean()), float("nan"), *less))
    return tuple(sorted(found, key=lambda one: -one.lost))
