"""Measurements: the named quantities and facts that checks read.

Nothing in this file knows where the numbers come from. `measure_run` fills the measurements from a Thalweg run.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from .attainable import FEW_ROWS, UncertainScore, standard_error
from .facts import MeasuredQuantity, fact, quantity
from .findings import Learned, Severity
from .memories import Memory
from .remedies import Remedies
from .rows.row_facts import RowFacts
from .rows.row_statistics import FewRows
from .step_statistics import StepStatistics

LEARNED = 2 / 3
"""A network counts as having learned once it closes this fraction of the gap between the constant baseline and the
attainable score."""
# The error of a score blurs that line by no more than this part of the gap.
_MOST_BLURRED = 1 / 12
LEAST_GAP = 0.05
"""A gap between the attainable score and the constant baseline below this does not count as learnable."""
BEYOND_CHANCE = 1.96
"""A difference of more standard errors than this is not explained by chance: it lies outside of the 95 % interval."""
# A loss above this multiple of the start's and of the best constant output's has risen.
_RISEN = 1.25
# A median over fewer observed steps is not used.
_LEAST_STEPS = 8
_NAN = float("nan")
_NO_NUMBERS = np.zeros(0)


class LayerFacts(NamedTuple):
    """What checks ask of one layer."""

    place: str
    """The name of the layer for the reader, for example `layer 2 (relu)`."""
    kind: str
    """The kind of the layer as a spec names it."""
    output_range: tuple[float, float]
    """Smallest and largest possible output."""
    steepest_slope: float | None = None
    """Largest |f'| of an elementwise activation; None for other layers."""
    saturates: bool = False
    """Whether the slope goes to 0 at both ends of a bounded output range."""
    sums_to_one: bool = False
    """Whether the outputs of each row sum to 1."""
    can_die: bool = False
    """Whether the slope is exactly 0 for all inputs on one side."""
    hidden: bool = False
    """Whether it is an activation with a weighted layer above it."""
    above_weights: bool = False
    """Whether a weighted layer stands below it."""
    drop_rate: float = 0.0
    """Fraction of the numbers that the layer sets to 0 in each training step."""
    weighted: bool = False
    """Whether the layer multiplies its input by a matrix that it learns."""
    is_linear: bool = False
    """Whether the trained layer is an affine map of its input."""
    beside: bool = False
    """Whether it has weights and does not read the layer with weights before it: both are branches."""


class IdenticalUnits(NamedTuple):
    """A layer whose units all start with the same incoming and outgoing weights."""

    place: str
    units: int


class WrongGradient(NamedTuple):
    """A layer whose gradient differs from finite differences of the loss."""

    place: str
    error: float
    """|gradient - differences| / |gradient|, along a random direction."""


class Memorization(NamedTuple):
    """The result of training the network on a few rows alone."""

    rows: int
    """Number of rows."""
    steps: int
    """Number of steps of Adam."""
    rate: float
    """Learning rate of Adam."""
    first: float
    """Loss before the first step."""
    last: float
    """Loss after the last step."""


class Widening(NamedTuple):
    """The result of training the network, and a wider one, on some of the rows."""

    place: str
    """The narrowest hidden layer."""
    width: int
    """Its width."""
    wide: int
    """Least width of the hidden layers of the wider network."""
    rows: int
    """Number of rows."""
    steps: int
    """Number of steps of Adam."""
    loss: float
    """Last loss of the network."""
    wide_loss: float
    """Last loss of the wider network."""


class Measurements(RowFacts):
    """Named quantities and facts about one training, before it starts or after it ends.

    Each keyword argument is the value of a fact or a quantity, or a function without arguments that computes it on
    first use. A value that is not given has its default: NaN, empty, or derived from other values. So a source passes
    what it can measure, and what it cannot measure counts as not measured.

    >>> m = Measurements(task="regression", losses=lambda: np.array([4.0, 2.0]), constant_loss=4.0)
    >>> m.worst_loss, m.flow
    (0.5, nan)

    Raises:
        TypeError: for an argument that is not a fact or a quantity.
    """

    @property
    def quantities(self) -> dict[str, float]:
        """All quantities by name."""
        return {name: float(getattr(self, name)) for name in QUANTITIES}

    # Judgement --------------------------------------------------------------------------------------------------------

    @property
    def learnable(self) -> bool:
        """Whether more than a constant output is attainable, beyond chance; it is assumed before a training."""
        learned = self.learned
        if learned is None:
            return True
        gap = learned.attainable - learned.constant
        return gap >= LEAST_GAP and gap > BEYOND_CHANCE * learned.error

    @property
    def learns(self) -> bool:
        """Whether the training closed two thirds of the gap for certain, and did as well as a straight line; False
        before a training, without a gap to close, and for a network that is a straight line where more is attainable:
        no training takes it further. Of others that only found the line, paired runs tell what keeps them there."""
        return self.closed_gap(self.enough + self.blur) and not self.within_line

    @property
    def enough(self) -> float:
        """The part of the gap that counts as learned."""
        return LEARNED

    @property
    def within_line(self) -> bool:
        """Whether the network is worse than the best straight line, or is itself a line where more is attainable."""
        return self.below_line or (self.is_line and self.only_line)

    @property
    def borderline(self) -> bool:
        """Whether the standard error of the score leaves open if the training closed two thirds of the gap."""
        return self.closed_gap(self.enough - self.blur) and not self.closed_gap(self.enough + self.blur)

    @property
    def blur(self) -> float:
        """Standard error of the share of the gap that the training closed, at most a twelfth."""
        learned = self.learned
        if learned is None or not learned.attainable > learned.constant or not self.rows:
            return 0.0
        error = standard_error(learned.score, self.rows, learned.measure)
        return min(error / (learned.attainable - learned.constant), _MOST_BLURRED)

    def closed_gap(self, share: float) -> bool:
        """Whether the training closed at least this share of the gap between constant and attainable score."""
        return self.learned is not None and self.learnable and self.learned.share >= share

    @property
    def falls_short(self) -> bool:
        """Whether more than the score of the network is attainable, by a relevant amount that chance does not
        explain."""
        learned = self.learned
        if learned is None:
            return False
        error = 2 * standard_error(learned.score, self.rows, learned.measure)
        return learned.attainable - learned.score > max(LEAST_GAP, error)

    @property
    def line_falls_short(self) -> bool:
        """Whether more than the score of the best straight line is attainable."""
        return self.learned is not None and self.learned.attainable - self.learned.line >= LEAST_GAP

    @property
    def only_line(self) -> bool:
        """Whether the network is no better than the best straight line, although unseen rows show that more is
        attainable."""
        learned = self.learned
        if learned is None or not self.line_falls_short or self.rows < FEW_ROWS:
            return False
        return learned.score < learned.line + standard_error(learned.line, self.rows, learned.measure)

    @property
    def below_line(self) -> bool:
        """Whether the network is worse than the best straight line, by a relevant amount that chance does not explain.
        What a line has on its own rows beyond the attainable score does not count: it is learned by heart."""
        learned = self.learned
        if learned is None or not np.isfinite(learned.line):
            return False
        line = min(learned.line, learned.attainable)
        error = 2 * standard_error(learned.score, self.rows, learned.measure)
        return line - learned.score > max(LEAST_GAP, error)

    @property
    def is_line(self) -> bool:
        """Whether all layers up to the last one with weights are linear, so that the network is a straight line."""
        last = max((index for index, layer in enumerate(self.layers) if layer.weighted), default=-1)
        return last >= 0 and all(layer.is_linear for layer in self.layers[: last + 1])

    @property
    def is_best_line(self) -> bool:
        """Whether the network is a straight line and as good as the best one: no training makes it better."""
        learned = self.learned
        if learned is None or not self.is_line:
            return False
        return learned.score > learned.line - standard_error(learned.line, self.rows, learned.measure)

    def severity(self, certain: bool = False) -> Severity:
        """A note for a network that learns, and for one that could not, because its rows hold nothing to learn;
        otherwise severe if it is `certain` to prevent learning, or a warning. Near two thirds of the gap a warning, so
        that no finding depends on chance alone."""
        if self.learns or not self.learnable:
            return "note"
        return "severe" if certain and not self.borderline else "warning"

    # Facts about the network and its settings -------------------------------------------------------------------------

    @fact
    def remedies(self) -> Remedies:
        """Makes the remedies for this training."""
        raise LookupError("the source of the measurements makes no remedies")

    @fact
    def layers(self) -> tuple[LayerFacts, ...]:
        """The layers from the input to the output."""
        return ()

    @fact
    def output(self) -> LayerFacts:
        """The output activation; a network that ends without one has the identity."""
        return LayerFacts("output", "identity", (-np.inf, np.inf), 1.0)

    @fact
    def outputs(self) -> int:
        """Number of outputs."""
        return 0

    @fact
    def loss(self) -> str:
        """The kind of the loss, as a spec names it."""
        return ""

    @fact
    def loss_takes(self) -> Literal["values", "probabilities", "logits", "scores"]:
        """What the loss expects as outputs of the network."""
        return "values"

    @fact
    def batch_size(self) -> int | None:
        """The batch size as it was set; None if it was not set to a number."""
        return None

    @fact
    def updates_per_epoch(self) -> int:
        """Number of updates in an epoch."""
        return 1

    @fact
    def decays(self) -> bool:
        """Whether a penalty or a decay acts on the weights."""
        return False

    # Facts about the start --------------------------------------------------------------------------------------------

    @fact
    def start(self) -> StepStatistics:
        """The first step, with the initial weights."""
        return StepStatistics()

    @fact
    def standardized_starts(self) -> tuple[StepStatistics, ...]:
        """First steps from other initial weights with standardized inputs."""
        return ()

    @fact
    def gains(self) -> dict[str, float]:
        """Size of the initial weights of each layer as a multiple of the nearest textbook initialization."""
        return {}

    @fact
    def identical_units(self) -> IdenticalUnits | None:
        """The first layer whose units start as copies of each other."""
        return None

    @fact
    def wrong_gradient(self) -> WrongGradient | None:
        """The last layer whose gradient is wrong by finite differences."""
        return None

    @fact
    def memorization(self) -> Memorization | None:
        """Training on a few rows alone; None if it was not tried."""
        return None

    @fact
    def widening(self) -> Widening | None:
        """Training a network with wider hidden layers; None where the narrowest is as wide as in healthy networks."""
        return None

    @fact
    def parameters(self) -> int:
        """Number of parameters; 0 if unknown."""
        return 0

    # Facts about the training -----------------------------------------------------------------------------------------

    @fact
    def trained(self) -> bool:
        """Whether a training has taken place."""
        return False

    @fact
    def learned(self) -> Learned | None:
        """How much of the possible improvement the training achieved; None before the training."""
        return None

    @fact
    def diverged(self) -> str:
        """Where the numbers stopped being finite, in words; empty if they did not."""
        return ""

    @fact
    def losses(self) -> np.ndarray:
        """Training loss of each epoch (epochs,)."""
        return _NO_NUMBERS

    @fact
    def validation_losses(self) -> np.ndarray:
        """Validation loss of each epoch (epochs,), NaN where it was not computed."""
        return _NO_NUMBERS

    @fact
    def validation_scores(self) -> np.ndarray:
        """Validation accuracy or R² of each epoch (epochs,)."""
        return _NO_NUMBERS

    @fact
    def final_losses(self) -> dict[str, float]:
        """Loss of the trained network on the sets `training` and `validation`."""
        return {}

    @fact
    def held_out_scores(self) -> dict[str, UncertainScore]:
        """Score of the trained network on the sets `validation` and `test`, in the measure of `learned`."""
        return {}

    @fact
    def held_out_errors(self) -> dict[str, FewRows]:
        """Scores of a regression with and without the rows of the largest errors, for the same sets."""
        return {}

    @fact
    def penalties(self) -> np.ndarray:
        """Penalty on the weights in each epoch (epochs,)."""
        return _NO_NUMBERS

    @fact
    def penalty_at_start(self) -> float:
        """Penalty on the initial weights."""
        return 0.0

    @fact
    def learning_rates(self) -> np.ndarray:
        """Learning rate of each observed step (steps,)."""
        return _NO_NUMBERS

    @fact
    def learning_rate(self) -> float:
        """Learning rate of the first step."""
        return float(self.learning_rates[0]) if len(self.learning_rates) else _NAN

    @fact
    def update_ratios(self) -> np.ndarray:
        """|ΔW| / |W| of each observed step and layer (steps, layers)."""
        return _NO_NUMBERS

    @fact
    def step_lengths(self) -> np.ndarray:
        """Where each observed step ended on the parabola along it (steps,); `step_length` describes the scale."""
        return _NO_NUMBERS

    @fact
    def signal_to_noise(self) -> np.ndarray:
        """|g|² divided by the variance of the gradients of single rows, for each observed step (steps,)."""
        return _NO_NUMBERS

    @fact
    def weights_left(self) -> float:
        """Largest weight after training divided by the largest before it, in the layer where this is least."""
        return 1.0

    @fact
    def end(self) -> StepStatistics | None:
        """A step with the weights after training; None before it."""
        return None

    @fact
    def largest_rate(self) -> float:
        """Largest learning rate of the observed steps."""
        rates = self.learning_rates[np.isfinite(self.learning_rates)]
        return float(rates.max()) if len(rates) else self.learning_rate

    @fact
    def mean_rate(self) -> float:
        """Mean learning rate of the training, from the observed steps."""
        rates = self.learning_rates[np.isfinite(self.learning_rates)]
        # Each observed step stands for the steps around it.
        return float(np.trapezoid(rates) / (len(rates) - 1)) if len(rates) >= _LEAST_STEPS else _NAN

    @fact
    def momentum(self) -> float:
        """Momentum of the optimizer: 0 without, NaN where it changes."""
        return 0.0

    @fact
    def memories(self) -> tuple[Memory, ...]:
        """How many steps each average of the optimizer counts."""
        return ()

    @fact
    def scheduled_peak(self) -> float:
        """Learning rate at which the schedule stops rising if the training goes on; NaN if it does not stop, and for a
        rate without a schedule."""
        return _NAN

    # Quantities of the rows -------------------------------------------------------------------------------------------

    @quantity
    def input_size(self) -> float:
        """Root mean square of the largest input column."""
        return float(self.column_sizes.max()) if self.column_sizes.size else _NAN

    @quantity
    def input_offset(self) -> float:
        """√(mean x² / mean variance of the columns): 1 for inputs around 0, larger the further they are from 0."""
        variance = float(np.mean(self.column_deviations**2)) if self.column_deviations.size else 0.0
        return float(np.sqrt(np.mean(self.column_sizes**2) / variance)) if variance else _NAN

    @quantity
    def target_size(self) -> float:
        """Root mean square of the targets of a regression."""
        return _NAN

    # Quantities of the start ------------------------------------------------------------------------------------------

    @quantity
    def weights_small(self) -> float:
        """Fraction of the signal that survives undersized initial weights: product of min(gain, 1) over the weighted
        layers (1 = nothing lost)."""
        return float(np.prod([min(gain, 1.0) for gain in self.gains.values()])) if len(self.gains) > 1 else _NAN

    @quantity
    def weights_large(self) -> float:
        """Largest of the gains."""
        return max(self.gains.values(), default=_NAN)

    @quantity
    def flow(self) -> float:
        """Delta of the first hidden layer divided by that of the last hidden layer, at the start."""
        return self.start.flow

    @quantity
    def growth(self) -> float:
        """Largest outputs of a hidden layer divided by those of the first hidden layer, at the start."""
        return self.start.growth

    @quantity
    def separation(self) -> float:
        """Differences between rows in the hidden layer with the least, divided by those in the first, at the start."""
        return self.start.separation

    @quantity
    def alive_at_start(self) -> float:
        """Number of units that pass a gradient at the start, in the hidden layer with the fewest."""
        return min(self.start.alive.values(), default=_NAN)

    @quantity
    def saturated_at_start(self) -> float:
        """Fraction of saturated outputs at the start, in the activation with the most."""
        return float(self.start.saturated.max()) if len(self.start.saturated) else _NAN

    @quantity
    def first_loss(self) -> float:
        """Loss at the start divided by the loss of the best constant output."""
        return self.start.loss / self.constant_loss if self.constant_loss > 0 else _NAN

    @quantity
    def sharpness(self) -> float:
        """Learning rate times the largest curvature of the loss, divided by the largest value at which plain steps are
        stable: 2 for gradient descent, 2 (1 + momentum) with momentum. NaN for optimizers that scale their steps."""
        return _NAN

    # Quantities of the training ---------------------------------------------------------------------------------------

    @quantity
    def first_step(self) -> float:
        """Largest |ΔW| / |W| of a layer in the first three observed steps."""
        ratios = self.update_ratios[:3]
        return float(np.max(ratios[np.isfinite(ratios)], initial=0.0)) if ratios.size else _NAN

    @quantity
    def step_length(self) -> float:
        """Median of where a step ends on the parabola along it: -1 where it began, 0 at the lowest point, 1 as high as
        it began on the other side. NaN for batches of single rows: the next row may contradict the one that the step
        was made from, and a single row has no variance that would show it."""
        single = 1 < self.rows == self.updates_per_epoch
        return _NAN if single else _median(self.step_lengths)

    @quantity
    def noise(self) -> float:
        """Variance of a batch gradient divided by the squared gradient, median over the training; NaN for batches of
        all rows, which are no sample."""
        if self.updates_per_epoch == 1:
            return _NAN
        # The probes compare the gradient with the noise of single rows.
        signal = _median(self.signal_to_noise) * self.rows / self.updates_per_epoch
        return 1 / signal if signal > 0 else _NAN

    @quantity
    def jump(self) -> float:
        """Mean change of the loss from epoch to epoch in the second half, divided by how far the loss fell below the
        best constant output (or below the first epoch). 0 for a loss that settles."""
        late = self.losses[len(self.losses) // 2 :]
        if len(late) < 4 or not np.isfinite(late).all():
            return _NAN
        level = float(np.mean(late))
        changes = np.diff(late)
        size = float(np.mean(np.abs(changes)))
        if np.mean(changes > 0) < 0.25 or size <= 0.02 * abs(level):
            return 0.0
        fallen = (self.losses[0] if np.isnan(self.constant_loss) else self.constant_loss) - level
        return float(min(size / fallen, 1e3)) if fallen > 0 else 1e3

    @quantity
    def falling(self) -> float:
        """Part of the total fall of the loss that happened in the last quarter of the training; 0 for a loss that has
        settled."""
        losses = self.losses
        quarter = len(losses) // 4
        if quarter < 1 or not np.isfinite(losses).all():
            return _NAN
        # Means over a tenth, because a single epoch may be an outlier.
        width = max(1, len(losses) // 10)
        late = float(np.mean(losses[-quarter - width : -quarter]))
        end = float(np.mean(losses[-width:]))
        noise = float(np.std(np.diff(losses[-2 * quarter :]))) if quarter > 1 else 0.0
        fall = float(losses[0]) - end
        return (late - end) / fall if fall > 0 and late - end > 2 * noise / np.sqrt(width) else 0.0

    @quantity
    def moved(self) -> float:
        """|W at the end - W at the start| / |W at the start| of the layer that moved most."""
        return _NAN

    @quantity
    def updates(self) -> float:
        """Number of updates."""
        return float(len(self.losses) * self.updates_per_epoch) if len(self.losses) else _NAN

    @quantity
    def worst_loss(self) -> float:
        """Largest loss after the first epoch divided by the loss of the best constant output."""
        later = self.losses[1:]
        later = later[~np.isnan(later)]
        return float(later.max()) / self.constant_loss if len(later) and self.constant_loss > 0 else _NAN

    @quantity
    def late_rate(self) -> float:
        """Learning rate after a quarter of the training divided by the largest learning rate."""
        rates = self.learning_rates[np.isfinite(self.learning_rates)]
        return float(rates[len(rates) // 4] / rates.max()) if len(rates) >= _LEAST_STEPS and rates.max() > 0 else _NAN

    @quantity
    def penalty(self) -> float:
        """Penalty on the weights divided by the loss of the best constant output, in the last epoch before the loss
        rose above its start and that loss. Weights that exploded make any penalty large: that is an effect."""
        if not self.constant_loss > 0:
            return _NAN
        # NaN and infinity count as risen.
        sound = self.losses[: len(self.penalties)] <= _RISEN * np.fmax(self.start.loss, self.constant_loss)
        epochs = len(sound) if sound.all() else int(sound.argmin())
        return (float(self.penalties[epochs - 1]) if epochs else self.penalty_at_start) / self.constant_loss

    # Quantities of the end --------------------------------------------------------------------------------------------

    @quantity
    def alive_at_end(self) -> float:
        """Number of units that pass a gradient at the end, in the hidden layer with the fewest."""
        return min(self._finite_end.alive.values(), default=_NAN)

    @quantity
    def saturated_at_end(self) -> float:
        """Fraction of saturated outputs at the end, in the hidden layer with the most."""
        return max(self._finite_end.saturated_hidden.values(), default=_NAN)

    @quantity
    def flow_at_end(self) -> float:
        """Delta of the first hidden layer divided by that of the last hidden layer, at the end."""
        return self._finite_end.flow

    @quantity
    def spread(self) -> float:
        """Standard deviation of the outputs between rows at the end, divided by their root mean square."""
        return self._finite_end.spread / max(self._finite_end.level, 1e-300)

    @property
    def _finite_end(self) -> StepStatistics:
        """The step at the end; an empty one if there is none, or if its numbers are not finite."""
        return self.end if self.end is not None and self.end.finite else StepStatistics()


def _median(values: np.ndarray) -> float:
    """Median of the finite values; NaN for fewer than eight."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) >= _LEAST_STEPS else _NAN


QUANTITIES = tuple(name for name, value in vars(Measurements).items() if isinstance(value, MeasuredQuantity))
"""The names of all quantities; each has a normal range in healthy.json."""
