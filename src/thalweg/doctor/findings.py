"""Findings, remedies and causes: the records that checks produce and a diagnosis collects."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from ..core.files import Json, JsonObject
from ..pages.numbers import count_noun, measure_name, measure_value

Stage = Literal["before training", "at the start", "during training", "in paired runs"]
Severity = Literal["note", "warning", "severe"]
Scored = Literal["training", "held-out"]
"""The rows that a confirmation is scored on."""
SEVERITIES: tuple[Severity, ...] = ("note", "warning", "severe")
"""From least to most severe. A note alone is not a sign of a fault."""


class Remedy(NamedTuple):
    """A suggested change.

    >>> Remedy("learning rate 0.01", (("optimizer.learning_rate", 0.01),)).changes[0][0]
    'optimizer.learning_rate'
    """

    label: str
    """What to do, in words."""
    changes: tuple[tuple[str, Json], ...]
    """Paths in a spec with their new values, in the form that experiments use for their arms."""


class Confirmation(NamedTuple):
    """What paired runs say of a finding: trainings with and without what it names, from equal starts.

    >>> Confirmation("confirmed", "accuracy", 0.31, 0.94, 3).in_words().replace("\\u202f", " ")
    'confirmed: accuracy 31 % -> 94 % in 3 paired runs'
    """

    status: Literal["confirmed", "not confirmed", "undecided", "not tried"]
    """Whether the network learns more without what the finding names; undecided: more by an amount that chance explains
    on so few held-out rows."""
    measure: str = ""
    """accuracy or r2."""
    before: float = math.nan
    """Mean score of the unchanged training."""
    after: float = math.nan
    """Mean score with the change."""
    pairs: int = 0
    """Number of pairs of runs; 1: the examined training beside one run."""
    change: str = ""
    """The label of the change that was tried."""
    scored: Scored = "training"
    """The rows that the scores are of."""

    def in_words(self) -> str:
        """The confirmation in a line."""
        if self.status == "not tried":
            return "not tried within the budget: use --prove, or a larger --budget"
        scores = " -> ".join(measure_value(self.measure, score) for score in (self.before, self.after))
        pairs = count_noun(self.pairs, "paired run")
        where = " on held-out rows" if self.scored == "held-out" else ""
        return f"{self.status}: {measure_name(self.measure)} {scores}{where} in {pairs}"

    def describe(self) -> JsonObject:
        """The confirmation as a JSON object; a number that is not known is None."""
        return {key: None if value != value else value for key, value in self._asdict().items()}


class Finding(NamedTuple):
    """One result of a check."""

    code: str
    """Stable name; docs/doctor.md lists all of them."""
    stage: Stage
    """The part of the training in which the evidence was measured."""
    severity: Severity
    """note, warning or severe."""
    place: str
    """The layer, the setting or the part of the data concerned."""
    value: float
    """The measured number."""
    measured: str
    """The measurement in words."""
    normal: str
    """The normal range, with the reason where it is not obvious."""
    sentence: str
    """What the finding means for the training."""
    remedies: tuple[Remedy, ...] = ()
    """Suggested changes, the most promising first."""
    confirmation: Confirmation | None = None
    """What paired runs say of it; None: there were none."""

    def describe(self) -> JsonObject:
        """The finding as a JSON object; an infinite or undefined value is None."""
        remedies: list[Json] = [{"label": remedy.label, "changes": dict(remedy.changes)} for remedy in self.remedies]
        return self._asdict() | {
            "value": self.value if math.isfinite(self.value) else None,
            "remedies": remedies,
            "confirmation": self.confirmation and self.confirmation.describe(),
        }


class Cause(NamedTuple):
    """A finding that no other finding explains, and the findings that it explains."""

    finding: Finding
    explains: tuple[Finding, ...]


class Learned(NamedTuple):
    """How much of the possible improvement a training achieved, measured on its own training rows.

    >>> Learned("balanced_accuracy", score=0.75, constant=0.5, attainable=1.0).share
    0.5
    """

    measure: str
    """balanced_accuracy or r2."""
    score: float
    """The score after training; NaN if the training diverged."""
    constant: float
    """The score of the best constant output."""
    attainable: float
    """The best known score on these rows; NaN if unknown."""
    error: float = 0.0
    """Standard error of the attainable score; 0 where it is exact."""
    line: float = math.nan
    """The score of the best straight line; NaN for a network with one layer of weights, which is a line on purpose."""

    @property
    def share(self) -> float:
        """(score - constant) / (attainable - constant); NaN if no improvement is possible."""
        way = self.attainable - self.constant
        return (self.score - self.constant) / way if way > 0 else float("nan")

    def describe(self) -> JsonObject:
        """The record as a JSON object; a number that is not finite is None."""
        names = ("score", "constant", "line", "attainable", "error", "share")
        numbers: dict[str, float] = {name: getattr(self, name) for name in names}
        return {"measure": self.measure} | {k: v if math.isfinite(v) else None for k, v in numbers.items()}
