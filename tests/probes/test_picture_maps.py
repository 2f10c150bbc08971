"""Kernels, feature maps and saliency of networks of pictures."""

import numpy as np
import pytest
import scipy.signal

from thalweg.data import Dataset
from thalweg.engine.step import fused
from thalweg.models.network import Network
from thalweg.parts.losses import CrossEntropy, as_targets
from thalweg.parts.part import ForwardContext
from thalweg.probes.picture_maps import feature_maps, input_gradient, kernel_images, saliency

LAYERS = [
    "reshape 6 7 2",
    "conv2d 5 3 1 1",
    "batch_norm",
    "tanh",
    "max_pool2d",
    "flatten",
    "dropout 0.5",
    "dense 3",
    "softmax",
]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 84))
Y = np.arange(9) % 3
DATA = Dataset(X, Y, "classification", image_shape=(6, 7, 2), precision="float64")


@pytest.fixture
def trained():
    network, loss = fused(Network(LAYERS), CrossEntropy())
    start = network.initialize(0, (84,))
    return network, loss, start.params, start.states


def test_the_gradient_of_the_input_is_that_of_finite_differences(trained):
    network, loss, params, states = trained

    def losses(x):
        outputs = network.forward(params, states, x, ForwardContext(training=False)).outputs[-1]
        return loss.terms(outputs, as_targets(outputs, Y))[0]

    found = input_gradient(network, loss, params, states, X, Y)
    step = 1e-6
    for feature in RNG.choice(84, 12, replace=False):
        moved = np.eye(84)[feature] * step
        np.testing.assert_allclose(
            found[:, feature], (losses(X + moved) - losses(X - moved)) / (2 * step), rtol=1e-5, atol=1e-8
        )


def test_saliency_is_the_mean_of_the_largest_channel_by_class(trained):
    found = saliency(*trained, DATA)
    slopes = np.abs(input_gradient(*trained, X, Y)).reshape(9, 6, 7, 2).max(axis=3)
    assert found.classes.tolist() == [0, 1, 2]
    assert found.rows == 9
    for label, own in zip(found.classes, found.maps, strict=True):
        mean = slopes[label == Y].mean(axis=0)
        np.testing.assert_allclose(own, mean / mean.max(), rtol=1e-12)


def test_feature_maps_are_scipys_correlations_in_the_order_of_the_kernels(trained):
    network, _, params, states = trained
    kernels = kernel_images(params)
    found = feature_maps(network, params, states, DATA, sample=4)
    assert kernels.all_units == 5
    assert found.units.tolist() == kernels.units.tolist()
    norms = np.linalg.norm(params[1].W.reshape(-1, 5), axis=0)
    np.testing.assert_array_equal(norms[kernels.units], np.sort(norms)[::-1])
    x = X[4].reshape(6, 7, 2)
    for unit, own, kernel in zip(found.units, found.maps, kernels.pictures, strict=True):
        W = params[1].W[..., unit]
        expected = sum(scipy.signal.correlate2d(x[..., c], W[..., c], mode="same") for c in range(2))
        np.testing.assert_allclose(own, expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(kernel, W.mean(axis=2), rtol=1e-12)


def test_rows_of_numbers_and_networks_without_a_convolution_have_none():
    network = Network(["dense 3", "softmax"])
    params, states, _ = network.initialize(0, (84,))
    rows = Dataset(X, Y, "classification")
    assert kernel_images(params) is None
    assert feature_maps(network, params, states, DATA) is None
    assert saliency(network, CrossEntropy(), params, states, rows) is None
    assert saliency(network, CrossEntropy(), params, states, DATA).maps.shape == (3, 6, 7)


def test_single_pixels_are_no_pictures_of_kernels():
    params, _, _ = Network(["conv2d 2 1"]).initialize(0, (4, 4, 1))
    assert kernel_images(params) is None
