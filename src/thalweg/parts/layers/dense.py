"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...core.arrays import Array, map_arrays, namespace
from ...core.functions import product, transposed_product
from ..part import (
    Count,
    Flag,
    ForwardContext,
    InitContext,
    Initializer,
    Layer,
    LocalFactor,
    MeanField,
    Trainable,
    check_trainable,
    only_trained,
)
from .base import check_bias, flat_width


class Affine(NamedTuple):
    """Parameters of a dense layer, and their gradients: W (fan_in, width) and b (width,)."""

    W: Array
    b: Array


class Weights(NamedTuple):
    """Parameters of a dense layer without a bias, and their gradients: W (fan_in, width)."""

    W: Array


@dataclass(frozen=True)
class Dense(Layer[Affine | Weights, tuple[()], Array], kind="dense"):
    """A fully connected layer: z = x W + b, or z = x W without a bias.

    Shapes: x (n, fan_in), W (fan_in, width), b (width,), z (n, width). Textbooks with samples in columns write
    Z = Wᵀ X + b for the same numbers.

    Backward, with d = dL/dz (n, width):  dL/dx = d Wᵀ,  dL/dW = xᵀ d,  dL/db = Σ d over the samples.

    Along W_dot, b_dot and x_dot: z_dot = x W_dot + b_dot + x_dot W. The derivative of dL/dx is d W_dotᵀ, that of dL/dW
    is x_dotᵀ d, and that of dL/db is 0.

    width: number of units.
    init: initializer of W; None: the network's, see `thalweg.default_initializer`.
    bias_init: initializer of b; None: the network's.
    bias: whether the layer has a bias b; PyTorch says `bias` too, Keras `use_bias`.
    trainable: whether a training changes W and b, as in Keras; or the names of those that it changes, such as
        ["W"] for a bias that keeps its initial value. PyTorch says `requires_grad` of each.

    Raises InputError for samples that are not flat, for a `bias_init` without a bias, and for unknown names.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, algorithms 6.3 and 6.4.

    >>> import numpy as np
    >>> params = Affine(np.array([[1.0], [2.0]]), np.array([0.5]))
    >>> z, _, cache = Dense(1).forward(params, (), np.array([[3.0, 4.0]]), ForwardContext(training=True))
    >>> z.tolist()
    [[11.5]]
    >>> dx, grads = Dense(1).backward(params, cache, np.array([[1.0]]))
    >>> dx.tolist(), grads.W.tolist(), grads.b.tolist()
    ([[1.0, 2.0]], [[3.0], [4.0]], [1.0])
    """

    has_weights = True
    is_linear = True
    input_axes = 1

    width: Count
    init: Initializer | None = None
    bias_init: Initializer | None = None
    bias: Flag = True
    trainable: Trainable = True
    output_symbol = "z"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bias(self, self.bias, self.bias_init)
        check_trainable(self, self.trainable, (Affine if self.bias else Weights)._fields)

    def initialize(
        self, context: InitContext, shape: tuple[int, ...]
    ) -> tuple[Affine | Weights, tuple[()], tuple[int, ...]]:
        fan_in = flat_width(self, shape)
        W = context.draw(self.init or context.weights(context.following), (fan_in, self.width))
        if not self.bias:
            return Weights(W), (), (self.width,)
        b = context.draw(self.bias_init or context.bias, (self.width,))
        return Affine(W, b), (), (self.width,)

    def trained(self, params: Affine | Weights) -> Affine | Weights:
        return only_trained(params, self.trainable)

    def forward(
        self, params: Affine | Weights, state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        return _plus_bias(product(x, params.W), params), state, x

    def backward(self, params: Affine | Weights, cache: Array, delta: Array) -> tuple[Array, Affine | Weights]:
        return product(delta, params.W.T), self.gradients(params, cache, delta)

    def gradients(self, params: Affine | Weights, cache: Array, delta: Array) -> Affine | Weights:
        W = transposed_product(cache, delta)
        return Affine(W, namespace(delta).sum(delta, axis=0)) if self.bias else Weights(W)

    def local_factors(self, params: Affine | Weights, cache: Array, delta: Array) -> tuple[LocalFactor, ...]:
        return (LocalFactor("x", cache),)

    def jvp(self, params: Affine | Weights, cache: Array, direction: Affine | Weights, x_dot: Array | None) -> Array:
        z_dot = _plus_bias(product(cache, direction.W), direction)
        return z_dot if x_dot is None else z_dot + product(x_dot, params.W)

    def backward_jvp(
        self,
        params: Affine | Weights,
        cache: Array,
        direction: Affine | Weights,
        x_dot: Array | None,
        delta: Array,
    ) -> tuple[Array | None, Affine | Weights]:
        zeros = map_arrays(namespace(params.W).zeros_like, params)
        if x_dot is None:
            return None, zeros
        return product(delta, direction.W.T), zeros._replace(W=transposed_product(x_dot, delta))

    def weight_matrix(self, params: Affine | Weights) -> Array:
        return params.W

    def mean_field(self, draws: Sequence[Affine | Weights], square: float) -> MeanField:
        """fan_in var(W) s + mean(b²), and width var(W), with s the mean square of the inputs.

        Source: He et al. 2015, section 2.2.
        """
        weight = float(np.mean([np.square(params.W) for params in draws]))
        biases = [np.square(params.b) for params in draws if isinstance(params, Affine)]
        fan_in, width = draws[0].W.shape
        return MeanField(fan_in * weight * square + (float(np.mean(biases)) if biases else 0.0), width * weight)


def _plus_bias(z: Array, params: Affine | Weights) -> Array:
    return z + params.b if isinstance(params, Affine) else z
