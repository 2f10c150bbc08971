"""Statistics of the values in single columns: values apart from the others, edges, magnitudes, unlike sizes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..attainable import FEW_ROWS, UncertainScore, attainable_score, reference_outputs, score_of
from .row_faults import Atom, atom

# A value apart occurs in this many rows and this part of them, and the others have this many values.
_FEW_ROWS = 5
_LEAST_SHARE = 0.01
_FEW_VALUES = 3
# The gap beside it is wider than this many times any gap between the others.
_WIDER = 3.0
UNLIKE = 0.1
"""Targets whose standard deviation is less than this part of another's are of unlike size."""
# Of a hundred targets, five are below the first of these quantiles and five above the second.
_MOST = (0.05, 0.95)
# A target is positive if at least this part of its values is, and the others are 0.
_ENOUGH = 1 / 5


class Edge(NamedTuple):
    """A value at the end of a target's range, which many rows share."""

    atom: Atom
    """The value."""
    is_upper: bool
    """Whether it is the largest value, rather than the smallest."""
    original: float = float("nan")
    """The value in the unit of the source."""


class Magnitudes(NamedTuple):
    """Positive targets of many orders of magnitude."""

    output: int
    """Number of the target column."""
    decades: float
    """Logarithm to the base 10 of the ratio of the quantiles at 95 and at 5 %."""
    score: float
    """R² of the logarithms of the network's outputs, those below all targets raised to the lowest target."""
    attainable: UncertainScore
    """R² of the logarithms that a reference learner reaches on rows that it has not seen."""


class TargetScore(NamedTuple):
    """What a network learned of one of several targets."""

    output: int
    """Number of the target column."""
    deviation: float
    """Its standard deviation, in that of the target with the largest one."""
    score: float
    """R² of the network's outputs for it."""
    attainable: UncertainScore
    """R² that a reference learner reaches on rows that it has not seen."""


def value_apart(values: np.ndarray) -> tuple[float, float] | None:
    """The smallest or the largest value of a column (n,) if many rows share it and it lies apart, with its share.

    Apart: the gap beside it is wider than three times any other gap, and than the standard deviation of the other
    values, of which there are at least three. Marks for missing values are such (-999, 9999, 0 among weights).

    >>> value_apart(np.append(np.linspace(1, 9, 90), np.full(10, -999.0)))
    (-999.0, 0.1)
    >>> value_apart(np.arange(100) % 7)
    """
    found, counts = np.unique(values, return_counts=True)
    if len(found) <= _FEW_VALUES:
        return None
    gaps = np.diff(found)
    for end, gap, others in ((0, gaps[0], gaps[1:]), (-1, gaps[-1], gaps[:-1])):
        share = float(counts[end] / len(values))
        rest = values[values != found[end]]
        often = counts[end] >= _FEW_ROWS and share >= _LEAST_SHARE
        if often and gap > max(_WIDER * float(others.max()), float(rest.std())):
            return float(found[end]), share
    return None


def edge(targets: np.ndarray) -> Edge | None:
    """The atom with the largest share at an end of the range of targets (n, outputs); None where there is none."""
    atoms = [Atom(column, *found) for column, values in enumerate(targets.T) if (found := atom(values))]
    low, high = targets.min(axis=0), targets.max(axis=0)
    edges = [
        Edge(one, one.value == high[one.column]) for one in atoms if one.value in (low[one.column], high[one.column])
    ]
    return max(edges, key=lambda one: one.atom.share, default=None)


def magnitudes(
    x: np.ndarray, targets: np.ndarray, outputs: np.ndarray, rounding: np.ndarray, least: float
) -> Magnitudes | None:
    """The positive target of most orders of magnitude, if most of its values span at least a number of decades.

    Values within the rounding of 0 have no logarithm, and are left out; the others must be positive.

    Args:
        x: inputs (n, columns).
        targets: targets in the unit of the source (n, outputs).
        outputs: what the network says, in the same unit and for the same rows.
        rounding: by how much a value of each target may be rounded (outputs,).
        least: the number of decades.
    """
    found = []
    for column, values in enumerate(targets.T):
        if values.min() < -rounding[column]:
            continue
        rows = np.flatnonzero(values > rounding[column])
        if len(rows) < max(FEW_ROWS, _ENOUGH * len(values)):
            continue
        logs = np.log10(values[rows])[:, None]
        low, high = np.quantile(logs, _MOST)
        known = reference_outputs(x[rows], logs, "regression") if high - low >= least else None
        if known is not None:
            said = np.log10(np.fmax(outputs[rows, column], values[rows].min()))[:, None]
            score = score_of(said, logs, "regression").value
            attainable = attainable_score(x[rows], logs, "regression", known)
            found.append(Magnitudes(column, float(high - low), score, attainable))
    return max(found, key=lambda one: one.decades, default=None)


def target_scores(x: np.ndarray, targets: np.ndarray, outputs: np.ndarray) -> tuple[TargetScore, ...]:
    """What a network learned of each target, where their sizes are unlike.

    Unlike: one varies ten times as much as another, so that its squares count a hundred times as much in the loss.
    Empty where none does, and for few rows. For the reference learner all targets have one size.

    Args:
        x: inputs (n, columns).
        targets: targets as the loss has them (n, outputs).
        outputs: what the network says, for the same rows.
    """
    deviations = targets.std(axis=0)
    varied = np.flatnonzero(deviations > 0)
    if not len(varied) or deviations[varied].min() >= UNLIKE * deviations.max():
        return ()
    scaled = targets[:, varied] / deviations[varied]
    reference = reference_outputs(x, scaled, "regression")
    if reference is None:
        return ()
    return tuple(
        TargetScore(
            int(column),
            float(deviations[column] / deviations.max()),
            score_of(outputs[:, column], targets[:, column], "regression").value,
            score_of(reference[:, k], scaled[: len(reference), k], "regression"),
        )
        for k, column in enumerate(varied)
    )
