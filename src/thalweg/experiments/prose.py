"""Sentences and cells that the reports of experiments and of remedy trials share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..core.intervals import Difference
from ..pages.numbers import difference, interval, measure_value
from .paired import ENOUGH_SEEDS

# Names that a sentence lists; further ones are counted.
_LISTED_NAMES = 4

_Writer: TypeAlias = Callable[[str, float, str], str]


def seed_warning(seeds: int) -> str:
    """What a number of seeds cannot show; empty for ten seeds or more.

    >>> seed_warning(3)
    'This is a hint, not proof: use 5 seeds or more.'
    """
    if seeds < ENOUGH_SEEDS:
        return f"This is a hint, not proof: use {ENOUGH_SEEDS} seeds or more."
    if seeds < 2 * ENOUGH_SEEDS:
        return (
            f"Intervals of {seeds} seeds are too narrow: they miss the true value in 10 to 16 of 100 cases instead"
            " of 5."
        )
    return ""


def hinted(verdict: str, pairs: int) -> str:
    """A verdict, called a hint where it rests on few pairs of seeds.

    >>> hinted("better", 3), hinted("better", 5)
    ('hint: better', 'better')
    """
    return f"hint: {verdict}" if pairs < ENOUGH_SEEDS else verdict


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

    >>> difference_in_words("accuracy", Difference(0.2, 0.1, 0.3))
    '+20 points (95 % interval +10 to +30 points)'
    """
    return _with_interval(measure, found.mean, (found.low, found.high), difference, "95 % interval ")


def difference_cell(measure: str, found: Difference | None) -> str:
    """A paired difference with its 95 % interval in a cell of a table; a dash where there is none."""
    return "–" if found is None else _with_interval(measure, found.mean, (found.low, found.high), difference)


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
    named = [f"`{label}`" for label in labels[:_LISTED_NAMES]]
    more = len(labels) - len(named)
    if more:
        return f"{', '.join(named)} {word} {more} more"
    return f"{', '.join(named[:-1])} {word} {named[-1]}" if len(named) > 1 else named[0]


def capitalized(text: str) -> str:
    """A text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]
