"""Whose array is this? The namespace of an array, and maps over nested tuples of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray
"""An array of the engine at work. JAX's arrays share the Array API with NumPy's, and are typed as these."""
Tree: TypeAlias = "Array | tuple[Tree, ...]"
"""Arrays in nested tuples, most of them NamedTuples."""
Params: TypeAlias = Tree
"""Parameters: an entry for each layer."""
Grads: TypeAlias = Tree
"""dL/d(parameters), in the structure of the parameters."""
Updates: TypeAlias = Tree
"""What a step adds to the parameters, in their structure."""
Moments: TypeAlias = Tree
"""What an optimizer remembers from step to step: a NamedTuple of trees like the parameters."""
LayerState: TypeAlias = Tree
"""What a layer remembers from step to step that is not trained: running statistics."""
Cache: TypeAlias = Tree
"""What the forward pass of a layer leaves for its backward pass."""


def namespace(x: Array) -> ModuleType:
    """The array functions that belong to `x`, by the Array API standard; NumPy's for a Python number.

    >>> import numpy
    >>> namespace(numpy.zeros(2)) is numpy and namespace(0.5) is numpy
    True
    """
    if type(x) is np.ndarray:
        return np
    return x.__array_namespace__() if hasattr(x, "__array_namespace__") else np


def map_arrays(function: Callable[..., Array], tree: Tree, *others: Tree) -> Tree:
    """Apply a function to every array of a nested tuple, or to the arrays at the same place of several.

    >>> map_arrays(lambda a, b: a + b, (1, (2, 3)), (10, (20, 30)))
    (11, (22, 33))
    """
    if not isinstance(tree, tuple):
        return function(tree, *others)
    # Called several times a step for every layer: what a small network takes in NumPy is the time of such calls.
    parts = [
        function(*items) if not isinstance(items[0], tuple) else map_arrays(function, *items) if items[0] else ()
        for items in zip(tree, *others, strict=True)
    ]
    return getattr(tree, "_make", tuple)(parts)


def map_weights(function: Callable[..., Array], tree: Tree, *others: Tree, biases: bool = False) -> Tree:
    """`map_arrays` over the weights alone; vectors (biases, normalisation) stay as they are, unless `biases` is true.

    >>> map_weights(lambda w: 2 * w, (np.ones((1, 1)), np.ones(1)))
    (array([[2.]]), array([1.]))
    """

    def changed(array: Array, *more: Array) -> Array:
        return function(array, *more) if biases or array.ndim > 1 else array

    return map_arrays(changed, tree, *others)


def arrays_of(tree: Tree, place: str = "") -> Iterator[tuple[str, Array]]:
    """Every array of a nested tuple with its place: `params.0.W`.

    >>> list(arrays_of(((1, 2), 3)))
    [('0.0', 1), ('0.1', 2), ('1', 3)]
    """
    if not isinstance(tree, tuple):
        yield place, tree
        return
    names = getattr(tree, "_fields", range(len(tree)))
    for name, item in zip(names, tree, strict=True):
        yield from arrays_of(item, f"{place}.{name}" if place else str(name))


def leaves(tree: Tree) -> list[Array]:
    """Every array of a nested tuple, without its place.

    >>> leaves(((1, 2), 3))
    [1, 2, 3]
    """
    if not isinstance(tree, tuple):
        return [tree]
    found: list[Array] = []
    for item in tree:
        if isinstance(item, tuple):
            found += leaves(item)
        else:
            found.append(item)
    return found


def as_vector(tree: Tree) -> np.ndarray:
    """All numbers of a nested tuple of NumPy arrays, one after another; `from_vector` puts them back.

    >>> as_vector((np.ones((2, 1)), np.zeros(1))).tolist()
    [1.0, 1.0, 0.0]
    """
    return np.concatenate([array.ravel() for array in leaves(tree)])


def from_vector(vector: np.ndarray, like: Tree) -> Tree:
    """The tree of the shape of `like` whose numbers, one after another, are the vector; its arrays are views of it.

    >>> from_vector(np.array([1.0, 2.0]), (np.zeros((1, 1)), (), np.zeros(1)))
    (array([[1.]]), (), array([2.]))
    """
    place = 0

    def taken(array: Array) -> Array:
        nonlocal place
        start, place = place, place + array.size
        return vector[start:place].reshape(array.shape)

    return map_arrays(taken, like)


def rms(array: Array) -> float:
    """The root mean square of all numbers of a NumPy array.

    >>> rms(np.array([3.0, -4.0, 0.0, 0.0]))
    2.5
    """
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.mean(np.square(array))))
