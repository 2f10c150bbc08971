"""Checks of the rows: their columns, targets, labels and order, and the sets that they are split into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...pages.numbers import count_noun, measure_name, measure_value, number, percent
from ..attainable import FEW_ROWS, UncertainScore
from ..findings import Finding
from ..measurements import BEYOND_CHANCE, LEARNED, LEAST_GAP, Measurements
from ..normal import normal
from ..registry import STUCK, UNSTABLE, check
from ..rows.row_statistics import FEW, FewRows

_SHARED_ROWS = 0.2
_DISTINCT_ROWS = 1 / 3
_MAJORITY = 0.9
_NEARLY_ALL = 0.99
_FEW_HELD_OUT = 30
_FEW_ORDERED_ROWS = 20
# Neighbouring rows are nearly alike above this correlation: classes change a fifth as often as in random order.
_ALIKE = 0.8
_HALF = 0.5
# Labels of well-known data sets are wrong in 0.2 to 10 % of the rows, half of them in more than about 2 % (Northcutt,
# Athalye and Mueller 2021).
_USUAL_ERRORS = 0.02
_MANY_ERRORS = 0.05
_FEW_LABELS = 3
_FEW_INPUTS = 5
_SHOWN = 5


@check(
    code="constant-target",
    stage="before training",
    rank=4,
    meaning="all rows, or nearly all, have the same target",
    advice="check how the targets were read; other rows",
    explains=("data-unlearnable", "imbalance", STUCK, UNSTABLE, "epochs-too-few", "lr-too-low", "dying-relu"),
)
def constant_target(m: Measurements) -> Iterator[Finding]:
    """Targets that do not vary. Of nearly constant ones it must be known that nothing can be learned."""
    constant = m.commonest_target == 1 and m.rows > 1
    if not constant and (m.learnable or not m.commonest_target >= _NEARLY_ALL):
        return
    yield constant_target.finding(
        severity="severe",
        place="data.target",
        value=m.commonest_target,
        measured=f"{percent(m.commonest_target, 4)} of {count_noun(m.rows, 'row')} have the same target",
        normal="targets that differ from row to row",
        sentence="There is nothing to predict: the best output is the same for all rows.",
    )


@check(
    code="data-unlearnable",
    stage="before training",
    rank=7,
    meaning="the best known score on these rows is no better than a constant output",
    advice="other inputs; check how rows and targets were joined",
    explains=(
        STUCK,
        UNSTABLE,
        "init-symmetric",
        "dying-relu",
        "memorised",
        "overfitting",
        "epochs-too-few",
        "lr-too-low",
    ),
)
def signal(m: Measurements) -> Iterator[Finding]:
    """Whether the inputs predict the targets at all."""
    learned = m.learned
    # Targets that are all alike tell nothing of the inputs.
    if learned is None or m.learnable or learned.constant == 1:
        return
    chance = f" ± {number(BEYOND_CHANCE * learned.error, 2)}" if learned.error else ""
    best = f"{measure_value(learned.measure, learned.attainable, digits=3)}{chance}"
    memorized = f"the best output for each group of equal inputs reaches {best}"
    yield signal.finding(
        # Other rows show that there is something to learn: then these are spoiled.
        severity="note" if m.spoiled_rows is not None else "severe",
        place="data",
        value=learned.attainable - learned.constant,
        measured=f"{memorized if m.rows < FEW_ROWS else f'a random forest reaches {best} on unseen rows'}, the best "
        "constant output "
        f"{measure_value(learned.measure, learned.constant, digits=3)} ({measure_name(learned.measure)})",
        normal="a gap between the two that chance does not explain: inputs that are related to the targets",
        sentence="Nothing in these inputs was found to predict the targets: more training only memorizes noise.",
    )


@check(
    code="constant-input",
    stage="before training",
    rank=250,
    meaning="input columns have the same value in all rows",
    advice="leave them out",
    explains=(STUCK,),
)
def constant_columns(m: Measurements) -> Iterator[Finding]:
    """Input columns without information."""
    if names := m.constant_columns:
        columns = len(m.column_sizes)
        yield constant_columns.finding(
            severity="severe" if len(names) == columns else "note",
            place="data",
            value=float(len(names)),
            measured=f"{len(names)} of {columns} columns are constant: {listed(names)}",
            normal="none: a constant column does not distinguish rows",
            sentence="These columns carry no information about the target.",
        )


@check(
    code="duplicate-input",
    stage="before training",
    rank=252,
    meaning="input columns are copies of others",
    advice="leave them out",
    explains=("memorised", "overfitting"),
)
def duplicate_columns(m: Measurements) -> Iterator[Finding]:
    """Input columns that are copies of others."""
    if pairs := m.duplicate_columns:
        yield duplicate_columns.finding(
            severity="note",
            place="data",
            value=float(len(pairs)),
            measured=f"columns that are copies of others: {listed([f'{copy} of {first}' for copy, first in pairs])}",
            normal="none: a repeated column counts twice",
            sentence="Repeated columns weigh more than others and add no information.",
        )


@check(
    code="duplicate-rows",
    stage="before training",
    rank=285,
    meaning="many training rows are copies of others",
    advice="leave the copies out",
)
def duplicate_rows(m: Measurements) -> Iterator[Finding]:
    """Training rows that are copies of others."""
    # Data with few distinct rows, such as a truth table, consists of copies.
    if _DISTINCT_ROWS < m.distinct_rows < 1 - _SHARED_ROWS and m.repeated_rows > _SHARED_ROWS:
        yield duplicate_rows.finding(
            severity="note",
            place="data",
            value=m.repeated_rows,
            measured=f"{percent(m.repeated_rows, 2)} of the training rows repeat another one, with its target",
            normal="few: a repeated row counts twice, and its copies enter all sets",
            sentence="Repeated rows weigh more than others and make every score on a part of them too optimistic.",
        )


@check(
    code="leak",
    stage="before training",
    rank=260,
    meaning="many validation rows are training rows",
    advice="other validation rows",
)
def shared_rows(m: Measurements) -> Iterator[Finding]:
    """Rows that are in the training set and in the validation set."""
    # Data with few distinct rows, such as a truth table, repeats its rows in every set.
    if m.shared_rows - m.shared_by_chance > _SHARED_ROWS and m.distinct_rows > _DISTINCT_ROWS:
        yield shared_rows.finding(
            severity="warning",
            place="data.validation",
            value=m.shared_rows,
            measured=f"{percent(m.shared_rows, 2)} of the validation rows are also training rows",
            normal="hardly any: a score on training rows says nothing about new rows",
            sentence="The validation score includes memorized rows and is too optimistic.",
        )


@check(
    code="target-leak",
    stage="before training",
    rank=262,
    meaning="one input alone tells the target, which the others do not",
    advice="leave the column out if it is not known before the target",
)
def telling_column(m: Measurements) -> Iterator[Finding]:
    """An input that alone tells the target. It is suspicious where the others tell a part of it."""
    found = m.telling_column
    if found is None or m.learned is None:
        return
    constant = m.learned.constant
    without = found.without
    # With few inputs, or with others that tell nothing, a single one is often all that matters.
    known = above(without, UncertainScore(constant)) and len(m.column_names) >= _FEW_INPUTS
    if not above(found.alone, without):
        return
    name = m.column_names[found.column]
    yield telling_column.finding(
        severity="warning" if known else "note",
        place=f"column {name}",
        value=found.alone.value,
        measured=f"{name} alone reaches {measure_value(m.learned.measure, found.alone.value, digits=3)} on unseen "
        f"rows, all other columns {measure_value(m.learned.measure, without.value, digits=3)} "
        f"({measure_name(m.learned.measure)})",
        normal="inputs that share what they tell of the target",
        sentence=f"{name} may have been made from the target, and is then missing or wrong where the target is not "
        "known yet.",
    )


@check(
    code="wrong-labels",
    stage="before training",
    rank=253,
    meaning="labels are contradicted where the classes are easy to tell",
    advice="check the listed rows",
)
def wrong_labels(m: Measurements) -> Iterator[Finding]:
    """Labels that a cross-validated reference learner contradicts with confidence."""
    doubtful = m.doubtful_labels
    if doubtful is None or len(doubtful.rows) < _FEW_LABELS or not m.learnable:
        return
    share = len(doubtful.rows) / doubtful.examined
    more = 2 * doubtful.expected
    if not doubtful.contradicted > max(more, _USUAL_ERRORS) and share < _MANY_ERRORS:
        return
    yield wrong_labels.finding(
        severity="warning" if doubtful.lowest > max(more, _USUAL_ERRORS) else "note",
        place="data.target",
        value=share,
        measured=f"{percent(share, 2)} of the labels ({len(doubtful.rows)} of {doubtful.examined}) are contradicted "
        f"with confidence: training rows (from 0) {listed(list(map(str, doubtful.rows)), _SHOWN)}; "
        f"{percent(doubtful.contradicted, 2)} of those where the classes are easiest to tell"
        + ("; most rows that look like these have the same label" if doubtful.outnumbered > _HALF else ""),
        normal=f"{percent(doubtful.expected, 1)} there, if the classes merely overlap",
        sentence="Rows like these have another label. Such labels may be wrong, and the network cannot learn them.",
    )


@check(
    code="memorised",
    stage="during training",
    rank=264,
    meaning="the score on the training rows is far above what can be attained on others",
    advice="fewer units, regularize, more rows",
    explains=("overfitting",),
    pytorch="fewer units, `nn.Dropout(0.2)`, `weight_decay=1e-4`",
)
def memorised(m: Measurements) -> Iterator[Finding]:
    """A training score that says nothing about other rows."""
    learned = m.learned
    held_out = m.held_out_scores
    name = next((name for name in ("validation", "test") if name in held_out), None)
    if learned is None or name is None or not above(UncertainScore(learned.score), held_out[name]):
        return
    if m.learnable and not m.learns:
        return
    other = held_out[name]
    reference = m.reference
    if reference is None or not above(UncertainScore(learned.score), reference) or above(other, reference):
        return
    best = max(reference.value, learned.constant)
    nothing = not above(other, UncertainScore(learned.constant)) and not above(
        reference, UncertainScore(learned.constant)
    )
    far = above(reference, other) and closed(other.value, learned.constant, best) < LEARNED
    yield memorised.finding(
        severity="warning" if nothing or far else "note",
        place="network",
        value=learned.score - reference.value,
        measured=f"{measure_value(learned.measure, learned.score, digits=3)} on the training rows, "
        f"{measure_value(learned.measure, other.value, digits=3)} on the {name} rows "
        f"({measure_name(learned.measure)})",
        normal=f"{measure_value(learned.measure, reference.value, digits=3)}, which a random forest reaches on unseen "
        "rows",
        sentence="The network has memorized its training rows: nothing that holds for other rows explains its score."
        if nothing
        else "The network memorizes part of its training rows.",
        remedies=(m.remedies.best_epoch(),),
    )


@check(
    code="imbalance",
    stage="before training",
    rank=194,
    meaning="nearly all rows belong to one class, and the network neglects the others",
    advice='`data.order = "balanced"`; weights of the rows',
    explains=(STUCK, "epochs-too-few"),
    pytorch="`nn.CrossEntropyLoss(weight=1 / counts)`, `nn.BCEWithLogitsLoss(pos_weight=negative / positive)`",
)
def imbalance(m: Measurements) -> Iterator[Finding]:
    """Classes that are rare: a fault if the network could tell them better than it does."""
    if not m.majority > _MAJORITY:
        return
    learned = m.learned
    reached = ""
    if learned is not None:
        score = measure_value(learned.measure, learned.score, digits=3)
        best = measure_value(learned.measure, learned.attainable, digits=3)
        reached = f"; {measure_name(learned.measure)} {score}, attainable {best}"
    yield imbalance.finding(
        severity="note" if learned is None else m.severity(),
        place="data",
        value=m.majority,
        measured=f"{percent(m.majority, 3)} of the rows belong to one class{reached}",
        normal='classes that occur often enough; otherwise weights, or data.order = "balanced"',
        sentence=f"Predicting that class for all rows has accuracy {percent(m.majority, 3)}, so accuracy and loss say "
        "little about the others.",
        remedies=(m.remedies.balanced_order(),),
    )


@check(
    code="unshuffled",
    stage="before training",
    rank=30,
    meaning="the rows are visited in an order in which neighbours have like targets",
    advice="shuffle the rows",
    explains=(STUCK, "oscillating-loss"),
    pytorch="`DataLoader(..., shuffle=True)`",
)
def sorted_rows(m: Measurements) -> Iterator[Finding]:
    """Rows that are visited class by class, or with targets that drift, so that each batch is of another kind."""
    order = m.target_order
    if order is None or order.rows <= _FEW_ORDERED_ROWS or order.batches < 2:
        return
    chance = 1 / np.sqrt(order.rows)
    if order.autocorrelation < _ALIKE or order.between < _HALF:
        return
    yield sorted_rows.finding(
        severity=m.severity(certain=True),
        place="data.order",
        value=order.autocorrelation,
        measured=f"the targets of neighbouring rows have correlation {number(order.autocorrelation, 3)}; "
        f"{percent(order.between, 2)} of their variance lies between batches",
        normal=f"0 ± {number(BEYOND_CHANCE * chance, 2)} and {percent((order.batches - 1) / (order.rows - 1), 2)} in "
        "random order, so that each batch is like all rows",
        sentence="The batches differ in their targets: the steps on one batch undo what the steps on others learned.",
        remedies=(m.remedies.shuffle(),),
    )


@check(
    code="outlying-inputs",
    stage="before training",
    rank=33,
    meaning="a few rows stretch the scale of a column, in which all others are alike",
    advice="check these cells; clip them, or take their logarithm",
    explains=(STUCK, UNSTABLE, "epochs-too-few", "lr-too-low"),
)
def stretched_column(m: Measurements) -> Iterator[Finding]:
    """Columns whose scale is that of a few rows."""
    found = m.stretched_column
    if found is None or not found.rows:
        return
    least = normal("input_size").far().low
    deviation = float(m.column_deviations[found.column])
    if deviation < least or deviation / found.distance >= least:
        return
    name = m.column_names[found.column]
    yield stretched_column.finding(
        severity=m.severity(),
        place=f"column {name}",
        value=found.distance,
        measured=f"the standard deviation of {name} is {number(found.distance, 2)} times that without its "
        f"{percent(FEW, 1)} farthest rows, {number(deviation / found.distance, 2)}; "
        f"{count_noun(found.rows, 'row')} more than ten of these away",
        normal=f"a column that varies by about 1 in most rows; more than {number(least, 2)}",
        sentence="After scaling, this column is almost the same in all rows but these.",
    )


@check(
    code="outlying-rows",
    stage="during training",
    rank=259,
    meaning="a few rows, unlike the training rows, decide the score of a set",
    advice="check these rows; clip the inputs",
    explains=("overfitting", "mismatch"),
)
def outlying_rows(m: Measurements) -> Iterator[Finding]:
    """Rows of the validation and test sets that are far outside of the training rows, or that wreck a score."""
    for name in ("validation", "test"):
        far = m.far_inputs.get(name)
        errors = _decisive_errors(m, name)
        signs = []
        if errors:
            signs.append(
                f"R² {number(errors.score, 3)}, and {number(errors.without, 3)} without "
                f"{count_noun(len(errors.rows), 'row')}: rows (from 0) {listed(list(map(str, errors.rows)), _SHOWN)}"
            )
        if far:
            signs.append(
                f"{m.column_names[far.column]} is up to {number(far.distance, 2)} times its range outside of that in "
                f"the training rows, in {count_noun(far.rows, 'row')}"
            )
        if signs:
            yield outlying_rows.finding(
                severity="warning" if errors else "note",
                place=f"data.{name}",
                value=errors.part if errors else far.distance if far else 0.0,
                measured="; ".join(signs),
                normal="inputs in the range of the training rows, and errors that many rows share",
                sentence=f"Few rows, unlike the training rows, decide the {name} score."
                if errors
                else "Nothing that the network has learned holds for inputs so far outside of its training rows.",
            )


def _decisive_errors(m: Measurements, name: str) -> FewRows | None:
    """The rows of a set without which a network that learned closes two thirds of the gap there too, but not with them;
    they have most of the squared error."""
    errors = m.held_out_errors.get(name)
    if errors is None or m.learned is None or not m.learns or errors.part <= _HALF:
        return None
    with_them, without = (closed(score, 0.0, m.learned.attainable) for score in (errors.score, errors.without))
    return errors if with_them < LEARNED <= without else None


def above(a: UncertainScore, b: UncertainScore) -> bool:
    """Whether a is above b by a relevant amount that chance does not explain."""
    return a.value - b.value > max(LEAST_GAP, BEYOND_CHANCE * float(np.hypot(a.error, b.error)))


def closed(score: float, constant: float, best: float) -> float:
    """The part of the gap between the scores of a constant output and of the best one that a score closes."""
    return (score - constant) / (best - constant) if best > constant else 0.0


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
