"""How far back the averages of an optimizer reach, as its steps had them."""

from __future__ import annotations

from typing import NamedTuple, get_type_hints

import numpy as np

from ..parts.part import FractionRate, Optimizer, Schedule, options_of
from ..parts.schedules import MetricSchedule

_MOST_STEPS = 10_001


class Memory(NamedTuple):
    """How many steps an average counts: 1 / (1 - μ) for a weight μ of the past."""

    option: str
    """Name of the option: momentum, beta_1, ..."""
    usual: float
    """The steps by its default."""
    longest: float
    """The most steps of the training; infinite where nothing is forgotten any more."""
    last: float
    """μ at the last step."""
    steps: int
    """Number of steps of the training."""


def memories(optimizer: Optimizer, steps: int) -> tuple[Memory, ...]:
    """The memory of each average of an optimizer over a training.

    Schedules that follow a measure are left out: what they will be is not known.

    Args:
        optimizer: the optimizer, with durations in steps.
        steps: number of steps of the training.

    >>> from thalweg.parts.optimizers import Momentum
    >>> from thalweg.parts.schedules import Polynomial
    >>> [memory] = memories(Momentum(0.1, momentum=Polynomial(initial=0.5, final=0.98, steps=99)), 100)
    >>> memory.option, round(memory.usual), round(memory.longest)
    ('momentum', 10, 50)
    """
    found = []
    kinds = get_type_hints(type(optimizer), include_extras=True)
    at = np.linspace(0, max(steps - 1, 0), min(max(steps, 1), _MOST_STEPS)).round()
    for field in options_of(type(optimizer)):
        value = getattr(optimizer, field.name)
        if kinds[field.name] != FractionRate or isinstance(value, MetricSchedule):
            continue
        assert isinstance(field.default, float)
        weights = np.asarray(value(at) if isinstance(value, Schedule) else value, dtype=float)
        weights = np.broadcast_to(weights, at.shape)
        with np.errstate(divide="ignore"):
            longest = float(1 / np.fmax(1 - weights.max(), 0.0))
        found.append(Memory(field.name, 1 / (1 - field.default), longest, float(weights[-1]), steps))
    return tuple(found)
