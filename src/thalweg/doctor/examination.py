"""The examination: all checks, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator

from . import before, during, start
from .case import Case
from .causes import causes, ranked
from .findings import Diagnosis, Finding


def diagnose(case: Case) -> Diagnosis:
    """All findings of a case, and the causes among them.

    What stands out in a network that has learnt is a note: many healthy ones have it. It is a warning, or severe, where
    the network has not come two thirds of the way from the best constant answer to what can be done on its rows.
    """
    findings = ranked(_findings(case))
    return Diagnosis(case.learned, findings, causes(findings), tuple(_evidence(case)))


def _findings(case: Case) -> Iterator[Finding]:
    checks = [*before.CHECKS, *start.CHECKS, *(during.CHECKS if case.params is not None else ())]
    for check in checks:
        yield from check(case)


def _evidence(case: Case) -> Iterator[str]:
    if len(case.start.dense) > 1:
        yield f"at the start the first layer gets {case.start.flow:.2g} of the gradient of the last"
    end = case.end
    if end is not None and len(end.dead):
        yield f"at the end {end.dead.max():.0%} of the units of the worst layer pass no gradient"
