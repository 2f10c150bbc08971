"""From findings to causes: which finding explains which, and which comes first."""

from __future__ import annotations

from collections.abc import Iterable

from .checks import CODES, explanation_graph
from .findings import SEVERITIES, Cause, Finding


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings sorted by severity, the most severe first, then by the rank of their codes."""
    return tuple(sorted(findings, key=lambda finding: (-_weight(finding), CODES[finding.code].rank)))


def causes(findings: Iterable[Finding]) -> tuple[Cause, ...]:
    """The findings above a note that no other finding explains, each with the findings that it explains.

    The cause of the most severe finding comes first, whether that finding is the cause itself or is explained by it.
    Among equals the cause of the lowest rank comes first.
    """
    graph = explanation_graph()
    above = sorted(
        (finding for finding in findings if finding.severity != "note"), key=lambda finding: CODES[finding.code].rank
    )
    result: list[Cause] = []
    explained: set[str] = set()
    for number, finding in enumerate(above):
        if finding.code in explained:
            continue
        codes = {*graph[finding.code], finding.code}
        result.append(Cause(finding, tuple(other for other in above[number + 1 :] if other.code in codes)))
        explained |= codes
    return tuple(
        sorted(result, key=lambda cause: -max(_weight(finding) for finding in (cause.finding, *cause.explains)))
    )


def _weight(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)
