"""Layers that change pictures at random in training (data augmentation) and pass them on unchanged in prediction.

Each sample and each step has its own change. All of them are linear maps y = J x of the picture, so that both passes
are exact: dL/dx = Jᵀ dL/dy.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from ...core.arrays import Array, namespace
from ...core.noise import Noise
from ..part import Count, ForwardContext, InitContext, NonNegative, Positive
from .base import ParameterFreeLinear, noise_for, picture_shape

Drawn = tuple[Array, ...]
"""The random numbers that determine the maps J of a batch; `()` in prediction, where J is the identity."""


class _Augmentation(ParameterFreeLinear[Drawn]):
    """A random linear map of each picture in training, the identity in prediction."""

    transparent = True
    random = True
    input_axes = 3

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], tuple[()], tuple[int, ...]]:
        return (), (), picture_shape(self, shape)

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Drawn]:
        if not context.training:
            return x, state, ()
        drawn = self._draw(noise_for(self, context), x)
        return self._apply(drawn, x), state, drawn

    def backward(self, params: tuple[()], cache: Drawn, delta: Array) -> tuple[Array, tuple[()]]:
        return (self._transposed(cache, delta) if cache else delta), params

    def jvp(self, params: tuple[()], cache: Drawn, direction: tuple[()], x_dot: Array) -> Array:
        return self._apply(cache, x_dot) if cache else x_dot

    @abstractmethod
    def _draw(self, noise: Noise, x: Array) -> Drawn:
        """The random numbers for the pictures x (n, height, width, channels)."""

    @abstractmethod
    def _apply(self, drawn: Drawn, x: Array) -> Array:
        """J x."""

    @abstractmethod
    def _transposed(self, drawn: Drawn, delta: Array) -> Array:
        """Jᵀ delta."""


# Displacements --------------------------------------------------------------------------------------------------------


class Displacement(NamedTuple):
    """From where the two passes of a warp fetch each pixel, in pixels from its own place.

    columns: d of the first pass, (n, height or 1, width).
    rows: e of the second pass, (n, height, width or 1).
    """

    columns: Array
    rows: Array


class _Warp(_Augmentation):
    """Moves pixels in two passes, first along the rows of the picture and then along its columns:

        u[r, q] = x[r, q + d[r, q]],  y[r, q] = u[r + e[r, q], q].

    Between two pixels x and u are interpolated linearly; outside of the picture they are its nearest pixel.

    Source: Catmull and Smith 1980, 3-D transformations of images in scanline order.
    """

    @abstractmethod
    def _draw(self, noise: Noise, x: Array) -> Displacement:
        """The displacements of the pictures x (n, height, width, channels)."""

    def _apply(self, drawn: Drawn, x: Array) -> Array:
        along_rows, along_columns = _interpolations(drawn, x)
        return _turned(along_columns @ _turned(along_rows @ x))

    def _transposed(self, drawn: Drawn, delta: Array) -> Array:
        along_rows, along_columns = _interpolations(drawn, delta)
        return along_rows.mT @ _turned(along_columns.mT @ _turned(delta))


def _interpolations(drawn: Drawn, x: Array) -> tuple[Array, Array]:
    """The matrices of both passes: (n, height or 1, width, width) and (n, width or 1, height, height)."""
    columns, rows = drawn
    return _interpolation(columns), _interpolation(namespace(rows).permute_dims(rows, (0, 2, 1)))


def _interpolation(displacement: Array) -> Array:
    """M with (M x)[i] = x[i + displacement[i]], for displacements (..., size): M[i, j] = max(0, 1 - |i + d[i] - j|)."""
    xp = namespace(displacement)
    size = displacement.shape[-1]
    places = xp.arange(size, dtype=displacement.dtype)
    sources = xp.clip(places + displacement, 0, size - 1)
    return xp.maximum(1 - xp.abs(sources[..., None] - places), 0)


def _turned(x: Array) -> Array:
    """Pictures with their rows as columns."""
    return namespace(x).permute_dims(x, (0, 2, 1, 3))


def _symmetric(noise: Noise, shape: tuple[int, ...], x: Array) -> Array:
    """Uniform in [-1, 1)."""
    return 2 * noise.uniform(shape, x.dtype) - 1


@dataclass(frozen=True)
class RandomTranslation(_Warp, kind="random_translation"):
    """Shifts each picture by a whole number of pixels along both axes: y[r, q] = x[r + a, q + b].

    a and b are drawn from -pixels, ..., pixels, all equally likely. Places outside of the picture have the value of its
    nearest pixel.

    Backward: dL/dx is dL/dy shifted back; what was fetched from outside adds to the pixel at the border.

    Shapes: x and y (n, height, width, channels). Forward raises InputError in training if the context has no noise.

    pixels: the largest shift.

    >>> import numpy as np
    >>> from thalweg.core.noise import noise_key
    >>> context = ForwardContext(training=True, noise=Noise(noise_key(0), np.array(0)))
    >>> x = np.arange(4.0).reshape(1, 1, 4, 1)
    >>> RandomTranslation(2).forward((), (), x, context)[0].ravel().tolist()
    [1.0, 2.0, 3.0, 3.0]
    """

    pixels: Count = 2

    def _draw(self, noise: Noise, x: Array) -> Displacement:
        n, height, width, _ = x.shape
        xp = namespace(x)
        steps = xp.floor(noise.uniform((n, 2), x.dtype) * (2 * self.pixels + 1)) - self.pixels
        columns = xp.broadcast_to(steps[:, :1, None], (n, 1, width))
        return Displacement(columns, xp.broadcast_to(steps[:, 1:, None], (n, height, 1)))


@dataclass(frozen=True)
class RandomRotation(_Warp, kind="random_rotation"):
    """Turns each picture about its centre by an angle t that is uniform in [-degrees, degrees).

    With r and q counted from the centre: y[r, q] = x[r cos t - q sin t, r sin t + q cos t]. The first pass fetches from
    q / cos t + r tan t in each row, the second one from r cos t - q sin t in each column; pixels are interpolated
    linearly in each pass, and places outside of the picture have the value of its nearest pixel.

    Backward: dL/dx = Jᵀ dL/dy, the transposed interpolations of both passes in reverse order.

    Shapes: x and y (n, height, width, channels). Forward raises InputError in training if the context has no noise.

    degrees: the largest angle, at most 45.

    Source: Catmull and Smith 1980, 3-D transformations of images in scanline order.

    >>> import numpy as np
    >>> from thalweg.core.noise import noise_key
    >>> context = ForwardContext(training=True, noise=Noise(noise_key(0), np.array(0)))
    >>> x = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> float(RandomRotation(30).forward((), (), x, context)[0][0, 1, 1, 0])
    4.0
    """

    degrees: Annotated[float, Field(ge=0, le=45, strict=True)] = 10.0

    def _draw(self, noise: Noise, x: Array) -> Displacement:
        xp = namespace(x)
        n, height, width, _ = x.shape
        angle = _symmetric(noise, (n, 1, 1), x) * (self.degrees * math.pi / 180)
        sine, cosine = xp.sin(angle), xp.cos(angle)
        r = xp.arange(height, dtype=x.dtype)[:, None] - (height - 1) / 2
        q = xp.arange(width, dtype=x.dtype) - (width - 1) / 2
        return Displacement(q / cosine + r * (sine / cosine) - q, r * cosine - q * sine - r)


@dataclass(frozen=True)
class ElasticTransform(_Warp, kind="elastic_transform"):
    """Distorts each picture by a smooth random field: d = alpha G U Gᵀ pixels, with U uniform in [-1, 1).

    G[i, j] = exp(-(i - j)² / (2 sigma²)) / (sigma sqrt(2 pi)) smooths the fields. The first pass moves pixels along the
    rows by one field, the second one along the columns by another; pixels are interpolated linearly in each pass, and
    places outside of the picture have the value of its nearest pixel. Far from the border, the displacements have a
    standard deviation of 0.16 alpha / sigma pixels.

    Backward: dL/dx = Jᵀ dL/dy, the transposed interpolations of both passes in reverse order.

    Shapes: x and y (n, height, width, channels). Forward raises InputError in training if the context has no noise.

    alpha: the strength, in pixels.
    sigma: the width of the smoothing, in pixels.

    Source: Simard, Steinkraus, Platt 2003, Best practices for convolutional neural networks, section 2.

    >>> import numpy as np
    >>> from thalweg.core.noise import noise_key
    >>> context = ForwardContext(training=True, noise=Noise(noise_key(0), np.array(0)))
    >>> x = np.full((1, 3, 3, 1), 0.5)
    >>> np.unique(ElasticTransform().forward((), (), x, context)[0]).tolist()
    [0.5]
    """

    alpha: NonNegative = 34.0
    sigma: Positive = 4.0

    def _draw(self, noise: Noise, x: Array) -> Displacement:
        return Displacement(self._field(noise.at(0), x), self._field(noise.at(1), x))

    def _field(self, noise: Noise, x: Array) -> Array:
        n, height, width, _ = x.shape
        smooth = self._smoothing(height, x) @ _symmetric(noise, (n, height, width), x) @ self._smoothing(width, x)
        return self.alpha * smooth

    def _smoothing(self, size: int, x: Array) -> Array:
        """G (size, size)."""
        xp = namespace(x)
        places = xp.arange(size, dtype=x.dtype)
        distance = (places[:, None] - places) / self.sigma
        return xp.exp(-(distance**2) / 2) / (self.sigma * math.sqrt(2 * math.pi))


# Mirrors and masks ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RandomFlip(_Augmentation, kind="random_flip"):
    """Mirrors each picture with probability 1/2: y[r, q] = x[r, width - 1 - q] for the mode "horizontal".

    Backward: dL/dx is dL/dy mirrored in the same way.

    Shapes: x and y (n, height, width, channels). Forward raises InputError in training if the context has no noise.

    mode: "horizontal" exchanges left and right, "vertical" above and below.

    >>> import numpy as np
    >>> from thalweg.core.noise import noise_key
    >>> context = ForwardContext(training=True, noise=Noise(noise_key(0), np.array(0)))
    >>> x = np.tile(np.arange(3.0), 4).reshape(4, 1, 3, 1)
    >>> sorted(set(RandomFlip().forward((), (), x, context)[0][:, 0, 0, 0].tolist()))
    [0.0, 2.0]
    """

    mode: Literal["horizontal", "vertical"] = "horizontal"

    def _draw(self, noise: Noise, x: Array) -> Drawn:
        return (noise.uniform((x.shape[0], 1, 1, 1), x.dtype) < 0.5,)

    def _apply(self, drawn: Drawn, x: Array) -> Array:
        xp = namespace(x)
        return xp.where(drawn[0], xp.flip(x, axis=2 if self.mode == "horizontal" else 1), x)

    def _transposed(self, drawn: Drawn, delta: Array) -> Array:
        return self._apply(drawn, delta)


@dataclass(frozen=True)
class RandomErasing(_Augmentation, kind="random_erasing"):
    """Sets a square of each picture to 0 with probability `rate`: y = x m, with m = 0 in the square, else 1.

    The centre of the square is any pixel of the picture; what lies outside of it is cut off.

    Backward: dL/dx = dL/dy m.

    Shapes: x and y (n, height, width, channels), m (n, height, width, 1). Forward raises InputError in training if the
    context has no noise.

    size: side of the square in pixels.
    rate: the probability of a square, in [0, 1].

    Source: DeVries and Taylor 2017, Improved regularization of convolutional neural networks with cutout; Zhong et al.
    2020, Random erasing data augmentation.

    >>> import numpy as np
    >>> from thalweg.core.noise import noise_key
    >>> context = ForwardContext(training=True, noise=Noise(noise_key(0), np.array(0)))
    >>> RandomErasing(1, 1.0).forward((), (), np.ones((1, 3, 3, 1)), context)[0].sum()
    np.float64(8.0)
    """

    size: Count = 8
    rate: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.5

    def _draw(self, noise: Noise, x: Array) -> Drawn:
        xp = namespace(x)
        n, height, width, _ = x.shape
        place = noise.uniform((n, 3), x.dtype)
        inside = [
            # In a square of an even side, the centre is the pixel behind its middle.
            xp.abs(
                xp.arange(length, dtype=x.dtype) - xp.floor(place[:, axis : axis + 1] * length) + 0.5 * self._is_even
            )
            < self.size / 2
            for axis, length in enumerate((height, width))
        ]
        erased = inside[0][:, :, None] & inside[1][:, None, :] & (place[:, 2:, None] < self.rate)
        return (xp.astype(~erased, x.dtype)[..., None],)

    @property
    def _is_even(self) -> bool:
        return self.size % 2 == 0

    def _apply(self, drawn: Drawn, x: Array) -> Array:
        return x * drawn[0]

    def _transposed(self, drawn: Drawn, delta: Array) -> Array:
        return delta * drawn[0]
