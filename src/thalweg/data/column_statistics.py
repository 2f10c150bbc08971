"""What the columns of an array show about their numbers, in pieces that can be put together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ColumnRange(NamedTuple):
    """The lowest and the highest number of each column, (columns,).

    >>> ColumnRange.of(np.array([[1.0], [4.0]])).merged(ColumnRange.of(np.array([[2.0], [7.0]])))
    ColumnRange(low=array([1.]), high=array([7.]))
    """

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> ColumnRange:
        """That of the rows of x (n, columns)."""
        return cls(x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64))

    def merged(self, other: ColumnRange) -> ColumnRange:
        """That of the rows of both."""
        return ColumnRange(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


class ColumnMoments(NamedTuple):
    """The number of rows, or the sum of their weights; mean and variance of each column, all (columns,).

    Of two sets of rows with totals m, n, means a, b and variances v, w:

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
        """Those of the rows of x (n, columns), weighted by `weight` (n,) where it is given; its sum is not 0."""
        with np.errstate(over="ignore", invalid="ignore"):
            if weight is None:
                total, mean, variance = float(len(x)), x.mean(axis=0, dtype=np.float64), x.var(axis=0, dtype=np.float64)
            else:
                total = float(weight.sum(dtype=np.float64))
                mean = np.average(x.astype(np.float64), axis=0, weights=weight)
                variance = np.average((x - mean) ** 2, axis=0, weights=weight)
        return cls(np.full(x.shape[1], total), mean, variance)

    def merged(self, other: ColumnMoments) -> ColumnMoments:
        """Those of the rows of both."""
        with np.errstate(over="ignore", invalid="ignore"):
            total, apart = self.total + other.total, other.mean - self.mean
            mine, theirs = self.total / total, other.total / total
            variance = mine * self.variance + theirs * other.variance + mine * theirs * apart**2
            return ColumnMoments(total, self.mean + theirs * apart, variance)
