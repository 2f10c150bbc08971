"""How well outputs answer targets, comparable between losses."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...core.errors import InputError
from .parts import BINARY, BINARY_ON_LOGITS, ScoreFunction, ScoreName
from .rows import called


def score_of(score: ScoreName | ScoreFunction, outputs: Tensor, targets: Tensor, loss_name: str) -> float:
    """The score of outputs; NaN where one of them is not finite.

    Args:
        score: "accuracy", "r2" or a function of outputs and targets.
        outputs: outputs of the model (n, ...).
        targets: the targets (n, ...).
        loss_name: the loss, which tells whether a single output is a logit.

    >>> score_of("r2", torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0]), "MSELoss")
    1.0
    >>> score_of("accuracy", torch.tensor([[0.2, 0.8], [0.9, 0.1]]), torch.tensor([1, 1]), "CrossEntropyLoss")
    0.5
    """
    if not torch.isfinite(outputs).all():
        return math.nan
    if not isinstance(score, str):
        return called("score", lambda: float(score(outputs, targets)))
    if score == "accuracy":
        return _accuracy(outputs, targets, loss_name)
    return _r_squared(as_targets(outputs, targets), targets)


def as_targets(outputs: Tensor, targets: Tensor) -> Tensor:
    """Outputs in the shape of the targets, where they have as many numbers."""
    return outputs.reshape(targets.shape) if outputs.numel() == targets.numel() else outputs


def _accuracy(outputs: Tensor, targets: Tensor, loss_name: str) -> float:
    """The fraction of right classes, or of right labels where there are several or the output is single."""
    classes = _classes(targets)
    if outputs.numel() == classes.numel():
        # A loss on labels of 0 and 1 makes the output a logit or a probability, whatever codes it gets.
        threshold = 0.0 if loss_name in BINARY_ON_LOGITS else 0.5 if loss_name in BINARY else _middle(classes)
        chosen = as_targets(outputs, classes) > threshold
        return float((chosen == (classes > _middle(classes))).double().mean())
    chosen = outputs.argmax(1)
    if chosen.numel() != classes.numel():
        shapes = f"{tuple(outputs.shape)} and {tuple(targets.shape)}"
        raise InputError("accuracy", f"expected outputs (n, classes) and targets (n,), received shapes {shapes}")
    return float((chosen == classes.reshape(chosen.shape)).double().mean())


def _middle(labels: Tensor) -> float:
    """The number between two labels; 1/2 for those of 0 and 1, and where there is only one."""
    low, high = float(labels.min()), float(labels.max())
    return (low + high) / 2 if low < high else 0.5


def _classes(targets: Tensor) -> Tensor:
    """The classes (n,) of one-hot targets (n, K); other targets as they are."""
    one_hot = targets.ndim == 2 and targets.shape[1] > 1 and bool((targets.sum(1) == 1).all())
    return targets.argmax(1) if one_hot else targets


def _r_squared(outputs: Tensor, targets: Tensor) -> float:
    if outputs.shape != targets.shape:
        raise InputError(
            "r2", f"expected outputs of the targets' shape {tuple(targets.shape)}, received {tuple(outputs.shape)}"
        )
    error = (outputs.double() - targets.double()).square().mean(0)
    spread = targets.double().var(0, unbiased=False)
    if not (spread > 0).all():
        raise InputError("data", "all held-out rows have the same target, so that no R² exists")
    return float((1 - error / spread).mean())


def constant_score(score: ScoreName | ScoreFunction, held_out: Tensor) -> float:
    """The score of the best constant answer: the most frequent class, or the mean target; 0 for a user's function."""
    if score != "accuracy":
        return 0.0
    classes = _classes(held_out)
    if classes.ndim == 1:
        return float((classes == classes.mode().values).double().mean())
    share = (classes.reshape(len(classes), -1) > 0).double().mean(0)
    return float(torch.maximum(share, 1 - share).mean())
