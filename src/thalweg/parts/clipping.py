"""Clipping: gradients that are too large are shortened before the optimizer uses them.

A gradient that is NaN or infinite is left unchanged, so that a failed training is not concealed.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.arrays import Array, Grads, Scalar, TreeT, leaves, map_arrays, namespace
from .part import Part, Positive


class Clipping(Part, ABC, family="clipping"):
    """A bound for gradients."""

    limit: float

    @abstractmethod
    def __call__(self, grads: tuple[Grads, ...]) -> tuple[tuple[Grads, ...], Scalar]:
        """(the clipped gradients, 1.0 if the bound changed any of them, else 0.0), from one entry for each layer.

        Gradients within the bound are unchanged to the bit.
        """


def _any(flags: Sequence[Scalar]) -> Scalar:
    """1.0 if any flag is above 0, else 0.0; 0.0 without flags."""
    return functools.reduce(lambda a, b: namespace(a).maximum(a, b), flags) if flags else 0.0


def _flag(condition: Array, like: Array) -> Array:
    """1.0 or 0.0 in the type of `like`."""
    xp = namespace(like)
    return xp.where(condition, xp.ones_like(like), xp.zeros_like(like))


def _within_norm(grads: TreeT, limit: float) -> tuple[TreeT, Scalar]:
    """g limit / |g| if |g|, the norm of all arrays together, is above the limit; and whether it is.

    |g| = m r with m the largest |g_i| and r = |g / m|: no square overflows, and none that matters underflows.
    """
    arrays = leaves(grads)
    if not arrays:
        return grads, 0.0
    xp = namespace(arrays[0])
    largest = functools.reduce(xp.maximum, [xp.max(xp.abs(g)) for g in arrays])
    # All zeros, or not finite: NaN compares as false below, and the gradients are kept.
    largest = xp.where((largest > 0) & xp.isfinite(largest), largest, xp.nan)
    ratio = xp.sqrt(sum(xp.sum((g / largest) ** 2) for g in arrays))
    over = largest > limit / ratio
    clipped = map_arrays(lambda g: xp.where(over, g / largest * (limit / ratio), g), grads)
    return clipped, _flag(over, largest)


@dataclass(frozen=True)
class ClipValue(Clipping, kind="value"):
    """Each number of the gradient to [-limit, limit]. The direction changes.

    >>> import numpy as np
    >>> clipped, acted = ClipValue(1.0)((np.array([3.0, -0.5]),))
    >>> clipped[0].tolist(), float(acted)
    ([1.0, -0.5], 1.0)
    """

    limit: Positive

    def __call__(self, grads: tuple[Grads, ...]) -> tuple[tuple[Grads, ...], Scalar]:
        def over(g: Array) -> Array:
            xp = namespace(g)
            return (xp.abs(g) > self.limit) & xp.isfinite(g)

        def clipped(g: Array) -> Array:
            xp = namespace(g)
            return xp.where(over(g), self.limit * xp.sign(g), g)

        return map_arrays(clipped, grads), _any([namespace(g).max(_flag(over(g), g)) for g in leaves(grads)])


@dataclass(frozen=True)
class ClipNorm(Clipping, kind="norm"):
    """Each layer's gradient g, its weights and biases together: g limit / |g| where |g| > limit.

    >>> import numpy as np
    >>> clipped, acted = ClipNorm(1.0)((np.array([3.0, 4.0]), np.array([0.5])))
    >>> [g.round(3).tolist() for g in clipped], float(acted)
    ([[0.6, 0.8], [0.5]], 1.0)
    """

    limit: Positive

    def __call__(self, grads: tuple[Grads, ...]) -> tuple[tuple[Grads, ...], Scalar]:
        layers = [_within_norm(layer, self.limit) for layer in grads]
        return tuple(clipped for clipped, _ in layers), _any([acted for _, acted in layers])


@dataclass(frozen=True)
class ClipGlobalNorm(Clipping, kind="global_norm"):
    """The whole gradient g, all layers together: g limit / |g| where |g| > limit. The direction is kept.

    Source: Pascanu, Mikolov, Bengio 2013, algorithm 1.

    >>> import numpy as np
    >>> clipped, acted = ClipGlobalNorm(1.0)((np.array([3.0]), np.array([4.0])))
    >>> [g.round(3).tolist() for g in clipped], float(acted)
    ([[0.6], [0.8]], 1.0)
    """

    limit: Positive

    def __call__(self, grads: tuple[Grads, ...]) -> tuple[tuple[Grads, ...], Scalar]:
        return _within_norm(grads, self.limit)
