"""Layers that bring their input to mean 0 and variance 1: over the batch, or over the features of each sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...core.arrays import Array, Tree, namespace
from ...core.errors import InputError
from ..part import ForwardContext, Fraction, InitContext, Layer, MeanField, Positive, normalized_weights


class Scale(NamedTuple):
    """Parameters of a normalisation, and their gradients: gamma and beta (width,) in y = gamma xhat + beta."""

    gamma: Array
    beta: Array


class RunningMoments(NamedTuple):
    """What batch normalisation keeps of past batches for prediction: mean and variance (width,)."""

    mean: Array
    variance: Array


class _Cache(NamedTuple):
    """Normalised input (n, width), 1 / deviation, and what share each number had in its mean: 0 for a constant mean."""

    xhat: Array
    scale: Array
    share: Array


def _mean_field(square: float) -> MeanField | None:
    """1 and 1/s, s the mean square of the inputs; None for inputs of 0, which have no scale."""
    return MeanField(1.0, 1 / square) if square else None


def _unit_scale(layer: Layer, shape: tuple[int, ...]) -> Scale:
    if len(shape) != 1:
        raise InputError(layer.kind, f"expected flat samples, received samples of shape {shape}; put flatten before it")
    return Scale(np.ones(shape), np.zeros(shape))


@dataclass(frozen=True)
class BatchNorm(Layer, kind="batch_norm", also=("batchnorm",)):
    """Every feature to mean 0 and variance 1 over the batch, then to a learned scale and place.

    With the share p_i = w_i / Σ w of a row of weight w_i (padding has none, a row of weight 2 stands for two rows):

        mu = Σ p_i x_i,  v = Σ p_i (x_i - mu)²,  s = 1 / sqrt(v + epsilon),  xhat = (x - mu) s,  y = gamma xhat + beta

    Prediction takes the running mu and v: running <- momentum running + (1 - momentum) batch after each batch, the
    variance biased in both places. A batch without weight leaves them as they are.

    Backward, with d = dL/dy:  dL/dbeta = Σ d,  dL/dgamma = Σ d xhat.  For dL/dx, mu and v move with x: dmu/dx_j = p_j,
    dv/dx_j = 2 p_j (x_j - mu), because Σ p_i (x_i - mu) = 0, and so

        dxhat_i/dx_j = s (1[i = j] - p_j - p_j xhat_i xhat_j),
        dL/dx_j = Σ_i d_i gamma dxhat_i/dx_j = gamma s (d_j - p_j (dL/dbeta + xhat_j dL/dgamma)).

    In prediction mu and v are constants: the same with p = 0.

    While gamma, beta and x move along gamma', beta' and x', xhat moves along dxhat/dx x', and s along s':

        c = Σ p_i xhat_i x'_i,  xhat' = s (x' - Σ p_i x'_i - xhat c),  s' = -s² c,
        y' = gamma' xhat + gamma xhat' + beta'.

    So dL/dgamma bends by Σ d xhat', dL/dbeta not at all, and dL/dx by

        (gamma' s + gamma s') (d - p (dL/dbeta + xhat dL/dgamma)) - gamma s p (xhat' dL/dgamma + xhat Σ d xhat').

    Shapes: x, xhat, y (n, width); gamma, beta, mu, v (width,). Raises InputError for samples that are not flat, and in
    training for a batch of one row: it is its own mean, and every output would be beta.

    Source: Ioffe and Szegedy 2015, Batch normalization, algorithm 1 and section 3.

    >>> params, state, _ = BatchNorm().initialize(None, (1,))
    >>> x, context = np.array([[1.0], [3.0]]), ForwardContext(training=True)
    >>> y, state, _ = BatchNorm(momentum=0.5).forward(params, state, x, context)
    >>> y.round(4).tolist(), state.mean.tolist(), state.variance.tolist()
    ([[-1.0], [1.0]], [1.0], [1.0])
    """

    transparent = True

    momentum: Fraction = 0.9
    epsilon: Positive = 1e-5

    @property
    def least_batch(self) -> int:
        """Two: the variance of one row is 0."""
        return 2

    def mean_field(self, draws: Sequence[Tree], square: float) -> MeanField | None:
        return _mean_field(square)

    def initialize(self, draw: InitContext, shape: tuple[int, ...]) -> tuple[Tree, Tree, tuple[int, ...]]:
        return _unit_scale(self, shape), RunningMoments(np.zeros(shape), np.ones(shape)), shape

    def forward(self, params: Tree, state: Tree, x: Array, mode: ForwardContext) -> tuple[Array, Tree, Tree]:
        if mode.training:
            share = self._shares(x, mode)
            moments = _moments(x, share)
            # The shares sum to 1, or to 0 where no row has weight.
            news = (1 - self.momentum) * namespace(x).sum(share)
            new_state = RunningMoments(*(old + news * (new - old) for old, new in zip(state, moments, strict=True)))
        else:
            share, moments, new_state = namespace(x).zeros_like(x[:, :1]), state, state
        scale = 1 / namespace(x).sqrt(moments.variance + self.epsilon)
        xhat = (x - moments.mean) * scale
        return params.gamma * xhat + params.beta, new_state, _Cache(xhat, scale, share)

    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        grads = self.gradients(params, cache, delta)
        pull = cache.share * (grads.beta + cache.xhat * grads.gamma)
        return params.gamma * cache.scale * (delta - pull), grads

    def gradients(self, params: Tree, cache: Tree, delta: Array) -> Tree:
        return _gradients(cache.xhat, delta)

    def jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array | None) -> Array:
        moved = along.gamma * cache.xhat + along.beta
        return moved if dx is None else moved + params.gamma * self._motion(cache, dx)[0]

    def _motion(self, cache: Tree, dx: Array) -> tuple[Array, Array]:
        """xhat' and s'."""
        xp = namespace(dx)
        xhat, scale, share = cache
        c = xp.sum(share * xhat * dx, axis=0)
        return scale * (dx - xp.sum(share * dx, axis=0) - xhat * c), -(scale**2) * c

    def backward_jvp(
        self, params: Tree, cache: Tree, along: Tree, dx: Array | None, delta: Array
    ) -> tuple[Array | None, Tree]:
        if dx is None:
            return None, _no_gradients(params)
        xhat, scale, share = cache
        moved, bent_scale = self._motion(cache, dx)
        grads, bent = _gradients(xhat, delta), _bent_gradients(moved, delta)
        pull = share * (grads.beta + xhat * grads.gamma)
        bent_pull = share * (moved * grads.gamma + xhat * bent.gamma)
        bent_factor = along.gamma * scale + params.gamma * bent_scale
        return bent_factor * (delta - pull) - params.gamma * scale * bent_pull, bent

    def _shares(self, x: Array, mode: ForwardContext) -> Array:
        """The share (n, 1) of each row in the mean over the batch."""
        if x.shape[0] < self.least_batch:
            raise InputError(
                self.kind,
                "expected a batch of at least 2 rows in training, received 1, which is its own mean: every output"
                " would be beta; choose a larger batch size, or layer_norm",
            )
        xp = namespace(x)
        return normalized_weights(xp.ones_like(x[:, 0]) if mode.weight is None else mode.weight)[:, None]


def _moments(x: Array, share: Array) -> RunningMoments:
    """Mean and variance over the rows; the mean is taken off before the square, which a large one would swallow."""
    xp = namespace(x)
    mean = xp.sum(share * x, axis=0)
    return RunningMoments(mean, xp.sum(share * (x - mean) ** 2, axis=0))


@dataclass(frozen=True)
class LayerNorm(Layer, kind="layer_norm", also=("layernorm",)):
    """Every sample to mean 0 and variance 1 over its features, then to a learned scale and place.

        mu = Σ_k x_k / width,  v = Σ_k (x_k - mu)² / width,  s = 1 / sqrt(v + epsilon),  xhat = (x - mu) s,
        y = gamma xhat + beta,  the same in training and in prediction.

    Backward, with d = dL/dy and g = gamma d, by the derivation of `BatchNorm` along the other axis:

        dL/dbeta = Σ d and dL/dgamma = Σ d xhat over the samples,  dL/dx = s (g - mean g - xhat mean(g xhat)).

    While gamma, beta and x move along gamma', beta' and x',

        c = mean(xhat x'),  xhat' = s (x' - mean x' - xhat c),  s' = -s² c,  g' = gamma' d,
        y' = gamma' xhat + gamma xhat' + beta';

    dL/dgamma bends by Σ d xhat', dL/dbeta not at all, and dL/dx by

        s' (g - mean g - xhat mean(g xhat)) + s (g' - mean g' - xhat' mean(g xhat) - xhat mean(g' xhat + g xhat')).

    Shapes: x, xhat, y (n, width); gamma, beta (width,); mu, v (n, 1). Raises InputError for samples that are not flat.

    Source: Ba, Kiros, Hinton 2016, Layer normalization, equation 4.

    >>> params, state, _ = LayerNorm().initialize(None, (2,))
    >>> LayerNorm().forward(params, state, np.array([[1.0, 3.0]]), ForwardContext(training=True))[0].round(4).tolist()
    [[-1.0, 1.0]]
    """

    transparent = True

    epsilon: Positive = 1e-5

    def mean_field(self, draws: Sequence[Tree], square: float) -> MeanField | None:
        return _mean_field(square)

    def initialize(self, draw: InitContext, shape: tuple[int, ...]) -> tuple[Tree, Tree, tuple[int, ...]]:
        return _unit_scale(self, shape), (), shape

    def forward(self, params: Tree, state: Tree, x: Array, mode: ForwardContext) -> tuple[Array, Tree, Tree]:
        centred = x - _mean(x)
        scale = 1 / namespace(x).sqrt(_mean(centred**2) + self.epsilon)
        xhat = centred * scale
        return params.gamma * xhat + params.beta, state, (xhat, scale)

    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        xhat, scale = cache
        g = params.gamma * delta
        pull = _mean(g) + xhat * _mean(g * xhat)
        return scale * (g - pull), self.gradients(params, cache, delta)

    def gradients(self, params: Tree, cache: Tree, delta: Array) -> Tree:
        return _gradients(cache[0], delta)

    def jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array | None) -> Array:
        moved = along.gamma * cache[0] + along.beta
        return moved if dx is None else moved + params.gamma * self._motion(cache, dx)[0]

    def _motion(self, cache: Tree, dx: Array) -> tuple[Array, Array]:
        """xhat' and s'."""
        xhat, scale = cache
        c = _mean(xhat * dx)
        return scale * (dx - _mean(dx) - xhat * c), -(scale**2) * c

    def backward_jvp(
        self, params: Tree, cache: Tree, along: Tree, dx: Array | None, delta: Array
    ) -> tuple[Array | None, Tree]:
        if dx is None:
            return None, _no_gradients(params)
        xhat, scale = cache
        moved, bent_scale = self._motion(cache, dx)
        g, bent_g = params.gamma * delta, along.gamma * delta
        pull = _mean(g) + xhat * _mean(g * xhat)
        bent_pull = _mean(bent_g) + moved * _mean(g * xhat) + xhat * _mean(bent_g * xhat + g * moved)
        return bent_scale * (g - pull) + scale * (bent_g - bent_pull), _bent_gradients(moved, delta)


def _mean(x: Array) -> Array:
    """The mean over the features of each sample (n, 1)."""
    return namespace(x).mean(x, axis=1, keepdims=True)


def _gradients(xhat: Array, delta: Array) -> Scale:
    xp = namespace(delta)
    return Scale(xp.sum(delta * xhat, axis=0), xp.sum(delta, axis=0))


def _bent_gradients(moved: Array, delta: Array) -> Scale:
    """How the gradients move while xhat moves along `moved`."""
    bent = namespace(delta).sum(delta * moved, axis=0)
    return Scale(bent, namespace(bent).zeros_like(bent))


def _no_gradients(params: Scale) -> Scale:
    return Scale(*(namespace(array).zeros_like(array) for array in params))
