"""The way of a training, step by step: its state before any step, and the whole trace of that step in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ..data import Split
from ..engine.engine import make_engine
from ..engine.step import Batch, Plan, State, StepMetrics, Trace, batch_at, make_trace
from ..parts.settings import Precision
from ..spec.spec import CompleteSpec
from .session import course_of, judge_of, plan_of, start_state


class StepState(NamedTuple):
    """Where a training stands before a step: its state and the batch of the step to come, as NumPy arrays.

    `rows` are the places of the batch in the training rows, or in the part of them that is in memory; -1 is padding.
    `sound` says whether the losses of all steps before, and all numbers of the state, are finite.
    """

    state: State
    batch: Batch
    rows: np.ndarray
    sound: bool

    @property
    def step(self) -> int:
        """How many updates have been done."""
        return int(self.state.step)


def plan_for(spec: CompleteSpec, split: Split) -> Plan:
    """The plan of a completed spec, durations of schedules in steps, rates that follow a measure as they start."""
    course = course_of(spec.network, spec.optimizer, spec.training, split.train, split.order)
    judge = judge_of(spec.stopping, spec.optimizer, course, split.validation)
    optimizer = judge.frozen(judge.start())
    return plan_of(spec.network, spec.loss, optimizer, spec.training, spec.regularization, split.train)


def replay(spec: CompleteSpec, split: Split, steps: Iterable[int]) -> Iterator[StepState]:
    """The points of a training before each of the steps (counted from 0, rising), on the engine that the spec names.

    >>> from thalweg.spec.spec import Spec
    >>> from thalweg.spec.complete import completed
    >>> spec = Spec.of({"data": {"source": "xor"}, "training": {"engine": "eager"}})
    >>> split = spec.data.load(seed=0)
    >>> [point.step for point in replay(completed(spec, split.train), split, [0, 3])]
    [0, 3]
    """
    training, wanted = spec.training, sorted(set(steps))
    plan = plan_for(spec, split)
    engine = make_engine(training.engine, training.precision, training.device)
    course = course_of(spec.network, spec.optimizer, training, split.train, split.order)
    start = start_state(spec.network, spec.optimizer, training.seed, split.train.features, training.average)
    state, finite = engine.place(start), True
    for block in course.blocks(engine, 0, 1):
        done = 0
        while wanted and wanted[0] < block.first + block.steps:
            step = wanted.pop(0) - block.first
            if step > done:
                state, report = engine.run(plan, state, block.data, block.rows, done, step)
                finite = finite and _finite(report, step - done)
            done = step
            data = Batch(*(np.asarray(array) for array in block.data))
            sound = finite and engine.finite(state)
            yield StepState(engine.fetch(state), batch_at(data, block.rows, step), block.rows[step], sound)
        if not wanted:
            return
        if block.steps > done:
            state, report = engine.run(plan, state, block.data, block.rows, done, block.steps)
            finite = finite and _finite(report, block.steps - done)


def _finite(report: StepMetrics, steps: int) -> bool:
    """Whether the losses of that many steps are finite."""
    return bool(np.isfinite(np.asarray(report.scores.loss)[:steps]).all())


def trace_step(plan: Plan, point: StepState, precision: Precision = "float64") -> tuple[State, Trace]:
    """The step at a point with all its numbers, worked out in NumPy: the state after it, and its trace."""
    eager = make_engine("eager", precision)
    with np.errstate(all="ignore"):
        return make_trace(plan)(*eager.place((point.state, point.batch)))
