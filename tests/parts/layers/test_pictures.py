"""Pictures: how their shape travels from the rows to the layers, what does not fit, and a training on both engines."""

from __future__ import annotations

import numpy as np
import pytest

import thalweg
from thalweg.core.arrays import leaves
from thalweg.core.errors import InputError
from thalweg.engine.compiled import Compiled
from thalweg.models.network import Network
from thalweg.models.summary import layer_in_words
from thalweg.parts.initializers import GlorotUniform, HeNormal
from thalweg.parts.layers import Conv2d
from thalweg.parts.layers.convolution import Kernels
from thalweg.parts.layers.windows import padded, patches, unpadded, unpatched
from thalweg.parts.part import ForwardContext

SMALL = [
    "conv2d 4 3 1 1",
    "batch_norm",
    "relu",
    "max_pool2d",
    "conv2d 4 3 2",
    "relu",
    "global_average_pool",
    "dense 10",
]


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (2, 1), (2, 2), (3, 2), (2, 3), (5, 4)])
def test_adding_patches_up_is_the_transpose_of_taking_them(kernel, stride):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 7, 6, 3))
    taken = patches(x, kernel, stride)
    v = rng.normal(size=taken.shape)
    back = unpatched([v[:, :, :, pixel] for pixel in range(kernel**2)], stride, (7, 6))
    assert back.shape == x.shape
    np.testing.assert_allclose(np.sum(taken * v), np.sum(x * back), rtol=1e-12)


def test_a_frame_is_put_around_and_taken_away():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 2))
    framed = padded(x, 2)
    np.testing.assert_array_equal(framed, np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)]))
    np.testing.assert_array_equal(unpadded(framed, 2), x)
    assert padded(x, 0) is unpadded(x, 0) is x


def passes(layer, params, x, delta):
    """The output of a layer, dL/dx, and the gradients."""
    z, _, cache = layer.forward(params, (), x, ForwardContext(training=True))
    return (z, *layer.backward(params, cache, delta))


@pytest.mark.parametrize(
    ("rows", "sizes", "channels"), [(5, (9, 10), 6), (48, (27, 28), 9)], ids=["few channels", "in parts"]
)
@pytest.mark.parametrize(
    ("width", "kernel", "stride", "padding", "groups"),
    [
        (4, 1, 1, 0, 1),
        (4, 3, 1, 1, 1),
        (4, 3, 1, 4, 1),
        (4, 3, 2, 0, 1),
        (4, 3, 2, 1, 1),
        (4, 2, 3, 0, 1),
        (4, 5, 4, 2, 1),
        (4, 3, 1, 1, 2),
        (12, 5, 1, 0, 1),
        (16, 3, 2, 0, 1),
        (32, 4, 1, 0, 1),
        (32, 5, 2, 1, 1),
        (1, 9, 1, 0, 1),
        (64, 3, 1, 0, 1),
    ],
)
def test_a_convolution_by_xla_is_the_product_of_patches(rows, sizes, channels, width, kernel, stride, padding, groups):
    layer = Conv2d(width, kernel, stride, padding, groups)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, *sizes, channels * groups))
    params = Kernels(rng.normal(size=(kernel, kernel, channels, width)), rng.normal(size=width))
    z, _, _ = layer.forward(params, (), x, ForwardContext(training=True))
    delta = rng.normal(size=z.shape)
    engine = Compiled("float32")
    found = engine.fetch(engine.call(passes, layer, *(engine.place(tree) for tree in (params, x, delta))))
    for mine, theirs in zip(leaves(passes(layer, params, x, delta)), leaves(found), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-5 * np.abs(mine).max())


@pytest.mark.parametrize(
    ("layers", "fact"),
    [
        (["conv2d 8"], r"conv2d: .*received samples of shape \(64,\).*reshape HEIGHT WIDTH CHANNELS"),
        (["reshape 8 8", "flatten", "max_pool2d"], r"max_pool2d: .*\(64,\)"),
        (["reshape 8 4"], r"8 x 4 x 1 = 32 features, received 64"),
        (["reshape 8 8", "conv2d 8 9"], r"at most 8, received kernel = 9 .*8 x 8"),
        (["reshape 8 8", "conv2d 8 11 1 1"], r"at most 10, received kernel = 11 .*padding = 1"),
        (["reshape 8 8", "average_pool2d 4", "max_pool2d 3"], r"max_pool2d: .*at most 2, received kernel = 3"),
        (["reshape 8 8", "conv2d 4 3 1 0 3"], r"groups = 3 for 1 channels and width = 4"),
        (["reshape 8 8", "dense 3"], r"dense: expected flat samples.*\(8, 8, 1\).*flatten"),
        (["reshape 8 8", {"kind": "residual", "layers": ["conv2d 1 3"]}], r"residual: .*\(8, 8, 1\).*\(6, 6, 1\)"),
    ],
)
def test_what_does_not_fit_is_named_with_its_shape_and_the_fix(layers, fact):
    with pytest.raises(InputError, match=fact):
        Network(layers).initialize(0, (64,))


@pytest.mark.parametrize("part", [Conv2d(64, 3), Conv2d(64, 3, groups=4)])
def test_the_fans_of_a_convolution_count_the_places_of_its_window(part):
    own = 32 // part.groups
    he = HeNormal()(np.random.default_rng(0), (3, 3, own, 64))
    glorot = GlorotUniform()(np.random.default_rng(0), (3, 3, own, 64))
    start = Network(["reshape 8 8 32", part, "relu"]).initialize(0, (2048,))
    assert start.params[1].W.shape == he.shape
    for W in (he, start.params[1].W):
        np.testing.assert_allclose(W.var(), 2 / (9 * own), rtol=0.06)
    np.testing.assert_allclose(np.abs(glorot).max(), np.sqrt(6 / (9 * (own + 64))), rtol=0.01)


@pytest.mark.parametrize(
    ("layers", "is_reshaped"),
    [
        (SMALL, True),
        (["batch_norm", "relu", *SMALL], True),
        ([{"kind": "residual", "layers": ["conv2d 1 3 1 1"]}, "flatten", "dense 10"], True),
        (["reshape 8 8", *SMALL], False),
        (["dense 10"], False),
        (["batch_norm", "tanh", "dense 10"], False),
    ],
)
def test_rows_are_reshaped_where_the_first_layers_take_pictures(layers, is_reshaped):
    network = Network(layers)
    found = network.for_pictures((8, 8))
    assert (found != network) == is_reshaped
    assert found.layers[0].kind == "reshape" or not is_reshaped
    assert found.for_pictures((8, 8)) == found
    assert network.for_pictures(None) == network
    assert found.layout((64,)).shapes[-1] == (10,)


def test_numbers_in_words_are_read_as_the_same_layer():
    assert layer_in_words(Conv2d(8, stride=2)) == "conv2d 8 3 2"
    assert layer_in_words(Conv2d(8)) == "conv2d 8"


def test_the_same_pictures_are_compiled_in_one_precision_after_the_other():
    losses = {}
    for precision in ("float32", "float64"):
        run = thalweg.train(
            SMALL,
            "digits",
            epochs=1,
            engine="compiled",
            precision=precision,
            probes="off",
            progress=False,
        )
        losses[precision] = run.history[-1]["loss"]
    assert losses["float32"] == pytest.approx(losses["float64"], rel=1e-4)


def test_a_training_on_pictures_is_the_same_on_both_engines_and_learns():
    runs = {
        engine: thalweg.train(
            SMALL,
            "digits",
            optimizer="adam 0.02",
            epochs=2,
            engine=engine,
            precision="float64",
            probes="off",
            progress=False,
        )
        for engine in ("eager", "compiled")
    }
    eager, compiled = (run.history for run in runs.values())
    assert runs["eager"].network.layers[0].kind == "reshape"
    first, last = eager[0]["loss"], eager[-1]["loss"]
    assert last < 0.8 * first
    np.testing.assert_allclose(last, compiled[-1]["loss"], rtol=1e-8)
