"""Records of epochs, built from the metrics of their steps."""

from __future__ import annotations

import numpy as np

from ..core.arrays import Tree, leaves, map_arrays
from ..engine.step import StepMetrics
from ..parts.task_metrics import TaskMetric
from .callbacks import Record


def totals(metric: TaskMetric, sums: Tree) -> Record:
    """The values of a metric from its sums, stacked over batches along the first axis."""
    total = map_arrays(lambda values: values.sum(axis=0, dtype=float), sums)
    return {name: float(value) for name, value in metric.compute(total).items()}


class HistoryBuilder:
    """Collects the metrics of steps, and makes a record of each epoch that they complete.

    Args:
        metric: what the steps have summed up.
        per_epoch: updates in an epoch.
        history: records of the epochs before.
        reports: metrics of the steps of the running epoch, one array for each of their numbers.
    """

    def __init__(
        self, metric: TaskMetric, per_epoch: int, history: tuple[Record, ...], reports: tuple[np.ndarray, ...]
    ) -> None:
        self.metric = metric
        self.per_epoch = per_epoch
        self.history = list(history)
        self._parts = [reports] if reports else []

    def add(self, metrics: StepMetrics) -> list[Record]:
        """Take the metrics of some steps; return the records of the epochs that they complete."""
        known = len(self.history)
        self._parts.append(tuple(leaves(metrics)))
        steps = sum(len(part[0]) for part in self._parts)
        count = steps // self.per_epoch
        if count:
            joined = self.reports
            cut = count * self.per_epoch
            numbers = iter(array[:cut].reshape(count, self.per_epoch, *array.shape[1:]) for array in joined)
            self.history += self._records(map_arrays(lambda _: next(numbers), metrics), count)
            self._parts = [tuple(array[cut:] for array in joined)] if steps > cut else []
        return self.history[known:]

    @property
    def reports(self) -> tuple[np.ndarray, ...]:
        """The numbers of the metrics of the running epoch, each with a first axis over its steps."""
        return tuple(np.concatenate(arrays) for arrays in zip(*self._parts, strict=True))

    def _records(self, metrics: StepMetrics, count: int) -> list[Record]:
        """Records of `count` whole epochs from metrics of shape (epochs, steps of an epoch, ...)."""
        sums = map_arrays(lambda values: values.sum(axis=1, dtype=float), metrics.sums)
        # Not a count of the records: those of a damaged file may have gaps.
        done = int(self.history[-1]["epoch"]) if self.history else 0
        epochs = done + 1 + np.arange(count)
        columns = {
            "epoch": epochs,
            "step": epochs * self.per_epoch,
            "learning_rate": metrics.learning_rate[:, -1],
            **self.metric.compute(sums),
        }
        if not isinstance(metrics.clipped, tuple):
            columns["clipped"] = metrics.clipped.mean(axis=1, dtype=float)
        if not isinstance(metrics.penalty, tuple):
            # Like the loss: a mean over the rows.
            weight = metrics.sums.weight
            columns["penalty"] = (metrics.penalty * weight).sum(axis=1, dtype=float) / weight.sum(axis=1, dtype=float)
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]
