"""The factors that a layer names are those that its backward pass multiplies with delta."""

from __future__ import annotations

import numpy as np
import pytest
from parts_table import LAYERS, name_of

from thalweg import layers
from thalweg.core.noise import Noise, noise_key
from thalweg.models.network import Network
from thalweg.parts.part import ForwardContext, Layer

X = np.random.default_rng(0).normal(size=(5, 4))
DELTA = np.random.default_rng(1).normal(size=(5, 4))


def passed(part: Layer):
    """(parameters, cache, dL/dx, gradients) of a layer of width 4 on five rows."""
    start = Network([part]).initialize(0, (4,))
    context = ForwardContext(True, np.ones(5), Noise(noise_key(0), np.array(0)))
    _, _, cache = part.forward(start.params[0], start.states[0], X, context)
    return start.params[0], cache, *part.backward(start.params[0], cache, DELTA)


def factors(part: Layer, params, cache):
    return {factor.symbol: factor for factor in part.local_factors(params, cache, DELTA)}


@pytest.mark.parametrize("entry", [e for e in LAYERS if isinstance(e.part, layers.Activation)], ids=name_of)
def test_an_activation_multiplies_delta_with_its_slope(entry):
    params, cache, dx, _ = passed(entry.part)
    (slope,) = entry.part.local_factors(params, cache, DELTA)
    np.testing.assert_array_equal(DELTA * slope.values, dx)
    assert (entry.part.input_symbol, entry.part.output_symbol) == ("z", "y")


def test_softmax_names_its_outputs():
    params, cache, dx, _ = passed(layers.Softmax())
    y = factors(layers.Softmax(), params, cache)["y"].values
    np.testing.assert_allclose(y.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(y * (DELTA - (DELTA * y).sum(axis=1, keepdims=True)), dx, rtol=1e-12)


def test_dense_names_its_input():
    part = layers.Dense(4)
    params, cache, _, grads = passed(part)
    np.testing.assert_allclose(factors(part, params, cache)["x"].values.T @ DELTA, grads.W, rtol=1e-12)
    assert (part.input_symbol, part.output_symbol) == ("x", "z")


def test_dropout_names_its_mask_also_for_the_forward_pass():
    part = layers.Dropout(0.5)
    params, cache, dx, _ = passed(part)
    mask = factors(part, params, cache)["m"]
    assert mask.in_forward
    np.testing.assert_array_equal(DELTA * mask.values, dx)


def test_batch_norm_has_one_scale_for_the_batch():
    part = layers.BatchNorm()
    params, cache, dx, grads = passed(part)
    found = factors(part, params, cache)
    assert found["xhat"].by_sample
    assert not found["s"].by_sample
    np.testing.assert_allclose((DELTA * found["xhat"].values).sum(axis=0), grads.gamma, rtol=1e-12)
    pull = (grads.beta + found["xhat"].values * grads.gamma) / len(X)
    np.testing.assert_allclose(found["s"].values * (DELTA - pull), dx, rtol=1e-12)


def test_layer_norm_has_one_scale_for_each_row():
    part = layers.LayerNorm()
    params, cache, dx, _ = passed(part)
    xhat, scale = (factors(part, params, cache)[symbol] for symbol in ("xhat", "s"))
    assert scale.by_sample
    assert scale.values.shape == (5, 1)
    pull = DELTA.mean(axis=1, keepdims=True)
    pull = pull + xhat.values * (DELTA * xhat.values).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(scale.values * (DELTA - pull), dx, rtol=1e-12)


def test_a_residual_block_names_what_passes_through_its_layers():
    part = layers.Residual(["dense 4", "tanh"])
    params, cache, dx, _ = passed(part)
    np.testing.assert_allclose(factors(part, params, cache)["(df/dx)ᵀ d"].values + DELTA, dx, rtol=1e-12)
