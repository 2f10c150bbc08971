"""The metrics of a network over whole data sets, and its predictions for many rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from ..core.arrays import Array, map_arrays
from ..core.errors import InputError, Problem
from ..core.printable import received
from ..data import Dataset, Preprocessing, RowSource, Task
from ..engine.engine import Engine
from ..engine.step import Batch, Plan, State, fused, inference_state, measure_at, predict
from ..models.network import Network
from ..parts.metrics import Metric, measure_of
from ..parts.optimizers import SGD
from ..parts.part import Loss
from ..parts.task_metrics import (
    BalancedMetric,
    ClassificationMetric,
    JoinedMetric,
    MetricSums,
    RegressionMetric,
    TaskMetric,
    balanced_weights,
)
from .batch_plan import as_batch, filled, in_batches
from .callbacks import Record
from .history import totals

if TYPE_CHECKING:
    from ..engine.compiled import Compiled

_ROWS = 2048
# What a record of an epoch has besides the measures of the training, and what is measured at its end.
_TAKEN = ("epoch", "step", "learning_rate", "clipped", "penalty", "objective", "balanced_accuracy")


def metric_for(
    network: Network,
    loss: Loss,
    data: RowSource,
    preprocessing: Preprocessing | None = None,
    others: Sequence[Metric] = (),
) -> TaskMetric:
    """The metric of a task: accuracy for classes and labels, R² and the mean absolute error for regression.

    Args:
        network: decides with the loss where an output changes from no to yes.
        loss: the loss of the training.
        data: gives the task and, for a regression, the variance of its targets.
        preprocessing: gives the units of a regression's target; None: those of the outputs.
        others: further metrics, whose measures stand beside those of the task.

    Raises:
        InputError: a further metric is not defined for the task, or its measure is there already.
    """
    return _joined(_task_metric(network, loss, data, preprocessing), data.task, preprocessing, others)


def _task_metric(network: Network, loss: Loss, data: RowSource, preprocessing: Preprocessing | None) -> TaskMetric:
    if data.task == "regression":
        variance = data.target_variance
        units = np.broadcast_to(preprocessing.target_unit if preprocessing else 1.0, variance.shape)
        return RegressionMetric(tuple(map(float, variance)), tuple(map(float, units)))
    return ClassificationMetric(fused(network, loss)[1].threshold)


def _joined(
    metric: TaskMetric, task: Task, preprocessing: Preprocessing | None, others: Sequence[Metric]
) -> TaskMetric:
    if not others:
        return metric
    names = [*dict.fromkeys((*metric.measures, *_TAKEN)), *(other.kind for other in others)]
    problems = [
        Problem("", f"{other.kind} is not defined for {task}, only for {' and '.join(sorted(other.tasks))}")
        for other in others
        if task not in other.tasks
    ]
    problems += [
        Problem("", f"{received(other.kind)} is no name of a measure; state another kind in the class")
        for other in others
        if measure_of(other.kind) != other.kind
    ]
    problems += [Problem("", f"{name} is there already") for name in dict.fromkeys(names) if names.count(name) > 1]
    if problems:
        raise InputError("training.metrics", problems)
    if preprocessing is None or task != "regression":
        return JoinedMetric(metric, tuple(others))
    return JoinedMetric(metric, tuple(others), preprocessing.target_span, preprocessing.target_shift)


def measures_of(task: Task, others: Sequence[Metric] = ()) -> tuple[str, ...]:
    """The names of the measures of a task and of further metrics, the loss first."""
    of_task = (RegressionMetric if task == "regression" else ClassificationMetric).measures
    return (*of_task, *(other.kind for other in others))


def evaluate(
    network: Network,
    loss: Loss,
    state: State,
    data: RowSource,
    engine: Engine,
    preprocessing: Preprocessing | None = None,
    others: Sequence[Metric] = (),
) -> Record:
    """The loss and the metric of a network over a whole data set; for classes and labels also the balanced accuracy.

    Args:
        network: the network.
        loss: the loss.
        state: NumPy arrays; the averaged parameters count where an average is kept.
        data: prepared rows.
        engine: where it is computed.
        preprocessing: as `metric_for` takes it.
        others: as `metric_for` takes them.
    """
    metric = _task_metric(network, loss, data, preprocessing)
    if isinstance(metric, ClassificationMetric):
        metric = BalancedMetric(metric.threshold)
    plan = Plan(network, loss, SGD(), _joined(metric, data.task, preprocessing, others))
    return evaluator(plan, engine, data)(engine.place(inference_state(state)))


def evaluator(plan: Plan, engine: Engine, data: RowSource) -> Callable[[State], Record]:
    """A function of a placed state that measures it over all rows. Rows in memory are placed on the device once."""

    def placed(part: Dataset) -> tuple[Batch, Array]:
        size = min(len(data), _ROWS)
        # The numbers of the rows are placed too, or each call would copy them.
        return engine.place(as_batch(part, size)), engine.place(in_batches(np.arange(len(part)), size))

    kept = [placed(data)] if isinstance(data, Dataset) else None

    def measure(state: State) -> Record:
        sums: list[MetricSums] = []
        for batch, rows in kept or map(placed, data.parts()):
            of_part = [engine.call(measure_at, plan, state, batch, rows, index) for index in range(len(rows))]
            # Fetched before the next part is placed, which would wait in memory until the device is ready for it.
            sums += map(engine.fetch, of_part)
        return totals(plan.metric, map_arrays(lambda *values: np.stack(values), *sums))

    return measure


def joint_evaluator(
    plans: Sequence[Plan], engine: Compiled, sets: Sequence[Dataset]
) -> Callable[[State], list[Record]]:
    """`evaluator` for several trainings at once: a function of stacked states that measures each over its own rows.

    Args:
        plans: one for each training, of one structure.
        engine: where they are trained.
        sets: the rows of each, equally many.
    """
    size = min(len(sets[0]), _ROWS)
    stacked = engine.stacked(plans)
    batches = engine.stacked([as_batch(data, size) for data in sets])
    rows = engine.place(in_batches(np.arange(len(sets[0])), size))

    def measure(states: State) -> list[Record]:
        members = (stacked, states, batches)
        sums = [engine.fetch(engine.call_each(measure_at, members, rows, index)) for index in range(len(rows))]
        whole = map_arrays(lambda *values: np.stack(values, axis=1), *sums)
        each = (map_arrays(itemgetter(number), whole) for number in range(len(plans)))
        return [totals(plan.metric, own) for plan, own in zip(plans, each, strict=True)]

    return measure


def score_parts(network: Network, loss: Loss, state: State, data: Dataset, engine: Engine) -> np.ndarray:
    """The part that each row has in a score (n,). Their sum is the balanced accuracy of classes or labels, or the R² of
    numbers (its mean over the outputs), where all rows count alike.

    Classes: w [predicted = y] with the balanced weights w. Numbers: (1 - (y - t)² / variance t) / n.

    Args:
        network: the network.
        loss: the loss.
        state: NumPy arrays; the averaged parameters count where an average is kept.
        data: prepared rows.
        engine: where it is computed.
    """
    outputs = predict_batches(network, loss, state, data.x, engine)
    if data.task == "regression":
        variance = data.y.var(axis=0, dtype=np.float64)
        squares = (outputs - data.y) ** 2 / np.where(variance > 0, variance, np.inf)
        return np.asarray((1 - squares).mean(axis=1) / len(data))
    decided = loss.chosen_classes(outputs) if data.task == "classification" else outputs > loss.decision_threshold
    return np.asarray((balanced_weights(data.y) * (decided == data.y)).reshape(len(data), -1).sum(axis=1))


def predict_batches(network: Network, loss: Loss, state: State, x: np.ndarray, engine: Engine) -> np.ndarray:
    """The outputs (n, K) of a network for prepared rows x (n, features): probabilities or values."""
    placed = engine.place(inference_state(state))
    # Padded to a power of two, so that a few compiled programs serve any number of rows.
    size = min(1 << (len(x) - 1).bit_length(), _ROWS)
    parts = (filled(x[start : start + size], size) for start in range(0, len(x), size))
    outputs = [engine.call(predict, network, loss, placed.params, placed.layers, engine.place(part)) for part in parts]
    return np.concatenate(outputs)[: len(x)]
