"""Layers that disturb their input in training, and pass it on unchanged in prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.arrays import Array, Tree, namespace
from ...core.errors import InputError
from ...core.noise import Noise
from ..part import ForwardContext, Fraction, Layer, MeanField, NonNegative
from .straight import ParameterFreeLinear


@dataclass(frozen=True)
class Dropout(ParameterFreeLinear, kind="dropout"):
    """Each number is 0 with probability `rate` in training; what stays is scaled, so that the mean stays too.

    In training y = x m with m = 0, or 1 / (1 - rate) with probability 1 - rate. Else y = x.

    Backward: dL/dx = dL/dy m.

    Shapes: x, m and y (n, width); every row and every step has a mask m of its own. Forward raises InputError in
    training without noise.

    Source: Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting, section 10.

    >>> import numpy as np
    >>> from thalweg.core.noise import noise_key
    >>> mode = ForwardContext(training=True, noise=Noise(noise_key(0), np.array(0)))
    >>> np.unique(Dropout(0.75).forward((), (), np.ones((9, 9)), mode)[0]).tolist()
    [0.0, 4.0]
    """

    transparent = True
    random = True

    rate: Fraction = 0.5

    def mean_field(self, draws: Sequence[Tree], square: float) -> MeanField:
        """s / (1 - rate) and 1 / (1 - rate), s the mean square of the inputs."""
        return MeanField(square / (1 - self.rate), 1 / (1 - self.rate))

    @property
    def drop_rate(self) -> float:
        return self.rate

    def forward(self, params: Tree, state: Tree, x: Array, mode: ForwardContext) -> tuple[Array, Tree, Tree]:
        if not mode.training:
            return x, state, None
        even = _noise_for(self, mode).uniform(x.shape, x.dtype)
        mask = namespace(x).astype(even >= self.rate, x.dtype) / (1 - self.rate)
        return x * mask, state, mask

    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        return (delta if cache is None else delta * cache), params

    def jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array) -> Array:
        return dx if cache is None else dx * cache


@dataclass(frozen=True)
class GaussianNoise(ParameterFreeLinear, kind="gaussian_noise"):
    """Normal noise on top of the input in training: y = x + deviation e with e of mean 0 and variance 1. Else y = x.

    Backward: dL/dx = dL/dy. As the lowest layer, little noise acts like a penalty on the slope of the network: for the
    squared error, Tikhonov's.

    Shapes: x, e and y (n, width). Forward raises InputError in training without noise.

    Source: Bishop 1995, Training with noise is equivalent to Tikhonov regularization.

    >>> import numpy as np
    >>> GaussianNoise(0.1).forward((), (), np.array([[1.0, 2.0]]), ForwardContext(training=False))[0].tolist()
    [[1.0, 2.0]]
    """

    transparent = True
    random = True

    deviation: NonNegative = 0.1

    def mean_field(self, draws: Sequence[Tree], square: float) -> MeanField:
        """s + deviation² and 1, s the mean square of the inputs."""
        return MeanField(square + self.deviation**2, 1.0)

    def forward(self, params: Tree, state: Tree, x: Array, mode: ForwardContext) -> tuple[Array, Tree, Tree]:
        if not mode.training:
            return x, state, ()
        return x + self.deviation * _noise_for(self, mode).normal(x.shape, x.dtype), state, ()

    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        return delta, params

    def jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array) -> Array:
        return dx


def _noise_for(layer: Layer, mode: ForwardContext) -> Noise:
    if mode.noise is None:
        raise InputError(
            layer.kind,
            "expected noise for a training pass, received none; give Mode(training=True, noise=Noise(key, step))",
        )
    return mode.noise
