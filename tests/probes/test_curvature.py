"""The largest eigenvalue and the trace by products alone, beside those of the matrix written out."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.probes.curvature import curvature


def symmetric(eigenvalues, seed=0):
    """A matrix with these eigenvalues in random directions."""
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues), len(eigenvalues))))
    return Q @ np.diag(eigenvalues) @ Q.T


def found_for(H, seed=0):
    return curvature(lambda v: H @ v, len(H), np.random.default_rng(seed))


@pytest.mark.parametrize("eigenvalues", [[3.0], [2.0, -5.0], [-1.0, -2.0, -3.0], list(range(-10, 22))])
def test_of_few_parameters_both_are_exact(eigenvalues):
    found = found_for(symmetric(eigenvalues))
    assert found.largest == pytest.approx(max(eigenvalues))
    assert found.trace == pytest.approx(sum(eigenvalues))
    assert found.trace_error == 0


@pytest.mark.parametrize(
    "eigenvalues",
    [
        np.concatenate([[40.0, 10.0], np.linspace(-0.5, 1, 198)]),
        # The largest is not the one of the largest size.
        np.concatenate([[-60.0, 3.0], np.zeros(100)]),
        np.linspace(-8, -1, 50),
    ],
    ids=["as of networks", "a saddle", "a summit"],
)
def test_of_many_parameters_the_largest_is_found_to_a_hundredth(eigenvalues):
    assert found_for(symmetric(eigenvalues)).largest == pytest.approx(max(eigenvalues), rel=0.01)


def test_the_error_of_the_trace_is_what_traces_differ_by():
    H = symmetric(np.linspace(-1, 5, 80))
    found = [found_for(H, seed) for seed in range(100)]
    off = np.array([one.trace for one in found]) - np.trace(H)
    assert abs(off.mean()) < 4 * off.std() / 10
    assert np.mean([one.trace_error for one in found]) == pytest.approx(off.std(), rel=0.25)


def test_of_a_diagonal_matrix_any_signs_give_the_trace():
    found = found_for(np.diag(np.linspace(0, 1, 64)))
    assert found.trace == pytest.approx(32)
    assert found.trace_error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("parameters", [3, 60])
def test_products_that_are_not_finite_give_nothing(parameters):
    found = curvature(lambda v: v + np.inf, parameters, np.random.default_rng(0))
    assert np.isnan(found).all()


def test_the_same_stream_gives_the_same_numbers():
    H = symmetric(np.linspace(-1, 5, 80))
    assert found_for(H) == found_for(H)
