"""Charts of experiments: a measure over two axes as a map, over more as lines across all of them."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from ...parts.metrics import is_share
from ..numbers import measure_name as name_of
from ..numbers import measure_value, number, percent
from .arms import (
    GREY,
    LABEL_WIDTH,
    LINE_HEIGHT,
    MOST_LINES,
    add_subtitle,
    finite,
    near_limits,
    plain,
    row_height,
    wrapped,
)
from .axes import round_ticks
from .record import capital
from .theme import TEMPLATE, VERMILION

# Mid tones that are visible on light and dark pages: grey for the worst, blue for the best.
_MERIT = ((0.0, "#a9a297"), (0.5, "#7f9fb0"), (1.0, "#0b74bd"))
_TICK_WIDTH = 14
_WORD_WIDTH = 18
_MOST_NUMBERED = 12
_FEW_TICKS = 6


class _Scale(NamedTuple):
    """An axis from 0 to 1: the positions of its values and ticks, and the labels of the ticks."""

    positions: np.ndarray
    ticks: list[float]
    labels: list[str]


def heat_map(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    row_name: str,
    column_name: str,
    measure: str,
    *,
    higher_is_better: bool,
    diverged: np.ndarray | None = None,
) -> go.Figure:
    """A measure over two axes of an experiment, brighter where it is better.

    A cell of NaN is blank with a cross; a star marks a mean without diverged trials. Up to 12 rows and columns, the
    cells contain their numbers. The colours end at the outermost values that are at most three interquartile ranges
    beyond the quartiles, so that outliers do not hide the other differences; the colour bar gives their number.

    Args:
        values: means over the seeds (R, C).
        rows: the values of the first axis (R,).
        columns: the values of the second axis (C,).
        row_name: the path of the first axis.
        column_name: the path of the second axis.
        measure: the name of the measure.
        higher_is_better: the direction of the measure.
        diverged: the number of diverged trials of each cell (R, C), if known.

    >>> figure = heat_map(np.array([[0.5, np.nan]]), ["0.9"], ["0.01", "1"], "momentum", "rate", "accuracy",
    ...                   higher_is_better=True)
    >>> figure.data[0].text.tolist(), figure.data[1].x.tolist()
    ([['50\u202f%', '']], [1])
    """
    z = finite(values)
    lost = np.zeros(z.shape, int) if diverged is None else np.asarray(diverged, dtype=int)
    known = np.isfinite(z)
    some_lost = known & (lost > 0)
    cells = [f"{plain(row_name)} {plain(r)}<br>{plain(column_name)} {plain(c)}<br>" for r in rows for c in columns]
    cell_names = np.array(cells, dtype=object).reshape(z.shape)
    figure = go.Figure(_cells(z, lost, cell_names, measure, higher_is_better))
    unknown = "not run" if diverged is not None else "diverged or not run"
    grey = {"symbol": "x-thin-open", "size": 11, "color": "#7c7f85"}
    _crosses(figure, ~known & (lost > 0), "diverged", {"symbol": "x", "size": 11, "color": VERMILION}, cell_names)
    _crosses(figure, ~known & (lost == 0), unknown, grey, cell_names)
    labels = _cell_axes(figure, rows, columns, row_name, column_name)
    height = 180 + max(200, len(rows) * row_height(labels, least=30 if max(z.shape) <= _MOST_NUMBERED else 20))
    # The titles of the axes have the whole paths.
    down, across = (plain(axis.rpartition(".")[2]) for axis in (row_name, column_name))
    name = name_of(measure)
    title = f"{capital(name)} by {down} and {across}"
    figure.update_layout(template=TEMPLATE, title=title, height=height, showlegend=True)
    if some_lost.any():
        add_subtitle(figure, "*: some seeds diverged; the mean is over the others.")
    return figure.update_layout(margin={"t": 96 if some_lost.any() or len(figure.data) > 1 else 64})


def _cells(values: np.ndarray, lost: np.ndarray, names: np.ndarray, measure: str, higher_is_better: bool) -> go.Heatmap:
    """The cells (R, C) of a heat map; `lost` are the numbers of diverged trials, `names` begin the hover texts."""
    low, high = near_limits(values)
    numbered = max(values.shape) <= _MOST_NUMBERED
    return go.Heatmap(
        z=values,
        text=np.where(np.isfinite(values), _cell_texts(values, lost, measure), "") if numbered else None,
        texttemplate="%{text}" if numbered else None,
        textfont={"size": 12},
        hovertext=names + _cell_hovers(values, lost, measure),
        hoverinfo="text",
        hoverongaps=False,
        colorscale="Cividis",
        reversescale=not higher_is_better,
        zmin=low,
        zmax=high,
        xgap=1,
        ygap=1,
        colorbar=_colour_bar(values, name_of(measure), higher_is_better, is_share(measure)),
    )


def _cell_texts(values: np.ndarray, lost: np.ndarray, measure: str) -> np.ndarray:
    """The numbers in the cells (R, C), with a star if some trials diverged."""
    texts = [
        measure_value(measure, value, digits=3) + "*" * bool(count)
        for value, count in zip(values.flat, lost.flat, strict=True)
    ]
    return np.array(texts, dtype=object).reshape(values.shape)


def _cell_hovers(values: np.ndarray, lost: np.ndarray, measure: str) -> np.ndarray:
    """The hover texts of the cells (R, C)."""
    name = name_of(measure)
    texts = []
    for value, count in zip(values.flat, lost.flat, strict=True):
        diverged = f", {count} diverged" if count else ""
        texts.append(f"{name} {measure_value(measure, value)}{diverged}")
    return np.array(texts, dtype=object).reshape(values.shape)


def _cell_axes(
    figure: go.Figure, rows: Sequence[str], columns: Sequence[str], row_name: str, column_name: str
) -> list[str]:
    """Label the rows and columns of a heat map; returns the labels of the rows."""
    lines = [wrapped(row, LABEL_WIDTH, MOST_LINES) for row in rows]
    names = [wrapped(column, _TICK_WIDTH, MOST_LINES) for column in columns]
    shared = {"showgrid": False, "tickmode": "array"}
    figure.update_xaxes(title=plain(column_name), autotickangles=[0, -45, -90], **shared)
    figure.update_xaxes(range=[-0.5, len(columns) - 0.5], tickvals=list(range(len(columns))), ticktext=names)
    figure.update_yaxes(title=plain(row_name), **shared)
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5], tickvals=list(range(len(rows))), ticktext=lines)
    return lines


def _crosses(figure: go.Figure, where: np.ndarray, word: str, marker: Mapping[str, object], names: np.ndarray) -> None:
    """Add a cross for each cell where the condition (R, C) holds, with a word for it; `names` (R, C) are the cells'."""
    if where.any():
        down, across = np.nonzero(where)
        hover = {"hovertext": [f"{name}{word}" for name in names[where]], "hoverinfo": "text"}
        figure.add_scatter(x=across, y=down, mode="markers", name=word, marker=marker, **hover)


def parallel_coordinates(
    axes: Mapping[str, Sequence[float | str]],
    measure_name: str,
    measure: np.ndarray,
    *,
    log_axes: Collection[str] = (),
    higher_is_better: bool,
) -> go.Figure:
    """One line per arm over all axes of an experiment, coloured by the measure, which is the last axis.

    Words are evenly spaced in the order of their first occurrence. Arms with a measure of NaN are left out, and their
    number is in the subtitle. The axis and the colours of the measure end like the colours of `heat_map`. The figure
    needs the whole width of a page.

    Args:
        axes: the values of the arms on each axis (n,).
        measure_name: the name of the measure.
        measure: the measure of each arm (n,).
        log_axes: axes that are logarithmic if all their values are positive.
        higher_is_better: the direction of the measure.

    >>> figure = parallel_coordinates({"rate": [0.01, 1.0], "optimizer": ["sgd", "adam"]}, "accuracy",
    ...                               np.array([0.5, 0.75]), log_axes=["rate"], higher_is_better=True)
    >>> [line.y.tolist() for line in figure.data[:2]]
    [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    known = np.isfinite(finite(measure))
    values = finite(measure)[known]
    name = name_of(measure_name)
    kept = {axis: [value for value, is_known in zip(axes[axis], known, strict=True) if is_known] for axis in axes}
    low, high = near_limits(values)
    share = is_share(measure_name)
    scales = [_scale(column, axis in log_axes) for axis, column in kept.items()]
    scales.append(_scale(np.clip(values, low, high), measure_name in log_axes, share))
    better = values if higher_is_better else -values
    merit = np.clip((values - low) / (high - low), 0, 1)
    colours = sample_colorscale([list(stop) for stop in _MERIT], merit if higher_is_better else 1 - merit)
    # Plotly's own parallel coordinates compile code in the browser, which the content security policy of pages forbids.
    figure = go.Figure()
    # The best arm is drawn last, on top of the others.
    for arm in np.argsort(better, kind="stable"):
        settings = [f"{plain(axis)} {plain(number(column[arm]))}" for axis, column in kept.items()]
        figure.add_scatter(
            x=np.arange(len(scales)),
            y=np.array([scale.positions[arm] for scale in scales]),
            mode="lines+markers",
            line={"color": colours[arm], "width": 1.5},
            marker={"color": colours[arm], "size": 5},
            hovertext="<br>".join([*settings, f"<b>{name} {measure_value(measure_name, values[arm])}</b>"]),
            hoverinfo="text",
            showlegend=False,
        )
    _add_colour_bar(figure, (low, high), _colour_bar(values, name, higher_is_better, share), not higher_is_better)
    figure.update_layout(template=TEMPLATE, title=f"{capital(name)} by all axes", height=480)
    _add_scales(figure, [*axes, name], scales)
    if not known.all():
        add_subtitle(figure, f"Left out: {(~known).sum()} of {known.size} arms without {name}.")
    return figure


def _add_colour_bar(figure: go.Figure, ends: tuple[float, float], bar: dict[str, object], reverse: bool) -> None:
    """Add the colour bar of parallel coordinates, by a trace without a visible point."""
    low, high = ends
    shades = {"colorscale": _MERIT, "reversescale": reverse, "cmin": low, "cmax": high, "colorbar": {**bar, "x": 1.08}}
    figure.add_scatter(x=[None], y=[None], mode="markers", marker={"color": [low], **shades}, showlegend=False)


def _add_scales(figure: go.Figure, names: Sequence[str], scales: Sequence[_Scale]) -> None:
    """Add the axes of parallel coordinates at x = 0, 1, 2, ..., with their names on top and labels at their ticks."""
    for place, scale in enumerate(scales):
        figure.add_vline(x=place, line={"color": GREY.format(0.6), "width": 1}, layer="below")
        # The labels of the last axis are on its right, where no line passes.
        last = place == len(scales) - 1
        side = {"xanchor": "left", "xshift": 5} if last else {"xanchor": "right", "xshift": -5, "align": "right"}
        for tick, text in zip(scale.ticks, scale.labels, strict=True):
            figure.add_annotation(
                x=place, y=tick, text=text, showarrow=False, font={"size": 11}, bgcolor=GREY.format(0.16), **side
            )
    # The path of an axis is broken at its dots.
    texts = [wrapped(name.replace(".", ". "), _TICK_WIDTH, MOST_LINES).replace(". ", ".") for name in names]
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": texts, "tickangle": 0}
    figure.update_xaxes(side="top", range=[-0.1, len(names) - 0.9], showgrid=False, **ticks)
    figure.update_yaxes(range=[-0.04, 1.04], showgrid=False, showticklabels=False)
    longest = max((len(html.unescape(line)) for text in scales[0].labels for line in text.split("<br>")), default=0)
    top = 76 + max(LINE_HEIGHT * (1 + text.count("<br>")) for text in texts)
    figure.update_layout(margin={"t": top, "l": 20 + 7 * longest, "b": 24})


def _colour_bar(values: np.ndarray, name: str, higher_is_better: bool, share: bool) -> dict[str, object]:
    """The settings of a colour bar, with the number of values beyond its ends."""
    low, high = near_limits(values)
    # NaN is neither above nor below.
    beyond = int(((values < low) | (values > high)).sum())
    note = f"<br>({beyond} beyond<br>its ends)" if beyond else ""
    direction = "higher" if higher_is_better else "lower"
    title = f"{wrapped(name, _TICK_WIDTH, MOST_LINES)}<br>{direction} is better{note}"
    return {"title": {"text": title, "font": {"size": 12}}, "thickness": 14, "tickformat": "~%" if share else None}


def _scale(values: Sequence[float | str] | np.ndarray, log: bool, share: bool = False) -> _Scale:
    """Values mapped to 0 ... 1: words evenly, numbers linearly or, with `log`, by their logarithm."""
    if any(isinstance(value, str) for value in values):
        words = list(dict.fromkeys(map(str, values)))
        ticks = [place / (len(words) - 1) if len(words) > 1 else 0.5 for place in range(len(words))]
        positions = dict(zip(words, ticks, strict=True))
        labels = [wrapped(word, _WORD_WIDTH, MOST_LINES) for word in words]
        return _Scale(np.array([positions[str(value)] for value in values]), ticks, labels)
    numbers = np.asarray(values, dtype=float)
    if not numbers.size:
        return _Scale(numbers, [], [])
    if log and (numbers > 0).all():
        logs = np.log10(numbers)
        low = int(np.floor(logs.min()))
        high = int(np.ceil(logs.max()))
        high = max(high, low + 1)
        powers = range(low, high + 1, -(-(high - low) // _FEW_TICKS))
        labels = [f"10<sup>{power}</sup>" for power in powers]
        return _Scale((logs - low) / (high - low), [(power - low) / (high - low) for power in powers], labels)
    shown = _ticks(numbers)
    low = min(numbers.min(), shown.min())
    high = max(numbers.max(), shown.max())
    width = high - low or 1.0
    low -= 0.5 * (high == low)
    labels = [percent(tick) if share else number(tick) for tick in shown]
    return _Scale((numbers - low) / width, ((shown - low) / width).tolist(), labels)


def _ticks(numbers: np.ndarray) -> np.ndarray:
    """The numbers themselves if they are few and well separated, otherwise round numbers."""
    distinct = np.unique(numbers)
    width = np.ptp(distinct)
    if distinct.size == 1 or (distinct.size <= _FEW_TICKS and np.diff(distinct).min() > 0.04 * width):
        return distinct
    return round_ticks(distinct[0], distinct[-1], _FEW_TICKS)
