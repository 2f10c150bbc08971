"""Gradient check: the gradients of a step against central differences of its loss, in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from ..core.arrays import Array, Params, arrays_of, map_arrays, replaced
from ..core.noise import generator
from ..engine.step import Plan, pieces
from ..parts.losses import as_targets
from ..training.replay import StepState, trace_step

WIDTH = 1e-5
"""h, half the width of the differences: rounding of ε |L| / h and truncation of h²/6 |L'''| are both about 1e-11."""
TOLERANCE = 1e-6
"""The largest relative error of a correct gradient."""
# Up to the first number of parameters, all are checked; else this many in total, and at least a few in each array.
_ALL_ENTRIES = 600
_TOTAL_ENTRIES = 120
_LEAST_ENTRIES = 4

Position = tuple[int, ...]


class CheckedArray(NamedTuple):
    """The gradient of one array of parameters, compared with differences of the loss.

    Attributes:
        path: its place in the parameters, as `0.W`.
        size: how many entries it has.
        compared: how many of them were compared.
        kinks: how many were left out because they lie at a kink.
        error: the largest absolute error.
        scale: the divisor of the relative error: the largest gradient of the array, or `GradientCheck.least`.
    """

    path: str
    size: int
    compared: int
    kinks: int
    error: float
    scale: float


class GradientCheck(NamedTuple):
    """The gradients of all arrays, compared with differences of the loss.

    Attributes:
        arrays: the arrays in the order of the parameters.
        least: the smallest gradient that can be distinguished from rounding.
        drawn: how many entries of each larger array were compared; None if all were.
    """

    arrays: tuple[CheckedArray, ...]
    least: float
    drawn: int | None

    @property
    def relative_error(self) -> float:
        """The largest relative error of all arrays; correct gradients stay below `TOLERANCE`."""
        return float(np.max([array.error / array.scale for array in self.arrays], initial=0.0))


def check_gradients(
    plan: Plan, start: StepState, seed: int, watch: Callable[[str, float], None] = lambda path, share: None
) -> GradientCheck:
    """Compare the gradients of the loss and its penalty with (L(p + h) - L(p - h)) / 2h, entry by entry.

    Masks, noise and batch statistics are those of the step. If there are many parameters, a random part is compared.

    Args:
        plan: network, loss and penalty.
        start: the state before the step, and its batch.
        seed: seeds the choice of entries.
        watch: receives the path of the array that is being compared, and the fraction done.

    >>> from thalweg.spec.spec import Spec
    >>> from thalweg.training.replay import replay
    >>> from thalweg.training.session import Session
    >>> session = Session.load(Spec.of({"data": {"source": "xor"}, "training": {"engine": "eager"}}))
    >>> (start,) = replay(session, [3]).states
    >>> check_gradients(session.plan, start, seed=0).relative_error < TOLERANCE
    True
    """
    arrays = list(arrays_of(plan.network.trained(start.state.params)))
    loss, gradients = _loss_and_gradients(plan, start)
    drawn = None
    if sum(array.size for _, array in arrays) > _ALL_ENTRIES:
        drawn = max(_LEAST_ENTRIES, _TOTAL_ENTRIES // max(1, len(arrays)))
    # The rounding of a difference, over the tolerance.
    least = 4 * np.finfo(float).eps * max(1.0, abs(loss)) / WIDTH / TOLERANCE
    checked = []
    for number, ((path, array), gradient) in enumerate(zip(arrays, gradients, strict=True)):
        watch(path, number / len(arrays))
        entries: Iterable[int] = range(array.size)
        if drawn is not None:
            entries = generator(seed, "check", number).permutation(array.size)[:drawn].tolist()
        positions = [tuple(map(int, np.unravel_index(entry, array.shape))) for entry in entries]
        checked.append(_check_array(plan, start, number, path, gradient, positions, least))
    return GradientCheck(tuple(checked), least, drawn)


def _check_array(
    plan: Plan,
    start: StepState,
    number: int,
    path: str,
    gradient: Array,
    positions: list[Position],
    least: float,
) -> CheckedArray:
    scale = float(np.abs(gradient).max(initial=least))
    with np.errstate(all="ignore"):
        errors = [_error(plan, start, number, position, gradient, TOLERANCE * scale) for position in positions]
    measured = [error for error in errors if error is not None]
    return CheckedArray(
        path=path,
        size=gradient.size,
        compared=len(measured),
        kinks=len(errors) - len(measured),
        error=float(np.max(measured, initial=0.0)),
        scale=scale,
    )


def _error(
    plan: Plan, start: StepState, number: int, position: Position, gradient: Array, allowed: float
) -> float | None:
    """The absolute error of a gradient at one entry of array `number`; None at a kink.

    At a kink the error exceeds `allowed`, and the gradients on both sides differ by more than the error.
    """
    params = start.state.params
    trained = plan.network.trained(params)
    shifted = (replaced(params, _shifted(trained, number, position, width)) for width in (WIDTH, -WIDTH))
    sides = [start._replace(state=start.state._replace(params=side)) for side in shifted]
    above, below = (_objective(plan, side) for side in sides)
    error = abs((above - below) / (2 * WIDTH) - float(gradient[position]))
    if error <= allowed:
        return error
    one, other = (float(_loss_and_gradients(plan, side)[1][number][position]) for side in sides)
    return None if error <= abs(one - other) else error


def _objective(plan: Plan, start: StepState) -> float:
    """L + R, computed as in a step."""
    state = start.state
    batch = start.batch
    outputs = np.concatenate(
        [
            plan.network.forward(state.params, state.layers, piece.x, context).outputs[-1]
            for piece, context in pieces(plan, state, batch)
        ]
    )
    loss, _ = plan.loss(outputs, as_targets(outputs, batch.y, plan.loss.members), batch.weight)
    penalty = plan.regularization.penalty(plan.network.trained(state.params), batch.weight.sum())
    return float(loss) + float(penalty)


def _loss_and_gradients(plan: Plan, start: StepState) -> tuple[float, list[Array]]:
    """L, and the gradients of L + R by each array of parameters that is trained."""
    _, trace = trace_step(plan, start)
    trained = plan.network.trained(start.state.params)
    grads = plan.regularization.gradients(trace.grads, trained, start.batch.weight.sum())
    return float(trace.loss), [array for _, array in arrays_of(grads)]


def _shifted(params: tuple[Params, ...], number: int, position: Position, width: float) -> tuple[Params, ...]:
    """The parameters with `width` added to one entry of array `number`."""
    numbers = itertools.count()

    def shifted(array: Array) -> Array:
        if next(numbers) != number:
            return array
        array = array.copy()
        array[position] += width
        return array

    return map_arrays(shifted, params)
