"""Exported files are used once before they are written: their outputs must be those of the run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from ..core.errors import InputError
from ..data import Column, Preprocessing
from ..models.decision import predictions
from .onnx_file import MATRIX, OUTPUTS, PREDICTION, input_type
from .torch_file import TorchFiles
from .trained_model import TrainedModel

if TYPE_CHECKING:
    import polars

Rows: TypeAlias = "np.ndarray | polars.DataFrame"
"""Raw rows: an array, or a table."""
TOLERANCE = 1e-5
"""The largest difference of an output, relative to outputs above 1."""
_DAY_US = 86_400_000_000


class Results(NamedTuple):
    """What an exported file gives for some rows.

    Attributes:
        predicted: the predictions (n,) or (n, K).
        outputs: the outputs (n, K).
    """

    predicted: np.ndarray
    outputs: np.ndarray


def check_results(subject: str, model: TrainedModel, results: Results, expected: np.ndarray) -> float:
    """The largest difference between outputs (n, K) of an exported file and those of the run.

    Raises InputError where it is above `TOLERANCE`, or where the predictions are not those of the outputs.
    """
    difference = np.abs(results.outputs - expected) / np.maximum(1, np.abs(expected))
    largest = float(difference.max())
    if not largest <= TOLERANCE:
        row = int(np.argmax(np.nan_to_num(difference, nan=np.inf).max(axis=1)))
        received = f"row {row} (from 0) gives {results.outputs[row].tolist()}, the run {expected[row].tolist()}"
        fix = "train in float32, or with smaller weights, where float32 has too few digits"
        raise InputError(subject, f"differs from the run by {largest:.3g}, more than {TOLERANCE:g}: {received}; {fix}")
    own = predictions(model.preprocessing, model.loss, results.outputs)
    numbers = own.dtype.kind == "f" and model.preprocessing.task == "regression"
    if not (
        np.allclose(results.predicted, own) if numbers else np.array_equal(results.predicted.astype(own.dtype), own)
    ):
        raise InputError(subject, "predicts something else than its outputs say; this is a fault of Thalweg")
    return largest


# Rows -----------------------------------------------------------------------------------------------------------------


def raw_rows(known: Preprocessing, inputs: np.ndarray) -> Rows:
    """Rows as a user has them for inputs (n, features) of the network; a table ends with a row without any value."""
    import polars

    numbers = known.unscaled(inputs)
    if not known.columns:
        # ONNX takes rows of float32.
        return numbers.astype(np.float32)
    widths = np.cumsum([len(column.inputs) for column in known.columns])[:-1]
    blocks = np.split(numbers, widths, axis=1)
    table = polars.DataFrame([_cells(column, block) for column, block in zip(known.columns, blocks, strict=True)])
    return polars.concat([table, table.clear(1)])


def _cells(column: Column, numbers: np.ndarray) -> polars.Series:
    """The cells that the encoded numbers (n, inputs) of a column stand for."""
    import polars

    if column.coded:
        texts = [column.categories[int(code) - 1] if code else None for code in numbers[:, 0]]
        return polars.Series(column.name, texts, polars.String)
    if column.kind == "category":
        chosen = zip(numbers.argmax(axis=1), numbers.max(axis=1) > 0, strict=True)
        texts = [column.categories[place] if known else None for place, known in chosen]
        return polars.Series(column.name, texts, polars.String)
    series = polars.Series(column.name, numbers[:, 0])
    if column.kind == "time":
        return (series * _DAY_US).round().cast(polars.Int64).cast(polars.Datetime("us"))
    return (series > 0.5) if column.kind == "boolean" else series


# Files ----------------------------------------------------------------------------------------------------------------


def results_of_onnx(known: Preprocessing, content: bytes, rows: Rows) -> Results:
    """What a graph of ONNX gives for rows. Raises InputError where the package onnxruntime is missing."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError("onnx", "the package onnxruntime is not installed; pip install 'thalweg[onnx]'") from error
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    if isinstance(rows, np.ndarray):
        feeds = {MATRIX: rows}
    else:
        feeds = {column.name: _feed(column, rows[column.name]) for column in known.columns}
    return Results(*session.run([PREDICTION, OUTPUTS], feeds))


def _feed(column: Column, cells: polars.Series) -> np.ndarray:
    """The cells of a column as ONNX takes them (n, 1)."""
    if column.kind == "category":
        return np.array(cells.fill_null("").to_list(), input_type(column)).astype(object).reshape(-1, 1)
    return column.numbers(cells).to_numpy().reshape(-1, 1)


def results_of_python(source: str, rows: Rows, weights: bytes = b"") -> Results:
    """What a file of Python gives for rows, beside a file with its weights where it has one."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "exported.py"
        file.write_text(source, encoding="utf-8")
        file.with_suffix(".safetensors").write_bytes(weights)
        spec = importlib.util.spec_from_file_location("exported", file)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return Results(module.predict(rows), module.predict_outputs(rows))


def results_of_torch(files: TorchFiles, rows: Rows) -> Results:
    """What a module of PyTorch gives for rows. Raises InputError where PyTorch is missing."""
    if importlib.util.find_spec("torch") is None:
        raise InputError("torch", "PyTorch is not installed; pip install 'thalweg[torch]'")
    return results_of_python(files.source, rows, files.weights)
