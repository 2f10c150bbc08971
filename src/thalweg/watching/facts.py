"""What a watch has seen of a PyTorch training: plain records without PyTorch, in the form of the folder's JSON lines.

A number that was not seen is NaN, a word that is not known is empty, a tuple of what was not looked for is empty.
`0.0` always means that zero was measured.

Places: a module is named as in `model.named_modules()`: "features.3". The second use of a module in the same forward
pass is the place "features.3 (2)". An activation that is called as a function, not as a module, has the place
"relu before fc2": it is seen in the input of the module that follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal[
    "dense",
    "conv",
    "recurrent",
    "attention",
    "embedding",
    "norm",
    "activation",
    "softmax",
    "dropout",
    "pooling",
    "other",
]
"""What a module does, whatever its class is called."""
Direction = Literal["input", "forward", "loss", "backward", "update"]
Task = Literal["classification", "multilabel", "regression", ""]
LossTakes = Literal["logits", "log_probabilities", "probabilities", "values", ""]

_NAN = float("nan")


# The model, when the watch attaches -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class WatchedModule:
    """A module without children, or one whose children work inside of it (attention)."""

    name: str
    """As in `model.named_modules()`; "" for a model that is a single module."""
    kind: str
    """The name of its class."""
    role: Role
    width: int = 0
    """Number of its outputs: units, or channels; 0 unknown."""
    parameters: tuple[str, ...] = ()
    """Names of the parameters that it holds itself."""
    activation: str = ""
    """The kind of an activation: relu, tanh, sigmoid, ...; "softmax" or "log_softmax" for these."""
    axis: int | None = None
    """The axis of a softmax."""
    drop_rate: float = 0.0
    """Fraction of the numbers that a dropout sets to 0."""
    batch_first: bool | None = None
    """Whether a recurrent or attention module reads (batch, time, features); None for other modules."""


@dataclass(frozen=True)
class WatchedParameter:
    """A parameter of the model."""

    name: str
    """As in `model.named_parameters()`."""
    shape: tuple[int, ...]
    trainable: bool
    """Its `requires_grad`."""
    optimized: bool
    """Whether the optimizer holds it."""
    rms: float = _NAN
    """Root mean square of its first values."""
    gain: float = _NAN
    """Size of a weight matrix as a multiple of the nearest of the LeCun, Glorot and He initializations, without what
    chance explains; 1 within them."""
    identical_units: bool = False
    """Whether all units (rows of the first axis, more than one) have equal values."""


@dataclass(frozen=True)
class Unregistered:
    """What `model.parameters()` does not have: modules in a plain list, tuple, set or dict of another module, and
    tensors that require a gradient and are neither parameters nor computed from some."""

    name: str
    """Where: "layers" for `model.layers`."""
    kinds: tuple[str, ...]
    """The classes of these modules or tensors."""
    parameters: int
    """Number of their trainable parameters (numbers, not tensors)."""
    optimized: bool
    """Whether the optimizer holds all of them nevertheless."""


@dataclass(frozen=True)
class WatchedGroup:
    """A parameter group of the optimizer."""

    rate: float
    momentum: float = 0.0
    """Momentum, or the first of the betas."""
    weight_decay: float = 0.0
    parameters: int = 0
    """Number of its tensors."""


@dataclass(frozen=True)
class WatchedLoss:
    """The loss function."""

    kind: str
    """The class of a module, or the name of a function: "CrossEntropyLoss", "mse_loss"; "" if neither."""
    module: bool
    """Whether it is an `nn.Module`; it is then seen in each look."""
    takes: LossTakes = ""
    """What it expects as output of the model; "" for a loss that is not PyTorch's own."""
    task: Task = ""
    """The task that it is made for."""
    reduction: str = "mean"
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class WatchedModel:
    """Model, loss and optimizer as they are when the watch attaches."""

    kind: str
    """The class of the model."""
    modules: tuple[WatchedModule, ...]
    parameters: tuple[WatchedParameter, ...]
    loss: WatchedLoss
    optimizer: str
    """The class of the optimizer."""
    groups: tuple[WatchedGroup, ...]
    unregistered: tuple[Unregistered, ...] = ()
    foreign: tuple[str, ...] = ()
    """Parameters that the optimizer holds and the model does not have, by their shapes: "(10, 64)"."""
    compiled: bool = False
    """Whether the model is compiled: looks are then replays on the eager module."""
    decoupled_decay: bool = False
    """Whether the optimizer subtracts its decay from the weights themselves, as AdamW does."""


# A look at one step ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlaceStatistics:
    """What a module, or an activation that is called as a function, did in a forward and backward pass.

    Units are the last axis of dense, recurrent and attention outputs, and the channels of convolutions; everything else
    counts as rows.
    """

    place: str
    module: str
    """Name of the module; for "relu before fc2" that of the module that follows."""
    role: Role
    activation: str = ""
    """The kind of an activation, else empty."""
    shape: tuple[int, ...] = ()
    """Shape of the output."""
    units: int = 0
    rms: float = _NAN
    """Root mean square of the outputs."""
    difference: float = _NAN
    """Standard deviation of the outputs between samples (first axis, or second of a recurrent module that reads time
    first), averaged over all other axes in squares, divided by `rms`."""
    delta: float = _NAN
    """Root mean square of delta, dL/d(outputs). L is the loss on which `backward` was called."""
    dead: float = _NAN
    """Fraction of the units whose slope is 0 in all rows; only for activations."""
    saturated: float = _NAN
    """Fraction of the outputs with a slope below 5 % of the steepest; only for activations."""
    rank: float = _NAN
    """Effective rank of the outputs (`probes.quantities.effective_rank`); in each sixth look."""
    evaluating: bool = False
    """Whether the module was in evaluation mode."""
    input_shape: tuple[int, ...] = ()
    operations: tuple[str, ...] = ()
    """Autograd operations between the outputs of the modules before and the input of this one, by their names in
    lower case without "Backward": ("view", "relu"). Empty: it reads another module's output itself, or the input."""
    follows: tuple[str, ...] = ()
    """The places that it reads, through these operations; empty for the first module."""
    input_has_graph: bool | None = None
    """Whether its input leads back to trainable parameters; False for data. None: not seen."""
    output_has_graph: bool | None = None
    """The same of its output."""
    time_first: bool = False
    """Whether it is a recurrent module that reads (time, batch, features)."""
    pass_number: int = 1
    """Which of the forward passes of the step it was, counted from 1."""


@dataclass(frozen=True)
class ParameterStatistics:
    """What a step did to a parameter. Of a large one a fixed sample of its numbers is read."""

    name: str
    rms: float
    """Root mean square before the step."""
    gradient: float = _NAN
    """Root mean square of `.grad` at `optimizer.step()`; NaN: `.grad` is None."""
    update: float = _NAN
    """Root mean square of its change in the step; NaN: not seen."""
    moved: bool | None = None
    """Whether any number changed; None: not seen."""
    reached: bool | None = None
    """Whether backward reached it in this step; None: not seen."""
    distance: float = _NAN
    """Root mean square of its difference from the first look."""


@dataclass(frozen=True)
class LossInput:
    """What the loss got, where it is a module, or where the model's output and `watch.step` tell it."""

    output_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    target_type: str
    """"float32", "int64", ..."""
    target_integers: bool = False
    """Whether all targets are whole numbers."""
    broadcast: bool = False
    """Whether the loss compares shapes elementwise that differ, so that one is broadcast against the other."""
    low: float = _NAN
    """Smallest output."""
    high: float = _NAN
    """Largest output."""
    target_low: float = _NAN
    target_high: float = _NAN
    target_mean: float = _NAN
    target_deviation: float = _NAN
    output_mean: float = _NAN
    output_deviation: float = _NAN
    """Standard deviation of all outputs."""
    spread: float = _NAN
    """Standard deviation of the outputs between samples (root of the mean variance over all other axes)."""
    row_sum: float = _NAN
    """Mean over rows of Σ outputs over the classes; 1 for probabilities."""
    row_sum_deviation: float = _NAN
    """Standard deviation of these sums."""
    row_exp_sum: float = _NAN
    """Mean over rows of Σ exp(outputs) over the classes; 1 for log-probabilities."""
    activation: str = ""
    """The last operation on the outputs where it is an activation: softmax, log_softmax, sigmoid, relu, tanh, ..."""
    activation_place: str = ""
    """The module that did it; empty where it was a function."""
    activated_before: str = ""
    """The activation right below it, with nothing but reshapes between them."""
    axis: int | None = None
    """The axis of that softmax, counted from 0."""
    axis_size: int = 0
    """Number of entries along that axis; a softmax over one entry is constant."""
    operations: tuple[str, ...] = ()
    """Autograd operations between the outputs and the last modules, as in `PlaceStatistics`."""
    follows: tuple[str, ...] = ()
    """The places of these modules."""
    from_seen_output: bool = True
    """Whether the graph of the loss leads to the output of the watched model."""


@dataclass(frozen=True)
class BatchStatistics:
    """The batch of a look: the first tensor that the model got, and the targets."""

    shape: tuple[int, ...]
    type: str
    """"float32", "int64", ..."""
    rms: float = _NAN
    mean: float = _NAN
    deviation: float = _NAN
    largest: float = _NAN
    finite: bool = True
    column_means: tuple[float, ...] = ()
    """Mean of each column of inputs (rows, columns) with at most 512 columns."""
    column_deviations: tuple[float, ...] = ()
    rows: tuple[float, ...] = ()
    """A fingerprint of each row, in the order of the batch, of at most 512 rows: equal rows have equal ones."""
    targets: tuple[float, ...] = ()
    """The targets in the same order, where each row has a single one; else the mean of each row."""
    classes: dict[str, int] = field(default_factory=dict)
    """Number of rows by class, for whole targets of at most 1000 values."""


@dataclass(frozen=True)
class Nonfinite:
    """Where the first NaN or infinity arose."""

    place: str
    """The module, the parameter, "input", "target" or "loss"."""
    direction: Direction
    """Which way the numbers ran: the module's inputs were finite (forward), or the delta of its outputs (backward)."""
    step: int
    exact: bool = True
    """Whether `step` was looked at as it happened; False: the place was found by a replay or in a later step."""


@dataclass(frozen=True)
class Look:
    """One step that was looked at."""

    step: int
    """Number of steps before it."""
    source: Literal["hooks", "replay"]
    loss: float = _NAN
    """The loss tensor on which `backward` was called, where `watch.step` tells it; else what the loss module gave."""
    loss_added: float = _NAN
    """What the loop adds to the loss module's value before `backward`: a penalty, or another loss. NaN where
    `watch.step` does not tell the loss, or where the module is called more than once."""
    loss_scale: float = _NAN
    """d(the tensor on which `backward` was called)/d(what the loss module gave): 1, or 1/16 of a loss that is divided
    by 16, or 65536 of a scaled one."""
    backwards: int = 1
    """Number of backward passes since the step before (gradient accumulation)."""
    forwards: int = 1
    """Number of forward passes with a graph since the step before."""
    stale_gradient: float = _NAN
    """|.grad when the first backward pass after the step before begins| / |what this pass adds|: 0 where gradients are
    reset, else 1, 2, 3, ..."""
    raw_gradient: float = _NAN
    """|gradient| over the optimizer's parameters when backward ends."""
    gradient: float = _NAN
    """|gradient| when `optimizer.step()` begins; smaller where it was clipped or unscaled."""
    update: float = _NAN
    """|change of the optimizer's parameters|."""
    weights: float = _NAN
    """|the optimizer's parameters| before the step."""
    rates: tuple[float, ...] = ()
    """Learning rate of each parameter group."""
    places: tuple[PlaceStatistics, ...] = ()
    """In the order of the forward pass."""
    parameters: tuple[ParameterStatistics, ...] = ()
    frozen: tuple[str, ...] = ()
    """Parameters of the model with `requires_grad` False."""
    missing: tuple[str, ...] = ()
    """Trainable parameters of the model that the optimizer does not hold."""
    foreign: tuple[str, ...] = ()
    """Shapes of the parameters that the optimizer holds and the model does not have."""
    unused: tuple[str, ...] = ()
    """Trainable parameters of modules that the forward pass did not use."""
    cut: tuple[str, ...] = ()
    """Trainable parameters of modules that it used and that backward did not reach: the graph is cut behind them."""
    cut_by: str = ""
    """What cut it, where that can be told: the first place whose input has lost the graph of the place it follows."""
    evaluating: tuple[str, ...] = ()
    """Modules with another behaviour in training (dropout, normalization) that were in evaluation mode."""
    root_training: bool | None = None
    """`model.training` in the forward pass."""
    loss_input: LossInput | None = None
    loss_operations: tuple[str, ...] = ()
    """Autograd operations between the model's output and the loss that `watch.step` tells, from the loss back."""
    batch: BatchStatistics | None = None
    score: float = _NAN
    """Accuracy or R² of the outputs on the batch, as the model gave them in training."""
    curvature: float = _NAN
    """gᵀHg / |g|², the curvature of the loss along its gradient; only in the first look."""
    signal_to_noise: float = _NAN
    """|g|² divided by the variance of the gradients of single rows, over dense layers with inputs (rows, features)."""
    step_length: float = _NAN
    """Where the step ended on the parabola along it, by the slopes of this batch and the next; see
    `probes.quantities.step_length`. Known one step later."""
    nonfinite: Nonfinite | None = None
    unseen: tuple[str, ...] = ()
    """What could not be seen in this look, and why, in words."""

    @property
    def first_pass(self) -> tuple[PlaceStatistics, ...]:
        """The places of the first forward pass: a network that is used several times in a step is none of its depth."""
        return tuple(place for place in self.places if place.pass_number == 1)


# Epochs ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SetScores:
    """The model on some rows, without a graph."""

    rows: int
    loss: float = _NAN
    """By the loss function, on the model's outputs."""
    score: float = _NAN
    """Accuracy or R²."""
    balanced_score: float = _NAN
    """Mean recall of the classes, or R²."""
    constant_score: float = _NAN
    """`balanced_score` of the best constant output."""
    classes: dict[str, int] = field(default_factory=dict)
    """Number of rows by class."""
    predicted: dict[str, int] = field(default_factory=dict)
    """Number of rows by predicted class."""
    recalls: dict[str, float] = field(default_factory=dict)
    """Fraction of the rows of each class that are predicted as it."""
    spread: float = _NAN
    """Standard deviation of the outputs between rows."""
    level: float = _NAN
    """Root mean square of the outputs."""
    input_mean: float = _NAN
    input_deviation: float = _NAN
    column_means: tuple[float, ...] = ()
    column_deviations: tuple[float, ...] = ()
    target_mean: float = _NAN
    target_deviation: float = _NAN
    row_fingerprints: tuple[float, ...] = ()
    """Of at most 512 rows, as in `BatchStatistics.rows`."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """Counts by true (row) and predicted (column) class, of at most 64 classes."""

    @property
    def share(self) -> float:
        """The part of the gap between the best constant output and a perfect score that `balanced_score` closes."""
        gap = 1 - self.constant_score
        return (self.balanced_score - self.constant_score) / gap if gap > 0 else _NAN


@dataclass(frozen=True)
class WatchedEpoch:
    """What `watch.epoch` tells."""

    epoch: int
    """Number of epochs before it."""
    step: int
    """Number of steps so far."""
    steps: int
    """Steps in this epoch."""
    loss: float
    """Mean of the losses of its steps; NaN: no loss was seen."""
    root_training: bool
    """`model.training` when `watch.epoch` was called."""
    evaluated_in_training: int = 0
    """Forward passes of the user's own without gradients while `model.training`, since the epoch before."""
    training: SetScores | None = None
    """The latest batches of the training in evaluation mode."""
    training_as_trained: SetScores | None = None
    """The same batches in training mode."""
    validation: SetScores | None = None
    """The validation rows in evaluation mode."""
    validation_as_found: SetScores | None = None
    """The validation rows in the mode in which the model was found; None where that is evaluation mode."""


@dataclass(frozen=True)
class ReferenceScores:
    """How well a random forest predicts the targets of rows that it has not seen (cross-validated)."""

    training: float = _NAN
    """Balanced accuracy or R² on the latest rows of the training."""
    training_error: float = _NAN
    """Its standard error."""
    training_constant: float = _NAN
    """The score of the best constant output there."""
    training_line: float = _NAN
    """The score of the best straight line on its own rows."""
    validation: float = _NAN
    """The same of the validation rows, by a forest of their own."""
    validation_error: float = _NAN
    validation_constant: float = _NAN
    rows: int = 0
    """Number of rows of the training."""


# All of it ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WatchedTraining:
    """Everything that a watch has seen; `watching.measurements` makes the doctor's measurements of it."""

    model: WatchedModel
    looks: tuple[Look, ...] = ()
    epochs: tuple[WatchedEpoch, ...] = ()
    final: WatchedEpoch | None = None
    """The model when the diagnosis was made or the watch was closed; None: one of `epochs` was scored as late."""
    losses: tuple[float, ...] = ()
    """The loss of each step (steps,): what `watch.step` tells, else what the loss module gave; NaN: none was seen."""
    rates: tuple[tuple[int, tuple[float, ...]], ...] = ()
    """(step, rates of the groups) of the first step, and of each step before which a rate changed."""
    steps: int = 0
    """Number of optimizer steps."""
    nonfinite: Nonfinite | None = None
    """The first NaN or infinity."""
    reference: ReferenceScores | None = None
    """What a reference learner reaches; None: it was not tried."""
    mixing: str | None = None
    """The first module in which the rows of a batch influence each other in evaluation mode; "output" for a function
    after all modules, "" where none does. None: it was not tried."""
    chance: str | None = None
    """The same of random numbers: the first module whose outputs differ between two passes of the same rows in
    evaluation mode."""
    averaged: SetScores | None = None
    """The latest batches in evaluation mode by the mean outputs of several passes, where chance takes part."""
    faults: tuple[str, ...] = ()
    """Errors inside of the watch, which has switched itself off; the user's training went on."""
    remarks: tuple[str, ...] = ()
    """What could not be watched, and why."""
