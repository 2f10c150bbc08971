"""Differences between sets, against scipy, and sets whose difference is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact, ks_2samp

from thalweg.doctor.rows import set_differences as sd

RNG = np.random.default_rng(0)


def test_the_difference_of_two_sets_is_that_of_kolmogorov_and_smirnov():
    a = RNG.standard_normal((300, 3))
    b = RNG.standard_normal((200, 3)) * [1.0, 1.0, 2.0]
    found = sd.set_difference(a, b)
    known = ks_2samp(a[:, 2], b[:, 2], method="asymp")
    assert (found.column, found.distance) == (2, pytest.approx(known.statistic))
    assert found.chance == pytest.approx(3 * known.pvalue, rel=0.5)


def test_inputs_beyond_the_known_range():
    known = np.array([[0.0, 0.0], [1.0, 10.0]])
    assert sd.far_inputs(np.array([[1.9, 15.0]]), known) is None
    assert sd.far_inputs(np.array([[0.5, 45.0], [0.5, -20.0], [0.5, 5.0]]), known) == (1, 2, 3.5)
    # Nothing is known of the range of a constant column.
    assert sd.far_inputs(np.array([[9.0]]), np.ones((2, 1))) is None


def classes(*counts):
    return np.eye(len(counts))[np.repeat(np.arange(len(counts)), counts)]


def test_the_frequency_of_a_class_differs_by_the_exact_test_of_fisher():
    found = sd.frequency_difference(classes(40, 50, 10), classes(75, 10, 15))
    assert (found.label, found.known, found.there) == (1, 0.5, pytest.approx(0.1))
    assert found.chance == pytest.approx(3 * fisher_exact([[50, 50], [10, 90]]).pvalue)


def test_a_rare_class_that_is_missing_counts_and_a_small_difference_does_not():
    assert sd.frequency_difference(classes(950, 50), classes(700, 300)).label in (0, 1)
    assert sd.frequency_difference(classes(900, 100, 0), classes(900, 60, 40)).label == 2
    assert sd.frequency_difference(classes(500, 500), classes(600, 400)) is None
    # One row of a class that is rare is chance.
    assert sd.frequency_difference(classes(999, 1), classes(98, 2)) is None


def test_sets_of_the_same_rows_do_not_differ():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        y = np.eye(6)[rng.choice(6, 800, p=[0.5, 0.3, 0.1, 0.06, 0.03, 0.01])]
        assert sd.frequency_difference(y[:600], y[600:]) is None


def relation(rng, n, sign=1.0):
    x = rng.standard_normal((n, 4))
    return x, sign * (x[:, [0]] + np.sin(2 * x[:, [1]])) + 0.2 * rng.standard_normal((n, 1))


def test_a_learner_of_the_training_rows_holds_for_rows_of_the_same_relation_alone():
    x, y = relation(RNG, 400)
    same, other = relation(RNG, 200), relation(RNG, 200, -1.0)
    found = sd.transfer(x, y, y, "regression", {"validation": same, "test": other})
    assert found["validation"].there.value == pytest.approx(found["validation"].known.value, abs=0.1)
    assert found["test"].known.value > 0.7
    assert found["test"].there.value < 0


def test_rows_that_repeat_do_not_make_the_known_score_better():
    x, y = relation(RNG, 200)
    y = RNG.permutation(y)
    repeated = np.repeat(np.arange(200), 5)
    found = sd.transfer(x[repeated], y[repeated], y[repeated], "regression", {"test": (x, y)})
    assert found["test"].known.value < 0.1
    assert sd.transfer(x[:50], y[:50], y[:50], "regression", {"test": (x, y)}) == {}


def test_classes_are_decided_by_the_learner():
    y = RNG.integers(0, 3, 300)
    x = np.eye(3)[y] + 0.1 * RNG.standard_normal((300, 3))
    found = sd.transfer(x, y, np.eye(3)[y], "classification", {"test": (x[:60], (y[:60] + 1) % 3)})
    assert found["test"].known.value > 0.95
    assert found["test"].there.value < 0.05


def test_the_second_half_is_like_the_first_unless_the_relation_changes():
    x, y = relation(RNG, 600)
    later = np.arange(600)[:, None] >= 300
    same, turned, rescaled = (
        sd.halves(inputs, targets, targets, "regression")
        for inputs, targets in ((x, y), (x, np.where(later, -y, y)), (np.where(later, 10 * x, x), y))
    )
    assert same.transfer.there.value > 0.8 * same.transfer.known.value
    assert turned.transfer.there.value < 0.5 * turned.transfer.known.value
    assert rescaled.transfer.there.value < 0.5 * same.transfer.known.value
    assert [found.inputs.is_relevant for found in (same, turned, rescaled)] == [False, False, True]


def test_sorted_rows_have_no_halves_to_compare():
    x, y = relation(RNG, 600)
    order = np.argsort(y[:, 0])
    assert sd.halves(x[order], y[order], y[order], "regression") is None
    labels = np.repeat([0, 1], 300)
    assert sd.halves(x, labels, np.eye(2)[labels], "classification") is None
    assert sd.halves(x[:150], y[:150], y[:150], "regression") is None
