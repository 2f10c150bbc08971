"""Input values that were not measured: found where they were planted, and not where rows only look like it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind

from thalweg.doctor.attainable import reference_outputs
from thalweg.doctor.rows.unmeasured import at_the_ends, carried, told_less, unmeasured_inputs

N = 600
NONE = np.zeros(N, bool)


def rng(seed):
    return np.random.default_rng(seed)


def carried_forward(values, seed, begins=0.06):
    """Runs of 4 to 9 further rows that have the value of the row before them, and which rows these are."""
    generator = rng(seed)
    values, filled = values.copy(), np.zeros(len(values), bool)
    row = 1
    while row < len(values):
        length = int(generator.integers(4, 10)) if generator.random() < begins else 0
        values[row : row + length] = values[row - 1]
        filled[row : row + length] = True
        row += length + 1
    return values, filled


@pytest.mark.parametrize("seed", range(5))
def test_rows_whose_value_was_carried_forward_are_found(seed):
    values, filled = carried_forward(rng(seed).standard_normal(N), seed)
    np.testing.assert_array_equal(carried(values, NONE), filled)
    # Rows that are copies of the row before them carry no single value forward.
    assert not carried(values, filled).any()


def slow(generator):
    return np.sin(np.arange(N) / 60) + 0.02 * np.cumsum(generator.standard_normal(N))


LIKE_CARRIED = {
    "noise": lambda generator: generator.standard_normal(N),
    "a slow series": slow,
    "a slow series on a grid": lambda generator: slow(generator).round(2),
    "counts": lambda generator: generator.poisson(0.3, N).astype(float),
    "grades": lambda generator: generator.integers(1, 6, N).astype(float),
    "a sorted column on a grid": lambda generator: np.sort(generator.standard_normal(N).round(1)),
    "groups of rows": lambda generator: np.repeat(generator.standard_normal(N // 6), 6),
    "amounts that are often 0": lambda generator: np.where(
        generator.random(N) < 0.8, 0.0, generator.gamma(2.0, 30.0, N)
    ),
}


@pytest.mark.parametrize("name", LIKE_CARRIED)
def test_columns_with_equal_neighbours_of_their_own_carry_nothing(name):
    for seed in range(10):
        assert not carried(LIKE_CARRIED[name](rng(seed)), NONE).any()


def ends(values, shift=0.0, span=1.0):
    return [has_it.sum() for has_it, _ in at_the_ends(values, shift + span * values.min(), shift + span * values.max())]


def test_both_ends_of_a_range_are_found_with_the_rows_next_to_them():
    values = np.clip(rng(0).standard_normal(N), -1.0, 0.8)
    (low, below), (high, above) = at_the_ends(values, -1.0, 0.8)
    np.testing.assert_array_equal(low, values == -1.0)
    np.testing.assert_array_equal(high, values == 0.8)
    for beside, distance in ((below, values + 1.0), (above, 0.8 - values)):
        between = (values > -1.0) & (values < 0.8)
        assert beside.sum() == N // 10
        assert distance[beside].max() <= distance[between & ~beside].min()


@pytest.mark.parametrize(
    "values",
    [
        np.clip(50 + 60 * rng(1).standard_normal(N), 0, 100),
        np.clip(0.5 + 0.6 * rng(1).standard_normal(N), 0, 1),
        np.fmax(rng(1).gamma(1.0, 3.0, N) - 2, 0.0),
        rng(1).poisson(1.0, N).astype(float),
        rng(1).integers(1, 6, N).astype(float),
    ],
    ids=["percentages", "fractions", "amounts", "counts", "grades"],
)
def test_limits_that_quantities_have_themselves_are_no_ends_of_a_sensor(values):
    assert ends(values) == []
    # In standardized rows too, where the unit of the source is known.
    scaled = (values - values.mean()) / values.std()
    assert ends(scaled, values.mean(), values.std()) == []


def test_larger_errors_are_those_of_a_test_for_unequal_variances():
    found = 0
    for seed in range(60):
        generator = rng(seed)
        errors, rows = generator.standard_normal(N) ** 2, generator.random(N) < 0.3
        errors[rows] *= 1.8
        less = told_less(errors, rows, ~rows)
        statistic = ttest_ind(errors[rows], errors[~rows], equal_var=False).statistic
        ratio = errors[rows].mean() / errors[~rows].mean()
        assert (less is not None) == (statistic > 4 and ratio >= 1.5)
        if less is not None:
            found += 1
            assert less == pytest.approx((ratio, (errors[rows].mean() - errors[~rows].mean()) * rows.mean()))
    assert 0 < found < 60


def findings(x, t):
    """What is found in rows, with the errors of the reference learner for standardized targets."""
    t = (t - t.mean()) / t.std()
    errors = (reference_outputs(x, t[:, None], "regression")[:, 0] - t) ** 2
    return [(one.column, one.how) for one in unmeasured_inputs(x, errors, np.zeros(x.shape[1]), np.ones(x.shape[1]))]


X = rng(3).uniform(-2, 2, (N, 3))
TARGET = 2 * X[:, 0] + np.sin(2 * X[:, 1]) + 0.1 * rng(4).standard_normal(N)


def replaced(column, values):
    x = X.copy()
    x[:, column] = values
    return x


def test_a_sensor_at_its_end_and_values_carried_forward_are_told_with_their_column():
    assert findings(replaced(0, np.fmin(X[:, 0], 0.7)), TARGET) == [(0, "at the end of the range")]
    assert findings(replaced(0, carried_forward(X[:, 0], 1)[0]), TARGET) == [(0, "carried forward")]


@pytest.mark.parametrize("name", ["limit", "noise that grows", "useless column"])
def test_like_traces_that_tell_as_much_as_other_values_are_nothing(name):
    limited = np.clip(X, -1.2, 1.1)
    target = limited @ [2.0, 1.0, 0.5]
    x, t = {
        # A quantity that has this limit itself: the target depends on what the rows say.
        "limit": (limited, target + 0.1 * rng(5).standard_normal(N)),
        "noise that grows": (limited, target + 0.3 * np.exp(limited[:, 0]) * rng(5).standard_normal(N)),
        "useless column": (replaced(2, carried_forward(X[:, 2], 2)[0]), TARGET),
    }[name]
    assert findings(x, t) == []
