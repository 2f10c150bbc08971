"""What stands before the first step: the modules, the parameters, the optimizer and the loss."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from ..facts import Unregistered, WatchedGroup, WatchedLoss, WatchedModel, WatchedModule, WatchedParameter
from ..roles import FUNCTIONS, LOSSES, LossMeaning, activation_of, loss_kind, role_of
from .graph import leaves

# Drawn weights deviate from their initializer by no more than this many standard errors.
_ERRORS = 2
_WIDTHS = ("out_features", "out_channels", "hidden_size", "embedding_dim", "embed_dim", "num_features")


def eager(model: nn.Module) -> nn.Module:
    """The module that `torch.compile` or `DistributedDataParallel` wraps; the module itself where nothing does."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def is_compiled(model: nn.Module) -> bool:
    """Whether any part of a model is compiled, by `torch.compile(module)` or by `module.compile()`."""
    return any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


def watched_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that are places: those without children, with parameters of their own, or of a known role."""
    for name, module in model.named_modules():
        if (
            role_of(module) != "other"
            or not module._modules
            or next(module.parameters(recurse=False), None) is not None
        ):
            yield name, module


def described(model: nn.Module, optimizer: Optimizer, loss: object) -> WatchedModel:
    """Model, loss and optimizer in words and numbers."""
    inner = eager(model)
    held = {id(parameter) for parameter in held_parameters(optimizer)}
    return WatchedModel(
        kind=type(inner).__name__,
        modules=tuple(_module(name, module) for name, module in watched_modules(inner)),
        parameters=tuple(_parameter(name, parameter, held) for name, parameter in inner.named_parameters()),
        loss=described_loss(loss),
        optimizer=type(optimizer).__name__,
        groups=tuple(map(_group, optimizer.param_groups)),
        unregistered=tuple(unregistered(inner, held)),
        foreign=membership(inner, dict(inner.named_parameters()), optimizer).foreign,
        compiled=is_compiled(model),
        decoupled_decay=type(optimizer).__name__ == "AdamW" or bool(optimizer.defaults.get("decoupled_weight_decay")),
    )


def described_loss(loss: object) -> WatchedLoss:
    """The loss in words."""
    kind = loss_kind(loss)
    meaning = LOSSES.get(kind, LossMeaning("", "", False))
    name = type(loss).__name__ if isinstance(loss, nn.Module) else str(getattr(loss, "__name__", ""))
    return WatchedLoss(
        kind=kind or FUNCTIONS.get(name, name),
        module=isinstance(loss, nn.Module),
        takes=meaning.takes,
        task=meaning.task,
        reduction=str(getattr(loss, "reduction", "mean")),
        label_smoothing=float(getattr(loss, "label_smoothing", 0.0)),
    )


def held_parameters(optimizer: Optimizer) -> Iterator[torch.Tensor]:
    """All parameters that an optimizer holds."""
    for group in optimizer.param_groups:
        yield from group["params"]


class Membership(NamedTuple):
    """Which parameters the optimizer and the model have in common."""

    frozen: tuple[str, ...]
    """Parameters of the model that are not trained."""
    missing: tuple[str, ...]
    """Trainable parameters of the model that the optimizer does not hold."""
    foreign: tuple[str, ...]
    """Shapes of the parameters that the optimizer holds and the model does not have, not even in a plain list."""


def membership(model: nn.Module, named: Mapping[str, nn.Parameter], optimizer: Optimizer) -> Membership:
    """Compare the parameters of a model, which are `named`, with those that an optimizer holds."""
    held = {id(parameter): parameter for parameter in held_parameters(optimizer)}
    unknown = held.keys() - {id(parameter) for parameter in named.values()}
    if unknown:
        unknown -= {id(p) for _, members in _hidden(model) for member in members for p in _trained(member)}
    return Membership(
        frozen=tuple(name for name, parameter in named.items() if not parameter.requires_grad),
        missing=tuple(name for name, p in named.items() if p.requires_grad and id(p) not in held),
        foreign=tuple(str(tuple(parameter.shape)) for key, parameter in held.items() if key in unknown),
    )


def unregistered(model: nn.Module, held: set[int]) -> Iterator[Unregistered]:
    """The modules with parameters in plain lists, tuples, sets and dicts of the modules of a model, and the trainable
    tensors that are no parameters."""
    registered = {id(parameter) for parameter in model.parameters()}
    for name, members in _hidden(model):
        own = [parameter for member in members for parameter in _own(member, registered)]
        if own:
            yield Unregistered(
                name=name,
                kinds=tuple(type(member).__name__ for member in members),
                parameters=sum(parameter.numel() for parameter in own),
                optimized=all(id(parameter) in held for parameter in own),
            )


def _hidden(model: nn.Module) -> Iterator[tuple[str, list[nn.Module | torch.Tensor]]]:
    """Attributes that are plain containers of modules or tensors, or tensors, each with its name and what it holds."""
    for place, module in model.named_modules():
        for name, value in vars(module).items():
            is_registered = name in {"_modules", "_parameters", "_buffers"}
            if not is_registered and (members := list(_members_of(value))):
                yield (f"{place}.{name}" if place else name), members


def _trained(member: nn.Module | torch.Tensor) -> list[torch.Tensor]:
    """The tensors that backward gives a gradient: trainable parameters of a module, or what a tensor was made from."""
    if isinstance(member, torch.Tensor):
        return list(leaves(member))
    return [parameter for parameter in member.parameters() if parameter.requires_grad]


def _own(member: nn.Module | torch.Tensor, registered: set[int]) -> list[torch.Tensor]:
    """Those of them that the model does not know. A tensor that was computed from parameters of the model, such as a
    weight under a parametrization or the output of a pass, has none of its own."""
    own = [parameter for parameter in _trained(member) if id(parameter) not in registered]
    return own if isinstance(member, nn.Module) or len(own) == len(_trained(member)) else []


def _members_of(value: object, depth: int = 2) -> Iterator[nn.Module | torch.Tensor]:
    items: Iterable[object] = ()
    if isinstance(value, torch.Tensor) and value.requires_grad:
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        items = value
    elif isinstance(value, Mapping):
        # One that reads a file may be closed.
        with contextlib.suppress(Exception):
            items = list(value.values())
    for item in items:
        if isinstance(item, nn.Module):
            yield item
        elif depth:
            yield from _members_of(item, depth - 1)


def _module(name: str, module: nn.Module) -> WatchedModule:
    role = role_of(module)
    axis = getattr(module, "dim", None) if role == "softmax" else None
    width = next((value for key in _WIDTHS if isinstance(value := getattr(module, key, None), int)), 0)
    return WatchedModule(
        name=name,
        kind=type(module).__name__,
        role=role,
        width=width,
        parameters=tuple(f"{name}.{key}" if name else key for key, _ in module.named_parameters(recurse=False)),
        activation=activation_of(module),
        axis=axis if isinstance(axis, int) else None,
        drop_rate=float(getattr(module, "p", 0.0)) if role == "dropout" else 0.0,
        batch_first=bool(getattr(module, "batch_first", False)) if role in ("recurrent", "attention") else None,
    )


@torch.no_grad()
def _parameter(name: str, parameter: nn.Parameter, held: set[int]) -> WatchedParameter:
    values = parameter.detach()
    shape = tuple(values.shape)
    rms = float(torch.linalg.vector_norm(values.float())) / math.sqrt(max(values.numel(), 1))
    is_matrix = len(shape) > 1
    return WatchedParameter(
        name=name,
        shape=shape,
        trainable=parameter.requires_grad,
        optimized=id(parameter) in held,
        rms=rms,
        gain=_gain(shape, rms) if is_matrix else float("nan"),
        identical_units=is_matrix and shape[0] > 1 and bool((values == values[:1]).all()),
    )


def _gain(shape: tuple[int, ...], rms: float) -> float:
    """The size of a weight matrix (outputs, inputs, ...) as a multiple of the nearest textbook initialization."""
    field = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * field, shape[0] * field
    # LeCun, He and Glorot; PyTorch's own for dense and convolutional layers is 1 / √(3 fan_in).
    textbook = [math.sqrt(value) for value in (1 / fan_in, 2 / fan_in, 2 / (fan_in + fan_out), 1 / (3 * fan_in))]
    chance = _ERRORS / math.sqrt(2 * math.prod(shape))
    low, high = min(textbook) / (1 + chance), max(textbook) * (1 + chance)
    return rms / min(max(rms, low), high)


def _group(group: Mapping[str, object]) -> WatchedGroup:
    momentum = group.get("momentum", 0.0)
    betas = group.get("betas")
    if isinstance(betas, tuple):
        momentum = betas[0]
    parameters = group["params"]
    return WatchedGroup(
        rate=as_float(group.get("lr", math.nan)),
        momentum=as_float(momentum),
        weight_decay=as_float(group.get("weight_decay", 0.0)),
        parameters=len(parameters) if isinstance(parameters, list) else 0,
    )


def rates_of(optimizer: Optimizer) -> tuple[float, ...]:
    """The learning rate of each group, as far as it is known without waiting for a device."""
    rates = [group.get("lr") for group in optimizer.param_groups]
    return tuple([rate if type(rate) is float else _as_rate(rate) for rate in rates])


def _as_rate(rate: object) -> float:
    on_device = isinstance(rate, torch.Tensor) and rate.device.type != "cpu"
    return math.nan if on_device else as_float(rate)


def as_float(value: object) -> float:
    """A setting of an optimizer as a number; NaN if it is none, or None."""
    return float(value) if isinstance(value, int | float | torch.Tensor) else math.nan
