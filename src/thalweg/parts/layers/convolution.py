"""The convolution of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import Field

from ...core.arrays import Array, map_arrays, namespace
from ...core.errors import InputError
from ...core.functions import (
    channel_sums,
    convolution,
    fenced,
    grouped_product,
    has_convolution,
    on_cpu,
    parts_within,
    summed,
)
from ..part import (
    Count,
    Flag,
    ForwardContext,
    InitContext,
    Initializer,
    Layer,
    LocalFactor,
    Trainable,
    check_trainable,
    only_trained,
)
from . import wide
from .base import check_bias, picture_shape, window_places
from .windows import padded, patches, places, under, unpadded, unpatched

# Lines of a window with fewer numbers are no faster than whole windows as rows of a matrix.
_SHORT_LINE = 16
# The products of lines take a sum over samples in up to this many parts: measured with jax 0.10 on 2 cores.
_PARTS = 8


class Kernels(NamedTuple):
    """Parameters of a convolution, and their gradients: W (kernel, kernel, channels / groups, width) and b (width,)."""

    W: Array
    b: Array


class BareKernels(NamedTuple):
    """Parameters of a convolution without a bias, and their gradients: W as in `Kernels`."""

    W: Array


@dataclass(frozen=True)
class Conv2d(Layer[Kernels | BareKernels, tuple[()], Array], kind="conv2d"):
    """A convolution of pictures: at each place of the window z = p W + b, with p the numbers under the window.

    With P x the patches of the padded picture, one row for each place, it is the product of a dense layer:

        Z = (P x) W + b,  W as a matrix (kernel² channels, width).

    Backward, with d = dL/dz, one row for each place:  dL/dW = (P x)ᵀ d,  dL/db = Σ d over samples and places,
    dL/dx = Pᵀ (d Wᵀ): each place adds its share to the pixels under its window.

    Along W_dot, b_dot and x_dot: z_dot = (P x) W_dot + b_dot + (P x_dot) W. The derivative of dL/dx is Pᵀ (d W_dotᵀ),
    that of dL/dW is (P x_dot)ᵀ d, and that of dL/db is 0.

    Shapes: x (n, height, width, channels), z (n, rows, columns, width) with
    rows = floor((height + 2 padding - kernel) / stride) + 1; W (kernel, kernel, channels / groups, width), b (width,).
    As everywhere in this field the kernel is not turned round: mathematics calls it a cross-correlation.

    width: number of channels of the output; PyTorch says `out_channels`, Keras `filters`.
    kernel: height and width of the window in pixels.
    stride: the step from place to place in pixels.
    padding: width of the frame of zeros around the picture in pixels; (kernel - 1) / 2 keeps height and width where
        the stride is 1.
    groups: number of groups of channels, each convolved by itself: `channels` of them is a depthwise convolution.
    init: initializer of W, whose fans are kernel² channels / groups and kernel² width; None: the network's.
    bias_init: initializer of b; None: the network's.
    bias: whether the layer has a bias b.
    trainable: whether a training changes W and b, or the names of those that it changes.

    Raises InputError for samples that are no pictures, for a kernel that is larger than the padded picture, for groups
    that do not divide both numbers of channels, for a `bias_init` without a bias, and for unknown names.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition, section II; Chellapilla, Puri,
    Simard 2006 for the matrix product; Goodfellow, Bengio, Courville 2016, equations 9.6 and 9.9 to 9.11.

    >>> import numpy as np
    >>> layer, x = Conv2d(1, kernel=2), np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]])
    >>> params = Kernels(np.array([[[[1.0]], [[0.0]]], [[[0.0]], [[-1.0]]]]), np.array([0.5]))
    >>> z, _, cache = layer.forward(params, (), x, ForwardContext(training=True))
    >>> z.tolist()
    [[[[-2.5]]]]
    >>> dx, grads = layer.backward(params, cache, np.array([[[[1.0]]]]))
    >>> dx[0, :, :, 0].tolist(), grads.W[:, :, 0, 0].tolist(), grads.b.tolist()
    ([[1.0, 0.0], [0.0, -1.0]], [[1.0, 2.0], [3.0, 4.0]], [1.0])
    """

    has_weights = True
    is_linear = True
    input_axes = 3

    width: Count
    kernel: Count = 3
    stride: Count = 1
    padding: Annotated[int, Field(ge=0, strict=True)] = 0
    groups: Count = 1
    init: Initializer | None = None
    bias_init: Initializer | None = None
    bias: Flag = True
    trainable: Trainable = True
    output_symbol = "z"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bias(self, self.bias, self.bias_init)
        check_trainable(self, self.trainable, (Kernels if self.bias else BareKernels)._fields)

    def initialize(
        self, context: InitContext, shape: tuple[int, ...]
    ) -> tuple[Kernels | BareKernels, tuple[()], tuple[int, ...]]:
        channels = picture_shape(self, shape)[2]
        if channels % self.groups or self.width % self.groups:
            received = f"received groups = {self.groups} for {channels} channels and width = {self.width}"
            raise InputError(self.kind, f"expected groups that divide the channels and the width, {received}")
        out = (*window_places(self, shape, self.kernel, self.stride, self.padding), self.width)
        window = (self.kernel, self.kernel, channels // self.groups, self.width)
        W = context.draw(self.init or context.weights(context.following), window)
        if not self.bias:
            return BareKernels(W), (), out
        return Kernels(W, context.draw(self.bias_init or context.bias, (self.width,))), (), out

    def trained(self, params: Kernels | BareKernels) -> Kernels | BareKernels:
        return only_trained(params, self.trainable)

    def forward(
        self, params: Kernels | BareKernels, state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        return self._affine(x, params), state, x

    def backward(
        self, params: Kernels | BareKernels, cache: Array, delta: Array
    ) -> tuple[Array, Kernels | BareKernels]:
        return self._back(delta, params.W, cache.shape), self.gradients(params, cache, delta)

    def gradients(self, params: Kernels | BareKernels, cache: Array, delta: Array) -> Kernels | BareKernels:
        W = self._weight_gradient(cache, delta)
        return Kernels(W, channel_sums(delta)) if self.bias else BareKernels(W)

    def local_factors(self, params: Kernels | BareKernels, cache: Array, delta: Array) -> tuple[LocalFactor, ...]:
        return (LocalFactor("x", cache),)

    def jvp(
        self,
        params: Kernels | BareKernels,
        cache: Array,
        direction: Kernels | BareKernels,
        x_dot: Array | None,
    ) -> Array:
        z_dot = self._affine(cache, direction)
        return z_dot if x_dot is None else z_dot + self._product(x_dot, params.W)

    def backward_jvp(
        self,
        params: Kernels | BareKernels,
        cache: Array,
        direction: Kernels | BareKernels,
        x_dot: Array | None,
        delta: Array,
    ) -> tuple[Array | None, Kernels | BareKernels]:
        zeros = map_arrays(namespace(params.W).zeros_like, params)
        if x_dot is None:
            return None, zeros
        return (
            self._back(delta, direction.W, cache.shape),
            zeros._replace(W=self._weight_gradient(x_dot, delta)),
        )

    def weight_matrix(self, params: Kernels | BareKernels) -> Array:
        return namespace(params.W).reshape(params.W, (-1, self.width))

    def _affine(self, x: Array, params: Kernels | BareKernels) -> Array:
        z = self._product(x, params.W)
        return z + params.b if isinstance(params, Kernels) else z

    # The three products. Rows are places of the window; each group of channels has matrices of its own.

    def _is_convolved(self, x: Array) -> bool:
        """Whether a convolution of the library is faster than the product of patches: those of groups are slow."""
        return self.groups == 1 and has_convolution(x)

    def _product(self, x: Array, W: Array) -> Array:
        """(P x) W."""
        if self._is_convolved(x):
            return _convolved(x, W, self.stride, self.padding)
        xp = namespace(x)
        n, *sizes, _ = x.shape
        rows, columns = (places(size + 2 * self.padding, self.kernel, self.stride) for size in sizes)
        z = grouped_product(self._patches(x), self._matrices(W))
        return xp.reshape(xp.permute_dims(z, (1, 0, 2)), (n, rows, columns, self.width))

    def _weight_gradient(self, x: Array, delta: Array) -> Array:
        """(P x)ᵀ d."""
        if not self._is_convolved(x):
            return self._gradient_by_lines(x, delta)
        # One part after the other: a compiler would work x out anew, out of order, to turn it round as a whole.
        parts = parts_within(x.shape[0], -(-max(x.size, delta.size) // wide.MOST_NUMBERS))
        return summed(self._convolved_gradient, parts, x, delta)

    def _convolved_gradient(self, x: Array, delta: Array) -> Array:
        """(P x)ᵀ d as a convolution over the places: channels of x are its samples, and samples are its channels."""
        xp = namespace(x)
        ends = [
            self.stride * (count - 1) + self.kernel - self.padding - size
            for size, count in zip(x.shape[1:3], delta.shape[1:3], strict=True)
        ]
        frame = ((self.padding, ends[0]), (self.padding, ends[1]))
        pictures, kernels = xp.permute_dims(x, (3, 1, 2, 0)), xp.permute_dims(delta, (1, 2, 0, 3))
        return xp.permute_dims(convolution(pictures, kernels, (1, 1), frame, dilation=self.stride), (1, 2, 0, 3))

    def _gradient_by_lines(self, x: Array, delta: Array) -> Array:
        """(P x)ᵀ d as products of the lines of the window."""
        xp = namespace(x)
        parts = parts_within(x.shape[0], _PARTS)
        gradients = summed(self._part_of_gradient, parts, padded(x, self.padding), delta)
        shape = (self.kernel, self.kernel, x.shape[-1] // self.groups, self.width)
        return xp.reshape(xp.permute_dims(gradients, (2, 0, 1)), shape)

    def _part_of_gradient(self, x: Array, delta: Array) -> Array:
        """The transpose of (P x)ᵀ d for some padded pictures: (groups, width / groups, kernel² channels / groups)."""
        xp = namespace(x)
        turned = self._matrices(delta).mT
        if self.kernel * x.shape[-1] < _SHORT_LINE:
            rows = [self._of_groups(patches(x, self.kernel, self.stride), self.kernel**2, x.shape[-1])]
        else:
            # The pixels of a line of the window are copied once for all lines.
            line = fenced(xp.concat(under(x, (1, self.kernel), (1, self.stride)), axis=3))
            lines = under(line, (self.kernel, 1), (self.stride, 1))
            rows = [self._of_groups(fenced(numbers), self.kernel, x.shape[-1]) for numbers in lines]
        return xp.concat([grouped_product(turned, each) for each in rows], axis=2)

    def _back(self, delta: Array, W: Array, shape: tuple[int, ...]) -> Array:
        """Pᵀ (d Wᵀ)."""
        xp = namespace(delta)
        _, height, width, channels = shape
        if self._is_convolved(delta):
            return self._convolved_back(delta, W, (height, width))
        window, own = self.kernel**2, channels // self.groups
        shares = grouped_product(self._matrices(delta), self._matrices(W).mT)
        shares = xp.reshape(shares, (self.groups, -1, window, own))
        shares = xp.reshape(xp.permute_dims(shares, (1, 2, 0, 3)), (*delta.shape[:3], window, channels))
        frame = 2 * self.padding
        parts = [shares[:, :, :, pixel] for pixel in range(window)]
        return unpadded(unpatched(parts, self.stride, (height + frame, width + frame)), self.padding)

    def _convolved_back(self, delta: Array, W: Array, sizes: tuple[int, int]) -> Array:
        """Pᵀ (d Wᵀ), by XLA's convolution where it multiplies few zeros: the frame of d has kernel - 1 - padding."""
        if 2 * self.padding >= self.kernel - 1:
            return self._turned_convolution(delta, W, sizes)
        return on_cpu(
            lambda delta, W: wide.input_gradient(delta, W, sizes, self.stride, self.padding),
            lambda delta, W: self._turned_convolution(delta, W, sizes),
            delta,
            W,
        )

    def _turned_convolution(self, delta: Array, W: Array, sizes: tuple[int, int]) -> Array:
        """Pᵀ (d Wᵀ) as a convolution of d, with zeros between its pixels for a stride, by the kernels turned round."""
        turned = namespace(W).permute_dims(W[::-1, ::-1], (0, 1, 3, 2))
        before = self.kernel - 1 - self.padding
        if self.stride == 1:
            return _convolved(delta, turned, 1, before)
        # After the last place of the window there may be pixels that no window reaches.
        ends = [
            size + self.kernel - 2 - before - self.stride * (count - 1)
            for size, count in zip(sizes, delta.shape[1:3], strict=True)
        ]
        return convolution(
            delta, turned, (1, 1), ((before, ends[0]), (before, ends[1])), spread=(self.stride, self.stride)
        )

    def _patches(self, x: Array) -> Array:
        """P x as a matrix for each group (groups, places, kernel² channels / groups)."""
        numbers = patches(padded(x, self.padding), self.kernel, self.stride)
        return self._of_groups(numbers, self.kernel**2, x.shape[-1])

    def _of_groups(self, numbers: Array, pixels: int, channels: int) -> Array:
        """The numbers of so many pixels in each row, as a matrix for each group (groups, rows, pixels channels /
        groups)."""
        xp = namespace(numbers)
        own = channels // self.groups
        if self.groups > 1:
            numbers = xp.permute_dims(xp.reshape(numbers, (-1, pixels, self.groups, own)), (2, 0, 1, 3))
        return xp.reshape(numbers, (self.groups, -1, pixels * own))

    def _matrices(self, W: Array) -> Array:
        """W as a matrix for each group (groups, kernel² channels / groups, width / groups); delta likewise (groups,
        places, width / groups)."""
        xp = namespace(W)
        return xp.permute_dims(xp.reshape(W, (-1, self.groups, self.width // self.groups)), (1, 0, 2))


def _convolved(x: Array, W: Array, stride: int, padding: int) -> Array:
    """The convolution of pictures by kernels W, by a routine of XLA."""
    frame = (padding, padding)
    return on_cpu(
        lambda x, W: wide.product(x, W, stride, padding),
        lambda x, W: convolution(x, W, (stride, stride), (frame, frame)),
        x,
        W,
    )
