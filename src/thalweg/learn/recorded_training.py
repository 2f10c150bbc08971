"""A training recorded at some of its steps: the size of delta in each layer, and the score of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Array, rms
from ..core.errors import InputError
from ..data import Data, Dataset, Source, Split
from ..engine.eager import Eager
from ..engine.step import Trace
from ..models.network import Network
from ..spec.spec import CompleteSpec, Spec
from ..training.evaluate import evaluate
from ..training.replay import StepState, replay, trace_step
from ..training.session import Session


def delta_rms(network: Network, deltas: Sequence[Array]) -> Array:
    """The RMS of delta after each dense layer and each residual block, from the input to the output: (layers,)."""
    pairs = zip(network.layers, deltas, strict=True)
    return np.array([rms(delta) for layer, delta in pairs if layer.has_weights or layer.inner])


@dataclass(frozen=True, eq=False)
class RecordedTraining:
    """A training, recorded at some of its steps.

    Attributes:
        spec: The completed spec.
        split: The rows that it trains on and is tested on.
        points: The state before each recorded step, and its batch.
        traces: All numbers of each recorded step.
    """

    spec: CompleteSpec
    split: Split
    points: list[StepState]
    traces: list[Trace]

    @property
    def network(self) -> Network:
        """The network of the spec."""
        return self.spec.network

    @property
    def steps(self) -> list[int]:
        """The number of updates made before each recorded step."""
        return [point.step for point in self.points]

    def deltas(self) -> Array:
        """The RMS of delta by step and layer: (steps, layers)."""
        return np.array([delta_rms(self.network, trace.deltas) for trace in self.traces])

    def score(self, measure: str) -> float:
        """A measure on the test rows (training rows if there are none), before the last recorded step."""
        state = self.points[-1].state
        rows = self.split.test or self.split.train
        with np.errstate(all="ignore"):
            return evaluate(self.network, self.spec.loss, state, rows, Eager())[measure]


def classification_rows(source: Source, seed: int) -> Dataset:
    """The training rows of a source when no rows are held out for validation.

    Raises InputError if the source is not a classification task.

    >>> rows = classification_rows(Source.of("digits"), seed=0)
    >>> rows.features, rows.outputs
    (64, 10)
    """
    rows = Data(source, validation=0.0).load(seed).train
    if rows.task != "classification" or not isinstance(rows, Dataset):
        raise InputError("data", f"expected a source of classes, received {source.kind}, a task of {rows.task}")
    return rows


def record_training(table: Mapping[str, object], count: int | None = 30) -> RecordedTraining:
    """Train by a spec and record `count` steps, evenly spaced from the first to the last; None records every step.

    >>> table = {"data": "xor", "network": {"layers": ["dense 3", "tanh", "dense 2", "softmax"]}}
    >>> recorded = record_training({**table, "training": {"epochs": 9, "engine": "eager"}}, 3)
    >>> recorded.steps, recorded.deltas().shape
    ([0, 4, 8], (3, 2))
    """
    session = Session.load(Spec.of(table))
    total = session.batches.steps
    steps = np.linspace(0, total - 1, min(count or total, total)).astype(int).tolist()
    points = replay(session, steps).states
    return RecordedTraining(
        spec=session.spec,
        split=session.split,
        points=points,
        traces=[trace_step(session.plan, point)[1] for point in points],
    )
