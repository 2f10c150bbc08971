"""Terrain and vehicle, against PyTorch's deltas and its optimizers' first steps."""

from __future__ import annotations

import numpy as np
import pytest
from torch_twin import Twin

from thalweg.engine.step import fused
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.terrain import TerrainLesson
from thalweg.learn.recorded_training import record_training
from thalweg.pages.blocks import Chart, Check, Table

LESSON = TerrainLesson(epochs=1, seeds=1)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_delta_and_the_first_update_are_pytorchs(activation, optimizer):
    seen = record_training(LESSON.table(activation, optimizer, seed=2))
    network, _ = fused(seen.network, seen.spec.loss)
    trace, start = seen.traces[0], seen.points[0].state.params
    twin = Twin(network, start)
    twin.survey(trace.batch)
    theirs = [np.sqrt((delta**2).mean()) for delta in twin.deltas[::2]]
    np.testing.assert_allclose(seen.deltas()[0], theirs, rtol=1e-9)
    rules = {"sgd": (twin.torch.optim.SGD, LESSON.sgd_rate), "adam": (twin.torch.optim.Adam, LESSON.adam_rate)}
    rule, rate = rules[optimizer]
    rule(twin.weights, lr=rate).step()
    np.testing.assert_allclose(trace.updates[0].W, twin.values[0] - start[0].W, rtol=1e-6, atol=1e-12)


def test_the_pairs_meet_the_same_rows_from_the_same_weights():
    sgd, adam = (record_training(LESSON.table("relu", optimizer, seed=0)) for optimizer in ("sgd", "adam"))
    sigmoid = record_training(LESSON.table("sigmoid", "sgd", seed=0))
    np.testing.assert_array_equal(sgd.points[0].state.params[0].W, adam.points[0].state.params[0].W)
    for one, other, third in zip(sgd.points, adam.points, sigmoid.points, strict=True):
        np.testing.assert_array_equal(one.batch.x, other.batch.x)
        np.testing.assert_array_equal(one.batch.x, third.batch.x)


@pytest.fixture(scope="module")
def blocks():
    return lesson_of("terrain", quick=True).page().blocks


def test_every_claim_of_the_quick_form_holds(blocks):
    claims = [block for block in blocks if isinstance(block, Check)]
    assert len(claims) == 7
    assert all(claim.holds for claim in claims), [claim.says for claim in claims if not claim.holds]


def test_four_losses_and_four_maps_are_drawn(blocks):
    curves, maps = (block.figure for block in blocks if isinstance(block, Chart))
    names = ["sigmoid + sgd", "sigmoid + adam", "relu + sgd", "relu + adam"]
    assert [line.name for line in curves.data if line.name] == names
    assert [panel.z.shape for panel in maps.data] == [(5, 30)] * 4
    table = next(block for block in blocks if isinstance(block, Table))
    assert [row[0] for row in table.rows] == names


def test_an_easy_terrain_makes_the_first_claim_false_and_the_page_says_so():
    """One hidden layer of sigmoids is no plateau."""
    claims = [
        block
        for block in TerrainLesson(depth=1, epochs=6, seeds=1, sgd_rate=1.0).page().blocks
        if isinstance(block, Check)
    ]
    assert claims[0].says.startswith("sigmoid + sgd guesses")
    assert not claims[0].holds
