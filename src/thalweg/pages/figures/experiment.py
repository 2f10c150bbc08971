"""What a controlled experiment found, as charts: arms over the epochs, by final measure, against a baseline, by axis.

An arm is one variation, trained once for each seed. A trial that has no number, because it diverged, stopped early or
was not run, is NaN and never counts in a mean.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.colors import sample_colorscale

from ..numbers import difference, interval, is_share, measure_value, number, percent
from ..numbers import measure_name as in_words
from .axes import log_axis, round_ticks, spans_decades
from .flow import curves as draw_curves
from .record import capital
from .theme import BLUE, ORANGE, SKY, TEMPLATE, VERMILION

_GREY = "rgba(128, 132, 140, {})"
# Mid tones that stand out on light and on dark ground: grey for the worst, blue for the best.
_MERIT = ((0.0, "#a9a297"), (0.5, "#7f9fb0"), (1.0, "#0b74bd"))
_LABEL_WIDTH = 30
_LEGEND_WIDTH = 56
_TICK_WIDTH = 14
_WORD_WIDTH = 18
_MOST_LINES = 3
_LINE_HEIGHT = 17
_MOST_NUMBERED = 12
_FEW_TICKS = 6
# A loss that is so many times what it begins with has diverged, whatever it is at the end.
_FAR = 100.0
_UNKNOWN = (np.nan, np.nan)
_NOBODY: Mapping[str, int] = MappingProxyType({})


class _Summary(NamedTuple):
    """Of values (seeds, ...): their mean, sample deviation, least, largest and number, each (...)."""

    mean: np.ndarray
    deviation: np.ndarray
    least: np.ndarray
    largest: np.ndarray
    seeds: np.ndarray


class _Scale(NamedTuple):
    """An axis from 0 to 1: where its values and its ticks lie, and what the ticks say."""

    places: np.ndarray
    ticks: list[float]
    texts: list[str]


def arm_curves(
    curves: Mapping[str, np.ndarray], measure: str, *, log: bool = False, title: str | None = None
) -> go.Figure:
    """One measure over the epochs, a curve for each arm: the mean over its seeds within a band.

    `curves` holds (seeds, epochs) for each arm, NaN where a trial has no such epoch: the mean is over those that are
    there. The band is the mean plus and minus one standard deviation (of a sample, n - 1), cut off at the smallest and
    the largest of them, so that it never shows what no seed reached. An arm of one seed has no band.

    >>> figure = arm_curves({"sgd": np.array([[0.8, 0.4], [0.6, np.nan]])}, "loss")
    >>> figure.data[-1].x.tolist(), figure.data[-1].y.round(3).tolist()
    ([1.0, 2.0], [0.7, 0.4])
    """
    found = {arm: _summary(values) for arm, values in curves.items()}
    names = {arm: _lines(arm, _LEGEND_WIDTH, most=None) for arm in curves}
    bands = {
        names[arm]: (np.maximum(s.mean - s.deviation, s.least), np.minimum(s.mean + s.deviation, s.largest))
        for arm, s in found.items()
        if len(curves[arm]) > 1
    }
    epochs = np.arange(1, 1 + max((s.mean.size for s in found.values()), default=0))
    means = {names[arm]: s.mean for arm, s in found.items()}
    name = in_words(measure)
    figure = draw_curves(epochs, means, title or f"{capital(name)} over the epochs", "epoch", name, log, bands)
    for arm, s in found.items():
        reach = [
            f"{measure_value(measure, mean)}, {interval(measure, low, high)}"
            for mean, _, low, high, _ in zip(*s, strict=True)
        ]
        hover = [
            f"{names[arm]}<br>epoch {epoch}: {words}<br>{count} of {len(curves[arm])} seeds"
            for epoch, words, count in zip(epochs, reach, s.seeds, strict=False)
        ]
        figure.update_traces({"hovertext": hover, "hoverinfo": "text"}, selector={"name": names[arm]})
    if is_share(measure):
        figure.update_yaxes(tickformat="~%")
    words = ["Line: mean over the seeds. Band: ± one standard deviation, within what was seen."] if bands else []
    if log and (ends := _log_ends([s.mean for s in found.values()])):
        figure.update_yaxes(range=ends)
        words.append("What grows without end leaves the chart.")
    if words:
        _below(figure, " ".join(words))
    # Names of arms are long: they stand one below the other, under the chart.
    room = sum(1 + name.count("<br>") for name in names.values()) * (_LINE_HEIGHT + 3)
    legend = {"orientation": "v", "yref": "container", "y": 0, "yanchor": "bottom", "tracegroupgap": 0}
    return figure.update_layout(height=400 + room, legend=legend, margin={"t": 76, "b": 64 + room})


def arm_measures(
    finals: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[float, float]],
    measure: str,
    *,
    best: str | None = None,
    diverged: Mapping[str, int] = _NOBODY,
) -> go.Figure:
    """The final measure by arm, a row each: a dot for each seed (n,), and their mean with its 95 % interval.

    The `best` arm is ringed and named so; an arm of which trials `diverged` says how many. Positive values that span
    more than one and a half decades get a logarithmic axis.

    >>> figure = arm_measures({"sgd": np.array([0.9, 0.7])}, {"sgd": (0.7, 0.9)}, "accuracy", best="sgd")
    >>> figure.data[1].x.tolist(), figure.layout.yaxis.ticktext
    ([0.8], ('<b>sgd</b><br>best',))
    """
    notes = {arm: _note(arm == best, diverged.get(arm, 0)) for arm in finals}
    name = in_words(measure)
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
    drawn = _drawn(figure.data[:2])
    if not is_share(measure) and spans_decades(drawn):
        figure.update_xaxes(**log_axis(drawn))
    return figure.update_layout(title=f"{capital(name)} by arm")


def paired_differences(
    differences: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[float, float]],
    measure: str,
    baseline: str,
    *,
    higher_is_better: bool = True,
) -> go.Figure:
    """How far each arm is from the baseline trained with the same seed: a dot for each seed, the mean, its interval.

    `differences` holds arm minus baseline (n,). The mean is filled where its interval lies on one side of 0, and open
    where it includes 0 or is not known. Words at the top say on which side of 0 an arm is better.

    >>> figure = paired_differences({"adam": np.array([0.1, 0.3])}, {"adam": (0.1, 0.3)}, "accuracy", "sgd")
    >>> figure.data[1].x.tolist(), [note.text for note in figure.layout.annotations]
    ([0.2], ['← worse', 'better →'])
    """
    name = in_words(measure)
    lows, highs = np.array([intervals.get(arm, _UNKNOWN) for arm in differences], dtype=float).reshape(-1, 2).T
    includes = ~((lows > 0) | (highs < 0))
    notes = {arm: "" if np.isfinite(_finite(each)).any() else "no pairs" for arm, each in differences.items()}
    figure = _by_arm(differences, intervals, measure, difference, notes)
    means = figure.data[1]
    means.marker.symbol = np.where(includes, "circle-open", "circle").tolist()
    means.name += " (open: 0 not excluded)" if includes.any() else ""
    _around_zero(figure, *(("worse", "better") if higher_is_better else ("better", "worse")))
    # One awful arm does not push all others to the line.
    low, high = _limits(means.x)
    far = (means.x < low) | (means.x > high)
    near = [each for each, is_far in zip(differences.values(), far, strict=True) if not is_far]
    drawn = _finite(np.concatenate([*near, lows[~far], highs[~far], [0.0]]))
    drawn = drawn[np.isfinite(drawn)]
    room = 0.3 * max(float(np.ptp(drawn)), 1e-9)
    # The words stand on both sides of 0.
    ends = [min(drawn.min() - room / 6, -room), max(drawn.max() + room / 6, room)]
    against = _lines(baseline, _LEGEND_WIDTH, most=_MOST_LINES)
    title = f"{name} minus that of the baseline:<br>{against}"
    figure.update_xaxes(title=title, range=ends, tickformat="~%" if is_share(measure) else None)
    height = figure.layout.height + 44
    margin = {"t": 104, "b": 68}
    # The legend stands above the words.
    legend = {"y": 1 + 24 / (height - sum(margin.values()))}
    figure.update_layout(title=f"{capital(name)} against the baseline", height=height, margin=margin, legend=legend)
    if beyond := int(far.sum()):
        _below(figure, f"{beyond} {'arm lies' if beyond == 1 else 'arms lie'} beyond the ends of the axis.")
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
    """What each remedy does to a measure that grows as a network learns, beside what a random change does instead.

    `effects` and `controls` hold, for each remedy, changed minus unchanged by seed (n,); a remedy may have no control.
    A row has the mean of the remedy with its 95 % interval, below it that of its control, and a dot for each seed of
    either. A mean is filled where its interval lies on one side of 0. `notes` stand under the labels; the `strong` one
    is bold.

    >>> figure = paired_effects({"rate 0.1": np.array([0.1, 0.3])}, {"rate 0.1": (0.1, 0.3)}, {}, {}, "accuracy",
    ...                         notes={"rate 0.1": "helps"})
    >>> figure.data[1].x.tolist(), figure.layout.yaxis.ticktext
    ([0.2], ('rate 0.1<br>helps',))
    """
    figure = go.Figure()
    name = in_words(measure)
    for title, found, its_intervals, place, look in (
        ("remedy", effects, intervals, -0.17, (BLUE, "circle")),
        ("random change in its place", controls, control_intervals, 0.19, (ORANGE, "diamond")),
    ):
        rows = {arm: row + place for row, arm in enumerate(effects) if arm in found}
        _effects(figure, found, its_intervals, rows, measure, difference, title, look)
    _name_rows(figure, list(effects), notes, strong)
    known = np.concatenate([np.zeros(1), *(_drawn(pair) for pair in (figure.data[:2], figure.data[2:]))])
    room = 0.15 * max(float(np.ptp(known)), 1e-9)
    # The words stand on both sides of 0.
    ends = [min(known.min() - room / 3, -room), max(known.max() + room / 3, room)]
    against = f"{name} minus that of the unchanged network"
    figure.update_xaxes(title=against, range=ends, tickformat="~%" if is_share(measure) else None)
    _around_zero(figure, "worse", "better")
    height = 194 + max(80, len(effects) * _row_height(figure.layout.yaxis.ticktext, least=48))
    margin = {"t": 104, "b": 56}
    legend = {"y": 1 + 24 / (height - sum(margin.values()))}
    title = f"What each remedy does to the {name}"
    figure.update_layout(template=TEMPLATE, title=title, height=height, margin=margin, legend=legend, showlegend=True)
    _below(figure, "Open: the interval holds 0. Small dots: seeds.")
    return figure


def _effects(
    figure: go.Figure,
    found: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[float, float]],
    rows: Mapping[str, float],
    measure: str,
    write: Callable[..., str],
    title: str,
    look: tuple[str, str],
) -> None:
    """Means of what was found (n,) with their intervals, each in its row, and below them a dot for each seed.

    `look` are the colour and the symbol of the means.
    """
    colour, symbol = look
    dots = [_finite(found[arm]) for arm in rows]
    means = np.array([_summary(each[:, None]).mean[0] for each in dots])
    low, high = np.array([intervals.get(arm, _UNKNOWN) for arm in rows], dtype=float).reshape(-1, 2).T
    seeds = [
        f"{_plain(arm)}<br>{title}, seed no. {seed}: {write(measure, value)}"
        for arm, each in zip(rows, dots, strict=True)
        for seed, value in enumerate(each, 1)
    ]
    told = [
        f"{_plain(arm)}<br>{title}: mean {write(measure, mean)}, "
        f"95\u202f% interval {interval(measure, start, end, write=write)}"
        for arm, mean, start, end in zip(rows, means, low, high, strict=True)
    ]
    below = [np.full(each.size, row + 0.13) for each, row in zip(dots, rows.values(), strict=True)]
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
        hovertext=told,
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
    """A measure over two axes of an experiment: `values` (R, C), means over the seeds, the brighter the better.

    A cell that is NaN stays blank with a cross. `diverged` (R, C) counts the trials of a cell that diverged; a cell
    with a value of which some did has a star. Up to 12 rows and columns, the numbers stand in the cells. The colours
    end at the outermost values that are at most three interquartile ranges beyond the quartiles, so that one awful cell
    does not make the others alike; the colour bar says how many are beyond.

    >>> figure = heat_map(np.array([[0.5, np.nan]]), ["0.9"], ["0.01", "1"], "momentum", "rate", "accuracy",
    ...                   higher_is_better=True)
    >>> figure.data[0].text.tolist(), figure.data[1].x.tolist()
    ([['50\u202f%', '']], [1])
    """
    z = _finite(values)
    lost = np.zeros(z.shape, int) if diverged is None else np.asarray(diverged, dtype=int)
    there = np.isfinite(z)
    name = in_words(measure)
    partly = there & (lost > 0)
    low, high = _limits(z)
    cells = [f"{_plain(row_name)} {_plain(r)}<br>{_plain(column_name)} {_plain(c)}<br>" for r in rows for c in columns]
    cell_names = np.array(cells, dtype=object).reshape(z.shape)
    numbered = max(z.shape) <= _MOST_NUMBERED
    figure = go.Figure()
    figure.add_heatmap(
        z=z,
        text=np.where(there, _cell_texts(z, lost, measure), "") if numbered else None,
        texttemplate="%{text}" if numbered else None,
        textfont={"size": 12},
        hovertext=cell_names + _cell_hovers(z, lost, measure),
        hoverinfo="text",
        hoverongaps=False,
        colorscale="Cividis",
        reversescale=not higher_is_better,
        zmin=low,
        zmax=high,
        xgap=1,
        ygap=1,
        colorbar=_bar(z, name, higher_is_better, is_share(measure)),
    )
    unknown = "not run" if diverged is not None else "diverged or not run"
    grey = {"symbol": "x-thin-open", "size": 11, "color": "#7c7f85"}
    _crosses(figure, ~there & (lost > 0), "diverged", {"symbol": "x", "size": 11, "color": VERMILION}, cell_names)
    _crosses(figure, ~there & (lost == 0), unknown, grey, cell_names)
    labels = _cell_axes(figure, rows, columns, row_name, column_name)
    height = 180 + max(200, len(rows) * _row_height(labels, least=30 if numbered else 20))
    # The axes have their whole paths.
    down, across = (_plain(axis.rpartition(".")[2]) for axis in (row_name, column_name))
    title = f"{capital(name)} by {down} and {across}"
    figure.update_layout(template=TEMPLATE, title=title, height=height, showlegend=True)
    if partly.any():
        _below(figure, "*: some seeds diverged; the mean is over the others.")
    return figure.update_layout(margin={"t": 96 if partly.any() or len(figure.data) > 1 else 64})


def _cell_texts(values: np.ndarray, lost: np.ndarray, measure: str) -> np.ndarray:
    """The short numbers in the cells (R, C); a star where some trials diverged."""
    texts = [
        measure_value(measure, value, digits=3) + "*" * bool(count)
        for value, count in zip(values.flat, lost.flat, strict=True)
    ]
    return np.array(texts, dtype=object).reshape(values.shape)


def _cell_hovers(values: np.ndarray, lost: np.ndarray, measure: str) -> np.ndarray:
    """What the cells (R, C) show below the mouse."""
    name = in_words(measure)
    texts = []
    for value, count in zip(values.flat, lost.flat, strict=True):
        diverged = f", {count} diverged" if count else ""
        texts.append(f"{name} {measure_value(measure, value)}{diverged}")
    return np.array(texts, dtype=object).reshape(values.shape)


def _cell_axes(
    figure: go.Figure, rows: Sequence[str], columns: Sequence[str], row_name: str, column_name: str
) -> list[str]:
    """Name the rows and columns of a heat map; returns the names of the rows as they are shown."""
    lines = [_lines(row, _LABEL_WIDTH, _MOST_LINES) for row in rows]
    names = [_lines(column, _TICK_WIDTH, _MOST_LINES) for column in columns]
    shared = {"showgrid": False, "tickmode": "array"}
    figure.update_xaxes(title=_plain(column_name), autotickangles=[0, -45, -90], **shared)
    figure.update_xaxes(range=[-0.5, len(columns) - 0.5], tickvals=list(range(len(columns))), ticktext=names)
    figure.update_yaxes(title=_plain(row_name), **shared)
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5], tickvals=list(range(len(rows))), ticktext=lines)
    return lines


def _crosses(figure: go.Figure, where: np.ndarray, word: str, marker: Mapping[str, object], names: np.ndarray) -> None:
    """A cross in each of the marked cells (R, C), described by a word; `names` (R, C) are those of the cells."""
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
    """One line an arm over all axes of an experiment and, at the right, the measure (n,), which colours it.

    Each of `axes` holds a value an arm. Words stand at even places in the order in which they come first; those of
    `log_axes`, where all their values are positive, have ticks at powers of ten. Arms whose measure is NaN are left out
    and counted under the title. The measure's axis and colours end as the colours of
    `heat_map` do. Made for the whole width of a page.

    >>> figure = parallel_coordinates({"rate": [0.01, 1.0], "optimizer": ["sgd", "adam"]}, "accuracy",
    ...                               np.array([0.5, 0.75]), log_axes=["rate"], higher_is_better=True)
    >>> [line.y.tolist() for line in figure.data[:2]]
    [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    known = np.isfinite(_finite(measure))
    values = _finite(measure)[known]
    name = in_words(measure_name)
    kept = {axis: [each for each, is_known in zip(axes[axis], known, strict=True) if is_known] for axis in axes}
    low, high = _limits(values)
    share = is_share(measure_name)
    scales = [_scale(each, axis in log_axes) for axis, each in kept.items()]
    scales.append(_scale(np.clip(values, low, high), measure_name in log_axes, share))
    better = values if higher_is_better else -values
    merit = np.clip((values - low) / (high - low), 0, 1)
    colours = sample_colorscale([list(stop) for stop in _MERIT], merit if higher_is_better else 1 - merit)
    # Plotly's own parallel coordinates compile programs in the browser, which the policy of a page forbids.
    figure = go.Figure()
    # The best arm is drawn last, above the others.
    for arm in np.argsort(better, kind="stable"):
        facts = [f"{_plain(axis)} {_plain(number(each[arm]))}" for axis, each in kept.items()]
        figure.add_scatter(
            x=np.arange(len(scales)),
            y=np.array([scale.places[arm] for scale in scales]),
            mode="lines+markers",
            line={"color": colours[arm], "width": 1.5},
            marker={"color": colours[arm], "size": 5},
            hovertext="<br>".join([*facts, f"<b>{name} {measure_value(measure_name, values[arm])}</b>"]),
            hoverinfo="text",
            showlegend=False,
        )
    bar = {**_bar(values, name, higher_is_better, share), "x": 1.08}
    shades = {"colorscale": _MERIT, "reversescale": not higher_is_better, "cmin": low, "cmax": high, "colorbar": bar}
    # A point that is nowhere carries the colour bar.
    figure.add_scatter(x=[None], y=[None], mode="markers", marker={"color": [low], **shades}, showlegend=False)
    figure.update_layout(template=TEMPLATE, title=f"{capital(name)} by all axes", height=480)
    _uprights(figure, [*axes, name], scales)
    if not known.all():
        _below(figure, f"{(~known).sum()} of {known.size} arms have no {name}: left out.")
    return figure


def _uprights(figure: go.Figure, names: Sequence[str], scales: Sequence[_Scale]) -> None:
    """The axes of parallel coordinates, at 0, 1, 2, ..., with their names on top and their ticks beside them."""
    for place, scale in enumerate(scales):
        figure.add_vline(x=place, line={"color": _GREY.format(0.6), "width": 1}, layer="below")
        # The last axis has its ticks where no line runs.
        last = place == len(scales) - 1
        beside = {"xanchor": "left", "xshift": 5} if last else {"xanchor": "right", "xshift": -5, "align": "right"}
        for tick, text in zip(scale.ticks, scale.texts, strict=True):
            figure.add_annotation(
                x=place, y=tick, text=text, showarrow=False, font={"size": 11}, bgcolor=_GREY.format(0.16), **beside
            )
    # A path is divided at its dots.
    texts = [_lines(name.replace(".", ". "), _TICK_WIDTH, _MOST_LINES).replace(". ", ".") for name in names]
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": texts, "tickangle": 0}
    figure.update_xaxes(side="top", range=[-0.1, len(names) - 0.9], showgrid=False, **ticks)
    figure.update_yaxes(range=[-0.04, 1.04], showgrid=False, showticklabels=False)
    longest = max((len(html.unescape(line)) for text in scales[0].texts for line in text.split("<br>")), default=0)
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
    """A row an arm, the first on top: the dots of its seeds below their mean with its interval.

    `notes` stand under the labels; the `strong` one is bold.
    """
    dots = [_finite(each) for each in values.values()]
    ends = [intervals.get(arm, _UNKNOWN) for arm in values]
    means = np.array([_summary(each[:, None]).mean[0] for each in dots])
    low, high = np.array(ends, dtype=float).reshape(-1, 2).T
    seeds = [
        f"{_plain(arm)}<br>seed no. {seed}: {write(measure, value)}"
        for arm, each in zip(values, dots, strict=True)
        for seed, value in enumerate(each, 1)
    ]
    of_arms = [
        f"{_plain(arm)}<br>mean {write(measure, mean)}, "
        f"95\u202f% interval {interval(measure, start, end, write=write)}"
        f"<br>{np.isfinite(each).sum()} of {each.size} seeds"
        for arm, mean, start, end, each in zip(values, means, low, high, dots, strict=True)
    ]
    below = [np.full(each.size, row + 0.24) for row, each in enumerate(dots)]
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
        hovertext=of_arms,
        hoverinfo="text",
    )
    rows = _name_rows(figure, list(values), notes, strong)
    height = 150 + max(70, len(rows) * _row_height(rows, least=36))
    return figure.update_layout(template=TEMPLATE, height=height, showlegend=True)


def _name_rows(figure: go.Figure, arms: Sequence[str], notes: Mapping[str, str], strong: str | None) -> list[str]:
    """Name the rows of a figure, the first on top: notes stand under the labels, the `strong` one is bold."""
    labels = [_lines(arm, _LABEL_WIDTH, _MOST_LINES) for arm in arms]
    rows = [
        (f"<b>{label}</b>" if arm == strong else label) + (f"<br>{notes[arm]}" if notes.get(arm) else "")
        for arm, label in zip(arms, labels, strict=True)
    ]
    figure.update_yaxes(tickmode="array", tickvals=list(range(len(rows))), ticktext=rows, showgrid=False)
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5])
    return rows


def _around_zero(figure: go.Figure, left: str, right: str) -> None:
    """A line at 0, with what it means to be on either side of it."""
    figure.add_vline(x=0, line={"color": _GREY.format(0.9), "width": 1.5}, layer="below")
    above = {"x": 0, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False}
    figure.add_annotation(text=f"← {left}", xanchor="right", xshift=-6, **above)
    figure.add_annotation(text=f"{right} →", xanchor="left", xshift=6, **above)


def _log_ends(means: Sequence[np.ndarray]) -> list[float] | None:
    """The ends of a logarithmic axis, in decades, where a curve goes far beyond where most begin; None: none does."""
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


def _drawn(traces: Sequence[Any]) -> np.ndarray:
    """All finite values that a figure by arm shows in two traces: dots, and means with the ends of their intervals."""
    dots, means = traces
    ends = [means.x + means.error_x.array, means.x - means.error_x.arrayminus]
    drawn = np.concatenate([dots.x, means.x, *ends])
    return drawn[np.isfinite(drawn)]


def _summary(values: np.ndarray) -> _Summary:
    """Over what is there of values (seeds, ...); NaN where there is nothing."""
    found = _finite(values)
    there = np.isfinite(found)
    count = there.sum(axis=0)
    some = count > 0
    mean = np.where(some, np.where(there, found, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    # A loss about to diverge may be too large for its square: the band is cut off anyway.
    with np.errstate(over="ignore"):
        square = np.where(there, (found - mean) ** 2, 0).sum(axis=0)
    deviation = np.where(some, np.sqrt(square / np.maximum(count - 1, 1)), np.nan)
    least = np.min(found, axis=0, initial=np.inf, where=there)
    largest = np.max(found, axis=0, initial=-np.inf, where=there)
    return _Summary(mean, deviation, np.where(some, least, np.nan), np.where(some, largest, np.nan), count)


def _limits(values: np.ndarray) -> tuple[float, float]:
    """The outermost values at most three interquartile ranges beyond the quartiles; they differ."""
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


def _bar(values: np.ndarray, name: str, higher_is_better: bool, share: bool) -> dict[str, object]:
    low, high = _limits(values)
    # NaN is neither above nor below.
    beyond = int(((values < low) | (values > high)).sum())
    told = f"<br>({beyond} beyond<br>its ends)" if beyond else ""
    direction = "higher" if higher_is_better else "lower"
    title = f"{_lines(name, _TICK_WIDTH, _MOST_LINES)}<br>{direction} is better{told}"
    return {"title": {"text": title, "font": {"size": 12}}, "thickness": 14, "tickformat": "~%" if share else None}


def _scale(values: Sequence[Any] | np.ndarray, log: bool, share: bool = False) -> _Scale:
    """Values laid between 0 and 1: words at even places, numbers by size, with `log` by their logarithm."""
    if any(isinstance(value, str) for value in values):
        words = list(dict.fromkeys(map(str, values)))
        spots = [place / (len(words) - 1) if len(words) > 1 else 0.5 for place in range(len(words))]
        where = dict(zip(words, spots, strict=True))
        places = np.array([where[str(value)] for value in values])
        return _Scale(places, spots, [_lines(word, _WORD_WIDTH, _MOST_LINES) for word in words])
    numbers = np.asarray(values, dtype=float)
    if not numbers.size:
        return _Scale(numbers, [], [])
    if log and (numbers > 0).all():
        logs = np.log10(numbers)
        low = int(np.floor(logs.min()))
        high = int(np.ceil(logs.max()))
        high = max(high, low + 1)
        powers = range(low, high + 1, -(-(high - low) // _FEW_TICKS))
        texts = [f"10<sup>{power}</sup>" for power in powers]
        return _Scale((logs - low) / (high - low), [(power - low) / (high - low) for power in powers], texts)
    ticks = _ticks(numbers)
    low = min(numbers.min(), ticks.min())
    high = max(numbers.max(), ticks.max())
    width = high - low or 1.0
    low -= 0.5 * (high == low)
    texts = [percent(tick) if share else number(tick) for tick in ticks]
    return _Scale((numbers - low) / width, ((ticks - low) / width).tolist(), texts)


def _ticks(numbers: np.ndarray) -> np.ndarray:
    """The numbers themselves where they are few and apart; otherwise round numbers."""
    own = np.unique(numbers)
    width = np.ptp(own)
    if own.size == 1 or (own.size <= _FEW_TICKS and np.diff(own).min() > 0.04 * width):
        return own
    return round_ticks(own[0], own[-1], _FEW_TICKS)


def _finite(values: ArrayLike) -> np.ndarray:
    found = np.asarray(values, dtype=float)
    return np.where(np.isfinite(found), found, np.nan)


def _below(figure: go.Figure, words: str) -> None:
    """Words under the title."""
    figure.update_layout(title={"subtitle": {"text": words, "font": {"size": 12}}})


def _row_height(labels: Sequence[str], least: int) -> int:
    return max([least, *(_LINE_HEIGHT * (1 + label.count("<br>")) + 6 for label in labels)])


def _lines(label: str, width: int, most: int | None) -> str:
    """A label over several lines, at most `most` of them, with the signs escaped that plotly would take for mark-up."""
    # An axis and its value stay together where they have room; a no-break space breaks no line.
    parts = [part.replace(" ", "\u00a0") if len(part) < width else part for part in label.split(", ")]
    lines = textwrap.wrap(", ".join(parts), width, max_lines=most, placeholder="…", break_on_hyphens=False)
    return "<br>".join(map(_plain, lines)).replace("\u00a0", " ")


def _plain(text: str) -> str:
    return html.escape(text, quote=False)
