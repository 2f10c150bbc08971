"""What several checks of watched trainings share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ...doctor.findings import Remedy
from ...doctor.registry import STUCK, UNSTABLE
from ..facts import Look, LossInput
from ..measurements.watch_measurements import WatchMeasurements

BROKEN = (
    STUCK,
    UNSTABLE,
    "lr-too-low",
    "lr-too-high",
    "epochs-too-few",
    "step-too-long",
    "overfitting",
    "memorised",
    "init-symmetric",
    "regularization-too-strong",
    "missing-input-scaling",
    "missing-target-scaling",
    "output-activation",
    "linear-stack",
    "loss",
    "imbalance",
    "saturating-hidden",
)
"""Symptoms of a step that does not do what the loss asks for."""
MOST = 0.5
"""A sign counts if it holds in at least this part of the looks."""


def line(code: str) -> tuple[Remedy, ...]:
    """The line of PyTorch to change, as a remedy."""
    return (Remedy(code, ()),)


def mostly(looks: Iterable[Look], sign: Callable[[Look], bool]) -> bool:
    """Whether a sign holds in most of the looks; False without any."""
    signs = [sign(look) for look in looks]
    return bool(signs) and float(np.mean(signs)) >= MOST


def in_most(places: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The names that occur in most of the given sets, in their first order."""
    sets = [tuple(names) for names in places]
    names = dict.fromkeys(name for names in sets for name in names)
    return tuple(name for name in names if np.mean([name in other for other in sets]) >= MOST)


def late(m: WatchMeasurements) -> tuple[Look, ...]:
    """The looks at the second half of the training: the first steps are looked at more often than the others."""
    return tuple(look for look in m.watched.looks if 2 * look.step >= m.watched.steps)


def loss_inputs(m: WatchMeasurements) -> tuple[LossInput, ...]:
    """What the loss got in each look in which this was seen."""
    return tuple(look.loss_input for look in m.watched.looks if look.loss_input is not None)


def module_of(parameter: str) -> str:
    """The module that holds a parameter, by its name.

    >>> module_of("body.0.weight"), module_of("scale")
    ('body.0', 'scale')
    """
    return parameter.rpartition(".")[0] or parameter


def modules_of(parameters: Iterable[str]) -> tuple[str, ...]:
    """The modules that hold these parameters, each once."""
    return tuple(dict.fromkeys(map(module_of, parameters)))


def listed(names: Iterable[str], most: int = 4) -> str:
    """The first names and the number of the others."""
    names = tuple(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
