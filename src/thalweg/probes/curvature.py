"""The sharpness of the loss: the largest eigenvalue of its Hessian, and its trace.

The Hessian H is never formed; only products H v are computed, and they are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..core.arrays import Array, as_vector, from_vector
from ..engine import hessian
from ..engine.engine import Engine
from ..engine.step import Batch, Plan, State

Product = Callable[[np.ndarray], np.ndarray]
"""H v for a direction v (parameters,)."""

# Up to this many parameters the Hessian is computed column by column.
_FEW = 32
_DRAWS = 16
_TOLERANCE = 1e-2
_VECTORS = 8
_MOST_RESTARTS = 50


class Curvature(NamedTuple):
    """The largest eigenvalue of the Hessian, its trace, and the standard error of the trace (0 = exact)."""

    largest: float
    trace: float
    trace_error: float


def curvature(product: Product, parameters: int, rng: np.random.Generator) -> Curvature:
    """The curvature from products H v.

    The largest eigenvalue is computed by Lanczos' method (to 1 %), the trace by Hutchinson's: E vᵀ H v for v of random
    signs. Both are exact for up to 32 parameters. NaN if a product is not finite or the method does not converge.

    Args:
        product: H v for a direction v (parameters,).
        parameters: number of parameters.
        rng: draws the directions.

    Source: Lanczos 1950 (ARPACK); Hutchinson 1990.

    >>> H = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> curvature(lambda v: H @ v, 2, np.random.default_rng(0))
    Curvature(largest=3.0, trace=4.0, trace_error=0.0)
    """
    if parameters <= _FEW:
        H = np.array([product(column) for column in np.eye(parameters)], dtype=float)
        if not np.isfinite(H).all():
            return Curvature(np.nan, np.nan, np.nan)
        return Curvature(float(np.linalg.eigvalsh((H + H.T) / 2)[-1]), float(np.trace(H)), 0.0)
    with np.errstate(all="ignore"):
        signs = (2.0 * rng.integers(2, size=parameters, dtype=np.int8) - 1 for _ in range(_DRAWS))
        samples = np.array([draw @ product(draw) for draw in signs])
    if not np.isfinite(samples).all():
        return Curvature(np.nan, np.nan, np.nan)
    if not samples.any():
        # H is 0: ARPACK has no vector to start from.
        return Curvature(0.0, 0.0, 0.0)
    largest = _largest(product, parameters, rng)
    return Curvature(largest, float(samples.mean()), float(samples.std(ddof=1) / np.sqrt(_DRAWS)))


def curvature_at(
    engine: Engine, plan: Plan, state: State, data: Batch, rows: Array, rng: np.random.Generator
) -> Curvature:
    """The curvature of the loss over the rows[0] of `data`, at a state that the engine holds."""
    params = plan.network.trained(engine.fetch(state.params))

    def product(direction: np.ndarray) -> np.ndarray:
        placed = engine.place(from_vector(direction, params))
        return as_vector(engine.fetch(engine.call(hessian.product_at, plan, state, data, rows, placed))).astype(float)

    return curvature(product, as_vector(params).size, rng)


def _largest(product: Product, parameters: int, rng: np.random.Generator) -> float:
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    operator = LinearOperator((parameters, parameters), matvec=product, dtype=float)
    start = rng.standard_normal(parameters)
    try:
        values = eigsh(
            operator,
            k=1,
            which="LA",
            v0=start,
            ncv=_VECTORS,
            tol=_TOLERANCE,
            maxiter=_MOST_RESTARTS,
            return_eigenvectors=False,
        )
    except ArpackNoConvergence:
        return float("nan")
    return float(values[0])
