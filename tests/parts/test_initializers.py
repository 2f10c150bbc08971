"""Every initializer: moments of big draws, bounds, shapes, seeds, and what the scale is for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from parts_table import INITIALIZERS, name_of

from thalweg import initializers as init
from thalweg import layers
from thalweg.core.errors import InputError
from thalweg.core.noise import generator
from thalweg.models.network import Network, default_initializer
from thalweg.parts.initializers import fans
from thalweg.parts.part import ForwardContext

every_initializer = pytest.mark.parametrize("entry", INITIALIZERS, ids=name_of)

# A right initializer's sample mean and variance lie within five standard errors but once in two million draws.
SIGMAS = 5


@every_initializer
def test_mean_and_variance_of_a_big_draw(entry):
    for shape in entry.shapes:
        values = entry.part(np.random.default_rng(0), shape)
        variance = entry.variance(*fans(shape))
        n = values.size
        assert values.shape == shape
        assert values.dtype == np.float64
        assert abs(values.mean() - entry.mean) <= SIGMAS * math.sqrt(variance / n) + 1e-15
        spread = SIGMAS * variance * math.sqrt((entry.kurtosis - 1) / n)
        assert abs(np.mean((values - entry.mean) ** 2) - variance) <= spread + 1e-15


@pytest.mark.parametrize("entry", [e for e in INITIALIZERS if e.bound], ids=name_of)
def test_numbers_keep_within_the_bound_and_come_near_it(entry):
    for shape in entry.shapes:
        far = np.abs(entry.part(np.random.default_rng(1), shape) - entry.mean).max()
        assert 0.99 * entry.bound(*fans(shape)) < far <= entry.bound(*fans(shape))


@pytest.mark.parametrize(
    "entry",
    [
        e
        for e in INITIALIZERS
        if e.kurtosis == 3 and e.variance(1, 1) > 0 and not e.bound and e.part.kind != "orthogonal"
    ],
    ids=name_of,
)
def test_normal_initializers_are_normal(entry):
    stats = pytest.importorskip("scipy.stats")
    values = entry.part(np.random.default_rng(2), (100, 50)).ravel()
    scale = math.sqrt(entry.variance(100, 50))
    assert stats.kstest(values, stats.norm(entry.mean, scale).cdf).pvalue > 1e-4


@every_initializer
def test_one_seed_gives_the_same_numbers_and_another_seed_others(entry):
    shape = entry.shapes[0]
    first, again, other = (entry.part(np.random.default_rng(seed), shape) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    fixed = entry.part.kind in {"zeros", "ones", "constant", "given"}
    assert np.array_equal(first, other) == fixed


@pytest.mark.parametrize("kind", ["glorot_uniform", "glorot_normal", "he_normal", "lecun_normal", "orthogonal"])
@pytest.mark.parametrize("shape", [(1,), (5,), (1, 1), (1, 7), (7, 1)])
def test_biases_and_single_units_get_finite_numbers(kind, shape):
    values = init.Initializer.of(kind)(np.random.default_rng(0), shape)
    assert values.shape == shape
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((784, 256), (784, 256)), ((3, 3, 16, 32), (144, 288)), ((5, 4, 2), (20, 10)), ((7,), (7, 7)), ((), (1, 1))],
)
def test_fans_of_dense_and_convolution_shapes(shape, expected):
    assert fans(shape) == expected


def test_fans_are_pytorchs():
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    # PyTorch keeps (out, in, *window).
    theirs = torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(32, 16, 3, 3))
    assert fans((3, 3, 16, 32)) == theirs


@pytest.mark.parametrize(
    ("shape", "flat"),
    [((6, 4), (6, 4)), ((4, 6), (4, 6)), ((5, 5), (5, 5)), ((3, 3, 2, 8), (18, 8)), ((2, 2, 2, 30), (8, 30))],
)
def test_orthogonal_has_orthonormal_rows_or_columns_times_the_gain(shape, flat):
    Q = init.Orthogonal(2.0)(np.random.default_rng(0), shape).reshape(flat)
    product = Q.T @ Q if flat[0] >= flat[1] else Q @ Q.T
    np.testing.assert_allclose(product, 4 * np.eye(min(flat)), atol=1e-13)


def test_orthogonal_prefers_no_sign():
    # Without Mezzadri's correction the diagonal of Q has one sign (LAPACK makes R's diagonal negative).
    rng = np.random.default_rng(0)
    first = [init.Orthogonal()(rng, (3, 3))[0, 0] for _ in range(400)]
    assert 150 < sum(value > 0 for value in first) < 250


def test_given_refuses_another_shape():
    with pytest.raises(InputError, match=r"\(3, 2\).*\(2, 2\)"):
        init.Given(((1, 2), (3, 4)))(np.random.default_rng(0), (3, 2))


def test_given_refuses_rows_of_different_lengths():
    with pytest.raises(InputError, match="equal length"):
        init.Given(((1, 2), (3,)))


def test_uniform_refuses_bounds_in_the_wrong_order():
    with pytest.raises(InputError, match="low <= high"):
        init.Uniform(0.5, -0.5)


# Defaults and what they are for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("following", "expected"),
    [
        ([layers.ReLU()], init.HeNormal()),
        ([layers.LeakyReLU(0.2), layers.Dense(1)], init.HeNormal(0.2)),
        ([layers.LeakyReLU()], init.HeNormal(0.01)),
        ([layers.ELU()], init.HeNormal()),
        ([layers.GELU()], init.HeNormal()),
        ([layers.Swish()], init.HeNormal()),
        ([layers.Softplus()], init.HeNormal()),
        ([layers.SELU()], init.LeCunNormal()),
        ([layers.Tanh()], init.GlorotUniform()),
        ([layers.Sigmoid()], init.GlorotUniform()),
        ([layers.Softmax()], init.GlorotUniform()),
        ([layers.Dense(3), layers.ReLU()], init.GlorotUniform()),
        ([], init.GlorotUniform()),
    ],
    ids=str,
)
def test_default_initializer_suits_the_next_activation(following, expected):
    assert default_initializer(following) == expected


def test_each_layer_is_drawn_by_its_default_from_its_own_stream():
    network = Network(["dense 5", "relu", "dense 4", "tanh", "dense 2"])
    params = network.initialize(seed=11, shape=(3,)).params
    for index, rule, shape in (
        (0, init.HeNormal(), (3, 5)),
        (2, init.GlorotUniform(), (5, 4)),
        (4, init.GlorotUniform(), (4, 2)),
    ):
        np.testing.assert_array_equal(params[index].W, rule(generator(11, "weights", index), shape))
        assert not params[index].b.any()


def test_a_layers_own_initializer_goes_before_the_networks_and_that_before_the_default():
    own = layers.Dense(2, init=init.Ones(), bias_init=init.Constant(3.0))
    network = Network((own, layers.ReLU(), layers.Dense(2)), init=init.Constant(5.0), bias_init=init.Constant(7.0))
    first, _, second = network.initialize(0, (1,)).params
    assert (first.W.tolist(), first.b.tolist()) == ([[1, 1]], [3, 3])
    assert (second.W.tolist(), second.b.tolist()) == ([[5, 5]] * 2, [7, 7])


def mean_square_after(depth: int, activation: layers.Layer, rule: init.Initializer, width: int = 300) -> float:
    """The mean square of the last net input over that of the first, in a stack of layers of so many units."""
    network = Network([layers.Dense(width), activation] * depth, init=rule)
    start = network.initialize(0, (width,))
    x = np.random.default_rng(0).normal(size=(100, width))
    outputs = network.forward(start.params, start.states, x, ForwardContext(training=True)).outputs
    return float(np.mean(outputs[-2] ** 2) / np.mean(outputs[0] ** 2))


def test_he_keeps_the_signal_through_twenty_relu_layers_and_glorot_halves_it_at_each():
    assert 1 / 3 < mean_square_after(20, layers.ReLU(), init.HeNormal()) < 3
    assert 1 / 3 < mean_square_after(20, layers.ReLU(), init.HeUniform()) < 3
    assert 1 / 3 < mean_square_after(20, layers.ReLU(), init.GlorotNormal()) * 2**19 < 3


def test_hes_slope_keeps_the_signal_through_leaky_relus():
    assert 1 / 3 < mean_square_after(20, layers.LeakyReLU(0.5), init.HeNormal(0.5)) < 3


def test_lecun_keeps_the_signal_through_twenty_selu_layers():
    assert 1 / 3 < mean_square_after(20, layers.SELU(), init.LeCunNormal()) < 3


def test_orthogonal_keeps_lengths_exactly_through_a_linear_stack():
    assert mean_square_after(20, layers.Identity(), init.Orthogonal(), width=60) == pytest.approx(1, rel=1e-12)
