"""A trained network as a graph of ONNX, from raw columns to predictions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError
from ..data import Column, Preprocessing
from .onnx_graph import GraphWriter, element_type
from .trained_model import TrainedModel

if TYPE_CHECKING:
    from onnx import ValueInfoProto

OPSET = 18
"""The version of the operators: the first in which all reductions take their axes alike."""
ML_OPSET = 2
"""The version of the operators for tables, of which `LabelEncoder` is used."""
_IR_VERSION = 8
PREDICTION = "prediction"
OUTPUTS = "outputs"
MATRIX = "x"
"""The name of the input of a network that was trained on rows of numbers."""


def onnx_file(model: TrainedModel) -> bytes:
    """The content of an ONNX file.

    A network that was trained on a table has an input (rows, 1) for each column, by its name: text for categories,
    float64 for numbers, booleans and days since 1970, with NaN for a missing value. Any other network has one input
    `x` (rows, features) of float32. The layers compute in float32.

    The outputs are `prediction`, as `Run.predict` gives it, and `outputs`, as `Run.predict_outputs` gives them.

    Raises:
        InputError: the package onnx is missing, or a layer has no exported form.
    """
    try:
        import onnx
    except ImportError as error:
        raise InputError("onnx", "the package onnx is not installed; pip install 'thalweg[onnx]'") from error
    from onnx import helper

    known = model.preprocessing
    writer = GraphWriter()
    inputs, x = _encoded(writer, known)
    outputs = model.outputs_graph("float32")
    decision = model.decision_graph(outputs.result)
    raw_outputs = writer.add_graph(outputs, x)
    decided = writer.add_graph(decision, raw_outputs, "decision_")
    classes = _classes(known)
    predicted = writer.add("Gather", writer.constant(classes), decided) if len(classes) else decided
    results = []
    for name, value, kind, shape in (
        (PREDICTION, predicted, classes.dtype if len(classes) else decision.result.dtype, decision.result.shape),
        (OUTPUTS, raw_outputs, outputs.result.dtype, outputs.result.shape),
    ):
        if any(name == column.name for column in inputs):
            raise InputError("onnx", f"the column {name!r} has the name of an output of the graph; rename the column")
        writer.add("Identity", value, output=name)
        results.append(helper.make_tensor_value_info(name, element_type(kind), ["rows", *shape[1:]]))
    graph = helper.make_graph(
        writer.nodes, "network", inputs, results, list(writer.constants.values()), doc_string=model.title
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    proto = helper.make_model(graph, opset_imports=opsets, producer_name="thalweg", ir_version=_IR_VERSION)
    helper.set_model_props(proto, {"task": known.task, "targets": json.dumps(known.target_names)})
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def _classes(known: Preprocessing) -> np.ndarray:
    """The classes as ONNX can hold them."""
    classes = np.array(known.classes, np.dtype(known.class_type))
    return classes.astype({"i": np.int64, "u": np.int64, "f": np.float64}.get(classes.dtype.kind, classes.dtype))


def _encoded(writer: GraphWriter, known: Preprocessing) -> tuple[list[ValueInfoProto], str]:
    """The inputs of the graph, and the name of the encoded rows (n, features)."""
    from onnx import helper

    if not known.columns:
        kind = element_type(np.dtype(np.float32))
        names = ", ".join(known.feature_names)
        matrix = helper.make_tensor_value_info(MATRIX, kind, ["rows", known.features], doc_string=names)
        return [matrix], writer.cast(MATRIX, np.dtype(np.float64))
    inputs = [
        helper.make_tensor_value_info(
            column.name, element_type(input_type(column)), ["rows", 1], doc_string=_MEANINGS[column.kind]
        )
        for column in known.columns
    ]
    return inputs, writer.add("Concat", *(_encode(writer, column) for column in known.columns), axis=1)


_MEANINGS = {
    "number": "a number; NaN where it is missing",
    "time": "days since 1970, of the day, or of a duration; NaN where it is missing",
    "boolean": "0 or 1; NaN where it is missing",
    "category": "a category; any other text, such as an empty one, is none of them",
}


def input_type(column: Column) -> np.dtype:
    """The type of the input of a column."""
    return np.dtype(np.str_ if column.kind == "category" else np.float64)


def _encode(writer: GraphWriter, column: Column) -> str:
    """The name of the numbers (n, inputs) of a column."""
    if column.kind != "category":
        fill = writer.constant(np.array(column.fill))
        return writer.add("Where", writer.add("IsNaN", column.name), fill, column.name)
    if column.coded:
        code = writer.add(
            "LabelEncoder",
            column.name,
            domain="ai.onnx.ml",
            keys_strings=list(column.categories),
            values_int64s=list(range(1, len(column.categories) + 1)),
            default_int64=0,
        )
        return writer.cast(code, np.dtype(np.float64))
    places = list(range(len(column.categories)))
    place = writer.add(
        "LabelEncoder",
        column.name,
        domain="ai.onnx.ml",
        keys_strings=list(column.categories),
        values_int64s=places,
        default_int64=-1,
    )
    return writer.cast(writer.add("Equal", place, writer.constant(np.array([places]))), np.dtype(np.float64))
