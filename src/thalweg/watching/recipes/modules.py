"""Changes of a module: its activations, normalisation, dropout, initial weights and last activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from ...core.errors import InputError
from ..looks.evaluation import in_mode
from ..looks.graph import path_to
from ..looks.tensors import all_tensors
from ..roles import LINEAR_OPERATIONS

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
SATURATING = (nn.Sigmoid, nn.Tanh, nn.Softsign, nn.Hardtanh, nn.Hardsigmoid, nn.LogSigmoid)
OUTPUT_ACTIVATIONS = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.ReLU, nn.Tanh)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
NORMALIZATIONS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
_OTHER_ACTIVATIONS = (nn.ReLU6, nn.SELU, nn.CELU, nn.Softplus, nn.Hardswish, nn.Mish, nn.PReLU)
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# In evaluation mode batch normalisation is linear, and dropout nothing.
_STRAIGHT = LINEAR_OPERATIONS | {"nativebatchnorm", "cudnnbatchnorm"}
_BATCH_NORMS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: nn.BatchNorm1d,
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
}


def leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules without children, with their names, in the order in which they were registered."""
    return [(name, module) for name, module in model.named_modules() if not list(module.children())]


def weighted(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The dense and convolutional modules, with their names."""
    return [(name, module) for name, module in leaves(model) if isinstance(module, _WEIGHTED)]


def output_activation(model: nn.Module) -> tuple[str, nn.Module] | None:
    """The activation that is registered last, behind all modules with weights; None where there is none."""
    last = leaves(model)[-1]
    return last if isinstance(last[1], OUTPUT_ACTIVATIONS) else None


class LastLayer(nn.Module):
    """A model whose output is that of its last module with weights: what it calls behind it is left out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        """The output of the last module with weights."""
        outputs: list[Tensor] = []
        handle = weighted(self.model)[-1][1].register_forward_hook(lambda module, given, output: outputs.append(output))
        try:
            self.model(*inputs)
        finally:
            handle.remove()
        return outputs[-1]


def calls_activation(model: nn.Module, x: Tensor, outputs: Tensor) -> bool:
    """Whether the model calls a function behind its last module with weights that keeps the shape of its output."""
    if not weighted(model):
        return False
    with torch.no_grad():
        last = LastLayer(model)(x).cpu()
    return last.shape == outputs.shape and not torch.equal(last, outputs)


def hidden_activations(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The activations before the last module with weights."""
    kinds = (*ACTIVATIONS.values(), *SATURATING, *_OTHER_ACTIVATIONS)
    found = leaves(model)
    last = max((place for place, (_, module) in enumerate(found) if isinstance(module, _WEIGHTED)), default=0)
    return [(name, module) for name, module in found[:last] if isinstance(module, kinds)]


def replaced(model: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """The model with another module of that name; a model that is this module is the other one then."""
    if not name:
        return module
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)
    return model


def with_activation(model: nn.Module, kind: str) -> nn.Module:
    """Every hidden activation of this kind. Raises InputError where the model has none as modules."""
    names = [name for name, _ in hidden_activations(model)]
    if not names:
        raise InputError("activation", "the model has no activations as modules: it calls them as functions")
    for name in names:
        model = replaced(model, name, ACTIVATIONS[kind]())
    return model


def bare(model: nn.Module, x: Tensor) -> list[str]:
    """The modules with weights whose outputs reach other ones with nothing nonlinear on the way, in any forward.

    Modules whose outputs also go elsewhere, through something nonlinear or out of the model, are none of them.

    >>> model = nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 1)])
    >>> model.forward = lambda x: model[2](model[1](model[0](x)).tanh())
    >>> bare(model, torch.ones(4, 2))
    ['0']
    """
    modules = weighted(model)
    known: dict[Node, str] = {}
    followed: set[str] = set()
    elsewhere: set[str] = set()

    def listen(name: str) -> Callable[..., Tensor]:
        def called(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
            path = path_to(given[0], known)
            straight = all(operation.strip("_") in _STRAIGHT for operation in path.operations)
            (followed if straight else elsewhere).update(path.follows)
            # A graph of its own begins at each module, also where its parameters are not trained.
            start = output.detach().requires_grad_().clone()
            if start.grad_fn is not None:
                known[start.grad_fn] = name
            return start

        return called

    handles = [module.register_forward_hook(listen(name)) for name, module in modules]
    try:
        with torch.enable_grad(), in_mode(model, False):
            outputs = tuple(all_tensors(model(x)))
    finally:
        for handle in handles:
            handle.remove()
    for output in outputs:
        elsewhere.update(path_to(output, known).follows)
    return [name for name, _ in modules if name in followed - elsewhere]


def with_relu_behind(model: nn.Module, names: Sequence[str]) -> nn.Module:
    """ReLU behind the modules of these names."""
    for name in names:
        model = replaced(model, name, nn.Sequential(model.get_submodule(name), nn.ReLU()))
    return model


def with_batch_norm(model: nn.Module) -> nn.Module:
    """Batch normalisation behind every module with weights but the last one."""
    *hidden, _ = weighted(model)
    if not hidden:
        raise InputError("normalization", "the model has no hidden dense or convolutional module")
    for name, module in hidden:
        width = getattr(module, "out_features", None) or module.out_channels
        norm = next(norm for kind, norm in _BATCH_NORMS.items() if isinstance(module, kind))(width)
        model = replaced(model, name, nn.Sequential(module, norm))
    return model


def with_dropout(model: nn.Module, rate: float) -> nn.Module:
    """Dropout of this rate in all dropout modules; where there is none, behind every hidden activation."""
    modules = [module for module in model.modules() if isinstance(module, DROPOUTS)]
    for module in modules:
        module.p = rate
    if modules:
        return model
    activations = hidden_activations(model)
    if not activations:
        raise InputError("dropout", "the model has neither dropout nor activations as modules")
    for name, activation in activations:
        model = replaced(model, name, nn.Sequential(activation, nn.Dropout(rate)))
    return model


def initialized(model: nn.Module, kind: str) -> nn.Module:
    """New initial weights: "default" for PyTorch's of all modules; else by a rule, with biases of 0.

    "he" draws He's normal distribution for hidden layers and Glorot's uniform one for the last, "glorot" Glorot's for
    all of them.
    """
    if kind == "default":
        for _, module in leaves(model):
            reset = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
        return model
    found = weighted(model)
    for place, (_, module) in enumerate(found):
        hidden = place + 1 < len(found)
        draw: Callable[..., object] = nn.init.xavier_uniform_
        if kind == "he" and hidden:
            draw = nn.init.kaiming_normal_
        for name, parameter in module.named_parameters(recurse=False):
            draw(parameter) if name == "weight" else nn.init.zeros_(parameter)
    return model
