"""A block of layers with a way around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...core.arrays import Array, Tree, namespace
from ...core.errors import InputError, Problem
from ...core.functions import product, transposed_product
from ..part import ForwardContext, InitContext, Layer, MeanField
from . import stack


class Branch(NamedTuple):
    """Parameters of a residual block, and their gradients: of its layers, and P (in, out) of the way around, or ()."""

    layers: tuple[Tree, ...]
    projection: Array | tuple[()]


@dataclass(frozen=True)
class Residual(Layer, kind="residual"):
    """Layers f with a way around them: y = f(x) + x, or y = f(x) + x P with learned weights P where the widths differ.

    Backward, with d = dL/dy:  dL/dx = (df/dx)ᵀ d + d, or + d Pᵀ;  dL/dP = xᵀ d. The second term carries d past f
    undiminished: what lies below learns also where f passes little.

    While x moves along x', y moves along f' + x', or + x P' + x' P; dL/dx bends by what f bends, and d P'ᵀ; dL/dP by
    x'ᵀ d.

    Shapes: x (n, in), y (n, out), P (in, out), drawn as the weights of the last layer of f are. Raises InputError for a
    block without layers, and where shapes differ that are not flat.

    Source: He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition, equations 1 and 2 (option B).

    >>> from thalweg.models.network import Network
    >>> start = Network([Residual(["dense 4", "tanh"]), Residual(["dense 4", "tanh"])]).initialize(0, (2,))
    >>> start.params[0].projection.shape, start.params[1].projection
    ((2, 4), ())
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layers:
            raise InputError(self.kind, [Problem("layers", "expected at least one layer, received none")])

    @property
    def inner(self) -> tuple[Layer, ...]:
        return self.layers

    def mean_field(self, draws: Sequence[Branch], square: float) -> MeanField | None:
        """The sum of what the layers give and of what the way around gives, for outputs and for deltas."""
        inside = stack.mean_field(self.layers, [params.layers for params in draws], square)
        if inside is None:
            return None
        around = MeanField(square, 1.0)
        if not isinstance(draws[0].projection, tuple):
            weight = float(np.mean([np.square(params.projection) for params in draws]))
            fan_in, width = draws[0].projection.shape
            around = MeanField(fan_in * weight * square, width * weight)
        return MeanField(
            square=around.square + inside[-1].square,
            factor=around.factor + math.prod(step.factor for step in inside),
        )

    @property
    def least_batch(self) -> int:
        """What the most demanding of its layers needs."""
        return max(layer.least_batch for layer in self.layers)

    def initialize(self, draw: InitContext, shape: tuple[int, ...]) -> tuple[Tree, Tree, tuple[int, ...]]:
        draws = (draw._replace(rng=rng) for rng in draw.rng.spawn(len(self.layers)))
        start = stack.initialize(self.layers, draws, shape)
        projection = self._projection(draw, shape, start.shapes[-1])
        return Branch(start.params, projection), start.states, start.shapes[-1]

    def _projection(self, draw: InitContext, shape: tuple[int, ...], out: tuple[int, ...]) -> Any:
        if shape == out:
            return ()
        if len(shape) != 1 or len(out) != 1:
            raise InputError(
                self.kind,
                f"expected layers that keep the shape of their samples, or flat samples, received {shape} before and"
                f" {out} after the layers; put flatten before the block",
            )
        return draw.weights(draw.following)(draw.rng, (*shape, *out))

    def forward(self, params: Tree, state: Tree, x: Array, mode: ForwardContext) -> tuple[Array, Tree, Tree]:
        outputs, states, caches = stack.forward(self.layers, params.layers, state, x, mode)
        around = x if isinstance(params.projection, tuple) else product(x, params.projection)
        return outputs[-1] + around, states, (caches, x)

    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        dx, layers = stack.backward(self.layers, params.layers, cache[0], delta)
        if isinstance(params.projection, tuple):
            return dx + delta, Branch(layers, ())
        return dx + product(delta, params.projection.T), Branch(layers, transposed_product(cache[1], delta))

    def jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array | None) -> Array:
        moved = [stack.jvp(self.layers, params.layers, cache[0], along.layers, dx)[-1], dx]
        if not isinstance(params.projection, tuple):
            moved[1:] = [product(cache[1], along.projection), None if dx is None else product(dx, params.projection)]
        first, *others = (move for move in moved if move is not None)
        return sum(others, first)

    def backward_jvp(
        self, params: Tree, cache: Tree, along: Tree, dx: Array | None, delta: Array
    ) -> tuple[Array | None, Tree]:
        inside = self.layers, params.layers, cache[0]
        moves = (dx, *stack.jvp(*inside, along.layers, dx)[:-1])
        deltas, _ = stack.gradients(*inside, delta)
        # At the end of the block delta stays.
        turn, layers = stack.backward_jvp(*inside, along.layers, moves, deltas, namespace(delta).zeros_like(delta))
        if isinstance(params.projection, tuple):
            return turn, Branch(layers, ())
        if dx is None:
            return None, Branch(layers, namespace(delta).zeros_like(params.projection))
        return turn + product(delta, along.projection.T), Branch(layers, transposed_product(dx, delta))
