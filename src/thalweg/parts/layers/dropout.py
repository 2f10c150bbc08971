"""Layers that disturb their input in training and pass it on unchanged in prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.arrays import Array, namespace
from ..part import ForwardContext, Fraction, LocalFactor, MeanField, NonNegative
from .base import ParameterFreeLinear, noise_for


@dataclass(frozen=True)
class Dropout(ParameterFreeLinear[Array | tuple[()]], kind="dropout"):
    """Sets each number to 0 with probability `rate` in training, and scales the others so that the mean stays.

    In training y = x m with m = 1 / (1 - rate) with probability 1 - rate, else m = 0. In prediction y = x.

    Backward: dL/dx = dL/dy m.

    Shapes: x, m and y (n, width); every row and every step has a new mask m. Forward raises InputError in training if
    the context has no noise.

    rate: the probability of 0, in [0, 1).

    Source: Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting, section 10.

    >>> import numpy as np
    >>> from thalweg.core.noise import Noise, noise_key
    >>> context = ForwardContext(training=True, noise=Noise(noise_key(0), np.array(0)))
    >>> np.unique(Dropout(0.75).forward((), (), np.ones((9, 9)), context)[0]).tolist()
    [0.0, 4.0]
    """

    transparent = True
    random = True

    rate: Fraction = 0.5

    @property
    def drop_rate(self) -> float:
        return self.rate

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array | tuple[()]]:
        if not context.training:
            return x, state, ()
        uniform = noise_for(self, context).uniform(x.shape, x.dtype)
        mask = namespace(x).astype(uniform >= self.rate, x.dtype) / (1 - self.rate)
        return x * mask, state, mask

    def backward(self, params: tuple[()], cache: Array | tuple[()], delta: Array) -> tuple[Array, tuple[()]]:
        return (delta if isinstance(cache, tuple) else delta * cache), params

    def local_factors(self, params: tuple[()], cache: Array | tuple[()], delta: Array) -> tuple[LocalFactor, ...]:
        return () if isinstance(cache, tuple) else (LocalFactor("m", cache, "the mask of this step", in_forward=True),)

    def jvp(self, params: tuple[()], cache: Array | tuple[()], direction: tuple[()], x_dot: Array) -> Array:
        return x_dot if isinstance(cache, tuple) else x_dot * cache

    def mean_field(self, draws: Sequence[tuple[()]], square: float) -> MeanField:
        """s / (1 - rate) and 1 / (1 - rate), with s the mean square of the inputs."""
        return MeanField(square / (1 - self.rate), 1 / (1 - self.rate))


@dataclass(frozen=True)
class GaussianNoise(ParameterFreeLinear[tuple[()]], kind="gaussian_noise"):
    """Adds normal noise to its input in training: y = x + deviation e with e of mean 0 and variance 1. Else y = x.

    Backward: dL/dx = dL/dy. As the lowest layer, weak noise acts like a penalty on the slope of the network: for the
    squared error, Tikhonov's.

    Shapes: x, e and y (n, width). Forward raises InputError in training if the context has no noise.

    deviation: standard deviation of the noise, at least 0.

    Source: Bishop 1995, Training with noise is equivalent to Tikhonov regularization.

    >>> import numpy as np
    >>> GaussianNoise(0.1).forward((), (), np.array([[1.0, 2.0]]), ForwardContext(training=False))[0].tolist()
    [[1.0, 2.0]]
    """

    transparent = True
    random = True

    deviation: NonNegative = 0.1

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], tuple[()]]:
        if not context.training:
            return x, state, ()
        return x + self.deviation * noise_for(self, context).normal(x.shape, x.dtype), state, ()

    def backward(self, params: tuple[()], cache: tuple[()], delta: Array) -> tuple[Array, tuple[()]]:
        return delta, params

    def jvp(self, params: tuple[()], cache: tuple[()], direction: tuple[()], x_dot: Array) -> Array:
        return x_dot

    def mean_field(self, draws: Sequence[tuple[()]], square: float) -> MeanField:
        """s + deviation² and 1, with s the mean square of the inputs."""
        return MeanField(square + self.deviation**2, 1.0)
