"""Training: epochs of batches in a seeded order, with a look at the held-out rows after each."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Tree, leaves, map_arrays
from ..data import Order, RowSource, Shuffled
from ..engine.engine import Engine, make_engine
from ..engine.step import Plan, State, inference_state
from ..models.network import Network
from ..parts.metrics import Metric
from ..parts.part import Loss, Optimizer
from ..parts.regularization import Regularization
from ..parts.settings import Checkpoints, Stopping, Training
from .batch_plan import Chunk
from .callbacks import Callback, Progress
from .checkpoints import Checkpoint
from .early_stopping import EarlyStoppingState
from .evaluate import _measuring, _summary, scores_for
from .nan_search import Fault, first_fault
from .session import course_of, judge_of, plan_of, start_state

# A stretch of steps lasts about this long: the beat of the progress display, and the longest wait after Ctrl-C.
_BEAT_SECONDS = 0.2


class Fit(NamedTuple):
    """A finished training: the state that answers as NumPy arrays, one record an epoch, and how it ended.

    `stopped` says why it stopped before its last epoch, `diverged` which number became NaN or infinite first.
    """

    state: State
    history: list[dict[str, float]]
    counters: EarlyStoppingState = EarlyStoppingState()
    stopped: str = ""
    interrupted: bool = False
    diverged: str = ""


@contextmanager
def _stoppable(saves: bool) -> Iterator[Callable[[], str]]:
    """Let the first Ctrl-C wait for the end of a stretch of steps, and SIGTERM where that `saves` something.

    A second one stops at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: ""
        return
    names = {signal.SIGINT: "Ctrl-C"} | ({signal.SIGTERM: "SIGTERM"} if saves else {})
    asked: list[str] = []

    def ask(number: int, frame: Any) -> None:
        asked.append(names[signal.Signals(number)])
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, ask) for number in names}
    try:
        yield lambda: asked[0] if asked else ""
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Pace:
    """How many steps the next stretch takes, so that it lasts about one beat."""

    def __init__(self) -> None:
        self.steps = 1

    def took(self, steps: int, seconds: float) -> None:
        self.steps = max(1, int(steps * min(32.0, max(0.25, _BEAT_SECONDS / seconds))))


class _Ledger:
    """The reports of the running epoch, and the records of the epochs that have ended."""

    def __init__(self, scores: Metric, per_epoch: int, snapshot: Checkpoint) -> None:
        self.scores, self.per_epoch = scores, per_epoch
        self.epoch = snapshot.step // per_epoch
        self.history = list(snapshot.history)
        self.parts = [snapshot.reports] if snapshot.reports else []

    def add(self, report: Tree) -> list[dict[str, float]]:
        """Take the report of a stretch: the records of the epochs that it ends."""
        known = len(self.history)
        self.parts.append(tuple(leaves(report)))
        steps = sum(len(part[0]) for part in self.parts)
        count = steps // self.per_epoch
        if count:
            joined = self.reports
            cut = count * self.per_epoch
            numbers = iter(array[:cut].reshape(count, self.per_epoch, *array.shape[1:]) for array in joined)
            self.history += self._records(map_arrays(lambda _: next(numbers), report), count)
            self.epoch += count
            self.parts = [tuple(array[cut:] for array in joined)] if steps > cut else []
        return self.history[known:]

    @property
    def reports(self) -> tuple[np.ndarray, ...]:
        """The numbers of the reports of the running epoch, each with a first axis over its steps."""
        return tuple(np.concatenate(arrays) for arrays in zip(*self.parts, strict=True))

    def _records(self, reports: Tree, count: int) -> list[dict[str, float]]:
        """Records of whole epochs from reports of shape (epochs, steps of an epoch, ...)."""
        scores = self.scores.compute(map_arrays(lambda values: values.sum(axis=1, dtype=float), reports.scores))
        epochs = self.epoch + 1 + np.arange(count)
        columns = {
            "epoch": epochs,
            "step": epochs * self.per_epoch,
            "learning_rate": reports.learning_rate[:, -1],
            **scores,
        }
        if not isinstance(reports.clipped, tuple):
            columns["clipped"] = reports.clipped.mean(axis=1, dtype=float)
        if not isinstance(reports.penalty, tuple):
            # As the loss: a mean over the rows.
            weight = reports.scores.weight
            columns["penalty"] = (reports.penalty * weight).sum(axis=1, dtype=float) / weight.sum(axis=1, dtype=float)
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]


def fit(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    training: Training,
    train: RowSource,
    validation: RowSource | None = None,
    unit: np.ndarray | float = 1.0,
    watch: Callable[[Progress], None] = lambda progress: None,
    *,
    order: Order = Shuffled(),
    regularization: Regularization = Regularization(),
    stopping: Stopping = Stopping(),
    checkpoints: Checkpoints = Checkpoints(),
    keep: Callable[[Checkpoint], None] | None = None,
    resume: Checkpoint | None = None,
    onlookers: Sequence[Callback] = (),
) -> Fit:
    """Train, and return the state that answers with the history of all epochs.

    The history has one record an epoch: its measures over the training rows as they were met during the epoch, with the
    weights still moving, and over the validation rows with the weights at its end (`validation_...`). `unit` is what
    one unit of a regression's target is in the target's own units, for the mean absolute error.

    `keep` takes a snapshot whenever `checkpoints` says so, and when training stops before its time: when `stopping`
    says so, and at Ctrl-C or (only where there is a `keep`) SIGTERM after the running stretch of steps. With one of
    them as `resume` training goes on, and ends with the same state, bit for bit, as if it had not stopped. When a
    number becomes NaN or infinite, training stops, and the state is one from before that; `keep` takes it too.
    `onlookers` look at the steps that they want to see, and change nothing.

    Raises InputError where network and data do not fit, or the machine has not the engine asked for.
    """
    course = course_of(network, optimizer, training, train, order)
    engine = make_engine(training.engine, training.precision, training.device)
    per_epoch, steps = course.per_epoch, course.steps

    judge = judge_of(stopping, optimizer, course, validation)
    plan = plan_of(network, loss, judge.optimizer, training, regularization, train, unit)
    scores = plan.scores
    measuring = {}
    if judge.looks_at_training:
        measuring["training"] = _measuring(plan, engine, train)
    if validation is not None:
        held_out = dataclasses.replace(plan, scores=scores_for(validation, loss, network, unit))
        measuring["validation"] = _measuring(held_out, engine, validation)

    if resume is None:
        state = start_state(network, optimizer, training.seed, train.features, training.average)
        resume = Checkpoint(engine.fetch(engine.place(state)), counters=judge.start())
        kept = -1
    else:
        kept = resume.step
    state, best, counters = engine.place(resume.state), resume.best, resume.counters
    ledger, step = _Ledger(scores, per_epoch, resume), resume.step
    # Where nobody looks at the end of each epoch, several short ones run as one program.
    each = bool(measuring) or judge.epochs_ahead(counters) == 1
    look_every = 1 if each else checkpoints.every if keep else training.epochs
    pace, began, before = _Pace(), time.perf_counter(), counters.seconds
    warm: tuple[int, float] | None = None
    stopped, interrupted = "", False

    def snapshot() -> Checkpoint:
        return Checkpoint(engine.fetch(state), best, ledger.reports, counters, tuple(ledger.history), resume.before)

    with _stoppable(saves=keep is not None) as signalled:
        upcoming = course.blocks(engine, step, look_every)
        block: Chunk | None = next(upcoming, None)
        while block and not stopped:
            start = done = max(0, step - block.first)
            good, following = snapshot(), None
            if judge.rates:
                plan = dataclasses.replace(plan, optimizer=judge.frozen(counters))
            while done < block.steps and not stopped:
                mark, begin, stop = time.perf_counter(), done, min(done + pace.steps, block.steps)
                decided = (step // per_epoch + judge.epochs_ahead(counters)) * per_epoch - block.first
                stop = int(min(stop, decided))
                state, reports = _walked(engine, plan, state, block, begin, stop, onlookers)
                if stop == block.steps:
                    # A device works on while the next block is made here.
                    following = next(upcoming, None)
                report = _joined(engine.fetch(reports))
                now = time.perf_counter()
                pace.took(stop - begin, now - mark)
                if not np.isfinite(report.scores.loss).all() or not engine.finite(state):
                    if keep and kept < good.step:
                        keep(good)
                    return _diverged(
                        network, plan, engine, good.state, start, block, begin, stop, report, ledger, counters
                    )
                ended = ledger.add(report)
                done, step = stop, block.first + stop
                counters, is_best = counters._replace(seconds=before + now - began), False
                for record in ended:
                    for rows, measure in measuring.items():
                        record |= {f"{rows}_{name}": value for name, value in measure(state).items()}
                    if judge.looks:
                        counters, is_best, stopped = judge.on_epoch_end(counters, record)
                if step % per_epoch == 0:
                    record = ledger.history[-1]
                    if is_best and stopping.keeps_best:
                        best = engine.fetch(inference_state(state))
                    due = step // per_epoch % checkpoints.every == 0 or (is_best and checkpoints.best and bool(best))
                    if keep and due:
                        keep(snapshot())
                        kept = step
                else:
                    record = _summary(scores, report.scores) | {"learning_rate": float(report.learning_rate[-1])}
                speed = (step - warm[0]) / (now - warm[1]) if warm else math.nan
                warm = warm or (step, now)
                watch(Progress(training, len(train), per_epoch, step, now - began, speed, record, ledger.history))
                interrupted = bool(signalled()) and step < steps
                if interrupted:
                    stopped = f"by {signalled()}"
                elif stopping.seconds is not None and counters.seconds >= stopping.seconds and step < steps:
                    stopped = stopped or f"the time of {stopping.seconds:g} s is over"
            block = following
        for onlooker in onlookers:
            onlooker.finish(engine, plan, state, step)
        if keep and kept < step:
            keep(snapshot())
    final = best if best and not interrupted else engine.fetch(inference_state(state))
    return Fit(final, ledger.history, counters, stopped, interrupted)


def _walked(
    engine: Engine, plan: Plan, state: State, block: Chunk, begin: int, stop: int, onlookers: Sequence[Callback]
) -> tuple[State, list[tuple[Tree, int]]]:
    """Steps begin to stop of a block, with a pause wherever an onlooker looks: the new state, reports, their counts."""
    reports = []
    while begin < stop:
        step, end = block.first + begin, stop
        for onlooker in onlookers:
            if onlooker.due(step) == step:
                onlooker.look(engine, plan, state, block, begin)
            end = min(end, onlooker.due(step + 1) - block.first)
        state, report = engine.run(plan, state, block.data, block.rows, begin, end)
        reports.append((report, end - begin))
        begin = end
    return state, reports


def _joined(reports: list[tuple[Tree, int]]) -> Tree:
    """The reports of several pieces of a stretch as one; of each, the first `steps` are real."""
    trees = [map_arrays(lambda values, steps=steps: values[: int(steps)], report) for report, steps in reports]
    return trees[0] if len(trees) == 1 else map_arrays(lambda *parts: np.concatenate(parts), *trees)


def _diverged(
    network: Network,
    plan: Plan,
    engine: Engine,
    good: State,
    start: int,
    block: Chunk,
    begin: int,
    stop: int,
    report: Tree,
    ledger: _Ledger,
    counters: EarlyStoppingState,
) -> Fit:
    """The end of a training in which a number went wrong between two steps of a block: what it was, and the last good
    state.
    """
    finite = np.isfinite(report.scores.loss)
    bad = begin + int(np.argmin(finite)) if not finite.all() else stop - 1
    fault = first_fault(network, plan, engine, good, start, block, begin, stop)
    if not fault and bad > begin:
        fault = first_fault(network, plan, engine, good, start, block, bad - 1, stop)
    fault = fault or Fault("the loss became NaN or infinite", bad)
    # Steps behind the fault may have a loss that looks well: a unit with a bias of -infinity is silent.
    ledger.add(map_arrays(lambda values: values[: min(bad, fault.step) - begin], report))
    step = block.first + fault.step
    place = f"at step {step + 1} (epoch {step // ledger.per_epoch + 1})"
    advice = "a smaller learning rate is the usual remedy, scaled inputs or clipped gradients the next"
    return Fit(inference_state(good), ledger.history, counters, diverged=f"{fault.what} {place}; {advice}")
