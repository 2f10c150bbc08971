"""Checks of the values in single columns: cut-off targets, targets of many magnitudes, targets of unlike size."""

from __future__ import annotations

from collections.abc import Iterator

from ...pages.numbers import number, percent
from ..findings import Finding
from ..measurements import BEYOND_CHANCE, LEARNED, LEAST_GAP, Measurements
from ..registry import STUCK, check
from ..rows.row_values import UNLIKE, TargetScore
from .row_fault_checks import inputs_tell

_FEW = 0.02


@check(
    code="cut-off-targets",
    stage="before training",
    rank=10,
    meaning="many otherwise continuous targets have the largest or the smallest value of all",
    advice="targets that were not cut off; leave these rows out",
    explains=(STUCK, "mismatch"),
)
def cut_off_targets(m: Measurements) -> Iterator[Finding]:
    """Targets at the end of a scale. That they were cut off is certain where other rows have targets beyond it."""
    found = m.target_edge
    if found is None:
        return
    beyond = {name: share for name, share in m.beyond_edge.items() if share > _FEW}
    if not beyond and not inputs_tell(m.filled_targets):
        return
    further = "".join(f"; {percent(share, 2)} of the {name} rows are beyond it" for name, share in beyond.items())
    end = "largest" if found.is_upper else "smallest"
    yield cut_off_targets.finding(
        severity="warning" if beyond else "note",
        place="data.target",
        value=found.atom.share,
        measured=f"{percent(found.atom.share, 2)} of the targets are {number(found.original, 4)}, the {end} one"
        + further,
        normal="values of which hardly two are equal, or a limit that the quantity has itself, such as 0",
        sentence="Targets beyond this value were probably cut off, and the network learns the limit as if it were "
        "measured.",
    )


@check(
    code="target-magnitudes",
    stage="during training",
    rank=6,
    meaning="positive targets span more than three orders of magnitude, and the network learned only the largest",
    advice="the logarithm of the targets",
    explains=(STUCK, "data-unlearnable"),
)
def target_magnitudes(m: Measurements) -> Iterator[Finding]:
    """Targets whose logarithm the inputs tell, and of which a squared error sees the largest alone."""
    found = m.target_magnitudes
    if found is None or not _missed(found.score, found.attainable.value, found.attainable.error):
        return
    yield target_magnitudes.finding(
        severity="warning",
        place="data.target",
        value=found.decades,
        measured=f"the targets of nine rows in ten span {number(found.decades, 2)} orders of magnitude; R² of their "
        f"logarithms is {number(found.score, 2)}, and a random forest reaches {number(found.attainable.value, 2)} on "
        "unseen rows",
        normal="targets of about one size, or a network that learned their logarithms too",
        sentence="The loss is that of the few largest targets; what the others are, the network did not learn.",
    )


@check(
    code="unequal-targets",
    stage="during training",
    rank=37,
    meaning="one of several targets varies much more than another, which the network did not learn",
    advice="standardized targets",
    explains=(),
)
def unequal_targets(m: Measurements) -> Iterator[Finding]:
    """Targets of which the loss hardly counts one. The score of all targets together hides it as well."""
    missed = [one for one in m.target_scores if one.deviation < UNLIKE and _is_missed(one)]
    if not missed:
        return
    worst = min(missed, key=lambda one: one.score - one.attainable.value)
    yield unequal_targets.finding(
        severity="warning",
        place="data.target",
        value=worst.deviation,
        measured=f"{m.target_names[worst.output]} varies {number(1 / worst.deviation, 2)} times less than the target "
        f"that varies most; its R² is {number(worst.score, 2)}, and a random forest reaches "
        f"{number(worst.attainable.value, 2)} on unseen rows",
        normal="targets of about the same standard deviation, each of which is learned",
        sentence="Its errors hardly count in the loss, nor in the score of all targets together.",
        remedies=(m.remedies.scale(),),
    )


def _is_missed(one: TargetScore) -> bool:
    return _missed(one.score, one.attainable.value, one.attainable.error)


def _missed(score: float, attainable: float, error: float) -> bool:
    """Whether an R² closes less than two thirds of what is attainable, and this is beyond chance."""
    return attainable > max(LEAST_GAP, BEYOND_CHANCE * error) and score < LEARNED * attainable
