"""Windows over pictures (n, height, width, channels): the numbers under a square window at its places, and back.

A window of `kernel` x `kernel` pixels stands at every `stride`-th row and column where it lies inside of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ...core.arrays import Array, namespace
from ...core.functions import fenced


def places(size: int, kernel: int, stride: int) -> int:
    """The number of places of a window along an axis of so many pixels; below 1 if it does not fit.

    >>> places(28, kernel=5, stride=1), places(5, kernel=2, stride=2)
    (24, 2)
    """
    return (size - kernel) // stride + 1


def padded(x: Array, width: int) -> Array:
    """The pictures with a frame of zeros that is `width` pixels wide.

    >>> padded(np.ones((1, 1, 1, 1)), 1)[0, :, :, 0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    xp = namespace(x)
    if not width:
        return x
    rows = [xp.zeros_like(x[:, :1])] * width
    x = xp.concat([*rows, x, *rows], axis=1)
    columns = [xp.zeros_like(x[:, :, :1])] * width
    return xp.concat([*columns, x, *columns], axis=2)


def unpadded(x: Array, width: int) -> Array:
    """The pictures without their frame: the transpose of `padded`."""
    return x[:, width:-width, width:-width] if width else x


def patches(x: Array, kernel: int, stride: int) -> Array:
    """The numbers under the window at each place, P x: (n, rows, columns, kernel², channels).

    Each number is a copy, so that a convolution is a matrix product of patches.

    >>> patches(np.arange(6.0).reshape(1, 2, 3, 1), kernel=2, stride=1)[0, 0, :, :, 0].tolist()
    [[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0]]
    """
    xp = namespace(x)
    n, height, width, channels = x.shape
    shape = (n, places(height, kernel, stride), places(width, kernel, stride), kernel * kernel, channels)
    pixels = xp.reshape(x, (n, height * width, channels))
    return fenced(xp.reshape(xp.take(pixels, _pixels(height, width, kernel, stride), axis=1), shape))


def under(x: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> list[Array]:
    """The numbers under each pixel of a window, as an array (n, rows, columns, channels) for each pixel.

    kernel: rows and columns of the window. stride: its steps along rows and columns, in pixels.
    """
    _, *sizes, _ = x.shape
    lines, columns = (
        [slice(start, start + step * (places(size, span, step) - 1) + 1, step) for start in range(span)]
        for size, span, step in zip(sizes, kernel, stride, strict=True)
    )
    return [x[:, i, j] for i in lines for j in columns]


def unpatched(parts: Sequence[Array], stride: int, shape: tuple[int, int]) -> Array:
    """Pictures of (height, width) to which each place of the window adds its numbers: Pᵀ, the transpose of `patches`.

    `parts` are for each pixel of the window the numbers (n, rows, columns, channels) of all places.

    >>> unpatched([np.ones((1, 1, 2, 1))] * 4, stride=1, shape=(2, 3))[0, :, :, 0].tolist()
    [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    kernel = math.isqrt(len(parts))
    height, width = shape
    lines = [spread(parts[i * kernel : (i + 1) * kernel], stride, width, axis=2) for i in range(kernel)]
    return spread([fenced(line) for line in lines], stride, height, axis=1)


def spread(parts: Sequence[Array], stride: int, size: int, axis: int) -> Array:
    """The sum of the parts along an axis of `size` pixels; part i has a number at i, i + stride, i + 2 stride, ..."""
    xp = namespace(parts[0])
    total: Array | None = None
    for start in range(0, len(parts), stride):
        phases = list(parts[start : start + stride])
        phases += [xp.zeros_like(parts[0])] * (stride - len(phases))
        term = _alternating(phases, axis)
        rest = size - start - term.shape[axis]
        term = _extended(term[(slice(None),) * axis + (slice(0, size - start),)], start, max(rest, 0), axis)
        total = term if total is None else total + term
    assert total is not None
    return total


def _alternating(phases: Sequence[Array], axis: int) -> Array:
    """The numbers of all phases along an axis, in turn."""
    xp = namespace(phases[0])
    if len(phases) == 1:
        return phases[0]
    shape = phases[0].shape
    return xp.reshape(xp.stack(phases, axis=axis + 1), (*shape[:axis], shape[axis] * len(phases), *shape[axis + 1 :]))


def _extended(x: Array, before: int, after: int, axis: int) -> Array:
    """x with zeros before and after it along an axis."""
    xp = namespace(x)

    def zeros(count: int) -> list[Array]:
        return [xp.zeros((*x.shape[:axis], count, *x.shape[axis + 1 :]), dtype=x.dtype)] if count else []

    terms = [*zeros(before), x, *zeros(after)]
    return xp.concat(terms, axis=axis) if len(terms) > 1 else x


@lru_cache(maxsize=256)
def _pixels(height: int, width: int, kernel: int, stride: int) -> np.ndarray:
    """The pixel under each pixel of the window at each place, as an index into all pixels (rows columns kernel²,)."""
    window = np.arange(kernel)
    rows, columns = (stride * np.arange(places(size, kernel, stride))[:, None] + window for size in (height, width))
    # JAX knows a constant by its identity, and reads one of 64 bits in as many or in 32, as the precision is.
    index = (rows[:, None, :, None] * width + columns[None, :, None, :]).reshape(-1).astype(np.int32)
    index.flags.writeable = False
    return index
