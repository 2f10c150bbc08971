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
