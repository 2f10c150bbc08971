"""Sections of a spec: training, checkpoints, stopping, probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag

from .clipping import Clipping
from .metrics import Metric
from .part import Count, Fraction, NonNegative, Number, Part, Positive


@dataclass(frozen=True)
class Stopping(Part):
    """When to stop before the last epoch, and with which weights: the [stopping] section of a spec.

    measure: the measure watched after each epoch; None: validation_loss with validation rows, else loss. `loss` and the
    scores are over the rows during the epoch, `objective` is the loss with its penalty; `training_loss` (and so on) is
    over all training rows at the end of the epoch.
    patience: stop when the measure has not improved for this many epochs; None: never.
    threshold: fraction of the best value that counts as an improvement.
    restore_best: whether to end with the weights of the best epoch; None: if there is a patience.
    target: stop when the measure reaches this value.
    seconds: stop after this time.
    tolerance: absolute gain in one epoch that counts as an improvement, in place of `threshold`
    (`metric_schedules.compared`).
    least_rate: patience counts only while the learning rate is at most this; above it, waiting starts again. For a rate
    that falls at the same plateaus.
    holdouts: number of times that a fifth of the training rows is held out to choose the number of epochs; all training
    rows are then trained on for that long (`training.holdouts`). `patience` ends these trainings; None: no holdouts.

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
    holdouts: Count | None = None

    @property
    def keeps_best(self) -> bool:
        """Whether training ends with the weights of the best epoch."""
        return self.patience is not None if self.restore_best is None else self.restore_best


BATCH_SIZE = 32


@dataclass(frozen=True)
class Training(Part):
    """How to train: the [training] section of a spec.

    epochs: number of epochs; "auto": as many as the rows need (`spec.length`).
    batch_size: rows in a batch; "full": all rows; None: 32, or the batch of the linear unit or the network for tables.
    seed: seed of all random numbers.
    engine: "compiled" (XLA), "eager" (NumPy), or "auto": NumPy for what it ends before XLA has started.
    precision: None: float64 where the engine is "eager", else float32.
    device: None: the default device of the engine.
    devices: how many devices share the rows of each batch; None: one.
    accumulate: batches for each update, which uses the gradient over all of them: a large batch in little memory.
    clip: bound of the gradients.
    average: decay of a running average of the parameters (0.999, say), which then predicts in place of the last ones.
    metrics: measures beside the loss and those of the task (`thalweg.metrics`).

    >>> Training(epochs=3).engine
    'auto'
    """

    epochs: Length = "auto"
    batch_size: Count | Literal["full"] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    engine: EngineChoice = "auto"
    precision: Precision | None = None
    device: Device | None = None
    devices: Count | None = None
    accumulate: Count = 1
    clip: Clipping | None = None
    average: Fraction | None = None
    metrics: tuple[Metric, ...] | None = None

    @property
    def number_type(self) -> Precision:
        """The precision of the training: the given one, or that of the engine."""
        return self.precision or ("float64" if self.engine == "eager" else "float32")


@dataclass(frozen=True)
class CompleteTraining(Training):
    """A training section whose number of epochs is set.

    epochs: number of epochs.

    >>> CompleteTraining(epochs=3).epochs
    3
    """

    epochs: Epochs

    @classmethod
    def of(cls, value: object) -> Self:
        """As every part; also from a training section. Raises InputError where its number of epochs is open."""
        return super().of(value.describe() if type(value) is Training else value)


@dataclass(frozen=True)
class Checkpoints(Part):
    """When a training with a folder saves its state, from which it can be resumed: the [checkpoints] section of a spec.

    every: epochs between two checkpoints; None: the first epoch that ends 10 seconds or more after the last checkpoint.
        There is always one at the end.
    keep: number of checkpoints kept, the last ones.
    best: whether each best epoch is saved too, if the best weights are kept.

    >>> Checkpoints(every=5).keep
    3
    """

    every: Count | None = None
    keep: Count = 3
    best: bool = False


Epochs = Annotated[int, Field(ge=1, le=10**9, strict=True)]
Length = Annotated[
    Annotated[Epochs, Tag("number")] | Annotated[Literal["auto"], Tag("word")],
    Discriminator(
        lambda value: "number" if not isinstance(value, str) else "word" if value == "auto" else None,
        custom_error_type="length",
        custom_error_message="expected a number of epochs, or auto",
    ),
]
Precision = Literal["float32", "float64"]
Device = Literal["cpu", "gpu"]
EngineName = Literal["compiled", "eager"]
EngineChoice = Literal["auto", "compiled", "eager"]

_OBSERVATIONS = 64
_RAREST = 20


class Probes(Part, family="probes"):
    """What is recorded of a training besides its loss. No preset changes the training by a single bit."""


@dataclass(frozen=True)
class Off(Probes, kind="off"):
    """Nothing is recorded.

    >>> Probes.of("off")
    Off()
    """


@dataclass(frozen=True)
class Light(Probes, kind="light"):
    """Outputs, deltas, gradients, weights and updates of each layer, before every `every`-th step.

    Without `every` about 64 steps are recorded: every 20th step or fewer, but at least 20 of them if there are as many.

    >>> Probes.of("light 50").cadence(steps=10_000), Light().cadence(steps=2_345), Light().cadence(steps=100)
    (50, 36, 5)
    """

    every: Count | None = None

    def cadence(self, steps: int) -> int:
        """The number of steps from one record to the next, in a training of `steps` steps."""
        return self.every or max(1, steps // _OBSERVATIONS, min(_RAREST, steps // _RAREST))


@dataclass(frozen=True)
class Standard(Light, kind="standard"):
    """All of `light`, histograms, effective ranks, directions, the noise of the gradient, the step lengths.

    At the end of the training also the units that are dead for all training rows.

    >>> Probes.of("standard 10").every
    10
    """


@dataclass(frozen=True)
class Full(Standard, kind="full"):
    """All of `standard`, and at every fifth record the sharpness of the loss and the units dead for all rows.

    Sharpness: the largest eigenvalue and the trace of the Hessian, to be compared with 2 / learning rate.

    >>> isinstance(Full(), Standard)
    True
    """
