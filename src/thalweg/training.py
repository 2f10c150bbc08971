"""Training: epochs of batches in a seeded order, with a look at the held-out rows after each."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from .arrays import Array, Tree, map_arrays
from .data import Dataset
from .engines import Device, Engine, EngineName, Precision, make_engine
from .errors import InputError
from .network import Network
from .noise import generator
from .optimizers import SGD
from .parts import Count, Loss, Optimizer, Part
from .probes import ClassScores, ResidualScores, Scores
from .schedules import in_steps
from .step import Batch, Plan, State, fused

# A stretch of steps lasts about this long: the beat of the progress display, and the longest wait after Ctrl-C.
_BEAT_SECONDS = 0.2
# Epochs that nobody looks at in between run as one program of up to this many steps.
_BLOCK_STEPS = 2048
_MEASURE_ROWS = 2048


@dataclass(frozen=True)
class Training(Part):
    """How to train: the [training] section of a spec.

    `precision` is float32 on the compiled engine and float64 on the eager one unless it is given. `batch_size = "full"`
    takes all rows for each step.

    >>> Training(epochs=3).batch_size
    32
    """

    epochs: Count = 20
    batch_size: Count | Literal["full"] = 32
    seed: Annotated[int, Field(ge=0)] = 0
    engine: EngineName = "compiled"
    precision: Precision | None = None
    device: Device | None = None


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


class Fit(NamedTuple):
    """A finished training: its last good state as NumPy arrays, one record an epoch, and why it stopped early."""

    state: State
    history: list[dict[str, float]]
    interrupted: bool = False
    diverged: str = ""


def scores_for(data: Dataset, loss: Loss, network: Network, unit: np.ndarray | float) -> Scores:
    """The measures of a task: accuracy for classes and labels, R² and the mean absolute error for numbers."""
    if data.task == "regression":
        y = data.y.astype(float)
        variance = np.average((y - np.average(y, axis=0, weights=data.weight)) ** 2, axis=0, weights=data.weight)
        return ResidualScores(tuple(map(float, variance)), tuple(map(float, np.broadcast_to(unit, variance.shape))))
    return ClassScores(fused(network, loss)[1].threshold)


def check_fit(network: Network, data: Dataset) -> None:
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


def as_batch(data: Dataset) -> Batch:
    """All rows of a data set as one batch, each of weight 1 unless it has its own."""
    weight = np.ones(len(data), dtype=np.float32) if data.weight is None else data.weight
    return Batch(data.x, data.y, weight)


def order_of(seed: int, epoch: int, samples: int) -> np.ndarray:
    """The rows in the order of an epoch, shuffled: (samples,). A function of the seed and the epoch alone.

    >>> sorted(order_of(0, 1, samples=5).tolist())
    [0, 1, 2, 3, 4]
    """
    return generator(seed, "order", epoch).permutation(samples)


def _in_batches(rows: np.ndarray, batch_size: int) -> np.ndarray:
    """Rows in batches (steps, batch size), the last one filled up with -1."""
    steps = -(-len(rows) // batch_size)
    padded = np.full(steps * batch_size, -1, dtype=np.int32)
    padded[: len(rows)] = rows
    return padded.reshape(steps, batch_size)


def evaluate(
    network: Network, loss: Loss, state: State, data: Dataset, engine: Engine, unit: np.ndarray | float = 1.0
) -> dict[str, float]:
    """The loss and the scores over a whole data set, with the weights as they are in `state` (NumPy arrays)."""
    plan = Plan(network, loss, SGD(), scores_for(data, loss, network, unit))
    return _summary(plan, engine.measure(plan, engine.place(state._replace(moments=())), *_placed(engine, data)))


def answers(network: Network, loss: Loss, state: State, x: np.ndarray, engine: Engine) -> np.ndarray:
    """What the network answers for the rows of x (n, features): probabilities or values, (n, K)."""
    placed = engine.place(state._replace(moments=()))
    # Filled up to a power of two, so that a few compiled programs serve any number of rows.
    size = min(1 << (len(x) - 1).bit_length(), _MEASURE_ROWS)
    full = np.concatenate([x, np.zeros((-len(x) % size, x.shape[1]), x.dtype)])
    parts = [engine.place(full[start : start + size]) for start in range(0, len(full), size)]
    return np.concatenate([engine.predict(network, loss, placed, part) for part in parts])[: len(x)]


def _summary(plan: Plan, sums: Tree) -> dict[str, float]:
    total = map_arrays(lambda values: values.sum(axis=0, dtype=float), sums)
    return {name: float(value) for name, value in plan.scores.summary(total).items()}


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C wait for the end of a stretch of steps; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = threading.Event()

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def start_state(network: Network, optimizer: Optimizer, seed: int, features: int, engine: Engine) -> State:
    """The state before the first step, placed on the engine."""
    start = network.initialize(seed, (features,))
    return engine.place(State(start.params, start.states, optimizer.init(start.params), np.array(0)))


def _orders(seed: int, epochs: int, block: int, samples: int, batch_size: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Block after block: its first epoch, its number of epochs, and the rows of all its batches, always of one shape.

    The first block is short, so that the device can begin; the others are made while it works.
    """
    first, count = 0, max(1, block // 8)
    while first < epochs:
        count = min(count, epochs - first)
        rows = np.full((block, -(-samples // batch_size) * batch_size), -1, dtype=np.int32)
        for index in range(count):
            rows[index, :samples] = order_of(seed, first + index, samples)
        yield first, count, rows.reshape(-1, batch_size)
        first, count = first + count, block


class _Pace:
    """How many steps the next stretch takes, so that it lasts about one beat."""

    def __init__(self) -> None:
        self.steps = 1

    def took(self, steps: int, seconds: float) -> None:
        self.steps = max(1, int(steps * min(32.0, max(0.25, _BEAT_SECONDS / seconds))))


def fit(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    training: Training,
    train: Dataset,
    validation: Dataset | None = None,
    unit: np.ndarray | float = 1.0,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Fit:
    """Train, and return the last good state with the history of all epochs.

    The history has one record an epoch: its measures over the training rows as they were met during the epoch, with the
    weights still moving, and over the validation rows with the weights at its end (`validation_...`). `unit` is what
    one unit of a regression's target is in the target's own units, for the mean absolute error.

    Stops before its time at Ctrl-C, after the running stretch of steps, and when the loss is no number any more: then
    the state is one from before that.

    Raises InputError where network and data do not fit, or the machine has not the engine asked for.
    """
    check_fit(network, train)
    engine = make_engine(training.engine, training.precision, training.device)
    full = optimizer.full_batch or training.batch_size == "full"
    batch_size = len(train) if full else min(int(training.batch_size), len(train))
    per_epoch = -(-len(train) // batch_size)
    steps = training.epochs * per_epoch
    plan = Plan(network, loss, in_steps(optimizer, per_epoch, steps), scores_for(train, loss, network, unit))

    data = engine.place(as_batch(train))
    held_out = None if validation is None else _placed(engine, validation)
    judge = plan if validation is None else plan._replace(scores=scores_for(validation, loss, network, unit))
    state = start_state(network, optimizer, training.seed, train.features, engine)
    # Where nobody looks at the end of each epoch, several short ones run as one program.
    block = 1 if held_out else max(1, min(training.epochs, _BLOCK_STEPS // per_epoch))
    history: list[dict[str, float]] = []
    pace, began = _Pace(), time.perf_counter()
    warm: tuple[int, float] | None = None

    with _interruptible() as asked_to_stop:
        orders = _orders(training.seed, training.epochs, block, len(train), batch_size)
        upcoming = next(orders, None)
        while upcoming:
            first, epochs, rows = upcoming
            end = epochs * per_epoch
            good, done, reports = engine.fetch(state), 0, []
            while done < end:
                mark = time.perf_counter()
                start, stop = done, min(done + pace.steps, end)
                state, report = engine.run(plan, state, data, rows, start, stop)
                if stop == end:
                    # A device works on while the next block is made here.
                    upcoming = next(orders, None)
                report = map_arrays(lambda values, steps=stop - start: values[:steps], engine.fetch(report))
                now = time.perf_counter()
                pace.took(stop - start, now - mark)
                reports.append(report)
                done = stop
                if not np.isfinite(report.scores.loss).all():
                    at_step = start + int(np.argmin(np.isfinite(report.scores.loss)))
                    history += _records(plan, reports, first, per_epoch, at_step // per_epoch)
                    return Fit(good, history, diverged=_where(first * per_epoch + at_step, per_epoch))
                record = _summary(plan, report.scores) | {"learning_rate": float(report.learning_rate[-1])}
                if done == end:
                    history += _records(plan, reports, first, per_epoch, epochs)
                    if held_out:
                        found = _summary(judge, engine.measure(judge, state, *held_out))
                        history[-1] |= {f"validation_{name}": value for name, value in found.items()}
                    record = history[-1]
                step = first * per_epoch + done
                speed = (step - warm[0]) / (now - warm[1]) if warm else math.nan
                warm = warm or (step, now)
                watch(Progress(training, len(train), per_epoch, step, now - began, speed, record, history))
                if asked_to_stop():
                    if done < end:
                        history += _records(plan, reports, first, per_epoch, done // per_epoch)
                    return Fit(engine.fetch(state), history, interrupted=step < steps)
    return Fit(engine.fetch(state), history)


def _placed(engine: Engine, data: Dataset) -> tuple[Batch, Array]:
    rows = _in_batches(np.arange(len(data)), min(len(data), _MEASURE_ROWS))
    return engine.place(as_batch(data)), rows


def _records(plan: Plan, reports: list[Tree], first: int, per_epoch: int, count: int) -> list[dict[str, float]]:
    """The records of the first `count` epochs that the reports of a block cover."""

    def by_epoch(*parts: np.ndarray) -> np.ndarray:
        values = np.concatenate(parts)[: count * per_epoch]
        return values.reshape(count, per_epoch, *values.shape[1:])

    joined = map_arrays(by_epoch, *reports)
    scores = plan.scores.summary(map_arrays(lambda values: values.sum(axis=1, dtype=float), joined.scores))
    epochs = first + 1 + np.arange(count)
    columns = {"epoch": epochs, "step": epochs * per_epoch, "learning_rate": joined.learning_rate[:, -1], **scores}
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _where(step: int, per_epoch: int) -> str:
    return (
        f"the loss became NaN or infinite at step {step + 1} (epoch {step // per_epoch + 1});"
        " a smaller learning rate is the usual remedy, scaled inputs the next"
    )
