"""What can be learned from rows, against scikit-learn and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, r2_score

from thalweg.doctor.attainable import (
    attainable_score,
    constant_accuracy,
    constant_score,
    decided,
    folds,
    reference_outputs,
    score_of,
)

RNG = np.random.default_rng(0)


def one_hot(y):
    return np.eye(int(y.max()) + 1)[y]


def attainable(x, y, task="classification"):
    targets = one_hot(y) if task == "classification" else np.asarray(y, float).reshape(len(y), -1)
    return attainable_score(x, y, task, reference_outputs(x, targets, task))


def test_scores_are_those_of_scikit_learn():
    y = RNG.choice(4, 300, p=[0.7, 0.2, 0.06, 0.04])
    predicted = np.where(RNG.random(300) < 0.6, y, RNG.integers(0, 4, 300))
    assert score_of(predicted, y, "classification").value == pytest.approx(balanced_accuracy_score(y, predicted))
    labels = (RNG.random((300, 3)) < [0.5, 0.1, 0.02]).astype(int)
    guessed = (RNG.random((300, 3)) < 0.3).astype(int)
    expected = np.mean([balanced_accuracy_score(a, b) for a, b in zip(labels.T, guessed.T, strict=True)])
    assert score_of(guessed, labels, "multilabel").value == pytest.approx(expected)
    t = RNG.standard_normal((300, 1))
    assert score_of(0.5 * t + 0.1, t, "regression").value == pytest.approx(r2_score(t, 0.5 * t + 0.1))


def test_the_error_of_a_score_is_its_deviation_over_samples():
    def sample(task):
        y = RNG.choice(2, 400, p=[0.9, 0.1]) if task == "classification" else RNG.standard_normal(400)
        wrong = RNG.random(400) < 0.2
        outputs = np.where(wrong, 1 - y, y) if task == "classification" else y + 0.5 * RNG.standard_normal(400)
        return score_of(outputs, y, task)

    for task in ("classification", "regression"):
        scores = [sample(task) for _ in range(300)]
        deviation = np.std([score.value for score in scores])
        assert np.mean([score.error for score in scores]) == pytest.approx(deviation, rel=0.15)


def test_no_constant_output_is_better_than_another_however_rare_a_class_is():
    y = np.array([0] * 987 + [1] * 13)
    for answer in (0, 1):
        assert score_of(np.full(1000, answer), y, "classification").value == pytest.approx(0.5)
    assert (constant_score(y, "classification"), constant_accuracy(y, "classification")) == (0.5, 0.987)
    assert constant_score(np.array([[0, 1], [0, 0]]), "multilabel") == 0.5
    assert constant_score(np.zeros((3, 2)), "multilabel") == 1.0
    assert constant_score(np.array([[1.0], [2.0]]), "regression") == 0.0


def test_folds_have_equal_parts_of_each_class():
    y = RNG.choice(3, 200, p=[0.9, 0.07, 0.03])
    fold = folds(one_hot(y), "classification")
    for label in range(3):
        counts = np.bincount(fold[y == label], minlength=3)
        assert counts.max() - counts.min() <= 1


def test_a_rare_class_that_is_easy_to_tell_is_attainable():
    y = (np.arange(1000) % 77 == 0).astype(int)
    x = RNG.standard_normal((1000, 4))
    x[:, 0] += 5 * y
    assert attainable(x, y).value > 0.9


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_nothing_is_attainable_on_targets_drawn_at_random(task):
    x = RNG.standard_normal((400, 3))
    y = {
        "classification": RNG.choice(2, 400, p=[0.95, 0.05]),
        "multilabel": RNG.integers(0, 2, (400, 2)),
        "regression": RNG.standard_normal((400, 1)),
    }[task]
    score = attainable(x, y, task)
    assert score.value - constant_score(y, task) < 3 * score.error


def test_few_rows_are_memorized_with_the_best_output_for_equal_inputs():
    x = np.array([[0.0], [0.0], [0.0], [1.0], [1.0]])
    # Of the three equal rows one is of class 1; half of its class, while the others are two thirds of theirs.
    y = np.array([0, 0, 1, 0, 1])
    assert attainable(x, y).value == pytest.approx(2 / 3 / 2 + 1 / 2 / 2)
    assert attainable(x, y[:, None].astype(float), "regression").error == 0.0


def test_labels_are_decided_at_their_frequency():
    probabilities = np.array([[0.3, 0.2], [0.05, 0.8]])
    assert decided(probabilities, np.array([[1, 1], [0, 1]]), "multilabel").tolist() == [[0, 0], [0, 0]]
    y = np.array([0] * 9 + [1])
    assert decided(np.array([[0.8, 0.2], [0.95, 0.05]]), y, "classification").tolist() == [1, 0]
