"""Layers that change the shape of a sample and none of its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..arrays import Array, Tree, namespace
from ..parts import Draw, Mode
from .straight import Straight


@dataclass(frozen=True)
class Flatten(Straight, kind="flatten"):
    """A sample of any shape as one row, the last axis running fastest; a flat sample stays as it is.

    Shapes: x (n, *shape), y (n, product of the shape).

    Backward: dL/dx = dL/dy in the shape of x.

    >>> import numpy as np
    >>> Flatten().forward((), (), np.array([[[1.0, 2.0], [3.0, 4.0]]]), Mode(training=False))[0].tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """

    def initialize(self, draw: Draw, shape: tuple[int, ...]) -> tuple[Tree, Tree, tuple[int, ...]]:
        return (), (), (math.prod(shape),)

    def forward(self, params: Tree, state: Tree, x: Array, mode: Mode) -> tuple[Array, Tree, Tree]:
        return namespace(x).reshape(x, (x.shape[0], math.prod(x.shape[1:]))), state, x

    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        return namespace(delta).reshape(delta, cache.shape), params

    def tangent(self, params: Tree, cache: Tree, along: Tree, dx: Array) -> Array:
        return self.forward(params, (), dx, Mode(training=False))[0]
