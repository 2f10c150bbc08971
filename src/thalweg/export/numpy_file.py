"""A trained network as one file of Python that needs NumPy alone."""

from __future__ import annotations

import base64

import numpy as np

from .python_source import docstring, function, preprocessing_source, rows_source, statements, tail
from .trained_model import TrainedModel


def python_file(model: TrainedModel) -> str:
    """The text of a Python file with `predict`, `predict_outputs`, and a script that predicts a CSV file.

    Raises InputError where a layer has no exported form.
    """
    outputs = model.outputs_graph(model.preprocessing.precision)
    decision = model.decision_graph(outputs.result)
    held = "".join(f"{name} = {_array(array)}\n" for name, array in outputs.arrays.items())
    held += "".join(f"{_decided(name)} = {_array(array)}\n" for name, array in decision.arrays.items())
    forward = function("outputs_of(x: np.ndarray) -> np.ndarray", _OUTPUTS, statements(outputs, "numpy"))
    decided = function("decided(x: np.ndarray) -> np.ndarray", _DECISION, statements(decision, "numpy", _decided))
    return (
        docstring(model.title, _USAGE)
        + rows_source()
        + f"\n\n{preprocessing_source(model.preprocessing)}{held}\n\n{forward}\n\n{decided}"
        + tail("return outputs_of(encoded(rows, COLUMNS, TABLE))")
    )


_OUTPUTS = "The outputs (n, K) for encoded rows (n, features)."
_DECISION = "What outputs (n, K) predict: numbers of classes, labels 0 and 1, or values."
_USAGE = """It needs NumPy alone.

    from this_file import predict
    predict(rows)               # rows: dictionaries, lists, an array, a frame of pandas or polars

    python this_file.py rows.csv     # prints the predictions as CSV
"""


def _decided(name: str) -> str:
    return f"decision_{name}"


def _array(array: np.ndarray) -> str:
    kind = array.dtype.newbyteorder("<")
    text = base64.b64encode(array.astype(kind).tobytes()).decode()
    return f"array({kind.str!r}, {array.shape}, {text!r})"
