"""Are the gradients right? The gradients of a step beside central differences of its loss, in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array, Tree, arrays_of, map_arrays
from ..core.noise import generator
from ..engine.step import Plan, pieces
from ..parts.losses import as_targets
from ..training.replay import StepState, trace_step

# The width of the differences: rounding weighs ε |L| / h, what the quotient leaves out h²/6 |L'''|; either is 1e-11.
WIDTH = 1e-5
TOLERANCE = 1e-6
# Up to this many parameters all are looked at; of more, a share of this number for each array.
_ALL_ENTRIES, _ENTRIES, _LEAST_ENTRIES = 600, 120, 4


class CheckedArray(NamedTuple):
    """The gradient of one array of parameters beside differences of the loss.

    How many of its entries were compared, how many left out because they lie at a kink, the largest error, and what the
    relative error is taken over: the largest gradient of the array, or what can be told from rounding.
    """

    place: str
    size: int
    compared: int
    kinks: int
    error: float
    scale: float


class GradientCheck(NamedTuple):
    """The gradients of all arrays, checked.

    `least` is the least gradient that can be told from rounding; `drawn` how many entries of each larger array were
    looked at, None where all were.
    """

    arrays: tuple[CheckedArray, ...]
    least: float
    drawn: int | None

    @property
    def relative_error(self) -> float:
        """The largest of all arrays; a right gradient stays below `TOLERANCE`."""
        return float(np.max([array.error / array.scale for array in self.arrays], initial=0.0))


def check_gradients(
    plan: Plan, point: StepState, seed: int, watch: Callable[[str, float], None] = lambda place, share: None
) -> GradientCheck:
    """Compare the gradients of the loss and its penalty with (L(p + h) - L(p - h)) / 2h, entry by entry.

    The masks, the noise and the statistics of the batch are those of the step. Of many parameters `seed` draws which to
    look at. `watch` hears which array is looked at, and the share done.

    >>> from thalweg.spec.spec import Spec
    >>> from thalweg.training.replay import replay
    >>> from thalweg.training.session import Session
    >>> session = Session.load(Spec.of({"data": {"source": "xor"}, "training": {"engine": "eager"}}))
    >>> (point,) = replay(session, [3]).states
    >>> check_gradients(session.plan, point, seed=0).relative_error < TOLERANCE
    True
    """
    _, trace = trace_step(plan, point)
    grads = plan.regularization.gradients(trace.grads, point.state.params, point.batch.weight.sum())
    arrays, slopes = list(arrays_of(point.state.params)), [array for _, array in arrays_of(grads)]
    few = sum(np.size(array) for _, array in arrays) <= _ALL_ENTRIES
    share = max(_LEAST_ENTRIES, _ENTRIES // max(1, len(arrays)))
    # What rounding alone makes of a quotient bounds the gradients that can be told from 0.
    least = 4 * np.finfo(float).eps * max(1.0, float(np.abs(trace.loss))) / WIDTH / TOLERANCE
    checked = []
    for number, ((place, array), slope) in enumerate(zip(arrays, slopes, strict=True)):
        watch(place, number / len(arrays))
        drawn = generator(seed, "check", number).permutation(array.size)[:share]
        scale = float(np.abs(slope).max(initial=least))
        with np.errstate(all="ignore"):
            errors = [
                _error(plan, point, number, np.unravel_index(entry, array.shape), slope, TOLERANCE * scale)
                for entry in (range(array.size) if few else drawn)
            ]
        found = [error for error in errors if error is not None]
        largest = float(np.max(found, initial=0.0))
        checked.append(CheckedArray(place, array.size, len(found), len(errors) - len(found), largest, scale))
    return GradientCheck(tuple(checked), least, None if few else share)


def _whole_loss(plan: Plan, point: StepState) -> float:
    """L + R, as a step finds it."""
    state, batch = point.state, point.batch
    outputs = np.concatenate(
        [
            plan.network.forward(state.params, state.layers, piece.x, mode).outputs[-1]
            for piece, mode in pieces(plan, state, batch)
        ]
    )
    loss, _ = plan.loss(outputs, as_targets(outputs, batch.y), batch.weight)
    return float(loss) + float(plan.regularization.penalty(state.params, batch.weight.sum()))


def _error(plan: Plan, point: StepState, number: int, position: Any, slope: Array, small: float) -> float | None:
    """By how much the central difference by one entry of an array misses its gradient; None at a kink.

    A kink is where the gradient of one side differs from that of the other by more than an error that is not `small`.
    """
    state = point.state
    sides = [
        point._replace(state=state._replace(params=_moved(state.params, number, position, width)))
        for width in (WIDTH, -WIDTH)
    ]
    above, below = (_whole_loss(plan, side) for side in sides)
    error = abs((above - below) / (2 * WIDTH) - float(slope[position]))
    if error <= small:
        return error
    one, other = (_slope(plan, side, number, position) for side in sides)
    return None if error <= abs(one - other) else error


def _slope(plan: Plan, point: StepState, number: int, position: Any) -> float:
    """The gradient of L + R by one entry of the array of that number."""
    _, trace = trace_step(plan, point)
    grads = plan.regularization.gradients(trace.grads, point.state.params, point.batch.weight.sum())
    return float([array for _, array in arrays_of(grads)][number][position])


def _moved(params: Tree, number: int, position: Any, width: float) -> Tree:
    """The parameters with one entry of the array of that number changed."""
    numbers = itertools.count()

    def moved(array: Array) -> Array:
        if next(numbers) != number:
            return array
        array = array.copy()
        array[position] += width
        return array

    return map_arrays(moved, params)
