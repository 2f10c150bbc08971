import dataclasses

import numpy as np
import pytest
from input_errors import input_error

from thalweg.data import Data
from thalweg.models.mlp import TableNetwork
from thalweg.models.network import Network
from thalweg.parts.layers import Dense
from thalweg.parts.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    MeanSquaredError,
    SigmoidBinaryCrossEntropy,
    SoftmaxCrossEntropy,
)
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec


@pytest.mark.parametrize(
    ("layers", "source", "loss"),
    [
        (["dense 2", "softmax"], "rings", CrossEntropy()),
        (["dense 1", "sigmoid"], "rings", BinaryCrossEntropy()),
        (["dense 2"], "rings", SoftmaxCrossEntropy()),
        (["dense 1"], "rings", SigmoidBinaryCrossEntropy()),
        (["dense 1", "step"], "rings", SigmoidBinaryCrossEntropy()),
        (["dense 2", "tanh"], "rings", SoftmaxCrossEntropy()),
        (["dense 1"], "wave", MeanSquaredError()),
    ],
)
def test_the_loss_follows_output_and_task(layers, source, loss):
    spec = Spec(Data.of(source), Network(layers))
    assert completed(spec, spec.data.load(0).train).loss == loss


def test_a_bare_source_gets_a_network_that_fits():
    spec = Spec.of({"data": "rings"})
    assert completed(spec, spec.data.load(0).train).network.layers[-2] == Dense(2)


def test_a_table_gets_the_network_for_tables_with_its_own_length():
    x = np.random.default_rng(0).normal(size=(1000, 3))
    spec = Spec.of({"data": {"source": (x, x[:, 0]), "test": 0.0, "validation": 0.04}})
    whole = completed(spec, spec.prepared_data.load(0).train)
    assert whole == completed(dataclasses.replace(spec, network=TableNetwork()), spec.prepared_data.load(0).train)
    assert (whole.data.scale, whole.data.codes_above) == ("robust", 2)
    # 960 rows are 8 batches of 128: 800 updates.
    assert (whole.training.epochs, whole.training.batch_size, whole.stopping.keeps_best) == (100, 128, True)
    assert spec.data.scale is None


@pytest.mark.parametrize("source", ["rings", "digits", (np.zeros((4, 5, 5)), np.arange(4) % 2)])
def test_pictures_and_drawn_points_are_no_table(source):
    assert Spec.of({"data": {"source": source}}).prepared_data.codes_above is None


def test_what_is_said_of_the_rows_comes_before_what_the_network_for_tables_wants():
    spec = Spec.of({"data": {"source": "iris", "scale": "range", "codes_above": 30}})
    assert (spec.prepared_data.scale, spec.prepared_data.codes_above) == ("range", 30)


def test_a_linear_unit_needs_classes():
    spec = Spec.of({"data": "wave", "network": "perceptron"})
    with input_error("network", "perceptron", "regression"):
        completed(spec, spec.data.load(0).train)


def test_a_linear_unit_keeps_the_stopping_options_that_are_set():
    spec = Spec.of({"data": "xor", "network": "perceptron", "stopping": {"seconds": 5.0}})
    usual = completed(Spec.of({"data": "xor", "network": "perceptron"}), spec.data.load(0).train).stopping
    stopping = completed(spec, spec.data.load(0).train).stopping
    assert (stopping.seconds, stopping.target) == (5.0, usual.target)
    assert usual.target is not None
