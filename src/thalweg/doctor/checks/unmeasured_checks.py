"""The check of input values that were not measured."""

from __future__ import annotations

from collections.abc import Iterator

from ...pages.numbers import number, percent
from ..findings import Finding
from ..measurements import Measurements
from ..registry import STUCK, check
from ..rows.unmeasured import Unmeasured
from .row_checks import listed

# What the score loses by a column is at least this, or the finding is a note.
_LEAST_LOST = 0.02


@check(
    code="unmeasured-input",
    stage="before training",
    rank=41,
    meaning="many values of an input are the end of a sensor's range, or the value of an earlier row, and tell less",
    advice="the measured values; leave these rows out, or read these values as missing",
    explains=(STUCK, "memorised", "overfitting", "mismatch", "epochs-too-few", "lr-too-low"),
)
def unmeasured_inputs(m: Measurements) -> Iterator[Finding]:
    """Values that stand where none was measured. No change of a training brings back what they would have told."""
    found = m.unmeasured_inputs
    if not found:
        return
    names = [m.column_names[one.column] for one in found]
    yield unmeasured_inputs.finding(
        severity="warning" if found[0].lost >= _LEAST_LOST else "note",
        place=f"input columns {listed(names)}" if len(names) > 1 else f"input column {names[0]}",
        value=found[0].lost,
        measured="; ".join(_described(m.column_names[one.column], one) for one in found[:3]),
        normal="values of which hardly two are equal, or equal ones that tell as much as others",
        sentence="In these rows the column does not say what it says elsewhere, and nothing in the row tells so.",
    )


def _described(name: str, one: Unmeasured) -> str:
    what = f"the end of its range, {number(one.value, 4)}," if one.how == "at the end of the range" else one.how
    return (
        f"{name}: {percent(one.share, 2)} of the values are {what} and a random forest has "
        f"{number(one.ratio, 2)} times the squared error there"
    )
