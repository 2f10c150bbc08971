"""Remedies that several checks share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...pages.numbers import number, percent
from ..findings import Remedy
from ..measurements import Measurements
from ..normal import normal, usual

# Two rates that differ by less than this factor are the same advice.
_NOTABLE = 2.0


def against_growth(m: Measurements) -> tuple[Remedy, ...]:
    """Remedies for signals that grow from layer to layer."""
    return (*_other_units(m, "relu", "tanh"), m.remedies.batch_norm())


def against_vanishing(m: Measurements) -> tuple[Remedy, ...]:
    """Remedies for gradients that shrink from layer to layer."""
    # Where the slope of an activation reaches 1, suitable initial weights keep the gradient.
    keeps = any(layer.steepest_slope is not None and layer.steepest_slope >= 1 for layer in m.layers if layer.hidden)
    return (*((m.remedies.init(),) if keeps else ()), *_other_units(m, "tanh", "relu"), m.remedies.batch_norm())


def against_death(m: Measurements) -> tuple[Remedy, ...]:
    """Remedies for units that pass no gradient."""
    return (*_other_units(m, "tanh", "leaky_relu"), m.remedies.batch_norm())


def larger_batch(m: Measurements) -> tuple[Remedy, ...]:
    """Batches of 32 rows, where they are small now and there are rows enough."""
    small = m.batch_size is not None and m.batch_size < 16 and m.rows > 64
    return (m.remedies.batch(32),) if small else ()


def slow_signs(m: Measurements) -> Iterator[str]:
    """Signs that the steps are too short, in words."""
    if m.moved < normal("moved").low:
        updates = f" in {number(m.updates)} updates" if np.isfinite(m.updates) else ""
        yield f"the weights of each layer moved by at most {percent(m.moved, 3)} of their size{updates}"
    if _largest_sharpness(m) < normal("sharpness").far().low:
        yield (
            f"the largest learning rate is {number(_largest_sharpness(m), 2)} times the largest rate that is stable "
            "along the steepest curvature at the start"
        )
    if m.first_step < normal("first_step").far().low and m.falling > normal("falling").high:
        yield (
            f"the first steps change each layer by at most {percent(m.first_step, 2)} of the size of its weights, and "
            "the loss is still falling"
        )


def larger_rates(m: Measurements) -> tuple[Remedy, ...]:
    """Larger learning rates: the suited one and that of healthy networks below the same curvature; where neither is
    larger, the one at which weights move as in healthy networks."""
    suited = [_suited_factor(m), _ratio(usual("sharpness"), _largest_sharpness(m))]
    for factors in (suited, [_ratio(usual("moved"), m.moved)]):
        if larger := [factor for factor in factors if factor > _NOTABLE]:
            return _rates(m, larger)
    return _rates(m, [10.0, 100.0])


def smaller_rates(m: Measurements) -> tuple[Remedy, ...]:
    """Smaller learning rates: the suited one, a tenth and a hundredth."""
    factor = _suited_factor(m)
    return _rates(m, [*([factor] if factor < 1 / _NOTABLE else []), 0.1, 0.01])


def _suited_factor(m: Measurements) -> float:
    """The factor to the rate that ends at the lowest point along the steepest curvature at the start; where the
    curvature is not known, or says nothing of the steps, to the first steps of healthy networks."""
    sharpness = _largest_sharpness(m)
    if np.isnan(sharpness):
        return _ratio(usual("first_step"), m.first_step)
    # Momentum takes 1 / (1 - momentum) times such a step in the end, and is stable up to 2 (1 + momentum) of it.
    return _ratio((1 - m.momentum) / (2 * (1 + m.momentum)), sharpness)


def _ratio(aim: float, present: float) -> float:
    return aim / present if present > 0 else float("nan")


def _largest_sharpness(m: Measurements) -> float:
    """The sharpness at the largest learning rate of the training."""
    return m.sharpness * m.largest_rate / m.learning_rate if m.learning_rate > 0 else m.sharpness


def _rates(m: Measurements, factors: Sequence[float]) -> tuple[Remedy, ...]:
    """Learning rates by their factors, without those that are close to one before them."""
    chosen: list[float] = []
    for factor in factors:
        if all(max(factor / other, other / factor) > _NOTABLE for other in chosen):
            chosen.append(factor)
    return tuple(m.remedies.rate(factor) for factor in chosen)


def _other_units(m: Measurements, *kinds: str) -> tuple[Remedy, ...]:
    """Other hidden activations than the present ones."""
    present = {layer.kind for layer in m.layers if layer.hidden}
    return tuple(m.remedies.hidden_units(kind) for kind in kinds if kind not in present)
