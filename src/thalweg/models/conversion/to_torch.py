"""Layers as PyTorch's modules, with their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ...core.arrays import Array, LayerState, Params
from ...core.errors import InputError, Problem
from ...parts import layers
from ...parts.layers.dense import Affine, Weights
from ...parts.layers.norm import RunningMoments, Scale
from ...parts.layers.residual import Branch
from ...parts.part import Layer
from ..network import Network

if TYPE_CHECKING:
    import torch
    from torch import nn


def module_of(network: Network, params: Sequence[Params], states: Sequence[LayerState]) -> nn.Sequential:
    """The network as nn.Sequential with the same weights and running statistics, in evaluation mode.

    Its numbers are of PyTorch's default type. Raises InputError without PyTorch, and with every layer that has no equal
    module, each with its place.

    >>> import pytest
    >>> torch = pytest.importorskip("torch")
    >>> network = Network(["dense 3", "tanh"])
    >>> start = network.initialize(0, (2,))
    >>> module_of(network, start.params, start.states)
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): Tanh()
    )
    """
    try:
        import torch
    except ImportError as error:
        raise InputError("to_torch", "PyTorch is not installed; pip install 'thalweg[torch]'") from error
    problems = list(_problems(network.layers, ""))
    if problems:
        raise InputError("to_torch", problems)
    return torch.nn.Sequential(*_modules(network.layers, params, states)).eval()


def _problems(own: Sequence[Layer], block: str) -> Sequence[Problem]:
    problems = []
    for number, layer in enumerate(own, 1):
        place = f"{block}{number}"
        if type(layer) not in _CONVERTERS:
            problems.append(Problem(f"layer {place}", f"{layer.kind} has no equal module in PyTorch"))
        problems += _problems(layer.inner, f"{place}.")
    return problems


def _modules(own: Sequence[Layer], params: Sequence[Params], states: Sequence[LayerState]) -> list[nn.Module]:
    return [_CONVERTERS[type(layer)](layer, *weights) for layer, *weights in zip(own, params, states, strict=True)]


def _fill(tensors: Sequence[torch.Tensor], arrays: Sequence[Array]) -> None:
    import torch

    for tensor, array in zip(tensors, arrays, strict=True):
        tensor.data.copy_(torch.from_numpy(np.array(array)))


def _hold(layer: layers.Dense | layers.BatchNorm | layers.LayerNorm, named: dict[str, torch.Tensor]) -> None:
    """Hold the parameters that a training of the layer holds."""
    trained = layer.trainable
    for name, parameter in named.items():
        parameter.requires_grad_(trained if isinstance(trained, bool) else name in trained)


def _dense(layer: layers.Dense, params: Affine | Weights, state: LayerState) -> nn.Module:
    from torch import nn

    fan_in, width = params.W.shape
    module = nn.Linear(fan_in, width, bias=layer.bias)
    named = {"W": module.weight, **({"b": module.bias} if layer.bias else {})}
    _fill(list(named.values()), [np.asarray(params.W).T, *params[1:]])
    _hold(layer, named)
    return module


def _batch_norm(layer: layers.BatchNorm, params: Scale, state: RunningMoments) -> nn.Module:
    from torch import nn

    module = nn.BatchNorm1d(len(params.gamma), layer.epsilon, 1 - layer.momentum)
    assert module.running_mean is not None
    assert module.running_var is not None
    _fill([module.weight, module.bias, module.running_mean, module.running_var], [*params, *state])
    _hold(layer, {"gamma": module.weight, "beta": module.bias})
    return module


def _layer_norm(layer: layers.LayerNorm, params: Scale, state: LayerState) -> nn.Module:
    from torch import nn

    module = nn.LayerNorm(len(params.gamma), layer.epsilon)
    _fill([module.weight, module.bias], params)
    _hold(layer, {"gamma": module.weight, "beta": module.bias})
    return module


def _residual(layer: layers.Residual, params: Branch, state: Sequence[LayerState]) -> nn.Module:
    from torch import nn

    shortcut: nn.Module = nn.Identity()
    if not isinstance(params.projection, tuple):
        fan_in, width = params.projection.shape
        shortcut = nn.Linear(fan_in, width, bias=False)
        _fill([shortcut.weight], [np.asarray(params.projection).T])
    inside = nn.Sequential(*_modules(layer.layers, params.layers, state))
    block: nn.Module = _own_modules()["residual"](inside, shortcut)
    if not layer.trainable:
        block.requires_grad_(False)
    return block


def _stock(name: str, **options: str) -> Callable[..., nn.Module]:
    """A module of torch.nn without weights; `options` are its arguments by the names of our layer's attributes."""

    def make(layer: Layer, params: Params, state: LayerState) -> nn.Module:
        from torch import nn

        return getattr(nn, name)(**{argument: getattr(layer, own) for argument, own in options.items()})

    return make


def _softmax(layer: layers.Softmax, params: Params, state: LayerState) -> nn.Module:
    from torch import nn

    return nn.Softmax(dim=-1)


def _gelu(layer: layers.GELU, params: Params, state: LayerState) -> nn.Module:
    from torch import nn

    return nn.GELU("tanh" if layer.tanh else "none")


def _swish(layer: layers.Swish, params: Params, state: LayerState) -> nn.Module:
    from torch import nn

    return nn.SiLU() if layer.beta == 1 else _own_modules()["swish"](layer.beta)


def _exponential(layer: layers.Exponential, params: Params, state: LayerState) -> nn.Module:
    return _own_modules()["exponential"]()


def _noise(layer: layers.GaussianNoise, params: Params, state: LayerState) -> nn.Module:
    return _own_modules()["gaussian_noise"](layer.deviation)


@cache
def _own_modules() -> dict[str, Callable[..., nn.Module]]:
    """Modules for layers that PyTorch has not: classes that can be made only where it is installed."""
    import torch
    from torch import Tensor, nn

    class Residual(nn.Module):
        def __init__(self, layers: nn.Module, shortcut: nn.Module) -> None:
            super().__init__()
            self.layers = layers
            self.shortcut = shortcut

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x) + self.shortcut(x)

    class Swish(nn.Module):
        def __init__(self, beta: float) -> None:
            super().__init__()
            self.beta = beta

        def forward(self, z: Tensor) -> Tensor:
            return z * torch.sigmoid(self.beta * z)

    class Exponential(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.exp(z)

    class GaussianNoise(nn.Module):
        def __init__(self, deviation: float) -> None:
            super().__init__()
            self.deviation = deviation

        def forward(self, x: Tensor) -> Tensor:
            return x + self.deviation * torch.randn_like(x) if self.training else x

    return {"residual": Residual, "swish": Swish, "exponential": Exponential, "gaussian_noise": GaussianNoise}


_CONVERTERS: dict[type[Layer], Callable[..., nn.Module]] = {
    layers.Dense: _dense,
    layers.BatchNorm: _batch_norm,
    layers.LayerNorm: _layer_norm,
    layers.Residual: _residual,
    layers.Dropout: _stock("Dropout", p="rate"),
    layers.GaussianNoise: _noise,
    layers.Flatten: _stock("Flatten"),
    layers.Identity: _stock("Identity"),
    layers.Sigmoid: _stock("Sigmoid"),
    layers.Tanh: _stock("Tanh"),
    layers.ReLU: _stock("ReLU"),
    layers.LeakyReLU: _stock("LeakyReLU", negative_slope="alpha"),
    layers.ELU: _stock("ELU", alpha="alpha"),
    layers.SELU: _stock("SELU"),
    layers.GELU: _gelu,
    layers.Softplus: _stock("Softplus"),
    layers.Swish: _swish,
    layers.Exponential: _exponential,
    layers.Softmax: _softmax,
}
"""By our class, the function that makes the module of a layer with its parameters and running statistics."""
