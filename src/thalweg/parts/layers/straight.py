"""What layers have in common that are straight: linear in their input, and without parameters."""

from __future__ import annotations

from ...core.arrays import Array, Tree, namespace
from ..part import Layer


class ParameterFreeLinear(Layer):
    """A layer without parameters whose output is an affine function of its input: its derivative is constant.

    Backward: dL/dx = Jᵀ dL/dy, which never bends. A subclass states `tangent`, J x'.
    """

    def backward_jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array, delta: Array) -> tuple[Array, Tree]:
        return namespace(dx).zeros_like(dx), params
