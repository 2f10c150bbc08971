"""What a batch is: sizes, scale, targets, fingerprints of its rows; and the scores of outputs on it."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ..facts import Task
from .tensors import Fields, Scaled, column_moments, difference, exact, mean_and_deviation, rms, share

_COLUMNS = 512
_FINGERPRINTS = 512
_CLASSES = 1000
_CONFUSED = 64
_NAN = float("nan")


def input_statistics(inputs: Tensor) -> Fields:
    """The fields of `BatchStatistics` that tell of the inputs, as tensors where they are numbers of the batch."""
    found: Fields = {
        "shape": tuple(inputs.shape),
        "type": str(inputs.dtype).removeprefix("torch."),
        "rows": fingerprints(inputs),
    }
    if inputs.is_floating_point() and inputs.numel():
        x = exact(inputs)
        found["mean"], found["deviation"] = mean_and_deviation(x)
        found["ends"] = list(torch.aminmax(x))
        found |= columns(x)
    return found


def target_statistics(targets: Tensor | None) -> Fields:
    """Those that tell of the targets."""
    if targets is None or not targets.numel() or targets.is_complex():
        return {}
    y = exact(targets)[:_FINGERPRINTS]
    return {"targets": y.reshape(len(y), -1).mean(1) if y.dim() > 1 else y.reshape(-1)}


def columns(x: Tensor) -> dict[str, Tensor]:
    """Mean and deviation of each column of inputs (rows, columns); nothing for other shapes."""
    if x.dim() != 2 or not 0 < x.shape[1] <= _COLUMNS or not len(x):
        return {}
    means, deviations = column_moments(x)
    return {"column_means": means, "column_deviations": deviations}


def fingerprints(inputs: Tensor) -> Tensor:
    """A number for each row (n,) that equal rows share, and different ones hardly ever do."""
    if not inputs.dim() or not inputs.numel():
        return torch.zeros(0, device=inputs.device)
    rows = inputs[:_FINGERPRINTS] if inputs.shape[0] > _FINGERPRINTS else inputs
    x = exact(rows).flatten(1) if rows.dim() > 1 else exact(rows)[:, None]
    return x @ _directions(x.shape[1], x.dtype, x.device)


@lru_cache(maxsize=4)
def _directions(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Weights without a pattern (size,), equal in every batch and made without PyTorch's random state."""
    return torch.frac(torch.arange(1, size + 1, dtype=dtype, device=device) * 0.6180339887498949 + 0.1)


def class_counts(values: Tensor) -> dict[str, int]:
    """Number of rows by class, of whole non-negative numbers below 1000; empty for other targets."""
    y = values.detach().reshape(-1)
    if not y.numel() or y.is_complex() or (y.is_floating_point() and not bool((y == y.round()).all())):
        return {}
    low, high = int(y.min()), int(y.max())
    if high - low >= _CLASSES:
        return {}
    counts = torch.bincount(y.long() - low).tolist()
    return {str(low + index): count for index, count in enumerate(counts) if count}


def class_outputs(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Outputs (rows, classes) for whole targets of one dimension less, as cross-entropy takes them, also where the loop
    has flattened the targets; None for others."""
    if targets.is_floating_point():
        return None
    if targets.dim() == 1 and outputs.dim() > 2 and outputs.shape[:-1].numel() == len(targets):
        return outputs.reshape(-1, outputs.shape[-1])
    if outputs.dim() != targets.dim() + 1:
        return None
    if outputs.shape[0] == targets.shape[0] and outputs.shape[2:] == targets.shape[1:]:
        return outputs.movedim(1, -1).reshape(-1, outputs.shape[1])
    # Many loops of language models flatten (batch, time, classes) before the loss.
    return outputs.reshape(-1, outputs.shape[-1]) if outputs.shape[:-1] == targets.shape else None


def scores(outputs: Tensor, targets: Tensor, task: Task, threshold: float = 0.0) -> Fields:
    """Score, classes, predictions and spread of outputs on some rows; empty where they do not fit the targets.

    Args:
        outputs: the outputs of the model.
        targets: the targets as the loss takes them.
        task: the task of the loss; "" for a loss that is not PyTorch's own.
        threshold: outputs above it mean yes: 0 for logits, 0.5 for probabilities.
    """
    z, y = exact(outputs), targets.detach()
    found: Fields = {"level": float(rms(z)), "spread": float(difference(z, 0))}
    by_class = class_outputs(z, y)
    labels = y.reshape(-1).long()
    # Whole targets that no output can be the class of are none: indices, or rows of a batch.
    if by_class is not None and bool((labels < by_class.shape[1]).all()):
        return found | _class_scores(by_class.argmax(1), labels)
    if z.numel() != y.numel():
        return found
    z, y = z.reshape(-1), exact(y).reshape(-1)
    if task != "regression" and bool(((y == 0) | (y == 1)).all()):
        if not task and bool(((z >= 0) & (z <= 1)).all()):
            threshold = 0.5
        return found | _class_scores((z > threshold).long(), y.long())
    variance = float(difference(y, 0)) ** 2
    r2 = 1 - float(torch.mean((z - y) ** 2)) / variance if variance > 0 else _NAN
    if not task and variance > 0:
        # The outputs may be logarithms or scores: R² of the best line through them.
        covariance = float(torch.mean((z - z.mean()) * (y - y.mean())))
        spread = float(torch.var(z, correction=0))
        r2 = max(r2, covariance**2 / (spread * variance)) if spread > 0 else 0.0
    return found | {"score": r2, "balanced_score": r2, "constant_score": 0.0}


def _class_scores(predicted: Tensor, labels: Tensor) -> Fields:
    classes = class_counts(labels)
    right = predicted == labels
    recalls = {name: float(right[labels == int(name)].float().mean()) for name in classes}
    found: Fields = {
        "score": float(right.float().mean()),
        "classes": classes,
        "predicted": class_counts(predicted),
        "recalls": recalls,
        "balanced_score": sum(recalls.values()) / len(recalls) if recalls else _NAN,
        "constant_score": 1 / len(recalls) if recalls else _NAN,
    }
    size = max(int(labels.max()), int(predicted.max())) + 1 if len(labels) else 0
    if 0 < size <= _CONFUSED and int(labels.min()) >= 0:
        table = torch.bincount(labels * size + predicted, minlength=size * size).reshape(size, size)
        found["confusion"] = tuple(map(tuple, table.tolist()))
    return found


def quick_score(outputs: Tensor, targets: Tensor, task: Task, threshold: float) -> Tensor | Scaled | float:
    """Accuracy or R² of outputs on a batch, on their device; NaN where they do not fit."""
    by_class = class_outputs(outputs, targets)
    if by_class is not None:
        return share(by_class.argmax(1) == targets.reshape(-1))
    if outputs.numel() != targets.numel() or not targets.numel() or task == "":
        return _NAN
    z, y = exact(outputs).reshape(-1), exact(targets).reshape(-1)
    if task == "multilabel":
        return share((z > threshold) == (y > 0.5))
    return 1 - (torch.linalg.vector_norm(z - y) / torch.linalg.vector_norm(y - y.mean())) ** 2
