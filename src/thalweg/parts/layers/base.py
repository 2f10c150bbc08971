"""Base classes of layers without parameters."""

from __future__ import annotations

from ...core.arrays import Array, namespace
from ...core.errors import InputError, Problem
from ...core.noise import Noise
from ..part import C, ForwardContext, Initializer, Layer, S
from .windows import places


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


def check_bias(layer: Layer, bias: bool, init: Initializer | None) -> None:
    """Raise InputError for an initializer of the bias of a layer that has none."""
    if init is not None and not bias:
        received = f"received {init.kind} with bias = false"
        raise InputError(layer.kind, [Problem("bias_init", f"expected none without a bias, {received}")])


def flat_width(layer: Layer, shape: tuple[int, ...]) -> int:
    """The number of features of flat samples. Raises InputError for samples of any other shape."""
    if len(shape) != 1:
        raise InputError(layer.kind, f"expected flat samples, received samples of shape {shape}; put flatten before it")
    return shape[0]


def picture_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(height, width, channels) of samples that are pictures. Raises InputError for samples of any other shape."""
    if len(shape) != 3:
        fix = "a layer 'reshape HEIGHT WIDTH CHANNELS' makes pictures of rows" if len(shape) == 1 else "see reshape"
        raise InputError(
            layer.kind, f"expected pictures (height, width, channels), received samples of shape {shape}; {fix}"
        )
    height, width, channels = shape
    return height, width, channels


def window_places(layer: Layer, shape: tuple[int, ...], kernel: int, stride: int, padding: int = 0) -> tuple[int, int]:
    """(rows, columns): at how many places a window stands. Raises InputError for one larger than the picture."""
    height, width = (size + 2 * padding for size in shape[:2])
    if kernel > min(height, width):
        frame = f" with padding = {padding}" if padding else ""
        raise InputError(
            layer.kind,
            f"expected a kernel of at most {min(height, width)}, received kernel = {kernel} for pictures of"
            f" {shape[0]} x {shape[1]} pixels{frame}; take a smaller kernel, or smaller strides before this layer",
        )
    return places(height, kernel, stride), places(width, kernel, stride)


def noise_for(layer: Layer, context: ForwardContext) -> Noise:
    """The noise of a training pass. Raises InputError where the context has none."""
    if context.noise is None:
        raise InputError(
            layer.kind,
            "expected noise for a training pass, received none;"
            " pass ForwardContext(training=True, noise=Noise(key, step))",
        )
    return context.noise
