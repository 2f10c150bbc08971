"""Charts of experiments: arms by final measure, against a baseline, and by axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import plotly.graph_objects as go

from ...parts.metrics import is_share
from ..numbers import count_noun, difference, interval, measure_value
from ..numbers import measure_name as name_of
from .arms import (
    GREY,
    LABEL_WIDTH,
    LEGEND_WIDTH,
    MOST_LINES,
    add_subtitle,
    finite,
    near_limits,
    plain,
    row_height,
    summary_of,
    wrapped,
)
from .axes import log_axis, spans_decades
from .record import capital
from .theme import BLUE, ORANGE, SKY, TEMPLATE, VERMILION

# Just beyond the largest difference of two shares.
_WHOLE = 1.02
_UNKNOWN = (np.nan, np.nan)
_NONE_DIVERGED: Mapping[str, int] = MappingProxyType({})


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
    notes = {arm: "" if np.isfinite(finite(values)).any() else "no pairs" for arm, values in differences.items()}
    figure = _by_arm(differences, intervals, measure, difference, notes)
    means = figure.data[1]
    means.marker.symbol = np.where(includes, "circle-open", "circle").tolist()
    means.name += " (open: 0 not excluded)" if includes.any() else ""
    _around_zero(figure, *(("worse", "better") if higher_is_better else ("better", "worse")))
    # Outliers among the arms do not stretch the axis.
    low, high = near_limits(means.x)
    far = (means.x < low) | (means.x > high)
    near = [values for values, is_far in zip(differences.values(), far, strict=True) if not is_far]
    shown = finite(np.concatenate([*near, lows[~far], highs[~far], [0.0]]))
    shown = shown[np.isfinite(shown)]
    room = 0.3 * max(float(np.ptp(shown)), 1e-9)
    # Both sides of 0 have room for their labels.
    ends = [min(shown.min() - room / 6, -room), max(shown.max() + room / 6, room)]
    if is_share(measure):
        # An interval may reach further than a difference of two shares can.
        ends = [max(ends[0], -_WHOLE), min(ends[1], _WHOLE)]
    against = wrapped(baseline, LEGEND_WIDTH, most=MOST_LINES)
    title = f"{name} minus that of the baseline:<br>{against}"
    figure.update_xaxes(title=title, range=ends, tickformat="~%" if is_share(measure) else None)
    height = figure.layout.height + 44
    margin = {"t": 104, "b": 68}
    # The legend is above the labels of both sides.
    legend = {"y": 1 + 24 / (height - sum(margin.values()))}
    figure.update_layout(title=f"{capital(name)} against the baseline", height=height, margin=margin, legend=legend)
    if beyond := int(far.sum()):
        add_subtitle(figure, f"{count_noun(beyond, 'arm')} beyond the ends of the axis.")
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
    height = 194 + max(80, len(effects) * row_height(figure.layout.yaxis.ticktext, least=48))
    margin = {"t": 104, "b": 56}
    legend = {"y": 1 + 24 / (height - sum(margin.values()))}
    title = f"Effect of each remedy on the {name}"
    figure.update_layout(template=TEMPLATE, title=title, height=height, margin=margin, legend=legend, showlegend=True)
    add_subtitle(figure, "Open markers: the interval includes 0 or is not known. Small dots: seeds.")
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
    dots = [finite(differences[arm]) for arm in rows]
    means = np.array([summary_of(values[:, None]).mean[0] for values in dots])
    low, high = np.array([intervals.get(arm, _UNKNOWN) for arm in rows], dtype=float).reshape(-1, 2).T
    seeds = [
        f"{plain(arm)}<br>{title}, seed no. {seed}: {difference(measure, value)}"
        for arm, values in zip(rows, dots, strict=True)
        for seed, value in enumerate(values, 1)
    ]
    hover = [
        f"{plain(arm)}<br>{title}: mean {difference(measure, mean)}, "
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
    dots = [finite(of_arm) for of_arm in values.values()]
    ends = [intervals.get(arm, _UNKNOWN) for arm in values]
    means = np.array([summary_of(of_arm[:, None]).mean[0] for of_arm in dots])
    low, high = np.array(ends, dtype=float).reshape(-1, 2).T
    seeds = [
        f"{plain(arm)}<br>seed no. {seed}: {write(measure, value)}"
        for arm, of_arm in zip(values, dots, strict=True)
        for seed, value in enumerate(of_arm, 1)
    ]
    arms = [
        f"{plain(arm)}<br>mean {write(measure, mean)}, "
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
    height = 150 + max(70, len(rows) * row_height(rows, least=36))
    return figure.update_layout(template=TEMPLATE, height=height, showlegend=True)


def _name_rows(figure: go.Figure, arms: Sequence[str], notes: Mapping[str, str], strong: str | None) -> list[str]:
    """Label the rows of a figure, the first on top, with notes below the names; the `strong` name is bold."""
    labels = [wrapped(arm, LABEL_WIDTH, MOST_LINES) for arm in arms]
    rows = [
        (f"<b>{label}</b>" if arm == strong else label) + (f"<br>{notes[arm]}" if notes.get(arm) else "")
        for arm, label in zip(arms, labels, strict=True)
    ]
    figure.update_yaxes(tickmode="array", tickvals=list(range(len(rows))), ticktext=rows, showgrid=False)
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5])
    return rows


def _around_zero(figure: go.Figure, left: str, right: str) -> None:
    """Add a line at 0, with a label for each side of it."""
    figure.add_vline(x=0, line={"color": GREY.format(0.9), "width": 1.5}, layer="below")
    above = {"x": 0, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False}
    figure.add_annotation(text=f"← {left}", xanchor="right", xshift=-6, **above)
    figure.add_annotation(text=f"{right} →", xanchor="left", xshift=6, **above)


def _note(best: bool, diverged: int) -> str:
    return ", ".join([*(["best"] if best else []), *([f"{diverged} diverged"] if diverged else [])])


def _values_of(dots: go.Scatter, means: go.Scatter) -> np.ndarray:
    """All finite values of the traces of a figure by arm: dots, means and the ends of their intervals."""
    ends = [means.x + means.error_x.array, means.x - means.error_x.arrayminus]
    values = np.concatenate([dots.x, means.x, *ends])
    return values[np.isfinite(values)]
