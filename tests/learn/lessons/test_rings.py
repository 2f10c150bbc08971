"""The lesson on rings, against fresh points, and PyTorch's forward pass for the pictures."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.data import RingsLesson as RingsOfPoints
from thalweg.learn.lessons.rings import RingsLesson
from thalweg.pages.blocks import Chart, Check, Text

PLACES = np.array([[0.0, 0.0], [0.3, -0.2], [0.9, 0.1], [-0.6, 0.6]])


@pytest.fixture(scope="module")
def lesson():
    return RingsLesson().in_short()


@pytest.fixture(scope="module")
def run(lesson):
    return lesson.run()


def test_every_claim_holds_in_the_quick_form(lesson):
    claims = [block for block in lesson.page().blocks if isinstance(block, Check)]
    assert len(claims) == 3
    assert all(claim.holds for claim in claims)


def test_every_claim_holds_in_the_long_form():
    assert all(block.holds for block in RingsLesson().page().blocks if isinstance(block, Check))


def test_points_that_nobody_has_seen_are_told_right(run):
    fresh = RingsOfPoints(samples=2000, noise=0.02).load(seed=99)
    told = np.asarray(run.predict_outputs(fresh.x))[:, 1] > 0.5
    assert np.mean(told == (np.hypot(*fresh.x.T) > 0.6)) > 0.98


def _torch_probabilities(params, x):
    torch = pytest.importorskip("torch")
    dense = [layer for layer in params if layer]
    a = torch.tensor(x, dtype=torch.float64)
    for number, layer in enumerate(dense):
        a = a @ torch.tensor(np.array(layer.W)) + torch.tensor(np.array(layer.b))
        a = torch.relu(a) if number < len(dense) - 1 else torch.softmax(a, dim=1)
    return a[:, 1].numpy()


def test_the_first_picture_is_of_the_start_values_and_the_last_of_the_trained_network(lesson, run):
    frames = lesson.frames(run, PLACES)
    assert list(frames) == ["before training", "epoch 1", "epoch 4", "epoch 8", "epoch 16", "epoch 40"]
    start = run.network.initialize(lesson.seed, (2,)).params
    np.testing.assert_allclose(frames["before training"], _torch_probabilities(start, PLACES), atol=1e-6)
    np.testing.assert_allclose(frames["epoch 40"], _torch_probabilities(run.params, PLACES), atol=1e-6)


def test_a_picture_during_the_training_is_that_of_a_shorter_training(lesson, run):
    shorter = RingsLesson(samples=lesson.samples, epochs=4).run()
    expected = shorter.predict_outputs(PLACES)[:, 1]
    np.testing.assert_allclose(lesson.frames(run, PLACES)["epoch 4"], expected, atol=1e-6)


def test_two_units_do_not_close_the_curve_and_the_page_says_so():
    claims = [
        block for block in RingsLesson(hidden=(2,), samples=600, epochs=40).page().blocks if isinstance(block, Check)
    ]
    assert not claims[-1].holds


def test_the_numbers_follow_the_parameters():
    # 2·5 + 5 + 5·2 + 2 weights and biases; 0.8 · 0.9 of 500 points train.
    blocks = RingsLesson(hidden=(5,), samples=500, epochs=2).page().blocks
    first = next(block.text for block in blocks if isinstance(block, Text))
    assert "2-5-2 with 27 weights" in first
    assert "360 points" in first
    assert len([block for block in blocks if isinstance(block, Chart)]) == 3
