"""Networks of PyTorch and Keras: the same outputs, weights and running statistics both ways, or one clear error."""

from __future__ import annotations

import math
import os
import sys

import numpy as np
import parts_table
import pytest

import thalweg
from thalweg.core.arrays import leaves
from thalweg.core.errors import InputError
from thalweg.models.conversion.from_torch import is_module
from thalweg.models.conversion.to_torch import module_of
from thalweg.models.network import Network
from thalweg.parts.part import ForwardContext
from thalweg.runs.converted import from_keras, from_torch

PREDICT = ForwardContext(training=False)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="LEFT OUT: conversion of PyTorch modules; make torch installs it")


KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras with NumPy 2


@pytest.fixture
def keras(torch):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="LEFT OUT: conversion of Keras models; keras is not installed")


def parts() -> list:
    return [entry for entry in [*parts_table.LAYERS, *parts_table.BLOCKS] if not is_without_module(entry.part)]


def is_without_module(part) -> bool:
    changes = {"random_translation", "random_rotation", "elastic_transform", "random_flip", "random_erasing"}
    others = {
        "radial",
        "step",
        "sign",
        "smooth_clip",
        "scaling",
        "embedding",
        "one_hot",
        "periodic",
        "copies",
        "member_dense",
    }
    return part.kind in changes | others


@pytest.mark.parametrize("entry", parts(), ids=parts_table.name_of)
def test_every_layer_gives_the_same_outputs_as_its_module(entry, torch):
    rng = np.random.default_rng(0)
    own, width = parts_table.from_rows(entry)
    network = Network([f"dense {width}", *own, "dense 2"])
    start = network.initialize(0, (4,))
    noise = [leaf + rng.uniform(0.1, 1, np.shape(leaf)) for leaf in leaves((start.params, start.states))]
    numbers = iter(noise)

    def moved(tree):
        return (
            type(tree)(*map(moved, tree))
            if hasattr(tree, "_fields")
            else (tuple(map(moved, tree)) if isinstance(tree, tuple) else next(numbers))
        )

    params, states = moved(start.params), moved(start.states)
    x = rng.normal(size=(7, 4))
    ours = network.forward(params, states, x, PREDICT).outputs[-1]
    module = module_of(network, params, states)
    np.testing.assert_allclose(
        module(torch.tensor(x, dtype=torch.float32)).detach().numpy(), ours, rtol=1e-5, atol=1e-6
    )


def test_layers_without_a_module_are_named_with_their_places(torch):
    network = Network(["radial 3", {"kind": "residual", "layers": ["step"]}, "sign"])
    start = network.initialize(0, (2,))
    with pytest.raises(InputError) as caught:
        module_of(network, start.params, start.states)
    assert [problem.place for problem in caught.value.problems] == ["layer 1", "layer 2.1", "layer 3"]


def trained_module(torch):
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8, momentum=0.3), nn.GELU("tanh")),
        nn.Dropout(0.2),
        nn.Linear(8, 6, bias=False),
        nn.LayerNorm(6),
        nn.SiLU(),
        nn.Linear(6, 2),
    )
    for _ in range(3):
        model(torch.randn(50, 2) * 3 + 1)
    return model.eval()


def test_a_module_comes_back_with_its_outputs_weights_and_statistics(torch):
    model = trained_module(torch)
    x = torch.randn(9, 2)
    converted = from_torch(model)
    np.testing.assert_allclose(converted.outputs(x.numpy()), model(x).detach().numpy(), atol=1e-6)
    back = converted.to_torch()
    for ours, theirs in zip(back.state_dict().values(), model.state_dict().values(), strict=True):
        if theirs.is_floating_point():
            torch.testing.assert_close(ours, theirs)
    assert converted.network.layers[1].momentum == pytest.approx(0.7)
    assert [parameter.requires_grad for parameter in back.parameters()] == [True] * 9


@pytest.mark.parametrize(
    "name", ["Identity", "Sigmoid", "Tanh", "ReLU", "LeakyReLU", "ELU", "SELU", "GELU", "Softplus", "SiLU", "Flatten"]
)
def test_activations_of_pytorch_agree(name, torch):
    model = torch.nn.Sequential(torch.nn.Linear(3, 50), getattr(torch.nn, name)())
    x = torch.randn(200, 3) * 20
    np.testing.assert_allclose(from_torch(model).outputs(x.numpy()), model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_held_parameters_stay_held(torch):
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False), nn.LayerNorm(3, bias=False), nn.Linear(3, 2)
    )
    model[0].bias.requires_grad_(False)
    model[3].requires_grad_(False)
    converted = from_torch(model)
    assert [layer.trainable for layer in converted.network.layers] == [("W",), False, ("gamma",), False]
    held = [parameter.requires_grad for parameter in converted.to_torch().parameters()]
    assert held == [True, False, False, False, True, False, False, False]


def test_initializers_are_those_of_the_weights(torch):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(100, 200), nn.Linear(200, 200), nn.Linear(200, 3))
    nn.init.zeros_(model[1].weight)
    nn.init.normal_(model[2].weight, std=2.0)
    first, second, third = from_torch(model).network.layers
    assert first.init == thalweg.initializers.HeUniform(math.sqrt(5))
    assert first.bias_init.high == pytest.approx(0.1)
    assert second.init == thalweg.initializers.Constant(0.0)
    assert third.init.deviation == pytest.approx(2.0, rel=0.1)


def test_every_module_without_an_equal_is_named_at_once(torch):
    nn = torch.nn

    class Own(nn.Linear):
        pass

    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Softplus(beta=3), nn.Sequential(nn.LSTM(3, 4), nn.ReLU(), Own(3, 3)), nn.LogSoftmax(-1)
    )
    with pytest.raises(InputError) as caught:
        from_torch(model)
    assert [problem.place for problem in caught.value.problems] == ["0", "1", "2.0", "2.2", "3"]
    with pytest.raises(InputError):
        from_torch(nn.Sequential(nn.ReLU()))


def test_a_converted_network_is_examined_as_a_run(torch):
    model = trained_module(torch)
    run = from_torch(model).run("moons")
    x = np.random.default_rng(0).normal(size=(5, 2))
    logits = model(torch.tensor(run.preprocessing.inputs(x), dtype=torch.float32))
    np.testing.assert_allclose(run.predict_outputs(x), torch.softmax(logits, -1).detach().numpy(), atol=1e-6)
    assert thalweg.boundary(run).page()
    assert thalweg.landscape(run, "line", points=3).page()
    with pytest.raises(InputError):
        from_torch(model).run("iris")


def test_the_start_of_a_spec_can_be_the_weights(torch):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    network = from_torch(model).with_given_start
    start = network.initialize(5, (2,))
    np.testing.assert_array_equal(start.params[3].W, model[3].weight.detach().numpy().T)
    spec = thalweg.Spec.of({"data": "xor", "network": network, "training": {"engine": "eager"}})
    assert thalweg.explain(spec).blocks
    model(torch.randn(8, 2))
    with pytest.raises(InputError):
        _ = from_torch(model).with_given_start
    with pytest.raises(InputError):
        _ = from_torch(torch.nn.Linear(1000, 30)).with_given_start


def test_train_converts_by_itself_and_says_so(torch, capsys):
    model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    run = thalweg.train(model, "xor", epochs=2, engine="eager")
    assert [layer.kind for layer in run.network.layers] == ["dense", "tanh", "dense"]
    assert "converted" in capsys.readouterr().err
    x = np.array([[0.0, 1.0]])
    outputs = run.to_torch()(torch.tensor(x, dtype=torch.float32)).softmax(-1).detach().numpy()
    np.testing.assert_allclose(outputs, run.predict_outputs(x), atol=1e-6)


def test_a_module_is_known_without_importing_torch():
    assert not is_module("dense 3")
    assert not is_module(Network(["dense 3"]))


def test_without_torch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    network = Network(["dense 1"])
    start = network.initialize(0, (1,))
    with pytest.raises(InputError, match="torch"):
        module_of(network, start.params, start.states)


@KERAS
def test_a_keras_model_has_the_same_outputs_and_initializers(keras):
    L = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(8, activation="gelu", kernel_initializer=keras.initializers.HeUniform()),
            L.BatchNormalization(momentum=0.8, scale=False),
            keras.Sequential([L.Dense(6, use_bias=False), L.LeakyReLU(), L.LayerNormalization(center=False)]),
            L.Dropout(0.3),
            L.ReLU(negative_slope=0.1),
            L.Dense(3, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 1, np.shape(array)) for array in model.get_weights()])
    x = rng.normal(size=(9, 4)).astype(np.float32)
    converted = from_keras(model)
    np.testing.assert_allclose(converted.outputs(x), np.asarray(model.predict(x, verbose=0)), atol=1e-6)
    assert converted.network.layers[0].init == thalweg.initializers.HeUniform()
    assert converted.network.layers[2].trainable == ("beta",)


@KERAS
@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "exponential", "tanh"]
)
def test_activations_of_keras_agree(name, keras):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(20, activation=name)])
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32) * 3
    np.testing.assert_allclose(
        from_keras(model).outputs(x), np.asarray(model.predict(x, verbose=0)), rtol=1e-5, atol=1e-6
    )


@KERAS
def test_keras_layers_without_an_equal_are_named_at_once(keras):
    L = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            L.Conv2D(2, 2, padding="same", name="window"),
            L.Flatten(),
            L.Dense(3, "mish", name="odd"),
        ]
    )
    with pytest.raises(InputError) as caught:
        from_keras(model)
    assert [problem.place for problem in caught.value.problems] == ["window", "odd"]
    with pytest.raises(InputError):
        from_keras(keras.Sequential([L.Dense(3)]))
    with pytest.raises(InputError):
        from_keras(keras.Model(inputs=model.inputs, outputs=model.outputs))


def torch_pictures(torch):
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 6, 3, padding="same"), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Conv2d(6, 9, 3, stride=2, padding=1, groups=3, bias=False),
        nn.Tanh(),
        nn.AvgPool2d(2, 1),
        nn.Flatten(),
        nn.BatchNorm1d(18),
        nn.Dropout(0.3),
        nn.Linear(18, 4),
    )
    x = torch.randn(64, 2, 8, 12)
    model(x)  # moves the running statistics
    return model.eval(), x


def test_a_module_of_pictures_gives_the_same_outputs_with_the_channels_last(torch):
    model, x = torch_pictures(torch)
    converted = from_torch(model, (2, 8, 12))
    expected = model(x).detach().numpy()
    pictures = x.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(converted.outputs(pictures), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(converted.outputs(pictures.reshape(64, -1)), expected, rtol=1e-5, atol=1e-6)
    back = converted.to_torch()(torch.from_numpy(pictures.reshape(64, -1))).detach().numpy()
    np.testing.assert_allclose(back, expected, rtol=1e-5, atol=1e-6)


def test_a_mean_over_the_picture_is_converted(torch):
    nn = torch.nn
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))
    x = torch.randn(7, 3, 6, 6)
    outputs = from_torch(model, (3, 6, 6)).outputs(x.permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(outputs, model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_module_of_pictures_needs_their_size_and_an_order_of_its_outputs(torch):
    model, _ = torch_pictures(torch)
    with pytest.raises(InputError, match="input_shape"):
        from_torch(model)
    with pytest.raises(InputError, match="Linear"):
        from_torch(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten()), (1, 4, 4))
    with pytest.raises(InputError, match="conv2d"):
        from_torch(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 9), torch.nn.Flatten(), torch.nn.Linear(2, 1)), (1, 4, 4))


def test_windows_without_an_equal_are_named(torch):
    nn = torch.nn
    wrong = [
        nn.Conv2d(1, 1, (3, 5)),
        nn.Conv2d(1, 1, 3, dilation=2),
        nn.Conv2d(1, 1, 3, padding_mode="reflect"),
        nn.MaxPool2d(3, padding=1),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AdaptiveAvgPool2d(2),
    ]
    with pytest.raises(InputError) as raised:
        from_torch(nn.Sequential(*wrong), (1, 9, 9))
    assert len(raised.value.problems) == len(wrong)


@KERAS
def test_a_keras_model_of_pictures_gives_the_same_outputs(keras):
    own = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 12, 2)),
            own.Conv2D(6, 3, padding="same", activation="relu"),
            own.BatchNormalization(),
            own.MaxPooling2D(2),
            own.Conv2D(9, 3, groups=3, use_bias=False),
            own.AveragePooling2D(2, 1),
            own.Flatten(),
            own.Dense(5),
        ]
    )
    x = np.random.default_rng(0).normal(size=(7, 8, 12, 2)).astype(np.float32)
    np.testing.assert_allclose(from_keras(model).outputs(x), np.asarray(model(x).detach()), rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="same"):
        from_keras(keras.Sequential([keras.Input((8, 8, 1)), own.Conv2D(1, 3, strides=2, padding="same")]))
    pooled = keras.Sequential([keras.Input((8, 8, 1)), own.Conv2D(3, 3), own.GlobalAveragePooling2D(), own.Dense(2)])
    x = x[:, :, :8, :1]
    np.testing.assert_allclose(from_keras(pooled).outputs(x), np.asarray(pooled(x).detach()), rtol=1e-5, atol=1e-6)
