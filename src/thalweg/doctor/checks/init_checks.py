"""What the first step shows, before anything is learnt.

What stands out is tried again with standardised inputs: what goes away with them comes from their scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core.arrays import Tree, arrays_of, map_arrays
from ..core.noise import generator
from ..engine.engine import make_engine
from ..engine.step import Trace, make_step
from ..parts.layers import Dropout, GaussianNoise
from ..parts.optimizers import Adam
from ..training.inspect import inspect
from . import remedies
from .case import MOST_PARAMETERS, Case
from .findings import Finding, Remedy, Stage
from .material import Look
from .normal import normal

_STAGE: Stage = "at the start"
# Through a layer with no more units than this only one number passes.
ALIVE = 1
_MEMORY_ROWS, _MEMORY_STEPS, _MEMORY_RATE = 8, 300, 0.01
# A slope below this part of the loss drowns in its digits.
_GRADIENT_ROWS, _GRADIENT_ERROR, _FAINT = 32, 0.02, 1e-6
_WIDTHS = (1e-4, 1e-6)


def gradients(case: Case) -> Iterator[Finding]:
    """The gradient of each layer against differences of the loss, along a random direction."""
    if any(isinstance(layer, Dropout | GaussianNoise) for layer in case.network.layers):
        return
    rng, rows = generator(2, "doctor"), slice(0, _GRADIENT_ROWS)

    def drawn(size: float, tree: Tree) -> Any:
        return map_arrays(lambda array: size * rng.standard_normal(array.shape), tree)

    def seen(params: Tree) -> Trace:
        x, y = case.x[rows], case.y[rows]
        return inspect(case.network, params, x, y, loss=case.spec.loss, layers=case.begun.states)

    with np.errstate(all="ignore"):
        # Away from the start: there biases of 0 may put units right on a kink.
        at = map_arrays(lambda p, v: p + v, case.begun.params, drawn(0.1, case.begun.params))
        trace, still = seen(at), map_arrays(np.zeros_like, case.begun.params)
        least = _FAINT * max(1.0, abs(float(trace.loss)))
        # From the last layer down: the first that is wrong stands right before the fault.
        for index in reversed(range(len(still))):
            along = (*still[:index], drawn(1.0, still[index]), *still[index + 1 :])
            slope = _dot(trace.grads, along)
            # A slope that is small by chance is no measure: that of such a direction is about the gradient's norm.
            size = max(abs(slope), np.sqrt(_dot((trace.grads[index],), (trace.grads[index],))), least)
            found = [_difference(seen, at, along, h) for h in _WIDTHS]
            error = abs(slope - found[1]) / size
            # Differences that do not agree with each other, for kinks or digits, judge nothing.
            if np.isfinite(found).all() and error > max(_GRADIENT_ERROR, 10 * abs(found[0] - found[1]) / size):
                yield Finding(
                    "wrong-gradient",
                    _STAGE,
                    "severe",
                    case.name(index),
                    error,
                    f"its gradient is off by {error:.1%} of the slope that differences of the loss show",
                    "less than 0.1 %",
                    "This layer, one behind it, or the loss passes back another gradient than that of its numbers.",
                )
                return


def _difference(seen: Callable[[Tree], Trace], at: Tree, along: Tree, h: float) -> float:
    """The slope of the loss along a direction, by its values to both sides."""
    ends = [float(seen(map_arrays(lambda p, v, s=side: p + s * v, at, along)).loss) for side in (h, -h)]
    return (ends[0] - ends[1]) / (2 * h)


def _dot(a: Tree, b: Tree) -> float:
    return float(sum(np.sum(x * y) for (_, x), (_, y) in zip(arrays_of(a), arrays_of(b), strict=True)))


def weights(case: Case) -> Iterator[Finding]:
    """Weights that begin so small, or so large, that the signal comes through as another number than it should be."""
    usual = "1: starts that suit (He, Glorot, LeCun) keep the signal as large from layer to layer"
    least, most = normal("weights_small").far().low, normal("weights_large").far().high
    if case.weights_small < least:
        index = min(case.gains, key=lambda place: case.gains[place])
        yield Finding(
            "init-too-small",
            _STAGE,
            case.severity(certain=case.weights_small < least**2),
            case.name(index),
            case.weights_small,
            f"weights {case.gains[index]:.2g} times as large as the smallest textbook start; "
            f"{case.weights_small:.2g} of the signal is left behind all layers",
            usual,
            "Each layer makes the signal smaller, and the gradient on its way back: the first steps hardly move it.",
            (remedies.init(case),),
        )
    if case.weights_large > most:
        index = max(case.gains, key=lambda place: case.gains[place])
        yield Finding(
            "init-too-large",
            _STAGE,
            case.severity(certain=case.weights_large > most**2),
            case.name(index),
            case.weights_large,
            f"weights {case.gains[index]:.2g} times as large as the largest textbook start",
            usual,
            "The units begin at their limits, or the signal grows from layer to layer.",
            (remedies.init(case),),
        )


def depth(case: Case) -> Iterator[Finding]:
    """How outputs and deltas change from layer to layer."""
    start = case.start
    if len(start.dense) < 2:
        return
    if explodes(start):
        told = f"outputs that grow {start.growth:.3g} times" if start.finite else "numbers beyond all bounds"
        if sum(map(explodes, case.standardised)) > len(case.standardised) / 2:
            yield Finding(
                "exploding",
                _STAGE,
                case.severity(certain=True),
                case.name(start.dense[-1]),
                start.growth,
                f"{told} over {len(start.dense)} layers",
                f"about the same size in all layers ({normal('growth').tells()})",
                "The signal grows from layer to layer, or its gradient on the way back, until the numbers overflow.",
                against_growth(case),
            )
    elif start.flow < normal("flow").far().low:
        yield Finding(
            "vanishing",
            _STAGE,
            case.severity(certain=True),
            case.name(start.dense[0]),
            start.flow,
            f"the first layer gets {start.flow:.2g} of the gradient of the last hidden one ({len(start.dense)} layers)",
            f"about as much in all layers ({normal('flow').tells()})",
            "Each layer takes a part of the gradient on its way back: the first layers hardly learn.",
            against_vanishing(case),
        )


def explodes(look: Look) -> bool:
    """Whether what goes through the layers grows beyond what healthy networks show, or is no number."""
    if not look.finite:
        return True
    return look.growth > normal("growth").far().high or look.flow > normal("flow").far().high


def units(case: Case) -> Iterator[Finding]:
    """Units that pass no gradient before the first step."""
    start = case.start
    if case.alive_at_start <= ALIVE:
        index = next(i for i, alive in case.alive_in(start).items() if alive == case.alive_at_start)
        yield Finding(
            "dying-relu",
            _STAGE,
            case.severity(certain=case.alive_at_start == 0),
            case.name(index),
            case.alive_at_start,
            f"{case.alive_at_start:.0f} of its units pass a gradient for some row, before the first step",
            f"more than {ALIVE} ({normal('alive_at_start').tells()})",
            dead_in_words(case.alive_at_start),
            against_death(case),
        )
    if case.saturated_at_start > normal("saturated_at_end").high:
        index = start.activations[int(start.saturated.argmax())]
        yield Finding(
            "saturating-hidden",
            _STAGE,
            case.severity(),
            case.name(index),
            case.saturated_at_start,
            f"{case.saturated_at_start:.0%} of its answers are where the slope is below 5 % of the steepest",
            f"fewer ({normal('saturated_at_start').tells()})",
            "Units at their limits pass hardly any gradient.",
            (remedies.scale(case), remedies.init(case)),
        )


def dead_in_words(alive: float) -> str:
    """What so few units mean."""
    if alive:
        return "All that passes this layer, in either direction, passes one unit."
    return "The layer is dead: what is below it gets no gradient, and what is above it sees no input."


def against_growth(case: Case) -> tuple[Remedy, ...]:
    """What may help where signals explode."""
    kinds = remedies.hidden_kinds(case)
    return (*_others(case, kinds, "relu", "tanh"), remedies.normalized(case))


def against_vanishing(case: Case) -> tuple[Remedy, ...]:
    """What may help where gradients vanish."""
    kinds = remedies.hidden_kinds(case)
    first = (remedies.init(case),) if kinds & {"tanh", "relu"} else ()
    return (*first, *_others(case, kinds, "tanh", "relu"), remedies.normalized(case))


def against_death(case: Case) -> tuple[Remedy, ...]:
    """What may help where units die."""
    return (*_others(case, remedies.hidden_kinds(case), "tanh", "leaky_relu"), remedies.normalized(case))


def _others(case: Case, kinds: set[str], *wanted: str) -> tuple[Remedy, ...]:
    return tuple(remedies.hidden(case, kind) for kind in wanted if kind not in kinds)


def first_loss(case: Case) -> Iterator[Finding]:
    """The loss of the first step against that of the best constant answer."""
    if not case.first_loss > normal("first_loss").far().high:
        return
    yield Finding(
        "loss-at-start",
        _STAGE,
        "note",
        "loss",
        case.first_loss,
        f"a loss of {case.start.loss:.3g}",
        f"about {case.constant_loss:.3g}, that of the best constant answer ({normal('first_loss').tells()} of it)",
        "The network begins with answers that are sure and wrong; the first steps go to unlearning them.",
        (remedies.scale(case), remedies.init(case)),
    )


def sharpness(case: Case) -> Iterator[Finding]:
    """The rate against the curvature of the loss: beyond its bound a step overshoots."""
    most = normal("sharpness").far().high
    if not case.sharpness > most:
        return
    yield Finding(
        "lr-too-high",
        _STAGE,
        case.severity(certain=case.sharpness > 10 * most),
        "optimizer.learning_rate",
        case.sharpness,
        f"the rate of {case.rate:g} is {case.sharpness:.3g} times what the steepest curvature bears",
        f"below {most:.2g}: beyond 1 a step along the steepest direction ends higher than it began",
        "The first steps overshoot, and go on until they have found a flat place, which may be a dead one.",
        (remedies.rate(case, max(1 / case.sharpness, 1e-6)), remedies.adam(case)),
    )


def memory(case: Case) -> Iterator[Finding]:
    """Whether the network can learn a few rows by heart, given good steps."""
    if case.learns or not case.start.finite or case.parameters > MOST_PARAMETERS:
        return
    distinct = np.unique(case.x, axis=0, return_index=True)[1]
    rows = np.sort(generator(4, "doctor").permutation(distinct)[:_MEMORY_ROWS])
    plan, state = case.plan(Adam(_MEMORY_RATE))
    state, batch = make_engine("eager", "float64").place((state, case.batch(rows)))
    step = make_step(plan)

    def loss() -> float:
        x, y = case.x[rows], case.y[rows]
        return float(inspect(case.network, state.params, x, y, loss=case.spec.loss, layers=state.layers).loss)

    with np.errstate(all="ignore"):
        first = loss()
        for _ in range(_MEMORY_STEPS):
            state, _ = step(state, batch)
        last = loss()
    if np.isfinite(last) and last < first / 2:
        return
    yield Finding(
        "cannot-memorise",
        _STAGE,
        case.severity(),
        "network",
        last / first if first else float("nan"),
        f"the loss of {len(rows)} rows goes from {first:.3g} to {last:.3g} in {_MEMORY_STEPS} steps of Adam at "
        f"{_MEMORY_RATE:g}",
        "less than half: a network learns a few rows by heart",
        "Not even a few rows can be learnt: it is the network, the loss or the scale of the numbers, not the steps.",
    )


CHECKS = (gradients, weights, depth, units, first_loss, sharpness, memory)
