"""Layers that change the shape of a sample but none of its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...core.arrays import Array, namespace
from ...core.errors import InputError
from ..part import Count, ForwardContext, InitContext, MeanField
from .base import ParameterFreeLinear, flat_width


@dataclass(frozen=True)
class Flatten(ParameterFreeLinear[Array], kind="flatten"):
    """A sample of any shape as one row, the last axis fastest; a flat sample stays as it is.

    Shapes: x (n, *shape), y (n, product of the shape).

    Backward: dL/dx = dL/dy in the shape of x.

    >>> import numpy as np
    >>> Flatten().forward((), (), np.array([[[1.0, 2.0], [3.0, 4.0]]]), ForwardContext(training=False))[0].tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """

    transparent = True

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], tuple[()], tuple[int, ...]]:
        return (), (), (math.prod(shape),)

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        return self._flat(x), state, x

    def backward(self, params: tuple[()], cache: Array, delta: Array) -> tuple[Array, tuple[()]]:
        return namespace(delta).reshape(delta, cache.shape), params

    def jvp(self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array) -> Array:
        return self._flat(x_dot)

    def _flat(self, x: Array) -> Array:
        return namespace(x).reshape(x, (x.shape[0], math.prod(x.shape[1:])))

    def mean_field(self, draws: Sequence[tuple[()]], square: float) -> MeanField:
        return MeanField(square, 1.0)


@dataclass(frozen=True)
class Reshape(ParameterFreeLinear[tuple[()]], kind="reshape"):
    """A row as a picture: (height width channels,) -> (height, width, channels), the channels fastest.

    Shapes: x (n, height width channels), y (n, height, width, channels).

    Backward: dL/dx = dL/dy as a row.

    A training puts this layer before the first layer that takes pictures, where its data are pictures.

    height: height of the picture in pixels.
    width: width of the picture in pixels.
    channels: numbers of a pixel: 1 for grey, 3 for colours.

    Raises InputError for samples that are not flat, or that have another number of features.

    >>> import numpy as np
    >>> Reshape(1, 2).forward((), (), np.array([[3.0, 4.0]]), ForwardContext(training=False))[0].tolist()
    [[[[3.0], [4.0]]]]
    """

    transparent = True
    input_axes = 1

    height: Count
    width: Count
    channels: Count = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], tuple[()], tuple[int, ...]]:
        features = flat_width(self, shape)
        if features != math.prod(self.shape):
            size = " x ".join(map(str, self.shape))
            raise InputError(
                self.kind, f"expected samples of {size} = {math.prod(self.shape)} features, received {features}"
            )
        return (), (), self.shape

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], tuple[()]]:
        return self._picture(x), state, ()

    def backward(self, params: tuple[()], cache: tuple[()], delta: Array) -> tuple[Array, tuple[()]]:
        return namespace(delta).reshape(delta, (delta.shape[0], math.prod(self.shape))), params

    def jvp(self, params: tuple[()], cache: tuple[()], direction: tuple[()], x_dot: Array) -> Array:
        return self._picture(x_dot)

    def _picture(self, x: Array) -> Array:
        return namespace(x).reshape(x, (x.shape[0], *self.shape))

    def mean_field(self, draws: Sequence[tuple[()]], square: float) -> MeanField:
        return MeanField(square, 1.0)
