"""The operations of exported networks: by the name of the Array API, how NumPy, PyTorch and ONNX write each of them.

A layer is exported by its own forward pass, so that a new layer needs a row here only where it uses a new operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from ..core.arrays import Array
from .rows import erf

Key: TypeAlias = "tuple[int | slice | None, ...]"
"""A basic index."""
Option: TypeAlias = "int | bool | str | np.dtype | Key | tuple[int, ...] | None"
"""What decides an operation besides its arrays."""


class Operation(NamedTuple):
    """An operation on arrays.

    Attributes:
        evaluate: the operation in NumPy.
        numpy: its text in Python with NumPy: {0}, {1} are the arrays, {all} is the list of them, {axis} an option.
        torch: its text in Python with PyTorch.
        onnx: the operator of ONNX that it is, with the same arguments; "" where `onnx_graph` composes it.
        options: its options in their order, with their defaults; arrays come before them.
        arrays: the number of its arrays.
    """

    evaluate: Callable[..., Array]
    numpy: str
    torch: str
    onnx: str = ""
    options: Mapping[str, Option] = {}
    arrays: int = 1


def _infix(function: Callable[..., Array], sign: str, onnx: str) -> Operation:
    text = f"{{0}} {sign} {{1}}"
    return Operation(function, text, text, onnx, arrays=2)


def _named(function: np.ufunc, onnx: str = "", torch: str | None = None) -> Operation:
    name = function.__name__
    places = ", ".join(f"{{{index}}}" for index in range(function.nin))
    return Operation(function, f"np.{name}({places})", torch or f"torch.{name}({places})", onnx, arrays=function.nin)


def _reduction(function: Callable[..., Array], torch: str) -> Operation:
    return Operation(
        function,
        f"np.{function.__name__}({{0}}, axis={{axis}}, keepdims={{keepdims}})",
        f"torch.{torch}({{0}}, dim={{axis}}, keepdim={{keepdims}})",
        options={"axis": None, "keepdims": False},
    )


OPERATIONS: Mapping[str, Operation] = {
    "add": _infix(np.add, "+", "Add"),
    "subtract": _infix(np.subtract, "-", "Sub"),
    "multiply": _infix(np.multiply, "*", "Mul"),
    "divide": _infix(np.divide, "/", "Div"),
    "pow": _infix(np.pow, "**", "Pow"),
    "matmul": _infix(np.matmul, "@", "MatMul"),
    "greater": _infix(np.greater, ">", "Greater"),
    "greater_equal": _infix(np.greater_equal, ">=", "GreaterOrEqual"),
    "less": _infix(np.less, "<", "Less"),
    "less_equal": _infix(np.less_equal, "<=", "LessOrEqual"),
    # Of arrays that are no input: a traced one stays what it is.
    "asarray": Operation(np.asarray, "{0}", "{0}", "Identity"),
    "negative": Operation(np.negative, "-{0}", "-{0}", "Neg"),
    "abs": Operation(np.abs, "np.abs({0})", "torch.abs({0})", "Abs"),
    "exp": _named(np.exp, "Exp"),
    "expm1": _named(np.expm1),
    "log": _named(np.log, "Log"),
    "log1p": _named(np.log1p),
    "sqrt": _named(np.sqrt, "Sqrt"),
    "sign": _named(np.sign, "Sign"),
    "sin": _named(np.sin, "Sin"),
    "cos": _named(np.cos, "Cos"),
    "tanh": _named(np.tanh, "Tanh"),
    "erf": Operation(erf, "erf({0})", "torch.erf({0})", "Erf"),
    # torch.maximum takes no plain number.
    "maximum": _named(np.maximum, "Max", "torch.clamp({0}, min={1})"),
    "minimum": _named(np.minimum, "Min", "torch.clamp({0}, max={1})"),
    "where": Operation(np.where, "np.where({0}, {1}, {2})", "torch.where({0}, {1}, {2})", "Where", arrays=3),
    "sum": _reduction(np.sum, "sum"),
    "mean": _reduction(np.mean, "mean"),
    "prod": _reduction(np.prod, "prod"),
    "max": _reduction(np.max, "amax"),
    "argmax": Operation(
        np.argmax, "np.argmax({0}, axis={axis})", "torch.argmax({0}, dim={axis})", options={"axis": None}
    ),
    "zeros_like": Operation(np.zeros_like, "np.zeros_like({0})", "torch.zeros_like({0})"),
    "ones_like": Operation(np.ones_like, "np.ones_like({0})", "torch.ones_like({0})"),
    "full_like": Operation(np.full_like, "np.full_like({0}, {1})", "torch.full_like({0}, {1})", arrays=2),
    "astype": Operation(
        lambda x, dtype: x.astype(dtype), "{0}.astype(np.{dtype})", "{0}.to(torch.{dtype})", options={"dtype": None}
    ),
    "reshape": Operation(
        np.reshape, "np.reshape({0}, {shape})", "torch.reshape({0}, {shape})", options={"shape": None}
    ),
    "permute_dims": Operation(
        np.permute_dims, "np.transpose({0}, {axes})", "torch.permute({0}, {axes})", options={"axes": None}
    ),
    "concat": Operation(
        lambda *arrays, axis: np.concat(arrays, axis=axis),
        "np.concatenate([{all}], axis={axis})",
        "torch.cat([{all}], dim={axis})",
        options={"axis": 0},
    ),
    "take": Operation(
        lambda x, indices, axis: np.take(x, indices, axis=axis),
        "np.take({0}, {1}, axis={axis})",
        "{0}[(slice(None),) * {axis} + ({1},)]",
        options={"axis": 0},
        arrays=2,
    ),
    "getitem": Operation(lambda x, key: x[key], "{0}[{key}]", "{0}[{key}]", options={"key": ()}),
}
"""All operations that a layer, a loss or a preprocessing may use to be exported."""
