"""Every test that asks for `on` runs on NumPy, on NumPy with read-only arrays, and on JAX under jit, all in float64."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from thalweg.arrays import map_arrays

# pytest's importlib mode puts no folder on the path; the tests share parts_table.
sys.path.append(str(Path(__file__).parent))


def read_only(tree: Any) -> Any:
    """Copies of the arrays that raise if anybody writes into them."""

    def frozen(array: Any) -> np.ndarray:
        copy = np.array(array)
        copy.flags.writeable = False
        return copy

    return map_arrays(frozen, tree)


def _numpy(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _numpy_read_only(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*read_only(arguments))


# A method of a part is a new object at each call; jax.jit alone would forget what it has compiled for it.
_compiled = functools.lru_cache(maxsize=64)(jax.jit)


def _jax(function: Callable[..., Any], *arguments: Any) -> Any:
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, _compiled(function)(*arguments))


@pytest.fixture(params=[_numpy, _numpy_read_only, _jax], ids=["numpy", "read_only", "jax"])
def on(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """on(function, *arrays): the function's result as NumPy arrays, computed on one of the three kinds of arrays."""
    return request.param
