"""The training loop: chunks of steps, the record of each epoch, what it decides, checkpoints."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import itemgetter
from signal import Signals
from typing import NamedTuple, Protocol, cast

import numpy as np

from ..core.arrays import TreeT, map_arrays
from ..data import Dataset, RowSource
from ..engine.step import Plan, State, StepMetrics, inference_state
from ..parts.settings import Checkpoints
from .batch_plan import Chunk, as_batch
from .callbacks import Callback, Progress, Record
from .checkpoints import Checkpoint
from .early_stopping import EarlyStoppingState
from .evaluate import evaluator, joint_evaluator
from .history import HistoryBuilder, totals
from .interrupts import in_words, stop_requests
from .nan_search import Fault, first_fault
from .session import Session

# A piece of steps lasts about this long: the interval of the progress display, and the longest wait after Ctrl-C.
_PIECE_SECONDS = 0.2
# Where a spec does not say how often: a checkpoint takes 0.02 s or more, however short an epoch is.
_SECONDS_BETWEEN_CHECKPOINTS = 10.0
_MOST_EPOCHS_BETWEEN_LOOKS = 10


@dataclass(frozen=True)
class Fit:
    """The end of a training.

    Attributes:
        state: the parameters that predict, and the states of the layers, as NumPy arrays.
        history: one record for each epoch.
        early_stopping: what early stopping and metric schedules remember.
        stopped: why training ended before its last epoch, or "".
        signal: the number of the signal that ended it, so that it can be resumed; 0 where none did.
        fault: the number that became NaN or infinite first, with its step; None where none did.
        per_epoch: updates in an epoch.
    """

    state: State
    history: list[Record]
    early_stopping: EarlyStoppingState = EarlyStoppingState()
    stopped: str = ""
    signal: int = 0
    fault: Fault | None = None
    per_epoch: int = 1

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it, so that it can be resumed."""
        return self.signal != 0

    @property
    def diverged(self) -> str:
        """Which number became NaN or infinite, at which step, and the usual remedy; "" where none did."""
        if self.fault is None:
            return ""
        step = self.fault.step
        place = f"at step {step + 1} (epoch {step // self.per_epoch + 1})"
        advice = "a smaller learning rate is the usual remedy, scaled inputs or clipped gradients the next"
        return f"{self.fault.what} {place}; {advice}"


class Saver(Protocol):
    """Keeps checkpoints; `settings` say when."""

    settings: Checkpoints

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint. Raises InputError where it cannot be written."""


def fit(
    session: Session,
    callbacks: Sequence[Callback] = (),
    saver: Saver | None = None,
    resume: Checkpoint | None = None,
) -> Fit:
    """Train a session.

    The history has one record for each epoch: the measures over the training rows as the epoch met them, with the
    weights still moving, and those over the validation rows with the weights at its end (`validation_...`).

    A training that is resumed ends with the same state, bit for bit, as if it had not stopped. Where a number becomes
    NaN or infinite, training ends, and the state is one from before that.

    Args:
        session: the spec with its rows.
        callbacks: see the training, and may stop it.
        saver: keeps a checkpoint whenever its settings ask for one, and when training stops early: by early stopping,
            at Ctrl-C, or (only with a saver) at SIGTERM, SIGHUP, SIGUSR1 and SIGXCPU.
        resume: the checkpoint to begin with; the start of the session by default.

    Raises:
        InputError: spec and rows do not fit, or this machine lacks the device.
    """
    begin = resume or session.start_checkpoint
    training = _Training(session, callbacks, saver, begin, _Alone(session, begin.state))
    if resume:
        training.saved_step = begin.step
    with stop_requests(saves=saver is not None) as requested:
        loop = training.loop(requested)
        while True:
            try:
                next(loop)
            except StopIteration as ended:
                return cast(Fit, ended.value)


def fit_together(sessions: Sequence[Session], callbacks: Sequence[Sequence[Callback]] = ()) -> list[Fit]:
    """Train sessions of one structure as one program of the compiled engine.

    Each ends as by `fit`, to rounding: one that stops or diverges changes nothing of the others. When fewer than half
    are left, these end one after another.

    Args:
        sessions: trainings whose `Session.structure` is the same.
        callbacks: see each training, and may stop it; they cannot ask for single steps.

    Raises:
        InputError: this machine lacks the device.
    """
    begins = [session.start_checkpoint for session in sessions]
    group = _Group(sessions, [begin.state for begin in begins])
    trainings = [
        _Training(session, of_session, None, begin, _Member(group, number))
        for number, (session, of_session, begin) in enumerate(
            zip(sessions, callbacks or [()] * len(sessions), begins, strict=True)
        )
    ]
    fits: dict[int, Fit] = {}
    with stop_requests(saves=False) as requested:
        loops = [training.loop(requested) for training in trainings]

        def advance(number: int) -> None:
            try:
                next(loops[number])
            except StopIteration as ended:
                fits[number] = ended.value

        for number in range(len(trainings)):
            advance(number)
        while len(fits) <= len(trainings) / 2:
            left = [number for number in range(len(trainings)) if number not in fits]
            if not left:
                break
            group.run({number: trainings[number] for number in left})
            for number in left:
                advance(number)
        for number, training in enumerate(trainings):
            if number not in fits:
                training.place = _Alone(training.session, training.place.fetch())
            while number not in fits:
                advance(number)
    return [fits[number] for number in range(len(trainings))]


class _Piece(NamedTuple):
    """Steps `begin` to `end` of a chunk: they run between two looks at the clock."""

    begin: int
    end: int


def _measured(session: Session) -> dict[str, tuple[Plan, RowSource]]:
    """The rows that are measured at the end of each epoch, each with its plan, by the prefix of their measures."""
    measured = {}
    if session.early_stopping.looks_at_training:
        measured["training"] = session.plan, session.split.train
    validation = session.split.validation
    if validation is not None:
        measured["validation"] = dataclasses.replace(session.plan, metric=session.metric(validation)), validation
    return measured


class _Place(Protocol):
    """The state of a training on its device."""

    @property
    def state(self) -> State:
        """The state, as the engine holds it."""

    def run(self, plan: Plan, chunk: Chunk, begin: int, end: int) -> Callable[[], StepMetrics]:
        """Run the steps from `begin` to before `end` of a chunk; a function that waits for their metrics."""

    def fetch(self) -> State:
        """The state as NumPy arrays."""

    def fetch_inference(self) -> State:
        """`inference_state` of it as NumPy arrays."""

    def is_finite(self) -> bool:
        """Whether no number of the state is NaN or infinite."""

    def records(self) -> dict[str, Record]:
        """What is measured at the end of an epoch, by the prefix of its names."""


class _Alone:
    """The place of a training that runs by itself."""

    def __init__(self, session: Session, begin: State) -> None:
        self.engine = session.engine
        self.state = self.engine.place(begin)
        self.evaluators = {
            prefix: evaluator(plan, self.engine, rows) for prefix, (plan, rows) in _measured(session).items()
        }

    def run(self, plan: Plan, chunk: Chunk, begin: int, end: int) -> Callable[[], StepMetrics]:
        self.state, metrics = self.engine.run(plan, self.state, chunk.data, chunk.rows, begin, end)
        return partial(self.engine.fetch, metrics)

    def fetch(self) -> State:
        return self.engine.fetch(self.state)

    def fetch_inference(self) -> State:
        return self.engine.fetch(inference_state(self.state))

    def is_finite(self) -> bool:
        return self.engine.finite(self.state)

    def records(self) -> dict[str, Record]:
        return {prefix: measure(self.state) for prefix, measure in self.evaluators.items()}


class _Group:
    """Trainings that run as one program; what is known of all of them is worked out once after each piece of steps."""

    def __init__(self, sessions: Sequence[Session], begins: Sequence[State]) -> None:
        from ..engine.compiled import Compiled

        engine = sessions[0].engine
        assert isinstance(engine, Compiled)
        self.engine = engine
        self.on_device = engine.stacked(begins)
        self.data = engine.stacked([as_batch(_in_memory(session.split.train)) for session in sessions])
        self.plans = [session.plan for session in sessions]
        self.stacked_plans = engine.stacked(self.plans)
        # A training that has ended stays in the program; its numbers are not used.
        self.rows: list[np.ndarray] = [np.zeros(0)] * len(sessions)
        measured = [_measured(session) for session in sessions]
        self.evaluators = {
            prefix: joint_evaluator(
                [of_session[prefix][0] for of_session in measured],
                engine,
                [_in_memory(of_session[prefix][1]) for of_session in measured],
            )
            for prefix in measured[0]
        }

    def run(self, trainings: Mapping[int, _Training]) -> None:
        """Run the steps that all trainings, by their numbers, are ready for."""
        plans = list(self.plans)
        for number, training in trainings.items():
            plans[number] = training.plan
            self.rows[number] = training.chunk.rows
        if any(new is not old for new, old in zip(plans, self.plans, strict=True)):
            self.plans = plans
            self.stacked_plans = self.engine.stacked(plans)
        begin = next(iter(trainings.values())).piece.begin
        end = min(training.piece.end for training in trainings.values())
        for training in trainings.values():
            training.piece = _Piece(begin, end)
        self._forget()
        self.on_device, self.metrics_on_device = self.engine.run_each(
            self.stacked_plans, self.on_device, self.data, np.stack(self.rows), begin, end
        )

    def _forget(self) -> None:
        for name in ("states", "metrics", "finite", "records"):
            self.__dict__.pop(name, None)

    @cached_property
    def states(self) -> State:
        """The states as NumPy arrays."""
        return self.engine.fetch(self.on_device)

    @cached_property
    def metrics(self) -> StepMetrics:
        """The metrics of the steps that ran last."""
        return self.engine.fetch(self.metrics_on_device)

    @cached_property
    def finite(self) -> np.ndarray:
        """Whether the numbers of each state are finite."""
        return self.engine.finite_each(self.on_device)

    @cached_property
    def records(self) -> dict[str, list[Record]]:
        """What is measured of each training."""
        return {prefix: measure(self.on_device) for prefix, measure in self.evaluators.items()}


class _Member:
    """The place of one training in a group, whose steps have run already when it is asked for them."""

    def __init__(self, group: _Group, number: int) -> None:
        self.group = group
        self.number = number

    @property
    def state(self) -> State:
        return self.group.engine.place(self.fetch())

    def run(self, plan: Plan, chunk: Chunk, begin: int, end: int) -> Callable[[], StepMetrics]:
        return lambda: self._own(self.group.metrics)

    def fetch(self) -> State:
        return self._own(self.group.states)

    def fetch_inference(self) -> State:
        return inference_state(self.fetch())

    def is_finite(self) -> bool:
        return bool(self.group.finite[self.number])

    def records(self) -> dict[str, Record]:
        return {prefix: records[self.number] for prefix, records in self.group.records.items()}

    def _own(self, stacked: TreeT) -> TreeT:
        return map_arrays(itemgetter(self.number), stacked)


def _in_memory(rows: RowSource) -> Dataset:
    assert isinstance(rows, Dataset)
    return rows


class _Training:
    """A running training: its state, and the parts of the loop that changes it."""

    def __init__(
        self, session: Session, callbacks: Sequence[Callback], saver: Saver | None, begin: Checkpoint, place: _Place
    ) -> None:
        self.session = session
        self.callbacks = callbacks
        self.saver = saver
        self.place = place
        self.engine = session.engine
        self.plan = session.plan
        self.per_epoch = session.batches.per_epoch
        self.steps = session.batches.steps
        self.step = begin.step
        self.best = begin.best
        self.early_stopping = begin.early_stopping
        self.earlier_steps = begin.before
        self.saved_step = -1
        self.history = HistoryBuilder(self.plan.metric, self.per_epoch, begin.history, begin.reports)
        # The state before the running chunk, to go back to where a number becomes NaN or infinite in it.
        self.chunk_start = begin
        self.first_index = 0
        self.following: Chunk | None = None
        self.upcoming: Iterator[Chunk] = iter(())
        self.piece_steps = 1
        self.piece_began = self.began = self.saved_at = time.perf_counter()
        self.earlier_seconds = begin.early_stopping.seconds
        self.warm: tuple[int, float] | None = None
        self.stopped = ""
        self.signal = 0

    def loop(self, requested: Callable[[], Signals | None]) -> Generator[None, None, Fit]:
        """The training: it pauses before each piece of steps, and returns its end."""
        for chunk in self.chunks():
            while self.has_piece(chunk):
                yield
                metrics = self.run(chunk, self.piece)
                if metrics is None:
                    break
                if not self.is_finite(metrics):
                    return self.diverged(chunk, self.piece, metrics)
                is_best = self.close_epochs(metrics)
                self.save_if_due(is_best)
                self.report(metrics)
                self.stop_if_asked(requested())
        return self.end()

    def chunks(self) -> Iterator[Chunk]:
        """The chunks from the present step on, until the training stops."""
        decisions = self.session.early_stopping
        # Where nothing happens at the end of each epoch, several short ones run as one program.
        each_epoch = bool(_measured(self.session)) or decisions.epochs_ahead(self.early_stopping) == 1
        epochs = self.session.spec.training.epochs
        if each_epoch:
            look_every = 1
        else:
            look_every = (self.saver.settings.every or _MOST_EPOCHS_BETWEEN_LOOKS) if self.saver else epochs
        self.upcoming = self.session.batches.chunks(self.engine, self.step, look_every)
        self.following = next(self.upcoming, None)
        while self.following and not self.stopped:
            chunk = self.following
            self.following = None
            self.chunk_start = self.checkpoint()
            self.first_index = max(0, self.step - chunk.first)
            if decisions.rates:
                self.plan = dataclasses.replace(self.plan, optimizer=decisions.frozen(self.early_stopping))
            yield chunk

    def checkpoint(self) -> Checkpoint:
        """All that is needed to resume the training at its present step."""
        return Checkpoint(
            state=self.place.fetch(),
            best=self.best,
            reports=self.history.reports,
            early_stopping=self.early_stopping,
            history=tuple(self.history.history),
            before=self.earlier_steps,
        )

    def has_piece(self, chunk: Chunk) -> bool:
        """Whether steps of the chunk are left; the next ones are then `piece`.

        It is about 0.2 s of them, and none beyond an epoch that decides something.
        """
        begin = max(0, self.step - chunk.first)
        if begin >= chunk.steps or self.stopped:
            return False
        epochs_ahead = self.session.early_stopping.epochs_ahead(self.early_stopping)
        decided = (self.step // self.per_epoch + epochs_ahead) * self.per_epoch - chunk.first
        self.chunk = chunk
        self.piece = _Piece(begin, int(min(begin + self.piece_steps, chunk.steps, decided)))
        return True

    def run(self, chunk: Chunk, piece: _Piece) -> StepMetrics | None:
        """Run the steps, with a pause wherever a callback asks to see one.

        Returns the metrics of the steps that ran; None where a callback stops the training before any.
        """
        self.piece_began = time.perf_counter()
        index = piece.begin
        parts = []
        while index < piece.end:
            step = chunk.first + index
            end = piece.end
            for callback in self.callbacks:
                if callback.next_step(step) == step:
                    callback.on_step_begin(self.engine, self.plan, self.place.state, chunk, index)
                end = int(min(end, callback.next_step(step + 1) - chunk.first))
            self.stopped = next((callback.stop for callback in self.callbacks if callback.stop), "")
            if self.stopped:
                break
            parts.append((self.place.run(self.plan, chunk, index, end), end - index))
            index = end
        if index == chunk.steps:
            # A GPU works on while the next chunk is prepared.
            self.following = next(self.upcoming, None)
        if not parts:
            return None
        metrics = _joined([(metrics(), steps) for metrics, steps in parts])
        seconds = time.perf_counter() - self.piece_began
        ran = index - piece.begin
        self.piece_steps = self.engine.agreed(max(1, int(ran * min(32.0, max(0.25, _PIECE_SECONDS / seconds)))))
        for callback in self.callbacks:
            callback.on_steps_end(self.step, metrics)
        return metrics

    def is_finite(self, metrics: StepMetrics) -> bool:
        """Whether all losses of the steps, and all numbers of the state, are finite."""
        return bool(np.isfinite(metrics.sums.loss).all()) and self.place.is_finite()

    def diverged(self, chunk: Chunk, piece: _Piece, metrics: StepMetrics) -> Fit:
        """The end of a training in which a number became NaN or infinite: which one, and the last good state."""
        if self.saver and self.saved_step < self.chunk_start.step:
            self.saver.save(self.chunk_start)
        finite = np.isfinite(metrics.sums.loss)
        end = piece.begin + len(finite)
        bad = piece.begin + int(np.argmin(finite)) if not finite.all() else end - 1
        find = partial(
            first_fault,
            self.session.spec.network,
            self.plan,
            self.engine,
            self.chunk_start.state,
            self.first_index,
            chunk,
        )
        # A callback that stops the training, such as that of a range test, has seen what it needs.
        searched = not any(callback.stop for callback in self.callbacks)
        fault = find(piece.begin, end) if searched else None
        if searched and not fault and bad > piece.begin:
            fault = find(bad - 1, end)
        fault = fault or Fault("the loss became NaN or infinite", bad)
        # Steps after the fault may have a finite loss: a unit with a bias of -infinity is silent.
        self.history.add(map_arrays(lambda values: values[: min(bad, fault.step) - piece.begin], metrics))
        return Fit(
            state=self.best or inference_state(self.chunk_start.state),
            history=self.history.history,
            early_stopping=self.early_stopping,
            fault=fault._replace(step=chunk.first + fault.step),
            per_epoch=self.per_epoch,
        )

    def close_epochs(self, metrics: StepMetrics) -> bool:
        """Take the metrics of the steps that ran; measure and decide at the end of each epoch.

        Returns whether the last epoch is the best so far.
        """
        decisions = self.session.early_stopping
        records = self.history.add(metrics)
        self.step += len(metrics.learning_rate)
        seconds = self.earlier_seconds + time.perf_counter() - self.began
        self.early_stopping = self.early_stopping._replace(seconds=seconds)
        is_best = False
        for record in records:
            for rows, measures in self.place.records().items():
                record |= {f"{rows}_{name}": value for name, value in measures.items()}
            if decisions.looks:
                self.early_stopping, is_best, self.stopped = decisions.on_epoch_end(self.early_stopping, record)
        return is_best

    def save_if_due(self, is_best: bool) -> None:
        """Keep the best weights, and a checkpoint where the settings ask for one, at the end of an epoch."""
        if self.step % self.per_epoch:
            return
        if is_best and self.session.spec.stopping.keeps_best:
            self.best = self.place.fetch_inference()
        if self.saver is None:
            return
        settings = self.saver.settings
        if settings.every is None:
            is_due = time.perf_counter() - self.saved_at >= _SECONDS_BETWEEN_CHECKPOINTS
        else:
            is_due = self.step // self.per_epoch % settings.every == 0
        if is_due or (is_best and settings.best and self.best):
            self.saver.save(self.checkpoint())
            self.saved_step = self.step
            self.saved_at = time.perf_counter()

    def report(self, metrics: StepMetrics) -> None:
        """Tell the callbacks how far the training has come."""
        now = time.perf_counter()
        if self.step % self.per_epoch == 0:
            record = self.history.history[-1]
        else:
            record = totals(self.plan.metric, metrics.sums) | {"learning_rate": float(metrics.learning_rate[-1])}
        speed = (self.step - self.warm[0]) / (now - self.warm[1]) if self.warm else math.nan
        self.warm = self.warm or (self.step, now)
        progress = Progress(
            training=self.session.spec.training,
            samples=len(self.session.split.train),
            steps_per_epoch=self.per_epoch,
            step=self.step,
            seconds=now - self.began,
            steps_per_second=speed,
            record=record,
            history=self.history.history,
        )
        for callback in self.callbacks:
            callback.on_progress(progress)

    def stop_if_asked(self, signal: Signals | None) -> None:
        """Stop for a signal, when the time is over, or when a callback asks for it."""
        if self.step >= self.steps:
            return
        signal_number = self.engine.agreed(int(signal or 0))
        seconds = self.session.spec.stopping.seconds
        if signal_number:
            self.stopped = f"by {in_words(Signals(signal_number))}"
            self.signal = signal_number
        elif self.stopped:
            return
        elif seconds is not None and self.engine.agreed(self.early_stopping.seconds >= seconds):
            self.stopped = f"the time of {seconds:g} s is over"
        else:
            self.stopped = next((callback.stop for callback in self.callbacks if callback.stop), "")

    def end(self) -> Fit:
        """The end of a training whose numbers are all finite."""
        for callback in self.callbacks:
            callback.on_train_end(self.engine, self.plan, self.place.state, self.step)
        if self.saver and self.saved_step < self.step:
            self.saver.save(self.checkpoint())
        best = self.best if not self.signal else ()
        return Fit(
            state=best or self.place.fetch_inference(),
            history=self.history.history,
            early_stopping=self.early_stopping,
            stopped=self.stopped,
            signal=self.signal,
            per_epoch=self.per_epoch,
        )


def _joined(parts: Sequence[tuple[StepMetrics, int]]) -> StepMetrics:
    """The metrics of several runs as one; of each, the first `steps` entries are those of its steps."""
    trees = [map_arrays(lambda values, steps=steps: values[: int(steps)], metrics) for metrics, steps in parts]
    return trees[0] if len(trees) == 1 else map_arrays(lambda *values: np.concatenate(values), *trees)
