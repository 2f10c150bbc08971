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
from .weighted import Reader, WeightedLayer, WeightedNetwork, collected, dense

Config = dict[str, Any]
"""The options of a Keras layer, as `get_config` gives them."""


class KerasLayer(Protocol):
    """What is read of a layer or model of Keras."""

    name: str
    layers: Sequence[KerasLayer]
    trainable: bool
    built: bool

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
    return collected("keras.Sequential", list(_readers(model, "")))


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
