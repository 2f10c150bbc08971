"""The lesson on rings, against fresh points, and PyTorch's forward pass for the pictures."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, check_about, failed, text_of

from thalweg.data import Rings
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.rings import RingsLesson
from thalweg.pages.blocks import Chart, Check

POINTS = np.array([[0.0, 0.0], [0.3, -0.2], [0.9, 0.1], [-0.6, 0.6]])


@pytest.fixture(scope="module")
def lesson():
    return lesson_of("rings", quick=True)


@pytest.fixture(scope="module")
def run(lesson):
    return lesson.run()


def test_every_check_holds_in_the_quick_form(lesson):
    page = lesson.page()
    assert len(blocks_of(page, Check)) == 3
    assert not failed(page)


def test_every_check_holds_in_the_long_form():
    assert not failed(RingsLesson().page())


def test_new_points_are_classified_correctly(run):
    fresh = Rings(samples=2000, noise=0.02).load(seed=99)
    answers = np.asarray(run.predict_outputs(fresh.x))[:, 1] > 0.5
    assert np.mean(answers == (np.hypot(*fresh.x.T) > 0.6)) > 0.98


def _torch_probabilities(params, x):
    torch = pytest.importorskip("torch")
    dense = [layer for layer in params if layer]
    a = torch.tensor(x, dtype=torch.float64)
    for number, layer in enumerate(dense):
        a = a @ torch.tensor(np.array(layer.W)) + torch.tensor(np.array(layer.b))
        a = torch.relu(a) if number < len(dense) - 1 else torch.softmax(a, dim=1)
    return a[:, 1].numpy()


def test_the_first_frame_is_of_the_initial_weights_the_last_of_the_final_ones(lesson, run):
    frames = lesson.frames(run, POINTS)
    assert list(frames) == ["before training", "epoch 1", "epoch 4", "epoch 8", "epoch 16", "epoch 40"]
    start = run.network.initialize(lesson.seed, (2,)).params
    np.testing.assert_allclose(frames["before training"], _torch_probabilities(start, POINTS), atol=1e-6)
    np.testing.assert_allclose(frames["epoch 40"], _torch_probabilities(run.params, POINTS), atol=1e-6)


def test_a_frame_during_the_training_is_that_of_a_shorter_training(lesson, run):
    shorter = RingsLesson(samples=lesson.samples, epochs=4).run()
    expected = shorter.predict_outputs(POINTS)[:, 1]
    np.testing.assert_allclose(lesson.frames(run, POINTS)["epoch 4"], expected, atol=1e-6)


def test_two_units_do_not_close_the_curve():
    page = RingsLesson(hidden=(2,), samples=600, epochs=40).page()
    assert not check_about(page, "The curve closes").holds


def test_the_numbers_follow_the_parameters():
    # 2·5 + 5 + 5·2 + 2 weights and biases; 0.8 · 0.9 of 500 points train.
    page = RingsLesson(hidden=(5,), samples=500, epochs=2).page()
    assert "2-5-2 with 27 weights" in text_of(page)
    assert "360 points" in text_of(page)
    assert len(blocks_of(page, Chart)) == 3
