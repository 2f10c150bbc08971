"""Layers as PyTorch's modules, with their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from ...core.arrays import Array, LayerState, Params
from ...core.errors import InputError, Problem
from ...parts import layers
from ...parts.layers.convolution import BareKernels, Kernels
from ...parts.layers.dense import Affine, Weights
from ...parts.layers.features import Monomials
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


def _modules(
    own: Sequence[Layer], params: Sequence[Params], states: Sequence[LayerState], pictures: bool = False
) -> list[nn.Module]:
    """The modules of layers; `pictures`: whether their input are pictures."""
    modules = []
    for layer, *weights in zip(own, params, states, strict=True):
        converters = _CONVERTERS | _ON_PICTURES if pictures else _CONVERTERS
        modules.append(converters[type(layer)](layer, *weights))
        pictures = _GIVE_PICTURES.get(type(layer), pictures)
    return modules


def _fill(tensors: Sequence[torch.Tensor], arrays: Sequence[Array]) -> None:
    import torch

    for tensor, array in zip(tensors, arrays, strict=True):
        tensor.data.copy_(torch.from_numpy(np.array(array)))


def _hold(
    layer: layers.Dense | layers.Conv2d | layers.BatchNorm | layers.LayerNorm, named: dict[str, torch.Tensor]
) -> None:
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


def _conv2d(layer: layers.Conv2d, params: Kernels | BareKernels, state: LayerState) -> nn.Module:
    from torch import nn

    _, _, own, width = params.W.shape
    module = nn.Conv2d(
        own * layer.groups, width, layer.kernel, layer.stride, layer.padding, groups=layer.groups, bias=layer.bias
    )
    assert module.weight is not None
    named = {"W": module.weight, **({"b": module.bias} if module.bias is not None else {})}
    _fill(list(named.values()), [np.asarray(params.W).transpose(3, 2, 0, 1), *params[1:]])
    _hold(layer, named)
    return _picture_modules()["channels_last"](module)


def _pool(name: str) -> Callable[..., nn.Module]:
    def make(layer: layers.MaxPool2d | layers.AveragePool2d, params: Params, state: LayerState) -> nn.Module:
        from torch import nn

        return _picture_modules()["channels_last"](getattr(nn, name)(layer.kernel, layer.stride))

    return make


def _global_average_pool(layer: layers.GlobalAveragePool, params: Params, state: LayerState) -> nn.Module:
    return _picture_modules()["pixel_mean"]()


def _reshape(layer: layers.Reshape, params: Params, state: LayerState) -> nn.Module:
    from torch import nn

    return nn.Unflatten(1, layer.shape)


def _picture_norm(layer: layers.BatchNorm, params: Scale, state: RunningMoments) -> nn.Module:
    return _picture_modules()["by_pixel"](_batch_norm(layer, params, state))


def _residual(layer: layers.Residual, params: Branch, state: Sequence[LayerState], pictures: bool = False) -> nn.Module:
    from torch import nn

    shortcut: nn.Module = nn.Identity()
    if not isinstance(params.projection, tuple):
        fan_in, width = params.projection.shape
        shortcut = nn.Linear(fan_in, width, bias=False)
        _fill([shortcut.weight], [np.asarray(params.projection).T])
    inside = nn.Sequential(*_modules(layer.layers, params.layers, state, pictures))
    block: nn.Module = (_picture_modules if pictures else _own_modules)()["residual"](inside, shortcut)
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


def _monomials(layer: Monomials, params: Params, state: LayerState) -> nn.Module:
    return _own_modules()["monomials"](layer.products)


def _features(layer: layers.Features, params: Params, state: LayerState) -> nn.Module:
    from torch import nn

    return nn.Sequential(_monomials(layer, params, state), _own_modules()["curves"](layer.curves))


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

    class ProductsOfInputs(nn.Module):
        def __init__(self, products: Callable[[int], Iterable[tuple[int, ...]]]) -> None:
            super().__init__()
            self.products = products

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[:, list(factors)].prod(dim=1) for factors in self.products(x.shape[1])], dim=1)

    class Curves(nn.Module):
        def __init__(self, names: Sequence[str]) -> None:
            super().__init__()
            self.names = names

        def forward(self, x: Tensor) -> Tensor:
            columns = zip(self.names, x.unbind(dim=1), strict=True)
            return torch.stack([getattr(torch, name)(x) if name else x for name, x in columns], dim=1)

    return {
        "residual": Residual,
        "swish": Swish,
        "exponential": Exponential,
        "gaussian_noise": GaussianNoise,
        "monomials": ProductsOfInputs,
        "curves": Curves,
    }


@cache
def _picture_modules() -> dict[str, Callable[..., nn.Module]]:
    """Modules for pictures with the channels last."""
    from torch import Tensor, nn

    class PictureResidual(nn.Module):
        def __init__(self, layers: nn.Module, shortcut: nn.Module) -> None:
            super().__init__()
            self.layers = layers
            self.shortcut = shortcut

        def forward(self, x: Tensor) -> Tensor:
            y = self.layers(x)
            stride = max(-(-x.shape[axis] // y.shape[axis]) for axis in (1, 2))
            return y + self.shortcut(x[:, ::stride, ::stride])

    class ChannelsLast(nn.Module):
        """A module that takes and gives pictures with the channels first, on pictures with the channels last."""

        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: Tensor) -> Tensor:
            return self.module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    class ByPixel(nn.Module):
        """A module of rows on the pixels of pictures."""

        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: Tensor) -> Tensor:
            return self.module(x.reshape(-1, x.shape[-1])).reshape(x.shape)

    class PixelMean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((1, 2))

    return {
        "residual": PictureResidual,
        "channels_last": ChannelsLast,
        "by_pixel": ByPixel,
        "pixel_mean": PixelMean,
    }


_CONVERTERS: dict[type[Layer], Callable[..., nn.Module]] = {
    layers.Dense: _dense,
    layers.Conv2d: _conv2d,
    layers.MaxPool2d: _pool("MaxPool2d"),
    layers.AveragePool2d: _pool("AvgPool2d"),
    layers.GlobalAveragePool: _global_average_pool,
    layers.Reshape: _reshape,
    layers.BatchNorm: _batch_norm,
    layers.LayerNorm: _layer_norm,
    layers.Residual: _residual,
    layers.Dropout: _stock("Dropout", p="rate"),
    layers.GaussianNoise: _noise,
    layers.Flatten: _stock("Flatten"),
    layers.Products: _monomials,
    layers.PolynomialFeatures: _monomials,
    layers.Features: _features,
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

_ON_PICTURES: dict[type[Layer], Callable[..., nn.Module]] = {
    layers.BatchNorm: _picture_norm,
    layers.Residual: partial(_residual, pictures=True),
}
"""The same for layers whose module is another one where their input are pictures."""

_GIVE_PICTURES: dict[type[Layer], bool] = {
    layers.Reshape: True,
    layers.Flatten: False,
    layers.GlobalAveragePool: False,
}
"""Whether the output of a layer are pictures; that of all other layers is what their input is."""
