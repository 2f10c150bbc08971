"""Every layer: values against PyTorch, derivatives against finite differences, jax.grad and the adjoint identity."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parts_table import DENSE, LAYERS, LayerEntry, name_of

from thalweg import layers
from thalweg.core.errors import InputError
from thalweg.core.functions import product, transposed_product
from thalweg.parts.initializers import Constant, Ones, Zeros
from thalweg.parts.layers import Affine
from thalweg.parts.part import ForwardContext, InitContext, Initializer

TRAINING = ForwardContext(training=True)
every_layer = pytest.mark.parametrize("entry", LAYERS, ids=name_of)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 5))


def points(entry: LayerEntry, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Random arguments, away from 0 where the derivative jumps there."""
    z = rng.normal(size=shape) * 2
    return np.where(z >= 0, z + 0.1, z - 0.1) if entry.kink else z


def draw(weights: Initializer, bias: Initializer) -> InitContext:
    return InitContext(np.random.default_rng(0), lambda following: weights, bias)


def value(part: layers.Activation, z: np.ndarray) -> np.ndarray:
    return part.forward((), (), z, TRAINING)[0]


def pull_back(part: layers.Activation, z: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Jᵀ delta at z."""
    return part.backward((), part.forward((), (), z, TRAINING)[2], delta)[0]


def differences(function, x: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """The gradient of a scalar function by central differences."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[place] = h
        gradient[place] = (function(x + e) - function(x - e)) / (2 * h)
    return gradient


@every_layer
def test_value_is_pytorchs(entry, on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    z = np.random.default_rng(0).normal(size=(7, 4)) * 3
    expected = entry.torch(torch, torch.tensor(z)).numpy()
    np.testing.assert_allclose(on(lambda z: value(entry.part, z), z), expected, rtol=1e-12, atol=1e-15)


@every_layer
def test_backward_is_pytorchs(entry, on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    rng = np.random.default_rng(1)
    z = points(entry, rng, (5, 4))
    v = rng.normal(size=(5, 4))
    argument = torch.tensor(z, requires_grad=True)
    output = entry.torch(torch, argument)
    expected = np.zeros_like(z)
    if output.requires_grad:
        output.backward(torch.tensor(v))
        expected = argument.grad.numpy()
    np.testing.assert_allclose(on(lambda z, v: pull_back(entry.part, z, v), z, v), expected, rtol=1e-9, atol=1e-14)


@every_layer
def test_backward_is_the_finite_difference_of_forward(entry, on):
    @settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(shapes, st.integers(0, 99))
    def holds(shape, seed):
        rng = np.random.default_rng(seed)
        z = points(entry, rng, shape)
        v = rng.normal(size=shape)
        numeric = differences(lambda z: np.sum(v * value(entry.part, z)), z)
        np.testing.assert_allclose(on(lambda z, v: pull_back(entry.part, z, v), z, v), numeric, rtol=1e-6, atol=1e-7)

    holds()


@every_layer
def test_backward_is_jax_grad_of_forward(entry):
    rng = np.random.default_rng(2)
    z = points(entry, rng, (4, 3))
    v = rng.normal(size=(4, 3))
    with jax.enable_x64(True):
        expected = jax.grad(lambda z: (v * value(entry.part, z)).sum())(z)
    np.testing.assert_allclose(pull_back(entry.part, z, v), expected, rtol=1e-9, atol=1e-13)


@every_layer
def test_backward_is_the_adjoint_of_the_directional_derivative(entry, on):
    rng = np.random.default_rng(3)
    z = points(entry, rng, (4, 3))
    u, v = rng.normal(size=(2, 4, 3))
    with jax.enable_x64(True):
        _, forward = jax.jvp(lambda z: value(entry.part, z), (z,), (u,))
    back = on(lambda z, v: pull_back(entry.part, z, v), z, v)
    np.testing.assert_allclose(np.sum(back * u), np.sum(v * np.asarray(forward)), rtol=1e-9, atol=1e-13)


def motion(part: layers.Activation, z: np.ndarray, moved: np.ndarray, delta: np.ndarray):
    """How value and pull_back move while z moves along `moved`."""
    cache = part.forward((), (), z, TRAINING)[2]
    bent, grads = part.backward_jvp((), cache, (), moved, delta)
    assert grads == ()
    return part.jvp((), cache, (), moved), bent


@every_layer
def test_tangent_and_bend_are_the_directional_derivatives_of_both_ways(entry, on):
    rng = np.random.default_rng(4)
    z = points(entry, rng, (4, 3))
    u, v = rng.normal(size=(2, 4, 3))
    with jax.enable_x64(True):
        _, tangent = jax.jvp(lambda z: value(entry.part, z), (z,), (u,))
        # The second derivative of the value alone, whatever the layer's own backward says.
        _, bend = jax.jvp(jax.grad(lambda z: (v * value(entry.part, z)).sum()), (z,), (u,))
    found = on(lambda *arrays: motion(entry.part, *arrays), z, u, v)
    np.testing.assert_allclose(found[0], tangent, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(found[1], bend, rtol=1e-9, atol=1e-13)


@every_layer
def test_the_bend_at_extreme_arguments_is_finite(entry, on):
    z = np.array([[-1000.0, -40.0, -0.0, 0.0, 1e-300, entry.largest]])
    tangent, bend = on(lambda z: motion(entry.part, z, z * 0 + 1, z * 0 + 1), z)
    assert np.isfinite(tangent).all()
    assert np.isfinite(bend).all()


@every_layer
def test_extreme_arguments_give_finite_numbers(entry, on):
    big = entry.largest
    z = np.array([[-1000.0, -700.0, -40.0], [-1e-300, -0.0, 0.0], [1e-300, 40.0, big], [big, big, big]])
    y, back = on(lambda z: (value(entry.part, z), pull_back(entry.part, z, z * 0 + 1)), z)
    assert np.isfinite(y).all()
    assert np.isfinite(back).all()


@every_layer
def test_float32_stays_float32(entry):
    z = np.array([[-1.0, 0.5]], np.float32)
    assert value(entry.part, z).dtype == np.float32
    assert pull_back(entry.part, z, z).dtype == np.float32
    assert {moved.dtype for moved in motion(entry.part, z, z, z)} == {np.dtype(np.float32)}


@every_layer
def test_a_layer_without_parameters_has_empty_gradients_and_keeps_the_shape(entry):
    assert entry.part.initialize(draw(Zeros(), Zeros()), (3,)) == ((), (), (3,))
    _, state, cache = entry.part.forward((), (), np.ones((2, 3)), TRAINING)
    assert state == ()
    assert entry.part.gradients((), cache, np.ones((2, 3))) == ()


ACTIVATIONS = [entry for entry in LAYERS if isinstance(entry.part, layers.Activation)]
every_activation = pytest.mark.parametrize("entry", ACTIVATIONS, ids=name_of)


def samples(entry: LayerEntry) -> np.ndarray:
    """Arguments from far below to far above 0, dense near it."""
    far = min(entry.largest, 700.0)
    return np.concatenate([np.linspace(-10, 10, 200_001), -np.geomspace(10, 700, 99), np.geomspace(10, far, 99)])


@every_activation
def test_the_output_range_holds_all_outputs_and_no_more(entry):
    z = samples(entry)
    if all(map(math.isfinite, entry.part.output_range)):
        # An algebraic approach to a bound is slower than an exponential one.
        z = np.concatenate([z, [-1e5, 1e5]])
    y = entry.part.value(z)
    for bound, extreme in zip(entry.part.output_range, (y.min(), y.max()), strict=True):
        if math.isfinite(bound):
            assert extreme == pytest.approx(bound, abs=1e-6)
        else:
            # The least steep of them, z/2 or the leaky side, is far out at the last sample.
            assert np.sign(extreme) == np.sign(bound)
            assert abs(extreme) > 6


@every_activation
def test_the_steepest_slope_is_the_largest_derivative(entry):
    z = samples(entry)
    slopes = np.abs(entry.part.derivative(z, entry.part.value(z)))
    if math.isfinite(entry.part.steepest_slope):
        assert slopes.max() == pytest.approx(entry.part.steepest_slope, rel=1e-6)
    else:
        assert slopes.max() > 1e9


@every_activation
def test_an_activation_saturates_where_a_slope_vanishes_on_both_sides(entry):
    z = np.array([-300.0, 0.1, 300.0])
    low, middle, high = np.abs(entry.part.derivative(z, entry.part.value(z)))
    assert entry.part.saturates == (low < 1e-9 < middle and high < 1e-9)


@every_activation
def test_units_can_die_where_a_slope_is_0_on_one_side_only(entry):
    z = np.array([[-9.0, -3.0, -1.0], [1.0, 3.0, 9.0]])
    passes = (entry.part.derivative(z, entry.part.value(z)) != 0).any(axis=1)
    assert entry.part.can_die == (passes[0] != passes[1])


@every_activation
def test_only_the_identity_returns_its_inputs(entry):
    z = np.array([[-3.0, -0.1, 0.2, 5.0]])
    assert entry.part.is_identity == np.array_equal(entry.part.value(z), z)


@every_layer
def test_the_suited_initializer_is_that_of_the_table(entry):
    assert entry.part.suited_initializer == entry.initializer
    assert not entry.part.transparent


def test_softmax_alone_sums_to_one():
    z = np.random.default_rng(5).normal(size=(50, 4)) * 9
    for entry in LAYERS:
        y = value(entry.part, z)
        assert entry.part.sums_to_one == (np.allclose(y.sum(axis=1), 1) and bool((y >= 0).all()))
    assert layers.Softmax().output_range == (0.0, 1.0)


@pytest.mark.parametrize("beta", [0.0, -3.0])
def test_swish_turns_round_with_its_factor(beta):
    part = layers.Swish(beta)
    z = np.linspace(-99, 99, 400_001)
    y = part.value(z)
    low, high = part.output_range
    assert (y.min() < -40) if beta == 0 else y.min() < -90
    assert low == -math.inf
    assert (y.max() > 40 and high == math.inf) if beta == 0 else y.max() == pytest.approx(high, rel=1e-6)
    assert np.abs(part.derivative(z, y)).max() == pytest.approx(part.steepest_slope, rel=1e-6)


@pytest.mark.parametrize("part", [layers.Step(), layers.Sign()], ids=["step", "sign"])
def test_step_and_sign_pass_no_gradient(part, on):
    z = np.array([[-2.0, 0.0, -0.0, 3.0]])
    assert (on(lambda z: pull_back(part, z, z * 0 + 5), z) == 0).all()


def test_step_is_one_at_zero_and_sign_is_zero(on):
    z = np.array([[-1.0, -0.0, 0.0, 1.0]])
    assert on(lambda z: value(layers.Step(), z), z).tolist() == [[0, 1, 1, 1]]
    assert on(lambda z: value(layers.Sign(), z), z).tolist() == [[-1, 0, 0, 1]]


@pytest.mark.parametrize(
    ("part", "expected"),
    [(layers.Sigmoid(), math.exp(-50)), (layers.Softplus(), math.exp(-50)), (layers.Swish(), -50 * math.exp(-50))],
    ids=["sigmoid", "softplus", "swish"],
)
def test_tiny_values_keep_their_relative_accuracy(part, expected, on):
    # 1 - 1/(1 + e) in place of e/(1 + e) would give 0 here.
    np.testing.assert_allclose(on(lambda z: value(part, z), np.array([[-50.0]])), [[expected]], rtol=1e-14)


def test_relu_has_the_slope_zero_at_zero(on):
    z = np.array([[-0.0, 0.0]])
    assert on(lambda z: pull_back(layers.ReLU(), z, z + 1), z).tolist() == [[0, 0]]


def test_softmax_on_one_unit_is_one_and_passes_nothing(on):
    z = np.array([[-3.0], [800.0]])
    y, back = on(lambda z: (value(layers.Softmax(), z), pull_back(layers.Softmax(), z, z)), z)
    assert y.tolist() == [[1], [1]]
    assert back.tolist() == [[0], [0]]


# Dense ----------------------------------------------------------------------------------------------------------------


def dense_case(seed: int, n: int, fan_in: int, width: int):
    rng = np.random.default_rng(seed)
    params = Affine(rng.normal(size=(fan_in, width)), rng.normal(size=width))
    return params, rng.normal(size=(n, fan_in)), rng.normal(size=(n, width))


def dense_back(params, x, v):
    part = layers.Dense(v.shape[1])
    cache = part.forward(params, (), x, TRAINING)[2]
    return part.backward(params, cache, v), part.gradients(params, cache, v)


def test_dense_is_pytorchs_linear(on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    params, x, v = dense_case(0, 6, 4, 3)
    W, b, argument = (torch.tensor(a, requires_grad=True) for a in (params.W.T, params.b, x))
    output = torch.nn.functional.linear(argument, W, b)
    output.backward(torch.tensor(v))
    z = on(lambda params, x: layers.Dense(3).forward(params, (), x, TRAINING)[0], params, x)
    (dx, grads), _ = on(dense_back, params, x, v)
    for ours, theirs in ((z, output.detach()), (dx, argument.grad), (grads.W, W.grad.T), (grads.b, b.grad)):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
def test_dense_gradients_are_finite_differences(seed, n, fan_in, width):
    params, x, v = dense_case(seed, n, fan_in, width)

    def projected(W, b, x):
        return np.sum(v * layers.Dense(width).forward(Affine(W, b), (), x, TRAINING)[0])

    (dx, grads), _ = dense_back(params, x, v)
    W, b = params
    np.testing.assert_allclose(dx, differences(lambda x: projected(W, b, x), x), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(grads.W, differences(lambda W: projected(W, b, x), W), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(grads.b, differences(lambda b: projected(W, b, x), b), rtol=1e-6, atol=1e-7)


def test_dense_backward_is_the_adjoint_in_all_arguments(on):
    params, x, v = dense_case(1, 5, 3, 2)
    du, dx, _ = dense_case(2, 5, 3, 2)

    def output(params, x):
        return layers.Dense(2).forward(params, (), x, TRAINING)[0]

    with jax.enable_x64(True):
        _, forward = jax.jvp(output, (params, x), (du, dx))
    (back, grads), _ = on(dense_back, params, x, v)
    left = np.sum(back * dx) + np.sum(grads.W * du.W) + np.sum(grads.b * du.b)
    np.testing.assert_allclose(left, np.sum(v * np.asarray(forward)), rtol=1e-12)


def test_dense_gradients_alone_are_those_of_backward(on):
    (_, grads), alone = on(dense_back, *dense_case(4, 5, 3, 2))
    assert type(alone) is type(grads) is Affine
    np.testing.assert_array_equal(grads.W, alone.W)
    np.testing.assert_array_equal(grads.b, alone.b)


def test_dense_takes_its_own_initializers_before_the_networks():
    params, state, shape = layers.Dense(2).initialize(draw(Ones(), Constant(0.5)), (3,))
    assert (params.W.tolist(), params.b.tolist(), state, shape) == ([[1, 1]] * 3, [0.5, 0.5], (), (2,))
    params, _, shape = DENSE.initialize(draw(Zeros(), Zeros()), (3,))
    assert shape == (3,)
    assert params.W.any()
    assert params.b.tolist() == [0.1] * 3


def test_dense_refuses_samples_that_are_not_flat():
    with pytest.raises(InputError, match=r"flat samples.*\(28, 28\)"):
        layers.Dense(2).initialize(draw(Zeros(), Zeros()), (28, 28))


@pytest.mark.parametrize("terms", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 5, 9000])
def test_products_written_out_are_matrix_products(on, terms, width):
    rng = np.random.default_rng(terms)
    a = rng.normal(size=(4, terms))
    b = rng.normal(size=(terms, width))
    d = rng.normal(size=(4, width))
    np.testing.assert_allclose(on(product, a, b), a @ b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(on(transposed_product, a, d), a.T @ d, rtol=1e-9, atol=1e-12)
