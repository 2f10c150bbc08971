"""A small learner that takes no time: a ridge regression on random rectified units."""

from __future__ import annotations

import numpy as np

from ...core.noise import generator

_UNITS = 100
# The penalty of the weights.
_PENALTY = 30.0


def random_units(x: np.ndarray) -> np.ndarray:
    """Outputs max(0, w·z + b) of a hundred random units for inputs x (n, columns), and a 1 for the constant (n, 101).

    z are the inputs in standard deviations, and w and b are drawn from normal distributions.

    Source: Rahimi and Recht 2008, "Weighted sums of random kitchen sinks".
    """
    deviation = x.std(axis=0)
    scaled = (x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    rng = generator(0, "doctor", "units")
    W = rng.standard_normal((x.shape[1], _UNITS)) / np.sqrt(x.shape[1])
    return np.hstack([np.maximum(scaled @ W + rng.standard_normal(_UNITS), 0), np.ones((len(x), 1))])


def ridge_outputs(units: np.ndarray, targets: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Cross-validated outputs of the ridge regression, W = (UᵀU + 30 I)⁻¹ UᵀT.

    Args:
        units: outputs of `random_units` (n, units).
        targets: targets around 0 (n, outputs).
        fold: number of the fold of each row (n,).

    Returns:
        The outputs for each row, by a regression that has not seen its fold (n, outputs).
    """
    outputs = np.empty(targets.shape)
    for number in range(fold.max() + 1):
        out = fold == number
        A = units[~out].T @ units[~out] + _PENALTY * np.eye(units.shape[1])
        outputs[out] = units[out] @ np.linalg.solve(A, units[~out].T @ targets[~out])
    return outputs
