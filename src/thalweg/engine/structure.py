"""What of a part shapes its compiled program, and what is a number that the program is given."""

from __future__ import annotations

from collections.abc import Hashable
from typing import cast

import numpy as np

from ..parts.part import Initializer, Part, options_of

Fixed = tuple[tuple[str, object], ...]
"""The options of a part that shape its program, with their values."""


def divided(part: Part) -> tuple[dict[str, object], Fixed]:
    """The options of a part that a program is given, and those that shape it.

    Fractional numbers and parts are given: changing them compiles nothing. Whole numbers and words shape the program.

    >>> from thalweg.parts.losses import MemberLoss
    >>> divided(MemberLoss(3))
    ({'loss': SoftmaxCrossEntropy(label_smoothing=0.0)}, (('members', 3),))
    """
    given: dict[str, object] = {}
    fixed: list[tuple[str, object]] = []
    for field in options_of(type(part)):
        value = getattr(part, field.name)
        if isinstance(value, int | str | None) or _shapes_the_program(value):
            fixed.append((field.name, value))
        elif isinstance(value, Initializer):
            # It has done its work before the first step, and must not cause another compilation.
            fixed.append((field.name, None))
        else:
            given[field.name] = value
    return given, tuple(fixed)


def _shapes_the_program(value: object) -> bool:
    """Whether a tuple holds whole numbers and words alone."""
    return isinstance(value, tuple) and all(isinstance(item, str | int) for item in value)


def structure(value: object) -> Hashable:
    """What of a value shapes a program that is given it: equal structures share one program.

    Args:
        value: a part, an array, or tuples of these.

    >>> from thalweg.parts.optimizers import Adam
    >>> structure(Adam(0.1)) == structure(Adam(0.2)), structure(np.zeros(2)) == structure(np.zeros(3))
    (True, False)
    """
    if isinstance(value, Part):
        given, fixed = divided(value)
        return type(value), fixed, tuple((name, structure(option)) for name, option in given.items())
    if isinstance(value, tuple):
        return type(value), tuple(map(structure, value))
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str
    return cast(Hashable, type(value))
