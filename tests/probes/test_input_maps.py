"""Views of a trained network: they equal what the run predicts, and are there for the data that they suit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import thalweg
from thalweg.data import Preprocessing
from thalweg.models.network import Network
from thalweg.parts.layers import Affine
from thalweg.probes.input_maps import hidden_outputs, plane_of, weight_images
from thalweg.runs.run import report_data_of


def trained(layers, data, **options):
    return thalweg.train(layers, data, engine="eager", progress=False, **{"epochs": 3, **options})


def grid(seen):
    return np.stack(np.meshgrid(seen.x, seen.y), axis=-1).reshape(-1, 2)


def test_the_map_of_two_inputs_is_what_the_run_predicts_in_the_units_of_the_data():
    rng = np.random.default_rng(0)
    x = rng.normal([100.0, -3.0], [20.0, 0.1], size=(120, 2))
    y = (x[:, 0] > 100).astype(int)
    run = trained(["dense 5", "tanh", "dense 2", "softmax"], (x, y))
    account = report_data_of(run)
    seen = account.input_map
    np.testing.assert_allclose(seen.outputs.reshape(-1, 2), run.predict_outputs(grid(seen)), atol=1e-4)
    np.testing.assert_allclose(seen.points, account.samples, rtol=1e-5)
    np.testing.assert_array_equal(seen.true, account.true)
    low = seen.points.min(axis=0)
    high = seen.points.max(axis=0)
    assert ((low > [seen.x[0], seen.y[0]]) & (high < [seen.x[-1], seen.y[-1]])).all()
    assert seen.explained == ()


def test_a_hidden_unit_is_its_own_activation():
    run = trained(["dense 20", "tanh", "dense 2", "softmax"], "rings 100")
    seen = report_data_of(run).input_map
    places = np.stack(np.meshgrid(seen.unit_x, seen.unit_y), axis=-1)
    W, b = run.params[0]
    np.testing.assert_allclose(np.moveaxis(seen.units, 0, -1), np.tanh(places @ W + b)[..., :16], atol=1e-5)
    assert seen.all_units == 20


def test_xor_by_hand_says_yes_between_two_lines():
    # z = relu(s) - 2 relu(s - 1) - 1/2 with s = x0 + x1: above 0 where 1/2 < s < 3/2.
    run = trained(["dense 2", "relu", "dense 1"], "xor")
    first = Affine(np.ones((2, 2)), np.array([0.0, -1.0]))
    params = (first, (), Affine(np.array([[1.0], [-2.0]]), np.array([-0.5])))
    run = dataclasses.replace(run, state=run.state._replace(params=params))
    account = report_data_of(run)
    seen = account.input_map
    s = account.input_map.x + account.input_map.y[:, None]
    sure = np.minimum(np.abs(s - 0.5), np.abs(s - 1.5)) > 1e-5
    yes = seen.outputs[..., 0] > account.threshold
    np.testing.assert_array_equal(yes[sure], ((s > 0.5) & (s < 1.5))[sure])
    s = seen.unit_x + seen.unit_y[:, None]
    np.testing.assert_allclose(seen.units, np.maximum([s, s - 1], 0), atol=1e-6)
    assert (account.predicted == account.true).all()


@pytest.mark.parametrize("layers", [["dense 1", "sigmoid"], ["dense 2", "softmax"], ["products", "dense 1"]])
def test_a_network_without_a_hidden_layer_has_no_hidden_units(layers):
    network = Network(layers)
    start = network.initialize(0, (2,))
    assert hidden_outputs(network, start.params, start.states) is None


def test_principal_axes_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5)) @ np.diag([5.0, 0.1, 2.0, 1.0, 0.5]) + 3.0
    fitted, _ = Preprocessing.fit(x, np.arange(300) % 2, "classification", "none")
    plane = plane_of(fitted, fitted.dataset(x, np.arange(300) % 2))
    pca = PCA(2).fit(x)
    places = plane.places(x)
    expected = pca.transform(x)
    np.testing.assert_allclose(np.abs(places), np.abs(expected), atol=1e-5)
    np.testing.assert_allclose(plane.explained, pca.explained_variance_ratio_, rtol=1e-6)
    # Places of the plane lie on it.
    s = np.array([-1.0, 2.0])
    t = np.array([0.5])
    np.testing.assert_allclose(plane.places(plane.inputs(s, t)), [[-1.0, 0.5], [2.0, 0.5]], atol=1e-5)


def test_the_map_on_principal_axes_is_what_the_network_answers_there():
    run = trained(["dense 6", "relu", "dense 3", "softmax"], "iris")
    account = report_data_of(run)
    seen = account.input_map
    plane = plane_of(run.preprocessing, run.split.train)
    inputs = plane.inputs(seen.x, seen.y)
    np.testing.assert_allclose(seen.outputs.reshape(-1, 3), run.outputs_of(inputs), atol=1e-6)
    assert seen.explained[0] > seen.explained[1]
    assert 0.9 < sum(seen.explained) < 1
    assert seen.units is None


def test_a_surface_and_a_curve_are_what_the_run_predicts():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2)) * 7
    run = trained(["dense 3", "tanh", "dense 1"], (x, 50 + x[:, 0]))
    seen = report_data_of(run).input_map
    np.testing.assert_allclose(seen.outputs.ravel(), run.predict(grid(seen)), rtol=1e-4)
    run = trained(["dense 3", "tanh", "dense 1"], (x[:, :1], 50 + x[:, 0]))
    account = report_data_of(run)
    assert account.input_map is None
    np.testing.assert_allclose(account.curve.values[:, 0], run.predict(account.curve.x[:, None]), rtol=1e-4)
    np.testing.assert_allclose(account.curve.true, account.true)


def test_weight_images_are_the_columns_of_the_first_layer_the_largest_first():
    run = trained(["dense 40", "relu", "dense 10", "softmax"], "digits")
    weights = report_data_of(run).weights
    W = run.params[0].W
    assert weights.all_units == 40
    for unit, picture in zip(weights.units, weights.pictures, strict=True):
        np.testing.assert_array_equal(picture, W[:, unit].reshape(8, 8))
    norms = np.linalg.norm(W, axis=0)
    np.testing.assert_array_equal(norms[weights.units], np.sort(norms)[::-1][:32])
    assert report_data_of(run).input_map is None


def test_weights_of_another_width_than_the_picture_are_none():
    assert weight_images((Affine(np.ones((5, 2)), np.zeros(2)),), (2, 2)) is None


RNG = np.random.default_rng(1)
WIDE = RNG.normal(size=(60, 101))
LABELS = RNG.integers(0, 2, (60, 3))


@pytest.mark.parametrize(
    ("data", "there"),
    [
        ("rings 100", {"input_map"}),
        ("iris", {"input_map"}),
        ("digits", {"weights"}),
        ("wave 50", {"curve"}),
        ("plane 50", {"input_map"}),
        ("diabetes", set()),
        ((WIDE, LABELS[:, 0]), set()),
        ((WIDE[:, :2], LABELS), set()),
        ((WIDE[:, :1], LABELS[:, 0]), set()),
        ((WIDE[:, [0, 0, 0]], LABELS[:, 0]), set()),
    ],
    ids=["rings", "iris", "digits", "wave", "plane", "diabetes", "101 inputs", "labels", "one input", "on one line"],
)
def test_there_is_what_suits_the_data(data, there):
    account = report_data_of(trained(None, data, epochs=1))
    assert {name for name in ("input_map", "curve", "weights") if getattr(account, name) is not None} == there


def test_many_samples_are_thinned_and_it_is_known():
    x = np.random.default_rng(0).normal(size=(11_000, 2))
    account = report_data_of(trained(["dense 1", "sigmoid"], (x, (x[:, 0] > 0).astype(int)), epochs=1, batch_size=1000))
    assert account.input_map.every == 3
    np.testing.assert_array_equal(account.input_map.true, account.true[::3])
