"""Functions that layers and losses share; each is stable for any finite argument."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import cast

import numpy as np

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
    """The error function 2/sqrt(pi) * integral of exp(-t^2) from 0 to z. It is missing in the Array API."""
    xp = namespace(z)
    special = _SPECIAL.get(xp.__name__)
    return (importlib.import_module(special) if special else xp).erf(z)


# sin z = Σ (-1)^k z^(2k+1) / (2k+1)!; up to a quarter of a turn, 11 terms are exact to rounding in float64, and 7 of
# them in float32.
_SINE_TERMS = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(11))
_SINE_TERMS_FLOAT32 = 7


def sine(z: Array) -> Array:
    """sin z. With JAX: its series, after whole turns are subtracted and halves folded to at most a quarter of a turn.

    XLA computes its own sine one number at a time on a CPU, and a series eight or more at a time: a tenth of the time.
    The error is that of the rounding of z.

    >>> import numpy
    >>> sine(numpy.array([0.0, math.pi / 2])).tolist()
    [0.0, 1.0]
    """
    xp = namespace(z)
    if xp.__name__ != "jax.numpy":
        return xp.sin(z)
    z = z - 2 * math.pi * xp.round(z / (2 * math.pi))
    z = xp.where(xp.abs(z) > math.pi / 2, xp.sign(z) * math.pi - z, z)
    square = z * z
    terms = _SINE_TERMS if z.dtype.itemsize > np.dtype(np.float32).itemsize else _SINE_TERMS[:_SINE_TERMS_FLOAT32]
    result = terms[-1]
    for term in reversed(terms[:-1]):
        result = result * square + term
    return result * z


def cosine(z: Array) -> Array:
    """cos z = sin(z + π/2), as `sine` computes it.

    >>> import numpy
    >>> cosine(numpy.array([0.0, math.pi])).tolist()
    [1.0, -1.0]
    """
    xp = namespace(z)
    return xp.cos(z) if xp.__name__ != "jax.numpy" else sine(z + math.pi / 2)


def scattered_sum(places: Array, values: Array, size: int) -> Array:
    """Sums of the values that go to each place, (size, width). The Array API has no sum over repeated places.

    Args:
        places: the place of each value, whole numbers (...).
        values: what is summed, (..., width).
        size: number of places.

    >>> import numpy
    >>> scattered_sum(numpy.array([2, 0, 2]), numpy.array([[1.0], [2.0], [4.0]]), 3).tolist()
    [[2.0], [0.0], [5.0]]
    """
    for xp in (namespace(places), namespace(values)):
        if xp.__name__ == "jax.numpy":
            return cast(Array, xp.zeros((size, values.shape[-1]), dtype=values.dtype).at[places].add(values))
    sums = np.zeros((size, values.shape[-1]), values.dtype)
    np.add.at(sums, places, values)
    return sums


# Largest result (numbers) and largest product (multiplications) for which the forms below are faster: measured with
# jax 0.10 on 2 cores.
_SMALL_RESULT = 8192
_SMALL_PRODUCT = 2**19


def product(a: Array, b: Array) -> Array:
    """The matrix product a b of (n, k) and (k, m).

    With k = 1, and with k = 2 if the result is small, it is written out as Σ_k a[:, k] b[k]. A compiler fuses this form
    with the sums and the activation around it, and NumPy's routine takes more than twice the time of the
    multiplications.

    >>> import numpy
    >>> product(numpy.array([[1.0, 2.0]]), numpy.array([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    terms = b.shape[0]
    if terms == 1:
        return a * b
    if terms == 2 and a.shape[0] * b.shape[1] <= _SMALL_RESULT:
        return a[:, :1] * b[:1] + a[:, 1:] * b[1:]
    return a @ b


def transposed_product(a: Array, b: Array) -> Array:
    """aᵀ b of (n, k) and (n, m).

    XLA's routine for small products does not accept a transposed left side, and its compiler would choose a slower
    routine instead of transposing first. So aᵀ is computed first if the product is small.

    >>> import numpy
    >>> transposed_product(numpy.array([[1.0], [2.0]]), numpy.array([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    small = a.shape[0] * a.shape[1] * b.shape[1] <= _SMALL_PRODUCT
    return (fenced(a.T) if small else a.T) @ b


def channel_sums(x: Array, weights: Array | None = None) -> Array:
    """Σ x over all axes but the last (channels,), for samples x (n, ..., channels), each of which may have a weight.

    Over the samples first, then over their pixels: XLA sums long neighbouring rows three times as fast as columns.

    >>> import numpy
    >>> channel_sums(numpy.ones((2, 1, 3, 1)), numpy.array([1.0, 2.0])).tolist()
    [9.0]
    """
    xp = namespace(x)
    if weights is None:
        total = xp.sum(x, axis=0)
    else:
        total = xp.reshape(weights[None] @ xp.reshape(x, (x.shape[0], -1)), x.shape[1:])
    return xp.sum(fenced(total), axis=tuple(range(x.ndim - 2))) if x.ndim > 2 else total


def fenced(x: Array) -> Array:
    """x, computed before the operation that uses it."""
    if namespace(x).__name__ != "jax.numpy":
        return x
    return importlib.import_module("jax.lax").optimization_barrier(x)


def grouped_product(a: Array, b: Array) -> Array:
    """The matrix products of (groups, n, k) and (groups, k, m).

    XLA's routine for many products is slower for a single one than its routine for one.

    >>> import numpy
    >>> grouped_product(numpy.ones((1, 2, 3)), numpy.ones((1, 3, 1))).tolist()
    [[[3.0], [3.0]]]
    """
    return a @ b if a.shape[0] > 1 else (a[0] @ b[0])[None]


def has_convolution(x: Array) -> bool:
    """Whether `convolution` takes these numbers: XLA has a fast one for float32."""
    return namespace(x).__name__ == "jax.numpy" and x.dtype.name == "float32"


def convolution(
    x: Array,
    W: Array,
    strides: tuple[int, int],
    frame: tuple[tuple[int, int], tuple[int, int]],
    spread: tuple[int, int] = (1, 1),
    dilation: int = 1,
) -> Array:
    """XLA's convolution of pictures: at each place the sum of the numbers under the window times W.

    It copies the pixels under a window piece by piece in the caches, where a product of patches has all of them in
    memory. As everywhere in this field the kernel is not turned round.

    Args:
        x: the pictures (n, rows, columns, channels).
        W: the kernels (rows, columns, channels, width).
        strides: the steps from place to place along rows and columns, in pixels.
        frame: zeros before and after the rows, and before and after the columns; below zero pixels are left out.
        spread: the steps from pixel to pixel along rows and columns, with zeros between them.
        dilation: the step from pixel to pixel of the window, in pixels.
    """
    return importlib.import_module("jax.lax").conv_general_dilated(
        x,
        W,
        strides,
        frame,
        lhs_dilation=spread,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def on_cpu(function: Callable[..., Array], otherwise: Callable[..., Array], *arrays: Array) -> Array:
    """The function of JAX's arrays where XLA compiles for a CPU, and the other one for any other device."""
    return importlib.import_module("jax.lax").platform_dependent(*arrays, cpu=function, default=otherwise)


def parts_within(rows: int, most: int) -> int:
    """The largest number of equal parts of these rows, up to a bound.

    >>> parts_within(128, 10), parts_within(7, 6)
    (8, 1)
    """
    return next(parts for parts in range(min(most, rows), 0, -1) if rows % parts == 0)


def summed(function: Callable[..., Array], parts: int, *arrays: Array) -> Array:
    """Σ of a function over parts of arrays along their first axis, one after the other, in the memory of one part.

    Args:
        function: of as many arrays; its value is the sum of those of the parts.
        parts: how many; they divide the rows.
        arrays: of equally many rows.

    >>> import numpy
    >>> summed(lambda x, y: x.T @ y, 3, numpy.ones((6, 1)), numpy.ones((6, 2))).tolist()
    [[6.0, 6.0]]
    """
    if parts == 1:
        return function(*arrays)
    pieces = _pieces(parts, arrays)
    if namespace(arrays[0]) is np:
        values = (function(*(piece[k] for piece in pieces)) for k in range(parts))
        return sum(values, next(values))
    jax = importlib.import_module("jax")
    shape = jax.eval_shape(function, *(piece[0] for piece in pieces))
    zeros = namespace(arrays[0]).zeros(shape.shape, dtype=shape.dtype)
    return jax.lax.scan(lambda total, part: (total + function(*part), None), zeros, pieces)[0]


def mapped(function: Callable[..., Array], parts: int, *arrays: Array) -> Array:
    """The rows of a function over parts of JAX's arrays along their first axis, one after the other.

    Args:
        function: of as many arrays; it has a row for each of theirs.
        parts: how many; they divide the rows.
        arrays: of equally many rows.

    >>> import jax.numpy
    >>> mapped(lambda x: 2 * x, 3, jax.numpy.ones(6)).tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    """
    if parts == 1:
        return function(*arrays)
    values = importlib.import_module("jax.lax").map(lambda part: function(*part), _pieces(parts, arrays))
    return namespace(values).reshape(values, (-1, *values.shape[2:]))


def _pieces(parts: int, arrays: tuple[Array, ...]) -> list[Array]:
    """The arrays with an axis for the parts before that of the rows."""
    xp = namespace(arrays[0])
    return [xp.reshape(array, (parts, array.shape[0] // parts, *array.shape[1:])) for array in arrays]
