"""The kinds of unseen.py in ten newly drawn specs, for rules that were changed because of a case in unseen.py.

A right answer may also name the place of the fault, or replace it, as for all of fresh/. Rows are split as in bases.py,
so the two kinds that need a random split are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rows
from faults import stack, table
from unseen import KINDS as UNSEEN

from .bases import Base, base_of, by
from .kinds import Case, Kind, Wrong, cases_of

_OF_RANDOM_SPLIT = ("sorted, not shuffled", "rows that leak")


def redrawn_bases() -> dict[str, Base]:
    """The healthy specs by name."""
    # fmt: off
    chosen = {
        rows.flower: (stack(2, 28, "tanh", "dense 1", "sigmoid"), "glorot_normal", by("adam", 0.01), 70),
        rows.tones: (stack(2, 30, "relu", "dense 3", "softmax"), "he_normal", by("rmsprop", 0.002), 40),
        rows.loops: (stack(1, 36, "gelu", "dense 1", "sigmoid"), "lecun_normal", by("momentum", 0.02), 25),
        rows.bands: (stack(3, 28, "elu", "dense 5", "softmax"), "he_uniform", by("nadam", 0.004), 50),
        rows.caps: (stack(2, 40, "swish", "dense 4", "softmax"), "lecun_normal", by("nesterov", 0.03), 60, 24),
        rows.tags: (stack(2, 32, "selu", "dense 5", "sigmoid"), "lecun_normal", by("adamw", 0.003), 40),
        rows.ripple: (stack(3, 32, "tanh", "dense 1"), "glorot_uniform", by("amsgrad", 0.006), 100),
        rows.lens: (stack(2, 20, "softplus", "dense 1"), "glorot_normal", by("adam", 0.01), 60, 24),
        rows.roof: (stack(1, 40, "leaky_relu", "dense 1"), "he_normal", by("sgd", 0.03), 50, 16),
        rows.springs: (stack(2, 26, "gelu", "dense 1"), "orthogonal", by("momentum", 0.01), 60),
    }
    # fmt: on
    return {
        made.__name__: base_of(made, table(rows.source(made.__name__), *settings), nearly_straight=False)
        for made, settings in chosen.items()
    }


def _put(change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Callable[[Base], Wrong | None]:
    def put(base: Base) -> Wrong | None:
        changes = change(base.table)
        return Wrong(changes) if changes else None

    return put


KINDS = tuple(
    Kind(name, _put(change), codes, shows="always" if always else "training")
    for name, codes, change, always in UNSEEN
    if name not in _OF_RANDOM_SPLIT
)


def redrawn() -> dict[str, Case]:
    """The cases by name."""
    return cases_of("r", KINDS, most=5, among=redrawn_bases)
