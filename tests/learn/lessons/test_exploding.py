"""Exploding gradients, against PyTorch with its own clipping, and by the homogeneity of ReLU."""

from __future__ import annotations

import numpy as np
import pytest
from torch_twin import Twin

from thalweg.engine.step import Batch, fused
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.exploding import ExplodingLesson
from thalweg.learn.recorded_training import classification_rows, record_training
from thalweg.pages.blocks import Check, Table, Text
from thalweg.training.batch_plan import as_batch


def claims_of(blocks):
    return {block.says: block for block in blocks if isinstance(block, Check)}


@pytest.fixture(scope="module")
def blocks():
    return lesson_of("exploding", quick=True).page().blocks


def test_the_norm_of_the_first_gradient_is_pytorchs():
    lesson = ExplodingLesson(width=20)
    network = lesson.network(0.3, depth=6)
    rows = Batch(*(array[:256] for array in as_batch(classification_rows(lesson.data, seed=0))))
    twin = Twin(network, network.initialize(2, (64,)).params)
    twin.survey(rows)
    assert lesson.norm(0.3, depth=6, seed=2) == pytest.approx(np.linalg.norm(twin.grads[0]), rel=1e-9)


def test_the_clipped_training_is_pytorchs():
    lesson = ExplodingLesson(epochs=1)
    seen = record_training(lesson.table(lesson.bound, epochs=1), None)
    network, _ = fused(seen.network, seen.spec.loss)
    twin = Twin(network, seen.points[0].state.params)
    optimizer = twin.torch.optim.SGD(twin.weights, lr=lesson.learning_rate)
    for trace in seen.traces[:12]:
        assert twin.survey(trace.batch) == pytest.approx(float(trace.loss), rel=1e-4)
        norm = float(twin.torch.nn.utils.clip_grad_norm_(twin.weights, lesson.limit))
        assert norm > lesson.limit
        optimizer.step()


def test_every_claim_of_the_quick_form_holds(blocks):
    claims = claims_of(blocks)
    assert len(claims) == 4
    assert all(claim.holds for claim in claims.values()), [says for says, claim in claims.items() if not claim.holds]


def test_the_training_that_breaks_off_is_named_by_the_engine_and_seen_in_the_table(blocks):
    said = next(block.text for block in blocks if isinstance(block, Text) and "What the engine says" in block.text)
    assert "became infinite at step" in said or "became NaN at step" in said
    table = next(block for block in blocks if isinstance(block, Table) and block.columns[0] == "step")
    free, clipped = ([row[column] for row in table.rows] for column in (1, 3))
    assert free[0] == clipped[0]
    assert np.isfinite(clipped).all()
    assert not np.isfinite(free).all()
    assert free[2] > 1e3 * free[0]


def test_with_fitting_weights_nothing_breaks_off_and_the_page_says_so():
    lesson = ExplodingLesson(deviations=(0.125, 0.177), depths=(2, 5), draws=1, epochs=1, learning_rate=0.01)
    claims = claims_of(lesson.page().blocks)
    assert not claims["Without a bound the training breaks off: a number became NaN or infinite"].holds
    assert claims["With the bound every loss stays finite"].holds
