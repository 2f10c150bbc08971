"""Metrics of whole sets of rows, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from thalweg.parts.task_metrics import balanced_weights


def balanced_accuracy(y, predicted):
    return np.sum(balanced_weights(y) * (predicted == y))


RNG = np.random.default_rng(0)


@pytest.mark.parametrize("chances", [[0.5, 0.5], [0.987, 0.013], [0.8, 0.15, 0.05]])
def test_balanced_accuracy_is_the_mean_recall(chances):
    y = RNG.choice(len(chances), 500, p=chances)
    predicted = np.where(RNG.random(500) < 0.7, y, RNG.integers(0, len(chances), 500))
    assert balanced_accuracy(y, predicted) == pytest.approx(balanced_accuracy_score(y, predicted))


def test_a_class_that_does_not_occur_does_not_count():
    assert balanced_accuracy(np.array([0, 0, 2]), np.array([0, 1, 2])) == pytest.approx(0.75)


def test_labels_with_one_value_do_not_count_unless_all_have():
    y = np.array([[0, 1], [1, 1], [1, 1]])
    assert balanced_weights(y)[:, 1].tolist() == [0, 0, 0]
    assert balanced_accuracy(y, np.ones((3, 2))) == pytest.approx(0.5)
    assert balanced_accuracy(y[:, 1:], np.array([[1], [1], [0]])) == pytest.approx(2 / 3)
    assert balanced_weights(RNG.integers(0, 2, (50, 3))).sum() == pytest.approx(1.0)
