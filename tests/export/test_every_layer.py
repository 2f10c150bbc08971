"""Every part of the table and every task in each exported form: the numbers of the run, where Thalweg is not."""

from __future__ import annotations

import numpy as np
import parts_table
import pytest

from thalweg.core.arrays import leaves
from thalweg.data import Preprocessing
from thalweg.engine.step import predict
from thalweg.export.checking import Results, results_of_onnx, results_of_python, results_of_torch
from thalweg.export.numpy_file import python_file
from thalweg.export.onnx_file import onnx_file
from thalweg.export.torch_file import torch_files
from thalweg.export.trained_model import TrainedModel
from thalweg.models.network import Network
from thalweg.parts.losses import MeanSquaredError

WIDTH = 4


def onnx(model: TrainedModel, x: np.ndarray) -> Results:
    return results_of_onnx(model.preprocessing, onnx_file(model), x)


def torch(model: TrainedModel, x: np.ndarray) -> Results:
    pytest.importorskip("torch", reason="LEFT OUT: export to PyTorch, which is not installed")
    return results_of_torch(torch_files(model), x)


def python(model: TrainedModel, x: np.ndarray) -> Results:
    return results_of_python(python_file(model), x)


FORMS = [onnx, torch, python]


def moved(tree, rng):
    """The tree with other numbers, so that no scale is 1 and no offset is 0."""
    if isinstance(tree, tuple):
        return getattr(tree, "_make", tuple)([moved(item, rng) for item in tree])
    return tree + rng.uniform(0.1, 0.5, np.shape(tree))


def model_of(network: Network, loss, x: np.ndarray, y: np.ndarray, task="regression") -> TrainedModel:
    known, _ = Preprocessing.fit(x, y, task, "standard")
    start = network.initialize(0, (x.shape[1],))
    rng = np.random.default_rng(1)
    params, states = (tuple(moved(own, rng) for own in tree) for tree in (start.params, start.states))
    return TrainedModel(network, loss, params, states, known)


def expected(model: TrainedModel, x: np.ndarray) -> np.ndarray:
    inputs = model.preprocessing.inputs(x).astype(float)
    return predict(model.network, model.loss, model.params, model.states, inputs)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("entry", parts_table.FAMILIES[parts_table.Layer], ids=parts_table.name_of)
def test_every_layer_has_each_exported_form(entry, form):
    rng = np.random.default_rng(0)
    own, width = parts_table.from_rows(entry)
    x = np.concatenate([rng.normal(size=(20, width)), 3 * rng.normal(size=(10, width))]).astype(np.float32)
    network = Network([*own, "dense 2"])
    model = model_of(network, MeanSquaredError(), x, rng.normal(size=(30, 2)))
    assert leaves(model.params)
    results = form(model, x)
    np.testing.assert_allclose(results.outputs, expected(model, x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(results.predicted, model.preprocessing.values(results.outputs), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("entry", parts_table.LOSSES, ids=parts_table.name_of)
def test_the_decisions_of_every_loss_are_exported(entry, form):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, WIDTH)).astype(np.float32)
    _, targets = parts_table.outputs_and_targets(entry, rng, 40, 3)
    task, y = {
        "classes": ("classification", np.array(["red", "green", "blue"])[targets.argmax(axis=1)]),
        "labels": ("multilabel", targets),
    }.get(entry.targets, ("regression", targets))
    model = model_of(Network(["dense 5", "tanh", "dense 3", "sigmoid"]), entry.part, x, y, task)
    results = form(model, x)
    own = expected(model, x)
    np.testing.assert_allclose(results.outputs, own, rtol=1e-5, atol=1e-5)
    if task == "classification":
        assert results.predicted.tolist() == model.preprocessing.labels(own.argmax(axis=1)).tolist()
    elif task == "multilabel":
        assert results.predicted.tolist() == (own > entry.part.decision_threshold).astype(int).tolist()
    else:
        np.testing.assert_allclose(results.predicted, model.preprocessing.values(own), rtol=1e-5, atol=1e-5)
