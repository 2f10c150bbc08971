"""Checks of what the loss gets: shapes, activations, targets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...doctor.findings import Finding
from ...pages.numbers import number, percent
from ..facts import LossInput
from ..measurements.watch_measurements import WatchMeasurements
from ..registry import watch_check
from .common import BROKEN, MOST, line, loss_inputs
from .graph_checks import softmax_places

# Sums of 32-bit (or 16-bit) probabilities differ from 1 by less.
_ROUNDING = 0.01
# Of fewer rows a renaming may help by chance.
_FEW_ROWS = 30
_SAMPLES = 0
_CLASSES = 1
_SOFTMAXES = ("softmax", "log_softmax")
_BOUNDED = ("softmax", "sigmoid", "tanh", "hardsigmoid", "hardtanh", "softsign")
# Autograd's operations of losses on logits.
_OF_LOGITS = {"binarycrossentropywithlogits", "logsoftmax"}
_WHOLE_CLASSES = ("CrossEntropyLoss", "cross_entropy", "NLLLoss", "nll_loss")
_BINARY = ("BCELoss", "binary_cross_entropy", "BCEWithLogitsLoss", "binary_cross_entropy_with_logits")
_SIGNS = ("SoftMarginLoss", "soft_margin_loss", "HingeEmbeddingLoss", "hinge_embedding_loss")


def _always(inputs: tuple[LossInput, ...], signs: list[bool]) -> bool:
    return bool(inputs) and float(np.mean(signs)) > 1 - _ROUNDING


@watch_check(
    code="target-broadcast",
    stage="during training",
    rank=21,
    meaning="the outputs and the targets have different shapes, so that the loss compares each row with all others",
    advice="`loss_fn(model(x).squeeze(1), y)`",
    explains=BROKEN,
)
def target_broadcast(m: WatchMeasurements) -> Iterator[Finding]:
    """Outputs and targets that the loss broadcasts against each other."""
    inputs = loss_inputs(m)
    if not inputs or np.mean([given.broadcast for given in inputs]) < MOST:
        return
    given = next(given for given in inputs if given.broadcast)
    yield target_broadcast.finding(
        severity=m.proven(),
        place="loss",
        value=float(len(given.output_shape) - len(given.target_shape)),
        measured=f"outputs of shape {given.output_shape}, targets of shape {given.target_shape}",
        normal="equal shapes: a loss of numbers compares outputs and targets one by one",
        sentence="The loss compares each output with the targets of all rows, so the best output is their mean.",
        remedies=line("loss = loss_fn(model(x).view_as(y), y)"),
    )


@watch_check(
    code="single-softmax",
    stage="during training",
    rank=23,
    meaning="a softmax over a single output is constant",
    advice="one output with `nn.BCEWithLogitsLoss()`, or an output for each class with `nn.CrossEntropyLoss()`",
    explains=(*BROKEN, "label-coding"),
)
def single_softmax(m: WatchMeasurements) -> Iterator[Finding]:
    """A softmax over one number, in the model or in the loss."""
    inputs = loss_inputs(m)
    fused = m.model.loss.kind in ("CrossEntropyLoss", "cross_entropy")

    def single(given: LossInput) -> bool:
        alone = given.activation in _SOFTMAXES and given.axis_size == 1 and given.axis != _SAMPLES
        classes = given.output_shape[_CLASSES] if len(given.output_shape) > 1 else 0
        return alone or (fused and classes == 1)

    if not _always(inputs, [single(given) for given in inputs]):
        return
    given = inputs[0]
    own = given.activation in _SOFTMAXES and given.axis_size == 1
    yield single_softmax.finding(
        severity=m.proven(),
        place=(given.activation_place or "output") if own else "loss",
        value=1.0,
        measured=f"{given.activation.replace('_', '-') if own else m.model.loss.kind} over 1 output",
        normal="a softmax over at least two outputs: it divides a sum of 1 among them",
        sentence="A softmax over a single output is always 1: no gradient passes, and no weight ever moves.",
        remedies=line("loss_fn = nn.BCEWithLogitsLoss()  # on the output of the last nn.Linear(..., 1)"),
    )


@watch_check(
    code="wrong-axis",
    stage="during training",
    rank=22,
    meaning="a softmax runs over the samples or another axis instead of the classes",
    advice="`dim=1` (the classes) instead of `dim=0` (the samples)",
    explains=(*BROKEN, "activated-twice", "log-missing", "single-softmax", "mixed-rows"),
)
def wrong_axis(m: WatchMeasurements) -> Iterator[Finding]:
    """A softmax over samples, or over another axis than that of the classes."""
    inputs = loss_inputs(m)
    if _always(inputs, [_is_over_other_axis(m, given) for given in inputs]):
        given = inputs[0]
        yield _over_axis(m, given.activation_place or "output", given.activation, given.axis, given.output_shape)
    elif inputs and (place := _units_elsewhere(m, inputs[0])):
        yield _over_axis(m, place, "softmax", _CLASSES, inputs[0].output_shape)
    elif m.watched.mixing and m.watched.mixing in softmax_places(m):
        yield _over_axis(m, m.watched.mixing, "softmax", _SAMPLES, ())


def _is_over_other_axis(m: WatchMeasurements, given: LossInput) -> bool:
    """A softmax at the output over samples, or whose results do not sum to 1 over the classes of the loss."""
    if given.activation not in _SOFTMAXES or given.axis is None or not given.target_shape:
        return False
    if given.axis == _SAMPLES:
        return True
    total = given.row_exp_sum if given.activation == "log_softmax" else given.row_sum
    return m.model.loss.kind in _WHOLE_CLASSES and abs(total - 1) > _ROUNDING


def _units_elsewhere(m: WatchMeasurements, given: LossInput) -> str:
    """The last layer, if its units are the last axis of the outputs and the loss compares those along the second."""
    if m.model.loss.kind not in _WHOLE_CLASSES or len(given.output_shape) < 3 or len(given.follows) != 1:
        return ""
    last = next((place for place in m.watched.looks[0].places if place.place == given.follows[0]), None)
    is_dense = last is not None and last.role in ("dense", "recurrent", "attention")
    return given.follows[0] if is_dense and not given.operations else ""


def _over_axis(m: WatchMeasurements, place: str, kind: str, axis: int | None, shape: tuple[int, ...]) -> Finding:
    return wrong_axis.finding(
        severity=m.proven(),
        place=place,
        value=float(axis or 0),
        measured=f"{kind.replace('_', '-')} over axis {axis}" + (f" of an output of shape {shape}" if shape else ""),
        normal="over the classes, each row on its own",
        sentence="The outputs of a row depend on the other rows of its batch, and do not compare the classes."
        if axis == _SAMPLES
        else "The outputs do not compare the classes with each other.",
        remedies=line(f"torch.{kind}(x, dim=1)  # the axis of the classes"),
    )


@watch_check(
    code="log-missing",
    stage="during training",
    rank=25,
    meaning="the loss takes log-probabilities and gets probabilities or scores",
    advice="`F.log_softmax(x, dim=1)` before `nn.NLLLoss()`, or `nn.CrossEntropyLoss()` on the scores",
    explains=BROKEN,
)
def log_missing(m: WatchMeasurements) -> Iterator[Finding]:
    """Outputs whose exponentials do not sum to 1, before a loss on log-probabilities."""
    inputs = loss_inputs(m)
    takes_logs = m.model.loss.takes == "log_probabilities"
    if not takes_logs or not _always(inputs, [abs(given.row_exp_sum - 1) > _ROUNDING for given in inputs]):
        return
    given = inputs[-1]
    probabilities = abs(given.row_sum - 1) < _ROUNDING and given.low >= 0
    yield log_missing.finding(
        severity=m.proven(),
        place="loss",
        value=given.row_exp_sum,
        measured=f"the exponentials of a row sum to {number(given.row_exp_sum, 3)}"
        + (", the outputs themselves to 1" if probabilities else ""),
        normal="1: the loss takes the logarithms of probabilities",
        sentence=f"{m.model.loss.kind} gets {'probabilities' if probabilities else 'scores'} instead of their "
        "logarithms, so its gradient does not grow for wrong answers.",
        remedies=line("loss_fn = nn.CrossEntropyLoss()  # on the output of the last layer, without softmax"),
    )


@watch_check(
    code="activated-twice",
    stage="during training",
    rank=26,
    meaning="softmax or sigmoid is applied twice: before a loss that applies it itself, or one upon the other",
    advice="leave out the softmax or the sigmoid: `nn.CrossEntropyLoss()` and `nn.BCEWithLogitsLoss()` take logits",
    explains=BROKEN,
)
def activated_twice(m: WatchMeasurements) -> Iterator[Finding]:
    """Squashed outputs before a loss on logits."""
    inputs = loss_inputs(m)
    if twice := next((given for given in inputs if _is_squashed_twice(given)), None):
        yield _of_two(m, twice)
        return
    if not inputs or not _takes_logits(m):
        return

    def probabilities(given: LossInput) -> bool:
        sums = given.row_sum_deviation < _ROUNDING and abs(given.row_sum - 1) < _ROUNDING
        several = len(given.output_shape) > 1 and given.output_shape[_CLASSES] > 1
        return several and given.low >= 0 and sums and given.output_deviation > 0

    kind = inputs[0].activation
    squashed = _always(inputs, [given.activation in _BOUNDED for given in inputs])
    if not squashed and not _always(inputs, [probabilities(given) for given in inputs]):
        return
    low, high = min(given.low for given in inputs), max(given.high for given in inputs)
    sums = ", and sum to 1 in each row" if probabilities(inputs[-1]) else ""
    yield activated_twice.finding(
        severity=m.proven(),
        place=inputs[0].activation_place or "output",
        value=high,
        measured=f"outputs of {kind or 'a softmax'} before {m.model.loss.kind}: they lie between {number(low, 3)} and "
        f"{number(high, 3)}{sums}",
        normal="logits: numbers of both signs and any size",
        sentence="The loss applies its own softmax or sigmoid. On outputs that are squashed already its answers can "
        "never be certain, and its gradient stays small.",
        remedies=line(
            f"# leave out {kind or 'softmax'} before {m.model.loss.kind}; apply it to read probabilities only"
        ),
    )


def _is_squashed_twice(given: LossInput) -> bool:
    squashing = ("softmax", "sigmoid")
    return given.activated_before in squashing and given.activation in (*squashing, "log_softmax", "log_sigmoid")


def _of_two(m: WatchMeasurements, given: LossInput) -> Finding:
    first, second = (name.replace("_", "-") for name in (given.activated_before, given.activation))
    return activated_twice.finding(
        severity=m.proven(),
        place=given.activation_place or "output",
        value=given.high,
        measured=f"{second} of {first}: the outputs lie between {number(given.low, 3)} and {number(given.high, 3)}",
        normal=f"{second} of numbers of both signs and any size",
        sentence=f"The {second} gets numbers between 0 and 1, so its answers can never be certain.",
        remedies=line(f"# leave out the {first}"),
    )


def _takes_logits(m: WatchMeasurements) -> bool:
    """Whether the loss applies softmax or sigmoid, by its name or by its own operations."""
    loss = m.model.loss
    operations = m.watched.looks[0].loss_operations
    return loss.takes == "logits" or (not loss.takes and bool({*operations} & _OF_LOGITS))


@watch_check(
    code="label-coding",
    stage="during training",
    rank=24,
    meaning="the targets are coded otherwise than the loss reads them, or otherwise in the validation rows",
    advice="targets of 0 and 1 for `nn.BCEWithLogitsLoss()`, of 0 to K - 1 for `nn.CrossEntropyLoss()`; one coding for "
    "all rows",
    explains=(*BROKEN, "mismatch", "validation-prepared-otherwise"),
)
def label_coding(m: WatchMeasurements) -> Iterator[Finding]:
    """Targets outside of what the loss is defined for."""
    inputs = loss_inputs(m)
    kind = m.model.loss.kind
    if not inputs:
        return
    low, high = min(given.target_low for given in inputs), max(given.target_high for given in inputs)
    soft = kind in _WHOLE_CLASSES and inputs[0].output_shape == inputs[0].target_shape
    if (kind in _BINARY or soft) and (low < 0 or high > 1):
        normal, reads = "0 to 1", "probabilities"
    elif kind in _SIGNS and low == 0 and high == 1:
        normal, reads = "-1 and 1", "signs"
    else:
        return
    yield label_coding.finding(
        severity=m.proven(),
        place="targets",
        value=low if low < 0 else high,
        measured=f"targets from {number(low, 3)} to {number(high, 3)}",
        normal=f"{normal}: {kind} reads targets as {reads}",
        sentence="The loss rewards outputs that are wrong, or of any size, for such targets.",
        remedies=line("y = (y > 0).float()  # 0 and 1" if reads == "probabilities" else "y = 2 * y - 1  # -1 and 1"),
    )


@watch_check(code="label-coding", stage="during training")
def permuted_classes(m: WatchMeasurements) -> Iterator[Finding]:
    """Validation rows whose classes the network tells apart, under other codes."""
    if m.validation is None or len(m.validation.confusion) < 2 or m.validation.rows < _FEW_ROWS:
        return
    counts = np.array(m.validation.confusion, float)
    # Only classes that occur count; a class that has a code of its own is no evidence.
    total = counts.sum()
    right = np.trace(counts) / total
    # No renaming is right for more rows than this. SciPy is loaded into the user's process only where one may help.
    if min(counts.max(axis=0).sum(), counts.max(axis=1).sum()) / total - right < MOST:
        return
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-counts)
    renamed = counts[rows, columns].sum() / total
    occur = int((counts.sum(axis=1) > 0).sum())
    if occur < 2 or renamed - right < MOST or renamed < MOST:
        return
    yield permuted_classes.finding(
        severity="severe",
        place="validation targets",
        value=float(renamed - right),
        measured=f"{percent(right, 2)} of the validation rows are right, and {percent(renamed, 2)} if the classes are "
        "renamed: "
        + ", ".join(f"{row} is {column}" for row, column in zip(rows, columns, strict=True) if row != column),
        normal="the same codes in all sets: no renaming helps",
        sentence="The network tells the classes of the validation rows apart, but their codes are not those of the "
        "training rows.",
        remedies=line("codes = {name: i for i, name in enumerate(sorted(set(names)))}  # once, for all rows"),
    )
