"""The training loop: chunks of steps, the record of each epoch, what it decides, checkpoints."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from signal import Signals
from typing import NamedTuple, Protocol

import numpy as np

from ..core.arrays import map_arrays
from ..engine.step import State, StepMetrics, inference_state
from ..parts.settings import Checkpoints
from .batch_plan import Chunk
from .callbacks import Callback, Progress, Record
from .checkpoints import Checkpoint
from .early_stopping import EarlyStoppingState
from .evaluate import evaluator
from .history import HistoryBuilder, totals
from .interrupts import in_words, stop_requests
from .nan_search import Fault, first_fault
from .session import Session

# A piece of steps lasts about this long: the interval of the progress display, and the longest wait after Ctrl-C.
_PIECE_SECONDS = 0.2


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
    training = _Training(session, callbacks, saver, resume)
    with stop_requests(saves=saver is not None) as requested:
        for chunk in training.chunks():
            while piece := training.next_piece(chunk):
                metrics = training.run(chunk, piece)
                if metrics is None:
                    break
                if not training.is_finite(metrics):
                    return training.diverged(chunk, piece, metrics)
                is_best = training.close_epochs(metrics)
                training.save_if_due(is_best)
                training.report(metrics)
                training.stop_if_asked(requested())
    return training.end()


class _Piece(NamedTuple):
    """Steps `begin` to `end` of a chunk: they run between two looks at the clock."""

    begin: int
    end: int


class _Training:
    """A running training: its state, and the parts of the loop that changes it."""

    def __init__(
        self, session: Session, callbacks: Sequence[Callback], saver: Saver | None, resume: Checkpoint | None
    ) -> None:
        self.session = session
        self.callbacks = callbacks
        self.saver = saver
        self.engine = session.engine
        self.plan = session.plan
        self.per_epoch = session.batches.per_epoch
        self.steps = session.batches.steps
        self.evaluators = self._evaluators()
        begin = resume or session.start_checkpoint
        self.state = self.engine.place(begin.state)
        self.step = begin.step
        self.best = begin.best
        self.early_stopping = begin.early_stopping
        self.earlier_steps = begin.before
        self.saved_step = begin.step if resume else -1
        self.history = HistoryBuilder(self.plan.metric, self.per_epoch, begin.history, begin.reports)
        # The state before the running chunk, to go back to where a number becomes NaN or infinite in it.
        self.chunk_start = begin
        self.first_index = 0
        self.following: Chunk | None = None
        self.upcoming: Iterator[Chunk] = iter(())
        self.piece_steps = 1
        self.piece_began = self.began = time.perf_counter()
        self.earlier_seconds = begin.early_stopping.seconds
        self.warm: tuple[int, float] | None = None
        self.stopped = ""
        self.signal = 0

    def _evaluators(self) -> dict[str, Callable[[State], Record]]:
        """What is measured at the end of each epoch, by the prefix of its names."""
        session = self.session
        evaluators = {}
        if session.early_stopping.looks_at_training:
            evaluators["training"] = evaluator(self.plan, self.engine, session.split.train)
        validation = session.split.validation
        if validation is not None:
            plan = dataclasses.replace(self.plan, metric=session.metric(validation))
            evaluators["validation"] = evaluator(plan, self.engine, validation)
        return evaluators

    def chunks(self) -> Iterator[Chunk]:
        """The chunks from the present step on, until the training stops."""
        decisions = self.session.early_stopping
        # Where nothing happens at the end of each epoch, several short ones run as one program.
        each_epoch = bool(self.evaluators) or decisions.epochs_ahead(self.early_stopping) == 1
        epochs = self.session.spec.training.epochs
        look_every = 1 if each_epoch else self.saver.settings.every if self.saver else epochs
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
            state=self.engine.fetch(self.state),
            best=self.best,
            reports=self.history.reports,
            early_stopping=self.early_stopping,
            history=tuple(self.history.history),
            before=self.earlier_steps,
        )

    def next_piece(self, chunk: Chunk) -> _Piece | None:
        """The steps to run next: about 0.2 s of them, and none beyond an epoch that decides something."""
        begin = max(0, self.step - chunk.first)
        if begin >= chunk.steps or self.stopped:
            return None
        epochs_ahead = self.session.early_stopping.epochs_ahead(self.early_stopping)
        decided = (self.step // self.per_epoch + epochs_ahead) * self.per_epoch - chunk.first
        return _Piece(begin, int(min(begin + self.piece_steps, chunk.steps, decided)))

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
                    callback.on_step_begin(self.engine, self.plan, self.state, chunk, index)
                end = int(min(end, callback.next_step(step + 1) - chunk.first))
            self.stopped = next((callback.stop for callback in self.callbacks if callback.stop), "")
            if self.stopped:
                break
            self.state, metrics = self.engine.run(self.plan, self.state, chunk.data, chunk.rows, index, end)
            parts.append((metrics, end - index))
            index = end
        if index == chunk.steps:
            # The device works on while the next chunk is prepared.
            self.following = next(self.upcoming, None)
        if not parts:
            return None
        metrics = _joined([(self.engine.fetch(metrics), steps) for metrics, steps in parts])
        seconds = time.perf_counter() - self.piece_began
        ran = index - piece.begin
        self.piece_steps = self.engine.agreed(max(1, int(ran * min(32.0, max(0.25, _PIECE_SECONDS / seconds)))))
        for callback in self.callbacks:
            callback.on_steps_end(self.step, metrics)
        return metrics

    def is_finite(self, metrics: StepMetrics) -> bool:
        """Whether all losses of the steps, and all numbers of the state, are finite."""
        return bool(np.isfinite(metrics.sums.loss).all()) and self.engine.finite(self.state)

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
            for rows, measure in self.evaluators.items():
                record |= {f"{rows}_{name}": value for name, value in measure(self.state).items()}
            if decisions.looks:
                self.early_stopping, is_best, self.stopped = decisions.on_epoch_end(self.early_stopping, record)
        return is_best

    def save_if_due(self, is_best: bool) -> None:
        """Keep the best weights, and a checkpoint where the settings ask for one, at the end of an epoch."""
        if self.step % self.per_epoch:
            return
        if is_best and self.session.spec.stopping.keeps_best:
            self.best = self.engine.fetch(inference_state(self.state))
        if self.saver is None:
            return
        settings = self.saver.settings
        if self.step // self.per_epoch % settings.every == 0 or (is_best and settings.best and self.best):
            self.saver.save(self.checkpoint())
            self.saved_step = self.step

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
            callback.on_train_end(self.engine, self.plan, self.state, self.step)
        if self.saver and self.saved_step < self.step:
            self.saver.save(self.checkpoint())
        best = self.best if not self.signal else ()
        return Fit(
            state=best or self.engine.fetch(inference_state(self.state)),
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
