"""Layers that make pictures smaller: one number for all numbers of a channel under a window."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import reduce

from ...core.arrays import Array, namespace
from ..part import Count, ForwardContext, InitContext, LocalFactor
from .base import ParameterFree, ParameterFreeLinear, picture_shape, window_places
from .windows import under, unpatched


@dataclass(frozen=True)
class MaxPool2d(ParameterFree[tuple[()], tuple[Array, Array]], kind="max_pool2d"):
    """The largest number of each channel under the window: y = max of p over its pixels.

    Backward: dL/dx = Pᵀ (dL/dy m), with m = 1 at the first of the largest numbers under the window, else 0.
    Along x_dot: y_dot = Σ m x_dot under the window, and the derivative of dL/dx is 0.

    Shapes: x (n, height, width, channels), y (n, rows, columns, channels) with rows =
    floor((height - kernel) / stride) + 1; rows and columns that no whole window covers are left out.

    kernel: height and width of the window in pixels.
    stride: the step from place to place in pixels; None: the kernel, so that the windows lie side by side.

    Raises InputError for samples that are no pictures, and for a kernel that is larger than the picture.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, section 9.3.

    >>> import numpy as np
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> MaxPool2d(2).forward((), (), x, ForwardContext(training=True))[0][0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """

    transparent = True
    input_axes = 3

    kernel: Count = 2
    stride: Count | None = None

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], tuple[()], tuple[int, ...]]:
        channels = picture_shape(self, shape)[2]
        return (), (), (*window_places(self, shape, self.kernel, self.stride or self.kernel), channels)

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], tuple[Array, Array]]:
        y = reduce(namespace(x).maximum, self._under(x))
        return y, state, (x, y)

    def backward(self, params: tuple[()], cache: tuple[Array, Array], delta: Array) -> tuple[Array, tuple[()]]:
        parts = [delta * first for first in self._firsts(*cache)]
        return unpatched(parts, self.stride or self.kernel, cache[0].shape[1:3]), params

    def local_factors(self, params: tuple[()], cache: tuple[Array, Array], delta: Array) -> tuple[LocalFactor, ...]:
        return (LocalFactor("m", namespace(delta).stack(self._firsts(*cache), axis=3), "1 at the largest number"),)

    def jvp(self, params: tuple[()], cache: tuple[Array, Array], direction: tuple[()], x_dot: Array) -> Array:
        first, *others = (m * moved for m, moved in zip(self._firsts(*cache), self._under(x_dot), strict=True))
        return sum(others, first)

    def backward_jvp(
        self, params: tuple[()], cache: tuple[Array, Array], direction: tuple[()], x_dot: Array, delta: Array
    ) -> tuple[Array, tuple[()]]:
        return namespace(x_dot).zeros_like(x_dot), params

    def _under(self, x: Array) -> list[Array]:
        stride = self.stride or self.kernel
        return under(x, (self.kernel, self.kernel), (stride, stride))

    def _firsts(self, x: Array, y: Array) -> list[Array]:
        """m for each pixel of the window (n, rows, columns, channels)."""
        xp = namespace(x)
        firsts: list[Array] = []
        still = xp.full_like(y, True, dtype=bool)
        for numbers in self._under(x):
            largest = still & (numbers == y)
            still = still & (numbers != y)
            firsts.append(xp.astype(largest, y.dtype))
        return firsts


class _Average(ParameterFreeLinear[Array]):
    """A layer whose output is a mean of pixels of each channel."""

    transparent = True
    input_axes = 3

    @abstractmethod
    def _mean(self, x: Array) -> Array:
        """The mean of the pixels."""

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        return self._mean(x), state, x

    def jvp(self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array) -> Array:
        return self._mean(x_dot)


@dataclass(frozen=True)
class AveragePool2d(_Average, kind="average_pool2d"):
    """The mean of each channel under the window: y = Σ p / kernel² over its pixels.

    Backward: dL/dx = Pᵀ (dL/dy / kernel²): each pixel under the window gets an equal share.

    Shapes: x (n, height, width, channels), y (n, rows, columns, channels) with rows =
    floor((height - kernel) / stride) + 1; rows and columns that no whole window covers are left out.

    kernel: height and width of the window in pixels.
    stride: the step from place to place in pixels; None: the kernel, so that the windows lie side by side.

    Raises InputError for samples that are no pictures, and for a kernel that is larger than the picture.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition, section II.

    >>> import numpy as np
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> AveragePool2d(2).forward((), (), x, ForwardContext(training=True))[0][0, :, :, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """

    kernel: Count = 2
    stride: Count | None = None

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], tuple[()], tuple[int, ...]]:
        channels = picture_shape(self, shape)[2]
        return (), (), (*window_places(self, shape, self.kernel, self.stride or self.kernel), channels)

    def backward(self, params: tuple[()], cache: Array, delta: Array) -> tuple[Array, tuple[()]]:
        window = self.kernel**2
        return unpatched([delta / window] * window, self.stride or self.kernel, cache.shape[1:3]), params

    def _mean(self, x: Array) -> Array:
        stride = self.stride or self.kernel
        first, *others = under(x, (self.kernel, self.kernel), (stride, stride))
        return sum(others, first) / self.kernel**2


@dataclass(frozen=True)
class GlobalAveragePool(_Average, kind="global_average_pool"):
    """The mean of each channel over the whole picture: y = mean of x over rows and columns.

    Backward: dL/dx = dL/dy / (height width) at each pixel.

    Shapes: x (n, height, width, channels), y (n, channels). Raises InputError for samples that are no pictures.

    Source: Lin, Chen, Yan 2014, Network in network, section 3.2.

    >>> import numpy as np
    >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
    >>> GlobalAveragePool().forward((), (), x, ForwardContext(training=True))[0].tolist()
    [[1.5]]
    """

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], tuple[()], tuple[int, ...]]:
        return (), (), picture_shape(self, shape)[2:]

    def backward(self, params: tuple[()], cache: Array, delta: Array) -> tuple[Array, tuple[()]]:
        _, height, width, _ = cache.shape
        share = (delta / (height * width))[:, None, None]
        return namespace(delta).broadcast_to(share, cache.shape), params

    def _mean(self, x: Array) -> Array:
        return namespace(x).mean(x, axis=(1, 2))
