"""The way of a training, step by step: its state before any step, and the whole trace of that step in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .data import Split
from .engines import Precision, make_engine
from .spec import Spec
from .step import Batch, Plan, State, Trace, batch_at, make_trace
from .training import course_of, judge_of, plan_of, start_state


class Point(NamedTuple):
    """Where a training stands before a step: its state and the rows of the step to come, as NumPy arrays."""

    state: State
    batch: Batch

    @property
    def step(self) -> int:
        """How many updates have been done."""
        return int(self.state.step)


def the_plan(spec: Spec, split: Split) -> Plan:
    """The plan of a completed spec, durations of schedules in steps, rates that follow a measure as they start."""
    assert spec.network and spec.loss
    course = course_of(spec.network, spec.optimizer, spec.training, split.train, split.order)
    judge = judge_of(spec.stopping, spec.optimizer, course, split.validation)
    optimizer = judge.settled(judge.start())
    return plan_of(spec.network, spec.loss, optimizer, spec.training, spec.regularization, split.train)


def trail(spec: Spec, split: Split, steps: Iterable[int]) -> Iterator[Point]:
    """The points of a training before each of the steps (counted from 0, rising), on the engine that the spec names.

    >>> from thalweg.spec import completed
    >>> spec = Spec.of({"data": {"source": "xor"}, "training": {"engine": "eager"}})
    >>> split = spec.data.load(seed=0)
    >>> [point.step for point in trail(completed(spec, split.train), split, [0, 3])]
    [0, 3]
    """
    assert spec.network and spec.loss
    training, wanted = spec.training, sorted(set(steps))
    plan = the_plan(spec, split)
    engine = make_engine(training.engine, training.precision, training.device)
    course = course_of(spec.network, spec.optimizer, training, split.train, split.order)
    start = start_state(spec.network, spec.optimizer, training.seed, split.train.features, training.average)
    state = engine.place(start)
    for block in course.blocks(engine, 0, 1):
        done = 0
        while wanted and wanted[0] < block.first + block.steps:
            step = wanted.pop(0) - block.first
            if step > done:
                state, _ = engine.run(plan, state, block.data, block.rows, done, step)
            done = step
            data = Batch(*(np.asarray(array) for array in block.data))
            yield Point(engine.fetch(state), batch_at(data, block.rows, step))
        if not wanted:
            return
        state, _ = engine.run(plan, state, block.data, block.rows, done, block.steps)


def traced(plan: Plan, point: Point, precision: Precision = "float64") -> tuple[State, Trace]:
    """The step at a point with all its numbers, worked out in NumPy: the state after it, and its trace."""
    eager = make_engine("eager", precision)
    with np.errstate(all="ignore"):
        return make_trace(plan)(*eager.place(point))
