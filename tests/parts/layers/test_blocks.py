"""Layers that learn, keep a state or draw random numbers: derivatives by every argument, weights, noise, blocks."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
from parts_table import BLOCKS, LAYERS, BlockEntry, name_of

from thalweg import layers
from thalweg.core.arrays import arrays_of, map_arrays
from thalweg.core.errors import InputError
from thalweg.core.noise import Noise, noise_key
from thalweg.parts.initializers import Constant, Normal, Zeros
from thalweg.parts.part import ForwardContext, InitContext, Layer

every_block = pytest.mark.parametrize("entry", BLOCKS, ids=name_of)
both_ways = pytest.mark.parametrize("training", [True, False], ids=["training", "prediction"])
ROWS = 6
FEATURES = 4
# The second row is padding, the third counts twice.
WEIGHT = np.array([1.0, 0.0, 2.0, 1.0, 0.5, 1.0])


def start(part: Layer, shape: tuple[int, ...] = (FEATURES,), seed: int = 0):
    """Parameters and a state without a special value in them, and the shape of an output sample."""
    rng = np.random.default_rng(seed)
    params, state, shape = part.initialize(InitContext(rng, lambda following: Normal(0.5), Zeros()), shape)

    def moved(a: np.ndarray) -> np.ndarray:
        return a + rng.uniform(-0.5, 0.5, a.shape)

    return map_arrays(moved, params), map_arrays(moved, state), shape


def case(part: Layer, seed: int = 0, shape: tuple[int, ...] = (FEATURES,)):
    params, state, out = start(part, shape, seed=seed)
    rng = np.random.default_rng(seed + 1)
    return params, state, rng.normal(size=(ROWS, *shape)) * 2 + 1, rng.normal(size=(ROWS, *out))


def mode_of(training: bool, weight=None, step: int = 0, seed: int = 0) -> ForwardContext:
    return ForwardContext(training, weight, Noise(noise_key(seed), np.array(step)))


def both(part: Layer, training: bool, weighted: bool = True):
    """(params, state, x, v, weight) -> y, the new state, dL/dx and gradients for L = Σ v y, and the gradients alone."""

    def run(params, state, x, v, weight):
        mode = mode_of(training, weight if weighted else None)
        y, new, cache = part.forward(params, state, x, mode)
        return y, new, part.backward(params, cache, v), part.gradients(params, cache, v)

    return run


def total(part: Layer, training: bool, weighted: bool = True):
    return lambda params, state, x, v, weight: (
        both(part, training, weighted)(params, state, x, v, weight)[0] * v
    ).sum()


def differences(function, tree, h: float = 1e-6):
    """The gradient of a scalar function of a tree by central differences."""

    def gradient(place: str, array: np.ndarray) -> np.ndarray:
        found = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            e = np.zeros_like(array)
            e[index] = h
            up, down = (function(_moved(tree, place, step)) for step in (e, -e))
            found[index] = (up - down) / (2 * h)
        return found

    return {place: gradient(place, array) for place, array in arrays_of(tree)}


def _moved(tree, place: str, by: np.ndarray):
    places = iter([name for name, _ in arrays_of(tree)])
    return map_arrays(lambda a: a + by if next(places) == place else a, tree)


def close(tree, expected, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    ours = dict(arrays_of(tree))
    theirs = dict(arrays_of(expected))
    assert ours.keys() == theirs.keys()
    for place, array in ours.items():
        np.testing.assert_allclose(array, theirs[place], rtol=rtol, atol=atol, err_msg=place)


# What holds for every one of them -------------------------------------------------------------------------------------


def convolved(part: layers.Conv2d, x: np.ndarray, W: np.ndarray) -> np.ndarray:
    """The numbers under the window at each place times W, group by group."""
    around = [(part.padding,) * 2] * 2
    seen = np.lib.stride_tricks.sliding_window_view(np.pad(x, [(0, 0), *around, (0, 0)]), (part.kernel,) * 2, (1, 2))
    seen = seen[:, :: part.stride, :: part.stride]
    groups = zip(np.split(seen, part.groups, axis=3), np.split(W, part.groups, axis=1), strict=True)
    own = [np.moveaxis(numbers, 3, -1).reshape(*seen.shape[:3], -1) @ matrix for numbers, matrix in groups]
    return np.concatenate(own, axis=3)


def by_member(x: np.ndarray, W: np.ndarray) -> np.ndarray:
    """The inputs of each member of an ensemble times its columns of W; one member where W meets all inputs."""
    members = x.shape[1] // len(W)
    parts = zip(np.split(x, members, axis=1), np.split(W, members, axis=1), strict=True)
    return np.concatenate([own @ matrix for own, matrix in parts], axis=1)


@every_block
def test_a_weight_matrix_is_what_a_step_of_the_input_is_multiplied_by(entry):
    params, state, x, _ = case(entry.part, shape=entry.shape)
    W = entry.part.weight_matrix(params)
    assert entry.part.has_weights == (W is not None)
    if W is not None:
        first, second = (entry.part.forward(params, state, x * scale, mode_of(True))[0] for scale in (1, 2))
        product = by_member(x, W) if x.ndim == 2 else convolved(entry.part, x, W)
        np.testing.assert_allclose(second - first, product, rtol=1e-12)


@every_block
def test_facts_of_a_block_are_those_of_the_table(entry):
    assert entry.part.transparent == entry.transparent
    assert entry.part.suited_initializer is entry.part.steepest_slope is None
    assert (entry.part.saturates, entry.part.sums_to_one) == (False, False)
    assert (entry.part.random, entry.part.drop_rate) == (entry.random, entry.drop_rate)
    assert (entry.part.can_die, entry.part.is_identity) == (False, False)
    assert entry.part.inner == getattr(entry.part, "layers", ())


@every_block
@both_ways
def test_backward_is_the_finite_difference_by_parameters_and_input(entry, training, on):
    params, state, x, v = case(entry.part, shape=entry.shape)
    _, _, (dx, grads), alone = on(both(entry.part, training), params, state, x, v, WEIGHT)
    assert jax.tree.structure(grads) == jax.tree.structure(params)
    close(alone, grads)
    loss = total(entry.part, training)
    numeric = differences(lambda tree: loss(tree[0], state, tree[1], v, WEIGHT), (params, x))
    for place, array in arrays_of((grads, dx)):
        np.testing.assert_allclose(array, numeric[place], rtol=1e-6, atol=1e-7, err_msg=place)


@every_block
@both_ways
def test_backward_is_jax_grad_and_the_adjoint_of_the_directional_derivative(entry, training):
    params, state, x, v = case(entry.part, 1, entry.shape)
    direction = (start(entry.part, entry.shape, 3)[0], case(entry.part, 4, entry.shape)[2])
    loss = total(entry.part, training)

    @jax.jit
    def by_jax(params, x, direction):
        value, forward = jax.jvp(lambda params, x: loss(params, state, x, v, WEIGHT), (params, x), direction)
        return value, forward, jax.grad(loss, argnums=(0, 2))(params, state, x, v, WEIGHT)

    with jax.enable_x64(True):
        value, forward, expected = by_jax(params, x, direction)
    y, _, (dx, grads), _ = both(entry.part, training)(params, state, x, v, WEIGHT)
    np.testing.assert_allclose(np.sum(y * v), value, rtol=1e-12)
    close((grads, dx), jax.tree.map(np.asarray, expected))
    back = sum(np.sum(a * b) for (_, a), (_, b) in zip(arrays_of((grads, dx)), arrays_of(direction), strict=True))
    np.testing.assert_allclose(back, forward, rtol=1e-9)


def motion(part: Layer, training: bool):
    """(params, state, x, v, weight, along, dx) -> how y moves, and how dL/dx and the gradients for L = Σ v y do."""

    def run(params, state, x, v, weight, along, dx):
        cache = part.forward(params, state, x, mode_of(training, weight))[2]
        return part.jvp(params, cache, along, dx), part.backward_jvp(params, cache, along, dx, v)

    return run


def motion_case(part: Layer, shape: tuple[int, ...]):
    params, state, x, v = case(part, 1, shape)
    return (params, state, x, v, WEIGHT), (start(part, shape, 3)[0], case(part, 4, shape)[2])


@functools.cache
def motion_by_jax(part: Layer, shape: tuple[int, ...], training: bool, stays: bool = False):
    """What `motion` must be: derivatives of forward alone."""
    (params, state, x, v, weight), (along, dx) = motion_case(part, shape)
    loss = total(part, training)

    def both_of(params, x):
        y = both(part, training)(params, state, x, v, weight)[0]
        return y, jax.grad(loss, (2, 0))(params, state, x, v, weight)

    @jax.jit
    def moved(params, x, along, dx):
        return jax.jvp(both_of, (params, x), (along, dx))[1]

    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, moved(params, x, along, 0 * dx if stays else dx))


# Besides, blocks of layers that do not learn: with nothing to learn around them, and with a projection.
MOVING = [
    *BLOCKS,
    BlockEntry(layers.Residual(["flatten", "products"])),
    BlockEntry(layers.Residual(["tanh", {"kind": "residual", "layers": ["gelu"]}])),
]
every_moving = pytest.mark.parametrize("entry", MOVING, ids=lambda entry: str(entry.part.describe()))


@every_moving
@both_ways
def test_tangent_and_bend_are_the_directional_derivatives_of_both_ways(entry, training, on):
    arguments, direction = motion_case(entry.part, entry.shape)
    found = on(motion(entry.part, training), *arguments, *direction)
    assert jax.tree.structure(found[1][1]) == jax.tree.structure(arguments[0])
    close(found, motion_by_jax(entry.part, entry.shape, training), atol=1e-11)


@pytest.mark.parametrize(
    "entry", [entry for entry in MOVING if any(True for _ in arrays_of(start(entry.part, entry.shape)[0]))], ids=name_of
)
@both_ways
def test_an_input_that_stays_is_one_that_moves_by_nothing(entry, training, on):
    arguments, (along, _) = motion_case(entry.part, entry.shape)
    stays = motion(entry.part, training)
    tangent, (bent, grads) = on(lambda *arrays: stays(*arrays, None), *arguments, along)
    expected = motion_by_jax(entry.part, entry.shape, training, stays=True)
    assert bent is None
    assert jax.tree.structure(grads) == jax.tree.structure(arguments[0])
    close((tangent, grads), (expected[0], expected[1][1]), atol=1e-11)


@pytest.mark.parametrize("entry", [e for e in BLOCKS if e.torch], ids=name_of)
@both_ways
def test_value_and_gradients_are_pytorchs(entry, training, on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    params, state, x, v = case(entry.part, 2, entry.shape)
    tensors, argument = map_arrays(lambda a: torch.tensor(a, requires_grad=True), (params, x))
    output = entry.torch(torch, tensors, map_arrays(torch.tensor, state), argument, training)
    output.backward(torch.tensor(v))
    y, _, (dx, grads), _ = on(both(entry.part, training, weighted=False), params, state, x, v, WEIGHT)
    np.testing.assert_allclose(y, output.detach(), rtol=1e-10)
    close((grads, dx), map_arrays(lambda tensor: tensor.grad.numpy(), (tensors, argument)))


@every_block
@both_ways
def test_float32_stays_float32(entry, training):
    params, state, x, v = map_arrays(np.float32, case(entry.part, shape=entry.shape))
    found = both(entry.part, training)(params, state, x, v, WEIGHT.astype(np.float32))
    assert {array.dtype for _, array in arrays_of(found)} == {np.dtype(np.float32)}
    moved = motion(entry.part, training)(params, state, x, v, WEIGHT.astype(np.float32), params, x)
    assert {array.dtype for _, array in arrays_of(moved)} == {np.dtype(np.float32)}


@every_block
def test_prediction_changes_no_state_and_takes_each_row_by_itself(entry, on):
    params, state, x, v = case(entry.part, shape=entry.shape)
    y, new, _, _ = on(both(entry.part, training=False), params, state, x, v, WEIGHT)
    close(new, state)
    first, *_ = on(both(entry.part, training=False), params, state, x[:1], v[:1], WEIGHT[:1])
    np.testing.assert_allclose(first, y[:1], rtol=1e-12)


@pytest.mark.parametrize("entry", [e for e in BLOCKS if e.torch], ids=name_of)
def test_a_row_of_weight_0_is_absent_and_one_of_weight_2_is_there_twice(entry, on):
    params, state, x, v = case(entry.part, shape=entry.shape)
    weight = np.array([1.0, 0.0, 2.0, 1.0, 0.0, 1.0])
    rows = np.array([0, 2, 2, 3, 5])
    # The second copy of a row shares its dL/dy with the first.
    shared = (v[rows].T / np.array([1, 2, 2, 1, 1])).T
    v = (v.T * (weight > 0)).T
    y, new, (dx, grads), _ = on(both(entry.part, training=True), params, state, x, v, weight)
    expected, state, (dx_each, same), _ = on(
        both(entry.part, training=True), params, state, x[rows], shared, np.ones(5)
    )
    np.testing.assert_allclose(y[rows], expected, rtol=1e-12)
    close((new, grads), (state, same))
    np.testing.assert_allclose(dx[[0, 3, 5]], dx_each[[0, 3, 4]], rtol=1e-9)
    np.testing.assert_allclose(dx[2], dx_each[1] + dx_each[2], rtol=1e-9, atol=1e-14)
    assert not dx[[1, 4]].any()


# Batch and layer normalisation ----------------------------------------------------------------------------------------


def test_the_running_mean_is_pytorchs_and_the_running_variance_is_biased(on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    theirs = torch.nn.BatchNorm1d(FEATURES, momentum=0.2).double()
    ours = layers.BatchNorm(momentum=0.8)
    params, state, _ = ours.initialize(None, (FEATURES,))
    expected = np.ones(FEATURES)
    for seed in range(3):
        x = np.random.default_rng(seed).normal(3, 2, (ROWS, FEATURES))
        _, state, *_ = on(both(ours, training=True), params, state, x, x, np.ones(ROWS))
        theirs(torch.tensor(x))
        expected = 0.8 * expected + 0.2 * x.var(axis=0)
    np.testing.assert_allclose(state.mean, theirs.running_mean, rtol=1e-12)
    np.testing.assert_allclose(state.variance, expected, rtol=1e-12)


def test_a_batch_without_weight_changes_nothing_and_stays_finite(on):
    params, state, x, v = case(layers.BatchNorm())
    y, new, (dx, grads), _ = on(both(layers.BatchNorm(), training=True), params, state, x, v * 0, np.zeros(ROWS))
    close(new, state)
    assert np.isfinite(y).all()
    assert not dx.any()
    assert not any(array.any() for array in grads)


@pytest.mark.parametrize("part", [layers.BatchNorm(), layers.LayerNorm()], ids=["batch", "layer"])
def test_a_large_mean_does_not_swallow_the_variance_in_float32(part):
    x = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32) + np.float32(4096)
    params, state = map_arrays(np.float32, part.initialize(None, (64,))[:2])
    single = part.forward(params, state, x, ForwardContext(training=True))[0]
    double = part.forward(params, state, x.astype(float), ForwardContext(training=True))[0]
    np.testing.assert_allclose(single, double, atol=2e-3)


def test_a_feature_that_never_changes_becomes_beta(on):
    params = layers.Scale(np.ones(1), np.array([0.7]))
    state = layers.RunningMoments(np.zeros(1), np.ones(1))
    x = np.full((4, 1), 1e6)
    y, *_ = on(both(layers.BatchNorm(), training=True), params, state, x, x, np.ones(4))
    np.testing.assert_allclose(y, 0.7)


@pytest.mark.parametrize(
    "part", [layers.BatchNorm(), layers.Residual(["tanh", {"kind": "residual", "layers": ["batch_norm"]}])]
)
def test_batch_norm_refuses_to_train_on_one_row_and_says_what_to_do(part):
    params, state, x, _ = case(part)
    with pytest.raises(InputError, match=r"at least 2 rows.*received 1.*larger batch size, or layer_norm"):
        part.forward(params, state, x[:1], ForwardContext(training=True))
    assert part.least_batch == 2
    assert layers.Residual(["dense 3"]).least_batch == layers.LayerNorm().least_batch == 1


@pytest.mark.parametrize("kind", ["batch_norm", "layer_norm"])
def test_normalisation_refuses_samples_that_are_not_flat(kind):
    with pytest.raises(InputError, match=r"flat samples.*\(8, 8\).*flatten"):
        Layer.of(kind).initialize(None, (8, 8))


# Noise ----------------------------------------------------------------------------------------------------------------


def disturbed(part: Layer, x: np.ndarray, mode: ForwardContext) -> np.ndarray:
    return part.forward((), (), x, mode)[0]


def test_dropout_is_pytorchs_product_with_its_mask(on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    part = layers.Dropout(0.4)
    (_, _, x, v) = case(layers.Dropout(0.4))
    mask = torch.tensor(disturbed(part, np.ones_like(x), mode_of(True)) > 0)
    argument = torch.tensor(x, requires_grad=True)
    # PyTorch's own draw is replaced by ours: what is kept is scaled by 1 / (1 - rate).
    output = torch.masked_fill(argument, ~mask, 0) / 0.6
    output.backward(torch.tensor(v))
    y, _, (dx, _), _ = on(both(part, training=True), (), (), x, v, WEIGHT)
    np.testing.assert_allclose(y, output.detach(), rtol=1e-15)
    np.testing.assert_allclose(dx, argument.grad, rtol=1e-15)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_its_share(rate):
    n = 40_000
    y = disturbed(layers.Dropout(rate), np.ones((200, 200)), mode_of(True))
    assert set(np.unique(y)) <= {0.0, 1 / (1 - rate)}
    variance = rate / (1 - rate)
    assert abs(y.mean() - 1) <= 4 * np.sqrt(variance / n)
    assert abs((y == 0).mean() - rate) <= 4 * np.sqrt(rate * (1 - rate) / n)


def test_gaussian_noise_has_its_deviation_and_no_mean():
    n = 40_000
    e = disturbed(layers.GaussianNoise(0.3), np.full((200, 200), 5.0), mode_of(True)) - 5
    assert abs(e.mean()) < 4 * 0.3 / np.sqrt(n)
    assert abs(e.std() - 0.3) < 4 * 0.3 / np.sqrt(2 * n)


@pytest.mark.parametrize("part", [layers.Dropout(0.5), layers.GaussianNoise(1.0)], ids=["dropout", "gaussian"])
def test_noise_is_another_one_at_another_step_place_or_seed(part):
    x = np.ones((8, 8))
    modes = [mode_of(True), mode_of(True, step=1), mode_of(True, seed=1), mode_of(True).at(0), mode_of(True).at(1)]
    drawn = [disturbed(part, x, mode) for mode in modes]
    assert len({y.tobytes() for y in drawn}) == len(modes)
    np.testing.assert_array_equal(disturbed(part, x, mode_of(True)), drawn[0])


def test_a_compiled_float32_step_drops_what_numpy_drops_in_float64():
    part = layers.Dropout(0.3)
    x = np.ones((50, 40))
    single = jax.jit(
        lambda part, x, key: disturbed(part, x, ForwardContext(True, None, Noise(key, 3))), static_argnums=0
    )
    eager = disturbed(part, x, mode_of(True, step=3))
    np.testing.assert_array_equal(np.asarray(single(part, x.astype(np.float32), noise_key(0))) > 0, eager > 0)


@pytest.mark.parametrize("kind", ["dropout", "gaussian_noise"])
def test_training_without_noise_is_refused(kind):
    with pytest.raises(InputError, match=rf"{kind}: expected noise.*received none.*Noise\(key, step\)"):
        disturbed(Layer.of(kind), np.ones((2, 2)), ForwardContext(training=True))


@pytest.mark.parametrize("part", [layers.Dropout(0.5), layers.GaussianNoise(1.0)], ids=["dropout", "gaussian"])
def test_prediction_needs_no_noise_and_passes_everything(part, on):
    x = np.array([[1.0, -2.0]])
    np.testing.assert_array_equal(on(lambda x: disturbed(part, x, ForwardContext(training=False)), x), x)


# Residual blocks and shapes -------------------------------------------------------------------------------------------


def test_a_block_whose_layers_give_nothing_passes_its_input_on(on):
    part = layers.Residual(["dense 4", "dense 4"])
    params, state, _ = part.initialize(InitContext(np.random.default_rng(0), lambda following: Zeros(), Zeros()), (4,))
    x = np.random.default_rng(0).normal(size=(3, 4))
    y, _, (dx, _), _ = on(both(part, training=True), params, state, x, x, np.ones(3))
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(dx, x)


def test_only_a_block_that_changes_the_width_has_a_projection():
    params, _, shape = start(layers.Residual(["dense 7"]))
    assert (params.projection.shape, shape) == ((4, 7), (7,))
    params, _, shape = start(layers.Residual(["dense 7", "relu", "dense 4"]))
    assert (params.projection, shape) == ((), (4,))


def test_a_block_keeps_samples_of_any_shape_and_projects_flat_ones_alone():
    part = layers.Residual(["tanh"])
    assert start(part, (3, 5))[2] == (3, 5)
    with pytest.raises(InputError, match=r"residual: expected.*\(3, 5\) before and \(15,\) after.*flatten before"):
        start(layers.Residual(["flatten"]), (3, 5))


def test_a_block_without_layers_is_refused():
    with pytest.raises(InputError, match="layers: expected at least one layer"):
        layers.Residual([])


def test_what_is_wrong_in_a_block_is_named_at_its_place():
    inner = {"kind": "residual", "layers": ["relu", {"kind": "dropout", "rate": 2.0}]}
    with pytest.raises(InputError, match=r"layers\[1\]\.layers\[1\]\.rate: .*received 2\.0"):
        Layer.of({"kind": "residual", "layers": ["dense 4", inner]})


def test_nested_blocks_are_made_again_from_their_tables():
    part = layers.Residual(
        (
            layers.Dense(4, init=Constant(0.5)),
            layers.Residual((layers.BatchNorm(0.5), layers.Dropout(0.2))),
            layers.ReLU(),
        )
    )
    assert Layer.of(part.describe()) == part
    assert part.describe()["layers"][1:] == [
        {"kind": "residual", "layers": ["batch_norm 0.5", "dropout 0.2"]},
        "relu",
    ]


def test_layers_of_a_block_draw_each_their_own_numbers():
    short = layers.Residual(["dense 4", "dense 4"])
    long = layers.Residual(["dense 4", "dense 4", "relu", "dense 4"])
    draws = [InitContext(np.random.default_rng(0), lambda following: Normal(1.0), Zeros()) for _ in range(2)]
    (first, second), (again, same, *_) = (
        part.initialize(draw, (4,))[0].layers for part, draw in zip((short, long), draws, strict=True)
    )
    assert not np.allclose(first.W, second.W)
    np.testing.assert_array_equal(again.W, first.W)
    np.testing.assert_array_equal(same.W, second.W)


def test_noise_inside_of_a_block_differs_by_its_place():
    # With one mask for both, either all or nothing of a number would be left: 0 + 1 or 4 + 1.
    part = layers.Residual(["dropout 0.5", "dropout 0.5"])
    params, state, _ = start(part)
    y = part.forward(params, state, np.ones((40, 40)), mode_of(True))[0]
    assert abs((y == 5).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 1600)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (5,)])
def test_flatten_is_a_row_of_each_sample_and_back(shape, on):
    part = layers.Flatten()
    x = np.random.default_rng(0).normal(size=(3, *shape))
    assert part.initialize(None, shape) == ((), (), (np.prod(shape),))
    v = np.random.default_rng(1).normal(size=(3, np.prod(shape)))
    y, _, (dx, _), _ = on(both(part, training=True), (), (), x, v, np.ones(3))
    np.testing.assert_array_equal(y, x.reshape(3, -1))
    np.testing.assert_array_equal(dx, v.reshape(x.shape))


# Parameters that are held, and left out -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "kept"),
    [
        ("dense", {"width": 3}, ["W", "b"]),
        ("dense", {"width": 3, "bias": False}, ["W"]),
        ("dense", {"width": 3, "trainable": ["b"]}, ["b"]),
        ("dense", {"width": 3, "bias": False, "trainable": False}, []),
        ("batch_norm", {"trainable": ["gamma"]}, ["gamma"]),
        ("layer_norm", {"trainable": []}, []),
        ("residual", {"layers": ["dense 4"], "trainable": False}, []),
        ("residual", {"layers": [{"kind": "dense", "width": 4, "trainable": ["W"]}]}, ["layers.0.W"]),
    ],
)
def test_what_is_trained_is_what_the_options_name(kind, options, kept):
    part = Layer.of({"kind": kind, **options})
    assert Layer.of(part.describe()) == part
    params, _, _ = start(part)
    assert [place for place, _ in arrays_of(part.trained(params))] == kept


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"trainable": ["w"]}, "trainable"),
        ({"trainable": ["b"], "bias": False}, "trainable"),
        ({"trainable": "W"}, "trainable"),
        ({"trainable": 1}, "trainable"),
        ({"bias": 0}, "bias"),
        ({"bias": False, "bias_init": "zeros"}, "bias_init"),
    ],
)
def test_options_that_name_no_parameter_are_refused_at_their_place(options, place):
    with pytest.raises(InputError) as caught:
        Layer.of({"kind": "dense", "width": 3, **options})
    assert [problem.place for problem in caught.value.problems] == [place]


@every_block
def test_a_linear_layer_keeps_points_on_a_line(entry):
    params, state, x, _ = case(entry.part, shape=entry.shape)
    rng = np.random.default_rng(3)
    z, share = rng.normal(size=x.shape), 0.3

    def predict(rows):
        return entry.part.forward(params, state, rows, mode_of(False))[0]

    straight = np.allclose(predict(share * x + (1 - share) * z), share * predict(x) + (1 - share) * predict(z))
    assert entry.part.is_linear == straight


def test_of_the_activations_only_the_identity_is_linear():
    assert [entry.part.kind for entry in LAYERS if entry.part.is_linear] == ["identity"]


@pytest.mark.parametrize(
    ("functions", "place", "fact"),
    [
        ([], "functions", "at least 1"),
        (["x1", "x0"], "functions[1]", "'x0'"),
        (["tan x1"], "functions[0]", "'tan x1'"),
        (["x1^21"], "functions[0]", "'x1^21'"),
        ("x1", "functions", "tuple"),
    ],
)
def test_a_feature_that_cannot_be_read_is_named(functions, place, fact):
    with pytest.raises(InputError) as caught:
        Layer.of({"kind": "features", "functions": functions})
    (problem,) = caught.value.problems
    assert problem.place == place
    assert fact in problem.message


def test_a_feature_of_an_input_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"'sin x5'.*4 inputs"):
        start(layers.Features(["x1", "sin x5"]))
