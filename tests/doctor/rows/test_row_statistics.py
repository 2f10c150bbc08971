"""Statistics of rows, against scipy, numbers worked out by hand, and rows whose fault is known."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.doctor.attainable import reference_outputs
from thalweg.doctor.rows import row_statistics as rs

RNG = np.random.default_rng(0)


def test_order_of_targets():
    steps = np.array([[0.0]] * 50 + [[1.0]] * 50)
    order = rs.target_order(steps, batch=10)
    # All 99 pairs of neighbours agree but one: (98 - 1) 1/4 of 100 1/4.
    assert order == (pytest.approx(0.97), pytest.approx(1.0), 100, 10)
    shuffled = [rs.target_order(RNG.permutation(steps), 10) for _ in range(400)]
    assert np.std([order.autocorrelation for order in shuffled]) == pytest.approx(1 / 10, rel=0.15)
    assert np.mean([order.between for order in shuffled]) == pytest.approx(9 / 99, rel=0.1)
    assert rs.target_order(np.ones((9, 1)), 3)[:2] == (0.0, 0.0)


def test_copies_are_named_with_their_originals():
    x = RNG.standard_normal((20, 2))
    assert rs.copies(np.column_stack([x, x[:, 0], x[:, 1], x[:, 0]])) == [(2, 0), (3, 1), (4, 0)]
    assert rs.copies(x) == []


def test_rows_of_the_largest_errors():
    y = RNG.standard_normal((100, 1))
    outputs = y.copy()
    outputs[[7, 30]] += [[50.0], [-60.0]]
    found = rs.few_rows(outputs, y)
    assert found.rows.tolist() == [30, 7]
    assert (found.part, found.without) == (1.0, 1.0)
    assert found.score < 0


def test_columns_that_few_rows_stretch():
    x = RNG.standard_normal((500, 3))
    assert rs.stretched_column(x).distance < 1.3
    x[3, 1] = 1e4
    found = rs.stretched_column(x)
    assert (found.column, found.rows) == (1, 1)
    assert found.distance == pytest.approx(x[:, 1].std(), rel=0.2)
    # A rare event is not a column with outliers.
    events = np.zeros((500, 1))
    events[:5] = 1
    events[:30] += 0.1
    assert rs.stretched_column(events).distance == 0.0


def overlapping(rows, distance):
    y = RNG.integers(0, 2, rows)
    return RNG.standard_normal((rows, 4)) + distance / 4 * (2 * y[:, None] - 1), y


def doubt(x, y):
    return rs.doubtful_labels(reference_outputs(x, np.eye(2)[y], "classification"), y)


def test_flipped_labels_are_listed_and_overlapping_classes_are_expected():
    x, y = overlapping(600, 4.0)
    flipped = RNG.permutation(600)[:60]
    y[flipped] = 1 - y[flipped]
    found = doubt(x, y)
    assert found.lowest > 2 * found.expected
    assert np.mean(np.isin(found.rows, flipped)) > 0.8
    found = doubt(*overlapping(600, 2.0))
    assert found.contradicted < 2 * found.expected + 0.05
    assert found.lowest < 2 * found.expected


def test_the_expected_contradictions_are_those_of_two_gaussian_classes():
    y = RNG.integers(0, 2, 400_000)
    x = RNG.standard_normal(400_000) + 2 * y - 1
    probability = 1 / (1 + np.exp(-2 * x))
    found = rs.doubtful_labels(np.column_stack([1 - probability, probability]), y)
    assert found.contradicted == pytest.approx(found.expected, rel=0.1)


def test_no_labels_are_doubtful_with_a_single_class():
    assert rs.doubtful_labels(np.ones((5, 1)), np.zeros(5, int)) is None


def test_a_column_made_from_the_target_is_found_among_others():
    x = RNG.standard_normal((300, 5))
    y = (x[:, 0] + x[:, 1] + RNG.standard_normal(300) > 0).astype(int)
    assert rs.telling_column(x, y, np.eye(2)[y], "classification") is None
    leaking = np.column_stack([x, 3 * y + 0.1 * RNG.standard_normal(300)])
    found = rs.telling_column(leaking, y, np.eye(2)[y], "classification")
    assert found.column == 5
    assert found.alone.value > 0.99 > found.without.value
    t = (x[:, 0] + RNG.standard_normal(300))[:, None]
    found = rs.telling_column(np.column_stack([np.exp(t), x]), t, t, "regression")
    assert found.column == 0


def test_rows_of_independent_columns_coincide_as_often_as_chance_says():
    rng = np.random.default_rng(8)

    def draw(n):
        return np.column_stack([rng.integers(0, 4, n), rng.poisson(1.0, n), rng.integers(0, 6, n)])

    shared = []
    for _ in range(100):
        known = {row.tobytes() for row in draw(120)}
        shared.append(np.mean([row.tobytes() in known for row in draw(200)]))
    assert rs.coincidence(draw(20_000), 120) == pytest.approx(np.mean(shared), abs=0.02)
    # Doubled rows of a continuous column are no coincidence.
    assert rs.coincidence(np.repeat(rng.standard_normal((200, 1)), 2, axis=0), 300) == 0


@pytest.mark.parametrize(("share", "expected"), [(0.2, False), (0.9, True)])
def test_labels_of_a_class_that_was_moved_outnumber_those_that_are_left(share, expected):
    rng = np.random.default_rng(9)
    y = rng.integers(0, 3, 900)
    x = rng.standard_normal((900, 4)) + 4 * np.eye(4)[y]
    labels = np.where((y == 2) & (rng.random(900) < share), 1, y)
    found = rs.doubtful_labels(reference_outputs(x, np.eye(3)[labels], "classification"), labels)
    assert (found.outnumbered > 0.5) == expected
    assert np.mean(y[found.rows] == 2) > 0.9
