"""Directions in the space of the parameters: their norms, and the plane of a path against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.insight.directions import filter_normalized, float_vector, path_plane
from thalweg.models.network import Network

RNG = np.random.default_rng(5)


def test_each_unit_moves_by_the_norm_of_its_weights_and_vectors_stay():
    params = Network(["dense 6", "batch_norm", "tanh", "dense 2"]).initialize(0, (4,)).params
    direction = filter_normalized(np.random.default_rng(0), params)
    for (path, moved), (_, weights) in zip(arrays_of(direction), arrays_of(params), strict=True):
        if weights.ndim == 2:
            np.testing.assert_allclose(np.sqrt(np.square(moved).sum(axis=0)), np.sqrt(np.square(weights).sum(axis=0)))
            assert np.abs(moved - weights).max() > 0.1, path
        else:
            assert not moved.any(), path


def test_the_plane_of_a_path_has_the_error_of_numpys_svd():
    path = [(RNG.normal(size=(4, 3)) * 3.0**-k, RNG.normal(size=3)) for k in range(6)]
    plane = path_plane(path)
    offsets = np.stack([float_vector(tree) for tree in path]) - float_vector(path[-1])
    u, s, vt = np.linalg.svd(offsets, full_matrices=False)
    rest = offsets - (u[:, :2] * s[:2]) @ vt[:2]
    np.testing.assert_allclose(plane.distances, np.linalg.norm(rest, axis=1), atol=1e-12)
    np.testing.assert_allclose(plane.explained, s[:2] ** 2 / np.sum(s**2))
    axes = np.stack([float_vector(axis) for axis in plane.axes])
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)
    assert (plane.points[0] >= 0).all()
    assert [np.shape(array) for _, array in arrays_of(plane.axes[0])] == [(4, 3), (3,)]


def test_parameters_that_do_not_move_have_no_path():
    with pytest.raises(InputError, match="did not move"):
        path_plane([(np.ones(3),), (np.ones(3),)])
