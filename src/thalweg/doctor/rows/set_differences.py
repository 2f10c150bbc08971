"""How validation and test rows differ from the training rows: in inputs, in targets, and in the relation of both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...core.private import remembered
from ...data import Task
from ..attainable import (
    FEW_ROWS,
    UncertainScore,
    attainable_score,
    decided,
    reference_forest,
    reference_outputs,
    score_of,
)
from .row_statistics import ColumnOutliers

# The frequency of a value is another one if it is this many times as large.
_TIMES_AS_FREQUENT = 3.0
# Two curves of Gauss differ by this much at half a standard deviation, which counts as a medium effect (Cohen 1988).
_DIFFERENT = 0.2
_CHANCE = 0.001


class SetShift(NamedTuple):
    """The column whose distribution differs most between two sets of rows."""

    column: int
    """Its index."""
    distance: float
    """Largest difference of the distribution functions (Kolmogorov and Smirnov)."""
    chance: float
    """Probability of a column like this among all columns, if the sets are drawn from the same rows."""

    @property
    def is_relevant(self) -> bool:
        """Whether it is a medium effect, with a probability below 0.001."""
        return self.distance > _DIFFERENT and self.chance < _CHANCE


class FrequencyShift(NamedTuple):
    """A class or a label that is not as frequent in a set of rows as in the training rows."""

    label: int
    """Its number."""
    known: float
    """Its fraction of the training rows."""
    there: float
    """Its fraction of the rows of the set."""
    chance: float
    """Probability of a difference like this for any class, if the sets are drawn from the same rows."""


class Transfer(NamedTuple):
    """How well a reference learner that was fitted to training rows does on other rows."""

    known: UncertainScore
    """Its cross-validated score on the training rows."""
    there: UncertainScore
    """Its score on the rows of the set."""


class Halves(NamedTuple):
    """The halves of the training rows, in the order of their source."""

    transfer: Transfer
    """How well a reference learner of the first half does on the second."""
    inputs: SetShift
    """The input column whose distribution differs most between the halves."""


def far_inputs(x: np.ndarray, known: np.ndarray) -> ColumnOutliers | None:
    """The column of x (n, columns) that reaches farthest beyond its range in `known` rows (m, columns).

    The distance is that to the range in units of the range; the rows are those farther than the range is wide. None
    where there are none.
    """
    low = known.min(axis=0)
    high = known.max(axis=0)
    width = np.where(high > low, high - low, np.inf)
    farthest = np.maximum(low - x.min(axis=0), x.max(axis=0) - high) / width
    column = int(farthest.argmax())
    distance = np.maximum(low[column] - x[:, column], x[:, column] - high[column]) / width[column]
    rows = int(np.sum(distance > 1))
    return ColumnOutliers(column, rows, float(farthest[column])) if rows else None


def set_difference(a: np.ndarray, b: np.ndarray) -> SetShift:
    """The column whose distribution differs most between rows a (n, columns) and b (m, columns).

    The probability is that of the two-sample test of Kolmogorov and Smirnov, times the number of columns (Bonferroni).
    """
    from scipy.special import kolmogorov

    distances = [_largest_difference(a[:, column], b[:, column]) for column in range(a.shape[1])]
    column = int(np.argmax(distances))
    distance = distances[column]
    size = np.sqrt(len(a) * len(b) / (len(a) + len(b)))
    return SetShift(column, distance, min(1.0, float(kolmogorov(size * distance)) * a.shape[1]))


def _largest_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of the distribution functions of two samples."""
    values = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def frequency_difference(a: np.ndarray, b: np.ndarray) -> FrequencyShift | None:
    """The class or label whose frequency differs most between targets a (n, outputs) and b (m, outputs) of 0 and 1.

    Relevant is a difference of 0.2, or a threefold frequency, that chance gives with a probability below 0.001. The
    probability is that of Fisher's exact test, times the number of outputs (Bonferroni). None where nothing differs.

    >>> frequency_difference(np.eye(2)[[0] * 50 + [1] * 50], np.eye(2)[[0] * 52 + [1] * 48]) is None
    True
    """
    known, there = a.mean(axis=0), b.mean(axis=0)
    larger = _TIMES_AS_FREQUENT * np.minimum(known, there) < np.maximum(known, there)
    found = []
    for label in np.flatnonzero((np.abs(known - there) >= _DIFFERENT) | larger):
        # scipy.stats takes half a second to import.
        from scipy.stats import fisher_exact

        counts = [[part[:, label].sum(), len(part) - part[:, label].sum()] for part in (a, b)]
        chance = min(1.0, float(fisher_exact(np.array(counts, int)).pvalue) * a.shape[1])
        if chance < _CHANCE:
            found.append(FrequencyShift(int(label), float(known[label]), float(there[label]), chance))
    return max(found, key=lambda one: abs(one.there - one.known), default=None)


def transfer(
    x: np.ndarray,
    y: np.ndarray,
    targets: np.ndarray,
    task: Task,
    sets: dict[str, tuple[np.ndarray, np.ndarray]],
    outputs: np.ndarray | None = None,
) -> dict[str, Transfer]:
    """How well a forest that is fitted to training rows does on the rows of other sets. Rows that repeat are one row.

    Args:
        x: inputs of the training rows (n, columns).
        y: their targets as the data set has them.
        targets: the same targets as numbers (n, outputs).
        task: the task.
        sets: inputs and targets, as the data set has them, of each set by name.
        outputs: cross-validated outputs of the reference learner, where they are known already.

    Returns:
        The scores by set; none for fewer than 100 rows.
    """
    once = np.sort(np.unique(x, axis=0, return_index=True)[1])
    if outputs is None or len(once) < len(x):
        x, y, targets = x[once], y[once], targets[once]
        outputs = reference_outputs(x, targets, task)
    if outputs is None:
        return {}
    known = attainable_score(x, y, task, outputs)

    def score(predicted: np.ndarray, true: np.ndarray) -> UncertainScore:
        outputs = predicted.reshape(true.shape) if task == "regression" else decided(predicted, y, task)
        return score_of(outputs, true, task)

    predicted = _outputs_for(x, targets, task, np.concatenate([x[:0], *(rows for rows, _ in sets.values())]))
    ends = np.cumsum([len(true) for _, true in sets.values()])
    parts = dict(zip(sets, np.split(predicted, ends), strict=False))
    return {name: Transfer(known, score(parts[name], true)) for name, (_, true) in sets.items()}


@remembered
def _outputs_for(x: np.ndarray, targets: np.ndarray, task: Task, others: np.ndarray) -> np.ndarray:
    """What a forest that is fitted to rows x (n, columns) says of other rows (m, columns): (m, outputs)."""
    if not len(others):
        return np.empty((0, targets.shape[1]))
    forest = reference_forest(task).fit(x, targets if targets.shape[1] > 1 else targets[:, 0])
    return np.asarray(forest.predict(others)).reshape(-1, targets.shape[1])


def halves(x: np.ndarray, y: np.ndarray, targets: np.ndarray, task: Task) -> Halves | None:
    """How well a forest of the first half of rows does on the second half, and how their inputs differ.

    None for fewer than 200 rows, and where the targets of the halves differ: then the rows are sorted by them.

    Args:
        x: inputs (n, columns), in the order of their source.
        y: targets as the data set has them.
        targets: the same targets as numbers (n, outputs).
        task: the task.
    """
    half = len(x) // 2
    first, second = slice(0, half), slice(half, 2 * half)
    if half < FEW_ROWS or targets_differ(targets[first], targets[second], task):
        return None
    sets = {"second": (x[second], y[second])}
    found = transfer(x[first], y[first], targets[first], task, sets).get("second")
    return found and Halves(found, set_difference(x[first], x[second]))


def targets_differ(a: np.ndarray, b: np.ndarray, task: Task) -> bool:
    """Whether the distributions of targets a (n, outputs) and b (m, outputs) differ by a relevant amount that chance
    does not explain."""
    return set_difference(a, b).is_relevant if task == "regression" else frequency_difference(a, b) is not None
