"""Training rows with a fault that other rows do not have: found by what the other rows tell of themselves."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.doctor.attainable import UncertainScore
from thalweg.doctor.rows.set_differences import transfer
from thalweg.doctor.rows.spoiled_rows import Rows, spoiled_rows


def drawn(seed, n=500, classes=0):
    """Rows whose five inputs depend on each other, and numbers or classes that the first three tell."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 1))
    x = rng.standard_normal((n, 5)) + 0.8 * common
    value = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2])
    if not classes:
        return x, value[:, None] + 0.1 * rng.standard_normal((n, 1))
    return x, np.digitize(value, np.quantile(value, np.arange(1, classes) / classes))


def examined(x, y, other_x, other_y):
    task = "regression" if y.ndim > 1 else "classification"
    train, other = (
        Rows(inputs, targets, targets if targets.ndim > 1 else np.eye(y.max() + 1)[targets])
        for inputs, targets in ((x, y), (other_x, other_y))
    )
    sets = {"test": (other.x, other.y)}
    there = transfer(train.x, train.y, train.targets, task, sets)["test"].there
    return spoiled_rows(train, "test", other, task, there)


@pytest.mark.parametrize("classes", [0, 3])
def test_rows_of_one_kind_are_not_spoiled(classes):
    for seed in range(4):
        assert examined(*drawn(seed, 300, classes), *drawn(seed + 100, 200, classes)) is None


def exchanged(x, y, rng):
    x[:, :2] = x[rng.permutation(len(x)), :2]
    return x, y


def carried(x, y, rng):
    rows = np.arange(len(x))
    return np.stack([x[rows - (rows + place) % 5, place] for place in range(5)], axis=1), y


def cut(x, y, rng):
    return np.minimum(x, -0.2), y


def in_another_unit(x, y, rng):
    x[:, 0] *= 3
    return x, y


def without_sign(x, y, rng):
    return x, np.abs(y)


def averaged(x, y, rng):
    return x, np.mean([np.roll(y, shift, axis=0) for shift in range(5)], axis=0)


def dealt_anew(x, y, rng):
    part = np.arange(len(y)) % 3 > 0
    y[part] = rng.permutation(y[part])
    return x, y


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (exchanged, "inputs"),
        (carried, "inputs"),
        (cut, "inputs"),
        (in_another_unit, "inputs"),
        (without_sign, "targets"),
        (averaged, "targets"),
        (dealt_anew, "relation"),
    ],
)
def test_a_fault_of_the_training_rows_is_found_with_its_part(spoil, part):
    x, y = spoil(*drawn(1), np.random.default_rng(2))
    found = examined(x, y, *drawn(3, 300))
    assert found is not None
    assert found.part == part
    assert found.lost > 0.1


def test_labels_dealt_anew_are_a_fault_of_the_relation():
    x, y = dealt_anew(*drawn(1, classes=3), np.random.default_rng(2))
    assert examined(x, y, *drawn(3, 300, classes=3)).part == "relation"


def test_a_column_that_tells_nothing_in_the_training_rows_alone_is_named():
    rng = np.random.default_rng(0)
    x, other = rng.uniform(-1, 1, (600, 4)), rng.uniform(-1, 1, (400, 4))

    def targets(x):
        return x[:, [0]] + np.sin(3 * x[:, [1]])

    y = targets(x)
    # Exchanged among the rows, an independent column looks as before.
    x[:, 1] = rng.permutation(x[:, 1])
    found = examined(x, y, other, targets(other))
    assert (found.part, found.columns) == ("inputs", (1,))


def test_few_other_rows_and_a_learner_that_knows_as_much_say_nothing():
    x, y = dealt_anew(*drawn(1), np.random.default_rng(2))
    assert examined(x, y, *drawn(3, 80)) is None
    other = Rows(*drawn(3, 300), drawn(3, 300)[1])
    assert spoiled_rows(other, "test", other, "regression", UncertainScore(0.99, 0.01)) is None
