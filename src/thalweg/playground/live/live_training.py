"""A training that is played, stepped, changed and taken back while somebody looks at it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from ...core.errors import InputError
from ...data import Dataset, Split
from ...engine.step import Batch, Plan, State, batch_at
from ...models.layer_weights import weights_of, with_number
from ...spec.complete import completed
from ...spec.spec import CompleteSpec, Spec
from ...training.batch_plan import as_batch, in_batches
from ...training.callbacks import Record
from ...training.checkpoints import Checkpoint
from ...training.replay import StepState
from ...training.session import Session
from ..specs import differ_in_numbers_only, same_start
from .advance import HISTORY, Course, LiveLook, OnLook, Reply, Stand, advance, endless
from .samples import sampled
from .trail import KeptState, Trail
from .trainer import Trainer

EngineState = Literal["eager", "compiling", "compiled"]


class Moment(NamedTuple):
    """What is seen of a running training between two steps.

    Attributes:
        plan: what decides the coming step.
        before: the state now, and the batch of the coming step.
    """

    plan: Plan
    before: StepState


OnMoment = Callable[[Moment], bool]
"""Sees a training; whether it is to stop after the coming step."""


# Rows of the seeded sample that stands for rows on the disk.
_SAMPLE = 20_000


class _Loaded(NamedTuple):
    """The rows of a training in memory, and how many training rows there are on the disk; None where all are here."""

    split: Split
    on_disk: int | None


def _loaded(spec: Spec) -> _Loaded:
    """The rows of a spec in memory: of those that would stream from the disk, a seeded sample of each set."""
    split = spec.prepared_data.load(spec.training.seed, precision=spec.training.number_type)
    if isinstance(split.train, Dataset):
        return _Loaded(split, None)
    train, validation, test = (
        None if rows is None else sampled(rows, _SAMPLE) for rows in (split.train, split.validation, split.test)
    )
    assert train is not None
    return _Loaded(dataclasses.replace(split, train=train, validation=validation, test=test), on_disk=len(split.train))


class LiveTraining:
    """A training of a spec that goes on until it is stopped, and takes changes on its way.

    Args:
        spec: the spec; a missing network and more are chosen to suit its rows.
        trainer: the process that trains on the compiled engine; without one the eager engine trains.

    Attributes:
        spec: the present spec, as it was given.
        complete: the present spec with nothing left open.
        session: the training on the eager engine.
        checkpoint: where it stands.
        last: the last step that was seen, or the coming one at the start: the state before it, and its batch.
        trail: earlier states.
        engine: the engine in use, or that the compiled one is being prepared.
        speed: the most epochs a second.
        on_disk: the number of training rows on the disk, where a seeded sample of them is trained on; else None.

    Raises:
        InputError: the spec does not fit its rows.
    """

    def __init__(self, spec: Spec, trainer: Trainer | None = None) -> None:
        self.trainer = trainer
        self.complete: CompleteSpec
        self.session: Session
        self.checkpoint: Checkpoint
        self.last: StepState
        self.engine: EngineState = "eager"
        self.on_disk: int | None
        self.speed = math.inf
        self.records: list[Record] = []
        self.trail = Trail()
        self._epochs_before = 0.0
        self._to_prepare = False
        self._begin(spec, _loaded(spec))

    def _begin(self, spec: Spec, loaded: _Loaded) -> None:
        split = loaded.split
        complete = completed(spec, split.train)
        session = endless(complete, split, "eager")
        _ = session.start
        self.spec, self.complete, self.split, self.session = spec, complete, split, session
        self.on_disk = loaded.on_disk
        assert isinstance(split.train, Dataset)
        self.rows = Batch(*session.engine.place(as_batch(split.train)))
        self._compile()
        self.reset()

    def reset(self) -> None:
        """Go back to the start: the same weights, rows and order."""
        self._epochs_before = 0.0
        self.trail.clear()
        self.records = []
        self._stand_at(self.session.start_checkpoint)

    def _stand_at(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.last = StepState(checkpoint.state, *self._coming_batch())

    def _coming_batch(self) -> tuple[Batch, np.ndarray]:
        batches = self.session.batches
        epoch, index = divmod(self.checkpoint.step, batches.per_epoch)
        assert isinstance(batches.data, Dataset)
        order = batches.order.rows(batches.epoch_index._replace(epoch=epoch), batches.data)
        rows = in_batches(order, batches.step_rows)
        return batch_at(self.rows, rows, index), rows[index]

    @property
    def per_epoch(self) -> int:
        """Updates in an epoch."""
        return self.session.batches.per_epoch

    @property
    def step(self) -> int:
        """Updates of the weights so far."""
        return int(self.checkpoint.state.step)

    def epoch_of(self, state: State) -> float:
        """The epochs that a state has seen, with the part of the running one."""
        return self._epochs_before + (int(state.step) - self.checkpoint.before) / self.per_epoch

    @property
    def _keep_every(self) -> int:
        return self.trail.stride * self.per_epoch

    def _keep(self, moment: Moment, step: int) -> None:
        """Keep a state on the trail."""
        done = step // self.per_epoch
        state = moment.before.state
        history = ({"epoch": float(done), "step": float(step)},) if done else ()
        checkpoint = Checkpoint(state, before=self.checkpoint.before, history=history)
        self.trail.keep(KeptState(checkpoint, self.epoch_of(state), moment.plan.optimizer, moment.before.rows))

    def _take(self, record: Record | None) -> None:
        """Take the newest record of a training for the doctor, who sees them thinned like the trail."""
        if record is None or (self.records and record["epoch"] < self.records[-1]["epoch"] + self.trail.stride):
            return
        self.records = [*self.records[-HISTORY:], record]

    def _moment(self, look: LiveLook) -> Moment:
        plan = dataclasses.replace(self.session.plan, optimizer=look.optimizer)
        return Moment(plan, StepState(look.state, batch_at(self.rows, look.rows[None], 0), look.rows))

    def advance(self, steps: float, on_moment: OnMoment) -> str:
        """Train until somebody who sees it asks to stop, or for a number of steps.

        Returns why the training ended by itself, or "".
        """
        self.prepare_engine()
        self.trail.cut(self.checkpoint.step)
        target = self.checkpoint.step + steps
        asked = False

        def on_look(look: LiveLook) -> Reply:
            nonlocal asked
            self._take(look.record)
            moment = self._moment(look)
            if look.step % self._keep_every == 0:
                self._keep(moment, look.step)
            asked = on_moment(moment) or asked
            self.use_prepared_engine()
            return Reply(asked or self.engine != engine, self._keep_every)

        while True:
            self.use_prepared_engine()
            engine = self.engine
            course = Course(self.checkpoint, target, self.speed * self.per_epoch, self._keep_every)
            stand = self._advanced(course, on_look)
            self.checkpoint = stand.checkpoint
            if stand.last is not None:
                self.last = self._moment(stand.last).before
            if stand.diverged:
                self._stand_at(self.checkpoint)
                return stand.diverged
            if stand.ended:
                return stand.ended
            if asked or self.checkpoint.step >= target:
                return ""

    def _advanced(self, course: Course, on_look: OnLook) -> Stand:
        if self.engine == "compiled" and self.trainer is not None:
            return self.trainer.advance(self.complete, course, on_look)
        return advance(self.session, course, on_look)

    # Changes ----------------------------------------------------------------------------------------------------------

    def change(self, spec: Spec) -> bool:
        """Go on with another spec: from the present state, or from a new start where rows, network or seed differ.

        Returns whether it begins anew.

        Raises InputError where the spec does not fit its rows; nothing has changed then.
        """
        same_rows = (spec.prepared_data, spec.training.seed, spec.training.number_type) == (
            self.spec.prepared_data,
            self.spec.training.seed,
            self.spec.training.number_type,
        )
        loaded = _Loaded(self.split, self.on_disk) if same_rows else _loaded(spec)
        split = loaded.split
        complete = completed(spec, split.train)
        if not (same_rows and same_start(self.complete, complete)):
            self._begin(spec, loaded)
            return True
        session = endless(complete, split, "eager")
        only_numbers = differ_in_numbers_only(self.complete, complete)
        same_moments = differ_in_numbers_only(self.complete.optimizer, complete.optimizer)
        begin = self._continued(session, only_numbers, same_moments)
        if not only_numbers:
            self._epochs_before = self.epoch_of(self.checkpoint.state)
            self.trail.clear()
        self.spec, self.complete, self.checkpoint = spec, complete, begin
        self.session = session
        # Where only numbers are others, the program is the same.
        if not only_numbers:
            self._compile()
        self._stand_at(begin)
        return False

    def _continued(self, session: Session, only_numbers: bool, same_moments: bool) -> Checkpoint:
        """The checkpoint with which another session goes on from the present state."""
        memory = session.early_stopping.start()
        if only_numbers:
            return self.checkpoint._replace(early_stopping=memory)
        plan = session.plan
        state = self.checkpoint.state
        if not same_moments:
            state = state._replace(moments=plan.optimizer.init(plan.network.trained(state.params)))
        average = () if plan.average is None else state.average or state.params
        return Checkpoint(state._replace(average=average), before=int(state.step), early_stopping=memory)

    def set_parameter(self, layer: int, name: str, index: tuple[int, ...], value: float) -> None:
        """Set one number of the parameters of a layer.

        Args:
            layer: the place of the layer in the network, from 0.
            name: the parameter, such as "W" or "b".
            index: its place in the array.
            value: the new number.

        Raises:
            InputError: there is no such number, or the value is not finite.
        """
        params = self.checkpoint.state.params
        if (
            not math.isfinite(value)
            or not 0 <= layer < len(params)
            or name not in getattr(weights_of(params[layer]), "_fields", ())
        ):
            raise InputError("weight", f"expected a finite number for a parameter of layer {layer}, received {name!r}")
        array = np.array(getattr(weights_of(params[layer]), name))
        if len(index) != array.ndim or not all(0 <= i < size for i, size in zip(index, array.shape, strict=True)):
            raise InputError("weight", f"expected an index within {array.shape}, received {index}")
        array[index] = value
        own = with_number(params[layer], name, array)
        state = self.checkpoint.state._replace(params=(*params[:layer], own, *params[layer + 1 :]))
        self._stand_at(self.checkpoint._replace(state=state))

    def seek(self, step: int) -> None:
        """Go back to the kept state nearest to a number of updates; the later ones stay until the training goes on."""
        kept = self.trail.nearest(step)
        if kept is not None:
            memory = self.session.early_stopping.start()
            self._stand_at(kept.checkpoint._replace(early_stopping=memory))

    # Engines ----------------------------------------------------------------------------------------------------------

    def _compile(self) -> None:
        """Let the trainer compile the program of this training, so that it goes on meanwhile."""
        self._to_prepare = self.trainer is not None and self.spec.training.engine != "eager"
        self.engine = "compiling" if self._to_prepare else "eager"

    def prepare_engine(self) -> None:
        """Begin to compile, where this is still to be done."""
        if self._to_prepare and self.trainer is not None:
            self._to_prepare = False
            self.trainer.prepare(self.complete, self.split)

    def use_prepared_engine(self) -> None:
        """Train on the compiled engine from now on, where it is ready; on the eager one where it cannot be."""
        if self.engine == "compiling" and not self._to_prepare and self.trainer is not None:
            ready = self.trainer.prepared()
            if ready is not None:
                self.engine = "compiled" if ready else "eager"
