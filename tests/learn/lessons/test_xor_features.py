"""XOR by features: the weights by hand, and the LMS rule against itself written out."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import check_about, failed, table_of

from thalweg.learn.lessons.xor_features import XorFeaturesLesson
from thalweg.models.linear_units import Adaline

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
FEATURES = np.column_stack([X, X[:, 0] * X[:, 1], np.ones(4)])
TARGETS = np.array([0, 1, 1, 0.0])


def test_the_four_points_by_hand():
    features, z = XorFeaturesLesson().answers()
    assert features.tolist() == FEATURES[:, :3].tolist()
    assert z[:, 0].tolist() == [0, 1, 1, 0]


def test_other_weights_and_points():
    lesson = XorFeaturesLesson(w=(0.5, -1.0, 3.0), b=0.25)
    x = np.array([[2.0, 3.0], [-1.0, 0.5]])
    assert lesson.answers(x)[-1][:, 0].tolist() == pytest.approx([1 - 3 + 18 + 0.25, -0.5 - 0.5 - 1.5 + 0.25])


@pytest.mark.parametrize("columns", [[0, 1, 2, 3], [0, 1, 3]], ids=["with the product", "without"])
def test_learning_follows_the_rule_written_out(columns):
    lesson = XorFeaturesLesson(epochs=12)
    features = FEATURES[:, columns]
    w = np.zeros(len(columns))
    for _ in range(12):
        for x, t in zip(features, TARGETS, strict=True):
            w = w + 0.4 * (t - x @ w) * x
    unit = lesson.unit if len(columns) == 4 else Adaline(0.4)
    params = lesson.learned(unit)[-1].params[-1]
    np.testing.assert_allclose(np.append(params.W[:, 0], params.b), w, rtol=1e-12)


def test_what_is_learned_solves_the_four_equations():
    expected = np.linalg.solve(FEATURES, TARGETS)
    assert expected.tolist() == pytest.approx([1, 1, -2, 0], abs=1e-12)
    learned = check_about(XorFeaturesLesson(epochs=400).page(), "w = (1, 1, -2), b = 0").measured
    np.testing.assert_allclose(learned, expected, atol=1e-12)


def test_without_the_product_no_weights_are_better_than_one_half():
    best = np.linalg.lstsq(FEATURES[:, [0, 1, 3]], TARGETS, rcond=None)[0]
    assert FEATURES[:, [0, 1, 3]] @ best == pytest.approx([0.5] * 4)
    rows = table_of(XorFeaturesLesson().page(), "Loss").rows
    assert rows[0][1:] == (0.25, 0.25)
    assert all(row[2] >= 0.125 for row in rows)


@pytest.mark.parametrize("settings", [{}, {"threshold": 0.2}, {"learning_rate": 0.3, "epochs": 300}])
def test_the_checks_hold(settings):
    assert not failed(XorFeaturesLesson(**settings).page())


def test_with_a_rate_too_large_the_check_fails():
    assert not check_about(XorFeaturesLesson(learning_rate=9.0).page(), "loss goes to 0").holds
