"""How well a batch went: sums that add up over batches to the loss, the accuracy, R² and the mean absolute error."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from ..core.arrays import Array, namespace
from .part import Number, Part

LARGER_IS_BETTER = frozenset({"accuracy", "r2"})


class Right(NamedTuple):
    """Sums over samples, each times its weight: the weights, the loss, and the samples that were told right."""

    weight: Array
    loss: Array
    right: Array


class Residuals(NamedTuple):
    """Sums over samples, each times its weight: the weights, the loss, and by output |y - t| and (y - t)², (K,)."""

    weight: Array
    loss: Array
    absolute: Array
    square: Array


MetricSums: TypeAlias = Right | Residuals
"""Sums of a metric over a batch."""


class Metric(Part, ABC, family="score"):
    """Sums of a batch (`tally`), inside of the step; what the sums over an epoch come to (`summary`), outside of it.

    `measures` are the names that `summary` gives; those of LARGER_IS_BETTER grow as a network learns, others fall.
    `of_answers` says that `tally` wants probabilities in the place of logits, where the loss is taken on logits.
    """

    measures: ClassVar[tuple[str, ...]]
    of_answers: ClassVar[bool] = False

    @abstractmethod
    def update(self, outputs: Array, y: Array, weight: Array, loss: Array) -> MetricSums:
        """The sums of one batch: outputs (n, K), y as the data set has it, weight (n,), loss the batch's mean."""

    @abstractmethod
    def compute(self, total: Any) -> dict[str, np.ndarray]:
        """Names and values of the measures from sums over batches; sums of many epochs, (epochs, ...), give as many."""


@dataclass(frozen=True)
class ClassificationMetric(Metric, kind="classes"):
    """loss, and accuracy = the weighted share of samples told right.

    A sample's class is its largest output; a single output, or each of several labels, says yes above `threshold`, and
    a sample with several labels is right if all of them are (scikit-learn's `accuracy_score`).

    >>> scores = ClassificationMetric()
    >>> one = np.ones(2)
    >>> total = scores.update(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]), one, np.array(0.5))
    >>> {name: float(value) for name, value in scores.compute(total).items()}
    {'loss': 0.5, 'accuracy': 0.5}
    """

    measures: ClassVar[tuple[str, ...]] = ("loss", "accuracy")
    threshold: Number = 0.5

    def update(self, outputs: Array, y: Array, weight: Array, loss: Array) -> Right:
        xp = namespace(outputs)
        total = xp.sum(weight)
        if y.ndim > 1:
            right = xp.all((outputs > self.threshold) == (y > 0.5), axis=-1)
        elif outputs.shape[-1] == 1:
            right = (outputs[:, 0] > self.threshold) == (y > 0)
        else:
            right = xp.argmax(outputs, axis=-1) == y
        return Right(total, loss * total, xp.sum(xp.where(right, weight, xp.zeros_like(weight))))

    def compute(self, total: Right) -> dict[str, np.ndarray]:
        return {"loss": total.loss / total.weight, "accuracy": total.right / total.weight}


@dataclass(frozen=True)
class RegressionMetric(Metric, kind="residuals"):
    """loss, mean absolute error in the target's own units, and R² = 1 - Σ(y - t)² / Σ(t - mean t)².

    `variance` and `unit` are, by output, the variance of the targets as the network sees them, and how much of the
    target's own unit one unit of the network is. Several outputs count alike, as in scikit-learn's `r2_score`.

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
        each = weight[:, None]
        return Residuals(
            total, loss * total, xp.sum(each * xp.abs(error), axis=0), xp.sum(each * error * error, axis=0)
        )

    def compute(self, total: Residuals) -> dict[str, np.ndarray]:
        weight = np.asarray(total.weight)[..., None]
        mean_square, variance = total.square / weight, np.asarray(self.variance)
        # A constant target has no R²; scikit-learn reports 1 for a perfect answer and 0 for any other.
        perfect = np.where(mean_square == 0, 1.0, 0.0)
        r2 = np.where(variance > 0, 1 - mean_square / np.where(variance > 0, variance, 1), perfect)
        return {
            "loss": total.loss / total.weight,
            "r2": r2.mean(axis=-1),
            "mean_absolute_error": (total.absolute / weight * np.asarray(self.unit)).mean(axis=-1),
        }


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each class (rows) was taken for each class (columns): counts (classes, classes), from numbers (n,).

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = np.asarray(true, dtype=int) * classes + np.asarray(predicted, dtype=int)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
