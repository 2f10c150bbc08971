"""Training steps one by one, each with all its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ..core.arrays import Array
from ..data import Source
from ..engine.step import Batch, Plan, State, Trace, make_trace
from ..models.network import Network
from ..parts.part import Loss, Optimizer
from ..parts.task_metrics import ClassificationMetric


class TrainingStep(NamedTuple):
    """One step: the state before it, its trace, and the state after it."""

    before: State
    trace: Trace
    after: State


def unweighted_batch(x: Array, y: Array) -> Batch:
    """A batch of rows x (n, features) with targets y (n,) or (n, K), each row of weight 1."""
    return Batch(x, y, np.ones(len(x)))


def load_rows(source: str) -> Batch:
    """All rows of a small data source, unscaled.

    >>> load_rows("xor").y.tolist()
    [0, 1, 1, 0]
    """
    samples = Source.of(source).load(seed=0)
    return unweighted_batch(np.asarray(samples.x, dtype=float), np.asarray(samples.y))


def single_row_batches(batch: Batch) -> list[Batch]:
    """Split a batch into batches of one row each."""
    return [Batch(*(array[row : row + 1] for array in batch)) for row in range(len(batch.y))]


def training_steps(
    network: Network, loss: Loss, optimizer: Optimizer, batches: Iterable[Batch]
) -> Iterator[TrainingStep]:
    """Train in NumPy and float64 from seed 0, one step a batch, and yield each step when it is asked for.

    >>> from itertools import repeat
    >>> from thalweg.parts.losses import SquaredError
    >>> from thalweg.parts.optimizers import SGD
    >>> batch = unweighted_batch(np.array([[2.0]]), np.array([4.0]))
    >>> network = Network(["dense 1"], init={"kind": "given", "values": [[1]]})
    >>> steps = training_steps(network, SquaredError(), SGD(0.1), repeat(batch))
    >>> [float(next(steps).trace.loss) for _ in range(2)]
    [2.0, 0.5]
    """
    plan = Plan(network, loss, optimizer, ClassificationMetric())
    step = make_trace(plan)
    state: State | None = None
    for batch in batches:
        before = state or plan.start(0, batch.x.shape[1])
        # Some lessons diverge on purpose.
        with np.errstate(all="ignore"):
            state, trace = step(before, batch)
        yield TrainingStep(before, trace, state)
