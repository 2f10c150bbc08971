"""Sentences and cells that the reports of experiments and of remedy trials share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from ..core.intervals import MOST_SEEDS, Difference
from ..pages.numbers import count_noun, difference, interval, measure_value, number
from ..parts.metrics import is_share

# Names that a sentence lists; further ones are counted.
_LISTED_NAMES = 4

_Writer: TypeAlias = Callable[[str, float, str], str]


def undecided(found: Iterable[Difference]) -> str:
    """Why differences whose intervals do not exclude 0 cannot be decided, and how many seeds would decide them.

    >>> from thalweg.core.intervals import difference as between
    >>> undecided([between([0.6, 0.7, 0.5], [0.5, 0.5, 0.5])])
    'cannot be decided with 3 seeds; about 10 would'
    >>> undecided([between([0.75, 0.5], [0.5, 0.25])])
    'cannot be decided with 2 seeds: all differences are equal'
    >>> undecided([between([0.75, 0.5], [0.5, 0.25]), between([0.75], [0.5])])
    'cannot be decided with 2 seeds: all differences are equal'
    """
    of_all = list(found)
    pairs = max(each.pairs for each in of_all)
    if pairs == 1:
        return "cannot be decided with one pair of seeds"
    if all(each.all_equal for each in of_all if each.pairs > 1):
        return f"cannot be decided with {count_noun(pairs, 'seed')}: all differences are equal"
    needed = sorted({each.seeds_needed or MOST_SEEDS + 1 for each in of_all if not math.isnan(each.low)})
    ends = [number(seeds) if seeds <= MOST_SEEDS else f"more than {number(MOST_SEEDS)}" for seeds in needed]
    about = "" if needed[0] > MOST_SEEDS else "about "
    text = ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}"
    return f"cannot be decided with {count_noun(pairs, 'seed')}; {about}{text} would"


def on_pairs(found: Difference, seeds: int) -> str:
    """On how many of the seeds a difference rests, where some of their trials did not finish.

    >>> from thalweg.core.intervals import difference as between
    >>> on_pairs(between([0.6, 0.7, 0.5], [0.5, 0.5, 0.5]), 5), on_pairs(between([0.6], [0.5]), 1)
    (' (3 of 5 pairs)', '')
    """
    return f" ({found.pairs} of {seeds} pairs)" if found.pairs < seeds else ""


def simultaneous(comparisons: int, of_what: str = "") -> str:
    """What the intervals of a table hold for.

    >>> print(simultaneous(9))
    95 % intervals, simultaneous over 9 comparisons (Student's t, Bonferroni)
    """
    if comparisons <= 1:
        return f"95 % intervals{of_what} (Student's t)"
    return f"95 % intervals{of_what}, simultaneous over {comparisons} comparisons (Student's t, Bonferroni)"


def mean_in_words(measure: str, mean: float, ends: tuple[float, float]) -> str:
    """A mean with its 95 % interval in a sentence.

    >>> mean_in_words("accuracy", 0.75, (0.7, 0.8)), mean_in_words("loss", 0.5, (math.nan, math.nan))
    ('75\u202f% (95 % interval 70 to 80\u202f%)', '0.5')
    """
    return _with_interval(measure, mean, ends, measure_value, "95 % interval ")


def mean_cell(measure: str, mean: float, ends: tuple[float, float]) -> str:
    """A mean with its 95 % interval in a cell of a table."""
    return _with_interval(measure, mean, ends, measure_value)


def difference_in_words(measure: str, found: Difference) -> str:
    """A paired difference with its 95 % interval in a sentence.

    >>> difference_in_words("accuracy", Difference(0.2, 0.1, 0.3, 0.08, 5, 1))
    '+20 points (95 % interval +10 to +30 points)'
    """
    return _with_interval(measure, found.mean, _ends(measure, found), difference, "95 % interval ")


def difference_cell(measure: str, found: Difference | None) -> str:
    """A paired difference with its 95 % interval in a cell of a table; a dash where there is none."""
    return "–" if found is None else _with_interval(measure, found.mean, _ends(measure, found), difference)


def _ends(measure: str, found: Difference) -> tuple[float, float]:
    """The ends of an interval, within the differences that the measure can have."""
    if not is_share(measure):
        return found.low, found.high
    low, high = np.clip((found.low, found.high), -1, 1)
    return float(low), float(high)


def _with_interval(measure: str, mean: float, ends: tuple[float, float], write: _Writer, words: str = "") -> str:
    text = write(measure, mean, "")
    if math.isnan(ends[0]):
        return text
    return f"{text} ({words}{interval(measure, *ends, write=write)})"


def listed(labels: Sequence[str], word: str = "and") -> str:
    """Labels in a sentence: the first four, and how many more there are.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d", "e", "f"])
    ('`a` and `b`', '`a`, `b`, `c`, `d` and 2 more')
    """
    return joined([f"`{label}`" for label in labels], word)


def joined(items: Sequence[str], word: str = "and") -> str:
    """Items in a sentence: the first four, and how many more there are.

    >>> joined(["1 of 5", "2 of 5"])
    '1 of 5 and 2 of 5'
    """
    named = items[:_LISTED_NAMES]
    more = len(items) - len(named)
    if more:
        return f"{', '.join(named)} {word} {more} more"
    return f"{', '.join(named[:-1])} {word} {named[-1]}" if len(named) > 1 else named[0]


def capitalized(text: str) -> str:
    """A text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]
