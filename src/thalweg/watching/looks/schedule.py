"""Which steps are looked at."""

from __future__ import annotations

_FIRST = 3
_LONGEST_GAP = 250


def next_look(step: int) -> int:
    """The next step to look at after a look at `step`: the first three, then in gaps of a third of the steps so far,
    and at least each 250th.

    >>> steps = [0]
    >>> while steps[-1] < 500:
    ...     steps.append(next_look(steps[-1]))
    >>> steps[:10], len(steps) - 1
    ([0, 1, 2, 3, 4, 6, 8, 11, 15, 20], 21)
    """
    return step + 1 if step + 1 < _FIRST else step + max(1, min(-(-step // 3), _LONGEST_GAP))
