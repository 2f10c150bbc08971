"""The training loop of a recipe: plain PyTorch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...core.errors import InputError
from ...doctor.diagnosis import Diagnosis
from ..handle import Watch
from .parts import LossFunction, TrainingParts, batches
from .rows import seeded
from .scoring import score_of

_EVALUATED_ROWS = 1024


@dataclass(frozen=True, eq=False)
class TrainedRecipe:
    """A training of a recipe that has ended.

    Attributes:
        model: the module with its weights at the end, in evaluation mode.
        score: its score on the held-out rows; NaN where the training diverged.
        training_score: its score on the training rows.
        history: a record for each epoch: its number, the updates so far, the learning rate of the first parameter
            group, and the mean loss as the epoch met it.
        diverged: which number was not finite, and when; "" where none was.
        seconds: the time that it took.
        ended: whether all epochs were trained; False where the time was up before.
    """

    model: nn.Module = field(repr=False)
    score: float
    training_score: float
    history: list[dict[str, float]] = field(repr=False)
    diverged: str
    seconds: float
    ended: bool = True


def train(
    parts: TrainingParts,
    seed: int,
    until: float = math.inf,
    watch: Callable[[nn.Module, Optimizer, LossFunction], Watch] | None = None,
) -> TrainedRecipe:
    """Train the model of these parts.

    Args:
        parts: what is trained.
        seed: decides the order of the rows, and the noise of layers.
        until: the time, as of `time.monotonic`, at which the training is given up.
        watch: makes the watch of the training, as `thalweg.watch` does; None: it is not watched.

    Raises:
        InputError: the parts do not fit together.
    """
    began = time.monotonic()
    try:
        with seeded(seed):
            history, diverged, ended = _epochs(parts, seed, until, watch)
    except InputError:
        raise
    except Exception as error:
        raise InputError("training", f"raised {type(error).__name__}: {error}") from error
    rows = parts.rows
    model = parts.model.eval()
    return TrainedRecipe(
        model=model,
        score=math.nan if diverged else evaluated(parts, rows.held_out_x, rows.held_out_y),
        training_score=math.nan if diverged else evaluated(parts, rows.x, rows.y),
        history=history,
        diverged=diverged,
        seconds=time.monotonic() - began,
        ended=ended,
    )


def watched(parts: TrainingParts, seed: int, until: float) -> Diagnosis:
    """The diagnosis of a training of these parts under a watch. Raises InputError, as `train`."""
    watches: list[Watch] = []

    def attached(model: nn.Module, optimizer: Optimizer, loss: LossFunction) -> Watch:
        watches.append(Watch(model, optimizer, loss, quiet=True))
        return watches[0]

    train(parts, seed, until, attached)
    with watches[0] as watch:
        return watch.diagnose()


def _epochs(
    parts: TrainingParts,
    seed: int,
    until: float,
    watch: Callable[[nn.Module, Optimizer, LossFunction], Watch] | None,
) -> tuple[list[dict[str, float]], str, bool]:
    """The record of each epoch, what diverged, and whether all epochs were trained."""
    model = parts.model
    device = next(model.parameters()).device
    x, y = parts.rows.x.to(device), parts.rows.y.to(device)
    held_out = parts.rows.held_out_x.to(device), parts.rows.held_out_y.to(device)
    optimizer = parts.optimizer(model)
    schedule = parts.schedule(optimizer) if parts.schedule else None
    watched = watch(model, optimizer, parts.loss) if watch else None
    order = torch.Generator().manual_seed(seed) if parts.shuffle else None
    history: list[dict[str, float]] = []
    step = 0
    for epoch in range(parts.epochs):
        model.train()
        total = 0.0
        for batch in batches(len(y), parts.batch_size, order):
            optimizer.zero_grad()
            loss = parts.loss(model(x[batch]), y[batch])
            _check_scalar(loss)
            loss.backward()
            if parts.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), parts.clip)
            optimizer.step()
            step += 1
            if watched is not None:
                watched.step(x[batch], y[batch], loss)
            value = float(loss.detach())
            total += len(batch) * value
            if not math.isfinite(total):
                return history, f"the loss became {value} in epoch {epoch + 1}", True
            if time.monotonic() >= until:
                return history, "", False
        rate = float(optimizer.param_groups[0]["lr"])
        history.append({"epoch": epoch + 1, "step": step, "learning_rate": rate, "loss": total / len(y)})
        if schedule is not None:
            schedule.step()
        if watched is not None:
            watched.epoch(validation=held_out)
    return history, "", True


def _check_scalar(loss: object) -> None:
    if not isinstance(loss, Tensor) or loss.ndim > 0:
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise InputError("loss", f"expected a scalar tensor, received {shape}; take the mean over the batch")


def predicted(parts: TrainingParts, x: Tensor) -> Tensor:
    """The outputs of the model in evaluation mode, for any number of rows."""
    model = parts.model.eval()
    device = next(model.parameters()).device
    with torch.no_grad():
        outputs = [model(part.to(device)).cpu() for part in x.split(_EVALUATED_ROWS)]
    return torch.cat(outputs)


def evaluated(parts: TrainingParts, x: Tensor, y: Tensor) -> float:
    """The score of the model on rows."""
    outputs = predicted(parts, x)
    return score_of(parts.score, parts.unscaled(outputs) if parts.unscaled else outputs, y, parts.loss_name)
