"""Trainings watched at some of their steps: the size of delta layer by layer, and how well the network does by then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.arrays import Array, rms
from ...core.errors import InputError
from ...data import Data, Dataset, Source, Split
from ...engine.eager import Eager
from ...engine.step import Trace
from ...models.network import Network
from ...parts.layers import Dense, Residual
from ...spec.spec import CompleteSpec, Spec
from ...training.evaluate import evaluate
from ...training.replay import StepState, replay, trace_step
from ...training.session import Session


def sizes(network: Network, deltas: Sequence[Array]) -> np.ndarray:
    """The rms of delta behind each dense layer and each residual block, from the input to the output: (layers,)."""
    pairs = zip(network.layers, deltas, strict=True)
    return np.array([rms(delta) for layer, delta in pairs if isinstance(layer, Dense | Residual)])


@dataclass(frozen=True, eq=False)
class Watched:
    """A training at some of its steps: where it stood before each, and all numbers of that step."""

    spec: CompleteSpec
    split: Split
    points: list[StepState]
    traces: list[Trace]

    @property
    def network(self) -> Network:
        return self.spec.network

    @property
    def steps(self) -> list[int]:
        """The numbers of updates done before each of the steps."""
        return [point.step for point in self.points]

    def deltas(self) -> np.ndarray:
        """The rms of delta by step and layer: (steps, layers)."""
        return np.array([sizes(self.network, trace.deltas) for trace in self.traces])

    def score(self, measure: str) -> float:
        """A measure over the test rows, or the training rows where there are none, before the last of the steps."""
        state, rows = self.points[-1].state, self.split.test or self.split.train
        with np.errstate(all="ignore"):
            return evaluate(self.network, self.spec.loss, state, rows, Eager())[measure]


def classes_of(source: Source, seed: int) -> Dataset:
    """The training rows of a source, as the lessons take them: all that no test holds out.

    Raises InputError where they are not rows of classes.

    >>> rows = classes_of(Source.of("digits"), seed=0)
    >>> rows.features, rows.outputs
    (64, 10)
    """
    rows = Data(source, validation=0.0).load(seed).train
    if rows.task != "classification" or not isinstance(rows, Dataset):
        raise InputError("data", f"expected a source of classes, received {source.kind}, a task of {rows.task}")
    return rows


def watched(table: Mapping[str, Any], count: int | None = 30) -> Watched:
    """The training that the tables of a spec describe, at `count` steps evenly from first to last; None: at every step.

    >>> table = {"data": "xor", "network": {"layers": ["dense 3", "tanh", "dense 2", "softmax"]}}
    >>> seen = watched({**table, "training": {"epochs": 9, "engine": "eager"}}, 3)
    >>> seen.steps, seen.deltas().shape
    ([0, 4, 8], (3, 2))
    """
    session = Session.load(Spec.of(table))
    total = session.batches.steps
    steps = np.linspace(0, total - 1, min(count or total, total)).astype(int).tolist()
    points = replay(session, steps).states
    traces = [trace_step(session.plan, point)[1] for point in points]
    return Watched(session.spec, session.split, points, traces)
