"""Differences of arms, paired by seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..core.intervals import Difference, bootstrap

ENOUGH_SEEDS = 5
"""With fewer pairs an interval that excludes 0 is a hint.

Four differences have the same sign by chance in 1 of 8 cases.
"""


def paired_difference(values: ArrayLike, base: ArrayLike) -> Difference | None:
    """The mean of values minus base (seeds,) over the seeds that both have, with its 95 % bootstrap interval.

    NaN marks a missing value. None where no seed has both.

    >>> paired_difference([1.0, 2.0, np.nan], [0.5, 1.5, 1.0])[:3]
    (0.5, 0.5, 0.5)
    """
    differences = np.asarray(values, dtype=float) - np.asarray(base, dtype=float)
    differences = differences[np.isfinite(differences)]
    if not differences.size:
        return None
    deviation = float(differences.std(ddof=1)) if differences.size > 1 else np.nan
    return Difference(float(differences.mean()), *bootstrap(differences), deviation, differences.size, 1)
