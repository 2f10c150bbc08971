"""The card of a watched training in a notebook, which changes as the training goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from ..core.progress import in_notebook
from ..doctor.findings import Finding
from ..pages.blocks import Block, Facts, Text
from ..pages.numbers import number
from ..pages.page import Page
from .facts import WatchedTraining


class _Display(Protocol):
    """What IPython returns for an output that can be replaced."""

    def update(self, shown: object) -> None: ...


def card_page(training: WatchedTraining, findings: Sequence[Finding]) -> Page:
    """The card: steps, loss, score, and the severe findings so far.

    >>> from .facts import WatchedLoss, WatchedModel
    >>> training = WatchedTraining(WatchedModel("Net", (), (), WatchedLoss("MSELoss", True), "Adam", ()), losses=(0.5,))
    >>> "0.5" in card_page(training, ()).fragment()
    True
    """
    seen = [loss for loss in training.losses if math.isfinite(loss)]
    scores = [look.score for look in training.looks if math.isfinite(look.score)]
    facts = [("steps", number(training.steps)), ("looks", number(len(training.looks)))]
    facts += [("loss", number(seen[-1], 3))] if seen else []
    facts += [("score of the last batch seen", number(scores[-1], 3))] if scores else []
    told: list[Block] = [Text(f"{finding.code} at {finding.place}: {finding.sentence}") for finding in findings]
    return Page("Watched training", (Facts(facts), *told))


class NotebookCard:
    """Shows pages in one output of a notebook, the latest in place of the one before; nothing elsewhere."""

    def __init__(self) -> None:
        self._display: _Display | None = None

    def show(self, training: WatchedTraining, findings: Sequence[Finding]) -> None:
        """Show the card as it is now."""
        if not in_notebook():
            return
        from IPython.display import HTML, display

        shown = HTML(card_page(training, findings).fragment())
        if self._display is None:
            self._display = display(shown, display_id=True)
        else:
            self._display.update(shown)
