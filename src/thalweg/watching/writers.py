"""Writers that send the numbers of a watch to TensorBoard and to Weights & Biases, by their own libraries."""

from __future__ import annotations

import math
from typing import Any, Protocol

from .facts import Look, WatchedEpoch


class Writer(Protocol):
    """Takes the numbers of looks and epochs."""

    def add_look(self, look: Look) -> None:
        """Take a look."""

    def add_epoch(self, epoch: WatchedEpoch) -> None:
        """Take an epoch."""

    def close(self) -> None:
        """The watch has ended."""


def look_numbers(look: Look) -> dict[str, float]:
    """The numbers of a look by name; those that were not seen are left out.

    >>> look_numbers(Look(step=3, source="hooks", loss=0.5))
    {'loss': 0.5, 'forwards': 1.0, 'backwards': 1.0}
    """
    numbers = {
        "loss": look.loss,
        "forwards": float(look.forwards),
        "backwards": float(look.backwards),
        "gradient": look.gradient,
        "update": look.update,
        "score": look.score,
        **{f"rate/{index}": rate for index, rate in enumerate(look.rates)},
    }
    for place in look.places:
        for name in ("rms", "delta", "dead", "saturated", "rank"):
            numbers[f"{name}/{place.place}"] = getattr(place, name)
    for parameter in look.parameters:
        numbers[f"update_ratio/{parameter.name}"] = parameter.update / parameter.rms if parameter.rms > 0 else math.nan
    return {name: value for name, value in numbers.items() if not math.isnan(value)}


def epoch_numbers(epoch: WatchedEpoch) -> dict[str, float]:
    """The numbers of an epoch by name; those that were not seen are left out.

    >>> epoch_numbers(WatchedEpoch(epoch=0, step=10, steps=10, loss=0.5, root_training=True))
    {'epoch/loss': 0.5}
    """
    numbers = {"epoch/loss": epoch.loss}
    for name, found in (("training", epoch.training), ("validation", epoch.validation)):
        if found is not None:
            numbers |= {f"{name}/loss": found.loss, f"{name}/score": found.score}
    return {name: value for name, value in numbers.items() if not math.isnan(value)}


class TensorBoardWriter:
    """Writes to TensorBoard.

    Args:
        summary: a `torch.utils.tensorboard.SummaryWriter`.
    """

    def __init__(self, summary: Any) -> None:
        self.summary = summary

    def add_look(self, look: Look) -> None:
        """Write the numbers of a look at its step."""
        for name, value in look_numbers(look).items():
            self.summary.add_scalar(f"thalweg/{name}", value, look.step)

    def add_epoch(self, epoch: WatchedEpoch) -> None:
        """Write the numbers of an epoch at its last step."""
        for name, value in epoch_numbers(epoch).items():
            self.summary.add_scalar(f"thalweg/{name}", value, epoch.step)

    def close(self) -> None:
        """Force what is written to the disk; the writer itself stays open."""
        self.summary.flush()


class WandbWriter:
    """Logs to a run of Weights & Biases, beside what you log yourself.

    The steps stand in the number `thalweg/step`, because a run has a single counter, which is yours.

    Args:
        run: what `wandb.init()` returns.
    """

    def __init__(self, run: Any) -> None:
        self.run = run
        run.define_metric("thalweg/step")
        run.define_metric("thalweg/*", step_metric="thalweg/step")

    def add_look(self, look: Look) -> None:
        """Log the numbers of a look."""
        self._log(look_numbers(look), look.step)

    def add_epoch(self, epoch: WatchedEpoch) -> None:
        """Log the numbers of an epoch."""
        self._log(epoch_numbers(epoch), epoch.step)

    def _log(self, numbers: dict[str, float], step: int) -> None:
        self.run.log({**{f"thalweg/{name}": value for name, value in numbers.items()}, "thalweg/step": step})

    def close(self) -> None:
        """The run stays open: it is yours."""
