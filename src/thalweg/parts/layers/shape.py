"""Layers that change the shape of a sample but none of its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...core.arrays import Array, namespace
from ..part import ForwardContext, InitContext, MeanField
from .base import ParameterFreeLinear


@dataclass(frozen=True)
class Flatten(ParameterFreeLinear[Array], kind="flatten"):
    """A sample of any shape as one row, the last axis fastest; a flat sample stays as it is.

    Shapes: x (n, *shape), y (n, product of the shape).

    Backward: dL/dx = dL/dy in the shape of x.

    >>> import numpy as np
    >>> Flatten().forward((), (), np.array([[[1.0, 2.0], [3.0, 4.0]]]), ForwardContext(training=False))[0].tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """

    transparent = True

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], tuple[()], tuple[int, ...]]:
        return (), (), (math.prod(shape),)

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        return self._flat(x), state, x

    def backward(self, params: tuple[()], cache: Array, delta: Array) -> tuple[Array, tuple[()]]:
        return namespace(delta).reshape(delta, cache.shape), params

    def jvp(self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array) -> Array:
        return self._flat(x_dot)

    def _flat(self, x: Array) -> Array:
        return namespace(x).reshape(x, (x.shape[0], math.prod(x.shape[1:])))

    def mean_field(self, draws: Sequence[tuple[()]], square: float) -> MeanField:
        return MeanField(square, 1.0)
