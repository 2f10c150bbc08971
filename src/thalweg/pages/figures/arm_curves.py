"""Charts of experiments: arms over the epochs, and over the levels of an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ...parts.metrics import is_share
from ..numbers import interval, measure_value, number
from ..numbers import measure_name as name_of
from .arms import (
    GREY,
    LEGEND_WIDTH,
    LINE_HEIGHT,
    MOST_LINES,
    add_subtitle,
    finite,
    plain,
    summary_of,
    wrapped,
)
from .axes import log_axis, spans_decades
from .flow import add_band, curve_style
from .flow import curves as draw_curves
from .record import capital
from .theme import BLUE, TEMPLATE

# A loss above this multiple of its first value is cut off by the axis.
_FAR = 100.0
# An axis of positive levels that span more than this factor is logarithmic.
_FEW_FOLD = 4.0
_MOST_BANDS = 8
_PANELS_IN_A_ROW = 4
_PANEL_WIDTH = 28
_PANEL_HEIGHT = 130


def arm_curves(
    curves: Mapping[str, np.ndarray], measure: str, *, log: bool = False, title: str | None = None
) -> go.Figure:
    """One measure over the epochs: for each arm the mean over its seeds, with a band.

    `curves` holds (seeds, epochs) for each arm, NaN where a trial has no such epoch; means are over the other trials.
    The band is the mean plus and minus one standard deviation (of a sample, n - 1), limited to the range of the seeds.
    An arm with one seed has no band, and nine or more arms have none, because they would cover each other.

    >>> figure = arm_curves({"sgd": np.array([[0.8, 0.4], [0.6, np.nan]])}, "loss")
    >>> figure.data[-1].x.tolist(), figure.data[-1].y.round(3).tolist()
    ([1.0, 2.0], [0.7, 0.4])
    """
    summaries = {arm: summary_of(values) for arm, values in curves.items()}
    names = {arm: wrapped(arm, LEGEND_WIDTH, most=None) for arm in curves}
    bands = {
        names[arm]: (np.maximum(s.mean - s.deviation, s.smallest), np.minimum(s.mean + s.deviation, s.largest))
        for arm, s in summaries.items()
        if len(curves[arm]) > 1 and len(curves) <= _MOST_BANDS
    }
    epochs = np.arange(1, 1 + max((s.mean.size for s in summaries.values()), default=0))
    means = {names[arm]: s.mean for arm, s in summaries.items()}
    name = name_of(measure)
    figure = draw_curves(epochs, means, title or f"{capital(name)} over the epochs", "epoch", name, log, bands)
    for arm, s in summaries.items():
        texts = [
            f"{measure_value(measure, mean)}, {interval(measure, low, high)}"
            for mean, _, low, high, _ in zip(*s, strict=True)
        ]
        hover = [
            f"{names[arm]}<br>epoch {epoch}: {text}<br>{count} of {len(curves[arm])} seeds"
            for epoch, text, count in zip(epochs, texts, s.seeds, strict=False)
        ]
        figure.update_traces({"hovertext": hover, "hoverinfo": "text"}, selector={"name": names[arm]})
    if is_share(measure):
        figure.update_yaxes(tickformat="~%")
    notes = (
        ["Line: mean over the seeds. Band: ± one standard deviation, within the range of the seeds."]
        if bands
        else ["Line: mean over the seeds."]
        if any(len(values) > 1 for values in curves.values())
        else []
    )
    if log and (ends := _log_ends([s.mean for s in summaries.values()])):
        figure.update_yaxes(range=ends)
        notes.append("Curves of diverging arms are cut off.")
    if notes:
        add_subtitle(figure, " ".join(notes))
    # Names of arms are long: the legend has one per line, below the chart.
    room = sum(1 + name.count("<br>") for name in names.values()) * (LINE_HEIGHT + 3)
    legend = {"orientation": "v", "yref": "container", "y": 0, "yanchor": "bottom", "tracegroupgap": 0}
    return figure.update_layout(height=400 + room, legend=legend, margin={"t": 76, "b": 64 + room})


class LevelCurve(NamedTuple):
    """A measure over the levels of an axis, for arms that differ in that axis alone.

    Attributes:
        levels: the levels (L,), ascending.
        values: the measure of each level by seed (L, seeds); NaN where a trial diverged.
        chosen: the level that was chosen; None for none.
    """

    levels: np.ndarray
    values: np.ndarray
    chosen: float | None


def level_curves(lines: Mapping[str, LevelCurve], axis: str, measure: str) -> go.Figure:
    """A measure over the levels of an axis, one line for each label, with the chosen levels as rings.

    A line is the mean over the seeds that finished, its band plus and minus one standard deviation within the range of
    these seeds. Below, a cross marks a level where every trial diverged, an open one where some did. The axis of levels
    is logarithmic where all of them are positive and span more than a factor of four.

    >>> line = LevelCurve(np.array([0.01, 0.1]), np.array([[0.5, 0.7], [0.9, np.nan]]), chosen=0.1)
    >>> figure = level_curves({"sgd": line}, "learning_rate", "accuracy")
    >>> figure.layout.xaxis.type, figure.data[2].y.tolist(), figure.data[3].x.tolist()
    ('log', [0.6, 0.9], [0.1])
    """
    name = name_of(measure)
    figure = go.Figure()
    means = [
        _add_level_curve(figure, place, label, line, axis, measure) for place, (label, line) in enumerate(lines.items())
    ]
    levels = np.concatenate([line.levels for line in lines.values()])
    diverged = any(np.isnan(finite(line.values)).any() for line in lines.values())
    strip = 18 * len(lines) if diverged else 0
    height = 400 + strip
    figure.update_layout(template=TEMPLATE, title=f"{capital(name)} by {axis}", height=height, showlegend=True)
    figure.update_xaxes(title=axis)
    if levels.min() > 0 and levels.max() > _FEW_FOLD * levels.min():
        figure.update_xaxes(**log_axis(levels))
    figure.update_yaxes(title=name, tickformat="~%" if is_share(measure) else None)
    known = np.concatenate(means)
    known = known[np.isfinite(known)]
    if not is_share(measure) and spans_decades(known):
        figure.update_yaxes(**log_axis(known))
    if diverged:
        _add_strip(figure, lines, axis, strip / (height - 128))
    notes = ["Ring: chosen."] if any(line.chosen is not None for line in lines.values()) else []
    if any(line.values.shape[1] > 1 for line in lines.values()):
        notes.append("Band: ± one standard deviation, within the range of the seeds.")
    if diverged:
        notes.append("Cross: all trials diverged; open: some.")
    add_subtitle(figure, " ".join(notes))
    return figure.update_layout(margin={"t": 96})


def _add_level_curve(
    figure: go.Figure, place: int, label: str, line: LevelCurve, axis: str, measure: str
) -> np.ndarray:
    """Add the band, the line and the ring of one label; returns the means (L,)."""
    colour, dash = curve_style(place)
    name = wrapped(label, LEGEND_WIDTH, most=None)
    summary = summary_of(line.values.T)
    low = np.maximum(summary.mean - summary.deviation, summary.smallest)
    high = np.minimum(summary.mean + summary.deviation, summary.largest)
    add_band(figure, line.levels, low, high, colour, name)
    hover = [
        f"{name}<br>{axis} {number(level)}: {measure_value(measure, mean)}<br>{count} of {line.values.shape[1]} seeds"
        for level, mean, count in zip(line.levels, summary.mean, summary.seeds, strict=True)
    ]
    figure.add_scatter(
        x=line.levels,
        y=summary.mean,
        name=name,
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 6},
        legendgroup=name,
        hovertext=hover,
        hoverinfo="text",
    )
    chosen = np.array([level == line.chosen for level in line.levels])
    figure.add_scatter(
        x=line.levels[chosen],
        y=summary.mean[chosen],
        mode="markers",
        marker={"size": 17, "symbol": "circle-open", "color": colour, "line": {"width": 2.5}},
        legendgroup=name,
        showlegend=False,
        hoverinfo="skip",
    )
    return summary.mean


def _add_strip(figure: go.Figure, lines: Mapping[str, LevelCurve], axis: str, share: float) -> None:
    """Add a strip below the lines, this share of the plot high: a cross where trials diverged, one row a label."""
    for place, (label, line) in enumerate(lines.items()):
        lost = np.isnan(finite(line.values)).sum(axis=1)
        seeds = line.values.shape[1]
        some = lost > 0
        figure.add_scatter(
            x=line.levels[some],
            y=np.full(some.sum(), place),
            yaxis="y2",
            mode="markers",
            marker={
                "size": 9,
                "color": curve_style(place)[0],
                "symbol": np.where(lost[some] == seeds, "x", "x-open").tolist(),
            },
            legendgroup=wrapped(label, LEGEND_WIDTH, most=None),
            showlegend=False,
            hovertext=[
                f"{plain(label)}<br>{axis} {number(level)}: {count} of {seeds} trials diverged"
                for level, count in zip(line.levels[some], lost[some], strict=True)
            ],
            hoverinfo="text",
        )
    figure.update_layout(
        yaxis={"domain": [share + 0.03, 1]},
        xaxis={"anchor": "y2"},
        yaxis2={
            "domain": [0, share],
            "range": [len(lines) - 0.5, -0.5],
            "tickmode": "array",
            "tickvals": [(len(lines) - 1) / 2],
            "ticktext": ["diverged"],
            "showgrid": False,
        },
    )


def _log_ends(means: Sequence[np.ndarray]) -> list[float] | None:
    """The ends of a logarithmic axis in decades, if a curve rises far above the median start; otherwise None."""
    first = np.array([mean[0] for mean in means if mean.size])
    values = np.concatenate([*means, []])
    values = values[values > 0]
    first = first[first > 0]
    if not first.size or values.max() < _FAR * np.median(first):
        return None
    low, high = np.log10([values.min(), _FAR * np.median(first)])
    return [float(low) - 0.1, float(high)]


def arm_panels(
    curves: Mapping[str, np.ndarray], measure: str, baseline: str | None = None, *, log: bool = False
) -> go.Figure:
    """One measure over the epochs, a small chart for each arm, all of the same scale, with the baseline in grey.

    `curves` are those of `arm_curves`, for more arms than one chart can distinguish.

    >>> figure = arm_panels({"sgd": np.array([[0.8, 0.4]]), "adam": np.array([[0.7, 0.1]])}, "loss", "sgd")
    >>> [line.y.tolist() for line in figure.data]
    [[0.8, 0.4], [0.8, 0.4], [0.7, 0.1]]
    """
    columns = min(len(curves), _PANELS_IN_A_ROW)
    rows = -(-len(curves) // columns)
    titles = [wrapped(arm, _PANEL_WIDTH, MOST_LINES) for arm in curves]
    title_height = LINE_HEIGHT * (1 + max(title.count("<br>") for title in titles))
    height = 96 + rows * (_PANEL_HEIGHT + title_height)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=titles,
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.025,
        vertical_spacing=(title_height + 14) / (height - 96),
    )
    means = {arm: summary_of(values).mean for arm, values in curves.items()}
    shown = {arm: np.where(mean > 0, mean, np.nan) if log else mean for arm, mean in means.items()}
    for place, arm in enumerate(curves):
        lines = {baseline: {"color": GREY.format(0.9), "width": 1.5}, arm: {"color": BLUE, "width": 2}}
        for name, line in lines.items():
            if name is not None and name in shown:
                figure.add_scatter(
                    x=np.arange(1, 1 + shown[name].size),
                    y=shown[name],
                    mode="lines",
                    line=line,
                    name=plain(name),
                    row=place // columns + 1,
                    col=place % columns + 1,
                )
    figure.update_annotations(font={"size": 12}, yshift=2)
    name = name_of(measure)
    figure.update_layout(template=TEMPLATE, title=f"{capital(name)} over the epochs", height=height, showlegend=False)
    if log:
        ends = _log_ends(list(means.values()))
        figure.update_yaxes(**log_axis(np.concatenate(list(shown.values()))), range=ends)
    figure.update_yaxes(tickformat="~%" if is_share(measure) else None)
    figure.update_xaxes(title="epoch", row=rows)
    add_subtitle(figure, "Line: mean over the seeds. Grey: the baseline." if baseline else "Line: mean over the seeds.")
    return figure.update_layout(margin={"t": 64 + title_height})
