"""What the doctor finds, and what is made of it: findings, their remedies, causes, a diagnosis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from ..pages.page import Page

Stage = Literal["before training", "at the start", "during training"]
Severity = Literal["note", "warning", "severe"]
SEVERITIES: tuple[Severity, ...] = ("note", "warning", "severe")


class Remedy(NamedTuple):
    """A change of the spec that may help: places with their new values, as the arms of an experiment have them.

    >>> Remedy("a tenth of the rate", (("optimizer.learning_rate", 0.01),)).changes[0][0]
    'optimizer.learning_rate'
    """

    label: str
    changes: tuple[tuple[str, Any], ...]


class Finding(NamedTuple):
    """One thing that was found.

    code: a stable name (docs/doctor.md lists them). place: the layer or the setting that it points to. value: the
    number that was measured, and measured: the same in words; normal: what is normal here, and why. sentence: what it
    means, for a person. A finding of severity "note" is no sign of illness by itself.
    """

    code: str
    stage: Stage
    severity: Severity
    place: str
    value: float
    measured: str
    normal: str
    sentence: str
    remedies: tuple[Remedy, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Itself as JSON holds it."""
        told = self._asdict() | {"value": self.value if abs(self.value) < float("inf") else None}
        remedies = [{"label": remedy.label, "changes": dict(remedy.changes)} for remedy in self.remedies]
        return told | {"remedies": remedies}


class Cause(NamedTuple):
    """A finding that no other one explains, and those that it explains."""

    finding: Finding
    explains: tuple[Finding, ...]


class Learned(NamedTuple):
    """How far a training came on its own rows, from the best constant answer (0) to what can be done there (1).

    `measure` is accuracy or r2, `score` what was reached, `constant` the score of the best answer that is always the
    same, `attainable` what can be done; NaN where a training diverged, or nothing is known of it.
    """

    measure: str
    score: float
    constant: float
    attainable: float

    @property
    def share(self) -> float:
        """How much of the way; NaN where there is none to go."""
        way = self.attainable - self.constant
        return (self.score - self.constant) / way if way > 0 else float("nan")

    def describe(self) -> dict[str, Any]:
        """Itself as JSON holds it; what is no finite number is None."""
        numbers = {"score": self.score, "constant": self.constant, "attainable": self.attainable, "share": self.share}
        return {"measure": self.measure} | {k: v if math.isfinite(v) else None for k, v in numbers.items()}


@dataclass(frozen=True)
class Diagnosis:
    """What an examination came to: all findings, the most telling first, and the causes among them, the root first.

    `learned` is None where nothing was trained yet; `evidence` are the measurements that speak for health, in words;
    `remarks` say what could not be looked at, and why.
    """

    learned: Learned | None
    findings: tuple[Finding, ...]
    causes: tuple[Cause, ...]
    evidence: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether there is nothing above a note."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """The remedies of the causes, those of the root first, then those of what they explain, each once."""
        findings = [cause.finding for cause in self.causes]
        findings += [finding for cause in self.causes for finding in cause.explains]
        found = {remedy.label: remedy for finding in findings for remedy in finding.remedies}
        return tuple(found.values())

    def page(self, title: str = "Diagnosis", command: str = "") -> Page:
        """The same told: the verdict, the causes with their evidence, what to do, the notes.

        With `command`, one of the shell that trains the network, each remedy is told as a command too.
        """
        from .account import worksheet_of

        return worksheet_of(self, title, command)

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()

    def describe(self) -> dict[str, Any]:
        """Itself as JSON holds it."""
        return {
            "healthy": self.healthy,
            "learned": self.learned and self.learned.describe(),
            "causes": [
                {"code": cause.finding.code, "explains": [finding.code for finding in cause.explains]}
                for cause in self.causes
            ],
            "findings": [finding.describe() for finding in self.findings],
            "evidence": list(self.evidence),
            "remarks": list(self.remarks),
        }
