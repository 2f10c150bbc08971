"""Checks of the sets: whether validation and test rows are of the kind of the training rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...pages.numbers import measure_name, measure_value, number, percent
from ..attainable import UncertainScore
from ..findings import Finding, Severity
from ..measurements import LEARNED, Measurements
from ..registry import SPOILED, STUCK, UNSTABLE, check
from ..rows.set_differences import SetShift
from ..rows.spoiled_rows import Part, SpoiledRows
from .row_checks import above, closed, listed

_FEW_HELD_OUT = 30
_SHIFTED = 1.0
_WORSE = 1.25
_HELD_OUT = ("validation", "test")
# Training rows that cost this part of the shortfall on other rows explain it.
_MOST = 0.5
_SPOILED: dict[Part, tuple[str, str]] = {
    "inputs": (
        "their inputs are of another kind",
        "They were measured, scaled, cut, joined or filled in otherwise in the training rows.",
    ),
    "targets": (
        "their targets are of another kind",
        "They were measured, averaged, cut or named otherwise in the training rows.",
    ),
    "relation": (
        "inputs and targets look alike in both, each by themselves",
        "Targets of the training rows are wrong, or belong to other rows.",
    ),
}


@check(
    code="mismatch",
    stage="during training",
    rank=261,
    meaning="the validation or test rows differ in kind from the training rows",
    advice="another split",
    explains=("memorised", "overfitting"),
    pytorch="`torch.utils.data.random_split(dataset, [0.8, 0.2])`",
)
def shifted_rows(m: Measurements) -> Iterator[Finding]:
    """Validation and test rows of another kind than the training rows."""
    for name in _HELD_OUT:
        value, signs = _of_inputs(m, name)
        if signs:
            yield _mismatch(m, name, "warning" if _costs(m, name) else "note", value, signs)
    if m.missing_classes and m.validation_rows >= _FEW_HELD_OUT:
        missing = f"classes of the validation rows that occur in no training row: {number(m.missing_classes)}"
        yield _mismatch(m, "validation", "warning", float(m.missing_classes), missing)


@check(code="mismatch", stage="during training")
def shifted_targets(m: Measurements) -> Iterator[Finding]:
    """Validation and test rows whose targets have another distribution."""
    for name in _HELD_OUT:
        value, sign = _of_targets(m, name)
        if sign:
            # Balanced accuracy does not show what other frequencies cost; the loss does.
            costs = _worse(m, name) if name in m.frequency_differences else _costs(m, name)
            yield shifted_targets.finding(
                severity="warning" if costs else "note",
                place="data.target",
                value=value,
                measured=f"{name} rows: {sign}",
                normal="the same distribution of targets in all sets, except for chance",
                sentence=f"The targets of the {name} rows are of another kind than those of the training rows: other "
                "rows were collected, or the targets were measured, cut or named otherwise.",
                remedies=(m.remedies.random_split(),),
            )


@check(code="mismatch", stage="during training")
def broken_relation(m: Measurements) -> Iterator[Finding]:
    """Validation and test rows that look alike, and for which what the training rows tell does not hold.

    A reference learner shows it, or the network itself on two sets that no step has seen.
    """
    for name in _HELD_OUT:
        if m.learned is None or not _harmed(m, name) or _of_inputs(m, name)[1] or _of_targets(m, name)[1]:
            continue
        validation, test = (m.held_out_scores.get(of) for of in _HELD_OUT)
        transfer = m.transfers.get(name)
        if transfer is not None and _falls(m, transfer.known, transfer.there):
            known, there = transfer
            who = "a random forest of the training rows", "on unseen ones of them"
        elif name == "test" and validation is not None and test is not None and _falls(m, validation, test):
            known, there = validation, test
            who = "the network", "on the validation rows"
        else:
            continue
        before, after = (measure_value(m.learned.measure, one.value, digits=3) for one in (known, there))
        yield broken_relation.finding(
            severity="warning",
            place=f"data.{name}",
            value=known.value - there.value,
            measured=f"{who[0]} reaches {before} {who[1]}, and {after} on the {name} rows "
            f"({measure_name(m.learned.measure)})",
            normal="about the same score on all rows that it has not seen",
            sentence=f"What inputs tell of targets in the known rows does not hold for the {name} rows.",
            remedies=(m.remedies.random_split(),),
        )


@check(
    code=SPOILED,
    stage="during training",
    rank=43,
    meaning="other rows tell more of themselves than the training rows tell of them, although these are more",
    advice="check how the named part of the training rows was measured, joined and labelled",
    explains=(STUCK, UNSTABLE, "mismatch", "wrong-labels", "memorised", "overfitting", "epochs-too-few", "lr-too-low"),
    explained_by=(
        "out-of-step",
        "filled-targets",
        "outlying-targets",
        "two-kinds-of-rows",
        "target-magnitudes",
        "cut-off-targets",
        "same-classes",
        "outlying-inputs",
        "filled-input",
        "unmeasured-input",
    ),
)
def spoiled_training_rows(m: Measurements) -> Iterator[Finding]:
    """Training rows with a fault that other rows do not have, whatever it is. No change of a training mends it."""
    found = m.spoiled_rows
    if m.learned is None or found is None:
        return
    name = found.than
    score = m.held_out_scores.get(name, found.there).value
    shortfall = found.own.value - max(score, m.learned.constant)
    own, there = (measure_value(m.learned.measure, one.value, digits=3) for one in (found.own, found.there))
    differs, sentence = _SPOILED[found.part]
    yield spoiled_training_rows.finding(
        severity="severe" if found.lost >= _MOST * shortfall else "warning",
        place=_spoiled_place(found, m.column_names),
        value=found.lost,
        measured=f"a random forest of the training rows reaches {there} on the {name} rows, and one of a part of the "
        f"{name} rows {own} on the others ({measure_name(m.learned.measure)}); {differs}",
        normal="no less than the other rows tell, because the training rows are more",
        sentence=f"The training rows have a fault that the {name} rows do not have. {sentence}",
    )


@check(
    code="drift",
    stage="before training",
    rank=31,
    meaning="what inputs tell of targets changes along the training rows",
    advice="check units and codes along the rows; leave the older ones out; an input that says when",
    explains=(STUCK, "mismatch", "wrong-labels", "memorised", "overfitting"),
)
def drift(m: Measurements) -> Iterator[Finding]:
    """Training rows of which the first half tells little of the second. Where that costs nothing, it is only noted."""
    halves = m.halves
    if m.learned is None or halves is None or not _falls(m, *halves.transfer):
        return
    known, there = (measure_value(m.learned.measure, one.value, digits=3) for one in halves.transfer)
    inputs = f"; {_in_words(halves.inputs, m.column_names)}" if halves.inputs.is_relevant else ""
    costs = not m.learns or any(_harmed(m, name) for name in _HELD_OUT)
    yield drift.finding(
        severity="warning" if costs else "note",
        place="input columns" if inputs else "data.target",
        value=halves.transfer.known.value - halves.transfer.there.value,
        measured=f"a random forest of the first half of the training rows reaches {known} on unseen ones of them, and "
        f"{there} on the second half ({measure_name(m.learned.measure)})" + inputs,
        normal="about the same score on both halves",
        sentence="The relation of inputs and targets changes along the rows, as where a unit, a code or an instrument "
        "was changed.",
    )


def _spoiled_place(found: SpoiledRows, names: Sequence[str]) -> str:
    if found.part != "inputs":
        return "data.target"
    return f"input columns {listed([names[column] for column in found.columns])}" if found.columns else "inputs"


def _of_inputs(m: Measurements, name: str) -> tuple[float, str]:
    """How the inputs of a set differ from those of the training rows: a measure, and words; empty where they do not."""
    signs = []
    value = 0.0
    shift = m.validation_shift if name == "validation" and m.validation_rows >= _FEW_HELD_OUT else None
    if shift is not None and shift.deviations > _SHIFTED:
        value = shift.deviations
        signs.append(f"the mean of {shift.column} differs by {number(value, 2)} standard deviations")
    other = m.set_differences.get(name)
    if other is not None and other.is_relevant:
        value = value or other.distance
        signs.append(_in_words(other, m.column_names))
    return value, "; ".join(signs)


def _of_targets(m: Measurements, name: str) -> tuple[float, str]:
    """The same of the targets."""
    numbers = m.target_differences.get(name)
    if numbers is not None and numbers.is_relevant:
        return numbers.distance, _in_words(numbers, m.target_names)
    classes = m.frequency_differences.get(name)
    if classes is None:
        return 0.0, ""
    words = f"{m.target_names[classes.label]} has {percent(classes.there, 2)} of the rows, and "
    return abs(classes.there - classes.known), words + f"{percent(classes.known, 2)} of the training rows"


def _in_words(shift: SetShift, names: Sequence[str]) -> str:
    return (
        f"the distribution of {names[shift.column]} differs by {percent(shift.distance, 2)}, which chance does in "
        f"{percent(shift.chance, 1)} of such sets"
    )


def _falls(m: Measurements, known: UncertainScore, there: UncertainScore) -> bool:
    """Whether a score is beyond that of a constant output on known rows, and less than two thirds of that remain."""
    constant = m.learned.constant if m.learned else 0.0
    some = above(known, UncertainScore(constant)) and above(known, there)
    return some and closed(there.value, constant, known.value) < LEARNED


def _worse(m: Measurements, name: str) -> bool:
    """Whether the loss of a set is worse than that of the training rows by a relevant amount."""
    return m.final_losses.get(name, 0.0) > _WORSE * m.final_losses.get("training", 0.0)


def _harmed(m: Measurements, name: str) -> bool:
    """Whether loss and score of a set are worse than those of the training rows by a relevant amount."""
    score = m.held_out_scores.get(name)
    return _worse(m, name) and (m.learned is None or score is None or above(UncertainScore(m.learned.score), score))


def _costs(m: Measurements, name: str) -> bool:
    """Whether a set is harmed by a difference: unless a reference learner of the training rows does as well on it."""
    transfer = m.transfers.get(name) if _harmed(m, name) else None
    return _harmed(m, name) and (transfer is None or above(transfer.known, transfer.there))


def _mismatch(m: Measurements, name: str, severity: Severity, value: float, measured: str) -> Finding:
    return shifted_rows.finding(
        severity=severity,
        place="data.split",
        value=value,
        measured=f"{name} rows: {measured}",
        normal="the same classes and distributions in all sets, except for chance",
        sentence=f"The {name} rows differ in kind from the training rows.",
        remedies=(m.remedies.random_split(),),
    )
