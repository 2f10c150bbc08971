"""What can be learned from given rows: the best constant output, and the best known score."""

from __future__ import annotations

import warnings

import numpy as np

from ..data import Task

# A random forest of this many trees sees as many rows as hold this many numbers, but at least a minimum.
_TREES = 100
_FOREST_NUMBERS = 400_000
_LEAST_FOREST_ROWS = 500
FEW_ROWS = 100
"""Fewer rows can be memorized, so unseen rows say nothing about what is attainable on them."""
# The inverses of penalties that are needed only where columns depend on each other, or classes are separable.
_HARDLY_PENALIZED = 1e6
_WEAKLY_PENALIZED = 100.0
_NAN = float("nan")


def constant_score(y: np.ndarray, task: Task) -> float:
    """Accuracy (or R² of a regression) of the best output that is the same for all rows.

    >>> constant_score(np.array([0, 1, 1, 1]), "classification")
    0.75
    """
    return _best_by_group(y, np.zeros(len(y), int), task)


def attainable_score(x: np.ndarray, y: np.ndarray, task: Task) -> float:
    """The score that can be attained on rows x (n, features) with targets y.

    Cross-validated score of a random forest. For fewer than 100 rows the score of memorizing them: the best output for
    each group of rows with equal inputs.
    """
    if len(y) < FEW_ROWS:
        return _best_by_group(y, np.unique(x, axis=0, return_inverse=True)[1].ravel(), task)
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    rows = slice(0, max(_LEAST_FOREST_ROWS, _FOREST_NUMBERS // x.shape[1]))
    x = x[rows]
    y = y[rows]
    forest = (RandomForestRegressor if task == "regression" else RandomForestClassifier)(_TREES, random_state=0)
    targets = y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y
    predicted = cross_val_predict(forest, x, targets, cv=KFold(3, shuffle=True, random_state=0))
    return _score(predicted.reshape(y.shape), y, task)


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
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier

    x = (x - x.mean(axis=0))[:, varies] / deviation[varies]
    models = {
        "regression": Ridge(1 / _HARDLY_PENALIZED),
        "multilabel": RidgeClassifier(1 / _HARDLY_PENALIZED),
        "classification": LogisticRegression(C=_WEAKLY_PENALIZED),
    }
    with warnings.catch_warnings():
        # Of separable classes the weights grow without end, and the classes stay the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _score(np.asarray(models[task].fit(x, y).predict(x)).reshape(y.shape), y, task)


def standard_error(score: float, rows: int, measure: str) -> float:
    """The standard error of an accuracy, or of R² (measure "r2"), measured on a number of rows.

    >>> round(standard_error(0.9, 100, "accuracy"), 3), round(standard_error(0.9, 100, "r2"), 3)
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
    outputs = np.array(y, dtype=float if task == "regression" else y.dtype)
    for number in np.unique(group):
        members = y[group == number]
        values, counts = np.unique(members, axis=0, return_counts=True)
        outputs[group == number] = members.mean(axis=0) if task == "regression" else values[counts.argmax()]
    return _score(outputs, y, task)


def _score(outputs: np.ndarray, y: np.ndarray, task: Task) -> float:
    if task == "regression":
        variance = ((y - y.mean(axis=0)) ** 2).sum()
        return float(1 - ((y - outputs) ** 2).sum() / variance) if variance else 0.0
    right = y == outputs
    return float(np.mean(right if y.ndim == 1 else right.all(axis=1)))
