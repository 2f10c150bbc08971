"""How a live training advances: the looks that are taken at it, and where it then stands."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...data import Dataset, EpochIndex, Order, Split
from ...engine.engine import Engine
from ...engine.step import Plan, State
from ...parts.part import Count, Optimizer
from ...parts.schedules import in_steps
from ...parts.settings import Checkpoints, EngineName
from ...spec.spec import CompleteSpec
from ...training.batch_plan import Chunk
from ...training.callbacks import Callback, Progress, Record
from ...training.checkpoints import Checkpoint
from ...training.fit import fit
from ...training.session import Session

_LOOK_SECONDS = 1 / 120
# A compiled step counts in 32 bits.
_MOST_STEPS = 2**31 - 1
# The history of a training that never ends is emptied after this many epochs; what is shown of it is kept thinned.
HISTORY = 10_000
"""Most epochs of one advance."""
_MOST_EPOCHS = 10**9


class LiveLook(NamedTuple):
    """What is seen of a running training between two steps.

    Attributes:
        state: the state now, as NumPy arrays.
        optimizer: the optimizer of the coming step, with the rates that are decided by now.
        rows: places of the coming batch in the training rows; -1 is padding.
        step: updates since the start of its session.
        record: the measures of the last epoch that has ended; None before.
    """

    state: State
    optimizer: Optimizer
    rows: np.ndarray
    step: int
    record: Record | None


class Reply(NamedTuple):
    """What a look asks for.

    Attributes:
        stop: whether the training is to stop after the coming step.
        keep_every: the looks include every step that is a multiple of this number.
    """

    stop: bool
    keep_every: int


OnLook = Callable[[LiveLook], Reply]


class Course(NamedTuple):
    """How far a training is to advance.

    Attributes:
        begin: the checkpoint to begin with.
        target: the step to stop at; infinite for none.
        speed: most steps a second.
        keep_every: as `Reply` has it, until the first look.
    """

    begin: Checkpoint
    target: float
    speed: float
    keep_every: int


class Stand(NamedTuple):
    """Where a training stands after an advance.

    Attributes:
        checkpoint: the checkpoint.
        last: the last look; None where no step was to be done.
        diverged: which number became NaN or infinite, or "".
        ended: why the training ended by itself, or "".
    """

    checkpoint: Checkpoint
    last: LiveLook | None
    diverged: str
    ended: str


@dataclass(frozen=True)
class _WithinEpochs(Order):
    """An order that counts its epochs as a training of `epochs` epochs does, however long it goes on."""

    order: Order
    epochs: Count

    def rows(self, epoch_index: EpochIndex, data: Dataset) -> np.ndarray:
        return self.order.rows(epoch_index._replace(epochs=self.epochs), data)


def endless(spec: CompleteSpec, split: Split, engine: EngineName) -> Session:
    """The training of a spec without its end: schedules and orders keep the length that the spec names."""
    planned = Session(spec, split)
    batches = planned.batches
    training = dataclasses.replace(
        spec.training,
        epochs=min(_MOST_EPOCHS, _MOST_STEPS // batches.per_epoch),
        engine=engine,
        precision=spec.training.number_type,
        device=spec.training.device if engine == "compiled" else None,
    )
    session = Session(
        dataclasses.replace(
            spec,
            optimizer=in_steps(spec.optimizer, batches.per_epoch, batches.steps, batches.step_rows),
            training=training,
        ),
        dataclasses.replace(split, order=_WithinEpochs(split.order, spec.training.epochs)),
    )
    session.check()
    return session


def advance(session: Session, course: Course, on_look: OnLook) -> Stand:
    """Train until a look asks to stop, or to the end of the course."""
    looks = _Looks(session.batches.per_epoch, course, on_look)
    memory = _Memory()
    fitted = fit(session, [looks], memory, course.begin)
    checkpoint = memory.checkpoint or course.begin
    asked = bool(looks.stop) and not fitted.interrupted
    ended = "" if asked else fitted.stopped or "the last step was done"
    return Stand(checkpoint._replace(history=checkpoint.history[-1:]), looks.last, fitted.diverged, ended)


def compile_programs(session: Session) -> None:
    """Compile the programs of a session by training it for a step; what comes of it is forgotten.

    Raises InputError where this machine lacks the device.
    """
    # Validation rows are measured at the end of an epoch.
    fit(session, [_Once(session.batches.per_epoch if session.split.validation else 1)], _Memory())


class _Memory:
    """Keeps the last checkpoint of a training, and asks for none before its end."""

    def __init__(self) -> None:
        self.settings = Checkpoints(every=_MOST_EPOCHS)
        self.checkpoint: Checkpoint | None = None

    def save(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint


class _Looks(Callback):
    """Looks at a training about 120 times a second, before its last step, and at every step that is to be kept."""

    def __init__(self, per_epoch: int, course: Course, on_look: OnLook) -> None:
        self.per_epoch = per_epoch
        self.target = course.target
        self.speed = course.speed
        self.keep_every = course.keep_every
        self.on_look = on_look
        self.first = self.looked = self.next = course.begin.step
        self.count = 1
        self.since = self.began = time.perf_counter()
        self.record: Record | None = None
        self.last: LiveLook | None = None

    def next_step(self, step: int) -> float:
        kept = -(-step // self.keep_every) * self.keep_every
        last = (self.target - 1, self.target)
        return min([max(step, self.next), kept, *(wanted for wanted in last if wanted >= step)])

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, chunk: Chunk, index: int) -> None:
        step = chunk.first + index
        if step >= self.target:
            self.stop = "it was asked to"
            return
        self.last = LiveLook(engine.fetch(state), plan.optimizer, chunk.rows[index], step, self.record)
        self._adapt(step)
        stop, self.keep_every = self.on_look(self.last)
        if stop or step - self.first > HISTORY * self.per_epoch:
            self.target = min(self.target, step + 1)
        self._wait(step)
        self.since = time.perf_counter()
        self.looked = step
        self.next = step + self.count

    def on_progress(self, progress: Progress) -> None:
        self.record = progress.history[-1] if progress.history else None

    def _adapt(self, step: int) -> None:
        """Set the number of steps between two looks by the time that the last ones took."""
        seconds = time.perf_counter() - self.since
        if step > self.looked:
            self.count = max(1, int(min(4 * self.count, (step - self.looked) * _LOOK_SECONDS / max(seconds, 1e-6))))

    def _wait(self, step: int) -> None:
        """Keep to the speed of the course, at one step a look at least."""
        if math.isfinite(self.speed):
            self.count = max(1, min(self.count, int(self.speed * _LOOK_SECONDS)))
            ahead = (step - self.first) / self.speed - (time.perf_counter() - self.began)
            time.sleep(min(max(ahead, 0.0), _LOOK_SECONDS))


class _Once(Callback):
    """Stops a training after a number of steps: it has compiled its programs then."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def next_step(self, step: int) -> float:
        return self.steps if step <= self.steps else math.inf

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, chunk: Chunk, index: int) -> None:
        self.stop = "everything is compiled"
