"""Remedies that several checks share."""

from __future__ import annotations

from ..findings import Remedy
from ..measurements import Measurements


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


def _other_units(m: Measurements, *kinds: str) -> tuple[Remedy, ...]:
    """Other hidden activations than the present ones."""
    present = {layer.kind for layer in m.layers if layer.hidden}
    return tuple(m.remedies.hidden_units(kind) for kind in kinds if kind not in present)
