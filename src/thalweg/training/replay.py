"""A training replayed: its state before any step, and the whole trace of that step in NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..engine.eager import Eager
from ..engine.engine import Engine
from ..engine.step import Batch, Plan, State, Trace, batch_at, make_trace
from ..parts.settings import Precision
from .batch_plan import Chunk
from .callbacks import Callback
from .fit import fit
from .nan_search import Fault
from .session import Session


class StepState(NamedTuple):
    """A training before a step, as NumPy arrays.

    Attributes:
        state: the state.
        batch: the batch of the step.
        rows: places of the batch in the training rows, or in the part of them that is in memory; -1 is padding.
    """

    state: State
    batch: Batch
    rows: np.ndarray

    @property
    def step(self) -> int:
        """Updates done before the step."""
        return int(self.state.step)


class Replay(NamedTuple):
    """The states of a training before some of its steps, and the fault that ended it, where a number went wrong.

    States after the fault are left out.
    """

    states: list[StepState]
    fault: Fault | None


class _ReplayCallback(Callback):
    """Keeps the states before some steps, and stops the training after the last one."""

    def __init__(self, steps: Iterable[int]) -> None:
        self.steps = sorted(set(steps))
        self.states: list[StepState] = []

    def next_step(self, step: int) -> float:
        return next((asked for asked in self.steps if asked >= step), math.inf)

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, chunk: Chunk, index: int) -> None:
        data = Batch(*(np.asarray(array) for array in chunk.data))
        batch = batch_at(data, chunk.rows, index)
        self.states.append(StepState(engine.fetch(state), batch, chunk.rows[index]))
        if chunk.first + index == self.steps[-1]:
            self.stop = "the last state that was asked for is known"


def replay(session: Session, steps: Iterable[int], callbacks: Sequence[Callback] = ()) -> Replay:
    """The states of a training before each of the steps, which count from 0, on the engine that the spec names.

    Nothing is decided between its epochs: it does not stop early, and rates that follow a measure keep their first
    value.

    Raises KeyboardInterrupt at Ctrl-C.

    >>> from thalweg.spec.spec import Spec
    >>> session = Session.load(Spec.of({"data": {"source": "xor"}, "training": {"engine": "eager"}}))
    >>> [before.step for before in replay(session, [0, 3]).states]
    [0, 3]
    """
    callback = _ReplayCallback(steps)
    fitted = fit(session.without_decisions, [callback, *callbacks])
    if fitted.interrupted:
        raise KeyboardInterrupt
    fault = fitted.fault
    states = [before for before in callback.states if fault is None or before.step <= fault.step]
    return Replay(states, fault)


def trace_step(plan: Plan, before: StepState, precision: Precision = "float64") -> tuple[State, Trace]:
    """The step after `before` with all its numbers, computed in NumPy: the state after it, and its trace."""
    eager = Eager(precision)
    with np.errstate(all="ignore"):
        return make_trace(plan)(*eager.place((before.state, before.batch)))
