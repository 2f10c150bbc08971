"""Sections of a spec that are parts of their own: training, checkpoints, stopping, probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from .clipping import Clipping
from .part import Count, Fraction, NonNegative, Number, Part, Positive


@dataclass(frozen=True)
class Stopping(Part):
    """When to stop before the last epoch, and with which weights: the [stopping] section of a spec.

    measure: what is looked at after each epoch; validation_loss where there are validation rows, else loss. loss and
    the scores are over the rows as the epoch met them, objective is the loss with its penalty; training_loss (and so
    on) over all training rows at its end.
    patience: stop when the measure has not improved for so many epochs; an improvement is one by more than the share
    `threshold` of the best value; or, with a `tolerance`, by at least that much in one epoch (`schedules.compared`).
    least_rate: while the learning rate is above it nothing stops for lack of patience, and the waiting begins anew: for
    a rate that falls at the same plateaus. restore_best: end with the weights of the best epoch; None: if there is a
    patience. target: stop when the measure reaches this value. seconds: stop after this time.

    Source: Prechelt 1998, Early stopping, but when?

    >>> Stopping(patience=5).keeps_best
    True
    """

    measure: str | None = None
    patience: Count | None = None
    threshold: NonNegative = 0.0
    restore_best: bool | None = None
    target: Number | None = None
    seconds: Positive | None = None
    tolerance: NonNegative | None = None
    least_rate: Positive | None = None

    @property
    def keeps_best(self) -> bool:
        """Whether training ends with the weights of the best epoch."""
        return self.patience is not None if self.restore_best is None else self.restore_best


BATCH_SIZE = 32


@dataclass(frozen=True)
class Training(Part):
    """How to train: the [training] section of a spec.

    `precision` is float32 on the compiled engine and float64 on the eager one unless it is given. `batch_size = "full"`
    takes all rows for each step; without it a batch has 32 rows, or what a linear unit learns from at a time.
    `accumulate` batches make one update, by the gradient over all of them: a large batch in little memory. `clip`
    bounds the gradients. `average` is the share that each update leaves of a running average of the parameters (0.999,
    say); the average then answers in the place of the last parameters.

    >>> Training(epochs=3).engine
    'compiled'
    """

    epochs: Count = 20
    batch_size: Count | Literal["full"] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    engine: EngineName = "compiled"
    precision: Precision | None = None
    device: Device | None = None
    accumulate: Count = 1
    clip: Clipping | None = None
    average: Fraction | None = None


@dataclass(frozen=True)
class Checkpoints(Part):
    """When a training that has a folder saves what it needs to go on: the [checkpoints] section of a spec.

    After every `every` epochs, at each best epoch where the best weights are kept (`best`), and at the end; the last
    `keep` of them stay.

    >>> Checkpoints().every
    10
    """

    every: Count = 10
    keep: Count = 3
    best: bool = True


Precision = Literal["float32", "float64"]
Device = Literal["cpu", "gpu"]
EngineName = Literal["compiled", "eager"]

_OBSERVATIONS, _RAREST = 64, 20


class Probes(Part, family="probes"):
    """How much of a training is recorded beside its loss. No preset changes the training, not by a bit."""


@dataclass(frozen=True)
class Off(Probes, kind="off"):
    """Nothing is looked at.

    >>> Probes.of("off")
    Off()
    """


@dataclass(frozen=True)
class Light(Probes, kind="light"):
    """Outputs, deltas, gradients, weights and updates of each layer, before every `every`-th step.

    Without `every` a training is looked at about 64 times: before every 20th step or less often, but at least 20 times
    where it has as many steps.

    >>> Probes.of("light 50").cadence(steps=10_000), Light().cadence(steps=2_345), Light().cadence(steps=100)
    (50, 36, 5)
    """

    every: Count | None = None

    def cadence(self, steps: int) -> int:
        """How many steps lie between two looks, in a training of that many."""
        return self.every or max(1, steps // _OBSERVATIONS, min(_RAREST, steps // _RAREST))


@dataclass(frozen=True)
class Standard(Light, kind="standard"):
    """What `light` records, histograms, effective ranks, directions, the noise of the gradient, the step lengths.

    At the end of the training also the units that are dead on all training rows.

    >>> Probes.of("standard 10").every
    10
    """


@dataclass(frozen=True)
class Full(Standard, kind="full"):
    """What `standard` records, and at every fifth look the sharpness of the loss and the units dead on all rows.

    Sharpness: the largest eigenvalue and the trace of the Hessian, to be set beside 2 / learning rate.

    >>> isinstance(Full(), Standard)
    True
    """
