"""Statistics of a step, and the places at which they leave their normal range."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.doctor.checks import init_checks
from thalweg.doctor.measurements import Measurements
from thalweg.doctor.step_statistics import StepStatistics

PLACES = tuple("abcdef")


class Remedies:
    def __getattr__(self, name):
        return lambda *arguments: name


def step(outputs=(1, 1, 1, 1, 1, 1), deltas=(1, 1, 1, 1, 1, 1), finite=True):
    """Six layers with weights; the last one has no part in growth and flow."""
    return StepStatistics(dense=PLACES, outputs=np.array(outputs, float), deltas=np.array(deltas, float), finite=finite)


def place(check, start, **facts):
    m = Measurements(task="regression", start=start, standardized_starts=(start,), remedies=Remedies(), **facts)
    return [finding.place for finding in check(m)]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (step(), []),
        # 30 times the first outputs at c already, and more above.
        (step(outputs=(1, 2, 30, 900, 27000, 1)), ["c"]),
        (step(outputs=(1, 2, 3, np.inf, np.nan, np.nan), finite=False), ["d"]),
        # On the way back from e: 1, 100, 1e4 at c.
        (step(deltas=(1e8, 1e6, 1e4, 100, 1, 1)), ["c"]),
        (step(deltas=(np.nan, np.nan, 1, 1, 1, 1), finite=False), ["b"]),
    ],
)
def test_growth_is_placed_where_it_leaves_the_normal_range(start, expected):
    assert place(init_checks.exploding_start, start) == expected


def test_vanishing_is_placed_where_it_leaves_the_normal_range_on_the_way_back():
    assert place(init_checks.vanishing_start, step(deltas=(1e-8, 1e-6, 1e-3, 0.1, 1, 1))) == ["c"]
    assert place(init_checks.vanishing_start, step(deltas=(0.5, 0.6, 0.7, 0.9, 1, 1))) == []


def test_weights_are_blamed_at_the_first_layer_that_they_spoil():
    gains = {"a": 1.0, "b": 30.0, "c": 50.0}
    assert place(init_checks.large_weights, step(), gains=gains) == ["b"]
    gains = {"a": 0.9, "b": 0.05, "c": 0.01}
    assert place(init_checks.small_weights, step(), gains=gains) == ["b"]
