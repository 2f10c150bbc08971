"""Intervals: against the enumeration of all resamples, and how often they hold the true mean."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from thalweg.core.intervals import bootstrap, difference


@pytest.mark.parametrize(
    "values", [[0.0, 1.0], [1.0, 2.0, 4.0], [0.3, 0.1, 0.7, 0.2], [5.0, 5.0, 5.0, 9.0], [-1.0, 0.0, 2.0, 3.5, 4.0]]
)
def test_the_ends_are_those_of_all_resamples(values):
    means = np.sort([np.mean(drawn) for drawn in itertools.product(values, repeat=len(values))])
    # 9,999 samples know the shares below to about 0.5 %: the ends lie between those of slightly other shares.
    for end, share in zip(bootstrap(values), (0.025, 0.975), strict=True):
        low = np.quantile(means, max(share - 0.007, 0), method="lower")
        high = np.quantile(means, min(share + 0.007, 1), method="higher")
        assert low - 1e-12 <= end <= high + 1e-12


def test_the_ends_are_those_of_scipy():
    values = np.random.default_rng(1).normal(3, 2, 12)
    found = stats.bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(2)).confidence_interval
    np.testing.assert_allclose(bootstrap(values), found, atol=0.06)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_an_interval_lies_within_the_values(values):
    low, high = bootstrap(values)
    slack = 1e-9 * (1 + max(map(abs, values)))
    assert min(values) - slack <= low <= high <= max(values) + slack


def test_the_same_values_have_the_same_interval_and_equal_ones_have_no_width():
    assert bootstrap([0.1, 0.4, 0.2]) == bootstrap(np.array([0.1, 0.4, 0.2]))
    assert bootstrap([0.25] * 4) == (0.25, 0.25)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_one_value_says_nothing_of_others(values):
    assert all(map(math.isnan, bootstrap(values)))


@pytest.mark.parametrize(("n", "share"), [(3, 0.75), (5, 0.84), (10, 0.90)])
def test_an_interval_of_few_values_holds_the_true_mean_as_often_as_it_says(n, share):
    rng = np.random.default_rng(n)
    ends = np.array([bootstrap(rng.standard_normal(n)) for _ in range(1500)])
    held = ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean()
    # The deviation of the share of 1,500 cases is below 0.0112.
    assert held == pytest.approx(share, abs=0.035)


def test_a_difference_is_that_of_students_test():
    changed, base = np.random.default_rng(0).standard_normal((2, 9))
    found = difference(changed, base)
    expected = stats.ttest_rel(changed, base).confidence_interval(0.95)
    assert found.mean == pytest.approx((changed - base).mean())
    assert found[1:3] == pytest.approx(tuple(expected))
