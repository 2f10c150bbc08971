"""Trainings compared seed by seed: the same data, weights and order for each seed, one thing changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import stdtrit

from ..data import Arrays, Source

Pictures = Literal["mnist", "digits"]
Values = Sequence[float] | np.ndarray


class Difference(NamedTuple):
    """The mean of paired differences, and the interval that holds the true mean with a probability of 95 %."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3g} ({self.low:+.3g} to {self.high:+.3g})"

    @property
    def verdict(self) -> str:
        """What the interval says, in words."""
        return "lower" if self.high < 0 else "higher" if self.low > 0 else "no clear difference"


def difference(changed: Values, base: Values) -> Difference:
    """Changed minus base (n,), paired by seed: mean ± t s / √n, with Student's t of n - 1 degrees of freedom.

    n is at least 2.

    >>> print(difference([1.0, 2.0, 3.0], [1.5, 2.6, 3.4]))
    -0.5 (-0.748 to -0.252)
    """
    differences = np.asarray(changed, dtype=float) - np.asarray(base, dtype=float)
    mean, n = float(differences.mean()), differences.size
    reach = float(stdtrit(n - 1, 0.975) * differences.std(ddof=1) / n**0.5)
    return Difference(mean, mean - reach, mean + reach)


def first_rows(data: Pictures, samples: int) -> Source:
    """The first rows of a set of pictures of digits, of its training set where it has one of its own."""
    found = Source.of(data).load(seed=0)
    assert found.y is not None
    return Arrays(np.asarray(found.x[:samples]), found.y[:samples])
