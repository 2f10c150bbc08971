"""PyTorch's modules as layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ...core.arrays import Tree, map_arrays
from ...core.errors import InputError
from ...parts import layers
from ...parts.layers.dense import Affine, Weights
from ...parts.layers.norm import RunningMoments, Scale
from ...parts.part import Trainable
from .weighted import (
    Reader,
    WeightedLayer,
    WeightedNetwork,
    collected,
    convolution,
    dense,
    linear_initializer,
    picture,
    trainable_of,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


def network_of_module(module: nn.Module, input_shape: tuple[int, int, int] | None = None) -> WeightedNetwork:
    """The network of a module: a layer that we have, or nn.Sequential of such modules, nested as it may be.

    Of a module that takes pictures, `input_shape` is (channels, height, width). PyTorch has the channels first and we
    have them last, so weights behind nn.Flatten change their order.

    Raises InputError with every module that has no equal layer, each with its place, and for a module of pictures
    without `input_shape`.

    >>> import pytest
    >>> torch = pytest.importorskip("torch")
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    >>> [layer.kind for layer in network_of_module(model).network.layers]
    ['dense', 'tanh', 'dense']
    """
    subject = f"PyTorch's {type(module).__name__}"
    readers = list(_readers(module, "", sized=input_shape is not None))
    if input_shape is None:
        return collected(subject, readers)
    channels, height, width = input_shape
    return _channels_last(collected(subject, readers, [picture(height, width, channels)]))


def _channels_last(converted: WeightedNetwork) -> WeightedNetwork:
    """The network with the features behind nn.Flatten in our order: rows of pixels with their channels together."""
    shapes = ((converted.inputs,), *converted.network.layout((converted.inputs,)).shapes)
    order: np.ndarray | None = None
    params, states = list(converted.params), list(converted.states)
    for index, (before, after) in enumerate(pairwise(shapes)):
        weights = params[index]
        if len(before) == _PICTURE_AXES and after == (math.prod(before),):
            height, width, channels = before
            order = np.arange(math.prod(before)).reshape(channels, height, width).transpose(1, 2, 0).ravel()
        elif order is not None and isinstance(weights, Affine | Weights):
            params[index] = weights._replace(W=weights.W[order])
            order = None
        elif order is not None:
            params[index] = _reordered(weights, order)
            states[index] = _reordered(states[index], order)
    if order is not None:
        raise InputError("Flatten", "expected a Linear module behind it, without which the outputs have another order")
    return converted._replace(params=tuple(params), states=tuple(states))


def _reordered(tree: Tree, order: np.ndarray) -> Tree:
    """The parameters or statistics of a normalisation, one number for each feature, in another order."""
    return map_arrays(lambda array: array[order], tree)


def _readers(module: nn.Module, place: str, sized: bool) -> Iterator[tuple[str, Reader]]:
    """The modules that compute something, in their order, with the names that PyTorch gives them ("features.3").

    `sized`: whether the size of pictures is known.
    """
    if _is_torch(module) and type(module).__name__ == "Sequential":
        for name, child in module.named_children():
            yield from _readers(child, f"{place}.{name}" if place else name, sized)
    else:
        yield place or type(module).__name__, partial(_read, module, sized=sized)


def is_module(value: object) -> bool:
    """Whether a value is a module of PyTorch, of its own types or of the user's."""
    return any(base.__module__ == "torch.nn.modules.module" for base in type(value).__mro__)


def _is_torch(module: object) -> bool:
    """Whether the type is PyTorch's own: a subclass may compute anything."""
    return type(module).__module__.startswith("torch.nn.")


def _read(module: nn.Module, place: str, sized: bool) -> list[WeightedLayer]:
    name = type(module).__name__
    if not _is_torch(module) or name not in _CONVERTERS:
        fix = _FIXES.get(name, f"known: {', '.join(sorted(['Sequential', *_CONVERTERS]))}")
        raise InputError(place, f"{name} has no equal layer; {fix}")
    if name in _OF_PICTURES and not sized:
        fix = "thalweg.from_torch(module, input_shape=(channels, height, width))"
        raise InputError(place, f"{name} takes pictures of an unknown size; pass {fix}")
    return [_CONVERTERS[name](module)]


def _require(holds: bool, module: nn.Module, wanted: str) -> None:
    if not holds:
        raise InputError(type(module).__name__, f"expected {wanted}, received {module}")


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy().copy()


def _linear(module: nn.Linear) -> WeightedLayer:
    W, b = _array(module.weight).T.copy(), None if module.bias is None else _array(module.bias)
    fan_in = module.in_features
    inits = linear_initializer(W, fan_in), linear_initializer(W if b is None else b, fan_in)
    held = {} if module.bias is None else {"b": module.bias.requires_grad}
    return dense(W, b, inits, trainable_of(W=module.weight.requires_grad, **held))


def _one(module: nn.Module, option: str) -> int:
    """An option of a window that PyTorch has for each axis, where both axes have the same number."""
    value = getattr(module, option)
    sizes = value if isinstance(value, tuple) else (value,)
    _require(all(isinstance(size, int) and size == sizes[0] for size in sizes), module, f"one {option} for both axes")
    return int(sizes[0])


def _conv2d(module: nn.Conv2d) -> WeightedLayer:
    _require(_one(module, "dilation") == 1, module, "dilation=1")
    _require(module.padding_mode == "zeros", module, "padding_mode='zeros'")
    kernel, stride = _one(module, "kernel_size"), _one(module, "stride")
    if module.padding == "same":
        _require(kernel % 2 == 1 and stride == 1, module, "an odd kernel for padding='same'")
        padding = kernel // 2
    else:
        padding = 0 if module.padding == "valid" else _one(module, "padding")
    W = _array(module.weight).transpose(2, 3, 1, 0).copy()
    b = None if module.bias is None else _array(module.bias)
    fan_in = W[..., 0].size
    held = {} if module.bias is None else {"b": module.bias.requires_grad}
    layer = layers.Conv2d(
        module.out_channels,
        kernel,
        stride,
        padding,
        module.groups,
        init=linear_initializer(W, fan_in),
        bias_init=None if b is None else linear_initializer(b, fan_in),
        bias=b is not None,
        trainable=trainable_of(W=module.weight.requires_grad, **held),
    )
    return convolution(layer, W, b)


def _max_pool(module: nn.MaxPool2d) -> WeightedLayer:
    _require(_one(module, "padding") == 0 and _one(module, "dilation") == 1, module, "padding=0 and dilation=1")
    _require(not module.ceil_mode and not module.return_indices, module, "ceil_mode=False and return_indices=False")
    return WeightedLayer(layers.MaxPool2d(_one(module, "kernel_size"), _one(module, "stride")))


def _average_pool(module: nn.AvgPool2d) -> WeightedLayer:
    _require(_one(module, "padding") == 0 and not module.ceil_mode, module, "padding=0 and ceil_mode=False")
    _require(module.divisor_override is None, module, "no divisor_override")
    return WeightedLayer(layers.AveragePool2d(_one(module, "kernel_size"), _one(module, "stride")))


def _global_average_pool(module: nn.AdaptiveAvgPool2d) -> WeightedLayer:
    _require(module.output_size in (1, (1, 1)), module, "output_size=1")
    return WeightedLayer(layers.GlobalAveragePool())


def _batch_norm2d(module: nn.BatchNorm2d) -> WeightedLayer:
    # Its features are channels, which do not tell the number of features of a sample.
    return _batch_norm(module)._replace(inputs=None)


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d) -> WeightedLayer:
    _require(module.running_mean is not None, module, "running statistics (track_running_stats)")
    _require(module.momentum is not None, module, "a momentum: a cumulative average has no equal")
    assert module.running_mean is not None
    assert module.running_var is not None
    assert module.momentum is not None
    scale, trainable = _scale(module, module.num_features)
    # PyTorch's momentum is the weight of the new batch.
    layer = layers.BatchNorm(1 - module.momentum, module.eps, trainable)
    state = RunningMoments(_array(module.running_mean), _array(module.running_var))
    return WeightedLayer(layer, scale, state, module.num_features)


def _layer_norm(module: nn.LayerNorm) -> WeightedLayer:
    _require(len(module.normalized_shape) == 1, module, "one normalized axis")
    width = module.normalized_shape[0]
    scale, trainable = _scale(module, width)
    return WeightedLayer(layers.LayerNorm(module.eps, trainable), scale, (), width)


def _scale(module: nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm, width: int) -> tuple[Scale, Trainable]:
    gamma, beta = module.weight, module.bias
    scale = Scale(np.ones(width) if gamma is None else _array(gamma), np.zeros(width) if beta is None else _array(beta))
    trained = {
        "gamma": gamma is not None and gamma.requires_grad,
        "beta": beta is not None and beta.requires_grad,
    }
    return scale, trainable_of(**trained)


def _gelu(module: nn.GELU) -> WeightedLayer:
    return WeightedLayer(layers.GELU(tanh=module.approximate == "tanh"))


def _softplus(module: nn.Softplus) -> WeightedLayer:
    # Above a threshold PyTorch returns z itself; log(1 + exp(-20)) is 2e-9.
    _require(module.beta == 1 and module.threshold >= 20, module, "beta=1 and a threshold of at least 20")
    return WeightedLayer(layers.Softplus())


def _softmax(module: nn.Softmax) -> WeightedLayer:
    _require(module.dim in (-1, 1), module, "dim=1, the units of a sample")
    return WeightedLayer(layers.Softmax())


def _dropout(module: nn.Dropout) -> WeightedLayer:
    _require(module.p < 1, module, "p below 1")
    return WeightedLayer(layers.Dropout(module.p))


def _flatten(module: nn.Flatten) -> WeightedLayer:
    _require((module.start_dim, module.end_dim) == (1, -1), module, "start_dim=1 and end_dim=-1")
    return WeightedLayer(layers.Flatten())


def _plain(layer: type[layers.Activation]) -> Callable[[nn.Module], WeightedLayer]:
    return lambda module: WeightedLayer(layer())


_CONVERTERS: dict[str, Callable[..., WeightedLayer]] = {
    "Linear": _linear,
    "Conv2d": _conv2d,
    "MaxPool2d": _max_pool,
    "AvgPool2d": _average_pool,
    "AdaptiveAvgPool2d": _global_average_pool,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm2d,
    "LayerNorm": _layer_norm,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Softmax": _softmax,
    "GELU": _gelu,
    "Softplus": _softplus,
    "LeakyReLU": lambda module: WeightedLayer(layers.LeakyReLU(module.negative_slope)),
    "ELU": lambda module: WeightedLayer(layers.ELU(module.alpha)),
    "Identity": _plain(layers.Identity),
    "Sigmoid": _plain(layers.Sigmoid),
    "Tanh": _plain(layers.Tanh),
    "ReLU": _plain(layers.ReLU),
    "SELU": _plain(layers.SELU),
    "SiLU": _plain(layers.Swish),
}
"""By the name of PyTorch's class, the function that reads a module of it."""

_OF_PICTURES = frozenset({"Conv2d", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "BatchNorm2d"})
"""The modules that take pictures."""
_PICTURE_AXES = 3

_FIXES = {"LogSoftmax": "leave it out, and use nn.CrossEntropyLoss instead of nn.NLLLoss"}
"""How to do without a module."""
