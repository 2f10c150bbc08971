"""A completed spec with its rows, ready to train."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..core.errors import InputError
from ..core.memory import check_memory
from ..data import Dataset, EpochIndex, Preprocessing, RowSource, Split
from ..engine.choice import engine_for, joint_saving, step_seconds
from ..engine.engine import Engine
from ..engine.step import Plan, State
from ..engine.structure import structure
from ..models.linear_units import tunes
from ..models.network import Network
from ..parts.schedules import in_steps
from ..parts.schedules.metric_schedules import metric_schedules
from ..parts.settings import BATCH_SIZE, Off, Stopping
from ..parts.task_metrics import TaskMetric
from ..spec.complete import completed
from ..spec.spec import CompleteSpec, Spec
from .batch_plan import BatchPlan, as_batch
from .checkpoints import Checkpoint
from .early_stopping import EarlyStopping
from .evaluate import evaluate, measures_of, metric_for, predict_batches, score_parts


@dataclass(frozen=True, eq=False)
class Session:
    """A completed spec with its rows. Everything that trains, replays or analyses a training begins with one.

    Its properties are worked out when they are first asked for. They raise InputError where spec and rows do not fit.

    Attributes:
        spec: the spec with nothing left open.
        split: training, validation and test rows, prepared for the network.

    >>> session = Session.load(Spec.of({"data": {"source": "xor"}, "training": {"engine": "eager"}}))
    >>> session.batches.per_epoch, session.engine, session.start.params[0].W.shape
    (1, Eager(precision='float64'), (2, 64))
    """

    spec: CompleteSpec
    split: Split

    @classmethod
    def load(cls, spec: Spec, on_load: Callable[[int, int], None] = lambda done, total: None) -> Session:
        """Load the rows of a spec and complete it.

        Args:
            spec: a spec that may leave network, loss and more open.
            on_load: hears of the rows prepared so far and in all, while a large data set is loaded.

        Raises:
            InputError: the rows cannot be loaded, or do not suit the spec.
        """
        split = spec.prepared_data.load(spec.training.seed, on_load, spec.training.number_type)
        return cls(completed(spec, split.train), split)

    @cached_property
    def engine(self) -> Engine:
        """The engine that the spec names, or the one that ends the training first."""
        return engine_for(self.spec.training, self.numpy_seconds)

    @cached_property
    def numpy_seconds(self) -> float:
        """The seconds that NumPy is expected to need for all steps of the training."""
        batches = self.batches
        params = self.start.params
        return batches.steps * step_seconds(self.spec.network, params, self.split.train.features, batches.step_rows)

    @cached_property
    def joint_saving(self) -> float:
        """The seconds that the training saves on a CPU by running with others as one program; 0 where it runs alone.

        Alone run trainings with probes, with a time limit or a length that is still to be chosen, with rows that stream
        from a disk, and without validation rows, where many epochs run without a call.
        """
        spec = self.spec
        training = spec.training
        stopping = spec.stopping
        train = self.split.train
        alone = training.engine != "compiled" or training.device == "gpu" or (training.devices or 1) > 1
        alone = alone or not isinstance(spec.probes, Off) or bool(stopping.seconds or stopping.holdouts)
        if alone or not isinstance(train, Dataset) or not isinstance(self.split.validation, Dataset):
            return 0.0
        epochs = training.epochs
        if stopping.target is not None:
            epochs = 1
        elif stopping.patience is not None:
            epochs = min(epochs, stopping.patience + 1)
        return joint_saving(spec.network, self.start.params, train.features, len(train), epochs)

    @cached_property
    def structure(self) -> Hashable:
        """What trainings must share to run as one program: all but fractional numbers, seeds and the values of rows."""
        spec = self.spec
        rows = tuple(tuple(as_batch(data)) for data in self.split.sets.values() if isinstance(data, Dataset))
        decisions = structure(spec.stopping), spec.training.epochs, self.batches.step_rows
        return self.engine, structure(self.plan), structure(self.start), structure(rows), decisions

    @cached_property
    def batches(self) -> BatchPlan:
        """The rows that each update meets."""
        spec = self.spec
        train = self.split.train
        training = spec.training
        shapes = check_fit(spec.network, train, spec.loss.members)
        full = spec.optimizer.full_batch or training.batch_size == "full"
        rows = BATCH_SIZE if training.batch_size in (None, "full") else int(training.batch_size)
        batch_size = -(-len(train) // training.accumulate) if full else min(rows, len(train))
        _check_batches(spec.network, len(train), batch_size)
        _check_devices(training.devices or 1, batch_size, len(train))
        step_rows = batch_size * training.accumulate
        # The outputs of every layer and their deltas, in 32 bits, and the numbers of the rows.
        outputs = sum(math.prod(shape) for shape in shapes)
        fix = "take a smaller batch (training.batch_size, with training.accumulate), or narrower layers"
        check_memory("training", 8 * outputs * batch_size + 8 * step_rows, fix)
        return BatchPlan(train, self.split.order, EpochIndex(training.seed, 0, training.epochs, step_rows), step_rows)

    @cached_property
    def early_stopping(self) -> EarlyStopping:
        """What decides after each epoch; its optimizer has every duration in steps."""
        names = measures_of(self.split.train.task, self.spec.training.metrics or ())
        held_out = [f"validation_{name}" for name in names] if self.split.validation else []
        measures = [*held_out, *names, "objective", *(f"training_{name}" for name in names)]
        batches = self.batches
        optimizer = in_steps(self.spec.optimizer, batches.per_epoch, batches.steps, batches.step_rows)
        return EarlyStopping(self.spec.stopping, optimizer, measures)

    @cached_property
    def plan(self) -> Plan:
        """What decides each step, with rates that follow a measure at their first value."""
        spec = self.spec
        training = spec.training
        early_stopping = self.early_stopping
        return Plan(
            network=spec.network,
            loss=spec.loss,
            optimizer=early_stopping.frozen(early_stopping.start()),
            metric=self.metric(self.split.train),
            regularization=spec.regularization,
            clip=training.clip,
            average=training.average,
            accumulate=training.accumulate,
        )

    def metric(self, rows: RowSource) -> TaskMetric:
        """What is summed up over batches of those rows. Raises InputError where a metric does not suit the task."""
        spec = self.spec
        others = spec.training.metrics or ()
        return metric_for(spec.network, spec.loss, rows, self.split.preprocessing, others)

    @cached_property
    def start(self) -> State:
        """The state before the first step, as NumPy arrays in float64."""
        return self.plan.start(self.spec.training.seed, self.split.train.features)

    @property
    def start_checkpoint(self) -> Checkpoint:
        """The checkpoint that a training from the start begins with, in the precision of the engine."""
        state = self.engine.fetch(self.engine.place(self.start))
        return Checkpoint(state, early_stopping=self.early_stopping.start())

    @property
    def without_decisions(self) -> Session:
        """The same training with nothing decided between epochs: no stop, no validation, rates at their first value."""
        if not (self.spec.stopping != Stopping() or self.split.validation or metric_schedules(self.spec.optimizer)):
            return self
        spec = dataclasses.replace(self.spec, optimizer=self.plan.optimizer, stopping=Stopping())
        return Session(spec, dataclasses.replace(self.split, validation=None))

    def check(self) -> None:
        """Raise InputError for whatever in the spec does not suit its rows. It imports no engine."""
        _ = self.early_stopping, self.metric(self.split.train)
        if not tunes(self.spec.loss):
            return
        if self.split.validation is None:
            found = "there are none; set data.validation"
        elif self.split.train.outputs > 2:
            found = "there are more than two classes"
        else:
            return
        raise InputError("threshold", f'"tuned" needs validation rows and a single output; {found}')

    def evaluate(self, state: State, rows: RowSource) -> dict[str, float]:
        """The loss and the metrics over prepared rows, for a state of NumPy arrays."""
        spec = self.spec
        others = spec.training.metrics or ()
        return evaluate(spec.network, spec.loss, state, rows, self.engine, self.split.preprocessing, others)

    def score_parts(self, state: State, rows: Dataset) -> np.ndarray:
        """The part of each row (n,) in the score of the task, for a state of NumPy arrays."""
        return score_parts(self.spec.network, self.spec.loss, state, rows, self.engine)

    def predict(self, state: State, x: np.ndarray) -> np.ndarray:
        """The outputs (n, K) for prepared rows x (n, features), for a state of NumPy arrays."""
        return predict_batches(self.spec.network, self.spec.loss, state, x, self.engine)


def check_fit(network: Network, data: RowSource | Preprocessing, members: int = 1) -> tuple[tuple[int, ...], ...]:
    """The shape of a sample after each layer.

    Raises InputError unless the network takes the data's samples and has an output for each of its targets; of an
    ensemble of that many `members`, each has them. Numbers of categories go to an embedding layer.
    """
    taken = _code_columns(network, data.features)
    if others := [place for place, _ in data.codes if place not in taken]:
        fix = "remove data.codes_above, or begin the network with a layer embedding or one_hot of this column"
        raise InputError("network", f"input {others[0]} (from 0) is the number of a category, not a quantity; {fix}")
    shapes = network.layout((data.features,)).shapes
    shape = shapes[-1]
    width, rest = divmod(shape[-1], members)
    needed = data.outputs
    if data.task == "classification":
        # A single class is a choice between it and any other.
        fits = width == max(needed, 2) or (width == 1 and needed <= 2)
        what = f"the data has {needed} classes"
    else:
        fits = width == needed
        what = f"the data has {needed} target {'column' if needed == 1 else 'columns'}"
    if len(shape) != 1 or rest or not fits:
        fix = (
            f"'dense {needed}'"
            if members == 1
            else f"'member_dense {needed} {members}', as the loss has {members} members"
        )
        raise InputError("network", f"ends with {shape[-1]} outputs, and {what}; make its last dense layer {fix}")
    return shapes


def _code_columns(network: Network, features: int) -> set[int]:
    """The inputs that the first layers take as numbers of categories."""
    taken: set[int] = set()
    places = list(range(features))
    for layer in network.layers:
        if not layer.code_columns:
            break
        # What they make of codes comes after the other inputs.
        taken |= {places[column] for column in layer.code_columns if column < len(places)}
        places = [place for column, place in enumerate(places) if column not in layer.code_columns]
    return taken


def _check_devices(devices: int, batch_size: int, samples: int) -> None:
    """Raise InputError where the devices cannot have equal parts of a batch."""
    if batch_size % devices:
        less = batch_size - batch_size % devices
        sizes = " or ".join(str(size) for size in (less, less + devices) if 0 < size <= samples)
        fix = f"take training.batch_size = {sizes}, or another number of devices" if sizes else "take fewer devices"
        raise InputError(
            "training.devices",
            f"expected a number that divides the {batch_size} rows of a batch, received {devices}; {fix}",
        )


def _check_batches(network: Network, samples: int, batch_size: int) -> None:
    """Raise InputError where a batch would hold fewer rows than a layer needs in training."""
    least = max(layer.least_batch for layer in network.layers)
    last = samples % batch_size or batch_size
    if last < least:
        found = f"{batch_size} leaves {last} of {samples} training rows for the last batch of an epoch, and batch"
        sizes = range(max(least, batch_size), samples + 1)
        fits = next((size for size in sizes if samples % size == 0 or samples % size >= least), None)
        fix = f"take {fits}" if fits else f"at least {least} training rows are needed"
        raise InputError("training.batch_size", f"{found} normalisation needs at least {least}; {fix}")
