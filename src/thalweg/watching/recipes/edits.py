"""Changes of a recipe by place, each with the lines of PyTorch that make it in the user's own code."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from ...core.errors import InputError
from ...core.files import Json
from .modules import (
    ACTIVATIONS,
    LastLayer,
    initialized,
    output_activation,
    replaced,
    weighted,
    with_activation,
    with_batch_norm,
    with_dropout,
    with_relu_behind,
)
from .parts import BINARY_ON_LOGITS, CROSS_ENTROPIES, LossFunction, TrainingParts
from .rows import called, finite_rows, seeded
from .scoring import as_targets

# The logarithm of a smaller probability is taken of this one.
_LEAST = 1e-7
_EPSILON = 1e-6


V = TypeVar("V")


class Edit(NamedTuple, Generic[V]):
    """A change of the parts of a training.

    Attributes:
        apply: (parts, value) -> the changed parts. Raises InputError where they have no such part.
        lines: value -> the lines of PyTorch that make the same change.
    """

    apply: Callable[[TrainingParts, V], TrainingParts]
    lines: Callable[[V], str]


def edited(parts: TrainingParts, changes: Mapping[str, Json], seed: int) -> TrainingParts:
    """Parts after changes, in the order of EDITS. What a change draws at random depends on the seed alone."""
    for place, edit in EDITS.items():
        if place in changes:
            with seeded(seed):
                parts = called(place, edit.apply, parts, changes[place])
    return parts


def lines_of(changes: Mapping[str, Json]) -> str:
    """The lines of PyTorch that make changes, in the order in which they belong into a program."""
    return "\n\n".join(edit.lines(changes[place]) for place, edit in EDITS.items() if place in changes)


# The model ------------------------------------------------------------------------------------------------------------


def _on_model(change: Callable[[nn.Module, V], nn.Module]) -> Callable[[TrainingParts, V], TrainingParts]:
    return lambda parts, value: dataclasses.replace(parts, model=change(parts.model, value))


def _output_activation(model: nn.Module, kind: str) -> nn.Module:
    found = output_activation(model)
    if found is None and not weighted(model):
        raise InputError("output_activation", "the model has no dense or convolutional module")
    if found is None:
        return LastLayer(model)
    return replaced(model, found[0], {"none": nn.Identity, "sigmoid": nn.Sigmoid}[kind]())


def _trainable(model: nn.Module, value: bool) -> nn.Module:
    return model.requires_grad_(value)


def _relu_lines(names: Sequence[str]) -> str:
    return (
        f"for name in {list(names)}:\n"
        "    model.set_submodule(name, nn.Sequential(model.get_submodule(name), nn.ReLU()))\n"
        "# or torch.relu(...) around these layers in forward(), which keeps the names of the parameters"
    )


def _init_lines(kind: str) -> str:
    if kind == "default":
        return (
            "# leave out your own initialization, or draw PyTorch's again:\n"
            "for module in model.modules():\n"
            "    if hasattr(module, 'reset_parameters'):\n"
            "        module.reset_parameters()"
        )
    draw = "nn.init.kaiming_normal_" if kind == "he" else "nn.init.xavier_uniform_"
    return (
        "layers = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))]\n"
        "for layer in layers:\n"
        f"    {draw}(layer.weight)\n"
        "    nn.init.zeros_(layer.bias)" + ("\nnn.init.xavier_uniform_(layers[-1].weight)" if kind == "he" else "")
    )


# The rows -------------------------------------------------------------------------------------------------------------


def input_scale(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of inputs: of each column, of each channel of images, else of all numbers."""
    axes = {2: (0,), 4: (0, 2, 3)}.get(x.ndim, tuple(range(x.ndim)))
    spread = x.std(axes, keepdim=True, unbiased=False)
    return x.mean(axes, keepdim=True), torch.where(spread > _EPSILON, spread, torch.ones_like(spread))


def target_scale(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of targets, of each column where there are several."""
    spread = y.std(0, unbiased=False)
    return y.mean(0), torch.where(spread > _EPSILON, spread, torch.ones_like(spread))


def _finite(parts: TrainingParts, value: str) -> TrainingParts:
    rows = parts.rows
    kept = finite_rows(rows.x, rows.y)
    if not kept.any():
        raise InputError("rows", "no training row has finite numbers alone")
    return dataclasses.replace(parts, rows=dataclasses.replace(rows, x=rows.x[kept], y=rows.y[kept]))


def _labels(parts: TrainingParts, value: str) -> TrainingParts:
    rows = parts.rows
    if not rows.has_two_values:
        raise InputError("labels", f"expected two different targets, received {len(rows.y.unique())}")
    yes = rows.y.max()
    coded = dataclasses.replace(rows, y=(rows.y == yes).float(), held_out_y=(rows.held_out_y == yes).float())
    return dataclasses.replace(parts, rows=coded)


def _inputs(parts: TrainingParts, value: str) -> TrainingParts:
    rows = parts.rows
    if not rows.x.is_floating_point():
        raise InputError("inputs", "the inputs are whole numbers, such as tokens, which have no scale")
    mean, spread = input_scale(rows.x)
    scaled = dataclasses.replace(rows, x=(rows.x - mean) / spread, held_out_x=(rows.held_out_x - mean) / spread)
    return dataclasses.replace(parts, rows=scaled)


def _targets(parts: TrainingParts, value: str) -> TrainingParts:
    if not parts.rows.y.is_floating_point():
        raise InputError("targets", "the targets are whole numbers, which are not scaled")
    mean, spread = target_scale(parts.rows.y)
    loss = parts.loss

    def scaled(outputs: Tensor, targets: Tensor) -> Tensor:
        return loss(outputs, (targets - mean.to(targets.device)) / spread.to(targets.device))

    return dataclasses.replace(parts, loss=scaled, unscaled=lambda outputs: outputs * spread + mean)


# Loss -----------------------------------------------------------------------------------------------------------------


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets)


def _nll_of_probabilities(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.nll_loss(outputs.clamp_min(_LEAST).log(), targets)


def _bce_with_logits(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(as_targets(outputs, targets), targets.to(outputs.dtype))


def _bce(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy(as_targets(outputs, targets), targets.to(outputs.dtype))


def _mse(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.mse_loss(as_targets(outputs, targets), targets)


_LOSSES: dict[str, tuple[LossFunction, str, str]] = {
    "cross_entropy": (_cross_entropy, "cross_entropy", "loss = nn.functional.cross_entropy(outputs, y)"),
    "nll_of_probabilities": (
        _nll_of_probabilities,
        "nll_loss",
        "loss = nn.functional.nll_loss(outputs.clamp_min(1e-7).log(), y)",
    ),
    "bce_with_logits": (
        _bce_with_logits,
        "binary_cross_entropy_with_logits",
        "loss = nn.functional.binary_cross_entropy_with_logits(outputs.reshape(y.shape), y.float())",
    ),
    "bce": (
        _bce,
        "binary_cross_entropy",
        "loss = nn.functional.binary_cross_entropy(outputs.reshape(y.shape), y.float())",
    ),
    "mse": (_mse, "mse_loss", "loss = nn.functional.mse_loss(outputs.reshape(y.shape), y)"),
}
"""By name: the loss, the name by which its decisions are known, and the line that computes it."""


def _loss(parts: TrainingParts, value: str) -> TrainingParts:
    function, name, _ = _LOSSES[value]
    return dataclasses.replace(parts, loss=function, loss_name=name)


def _class_weights(parts: TrainingParts, value: str) -> TrainingParts:
    counts = parts.rows.class_counts
    if len(counts) < 2:
        raise InputError("class_weights", "the training rows have no two classes")
    if parts.loss_name in BINARY_ON_LOGITS and len(counts) == 2:
        ratio = counts[0] / counts[1]

        def weighted(outputs: Tensor, targets: Tensor) -> Tensor:
            shaped, labels = as_targets(outputs, targets), targets.to(outputs.dtype)
            return functional.binary_cross_entropy_with_logits(shaped, labels, pos_weight=ratio.to(outputs))

    elif parts.loss_name in CROSS_ENTROPIES and not parts.rows.y.is_floating_point():
        weights = counts.sum() / (len(counts) * counts)

        def weighted(outputs: Tensor, targets: Tensor) -> Tensor:
            return functional.cross_entropy(outputs, targets, weight=weights.to(outputs))

    else:
        raise InputError("class_weights", f"{parts.loss_name} takes no weights of classes")
    return dataclasses.replace(parts, loss=weighted)


def _class_weight_lines(value: str) -> str:
    return (
        "counts = torch.bincount(y_train.long().flatten()).float()\n"
        "loss_fn = nn.CrossEntropyLoss(weight=counts.sum() / (len(counts) * counts))\n"
        "# or, for labels of 0 and 1: nn.BCEWithLogitsLoss(pos_weight=counts[0] / counts[1])"
    )


def _output_shape(parts: TrainingParts, value: str) -> TrainingParts:
    loss = parts.loss
    return dataclasses.replace(parts, loss=lambda outputs, targets: loss(as_targets(outputs, targets), targets))


# The optimizer --------------------------------------------------------------------------------------------------------

_OPTIMIZERS: dict[str, tuple[type[Optimizer], dict[str, float]]] = {
    "adam": (torch.optim.Adam, {"lr": 1e-3}),
    "adamw": (torch.optim.AdamW, {"lr": 1e-3}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 1e-3}),
    "momentum": (torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9}),
    "sgd": (torch.optim.SGD, {"lr": 1e-2}),
}
"""By name: the optimizer and its options."""
OPTIMIZERS = tuple(_OPTIMIZERS)


def _optimizer(parts: TrainingParts, value: str) -> TrainingParts:
    kind, options = _OPTIMIZERS[value]
    make: Callable[..., Optimizer] = kind
    return dataclasses.replace(
        parts, optimizer=lambda model: make([p for p in model.parameters() if p.requires_grad], **options)
    )


def _on_groups(change: Callable[[Optimizer, V], None]) -> Callable[[TrainingParts, V], TrainingParts]:
    def apply(parts: TrainingParts, value: V) -> TrainingParts:
        before = parts.optimizer

        def make(model: nn.Module) -> Optimizer:
            optimizer = before(model)
            change(optimizer, value)
            return optimizer

        return dataclasses.replace(parts, optimizer=make)

    return apply


def _learning_rate(optimizer: Optimizer, rate: float) -> None:
    """The rate of the first group; those of the others keep their ratio to it."""
    first = optimizer.param_groups[0]["lr"]
    for group in optimizer.param_groups:
        group["lr"] = rate * (group["lr"] / first if first else 1.0)


def _weight_decay(optimizer: Optimizer, decay: float) -> None:
    for group in optimizer.param_groups:
        group["weight_decay"] = decay


def _schedule(parts: TrainingParts, value: str | None) -> TrainingParts:
    epochs = parts.epochs
    cosine = (lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)) if value else None
    return dataclasses.replace(parts, schedule=cosine)


def _optimizer_lines(value: str) -> str:
    kind, options = _OPTIMIZERS[value]
    written = ", ".join(f"{name}={number:g}" for name, number in options.items())
    return f"optimizer = torch.optim.{kind.__name__}(model.parameters(), {written})"


def _clip(parts: TrainingParts, value: float | None) -> TrainingParts:
    return dataclasses.replace(parts, clip=value)


def _batch_size(parts: TrainingParts, value: int) -> TrainingParts:
    return dataclasses.replace(parts, batch_size=value)


def _shuffle(parts: TrainingParts, value: bool) -> TrainingParts:
    return dataclasses.replace(parts, shuffle=value)


def _epochs(parts: TrainingParts, value: int) -> TrainingParts:
    return dataclasses.replace(parts, epochs=value)


EDITS: dict[str, Edit[Any]] = {
    "relu_behind": Edit(_on_model(with_relu_behind), _relu_lines),
    "output_activation": Edit(
        _on_model(_output_activation),
        lambda value: (
            "# leave out the activation behind the last layer"
            if value == "none"
            else "nn.Sigmoid()   # in place of the activation behind the last layer"
        ),
    ),
    "activation": Edit(
        _on_model(with_activation), lambda value: f"nn.{ACTIVATIONS[value].__name__}()   # every hidden activation"
    ),
    "normalization": Edit(
        _on_model(lambda model, value: with_batch_norm(model)),
        lambda value: "nn.BatchNorm1d(features)   # behind every hidden nn.Linear; nn.BatchNorm2d behind nn.Conv2d",
    ),
    "dropout": Edit(_on_model(with_dropout), lambda value: f"nn.Dropout({value:g})   # behind every hidden activation"),
    "init": Edit(_on_model(initialized), _init_lines),
    "trainable": Edit(
        _on_model(_trainable), lambda value: "model.requires_grad_(True)   # before the optimizer is made"
    ),
    "rows": Edit(
        _finite,
        lambda value: (
            "# better: mend what makes the NaN or infinity, such as torch.log(y) of 0, which torch.log1p(y) takes\n"
            "n = len(y_train)\n"
            "finite = x_train.isfinite().reshape(n, -1).all(1) & y_train.isfinite().reshape(n, -1).all(1)\n"
            "x_train, y_train = x_train[finite], y_train[finite]"
        ),
    ),
    "labels": Edit(_labels, lambda value: "y = (y == y_train.max()).float()   # 0 and 1, in all rows"),
    "inputs": Edit(
        _inputs,
        lambda value: (
            "mean, std = x_train.mean(0), x_train.std(0).clamp_min(1e-6)   # of images over (0, 2, 3)\n"
            "x_train, x_test = (x_train - mean) / std, (x_test - mean) / std"
        ),
    ),
    "targets": Edit(
        _targets,
        lambda value: (
            "y_mean, y_std = y_train.mean(0), y_train.std(0)\n"
            "loss = loss_fn(outputs, (y - y_mean) / y_std)\n"
            "prediction = model(x) * y_std + y_mean"
        ),
    ),
    "loss": Edit(_loss, lambda value: _LOSSES[value][2]),
    "class_weights": Edit(_class_weights, _class_weight_lines),
    "output_shape": Edit(_output_shape, lambda value: "loss = loss_fn(outputs.reshape(y.shape), y)"),
    "optimizer": Edit(_optimizer, _optimizer_lines),
    "learning_rate": Edit(
        _on_groups(_learning_rate),
        lambda value: (
            f"for group in optimizer.param_groups:\n    group['lr'] = {value:g}   # or lr={value:g} where it is made"
        ),
    ),
    "weight_decay": Edit(
        _on_groups(_weight_decay), lambda value: f"weight_decay={value:g}   # where the optimizer is made"
    ),
    "clip": Edit(
        _clip,
        lambda value: (
            "# leave out the clipping of gradients"
            if value is None
            else f"nn.utils.clip_grad_norm_(model.parameters(), {value:g})   # between backward() and step()"
        ),
    ),
    "schedule": Edit(
        _schedule,
        lambda value: (
            "scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)"
            if value
            else "# leave out the scheduler"
        ),
    ),
    "batch_size": Edit(_batch_size, lambda value: f"DataLoader(..., batch_size={value})"),
    "shuffle": Edit(_shuffle, lambda value: f"DataLoader(..., shuffle={value})"),
    "epochs": Edit(_epochs, lambda value: f"for epoch in range({value}):"),
}
"""By place, in the order in which they are made."""
