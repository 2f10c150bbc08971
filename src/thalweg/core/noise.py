"""Random numbers that depend only on a seed and on their purpose."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .arrays import Array, namespace


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator for one purpose: its numbers do not depend on what is drawn for any other purpose.

    Initial weights, splits and the order of each epoch have separate streams, so that a change of one (another layer, a
    longer run) leaves the others unchanged. That keeps comparisons paired.

    >>> int(generator(7, "order", 3).integers(100)) == int(generator(7, "order", 3).integers(100))
    True
    """
    words = [seed, *(part if isinstance(part, str) else int(part) for part in purpose)]
    return np.random.default_rng(_digest(words, 16))


@contextmanager
def same_draws() -> Iterator[None]:
    """Inside, a library is imported that draws from Python's generator (Rich does): the draws after it are those that
    they were without it.

    >>> random.seed(1)
    >>> first = random.random()
    >>> random.seed(1)
    >>> with same_draws():
    ...     _ = random.random()
    >>> random.random() == first
    True
    """
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def noise_key(seed: int) -> np.ndarray:
    """The key of all noise of a training: (2,) uint32.

    >>> noise_key(7).shape, noise_key(7).dtype.name
    ((2,), 'uint32')
    """
    return generator(seed, "noise").integers(2**32, size=2, dtype=np.uint32)


class Noise(NamedTuple):
    """Random numbers for one step and one place in the network, the same in NumPy and in a compiled step.

    Each number is a function of the key, the step, the place and its position in the array. There is no state: the same
    noise gives the same numbers again.

    key: (2,) uint32, the key of the training (`noise_key`).
    step: the number of the step, an array without axes.
    place: the index of the layer in the network, followed by its index in each block around it; Python integers.

    The function is Threefry-2x32. The key of a place is threefry(key, (step, hash of the place)), and number i of an
    array is made of the two words threefry(that key, (i, 0)).

    Source: Salmon, Moraes, Dror, Shaw 2011, Parallel random numbers: as easy as 1, 2, 3.

    >>> noise = Noise(noise_key(7), np.array(0))
    >>> bool((noise.at(1).bits((2, 3)) == noise.at(1).bits((2, 3))).all())
    True
    >>> bool((noise.at(1).bits((2, 3)) == noise.at(2).bits((2, 3))).any())
    False
    """

    key: Array
    step: Array
    place: tuple[int, ...] = ()

    def at(self, index: int) -> Noise:
        """The noise for entry `index` inside this place."""
        return Noise(self.key, self.step, (*self.place, index))

    def bits(self, shape: tuple[int, ...]) -> Array:
        """Random words of 32 bits, uint32."""
        return self._blocks(shape)[0]

    def uniform(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Uniform in [0, 1), in steps of 2^-24: the same numbers in float32 and float64."""
        return _uniform(self.bits(shape), dtype)

    def normal(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Standard normal: sqrt(-2 log(1 - u)) cos(2 pi v), of two uniform numbers u and v.

        Source: Box and Muller 1958, A note on the generation of random normal deviates.
        """
        xp = namespace(self.key)
        u, v = (_uniform(words, dtype) for words in self._blocks(shape))
        return xp.sqrt(-2 * xp.log(1 - u)) * xp.cos(2 * math.pi * v)

    def _blocks(self, shape: tuple[int, ...]) -> _Words:
        """Two words for each number of an array."""
        xp = namespace(self.key)
        # Arrays of one number, because NumPy warns when a scalar wraps around, but not when an array does.
        key = xp.astype(self.key, xp.uint32)
        step = xp.reshape(xp.astype(self.step, xp.uint32), (1,))
        place = xp.asarray([_digest(self.place, 4)], dtype=xp.uint32)
        place_key = threefry((key[:1], key[1:]), (step, place))
        counter = xp.arange(math.prod(shape), dtype=xp.uint32)
        first, second = threefry(place_key, (counter, xp.zeros_like(counter)))
        return xp.reshape(first, shape), xp.reshape(second, shape)


def _uniform(words: Array, dtype: DTypeLike) -> Array:
    return namespace(words).astype(words >> 8, dtype) * 2.0**-24


_Words = tuple[Array, Array]
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(key: _Words, counter: _Words) -> _Words:
    """Threefry-2x32 with 20 rounds: two random words from two words of a key and two of a counter, arrays of uint32.

    Source: Salmon et al. 2011, section 4.2; the constants are those of their library Random123.

    >>> zero = np.zeros(1, np.uint32)
    >>> [hex(int(word[0])) for word in threefry((zero, zero), (zero, zero))]
    ['0x6b200159', '0x99ba4efe']
    """
    keys = (*key, key[0] ^ key[1] ^ 0x1BD11BDA)
    x = counter[0] + key[0]
    y = counter[1] + key[1]
    for group in range(1, 6):
        for rotation in _ROTATIONS[(group + 1) % 2]:
            x = x + y
            y = ((y << rotation) | (y >> (32 - rotation))) ^ x
        x = x + keys[group % 3]
        y = y + keys[(group + 1) % 3] + group
    return x, y


def _digest(words: Sequence[str | int], size: int) -> int:
    """A hash of words and numbers: a whole number of `size` bytes."""
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:size], "big")
