"""A multi-layer perceptron by its hidden widths: the same network as when its layers are written out."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.models.mlp import MultiLayerPerceptron
from thalweg.models.network import Network
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec
from thalweg.spec.toml import read_spec, to_toml


def kinds(**options):
    return [layer.kind for layer in MultiLayerPerceptron(**options).network(3, "classification").layers]


def test_each_hidden_width_is_a_dense_layer_with_its_activation():
    network = MultiLayerPerceptron((5, 4)).network(3, "classification")
    assert network == Network.of({"layers": ["dense 5", "relu", "dense 4", "relu", "dense 3", "softmax"]})


@pytest.mark.parametrize(
    ("task", "last"), [("classification", ["dense", "softmax"]), ("multilabel", ["dense", "sigmoid"])]
)
def test_the_output_is_that_of_the_task(task, last):
    assert [layer.kind for layer in MultiLayerPerceptron((4,)).network(3, task).layers][2:] == last


def test_numbers_have_a_plain_output():
    layers = MultiLayerPerceptron((4,), "tanh").network(2, "regression").layers
    assert [layer.kind for layer in layers] == ["dense", "tanh", "dense"]
    assert layers[-1].width == 2


def test_options_stand_where_they_belong():
    assert kinds(hidden=(4,), activation="tanh", normalization="batch_norm", dropout=0.2) == [
        "dense",
        "batch_norm",
        "tanh",
        "dropout",
        "dense",
        "softmax",
    ]
    assert kinds(hidden=()) == ["dense", "softmax"]


def test_a_spec_names_it_and_its_options():
    table = {"data": "iris", "network": {"kind": "mlp", "hidden": [8], "activation": "leaky_relu 0.2", "init": "zeros"}}
    spec = Spec.of(table)
    rows = spec.data.load(0).train
    whole = completed(spec, rows)
    assert whole.network == Network.of({"layers": ["dense 8", "leaky_relu 0.2", "dense 3", "softmax"], "init": "zeros"})
    assert Spec.of(spec.describe()) == spec


def test_the_recipe_and_the_layers_start_and_describe_alike():
    specs = [
        Spec.of({"data": "iris", "network": network})
        for network in ({"kind": "mlp", "hidden": [6]}, {"layers": ["dense 6", "relu", "dense 3", "softmax"]})
    ]
    first, second = (completed(spec, spec.data.load(0).train) for spec in specs)
    assert first.describe() == second.describe()
    starts = [whole.network.initialize(3, (4,)).params[0].W for whole in (first, second)]
    np.testing.assert_array_equal(*starts)


def test_a_file_keeps_it(tmp_path):
    spec = Spec.of({"data": "iris", "network": {"kind": "mlp", "hidden": [8, 8], "dropout": 0.1}})
    (tmp_path / "spec.toml").write_text(to_toml(spec))
    assert read_spec(str(tmp_path / "spec.toml")) == spec


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": [0]}, "network.hidden[0]: expected greater than or equal to 1, received 0"),
        ({"activation": "rellu"}, "network.activation: unknown layer 'rellu'; did you mean 'relu'?"),
        ({"dropout": 1.0}, "network.dropout: expected less than 1"),
        ({"widths": [3]}, "network.widths: unknown option of mlp"),
    ],
)
def test_what_is_no_option_is_refused(options, words):
    with pytest.raises(InputError) as raised:
        Spec.of({"data": "iris", "network": {"kind": "mlp", **options}})
    assert words in str(raised.value)
