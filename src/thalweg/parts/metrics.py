"""Metrics: measures that a spec asks for beside those of its task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple

import numpy as np
from typing_extensions import TypeVar

from ..core.arrays import Array, Tree, namespace
from .part import Count, Part

_LARGER_IS_BETTER = frozenset({"accuracy", "balanced_accuracy", "r2"})
_SHARES = frozenset({"accuracy", "balanced_accuracy", "clipped"})
_ROWS = ("training_", "validation_", "test_")

T = TypeVar("T", bound=Tree, default=Any)


class Metric(Part, ABC, Generic[T], family="metric"):
    """A measure of a network on rows, computed from sums over its batches. Its kind is the name of the measure.

    `update` runs inside the compiled step and gives the sums of a batch, an array or a tuple of arrays; `compute` gives
    the measure from the sums over all batches. A metric that is the mean of a value of each row is a `RowMetric`.
    """

    larger_is_better: ClassVar[bool] = True
    """Whether the measure grows as a network learns."""
    is_share: ClassVar[bool] = False
    """Whether it is a fraction of a whole, which is written in percent."""
    tasks: ClassVar[frozenset[str]] = frozenset({"classification", "multilabel", "regression"})
    """The tasks for which it is defined."""

    @abstractmethod
    def update(self, outputs: Array, y: Array, weight: Array) -> T:
        """The sums of a batch.

        Args:
            outputs: (n, K) probabilities after a cross-entropy, else plain outputs; of a regression in the units of
                the target.
            y: the numbers of the classes (n,), labels 0 and 1 (n, K), or values in the units of the target (n, K).
            weight: weights of the rows (n,); 0 is padding.
        """

    @abstractmethod
    def compute(self, total: T) -> float:
        """The measure from the sums over all batches, as NumPy arrays."""


class RowSums(NamedTuple):
    """Weighted sums over rows: of 1, and of a value of each row."""

    weight: Array
    value: Array


class RowMetric(Metric[RowSums]):
    """A metric that is the weighted mean of a value of each row."""

    @abstractmethod
    def values(self, outputs: Array, y: Array) -> Array:
        """The value of each row (n,); the arguments are those of `update`."""

    def update(self, outputs: Array, y: Array, weight: Array) -> RowSums:
        xp = namespace(outputs)
        return RowSums(xp.sum(weight), xp.sum(weight * self.values(outputs, y)))

    def compute(self, total: RowSums) -> float:
        return float(total.value / total.weight)


@dataclass(frozen=True)
class TopAccuracy(RowMetric, kind="top_accuracy"):
    """Fraction of the rows whose class is among those with the k largest outputs.

    Classes with the same output have the same place.

    >>> metric = TopAccuracy(2)
    >>> p = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    >>> metric.compute(metric.update(p, np.array([1, 2]), np.ones(2)))
    0.5
    """

    is_share: ClassVar[bool] = True
    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})
    k: Count = 3

    def values(self, outputs: Array, y: Array) -> Array:
        xp = namespace(outputs)
        p = xp.concat([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs
        true = xp.sum(xp.where(y[:, None] == xp.arange(p.shape[1])[None, :], p, xp.zeros_like(p)), axis=1)
        return xp.astype(xp.sum(xp.astype(p > true[:, None], p.dtype), axis=1) < self.k, p.dtype)


@dataclass(frozen=True)
class RootMeanSquaredError(Metric[RowSums], kind="root_mean_squared_error", also=("rmse",)):
    """√(mean (y - t)²) in the units of the target; of several targets the mean, as in scikit-learn.

    >>> metric = RootMeanSquaredError()
    >>> metric.compute(metric.update(np.array([[1.0], [3.0]]), np.array([[1.0], [1.0]]), np.array([1.0, 3.0])))
    1.7320508075688772
    """

    larger_is_better: ClassVar[bool] = False
    tasks: ClassVar[frozenset[str]] = frozenset({"regression"})

    def update(self, outputs: Array, y: Array, weight: Array) -> RowSums:
        xp = namespace(outputs)
        error = outputs - y
        return RowSums(xp.sum(weight), xp.sum(weight[:, None] * error * error, axis=0))

    def compute(self, total: RowSums) -> float:
        return float(np.sqrt(total.value / total.weight).mean())


def measure_of(name: str) -> str:
    """A measure without the rows in its name.

    >>> measure_of("validation_accuracy")
    'accuracy'
    """
    for rows in _ROWS:
        name = name.removeprefix(rows)
    return name


def larger_is_better(name: str) -> bool:
    """Whether a measure grows as a network learns; the rows in its name are ignored.

    >>> larger_is_better("validation_accuracy"), larger_is_better("loss")
    (True, False)
    """
    measure = measure_of(name)
    kind = Metric.kinds.get(measure)
    return measure in _LARGER_IS_BETTER if kind is None else issubclass(kind, Metric) and kind.larger_is_better


def is_share(name: str) -> bool:
    """Whether a measure is a fraction of a whole and is written in percent; the rows in its name are ignored.

    >>> is_share("validation_accuracy"), is_share("loss")
    (True, False)
    """
    measure = measure_of(name)
    kind = Metric.kinds.get(measure)
    return measure in _SHARES if kind is None else issubclass(kind, Metric) and kind.is_share
