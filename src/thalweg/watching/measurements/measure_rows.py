"""Facts of the rows of a watched training, as its looks and evaluations saw them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from ...data import Task
from ...doctor.attainable import constant_loss
from ...doctor.rows.row_facts import ColumnShift
from ...doctor.rows.row_statistics import TargetOrder
from ..facts import SetScores, WatchedEpoch
from .measure_network import NetworkSource
from .watch_measurements import latest, latest_validation

_NAN = float("nan")


class RowSource(NetworkSource):
    """Adds the facts of `Measurements` that are about the task and the rows."""

    @cached_property
    def _last(self) -> WatchedEpoch | None:
        return latest(self.watched)

    @property
    def _training(self) -> SetScores | None:
        return self._last.training if self._last else None

    @property
    def _validation(self) -> SetScores | None:
        return latest_validation(self.watched)

    @cached_property
    def task(self) -> Task:
        if self._model.loss.task:
            return self._model.loss.task
        inputs = [look.loss_input for look in self._looks if look.loss_input]
        if inputs and inputs[0].target_type.startswith("int"):
            return "classification"
        # Yes and no, for a loss of the user's own.
        return "multilabel" if set(self._targets) == {0.0, 1.0} else "regression"

    @cached_property
    def _batch_rows(self) -> float:
        return float(np.median([look.batch.shape[0] for look in self._looks if look.batch and look.batch.shape] or [0]))

    @cached_property
    def updates_per_epoch(self) -> int:
        steps = [epoch.steps for epoch in self.watched.epochs if epoch.steps]
        return max(int(np.median(steps)) if steps else self.watched.steps, 1)

    @cached_property
    def rows(self) -> int:
        return int(self._batch_rows * self.updates_per_epoch)

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(f"input {column}" for column in range(len(self.column_sizes)))

    @cached_property
    def _columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and deviations of the input columns; inputs that are no table have one column."""
        batches = [look.batch for look in self._looks if look.batch and look.batch.type.startswith(("float", "bfloat"))]
        # One row has no deviation, a few have too small a one.
        means = [batch.column_means or (batch.mean,) for batch in batches]
        deviations = [batch.column_deviations or (batch.deviation,) for batch in batches]
        widths = [len(mean) for mean in means]
        if not widths or len(set(widths)) > 1:
            return np.zeros(0), np.zeros(0)
        mean = np.nanmean(np.array(means, float), axis=0)
        inside = np.nanmean(np.nan_to_num(np.array(deviations, float)) ** 2, axis=0)
        return mean, np.sqrt(inside + np.nanvar(np.array(means, float), axis=0))

    @cached_property
    def column_deviations(self) -> np.ndarray:
        return self._columns[1]

    @cached_property
    def column_sizes(self) -> np.ndarray:
        mean, deviation = self._columns
        return np.sqrt(mean**2 + deviation**2)

    @cached_property
    def _targets(self) -> np.ndarray:
        """The targets of the looks, one number a row (rows,)."""
        return np.array([value for look in self._looks if look.batch for value in look.batch.targets], float)

    @cached_property
    def target_deviation(self) -> float:
        known = [look.loss_input for look in self._looks if look.loss_input is not None]
        if self.task != "regression" or not known:
            return _NAN
        means = np.array([given.target_mean for given in known])
        inside = np.mean([given.target_deviation**2 for given in known])
        return float(np.sqrt(inside + np.var(means)))

    @cached_property
    def target_size(self) -> float:
        known = [look.loss_input for look in self._looks if look.loss_input is not None]
        if self.task != "regression" or not known:
            return _NAN
        return float(np.sqrt(np.mean([given.target_mean**2 + given.target_deviation**2 for given in known])))

    @cached_property
    def targets_out_of_range(self) -> float:
        low, high = self.output.output_range
        targets = self._targets
        return float(np.mean((targets < low) | (targets > high))) if len(targets) else _NAN

    @cached_property
    def _classes(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for look in self._looks:
            for name, count in (look.batch.classes if look.batch else {}).items():
                counts[name] = counts.get(name, 0) + count
        return counts

    @cached_property
    def majority(self) -> float:
        counts = self._classes.values()
        return max(counts) / sum(counts) if counts and self.task != "regression" else _NAN

    @cached_property
    def target_order(self) -> TargetOrder | None:
        """From the rows of the looks, each in the order of its batch."""
        batches = [np.array(look.batch.targets, float) for look in self._looks if look.batch]
        batches = [batch for batch in batches if len(batch) > 1 and np.isfinite(batch).all()]
        if len(batches) < 2:
            return None
        if self.task == "classification":
            return _order_of_classes(batches)
        total = np.concatenate(batches)
        deviations = [batch - total.mean() for batch in batches]
        variance = np.mean((total - total.mean()) ** 2)
        if not variance > 0:
            return None
        neighbours = np.concatenate([deviation[1:] * deviation[:-1] for deviation in deviations])
        between = sum(len(d) * d.mean() ** 2 for d in deviations) / (len(total) * variance)
        return TargetOrder(float(neighbours.mean() / variance), float(between), len(total), len(batches))

    @cached_property
    def validation_rows(self) -> int:
        return self._validation.rows if self._validation else 0

    @cached_property
    def validation_shift(self) -> ColumnShift | None:
        here, there = self._training, self._validation
        if here is None or there is None:
            return None
        mean, deviation = self._columns
        other = np.array(there.column_means or (there.input_mean,))
        shifts = {}
        if len(other) == len(mean) and (deviation > 0).any():
            shift = np.abs(other - mean) / np.where(deviation > 0.01 * deviation.max(), deviation, np.inf)
            shifts[self.column_names[int(shift.argmax())]] = float(shift.max())
        if self.task == "regression" and here.target_deviation > 0:
            shifts["the target"] = abs(there.target_mean - here.target_mean) / here.target_deviation
        name = max(shifts, key=lambda name: shifts[name], default="")
        return ColumnShift(name, shifts[name]) if name else None

    @cached_property
    def missing_classes(self) -> int:
        seen = {name for name, count in self._classes.items() if count}
        seen |= set(self._training.classes) if self._training else set()
        if not seen or self.task == "regression" or self._validation is None:
            return 0
        # The looks see a part of the rows: a class is missing if as many rows would show it.
        known = sum(self._classes.values())
        rows = self._validation.rows
        return sum(name not in seen and count / rows * known > 10 for name, count in self._validation.classes.items())

    @cached_property
    def constant_loss(self) -> float:
        """From the targets of all looks, where each row has a single one."""
        loss, targets = self._model.loss, self._targets
        if not len(targets) or not np.isfinite(targets).all() or loss.reduction != "mean":
            return _NAN
        if self.task == "classification":
            shares = np.unique(targets, return_counts=True)[1] / len(targets)
            return float(-np.sum(shares * np.log(shares))) if loss.takes in ("logits", "log_probabilities") else _NAN
        if self.task == "multilabel":
            return constant_loss("binary_cross_entropy", targets[:, None], self.task)
        kinds = {"huber": "", "mean_squared_error": "mean_squared_error", "mean_absolute_error": "mean_absolute_error"}
        kind = kinds.get(self.loss, "")
        several = any(
            look.loss_input and len(look.loss_input.target_shape) > 1 and look.loss_input.target_shape[1] > 1
            for look in self._looks
        )
        if several:
            return self.target_deviation**2 if kind == "mean_squared_error" else _NAN
        return constant_loss(kind, targets[:, None], self.task) if kind else _NAN


def _order_of_classes(batches: Iterable[np.ndarray]) -> TargetOrder | None:
    """Neighbours and batches by class: codes of classes are names, not sizes."""
    batches = list(batches)
    classes = np.unique(np.concatenate(batches))
    if len(classes) < 2:
        return None
    hot = [(batch[:, None] == classes).astype(float) for batch in batches]
    total = np.concatenate(hot)
    variance = float(np.sum(np.mean((total - total.mean(axis=0)) ** 2, axis=0)))
    deviations = [part - total.mean(axis=0) for part in hot]
    neighbours = np.concatenate([np.sum(part[1:] * part[:-1], axis=1) for part in deviations])
    between = sum(len(part) * float(np.sum(part.mean(axis=0) ** 2)) for part in deviations) / (len(total) * variance)
    return TargetOrder(float(neighbours.mean() / variance), between, len(total), len(batches))
