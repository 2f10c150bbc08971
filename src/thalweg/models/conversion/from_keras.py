"""Layers of Keras 3 as layers of ours. Weights come through `get_weights`, so that any backend will do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from ...core.errors import InputError
from ...parts import initializers, layers
from ...parts.layers.norm import RunningMoments, Scale
from ...parts.part import Initializer, Layer
from .weighted import Reader, WeightedLayer, WeightedNetwork, collected, convolution, dense, picture

_PICTURE_AXES = 3

Config = dict[str, Any]
"""The options of a Keras layer, as `get_config` gives them."""


class KerasLayer(Protocol):
    """What is read of a layer or model of Keras."""

    name: str
    layers: Sequence[KerasLayer]
    trainable: bool
    built: bool
    input_shape: Sequence[int | None]

    def get_config(self) -> Config:
        """Its options."""

    def get_weights(self) -> list[np.ndarray]:
        """Its weights, in the order in which Keras made them."""


def network_of_keras(model: KerasLayer) -> WeightedNetwork:
    """The network of a Keras 3 model: keras.Sequential of layers that we have, nested as it may be.

    Raises InputError with every layer that has no equal, each with its place, and for a model that is not built.
    """
    name = type(model).__name__
    if name != "Sequential":
        raise InputError(f"keras.{name}", "expected keras.Sequential: other models may not be one layer after another")
    if not model.built:
        raise InputError("keras.Sequential", "has no weights yet; begin it with keras.Input(shape), or call it once")
    return collected("keras.Sequential", list(_readers(model, "")), _pictures(model.input_shape))


def _pictures(input_shape: Sequence[int | None]) -> list[WeightedLayer]:
    """The layer that makes pictures of rows, for a model that takes them; its input has the samples as first axis."""
    if len(input_shape) != _PICTURE_AXES + 1:
        return []
    sizes = [size for size in input_shape[1:] if size is not None]
    if len(sizes) != _PICTURE_AXES:
        raise InputError("keras.Sequential", f"expected a fixed size of its pictures, received {tuple(input_shape)}")
    height, width, channels = sizes
    return [picture(height, width, channels)]


def is_keras(value: object) -> bool:
    """Whether a value is a layer or a model of Keras, of its own types or of the user's."""
    return any(base.__module__.startswith("keras.") for base in type(value).__mro__)


def _readers(model: KerasLayer, place: str) -> Iterator[tuple[str, Reader]]:
    for layer in model.layers:
        own = f"{place}{layer.name}"
        if type(layer).__name__ == "Sequential":
            yield from _readers(layer, f"{own}.")
        else:
            yield own, partial(_read, layer)


def _read(layer: KerasLayer, place: str) -> list[WeightedLayer]:
    name = type(layer).__name__
    if not type(layer).__module__.startswith("keras.") or name not in _CONVERTERS:
        raise InputError(place, f"{name} has no equal layer; known: {', '.join(sorted(_CONVERTERS))}")
    return _CONVERTERS[name](layer, layer.get_config())


def _require(holds: bool, wanted: str, received: object) -> None:
    if not holds:
        raise InputError("", f"expected {wanted}, received {received!r}")


def _weights(layer: KerasLayer) -> list[np.ndarray]:
    return [np.asarray(array, dtype=float) for array in layer.get_weights()]


def _dense(layer: KerasLayer, config: Config) -> list[WeightedLayer]:
    W, *b = _weights(layer)
    _require(W.ndim == 2 and not config.get("lora_rank"), "a plain kernel of two axes", config.get("lora_rank"))
    inits = _initializer(config["kernel_initializer"]), _initializer(config["bias_initializer"])
    whole = dense(W, b[0] if b else None, inits, layer.trainable)
    return [whole, *_activation(config["activation"])]


def _window(config: Config, option: str) -> int:
    """An option of a window that Keras has for each axis, where both axes have the same number."""
    sizes = config[option]
    sizes = sizes if isinstance(sizes, list | tuple) else (sizes,)
    _require(len(set(sizes)) == 1, f"one number of {option} for both axes", sizes)
    return int(sizes[0])


def _check_order(config: Config) -> None:
    _require(config.get("data_format") != "channels_first", "data_format='channels_last'", "channels_first")


def _conv2d(layer: KerasLayer, config: Config) -> list[WeightedLayer]:
    _check_order(config)
    W, *b = _weights(layer)
    _require(not config.get("lora_rank"), "a plain kernel", config.get("lora_rank"))
    _require(_window(config, "dilation_rate") == 1, "dilation_rate=1", config["dilation_rate"])
    kernel, stride = _window(config, "kernel_size"), _window(config, "strides")
    same = config["padding"] == "same"
    _require(not same or (kernel % 2 == 1 and stride == 1), "an odd kernel and strides=1 for padding='same'", kernel)
    part = layers.Conv2d(
        config["filters"],
        kernel,
        stride,
        kernel // 2 if same else 0,
        config["groups"],
        init=_initializer(config["kernel_initializer"]),
        bias_init=_initializer(config["bias_initializer"]) if b else None,
        bias=bool(b),
        trainable=layer.trainable,
    )
    return [convolution(part, W, b[0] if b else None), *_activation(config["activation"])]


def _pool(part: type[layers.MaxPool2d | layers.AveragePool2d]) -> Callable[..., list[WeightedLayer]]:
    def read(layer: KerasLayer, config: Config) -> list[WeightedLayer]:
        _check_order(config)
        _require(config["padding"] == "valid", "padding='valid'", config["padding"])
        return [WeightedLayer(part(_window(config, "pool_size"), _window(config, "strides")))]

    return read


def _global_average_pool(layer: KerasLayer, config: Config) -> list[WeightedLayer]:
    _check_order(config)
    _require(not config["keepdims"], "keepdims=False", True)
    return [WeightedLayer(layers.GlobalAveragePool())]


def _activation(config: object) -> list[WeightedLayer]:
    """The activation that a layer names; none for "linear"."""
    if isinstance(config, dict) and isinstance(config.get("config"), str):
        config = config["config"]
    if config in (None, "linear"):
        return []
    if not isinstance(config, str) or config not in _ACTIVATIONS:
        raise InputError("", f"the activation {config!r} has no equal; known: {', '.join(_ACTIVATIONS)}")
    return [WeightedLayer(_ACTIVATIONS[config])]


def _initializer(config: Config) -> Initializer:
    """Keras's normal rules draw truncated normals of the same variance; ours are not truncated."""
    name, options = config["class_name"], config["config"]
    if name not in _INITIALIZERS:
        raise InputError("", f"the initializer {name} has no equal; known: {', '.join(_INITIALIZERS)}")
    return _INITIALIZERS[name](options)


def _batch_norm(layer: KerasLayer, config: Config) -> list[WeightedLayer]:
    *scale, mean, variance = _weights(layer)
    part = layers.BatchNorm(config["momentum"], config["epsilon"], _trained_scale(layer, config))
    return [WeightedLayer(part, _scale(scale, config, len(mean)), RunningMoments(mean, variance), len(mean))]


def _layer_norm(layer: KerasLayer, config: Config) -> list[WeightedLayer]:
    (axis,) = config["axis"] if isinstance(config["axis"], list | tuple) else (config["axis"],)
    _require(axis in (-1, 1), "axis=-1", axis)
    _require(not config.get("rms_scaling"), "rms_scaling=False", True)
    scale = _weights(layer)
    _require(bool(scale), "a scale or a centre, from whose length the width is known", "neither")
    width = len(scale[0])
    part = layers.LayerNorm(config["epsilon"], _trained_scale(layer, config))
    return [WeightedLayer(part, _scale(scale, config, width), (), width)]


def _scale(weights: Sequence[np.ndarray], config: Config, width: int) -> Scale:
    arrays = list(weights)
    gamma = arrays.pop(0) if config["scale"] else np.ones(width)
    return Scale(gamma, arrays.pop(0) if config["center"] else np.zeros(width))


def _trained_scale(layer: KerasLayer, config: Config) -> bool | tuple[str, ...]:
    names = tuple(
        name for name, option in (("gamma", "scale"), ("beta", "center")) if layer.trainable and config[option]
    )
    return names if len(names) == 1 else bool(names)


def _relu(layer: KerasLayer, config: Config) -> list[WeightedLayer]:
    _require(config["max_value"] is None and config["threshold"] == 0, "no max_value and no threshold", config)
    slope = float(config["negative_slope"])
    return [WeightedLayer(layers.LeakyReLU(slope) if slope else layers.ReLU())]


def _softmax(layer: KerasLayer, config: Config) -> list[WeightedLayer]:
    _require(config["axis"] in (-1, 1), "axis=-1", config["axis"])
    return [WeightedLayer(layers.Softmax())]


def _one(make: Callable[[Config], Layer]) -> Callable[..., list[WeightedLayer]]:
    return lambda layer, config: [WeightedLayer(make(config))]


_CONVERTERS: dict[str, Callable[[KerasLayer, Config], list[WeightedLayer]]] = {
    "Dense": _dense,
    "Conv2D": _conv2d,
    "MaxPooling2D": _pool(layers.MaxPool2d),
    "AveragePooling2D": _pool(layers.AveragePool2d),
    "GlobalAveragePooling2D": _global_average_pool,
    "Activation": lambda layer, config: _activation(config["activation"]),
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "ReLU": _relu,
    "Softmax": _softmax,
    "LeakyReLU": _one(lambda config: layers.LeakyReLU(float(config["negative_slope"]))),
    "ELU": _one(lambda config: layers.ELU(float(config["alpha"]))),
    "Dropout": _one(lambda config: layers.Dropout(float(config["rate"]))),
    "GaussianNoise": _one(lambda config: layers.GaussianNoise(float(config["stddev"]))),
    "Flatten": _one(lambda config: layers.Flatten()),
    "Identity": _one(lambda config: layers.Identity()),
    "InputLayer": lambda layer, config: [],
}
"""By the name of Keras's class, the function that reads a layer of it and its options."""

_ACTIVATIONS: dict[str, Layer] = {
    "relu": layers.ReLU(),
    "leaky_relu": layers.LeakyReLU(0.2),
    "elu": layers.ELU(),
    "selu": layers.SELU(),
    "gelu": layers.GELU(),
    "silu": layers.Swish(),
    "swish": layers.Swish(),
    "softplus": layers.Softplus(),
    "exponential": layers.Exponential(),
    "sigmoid": layers.Sigmoid(),
    "tanh": layers.Tanh(),
    "softmax": layers.Softmax(),
}

_INITIALIZERS: dict[str, Callable[[Config], Initializer]] = {
    "Zeros": lambda options: initializers.Zeros(),
    "Ones": lambda options: initializers.Ones(),
    "Constant": lambda options: initializers.Constant(float(options["value"])),
    "RandomUniform": lambda options: initializers.Uniform(options["minval"], options["maxval"]),
    "RandomNormal": lambda options: initializers.Normal(options["stddev"], options["mean"]),
    "TruncatedNormal": lambda options: initializers.TruncatedNormal(options["stddev"], options["mean"]),
    "GlorotUniform": lambda options: initializers.GlorotUniform(),
    "GlorotNormal": lambda options: initializers.GlorotNormal(),
    "HeUniform": lambda options: initializers.HeUniform(),
    "HeNormal": lambda options: initializers.HeNormal(),
    "LecunUniform": lambda options: initializers.LeCunUniform(),
    "LecunNormal": lambda options: initializers.LeCunNormal(),
    "Orthogonal": lambda options: initializers.Orthogonal(options["gain"]),
    "OrthogonalInitializer": lambda options: initializers.Orthogonal(options["gain"]),
}
