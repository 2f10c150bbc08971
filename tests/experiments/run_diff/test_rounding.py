"""The bound of rounding against sums whose error is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thalweg.experiments.run_diff.rounding import (
    StepRounding,
    relative_difference,
    roundoff_of_sum,
    terms_of_step,
    unit_roundoff,
)
from thalweg.models.network import Network
from thalweg.spec.spec import Spec
from thalweg.training.replay import replay
from thalweg.training.session import Session


@pytest.mark.parametrize("count", [10, 1000, 100_000])
def test_sums_in_any_order_agree_within_the_bound(count):
    numbers = np.random.default_rng(count).uniform(size=count).astype(np.float32)
    exact = math.fsum(numbers.tolist())
    orders = (numbers, numbers[::-1], np.sort(numbers))
    errors = [abs(float(np.cumsum(each, dtype=np.float32)[-1]) - exact) / exact for each in orders]
    assert max(errors) <= roundoff_of_sum(count, 2.0**-24)
    # The bound of the worst case, n u, is larger.
    assert count < 100 or roundoff_of_sum(count, 2.0**-24) < count * 2.0**-24


def test_the_roundoff_is_that_of_the_coarser_engine():
    assert unit_roundoff([("float64", "cpu"), ("float64", "gpu")]) == np.finfo(np.float64).eps / 2
    assert unit_roundoff([("float64", "cpu"), ("float32", "cpu")]) == np.finfo(np.float32).eps / 2
    assert unit_roundoff([("float32", "gpu"), ("float32", "cpu")]) == 2.0**-11


def test_terms_grow_with_width_depth_and_rows():
    counts = [
        terms_of_step(Network(["dense 4", "tanh"]), features=3, rows=8),
        terms_of_step(Network(["dense 8", "tanh"]), features=3, rows=8),
        terms_of_step(Network(["dense 8", "tanh", "dense 4"]), features=3, rows=8),
        terms_of_step(Network(["dense 8", "batch_norm", "tanh", "dense 4"]), features=3, rows=8),
        terms_of_step(Network(["dense 8", "batch_norm", "tanh", "dense 4"]), features=3, rows=64),
    ]
    assert counts == sorted(set(counts))


def test_differences_are_relative_and_see_shapes_and_nan():
    ones = np.ones(4)
    assert relative_difference(ones, ones * (1 + 1e-9)) == pytest.approx(1e-9, rel=1e-6)
    assert relative_difference(np.zeros(3), np.zeros(3)) == 0
    assert relative_difference(np.array([np.nan, 1.0]), np.array([np.nan, 1.0])) == 0
    assert relative_difference(np.array([np.nan, 1.0]), np.array([1.0, 1.0])) == math.inf
    assert relative_difference(np.ones(2), np.ones((2, 1))) == math.inf


def test_a_gradient_that_cancels_is_more_sensitive_than_the_loss():
    """The bias below a batch normalization has a gradient of 0: what is computed of it is rounding alone."""
    layers = ["dense 8", "batch_norm", "relu", "dense 2", "softmax"]
    spec = Spec.of({"data": "moons 60", "network": {"layers": layers}, "training": {"engine": "eager"}})
    session = Session.load(spec)
    (start,) = replay(session, [0]).states
    size = roundoff_of_sum(100, 2.0**-24)
    rounding = StepRounding(session.plan, start.state, start.batch, size, "float32")

    def sensitivity(values):
        exact = values(rounding.exact[1])
        changes = [np.linalg.norm(values(trace) - exact) for _, trace in rounding.perturbed]
        return max(changes) / np.linalg.norm(exact)

    assert 0.01 * size < sensitivity(lambda trace: trace.loss) < 10 * size
    assert sensitivity(lambda trace: trace.grads[0].b) > 1
    assert abs(rounding.rounded[1].loss - rounding.exact[1].loss) < size * rounding.exact[1].loss
