"""Paired differences, against SciPy's paired t-test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from thalweg.core.intervals import difference
from thalweg.core.noise import generator
from thalweg.data import Source
from thalweg.learn.digit_images import first_rows


@pytest.mark.parametrize("shift", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("count", [2, 3, 20])
def test_the_interval_is_that_of_the_paired_t_test(shift, count):
    base, changed = generator(1, "paired", count).standard_normal((2, count))
    changed = changed + shift
    interval = difference(changed, base)
    test = stats.ttest_rel(changed, base)
    assert interval.mean == pytest.approx(np.mean(changed - base))
    assert (interval.low, interval.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    # The interval leaves 0 out where the test is significant at 5 %.
    assert (interval.verdict == "undecided") == (test.pvalue > 0.05)


def test_verdicts_say_the_direction():
    assert difference([1.0, 1.1, 0.9], [2.0, 2.1, 2.0]).verdict == "lower"
    assert difference([2.0, 2.1, 2.0], [1.0, 1.1, 0.9]).verdict == "higher"


def test_first_rows_are_those_of_the_set():
    samples = Source.of("digits").load(seed=0)
    rows = first_rows("digits", 50).load(seed=3)
    np.testing.assert_array_equal(rows.x.reshape(50, -1), samples.x[:50].reshape(50, -1))
    np.testing.assert_array_equal(rows.y, samples.y[:50])
