"""The trail of a training: its points are those that the training itself goes through."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from thalweg.core.arrays import arrays_of
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec
from thalweg.training.replay import replay, trace_step
from thalweg.training.session import Session

LAYERS = ["dense 6", "batch_norm", "tanh", "dropout 0.2", "dense 2", "softmax"]


def spec_of(**training):
    data = {"source": "moons 50", "validation": 0.2, "test": 0.0}
    return Spec.of(
        {"data": data, "network": {"layers": LAYERS}, "training": {"epochs": 3, "batch_size": 16, **training}}
    )


def assert_same(tree, other, rtol=0.0):
    for (place, array), (_, expected) in zip(arrays_of(tree), arrays_of(other), strict=True):
        np.testing.assert_allclose(array, expected, rtol=rtol, atol=rtol, err_msg=place)


@pytest.mark.parametrize(("engine", "rtol"), [("eager", 0.0), ("compiled", 1e-4)])
def test_the_traced_last_step_ends_where_the_training_ends(engine, rtol):
    spec = spec_of(engine=engine)
    session = Session.load(spec)
    (last,) = replay(session, [3 * 3 - 1]).states
    after, _ = trace_step(session.plan, last)
    run = run_spec(spec)
    assert_same(after.params, run.params, rtol)
    assert_same(after.layers, run.state.layers, rtol)


def test_each_traced_step_leads_to_the_next_point():
    spec = spec_of(engine="eager", accumulate=2, average=0.9)
    session = Session.load(spec)
    points = replay(session, range(6)).states
    assert [point.step for point in points] == [*range(6)]
    for point, following in itertools.pairwise(points):
        after, _ = trace_step(session.plan, point)
        assert_same(after, following.state)


def test_rows_say_where_the_batch_comes_from():
    spec = spec_of(engine="eager")
    session = Session.load(spec)
    points = replay(session, range(3)).states
    met = np.concatenate([point.rows for point in points])
    assert sorted(met) == [-1] * 8 + [*range(40)]
    for point in points:
        real = point.rows >= 0
        np.testing.assert_array_equal(point.batch.x[real], session.split.train.x[point.rows[real]])
        np.testing.assert_array_equal(point.batch.weight, real.astype(float))


def test_states_after_the_step_that_diverges_are_left_out():
    spec = Spec.of({"data": {"source": "wave 50"}, "optimizer": "sgd 1e8", "training": {"engine": "eager"}})
    session = Session.load(spec)
    points = replay(session, range(12)).states
    with np.errstate(over="ignore"):
        run = run_spec(spec)
    step = int(run.diverged.partition(" at step ")[2].split()[0])
    assert [point.step for point in points] == list(range(step))
