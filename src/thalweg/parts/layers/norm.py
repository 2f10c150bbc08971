"""Layers that normalise their input to mean 0 and variance 1: over the batch, or over the features of each sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...core.arrays import Array, namespace
from ...core.errors import InputError
from ...core.functions import channel_sums
from ..part import (
    ForwardContext,
    Fraction,
    InitContext,
    Layer,
    LocalFactor,
    MeanField,
    Positive,
    Trainable,
    check_trainable,
    normalized_weights,
    only_trained,
)
from .base import flat_width


class Scale(NamedTuple):
    """Parameters of a normalisation, and their gradients: gamma and beta (width,) in y = gamma xhat + beta."""

    gamma: Array
    beta: Array


class RunningMoments(NamedTuple):
    """Running statistics of batch normalisation, used in prediction: mean and variance (width,)."""

    mean: Array
    variance: Array


class _Cache(NamedTuple):
    """Numbers of the forward pass.

    xhat: normalised input, in the shape of the input.
    scale: 1 / standard deviation (width,).
    weights: weight of each row in the mean (n, 1), of each pixel (n, 1, 1, 1) of pictures; 0 in prediction, where the
        mean is constant.
    """

    xhat: Array
    scale: Array
    weights: Array


def _mean_field(square: float) -> MeanField | None:
    """1 and 1/s, with s the mean square of the inputs; None for inputs that are all 0."""
    return MeanField(1.0, 1 / square) if square else None


def _unit_scale(width: int) -> Scale:
    return Scale(np.ones(width), np.zeros(width))


@dataclass(frozen=True)
class BatchNorm(Layer[Scale, RunningMoments, _Cache], kind="batch_norm", also=("batchnorm",)):
    """Every feature to mean 0 and variance 1 over the batch, then to a learned scale and offset.

    Of pictures (n, height, width, channels), every channel is a feature, and every pixel is a row: a sample of weight w
    has height width rows of weight w.

    With p_i = w_i / Σ w for a row of weight w_i (0 for padding, 2 for a row that counts twice):

        mu = Σ p_i x_i,  v = Σ p_i (x_i - mu)²,  s = 1 / sqrt(v + epsilon),  xhat = (x - mu) s,  y = gamma xhat + beta

    Prediction uses the running mu and v: running <- momentum running + (1 - momentum) batch after each batch, with the
    biased variance in both. A batch of total weight 0 leaves them unchanged.

    Backward, with d = dL/dy:  dL/dbeta = Σ d,  dL/dgamma = Σ d xhat.  For dL/dx, mu and v depend on x: dmu/dx_j = p_j,
    dv/dx_j = 2 p_j (x_j - mu), because Σ p_i (x_i - mu) = 0, and so

        dxhat_i/dx_j = s (1[i = j] - p_j - p_j xhat_i xhat_j),
        dL/dx_j = Σ_i d_i gamma dxhat_i/dx_j = gamma s (d_j - p_j (dL/dbeta + xhat_j dL/dgamma)).

    In prediction mu and v are constants: the same with p = 0.

    Running statistics are not trained: they follow the batches also where gamma and beta are held.

    Along gamma_dot, beta_dot and x_dot:

        c = Σ p_i xhat_i x_dot_i,  xhat_dot = s (x_dot - Σ p_i x_dot_i - xhat c),  s_dot = -s² c,
        y_dot = gamma_dot xhat + gamma xhat_dot + beta_dot.

    The derivative of dL/dgamma is Σ d xhat_dot, that of dL/dbeta is 0, and that of dL/dx is

        (gamma_dot s + gamma s_dot) (d - p (dL/dbeta + xhat dL/dgamma))
        - gamma s p (xhat_dot dL/dgamma + xhat Σ d xhat_dot).

    Shapes: x, xhat, y (n, width) or (n, height, width, channels); gamma, beta, mu, v of the size of the last axis.
    Raises InputError for samples that are neither flat nor pictures, and in training for a batch of one row: it is its
    own mean, and every output would be beta.

    momentum: weight of the old running values, in [0, 1).
    epsilon: added to the variance.
    trainable: whether a training changes gamma and beta, or the names of those that it changes.

    Source: Ioffe and Szegedy 2015, Batch normalization, algorithm 1 and section 3.

    >>> params, state, _ = BatchNorm().initialize(None, (1,))
    >>> x, context = np.array([[1.0], [3.0]]), ForwardContext(training=True)
    >>> y, state, _ = BatchNorm(momentum=0.5).forward(params, state, x, context)
    >>> y.round(4).tolist(), state.mean.tolist(), state.variance.tolist()
    ([[-1.0], [1.0]], [1.0], [1.0])
    """

    transparent = True
    is_linear = True

    momentum: Fraction = 0.9
    epsilon: Positive = 1e-5
    trainable: Trainable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_trainable(self, self.trainable, Scale._fields)

    def trained(self, params: Scale) -> Scale:
        return only_trained(params, self.trainable)

    @property
    def least_batch(self) -> int:
        """2, because the variance of one row is 0."""
        return 2

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[Scale, RunningMoments, tuple[int, ...]]:
        if len(shape) not in (1, 3):
            flat_width(self, shape)
        width = shape[-1]
        return _unit_scale(width), RunningMoments(np.zeros(width), np.ones(width)), shape

    def forward(
        self, params: Scale, state: RunningMoments, x: Array, context: ForwardContext
    ) -> tuple[Array, RunningMoments, _Cache]:
        if context.training:
            weights = self._row_weights(x, context)
            moments = _moments(x, weights)
            # The weights of all rows sum to 1, or to 0 if no row has weight.
            rate = (1 - self.momentum) * math.prod(x.shape[1:-1]) * namespace(x).sum(weights)
            new_state = RunningMoments(*(old + rate * (new - old) for old, new in zip(state, moments, strict=True)))
        else:
            weights = namespace(x).zeros_like(x[(slice(None), *[slice(1)] * (x.ndim - 1))])
            moments = new_state = state
        scale = 1 / namespace(x).sqrt(moments.variance + self.epsilon)
        xhat = (x - moments.mean) * scale
        return params.gamma * xhat + params.beta, new_state, _Cache(xhat, scale, weights)

    def backward(self, params: Scale, cache: _Cache, delta: Array) -> tuple[Array, Scale]:
        grads = self.gradients(params, cache, delta)
        pull = cache.weights * (grads.beta + cache.xhat * grads.gamma)
        return params.gamma * cache.scale * (delta - pull), grads

    def gradients(self, params: Scale, cache: _Cache, delta: Array) -> Scale:
        return _gradients(cache.xhat, delta)

    def local_factors(self, params: Scale, cache: _Cache, delta: Array) -> tuple[LocalFactor, ...]:
        return (
            LocalFactor("xhat", cache.xhat, in_forward=True),
            LocalFactor("s", cache.scale, "1 / deviation", in_forward=True, by_sample=False),
        )

    def jvp(self, params: Scale, cache: _Cache, direction: Scale, x_dot: Array | None) -> Array:
        y_dot = direction.gamma * cache.xhat + direction.beta
        return y_dot if x_dot is None else y_dot + params.gamma * self._dots(cache, x_dot)[0]

    def _dots(self, cache: _Cache, x_dot: Array) -> tuple[Array, Array]:
        """xhat_dot and s_dot."""
        xhat, scale, weights = cache
        of_samples = namespace(x_dot).reshape(weights, (-1,))
        c = channel_sums(xhat * x_dot, of_samples)
        return scale * (x_dot - channel_sums(x_dot, of_samples) - xhat * c), -(scale**2) * c

    def backward_jvp(
        self, params: Scale, cache: _Cache, direction: Scale, x_dot: Array | None, delta: Array
    ) -> tuple[Array | None, Scale]:
        if x_dot is None:
            return None, _zeros_like(params)
        xhat, scale, weights = cache
        xhat_dot, scale_dot = self._dots(cache, x_dot)
        grads = _gradients(xhat, delta)
        grad_dots = _gradient_dots(xhat_dot, delta)
        pull = weights * (grads.beta + xhat * grads.gamma)
        pull_dot = weights * (xhat_dot * grads.gamma + xhat * grad_dots.gamma)
        factor_dot = direction.gamma * scale + params.gamma * scale_dot
        return factor_dot * (delta - pull) - params.gamma * scale * pull_dot, grad_dots

    def _row_weights(self, x: Array, context: ForwardContext) -> Array:
        """The weight (n, 1) of each row in the mean over the batch; (n, 1, 1, 1) of each pixel of pictures."""
        if x.shape[0] < self.least_batch:
            raise InputError(
                self.kind,
                "expected a batch of at least 2 rows in training, received 1, which is its own mean: every output"
                " would be beta; choose a larger batch size, or layer_norm",
            )
        xp = namespace(x)
        weight = xp.ones(len(x), dtype=x.dtype) if context.weight is None else context.weight
        own = normalized_weights(weight) / math.prod(x.shape[1:-1])
        return xp.reshape(own, (-1, *[1] * (x.ndim - 1)))

    def mean_field(self, draws: Sequence[Scale], square: float) -> MeanField | None:
        return _mean_field(square)


def _moments(x: Array, weights: Array) -> RunningMoments:
    """Mean and variance over the rows. The mean is subtracted before squaring, so that a large mean costs no digits."""
    xp = namespace(x)
    of_samples = xp.reshape(weights, (-1,))
    mean = channel_sums(x, of_samples)
    return RunningMoments(mean, channel_sums((x - mean) ** 2, of_samples))


@dataclass(frozen=True)
class LayerNorm(Layer[Scale, tuple[()], tuple[Array, Array]], kind="layer_norm", also=("layernorm",)):
    """Every sample to mean 0 and variance 1 over its features, then to a learned scale and offset.

        mu = Σ_k x_k / width,  v = Σ_k (x_k - mu)² / width,  s = 1 / sqrt(v + epsilon),  xhat = (x - mu) s,
        y = gamma xhat + beta,  the same in training and in prediction.

    Backward, with d = dL/dy and g = gamma d, by the derivation of `BatchNorm` along the other axis:

        dL/dbeta = Σ d and dL/dgamma = Σ d xhat over the samples,  dL/dx = s (g - mean g - xhat mean(g xhat)).

    Along gamma_dot, beta_dot and x_dot:

        c = mean(xhat x_dot),  xhat_dot = s (x_dot - mean x_dot - xhat c),  s_dot = -s² c,  g_dot = gamma_dot d,
        y_dot = gamma_dot xhat + gamma xhat_dot + beta_dot.

    The derivative of dL/dgamma is Σ d xhat_dot, that of dL/dbeta is 0, and that of dL/dx is

        s_dot (g - mean g - xhat mean(g xhat))
        + s (g_dot - mean g_dot - xhat_dot mean(g xhat) - xhat mean(g_dot xhat + g xhat_dot)).

    Shapes: x, xhat, y (n, width); gamma, beta (width,); mu, v (n, 1). Raises InputError for samples that are not flat.

    epsilon: added to the variance.
    trainable: whether a training changes gamma and beta, or the names of those that it changes.

    Source: Ba, Kiros, Hinton 2016, Layer normalization, equation 4.

    >>> params, state, _ = LayerNorm().initialize(None, (2,))
    >>> LayerNorm().forward(params, state, np.array([[1.0, 3.0]]), ForwardContext(training=True))[0].round(4).tolist()
    [[-1.0, 1.0]]
    """

    transparent = True
    input_axes = 1

    epsilon: Positive = 1e-5
    trainable: Trainable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_trainable(self, self.trainable, Scale._fields)

    def trained(self, params: Scale) -> Scale:
        return only_trained(params, self.trainable)

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[Scale, tuple[()], tuple[int, ...]]:
        return _unit_scale(flat_width(self, shape)), (), shape

    def forward(
        self, params: Scale, state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], tuple[Array, Array]]:
        centred = x - _mean(x)
        scale = 1 / namespace(x).sqrt(_mean(centred**2) + self.epsilon)
        xhat = centred * scale
        return params.gamma * xhat + params.beta, state, (xhat, scale)

    def backward(self, params: Scale, cache: tuple[Array, Array], delta: Array) -> tuple[Array, Scale]:
        xhat, scale = cache
        g = params.gamma * delta
        pull = _mean(g) + xhat * _mean(g * xhat)
        return scale * (g - pull), self.gradients(params, cache, delta)

    def gradients(self, params: Scale, cache: tuple[Array, Array], delta: Array) -> Scale:
        return _gradients(cache[0], delta)

    def local_factors(self, params: Scale, cache: tuple[Array, Array], delta: Array) -> tuple[LocalFactor, ...]:
        xhat, scale = cache
        return (
            LocalFactor("xhat", xhat, in_forward=True),
            LocalFactor("s", scale, "1 / deviation", in_forward=True),
        )

    def jvp(self, params: Scale, cache: tuple[Array, Array], direction: Scale, x_dot: Array | None) -> Array:
        y_dot = direction.gamma * cache[0] + direction.beta
        return y_dot if x_dot is None else y_dot + params.gamma * self._dots(cache, x_dot)[0]

    def _dots(self, cache: tuple[Array, Array], x_dot: Array) -> tuple[Array, Array]:
        """xhat_dot and s_dot."""
        xhat, scale = cache
        c = _mean(xhat * x_dot)
        return scale * (x_dot - _mean(x_dot) - xhat * c), -(scale**2) * c

    def backward_jvp(
        self, params: Scale, cache: tuple[Array, Array], direction: Scale, x_dot: Array | None, delta: Array
    ) -> tuple[Array | None, Scale]:
        if x_dot is None:
            return None, _zeros_like(params)
        xhat, scale = cache
        xhat_dot, scale_dot = self._dots(cache, x_dot)
        g = params.gamma * delta
        g_dot = direction.gamma * delta
        pull = _mean(g) + xhat * _mean(g * xhat)
        pull_dot = _mean(g_dot) + xhat_dot * _mean(g * xhat) + xhat * _mean(g_dot * xhat + g * xhat_dot)
        return scale_dot * (g - pull) + scale * (g_dot - pull_dot), _gradient_dots(xhat_dot, delta)

    def mean_field(self, draws: Sequence[Scale], square: float) -> MeanField | None:
        return _mean_field(square)


def _mean(x: Array) -> Array:
    """The mean over the features of each sample (n, 1)."""
    return namespace(x).mean(x, axis=1, keepdims=True)


def _gradients(xhat: Array, delta: Array) -> Scale:
    return Scale(channel_sums(delta * xhat), channel_sums(delta))


def _gradient_dots(xhat_dot: Array, delta: Array) -> Scale:
    """The derivative of the gradients along xhat_dot."""
    gamma = channel_sums(delta * xhat_dot)
    return Scale(gamma, namespace(gamma).zeros_like(gamma))


def _zeros_like(params: Scale) -> Scale:
    return Scale(*(namespace(array).zeros_like(array) for array in params))
