"""The perceptron on AND and XOR: against the rule written out in plain Python, and against the training of the unit."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import check_about, failed, table_of, text_of

import thalweg
from thalweg.learn.lessons.perceptron import PerceptronLesson
from thalweg.models.linear_units import Perceptron

CORNERS = [(0, 0), (0, 1), (1, 0), (1, 1)]
GATES = {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "xor": [0, 1, 1, 0]}


def by_hand(gate, epochs):
    """Weights after each sample, in whole numbers, and the mistakes of each epoch, until there is none."""
    w1 = w2 = b = 0
    after = []
    mistakes = []
    for _ in range(epochs):
        wrong = 0
        for (x1, x2), t in zip(CORNERS, GATES[gate], strict=True):
            error = t - (1 if w1 * x1 + w2 * x2 + b > 0 else 0)
            w1 += error * x1
            w2 += error * x2
            b += error
            wrong += error != 0
            after.append((w1, w2, b))
        mistakes.append(wrong)
        if not wrong:
            break
    return after, mistakes


def weights(step):
    params = step.after.params[0]
    return (*params.W[:, 0].tolist(), params.b.item())


@pytest.mark.parametrize("gate", GATES)
def test_every_update_by_hand(gate):
    after, mistakes = by_hand(gate, 30)
    steps = PerceptronLesson().steps(gate)
    assert [weights(step) for step in steps] == after
    assert len(steps) == 4 * len(mistakes)


def test_and_is_learned_in_six_epochs_with_ten_mistakes():
    lesson = PerceptronLesson()
    assert by_hand("and", 30)[1] == [1, 3, 3, 2, 1, 0]
    assert weights(lesson.steps("and")[-1]) == (2, 1, -2)
    assert "10 mistakes in 6 epochs, 0 of them" in text_of(lesson.page())


def test_the_unit_trained_by_train_reaches_the_same_weights():
    run = thalweg.train(Perceptron(), {"source": "and", "order": "time"}, engine="eager", epochs=30, progress=False)
    assert (*run.params[0].W[:, 0].tolist(), run.params[0].b.item()) == (2, 1, -2)
    assert len(run.history) == 6


def test_the_table_shows_each_sample_with_its_answer():
    rows = table_of(PerceptronLesson().page(), "from w = (0, 0)").rows
    after, _ = by_hand("and", 30)
    assert [row[-3:] for row in rows] == after
    for epoch, x1, x2, z, y, t, error, *_ in rows:
        assert 1 <= epoch <= 6
        assert y == (z > 0)
        assert t == x1 * x2
        assert error == t - y


def test_xor_repeats_from_the_third_epoch_on():
    after, mistakes = by_hand("xor", 30)
    assert after[7] == after[11] == after[-1]
    assert mistakes[2:] == [4] * 28
    page = PerceptronLesson().page()
    assert "Before epoch 4 the weights are the same as before epoch 3" in text_of(page)
    assert [row[-3:] for row in table_of(page, "cycle").rows] == after[8:12]


def test_the_bound_of_novikoff():
    # R² = 3; the line (1, 1, -1.5) has its nearest sample at |z| = 1/2: γ² = 1/4 / 4.25.
    assert f"(R/γ)² = {3 / (0.25 / 4.25):.4g}" in text_of(PerceptronLesson().page())


def test_the_rate_scales_the_weights_and_changes_no_answer():
    after, _ = by_hand("and", 30)
    steps = PerceptronLesson(learning_rate=0.25).steps("and")
    np.testing.assert_allclose([weights(step) for step in steps], np.array(after) * 0.25)


@pytest.mark.parametrize("settings", [{}, {"gate": "or", "b": -0.5}, {"learning_rate": 0.1}])
def test_the_checks_hold(settings):
    assert not failed(PerceptronLesson(**settings).page())


def test_a_line_that_does_not_separate_fails_its_check():
    page = PerceptronLesson(b=-0.5).page()
    assert not check_about(page, "four rows of AND").holds
    assert "(R/γ)²" not in text_of(page)
