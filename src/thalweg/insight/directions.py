"""Directions in the space of the parameters: random ones, and the plane of a training's path.

Source: Li, Xu, Taylor, Studer, Goldstein 2018, Visualizing the loss landscape of neural nets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..core.arrays import Array, Params, as_vector, from_vector, map_arrays, map_weights
from ..core.errors import InputError


def filter_normalized(rng: np.random.Generator, params: Params) -> Params:
    """A random direction in which the weights of each unit move by their own norm: d_j <- d_j |w_j| / |d_j|.

    w_j is column j of a layer's W: the weights into unit j; d_j is normal. Vectors (biases, normalisation) do not move.

    Source: Li et al. 2018, section 4.

    >>> direction = filter_normalized(np.random.default_rng(0), (np.array([[3.0, 1.0], [4.0, 0.0]]), np.ones(2)))
    >>> np.linalg.norm(direction[0], axis=0).round(6).tolist(), direction[1].tolist()
    ([5.0, 1.0], [0.0, 0.0])
    """

    def normalized(weights: Array) -> np.ndarray:
        d = rng.standard_normal(np.shape(weights))
        w = np.asarray(weights, dtype=float)
        return d * np.linalg.norm(w, axis=0) / np.linalg.norm(d, axis=0)

    return map_weights(normalized, map_arrays(lambda p: np.zeros(np.shape(p)) if np.ndim(p) < 2 else p, params))


class PathPlane(NamedTuple):
    """The plane nearest to a path of m parameters.

    Attributes:
        axes: two directions of length 1.
        points: coordinates of the path on the plane (m, 2).
        distances: distances of the path from the plane (m,).
        explained: for each axis, the fraction of the squared distances from the last point.
    """

    axes: tuple[Params, Params]
    points: np.ndarray
    distances: np.ndarray
    explained: tuple[float, float]


def path_plane(path: Sequence[Params]) -> PathPlane:
    """The plane through the last of m parameters θ_i that is nearest to all: their two leading principal axes.

    The rows of D are θ_i - θ_m, and D = U S Vᵀ. The axes are the first two rows of Vᵀ, the points are D V, and an axis
    explains s_k² / Σ s². The distance of a point is the norm of the part of its row that is not on the plane.

    Raises InputError if the parameters do not move.

    Source: Li et al. 2018, section 7; here the plane contains the trained network.

    >>> plane = path_plane([(np.array([3.0, 0.0, 1.0]),), (np.array([3.0, 0.0, -1.0]),), (np.zeros(3),)])
    >>> plane.points.round(6).tolist(), [round(share, 6) for share in plane.explained]
    ([[3.0, 1.0], [3.0, -1.0], [0.0, 0.0]], [0.9, 0.1])
    """
    rows = np.stack([float_vector(params) for params in path])
    offsets = rows - rows[-1]
    _, sizes, axes = np.linalg.svd(offsets, full_matrices=False)
    if not sizes[0] > 0:
        raise InputError("landscape", "the parameters did not move in this training: there is no path to show")
    # The sign of an axis is free: the path starts on the positive side.
    first, second = (axis if axis @ offsets[0] >= 0 else -axis for axis in axes[:2])
    points = offsets @ np.stack([first, second], axis=1)
    shares = sizes**2 / np.sum(sizes**2)
    return PathPlane(
        axes=(from_vector(first, path[-1]), from_vector(second, path[-1])),
        points=points,
        distances=np.linalg.norm(offsets - points @ np.stack([first, second]), axis=1),
        explained=(float(shares[0]), float(shares[1])),
    )


def float_vector(params: Params) -> np.ndarray:
    """All parameters as one vector in float64."""
    return as_vector(params).astype(float)
