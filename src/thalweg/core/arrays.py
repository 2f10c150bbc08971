"""Array types, the namespace of an array, and maps over nested tuples of arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TypeAlias, TypeVar, cast

import numpy as np

Array: TypeAlias = np.ndarray
"""An array of any engine. JAX's arrays share the Array API with NumPy's and are typed as these."""
Scalar: TypeAlias = float | Array
"""A Python number, or an array of any engine that broadcasts like one: a rate, the number of a step."""
Tree: TypeAlias = "Array | tuple[Tree, ...]"
"""Arrays in nested tuples, most of them NamedTuples."""
Params: TypeAlias = Tree
"""Parameters of a layer, or of a network: then with an entry for each layer."""
Grads: TypeAlias = Tree
"""dL/d(parameters), in the structure of the parameters."""
Updates: TypeAlias = Tree
"""The change that a step adds to the parameters, in their structure."""
Moments: TypeAlias = Tree
"""The memory of an optimizer between steps: a NamedTuple of trees like the parameters, or `()`."""
LayerState: TypeAlias = Tree
"""The untrained memory of a layer between steps: running statistics, fixed centres, or `()`."""
Cache: TypeAlias = Tree
"""The numbers that the forward pass of a layer keeps for its backward pass."""
TreeT = TypeVar("TreeT", bound=Tree)
"""A tree whose structure a function keeps."""


def namespace(x: Scalar) -> ModuleType:
    """The module with the array functions for `x`, by the Array API standard; NumPy for a Python number.

    PyTorch's tensors do not tell their namespace; `torch` has the functions of the standard that the probes use.

    >>> import numpy
    >>> namespace(numpy.zeros(2)) is numpy and namespace(0.5) is numpy
    True
    """
    if type(x) is np.ndarray:
        return np
    if hasattr(x, "__array_namespace__"):
        return x.__array_namespace__()
    return sys.modules["torch"] if type(x).__module__.startswith("torch") else np


def map_arrays(function: Callable[..., Array], tree: TreeT, *others: Tree) -> TreeT:
    """Apply a function to every array of a tree, or to the arrays at the same place in several trees.

    >>> map_arrays(lambda a, b: a + b, (1, (2, 3)), (10, (20, 30)))
    (11, (22, 33))
    """
    # `_map_arrays` makes each tuple with the type of the one before, which its own type cannot say.
    return cast(TreeT, _map_arrays(function, tree, *others))


def _map_arrays(function: Callable[..., Tree], tree: Tree, *others: Tree) -> Tree:
    if not isinstance(tree, tuple):
        return function(tree, *others)
    # Every step calls this several times for every layer: it dominates the time of a small network in NumPy.
    items = [
        function(*entries)
        if not isinstance(entries[0], tuple)
        else _map_arrays(function, *entries)
        if entries[0]
        else ()
        for entries in zip(tree, *others, strict=True)
    ]
    make: Callable[[list[Tree]], Tree] = getattr(tree, "_make", tuple)
    return make(items)


def emptied(tree: TreeT) -> TreeT:
    """The tree with `()` in place of every array.

    >>> emptied((1, (2, 3)))
    ((), ((), ()))
    """
    return cast(TreeT, _map_arrays(lambda array: (), tree))


def replaced(tree: TreeT, changes: Tree) -> TreeT:
    """The tree with the arrays of `changes`; where `changes` has `()` in place of an array, that of the tree stays.

    >>> replaced((1, (2, 3)), (10, ((), 30)))
    (10, (2, 30))
    """
    return cast(TreeT, _replaced(tree, changes))


def _replaced(tree: Tree, changes: Tree) -> Tree:
    if not isinstance(tree, tuple):
        return tree if isinstance(changes, tuple) else changes
    make: Callable[[list[Tree]], Tree] = getattr(tree, "_make", tuple)
    return make([_replaced(own, change) for own, change in zip(tree, changes, strict=True)])


def map_weights(function: Callable[..., Array], tree: TreeT, *others: Tree, biases: bool = False) -> TreeT:
    """`map_arrays` over the weights; vectors (biases, normalisation) are kept as they are, unless `biases` is true.

    >>> map_weights(lambda w: 2 * w, (np.ones((1, 1)), np.ones(1)))
    (array([[2.]]), array([1.]))
    """

    def changed(array: Array, *more: Array) -> Array:
        return function(array, *more) if biases or array.ndim > 1 else array

    return map_arrays(changed, tree, *others)


def arrays_of(tree: Tree, place: str = "") -> Iterator[tuple[str, Array]]:
    """Every array of a tree with its place: `params.0.W`.

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
    """Every array of a tree, in order.

    >>> leaves(((1, 2), 3))
    [1, 2, 3]
    """
    if not isinstance(tree, tuple):
        return [tree]
    arrays: list[Array] = []
    for item in tree:
        if isinstance(item, tuple):
            arrays += leaves(item)
        else:
            arrays.append(item)
    return arrays


def as_vector(tree: Tree) -> np.ndarray:
    """All numbers of a tree of NumPy arrays in one vector; `from_vector` is the inverse.

    >>> as_vector((np.ones((2, 1)), np.zeros(1))).tolist()
    [1.0, 1.0, 0.0]
    """
    return np.concatenate([array.ravel() for array in leaves(tree)])


def from_vector(vector: np.ndarray, like: TreeT) -> TreeT:
    """The tree with the structure and shapes of `like` and the numbers of `vector`. Its arrays are views of `vector`.

    >>> from_vector(np.array([1.0, 2.0]), (np.zeros((1, 1)), (), np.zeros(1)))
    (array([[1.]]), (), array([2.]))
    """
    start = 0

    def taken(array: Array) -> Array:
        nonlocal start
        stop = start + array.size
        numbers = vector[start:stop].reshape(array.shape)
        start = stop
        return numbers

    return map_arrays(taken, like)


def rms(array: Array) -> float:
    """The root mean square of all numbers of a NumPy array.

    >>> rms(np.array([3.0, -4.0, 0.0, 0.0]))
    2.5
    """
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.mean(np.square(array))))
