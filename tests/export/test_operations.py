"""Every operation in its three forms against NumPy, and what has none."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from thalweg.core.arrays import namespace
from thalweg.core.errors import InputError
from thalweg.export import rows
from thalweg.export.onnx_graph import GraphWriter, element_type
from thalweg.export.operations import OPERATIONS
from thalweg.export.python_source import function, statements
from thalweg.export.tracing import ROWS, Graph, traced_input

X = np.array([[0.3, -1.5, 2.0, 0.0], [1.0, 0.5, -0.2, 4.0], [-3.0, 0.1, 0.7, 0.0]], np.float32)
TABLE = np.arange(10, dtype=np.float32).reshape(5, 2)

USES = {
    "add": lambda xp, x: x + 2,
    "subtract": lambda xp, x: 2 - x,
    "multiply": lambda xp, x: x * x,
    "asarray": lambda xp, x: xp.asarray(x) * 2,
    "divide": lambda xp, x: 1 / (x + 10),
    "pow": lambda xp, x: x**2,
    "matmul": lambda xp, x: x @ np.ones((4, 3), np.float32),
    "greater": lambda xp, x: xp.astype(x > 0, x.dtype),
    "greater_equal": lambda xp, x: xp.astype(x >= 0, x.dtype),
    "less": lambda xp, x: xp.astype(x < x * 2, x.dtype),
    "less_equal": lambda xp, x: xp.astype(x <= np.zeros(4), x.dtype),
    "negative": lambda xp, x: -x,
    "maximum": lambda xp, x: xp.maximum(x, 0),
    "minimum": lambda xp, x: xp.minimum(x, np.float32(0.5)),
    "log": lambda xp, x: xp.log(xp.abs(x) + 1),
    "log1p": lambda xp, x: xp.log1p(xp.abs(x)),
    "sqrt": lambda xp, x: xp.sqrt(xp.abs(x)),
    "where": lambda xp, x: xp.where(x > 0, x, 0.1),
    "sum": lambda xp, x: xp.sum(x, axis=-1),
    "mean": lambda xp, x: xp.mean(x, axis=1, keepdims=True),
    "prod": lambda xp, x: xp.prod(x, axis=-1, keepdims=True),
    "max": lambda xp, x: xp.max(x, axis=-1),
    "argmax": lambda xp, x: x.argmax(axis=1),
    "zeros_like": lambda xp, x: x + xp.zeros_like(x[:, :1]),
    "ones_like": lambda xp, x: xp.ones_like(x),
    "full_like": lambda xp, x: xp.full_like(x, 0.5),
    "astype": lambda xp, x: x.astype(np.float64) / 3,
    "reshape": lambda xp, x: xp.reshape(x, (x.shape[0], 2, 2)),
    "permute_dims": lambda xp, x: xp.permute_dims(xp.reshape(x, (x.shape[0], 2, 2)), (0, 2, 1)),
    "concat": lambda xp, x: xp.concat([x, x[:, :2]], axis=1),
    "take": lambda xp, x: xp.take(TABLE, xp.astype(x[:, 3], np.int64), axis=0) + x[:, np.array([1, 2])],
    "getitem": lambda xp, x: x[:, None, 1:3] * x[:, 0][:, None, None],
    "erf": lambda xp, x: getattr(xp, "erf", rows.erf)(x),
    **{name: lambda xp, x, name=name: getattr(xp, name)(x) for name in ("abs", "exp", "expm1", "sign", "sin", "cos")},
    "tanh": lambda xp, x: xp.tanh(x),
}


def graph_of(use) -> Graph:
    x = traced_input((ROWS, 4), "float32")
    return Graph(x, use(namespace(x), x))


def in_python(graph: Graph, library: str) -> np.ndarray:
    names = {"np": np, "erf": rows.erf, **graph.arrays}
    x = X
    if library == "torch":
        import torch

        names = {"torch": torch, **{name: torch.from_numpy(array) for name, array in graph.arrays.items()}}
        x = torch.from_numpy(X)
    exec(function("computed(x)", "The result.", statements(graph, library)), names)
    return np.asarray(names["computed"](x))


def in_onnx(graph: Graph) -> np.ndarray:
    import onnxruntime
    from onnx import helper

    writer = GraphWriter()
    result = writer.add_graph(graph, "x")
    ends = [
        helper.make_tensor_value_info(name, element_type(value.dtype), None)
        for name, value in (("x", graph.x), (result, graph.result))
    ]
    proto = helper.make_graph(writer.nodes, "test", ends[:1], ends[1:], list(writer.constants.values()))
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": X})[0]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_is_the_same_in_each_form(name):
    graph = graph_of(USES[name])
    assert name in {value.operation for value in graph.operations}
    expected = USES[name](np, X)
    assert graph.result.shape == (ROWS, *expected.shape[1:])
    libraries = ["numpy", *(["torch"] if find_spec("torch") else [])]
    for result in [in_onnx(graph), *(in_python(graph, library) for library in libraries)]:
        np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)
        assert result.shape == expected.shape


def test_what_has_no_exported_form_is_said():
    x = traced_input((ROWS, 4), "float32")
    with pytest.raises(InputError, match="'cumulative_sum' has no exported form"):
        namespace(x).cumulative_sum(x, axis=1)
    with pytest.raises(InputError, match="beside other indices"):
        _ = x[:2, np.array([0, 1])]


def test_what_the_result_does_not_need_is_left_out():
    x = traced_input((ROWS, 4), "float32")
    xp = namespace(x)
    _ = xp.exp(x)
    graph = Graph(x, xp.tanh(x + np.ones(4, np.float32)))
    assert [value.operation for value in graph.operations] == ["add", "tanh"]
    assert list(graph.arrays) == ["array_1"]
    assert isinstance(xp.sqrt(np.ones(2)), np.ndarray)
