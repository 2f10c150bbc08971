"""What a callback of a training sees, and what it may ask for."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..engine.engine import Engine
from ..engine.step import Plan, State
from ..parts.settings import Training
from .batch_plan import Chunk


class Progress(NamedTuple):
    """Where a training stands, after each stretch of steps.

    `steps_per_second` leaves out the first stretch, in which the program is compiled, and is NaN until there is
    another. `record` holds the measures of the last stretch, or at the end of an epoch those of the epoch: the last
    entry of the history.
    """

    training: Training
    samples: int
    steps_per_epoch: int
    step: int
    seconds: float
    steps_per_second: float
    record: dict[str, float]
    history: list[dict[str, float]]

    @property
    def steps(self) -> int:
        """The number of steps of the whole training."""
        return self.training.epochs * self.steps_per_epoch

    @property
    def epoch(self) -> int:
        """The number of the running epoch, or of the one just finished."""
        return -(-self.step // self.steps_per_epoch)

    @property
    def epoch_ended(self) -> bool:
        """Whether this is the end of an epoch."""
        return self.step % self.steps_per_epoch == 0

    @property
    def samples_per_second(self) -> float:
        """How many training rows are learnt from in a second."""
        return self.steps_per_second * self.samples / self.steps_per_epoch

    @property
    def remaining_seconds(self) -> float:
        """How long the rest will take at this speed."""
        return (self.steps - self.step) / self.steps_per_second


class Callback(Protocol):
    """Who looks at a training between its steps. It reads, and changes nothing of what it is shown."""

    def due(self, step: int) -> int:
        """The first step, from `step` on, before which it wants to look."""

    def look(self, engine: Engine, plan: Plan, state: State, block: Chunk, index: int) -> None:
        """See the state before step `index` of a block, as the engine holds it: valid during this call only."""

    def finish(self, engine: Engine, plan: Plan, state: State, step: int) -> None:
        """See the state after the last step, of which `step` were done."""
