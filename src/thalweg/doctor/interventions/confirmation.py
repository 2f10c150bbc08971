"""Confirmation: a cause is what, taken away, lets the network learn. Suspects are put back in paired runs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from ...core.progress import Watch, ignore_progress
from ...training.paired import PairedRuns
from ..attainable import UncertainScore
from ..diagnosis import Diagnosis
from ..findings import Learned, Scored
from ..measurements import BEYOND_CHANCE, LEARNED, LEAST_GAP
from .completion import completed
from .paired_test import SURE_GAIN, PairedTest
from .search import SuspectSearch
from .suspect import Suspect
from .trial import MOST, Confirmed
from .verdict import rewritten

LEAST_SECONDS = 30.0
"""The budget of a confirmation is at least this."""
BUDGET_FACTOR = 3.0
"""It is at least this many times the time of the training."""
# The part of the budget in which suspects of the rows are tried, before all others.
_FOR_ROWS = 0.4


def budget_for(seconds: float) -> float:
    """Seconds for the confirmation of a diagnosis, by those of the training: max(30, 3 seconds).

    >>> budget_for(2.0), budget_for(100.0)
    (30.0, 300.0)
    """
    return max(LEAST_SECONDS, BUDGET_FACTOR * seconds)


def confirmed(
    diagnosis: Diagnosis,
    suspects: Sequence[Suspect],
    runs: PairedRuns,
    seconds: float,
    watch: Watch = ignore_progress,
    *,
    held_out: UncertainScore | None = None,
    of_rows: Sequence[Suspect] = (),
) -> Diagnosis:
    """The diagnosis with causes that were tried: a change without which the network learns.

    Each suspect is put back in a training with the seed of the examined one. The most promising are tried again with
    three fresh seeds, each beside the unchanged spec. A suspect is a cause if each of these pairs gains and the mean
    gain is relevant. The change that closes most of the shortfall is the root cause; of equal ones the one that is
    nearest to the beginning of a training. Where no single change closes half of the shortfall, the fewest that close
    it together are looked for.

    Suspects of the rows come first. They are scored on held-out rows, where a gain must be beyond chance too. So are
    all others where the score of the training rows is fine and that of the held-out rows is not.

    A training that reached what is attainable has nothing to confirm, and keeps its diagnosis.

    Args:
        diagnosis: the diagnosis by the checks alone.
        suspects: what may be put back in the spec.
        runs: trains the changed specs.
        seconds: the time for all runs.
        watch: is called with the progress.
        held_out: the score on the validation rows; None: there are none, or too few.
        of_rows: suspects that are scored on held-out rows.

    Raises:
        KeyboardInterrupt: at Ctrl-C.
    """
    learned = diagnosis.learned
    if learned is None:
        return diagnosis
    until = time.monotonic() + seconds
    searches: list[SuspectSearch] = []
    found: list[Confirmed] = []
    if held_out is not None and of_rows:
        test = PairedTest(learned._replace(score=held_out.value), runs, "held-out")
        searches.append(SuspectSearch(test, of_rows, _FOR_ROWS * seconds, watch))
        found = searches[0].run()
    of_spec = _judged(learned, held_out)
    if of_spec is not None and suspects and not (found and found[0].closed >= MOST):
        there, scored = of_spec
        searches.append(SuspectSearch(PairedTest(there, runs, scored), suspects, until - time.monotonic(), watch))
        found = [*found, *searches[-1].run()]
    left = until - time.monotonic()
    if found and not found[0].trial.control and left > 0:
        # What closes the shortfall on the training rows may leave one on others.
        if held_out is not None:
            test = PairedTest(learned._replace(score=held_out.value), runs, "held-out")
        else:
            test = PairedTest(learned, runs, "training")
        found = completed(SuspectSearch(test, suspects, left, watch), found)
    return rewritten(diagnosis, searches, found) if searches else diagnosis


def _judged(learned: Learned, held_out: UncertainScore | None) -> tuple[Learned, Scored] | None:
    """The score that falls short, by a relevant amount that chance does not explain, and the rows that it is of.

    The score of the training rows, or that of the held-out rows where the training rows are learned and these are not.
    None where neither does.
    """
    if not math.isfinite(learned.attainable):
        return None
    # How wrong a network is that learned nothing does not matter.
    score = max(learned.score, learned.constant) if math.isfinite(learned.score) else learned.constant
    if learned.attainable - score > max(LEAST_GAP, BEYOND_CHANCE * learned.error):
        return learned, "training"
    if held_out is None or not math.isfinite(held_out.value):
        return None
    there = learned._replace(score=held_out.value)
    chance = BEYOND_CHANCE * math.hypot(learned.error, held_out.error)
    far = learned.share >= LEARNED and there.attainable - there.score > max(SURE_GAIN, chance)
    return (there, "held-out") if far else None
