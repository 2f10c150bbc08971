"""Base classes of layers without parameters."""

from __future__ import annotations

from ...core.arrays import Array, namespace
from ...core.errors import InputError
from ..part import C, Layer, S


class ParameterFree(Layer[tuple[()], S, C]):
    """A layer without parameters."""

    def gradients(self, params: tuple[()], cache: C, delta: Array) -> tuple[()]:
        return params


class ParameterFreeLinear(ParameterFree[tuple[()], C]):
    """A layer without parameters whose output is an affine function of its input: its Jacobian J is constant.

    Backward: dL/dx = Jᵀ dL/dy, whose derivative is 0. A subclass states `jvp`, J x_dot.
    """

    is_linear = True

    def backward_jvp(
        self, params: tuple[()], cache: C, direction: tuple[()], x_dot: Array, delta: Array
    ) -> tuple[Array, tuple[()]]:
        return namespace(x_dot).zeros_like(x_dot), params


def flat_width(layer: Layer, shape: tuple[int, ...]) -> int:
    """The number of features of flat samples. Raises InputError for samples of any other shape."""
    if len(shape) != 1:
        raise InputError(layer.kind, f"expected flat samples, received samples of shape {shape}; put flatten before it")
    return shape[0]
