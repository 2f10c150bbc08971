"""A completed spec with its rows, ready to train."""

from __future__ import annotations

import numpy as np

from ..core.errors import InputError
from ..core.noise import noise_key
from ..data import EpochIndex, Order, RowSource
from ..engine.step import Plan, State
from ..models.network import Network
from ..parts.part import Fraction, Loss, Optimizer
from ..parts.regularization import Regularization
from ..parts.schedules import in_steps
from ..parts.settings import BATCH_SIZE, Stopping, Training
from .batch_plan import BatchPlan
from .early_stopping import EarlyStopping
from .evaluate import measures_of, scores_for


def check_fit(network: Network, data: RowSource) -> None:
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


def course_of(network: Network, optimizer: Optimizer, training: Training, train: RowSource, order: Order) -> BatchPlan:
    """The rows that a training meets, update by update. Raises InputError where network and data do not fit."""
    check_fit(network, train)
    full = optimizer.full_batch or training.batch_size == "full"
    rows = BATCH_SIZE if training.batch_size in (None, "full") else int(training.batch_size)
    batch_size = -(-len(train) // training.accumulate) if full else min(rows, len(train))
    _check_batches(network, len(train), batch_size)
    step_rows = batch_size * training.accumulate
    return BatchPlan(train, order, EpochIndex(training.seed, 0, training.epochs, step_rows), step_rows)


def judge_of(
    stopping: Stopping, optimizer: Optimizer, course: BatchPlan, validation: RowSource | None
) -> EarlyStopping:
    """What looks at the record of each epoch. Raises InputError for a measure that the records will not have."""
    own = measures_of(course.data.task)
    held_out = [f"validation_{name}" for name in own] if validation else []
    at_the_end = [f"training_{name}" for name in own]
    measures = [*held_out, *own, "objective", *at_the_end]
    return EarlyStopping(stopping, in_steps(optimizer, course.per_epoch, course.steps, course.step_rows), measures)


def plan_of(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    training: Training,
    regularization: Regularization,
    train: RowSource,
    unit: np.ndarray | float = 1.0,
) -> Plan:
    """What decides each step of a training; durations in the optimizer's schedules must be in steps."""
    update = (regularization, training.clip, training.average, training.accumulate)
    return Plan(network, loss, optimizer, scores_for(train, loss, network, unit), *update)


def start_state(
    network: Network, optimizer: Optimizer, seed: int, features: int, average: Fraction | None = None
) -> State:
    """The state before the first step, as NumPy arrays in float64."""
    start = network.initialize(seed, (features,))
    copy = start.params if average is not None else ()
    return State(start.params, start.states, optimizer.init(start.params), np.array(0), noise_key(seed), copy)
