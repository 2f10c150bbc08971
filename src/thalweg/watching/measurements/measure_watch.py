"""Fill the doctor's `Measurements` from a watched training."""

from __future__ import annotations

from functools import cached_property, partial

import numpy as np

from ...doctor.attainable import UncertainScore, measure_of, standard_error
from ...doctor.findings import Learned
from ...doctor.measurements import Measurements
from ...doctor.step_statistics import StepStatistics
from ..facts import WatchedEpoch, WatchedTraining
from ..remedies import TorchRemedies
from .measure_network import step_statistics
from .measure_rows import RowSource
from .watch_measurements import WatchMeasurements

# Steps of these optimizers follow from the gradient itself, so that a curvature says which rate is stable.
_PLAIN = ("SGD",)
_RATE_POINTS = 200
_LAST_STEPS = 10
# Into so many parts the losses of a training without epochs are divided.
_PARTS = 20
# The score of fewer rows is mostly chance.
_FEW_ROWS = 30
_NAN = float("nan")


def measurements_of_watch(training: WatchedTraining) -> WatchMeasurements:
    """The measurements of a watched training; all of them are computed on first use."""
    source = _Source(training)
    names = [name for name in dir(_Source) if not name.startswith("_") and hasattr(Measurements, name)]
    return WatchMeasurements(training, **{name: partial(getattr, source, name) for name in names})


class _Source(RowSource):
    """Adds what the training did, and what it reached."""

    @cached_property
    def remedies(self) -> TorchRemedies:
        rates = self.learning_rates
        return TorchRemedies(self.task, self._model.optimizer, float(rates.max()) if len(rates) else _NAN)

    @cached_property
    def sharpness(self) -> float:
        curvature = self._looks[0].curvature if self._looks else _NAN
        if self._model.optimizer not in _PLAIN or not np.isfinite(curvature):
            return _NAN
        return float(self.learning_rates[0]) * abs(curvature) / (2 * (1 + self.momentum))

    @cached_property
    def momentum(self) -> float:
        return self._model.groups[0].momentum if self._model.groups and self._model.optimizer in _PLAIN else 0.0

    @property
    def trained(self) -> bool:
        return self.watched.steps > 0

    @cached_property
    def learned(self) -> Learned | None:
        """On the latest rows of the training, in the mode in which the network is better: a network that is bad in
        evaluation mode alone has learned. So has one that answers the validation rows better than those of its
        training, whose targets may be noisy or mixed."""
        if self._last is None or self._training is None:
            return None
        known = [scores for scores in (self._training, self._last.training_as_trained) if scores]
        best = max(known, key=lambda scores: np.nan_to_num(scores.balanced_score, nan=-np.inf))
        if not np.isfinite(best.balanced_score) and self.watched.nonfinite is None:
            # The outputs do not fit the targets in a way that is known: nothing was seen.
            return None
        constant = best.constant_score if np.isfinite(best.constant_score) else 0.0
        attainable, line = self._attainable(constant)
        held_out = self._validation
        if held_out is not None and held_out.rows >= _FEW_ROWS and held_out.share > best.share:
            best, constant, attainable, line = held_out, held_out.constant_score, 1.0, _NAN
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
        reference = self.watched.reference
        # Of tokens, series and pictures a forest learns less than a network made for them.
        is_table = any(look.batch and look.batch.column_means for look in self._looks)
        if reference is None or not np.isfinite(reference.training) or not is_table:
            return 1.0, _NAN
        found = reference.training - reference.training_constant > max(0.05, 2 * reference.training_error)
        deep = sum(layer.weighted for layer in self.layers) > 1
        return (max(reference.training, constant) if found else 1.0), (reference.training_line if deep else _NAN)

    @cached_property
    def diverged(self) -> str:
        first = self.watched.nonfinite
        losses = np.array(self.watched.losses, float)
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
        if self.watched.epochs:
            return np.array([epoch.loss for epoch in self.watched.epochs], float)
        # Single batches jump where their means do not.
        losses = np.array(self.watched.losses, float)
        return np.array(
            [part[np.isfinite(part)].mean() for part in np.array_split(losses, _PARTS) if np.isfinite(part).any()]
        )

    @cached_property
    def validation_losses(self) -> np.ndarray:
        return np.array([e.validation.loss if e.validation else _NAN for e in self.watched.epochs], float)

    @cached_property
    def validation_scores(self) -> np.ndarray:
        return np.array([e.validation.score if e.validation else _NAN for e in self.watched.epochs], float)

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
        known = self.watched.reference
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
        ends = np.searchsorted(steps, [epoch.step for epoch in self.watched.epochs]) - 1
        if not len(steps) or not len(ends):
            return np.zeros(0)
        penalties = self._penalty[np.maximum(ends, 0)]
        added = self._added_to_loss(self._last) if self._last else 0.0
        penalties[-1] = max(penalties[-1], added)
        return penalties

    def _added_to_loss(self, epoch: WatchedEpoch) -> float:
        """What the loop adds to the loss function: the loss of the last steps of an epoch minus that of its rows."""
        scores = epoch.training_as_trained
        losses = np.array(self.watched.losses[max(epoch.step - _LAST_STEPS, 0) : epoch.step], float)
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
        changes = self.watched.rates
        if not changes:
            return np.zeros(0)
        steps = np.linspace(0, max(self.watched.steps - 1, 0), min(_RATE_POINTS, max(self.watched.steps, 1)))
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
        return step_statistics(sound[-1], self._training) if sound and self.trained else None
