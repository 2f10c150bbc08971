"""What the charts of experiments share: statistics over the seeds, and labels.

An arm is one variation, trained once for each seed. A trial without a value, because it diverged, stopped early or was
not run, is NaN and does not count in a mean.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

GREY = "rgba(128, 132, 140, {})"
LEGEND_WIDTH = 56
LABEL_WIDTH = 30
MOST_LINES = 3
LINE_HEIGHT = 17


class Summary(NamedTuple):
    """Statistics over the seeds of values (seeds, ...), without NaN.

    Attributes:
        mean: the mean (...).
        deviation: the standard deviation of a sample, with n - 1 (...).
        smallest: the smallest value (...).
        largest: the largest value (...).
        seeds: the number of seeds with a value (...).
    """

    mean: np.ndarray
    deviation: np.ndarray
    smallest: np.ndarray
    largest: np.ndarray
    seeds: np.ndarray


def summary_of(values: np.ndarray) -> Summary:
    """Statistics over the finite values (seeds, ...); NaN where there are none."""
    numbers = finite(values)
    known = np.isfinite(numbers)
    count = known.sum(axis=0)
    some = count > 0
    mean = np.where(some, np.where(known, numbers, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    # The square of a loss about to diverge may overflow; the band is limited to the range of the seeds anyway.
    with np.errstate(over="ignore"):
        square = np.where(known, (numbers - mean) ** 2, 0).sum(axis=0)
    smallest = np.min(numbers, axis=0, initial=np.inf, where=known)
    largest = np.max(numbers, axis=0, initial=-np.inf, where=known)
    return Summary(
        mean=mean,
        deviation=np.where(some, np.sqrt(square / np.maximum(count - 1, 1)), np.nan),
        smallest=np.where(some, smallest, np.nan),
        largest=np.where(some, largest, np.nan),
        seeds=count,
    )


def near_limits(values: np.ndarray) -> tuple[float, float]:
    """The outermost values at most three interquartile ranges beyond the quartiles; the two ends differ."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    first, third = np.quantile(known, [0.25, 0.75])
    reach = 3 * (third - first)
    near = known[(known >= first - reach) & (known <= third + reach)] if reach else known
    low = float(near.min())
    high = float(near.max())
    middle = 0.05 * abs(low) or 1.0
    return (low, high) if low < high else (low - middle, high + middle)


def finite(values: ArrayLike) -> np.ndarray:
    """The values as numbers, NaN where they are not finite."""
    numbers = np.asarray(values, dtype=float)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def add_subtitle(figure: go.Figure, text: str) -> None:
    """Add a line of small text below the title."""
    figure.update_layout(title={"subtitle": {"text": text, "font": {"size": 12}}})


def row_height(labels: Sequence[str], least: int) -> int:
    """The height of a row that has room for the longest label, at least `least` (pixels)."""
    return max([least, *(LINE_HEIGHT * (1 + label.count("<br>")) + 6 for label in labels)])


def wrapped(label: str, width: int, most: int | None) -> str:
    """A label broken into at most `most` lines, with HTML escaped, which Plotly would interpret."""
    # No-break spaces keep an axis and its value on one line if they fit.
    parts = [part.replace(" ", "\u00a0") if len(part) < width else part for part in label.split(", ")]
    lines = textwrap.wrap(", ".join(parts), width, max_lines=most, placeholder="…", break_on_hyphens=False)
    return "<br>".join(map(plain, lines)).replace("\u00a0", " ")


def plain(text: str) -> str:
    """The text with HTML escaped, which Plotly would interpret."""
    return html.escape(text, quote=False)
