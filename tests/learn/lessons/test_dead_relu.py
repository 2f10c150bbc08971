"""Dead ReLUs, against PyTorch trained on the same batches, and bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, check_about, failed, table_of
from torch_twin import Twin

from thalweg.engine.step import fused
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.dead_relu import DeadReLULesson
from thalweg.pages.blocks import Check
from thalweg.parts.layers import LeakyReLU, ReLU

LESSON = DeadReLULesson(epochs=2)


@pytest.fixture(scope="module")
def killing():
    """A training at the large rate, recorded at every step."""
    return LESSON.training(ReLU(), LESSON.large_rate, bias=0.0)


def replayed(run, rate):
    """The same batches in PyTorch: the weights before each step."""
    network, _ = fused(run.network, run.spec.loss)
    twin = Twin(network, run.points[0].state.params)
    optimizer = twin.torch.optim.SGD(twin.weights, lr=rate)
    for trace in run.traces:
        yield [value.copy() for value in twin.values]
        twin.survey(trace.batch)
        optimizer.step()


def test_the_training_is_pytorchs(killing):
    for point, theirs in zip(killing.points, replayed(killing, LESSON.large_rate), strict=True):
        hidden = point.state.params[0]
        np.testing.assert_allclose(hidden.W, theirs[0], atol=1e-8)
        np.testing.assert_allclose(hidden.b, theirs[1], atol=1e-8)


def test_units_die_one_after_another_and_pytorchs_die_in_the_same_steps(killing):
    x = killing.split.train.x.astype(float)
    theirs = [(x @ W + b).max(axis=0) <= 0 for W, b, *_ in replayed(killing, LESSON.large_rate)]
    ours = LESSON.largest_inputs(killing) <= 0
    np.testing.assert_array_equal(ours, theirs)
    counts = ours.sum(axis=1)
    assert counts[0] == 0
    assert counts[-1] > 16
    assert (np.diff(counts) >= 0).all()


def test_no_bit_of_a_dead_unit_changes(killing):
    dead = LESSON.largest_inputs(killing) <= 0
    last = killing.points[-1].state.params[0]
    for point, units in zip(killing.points, dead, strict=True):
        assert point.state.params[0].W[:, units].tobytes() == last.W[:, units].tobytes()
        assert point.state.params[0].b[units].tobytes() == last.b[units].tobytes()


def test_a_leaky_unit_gets_a_gradient_in_every_step():
    run = LESSON.training(LeakyReLU(0.1), LESSON.learning_rate, bias=-3.0)
    assert (LESSON.largest_inputs(run)[0] <= 0).all()
    for trace in run.traces:
        assert (np.abs(trace.grads[0].b) > 0).all()


def test_the_checks_of_the_quick_form_hold():
    page = lesson_of("dead-relu", quick=True).page()
    assert len(blocks_of(page, Check)) == 8
    assert not failed(page)
    death = table_of(page, "the step that kills it")
    before = [row for row in death.rows if row[1] > 0]
    after = [row for row in death.rows if row[1] <= 0]
    assert len(before) * len(after) > 0
    assert all(row[2] > 0 for row in before)
    assert all(row[2:] == [0.0, 0.0] for row in after)


def test_with_a_rate_that_kills_no_unit_a_check_fails():
    check = check_about(DeadReLULesson(epochs=1, large_rate=0.01).page(), "units die")
    assert not check.holds
    assert "0 of 32 units" in check.says
