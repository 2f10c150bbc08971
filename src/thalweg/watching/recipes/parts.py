"""What one training of a recipe is made of, before and after changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ...core.errors import InputError
from .rows import RecipeRows, called, seeded

LossFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
ScoreName: TypeAlias = Literal["accuracy", "r2"]
ScoreFunction: TypeAlias = Callable[[Tensor, Tensor], float]
CROSS_ENTROPIES = ("CrossEntropyLoss", "cross_entropy")
"""Losses on the logits of classes."""
BINARY = ("BCELoss", "binary_cross_entropy")
"""Losses on the probability of a label."""
BINARY_ON_LOGITS = ("BCEWithLogitsLoss", "binary_cross_entropy_with_logits")
"""Losses on its logit."""


@dataclass(frozen=True, eq=False)
class TrainingParts:
    """What one training is made of.

    Attributes:
        model: the module with its initial weights.
        rows: the rows.
        loss: loss(outputs, targets), a scalar.
        loss_name: the class or the function that the loss is: "CrossEntropyLoss", "mse_loss".
        optimizer: makes the optimizer of the model.
        epochs: number of passes through the training rows.
        batch_size: rows of a batch.
        shuffle: whether rows come in a new order in each epoch.
        score: what held-out rows are scored by.
        schedule: makes the scheduler of the rate; None: the rate is constant.
        clip: largest norm of the gradient of all parameters; None: no limit.
        unscaled: turns outputs into the units of the targets; None: they have these.
    """

    model: nn.Module
    rows: RecipeRows
    loss: LossFunction
    loss_name: str
    optimizer: Callable[[nn.Module], Optimizer]
    epochs: int
    batch_size: int
    shuffle: bool
    score: ScoreName | ScoreFunction
    schedule: Callable[[Optimizer], LRScheduler] | None = None
    clip: float | None = None
    unscaled: Callable[[Tensor], Tensor] | None = None

    @property
    def updates(self) -> int:
        """Number of parameter updates."""
        return self.epochs * len(batches(len(self.rows.y), self.batch_size))

    @property
    def measure(self) -> str:
        """The name of the score: "accuracy", "r2", or "score" for a function of the user."""
        return self.score if isinstance(self.score, str) else "score"

    @property
    def is_classification(self) -> bool:
        """Whether the targets are whole numbers."""
        return not self.rows.y.is_floating_point()


def batches(rows: int, size: int, order: torch.Generator | None = None) -> list[Tensor]:
    """The rows of each batch of an epoch, in random order where there is a generator.

    A single row that is left joins the batch before it: batch normalisation cannot take it.

    >>> [len(batch) for batch in batches(9, 4)], [len(batch) for batch in batches(10, 4)]
    ([4, 5], [4, 4, 2])
    """
    index = torch.arange(rows) if order is None else torch.randperm(rows, generator=order)
    parts = list(index.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def parts_of(
    rows: RecipeRows,
    seed: int,
    model: Callable[[], nn.Module],
    loss: Callable[..., object],
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
    epochs: int,
    schedule: Callable[[Optimizer], LRScheduler] | None,
    clip: float | None,
    score: ScoreName | ScoreFunction | None,
) -> TrainingParts:
    """The parts of a recipe, with a model of this seed. Raises InputError where a factory gives something else."""
    with seeded(seed):
        module = called("model", model)
        function = cast(LossFunction, called("loss", loss) if _makes_loss(loss) else loss)
    if not isinstance(module, nn.Module):
        raise InputError("model", f"expected a function that gives an nn.Module, received a {type(module).__name__}")
    if not any(True for _ in module.parameters()):
        raise InputError("model", "expected a module with parameters, received one without")
    name = getattr(function, "__name__", type(function).__name__)
    labelled = rows.has_classes or (name in (*BINARY, *BINARY_ON_LOGITS) and rows.has_two_values)
    return TrainingParts(
        model=module,
        rows=rows,
        loss=function,
        loss_name=name,
        optimizer=lambda module: _optimizer(optimizer, module),
        epochs=epochs,
        batch_size=rows.batch_size,
        shuffle=rows.shuffle,
        score=score or ("accuracy" if labelled else "r2"),
        schedule=schedule,
        clip=clip,
    )


def _makes_loss(loss: Callable[..., object]) -> bool:
    """Whether this is a class of losses or a function without arguments, rather than a loss."""
    return inspect.isclass(loss) or (inspect.isfunction(loss) and not inspect.signature(loss).parameters)


def _optimizer(factory: Callable[[Iterable[nn.Parameter]], Optimizer], module: nn.Module) -> Optimizer:
    made = called("optimizer", factory, module.parameters())
    if not isinstance(made, Optimizer):
        raise InputError("optimizer", f"expected a torch.optim.Optimizer, received a {type(made).__name__}")
    return made
