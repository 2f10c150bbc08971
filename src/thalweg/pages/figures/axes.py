"""Logarithmic axes whose ticks show their decade, and linear ticks at round numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..numbers import number

_MOST_TICKS = 6
# Longer axes have ticks at powers of ten, shorter ones at 1, 2 and 5, the shortest at even steps.
_MANY_DECADES = 2.0
_FEW_DECADES = 0.5
_POWERS = {0: "1", 1: "10"}


def log_axis(values: ArrayLike) -> dict[str, object]:
    """The settings of a logarithmic axis for positive values of any shape; others do not count.

    >>> axis = log_axis([0.001, 10.0])
    >>> axis["ticktext"]
    ['10<sup>-3</sup>', '10<sup>-2</sup>', '10<sup>-1</sup>', '1', '10']
    """
    ticks, texts = log_ticks(values)
    return {"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": texts}


def log_ticks(values: ArrayLike) -> tuple[list[float], list[str]]:
    """Ticks of a logarithmic scale that covers the positive values, and their texts.

    Over more than two decades they are powers of ten, else numbers such as 0.02 and 0.05.

    >>> log_ticks([0.015, 0.06])[1]
    ['0.01', '0.02', '0.05', '0.1']
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known) & (known > 0)]
    if not known.size:
        return [], []
    low = float(known.min())
    high = float(known.max())
    decades = np.log10(high / low)
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    if decades > _MANY_DECADES:
        # Every k-th power, counted from 1.
        step = int(np.ceil(len(powers) / (_MOST_TICKS + 1)))
        inside = powers[(powers >= np.log10(low) - 1e-9) & (powers <= np.log10(high) + 1e-9)]
        kept = [int(power) for power in inside if power % step == 0]
        return [10.0**power for power in kept], [_POWERS.get(power, f"10<sup>{power}</sup>") for power in kept]
    if decades > _FEW_DECADES:
        ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        ticks = [tick for tick in ticks if low / 2 <= tick <= 2 * high]
    else:
        room = 0.25 * (high - low) or 0.25 * high
        ticks = round_ticks(low - room, high + room).tolist()
    return ticks, [number(tick) for tick in ticks]


def round_ticks(low: float, high: float, most: int = _MOST_TICKS) -> np.ndarray:
    """At most `most` multiples of 1, 2 or 5 times a power of ten between two numbers.

    >>> round_ticks(0.13, 0.92).round(6).tolist()
    [0.2, 0.4, 0.6, 0.8]
    """
    width = (high - low) / (most - 1)
    power = 10.0 ** np.floor(np.log10(width))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= width * (1 - 1e-9))
    ticks: np.ndarray = step * np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1)
    return ticks


def spans_decades(values: np.ndarray, decades: float = 1.5) -> bool:
    """Whether all values are positive and span more than `decades`."""
    return bool(values.size and values.min() > 0 and values.max() / values.min() > 10**decades)
