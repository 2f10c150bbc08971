"""PyTorch's modules as layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import InputError
from ...parts import layers
from ...parts.layers.norm import RunningMoments, Scale
from ...parts.part import Trainable
from .weighted import Reader, WeightedLayer, WeightedNetwork, collected, dense, linear_initializer, trainable_of

if TYPE_CHECKING:
    from torch import Tensor, nn


def network_of_module(module: nn.Module) -> WeightedNetwork:
    """The network of a module: a layer that we have, or nn.Sequential of such modules, nested as it may be.

    Raises InputError with every module that has no equal layer, each with its place.

    >>> import pytest
    >>> torch = pytest.importorskip("torch")
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    >>> [layer.kind for layer in network_of_module(model).network.layers]
    ['dense', 'tanh', 'dense']
    """
    return collected(f"PyTorch's {type(module).__name__}", list(_readers(module, "")))


def _readers(module: nn.Module, place: str) -> Iterator[tuple[str, Reader]]:
    """The modules that compute something, in their order, with the names that PyTorch gives them ("features.3")."""
    if _is_torch(module) and type(module).__name__ == "Sequential":
        for name, child in module.named_children():
            yield from _readers(child, f"{place}.{name}" if place else name)
    else:
        yield place or type(module).__name__, partial(_read, module)


def is_module(value: object) -> bool:
    """Whether a value is a module of PyTorch, of its own types or of the user's."""
    return any(base.__module__ == "torch.nn.modules.module" for base in type(value).__mro__)


def _is_torch(module: object) -> bool:
    """Whether the type is PyTorch's own: a subclass may compute anything."""
    return type(module).__module__.startswith("torch.nn.")


def _read(module: nn.Module, place: str) -> list[WeightedLayer]:
    name = type(module).__name__
    if not _is_torch(module) or name not in _CONVERTERS:
        fix = _FIXES.get(name, f"known: {', '.join(sorted(['Sequential', *_CONVERTERS]))}")
        raise InputError(place, f"{name} has no equal layer; {fix}")
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


def _batch_norm(module: nn.BatchNorm1d) -> WeightedLayer:
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


def _scale(module: nn.BatchNorm1d | nn.LayerNorm, width: int) -> tuple[Scale, Trainable]:
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
    "BatchNorm1d": _batch_norm,
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

_FIXES = {"LogSoftmax": "leave it out, and use nn.CrossEntropyLoss instead of nn.NLLLoss"}
"""How to do without a module."""
