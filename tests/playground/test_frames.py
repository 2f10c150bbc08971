"""Frames hold what the engine computes: weights, outputs over the plane, sizes by layer, flags of units."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from thalweg.core.arrays import rms
from thalweg.core.errors import InputError
from thalweg.parts.part import ForwardContext
from thalweg.playground.labs.frames import QUANTITIES, FrameMaker, Seen, View
from thalweg.playground.live.live_training import LiveTraining
from thalweg.playground.live.samples import sampled
from thalweg.playground.specs import kept_spec
from thalweg.training.evaluate import evaluate
from thalweg.training.replay import trace_step

EAGER = {"training": {"engine": "eager", "batch_size": 10}}


def unpacked(frame: bytes):
    """The header of a frame, and its arrays by name: an own reading of the format."""
    (length,) = struct.unpack("<I", frame[:4])
    header = json.loads(frame[4 : 4 + length])
    arrays, place = {}, 4 + length
    for entry in header["arrays"]:
        kind = np.dtype("<f4") if entry["dtype"] == "float32" else np.dtype("u1")
        count = int(np.prod(entry["shape"]))
        arrays[entry["name"]] = np.frombuffer(frame, kind, count, place).reshape(entry["shape"])
        place += count * kind.itemsize
    assert place == len(frame)
    return header, arrays


@pytest.fixture(scope="module")
def training():
    training = LiveTraining(kept_spec(EAGER).spec)
    training.advance(30, lambda look: False)
    return training


def seen(training: LiveTraining) -> Seen:
    state = training.checkpoint.state
    return Seen(training.session.plan, state, training.last, training.epoch_of(state))


def frame_of(training: LiveTraining, view: View = View()):  # noqa: B008
    maker = FrameMaker(training.session)
    measures = maker.measures(training.checkpoint.state)
    return unpacked(maker.frame(seen(training), view, measures, [maker.curve_point(1.0, measures)], False))


def test_it_has_the_weights_and_measures_of_the_state(training):
    header, arrays = frame_of(training)
    state = training.checkpoint.state
    for index in (0, 2, 4):
        assert np.array_equal(arrays[f"W.{index}"], np.float32(state.params[index].W))
        assert np.array_equal(arrays[f"b.{index}"], np.float32(state.params[index].b))
    session = training.session
    for name, rows in (("train", session.split.train), ("test", session.split.test)):
        spec = session.spec
        expected = evaluate(spec.network, spec.loss, state, rows, session.engine)
        assert header["metrics"][f"{name}_loss"] == pytest.approx(expected["loss"])
        assert header["metrics"][f"{name}_accuracy"] == pytest.approx(expected["accuracy"])
    confusion = np.array(header["confusion"])
    assert confusion.trace() / confusion.sum() == pytest.approx(header["metrics"]["test_accuracy"])


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_quantities_are_those_of_the_last_step(training, quantity):
    _, arrays = frame_of(training, View(quantity))
    _, trace = trace_step(training.session.plan, training.last)
    tree = {"outputs": trace.outputs, "delta": trace.deltas, "gradients": trace.grads, "updates": trace.updates}
    sizes = arrays[f"layers.{quantity}"]
    if quantity in ("outputs", "delta"):
        values = tree[quantity]
        assert sizes == pytest.approx([rms(array) for array in values], rel=1e-5)
        assert arrays["unit.1"] == pytest.approx(np.sqrt(np.mean(np.square(values[1]), axis=0)), rel=1e-5)
    elif quantity != "weights":
        mark = {"gradients": "G", "updates": "U"}[quantity]
        assert arrays[f"{mark}.2"] == pytest.approx(tree[quantity][2].W, rel=1e-5)
        assert arrays[f"{mark}b.2"] == pytest.approx(tree[quantity][2].b, rel=1e-5)
        assert np.isnan(sizes[[1, 3, 5]]).all()


def test_the_map_is_the_network_over_the_extent_of_the_points(training):
    maker = FrameMaker(training.session)
    _, arrays = frame_of(training, View(size=16))
    (x_low, x_high), (y_low, y_high) = maker.places.points(None)["extent"]
    places = np.array([[x, y] for y in np.linspace(y_low, y_high, 16) for x in np.linspace(x_low, x_high, 16)])
    inputs = training.split.preprocessing.inputs(places)
    expected = training.session.predict(training.checkpoint.state, inputs)
    assert arrays["map"].reshape(-1, 2) == pytest.approx(expected, abs=1e-5)


def test_units_without_a_gradient_and_units_at_their_bounds_are_marked():
    layers = ["dense 3", "relu", "dense 3", "tanh", "dense 2", "softmax"]
    training = LiveTraining(kept_spec({**EAGER, "network": layers}).spec)
    training.set_parameter(0, "b", (1,), -1e6)
    training.set_parameter(2, "b", (2,), 1e6)
    _, arrays = frame_of(training)
    assert arrays["dead.1"].tolist() == [0, 1, 0]
    assert arrays["saturated.3"].tolist() == [0, 0, 1]


def test_it_has_no_number_that_json_lacks():
    training = LiveTraining(kept_spec({**EAGER, "data": {"source": "plane 40", "test": 0.0, "validation": 0.0}}).spec)
    training.set_parameter(0, "W", (0, 0), 1e38)
    header, arrays = frame_of(training)
    assert {"test_loss", "test_r2"}.isdisjoint(header["metrics"])
    assert np.isnan(arrays["curve"][0, [2, 4]]).all()


def test_many_inputs_are_seen_on_two_of_them_or_on_principal_axes():
    training = LiveTraining(kept_spec({**EAGER, "data": {"source": "iris", "test": 0.2}}).spec)
    maker = FrameMaker(training.session)
    names = training.split.preprocessing.feature_names
    assert maker.places.points((2, 0))["axes"] == [names[2], names[0]]
    assert maker.places.points("principal")["axes"] == maker.places.points(None)["axes"]


@pytest.mark.parametrize(
    "message",
    [
        {"quantity": "loss"},
        {"size": 4},
        {"size": "x"},
        {"axes": [0]},
        {"axes": [0, 0]},
        {"axes": [0, 9]},
        {"axes": "x"},
        {"picture": -1},
        {"picture": "x"},
    ],
)
def test_a_view_that_there_is_not_is_refused(message):
    with pytest.raises(InputError):
        View().changed(message, 2)


def test_a_sample_is_the_same_each_time():
    training = LiveTraining(kept_spec({**EAGER, "data": "rings 900"}).spec)
    rows = training.split.train
    assert np.array_equal(sampled(rows, 50).x, sampled(rows, 50).x)
    assert len(sampled(rows, 50)) == 50


def test_with_one_input_the_outputs_are_a_curve_over_it():
    training = LiveTraining(kept_spec({**EAGER, "data": {"source": "wave 60", "test": 0.3, "validation": 0.0}}).spec)
    maker = FrameMaker(training.session)
    _, arrays = frame_of(training)
    message = maker.places.points(None)
    (low, high), (bottom, top) = message["extent"]
    preprocessing = training.split.preprocessing
    inputs = preprocessing.inputs(np.linspace(low, high, len(arrays["line"]))[:, None])
    expected = preprocessing.values(training.session.predict(training.checkpoint.state, inputs))
    assert arrays["line"].reshape(-1) == pytest.approx(np.ravel(expected), abs=1e-4)
    assert message["line"]
    assert "map" not in arrays
    heights = np.array(message["train"]["x"])[:, 1]
    assert heights == pytest.approx(np.ravel(preprocessing.values(training.split.train.y)), abs=1e-4)
    assert bottom < heights.min() < heights.max() < top
    pictures = arrays["maps.inputs"]
    assert pictures.shape == (1, 32, 32)
    assert (pictures == pictures[:, :1]).all()


def test_the_weights_in_a_residual_block_are_shown_and_set():
    layers = ["dense 3", {"kind": "residual", "layers": ["dense 3", "layer_norm", "tanh"]}, "dense 2", "softmax"]
    training = LiveTraining(kept_spec({**EAGER, "network": layers}).spec)
    training.set_parameter(1, "W", (2, 0), 7.5)
    training.set_parameter(1, "b", (1,), -2.5)
    _, arrays = frame_of(training, View(quantity="gradients"))
    assert (arrays["W.1"][2, 0], arrays["b.1"][1]) == (7.5, -2.5)
    _, trace = trace_step(training.session.plan, training.last)
    assert arrays["G.1"] == pytest.approx(trace.grads[1].layers[0].W, rel=1e-5)
    with pytest.raises(InputError):
        training.set_parameter(1, "scale", (0,), 1.0)


def test_a_block_has_the_size_of_the_matrices_in_it():
    block = {"kind": "residual", "layers": ["dense 3", "layer_norm", "dense 3"]}
    training = LiveTraining(kept_spec({**EAGER, "network": {"layers": ["dense 3", block, "dense 2"]}}).spec)
    _, arrays = frame_of(training)
    inner = training.checkpoint.state.params[1].layers
    expected = np.sqrt((np.square(inner[0].W).mean() + np.square(inner[2].W).mean()) / 2)
    assert arrays["layers.weights"][1] == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(arrays["layers.gradients"][1])


# Pictures -------------------------------------------------------------------------------------------------------------

CONVOLUTIONS = ["reshape 8 8 1", "conv2d 3", "relu", "conv2d 4", "relu", "max_pool2d", "flatten", "dense 10", "softmax"]


@pytest.fixture(scope="module")
def pictures():
    spec = {
        "data": "digits",
        "network": {"layers": CONVOLUTIONS},
        "optimizer": "adam 0.01",
        "training": {"engine": "eager", "batch_size": 50, "precision": "float64"},
    }
    training = LiveTraining(kept_spec(spec).spec)
    training.advance(60, lambda look: False)
    # A channel whose bias is far below 0 is dead.
    training.set_parameter(3, "b", (2,), -1e6)
    return training


def test_a_picture_is_shown_with_what_every_layer_makes_of_it(pictures):
    header, arrays = frame_of(pictures, View(picture=7))
    split, state = pictures.split, pictures.checkpoint.state
    rows, spec = split.test, pictures.session.spec
    shown = header["picture"]
    assert (shown["set"], shown["row"], shown["rows"], shown["target"]) == ("test", 7, len(rows), rows.y[7])
    answers = pictures.session.predict(state, rows.x)
    assert shown["wrong"] == np.flatnonzero(answers.argmax(axis=1) != rows.y)[:200].tolist()
    assert arrays["picture.output"] == pytest.approx(answers[7], abs=1e-6)
    # The digits of scikit-learn have 17 levels.
    picture = arrays["picture.input"].ravel()
    assert picture == pytest.approx(picture.round(), abs=1e-5)
    assert (picture.min(), picture.max()) == (0, 16)
    assert arrays["picture.kernels.1"] == pytest.approx(state.params[1].W[:, :, 0].transpose(2, 0, 1), rel=1e-5)
    outputs = spec.network.forward(state.params, state.layers, rows.x[7:8], ForwardContext(training=False)).outputs
    # A row of the drawing ends before what makes vectors of its maps.
    for name, expected in (("picture.maps.1", outputs[2]), ("picture.maps.3", outputs[5])):
        expected = expected[0].transpose(2, 0, 1)
        assert arrays[name] / 127.5 - 1 == pytest.approx(expected / np.abs(expected).max(), abs=0.005)
    assert {name for name in arrays if name.startswith("picture.maps")} == {"picture.maps.1", "picture.maps.3"}
    assert arrays["dead.4"].tolist() == [0, 0, 1, 0]


def test_saliency_and_delta_of_a_picture_are_slopes_of_its_own_loss(pictures):
    _, arrays = frame_of(pictures, View("delta", picture=3))
    rows, spec, state = pictures.split.test, pictures.session.spec, pictures.checkpoint.state

    def loss(x, shift=0.0, place=None):
        """The loss of the picture where one output of the first convolution is shifted: -log of its probability."""
        outputs = x
        for index, (layer, own, its_state) in enumerate(
            zip(spec.network.layers, state.params, state.layers, strict=True)
        ):
            outputs = layer.forward(own, its_state, outputs, ForwardContext(training=False))[0]
            if index == 1 and place is not None:
                outputs = outputs.copy()
                outputs[(0, *place)] += shift
        return -np.log(outputs[0, rows.y[3]])

    h = 1e-5
    x = rows.x[3:4].astype(float)
    for pixel in (20, 27, 43):
        step = np.zeros_like(x)
        step[0, pixel] = h
        slope = (loss(x + step) - loss(x - step)) / (2 * h)
        assert arrays["picture.saliency"].ravel()[pixel] == pytest.approx(abs(slope), rel=1e-3, abs=1e-7)
    maps = arrays["picture.maps.1"]
    slopes = [(loss(x, h, place) - loss(x, -h, place)) / (2 * h) for place in ((2, 3, 0), (3, 3, 1), (4, 4, 2))]
    shares = [maps[c, i, j] / 127.5 - 1 for i, j, c in ((2, 3, 0), (3, 3, 1), (4, 4, 2))]
    scale = max(slopes, key=abs) / shares[int(np.argmax(np.abs(slopes)))]
    assert np.abs(slopes).max() > 0
    assert np.array(slopes) / scale == pytest.approx(shares, abs=0.02)


@pytest.mark.parametrize("quantity", ["gradients", "updates"])
def test_kernels_show_gradients_and_updates_of_the_last_step(pictures, quantity):
    _, arrays = frame_of(pictures, View(quantity))
    _, trace = trace_step(pictures.session.plan, pictures.last)
    tree = {"gradients": trace.grads, "updates": trace.updates}[quantity]
    assert arrays["picture.kernels.1"] == pytest.approx(tree[1].W[:, :, 0].transpose(2, 0, 1), rel=1e-4, abs=1e-9)


def test_the_first_weights_of_a_dense_network_are_pictures_too():
    spec = {**EAGER, "data": "digits", "network": ["dense 5", "relu", "dense 10", "softmax"]}
    training = LiveTraining(kept_spec(spec).spec)
    _, arrays = frame_of(training, View(picture=10**9))
    W = training.checkpoint.state.params[0].W
    assert arrays["picture.kernels.0"] == pytest.approx(W.T.reshape(5, 8, 8), rel=1e-5)
    assert not any(name.startswith("picture.maps") for name in arrays)


def test_what_takes_long_is_measured_on_fewer_rows(pictures):
    wide = {"data": "digits", "network": ["reshape 8 8 1", "conv2d 400", "relu", "flatten", "dense 10", "softmax"]}
    slow = FrameMaker(LiveTraining(kept_spec({**EAGER, **wide}).spec).session)
    quick = FrameMaker(pictures.session)
    assert len(slow.train) == slow.most_rows < len(quick.train) == len(pictures.split.train)
