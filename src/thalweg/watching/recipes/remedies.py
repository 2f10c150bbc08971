"""The remedies that suit a recipe, the most likely first: each changes something that the recipe has or lacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ...core.files import Json
from ...doctor.findings import Remedy
from ...pages.numbers import number
from .edits import input_scale, target_scale
from .loop import predicted
from .modules import (
    ACTIVATIONS,
    DROPOUTS,
    NORMALIZATIONS,
    SATURATING,
    bare,
    calls_activation,
    hidden_activations,
    output_activation,
    weighted,
)
from .parts import BINARY, BINARY_ON_LOGITS, CROSS_ENTROPIES, TrainingParts
from .rows import finite_rows

# Outputs of this many rows tell whether they are probabilities.
_ROWS = 256
# What follows what in a forward is known from any rows.
_FEW = 2
# A scale is unusual where it departs from 1 by more than this factor.
_USUAL = 3.0
_RATE_FACTORS = (0.1, 10.0, 0.01, 100.0, 0.001, 1000.0)
_ADAPTIVE = (torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam)
_LARGE_BATCH = 128
_SMALL_BATCH = 4
_NLLS = ("NLLLoss", "nll_loss")


def remedies_for(parts: TrainingParts) -> list[Remedy]:
    """The remedies of a recipe with these parts. Those of one place exclude each other."""
    sources: tuple[Callable[[TrainingParts], Iterator[Remedy]], ...] = (
        _finite,
        _outputs,
        _classes,
        _scales,
        _held_back,
        _rates,
        _starts,
        _layers,
        _batches,
    )
    return [remedy for source in sources for remedy in source(parts)]


def _remedy(label: str, **changes: Json) -> Remedy:
    return Remedy(label, tuple(changes.items()))


def _finite(parts: TrainingParts) -> Iterator[Remedy]:
    """A single row with a NaN or an infinity makes every weight one."""
    if not finite_rows(parts.rows.x, parts.rows.y).all():
        yield _remedy("rows of finite numbers", rows="finite")


def _outputs(parts: TrainingParts) -> Iterator[Remedy]:
    """The last activation and the loss, where they do not belong together."""
    outputs = predicted(parts, parts.rows.x[:_ROWS])
    targets = parts.rows.y
    single = outputs.ndim == 1 or outputs.shape[1] == 1
    if parts.is_classification and not single:
        yield from _class_outputs(parts, outputs)
    elif single and set(targets.unique().tolist()) <= {0, 1}:
        yield from _yes_or_no_outputs(parts, outputs)
    elif parts.loss_name in (*BINARY, *BINARY_ON_LOGITS) and parts.rows.has_two_values:
        yield _remedy("labels of 0 and 1", labels="binary")
    else:
        if outputs[:1].numel() == targets[:1].numel() and outputs.shape[1:] != targets.shape[1:]:
            yield _remedy("outputs in the shape of the targets", output_shape="targets")
        if _is_activated(parts, outputs):
            yield _remedy("no activation behind the last layer", output_activation="none")


def _classes(parts: TrainingParts) -> Iterator[Remedy]:
    """Weights of classes that occur at very different rates."""
    counts = parts.rows.class_counts
    if len(counts) > 1 and counts.max() > _USUAL * counts.min() > 0:
        yield _remedy("weights of the classes", class_weights="balanced")


def _class_outputs(parts: TrainingParts, outputs: Tensor) -> Iterator[Remedy]:
    activated = _is_activated(parts, outputs)
    normalized = _sums_to_one(outputs) or _sums_to_one(outputs.exp())
    if parts.loss_name in _NLLS:
        if activated and not _sums_to_one(outputs.exp()):
            yield _remedy("cross-entropy on logits", output_activation="none", loss="cross_entropy")
        elif not normalized:
            yield _remedy("cross-entropy on logits", loss="cross_entropy")
    elif activated:
        yield _remedy("no activation before the cross-entropy", output_activation="none", loss="cross_entropy")
    elif _sums_to_one(outputs):
        yield _remedy("logarithm of the probabilities", loss="nll_of_probabilities")
    elif parts.loss_name not in CROSS_ENTROPIES:
        yield _remedy("cross-entropy on logits", loss="cross_entropy")


def _yes_or_no_outputs(parts: TrainingParts, outputs: Tensor) -> Iterator[Remedy]:
    within = bool(((outputs >= 0) & (outputs <= 1)).all())
    suits = within and parts.loss_name in BINARY and bool(outputs.min() < outputs.max())
    if _is_activated(parts, outputs) and not suits:
        yield _remedy("a logit and the loss on it", output_activation="none", loss="bce_with_logits")
    elif within and parts.loss_name not in BINARY:
        yield _remedy("the loss on probabilities", loss="bce")
    elif not within and parts.loss_name not in BINARY_ON_LOGITS:
        yield _remedy("the loss on logits", loss="bce_with_logits")
    elif outputs.shape[1:] != parts.rows.y.shape[1:]:
        yield _remedy("outputs in the shape of the targets", output_shape="targets")


def _is_activated(parts: TrainingParts, outputs: Tensor) -> bool:
    """Whether an activation stands behind the last layer, as a module or as a function."""
    model = parts.model
    if output_activation(model):
        return True
    device = next(model.parameters()).device
    return calls_activation(model, parts.rows.x[:_ROWS].to(device), outputs)


def _sums_to_one(outputs: Tensor) -> bool:
    sums = outputs.sum(1)
    return bool((outputs >= 0).all() and (sums - 1).abs().max() < 1e-4)


def _scales(parts: TrainingParts) -> Iterator[Remedy]:
    rows = parts.rows
    if rows.x.is_floating_point() and _is_unusual(*input_scale(rows.x)):
        yield _remedy("standardized inputs", inputs="standardized")
    if not parts.is_classification and parts.score == "r2" and _is_unusual(*target_scale(rows.y)):
        yield _remedy("standardized targets", targets="standardized")


def _is_unusual(mean: Tensor, spread: Tensor) -> bool:
    """Whether a mean or a deviation is far from 0 and 1."""
    far = mean.abs() > _USUAL
    return bool((far | (spread > _USUAL) | (spread < 1 / _USUAL)).any())


def _held_back(parts: TrainingParts) -> Iterator[Remedy]:
    """What a recipe may hold back: parameters, the order of rows, gradients, rates."""
    if not all(parameter.requires_grad for parameter in parts.model.parameters()):
        yield _remedy("all parameters are trained", trainable=True)
    if not parts.shuffle:
        yield _remedy("shuffled rows", shuffle=True)
    if parts.clip is not None:
        yield _remedy("no clipping", clip=None)
    if parts.schedule is not None:
        yield _remedy("a constant rate", schedule=None)
    if any(group.get("weight_decay") for group in parts.optimizer(parts.model).param_groups):
        yield _remedy("no weight decay", weight_decay=0.0)
    if any(module.p for module in parts.model.modules() if isinstance(module, DROPOUTS)):
        yield _remedy("no dropout", dropout=0.0)


def _rates(parts: TrainingParts) -> Iterator[Remedy]:
    optimizer = parts.optimizer(parts.model)
    rate = float(optimizer.param_groups[0]["lr"])
    if not (isinstance(optimizer, _ADAPTIVE) and 3e-4 <= rate <= 3e-3):
        yield _remedy("Adam with rate 0.001", optimizer="adam")
    for factor in _RATE_FACTORS:
        new = float(f"{rate * factor:.3g}")
        if 0 < new <= 10:
            yield _remedy(f"learning rate {number(new)}", learning_rate=new)
    if parts.clip is None:
        yield _remedy("gradients clipped to norm 1", clip=1.0)


def _starts(parts: TrainingParts) -> Iterator[Remedy]:
    yield _remedy("PyTorch's own initial weights", init="default")
    if len(weighted(parts.model)) > 1:
        saturates = any(isinstance(module, SATURATING) for _, module in hidden_activations(parts.model))
        kind, name = ("glorot", "Glorot") if saturates else ("he", "He")
        yield _remedy(f"{name}'s initial weights", init=kind)


def _layers(parts: TrainingParts) -> Iterator[Remedy]:
    model = parts.model
    activations = [module for _, module in hidden_activations(model)]
    if any(isinstance(module, SATURATING) for module in activations):
        yield _remedy("ReLU", activation="relu")
    elif any(isinstance(module, ACTIVATIONS["relu"]) for module in activations):
        yield _remedy("leaky ReLU", activation="leaky_relu")
    if names := bare(model, parts.rows.x[:_FEW].to(next(model.parameters()).device)):
        yield _remedy("ReLU between the layers", relu_behind=list(names))
    hidden = len(weighted(model)) - 1
    if hidden >= 1 and not any(isinstance(module, NORMALIZATIONS) for module in model.modules()):
        yield _remedy("batch normalization", normalization="batch_norm")
    if activations and not any(isinstance(module, DROPOUTS) for module in model.modules()):
        yield _remedy("dropout 0.2", dropout=0.2)


def _batches(parts: TrainingParts) -> Iterator[Remedy]:
    """A batch of a usual size, of at most as many updates as rows allow."""
    rows = len(parts.rows.y)
    if parts.batch_size > _LARGE_BATCH or (parts.batch_size == rows and rows > 32):
        yield _remedy("batches of 32 rows", batch_size=32)
    elif parts.batch_size < _SMALL_BATCH:
        yield _remedy("batches of 32 rows", batch_size=min(32, rows))
    if parts.schedule is None:
        yield _remedy("a cosine schedule", schedule="cosine")
    if not any(
        math.isclose(group.get("weight_decay", 0.0), 0.0) is False
        for group in parts.optimizer(parts.model).param_groups
    ):
        yield _remedy("weight decay 0.01", weight_decay=0.01)
