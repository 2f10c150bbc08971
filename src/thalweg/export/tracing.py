"""Arrays that record what is computed from them: the forward pass of a network as a graph of operations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import NamedTuple, TypeAlias, cast

import numpy as np

from ..core.arrays import Array
from ..core.errors import InputError
from .operations import OPERATIONS, Option

Value: TypeAlias = "Traced | np.ndarray | float"
"""What an operation takes: an earlier result, an array of the network, or a number."""

ROWS = 1 << 40
"""The number of rows in a traced shape, where it is not known."""
_FEW = (2, 3)
_count = itertools.count()


@dataclass(frozen=True, eq=False)
class Traced:
    """The result of an operation on arrays with any number of rows.

    Attributes:
        operation: its name in `OPERATIONS`; "" of the input.
        arguments: what it was computed from.
        options: what decides it besides its arrays.
        samples: its values for two inputs with different numbers of rows, which show its shape.
        number: rises from each result to the next one.
    """

    operation: str
    arguments: tuple[Value, ...]
    options: Mapping[str, Option]
    samples: tuple[np.ndarray, np.ndarray]
    number: int = field(default_factory=partial(next, _count))

    # NumPy's arrays leave their operators to this class.
    __array_ufunc__ = None

    def __array_namespace__(self) -> ModuleType:
        return _FUNCTIONS

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, with `ROWS` for the number of rows."""
        few, more = (sample.shape for sample in self.samples)
        return tuple(ROWS if size != other else size for size, other in zip(few, more, strict=True))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.samples[0].ndim

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers."""
        return self.samples[0].dtype

    def astype(self, dtype: type | str | np.dtype) -> Value:
        """The numbers in another type."""
        return record("astype", self, dtype=np.dtype(dtype))

    def argmax(self, axis: int) -> Value:
        """The place of the largest number along an axis."""
        return record("argmax", self, axis=axis)

    def __getitem__(self, key: object) -> Value:
        parts = key if isinstance(key, tuple) else (key,)
        arrays = [(axis, part) for axis, part in enumerate(parts) if isinstance(part, np.ndarray | Traced)]
        if not arrays:
            return record("getitem", self, key=parts)
        axis, indices = arrays[0]
        if any(not isinstance(part, slice) or part != slice(None) for part in (*parts[:axis], *parts[axis + 1 :])):
            raise InputError("export", "an index of an array beside other indices has no exported form")
        return record("take", self, indices, axis=axis)


def _operator(name: str, turned: bool = False) -> Callable[..., Value]:
    def operate(self: Traced, *others: Value) -> Value:
        return record(name, *(*others, self) if turned else (self, *others))

    return operate


_OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "pow": "pow",
    "matmul": "matmul",
    "gt": "greater",
    "ge": "greater_equal",
    "lt": "less",
    "le": "less_equal",
    "neg": "negative",
}
"""Python's operators by the names of their methods."""

for _sign, _name in _OPERATORS.items():
    setattr(Traced, f"__{_sign}__", _operator(_name))
    if _sign in ("add", "sub", "mul", "truediv", "pow", "matmul"):
        setattr(Traced, f"__r{_sign}__", _operator(_name, turned=True))


class _Functions(ModuleType):
    """The functions of the Array API on traced arrays."""

    def __getattr__(self, name: str) -> Callable[..., Value]:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in OPERATIONS:
            raise InputError("export", f"the operation {name!r} has no exported form; it needs a row in OPERATIONS")
        operation = OPERATIONS[name]

        def function(*arguments: object, **options: Option) -> Value:
            arrays, others = arguments[: operation.arrays], cast("tuple[Option, ...]", arguments[operation.arrays :])
            values = cast("Iterable[Value]", arrays[0] if isinstance(arrays[0], list | tuple) else arrays)
            return record(name, *values, **dict(zip(operation.options, others, strict=False)), **options)

        return function


_FUNCTIONS = _Functions("traced")


def record(name: str, *arguments: Value, **options: Option) -> Value:
    """The result of an operation; an array where none of the arguments is traced."""
    operation = OPERATIONS[name]
    values = tuple(value.item() if isinstance(value, np.generic) else value for value in arguments)
    options = {**operation.options, **options}
    if not any(isinstance(value, Traced) for value in values):
        return operation.evaluate(*values, **options)
    with np.errstate(all="ignore"):
        few, more = (_sample(operation.evaluate, values, options, index) for index in range(len(_FEW)))
    return Traced(name, values, options, (few, more))


def _sample(
    evaluate: Callable[..., Array], values: tuple[Value, ...], options: Mapping[str, Option], index: int
) -> np.ndarray:
    """The result of an operation for the sample of that index."""
    arrays = [value.samples[index] if isinstance(value, Traced) else value for value in values]
    sized = {
        name: tuple(_FEW[index] if size == ROWS else size for size in option) if name == "shape" else option
        for name, option in cast("Mapping[str, tuple[int, ...]]", options).items()
    }
    return np.asarray(evaluate(*arrays, **sized))


class Graph(NamedTuple):
    """The operations of a function of rows.

    Attributes:
        x: the input (n, width).
        result: the result.
        labels: by the numbers of results that are outputs of a layer, that layer in words.
        names: names of the arrays of the network, by their `id`.
        parameters: the names of those that a training changes.
    """

    x: Traced
    result: Traced
    labels: Mapping[int, str] = {}
    names: Mapping[int, str] = {}
    parameters: frozenset[str] = frozenset()

    @property
    def operations(self) -> list[Traced]:
        """The operations from the input to the result, each after those that it needs."""
        found = {self.x: None, self.result: None}
        waiting = [self.result]
        while waiting:
            new = [a for a in waiting.pop().arguments if isinstance(a, Traced) and a not in found]
            found |= dict.fromkeys(new)
            waiting += new
        del found[self.x]
        return sorted(found, key=lambda value: value.number)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that the result depends on, by their names; `array_1`, ... of those that are no parameters."""
        found: dict[int, np.ndarray] = {}
        for value in self.operations:
            found |= {id(array): array for array in value.arguments if isinstance(array, np.ndarray)}
        return {self.names.get(key, f"array_{place}"): array for place, (key, array) in enumerate(found.items(), 1)}


def traced_input(shape: tuple[int, ...], dtype: str | np.dtype) -> Traced:
    """The input of a graph, of a shape in which `ROWS` stands for any number of rows."""
    few, more = (np.ones(tuple(rows if size == ROWS else size for size in shape), dtype) for rows in _FEW)
    return Traced("", (), {}, (few, more))
