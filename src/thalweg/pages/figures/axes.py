"""Axes over a plane, ticks of logarithmic axes, and round ticks of linear ones."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from ..numbers import number

# Two axes have the same scale unless one spans this many times as much as the other.
_ALIKE = 3.0
_MOST_TICKS = 6
# Above the first number of decades, ticks are at powers of ten; below the second, evenly spaced; else at 1, 2 and 5.
_MANY_DECADES = 2.0
_FEW_DECADES = 0.5
_POWERS = {0: "1", 1: "10"}


def over_plane(figure: go.Figure, x: np.ndarray, y: np.ndarray, names: tuple[str, str]) -> go.Figure:
    """The figure with axes over a plane, from the first to the last of the coordinates.

    A unit has the same length on both, so that angles and slopes look as they are, unless one spans much more than the
    other.

    >>> x = np.linspace(-1, 1, 3)
    >>> over_plane(go.Figure(), x, x, ("a", "b")).layout.yaxis.scaleanchor
    'x'
    """
    spans = float(x[-1] - x[0]), float(y[-1] - y[0])
    alike = {"scaleanchor": "x", "constrain": "domain"} if max(spans) <= _ALIKE * min(spans) else {}
    figure.update_xaxes(title=names[0], range=[x[0], x[-1]], showgrid=False, constrain="domain")
    return figure.update_yaxes(title=names[1], range=[y[0], y[-1]], showgrid=False, **alike)


def log_axis(values: ArrayLike) -> dict[str, object]:
    """The settings of a logarithmic axis for the positive values of an array of any shape.

    >>> axis = log_axis([0.001, 10.0])
    >>> axis["ticktext"]
    ['10<sup>-3</sup>', '10<sup>-2</sup>', '10<sup>-1</sup>', '1', '10']
    """
    ticks, texts = log_ticks(values)
    return {"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": texts}


def log_ticks(values: ArrayLike) -> tuple[list[float], list[str]]:
    """The ticks of a logarithmic scale for the positive values, and their labels.

    They are powers of ten if the values span more than two decades, otherwise numbers such as 0.02 and 0.05.

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
