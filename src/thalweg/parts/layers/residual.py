"""A block of layers with a shortcut around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from ...core.arrays import Array, Cache, LayerState, Params, emptied, namespace
from ...core.errors import InputError, Problem
from ...core.functions import product, transposed_product
from ..part import Flag, ForwardContext, InitContext, Layer, LocalFactor, MeanField
from . import stack
from .windows import unpatched


class Branch(NamedTuple):
    """Parameters of a residual block, and their gradients.

    layers: parameters of its layers.
    projection: P (in, out) of the shortcut, of channels for pictures; or ().
    """

    layers: tuple[Params, ...]
    projection: Array | tuple[()]


_DEEPEST = 16

_States: TypeAlias = tuple[LayerState, ...]
_Caches: TypeAlias = tuple[tuple[Cache, ...], Array]


@dataclass(frozen=True)
class Residual(Layer[Branch, _States, _Caches], kind="residual"):
    """Layers f with a shortcut: y = f(x) + x, or y = f(x) + x P with learned weights P where the shapes differ.

    Of pictures, P acts on the channels of each pixel; where f makes them smaller by a stride s, x stands for its pixels
    in every s-th row and column: a convolution with kernel 1 and stride s.

    Backward, with d = dL/dy:  dL/dx = (df/dx)ᵀ d + d, or + d Pᵀ;  dL/dP = xᵀ d. The second term carries d past f
    undiminished: the layers below learn even if f passes little.

    Along x_dot and P_dot: y_dot = f_dot + x_dot, or + x P_dot + x_dot P. The derivative of dL/dx is that of f's part
    plus d P_dotᵀ, and that of dL/dP is x_dotᵀ d.

    Shapes: x (n, in), y (n, out), P (in, out), drawn like the weights of the last layer of f; or pictures
    (n, height, width, channels). Raises InputError for a block without layers, and for shapes of which no stride makes
    the one of the other.

    trainable: whether a training changes P and the parameters of the layers; false holds all of them.

    Source: He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition, equations 1 and 2 (option B).

    >>> from thalweg.models.network import Network
    >>> start = Network([Residual(["dense 4", "tanh"]), Residual(["dense 4", "tanh"])]).initialize(0, (2,))
    >>> start.params[0].projection.shape, start.params[1].projection
    ((2, 4), ())
    """

    layers: tuple[Layer, ...]
    trainable: Flag = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layers:
            raise InputError(self.kind, [Problem("layers", "expected at least one layer, received none")])
        if (depth := _depth(self)) > _DEEPEST:
            raise InputError(self.kind, f"expected at most {_DEEPEST} blocks in each other, received {depth}")

    @property
    def inner(self) -> tuple[Layer, ...]:
        return self.layers

    @property
    def is_linear(self) -> bool:
        """Whether all of its layers are."""
        return all(layer.is_linear for layer in self.layers)

    @property
    def least_batch(self) -> int:
        """The largest of what its layers need."""
        return max(layer.least_batch for layer in self.layers)

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[Branch, _States, tuple[int, ...]]:
        contexts = (context._replace(rng=rng) for rng in context.rng.spawn(len(self.layers)))
        start = stack.initialize(self.layers, contexts, shape)
        projection = self._projection(context, shape, start.shapes[-1])
        return Branch(start.params, projection), start.states, start.shapes[-1]

    def _projection(self, context: InitContext, shape: tuple[int, ...], out: tuple[int, ...]) -> Array | tuple[()]:
        if shape == out:
            return ()
        if len(shape) == len(out) == 1 or (len(shape) == len(out) == 3 and _stride(shape, out)):
            return context.draw(context.weights(context.following), (shape[-1], out[-1]))
        fix = (
            "choose kernels, strides and paddings with height / stride rows and width / stride columns, rounded up"
            if len(shape) == len(out) == 3
            else "put flatten before the block"
        )
        raise InputError(
            self.kind,
            f"expected layers that keep the shape of their samples, or flat samples, received {shape} before and"
            f" {out} after the layers; {fix}",
        )

    def trained(self, params: Branch) -> Branch:
        if self.trainable:
            return Branch(stack.trained(self.layers, params.layers), params.projection)
        return emptied(params)

    def forward(
        self, params: Branch, state: _States, x: Array, context: ForwardContext
    ) -> tuple[Array, _States, _Caches]:
        outputs, states, caches = stack.forward(self.layers, params.layers, state, x, context)
        past = _thinned(x, outputs[-1].shape)
        shortcut = past if isinstance(params.projection, tuple) else _mapped(past, params.projection)
        return outputs[-1] + shortcut, states, (caches, past)

    def backward(self, params: Branch, cache: _Caches, delta: Array) -> tuple[Array, Branch]:
        caches, past = cache
        dx, grads = stack.backward(self.layers, params.layers, caches, delta)
        if isinstance(params.projection, tuple):
            return dx + delta, Branch(grads, ())
        around = _spread(_mapped(delta, params.projection.T), dx.shape)
        return dx + around, Branch(grads, transposed_product(_rows(past), _rows(delta)))

    def local_factors(self, params: Branch, cache: _Caches, delta: Array) -> tuple[LocalFactor, ...]:
        passed = stack.backward(self.layers, params.layers, cache[0], delta)[0]
        return (LocalFactor("(df/dx)ᵀ d", passed, "what passes through the layers; the rest goes around them"),)

    def jvp(self, params: Branch, cache: _Caches, direction: Branch, x_dot: Array | None) -> Array:
        caches, past = cache
        f_dot = stack.jvp(self.layers, params.layers, caches, direction.layers, x_dot)[-1]
        if isinstance(params.projection, tuple) or isinstance(direction.projection, tuple):
            terms = [f_dot, x_dot]
        else:
            past_dot = None if x_dot is None else _mapped(_thinned(x_dot, past.shape), params.projection)
            terms = [f_dot, _mapped(past, direction.projection), past_dot]
        first, *others = (term for term in terms if term is not None)
        return sum(others, first)

    def backward_jvp(
        self, params: Branch, cache: _Caches, direction: Branch, x_dot: Array | None, delta: Array
    ) -> tuple[Array | None, Branch]:
        inside = self.layers, params.layers, cache[0]
        zeros = namespace(delta).zeros_like
        input_dots = (x_dot, *stack.jvp(*inside, direction.layers, x_dot)[:-1])
        deltas, _ = stack.gradients(*inside, delta)
        # At the end of the block delta is fixed.
        dx_dot, grad_dots = stack.backward_jvp(*inside, direction.layers, input_dots, deltas, zeros(delta))
        if isinstance(params.projection, tuple) or isinstance(direction.projection, tuple):
            return dx_dot, Branch(grad_dots, ())
        if x_dot is None or dx_dot is None:
            return None, Branch(grad_dots, zeros(params.projection))
        past_dot = _thinned(x_dot, cache[1].shape)
        around = _spread(_mapped(delta, direction.projection.T), dx_dot.shape)
        return dx_dot + around, Branch(grad_dots, transposed_product(_rows(past_dot), _rows(delta)))

    def mean_field(self, draws: Sequence[Branch], square: float) -> MeanField | None:
        """The sum over the layers and the shortcut, for outputs and for deltas."""
        inside = stack.mean_field(self.layers, [params.layers for params in draws], square)
        if inside is None:
            return None
        shortcut = MeanField(square, 1.0)
        projections = [params.projection for params in draws if not isinstance(params.projection, tuple)]
        if projections:
            weight = float(np.mean([np.square(projection) for projection in projections]))
            fan_in, width = projections[0].shape
            shortcut = MeanField(fan_in * weight * square, width * weight)
        return MeanField(
            square=shortcut.square + inside[-1].square,
            factor=shortcut.factor + math.prod(step.factor for step in inside),
        )


def _stride(shape: Sequence[int], out: Sequence[int]) -> int | None:
    """The stride between pictures (height, width, ...) of which one has every s-th row and column of the other."""
    sizes = list(zip(shape[:2], out[:2], strict=True))
    stride = max(-(-size // fewer) for size, fewer in sizes)
    return stride if all(-(-size // stride) == fewer for size, fewer in sizes) else None


def _rows(x: Array) -> Array:
    """The samples, or the pixels of pictures, as the rows of a matrix."""
    return x if x.ndim == 2 else namespace(x).reshape(x, (-1, x.shape[-1]))


def _mapped(x: Array, matrix: Array) -> Array:
    """The samples, or the pixels of pictures, times a matrix."""
    return namespace(x).reshape(product(_rows(x), matrix), (*x.shape[:-1], matrix.shape[1]))


def _thinned(x: Array, shape: tuple[int, ...]) -> Array:
    """The samples, or of pictures the pixels that stand for outputs of that shape."""
    stride = 1 if x.shape[1:-1] == shape[1:-1] else _stride(x.shape[1:], shape[1:])
    return x if stride == 1 else x[:, ::stride, ::stride]


def _spread(x: Array, shape: tuple[int, ...]) -> Array:
    """The pixels x in pictures of that shape, 0 between them: the transpose of `_thinned`."""
    if x.shape[1:-1] == shape[1:-1]:
        return x
    stride = _stride(shape[1:], x.shape[1:])
    assert stride is not None
    return unpatched([x], stride, (shape[1], shape[2]))


def _depth(layer: Layer) -> int:
    """How many blocks lie in each other."""
    return 1 + max(map(_depth, layer.inner)) if layer.inner else 0
