"""Charts of the history of a run, of its predictions and their errors, and of a learning-rate range test."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from ...core.intervals import Difference
from ...parts.metrics import is_share, larger_is_better
from ..numbers import measure_name, measure_value, number, percent
from .axes import log_axis, spans_decades
from .theme import BLUE, GREEN, SKY, TEMPLATE, VERMILION

History = Sequence[Mapping[str, float]]
"""One record per epoch: `{"epoch": 1, "loss": 0.7, "validation_loss": 0.6, ...}`."""

# Light enough for dark text at every value.
_RIGHT = [[0, "#dcedf9"], [1, SKY]]
_WRONG = [[0, "#fbe6d3"], [1, "#ee8a3c"]]
_ON_CELL = "#16181c"
# Visible on bars and on both backgrounds.
_WHISKER = "#84888f"
_FEW_EPOCHS = 30
_MOST_NAMED = 50
_MOST_COUNTED = 20


def learning_curves(history: History, measure: str, title: str = "") -> go.Figure:
    """One measure over the epochs on the training and the validation rows, with the best validation epoch marked.

    Training values are means over the batches of an epoch, during which the weights change. If the history also has the
    measure over all training rows at the end of each epoch (`training_loss`), it is a third curve. Records without the
    measure are skipped. The axis is logarithmic for errors that span more than one and a half decades.

    >>> learning_curves([{"epoch": 1, "loss": 0.7}, {"epoch": 2, "loss": 0.4}], "loss").data[0].y.tolist()
    [0.7, 0.4]
    """
    name = measure_name(measure)
    figure = _over_epochs(history, title or capital(name), name)
    mode = "lines+markers" if len(history) <= _FEW_EPOCHS else "lines"
    all_values = np.array([])
    for key, label, colour, dash in (
        (measure, "training", BLUE, "dot"),
        (f"training_{measure}", "training, end of epoch", GREEN, "dash"),
        (f"validation_{measure}", "validation", VERMILION, "solid"),
    ):
        epochs, values = _column(history, key)
        if not epochs.size:
            continue
        all_values = np.append(all_values, values[np.isfinite(values)])
        line = {"color": colour, "dash": dash, "width": 2}
        figure.add_scatter(x=epochs, y=values, name=label, mode=mode, line=line, marker={"size": 5})
    epochs, values = _column(history, f"validation_{measure}")
    if np.isfinite(values).any():
        best = int(np.nanargmax(values) if larger_is_better(measure) else np.nanargmin(values))
        figure.add_scatter(
            x=epochs[[best]],
            y=values[[best]],
            name=f"best: {measure_value(measure, values[best], digits=3)}, epoch {epochs[best]:g}",
            mode="markers",
            marker={"size": 13, "symbol": "circle-open", "color": VERMILION, "line": {"width": 2.5}},
            hoverinfo="skip",
        )
    if all_values.size < 3:
        figure.update_yaxes(rangemode="tozero")
    if is_share(measure):
        figure.update_yaxes(tickformat="~%")
    elif not larger_is_better(measure) and spans_decades(all_values):
        figure.update_yaxes(**log_axis(all_values))
    return figure


def paired_losses(
    histories: Mapping[str, History],
    parting: float | None = None,
    label: str = "",
    title: str = "Loss of both trainings",
) -> go.Figure:
    """The losses of several trainings over the epochs, with a line at the place where they part.

    Args:
        histories: the history of each training by its name.
        parting: the place on the axis of the epochs; an epoch with number e lies between e - 0.5 and e + 0.5.
        label: what parts there.
        title: the title of the figure.

    >>> figure = paired_losses({"a": [{"epoch": 1, "loss": 0.7}], "b": [{"epoch": 1, "loss": 0.4}]}, 1.0, "rows")
    >>> [trace.name for trace in figure.data], figure.data[-1].x
    (['a', 'b', 'rows'], (1.0, 1.0))
    """
    longest = max(histories.values(), key=len, default=())
    figure = _over_epochs(longest, title, "loss")
    mode = "lines+markers" if len(longest) <= _FEW_EPOCHS else "lines"
    all_values = np.array([])
    styles = ((BLUE, "solid"), (VERMILION, "dash"))
    for index, (name, history) in enumerate(histories.items()):
        colour, dash = styles[index % len(styles)]
        epochs, values = _column(history, "loss")
        all_values = np.append(all_values, values[np.isfinite(values)])
        line = {"color": colour, "dash": dash, "width": 2}
        figure.add_scatter(x=epochs, y=values, name=_short(name), mode=mode, line=line, marker={"size": 5})
    if parting is not None and all_values.size:
        ends = [all_values.min(), all_values.max()]
        line = {"color": GREEN, "width": 3, "dash": "dot"}
        name = html.escape(label, quote=False)
        figure.add_scatter(x=[parting, parting], y=ends, name=name, mode="lines", line=line, hoverinfo="skip")
    if spans_decades(all_values):
        figure.update_yaxes(**log_axis(all_values))
    return figure


def learning_rate(history: History, title: str = "Learning rate") -> go.Figure:
    """The learning rate at the end of each epoch, from the key `learning_rate` of the history."""
    figure = _over_epochs(history, title, "learning rate", height=260)
    epochs, values = _column(history, "learning_rate")
    mode = "lines+markers" if len(history) <= _FEW_EPOCHS else "lines"
    figure.add_scatter(x=epochs, y=values, mode=mode, line={"color": GREEN, "width": 2}, marker={"size": 5})
    figure.update_layout(showlegend=False, margin={"t": 48})
    if values.size:
        figure.update_yaxes(rangemode="tozero")
    return figure


def rate_range(
    rates: np.ndarray,
    losses: Sequence[np.ndarray],
    smoothed: np.ndarray,
    chosen: float | None = None,
    blew_up: float | None = None,
    title: str = "Loss by learning rate",
) -> go.Figure:
    """A learning-rate range test: the loss of each sweep and the smoothed mean of all sweeps over the learning rate.

    The axis of the losses ends at 1.5 times the first smoothed loss; it is logarithmic if the smoothed losses span more
    than one and a half decades.

    Args:
        rates: the learning rates of a sweep (steps,).
        losses: the losses of each sweep at the first of these rates.
        smoothed: the smoothed mean of the sweeps at the first of these rates.
        chosen: the learning rate to mark.
        blew_up: the learning rate from which on the figure is shaded, because the loss diverges.
        title: the title of the figure.

    >>> rate_range(np.array([0.1, 1.0]), [np.array([2.0])], np.array([2.0])).data[-1].y.tolist()
    [2.0]
    """
    figure = go.Figure()
    for sweep, loss in enumerate(losses, 1):
        line = {"color": SKY, "width": 1}
        text = f"sweep {sweep}: %{{y:.3~g}}<extra></extra>"
        style = {"name": "single sweeps", "showlegend": sweep == 1, "opacity": 0.55, "hovertemplate": text}
        figure.add_scatter(x=rates[: len(loss)], y=loss, mode="lines", line=line, legendgroup="sweeps", **style)
    text = "rate %{x:.3~g}<br>mean loss %{y:.3~g}<extra></extra>"
    line = {"color": BLUE, "width": 3}
    x = rates[: len(smoothed)]
    figure.add_scatter(x=x, y=smoothed, mode="lines", name="smoothed mean", line=line, hovertemplate=text)
    if chosen is not None:
        marker = {"size": 14, "symbol": "circle-open", "color": VERMILION, "line": {"width": 3}}
        y = np.interp(np.log(chosen), np.log(x), smoothed)
        name = f"chosen: {number(chosen, 2)}"
        figure.add_scatter(x=[chosen], y=[y], mode="markers", name=name, marker=marker, hoverinfo="skip")
    if blew_up is not None:
        figure.add_vrect(x0=blew_up, x1=rates[-1], fillcolor=VERMILION, opacity=0.12, line_width=0, layer="below")
    figure.update_xaxes(title="learning rate", range=np.log10([rates[0], rates[-1]]), **log_axis(rates))
    figure.update_yaxes(title="loss")
    if spans_decades(smoothed):
        ends = np.array([smoothed.min() / 1.5, 1.5 * smoothed[0]])
        figure.update_yaxes(range=np.log10(ends), **log_axis(ends))
    elif smoothed[0] > 0:
        figure.update_yaxes(range=[0, 1.5 * smoothed[0]])
    return figure.update_layout(template=TEMPLATE, title=title, height=420)


def confusion(matrix: np.ndarray, class_names: Sequence[str], title: str = "Confusion") -> go.Figure:
    """A confusion matrix: the counts (classes, classes) of true classes (rows) and predicted classes (columns).

    Each cell contains its count and its percentage of the row; with more than 20 classes, only the hover text does.
    Correct predictions, on the diagonal, are blue and wrong ones orange, the darker the larger their share of the row.
    The scale of the wrong ones ends at their largest share. Wrong cells without samples are blank.
    """
    counts = np.asarray(matrix)
    classes = len(counts)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(classes, dtype=bool)
    wrong = ~diagonal & (counts > 0)
    largest = max(0.02, float(share[wrong].max(initial=0.0)))
    numbered = classes <= _MOST_COUNTED
    texts = [f"{number(count)}<br>{percent(part, 2)}" for count, part in zip(counts.flat, share.flat, strict=True)]
    figure = go.Figure()
    for cells, scale, top, name in ((diagonal, _RIGHT, 1.0, "right"), (wrong, _WRONG, largest, "wrong")):
        figure.add_heatmap(
            z=np.where(cells, share, np.nan),
            customdata=counts,
            text=np.where(cells, np.reshape(texts, counts.shape), "") if numbered else None,
            texttemplate="%{text}" if numbered else None,
            textfont={"size": 13 if classes <= 10 else 10, "color": _ON_CELL},
            colorscale=scale,
            zmin=0,
            zmax=top,
            showscale=False,
            hoverongaps=False,
            xgap=1,
            ygap=1,
            name=name,
            hovertemplate="true %{y}, predicted %{x}<br>%{customdata} samples, %{z:.1%} of the row<extra></extra>",
        )
    ticks = {
        "tickvals": list(range(classes)),
        "ticktext": [_short(name) for name in class_names],
        "showticklabels": classes <= _MOST_NAMED,
        "showgrid": False,
        "tickfont": {"size": 12 if classes <= _MOST_COUNTED else 10},
    }
    figure.update_xaxes(title="predicted", autotickangles=[0, -45, -90], range=[-0.5, classes - 0.5], **ticks)
    figure.update_yaxes(title="true", range=[classes - 0.5, -0.5], **ticks)
    height = 130 + min(900, max(160, classes * (46 if classes <= 10 else 34 if numbered else 20)))
    return figure.update_layout(template=TEMPLATE, title=title, height=height, margin={"t": 48})


def predictions(true: np.ndarray, predicted: np.ndarray, name: str, unit: str = "") -> go.Figure:
    """Predicted against true values (n,) of a target in its unit, with the diagonal where both agree."""
    label = _with_unit(name, unit)
    both = np.concatenate([np.asarray(true, dtype=float), np.asarray(predicted, dtype=float)])
    finite = both[np.isfinite(both)]
    ends = [finite.min(), finite.max()] if finite.size else [0.0, 1.0]
    figure = go.Figure()
    figure.add_scatter(
        x=true,
        y=predicted,
        mode="markers",
        name="samples",
        marker={"color": BLUE, "size": 6, "opacity": 0.6},
        hovertemplate="true %{x:.4~g}, predicted %{y:.4~g}<extra></extra>",
    )
    line = {"color": VERMILION, "width": 1.5, "dash": "dash"}
    figure.add_scatter(x=ends, y=ends, mode="lines", name="predicted = true", line=line, hoverinfo="skip")
    figure.update_xaxes(title=f"true {label}")
    figure.update_yaxes(title=f"predicted {label}")
    return figure.update_layout(template=TEMPLATE, title=f"Predicted and true {_short(name)}", height=400)


def residuals(true: np.ndarray, predicted: np.ndarray, name: str, unit: str = "") -> go.Figure:
    """A histogram of the errors, predicted minus true values (n,) of a target, in its unit."""
    error = np.asarray(predicted, dtype=float) - np.asarray(true, dtype=float)
    error = error[np.isfinite(error)]
    counts, edges = np.histogram(error, bins=int(np.clip(math.sqrt(error.size), 5, 60)))
    figure = go.Figure()
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges),
        marker={"color": BLUE, "line": {"width": 0}},
        customdata=np.column_stack([edges[:-1], edges[1:]]),
        hovertemplate="%{customdata[0]:.3~g} to %{customdata[1]:.3~g}: %{y} samples<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": VERMILION, "width": 1.5, "dash": "dash"})
    figure.update_xaxes(title=f"predicted - true {_with_unit(name, unit)}")
    figure.update_yaxes(title="samples", dtick=1 if counts.max() <= 5 else None)
    return figure.update_layout(template=TEMPLATE, title=f"Errors of {_short(name)}", height=400, bargap=0.05)


def _over_epochs(history: History, title: str, quantity: str, height: int = 360) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(template=TEMPLATE, title=title, height=height, hovermode="x unified", showlegend=True)
    epochs, _ = _column(history, "epoch")
    figure.update_xaxes(title="epoch", tickformat="d")
    if epochs.size and epochs.max() <= 12:
        figure.update_xaxes(dtick=1, range=[epochs.min() - 0.5, epochs.max() + 0.5])
    return figure.update_yaxes(title=quantity)


def _column(history: History, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The epochs with a quantity, and its values; NaN, a gap in the line, where they are not finite."""
    rows = [(row["epoch"], row[key]) for row in history if key in row]
    epochs, values = np.array(rows, dtype=float).reshape(-1, 2).T
    return epochs, np.where(np.isfinite(values), values, np.nan)


def _with_unit(name: str, unit: str) -> str:
    return f"{_short(name)} in {html.escape(unit, quote=False)}" if unit else _short(name)


def _short(name: str) -> str:
    """A name shortened for an axis, with HTML escaped, which Plotly would interpret."""
    return html.escape(name if len(name) <= 22 else f"{name[:21]}…", quote=False)


def capital(text: str) -> str:
    """The text with a capital first letter: `mean absolute error` -> `Mean absolute error`."""
    return text[:1].upper() + text[1:]


def importance(lost: Mapping[str, Difference], measure: str) -> go.Figure:
    """The score that is lost where the values of a column are those of other rows: a bar by column, with its interval.

    The columns are in the order of `lost`, the first on top. Bars whose interval includes 0 or is not known are pale.

    >>> from thalweg.core.intervals import difference
    >>> figure = importance({"petal width": difference([1.0, 0.9, 0.8], [0.4, 0.5, 0.6])}, "accuracy")
    >>> figure.data[0].x.round(2).tolist(), figure.data[0].y
    ([0.4], ('petal width',))
    """
    means = np.array([found.mean for found in lost.values()])
    low, high = np.array([(found.low, found.high) for found in lost.values()]).reshape(-1, 2).T
    figure = go.Figure()
    figure.add_bar(
        x=means,
        y=[_short(name) for name in lost],
        orientation="h",
        marker={"color": BLUE, "opacity": np.where((low > 0) | (high < 0), 1.0, 0.45)},
        error_x={"array": high - means, "arrayminus": means - low, "color": _WHISKER, "thickness": 1.5, "width": 4},
        hovertemplate="%{y}: %{x:.3~f}<extra></extra>",
    )
    name = measure_name(measure)
    figure.update_xaxes(title=f"{name} lost without the column", tickformat="~%" if is_share(measure) else None)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure.update_layout(
        template=TEMPLATE, title="Importance of the inputs", height=130 + 26 * len(lost), showlegend=False
    )
