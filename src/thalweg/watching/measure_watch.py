"""Fill the doctor's `Measurements` from a watched training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import numpy as np

from ..data import Task
from ..doctor.attainable import UncertainScore, constant_loss, measure_of, standard_error
from ..doctor.findings import Learned, Severity
from ..doctor.measurements import LEARNED, IdenticalUnits, LayerFacts, Measurements
from ..doctor.rows.row_facts import ColumnShift
from ..doctor.rows.row_statistics import TargetOrder
from ..doctor.step_statistics import StepStatistics
from ..parts.part import Layer
from .facts import Look, PlaceStatistics, SetScores, WatchedEpoch, WatchedModel, WatchedTraining
from .remedies import TorchRemedies

_WEIGHTED = ("dense", "conv", "recurrent", "attention", "embedding")
_NONLINEAR = ("recurrent", "attention", "softmax", "other")
# Autograd's operations that keep a map linear, or only move its numbers.
_LINEAR = frozenset(
    {
        "view",
        "unsafeview",
        "reshape",
        "reshapealias",
        "clone",
        "contiguous",
        "alias",
        "t",
        "transpose",
        "permute",
        "select",
        "slice",
        "squeeze",
        "unsqueeze",
        "expand",
        "add",
        "sub",
        "neg",
        "mean",
        "sum",
        "cat",
        "stack",
        "split",
        "unbind",
        "index",
        "toco",
        "copy",
        "tocopy",
        "mm",
        "addmm",
        "bmm",
        "narrow",
        "flatten",
    }
)
_LOSSES = {
    "MSELoss": "mean_squared_error",
    "mse_loss": "mean_squared_error",
    "L1Loss": "mean_absolute_error",
    "l1_loss": "mean_absolute_error",
    "HuberLoss": "huber",
    "huber_loss": "huber",
    "SmoothL1Loss": "huber",
    "smooth_l1_loss": "huber",
}
# Steps of these optimizers follow from the gradient itself, so that a curvature says which rate is stable.
# Modules of PyTorch that only pass numbers on.
_PASSING = ("Identity", "Flatten", "Unflatten")
_PLAIN = ("SGD",)
_RATE_POINTS = 200
_LAST_STEPS = 10
_NAN = float("nan")


class WatchMeasurements(Measurements):
    """The measurements of a watched training: those of every training, and the facts that only a loop of the user's own
    has. Checks of such facts stand in `watching/checks/`, are registered by `watching.registry.watch_check`, and read
    `watched`.

    Args:
        watched: all that the watch has seen.
        sources: facts and quantities, as for `Measurements`.
    """

    def __init__(self, watched: WatchedTraining, **sources: object) -> None:
        super().__init__(**sources)
        self.watched = watched

    @property
    def model(self) -> WatchedModel:
        """Model, loss and optimizer when the watch attached."""
        return self.watched.model

    @property
    def enough(self) -> float:
        """Half of the gap: what is attainable is known from few rows, and no line was fitted on all of them."""
        return 1 / 2

    @property
    def only_line(self) -> bool:
        return False

    @property
    def below_line(self) -> bool:
        return False

    @property
    def falls_short(self) -> bool:
        return False

    @property
    def line_falls_short(self) -> bool:
        """Whether more is attainable than this network reached; asked of networks that are a line."""
        return self.learned is not None and not self.learns

    def proven(self) -> Severity:
        """The severity of a step that does not do what the loss asks for: severe, unless the network came most of the
        way to a perfect score all the same."""
        learned = self.learned
        if learned is None or not learned.constant < 1:
            return "severe"
        return "note" if (learned.score - learned.constant) / (1 - learned.constant) >= LEARNED else "severe"

    @property
    def latest(self) -> WatchedEpoch | None:
        """The latest epoch of which the training rows were scored."""
        return latest(self.watched)

    @property
    def validation(self) -> SetScores | None:
        """The latest scores on validation rows."""
        return latest_validation(self.watched)


def latest(watched: WatchedTraining) -> WatchedEpoch | None:
    """The latest epoch of which the training rows were scored; None if there is none."""
    epochs = (*watched.epochs, *([watched.final] if watched.final else []))
    return next((epoch for epoch in reversed(epochs) if epoch.training is not None), None)


def latest_validation(watched: WatchedTraining) -> SetScores | None:
    """The latest scores on validation rows; None if there are none."""
    return next((epoch.validation for epoch in reversed(watched.epochs) if epoch.validation is not None), None)


def measurements_of_watch(training: WatchedTraining) -> WatchMeasurements:
    """The measurements of a watched training; all of them are computed on first use."""
    source = _Source(training)
    names = [name for name in vars(_Source) if not name.startswith("_") and hasattr(Measurements, name)]
    return WatchMeasurements(training, **{name: partial(getattr, source, name) for name in names})


@dataclass(frozen=True, eq=False)
class _Source:
    """Computes the facts of `Measurements` that its public attributes name."""

    _watched: WatchedTraining

    # Task and rows ----------------------------------------------------------------------------------------------------

    @property
    def _model(self) -> WatchedModel:
        return self._watched.model

    @property
    def _looks(self) -> tuple[Look, ...]:
        return self._watched.looks

    @cached_property
    def _last(self) -> WatchedEpoch | None:
        return latest(self._watched)

    @property
    def _training(self) -> SetScores | None:
        return self._last.training if self._last else None

    @property
    def _validation(self) -> SetScores | None:
        return latest_validation(self._watched)

    @cached_property
    def task(self) -> Task:
        if self._model.loss.task:
            return self._model.loss.task
        inputs = [look.loss_input for look in self._looks if look.loss_input]
        if inputs and inputs[0].target_type.startswith("int"):
            return "classification"
        # Yes and no, for a loss of the user's own.
        return "multilabel" if set(self._targets) == {0.0, 1.0} else "regression"

    @cached_property
    def remedies(self) -> TorchRemedies:
        rates = self.learning_rates
        return TorchRemedies(self.task, self._model.optimizer, float(rates.max()) if len(rates) else _NAN)

    @cached_property
    def _batch_rows(self) -> float:
        return float(np.median([look.batch.shape[0] for look in self._looks if look.batch and look.batch.shape] or [0]))

    @cached_property
    def updates_per_epoch(self) -> int:
        steps = [epoch.steps for epoch in self._watched.epochs if epoch.steps]
        return max(int(np.median(steps)) if steps else self._watched.steps, 1)

    @cached_property
    def rows(self) -> int:
        return int(self._batch_rows * self.updates_per_epoch)

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(f"input {column}" for column in range(len(self.column_sizes)))

    @cached_property
    def _columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and deviations of the input columns; inputs that are no table have one column."""
        batches = [look.batch for look in self._looks if look.batch and look.batch.type.startswith(("float", "bfloat"))]
        # One row has no deviation, a few have too small a one.
        means = [batch.column_means or (batch.mean,) for batch in batches]
        deviations = [batch.column_deviations or (batch.deviation,) for batch in batches]
        widths = [len(mean) for mean in means]
        if not widths or len(set(widths)) > 1:
            return np.zeros(0), np.zeros(0)
        mean = np.nanmean(np.array(means, float), axis=0)
        inside = np.nanmean(np.nan_to_num(np.array(deviations, float)) ** 2, axis=0)
        return mean, np.sqrt(inside + np.nanvar(np.array(means, float), axis=0))

    @cached_property
    def column_deviations(self) -> np.ndarray:
        return self._columns[1]

    @cached_property
    def column_sizes(self) -> np.ndarray:
        mean, deviation = self._columns
        return np.sqrt(mean**2 + deviation**2)

    @cached_property
    def _targets(self) -> np.ndarray:
        """The targets of the looks, one number a row (rows,)."""
        return np.array([value for look in self._looks if look.batch for value in look.batch.targets], float)

    @cached_property
    def target_deviation(self) -> float:
        known = [look.loss_input for look in self._looks if look.loss_input is not None]
        if self.task != "regression" or not known:
            return _NAN
        means = np.array([given.target_mean for given in known])
        inside = np.mean([given.target_deviation**2 for given in known])
        return float(np.sqrt(inside + np.var(means)))

    @cached_property
    def target_size(self) -> float:
        known = [look.loss_input for look in self._looks if look.loss_input is not None]
        if self.task != "regression" or not known:
            return _NAN
        return float(np.sqrt(np.mean([given.target_mean**2 + given.target_deviation**2 for given in known])))

    @cached_property
    def targets_out_of_range(self) -> float:
        low, high = self.output.output_range
        targets = self._targets
        return float(np.mean((targets < low) | (targets > high))) if len(targets) else _NAN

    @cached_property
    def _classes(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for look in self._looks:
            for name, count in (look.batch.classes if look.batch else {}).items():
                counts[name] = counts.get(name, 0) + count
        return counts

    @cached_property
    def majority(self) -> float:
        counts = self._classes.values()
        return max(counts) / sum(counts) if counts and self.task != "regression" else _NAN

    @cached_property
    def target_order(self) -> TargetOrder | None:
        """From the rows of the looks, each in the order of its batch."""
        batches = [np.array(look.batch.targets, float) for look in self._looks if look.batch]
        batches = [batch for batch in batches if len(batch) > 1 and np.isfinite(batch).all()]
        if len(batches) < 2:
            return None
        if self.task == "classification":
            return _order_of_classes(batches)
        total = np.concatenate(batches)
        deviations = [batch - total.mean() for batch in batches]
        variance = np.mean((total - total.mean()) ** 2)
        if not variance > 0:
            return None
        neighbours = np.concatenate([deviation[1:] * deviation[:-1] for deviation in deviations])
        between = sum(len(d) * d.mean() ** 2 for d in deviations) / (len(total) * variance)
        return TargetOrder(float(neighbours.mean() / variance), float(between), len(total), len(batches))

    @cached_property
    def validation_rows(self) -> int:
        return self._validation.rows if self._validation else 0

    @cached_property
    def validation_shift(self) -> ColumnShift | None:
        here, there = self._training, self._validation
        if here is None or there is None:
            return None
        mean, deviation = self._columns
        other = np.array(there.column_means or (there.input_mean,))
        shifts = {}
        if len(other) == len(mean) and (deviation > 0).any():
            shift = np.abs(other - mean) / np.where(deviation > 0.01 * deviation.max(), deviation, np.inf)
            shifts[self.column_names[int(shift.argmax())]] = float(shift.max())
        if self.task == "regression" and here.target_deviation > 0:
            shifts["the target"] = abs(there.target_mean - here.target_mean) / here.target_deviation
        name = max(shifts, key=lambda name: shifts[name], default="")
        return ColumnShift(name, shifts[name]) if name else None

    @cached_property
    def missing_classes(self) -> int:
        seen = {name for name, count in self._classes.items() if count}
        seen |= set(self._training.classes) if self._training else set()
        if not seen or self.task == "regression" or self._validation is None:
            return 0
        # The looks see a part of the rows: a class is missing if as many rows would show it.
        known = sum(self._classes.values())
        rows = self._validation.rows
        return sum(name not in seen and count / rows * known > 10 for name, count in self._validation.classes.items())

    @cached_property
    def constant_loss(self) -> float:
        """From the targets of all looks, where each row has a single one."""
        loss, targets = self._model.loss, self._targets
        if not len(targets) or not np.isfinite(targets).all() or loss.reduction != "mean":
            return _NAN
        if self.task == "classification":
            shares = np.unique(targets, return_counts=True)[1] / len(targets)
            return float(-np.sum(shares * np.log(shares))) if loss.takes in ("logits", "log_probabilities") else _NAN
        if self.task == "multilabel":
            return constant_loss("binary_cross_entropy", targets[:, None], self.task)
        kinds = {"huber": "", "mean_squared_error": "mean_squared_error", "mean_absolute_error": "mean_absolute_error"}
        kind = kinds.get(self.loss, "")
        several = any(
            look.loss_input and len(look.loss_input.target_shape) > 1 and look.loss_input.target_shape[1] > 1
            for look in self._looks
        )
        if several:
            return self.target_deviation**2 if kind == "mean_squared_error" else _NAN
        return constant_loss(kind, targets[:, None], self.task) if kind else _NAN

    # Network ----------------------------------------------------------------------------------------------------------

    @cached_property
    def _places(self) -> tuple[PlaceStatistics, ...]:
        return self._looks[0].places if self._looks else ()

    @cached_property
    def layers(self) -> tuple[LayerFacts, ...]:
        places = self._places
        weighted = [index for index, place in enumerate(places) if place.role in _WEIGHTED]
        rates = {module.name: module.drop_rate for module in self._model.modules}
        kinds = {module.name: module.kind for module in self._model.modules}
        layers = [
            _layer_facts(
                place,
                kinds.get(place.module, "") in _PASSING,
                rates.get(place.module, 0.0),
                hidden=place.role == "activation" and bool(weighted) and index < weighted[-1],
                above_weights=bool(weighted) and weighted[0] < index,
            )
            for index, place in enumerate(places)
        ]
        known = {layer.place for layer in layers}
        unseen = [module for module in self._model.modules if module.drop_rate and module.name not in known]
        return (*layers, *(LayerFacts(m.name, "dropout", (-np.inf, np.inf), drop_rate=m.drop_rate) for m in unseen))

    @cached_property
    def output(self) -> LayerFacts:
        given = next((look.loss_input for look in self._looks if look.loss_input), None)
        kind = given.activation if given is not None else ""
        return _activation_facts(kind or "identity", (given.activation_place if given else "") or "output")

    @cached_property
    def outputs(self) -> int:
        given = next((look.loss_input for look in self._looks if look.loss_input), None)
        return given.output_shape[1] if given is not None and len(given.output_shape) > 1 else 1

    @cached_property
    def loss(self) -> str:
        return _LOSSES.get(self._model.loss.kind, self._model.loss.kind)

    @cached_property
    def decays(self) -> bool:
        return any(group.weight_decay > 0 for group in self._model.groups)

    @cached_property
    def parameters(self) -> int:
        return sum(int(np.prod(parameter.shape)) for parameter in self._model.parameters)

    # Start ------------------------------------------------------------------------------------------------------------

    @cached_property
    def start(self) -> StepStatistics:
        return _step(self._looks[0]) if self._looks else StepStatistics()

    @cached_property
    def gains(self) -> dict[str, float]:
        """Of the layers that the forward pass uses, in its order."""
        gains = {p.name.rpartition(".")[0]: p.gain for p in self._model.parameters if np.isfinite(p.gain)}
        return {place.module: gains[place.module] for place in self._places if place.module in gains}

    @cached_property
    def identical_units(self) -> IdenticalUnits | None:
        """A layer with equal units, below another one with equal units, which gives them equal gradients."""
        equal = {p.name.rpartition(".")[0]: p for p in self._model.parameters if len(p.shape) > 1}
        order = [place.module for place in self._places if place.role in _WEIGHTED and place.module in equal]
        for lower, upper in pairwise(order):
            if equal[lower].identical_units and (equal[upper].identical_units or equal[upper].rms == 0):
                return IdenticalUnits(lower, equal[lower].shape[0])
        return None

    @cached_property
    def sharpness(self) -> float:
        curvature = self._looks[0].curvature if self._looks else _NAN
        if self._model.optimizer not in _PLAIN or not np.isfinite(curvature):
            return _NAN
        return float(self.learning_rates[0]) * abs(curvature) / (2 * (1 + self.momentum))

    @cached_property
    def momentum(self) -> float:
        return self._model.groups[0].momentum if self._model.groups and self._model.optimizer in _PLAIN else 0.0

    # Training ---------------------------------------------------------------------------------------------------------

    @property
    def trained(self) -> bool:
        return self._watched.steps > 0

    @cached_property
    def learned(self) -> Learned | None:
        """On the latest rows of the training, in the mode in which the network is better: a network that is bad in
        evaluation mode alone has learned."""
        if self._last is None or self._training is None:
            return None
        known = [scores for scores in (self._training, self._last.training_as_trained) if scores]
        best = max(known, key=lambda scores: np.nan_to_num(scores.balanced_score, nan=-np.inf))
        constant = best.constant_score if np.isfinite(best.constant_score) else 0.0
        attainable, line = self._attainable(constant)
        return Learned(
            measure=measure_of(self.task),
            score=_NAN if self.diverged else best.balanced_score,
            constant=constant,
            attainable=attainable,
            line=line,
        )

    def _attainable(self, constant: float) -> tuple[float, float]:
        """What a reference learner reaches, if it finds anything in a table; otherwise a perfect score, which nobody
        knows to be out of reach. A line counts for networks with hidden layers."""
        reference = self._watched.reference
        # Of tokens, series and pictures a forest learns less than a network made for them.
        is_table = any(look.batch and look.batch.column_means for look in self._looks)
        if reference is None or not np.isfinite(reference.training) or not is_table:
            return 1.0, _NAN
        found = reference.training - reference.training_constant > max(0.05, 2 * reference.training_error)
        deep = sum(layer.weighted for layer in self.layers) > 1
        return (max(reference.training, constant) if found else 1.0), (reference.training_line if deep else _NAN)

    @cached_property
    def diverged(self) -> str:
        first = self._watched.nonfinite
        losses = np.array(self._watched.losses, float)
        # A scaler of the loss skips the steps whose gradients overflow.
        if len(losses) and np.isfinite(losses[-1]) and self._looks and np.isfinite(self._looks[-1].weights):
            return ""
        if first is not None:
            return f"NaN or infinity first at {first.place or 'the model'}, in step {first.step}"
        return (
            "" if not len(losses) or np.isfinite(losses[-1]) or np.isnan(losses).all() else "a loss that is not finite"
        )

    @cached_property
    def losses(self) -> np.ndarray:
        if self._watched.epochs:
            return np.array([epoch.loss for epoch in self._watched.epochs], float)
        return np.array(self._watched.losses, float)

    @cached_property
    def validation_losses(self) -> np.ndarray:
        return np.array([e.validation.loss if e.validation else _NAN for e in self._watched.epochs], float)

    @cached_property
    def validation_scores(self) -> np.ndarray:
        return np.array([e.validation.score if e.validation else _NAN for e in self._watched.epochs], float)

    @cached_property
    def final_losses(self) -> dict[str, float]:
        sets = {"training": self._training, "validation": self._validation}
        return {name: scores.loss for name, scores in sets.items() if scores is not None}

    @cached_property
    def held_out_scores(self) -> dict[str, UncertainScore]:
        if self._validation is None:
            return {}
        score = self._validation.balanced_score
        error = standard_error(score, self._validation.rows, measure_of(self.task))
        return {"validation": UncertainScore(score, error)}

    @cached_property
    def reference(self) -> UncertainScore | None:
        known = self._watched.reference
        return UncertainScore(known.training, known.training_error) if known and np.isfinite(known.training) else None

    @cached_property
    def _penalty(self) -> np.ndarray:
        """λ/2 Σ w² in each look; a decay that is no penalty of the loss pulls by itself, whatever its size is."""
        if self._model.decoupled_decay:
            return np.zeros(len(self._looks))
        decay = max((group.weight_decay for group in self._model.groups), default=0.0)
        return np.array([decay / 2 * look.weights**2 for look in self._looks], float)

    @property
    def updates(self) -> float:
        """Not compared: programs of any size are watched, and few updates are often enough."""
        return _NAN

    @cached_property
    def penalties(self) -> np.ndarray:
        """At the look before the end of each epoch."""
        steps = [look.step for look in self._looks]
        ends = np.searchsorted(steps, [epoch.step for epoch in self._watched.epochs]) - 1
        if not len(steps) or not len(ends):
            return np.zeros(0)
        penalties = self._penalty[np.maximum(ends, 0)]
        added = self._added_to_loss(self._last) if self._last else 0.0
        penalties[-1] = max(penalties[-1], added)
        return penalties

    def _added_to_loss(self, epoch: WatchedEpoch) -> float:
        """What the loop adds to the loss function: the loss of the last steps of an epoch minus that of its rows."""
        scores = epoch.training_as_trained
        losses = np.array(self._watched.losses[max(epoch.step - _LAST_STEPS, 0) : epoch.step], float)
        several = any(look.backwards > 1 for look in self._looks)
        if scores is None or several or not np.isfinite(losses).all() or not np.isfinite(scores.loss):
            return 0.0
        added = float(losses.mean()) - scores.loss if len(losses) else 0.0
        # A loss that falls leaves a difference too, but none that outweighs the loss itself at the end.
        return added if added > max(scores.loss, self.constant_loss) else 0.0

    @cached_property
    def penalty_at_start(self) -> float:
        return float(self._penalty[0]) if len(self._penalty) else 0.0

    @cached_property
    def learning_rates(self) -> np.ndarray:
        """The largest rate of the groups, at steps that are spread over the training."""
        changes = self._watched.rates
        if not changes:
            return np.zeros(0)
        steps = np.linspace(0, max(self._watched.steps - 1, 0), min(_RATE_POINTS, max(self._watched.steps, 1)))
        index = np.searchsorted([step for step, _ in changes], steps, side="right") - 1
        rates = np.array([max(rates, default=_NAN) for _, rates in changes])
        return rates[np.maximum(index, 0)]

    @cached_property
    def update_ratios(self) -> np.ndarray:
        ratios = [
            [p.update / p.rms if p.rms > 0 else _NAN for p in look.parameters if p.name in self._matrices]
            for look in self._looks
        ]
        widths = {len(row) for row in ratios}
        return np.array(ratios, float) if len(widths) == 1 else np.zeros(0)

    @cached_property
    def _matrices(self) -> frozenset[str]:
        return frozenset(p.name for p in self._model.parameters if len(p.shape) > 1 and p.trainable)

    @cached_property
    def step_lengths(self) -> np.ndarray:
        return np.array([look.step_length for look in self._looks], float)

    @cached_property
    def signal_to_noise(self) -> np.ndarray:
        return np.array([look.signal_to_noise for look in self._looks], float)

    @cached_property
    def moved(self) -> float:
        if not self._looks:
            return _NAN
        first = {p.name: p.rms for p in self._looks[0].parameters}
        ends = self._looks[-1].parameters
        moved = [p.distance / first[p.name] for p in ends if p.name in self._matrices and first.get(p.name, 0) > 0]
        known = [value for value in moved if np.isfinite(value)]
        return max(known, default=_NAN)

    @cached_property
    def weights_left(self) -> float:
        if not self._looks:
            return 1.0
        first = {p.name: p.rms for p in self._looks[0].parameters}
        left = [
            p.rms / first[p.name]
            for p in self._looks[-1].parameters
            if p.name in self._matrices and first.get(p.name, 0) > 0 and np.isfinite(p.rms)
        ]
        return min(left, default=1.0)

    @cached_property
    def end(self) -> StepStatistics | None:
        sound = [look for look in self._looks if np.isfinite(look.loss)]
        return _step(sound[-1], self._training) if sound and self.trained else None


def _order_of_classes(batches: Iterable[np.ndarray]) -> TargetOrder | None:
    """Neighbours and batches by class: codes of classes are names, not sizes."""
    batches = list(batches)
    classes = np.unique(np.concatenate(batches))
    if len(classes) < 2:
        return None
    hot = [(batch[:, None] == classes).astype(float) for batch in batches]
    total = np.concatenate(hot)
    variance = float(np.sum(np.mean((total - total.mean(axis=0)) ** 2, axis=0)))
    deviations = [part - total.mean(axis=0) for part in hot]
    neighbours = np.concatenate([np.sum(part[1:] * part[:-1], axis=1) for part in deviations])
    between = sum(len(part) * float(np.sum(part.mean(axis=0) ** 2)) for part in deviations) / (len(total) * variance)
    return TargetOrder(float(neighbours.mean() / variance), between, len(total), len(batches))


def _activation_facts(kind: str, place: str, hidden: bool = False, above_weights: bool = False) -> LayerFacts:
    """The facts of an activation, by the class of the same kind; unknown ones have any output."""
    family = Layer.kinds.get(kind)
    if family is None or not issubclass(family, Layer):
        return LayerFacts(place, kind, (-np.inf, np.inf), hidden=hidden, above_weights=above_weights)
    part = family()
    return LayerFacts(
        place=place,
        kind=kind,
        output_range=part.output_range,
        steepest_slope=part.steepest_slope,
        saturates=part.saturates,
        sums_to_one=part.sums_to_one,
        can_die=part.can_die,
        hidden=hidden,
        above_weights=above_weights,
        is_linear=part.is_linear,
    )


def _layer_facts(
    place: PlaceStatistics, passes: bool, drop_rate: float, hidden: bool, above_weights: bool
) -> LayerFacts:
    if place.role == "activation":
        facts = _activation_facts(place.activation, place.place, hidden, above_weights)
    else:
        # An embedding is no map of the numbers of its tokens.
        straight = passes or place.role not in (*_NONLINEAR, "norm", "pooling", "embedding")
        facts = LayerFacts(
            place=place.place,
            kind=place.role,
            output_range=(-np.inf, np.inf),
            weighted=place.role in _WEIGHTED,
            is_linear=straight and not place.activation,
            drop_rate=drop_rate,
        )
    only_linear = all(name.strip("_") in _LINEAR for name in place.operations)
    return facts if only_linear else facts._replace(is_linear=False)


def _step(look: Look, scores: SetScores | None = None) -> StepStatistics:
    """The statistics of a look; the outputs vary between rows as in `scores`, where they are known."""
    dense = [place for place in look.places if place.role in _WEIGHTED]
    acts = [place for place in look.places if place.role == "activation" and place.units]
    last = max((index for index, place in enumerate(look.places) if place.role in _WEIGHTED), default=-1)
    order = {id(place): index for index, place in enumerate(look.places)}
    given = look.loss_input
    numbers = [
        look.loss,
        *(place.rms for place in dense),
        *(place.delta for place in dense if place.delta == place.delta),
    ]
    return StepStatistics(
        dense=tuple(place.place for place in dense),
        outputs=np.array([place.rms for place in dense], float),
        deltas=np.array([place.delta * _positions(place) for place in dense], float),
        activations=tuple(place.place for place in acts),
        hidden=tuple(order[id(place)] < last for place in acts),
        units=tuple(place.units for place in acts),
        dead=np.array([np.nan_to_num(place.dead) for place in acts], float),
        saturated=np.array([np.nan_to_num(place.saturated) for place in acts], float),
        spread=scores.spread if scores else given.spread if given else _NAN,
        level=scores.level if scores else float(np.hypot(given.output_mean, given.output_deviation)) if given else _NAN,
        loss=look.loss,
        differences=np.array([place.difference for place in dense], float),
        finite=bool(np.isfinite([value for value in numbers if value == value]).all()) and look.nonfinite is None,
    )


def _positions(place: PlaceStatistics) -> float:
    """√(numbers of a row by unit): the delta of a channel is that of all its positions together."""
    numbers = float(np.prod(place.shape)) if place.shape else 0.0
    return np.sqrt(max(numbers / max(place.shape[0] * place.units, 1), 1.0)) if place.shape and place.units else 1.0
