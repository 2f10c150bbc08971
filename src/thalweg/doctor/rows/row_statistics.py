"""Statistics of rows: their order, copies, columns that tell the target, doubtful labels, rows unlike the others."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ...core.intervals import wilson
from ...core.private import remembered
from ...data import Task
from ...parts.task_metrics import balanced_weights
from ..attainable import (
    FEW_ROWS,
    TREES,
    UncertainScore,
    attainable_score,
    constant_score,
    decided,
    folds,
    reference_outputs,
    score_of,
)

# A single column is tried by a tree of this depth, for the columns that matter most to a tree of all columns.
_DEPTH = 5
_CANDIDATES = 3
_NEARLY_PERFECT = 0.99
# The rows of whose labels a reference learner is most certain.
_CERTAIN = 0.25
# A column with more values than this part of its rows is continuous.
_FEW_VALUES = 1 / 3
FEW = 0.02
"""At most this fraction of the rows counts as few."""


class TargetOrder(NamedTuple):
    """How the targets change along the rows as an epoch visits them."""

    autocorrelation: float
    """Correlation of the targets of neighbouring rows, r = Σ d_i d_(i+1) / Σ d_i² with d = t - mean t; in random order
    0 with standard error 1 / √rows."""
    between: float
    """Part of the variance of the targets that lies between batches, Σ n_b |mean_b - mean|² / Σ d_i²; in random order
    (batches - 1) / (rows - 1)."""
    rows: int
    """Number of rows."""
    batches: int
    """Number of batches."""


class TellingColumn(NamedTuple):
    """An input column that alone tells the target."""

    column: int
    """Its index."""
    alone: UncertainScore
    """Cross-validated score of a small tree on this column alone."""
    without: UncertainScore
    """Score that can be attained on the other columns."""


class DoubtfulLabels(NamedTuple):
    """Labels that a cross-validated reference learner contradicts with confidence."""

    rows: np.ndarray
    """Contradicted rows for which it is as confident as on average for the class that it names, the surest first."""
    examined: int
    """Number of rows that were examined."""
    contradicted: float
    """Fraction of the quarter of the rows of which it is most certain that have another label (classes count alike)."""
    lowest: float
    """Lower end of the 95 % interval of this fraction."""
    expected: float
    """The same fraction where classes overlap: two Gaussian classes of the same total error."""
    outnumbered: float = 0.0
    """Fraction of the doubtful rows whose label is more frequent than the class that the learner names, among all rows
    for which it names this class: other rows then have such labels too, and cannot tell which is right."""


class FewRows(NamedTuple):
    """A score with and without the few rows of the largest errors."""

    rows: np.ndarray
    """Numbers of these rows, the largest error first."""
    part: float
    """Part of the sum of the squared errors that these rows have."""
    score: float
    """R² of all rows."""
    without: float
    """R² of the other rows."""


class ColumnOutliers(NamedTuple):
    """A column in which few rows are far from all others."""

    column: int
    """Its index."""
    rows: int
    """Number of these rows."""
    distance: float
    """How far they are, in the unit that the function names."""


def target_order(targets: np.ndarray, batch: int) -> TargetOrder:
    """How targets (n, outputs) change along the rows, in batches of `batch` rows.

    >>> target_order(np.array([[0.0], [0.0], [1.0], [1.0]]), batch=2)
    TargetOrder(autocorrelation=0.25, between=1.0, rows=4, batches=2)
    """
    n = len(targets)
    starts = np.arange(0, n, batch)
    distance = targets - targets.mean(axis=0)
    total = float(np.sum(distance**2))
    if not total:
        return TargetOrder(0.0, 0.0, n, len(starts))
    sizes = np.diff(np.append(starts, n))
    between = np.sum(np.add.reduceat(distance, starts, axis=0) ** 2 / sizes[:, None])
    return TargetOrder(float(np.sum(distance[1:] * distance[:-1])) / total, float(between) / total, n, len(starts))


def copies(x: np.ndarray) -> list[tuple[int, int]]:
    """Columns of x (n, columns) that are copies: (index, index of the first column with the same values).

    >>> copies(np.array([[1, 2, 1], [3, 4, 3]]))
    [(2, 0)]
    """
    _, first, group = np.unique(x, axis=1, return_index=True, return_inverse=True)
    originals = first[group.ravel()]
    return [(index, int(original)) for index, original in enumerate(originals) if index != original]


def coincidence(x: np.ndarray, rows: int) -> float:
    """The probability that a row with independent columns equals one of a number of others.

    Mean over the rows of x (n, columns) of 1 - (1 - Π p)^rows, with the fraction p of the rows that have the row's
    value of a column. p = 0 in columns with more values than a third of the rows: there a value does not come again.

    >>> round(coincidence(np.array([[0, 5], [1, 5], [0, 5], [1, 5], [0, 5], [1, 5]]), 1), 3)
    0.5
    >>> coincidence(np.array([[0.1], [0.2], [0.3]]), 1000)
    0.0
    """
    equal = np.ones(len(x))
    for column in x.T:
        found, index, counts = np.unique(column, return_inverse=True, return_counts=True)
        equal *= counts[index.ravel()] / len(x) if len(found) <= len(x) * _FEW_VALUES else 0.0
    return float(np.mean(1 - (1 - equal) ** rows))


def telling_column(x: np.ndarray, y: np.ndarray, targets: np.ndarray, task: Task) -> TellingColumn | None:
    """The column of x (n, columns) that alone tells the target nearly perfectly; None if there is none.

    Nearly perfectly: a small tree on this column alone, cross-validated, closes 99 % of the gap between the best
    constant output and a perfect score.

    Args:
        x: inputs (n, columns).
        y: targets as the data set has them.
        targets: the same targets as numbers (n, outputs).
        task: the task.
    """
    if len(x) < FEW_ROWS or x.shape[1] < 2:
        return None
    constant = constant_score(y, task)
    for column in np.argsort(-_importances(x, targets), kind="stable")[:_CANDIDATES]:
        outputs = _outputs_of_column(x[:, [column]], targets, task)
        alone = score_of(decided(outputs, y, task), y, task)
        if alone.value - constant >= _NEARLY_PERFECT * (1 - constant):
            others = np.delete(x, column, axis=1)
            rest = attainable_score(others, y, task, reference_outputs(others, targets, task))
            return TellingColumn(int(column), alone, rest)
    return None


@remembered
def _importances(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The importance of each column (columns,) in a small tree."""
    from sklearn.tree import DecisionTreeRegressor

    tree = DecisionTreeRegressor(max_depth=_DEPTH, random_state=0).fit(x, targets)
    return np.asarray(tree.feature_importances_)


@remembered
def _outputs_of_column(column: np.ndarray, targets: np.ndarray, task: Task) -> np.ndarray:
    """Cross-validated outputs of a small tree on a column (n, 1)."""
    from sklearn.tree import DecisionTreeRegressor

    fold = folds(targets, task)
    outputs = np.empty(targets.shape)
    for number in range(fold.max() + 1):
        out = fold == number
        tree = DecisionTreeRegressor(max_depth=_DEPTH, random_state=0).fit(column[~out], targets[~out])
        outputs[out] = tree.predict(column[out]).reshape(-1, targets.shape[1])
    return outputs


def doubtful_labels(probabilities: np.ndarray, y: np.ndarray) -> DoubtfulLabels | None:
    """Labels that cross-validated probabilities contradict; None with fewer than two classes.

    Probabilities are divided by the frequencies of their classes, so that all classes count alike. A row is doubtful
    if another class than its label has the largest one, and this is at least the mean of that class over the rows with
    its label (confident learning). Classes that overlap contradict labels where the learner is uncertain; a wrong label
    is contradicted where it is certain. So the fraction of contradicted labels among the most certain rows is compared
    with that of two Gaussian classes N(±h, 1), which have the same total error Φ(-h): P(x < -q) / P(|x| > q) for the
    quarter of the rows with |x| > q.

    Args:
        probabilities: probabilities of the classes (n, K) from a learner that has not seen the row.
        y: numbers of the classes (n,).

    Source: Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels".
    """
    counts = np.bincount(y, minlength=probabilities.shape[1])
    if np.count_nonzero(counts) < 2:
        return None
    # A vote more for each class (Laplace): a forest without a vote for a rare class has seen few rows of it.
    relative = (probabilities + 1 / TREES) / np.where(counts > 0, counts, np.inf)
    relative /= relative.sum(axis=1, keepdims=True)
    named = relative.argmax(axis=1)
    confidence = relative.max(axis=1)
    usual = np.array([relative[y == k, k].mean() if counts[k] else np.inf for k in range(len(counts))])
    wrong = named != y
    order = np.argsort(-confidence, kind="stable")
    rows = order[(wrong & (confidence >= usual[named]))[order]]
    weights = balanced_weights(y)
    certain = order[: int(np.searchsorted(np.cumsum(weights[order]), _CERTAIN)) + 1]
    part = weights[certain] / weights[certain].sum()
    contradicted = float(np.sum(part * wrong[certain]))
    # The number of equal rows whose fraction is as uncertain as that of these rows with their weights.
    variance = float(np.sum((part * (wrong[certain] - contradicted)) ** 2))
    size = contradicted * (1 - contradicted) / variance if variance else len(certain)
    lowest = wilson(contradicted * size, size)[0]
    expected = _overlap(float(np.sum(weights * wrong)))
    pairs = np.zeros((len(counts), len(counts)), int)
    np.add.at(pairs, (named, y), 1)
    outnumbered = pairs[named, y] > pairs[named, named]
    return DoubtfulLabels(
        rows, len(y), contradicted, lowest, expected, float(outnumbered[rows].mean()) if len(rows) else 0.0
    )


def _overlap(error: float) -> float:
    """The error in the most certain quarter of the rows of two Gaussian classes with this total error."""
    if not 0 < error < 0.5:
        return error
    half = -NormalDist().inv_cdf(error)
    low, high = 0.0, half + 10
    # Halved until no number lies between.
    while low < (q := (low + high) / 2) < high:
        low, high = (q, high) if _normal(half - q) + _normal(-half - q) > _CERTAIN else (low, q)
    return _normal(-half - q) / _CERTAIN


def _normal(z: float) -> float:
    """Φ(z), also far out."""
    return math.erfc(-z / math.sqrt(2)) / 2


def few_rows(outputs: np.ndarray, y: np.ndarray) -> FewRows:
    """The 2 % of the rows with the largest squared errors, at least one, of predictions (n, outputs)."""
    errors = np.sum((np.asarray(outputs, float).reshape(len(y), -1) - y.reshape(len(y), -1)) ** 2, axis=1)
    order = np.argsort(-errors, kind="stable")
    count = max(1, int(FEW * len(y)))
    rest = order[count:]
    return FewRows(
        rows=order[:count],
        part=float(errors[order[:count]].sum() / max(errors.sum(), 1e-300)),
        score=score_of(outputs.reshape(y.shape), y, "regression").value,
        without=score_of(outputs.reshape(y.shape)[rest], y[rest], "regression").value,
    )


def stretched_column(x: np.ndarray) -> ColumnOutliers | None:
    """The column whose standard deviation is most due to few rows: the 2 % that are farthest from its median.

    The distance is the standard deviation of all rows in that of the other rows; 0 for a column that is the same in
    the middle half of its rows, as a count of rare events is. None for fewer than 100 rows.
    """
    if len(x) < FEW_ROWS:
        return None
    order = np.argsort(np.abs(x - np.median(x, axis=0)), axis=0, kind="stable")
    rest = np.take_along_axis(x, order[: -int(FEW * len(x))], axis=0).std(axis=0)
    low, high = np.quantile(x, [0.25, 0.75], axis=0)
    ratio = x.std(axis=0) / np.where(high > low, rest, np.inf)
    column = int(ratio.argmax())
    far = np.abs(x[:, column] - np.median(x[:, column])) > 10 * rest[column]
    return ColumnOutliers(column, int(far.sum()), float(ratio[column]))
