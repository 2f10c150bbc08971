"""Which steps are looked at."""

from __future__ import annotations

_LONGEST_GAP = 250


def next_look(step: int) -> int:
    """The next step to look at after a look at `step`: the first six, then in gaps of two fifths of the steps so far,
    and at least each 250th.

    >>> steps = [0]
    >>> while steps[-1] < 500:
    ...     steps.append(next_look(steps[-1]))
    >>> steps[:10], len(steps) - 1
    ([0, 1, 2, 3, 4, 5, 7, 9, 12, 16], 20)
    """
    return step + min(max(1, 2 * step // 5), _LONGEST_GAP)
