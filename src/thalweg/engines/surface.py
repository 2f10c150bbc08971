"""The loss as a surface over the parameters: what both engines work out at each place."""

from __future__ import annotations

from ..arrays import Array, Tree, map_arrays
from ..step import Batch, Plan, State, answering, make_measure


def loss_at(plan: Plan, state: State, data: Batch, axes: tuple[Tree, ...], place: Array) -> Array:
    """L(θ + Σ_k a_k d_k) over all rows of a batch: θ the parameters that answer, a the place (k,), d_k an axis each.

    An axis has the shape of the parameters. Layers are in evaluation mode and keep their states.
    """
    state = answering(state)
    params = state.params
    for along, axis in enumerate(axes):
        params = map_arrays(lambda p, d, a=place[along]: p + a * d, params, axis)
    sums = make_measure(plan)(state._replace(params=params), data)
    return sums.loss / sums.weight
