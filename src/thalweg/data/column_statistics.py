"""Statistics of the columns of an array, computed piece by piece and merged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ColumnRange(NamedTuple):
    """Lowest and highest number of each column, both (columns,).

    >>> ColumnRange.of(np.array([[1.0], [4.0]])).merged(ColumnRange.of(np.array([[2.0], [7.0]])))
    ColumnRange(low=array([1.]), high=array([7.]))
    """

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> ColumnRange:
        """The range of each column of x (n, columns)."""
        return cls(x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64))

    def merged(self, other: ColumnRange) -> ColumnRange:
        """The range over the rows of both."""
        return ColumnRange(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


class ColumnMoments(NamedTuple):
    """Number of rows (or sum of their weights), mean and variance of each column, all (columns,).

    Two sets of rows with totals m, n, means a, b and variances v, w merge to

        mean = a + (b - a) n / (m + n),    variance = (m v + n w) / (m + n) + (b - a)² m n / (m + n)²

    Source: Chan, Golub, LeVeque 1983, "Algorithms for Computing the Sample Variance", eq. 2.1.

    >>> both = ColumnMoments.of(np.array([[1.0], [2.0]])).merged(ColumnMoments.of(np.array([[3.0], [6.0]])))
    >>> both.mean.item(), both.variance.item()
    (3.0, 3.5)
    """

    total: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, weight: np.ndarray | None = None) -> ColumnMoments:
        """The moments of x (n, columns), weighted by `weight` (n,) if given; the weights must not sum to 0."""
        with np.errstate(over="ignore", invalid="ignore"):
            if weight is None:
                total = float(len(x))
                mean = x.mean(axis=0, dtype=np.float64)
                variance = x.var(axis=0, dtype=np.float64)
            else:
                total = float(weight.sum(dtype=np.float64))
                mean = np.average(x.astype(np.float64), axis=0, weights=weight)
                variance = np.average((x - mean) ** 2, axis=0, weights=weight)
        return cls(np.full(x.shape[1], total), mean, variance)

    def merged(self, other: ColumnMoments) -> ColumnMoments:
        """The moments over the rows of both."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = self.total + other.total
            difference = other.mean - self.mean
            fraction = self.total / total
            other_fraction = other.total / total
            variance = fraction * self.variance + other_fraction * other.variance
            variance = variance + fraction * other_fraction * difference**2
            return ColumnMoments(total, self.mean + other_fraction * difference, variance)


# A quarter of the rows is found to within 1 / 16,384 of them.
_KEPT = 2**14


class ColumnQuantiles(NamedTuple):
    """Numbers of each column in their order: all of them, or 16,384 that stand for equally many rows each.

    Attributes:
        rows: number of rows that they stand for.
        values: (kept, columns), each column sorted.

    >>> first, later = ColumnQuantiles.of(np.array([[4.0], [1.0]])), ColumnQuantiles.of(np.array([[2.0], [3.0]]))
    >>> first.merged(later).at(0.5).tolist()
    [2.5]
    """

    rows: int
    values: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> ColumnQuantiles:
        """The numbers of each column of x (n, columns)."""
        return cls(len(x), np.sort(x.astype(np.float64), axis=0))._thinned()

    def merged(self, other: ColumnQuantiles) -> ColumnQuantiles:
        """Those of the rows of both."""
        both = np.concatenate([self.values, other.values])
        weights = np.repeat(
            [self.rows / len(self.values), other.rows / len(other.values)], [len(self.values), len(other.values)]
        )
        order = np.argsort(both, axis=0)
        merged = ColumnQuantiles(self.rows + other.rows, np.take_along_axis(both, order, axis=0))
        return merged._thinned(weights[order])

    def _thinned(self, weights: np.ndarray | None = None) -> ColumnQuantiles:
        """At most so many of them as are kept; `weights` are the rows that each of them stands for."""
        if len(self.values) <= _KEPT and (weights is None or np.ptp(weights) == 0):
            return self
        weights = np.ones(self.values.shape) if weights is None else weights
        below = (np.cumsum(weights, axis=0) - weights / 2) / weights.sum(axis=0)
        wanted = (np.arange(_KEPT) + 0.5) / _KEPT
        columns = [np.interp(wanted, place, column) for place, column in zip(below.T, self.values.T, strict=True)]
        return ColumnQuantiles(self.rows, np.column_stack(columns))

    def at(self, fraction: float) -> np.ndarray:
        """The number of each column that this fraction of the rows is below, (columns,)."""
        return np.asarray(np.quantile(self.values, fraction, axis=0))

    @property
    def five(self) -> ColumnQuantiles:
        """The lowest and the highest number, the median and the quartiles, which columns of any length have."""
        return self._replace(values=np.quantile(self.values, np.linspace(0, 1, 5), axis=0))
