"""The repair: a confirmed change with what else closes the shortfall beside it."""

from __future__ import annotations

import math
import time

import numpy as np

from ...core.errors import InputError
from ...core.progress import ProgressMessage
from ...spec.edit import merged, overlap
from ...training.paired import Changes
from .search import FIRST, SuspectSearch
from .suspect import Suspect
from .suspects import amounts
from .trial import Confirmed, TriedChange, is_longer

# What is added to a repair gains at least this on average.
_STEP = 0.01
# A repair that leaves less than this fraction is whole.
_LEFT = 0.03


def completed(search: SuspectSearch, found: list[Confirmed]) -> list[Confirmed]:
    """The confirmed changes, the first with what else closes the shortfall beside it.

    The training with the first one put back has suspects too: a second fault, or a rate and a length that suited
    the first. The best of them is kept if each pair of fresh seeds gains by it, and so on until nearly nothing is
    left. Where it closes as much without the first one, that one was not the cause.
    """
    root, *others = found
    while (before := search.test.fresh(root.changes, search.until)) is not None:
        if search.test.best - before.mean() <= _LEFT * (search.test.best - search.test.learned.constant):
            break
        more, after = _gaining(search, root.changes, before)
        if more is None:
            break
        alone = None if more.compensates or root.further else search.test.fresh(more.changes, search.until)
        if alone is not None and alone.mean() > after - _STEP:
            replaced = search.confirm([TriedChange((more,), search.test.closed(float(alone.mean()), search.test.base))])
            return [*replaced, *others] if replaced else found
        root = root._replace(further=(*root.further, more))
    return [root, *others]


def _gaining(search: SuspectSearch, changes: Changes, before: np.ndarray) -> tuple[Suspect | None, float]:
    """The suspect that gains most beside some changes, in each pair of fresh seeds, with the mean score."""
    for suspect in _beside(search, changes)[:FIRST]:
        after = search.test.fresh(merged((*changes, *suspect.changes)), search.until)
        if after is None:
            break
        if (after - before).min() > 0 and (after - before).mean() >= _STEP:
            return suspect, float(after.mean())
    return None, math.nan


def _beside(search: SuspectSearch, changes: Changes) -> list[Suspect]:
    """The suspects that gain beside some changes with the seed of the training, the best first."""
    now = time.monotonic()
    until = now + (search.until - now) / 2
    spec = search.test.runs.completed(changes)
    rate = spec.optimizer.learning_rate
    constant = rate if isinstance(rate, int | float) else math.nan
    suspects = [*amounts(spec, constant), *_apart(search, changes)]
    least = search.test.score(changes, until) + _STEP
    scores: list[tuple[float, Suspect]] = []
    for index, suspect in enumerate(suspects):
        now = time.monotonic()
        if now >= until:
            break
        share = max((until - now) / (len(suspects) - index) * 2, (until - now) / 5)
        search.watch(ProgressMessage(f"trying {suspect.remedy.label} too", 1 - (search.until - now) / search.seconds))
        try:
            score = search.test.score(merged((*changes, *suspect.changes)), now + share)
        except InputError:
            continue
        if score > least:
            scores.append((score, suspect))
    best = max((score for score, _ in scores), default=0.0)
    # Of about equal ones, a longer training last.
    scores.sort(key=lambda entry: (entry[0] < best - _STEP, is_longer(entry[1]), -entry[0]))
    return [suspect for _, suspect in scores]


def _apart(search: SuspectSearch, changes: Changes) -> list[Suspect]:
    """The suspects of the spec whose changes do not touch some changes, without larger networks."""
    return [
        one
        for one in search.suspects
        if one.rows is None
        and not one.enlarges
        and not any(overlap(path, other) for path, _ in one.changes for other, _ in changes)
    ]
