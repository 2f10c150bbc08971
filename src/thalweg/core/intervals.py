"""Confidence intervals of proportions, means and paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from .files import JsonObject

Values = Sequence[float] | np.ndarray

_LEVEL = 0.05
# Values that differ by less than this part of the largest one differ by rounding errors alone.
_ROUNDING = 1e-9
# A number of seeds is proposed that decides with this probability, if the effect and the noise are those observed.
_POWER = 0.8
MOST_SEEDS = 1000
"""Larger numbers of seeds are not proposed."""


def wilson(right: float, trials: float) -> tuple[float, float]:
    """The 95 % interval of a proportion: (p + z²/2n ± z √(p (1-p)/n + z²/4n²)) / (1 + z²/n), z = 1.96, p = right / n.

    Source: Wilson 1927; Agresti and Coull 1998.

    >>> [round(end, 3) for end in wilson(16, 100)]
    [0.101, 0.244]
    """
    z = 1.959964
    p = right / trials
    middle = p + z * z / (2 * trials)
    half = z * math.sqrt(p * (1 - p) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z * z / trials
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def mean_interval(values: Values) -> tuple[float, float]:
    """The 95 % interval of a mean: mean ± t s / √n, with Student's t of n - 1 degrees of freedom.

    Args:
        values: the values (n,); those that are not finite are left out.

    Returns:
        The ends; (NaN, NaN) for fewer than two values, and where all are equal: their spread is not known then.

    >>> [round(end, 3) for end in mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])]
    [1.037, 4.963]
    """
    array = np.asarray(values, dtype=float)
    found = differences(array, np.zeros_like(array), comparisons=1)[0]
    return (found.low, found.high) if found else (math.nan, math.nan)


class Difference(NamedTuple):
    """The mean of paired differences and its interval, which is one of several that hold together.

    Attributes:
        mean: mean of the differences.
        low: lower end of the interval; NaN for a single pair, and where all differences are equal.
        high: upper end of the interval, or NaN.
        deviation: standard deviation of the differences; NaN for a single pair.
        pairs: number of pairs.
        comparisons: number of comparisons that hold together with a probability of 95 %.
    """

    mean: float
    low: float
    high: float
    deviation: float
    pairs: int
    comparisons: int

    @property
    def verdict(self) -> Literal["lower", "higher", "undecided"]:
        """Whether the interval lies below 0, above 0, or neither."""
        return "lower" if self.high < 0 else "higher" if self.low > 0 else "undecided"

    @property
    def all_equal(self) -> bool:
        """Whether all differences of two pairs or more are equal: how far others lie from them is not known."""
        return self.deviation == 0

    @property
    def p(self) -> float:
        """The two-sided p-value times the number of comparisons, at most 1; NaN where there is no interval.

        It is below 0.05 where the interval excludes 0.
        """
        from scipy.special import stdtr

        if math.isnan(self.low):
            return math.nan
        t = self.mean / (self.deviation / self.pairs**0.5)
        return min(1.0, 2 * self.comparisons * float(stdtr(self.pairs - 1, -abs(t))))

    @property
    def seeds_needed(self) -> int | None:
        """The number of seeds with which a difference of this size is shown in 4 of 5 cases; None for more than 1,000.

        The smallest n with √n |mean| / deviation ≥ t(1 - 0.025 / comparisons) + t(0.8), both quantiles with n - 1
        degrees of freedom. None also where there is no interval.

        Source: Guenther 1981, Sample size formulas for normal theory t tests.
        """
        from scipy.special import stdtrit

        if math.isnan(self.low):
            return None
        n = np.arange(self.pairs, MOST_SEEDS + 1)
        reach = stdtrit(n - 1, 1 - _LEVEL / 2 / self.comparisons) + stdtrit(n - 1, _POWER)
        enough = n[np.sqrt(n) * abs(self.mean) >= reach * self.deviation]
        return int(enough[0]) if enough.size else None

    def describe(self) -> JsonObject:
        """The difference as JSON; numbers that are not finite are null."""
        numbers = {"mean": self.mean, "low": self.low, "high": self.high, "p": self.p}
        plain: JsonObject = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        return plain | {
            "pairs": self.pairs,
            "comparisons": self.comparisons,
            "verdict": self.verdict,
            "seeds_needed": self.seeds_needed,
        }


def differences(changed: np.ndarray, base: np.ndarray, comparisons: int | None = None) -> tuple[Difference | None, ...]:
    """Changed minus base, paired by seed, with intervals that hold together with a probability of 95 %.

    Each interval is mean ± t s / √n, with the quantile t(1 - 0.025 / comparisons) of Student's distribution with n - 1
    degrees of freedom: its own error is at most 5 % / comparisons, so that all errors together are at most 5 %,
    however the comparisons depend on each other (Bonferroni). A verdict is whether the interval excludes 0.

    Student's t suits few pairs: bootstrap intervals of 3, 5 and 10 normal differences hold the mean in 75, 84 and 90 %
    of cases, these in 95 %. The noise of both arms may be skewed: if both are skewed alike, the differences are
    symmetric, and the intervals hold more often than stated. If the differences themselves are skewed, they hold less
    often: 88 to 92 % for exponential ones (`benchmarks/intervals.py` measures it).

    Bonferroni is preferred to Holm: it finds a single effect as often, and its intervals agree with its verdicts. Those
    that agree with Holm's verdicts are one-sided and often begin at 0 (Strassburger and Bretz 2008). Holm finds more
    where several arms differ.

    Args:
        changed: values of each comparison by seed (comparisons, seeds), or of a single one (seeds,). A pair with a
            value that is not finite is left out.
        base: what they are compared with, of the same shape or (seeds,).
        comparisons: number of comparisons that hold together; None: those with two pairs or more.

    Returns:
        A difference for each comparison, None where it has no pair.

    Source: Student 1908; Dunn 1961, Multiple comparisons among means.

    >>> base = np.array([1.5, 2.6, 3.4])
    >>> one, two = differences(np.array([[1.0, 2.0, 3.0], [1.6, 2.4, 3.9]]), base)
    >>> [round(value, 3) for value in one[:3]], one.verdict
    ([-0.5, -0.858, -0.142], 'lower')
    >>> two.verdict, two.seeds_needed
    ('undecided', 69)
    """
    from scipy.special import stdtrit

    above, below = np.broadcast_arrays(np.atleast_2d(np.asarray(changed, float)), np.asarray(base, float))
    paired = np.isfinite(above) & np.isfinite(below)
    above, below = np.where(paired, above, 0.0), np.where(paired, below, 0.0)
    pairs = paired.sum(axis=1)
    spread = pairs > 1
    family = max(1, int(spread.sum())) if comparisons is None else comparisons
    with np.errstate(all="ignore"):
        means = (above - below).sum(axis=1) / pairs
        distances = np.where(paired, above - below - means[:, None], 0.0)
        deviations = np.where(spread, np.sqrt((distances**2).sum(axis=1) / (pairs - 1)), np.nan)
    size = np.maximum(abs(above), abs(below)).max(axis=1, initial=0.0)
    deviations[abs(distances).max(axis=1, initial=0.0) <= _ROUNDING * size] *= 0
    reach = np.full(len(pairs), np.nan)
    known = deviations > 0
    reach[known] = stdtrit(pairs[known] - 1, 1 - _LEVEL / 2 / family) * deviations[known] / np.sqrt(pairs[known])
    numbers = np.stack([means, means - reach, means + reach, deviations], axis=1).tolist()
    return tuple(
        Difference(mean, low, high, deviation, count, family) if count else None
        for (mean, low, high, deviation), count in zip(numbers, pairs.tolist(), strict=True)
    )


def difference(changed: Values, base: Values, comparisons: int = 1) -> Difference:
    """A single one of the `differences`, for finite values (n,) of at least one pair.

    >>> [round(value, 3) for value in difference([1.0, 2.0, 3.0], [1.5, 2.6, 3.4])[:3]]
    [-0.5, -0.748, -0.252]
    """
    found = differences(np.asarray(changed, dtype=float), np.asarray(base, dtype=float), comparisons)[0]
    if found is None:
        raise ValueError("expected at least one pair of finite values")
    return found
