"""Layers that change the shape of a sample and none of its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...core.arrays import Array, Tree, namespace
from ..part import ForwardContext, InitContext, MeanField
from .straight import ParameterFreeLinear


@dataclass(frozen=True)
class Flatten(ParameterFreeLinear, kind="flatten"):
    """A sample of any shape as one row, the last axis running fastest; a flat sample stays as it is.

    Shapes: x (n, *shape), y (n, product of the shape).

    Backward: dL/dx = dL/dy in the shape of x.

    >>> import numpy as np
    >>> Flatten().forward((), (), np.array([[[1.0, 2.0], [3.0, 4.0]]]), ForwardContext(training=False))[0].tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """

    transparent = True

    def mean_field(self, draws: Sequence[Tree], square: float) -> MeanField:
        return MeanField(square, 1.0)

    def initialize(self, draw: InitContext, shape: tuple[int, ...]) -> tuple[Tree, Tree, tuple[int, ...]]:
        return (), (), (math.prod(shape),)

    def forward(self, params: Tree, state: Tree, x: Array, mode: ForwardContext) -> tuple[Array, Tree, Tree]:
        return namespace(x).reshape(x, (x.shape[0], math.prod(x.shape[1:]))), state, x

    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        return namespace(delta).reshape(delta, cache.shape), params

    def jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array) -> Array:
        return self.forward(params, (), dx, ForwardContext(training=False))[0]
