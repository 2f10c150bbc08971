"""What can be learned from given rows: the best constant output, and the best known score.

Classes and labels are scored by balanced accuracy, in which every constant output has the same score, however rare a
class is; numbers by R².
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..core.noise import generator
from ..core.private import remembered
from ..data import Task
from ..parts.task_metrics import balanced_weights

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

# A random forest of this many trees sees as many rows as hold this many numbers, but at least a minimum.
TREES = 100
_FOREST_NUMBERS = 400_000
_LEAST_FOREST_ROWS = 500
_FOLDS = 3
FEW_ROWS = 100
"""Fewer rows can be memorized, so unseen rows say nothing about what is attainable on them."""
# The inverses of penalties that are needed only where columns depend on each other, or classes are separable.
_HARDLY_PENALIZED = 1e6
_WEAKLY_PENALIZED = 100.0
_NAN = float("nan")


class UncertainScore(NamedTuple):
    """A score with its uncertainty."""

    value: float
    """Balanced accuracy or R²."""
    error: float = 0.0
    """Standard error over the rows; 0 where the score is exact."""


def measure_of(task: Task) -> str:
    """The measure in which scores are given: r2 for numbers, else balanced_accuracy."""
    return "r2" if task == "regression" else "balanced_accuracy"


def score_of(outputs: np.ndarray, y: np.ndarray, task: Task) -> UncertainScore:
    """Balanced accuracy or R² of predictions, as the ratio Σ gain / Σ size over the rows, with its standard error.

    Classes and labels: gain = w [output = y] and size = w, with the balanced weights w. Numbers: size = (y - mean y)²
    and gain = size - (y - output)². The error is that of a ratio: √Σ (gain - score size)² / Σ size.

    Args:
        outputs: predicted classes (n,), labels or numbers (n, outputs).
        y: true ones, of the same shape.
        task: the task.

    Source: Cochran 1977, "Sampling Techniques", 3rd edition, section 2.11.

    >>> score_of(np.array([1, 1, 1, 1, 1]), np.array([0, 1, 1, 1, 1]), "classification").value
    0.5
    """
    if task == "regression":
        y = np.asarray(y, float)
        size = (y - y.mean(axis=0)) ** 2
        gain = size - (y - outputs) ** 2
    else:
        size = balanced_weights(y)
        gain = size * (outputs == y)
    gain = gain.reshape(len(y), -1).sum(axis=1)
    size = size.reshape(len(y), -1).sum(axis=1)
    total = float(size.sum())
    if not total:
        return UncertainScore(0.0)
    value = float(gain.sum()) / total
    return UncertainScore(value, float(np.sqrt(np.sum((gain - value * size) ** 2))) / total)


def constant_accuracy(y: np.ndarray, task: Task) -> float:
    """Accuracy (or R² of a regression) of the best output that is the same for all rows.

    >>> constant_accuracy(np.array([0, 1, 1, 1]), "classification")
    0.75
    """
    if task == "regression":
        return 0.0
    return float(np.unique(y, axis=0, return_counts=True)[1].max() / len(y))


def constant_score(y: np.ndarray, task: Task) -> float:
    """Balanced accuracy or R² of the best output that is the same for all rows: 1 / K for K classes that occur, or 0.

    >>> constant_score(np.array([0, 1, 1, 1]), "classification")
    0.5
    """
    if task == "regression":
        return 0.0
    return 1 / max(len(np.unique(column)) for column in y.reshape(len(y), -1).T)


def attainable_score(x: np.ndarray, y: np.ndarray, task: Task, outputs: np.ndarray | None) -> UncertainScore:
    """The score that can be attained on rows x (n, features) with targets y.

    The score of `reference_outputs`, which no row has had a part in. Without them, that of memorizing the rows: the
    best output for each group of rows with equal inputs.
    """
    if outputs is None:
        return UncertainScore(_best_by_group(y, np.unique(x, axis=0, return_inverse=True)[1].ravel(), task))
    seen = y[: len(outputs)]
    return score_of(decided(outputs, seen, task), seen, task)


def reference_forest(task: Task, least_leaf: int = 1) -> ExtraTreesRegressor | RandomForestRegressor:
    """The reference learner, not fitted yet: a random forest whose leaves have at least a number of rows."""
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

    if task == "regression":
        # Random thresholds: as good for numbers, in half of the time.
        return ExtraTreesRegressor(TREES // 2, min_samples_leaf=least_leaf, random_state=0)
    # For targets of 0 and 1 the squared error is the Gini impurity, and means of leaves are probabilities.
    return RandomForestRegressor(TREES, max_features="sqrt", min_samples_leaf=least_leaf, random_state=0)


def reference_outputs(x: np.ndarray, targets: np.ndarray, task: Task, least_leaf: int = 1) -> np.ndarray | None:
    """Cross-validated outputs of a random forest; None for fewer than 100 rows.

    Args:
        x: inputs (n, features).
        targets: targets as numbers (n, outputs), 0 and 1 for classes and labels.
        task: the task.
        least_leaf: rows of a leaf; more for a smoother curve.

    Returns:
        For the first rows, as many as take a bounded time: values, or probabilities of the classes or labels, by a
        forest that has not seen the row (m, outputs). The folds have equal parts of all classes.
    """
    if len(x) < FEW_ROWS:
        return None
    rows = slice(0, max(_LEAST_FOREST_ROWS, _FOREST_NUMBERS // x.shape[1]))
    return _forest_outputs(x[rows], targets[rows], task, least_leaf)


@remembered
def _forest_outputs(x: np.ndarray, targets: np.ndarray, task: Task, least_leaf: int) -> np.ndarray:
    fold = folds(targets, task)
    outputs = np.empty(targets.shape)
    for number in range(_FOLDS):
        held_out = fold == number
        forest = reference_forest(task, least_leaf)
        forest.fit(x[~held_out], targets[~held_out] if targets.shape[1] > 1 else targets[~held_out, 0])
        outputs[held_out] = forest.predict(x[held_out]).reshape(-1, targets.shape[1])
    return outputs


def folds(targets: np.ndarray, task: Task) -> np.ndarray:
    """The number of the fold (0, 1 or 2) of each row (n,), drawn at random, with equal parts of each class."""
    rows = generator(0, "doctor", "folds").permutation(len(targets))
    if task != "regression":
        rows = rows[np.lexsort(targets[rows].T)]
    result = np.empty(len(rows), int)
    result[rows] = np.arange(len(rows)) % _FOLDS
    return result


def decided(outputs: np.ndarray, y: np.ndarray, task: Task) -> np.ndarray:
    """Predictions in the form of y: the class, or each label, whose probability exceeds its frequency by most.

    The threshold at the frequency is the best one for balanced accuracy; with equal classes it is the usual one.

    Source: O'Brien and Ishwaran 2019, "A random forests quantile classifier for class imbalanced data".
    """
    if task == "regression":
        return outputs.reshape(y.shape)
    if task == "multilabel":
        return (outputs > y.mean(axis=0)).astype(y.dtype)
    frequencies = np.bincount(y, minlength=outputs.shape[1]) / len(y)
    return np.asarray(np.argmax(outputs / np.where(frequencies > 0, frequencies, 1.0), axis=1))


def line_score(x: np.ndarray, y: np.ndarray, task: Task) -> float:
    """The score of the best straight line on its own rows x (n, features) with targets y: what layers without anything
    nonlinear between them can reach.

    Least squares for numbers and for labels (1 and -1), logistic regression for classes. A line that fits few rows well
    by chance scores high here, as a network does on its training rows.

    >>> x = np.array([[-1.0], [0.0], [1.0]])
    >>> round(line_score(x, np.array([1.0, 1.0, 4.0]), "regression"), 6)
    0.75
    >>> line_score(x, np.array([0, 0, 1]), "classification")
    1.0
    """
    deviation = x.std(axis=0)
    varies = deviation > 0
    if not varies.any() or (task == "classification" and len(np.unique(y)) < 2):
        return constant_score(y, task)
    x = (x - x.mean(axis=0))[:, varies] / deviation[varies]
    return score_of(_line_outputs(x, y, task), y, task).value


@remembered
def _line_outputs(x: np.ndarray, y: np.ndarray, task: Task) -> np.ndarray:
    """What the best straight line answers on its own rows, of the shape of y."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier

    models = {
        "regression": Ridge(1 / _HARDLY_PENALIZED),
        "multilabel": RidgeClassifier(1 / _HARDLY_PENALIZED, class_weight="balanced"),
        "classification": LogisticRegression(C=_WEAKLY_PENALIZED, class_weight="balanced"),
    }
    with warnings.catch_warnings():
        # Of separable classes the weights grow without end, and the classes stay the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(models[task].fit(x, y).predict(x)).reshape(y.shape)


def standard_error(score: float, rows: int, measure: str) -> float:
    """The standard error of an accuracy, or of R² (measure "r2"), measured on a number of rows.

    >>> round(standard_error(0.9, 100, "balanced_accuracy"), 3), round(standard_error(0.9, 100, "r2"), 3)
    (0.03, 0.019)
    """
    share = min(max(score, 0.0), 1.0)
    # Rows without a mistake do not prove that there are none.
    variance = 4 * share * (1 - share) ** 2 if measure == "r2" else max(share * (1 - share), 0.01)
    return float(np.sqrt(variance / rows)) if rows else _NAN


def constant_loss(loss: str, targets: np.ndarray, task: Task) -> float:
    """The loss of the best output that is the same for all rows; NaN for a loss without a known one.

    Args:
        loss: the kind of the loss.
        targets: the targets as numbers (n, outputs), 0 and 1 for classes and labels.
        task: the task.

    >>> constant_loss("mean_squared_error", np.array([[2.0], [6.0]]), "regression")
    4.0
    """
    match loss:
        case "mean_squared_error":
            return float(targets.var(axis=0).mean())
        case "half_mean_squared_error":
            return float(targets.var(axis=0).mean()) / 2
        case "squared_error":
            return float(targets.var(axis=0).sum()) / 2
        case "mean_absolute_error":
            return float(np.mean(np.abs(targets - np.median(targets, axis=0))))
    p = np.clip(targets.mean(axis=0), 1e-12, 1 - 1e-12)
    if loss in ("cross_entropy", "softmax_cross_entropy") and task == "classification":
        return float(-np.sum(p * np.log(p)))
    if loss in ("binary_cross_entropy", "sigmoid_binary_cross_entropy"):
        return float(-np.sum(p * np.log(p) + (1 - p) * np.log(1 - p)))
    return _NAN


def _best_by_group(y: np.ndarray, group: np.ndarray, task: Task) -> float:
    """The score of the best outputs that are the same for all rows of a group."""
    if task == "regression":
        outputs = np.array(y, dtype=float)
        for number in np.unique(group):
            outputs[group == number] = y[group == number].mean(axis=0)
        return score_of(outputs, y, task).value
    columns = y.reshape(len(y), -1)
    weights = balanced_weights(y).reshape(columns.shape)
    groups = int(group.max()) + 1
    gained = 0.0
    for labels, weight in zip(columns.T, weights.T, strict=True):
        # Of the weights of the values within each group, the largest is what a single output can gain.
        values, index = np.unique(labels, return_inverse=True)
        sums = np.zeros((groups, len(values)))
        np.add.at(sums, (group, index.ravel()), weight)
        gained += float(sums.max(axis=1).sum())
    return gained
