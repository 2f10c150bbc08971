"""The result of an examination."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.files import JsonObject
from ..core.printable import printable
from ..pages.blocks import Block
from ..pages.numbers import count_noun
from ..pages.page import Page, Paged
from .findings import Cause, Confirmation, Finding, Learned, Remedy
from .render import diagnosis_blocks, health_blocks, serious_causes, verdict


def _is_confirmed(finding: Finding) -> bool:
    return finding.confirmation is not None and finding.confirmation.status == "confirmed"


def _same_runs(finding: Finding, result: Confirmation) -> bool:
    """Whether a finding was confirmed by the same runs, because two changes only help together."""
    return finding.confirmation is not None and finding.confirmation._replace(change="") == result._replace(change="")


@dataclass(frozen=True)
class Diagnosis(Paged):
    """The findings of an examination and the causes among them.

    >>> Diagnosis(Learned("accuracy", 0.97, 0.5, 0.99), findings=(), causes=()).healthy
    True
    """

    learned: Learned | None
    """How much of the possible improvement the training achieved; None before a training."""
    findings: tuple[Finding, ...]
    """All findings, the most severe first."""
    causes: tuple[Cause, ...]
    """The findings that no other finding explains, the root cause first."""
    evidence: tuple[str, ...] = ()
    """Measurements that support health, in words."""
    remarks: tuple[str, ...] = ()
    """What could not be examined, and why."""

    def __repr__(self) -> str:
        """The verdict, what to do, and where more is, in up to three lines."""
        serious = serious_causes(self.causes)
        remedies = serious[0].finding.remedies if serious else ()
        first = self.repair or (remedies[0] if remedies else None)
        change = [f"Change: {first.label.splitlines()[0]}"] if first else []
        more = f"{count_noun(len(self.findings), 'finding')} in .findings; .report() is the page."
        return printable("\n".join([self.verdict.replace("\n", " "), *change, more]))

    @property
    def healthy(self) -> bool:
        """Whether no finding is above a note."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The diagnosis in a line: healthy, or the root cause."""
        return verdict(self.causes, self.findings)

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """The remedies of the causes, then those of the findings that they explain, each once."""
        findings = [cause.finding for cause in self.causes]
        findings += [finding for cause in self.causes for finding in cause.explains]
        return tuple({remedy.label: remedy for finding in findings for remedy in finding.remedies}.values())

    @property
    def repair(self) -> Remedy | None:
        """The change that paired runs confirmed for the root cause; None where there is none, or none of the spec.

        Two faults that only help together have one change, with the settings of both.
        """
        confirmed = [cause.finding for cause in self.causes if _is_confirmed(cause.finding)]
        if not confirmed or confirmed[0] != self.causes[0].finding:
            return None
        first = confirmed[0].confirmation
        together = [finding for finding in confirmed if finding.confirmation and first and _same_runs(finding, first)]
        if not all(finding.remedies for finding in together):
            return None
        changes = tuple(change for finding in together for change in finding.remedies[0].changes)
        return Remedy(" and ".join(finding.remedies[0].label for finding in together), changes)

    def page(self, title: str = "Diagnosis", command: str = "", file: str = "") -> Page:
        """The diagnosis as a page: the verdict, what to do, and the evidence, which is folded.

        Args:
            title: the title of the page.
            command: a shell command that trains the network; each remedy is then shown as a command too.
            file: the file with the repaired spec; empty: none was written.
        """
        blocks = diagnosis_blocks(
            self.learned, self.findings, self.causes, self.evidence, self.remarks, self.repair, command, file
        )
        return Page(title, blocks, self.verdict)

    def health_blocks(self) -> tuple[Block, ...]:
        """The short form for the report of a run."""
        return health_blocks(self.learned, self.findings, self.causes, self.remarks)

    def describe(self) -> JsonObject:
        """The diagnosis as a JSON object."""
        return {
            "healthy": self.healthy,
            "learned": self.learned and self.learned.describe(),
            "causes": [
                {"code": cause.finding.code, "explains": [finding.code for finding in cause.explains]}
                for cause in self.causes
            ],
            "findings": [finding.describe() for finding in self.findings],
            "repair": self.repair and {"label": self.repair.label, "changes": dict(self.repair.changes)},
            "evidence": list(self.evidence),
            "remarks": list(self.remarks),
        }
