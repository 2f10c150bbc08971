"""`inspect` gives every number of a step: by hand, beside PyTorch, and as the training itself goes on."""

from __future__ import annotations

import numpy as np
import pytest
from torch_twin import Twin

import thalweg
from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.engine.step import fused
from thalweg.models.network import Network
from thalweg.parts.layers import Affine
from thalweg.parts.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError, SigmoidBinaryCrossEntropy
from thalweg.parts.optimizers import SGD
from thalweg.parts.part import ForwardContext
from thalweg.training.inspect import inspect

NETWORK = Network(["dense 2", "relu", "dense 1"])
PARAMS = (
    Affine(np.array([[1.0, -1.0], [2.0, 1.0]]), np.array([0.0, 1.0])),
    (),
    Affine(np.array([[1.0], [3.0]]), np.array([0.5])),
)


def test_every_number_of_a_step_worked_out_by_hand():
    # z1 = (1·1 + 2·2, -1·1 + 1·2 + 1) = (5, 2); both stay; z2 = 5 + 3·2 + 0.5 = 11.5; l = (11.5 - 10)²
    trace = inspect(NETWORK, PARAMS, [[1.0, 2.0]], [10.0], optimizer=SGD(0.1))
    assert [output.tolist() for output in trace.outputs] == [[[5.0, 2.0]], [[5.0, 2.0]], [[11.5]]]
    assert float(trace.loss) == 2.25
    assert [delta.tolist() for delta in trace.deltas] == [[[3.0, 9.0]], [[3.0, 9.0]], [[3.0]]]
    assert trace.grads[0].W.tolist() == [[3.0, 9.0], [6.0, 18.0]]
    assert trace.grads[0].b.tolist() == [3.0, 9.0]
    assert trace.grads[2].W.tolist() == [[15.0], [6.0]]
    np.testing.assert_allclose(trace.updates[2].W, [[-1.5], [-0.6]])
    assert float(trace.learning_rate) == 0.1
    assert {array.dtype for _, array in arrays_of((trace.outputs, trace.deltas, trace.grads))} == {np.dtype("float64")}


def test_without_an_optimizer_nothing_would_move():
    trace = inspect(NETWORK, PARAMS, [[1.0, 2.0]], [10.0])
    assert float(trace.learning_rate) == 0.0
    assert all((array == 0).all() for _, array in arrays_of(trace.updates))


def test_a_row_of_weight_nothing_counts_for_nothing():
    x, y = [[1.0, 2.0], [7.0, -3.0]], [10.0, 4.0]
    whole, alone = inspect(NETWORK, PARAMS, x, y, weight=[2.0, 0.0]), inspect(NETWORK, PARAMS, x[:1], y[:1])
    assert float(whole.loss) == float(alone.loss)
    for (place, array), (_, other) in zip(arrays_of(whole.grads), arrays_of(alone.grads), strict=True):
        np.testing.assert_allclose(array, other, err_msg=place)
    assert whole.deltas[0][1].tolist() == [0.0, 0.0]


def test_outputs_deltas_and_gradients_are_those_of_pytorch():
    rng = np.random.default_rng(0)
    network = Network(["dense 7", "tanh", "dense 5", "gelu", "dense 3"])
    params = network.initialize(3, (4,)).params
    x, y, weight = rng.normal(size=(20, 4)), rng.integers(0, 3, 20), rng.random(20)
    trace, twin = inspect(network, params, x, y, weight=weight), Twin(network, params)
    assert float(trace.loss) == pytest.approx(twin.survey(trace.batch), rel=1e-12)
    for delta, expected in zip(trace.deltas, twin.deltas, strict=True):
        np.testing.assert_allclose(delta, expected, rtol=1e-9, atol=1e-14)
    for (place, gradient), expected in zip(arrays_of(trace.grads), twin.grads, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-14, err_msg=place)


@pytest.mark.parametrize(
    ("last", "y", "loss"),
    [
        (["dense 2", "softmax"], [0, 1], CrossEntropy()),
        (["dense 1", "sigmoid"], [0, 1], BinaryCrossEntropy()),
        (["dense 1"], [0, 1], SigmoidBinaryCrossEntropy()),
        (["dense 2", "sigmoid"], [[0, 1], [1, 1]], BinaryCrossEntropy()),
        (["dense 1"], [0.5, 2.5], MeanSquaredError()),
        (["dense 2"], [[0.5, 2.5], [1.0, 0.0]], MeanSquaredError()),
    ],
)
def test_the_loss_suits_the_last_layer_and_the_targets(last, y, loss):
    network = Network(["dense 3", "tanh", *last])
    params, x = network.initialize(0, (2,)).params, [[1.0, -1.0], [0.5, 2.0]]
    assert float(inspect(network, params, x, y).loss) == float(inspect(network, params, x, y, loss=loss).loss)


def test_a_run_is_inspected_on_raw_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(5.0, 3.0, size=(60, 2))
    y = np.where(x.sum(axis=1) > 10, "high", "low")
    run = thalweg.train(["dense 4", "tanh", "dense 2", "softmax"], (x, y), epochs=2, engine="eager", progress=False)
    before = [array.copy() for _, array in arrays_of(run.params)]
    trace = run.inspect(x[:10], y[:10])
    assert float(trace.loss) == pytest.approx(run.evaluate(x[:10], y[:10])["loss"])
    logits = trace.outputs[-1]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, run.predict_outputs(x[:10]), rtol=1e-9)
    for old, (_, new) in zip(before, arrays_of(run.params), strict=True):
        np.testing.assert_array_equal(old, new)


def test_states_of_the_layers_are_those_given():
    network = Network(["radial 3", "dense 1"])
    start = network.initialize(1, (2,))
    x = np.array([[0.3, -0.2]])
    trace = inspect(network, start.params, x, [1.0], layers=start.states)
    same, _ = fused(network, MeanSquaredError())
    expected = same.forward(start.params, start.states, x, ForwardContext(training=True)).outputs
    np.testing.assert_array_equal(trace.outputs[0], expected[0])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"params": PARAMS[:1]}, "expected 4 arrays"),
        ({"params": (Affine(np.ones((3, 2)), np.ones(2)), (), PARAMS[2])}, r"params.0.W: expected shape \(2, 2\)"),
        ({"x": [1.0, 2.0]}, "2 dimensions"),
        ({"x": [[1.0, np.nan]]}, "NaN"),
        ({"y": [1.0, 2.0]}, "same number of rows"),
        ({"y": [2]}, "outside of the 2 classes"),
        ({"y": [[1.5, 2.0]]}, "2 target columns"),
        ({"weight": [1.0, 1.0]}, "weight"),
    ],
)
def test_what_does_not_fit_is_told(change, told):
    given = {"params": PARAMS, "x": [[1.0, 2.0]], "y": [1.0], **change}
    with pytest.raises(InputError, match=told):
        inspect(NETWORK, **given)
