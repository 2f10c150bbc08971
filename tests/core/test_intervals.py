"""Intervals: against Student's test and Wilson's formula, and how often they hold the true difference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from thalweg.core.intervals import MOST_SEEDS, difference, differences, mean_interval

NAN = math.nan


def test_a_difference_is_that_of_students_test():
    changed, base = np.random.default_rng(0).standard_normal((2, 9))
    found = difference(changed, base)
    test = stats.ttest_rel(changed, base)
    assert found.mean == pytest.approx((changed - base).mean())
    assert found[1:3] == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert found.p == pytest.approx(test.pvalue)
    assert mean_interval(changed - base) == pytest.approx(found[1:3])


@pytest.mark.parametrize("comparisons", [2, 9, 29])
def test_the_level_is_shared_by_all_comparisons(comparisons):
    base = np.random.default_rng(1).standard_normal(6)
    changed = base + np.random.default_rng(2).normal(0.7, 1, (comparisons, 6))
    for row, found in zip(changed, differences(changed, base), strict=True):
        test = stats.ttest_rel(row, base)
        assert found.comparisons == comparisons
        assert found[1:3] == pytest.approx(tuple(test.confidence_interval(1 - 0.05 / comparisons)))
        assert found.p == pytest.approx(min(1, comparisons * test.pvalue))


@given(
    st.integers(2, 6).flatmap(
        lambda n: st.lists(st.lists(st.integers(-9, 9), min_size=n, max_size=n), min_size=1, max_size=4)
    )
)
def test_intervals_verdicts_and_p_values_agree(rows):
    for found in differences(np.array(rows, float), np.zeros(len(rows[0]))):
        assert found is not None
        assert (found.verdict != "undecided") == (found.p < 0.05)
        assert (found.low < 0 < found.high) or found.verdict != "undecided" or math.isnan(found.low) or found.p == 0.05
        assert math.isnan(found.low) == found.all_equal


@pytest.mark.parametrize(
    ("changed", "base"),
    [
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]),
        ([0.9, 0.8, 0.7], [0.8, 0.7, 0.6]),  # 0.1 each, but for rounding errors
        ([1.0] * 20, [0.5] * 20),
        ([1e9 + 0.1, 1e9 + 0.2], [1e9, 1e9]),  # less than rounding errors of these numbers
    ],
)
def test_equal_differences_have_no_interval_and_no_verdict(changed, base):
    found = difference(changed, base)
    assert found.all_equal
    assert all(map(math.isnan, (found.low, found.high, found.p)))
    assert (found.verdict, found.seeds_needed) == ("undecided", None)
    assert found.describe()["low"] is None


def test_small_differences_of_large_values_are_not_rounding_errors():
    assert difference([100.001, 100.0011, 100.0009], [100.0, 100.0, 100.0]).verdict == "higher"


def test_a_value_that_is_not_finite_takes_its_pair_away():
    changed = np.array([[1.0, NAN, 3.0, 5.0], [NAN, 1.0, NAN, NAN], [NAN] * 4])
    three, one, none = differences(changed, np.array([0.5, 1.0, math.inf, 2.0]))
    assert (three.mean, three.pairs) == (1.75, 2)
    assert (one.mean, one.pairs, one.verdict) == (0.0, 1, "undecided")
    assert math.isnan(one.low)
    assert none is None
    # Only a comparison of two pairs can err.
    assert three.comparisons == 1


@pytest.mark.parametrize("values", [[], [0.5], [NAN, 0.5], [0.25] * 4])
def test_a_mean_without_a_known_spread_has_no_interval(values):
    assert all(map(math.isnan, mean_interval(values)))


@pytest.mark.parametrize("comparisons", [1, 9])
@pytest.mark.parametrize("effect", [0.6, 1.0, 1.8])
def test_the_seeds_that_are_proposed_decide_in_4_of_5_cases(comparisons, effect):
    # A sample whose mean and deviation are exactly those of the truth.
    sample = np.array([-1.0, 0.0, 1.0]) + effect
    needed = difference(sample, np.zeros(3), comparisons).seeds_needed
    assert needed is not None
    repeats = np.random.default_rng(needed).normal(effect, 1, (4000, needed))
    shown = np.mean([each.verdict == "higher" for each in differences(repeats, np.zeros(needed), comparisons)])
    assert 0.77 < shown < 0.9


def test_no_number_of_seeds_is_proposed_for_a_difference_of_nearly_nothing():
    assert difference([1.0, -1.0, 0.001], [0.0, 0.0, 0.0]).seeds_needed is None
    found = difference([1.0, -1.0, 0.5, 0.2], [0.0, 0.0, 0.0, 0.0])
    assert 4 < found.seeds_needed <= MOST_SEEDS


# --- how often intervals hold the truth


def noise(kind: str, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Noise with a mean of 0."""
    if kind == "normal":
        return rng.standard_normal(size)
    if kind == "exponential":
        return rng.exponential(size=size) - 1
    if kind == "log-normal":
        return rng.lognormal(size=size) - math.exp(0.5)
    return rng.binomial(30, 0.9, size) / 30 - 0.9


def held(truth: float, changed: np.ndarray, base: np.ndarray | float) -> float:
    """The part of the intervals, among those that exist, which hold the true difference."""
    found = differences(changed, np.broadcast_to(base, changed.shape), comparisons=1)
    return float(np.mean([each.low <= truth <= each.high for each in found if each and not each.all_equal]))


@pytest.mark.parametrize("kind", ["normal", "exponential", "log-normal", "accuracy of 30 rows"])
@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
def test_95_of_100_intervals_hold_the_true_difference(seeds, kind):
    rng = np.random.default_rng(seeds)
    # What both arms of a seed have in common does not count.
    common = 3 * rng.standard_normal((8000, seeds))
    changed = 0.7 + common + noise(kind, rng, common.shape)
    base = common + noise(kind, rng, common.shape)
    # The deviation of the share of 8,000 cases is 0.0024.
    assert held(0.7, changed, base) > 0.95 - 0.008


@pytest.mark.parametrize(("kind", "least"), [("exponential", 0.87), ("log-normal", 0.80)])
def test_noise_that_is_skewed_in_one_arm_alone_makes_intervals_hold_less_often(kind, least):
    rng = np.random.default_rng(5)
    found = [held(0.0, noise(kind, rng, (4000, seeds)), 0.0) for seeds in (3, 5, 10, 20)]
    assert least < min(found) < 0.93


def errors(rng: np.random.Generator, arms: int, seeds: int, repeats: int, kind: str) -> float:
    """How often at least one of `arms` arms without any difference is called better or worse than the first."""
    values = noise(kind, rng, (repeats, arms, seeds)) + rng.standard_normal((repeats, 1, seeds))
    changed = values[:, 1:].reshape(-1, seeds)
    found = differences(changed, np.repeat(values[:, 0], arms - 1, axis=0), comparisons=arms - 1)
    wrong = np.array([each.verdict != "undecided" for each in found if each]).reshape(repeats, arms - 1)
    return float(wrong.any(axis=1).mean())


@pytest.mark.parametrize("kind", ["normal", "log-normal"])
@pytest.mark.parametrize("arms", [2, 3, 10, 30])
@pytest.mark.parametrize("seeds", [3, 5])
def test_at_most_5_of_100_experiments_call_an_equal_arm_better_or_worse(arms, seeds, kind):
    repeats = 3000
    # Two deviations of the share above 5 %.
    assert errors(np.random.default_rng(arms + seeds), arms, seeds, repeats, kind) < 0.05 + 2 * (0.05 / repeats) ** 0.5


def holms_t(changed: np.ndarray, base: np.ndarray) -> np.ndarray:
    """The rejections of Holm's step-down method (repeats, comparisons), for paired t tests (…, seeds)."""
    p = stats.ttest_rel(changed, base[:, None, :], axis=-1).pvalue
    order = np.argsort(p, axis=1)
    steps = p.shape[1] - np.arange(p.shape[1])
    rejected = np.cumprod(np.take_along_axis(p, order, 1) * steps <= 0.05, axis=1).astype(bool)
    found = np.zeros_like(rejected)
    np.put_along_axis(found, order, rejected, 1)
    return found


@pytest.mark.parametrize(("comparisons", "share"), [(1, 0.91), (9, 0.40), (29, 0.18)])
def test_an_effect_of_two_deviations_is_found_as_often_as_by_holms_t(comparisons, share):
    repeats = 4000
    rng = np.random.default_rng(comparisons)
    base, changed = rng.standard_normal((repeats, 5)), rng.standard_normal((repeats, comparisons, 5))
    # The deviation of a paired difference is √2.
    changed[:, 0] += 2 * 2**0.5
    one = differences(changed[:, 0], base, comparisons)
    found = np.mean([each.verdict == "higher" for each in one if each])
    by_holm = holms_t(changed, base)[:, 0].mean()
    assert by_holm == pytest.approx(share, abs=0.03)
    assert found >= 0.95 * by_holm
