import pytest
from input_errors import input_error

from thalweg.data import Data
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
    spec = Spec.of({"data": "iris"})
    assert completed(spec, spec.data.load(0).train).network.layers[-2] == Dense(3)


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
