"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...core.arrays import Array, Tree, namespace
from ...core.errors import InputError
from ...core.functions import product, transposed_product
from ..part import Count, ForwardContext, InitContext, Initializer, Layer, MeanField


class Affine(NamedTuple):
    """Parameters of a dense layer, and their gradients: W (fan_in, width) and b (width,)."""

    W: Array
    b: Array


@dataclass(frozen=True)
class Dense(Layer, kind="dense"):
    """A fully connected layer: z = x W + b.

    Shapes: x (n, fan_in), W (fan_in, width), b (width,), z (n, width). Textbooks that stack samples as columns write
    Z = Wᵀ X + b for the same numbers.

    Backward, with d = dL/dz (n, width):  dL/dx = d Wᵀ,  dL/dW = xᵀ d,  dL/db = Σ d over the samples.

    While W, b and x move along W', b' and x', z moves along x W' + b' + x' W; dL/dx bends by d W'ᵀ, dL/dW by x'ᵀ d, and
    dL/db not at all.

    `init` and `bias_init` default to the network's; see `thalweg.network.default_initializer`.

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

    def initialize(self, draw: InitContext, shape: tuple[int, ...]) -> tuple[Tree, Tree, tuple[int, ...]]:
        if len(shape) != 1:
            raise InputError(f"dense {self.width}", f"expected flat samples, received samples of shape {shape}")
        W = (self.init or draw.weights(draw.following))(draw.rng, (*shape, self.width))
        b = (self.bias_init or draw.bias)(draw.rng, (self.width,))
        return Affine(W, b), (), (self.width,)

    def forward(self, params: Tree, state: Tree, x: Array, mode: ForwardContext) -> tuple[Array, Tree, Tree]:
        return product(x, params.W) + params.b, state, x

    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        return product(delta, params.W.T), self.gradients(params, cache, delta)

    def gradients(self, params: Tree, cache: Tree, delta: Array) -> Tree:
        return Affine(transposed_product(cache, delta), namespace(delta).sum(delta, axis=0))

    def weight_matrix(self, params: Tree) -> Array:
        return params.W

    def mean_field(self, draws: Sequence[Tree], square: float) -> MeanField:
        """fan_in var(W) s + mean(b²), and width var(W), s the mean square of the inputs.

        Source: He et al. 2015, section 2.2.
        """
        weight = float(np.mean([np.square(params.W) for params in draws]))
        bias = float(np.mean([np.square(params.b) for params in draws]))
        fan_in, width = draws[0].W.shape
        return MeanField(fan_in * weight * square + bias, width * weight)

    def jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array | None) -> Array:
        moved = product(cache, along.W) + along.b
        return moved if dx is None else moved + product(dx, params.W)

    def backward_jvp(
        self, params: Tree, cache: Tree, along: Tree, dx: Array | None, delta: Array
    ) -> tuple[Array | None, Tree]:
        zeros = namespace(params.b).zeros_like
        if dx is None:
            return None, Affine(zeros(params.W), zeros(params.b))
        return product(delta, along.W.T), Affine(transposed_product(dx, delta), zeros(params.b))
