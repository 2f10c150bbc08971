"""Steps of a training one by one, with all their numbers, as a lesson tells them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ...data import Source
from ...engine.step import Batch, Plan, State, Trace, make_trace
from ...models.network import Network
from ...parts.metrics import ClassificationMetric
from ...parts.part import Loss, Optimizer


class Step(NamedTuple):
    """One step: the state before it, its trace, and the state after it."""

    before: State
    trace: Trace
    after: State


def batch_of(x: np.ndarray, y: np.ndarray) -> Batch:
    """Rows x (n, features) with their targets y (n,) or (n, K), each of weight 1."""
    return Batch(x, y, np.ones(len(x)))


def rows_of(source: str) -> Batch:
    """All rows of a small data source, as they are.

    >>> rows_of("xor").y.tolist()
    [0, 1, 1, 0]
    """
    samples = Source.of(source).load(seed=0)
    return batch_of(np.asarray(samples.x, dtype=float), np.asarray(samples.y))


def one_by_one(batch: Batch) -> list[Batch]:
    """Each row as a batch of its own."""
    return [Batch(*(array[row : row + 1] for array in batch)) for row in range(len(batch.y))]


def walk(network: Network, loss: Loss, optimizer: Optimizer, batches: Iterable[Batch]) -> Iterator[Step]:
    """The steps of a training, one for each batch, in NumPy and float64, each when it is asked for.

    >>> from itertools import repeat
    >>> from thalweg.parts.losses import SquaredError
    >>> from thalweg.parts.optimizers import SGD
    >>> batch = batch_of(np.array([[2.0]]), np.array([4.0]))
    >>> network = Network(["dense 1"], init={"kind": "given", "values": [[1]]})
    >>> steps = walk(network, SquaredError(), SGD(0.1), repeat(batch))
    >>> [float(next(steps).trace.loss) for _ in range(2)]
    [2.0, 0.5]
    """
    plan = Plan(network, loss, optimizer, ClassificationMetric())
    step = make_trace(plan)
    state: State | None = None
    for batch in batches:
        before = state or plan.start(0, batch.x.shape[1])
        # A rate that is too large is a part of some lessons.
        with np.errstate(all="ignore"):
            state, trace = step(before, batch)
        yield Step(before, trace, state)
