"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...core.arrays import Array, namespace
from ...core.functions import product, transposed_product
from ..part import Count, ForwardContext, InitContext, Initializer, Layer, LocalFactor, MeanField
from .base import flat_width


class Affine(NamedTuple):
    """Parameters of a dense layer, and their gradients: W (fan_in, width) and b (width,)."""

    W: Array
    b: Array


@dataclass(frozen=True)
class Dense(Layer[Affine, tuple[()], Array], kind="dense"):
    """A fully connected layer: z = x W + b.

    Shapes: x (n, fan_in), W (fan_in, width), b (width,), z (n, width). Textbooks with samples in columns write
    Z = Wᵀ X + b for the same numbers.

    Backward, with d = dL/dz (n, width):  dL/dx = d Wᵀ,  dL/dW = xᵀ d,  dL/db = Σ d over the samples.

    Along W_dot, b_dot and x_dot: z_dot = x W_dot + b_dot + x_dot W. The derivative of dL/dx is d W_dotᵀ, that of dL/dW
    is x_dotᵀ d, and that of dL/db is 0.

    width: number of units.
    init: initializer of W; None: the network's, see `thalweg.default_initializer`.
    bias_init: initializer of b; None: the network's.

    Raises InputError for samples that are not flat.

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

    width: Count
    init: Initializer | None = None
    bias_init: Initializer | None = None
    output_symbol = "z"

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[Affine, tuple[()], tuple[int, ...]]:
        fan_in = flat_width(self, shape)
        W = context.draw(self.init or context.weights(context.following), (fan_in, self.width))
        b = context.draw(self.bias_init or context.bias, (self.width,))
        return Affine(W, b), (), (self.width,)

    def forward(
        self, params: Affine, state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        return product(x, params.W) + params.b, state, x

    def backward(self, params: Affine, cache: Array, delta: Array) -> tuple[Array, Affine]:
        return product(delta, params.W.T), self.gradients(params, cache, delta)

    def gradients(self, params: Affine, cache: Array, delta: Array) -> Affine:
        return Affine(transposed_product(cache, delta), namespace(delta).sum(delta, axis=0))

    def local_factors(self, params: Affine, cache: Array, delta: Array) -> tuple[LocalFactor, ...]:
        return (LocalFactor("x", cache),)

    def jvp(self, params: Affine, cache: Array, direction: Affine, x_dot: Array | None) -> Array:
        z_dot = product(cache, direction.W) + direction.b
        return z_dot if x_dot is None else z_dot + product(x_dot, params.W)

    def backward_jvp(
        self, params: Affine, cache: Array, direction: Affine, x_dot: Array | None, delta: Array
    ) -> tuple[Array | None, Affine]:
        zeros = namespace(params.b).zeros_like
        if x_dot is None:
            return None, Affine(zeros(params.W), zeros(params.b))
        return product(delta, direction.W.T), Affine(transposed_product(x_dot, delta), zeros(params.b))

    def weight_matrix(self, params: Affine) -> Array:
        return params.W

    def mean_field(self, draws: Sequence[Affine], square: float) -> MeanField:
        """fan_in var(W) s + mean(b²), and width var(W), with s the mean square of the inputs.

        Source: He et al. 2015, section 2.2.
        """
        weight = float(np.mean([np.square(params.W) for params in draws]))
        bias = float(np.mean([np.square(params.b) for params in draws]))
        fan_in, width = draws[0].W.shape
        return MeanField(fan_in * weight * square + bias, width * weight)
