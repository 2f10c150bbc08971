"""Training: epochs of batches in a seeded order, with a look at the held-out rows after each."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import numpy as np
from pydantic import Field

from .arrays import Array, Tree, leaves, map_arrays
from .blocks import Block, Course, Rows, as_batch, in_batches
from .clipping import Clipping
from .data import Dataset, Order, Shuffled, Task, Turn
from .divergence import Fault, first_fault
from .engines import Device, Engine, EngineName, Precision, make_engine
from .errors import InputError
from .network import Network
from .noise import noise_key
from .optimizers import SGD
from .parts import Count, Fraction, Loss, Optimizer, Part
from .probes import ClassScores, ResidualScores, Scores
from .regularization import Regularization
from .schedules import in_steps
from .step import Batch, Plan, State, answering, fused
from .stopping import Counters, Judge, Stopping

# A stretch of steps lasts about this long: the beat of the progress display, and the longest wait after Ctrl-C.
_BEAT_SECONDS = 0.2
_MEASURE_ROWS = 2048
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


class Onlooker(Protocol):
    """Who looks at a training between its steps. It reads, and changes nothing of what it is shown."""

    def due(self, step: int) -> int:
        """The first step, from `step` on, before which it wants to look."""

    def look(self, engine: Engine, plan: Plan, state: State, block: Block, index: int) -> None:
        """See the state before step `index` of a block, as the engine holds it: valid during this call only."""

    def finish(self, engine: Engine, plan: Plan, state: State, step: int) -> None:
        """See the state after the last step, of which `step` were done."""


class Snapshot(NamedTuple):
    """All that a training needs to go on as if it had never stopped, as NumPy arrays and plain numbers.

    `best` is the state with the best weights so far, or `()`; `reports` are those of the steps of the running epoch,
    one array for each of their numbers. `before` counts the updates that the state had before this training began.
    """

    state: State
    best: State | tuple[()] = ()
    reports: tuple[np.ndarray, ...] = ()
    counters: Counters = Counters()
    history: tuple[dict[str, float], ...] = ()
    before: int = 0

    @property
    def step(self) -> int:
        """The updates of this training."""
        return int(self.state.step) - self.before


class Fit(NamedTuple):
    """A finished training: the state that answers as NumPy arrays, one record an epoch, and how it ended.

    `stopped` says why it stopped before its last epoch, `diverged` which number became NaN or infinite first.
    """

    state: State
    history: list[dict[str, float]]
    counters: Counters = Counters()
    stopped: str = ""
    interrupted: bool = False
    diverged: str = ""


def scores_for(data: Rows, loss: Loss, network: Network, unit: np.ndarray | float) -> Scores:
    """The measures of a task: accuracy for classes and labels, R² and the mean absolute error for numbers."""
    if data.task == "regression":
        variance = data.target_variance
        return ResidualScores(tuple(map(float, variance)), tuple(map(float, np.broadcast_to(unit, variance.shape))))
    return ClassScores(fused(network, loss)[1].threshold)


def measures_of(task: Task) -> tuple[str, ...]:
    """The names of the measures of a task, the loss first."""
    return (ResidualScores if task == "regression" else ClassScores).measures


def check_fit(network: Network, data: Rows) -> None:
    """Raise InputError unless the network takes the data's samples and gives as many outputs as its targets need."""
    shape = network.initialize(0, (data.features,)).shapes[-1]
    width, needed = shape[-1], data.outputs
    if data.task == "classification":
        fits = width == needed or (width == 1 and needed == 2)
        what = f"the data has {needed} classes"
    else:
        fits = width == needed
        what = f"the data has {needed} target {'column' if needed == 1 else 'columns'}"
    if len(shape) != 1 or not fits:
        raise InputError(
            "network", f"ends with {width} outputs, and {what}; make its last dense layer 'dense {needed}'"
        )


def _check_batches(network: Network, samples: int, batch_size: int) -> None:
    """Raise InputError where a batch would hold fewer rows than a layer can be trained with."""
    least = max(layer.least_batch for layer in network.layers)
    last = samples % batch_size or batch_size
    if last < least:
        found = f"{batch_size} leaves {last} of {samples} training rows for the last batch of an epoch, and batch"
        sizes = range(max(least, batch_size), samples + 1)
        fits = next((size for size in sizes if samples % size == 0 or samples % size >= least), None)
        fix = f"take {fits}" if fits else f"there have to be {least} training rows"
        raise InputError("training.batch_size", f"{found} normalisation needs at least {least}; {fix}")


def course_of(network: Network, optimizer: Optimizer, training: Training, train: Rows, order: Order) -> Course:
    """The rows that a training meets, update by update. Raises InputError where network and data do not fit."""
    check_fit(network, train)
    full = optimizer.full_batch or training.batch_size == "full"
    rows = BATCH_SIZE if training.batch_size in (None, "full") else int(training.batch_size)
    batch_size = -(-len(train) // training.accumulate) if full else min(rows, len(train))
    _check_batches(network, len(train), batch_size)
    step_rows = batch_size * training.accumulate
    return Course(train, order, Turn(training.seed, 0, training.epochs, step_rows), step_rows)


def judge_of(stopping: Stopping, optimizer: Optimizer, course: Course, validation: Rows | None) -> Judge:
    """What looks at the record of each epoch. Raises InputError for a measure that the records will not have."""
    own = measures_of(course.data.task)
    held_out = [f"validation_{name}" for name in own] if validation else []
    at_the_end = [f"training_{name}" for name in own]
    measures = [*held_out, *own, "objective", *at_the_end]
    return Judge(stopping, in_steps(optimizer, course.per_epoch, course.steps, course.step_rows), measures)


def plan_of(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    training: Training,
    regularization: Regularization,
    train: Rows,
    unit: np.ndarray | float = 1.0,
) -> Plan:
    """What decides each step of a training; durations in the optimizer's schedules must be in steps."""
    update = (regularization, training.clip, training.average, training.accumulate)
    return Plan(network, loss, optimizer, scores_for(train, loss, network, unit), *update)


def evaluate(
    network: Network, loss: Loss, state: State, data: Rows, engine: Engine, unit: np.ndarray | float = 1.0
) -> dict[str, float]:
    """The loss and the scores over a whole data set, with the weights as they are in `state` (NumPy arrays)."""
    plan = Plan(network, loss, SGD(), scores_for(data, loss, network, unit))
    return _measuring(plan, engine, data)(engine.place(answering(state)))


def _measuring(plan: Plan, engine: Engine, data: Rows) -> Callable[[State], dict[str, float]]:
    """A function of the state that measures it over all rows; rows in memory are placed on the device once."""

    def placed(part: Dataset) -> tuple[Batch, Array]:
        size = min(len(data), _MEASURE_ROWS)
        return engine.place(as_batch(part, size)), in_batches(np.arange(len(part)), size)

    kept = [placed(data)] if isinstance(data, Dataset) else None

    def measure(state: State) -> dict[str, float]:
        parts = kept or map(placed, data.parts())
        sums = [engine.measure(plan, state, batch, rows) for batch, rows in parts]
        return _summary(plan.scores, map_arrays(lambda *values: np.concatenate(values), *sums))

    return measure


def _summary(scores: Scores, sums: Tree) -> dict[str, float]:
    total = map_arrays(lambda values: values.sum(axis=0, dtype=float), sums)
    return {name: float(value) for name, value in scores.summary(total).items()}


def answers(network: Network, loss: Loss, state: State, x: np.ndarray, engine: Engine) -> np.ndarray:
    """What the network answers for the rows of x (n, features): probabilities or values, (n, K)."""
    placed = engine.place(answering(state))
    # Filled up to a power of two, so that a few compiled programs serve any number of rows.
    size = min(1 << (len(x) - 1).bit_length(), _MEASURE_ROWS)
    full = np.concatenate([x, np.zeros((-len(x) % size, x.shape[1]), x.dtype)])
    parts = [engine.place(full[start : start + size]) for start in range(0, len(full), size)]
    return np.concatenate([engine.predict(network, loss, placed, part) for part in parts])[: len(x)]


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


def start_state(
    network: Network, optimizer: Optimizer, seed: int, features: int, average: Fraction | None = None
) -> State:
    """The state before the first step, as NumPy arrays in float64."""
    start = network.initialize(seed, (features,))
    copy = start.params if average is not None else ()
    return State(start.params, start.states, optimizer.init(start.params), np.array(0), noise_key(seed), copy)


class _Pace:
    """How many steps the next stretch takes, so that it lasts about one beat."""

    def __init__(self) -> None:
        self.steps = 1

    def took(self, steps: int, seconds: float) -> None:
        self.steps = max(1, int(steps * min(32.0, max(0.25, _BEAT_SECONDS / seconds))))


class _Ledger:
    """The reports of the running epoch, and the records of the epochs that have ended."""

    def __init__(self, scores: Scores, per_epoch: int, snapshot: Snapshot) -> None:
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
        scores = self.scores.summary(map_arrays(lambda values: values.sum(axis=1, dtype=float), reports.scores))
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
    train: Rows,
    validation: Rows | None = None,
    unit: np.ndarray | float = 1.0,
    watch: Callable[[Progress], None] = lambda progress: None,
    *,
    order: Order = Shuffled(),
    regularization: Regularization = Regularization(),
    stopping: Stopping = Stopping(),
    checkpoints: Checkpoints = Checkpoints(),
    keep: Callable[[Snapshot], None] | None = None,
    resume: Snapshot | None = None,
    onlookers: Sequence[Onlooker] = (),
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
        resume = Snapshot(engine.fetch(engine.place(state)), counters=judge.start())
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

    def snapshot() -> Snapshot:
        return Snapshot(engine.fetch(state), best, ledger.reports, counters, tuple(ledger.history), resume.before)

    with _stoppable(saves=keep is not None) as signalled:
        upcoming = course.blocks(engine, step, look_every)
        block: Block | None = next(upcoming, None)
        while block and not stopped:
            start = done = max(0, step - block.first)
            good, following = snapshot(), None
            if judge.rates:
                plan = dataclasses.replace(plan, optimizer=judge.settled(counters))
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
                        counters, is_best, stopped = judge.after_epoch(counters, record)
                if step % per_epoch == 0:
                    record = ledger.history[-1]
                    if is_best and stopping.keeps_best:
                        best = engine.fetch(answering(state))
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
    final = best if best and not interrupted else engine.fetch(answering(state))
    return Fit(final, ledger.history, counters, stopped, interrupted)


def _walked(
    engine: Engine, plan: Plan, state: State, block: Block, begin: int, stop: int, onlookers: Sequence[Onlooker]
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
    block: Block,
    begin: int,
    stop: int,
    report: Tree,
    ledger: _Ledger,
    counters: Counters,
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
    return Fit(answering(good), ledger.history, counters, diverged=f"{fault.what} {place}; {advice}")
