"""Traced operations as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .operations import OPERATIONS, Key
from .tracing import ROWS, Graph, Traced, Value

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto


def element_type(dtype: np.dtype) -> int:
    """ONNX's number of a type of NumPy."""
    from onnx import TensorProto, helper

    return TensorProto.STRING if dtype.kind == "U" else helper.np_dtype_to_tensor_dtype(dtype)


class GraphWriter:
    """The nodes and constants of a graph of ONNX. All names that it makes begin with a slash."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        from onnx import helper

        output = output or f"/{operator}_{len(self.nodes) + 1}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, array: np.ndarray, name: str = "") -> str:
        """Add a constant of that name, if there is none yet, and return its name."""
        from onnx import helper, numpy_helper

        name = f"/{name or f'constant_{len(self.constants) + 1}'}"
        if name in self.constants:
            return name
        if array.dtype.kind == "U":
            texts = [text.encode() for text in array.ravel().tolist()]
            self.constants[name] = helper.make_tensor(name, element_type(array.dtype), array.shape, texts)
        else:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        return name

    def integers(self, *numbers: int) -> str:
        """The name of a constant of whole numbers."""
        return self.constant(np.array(numbers, np.int64), f"int64_{'_'.join(map(str, numbers))}")

    def cast(self, name: str, dtype: np.dtype) -> str:
        """The name of a value in another type."""
        return self.add("Cast", name, to=element_type(dtype))

    def add_graph(self, graph: Graph, x: str, prefix: str = "") -> str:
        """Add the operations of a graph to the value of the name x, and return the name of the result."""
        values = {id(graph.x): x}
        arrays = {id(array): f"{prefix}{name}" for name, array in graph.arrays.items()}

        def operand(value: Value, dtype: np.dtype) -> str:
            if isinstance(value, Traced):
                return values[id(value)] if value.dtype == dtype else self.cast(values[id(value)], dtype)
            array = np.asarray(value, dtype)
            name = arrays[id(value)] if isinstance(value, np.ndarray) else f"{value!r}"
            return self.constant(array, f"{name}_{dtype.name}")

        for value in graph.operations:
            operands = [operand(*pair) for pair in zip(value.arguments, _operand_types(value), strict=True)]
            operator = OPERATIONS[value.operation].onnx
            values[id(value)] = (
                self.add(operator, *operands) if operator else _COMPOSED[value.operation](self, value, *operands)
            )
        return values[id(graph.result)]


def _operand_types(value: Traced) -> list[np.dtype]:
    """The types in which an operation takes its arguments: ONNX mixes none."""
    own = [np.dtype(type(a)) if isinstance(a, int | float) else a.dtype for a in value.arguments]
    if value.operation in ("astype", "take", "argmax"):
        return own
    if value.operation == "where":
        return [own[0], value.dtype, value.dtype]
    if value.dtype.kind != "b":
        return [value.dtype] * len(own)
    # A comparison: numbers take the type of arrays.
    few = [a.samples[0] if isinstance(a, Traced) else a for a in value.arguments]
    return [np.result_type(*few)] * len(own)


def _with_one(outer: str, inner: str) -> Callable[[GraphWriter, Traced, str], str]:
    """exp(x) - 1, or log(x + 1): ONNX has no operator that keeps the digits of small numbers."""

    def write(writer: GraphWriter, value: Traced, x: str) -> str:
        one = writer.constant(np.ones((), value.dtype), f"1_{value.dtype.name}")
        if outer == "Log":
            return writer.add(outer, writer.add(inner, x, one))
        return writer.add(outer, writer.add(inner, x), one)

    return write


def _reduction(operator: str) -> Callable[[GraphWriter, Traced, str], str]:
    def write(writer: GraphWriter, value: Traced, x: str) -> str:
        axis = cast("int | tuple[int, ...] | None", value.options["axis"])
        axes = () if axis is None else (writer.integers(*(axis if isinstance(axis, tuple) else (axis,))),)
        return writer.add(operator, x, *axes, keepdims=int(cast(bool, value.options["keepdims"])))

    return write


def _mean(writer: GraphWriter, value: Traced, x: str) -> str:
    """The sum over the number of terms: onnxruntime takes ReduceMean after a cast for a normalisation of two types."""
    (argument,) = cast("tuple[Traced]", value.arguments)
    terms = argument.samples[0].size // value.samples[0].size
    return writer.add("Div", _reduction("ReduceSum")(writer, value, x), writer.constant(np.array(terms, value.dtype)))


def _like(writer: GraphWriter, value: Traced, x: str, fill: str = "") -> str:
    number = {"zeros_like": 0, "ones_like": 1}.get(value.operation)
    fill = fill or writer.constant(np.array(number, value.dtype), f"{number}_{value.dtype.name}")
    return writer.add("Expand", fill, writer.add("Shape", x))


def _reshape(writer: GraphWriter, value: Traced, x: str) -> str:
    shape = cast("tuple[int, ...]", value.options["shape"])
    return writer.add("Reshape", x, writer.integers(*(-1 if size == ROWS else size for size in shape)))


def _getitem(writer: GraphWriter, value: Traced, x: str) -> str:
    """Slices first, then single places, which take their axes away, then new axes."""
    parts = cast(Key, value.options["key"])
    axes = [part for part in parts if part is not None]
    slices = {axis: part for axis, part in enumerate(axes) if isinstance(part, slice) and part != slice(None)}
    if slices:
        starts = [part.start or 0 for part in slices.values()]
        ends = [np.iinfo(np.int64).max if part.stop is None else part.stop for part in slices.values()]
        steps = [part.step or 1 for part in slices.values()]
        x = writer.add("Slice", x, *(writer.integers(*numbers) for numbers in (starts, ends, list(slices), steps)))
    for axis, part in reversed(list(enumerate(axes))):
        if isinstance(part, int):
            x = writer.add("Gather", x, writer.constant(np.array(part, np.int64), f"place_{part}"), axis=axis)
    kept = [part for part in parts if not isinstance(part, int)]
    new = [place for place, part in enumerate(kept) if part is None]
    return writer.add("Unsqueeze", x, writer.integers(*new)) if new else x


_COMPOSED: Mapping[str, Callable[..., str]] = {
    "expm1": _with_one("Sub", "Exp"),
    "log1p": _with_one("Log", "Add"),
    "sum": _reduction("ReduceSum"),
    "mean": _mean,
    "prod": _reduction("ReduceProd"),
    "max": _reduction("ReduceMax"),
    "argmax": lambda writer, value, x: writer.add("ArgMax", x, axis=value.options["axis"], keepdims=0),
    "zeros_like": _like,
    "ones_like": _like,
    "full_like": _like,
    "astype": lambda writer, value, x: writer.cast(x, value.dtype),
    "reshape": _reshape,
    "permute_dims": lambda writer, value, x: writer.add("Transpose", x, perm=value.options["axes"]),
    "concat": lambda writer, value, *arrays: writer.add("Concat", *arrays, axis=value.options["axis"]),
    "take": lambda writer, value, x, places: writer.add("Gather", x, places, axis=value.options["axis"]),
    "getitem": _getitem,
}
"""By its name, how an operation is composed that is no single operator on the same arguments."""
