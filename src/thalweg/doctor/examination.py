"""The examination: run all checks and derive the causes."""

from __future__ import annotations

from collections.abc import Iterator

from ..pages.numbers import number, percent
from .causes import causes, ranked
from .checks import CHECKS
from .diagnosis import Diagnosis
from .findings import Finding
from .measurements import Measurements
from .normal import normal

# Quantities that support health where they are in their normal range.
_SUPPORT = {
    "flow": "at the start the gradient of the first hidden layer is {} times that of the last",
    "flow_at_end": "at the end it is {} times that of the last",
    "alive_at_end": "at the end {} units pass a gradient, in the hidden layer with the fewest",
    "saturated_at_end": "at the end {} of the outputs are saturated, in the hidden layer with the most",
    "moved": "the weights moved by {} of their size, in the layer that moved most",
    "spread": "the outputs vary by {} of their size between rows",
}
_SHARES = frozenset({"saturated_at_end"})


def diagnose(measurements: Measurements) -> Diagnosis:
    """The diagnosis: the findings of all checks, and the causes among them.

    Findings keep the remedies that change something, each effect once; none sets a learning rate of 0.

    In a network that learned, an unusual number is a note, because many healthy networks have some. It is a warning, or
    severe, if the training closed less than two thirds of the gap between the best constant output and what is
    attainable on its rows.
    """

    def effective(finding: Finding) -> Finding:
        return finding._replace(remedies=measurements.remedies.effective(finding.remedies))

    findings = ranked(
        finding
        for check in CHECKS
        if check.stage != "during training" or measurements.trained
        for finding in map(effective, check(measurements))
    )
    return Diagnosis(
        learned=measurements.learned,
        findings=findings,
        causes=causes(findings),
        evidence=tuple(_evidence(measurements)),
    )


def _evidence(m: Measurements) -> Iterator[str]:
    """The measurements in their normal range, in words."""
    if len(m.losses):
        baseline = f"; the best constant output has {number(m.constant_loss, 3)}" if m.constant_loss > 0 else ""
        yield f"the loss went from {number(m.start.loss, 3)} at the start to {number(m.losses[-1], 3)}{baseline}"
    for quantity, words in _SUPPORT.items():
        value = float(getattr(m, quantity))
        usual = normal(quantity)
        if usual.low <= value <= usual.high:
            text = percent(value, 2) if quantity in _SHARES else number(value, 2)
            yield f"{words.format(text)} ({usual.in_words()})"
