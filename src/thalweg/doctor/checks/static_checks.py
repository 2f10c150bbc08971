"""Checks of the spec before training, and of the sizes of inputs and targets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...pages.numbers import count_noun, measure_name, number, percent
from ..findings import Finding
from ..measurements import Measurements
from ..normal import NormalRange, normal
from ..registry import STUCK, UNSTABLE, check

# Losses for numbers, which checks tell apart by name.
_ERRORS_OF_VALUES = ("mean_absolute_error", "mean_squared_error", "half_mean_squared_error", "huber")
_HIGH_DROPOUT = 0.8
_SEVERAL = 0.05
_FEW_TARGETS = 0.01
_MANY_CLASSES = 2


@check(
    code="output-activation",
    stage="before training",
    rank=40,
    meaning="the output activation cannot produce the targets, does not suit the loss, or passes no gradient",
    advice="softmax, sigmoid or a linear output, with the loss that goes with it",
    explains=(STUCK, "dying-relu", "lr-too-low", "loss-at-start", "loss", "epochs-too-few", "vanishing"),
    pytorch="nothing after the last `nn.Linear`; `nn.MSELoss()`, `nn.CrossEntropyLoss()`, `nn.BCEWithLogitsLoss()`",
)
def output_activation(m: Measurements) -> Iterator[Finding]:
    """The output activation against the loss and the targets: the first rule that applies gives the finding."""
    if m.loss_takes == "scores":
        return
    rules = (
        _softmax_of_one,
        _softmax_of_labels,
        _not_probabilities,
        _activated_logits,
        _unreachable_targets,
        _dying_output,
        _independent_classes,
    )
    for rule in rules:
        if finding := rule(m):
            yield finding
            return


def _softmax_of_one(m: Measurements) -> Finding | None:
    if not m.output.sums_to_one or m.outputs != 1:
        return None
    return output_activation.finding(
        severity="severe",
        place=m.output.place,
        value=1.0,
        measured=f"{m.output.kind} over 1 output",
        normal="a sigmoid for one output: a softmax divides a sum of 1 among its outputs and needs at least two",
        sentence="A softmax over a single output is always 1: no gradient passes, and no weight ever moves.",
        remedies=(m.remedies.output(),),
    )


def _softmax_of_labels(m: Measurements) -> Finding | None:
    if not m.output.sums_to_one or m.task != "multilabel":
        return None
    several = 1 - m.single_label_rows if np.isfinite(m.single_label_rows) else 0.0
    return output_activation.finding(
        # The outputs cannot fit the rows with several labels, however well they fit the others.
        severity="severe" if not m.learns else "warning" if several > _SEVERAL else "note",
        place=m.output.place,
        value=several,
        measured=f"{m.output.kind}, and {percent(several, 2)} of the rows do not have exactly one label",
        normal="a sigmoid for each of the independent labels: the outputs of a softmax share a sum of 1",
        sentence="The labels are independent of each other, but one output of a softmax grows only as others shrink.",
        remedies=(m.remedies.output(),),
    )


def _not_probabilities(m: Measurements) -> Finding | None:
    low, high = m.output.output_range
    if m.loss_takes != "probabilities" or (low >= 0 and high <= 1):
        return None
    return output_activation.finding(
        severity=m.severity(certain=True),
        place=m.output.place,
        value=float("nan"),
        measured=f"{m.output.kind} before {measure_name(m.loss)}, which takes probabilities",
        normal=f"{m.remedies.suited_output}, whose outputs lie between 0 and 1",
        sentence="The loss takes probabilities. Outputs outside of 0 to 1 are clipped and pass no gradient.",
        remedies=(m.remedies.output(),),
    )


def _activated_logits(m: Measurements) -> Finding | None:
    # Logits have both signs: any output that cannot be negative was squashed or cut off.
    if m.loss_takes != "logits" or m.output.output_range[0] < 0:
        return None
    return output_activation.finding(
        severity=m.severity(),
        place=m.output.place,
        value=float("nan"),
        measured=f"{m.output.kind} before {measure_name(m.loss)}, which takes logits",
        normal="no activation before a loss that applies its own",
        sentence="The loss applies its own activation, so the outputs are activated twice or cannot be negative.",
        remedies=(m.remedies.output(),),
    )


def _unreachable_targets(m: Measurements) -> Finding | None:
    outside = m.targets_out_of_range
    if m.task != "regression" or not outside > _FEW_TARGETS:
        return None
    low, high = m.output.output_range
    return output_activation.finding(
        severity=m.severity(certain=outside > _SEVERAL),
        place=m.output.place,
        value=outside,
        measured=f"{percent(outside, 2)} of the targets lie outside the range of {m.output.kind} "
        f"({number(low)} to {number(high)})",
        normal="an output that reaches all targets: linear for numbers",
        sentence="The output cannot reach these targets, whatever the weights are.",
        remedies=(m.remedies.output(),),
    )


def _dying_output(m: Measurements) -> Finding | None:
    if not m.output.can_die or m.outputs != 1:
        return None
    return output_activation.finding(
        severity=m.severity(),
        place=m.output.place,
        value=0.0,
        measured=f"{m.output.kind} as the output",
        normal="a linear output for numbers, a sigmoid for two classes",
        sentence="Where its output is 0, this activation passes no gradient: an output of 0 for all rows stays there.",
        remedies=(m.remedies.output(),),
    )


def _independent_classes(m: Measurements) -> Finding | None:
    squashes = m.output.saturates and m.output.output_range == (0.0, 1.0)
    if not squashes or m.task != "classification" or m.outputs <= _MANY_CLASSES:
        return None
    return output_activation.finding(
        severity="note",
        place=m.output.place,
        value=float(m.outputs),
        measured=f"{m.outputs} {m.output.kind} units for exclusive classes",
        normal="softmax, whose outputs sum to 1",
        sentence="Each class is predicted on its own; a softmax makes the classes compete.",
        remedies=(m.remedies.output(),),
    )


@check(
    code="encoding-bug",
    stage="before training",
    rank=290,
    meaning="exclusive classes are given as independent labels",
    advice="one column of classes",
)
def encoding(m: Measurements) -> Iterator[Finding]:
    """Classes that are given as labels."""
    if m.single_label_rows == 1:
        yield encoding.finding(
            severity="note",
            place="data.task",
            value=1.0,
            measured=f"each row has exactly one of {m.outputs} labels",
            normal="one column of whole numbers or names for exclusive classes",
            sentence="Each class is a separate column, so the network learns as if a row could have several or none.",
        )


@check(
    code="loss",
    stage="before training",
    rank=52,
    meaning="the loss does not suit the task",
    advice="cross-entropy for classes",
    explains=(STUCK,),
    pytorch="`nn.CrossEntropyLoss()`",
)
def loss(m: Measurements) -> Iterator[Finding]:
    """The loss against the task."""
    if m.task == "regression" or m.loss not in _ERRORS_OF_VALUES:
        return
    absolute = "The absolute error has the same gradient near and far, and is content with a constant output."
    squared = "After a sigmoid or a softmax, the gradient of the squared error vanishes for confident wrong outputs."
    yield loss.finding(
        severity=m.severity(),
        place="loss",
        value=float("nan"),
        measured=f"{measure_name(m.loss)} for classes",
        normal="cross-entropy, whose gradient at the logits is output minus target",
        sentence=absolute if m.loss == "mean_absolute_error" else squared,
        remedies=(m.remedies.output(),),
    )


@check(
    code="init-symmetric",
    stage="before training",
    rank=46,
    meaning="the units of a layer start as copies of each other and stay copies",
    advice="random initial weights",
    explains=(STUCK, "vanishing", "lr-too-low", "epochs-too-few", "init-too-small"),
    pytorch="`nn.init.kaiming_uniform_(layer.weight)`, never one number for all weights",
)
def symmetric_weights(m: Measurements) -> Iterator[Finding]:
    """Hidden units that start as copies of each other."""
    if copies := m.identical_units:
        yield symmetric_weights.finding(
            severity="severe",
            place=copies.place,
            value=1.0,
            measured=f"all {copies.units} units start with the same incoming and outgoing weights",
            normal="random weights: units that start alike get the same gradient and stay alike",
            sentence="The units of this layer always compute the same: the layer can do no more than a single unit.",
            remedies=(m.remedies.init(),),
        )


@check(
    code="missing-input-scaling",
    stage="before training",
    rank=32,
    meaning="the inputs are far from 1 in size, or far from 0 on average",
    advice='`data.scale = "standard"`',
    explains=(STUCK, UNSTABLE, "epochs-too-few", "lr-too-low"),
    pytorch="`x = (x - mean) / std`, with the mean and deviation of the training rows",
)
def input_scale(m: Measurements) -> Iterator[Finding]:
    """Size, offset and unevenness of the inputs."""
    usual = normal("input_size").far()
    near = normal("input_offset").far().high
    if m.standardized_inputs or not m.column_deviations.any():
        return
    small = float(np.sqrt(np.mean(m.column_sizes**2))) < usual.low
    far = m.input_offset > near
    if not (m.input_size > usual.high or far or small):
        return
    sizes = m.column_sizes[m.column_deviations > 0]
    largest = m.column_names[int(np.argmax(m.column_sizes))]
    signs = [f"inputs of up to {number(m.input_size, 3)} (root mean square of {largest})"]
    signs += [f"{number(m.input_offset, 3)} times as far from 0 as they vary"] if far else []
    if sizes.max() > usual.high * sizes.min():
        signs.append(f"columns of {number(sizes.min(), 2)} to {number(sizes.max(), 2)}")
    yield input_scale.finding(
        severity=m.severity(certain=m.input_size > usual.high**2 or m.input_offset > near**2 or small),
        place="data.scale",
        value=m.input_size,
        measured="; ".join(signs),
        normal="about 1, and around 0: initializers assume inputs of mean square 1, and one rate serves all columns",
        sentence="The first layer gets numbers that its initial weights and its learning rate are not made for: units "
        "saturate or die, and steps are too long along large columns and too short along small ones.",
        remedies=(m.remedies.scale(),),
    )


@check(
    code="missing-target-scaling",
    stage="before training",
    rank=34,
    meaning="the targets of a regression are far from 1 in size",
    advice="standardized targets",
    explains=(STUCK, UNSTABLE, "epochs-too-few", "lr-too-low"),
    pytorch="`y = (y - mean) / std`",
)
def target_scale(m: Measurements) -> Iterator[Finding]:
    """Size of the targets of a regression."""
    usual = normal("target_size").far()
    if not (m.target_size > usual.high or 0 < m.target_size < usual.low):
        return
    far = m.target_size > usual.high**2 or m.target_size < usual.low**2
    if not far and not _size_explains(m):
        return
    yield target_scale.finding(
        severity=m.severity(certain=m.target_size > usual.high**2),
        place="data.scale",
        value=m.target_size,
        measured=f"targets of {number(m.target_size, 3)} (root mean square) with a standard deviation of "
        f"{number(m.target_deviation, 3)}",
        normal="about 1: outputs are about 1 at the start, and the gradient is proportional to the error",
        sentence="Errors as large as these targets make the steps too long, or take more steps of bounded size than "
        "the training has.",
        remedies=(m.remedies.scale(),),
    )


def _size_explains(m: Measurements) -> bool:
    """Whether weights that moved have left the outputs at another size than the targets; True before a training."""
    if m.end is None:
        return True
    if m.moved < normal("moved").low:
        return False
    same = NormalRange(1.0, 1.0).far()
    return not same.low <= m.end.level / m.target_size <= same.high


@check(
    code="step-activation",
    stage="before training",
    rank=38,
    meaning="a hidden activation has slope 0 everywhere and passes no gradient",
    advice="relu or tanh",
    explains=(STUCK, "vanishing", "dying-relu", "lr-too-low", "epochs-too-few"),
)
def flat_activation(m: Measurements) -> Iterator[Finding]:
    """Hidden activations without a slope."""
    flat = [layer for layer in m.layers if layer.hidden and layer.above_weights and layer.steepest_slope == 0]
    for layer in flat[:1]:
        yield flat_activation.finding(
            severity=m.severity(certain=True),
            place=layer.place,
            value=0.0,
            measured=f"{layer.kind} has slope 0 everywhere",
            normal="an activation with a slope: relu, tanh",
            sentence="No gradient passes this layer: everything below it keeps its initial weights.",
            remedies=(m.remedies.hidden_units("tanh"),),
        )


@check(
    code="dropout-too-strong",
    stage="before training",
    rank=42,
    meaning="dropout leaves too little of a layer in each step",
    advice="dropout of 0.2 to 0.5",
    explains=(STUCK, UNSTABLE, "overfitting", "epochs-too-few", "lr-too-low"),
    pytorch="`nn.Dropout(0.2)`: the part that is dropped, not the part that is kept",
)
def dropout(m: Measurements) -> Iterator[Finding]:
    """Dropout that leaves hardly anything."""
    strongest = max(m.layers, key=lambda layer: layer.drop_rate, default=None)
    if strongest is None or strongest.drop_rate < _HIGH_DROPOUT:
        return
    yield dropout.finding(
        severity=m.severity(),
        place=strongest.place,
        value=strongest.drop_rate,
        measured=f"{percent(strongest.drop_rate, 2)} of the units are dropped in each step",
        normal="0.2 to 0.5",
        sentence="The units that remain in a step are too few to distinguish the rows.",
        remedies=(m.remedies.dropout(0.2),),
    )


@check(
    code="batch-size",
    stage="before training",
    rank=220,
    meaning="the batch size exceeds the number of rows",
    advice="smaller batches",
)
def batch_size(m: Measurements) -> Iterator[Finding]:
    """The batch size against the number of rows."""
    if m.batch_size is not None and m.batch_size > m.rows > 100:
        yield batch_size.finding(
            severity="note",
            place="training.batch_size",
            value=float(m.batch_size),
            measured=f"a batch size of {m.batch_size} for {count_noun(m.rows, 'row')}",
            normal="a batch size below the number of rows",
            sentence="Each batch holds all rows, so there is one update per epoch.",
            remedies=(m.remedies.batch(32),),
        )
