"""Rows of two kinds, classes that are one and pairs that tell: planted, and ordinary noise, classes and columns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kurtosis

from thalweg.doctor.attainable import reference_outputs
from thalweg.doctor.rows import row_relations as rr


def relation(seed, n=900):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (n, 3))
    return rng, x, np.sin(2 * x[:, 0]) + x[:, 1]


# Rows of two kinds ----------------------------------------------------------------------------------------------------


def test_the_kurtosis_is_that_of_errors_in_their_own_deviation():
    rng = np.random.default_rng(0)
    scale = np.exp(rng.standard_normal(40_000))
    for noise in (rng.standard_normal(40_000), rng.uniform(-1, 1, 40_000), rng.choice([-1.0, 1.0], 40_000)):
        value, error = rr._kurtosis(scale * noise, scale**2 * np.mean(noise**2))
        expected = kurtosis(noise, fisher=False)
        assert value == pytest.approx(expected, abs=max(4 * error, 1e-5))


NOISE = {
    "normal": lambda rng, x: rng.standard_normal(len(x)),
    "laplace": lambda rng, x: rng.laplace(size=len(x)),
    "uniform": lambda rng, x: rng.uniform(-1.7, 1.7, len(x)),
    "exponential": lambda rng, x: rng.exponential(size=len(x)),
    "of its own scale": lambda rng, x: np.exp(x[:, 2]) * rng.standard_normal(len(x)),
}


def alarms(x, t):
    found = rr.two_kinds(x, t[:, None])
    return (
        found.kurtosis + 1.96 * found.error < rr.UNIFORM_KURTOSIS,
        found.size.value > rr.UNIFORM_SIZE and found.size.value > found.score.value + 0.05,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NOISE)
def test_ordinary_noise_has_one_branch(name):
    found = []
    for seed in range(6):
        rng, x, t = relation(seed)
        found += [any(alarms(x, part * t + NOISE[name](rng, x))) for part in (1.0, 0.0)]
    assert sum(found) <= 1


KINDS = {
    "turned targets": lambda rng, x, t: np.where(rng.random(len(x)) < 0.4, -t, t),
    "another zero": lambda rng, x, t: t + 4 * (rng.random(len(x)) < 0.5),
    "turned inputs": lambda rng, x, t: np.where(rng.random(len(x)) < 0.5, -t, t),
    "another column": lambda rng, x, t: np.where(rng.random(len(x)) < 0.5, 2 * x[:, 2], t),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_rows_of_two_kinds_have_two_branches(name):
    found = []
    for seed in range(4):
        rng, x, t = relation(seed)
        found.append(any(alarms(x, KINDS[name](rng, x, t) + 0.05 * rng.standard_normal(len(x)))))
    assert all(found)


def test_counts_and_few_rows_have_no_branches():
    rng, x, t = relation(0)
    assert rr.two_kinds(x, rng.poisson(np.exp(t / 3))[:, None].astype(float)) is None
    assert rr.two_kinds(x[:190], t[:190, None]) is None


# Classes --------------------------------------------------------------------------------------------------------------


def clouds(seed, classes=4, n=1600):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return rng, 2.5 * rng.standard_normal((classes, 3))[y] + rng.standard_normal((n, 3)), y


def one_class(x, y):
    """The two classes that are one, beyond chance."""
    found = rr.one_class(reference_outputs(x, np.eye(y.max() + 1)[y], "classification"), y)
    return found if found and found.between.value + 1.96 * found.between.error < 0.6 else None


@pytest.mark.slow
def test_two_names_of_a_class_are_found():
    for seed in range(2):
        rng, x, y = clouds(seed)
        renamed = np.where((y == 2) & (rng.random(len(y)) < 0.4), 4, y)
        assert one_class(x, renamed).classes == (2, 4)
        assert one_class(x, y) is None


def test_of_classes_that_nothing_tells_apart_none_is_another_name():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 4))
    assert one_class(x, rng.integers(0, 2, 600)) is None
    assert one_class(x, rng.integers(0, 5, 600)) is None


def test_rare_classes_are_not_judged():
    _, x, y = clouds(1)
    y = np.where(np.arange(len(y)) < 10, 4, y)
    assert one_class(x, y) is None


# Pairs ----------------------------------------------------------------------------------------------------------------


def pair(x, t, task="regression"):
    numbers = np.eye(t.max() + 1)[t] if task == "classification" else t[:, None]
    logs = rr.positive_logs(numbers) if task == "regression" else numbers
    y = t if task == "classification" else t[:, None]
    return rr.telling_pair(x, rr.positive_logs(x), y, numbers, logs, task)


FORMS = {
    "difference": (lambda a, b: a - b, "linear"),
    "sum": (lambda a, b: 0.2 * a + 5 * b, "linear"),
    "product": (lambda a, b: a * b, "product"),
    "ratio": (lambda a, b: a / b**2, "product"),
}


@pytest.mark.parametrize("name", FORMS)
def test_two_columns_that_make_the_target_are_found(name):
    made, form = FORMS[name]
    x = np.random.default_rng(3).uniform(1, 4, (500, 7))
    found = pair(x, made(x[:, 2], x[:, 5]))
    assert (found.columns, found.form) == ((2, 5), form)
    assert found.pair.value > 0.99
    assert found.without.value < 0.2


def test_a_class_hidden_in_a_difference_is_found():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 500)
    noise = 3 * rng.standard_normal(500)
    x = np.column_stack([rng.standard_normal((500, 4)) + y[:, None] / 2, noise, noise + y])
    assert pair(x, y, "classification").columns == (4, 5)


def test_targets_of_many_columns_have_no_pair():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((500, 6))
    assert pair(x, x @ np.arange(1.0, 7.0)) is None
    assert pair(x, (x[:, :3].sum(axis=1) > 0).astype(int), "classification") is None
    assert pair(x[:90], x[:90, 0] - x[:90, 1]) is None
    assert pair(x[:, :2], x[:, 0] - x[:, 1]) is None


def test_the_best_pair_is_that_of_least_squares():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5))
    t = x @ rng.standard_normal((5, 2)) + rng.standard_normal((300, 2))

    def left(i, j):
        columns = np.column_stack([x[:, [i, j]], np.ones(300)])
        return np.linalg.lstsq(columns, t, rcond=None)[1].sum()

    expected = sorted(((i, j) for j in range(5) for i in range(j)), key=lambda pair: left(*pair))[:3]
    assert rr._best_pairs(x, t) == expected
