"""A suspect: something that may prevent learning, with the change that takes it away."""

from __future__ import annotations

from typing import NamedTuple

from ...parts.part import Part
from ...spec.values import shell_text
from ...training.paired import ROWS, Changes
from ...training.row_edits import RowEdit
from ..findings import Finding, Remedy
from ..registry import SETTING, rank_of_place


class Suspect(NamedTuple):
    """Something that may prevent learning, and the change that takes it away.

    Attributes:
        code: the code of the finding, if the change helps.
        place: the setting or the part.
        remedy: the change.
        nearness: its rank among the causes, for the order of equal suspects: that of its code or of its place in the
            spec, both from `registry`.
        finding: the finding of a check that it comes from; None: no check named it.
        compensates: whether the change may make up for another fault: another rate, batch, rule or length.
        enlarges: whether the change is a larger or a plainer network, which makes up for nearly every fault. It
            explains a shortfall only where no change that takes something away does.
        rows: the change of the rows, where it is not one of the spec.
    """

    code: str
    place: str
    remedy: Remedy
    nearness: float
    finding: Finding | None = None
    compensates: bool = False
    enlarges: bool = False
    rows: RowEdit | None = None

    @property
    def changes(self) -> Changes:
        """What is tried."""
        return self.remedy.changes if self.rows is None else ((ROWS, self.rows),)

    @property
    def order(self) -> tuple[bool, bool, float]:
        """Its place among equal suspects, the first one first."""
        return self.enlarges, self.compensates, self.nearness


def part(place: str, remedy: Remedy, code: str = SETTING) -> Suspect:
    """A part or a setting at a place of the spec that no check names."""
    return Suspect(code, place, remedy, rank_of_place(place))


def larger(place: str, remedy: Remedy, code: str, more: int) -> Suspect:
    """A larger or a plainer network; of equal ones the one that has less `more` of what is needed comes first."""
    return Suspect(code, place, remedy, rank_of_place(place) + more, None, True, True)


def setting(place: str, default: object, code: str = SETTING) -> Suspect:
    """A setting with another value than its default, which the label of the remedy shows.

    >>> setting("loss.label_smoothing", 0.0).remedy.label, setting("training.clip", None).remedy.label
    ('loss.label_smoothing = 0.0, its default', 'training.clip = none, its default')
    """
    shown = default.kind if isinstance(default, Part) else "none" if default is None else shell_text(default)
    return part(place, Remedy(f"{place} = {shown}, its default", ((place, None),)), code)
