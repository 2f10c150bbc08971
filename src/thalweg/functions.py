"""Functions that layers and losses share, each stable for any finite argument."""

from __future__ import annotations

import importlib

from .arrays import Array, namespace

_SPECIAL = {"numpy": "scipy.special", "jax.numpy": "jax.scipy.special"}


def sigmoid(z: Array) -> Array:
    """sigma(z) = 1 / (1 + exp(-z)), written so that exp never overflows.

    >>> import numpy
    >>> sigmoid(numpy.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    xp = namespace(z)
    e = xp.exp(-xp.abs(z))
    return xp.where(z >= 0, 1 / (1 + e), e / (1 + e))


def softplus(z: Array) -> Array:
    """log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|))."""
    xp = namespace(z)
    return xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))


def softmax(z: Array) -> Array:
    """exp(z_k) / sum_j exp(z_j) over the last axis, after the maximum is subtracted (the ratio does not change).

    >>> import numpy
    >>> softmax(numpy.array([[1000.0, 1000.0]])).tolist()
    [[0.5, 0.5]]
    """
    xp = namespace(z)
    e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def log_softmax(z: Array) -> Array:
    """log softmax(z) = s - log sum_j exp(s_j) with s = z - max(z): finite where softmax itself underflows."""
    xp = namespace(z)
    s = z - xp.max(z, axis=-1, keepdims=True)
    return s - xp.log(xp.sum(xp.exp(s), axis=-1, keepdims=True))


def erf(z: Array) -> Array:
    """The error function 2/sqrt(pi) * integral of exp(-t^2) from 0 to z. The Array API has none: SciPy has, and JAX."""
    return importlib.import_module(_SPECIAL[namespace(z).__name__]).erf(z)
