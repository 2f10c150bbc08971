"""A case: what is examined, and what is measured of it, each quantity a number with a normal range."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..core.arrays import arrays_of
from ..core.noise import generator, noise_key
from ..engine.eager import Eager
from ..engine.step import Batch, Plan, State
from ..parts.layers import Dense
from ..parts.optimizers import SGD, Momentum
from ..parts.part import Optimizer
from ..probes.curvature import curvature_at
from ..training.evaluate import metric_for
from .material import LEARNED, LEAST, Look, Material, is_activation

__all__ = ["LEARNED", "LEAST", "MOST_PARAMETERS", "Case", "Look", "is_activation"]

# What takes many steps or products takes too long with more parameters.
MOST_PARAMETERS = 100_000
_CURVATURE_ROWS = 128
_LOOKS = 8
QUANTITIES = (
    "input_size",
    "input_offset",
    "target_size",
    "weights_small",
    "weights_large",
    "flow",
    "growth",
    "alive_at_start",
    "saturated_at_start",
    "first_loss",
    "sharpness",
    "first_step",
    "step_length",
    "noise",
    "jump",
    "falling",
    "moved",
    "updates",
    "worst_loss",
    "late_rate",
    "penalty",
    "alive_at_end",
    "saturated_at_end",
    "flow_at_end",
    "spread",
)
_NOTHING = float("nan")


class Case(Material):
    """A training, or one that is to come, with what is measured of it; NaN is what there is not."""

    @property
    def quantities(self) -> dict[str, float]:
        """All quantities by name."""
        return {name: float(getattr(self, name)) for name in QUANTITIES}

    # Rows -------------------------------------------------------------------------------------------------------------

    @cached_property
    def input_size(self) -> float:
        """The root mean square of the column of inputs where it is largest."""
        return float(np.sqrt(np.mean(self.x**2, axis=0)).max())

    @cached_property
    def input_offset(self) -> float:
        """How far the inputs are from 0 in all (root mean square), in units of their deviation; 1 around 0."""
        variance = float(np.mean(self.x.var(axis=0)))
        return float(np.sqrt(np.mean(self.x**2) / variance)) if variance else _NOTHING

    @cached_property
    def target_size(self) -> float:
        """The root mean square of the targets of a regression."""
        return float(np.sqrt(np.mean(self.targets**2))) if self.task == "regression" else _NOTHING

    # The start --------------------------------------------------------------------------------------------------------

    @cached_property
    def begun(self) -> Any:
        """The network as the training begins with it: parameters and states of the layers."""
        return self.network.initialize(self.spec.training.seed, (self.train.features,))

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return sum(np.size(array) for _, array in arrays_of(self.begun.params))

    @cached_property
    def gains(self) -> dict[int, float]:
        """By dense layer: the size of its weights as a multiple of the nearest textbook start's; 1 between them."""
        found = {}
        for index, layer in enumerate(self.network.layers):
            if isinstance(layer, Dense):
                fan_in, fan_out = self.begun.params[index].W.shape
                # LeCun, He, Glorot: the deviations that they draw with.
                usual = np.sqrt([1 / fan_in, 2 / fan_in, 2 / (fan_in + fan_out)])
                own = float(np.sqrt(np.mean(np.square(self.begun.params[index].W))))
                found[index] = own / float(np.clip(own, usual.min(), usual.max()))
        return found

    @cached_property
    def weights_small(self) -> float:
        """What too small weights leave of the signal behind all layers; 1 where none are."""
        return float(np.prod([min(gain, 1.0) for gain in self.gains.values()])) if len(self.gains) > 1 else _NOTHING

    @cached_property
    def weights_large(self) -> float:
        """The largest of the gains."""
        return max(self.gains.values(), default=_NOTHING)

    @property
    def flow(self) -> float:
        """The gradient of the first hidden layer at the start, as a part of that of the last one."""
        return self.start.flow

    @property
    def growth(self) -> float:
        """The outputs of the hidden layer where they are largest at the start, as a multiple of those of the first."""
        return self.start.growth

    @property
    def alive_at_start(self) -> float:
        """How many units pass a gradient at the start, in the hidden layer where they are fewest."""
        return min(self.alive_in(self.start).values(), default=_NOTHING)

    @property
    def saturated_at_start(self) -> float:
        """The share of answers with hardly a slope at the start, of the hidden layer with most."""
        return self.start.saturated.max() if len(self.start.saturated) else _NOTHING

    @cached_property
    def constant_loss(self) -> float:
        """The loss of the best answer that is the same for all rows; NaN for a loss without a known one."""
        t, kind = self.targets, self.spec.loss.kind
        if self.task == "classification" and self.width == 1:
            t = t[:, 1:]
        if kind in ("mean_squared_error", "squared_error", "half_mean_squared_error"):
            variances = t.var(axis=0)
            total = float(variances.sum() if kind == "squared_error" else variances.mean())
            return total if kind == "mean_squared_error" else total / 2
        if kind == "mean_absolute_error":
            return float(np.mean(np.abs(t - np.median(t, axis=0))))
        share = np.clip(t.mean(axis=0), 1e-12, 1 - 1e-12)
        if kind in ("cross_entropy", "softmax_cross_entropy") and self.task == "classification":
            return float(-np.sum(share * np.log(share)))
        if kind in ("binary_cross_entropy", "sigmoid_binary_cross_entropy"):
            return float(-np.sum(share * np.log(share) + (1 - share) * np.log(1 - share)))
        return _NOTHING

    @property
    def first_loss(self) -> float:
        """The loss at the start as a multiple of that of the best constant answer."""
        return self.start.loss / self.constant_loss if self.constant_loss > 0 else _NOTHING

    @cached_property
    def rate(self) -> float:
        """The learning rate at the start."""
        described = self.spec.optimizer.describe().get("learning_rate", _NOTHING)
        if isinstance(described, int | float):
            return float(described)
        seen = self.observations.whole.get("learning_rate") if self.observations else None
        return float(seen[0]) if seen is not None and len(seen) else _NOTHING

    @cached_property
    def sharpness(self) -> float:
        """Rate times the largest curvature of the loss at the start, as a multiple of what plain steps bear.

        That is 2 for gradient descent, 2 (1 + momentum) with momentum. NaN for rules that scale their steps.
        """
        optimizer = self.spec.optimizer
        momentum = getattr(optimizer, "momentum", 0.0)
        plain = isinstance(optimizer, SGD | Momentum) and isinstance(momentum, int | float)
        if not plain or not self.start.finite or self.parameters > MOST_PARAMETERS:
            return _NOTHING
        return self.rate * self._largest_curvature() / (2 * (1 + momentum))

    def plan(self, optimizer: Optimizer) -> tuple[Plan, State]:
        """A training of its network by another rule, at its start."""
        scores = metric_for(self.network, self.spec.loss, self.train)
        plan = Plan(self.network, self.spec.loss, optimizer, scores)
        params, states = self.begun.params, self.begun.states
        return plan, State(params, states, optimizer.init(params), np.array(0), noise_key(0))

    def batch(self, rows: np.ndarray) -> Batch:
        """Some of the rows as a batch."""
        y = self.y if self.task == "classification" else self.targets
        return Batch(self.x[rows], y[rows], np.ones(len(rows)))

    def _largest_curvature(self) -> float:
        eager = Eager()
        rows = generator(3, "doctor").permutation(len(self.x))[:_CURVATURE_ROWS]
        plan, state = self.plan(SGD(0.0))
        state, batch = eager.place((state, self.batch(rows)))
        return curvature_at(eager, plan, state, batch, np.arange(len(rows))[None], generator(3, "doctor")).largest

    # The training -----------------------------------------------------------------------------------------------------

    @cached_property
    def losses(self) -> np.ndarray:
        """The loss by epoch."""
        return np.array([record["loss"] for record in self.history], dtype=float)

    def _seen(self, name: str) -> np.ndarray:
        """What the probes saw of a quantity; empty where they did not look."""
        seen = self.observations
        if seen is None or not len(seen):
            return np.zeros(0)
        return {**seen.by_layer, **seen.whole}.get(name, np.zeros(0))

    @cached_property
    def first_step(self) -> float:
        """The largest of the first steps that were looked at, in parts of the size of a layer's weights."""
        ratios = self._seen("update_ratio")[:3]
        return float(np.max(ratios[np.isfinite(ratios)], initial=0.0)) if ratios.size else _NOTHING

    def _median(self, name: str) -> float:
        """The median over the training of a quantity of the whole network."""
        seen = self._seen(name)
        seen = seen[np.isfinite(seen)]
        return float(np.median(seen)) if len(seen) >= _LOOKS else _NOTHING

    @cached_property
    def step_length(self) -> float:
        """Where steps end on the parabola along them: 0 at its lowest place, -1 where they began, 1 as high behind it.

        The median over the training; single steps are noisy.
        """
        return self._median("step_length")

    @cached_property
    def noise(self) -> float:
        """The noise of a batch's gradient as a multiple of the gradient, by squares: the median over the training."""
        signal, rows = self._median("signal_to_noise"), self.rows / self.per_epoch
        # What the probes tell is the signal against the noise of single rows.
        return 1 / (signal * rows) if signal > 0 else _NOTHING

    @cached_property
    def jump(self) -> float:
        """By how much the loss of the second half changes from epoch to epoch, in parts of all that it has fallen.

        Fallen: below the best constant answer; where that is not known, below the first epoch. 0 where it settles.
        """
        late = self.losses[len(self.losses) // 2 :]
        if len(late) < 4 or not np.isfinite(late).all():
            return _NOTHING
        level, changes = float(np.mean(late)), np.diff(late)
        size = float(np.mean(np.abs(changes)))
        if np.mean(changes > 0) < 0.25 or size <= 0.02 * abs(level):
            return 0.0
        fallen = (self.losses[0] if np.isnan(self.constant_loss) else self.constant_loss) - level
        return min(size / fallen, 1e3) if fallen > 0 else 1e3

    @cached_property
    def falling(self) -> float:
        """The part of the fall of the loss that is in the last quarter of the training; 0 where it has settled."""
        losses, quarter = self.losses, len(self.losses) // 4
        if quarter < 1 or not np.isfinite(losses).all():
            return _NOTHING
        # Means over a tenth, for a single epoch may be anything.
        width = max(1, len(losses) // 10)
        late, end = float(np.mean(losses[-quarter - width : -quarter])), float(np.mean(losses[-width:]))
        noise = float(np.std(np.diff(losses[-2 * quarter :]))) if quarter > 1 else 0.0
        fall = float(losses[0]) - end
        return (late - end) / fall if fall > 0 and late - end > 2 * noise / np.sqrt(width) else 0.0

    @property
    def updates(self) -> float:
        """The number of steps."""
        return len(self.history) * self.per_epoch if self.history else _NOTHING

    @cached_property
    def moved(self) -> float:
        """How far the weights of the layer that moved furthest are from their start, in parts of their size there."""
        if self.params is None or self.diverged:
            return _NOTHING
        found = []
        for index in self.gains:
            before, after = (np.asarray(tree[index].W, float) for tree in (self.begun.params, self.params))
            if size := float(np.sqrt(np.sum(before**2))):
                found.append(float(np.sqrt(np.sum((after - before) ** 2))) / size)
        return max(found, default=_NOTHING)

    @cached_property
    def worst_loss(self) -> float:
        """The largest loss after the first epoch, as a multiple of that of the best constant answer."""
        later = self.losses[1:]
        return float(np.nanmax(later)) / self.constant_loss if len(later) and self.constant_loss > 0 else _NOTHING

    @cached_property
    def late_rate(self) -> float:
        """The learning rate after a quarter of the training, in parts of its largest."""
        rates = self._seen("learning_rate")
        rates = rates[np.isfinite(rates)]
        return float(rates[len(rates) // 4] / rates.max()) if len(rates) >= 8 and rates.max() > 0 else _NOTHING

    @cached_property
    def penalty(self) -> float:
        """The penalty of the weights at the end, in parts of the loss of the best constant answer."""
        last = self.history[-1] if self.history else {}
        return last.get("penalty", 0.0) / self.constant_loss if self.constant_loss > 0 else _NOTHING

    # The end ----------------------------------------------------------------------------------------------------------

    def _at_end(self, shares: str) -> dict[int, float]:
        """Shares of the hidden activations at the end, by layer."""
        end = self.end
        if end is None or not end.finite:
            return {}
        found = dict(zip(end.activations, getattr(end, shares), strict=True))
        return {index: float(share) for index, share in found.items() if index in self.hidden}

    def alive_in(self, look: Look) -> dict[int, float]:
        """The number of units that pass a gradient for some row, by hidden layer."""
        found = zip(look.activations, look.dead, look.units, strict=True)
        return {index: round((1 - dead) * units) for index, dead, units in found if index in self.hidden and units > 2}

    @cached_property
    def alive_by_layer(self) -> dict[int, float]:
        """The number of units that pass a gradient for some row at the end, by hidden layer of more than two."""
        return {} if self.end is None or not self.end.finite else self.alive_in(self.end)

    @cached_property
    def saturated_by_layer(self) -> dict[int, float]:
        """The share of answers with hardly a slope at the end, by hidden layer."""
        return self._at_end("saturated")

    @property
    def alive_at_end(self) -> float:
        """The least of `alive_by_layer`."""
        return min(self.alive_by_layer.values(), default=_NOTHING)

    @property
    def saturated_at_end(self) -> float:
        """The largest of `saturated_by_layer`."""
        return max(self.saturated_by_layer.values(), default=_NOTHING)

    @property
    def flow_at_end(self) -> float:
        """The gradient of the first hidden layer at the end, as a part of that of the last one."""
        return self.end.flow if self.end is not None and self.end.finite else _NOTHING

    @property
    def spread(self) -> float:
        """How much the outputs differ between rows at the end, in parts of their size."""
        end = self.end
        return end.spread / max(end.level, 1e-300) if end is not None and end.finite else _NOTHING
