"""The verdict: a diagnosis with what paired runs say of its findings, and with the causes that they confirm."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from ...pages.numbers import count_noun, number
from ..causes import causes as explained_causes
from ..causes import ranked
from ..diagnosis import Diagnosis
from ..findings import Cause, Finding, Severity
from ..measurements import LEARNED
from ..registry import CODES, SPOILED, STUCK, explanation_graph
from .search import SuspectSearch
from .suspect import Suspect
from .trial import MOST, Confirmed


def rewritten(diagnosis: Diagnosis, searches: Sequence[SuspectSearch], found: Sequence[Confirmed]) -> Diagnosis:
    """The diagnosis with what the runs say of its findings, and with the causes that they confirm."""
    search = searches[-1]
    learned = search.test.learned
    sound = diagnosis.learned is not None and diagnosis.learned.share >= LEARNED
    of_rows = [suspect.finding for search in searches for suspect in search.suspects if suspect.rows is not None]
    findings: list[Finding] = []
    for finding in diagnosis.findings:
        results = (search.confirmation_of(finding) for search in searches)
        result = next(filter(None, results), None)
        # Odd rows without which nothing is better.
        harmless = finding in of_rows and result is not None and result.status == "not confirmed"
        severity = "note" if harmless and sound else finding.severity
        findings.append(finding._replace(severity=severity, confirmation=result))
    roots: dict[tuple[str, str], Finding] = {}
    for one in found:
        for suspect in one.causes:
            if roots and suspect.compensates and suspect.finding is None:
                continue
            finding = _named(suspect, one, certain=suspect.rows is not None or learned.share < LEARNED)
            roots.setdefault((finding.code, finding.place), finding)
    others = [finding for finding in findings if (finding.code, finding.place) not in roots]
    if not roots and learned.share >= LEARNED:
        # Harm on other rows has no paired runs here. A symptom is no cause, whatever was learned.
        causes = explained_causes(
            finding for finding in ranked(findings) if finding.severity == "note" or CODES[finding.code].group != STUCK
        )
    else:
        causes = _causes(list(roots.values()), others)
    tried = (
        f"{count_noun(search.test.runs.trained, 'paired run')} in {number(time.monotonic() - searches[0].began, 2)} s"
    )
    further = sum(len(one.not_tried) for one in searches)
    left = f"; not tried: {count_noun(further, 'further change')}" if further else ""
    return dataclasses.replace(
        diagnosis,
        findings=ranked([*roots.values(), *others]),
        causes=causes,
        evidence=(*diagnosis.evidence, f"changes were tried in {tried}{left}"),
    )


def _named(suspect: Suspect, one: Confirmed, certain: bool) -> Finding:
    """The finding of a confirmed suspect."""
    partners = [other.remedy.label for other in one.trial.suspects if other is not suspect]
    together = f" together with {' and '.join(partners)}" if partners else ""
    result = one.result._replace(change=suspect.remedy.label + together)
    severity: Severity = "severe" if certain and one.closed >= MOST else "warning"
    if suspect.finding is not None and suspect.rows is not None:
        return suspect.finding._replace(severity=severity, confirmation=result)
    remedy = one.remedy_of(suspect)
    if suspect.finding is not None:
        finding = suspect.finding
        others = [other for other in finding.remedies if other not in (remedy, suspect.remedy)]
        alone = [suspect.remedy] if suspect.remedy != remedy else []
        return finding._replace(remedies=(remedy, *alone, *others), confirmation=result)
    return Finding(
        code=suspect.code,
        stage="in paired runs",
        severity=severity,
        place=suspect.place,
        value=one.closed,
        measured=result.in_words(),
        normal="about the same score with and without it",
        sentence=f"With {suspect.remedy.label}{together}, it learns what it does not learn as it is.",
        remedies=(remedy,) if remedy.changes else (),
        confirmation=result,
    )


def _causes(roots: Sequence[Finding], others: Sequence[Finding]) -> tuple[Cause, ...]:
    """The roots, of which the first explains the symptoms, and the findings that nothing tries and no root explains.

    A finding that was tried and not confirmed is no cause; one that could not be tried in time stays one where there is
    no root. Training rows that other rows show to be at fault, to most of the shortfall, come before what was confirmed
    on training rows.
    """
    above = [finding for finding in others if finding.severity != "note"]
    graph = explanation_graph()
    effects = {code for root in roots for code in graph[root.code]}
    untried = [
        finding
        for finding in above
        if CODES[finding.code].group != STUCK
        and finding.code not in effects
        and (
            finding.confirmation is None
            or finding.confirmation.status == "undecided"
            or (finding.confirmation.status == "not tried" and not roots)
        )
    ]
    by_training = roots and all(one.confirmation and one.confirmation.scored == "training" for one in roots)
    first = [one for one in untried if by_training and one.code == SPOILED and one.severity == "severe"]
    roots = [*first, *roots]
    explained = tuple(finding for finding in above if finding not in untried) if roots else ()
    causes = [Cause(root, explained if not number else ()) for number, root in enumerate(roots)]
    return (*causes, *explained_causes(finding for finding in untried if finding not in first))
