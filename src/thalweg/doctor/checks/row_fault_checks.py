"""Checks of faults that lie in single rows and columns. Paired runs without them decide whether they cost anything."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...pages.numbers import count_noun, measure_name, measure_value, number, percent
from ..findings import Finding
from ..measurements import BEYOND_CHANCE, LEAST_GAP, Measurements
from ..registry import STUCK, UNSTABLE, check
from ..rows.row_faults import FilledTargets
from .row_checks import listed

_UNLEARNED = ("data-unlearnable", "plateau", "epochs-too-few", "lr-too-low", "memorised", "overfitting", "imbalance")
_HALF = 1 / 2
_CHANCE = 0.001
_FEW_COLUMNS = 5
_SHOWN = 5


@check(
    code="out-of-step",
    stage="before training",
    rank=1,
    meaning="inputs tell the targets of other rows, a fixed number of rows away, better than their own",
    advice="check how rows and targets were joined; move the targets",
    explains=(STUCK, *_UNLEARNED, "drift", "mismatch", "wrong-labels", "noisy-gradient"),
)
def out_of_step(m: Measurements) -> Iterator[Finding]:
    """Targets that slipped along the rows."""
    shift = m.out_of_step
    if shift is None:
        return
    by = f"{count_noun(abs(shift.by), 'row')} {'further on' if shift.by > 0 else 'before'}"
    yield out_of_step.finding(
        severity="warning",
        place="data.target",
        value=float(shift.by),
        measured=f"inputs tell the targets {by} with R² {number(shift.score, 2)}, their own with R² "
        f"{number(shift.own, 2)}; those of rows far away with at most {number(shift.chance, 2)}",
        normal="the best R² for the target of the own row",
        sentence=f"Rows and targets are out of step: the target that belongs to a row stands {by}, at least in a part "
        "of the rows.",
    )


@check(
    code="filled-targets",
    stage="before training",
    rank=2,
    meaning="many rows share one value of otherwise continuous targets, and the inputs do not tell which rows",
    advice="leave these rows out; read missing targets as missing",
    explains=(STUCK, *_UNLEARNED),
)
def filled_targets(m: Measurements) -> Iterator[Finding]:
    """Missing targets that were filled in with one value. Inputs tell of values that are measured."""
    found = m.filled_targets
    if found is None or inputs_tell(found):
        return
    known = found.others.value > max(LEAST_GAP, BEYOND_CHANCE * found.others.error)
    yield filled_targets.finding(
        severity="warning" if known else "note",
        place="data.target",
        value=found.atom.share,
        measured=f"{percent(found.atom.share, 2)} of the targets are {number(found.original, 4)}, in the training rows "
        f"(from 0) {_rows(found.rows)}; inputs tell which rows these are with balanced accuracy "
        f"{percent(found.told.value, 2)}, and the other values with R² {number(found.others.value, 2)}",
        normal="values of which hardly two are equal, or a frequent value that depends on the inputs",
        sentence="The frequent value was probably filled in where the target was missing; the network learns it as if "
        "it were measured.",
    )


def inputs_tell(found: FilledTargets | None) -> bool:
    """Whether the inputs tell which rows have the frequent value of a target, beyond chance."""
    return found is not None and found.told.value > 1 / 2 + max(LEAST_GAP, BEYOND_CHANCE * found.told.error)


@check(
    code="outlying-targets",
    stage="before training",
    rank=3,
    meaning="few rows, with targets far from what the others suggest, make up most of the squares",
    advice="check these rows; leave them out, or take the logarithm or a robust loss",
    explains=(STUCK, UNSTABLE, *_UNLEARNED, "missing-target-scaling"),
)
def outlying_targets(m: Measurements) -> Iterator[Finding]:
    """Few targets far away, beyond chance where even a heavy tail has no such gap."""
    found = m.far_targets
    if found is None:
        return
    yield outlying_targets.finding(
        severity="warning" if found.chance < _CHANCE and not m.learns else "note",
        place="data.target",
        value=found.distance,
        measured=f"{count_noun(len(found.rows), 'target')} more than {number(found.distance, 2)} robust standard "
        f"deviations from what the inputs suggest: training rows (from 0) {_rows(found.rows)}; they have "
        f"{percent(found.part, 2)} of the squares; a tail P ~ 1 / d² has such a gap with probability "
        f"{number(found.chance, 1)}",
        normal="squares that many rows share",
        sentence="A squared error, the scale of the targets and R² are those of these few rows.",
    )


@check(
    code="few-training-rows",
    stage="before training",
    rank=254,
    meaning="fewer rows train than validate",
    advice="a smaller `data.validation`",
    explains=("memorised", "overfitting"),
)
def few_training_rows(m: Measurements) -> Iterator[Finding]:
    """A held-out part that leaves too few rows for the training."""
    if not 0 < m.rows < m.validation_rows:
        return
    yield few_training_rows.finding(
        severity="note",
        place="data.validation",
        value=m.rows / (m.rows + m.validation_rows),
        measured=f"{count_noun(m.rows, 'row')} to train on, {number(m.validation_rows)} to validate",
        normal="a fifth of the rows, or a thousand, to validate",
        sentence="More rows to train on would teach the network more than more rows to validate can say about it.",
        remedies=(m.remedies.held_out(0.2),),
    )


@check(
    code="unrelated-input",
    stage="before training",
    rank=255,
    meaning="most input columns alone tell nothing of the targets",
    advice="leave them out",
    explains=("memorised", "overfitting"),
)
def unrelated_columns(m: Measurements) -> Iterator[Finding]:
    """Columns without a relation to the targets: noise, which a network learns by heart, or parts of a product."""
    columns = m.unrelated_columns
    if not (_FEW_COLUMNS <= len(columns) < len(m.column_names) and len(columns) > _HALF * len(m.column_names)):
        return
    names = [m.column_names[column] for column in columns]
    yield unrelated_columns.finding(
        severity="note",
        place="input columns",
        value=float(len(columns)),
        measured=f"{len(columns)} of {len(m.column_names)} columns alone tell nothing of the targets: {listed(names)}",
        normal="columns of which most tell something, alone or with others",
        sentence="Columns that tell nothing, not even with others, are noise that the network can learn by heart.",
    )


@check(
    code="filled-input",
    stage="before training",
    rank=39,
    meaning="many rows share one value of an input that is continuous otherwise, or far from all others",
    advice="missing values read as missing; a column that says where they were",
    explains=(STUCK, "linear-fit", "epochs-too-few", "lr-too-low", "memorised", "overfitting"),
)
def filled_inputs(m: Measurements) -> Iterator[Finding]:
    """Missing inputs that were filled in with one value, or a quantity that is often 0.

    A value far from all others decides the scale of its column, in which these are alike then.
    """
    if found := m.filled_inputs:
        parts = [f"{m.column_names[one.column]} ({percent(one.share, 2)})" for one in found]
        yield filled_inputs.finding(
            severity=m.severity() if any(one.is_apart for one in found) else "note",
            place="input columns",
            value=max(one.share for one in found),
            measured=f"one value in many rows: {listed(parts)}",
            normal="values of which hardly two are equal, or a value with a meaning",
            sentence="If this value stands for a missing one, the network takes it for a measurement"
            + (", and it decides the scale of the column." if any(one.is_apart for one in found) else "."),
        )


@check(
    code="coarse-input",
    stage="before training",
    rank=282,
    meaning="nearly all inputs take two or three values of a grid, and rows with different targets have equal inputs",
    advice="inputs as they were measured, before they were rounded",
)
def coarse_inputs(m: Measurements) -> Iterator[Finding]:
    """Inputs that were rounded off. No change of a training brings back what they told; counts look the same."""
    found = m.coarse_inputs
    if found is None or m.learned is None or found.best > 1 - LEAST_GAP:
        return
    best = measure_value(m.learned.measure, found.best, digits=3)
    yield coarse_inputs.finding(
        severity="note",
        place="input columns",
        value=found.best,
        measured=f"{count_noun(found.columns, 'column')} of two or three values in nearly all rows; "
        f"{percent(found.repeated, 2)} of the rows share their inputs with another; the best output for each group of "
        f"equal inputs reaches {best} ({measure_name(m.learned.measure)})",
        normal="inputs that tell rows with different targets apart",
        sentence="No network can be better on these rows: what distinguishes them is not in the inputs.",
    )


def _rows(rows: np.ndarray) -> str:
    return listed(list(map(str, rows)), _SHOWN)
