"""The whole network: its gradient against finite differences and against a PyTorch twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parts_table import LAYERS, LOSSES, outputs_and_targets

from thalweg.core.errors import InputError
from thalweg.core.noise import Noise, generator, noise_key
from thalweg.models.network import Network, default_initializer
from thalweg.parts.initializers import Given, GlorotUniform, HeNormal, LeCunNormal
from thalweg.parts.layers import Affine, Dense, Identity, ReLU, Sigmoid, Softplus, Tanh
from thalweg.parts.part import ForwardContext, Layer

TRAINING = ForwardContext(training=True)
# Layers whose derivative jumps are left to their own tests: a point of a stack cannot be kept off the jumps.
# Exponentials of exponentials leave the range where differences mean anything.
SMOOTH = [e.part for e in LAYERS if not e.kink and e.part.kind != "exponential"]
LAST = {"real": Identity(), "positive": Softplus(), "share": Sigmoid()}


def loss_and_gradients(network, loss, params, x, t, w):
    outputs, _, caches = network.forward(params, ((),) * len(network.layers), x, TRAINING)
    value, delta = loss(outputs[-1], t, w)
    deltas, grads = network.backward(params, caches, delta)
    return value, deltas, grads


def loss_of(network, loss, params, x, t, w) -> float:
    outputs = network.forward(params, ((),) * len(network.layers), x, TRAINING).outputs
    return float(loss(outputs[-1], t, w)[0])


@pytest.mark.parametrize("entry", LOSSES, ids=lambda entry: entry.part.kind)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_the_gradient_of_a_random_stack_is_the_finite_difference(entry, data):
    hidden = data.draw(st.lists(st.sampled_from([*SMOOTH, Dense(1), Dense(2), Dense(4)]), min_size=0, max_size=3))
    width = data.draw(st.integers(1, 3))
    n = data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    network = Network((*hidden, Dense(width), LAST[entry.outputs]))
    params = network.initialize(0, (3,)).params
    # Biases that are not 0, so that every layer has a say.
    params = tuple(p._replace(b=rng.normal(size=p.b.shape) / 2) if p else p for p in params)
    x = rng.normal(size=(n, 3))
    w = rng.uniform(0.5, 2, n)
    t = outputs_and_targets(entry, rng, n, width)[1]
    _, _, grads = loss_and_gradients(network, entry.part, params, x, t, w)
    h = 1e-6
    for index, own in enumerate(params):
        for name in own._fields if own else ():
            array = getattr(own, name)
            for place in np.ndindex(array.shape):
                values = []
                for sign in (h, -h):
                    moved = array.copy()
                    moved[place] += sign
                    changed = (*params[:index], own._replace(**{name: moved}), *params[index + 1 :])
                    values.append(loss_of(network, entry.part, changed, x, t, w))
                numeric = (values[0] - values[1]) / (2 * h)
                assert abs(getattr(grads[index], name)[place] - numeric) < 1e-6 * max(1, abs(numeric))


def test_deltas_are_the_derivatives_by_the_outputs(on):
    # deltas[i] is what the loss changes by when outputs[i] is moved: checked by running the layers above alone.
    network = Network(["dense 4", "tanh", "dense 3", "sigmoid", "dense 2"])
    rng = np.random.default_rng(0)
    params = network.initialize(1, (3,)).params
    x = rng.normal(size=(3, 3))
    t = rng.normal(size=(3, 2))
    w = np.ones(3)
    loss = LOSSES[0].part
    outputs = network.forward(params, ((),) * 5, x, TRAINING).outputs
    _, deltas, _ = on(lambda *a: loss_and_gradients(network, loss, *a), params, x, t, w)
    assert len(deltas) == len(outputs) == 5
    for index in range(4):
        above = Network(network.layers[index + 1 :])
        numeric = np.zeros_like(outputs[index])
        for place in np.ndindex(numeric.shape):
            e = np.zeros_like(numeric)
            e[place] = 1e-6
            up, down = (loss_of(above, loss, params[index + 1 :], outputs[index] + s * e, t, w) for s in (1, -1))
            numeric[place] = (up - down) / 2e-6
        np.testing.assert_allclose(deltas[index], numeric, atol=1e-8)


def test_gradients_of_a_deep_network_are_pytorchs(on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    network = Network(
        ["dense 8", "relu", "dense 6", "gelu", "dense 5", {"kind": "leaky_relu", "alpha": 0.1}, "dense 3"]
    )
    rng = np.random.default_rng(0)
    params = network.initialize(1, (4,)).params
    x = rng.normal(size=(10, 4))
    t = np.eye(3)[rng.integers(3, size=10)]
    w = rng.uniform(size=10)
    value, _, grads = on(lambda *a: loss_and_gradients(network, LOSSES[5].part, *a), params, x, t, w)
    tensors = [[torch.tensor(array, requires_grad=True) for array in own] for own in params if own]
    F = torch.nn.functional
    y = torch.tensor(x)
    for (W, b), f in zip(tensors, [F.relu, F.gelu, lambda z: F.leaky_relu(z, 0.1), lambda z: z], strict=True):
        y = f(y @ W + b)
    expected = (torch.tensor(w) * F.cross_entropy(y, torch.tensor(t), reduction="none")).sum() / w.sum()
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=1e-13)
    for own, (W, b) in zip([g for g in grads if g], tensors, strict=True):
        np.testing.assert_allclose(own.W, W.grad, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(own.b, b.grad, rtol=1e-9, atol=1e-15)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(widths=st.lists(st.integers(1, 5), min_size=1, max_size=4), n=st.integers(1, 4), features=st.integers(1, 5))
def test_shapes_go_through_and_gradients_have_the_type_of_the_parameters(widths, n, features):
    network = Network([layer for width in widths for layer in (Dense(width), Tanh())])
    start = network.initialize(0, (features,))
    assert start.shapes == tuple((width,) for width in widths for _ in range(2))
    x = np.ones((n, features))
    t = np.ones((n, widths[-1]))
    _, deltas, grads = loss_and_gradients(network, LOSSES[0].part, start.params, x, t, np.ones(n))
    assert [delta.shape for delta in deltas] == [(n, width) for width in widths for _ in range(2)]
    for own, gradient in zip(start.params, grads, strict=True):
        assert type(own) is type(gradient)
        assert [a.shape for a in own] == [a.shape for a in gradient]


def test_two_layers_of_relu_compute_xor(on):
    # Goodfellow, Bengio, Courville 2016, section 6.1.
    network = Network(
        (
            Dense(2, init=Given(((1, 1), (1, 1))), bias_init=Given((0, -1))),
            ReLU(),
            Dense(1, init=Given(((1,), (-2,))), bias_init=Given((0,))),
        )
    )
    start = network.initialize(0, (2,))
    x = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    outputs = on(lambda params, x: network.forward(params, start.states, x, TRAINING).outputs, start.params, x)
    assert outputs[-1].ravel().tolist() == [0, 1, 1, 0]
    assert outputs[1].tolist() == [[0, 0], [1, 0], [1, 0], [2, 1]]


def test_the_start_depends_on_the_seed_alone_and_a_further_layer_changes_no_other():
    short = Network(["dense 4", "tanh", "dense 2"])
    long = Network(["dense 4", "tanh", "dense 2", "relu", "dense 3"])
    first, again, other = (short.initialize(seed, (3,)).params[0].W for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    np.testing.assert_array_equal(long.initialize(5, (3,)).params[0].W, first)
    assert first.dtype == np.float64


def test_a_network_may_begin_with_an_activation(on):
    network = Network(["tanh", "dense 1"])
    params = ((), Affine(np.array([[2.0]]), np.array([0.0])))
    x = np.array([[0.5]])
    value, deltas, grads = on(
        lambda *a: loss_and_gradients(network, LOSSES[0].part, *a), params, x, np.zeros((1, 1)), np.ones(1)
    )
    y = 2 * np.tanh(0.5)
    np.testing.assert_allclose(value, y * y / 2)
    np.testing.assert_allclose(deltas[0], [[2 * y]])
    np.testing.assert_allclose(grads[1].W, [[y * np.tanh(0.5)]])
    assert grads[0] == ()


@pytest.mark.parametrize(
    ("following", "rule"),
    [
        (["batch_norm", "relu"], HeNormal()),
        (["layer_norm", "dropout 0.2", "gaussian_noise 0.1", "flatten", "selu"], LeCunNormal()),
        (["dropout 0.2", {"kind": "leaky_relu", "alpha": 0.3}], HeNormal(0.3)),
        (["batch_norm", "tanh", "relu"], GlorotUniform()),
        (["batch_norm"], GlorotUniform()),
        (["dense 3", "relu"], GlorotUniform()),
    ],
    ids=str,
)
def test_the_start_suits_the_next_activation_behind_whatever_normalises_or_drops(following, rule):
    assert default_initializer([Layer.of(layer) for layer in following]) == rule


def test_the_last_layer_of_a_block_starts_as_suits_what_follows_the_block():
    # He's variance is 2 / fan_in, Glorot's for a square is 1 / fan_in: apart by far for 400 x 400 numbers.
    block = {"kind": "residual", "layers": ["dense 400", "tanh", "dense 400"]}
    for last, variance in (("relu", 2 / 400), ("tanh", 1 / 400)):
        first, _, second = Network([block, "batch_norm", last]).initialize(0, (400,)).params[0].layers
        assert first.W.var() == pytest.approx(1 / 400, rel=0.05)
        assert second.W.var() == pytest.approx(variance, rel=0.05)


def test_the_networks_own_initializers_serve_its_blocks_too():
    network = Network([{"kind": "residual", "layers": ["dense 2"]}], init="constant 0.5", bias_init="ones")
    (affine,), projection = network.initialize(0, (3,)).params[0]
    assert (affine.W.tolist(), affine.b.tolist()) == ([[0.5, 0.5]] * 3, [1, 1])
    assert projection.tolist() == [[0.5, 0.5]] * 3


def test_every_noisy_layer_draws_its_own_noise_and_the_same_on_all_arrays(on):
    network = Network(["dropout 0.5", {"kind": "residual", "layers": ["dropout 0.5"]}, "dropout 0.5"])
    start = network.initialize(0, (30,))
    x = np.ones((20, 30))

    def outputs(key, x):
        return network.forward(
            start.params, start.states, x, ForwardContext(True, None, Noise(key, np.array(4)))
        ).outputs

    first, second, third = on(outputs, noise_key(0), x)
    np.testing.assert_allclose((first, second, third), outputs(noise_key(0), x))
    # Each layer halves what is left: a mask used twice would show as another share.
    assert {0.0, 2.0} == set(np.unique(first))
    assert ((second == 6).mean(), (second == 2).mean()) == pytest.approx((0.25, 0.25), abs=0.08)
    assert (third > 0).mean() == pytest.approx(0.25, abs=0.08)


def test_states_of_the_layers_come_back_at_their_places(on):
    network = Network(["dense 4", "batch_norm", {"kind": "residual", "layers": ["tanh", "batch_norm 0.0"]}])
    start = network.initialize(0, (3,))
    x = np.random.default_rng(0).normal(size=(5, 3))
    mode = ForwardContext(training=True)
    outputs, states, _ = on(lambda x: (*network.forward(start.params, start.states, x, mode)[:2], ()), x)
    np.testing.assert_allclose(states[1].mean, 0.1 * outputs[0].mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(states[2][1].mean, np.tanh(outputs[1]).mean(axis=0), atol=1e-15)
    assert (states[0], states[2][0]) == ((), ())


def first_numbers(seed: int, *purpose: str | int) -> tuple[int, ...]:
    return tuple(generator(seed, *purpose).integers(2**62, size=4))


def test_streams_of_random_numbers_are_apart():
    purposes = [("order", 1), ("order", 2), ("weights", 0), ("weights", 1), ("split",), ("a longer purpose", 1)]
    draws = {first_numbers(seed, *purpose) for seed in (0, 1, 7) for purpose in purposes}
    assert len(draws) == 3 * len(purposes)
    assert first_numbers(7, "order", 1) == first_numbers(7, "order", 1)


@pytest.mark.parametrize(("one", "other"), [(("order",), ("order", 0)), (("a", 98), ("a", "b"))], ids=str)
def test_purposes_of_other_lengths_or_types_are_apart(one, other):
    assert first_numbers(7, *one) != first_numbers(7, *other)


def test_layers_may_draw_from_one_stream_after_another():
    network = Network(["dense 3", "relu", "dense 2"], init="normal 1.0", bias_init="uniform")
    start = network.draw([np.random.RandomState(0)] * 3, (4,))
    stream = np.random.RandomState(0)
    for layer, (fan_in, width) in ((0, (4, 3)), (2, (3, 2))):
        np.testing.assert_array_equal(start.params[layer].W, stream.normal(0.0, 1.0, (fan_in, width)))
        np.testing.assert_array_equal(start.params[layer].b, stream.uniform(-0.05, 0.05, width))


@pytest.mark.parametrize(
    "layers",
    [
        ["dense 1000000000000", "dense 2"],
        ["dense 100000"] * 200,
        [{"kind": "residual", "layers": ["dense 9" + "0" * 17]}],
    ],
)
def test_a_network_that_no_machine_can_hold_is_refused_before_it_is_drawn(layers):
    with pytest.raises(InputError, match=r"needs about .* GB of memory"):
        Network(layers).initialize(0, (1000,))


def test_the_number_of_layers_is_bounded():
    Network(["relu"] * 1000)
    with pytest.raises(InputError, match="1,001"):
        Network(["relu"] * 1001)
