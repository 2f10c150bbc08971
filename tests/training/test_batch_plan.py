"""The rows of the coming steps: every epoch whole, in order, from wherever a training goes on."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.data import Dataset, EpochIndex, Shuffled
from thalweg.engine.engine import make_engine
from thalweg.training.batch_plan import BatchPlan, as_batch

DATA = Dataset(np.arange(22.0).reshape(11, 2), np.arange(11) % 2, "classification")
EPOCHS = 13


def course():
    return BatchPlan(DATA, Shuffled(), EpochIndex(3, 0, EPOCHS, 4), 4)


def rows_from(start, look_every):
    """The rows of every step from `start` on, and the blocks they came in."""
    blocks = list(course().chunks(make_engine("eager"), start, look_every))
    steps = {block.first + index: block.rows[index].tolist() for block in blocks for index in range(block.steps)}
    return {step: rows for step, rows in steps.items() if step >= start}, blocks


def expected():
    """Each epoch has a permutation of the eleven rows, in three steps of four; what is missing is -1."""
    steps = {}
    for epoch in range(EPOCHS):
        order = [*Shuffled().rows(EpochIndex(3, epoch, EPOCHS, 4), DATA).tolist(), -1]
        steps |= {3 * epoch + index: order[4 * index : 4 * index + 4] for index in range(3)}
    return steps


@pytest.mark.parametrize("start", [0, 1, 3, 17, 38])
@pytest.mark.parametrize("look_every", [1, 2, 5, 13, 100])
def test_every_step_from_the_start_on_has_its_rows(start, look_every):
    found, blocks = rows_from(start, look_every)
    assert found == {step: rows for step, rows in expected().items() if step >= start}
    # One program serves them all, and nobody who looks at an epoch's end comes too late.
    assert len({block.rows.shape for block in blocks}) == 1
    for block in blocks:
        first, last = block.first // 3, (block.first + block.steps) // 3
        assert (block.first % 3, block.steps % 3) == (0, 0)
        assert all(epoch % look_every for epoch in range(first + 1, last))


def test_a_finished_training_has_no_blocks():
    assert rows_from(3 * EPOCHS, 1) == ({}, [])


def test_rows_are_filled_up_with_rows_that_weigh_nothing():
    batch = as_batch(DATA, 14)
    assert batch.weight.tolist() == [1] * 11 + [0] * 3
    np.testing.assert_array_equal(batch.x[:11], DATA.x)
    assert len(batch.x) == len(batch.y) == 14
    assert as_batch(DATA).x is DATA.x
