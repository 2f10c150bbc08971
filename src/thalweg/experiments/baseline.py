"""The baseline of an experiment: an arm that learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..pages.numbers import measure_value

# An arm learned where it closes at least this share of the gap that the best arm closes.
_LEAST_SHARE = 0.2


class Baseline(NamedTuple):
    """The arm that the others are compared with.

    Attributes:
        label: label of the arm; None where no arm learned.
        remark: what is to be said of the choice; empty where there is nothing.
    """

    label: str | None
    remark: str = ""


def baseline_of(
    named: str | None, scores: Mapping[str, np.ndarray], constants: Mapping[str, float], measure: str
) -> Baseline:
    """The named arm, or the first one that learned.

    An arm did not learn where half of its trials or more diverged, or where its mean score is at most that of the best
    constant answer plus a fifth of what the best arm has more than that answer.

    Args:
        named: the arm that the user names as the baseline.
        scores: accuracy or R² of each arm by seed (seeds,), in the order of the experiment; NaN where a trial diverged.
        constants: the score of the best constant answer for each arm.
        measure: "accuracy" or "r2".

    >>> scores = {"A": np.array([0.5, 0.5]), "B": np.array([0.9, 0.8])}
    >>> baseline_of(None, scores, {"A": 0.5, "B": 0.5}, "accuracy").label
    'B'
    """
    gains = {label: _mean(values) - constants[label] for label, values in scores.items()}
    steady = {label: 2 * np.isfinite(values).sum() > len(values) for label, values in scores.items()}
    most = max((gain for gain in gains.values() if math.isfinite(gain)), default=0.0)
    learned = [label for label in scores if steady[label] and most > 0 and gains[label] > _LEAST_SHARE * most]
    first = next(iter(scores)) if named is None else named
    if first in learned:
        return Baseline(first)
    reason = _reason(scores[first], constants[first], measure)
    if named is not None:
        return Baseline(named, f"The baseline `{named}` did not learn: {reason}.")
    if not learned:
        return Baseline(None, f"No arm learned, so there is no baseline; of the first one, `{first}`, {reason}.")
    return Baseline(
        learned[0],
        f"The first arm, `{first}`, did not learn: {reason}. The baseline is `{learned[0]}`, the first that learned.",
    )


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan


def _reason(values: np.ndarray, constant: float, measure: str) -> str:
    lost = int((~np.isfinite(values)).sum())
    if 2 * lost >= len(values):
        return f"{lost} of {len(values)} trials diverged or could not run"
    name = "R²" if measure == "r2" else measure
    return (
        f"its mean validation {name} is {measure_value(measure, _mean(values))},"
        f" that of the best constant answer {measure_value(measure, constant)}"
    )
