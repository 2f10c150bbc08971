"""A trained network as a module of PyTorch: its source, and its weights as safetensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from safetensors import numpy as safetensors

from .python_source import docstring, function, preprocessing_source, rows_source, statements, tail
from .tracing import Graph
from .trained_model import TrainedModel


class TorchFiles(NamedTuple):
    """The two files of a module of PyTorch.

    Attributes:
        source: the text of a Python file with `Network`, `load`, `predict` and `predict_outputs`.
        weights: the content of the file of safetensors beside it.
    """

    source: str
    weights: bytes


def torch_files(model: TrainedModel) -> TorchFiles:
    """The source and the weights of a module. Raises InputError where a layer has no exported form."""
    outputs = model.outputs_graph(model.preprocessing.precision)
    decision = model.decision_graph(outputs.result)
    forward = function("forward(self, x: torch.Tensor) -> torch.Tensor", _FORWARD, _of_module(outputs), "    ")
    decide = function(
        "decide(self, x: torch.Tensor) -> torch.Tensor", _DECIDE, _of_module(decision, "decision_"), "    "
    )
    source = (
        docstring(model.title, _USAGE)
        + rows_source()
        + _IMPORTS
        + f"\n{preprocessing_source(model.preprocessing)}\n\n{_CLASS}{_init(outputs, decision)}\n{forward}\n{decide}"
        + _LOAD
        + tail("with torch.no_grad():\n        return load()(torch.from_numpy(encoded(rows, COLUMNS, TABLE))).numpy()")
    )
    weights = {name: np.ascontiguousarray(array) for name, array in _arrays(outputs, decision).items()}
    return TorchFiles(source, safetensors.save(weights))


def _of_module(graph: Graph, prefix: str = "") -> list[str]:
    return list(statements(graph, "torch", lambda name: f"self.{prefix}{name}"))


def _arrays(outputs: Graph, decision: Graph) -> dict[str, np.ndarray]:
    return outputs.arrays | {f"decision_{name}": array for name, array in decision.arrays.items()}


def _init(outputs: Graph, decision: Graph) -> str:
    lines = ["super().__init__()"]
    for name, array in _arrays(outputs, decision).items():
        zeros = f"torch.zeros({array.shape}, dtype=torch.{array.dtype.name})"
        held = name in outputs.parameters
        lines.append(f"self.{name} = nn.Parameter({zeros})" if held else f'self.register_buffer("{name}", {zeros})')
    return function("__init__(self) -> None", "All arrays are 0 until `load` fills them.", lines, "    ")


_FORWARD = "The outputs (n, K), as they are in prediction."
_DECIDE = "What outputs (n, K) predict: numbers of classes, labels 0 and 1, or values."
_USAGE = """It needs NumPy, PyTorch and safetensors; the weights are in the file of the same name with .safetensors.

    from this_file import load, predict
    network = load()            # a module; encoded(rows, COLUMNS, TABLE) gives its input
    predict(rows)               # rows: dictionaries, lists, an array, a frame of pandas or polars

    python this_file.py rows.csv     # prints the predictions as CSV
"""
_IMPORTS = """

from functools import cache  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

"""
_CLASS = 'class Network(nn.Module):\n    """From encoded rows (n, features), float64, to the outputs (n, K)."""\n\n'
_LOAD = '''

@cache
def load() -> Network:
    """The network with its weights, in evaluation mode."""
    network = Network()
    network.load_state_dict(load_file(Path(__file__).with_suffix(".safetensors")))
    return network.eval()


def decided(outputs: np.ndarray) -> np.ndarray:
    """What outputs (n, K) predict: numbers of classes, labels 0 and 1, or values."""
    return load().decide(torch.from_numpy(outputs)).numpy()
'''
