"""Statistics of relations between inputs and targets: rows of two kinds, classes that are one, pairs that tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...core.private import remembered
from ...data import Task
from ..attainable import (
    FEW_ROWS,
    UncertainScore,
    attainable_score,
    constant_score,
    decided,
    folds,
    reference_outputs,
    score_of,
)
from .small_learner import random_units, ridge_outputs

UNIFORM_KURTOSIS = 1.8
"""The kurtosis of a uniform distribution. No symmetric noise with a single peak has a lower one."""
UNIFORM_SIZE = 0.75
"""The largest R² with which inputs tell the size of a noise whose scale they decide, if it is uniform, which has the
most regular size of all symmetric noise with a single peak."""
_CONTINUOUS = 0.5
# Of fewer rows a kurtosis says nothing. One row in four counts for it.
_FEW_ROWS = 2 * FEW_ROWS
_FAR_APART = 4
_DEPTH = 5
_CANDIDATES = 3
_NEARLY_PERFECT = 0.99
# Two columns with a smaller part of their variance of their own are copies.
_OF_ITS_OWN = 1e-6
# Two classes of fewer rows are too few to say that nothing tells them apart.
_FEW_OF_A_CLASS = 20
# The least balanced accuracy at which a pair of classes counts as separable from all other classes.
_TOLD = 0.75


class TwoKinds(NamedTuple):
    """A target that has one of two values in like rows."""

    output: int
    """Number of the target column."""
    kurtosis: float
    """Kurtosis of the errors of a reference learner, each in its own standard deviation: 1 for two values, 1.8 for
    uniform noise, 3 for normal noise."""
    error: float
    """Its standard error."""
    score: UncertainScore
    """R² with which the inputs tell the target."""
    size: UncertainScore
    """R² with which they tell its distance from the mean."""


class OneClass(NamedTuple):
    """Two classes between which the inputs do not distinguish."""

    classes: tuple[int, int]
    """Their numbers."""
    between: UncertainScore
    """Balanced accuracy of a reference learner between the two, on rows that it has not seen."""
    together: float
    """Balanced accuracy with which it tells both from all others."""


class TellingPair(NamedTuple):
    """Two input columns that tell the target together."""

    columns: tuple[int, int]
    """Their numbers."""
    form: str
    """How: `linear` for a weighted sum or a difference, `product` for a product of powers or a ratio."""
    pair: UncertainScore
    """Cross-validated score of a small learner on these columns."""
    without: UncertainScore
    """Score that can be attained on the other columns."""


def two_kinds(x: np.ndarray, targets: np.ndarray) -> TwoKinds | None:
    """The column of targets (n, outputs) whose errors fall most clearly into two branches.

    Rows of two kinds, such as some with a turned sign, an exchanged column or another unit, have one of two targets
    where their inputs x (n, features) are alike. A reference learner, a forest or its mean with a ridge regression on
    random units, says something between them, and the errors e are ± half of the distance of the branches. Their
    kurtosis is n Σ q² / (Σ q)² of q = e² / v, with the mean square v that the same learner gives for rows like them;
    both learners have not seen the row. The quarter of the rows with the largest v counts, where branches are far
    apart.

    None for fewer than 200 rows, and for targets of which most values come again: counts have such errors too.
    """
    few = len(x) < _FEW_ROWS
    continuous = [column for column, values in enumerate(targets.T) if not few and _is_continuous(values)]
    if not continuous:
        return None
    units = random_units(x)
    outputs = _outputs(x, units, targets[:, continuous])
    seen = targets[: len(outputs), continuous]
    errors, sizes = seen - outputs, np.abs(seen - seen.mean(axis=0))
    further = _outputs(x[: len(seen)], units[: len(seen)], np.hstack([errors**2, sizes]))
    squares, told = np.split(further, 2, axis=1)
    found = [
        TwoKinds(
            column,
            *_kurtosis(errors[:, k], squares[:, k].clip(0)),
            score_of(outputs[:, k], seen[:, k], "regression"),
            score_of(told[:, k], sizes[:, k], "regression"),
        )
        for k, column in enumerate(continuous)
    ]
    return min(found, key=lambda one: (one.kurtosis - UNIFORM_KURTOSIS) / max(one.error, 1e-300))


def _is_continuous(values: np.ndarray) -> bool:
    """Whether most rows (n,) have a value that no other row has."""
    return bool(np.sum(np.unique(values, return_counts=True)[1] == 1) >= _CONTINUOUS * len(values))


def _outputs(x: np.ndarray, units: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Cross-validated outputs of a forest, or of its mean with a ridge regression where this is nearer to the targets,
    for the first rows (m, outputs)."""
    # A forest splits by the target that varies most: all have one size.
    deviation = targets.std(axis=0)
    scaled = (targets - targets.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    forest = reference_outputs(x, scaled, "regression")
    assert forest is not None
    both = (forest + ridge_outputs(units, scaled, folds(scaled, "regression"))[: len(forest)]) / 2
    alone, together = (np.sum((scaled[: len(forest)] - outputs) ** 2, axis=0) for outputs in (forest, both))
    return np.where(together < alone, both, forest) * deviation + targets.mean(axis=0)


def _kurtosis(error: np.ndarray, squares: np.ndarray) -> tuple[float, float]:
    """Kurtosis of errors (n,) in standard deviations √squares (n,), and its standard error by the delta method."""
    far = np.argsort(-squares, kind="stable")[: len(squares) // _FAR_APART]
    q = error[far] ** 2 / np.maximum(squares[far], 1e-300)
    mean, fourth = float(q.mean()), float(np.mean(q**2))
    if not mean:
        return float("inf"), 0.0
    value = fourth / mean**2
    influence = (q**2 - fourth) / mean**2 - 2 * value * (q - mean) / mean
    return value, float(influence.std()) / float(np.sqrt(len(q)))


def one_class(probabilities: np.ndarray, y: np.ndarray) -> OneClass | None:
    """The two classes that the inputs tell least apart, of those that they tell from all others.

    Each class is compared with the one that the learner names most often for its rows. None for two classes, and where
    the learner tells no two from the others.

    Args:
        probabilities: probabilities of the classes (n, K) from a learner that has not seen the row.
        y: numbers of the classes (n,).
    """
    counts = np.bincount(y, minlength=probabilities.shape[1])
    if np.count_nonzero(counts) < 3:
        return None
    relative = probabilities / np.maximum(counts, 1)
    enough = np.flatnonzero(counts >= _FEW_OF_A_CLASS)
    found = []
    for a in enough:
        named = relative[y == a].mean(axis=0)
        b = max((other for other in enough if other != a), key=lambda other: float(named[other]), default=a)
        one = _between(probabilities, relative, y, (int(min(a, b)), int(max(a, b))))
        if one.together >= _TOLD:
            found.append(one)
    return min(found, key=lambda one: one.between.value, default=None)


def _between(probabilities: np.ndarray, relative: np.ndarray, y: np.ndarray, classes: tuple[int, int]) -> OneClass:
    a, b = classes
    either = np.isin(y, classes)
    named = np.where(relative[either, b] > relative[either, a], b, a)
    both = probabilities[:, classes].sum(axis=1)
    joined = decided(np.stack([1 - both, both], axis=1), either.astype(int), "classification")
    together = score_of(joined, either.astype(int), "classification").value
    return OneClass(classes, score_of(named, y[either], "classification"), together)


def positive_logs(values: np.ndarray) -> np.ndarray:
    """Logarithms of columns (n, columns); 0 in all rows of a column that is not positive.

    >>> positive_logs(np.array([[1.0, -1.0], [np.e, 2.0]]))
    array([[0., 0.],
           [1., 0.]])
    """
    positive = values.min(axis=0) > 0
    return np.log(np.where(positive, values, 1.0))


def telling_pair(
    x: np.ndarray, logs: np.ndarray, y: np.ndarray, targets: np.ndarray, log_targets: np.ndarray, task: Task
) -> TellingPair | None:
    """The two columns of x (n, columns) that tell the target together nearly perfectly; None if there are none.

    All pairs are compared by the R² of the target's best weighted sum of both, which follows from the correlations, and
    so are their logarithms: a product of powers is a sum there. Three pairs of each form are tried: a small tree on the
    weighted sum, cross-validated, must close 99 % of the gap between the best constant output and a perfect score.

    Args:
        x: inputs (n, columns).
        logs: their logarithms; 0 in columns that are not positive.
        y: targets as the data set has them.
        targets: the same targets as numbers (n, outputs).
        log_targets: their logarithms, or the same numbers where these are not positive.
        task: the task.
    """
    if len(x) < FEW_ROWS or x.shape[1] < 3:
        return None
    constant = constant_score(y, task)
    fold = folds(targets, task)
    for form, columns, numbers in (("linear", x, targets), ("product", logs, log_targets)):
        for i, j in _best_pairs(columns, numbers):
            outputs = _pair_outputs(columns[:, [i, j]], numbers, targets, fold)
            pair = score_of(decided(outputs, y, task), y, task)
            if pair.value - constant >= _NEARLY_PERFECT * (1 - constant):
                others = np.delete(x, [i, j], axis=1)
                rest = attainable_score(others, y, task, reference_outputs(others, targets, task))
                return TellingPair((i, j), form, pair, rest)
    return None


def _best_pairs(x: np.ndarray, targets: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of columns whose weighted sums have the largest R², (a² + b² - 2abr) / (1 - r²) with the correlations
    a and b of the columns with the target and r with each other; over all targets (n, outputs), by their variances."""
    z, t = (values - values.mean(axis=0) for values in (x, targets))
    norm = np.sqrt(np.sum(z**2, axis=0))
    varies = norm > 0
    z = z / np.where(varies, norm, 1.0)
    r = z.T @ z
    a = z.T @ t
    own = 1 - r**2
    both = np.einsum("io,io->i", a, a)
    explained = (both[:, None] + both[None, :] - 2 * r * (a @ a.T)) / np.where(own > _OF_ITS_OWN, own, np.inf)
    i, j = np.triu_indices(len(r), 1)
    best = np.argsort(-explained[i, j], kind="stable")[:_CANDIDATES]
    return [(int(i[k]), int(j[k])) for k in best if varies[i[k]] and varies[j[k]]]


@remembered
def _pair_outputs(pair: np.ndarray, numbers: np.ndarray, targets: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Cross-validated outputs of a small tree on the best weighted sums of a pair of columns (n, 2)."""
    from sklearn.tree import DecisionTreeRegressor

    outputs = np.empty(targets.shape)
    columns = np.column_stack([pair, np.ones(len(pair))])
    for number in range(fold.max() + 1):
        out = fold == number
        sums = columns @ np.linalg.lstsq(columns[~out], numbers[~out], rcond=None)[0]
        tree = DecisionTreeRegressor(max_depth=_DEPTH, random_state=0).fit(sums[~out], targets[~out])
        outputs[out] = tree.predict(sums[out]).reshape(-1, targets.shape[1])
    return outputs
