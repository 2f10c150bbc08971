"""The scores of a network over whole data sets, and its predictions for many rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.arrays import Array, Tree, map_arrays
from ..data import Dataset, RowSource, Task
from ..engine.engine import Engine
from ..engine.step import Batch, Plan, State, fused, inference_state, measure_at, predict
from ..models.network import Network
from ..parts.metrics import ClassificationMetric, Metric, RegressionMetric
from ..parts.optimizers import SGD
from ..parts.part import Loss
from .batch_plan import as_batch, in_batches

_MEASURE_ROWS = 2048


def scores_for(data: RowSource, loss: Loss, network: Network, unit: np.ndarray | float) -> Metric:
    """The measures of a task: accuracy for classes and labels, R² and the mean absolute error for numbers."""
    if data.task == "regression":
        variance = data.target_variance
        return RegressionMetric(tuple(map(float, variance)), tuple(map(float, np.broadcast_to(unit, variance.shape))))
    return ClassificationMetric(fused(network, loss)[1].threshold)


def measures_of(task: Task) -> tuple[str, ...]:
    """The names of the measures of a task, the loss first."""
    return (RegressionMetric if task == "regression" else ClassificationMetric).measures


def evaluate(
    network: Network, loss: Loss, state: State, data: RowSource, engine: Engine, unit: np.ndarray | float = 1.0
) -> dict[str, float]:
    """The loss and the scores over a whole data set, with the weights as they are in `state` (NumPy arrays)."""
    plan = Plan(network, loss, SGD(), scores_for(data, loss, network, unit))
    return _measuring(plan, engine, data)(engine.place(inference_state(state)))


def _measuring(plan: Plan, engine: Engine, data: RowSource) -> Callable[[State], dict[str, float]]:
    """A function of the state that measures it over all rows; rows in memory are placed on the device once."""

    def placed(part: Dataset) -> tuple[Batch, Array]:
        size = min(len(data), _MEASURE_ROWS)
        return engine.place(as_batch(part, size)), in_batches(np.arange(len(part)), size)

    kept = [placed(data)] if isinstance(data, Dataset) else None

    def measure(state: State) -> dict[str, float]:
        parts = kept or map(placed, data.parts())
        sums = [
            engine.call(measure_at, plan, state, batch, rows, index)
            for batch, rows in parts
            for index in range(len(rows))
        ]
        return _summary(plan.scores, map_arrays(lambda *values: np.stack([np.asarray(v) for v in values]), *sums))

    return measure


def _summary(scores: Metric, sums: Tree) -> dict[str, float]:
    total = map_arrays(lambda values: values.sum(axis=0, dtype=float), sums)
    return {name: float(value) for name, value in scores.compute(total).items()}


def predict_batches(network: Network, loss: Loss, state: State, x: np.ndarray, engine: Engine) -> np.ndarray:
    """What the network answers for the rows of x (n, features): probabilities or values, (n, K)."""
    placed = engine.place(inference_state(state))
    # Filled up to a power of two, so that a few compiled programs serve any number of rows.
    size = min(1 << (len(x) - 1).bit_length(), _MEASURE_ROWS)
    full = np.concatenate([x, np.zeros((-len(x) % size, x.shape[1]), x.dtype)])
    parts = [engine.place(full[start : start + size]) for start in range(0, len(full), size)]
    return np.concatenate([engine.call(predict, network, loss, placed.params, placed.layers, part) for part in parts])[
        : len(x)
    ]
