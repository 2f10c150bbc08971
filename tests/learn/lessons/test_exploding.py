"""Exploding gradients, against PyTorch with its own clipping, and by the homogeneity of ReLU."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, check_about, failed, table_of, text_of
from torch_twin import Twin

from thalweg.engine.step import Batch, fused
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.exploding import ExplodingLesson
from thalweg.learn.recorded_training import classification_rows, record_training
from thalweg.pages.blocks import Check
from thalweg.training.batch_plan import as_batch


@pytest.fixture(scope="module")
def page():
    return lesson_of("exploding", quick=True).page()


def test_the_norm_of_the_first_gradient_is_pytorchs():
    lesson = ExplodingLesson(width=20)
    network = lesson.network(0.3, depth=6)
    rows = Batch(*(array[:256] for array in as_batch(classification_rows(lesson.data, seed=0))))
    twin = Twin(network, network.initialize(2, (64,)).params)
    twin.survey(rows)
    assert lesson.norm(0.3, depth=6, seed=2) == pytest.approx(np.linalg.norm(twin.grads[0]), rel=1e-9)


def test_the_clipped_training_is_pytorchs():
    lesson = ExplodingLesson(epochs=1)
    recorded = record_training(lesson.table(lesson.clip, epochs=1), None)
    network, _ = fused(recorded.network, recorded.spec.loss)
    twin = Twin(network, recorded.points[0].state.params)
    optimizer = twin.torch.optim.SGD(twin.weights, lr=lesson.learning_rate)
    for trace in recorded.traces[:12]:
        assert twin.survey(trace.batch) == pytest.approx(float(trace.loss), rel=1e-4)
        norm = float(twin.torch.nn.utils.clip_grad_norm_(twin.weights, lesson.limit))
        assert norm > lesson.limit
        optimizer.step()


def test_the_checks_of_the_quick_form_hold(page):
    assert len(blocks_of(page, Check)) == 4
    assert not failed(page)


def test_the_page_shows_how_the_training_without_clipping_diverges(page):
    text = text_of(page)
    assert "became infinite at step" in text or "became NaN at step" in text
    rows = table_of(page, "first steps").rows
    unclipped, clipped = ([row[column] for row in rows] for column in (1, 3))
    assert unclipped[0] == clipped[0]
    assert np.isfinite(clipped).all()
    assert not np.isfinite(unclipped).all()
    assert unclipped[2] > 1e3 * unclipped[0]


def test_with_suited_weights_nothing_diverges_and_the_check_fails():
    lesson = ExplodingLesson(deviations=(0.125, 0.177), depths=(2, 5), draws=1, epochs=1, learning_rate=0.01)
    page = lesson.page()
    assert not check_about(page, "Without clipping the training stops early").holds
    assert check_about(page, "every loss stays finite").holds
