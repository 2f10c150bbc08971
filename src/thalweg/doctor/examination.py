"""The examination: all checks, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator

from . import before, during, start
from .case import Case
from .causes import causes, ranked
from .findings import Diagnosis, Finding
from .normal import normal

# Quantities that speak for health where they are normal.
_SUPPORT = {
    "flow": "at the start the first hidden layer gets {:.2g} times the gradient of the last",
    "flow_at_end": "at the end it is {:.2g} times",
    "alive_at_end": "{:.0f} units pass a gradient at the end, in the hidden layer where they are fewest",
    "saturated_at_end": "{:.0%} of a hidden layer's answers have hardly a slope at the end, in the layer with most",
    "moved": "the weights of a layer moved by {:.2g} of their size, in the layer that moved furthest",
    "spread": "the answers differ by {:.2g} of their size between rows",
}


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
    """What is as it is in healthy networks, in words."""
    if case.history:
        beside = f"; the best constant answer has {case.constant_loss:.3g}" if case.constant_loss > 0 else ""
        yield f"the loss went from {case.start.loss:.3g} at the start to {case.losses[-1]:.3g}{beside}"
    for quantity, words in _SUPPORT.items():
        value, usual = getattr(case, quantity), normal(quantity)
        if usual.low <= value <= usual.high:
            yield f"{words.format(value)} ({usual.tells()})"
