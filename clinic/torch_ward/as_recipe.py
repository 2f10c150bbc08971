"""A program of the ward as a recipe, made of what the program gives to its watch.

The model, its initial weights, the optimizer with its groups and the loss are those that the watch gets; the rows and
their order are those of the steps of the first epoch, the rates those of each epoch. So nobody writes the recipe, and
nothing of the repair can slip into it. What a loop does besides is not in the recipe: see `is_faithful`.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

import thalweg

from .cases import Program

# A loss of the recipe and of the program that differ by less are the same, but for rounding and dropout.
_ALIKE = 0.2
# Where so many rows have one class, accuracy tells little, and the mean recall of the classes is the score.
_MAJORITY = 0.75


class NoRecipeError(Exception):
    """The program cannot be written as a recipe."""


class _AttachedError(Exception):
    """Ends a program when it attaches its watch."""


class Seen:
    """Takes the place of a watch, and keeps what makes a recipe."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, loss: Callable[..., Any]) -> None:
        self.model = copy.deepcopy(model)
        self.kind = type(optimizer)
        self.defaults = dict(optimizer.defaults)
        order = {id(parameter): index for index, parameter in enumerate(model.parameters())}
        self.groups = [
            {**group, "params": [order.get(id(parameter)) for parameter in group["params"]]}
            for group in optimizer.param_groups
        ]
        self.loss = loss
        self.rates: list[float] = []
        self.batches: list[tuple[Tensor, Tensor]] = []
        self.held_out: tuple[Tensor, Tensor] | None = None
        self.first_loss = math.nan
        self.again: Tensor | None = None
        """The inputs of the first step of the second epoch."""
        self._optimizer = optimizer
        self._begins = True

    def step(self, x: object, y: Tensor, loss: Tensor) -> None:
        """Keep the rows of the first epoch, and the rate of each epoch."""
        if not isinstance(x, Tensor):
            raise NoRecipeError("its inputs are no single tensor")
        if self._begins:
            self.rates.append(float(self._optimizer.param_groups[0]["lr"]))
        if not self.batches:
            self.first_loss = float(loss.detach())
        if len(self.rates) == 1:
            self.batches.append((x.detach().clone(), y.detach().clone()))
        elif len(self.rates) == 2 and self._begins:
            self.again = x.detach().clone()
        self._begins = False

    def epoch(self, validation: tuple[Tensor, Tensor] | None = None) -> None:
        """Keep the validation rows."""
        self._begins = True
        if validation is not None and isinstance(validation[0], Tensor):
            self.held_out = validation

    def close(self) -> None:
        """Nothing is to be taken off."""

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """The optimizer with the groups of the program, for another model of its kind."""
        known = list(parameters)
        groups = [
            {**group, "params": [known[index] for index in group["params"] if index is not None]}
            for group in self.groups
        ]
        allowed = {
            name: value for name, value in self.defaults.items() if name in self.kind.__init__.__code__.co_varnames
        }
        return self.kind([group for group in groups if group["params"]], **allowed)

    def schedule(self, optimizer: Optimizer) -> LRScheduler:
        """The rates of the epochs."""
        first = self.rates[0] or 1.0
        return LambdaLR(optimizer, lambda epoch: self.rates[min(epoch, len(self.rates) - 1)] / first)

    @property
    def is_faithful(self) -> bool:
        """Whether the loss of the first step is that of `loss(model(x), y)`."""
        x, y = self.batches[0]
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            loss = float(self.loss(model(x), y))
        return abs(loss - self.first_loss) <= _ALIKE * abs(self.first_loss) or not math.isfinite(self.first_loss)


def recipe_of(program: Program, fixed: bool, seed: int = 0) -> thalweg.Recipe:
    """The recipe of a program: its rows are those of this seed, its initial weights those of the seed of a training.

    Raises:
        NoRecipeError: the program cannot be written as a recipe.
    """
    seen: list[Seen] = []

    def watch(model: nn.Module, optimizer: Optimizer, loss: Callable[..., Any]) -> Seen:
        seen.append(Seen(model, optimizer, loss))
        return seen[-1]

    program(fixed, seed, watch)
    found = seen[0]
    if found.held_out is None:
        raise NoRecipeError("it has no validation rows of one tensor")
    if not found.is_faithful:
        raise NoRecipeError("its loss is not loss(model(x), y)")
    x, y = (torch.cat(parts) for parts in zip(*found.batches, strict=True))
    held_out = found.held_out
    return thalweg.Recipe(
        model=lambda: _attached(program, fixed),
        data=lambda: ((x, y), held_out),
        loss=found.loss,
        optimizer=found.optimizer,
        epochs=len(found.rates),
        batch_size=len(found.batches[0][1]),
        shuffle=found.again is None or not torch.equal(found.again, found.batches[0][0]),
        schedule=found.schedule if len(set(found.rates)) > 1 else None,
        score=mean_recall if _is_one_sided(held_out[1]) else None,
    )


def mean_recall(outputs: Tensor, targets: Tensor) -> float:
    """The mean over the classes of the part of their rows that are found.

    Args:
        outputs: a number for each class (n, classes), or the logit of one label (n, 1).
        targets: the classes or labels (n,) or (n, 1).
    """
    labels = targets.reshape(-1)
    right = ((outputs.argmax(1) if outputs.shape[1] > 1 else outputs[:, 0] > 0) == labels).double()
    return float(torch.stack([right[labels == label].mean() for label in labels.unique()]).mean())


def _is_one_sided(targets: Tensor) -> bool:
    labels = targets.reshape(-1)
    if len(labels) != len(targets) or (targets.is_floating_point() and not set(labels.unique().tolist()) <= {0, 1}):
        return False
    return bool(labels.unique(return_counts=True)[1].max() > _MAJORITY * len(targets))


def _attached(program: Program, fixed: bool) -> nn.Module:
    """The model that the program watches with PyTorch's present seed."""
    models: Iterator[nn.Module] = iter(())

    def watch(model: nn.Module, *_: object) -> None:
        nonlocal models
        models = iter([model])
        raise _AttachedError

    with contextlib.suppress(_AttachedError):
        program(fixed, torch.initial_seed(), watch)
    return next(models)
