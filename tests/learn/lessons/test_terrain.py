"""Terrain and vehicle, against PyTorch's deltas and its optimizers' first steps."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, check_about, failed, table_of
from torch_twin import Twin

from thalweg.engine.step import fused
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.terrain import TerrainLesson
from thalweg.learn.recorded_training import record_training
from thalweg.pages.blocks import Chart, Check

LESSON = TerrainLesson(epochs=1, seeds=1)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_delta_and_the_first_update_are_pytorchs(activation, optimizer):
    recorded = record_training(LESSON.table(activation, optimizer, seed=2))
    network, _ = fused(recorded.network, recorded.spec.loss)
    trace = recorded.traces[0]
    start = recorded.points[0].state.params
    twin = Twin(network, start)
    twin.survey(trace.batch)
    theirs = [np.sqrt((delta**2).mean()) for delta in twin.deltas[::2]]
    np.testing.assert_allclose(recorded.deltas()[0], theirs, rtol=1e-9)
    optimizers = {"sgd": (twin.torch.optim.SGD, LESSON.sgd_rate), "adam": (twin.torch.optim.Adam, LESSON.adam_rate)}
    kind, rate = optimizers[optimizer]
    kind(twin.weights, lr=rate).step()
    np.testing.assert_allclose(trace.updates[0].W, twin.values[0] - start[0].W, rtol=1e-6, atol=1e-12)


def test_the_pairs_use_the_same_rows_from_the_same_weights():
    sgd, adam = (record_training(LESSON.table("relu", optimizer, seed=0)) for optimizer in ("sgd", "adam"))
    sigmoid = record_training(LESSON.table("sigmoid", "sgd", seed=0))
    np.testing.assert_array_equal(sgd.points[0].state.params[0].W, adam.points[0].state.params[0].W)
    for one, other, third in zip(sgd.points, adam.points, sigmoid.points, strict=True):
        np.testing.assert_array_equal(one.batch.x, other.batch.x)
        np.testing.assert_array_equal(one.batch.x, third.batch.x)


@pytest.fixture(scope="module")
def page():
    return lesson_of("terrain", quick=True).page()


def test_the_checks_of_the_quick_form_hold(page):
    assert len(blocks_of(page, Check)) == 7
    assert not failed(page)


def test_four_losses_and_four_maps_are_drawn(page):
    curves, maps = (chart.figure for chart in blocks_of(page, Chart))
    names = ["sigmoid + sgd", "sigmoid + adam", "relu + sgd", "relu + adam"]
    assert [line.name for line in curves.data if line.name] == names
    assert [panel.z.shape for panel in maps.data] == [(5, 30)] * 4
    assert [row[0] for row in table_of(page, "Mean over the seeds").rows] == names


def test_on_an_easy_terrain_the_first_check_fails():
    """One hidden layer of sigmoids is no plateau."""
    page = TerrainLesson(depth=1, epochs=6, seeds=1, sgd_rate=1.0).page()
    assert not check_about(page, "sigmoid + sgd guesses").holds
