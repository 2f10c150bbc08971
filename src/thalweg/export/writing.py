"""Trained networks written as files of other forms, each compared with the run before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.errors import InputError
from ..core.files import commit
from ..core.progress import ProgressMessage, Watch
from .checking import Results, Rows, check_results, results_of_onnx, results_of_python, results_of_torch
from .numpy_file import python_file
from .onnx_file import onnx_file
from .torch_file import torch_files
from .trained_model import TrainedModel


class ExportedFile(NamedTuple):
    """A file that was written.

    Attributes:
        path: the file; the weights of a module of PyTorch lie beside it.
        rows: number of rows on which it was compared with the run.
        difference: the largest difference of an output, relative to outputs above 1.
    """

    path: Path
    rows: int
    difference: float


def export_files(
    model: TrainedModel,
    rows: Rows,
    expected: np.ndarray,
    onnx: str | Path | None,
    torch: str | Path | None,
    python: str | Path | None,
    watch: Watch,
) -> list[ExportedFile]:
    """Write a trained network in each form of which the file is named.

    Args:
        model: the network.
        rows: raw rows, on which each file is compared with the run.
        expected: the outputs (n, K) of the run for these rows.
        onnx: the file of ONNX.
        torch: the source of a module of PyTorch; its weights are written beside it, with the ending .safetensors.
        python: the file of Python with NumPy alone.
        watch: is called with the progress.

    Raises:
        InputError: no file is named, a package is missing, an operation of a layer has no exported form, outputs differ
            by more than 1e-5, or a file cannot be written.
    """
    if onnx is torch is python is None:
        raise InputError("export", "expected a file to write: onnx, torch or python")
    written = []
    for subject, words, file, made in (
        ("onnx", "ONNX", onnx, _onnx),
        ("torch", "a module of PyTorch", torch, _torch),
        ("python", "Python", python, _python),
    ):
        if file is None:
            continue
        watch(ProgressMessage(f"writing {words}"))
        contents, results = made(model, rows, Path(file))
        largest = check_results(subject, model, results, expected)
        for path, content in contents.items():
            commit(path, content)
        written.append(ExportedFile(next(iter(contents)), len(rows), largest))
    return written


def _onnx(model: TrainedModel, rows: Rows, path: Path) -> tuple[dict[Path, bytes], Results]:
    content = onnx_file(model)
    return {path: content}, results_of_onnx(model.preprocessing, content, rows)


def _torch(model: TrainedModel, rows: Rows, path: Path) -> tuple[dict[Path, bytes], Results]:
    files = torch_files(model)
    source = _with_suffix(path)
    contents = {source: files.source.encode(), source.with_suffix(".safetensors"): files.weights}
    return contents, results_of_torch(files, rows)


def _python(model: TrainedModel, rows: Rows, path: Path) -> tuple[dict[Path, bytes], Results]:
    source = python_file(model)
    return {_with_suffix(path): source.encode()}, results_of_python(source, rows)


def _with_suffix(path: Path) -> Path:
    """The path of a file of Python, which ends with .py."""
    return path if path.suffix == ".py" else path.with_name(f"{path.name}.py")
