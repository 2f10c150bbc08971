"""The measures of a task: sums over batches from which loss, accuracies, R² and mean absolute error are computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeAlias

import numpy as np
from typing_extensions import TypeVar

from ..core.arrays import Array, Tree, map_arrays, namespace
from .metrics import Metric
from .part import Loss, Number, Part


class Right(NamedTuple):
    """Weighted sums over samples: of 1, of the loss, and of correct predictions."""

    weight: Array
    loss: Array
    right: Array


class RightByClass(NamedTuple):
    """Weighted sums over samples: of 1, of the loss, and of correct predictions; of both counts by class.

    A task with one class for each sample has C classes and L = 1; one with several labels has C = 2, no and yes, for
    each of its L labels.
    """

    weight: Array
    loss: Array
    right: Array
    class_weight: Array
    """Sum of the weights of each class (C, L)."""
    class_right: Array
    """Sum of the weights of its correct predictions (C, L)."""


class Residuals(NamedTuple):
    """Weighted sums over samples: of 1, of the loss, and for each output of |y - t| and (y - t)², (K,)."""

    weight: Array
    loss: Array
    absolute: Array
    square: Array


class JoinedSums(NamedTuple):
    """Weighted sums over samples: of 1, and of the loss; the sums of the task, and of each other metric."""

    weight: Array
    loss: Array
    task: Tree
    others: tuple[Tree, ...]


MetricSums: TypeAlias = Right | RightByClass | Residuals | JoinedSums
"""Sums of a metric over a batch."""


T = TypeVar("T", bound=MetricSums, default=Any)


class TaskMetric(Part, ABC, Generic[T]):
    """Sums of a batch inside the step (`update`), and measures from the sums over an epoch (`compute`)."""

    measures: ClassVar[tuple[str, ...]]
    """The names that `compute` gives."""
    of_answers: ClassVar[bool] = False
    """Whether `update` takes probabilities instead of logits, if the loss takes logits."""

    @abstractmethod
    def update(self, outputs: Array, y: Array, weight: Array, loss: Array) -> T:
        """The sums of a batch: outputs (n, K), y as in the data set, weight (n,), loss the mean of the batch."""

    def sums(self, loss: Loss, outputs: Array, y: Array, weight: Array, value: Array) -> T:
        """`update` from the outputs of a network; `value` is the mean loss of the batch."""
        predicted = loss.probabilities(outputs) if self.of_answers else loss.answers(outputs)
        return self.update(predicted, y, weight, value)

    @abstractmethod
    def compute(self, total: T) -> dict[str, np.ndarray]:
        """The measures from sums over batches, by name. Sums of several epochs (epochs, ...) give values (epochs,)."""


@dataclass(frozen=True)
class ClassificationMetric(TaskMetric[Right]):
    """loss, and accuracy = the weighted fraction of correct predictions.

    The predicted class is the largest output. A single output, or each of several labels, predicts yes above
    `threshold`; a sample with several labels is correct if all of them are (scikit-learn's `accuracy_score`).

    >>> scores = ClassificationMetric()
    >>> one = np.ones(2)
    >>> total = scores.update(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]), one, np.array(0.5))
    >>> {name: float(value) for name, value in scores.compute(total).items()}
    {'loss': 0.5, 'accuracy': 0.5}
    """

    measures: ClassVar[tuple[str, ...]] = ("loss", "accuracy")
    threshold: Number = 0.5

    def update(self, outputs: Array, y: Array, weight: Array, loss: Array) -> Right:
        return _right(_correct(outputs, y, self.threshold), weight, loss)

    def compute(self, total: Right) -> dict[str, np.ndarray]:
        return _accuracy(total)


@dataclass(frozen=True)
class BalancedMetric(TaskMetric[RightByClass]):
    """loss and accuracy as in `ClassificationMetric`, and balanced accuracy = the mean over classes of the recall.

    recall of a class = the weighted fraction of its samples that are predicted correctly. Classes without samples are
    left out; of several labels it is the mean over the labels. A constant output has 1 / C, however rare a class is.

    Source: Brodersen et al. 2010, The balanced accuracy and its posterior distribution; scikit-learn's
    `balanced_accuracy_score`.

    >>> metric = BalancedMetric()
    >>> always_first = np.array([[0.9, 0.1]] * 4)
    >>> total = metric.update(always_first, np.array([0, 0, 0, 1]), np.ones(4), np.array(0.5))
    >>> {name: float(value) for name, value in metric.compute(total).items()}
    {'loss': 0.5, 'accuracy': 0.75, 'balanced_accuracy': 0.5}
    """

    measures: ClassVar[tuple[str, ...]] = (*ClassificationMetric.measures, "balanced_accuracy")
    threshold: Number = 0.5

    def update(self, outputs: Array, y: Array, weight: Array, loss: Array) -> RightByClass:
        xp = namespace(outputs)
        correct = _correct(outputs, y, self.threshold)
        labels = y if y.ndim > 1 else y[:, None]
        classes = 2 if y.ndim > 1 else max(2, outputs.shape[-1])
        of_class = labels[:, None, :] == xp.arange(classes)[None, :, None]
        weights = xp.where(of_class, weight[:, None, None], xp.zeros_like(weight)[:, None, None])
        right = xp.where(correct[:, None, :], weights, xp.zeros_like(weights))
        return RightByClass(*_right(correct, weight, loss), xp.sum(weights, axis=0), xp.sum(right, axis=0))

    def compute(self, total: RightByClass) -> dict[str, np.ndarray]:
        weight = np.asarray(total.class_weight)
        present = weight > 0
        recall = np.where(present, total.class_right / np.where(present, weight, 1), 0)
        return _accuracy(total) | {"balanced_accuracy": (recall.sum(axis=-2) / present.sum(axis=-2)).mean(axis=-1)}


def _correct(outputs: Array, y: Array, threshold: Number) -> Array:
    """Whether each label of each sample is predicted correctly, (n, L); L = 1 where a sample has one class."""
    xp = namespace(outputs)
    if y.ndim > 1:
        return (outputs > threshold) == (y > 0.5)
    if outputs.shape[-1] == 1:
        return (outputs > threshold) == (y > 0)[:, None]
    return (xp.argmax(outputs, axis=-1) == y)[:, None]


def _right(correct: Array, weight: Array, loss: Array) -> Right:
    """The sums over samples that count as correct where all of their labels are, from correct labels (n, L)."""
    xp = namespace(weight)
    total = xp.sum(weight)
    return Right(total, loss * total, xp.sum(xp.where(xp.all(correct, axis=-1), weight, xp.zeros_like(weight))))


def _accuracy(total: Right | RightByClass) -> dict[str, np.ndarray]:
    return {"loss": total.loss / total.weight, "accuracy": total.right / total.weight}


@dataclass(frozen=True)
class RegressionMetric(TaskMetric[Residuals]):
    """loss, mean absolute error in the original units of the target, and R² = 1 - Σ(y - t)² / Σ(t - mean t)².

    variance: variance of the (scaled) targets of each output.
    unit: original units of the target in one scaled unit, for each output.

    R² is averaged over the outputs, as in scikit-learn's `r2_score`.

    >>> scores = RegressionMetric(variance=(1.0,), unit=(10.0,))
    >>> one = np.ones(2)
    >>> total = scores.update(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]]), one, np.array(0.25))
    >>> {name: float(value) for name, value in scores.compute(total).items()}
    {'loss': 0.25, 'r2': 0.5, 'mean_absolute_error': 5.0}
    """

    measures: ClassVar[tuple[str, ...]] = ("loss", "r2", "mean_absolute_error")
    of_answers: ClassVar[bool] = True
    variance: tuple[float, ...]
    unit: tuple[float, ...]

    def update(self, outputs: Array, y: Array, weight: Array, loss: Array) -> Residuals:
        xp = namespace(outputs)
        total = xp.sum(weight)
        error = outputs - (y[:, None] if y.ndim == 1 else y)
        column = weight[:, None]
        return Residuals(
            total, loss * total, xp.sum(column * xp.abs(error), axis=0), xp.sum(column * error * error, axis=0)
        )

    def compute(self, total: Residuals) -> dict[str, np.ndarray]:
        weight = np.asarray(total.weight)[..., None]
        mean_square = total.square / weight
        variance = np.asarray(self.variance)
        # R² is undefined for a constant target; scikit-learn reports 1 for perfect predictions and 0 otherwise.
        perfect = np.where(mean_square == 0, 1.0, 0.0)
        r2 = np.where(variance > 0, 1 - mean_square / np.where(variance > 0, variance, 1), perfect)
        return {
            "loss": total.loss / total.weight,
            "r2": r2.mean(axis=-1),
            "mean_absolute_error": (total.absolute / weight * np.asarray(self.unit)).mean(axis=-1),
        }


@dataclass(frozen=True)
class JoinedMetric(TaskMetric[JoinedSums]):
    """The measures of a task, and those of other metrics beside them.

    task: the metric of the task.
    others: metrics that a spec asks for; they see probabilities, or values in the units of the data.
    unit: original units of the target in one scaled unit, for each output of a regression.
    shift: the original target at a scaled one of 0, for each output of a regression.
    """

    task: TaskMetric
    others: tuple[Metric, ...]
    unit: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()

    def update(self, outputs: Array, y: Array, weight: Array, loss: Array) -> JoinedSums:
        raise TypeError("the metrics see different outputs; `sums` has them")

    def sums(self, loss: Loss, outputs: Array, y: Array, weight: Array, value: Array) -> JoinedSums:
        of_task = self.task.sums(loss, outputs, y, weight, value)
        answers = loss.probabilities(outputs)
        true = y
        if self.unit:
            xp = namespace(answers)
            unit, shift = (xp.asarray(values, dtype=answers.dtype) for values in (self.unit, self.shift))
            answers, true = answers * unit + shift, (y[:, None] if y.ndim == 1 else y) * unit + shift
        others = tuple(metric.update(answers, true, weight) for metric in self.others)
        return JoinedSums(of_task.weight, of_task.loss, of_task, others)

    def compute(self, total: JoinedSums) -> dict[str, np.ndarray]:
        measures = self.task.compute(total.task)
        for metric, sums in zip(self.others, total.others, strict=True):
            measures[metric.kind] = _by_epoch(metric, sums, np.shape(total.weight))
        return measures


def _by_epoch(metric: Metric, sums: Tree, epochs: tuple[int, ...]) -> np.ndarray:
    """The measure from the sums of one epoch, or of each of several: a metric sees those of one."""
    if not epochs:
        return np.asarray(metric.compute(sums), dtype=float)
    return np.array(
        [metric.compute(map_arrays(lambda values, k=k: values[k], sums)) for k in range(epochs[0])], dtype=float
    )


def balanced_weights(y: np.ndarray) -> np.ndarray:
    """Weights with which accuracy is balanced accuracy: the classes that occur count alike; their sum is 1.

    w = 1 / (K n_c) for a row of class c, with n_c rows of it and K classes that occur. Several labels count alike too,
    each with its two values; a label with one value has weight 0, unless all labels have.

    Args:
        y: numbers of classes (n,), or labels of 0 and 1 (n, labels).

    Returns:
        Weights of the shape of y.

    >>> balanced_weights(np.array([0, 1, 1, 1, 1])).tolist()
    [0.5, 0.125, 0.125, 0.125, 0.125]
    """
    columns = y[:, None] if y.ndim == 1 else y
    weights = np.zeros(columns.shape)
    several = np.array([len(np.unique(column)) > 1 for column in columns.T])
    for index in np.flatnonzero(several) if several.any() else range(columns.shape[1]):
        _, group, counts = np.unique(columns[:, index], return_inverse=True, return_counts=True)
        weights[:, index] = 1 / (len(counts) * counts[group.ravel()])
    return np.asarray(weights / weights.sum()).reshape(y.shape)


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts of each true class (rows) predicted as each class (columns): (classes, classes), from numbers (n,).

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = np.asarray(true, dtype=int) * classes + np.asarray(predicted, dtype=int)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
