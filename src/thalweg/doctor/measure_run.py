"""Fill `Measurements` from a Thalweg spec, its rows and, after a training, its record."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Literal

import numpy as np

from ..core.arrays import LayerState, Params, arrays_of, rms
from ..core.errors import InputError
from ..core.noise import generator
from ..data import Split
from ..engine.step import Trace
from ..models.network import Network
from ..parts.layers import Activation, Identity
from ..parts.layers.stack import Start
from ..parts.optimizers import SGD, Momentum
from ..parts.part import Layer, Schedule, normalized_weights
from ..parts.schedules import MetricSchedule, in_steps
from ..probes import quantities as q
from ..probes.layer_step import saturation, slope
from ..spec.spec import CompleteSpec
from . import short_trials
from .attainable import (
    constant_loss,
)
from .interventions.spec_remedies import SpecRemedies, widened
from .measurements import (
    IdenticalUnits,
    LayerFacts,
    Measurements,
    Memorization,
    Widening,
    WrongGradient,
)
from .memories import Memory, memories
from .normal import normal, usual
from .rows.measure_rows import MeasuredRows, TrainingRecord
from .short_trials import Beginning
from .step_statistics import StepStatistics

# At most this many rows are examined; a single step takes fewer, a score more.
_ROWS = 2000
_SCORED_ROWS = 20_000
_STEP_ROWS = 256
# Many steps or products would take too long with more parameters.
_MOST_PARAMETERS = 100_000
# Copies of columns are not looked for among more columns.
_MOST_COLUMNS = 500
_STANDARDIZED_STARTS = 5
# Rates of a schedule are read at this number of steps, up to this multiple of the training.
_LATER = 100
_RATE_STEPS = 10_001
# The mean of a column with a smaller part of the overall deviation is shifted by a single row.
_STILL = 0.01
_FEW_VALIDATION_ROWS = 30
# Drawn weights deviate from their initializer by no more than this many standard errors.
_ERRORS = 2
_NAN = float("nan")


def measurements_of(
    spec: CompleteSpec, split: Split, per_epoch: int, record: TrainingRecord | None = None
) -> Measurements:
    """The measurements of a training; all of them are computed on first use.

    Args:
        spec: the completed spec.
        split: its rows. Of rows that stream from the disk the first 100,000 are examined.
        per_epoch: number of updates in an epoch.
        record: what the training has left; None before it.
    """
    source = _Source(spec, split, per_epoch, record)
    names = [name for name in dir(_Source) if not name.startswith("_") and hasattr(Measurements, name)]
    return Measurements(**{name: partial(getattr, source, name) for name in names})


class _Source(MeasuredRows):
    """Computes the facts of `Measurements` that its public attributes name."""

    # Network and settings ---------------------------------------------------------------------------------------------

    @property
    def _network(self) -> Network:
        return self._spec.network

    @cached_property
    def _weighted(self) -> list[int]:
        """Indices of the layers with weights."""
        return [index for index, layer in enumerate(self._network.layers) if layer.has_weights]

    @cached_property
    def layers(self) -> tuple[LayerFacts, ...]:
        weighted = self._weighted
        layers = self._network.layers
        return tuple(
            _layer_facts(
                layer,
                place_of(index, layer),
                hidden=is_activation(layer) and bool(weighted) and index < weighted[-1],
                above_weights=bool(weighted) and weighted[0] < index,
            )
            for index, layer in enumerate(layers)
        )

    @cached_property
    def output(self) -> LayerFacts:
        last = self._network.layers[-1]
        acts = isinstance(last, Activation) or last.sums_to_one
        return _layer_facts(last if acts else Identity(), self.layers[-1].place)

    @cached_property
    def outputs(self) -> int:
        return int(self._network.layout((self._train.features,)).shapes[-1][-1]) // self._spec.loss.members

    @property
    def loss(self) -> str:
        return self._spec.loss.kind

    @property
    def loss_takes(self) -> Literal["values", "probabilities", "logits", "scores"]:
        return self._spec.loss.takes

    @property
    def targets_out_of_range(self) -> float:
        low, high = self.output.output_range
        return float(np.mean((self._targets < low) | (self._targets > high)))

    @cached_property
    def constant_loss(self) -> float:
        targets = self._targets
        if self.task == "classification" and self.outputs == 1:
            targets = targets[:, 1:]
        return constant_loss(self.loss, targets, self.task)

    @property
    def batch_size(self) -> int | None:
        size = self._spec.training.batch_size
        return size if isinstance(size, int) else None

    @property
    def decays(self) -> bool:
        options = self._spec.regularization.describe().values()
        return any(isinstance(value, int | float) and value > 0 for value in options)

    @cached_property
    def remedies(self) -> SpecRemedies:
        hidden = frozenset(index for index, layer in enumerate(self.layers) if layer.hidden)
        rates = self.learning_rates[np.isfinite(self.learning_rates)]
        return SpecRemedies(
            spec=self._spec,
            task=self.task,
            outputs=self.outputs,
            hidden=hidden,
            learning_rate=float(rates.max()) if len(rates) else self.learning_rate,
        )

    # Start ------------------------------------------------------------------------------------------------------------

    @cached_property
    def _start(self) -> Start:
        return self._network.initialize(self._spec.training.seed, (self._train.features,))

    @cached_property
    def _beginning(self) -> Beginning:
        return Beginning(
            network=self._network,
            loss=self._spec.loss,
            start=self._start,
            train=self._train,
            x=self._x,
            y=self._y,
            targets=self._targets,
        )

    @cached_property
    def parameters(self) -> int:
        return sum(np.size(array) for _, array in arrays_of(self._start.params))

    @property
    def _is_large(self) -> bool:
        return self.parameters > _MOST_PARAMETERS

    def _weights(self, params: Params, index: int) -> np.ndarray:
        return np.asarray(self._network.layers[index].weight_matrix(params[index]), float)

    def _step(self, params: Params, layers: LayerState, x: np.ndarray) -> StepStatistics:
        rows = generator(1, "doctor").permutation(len(x))[:_STEP_ROWS]
        with np.errstate(all="ignore"):
            trace = self._beginning._replace(x=x).step(params, layers, rows)
            return self._statistics(trace)

    def _statistics(self, trace: Trace) -> StepStatistics:
        weights = normalized_weights(trace.batch.weight)
        inputs = (trace.batch.x, *trace.outputs[:-1])
        # The output activation has its own checks.
        acting = [index for index, layer in enumerate(self._network.layers[:-1]) if is_activation(layer)]
        slopes = [slope(self._network.layers[index], inputs[index], trace.outputs[index]) for index in acting]
        saturated = [
            saturation(self._network.layers[index], inputs[index], trace.outputs[index], weights) for index in acting
        ]
        last = trace.outputs[-1]
        squashed = self.output.output_range == (0.0, 1.0)
        arrays = (*trace.outputs, *trace.deltas, trace.loss)
        return StepStatistics(
            dense=tuple(self.layers[index].place for index in self._weighted),
            outputs=np.array([q.moments(trace.outputs[index], weights).rms for index in self._weighted]),
            deltas=np.array([q.moments(trace.deltas[index], weights).rms for index in self._weighted]),
            activations=tuple(self.layers[index].place for index in acting),
            hidden=tuple(self.layers[index].hidden for index in acting),
            units=tuple(int(np.shape(trace.outputs[index])[-1]) for index in acting),
            dead=np.array([q.dead(values, weights) for values in slopes if values is not None]),
            saturated=np.array([0.0 if share is None else float(share) for share in saturated]),
            spread=float(np.sqrt(np.mean(np.var(last, axis=0)))),
            level=rms(self._spec.loss.probabilities(last) if squashed else last),
            loss=float(trace.loss),
            differences=np.array([_difference(trace.outputs[index]) for index in self._weighted]),
            finite=all(bool(np.isfinite(array).all()) for array in arrays),
        )

    @cached_property
    def start(self) -> StepStatistics:
        return self._step(self._start.params, self._start.states, self._x)

    @property
    def standardized_starts(self) -> tuple[StepStatistics, ...]:
        deviation = self.column_deviations
        scaled = (self._x - self._x.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        starts = [self._network.initialize(seed, (self._train.features,)) for seed in range(_STANDARDIZED_STARTS)]
        return tuple(self._step(start.params, start.states, scaled) for start in starts)

    @property
    def gains(self) -> dict[str, float]:
        result = {}
        for index in self._weighted:
            W = self._weights(self._start.params, index)
            fan_in, fan_out = W.shape
            # The standard deviations of LeCun, He and Glorot.
            textbook = np.sqrt([1 / fan_in, 2 / fan_in, 2 / (fan_in + fan_out)])
            # The size of few drawn weights deviates by chance: its relative standard error is 1 / √(2 n).
            chance = _ERRORS / np.sqrt(2 * W.size)
            size = rms(W)
            within = np.clip(size, textbook.min() / (1 + chance), textbook.max() * (1 + chance))
            result[self.layers[index].place] = size / float(within)
        return result

    @property
    def identical_units(self) -> IdenticalUnits | None:
        for index, following in itertools.pairwise(self._weighted):
            W = self._weights(self._start.params, index)
            biases = [array for _, array in arrays_of(self._start.params[index]) if array.ndim == 1]
            onward = self._weights(self._start.params, following)
            if W.shape[1] > 1 and all(map(_same, (W.T, *biases, onward))):
                return IdenticalUnits(self.layers[index].place, W.shape[1])
        return None

    @property
    def wrong_gradient(self) -> WrongGradient | None:
        # Finite differences need the same function at each call.
        if any(layer.random for layer in self._network.layers):
            return None
        found = short_trials.wrong_gradient(self._beginning)
        return found and WrongGradient(self.layers[found[0]].place, found[1])

    @property
    def memorization(self) -> Memorization | None:
        return None if self._is_large or not self.start.finite else short_trials.memorization(self._beginning)

    @property
    def widening(self) -> Widening | None:
        hidden = {index: int(self._weights(self._start.params, index).shape[1]) for index in self._weighted[:-1]}
        # As narrow as no healthy network, or narrower than the classes need: they differ in one number less.
        needed = max(normal("alive_at_start").low, self.outputs - 1 if self.task == "classification" else 0)
        narrow = min(hidden, key=lambda index: hidden[index], default=-1)
        if narrow < 0 or hidden[narrow] >= needed or self._is_large or not self.start.finite:
            return None
        wide = max(*hidden.values(), round(usual("alive_at_start")))
        network = widened(self._network, frozenset(hidden), wide)
        try:
            start = network.initialize(self._spec.training.seed, (self._train.features,))
        except InputError:
            # Initial weights that are given as numbers fit no other width.
            return None
        beginnings = self._beginning, self._beginning._replace(network=network, start=start)
        trials = [short_trials.fitting(beginning) for beginning in beginnings]
        return Widening(
            place=self.layers[narrow].place,
            width=hidden[narrow],
            wide=wide,
            rows=trials[0].rows,
            steps=trials[0].steps,
            loss=trials[0].last,
            wide_loss=trials[1].last,
        )

    @property
    def sharpness(self) -> float:
        plain = isinstance(self._spec.optimizer, SGD | Momentum) and np.isfinite(self.momentum)
        if not plain or not self.start.finite or self._is_large:
            return _NAN
        return self.learning_rate * short_trials.largest_curvature(self._beginning) / (2 * (1 + self.momentum))

    # Training ---------------------------------------------------------------------------------------------------------

    @property
    def trained(self) -> bool:
        return self._record is not None

    @property
    def diverged(self) -> str:
        return self._record.diverged if self._record else ""

    def _history(self, name: str) -> np.ndarray:
        """A number of each epoch (epochs,); NaN where it was not computed."""
        history = self._record.history if self._record else ()
        return np.array([epoch.get(name, _NAN) for epoch in history], dtype=float)

    def _observed(self, name: str) -> np.ndarray:
        """What the probes recorded of a quantity; empty if they did not."""
        observations = self._record.observations if self._record else None
        if observations is None or not len(observations):
            return np.zeros(0)
        return {**observations.by_layer, **observations.whole}.get(name, np.zeros(0))

    @property
    def losses(self) -> np.ndarray:
        return self._history("loss")

    @property
    def validation_losses(self) -> np.ndarray:
        return self._history("validation_loss")

    @property
    def validation_scores(self) -> np.ndarray:
        return self._history("validation_r2" if self.task == "regression" else "validation_accuracy")

    @property
    def final_losses(self) -> dict[str, float]:
        measures = self._record.measures if self._record else {}
        return {name: scores["loss"] for name, scores in measures.items() if "loss" in scores}

    @property
    def penalties(self) -> np.ndarray:
        return np.nan_to_num(self._history("penalty"), nan=0.0)

    @property
    def penalty_at_start(self) -> float:
        trained = self._network.trained(self._start.params)
        return float(self._spec.regularization.penalty(trained, self.rows / self.updates_per_epoch))

    @property
    def learning_rates(self) -> np.ndarray:
        return self._observed("learning_rate")

    @cached_property
    def learning_rate(self) -> float:
        described = self._spec.optimizer.describe().get("learning_rate", _NAN)
        if isinstance(described, int | float):
            return float(described)
        return float(self.learning_rates[0]) if len(self.learning_rates) else _NAN

    @property
    def scheduled_peak(self) -> float:
        schedule = self._spec.optimizer.learning_rate
        if not isinstance(schedule, Schedule) or isinstance(schedule, MetricSchedule):
            return _NAN
        steps = self._per_epoch * self._spec.training.epochs
        batch = -(-self.rows // self._per_epoch)
        later = np.linspace(0, _LATER * steps, _RATE_STEPS).round()
        with np.errstate(over="ignore"):
            rates = np.broadcast_to(np.asarray(in_steps(schedule, self._per_epoch, steps, batch)(later)), later.shape)
        peak = float(rates.max())
        return peak if peak == rates[: _RATE_STEPS // 2].max() else _NAN

    @property
    def momentum(self) -> float:
        momentum = getattr(self._spec.optimizer, "momentum", 0.0)
        return float(momentum) if isinstance(momentum, int | float) else _NAN

    @property
    def memories(self) -> tuple[Memory, ...]:
        steps = self._per_epoch * self._spec.training.epochs
        batch = -(-self.rows // self._per_epoch)
        return memories(in_steps(self._spec.optimizer, self._per_epoch, steps, batch), steps)

    @property
    def update_ratios(self) -> np.ndarray:
        return self._observed("update_ratio")

    @property
    def step_lengths(self) -> np.ndarray:
        return self._observed("step_length")

    @property
    def signal_to_noise(self) -> np.ndarray:
        observations = self._record.observations if self._record else None
        return observations.whole.get("signal_to_noise", np.zeros(0)) if observations is not None else np.zeros(0)

    def _weight_pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The weights of each layer before and after a training that stayed finite."""
        if self._record is None or self._record.diverged:
            return []
        return [
            (self._weights(self._start.params, index), self._weights(self._record.params, index))
            for index in self._weighted
        ]

    @property
    def moved(self) -> float:
        pairs = [(before, after) for before, after in self._weight_pairs() if before.any()]
        return max((rms(after - before) / rms(before) for before, after in pairs), default=_NAN)

    @property
    def weights_left(self) -> float:
        largest = [(float(np.abs(before).max()), float(np.abs(after).max())) for before, after in self._weight_pairs()]
        return min((after / before for before, after in largest if before), default=1.0)

    @cached_property
    def end(self) -> StepStatistics | None:
        return None if self._record is None else self._step(self._record.params, self._record.layers, self._x)


def is_activation(layer: Layer) -> bool:
    """Whether a layer is an elementwise activation other than the identity."""
    return isinstance(layer, Activation) and not layer.is_identity


def place_of(index: int, layer: Layer) -> str:
    """The name of a layer for the reader.

    >>> from thalweg.parts.layers import Dense
    >>> place_of(0, Dense(8))
    'layer 1 (dense 8)'
    """
    width = layer.describe().get("width", "") if layer.has_weights else ""
    return f"layer {index + 1} ({layer.kind} {width}".rstrip() + ")"


def probed_layers(layers: Sequence[Layer]) -> tuple[LayerFacts | None, ...]:
    """The facts of the layers in the order of the probes; None for a layer inside of a block.

    >>> from thalweg.parts.layers import ReLU, Residual
    >>> [facts and facts.place for facts in probed_layers([Residual([ReLU()]), ReLU()])]
    ['layer 1 (residual)', None, 'layer 2 (relu)']
    """
    result: list[LayerFacts | None] = []
    for index, layer in enumerate(layers):
        result += [_layer_facts(layer, place_of(index, layer)), *([None] * len(probed_layers(layer.inner)))]
    return tuple(result)


def _layer_facts(layer: Layer, place: str, hidden: bool = False, above_weights: bool = False) -> LayerFacts:
    return LayerFacts(
        place=place,
        kind=layer.kind,
        output_range=layer.output_range,
        steepest_slope=layer.steepest_slope,
        saturates=layer.saturates,
        sums_to_one=layer.sums_to_one,
        can_die=layer.can_die,
        hidden=hidden,
        above_weights=above_weights,
        drop_rate=layer.drop_rate,
        weighted=layer.has_weights,
        is_linear=layer.is_linear,
    )


def _difference(outputs: np.ndarray) -> float:
    """Standard deviation between rows, over all units, divided by the root mean square."""
    return float(np.sqrt(np.mean(np.var(outputs, axis=0)))) / max(rms(outputs), 1e-300)


def _same(rows: np.ndarray) -> bool:
    return bool(np.all(rows == rows[:1]))
