"""The theory of wide layers: against integrals, by hand, and against what wide layers with random weights do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from thalweg import layers
from thalweg.models.mean_field import predicted
from thalweg.models.network import Network
from thalweg.parts.layers import Affine
from thalweg.parts.layers.stack import mean_field
from thalweg.parts.part import ForwardContext

SMOOTH = [layers.Sigmoid(), layers.Tanh(), layers.GELU(), layers.Softplus(), layers.Swish(), layers.Identity()]
KINKED = [layers.ReLU(), layers.LeakyReLU(0.2), layers.ELU(), layers.SELU()]


@pytest.mark.parametrize("square", [0.01, 1.0, 9.0])
@pytest.mark.parametrize("activation", SMOOTH + KINKED, ids=lambda part: part.kind)
def test_an_activation_is_the_integral_over_the_normal_distribution(activation, square):
    def mean(function):
        return sum(
            quad(lambda z: norm.pdf(z) * function(np.sqrt(square) * z), *ends)[0] for ends in ((-12, 0), (0, 12))
        )

    found = activation.mean_field([()], square)
    assert found.square == pytest.approx(mean(lambda z: activation.value(z) ** 2), rel=1e-3)
    expected = mean(lambda z: activation.derivative(z, activation.value(z)) ** 2)
    assert found.factor == pytest.approx(expected, rel=1e-3)


def test_dense_layers_normalisation_and_dropout_by_hand():
    params = Affine(np.array([[1.0, -1.0, 2.0], [0.0, 2.0, 2.0]]), np.array([3.0, 0.0, 0.0]))
    # mean W² = 14/6, mean b² = 3.
    assert layers.Dense(3).mean_field([params], 0.5) == pytest.approx((2 * 14 / 6 * 0.5 + 3, 3 * 14 / 6))
    assert layers.BatchNorm().mean_field([()], 4.0) == pytest.approx((1.0, 0.25))
    assert layers.Dropout(0.2).mean_field([()], 4.0) == pytest.approx((5.0, 1.25))
    assert layers.GaussianNoise(0.5).mean_field([()], 4.0) == pytest.approx((4.25, 1.0))


def test_a_residual_block_adds_its_own_to_what_goes_around():
    block = layers.Residual(["dense 3", "relu"])
    W = np.full((3, 3), 0.5)
    params = layers.Branch((Affine(W, np.zeros(3)), ()), ())
    # Dense: 3/4 s and 3/4; ReLU halves either.
    assert block.mean_field([params], 2.0) == pytest.approx((2.0 + 0.75, 1 + 0.375), rel=1e-3)


def test_a_layer_without_theory_leaves_the_stack_without():
    stack = [layers.Identity(), layers.Softmax(), layers.Identity()]
    assert layers.Softmax().mean_field([()], 1.0) is None
    assert mean_field(stack, [[(), (), ()]], 1.0) is None
    assert np.isnan(predicted(stack, [[(), (), ()]], 1.0, [0, 2])).all()
    # Of zeros, normalisation knows no scale.
    assert layers.LayerNorm().mean_field([()], 0.0) is None


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_what_is_predicted_is_what_wide_layers_do(activation):
    network = Network(["dense 400", activation] * 3, init="normal 0.07", bias_init="normal 0.2")
    x = np.random.default_rng(0).normal(size=(200, 300))
    draws = []
    outputs = []
    deltas = []
    stages = [0, 2, 4]
    for seed in range(3):
        start = network.initialize(seed, (300,))
        found = network.forward(start.params, start.states, x, ForwardContext(training=True))
        delta = np.random.default_rng(seed).normal(size=(200, 400))
        back, _ = network.backward(start.params, found.caches, delta)
        draws.append(start.params)
        outputs.append([np.mean(np.square(found.outputs[stage])) for stage in stages])
        deltas.append([np.mean(np.square(back[stage])) for stage in stages])
    theory, parts = predicted(network.layers, draws, np.mean(np.square(x)), stages)
    np.testing.assert_allclose(np.sqrt(np.mean(outputs, axis=0)), theory, rtol=0.05)
    measured = np.sqrt(np.mean(deltas, axis=0))
    np.testing.assert_allclose(measured / measured[-1], parts, rtol=0.05)
