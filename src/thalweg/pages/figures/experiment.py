"""Charts of experiments: arms over the epochs, by final measure, against a baseline, and by axis.

An arm is one variation, trained once for each seed. A trial without a value, because it diverged, stopped early or was
not run, is NaN and does not count in a mean.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.colors import sample_colorscale

from ..numbers import count_noun, difference, interval, is_share, measure_value, number, percent
from ..numbers import measure_name as name_of
from .axes import log_axis, round_ticks, spans_decades
from .flow import add_band, curve_style
from .flow import curves as draw_curves
from .record import capital
from .theme import BLUE, ORANGE, SKY, TEMPLATE, VERMILION

_GREY = "rgba(128, 132, 140, {})"
# Mid tones that are visible on light and dark pages: grey for the worst, blue for the best.
_MERIT = ((0.0, "#a9a297"), (0.5, "#7f9fb0"), (1.0, "#0b74bd"))
_LABEL_WIDTH = 30
_LEGEND_WIDTH = 56
_TICK_WIDTH = 14
_WORD_WIDTH = 18
_MOST_LINES = 3
_LINE_HEIGHT = 17
_MOST_NUMBERED = 12
_FEW_TICKS = 6
# A loss above this multiple of its first value is cut off by the axis.
_FAR = 100.0
# An axis of positive levels that span more than this factor is logarithmic.
_FEW_FOLD = 4.0
_UNKNOWN = (np.nan, np.nan)
_NONE_DIVERGED: Mapping[str, int] = MappingProxyType({})


class _Summary(NamedTuple):
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


class _Scale(NamedTuple):
    """An axis from 0 to 1: the positions of its values and ticks, and the labels of the ticks."""

    positions: np.ndarray
    ticks: list[float]
    labels: list[str]


def arm_curves(
    curves: Mapping[str, np.ndarray], measure: str, *, log: bool = False, title: str | None = None
) -> go.Figure:
    """One measure over the epochs: for each arm the mean over its seeds, with a band.

    `curves` holds (seeds, epochs) for each arm, NaN where a trial has no such epoch; means are over the other trials.
    The band is the mean plus and minus one standard deviation (of a sample, n - 1), limited to the range of the seeds.
    An arm with one seed has no band.

    >>> figure = arm_curves({"sgd": np.array([[0.8, 0.4], [0.6, np.nan]])}, "loss")
    >>> figure.data[-1].x.tolist(), figure.data[-1].y.round(3).tolist()
    ([1.0, 2.0], [0.7, 0.4])
    """
    summaries = {arm: _summary(values) for arm, values in curves.items()}
    names = {arm: _lines(arm, _LEGEND_WIDTH, most=None) for arm in curves}
    bands = {
        names[arm]: (np.maximum(s.mean - s.deviation, s.smallest), np.minimum(s.mean + s.deviation, s.largest))
        for arm, s in summaries.items()
        if len(curves[arm]) > 1
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
        ["Line: mean over the seeds. Band: ± one standard deviation, within the range of the seeds."] if bands else []
    )
    if log and (ends := _log_ends([s.mean for s in summaries.values()])):
        figure.update_yaxes(range=ends)
        notes.append("Curves of diverging arms are cut off.")
    if notes:
        _add_subtitle(figure, " ".join(notes))
    # Names of arms are long: the legend has one per line, below the chart.
    room = sum(1 + name.count("<br>") for name in names.values()) * (_LINE_HEIGHT + 3)
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
    diverged = any(np.isnan(_finite(line.values)).any() for line in lines.values())
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
    note = "Ring: chosen. Band: ± one standard deviation, within the range of the seeds."
    _add_subtitle(figure, f"{note} Cross: all trials diverged; open: some." if diverged else note)
    return figure.update_layout(margin={"t": 96})


def _add_level_curve(
    figure: go.Figure, place: int, label: str, line: LevelCurve, axis: str, measure: str
) -> np.ndarray:
    """Add the band, the line and the ring of one label; returns the means (L,)."""
    colour, dash = curve_style(place)
    name = _lines(label, _LEGEND_WIDTH, most=None)
    summary = _summary(line.values.T)
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
        lost = np.isnan(_finite(line.values)).sum(axis=1)
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
            legendgroup=_lines(label, _LEGEND_WIDTH, most=None),
            showlegend=False,
            hovertext=[
                f"{_plain(label)}<br>{axis} {number(level)}: {count} of {seeds} trials diverged"
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


def arm_measures(
    finals: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[float, float]],
    measure: str,
    *,
    best: str | None = None,
    diverged: Mapping[str, int] = _NONE_DIVERGED,
) -> go.Figure:
    """The final measure, one row per arm: a dot for each seed, and the mean with its 95 % interval.

    The axis is logarithmic for positive values that span more than one and a half decades.

    Args:
        finals: the values of the seeds of each arm (n,).
        intervals: the ends of the 95 % interval of each arm's mean.
        measure: the name of the measure.
        best: the arm that is marked as best.
        diverged: the number of diverged trials by arm, written below its name.

    >>> figure = arm_measures({"sgd": np.array([0.9, 0.7])}, {"sgd": (0.7, 0.9)}, "accuracy", best="sgd")
    >>> figure.data[1].x.tolist(), figure.layout.yaxis.ticktext
    ([0.8], ('<b>sgd</b><br>best',))
    """
    notes = {arm: _note(arm == best, diverged.get(arm, 0)) for arm in finals}
    name = name_of(measure)
    figure = _by_arm(finals, intervals, measure, measure_value, notes, strong=best)
    if best in finals:
        row = [arm == best for arm in finals].index(True)
        figure.add_scatter(
            x=figure.data[1].x[[row]],
            y=[row],
            mode="markers",
            name="best arm",
            marker={"size": 19, "symbol": "circle-open", "color": VERMILION, "line": {"width": 2.5}},
            hoverinfo="skip",
        )
    figure.update_xaxes(title=name, tickformat="~%" if is_share(measure) else None)
    values = _values_of(*figure.data[:2])
    if not is_share(measure) and spans_decades(values):
        figure.update_xaxes(**log_axis(values))
    return figure.update_layout(title=f"{capital(name)} by arm")


def paired_differences(
    differences: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[float, float]],
    measure: str,
    baseline: str,
    *,
    higher_is_better: bool = True,
) -> go.Figure:
    """The difference of each arm to the baseline with the same seed: a dot for each seed, the mean and its interval.

    `differences` holds arm minus baseline by seed (n,). The marker of a mean is open if its interval includes 0 or is
    not known, and filled otherwise. Labels at the top show the better side.

    >>> figure = paired_differences({"adam": np.array([0.1, 0.3])}, {"adam": (0.1, 0.3)}, "accuracy", "sgd")
    >>> figure.data[1].x.tolist(), [note.text for note in figure.layout.annotations]
    ([0.2], ['← worse', 'better →'])
    """
    name = name_of(measure)
    lows, highs = np.array([intervals.get(arm, _UNKNOWN) for arm in differences], dtype=float).reshape(-1, 2).T
    includes = ~((lows > 0) | (highs < 0))
    notes = {arm: "" if np.isfinite(_finite(values)).any() else "no pairs" for arm, values in differences.items()}
    figure = _by_arm(differences, intervals, measure, difference, notes)
    means = figure.data[1]
    means.marker.symbol = np.where(includes, "circle-open", "circle").tolist()
    means.name += " (open: 0 not excluded)" if includes.any() else ""
    _around_zero(figure, *(("worse", "better") if higher_is_better else ("better", "worse")))
    # Outliers among the arms do not stretch the axis.
    low, high = _limits(means.x)
    far = (means.x < low) | (means.x > high)
    near = [values for values, is_far in zip(differences.values(), far, strict=True) if not is_far]
    shown = _finite(np.concatenate([*near, lows[~far], highs[~far], [0.0]]))
    shown = shown[np.isfinite(shown)]
    room = 0.3 * max(float(np.ptp(shown)), 1e-9)
    # Both sides of 0 have room for their labels.
    ends = [min(shown.min() - room / 6, -room), max(shown.max() + room / 6, room)]
    against = _lines(baseline, _LEGEND_WIDTH, most=_MOST_LINES)
    title = f"{name} minus that of the baseline:<br>{against}"
    figure.update_xaxes(title=title, range=ends, tickformat="~%" if is_share(measure) else None)
    height = figure.layout.height + 44
    margin = {"t": 104, "b": 68}
    # The legend is above the labels of both sides.
    legend = {"y": 1 + 24 / (height - sum(margin.values()))}
    figure.update_layout(title=f"{capital(name)} against the baseline", height=height, margin=margin, legend=legend)
    if beyond := int(far.sum()):
        _add_subtitle(figure, f"{count_noun(beyond, 'arm')} beyond the ends of the axis.")
    return figure


def paired_effects(
    effects: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[float, float]],
    controls: Mapping[str, np.ndarray],
    control_intervals: Mapping[str, tuple[float, float]],
    measure: str,
    *,
    notes: Mapping[str, str],
    strong: str | None = None,
) -> go.Figure:
    """The effect of each remedy on a measure that grows as a network learns, and that of a random change.

    A row has the mean of the remedy with its 95 % interval, below it that of its control, and a dot for each seed of
    both. The marker of a mean is open if its interval includes 0 or is not known.

    Args:
        effects: by remedy, changed minus unchanged by seed (n,).
        intervals: the 95 % intervals of the means of `effects`.
        controls: the same for a random change of equal cost, the control of the remedy; a remedy may have none.
        control_intervals: the 95 % intervals of the means of `controls`.
        measure: the name of the measure.
        notes: texts below the names of the remedies.
        strong: the remedy whose name is bold.

    >>> figure = paired_effects({"rate 0.1": np.array([0.1, 0.3])}, {"rate 0.1": (0.1, 0.3)}, {}, {}, "accuracy",
    ...                         notes={"rate 0.1": "helps"})
    >>> figure.data[1].x.tolist(), figure.layout.yaxis.ticktext
    ([0.2], ('rate 0.1<br>helps',))
    """
    figure = go.Figure()
    name = name_of(measure)
    for title, differences, ends_by_arm, offset, style in (
        ("remedy", effects, intervals, -0.17, (BLUE, "circle")),
        ("random change", controls, control_intervals, 0.19, (ORANGE, "diamond")),
    ):
        rows = {arm: row + offset for row, arm in enumerate(effects) if arm in differences}
        _add_effects(figure, differences, ends_by_arm, rows, measure, title, style)
    _name_rows(figure, list(effects), notes, strong)
    known = np.concatenate([np.zeros(1), _values_of(*figure.data[:2]), _values_of(*figure.data[2:])])
    room = 0.15 * max(float(np.ptp(known)), 1e-9)
    # Both sides of 0 have room for their labels.
    ends = [min(known.min() - room / 3, -room), max(known.max() + room / 3, room)]
    against = f"{name} minus that of the unchanged network"
    figure.update_xaxes(title=against, range=ends, tickformat="~%" if is_share(measure) else None)
    _around_zero(figure, "worse", "better")
    height = 194 + max(80, len(effects) * _row_height(figure.layout.yaxis.ticktext, least=48))
    margin = {"t": 104, "b": 56}
    legend = {"y": 1 + 24 / (height - sum(margin.values()))}
    title = f"Effect of each remedy on the {name}"
    figure.update_layout(template=TEMPLATE, title=title, height=height, margin=margin, legend=legend, showlegend=True)
    _add_subtitle(figure, "Open markers: the interval includes 0 or is not known. Small dots: seeds.")
    return figure


def _add_effects(
    figure: go.Figure,
    differences: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[float, float]],
    rows: Mapping[str, float],
    measure: str,
    title: str,
    style: tuple[str, str],
) -> None:
    """Add the means of differences (n,) with their intervals, each in its row, and below them a dot for each seed.

    `style` is the colour and the symbol of the means.
    """
    colour, symbol = style
    dots = [_finite(differences[arm]) for arm in rows]
    means = np.array([_summary(values[:, None]).mean[0] for values in dots])
    low, high = np.array([intervals.get(arm, _UNKNOWN) for arm in rows], dtype=float).reshape(-1, 2).T
    seeds = [
        f"{_plain(arm)}<br>{title}, seed no. {seed}: {difference(measure, value)}"
        for arm, values in zip(rows, dots, strict=True)
        for seed, value in enumerate(values, 1)
    ]
    hover = [
        f"{_plain(arm)}<br>{title}: mean {difference(measure, mean)}, "
        f"95\u202f% interval {interval(measure, start, end, write=difference)}"
        for arm, mean, start, end in zip(rows, means, low, high, strict=True)
    ]
    below = [np.full(values.size, row + 0.13) for values, row in zip(dots, rows.values(), strict=True)]
    figure.add_scatter(
        x=np.concatenate([*dots, []]),
        y=np.concatenate([*below, []]),
        mode="markers",
        showlegend=False,
        marker={"size": 5, "opacity": 0.6, "color": colour},
        hovertext=seeds,
        hoverinfo="text",
    )
    symbols = np.where((low > 0) | (high < 0), symbol, f"{symbol}-open").tolist()
    figure.add_scatter(
        x=means,
        y=np.array(list(rows.values())),
        mode="markers",
        name=f"{title}, 95\u202f% interval",
        marker={"size": 10, "color": colour, "symbol": symbols, "line": {"width": 2, "color": colour}},
        error_x={"array": high - means, "arrayminus": means - low, "color": colour, "thickness": 2, "width": 5},
        hovertext=hover,
        hoverinfo="text",
    )


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
    z = _finite(values)
    lost = np.zeros(z.shape, int) if diverged is None else np.asarray(diverged, dtype=int)
    known = np.isfinite(z)
    some_lost = known & (lost > 0)
    cells = [f"{_plain(row_name)} {_plain(r)}<br>{_plain(column_name)} {_plain(c)}<br>" for r in rows for c in columns]
    cell_names = np.array(cells, dtype=object).reshape(z.shape)
    figure = go.Figure(_cells(z, lost, cell_names, measure, higher_is_better))
    unknown = "not run" if diverged is not None else "diverged or not run"
    grey = {"symbol": "x-thin-open", "size": 11, "color": "#7c7f85"}
    _crosses(figure, ~known & (lost > 0), "diverged", {"symbol": "x", "size": 11, "color": VERMILION}, cell_names)
    _crosses(figure, ~known & (lost == 0), unknown, grey, cell_names)
    labels = _cell_axes(figure, rows, columns, row_name, column_name)
    height = 180 + max(200, len(rows) * _row_height(labels, least=30 if max(z.shape) <= _MOST_NUMBERED else 20))
    # The titles of the axes have the whole paths.
    down, across = (_plain(axis.rpartition(".")[2]) for axis in (row_name, column_name))
    name = name_of(measure)
    title = f"{capital(name)} by {down} and {across}"
    figure.update_layout(template=TEMPLATE, title=title, height=height, showlegend=True)
    if some_lost.any():
        _add_subtitle(figure, "*: some seeds diverged; the mean is over the others.")
    return figure.update_layout(margin={"t": 96 if some_lost.any() or len(figure.data) > 1 else 64})


def _cells(values: np.ndarray, lost: np.ndarray, names: np.ndarray, measure: str, higher_is_better: bool) -> go.Heatmap:
    """The cells (R, C) of a heat map; `lost` are the numbers of diverged trials, `names` begin the hover texts."""
    low, high = _limits(values)
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
    lines = [_lines(row, _LABEL_WIDTH, _MOST_LINES) for row in rows]
    names = [_lines(column, _TICK_WIDTH, _MOST_LINES) for column in columns]
    shared = {"showgrid": False, "tickmode": "array"}
    figure.update_xaxes(title=_plain(column_name), autotickangles=[0, -45, -90], **shared)
    figure.update_xaxes(range=[-0.5, len(columns) - 0.5], tickvals=list(range(len(columns))), ticktext=names)
    figure.update_yaxes(title=_plain(row_name), **shared)
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
    known = np.isfinite(_finite(measure))
    values = _finite(measure)[known]
    name = name_of(measure_name)
    kept = {axis: [value for value, is_known in zip(axes[axis], known, strict=True) if is_known] for axis in axes}
    low, high = _limits(values)
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
        settings = [f"{_plain(axis)} {_plain(number(column[arm]))}" for axis, column in kept.items()]
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
        _add_subtitle(figure, f"Left out: {(~known).sum()} of {known.size} arms without {name}.")
    return figure


def _add_colour_bar(figure: go.Figure, ends: tuple[float, float], bar: dict[str, object], reverse: bool) -> None:
    """Add the colour bar of parallel coordinates, by a trace without a visible point."""
    low, high = ends
    shades = {"colorscale": _MERIT, "reversescale": reverse, "cmin": low, "cmax": high, "colorbar": {**bar, "x": 1.08}}
    figure.add_scatter(x=[None], y=[None], mode="markers", marker={"color": [low], **shades}, showlegend=False)


def _add_scales(figure: go.Figure, names: Sequence[str], scales: Sequence[_Scale]) -> None:
    """Add the axes of parallel coordinates at x = 0, 1, 2, ..., with their names on top and labels at their ticks."""
    for place, scale in enumerate(scales):
        figure.add_vline(x=place, line={"color": _GREY.format(0.6), "width": 1}, layer="below")
        # The labels of the last axis are on its right, where no line passes.
        last = place == len(scales) - 1
        side = {"xanchor": "left", "xshift": 5} if last else {"xanchor": "right", "xshift": -5, "align": "right"}
        for tick, text in zip(scale.ticks, scale.labels, strict=True):
            figure.add_annotation(
                x=place, y=tick, text=text, showarrow=False, font={"size": 11}, bgcolor=_GREY.format(0.16), **side
            )
    # The path of an axis is broken at its dots.
    texts = [_lines(name.replace(".", ". "), _TICK_WIDTH, _MOST_LINES).replace(". ", ".") for name in names]
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": texts, "tickangle": 0}
    figure.update_xaxes(side="top", range=[-0.1, len(names) - 0.9], showgrid=False, **ticks)
    figure.update_yaxes(range=[-0.04, 1.04], showgrid=False, showticklabels=False)
    longest = max((len(html.unescape(line)) for text in scales[0].labels for line in text.split("<br>")), default=0)
    top = 76 + max(_LINE_HEIGHT * (1 + text.count("<br>")) for text in texts)
    figure.update_layout(margin={"t": top, "l": 20 + 7 * longest, "b": 24})


def _by_arm(
    values: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[float, float]],
    measure: str,
    write: Callable[..., str],
    notes: Mapping[str, str],
    strong: str | None = None,
) -> go.Figure:
    """One row per arm, the first on top: the mean with its interval, and below it the dots of its seeds.

    `notes` are written below the names of the arms; the `strong` one is bold.
    """
    dots = [_finite(of_arm) for of_arm in values.values()]
    ends = [intervals.get(arm, _UNKNOWN) for arm in values]
    means = np.array([_summary(of_arm[:, None]).mean[0] for of_arm in dots])
    low, high = np.array(ends, dtype=float).reshape(-1, 2).T
    seeds = [
        f"{_plain(arm)}<br>seed no. {seed}: {write(measure, value)}"
        for arm, of_arm in zip(values, dots, strict=True)
        for seed, value in enumerate(of_arm, 1)
    ]
    arms = [
        f"{_plain(arm)}<br>mean {write(measure, mean)}, "
        f"95\u202f% interval {interval(measure, start, end, write=write)}"
        f"<br>{np.isfinite(of_arm).sum()} of {of_arm.size} seeds"
        for arm, mean, start, end, of_arm in zip(values, means, low, high, dots, strict=True)
    ]
    below = [np.full(of_arm.size, row + 0.24) for row, of_arm in enumerate(dots)]
    figure = go.Figure()
    figure.add_scatter(
        x=np.concatenate([*dots, []]),
        y=np.concatenate([*below, []]),
        mode="markers",
        name="each seed",
        marker={"size": 6, "color": SKY, "opacity": 0.75},
        hovertext=seeds,
        hoverinfo="text",
    )
    figure.add_scatter(
        x=means,
        y=np.arange(len(means)),
        mode="markers",
        name="mean, 95\u202f% interval",
        marker={"size": 10, "color": BLUE, "line": {"width": 2, "color": BLUE}},
        error_x={"array": high - means, "arrayminus": means - low, "color": BLUE, "thickness": 2, "width": 5},
        hovertext=arms,
        hoverinfo="text",
    )
    rows = _name_rows(figure, list(values), notes, strong)
    height = 150 + max(70, len(rows) * _row_height(rows, least=36))
    return figure.update_layout(template=TEMPLATE, height=height, showlegend=True)


def _name_rows(figure: go.Figure, arms: Sequence[str], notes: Mapping[str, str], strong: str | None) -> list[str]:
    """Label the rows of a figure, the first on top, with notes below the names; the `strong` name is bold."""
    labels = [_lines(arm, _LABEL_WIDTH, _MOST_LINES) for arm in arms]
    rows = [
        (f"<b>{label}</b>" if arm == strong else label) + (f"<br>{notes[arm]}" if notes.get(arm) else "")
        for arm, label in zip(arms, labels, strict=True)
    ]
    figure.update_yaxes(tickmode="array", tickvals=list(range(len(rows))), ticktext=rows, showgrid=False)
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5])
    return rows


def _around_zero(figure: go.Figure, left: str, right: str) -> None:
    """Add a line at 0, with a label for each side of it."""
    figure.add_vline(x=0, line={"color": _GREY.format(0.9), "width": 1.5}, layer="below")
    above = {"x": 0, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False}
    figure.add_annotation(text=f"← {left}", xanchor="right", xshift=-6, **above)
    figure.add_annotation(text=f"{right} →", xanchor="left", xshift=6, **above)


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


def _note(best: bool, diverged: int) -> str:
    return ", ".join([*(["best"] if best else []), *([f"{diverged} diverged"] if diverged else [])])


def _values_of(dots: go.Scatter, means: go.Scatter) -> np.ndarray:
    """All finite values of the traces of a figure by arm: dots, means and the ends of their intervals."""
    ends = [means.x + means.error_x.array, means.x - means.error_x.arrayminus]
    values = np.concatenate([dots.x, means.x, *ends])
    return values[np.isfinite(values)]


def _summary(values: np.ndarray) -> _Summary:
    """Statistics over the finite values (seeds, ...); NaN where there are none."""
    finite = _finite(values)
    known = np.isfinite(finite)
    count = known.sum(axis=0)
    some = count > 0
    mean = np.where(some, np.where(known, finite, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    # The square of a loss about to diverge may overflow; the band is limited to the range of the seeds anyway.
    with np.errstate(over="ignore"):
        square = np.where(known, (finite - mean) ** 2, 0).sum(axis=0)
    smallest = np.min(finite, axis=0, initial=np.inf, where=known)
    largest = np.max(finite, axis=0, initial=-np.inf, where=known)
    return _Summary(
        mean=mean,
        deviation=np.where(some, np.sqrt(square / np.maximum(count - 1, 1)), np.nan),
        smallest=np.where(some, smallest, np.nan),
        largest=np.where(some, largest, np.nan),
        seeds=count,
    )


def _limits(values: np.ndarray) -> tuple[float, float]:
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


def _colour_bar(values: np.ndarray, name: str, higher_is_better: bool, share: bool) -> dict[str, object]:
    """The settings of a colour bar, with the number of values beyond its ends."""
    low, high = _limits(values)
    # NaN is neither above nor below.
    beyond = int(((values < low) | (values > high)).sum())
    note = f"<br>({beyond} beyond<br>its ends)" if beyond else ""
    direction = "higher" if higher_is_better else "lower"
    title = f"{_lines(name, _TICK_WIDTH, _MOST_LINES)}<br>{direction} is better{note}"
    return {"title": {"text": title, "font": {"size": 12}}, "thickness": 14, "tickformat": "~%" if share else None}


def _scale(values: Sequence[float | str] | np.ndarray, log: bool, share: bool = False) -> _Scale:
    """Values mapped to 0 ... 1: words evenly, numbers linearly or, with `log`, by their logarithm."""
    if any(isinstance(value, str) for value in values):
        words = list(dict.fromkeys(map(str, values)))
        ticks = [place / (len(words) - 1) if len(words) > 1 else 0.5 for place in range(len(words))]
        positions = dict(zip(words, ticks, strict=True))
        labels = [_lines(word, _WORD_WIDTH, _MOST_LINES) for word in words]
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


def _finite(values: ArrayLike) -> np.ndarray:
    """The values as numbers, NaN where they are not finite."""
    numbers = np.asarray(values, dtype=float)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _add_subtitle(figure: go.Figure, text: str) -> None:
    figure.update_layout(title={"subtitle": {"text": text, "font": {"size": 12}}})


def _row_height(labels: Sequence[str], least: int) -> int:
    return max([least, *(_LINE_HEIGHT * (1 + label.count("<br>")) + 6 for label in labels)])


def _lines(label: str, width: int, most: int | None) -> str:
    """A label broken into at most `most` lines, with HTML escaped, which Plotly would interpret."""
    # No-break spaces keep an axis and its value on one line if they fit.
    parts = [part.replace(" ", "\u00a0") if len(part) < width else part for part in label.split(", ")]
    lines = textwrap.wrap(", ".join(parts), width, max_lines=most, placeholder="…", break_on_hyphens=False)
    return "<br>".join(map(_plain, lines)).replace("\u00a0", " ")


def _plain(text: str) -> str:
    return html.escape(text, quote=False)
