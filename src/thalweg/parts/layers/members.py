"""Layers of an ensemble that is one network: its members stand side by side in the columns of each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ...core.arrays import Array, map_arrays, namespace
from ...core.errors import InputError, Problem
from ..part import Count, ForwardContext, InitContext, Initializer, Layer, Trainable, check_trainable, only_trained
from .base import ParameterFreeLinear, flat_width
from .dense import Affine

Members = Annotated[int, Field(ge=1, le=1024, strict=True)]


@dataclass(frozen=True)
class Copies(ParameterFreeLinear[Any], kind="copies"):
    """The inputs once for each member: y = (x, x, ..., x);  dL/dx = Σ dL/dy over the copies.

    Shapes: x (n, d), y (n, members * d).

    members: number of copies.

    >>> import numpy as np
    >>> Copies(2).forward((), (), np.array([[3.0, 4.0]]), ForwardContext(training=True))[0].tolist()
    [[3.0, 4.0, 3.0, 4.0]]
    """

    transparent = True

    members: Members

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], tuple[()], tuple[int, ...]]:
        return (), (), (self.members * flat_width(self, shape),)

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], tuple[()]]:
        return namespace(x).concat([x] * self.members, axis=1), state, ()

    def backward(self, params: tuple[()], cache: tuple[()], delta: Array) -> tuple[Array, tuple[()]]:
        return namespace(delta).sum(by_member(delta, self.members), axis=1), params

    def jvp(self, params: tuple[()], cache: tuple[()], direction: tuple[()], x_dot: Array) -> Array:
        return namespace(x_dot).concat([x_dot] * self.members, axis=1)


@dataclass(frozen=True)
class MemberDense(Layer[Affine, tuple[()], Array], kind="member_dense"):
    """A fully connected layer of each member: z_m = x_m W_m + b_m on the member's own part x_m of the row.

    Shapes: x (n, members * fan_in), W (members, fan_in, width), b (members, width), z (n, members * width).

    Backward, with d = dL/dz:  dL/dx_m = d_m W_mᵀ,  dL/dW_m = x_mᵀ d_m,  dL/db_m = Σ d_m over the samples.

    Along W_dot, b_dot and x_dot: z_dot_m = x_m W_dot_m + b_dot_m + x_dot_m W_m. The derivative of dL/dx_m is
    d_m W_dot_mᵀ, that of dL/dW_m is x_dot_mᵀ d_m, and that of dL/db_m is 0.

    All members are one product of stacks of matrices, so that k small networks train in one compiled program, each as
    if it were alone.

    width: number of units of each member.
    members: number of members.
    init: initializer of each W_m; None: the network's, see `thalweg.default_initializer`.
    bias_init: initializer of each b_m; None: the network's.
    trainable: whether a training changes W and b, or the names of those that it changes.

    Raises InputError for samples that are not flat or that the members cannot share, and for unknown names.

    Source: Lakshminarayanan, Pritzel, Blundell 2017, Simple and scalable predictive uncertainty using deep ensembles.

    >>> import numpy as np
    >>> params = Affine(np.array([[[1.0]], [[10.0]]]), np.array([[0.5], [0.0]]))
    >>> MemberDense(1, 2).forward(params, (), np.array([[3.0, 4.0]]), ForwardContext(training=True))[0].tolist()
    [[3.5, 40.0]]
    """

    is_linear = True
    has_weights = True
    output_symbol = "z"

    width: Count
    members: Members
    init: Initializer | None = None
    bias_init: Initializer | None = None
    trainable: Trainable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_trainable(self, self.trainable, Affine._fields)

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[Affine, tuple[()], tuple[int, ...]]:
        total = flat_width(self, shape)
        if total % self.members:
            message = f"expected a divisor of {total}, the width of the rows, received {self.members}"
            raise InputError(
                self.kind, [Problem("members", f"{message}; put 'copies {self.members}' before the first")]
            )
        weights = self.init or context.weights(context.following)
        # Each member draws as a dense layer does, whose initializers look at a matrix.
        W = [context.draw(weights, (total // self.members, self.width)) for _ in range(self.members)]
        b = [context.draw(self.bias_init or context.bias, (self.width,)) for _ in range(self.members)]
        return Affine(np.stack(W), np.stack(b)), (), (self.members * self.width,)

    def trained(self, params: Affine) -> Affine:
        return only_trained(params, self.trainable)

    def weight_matrix(self, params: Affine) -> Array:
        xp = namespace(params.W)
        return xp.reshape(xp.permute_dims(params.W, (1, 0, 2)), (params.W.shape[1], -1))

    def forward(
        self, params: Affine, state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        return self._product(x, params.W, params.b), state, x

    def _product(self, x: Array, W: Array, b: Array | None = None) -> Array:
        """x_m W_m, plus b_m, as columns of the members side by side."""
        xp = namespace(x)
        z = xp.permute_dims(_stacked(x, self.members) @ W, (1, 0, 2))
        z = z if b is None else z + b
        return xp.reshape(z, (z.shape[0], z.shape[1] * z.shape[2]))

    def backward(self, params: Affine, cache: Array, delta: Array) -> tuple[Array, Affine]:
        W = namespace(delta).permute_dims(params.W, (0, 2, 1))
        return self._product(delta, W), self.gradients(params, cache, delta)

    def gradients(self, params: Affine, cache: Array, delta: Array) -> Affine:
        return Affine(self._weight_sums(cache, delta), namespace(delta).sum(by_member(delta, self.members), axis=0))

    def _weight_sums(self, x: Array, delta: Array) -> Array:
        """x_mᵀ d_m of each member."""
        xp = namespace(delta)
        return xp.permute_dims(by_member(x, self.members), (1, 2, 0)) @ _stacked(delta, self.members)

    def jvp(self, params: Affine, cache: Array, direction: Affine, x_dot: Array | None) -> Array:
        z_dot = self._product(cache, direction.W, direction.b)
        return z_dot if x_dot is None else z_dot + self._product(x_dot, params.W)

    def backward_jvp(
        self, params: Affine, cache: Array, direction: Affine, x_dot: Array | None, delta: Array
    ) -> tuple[Array | None, Affine]:
        xp = namespace(delta)
        zeros = map_arrays(xp.zeros_like, params)
        if x_dot is None:
            return None, zeros
        W_dot = xp.permute_dims(direction.W, (0, 2, 1))
        return self._product(delta, W_dot), zeros._replace(W=self._weight_sums(x_dot, delta))


def by_member(x: Array, members: int) -> Array:
    """Rows (n, members * width) as (n, members, width)."""
    return namespace(x).reshape(x, (x.shape[0], members, x.shape[1] // members))


def _stacked(x: Array, members: int) -> Array:
    """Rows (n, members * width) as (members, n, width)."""
    return namespace(x).permute_dims(by_member(x, members), (1, 0, 2))
