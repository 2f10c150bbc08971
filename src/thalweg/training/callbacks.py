"""What a callback of a training sees, and what it may ask for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from ..core.progress import ProgressMessage
from ..engine.engine import Engine
from ..engine.step import Plan, State, StepMetrics
from ..parts.settings import CompleteTraining
from .batch_plan import Chunk

Record = dict[str, float]
"""The measures of one epoch by name."""


class Progress(NamedTuple):
    """The position of a training after each chunk of steps."""

    training: CompleteTraining
    """The settings of the training."""
    samples: int
    """Number of training rows."""
    steps_per_epoch: int
    """Updates in an epoch."""
    step: int
    """Updates done so far."""
    seconds: float
    """Time since the training began or was resumed."""
    steps_per_second: float
    """Speed without the first chunk, in which the program is compiled; NaN until there is a second one."""
    record: Record
    """Measures of the last chunk, or of the epoch where one has just ended (the last entry of the history)."""
    history: list[Record]
    """One record for each epoch that has ended."""

    @property
    def steps(self) -> int:
        """Updates of the whole training."""
        return self.training.epochs * self.steps_per_epoch

    @property
    def epoch(self) -> int:
        """Number of the running epoch, or of the one that has just ended."""
        return -(-self.step // self.steps_per_epoch)

    @property
    def epoch_ended(self) -> bool:
        """Whether an epoch has just ended."""
        return self.step % self.steps_per_epoch == 0

    @property
    def samples_per_second(self) -> float:
        """Training rows processed in a second."""
        return self.steps_per_second * self.samples / self.steps_per_epoch

    @property
    def remaining_seconds(self) -> float:
        """Time that the remaining steps take at this speed."""
        return (self.steps - self.step) / self.steps_per_second


class Callback:
    """Sees the state of a training between its steps, and may ask to stop it. It changes nothing that it is shown.

    Every method may be left out. Chunk boundaries do not affect the result: the same program runs any range of steps,
    so that a training has the same weights, bit for bit, with callbacks and without.
    """

    stop: str = ""
    """A reason to stop. `fit` ends after the running chunk, and earlier if the callback has asked to see a step."""

    def next_step(self, step: int) -> float:
        """The first step from `step` on whose state the callback asks to see; infinite for none."""
        return math.inf

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, chunk: Chunk, index: int) -> None:
        """See the state before step `index` of a chunk, as the engine holds it: valid during this call only."""

    def on_steps_end(self, step: int, metrics: StepMetrics) -> None:
        """See the metrics of the steps from `step` on, NumPy arrays with a first axis over these steps."""

    def on_progress(self, progress: Progress) -> None:
        """Hear how far the training has come, after each chunk of about 0.2 s."""

    def on_train_end(self, engine: Engine, plan: Plan, state: State, step: int) -> None:
        """See the state after the last step, as the engine holds it; `step` updates were done."""


class TimeLimit(Callback):
    """Stops a training at a certain time.

    Args:
        until: the time, as of `time.monotonic`.
    """

    def __init__(self, until: float) -> None:
        self.until = until

    def on_progress(self, progress: Progress) -> None:
        if progress.step < progress.steps and time.monotonic() >= self.until:
            self.stop = "the time is up"


class ProgressMessages(Callback):
    """Passes the progress of a training on as messages.

    Args:
        watch: hears each message.
        what: what the training is called in them.
    """

    def __init__(self, watch: Callable[[ProgressMessage], None], what: str = "training") -> None:
        self.watch = watch
        self.what = what

    def on_progress(self, progress: Progress) -> None:
        epochs = progress.training.epochs
        message = f"{self.what}, epoch {progress.epoch} of {epochs}"
        self.watch(ProgressMessage(message, progress.step / progress.steps))
