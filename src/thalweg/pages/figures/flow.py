"""Charts of several curves over one axis, and of the size of delta by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from .axes import log_axis, log_ticks
from .theme import BLUE, GREEN, ORANGE, PURPLE, SKY, TEMPLATE, VERMILION

_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_FEW_POINTS = 30
_MOST_TICKS = 12
_MOST_PANELS_IN_A_ROW = 2


def curves(
    x: Sequence[float] | np.ndarray,
    series: Mapping[str, ArrayLike],
    title: str,
    x_title: str,
    y_title: str,
    log: bool = False,
    bands: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
) -> go.Figure:
    """Several quantities over x: `series` is {name: y (n,)}, and each curve has a different colour and dash.

    A quantity with fewer values than x ends early. Values that are not finite, and with `log` those that are not above
    0, are gaps. `bands` are {name: (low, high)}: the range in between is shaded in the colour of the curve.

    >>> curves([0, 1], {"loss": [0.7, 0.4]}, "Loss", "epoch", "loss").data[0].y.tolist()
    [0.7, 0.4]
    """
    x = np.asarray(x, dtype=float)
    figure = go.Figure()
    for index, (name, values) in enumerate(series.items()):
        colour, dash = curve_style(index)
        if bands and name in bands:
            low, high = bands[name]
            add_band(figure, x, _with_gaps(low, log), _with_gaps(high, log), colour, name)
        y = _with_gaps(values, log)
        figure.add_scatter(
            x=x[: y.size],
            y=y,
            name=name,
            mode="lines+markers" if y.size <= _FEW_POINTS else "lines",
            line={"color": colour, "dash": dash, "width": 2},
            marker={"size": 5},
            legendgroup=name,
        )
    figure.update_layout(template=TEMPLATE, title=title, height=380, showlegend=True)
    figure.update_xaxes(title=x_title, dtick=1 if _few_integers(x) else None)
    figure.update_yaxes(title=y_title)
    if log:
        figure.update_yaxes(**log_axis(np.concatenate([_with_gaps(values, log) for values in series.values()])))
    return figure


def delta_by_layer(
    deltas: Mapping[str, ArrayLike], layers: Sequence[int | str], title: str, steps: Sequence[int] | None = None
) -> go.Figure:
    """The root mean square of delta by layer, on a logarithmic scale.

    `deltas` are {name: (layers,)}, one curve each; with `steps` they are {name: (steps, layers)}, one map of layer over
    step each, with the same colours. `layers` are the numbers or names of the layers from the input to the output. A
    delta of exactly 0 is a gap.

    >>> delta_by_layer({"tanh": [0.01, 0.1]}, [1, 2], "Delta").data[0].y.tolist()
    [0.01, 0.1]
    >>> delta_by_layer({"tanh": [[0.01, 0.1], [0.1, 1.0]]}, [1, 2], "Delta", steps=[0, 10]).data[0].z.tolist()
    [[-2.0, -1.0], [-1.0, 0.0]]
    """
    if steps is None:
        places = np.arange(len(layers))
        figure = curves(places, deltas, title, "layer, from the input to the output", "RMS of delta", log=True)
        return figure.update_xaxes(**_layer_ticks(layers))
    count = len(deltas)
    columns = min(count, _MOST_PANELS_IN_A_ROW)
    rows = -(-count // columns)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=list(deltas),
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.06,
        vertical_spacing=0.12,
    )
    logs = {name: np.log10(_with_gaps(values, log=True)) for name, values in deltas.items()}
    for index, (name, values) in enumerate(logs.items()):
        figure.add_heatmap(
            x=np.asarray(steps),
            y=np.arange(len(layers)),
            z=values.T,
            coloraxis="coloraxis",
            row=index // columns + 1,
            col=index % columns + 1,
            hovertemplate=f"{name}, step %{{x}}, layer %{{y}}: 10^%{{z:.2f}}<extra></extra>",
        )
    figure.update_layout(
        template=TEMPLATE,
        title=title,
        height=110 + 230 * rows,
        margin={"t": 64},
        coloraxis={"colorscale": "Cividis", "colorbar": {"title": "RMS of delta", **_log_scale_ticks(logs)}},
    )
    figure.update_xaxes(title="step", row=rows)
    return figure.update_yaxes(title="layer", col=1).update_yaxes(**_layer_ticks(layers))


def curve_style(index: int) -> tuple[str, str]:
    """The colour and dash of a curve; the pairs of the first 36 curves differ."""
    rounds, place = divmod(index, len(_COLOURS))
    return _COLOURS[place], _DASHES[(place + rounds) % len(_DASHES)]


def _few_integers(x: np.ndarray) -> bool:
    """Whether x are integers in a range so small that each can have a tick."""
    return bool(x.size and np.isfinite(x).all() and (x == np.round(x)).all() and np.ptp(x) <= _MOST_TICKS)


def _with_gaps(values: ArrayLike, log: bool) -> np.ndarray:
    """The values as numbers, NaN where a linear or logarithmic axis cannot show them."""
    y = np.asarray(values, dtype=float)
    return np.where(np.isfinite(y) & ((y > 0) | (not log)), y, np.nan)


def add_band(figure: go.Figure, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, name: str) -> None:
    """Shade the range between two curves low and high (n,) over x in a colour, under the legend entry of a name."""
    shared = {"mode": "lines", "line": {"width": 0}, "legendgroup": name, "showlegend": False, "hoverinfo": "skip"}
    figure.add_scatter(x=x[: low.size], y=low, **shared)
    rgb = ", ".join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))
    figure.add_scatter(x=x[: high.size], y=high, fill="tonexty", fillcolor=f"rgba({rgb}, 0.18)", **shared)


def _log_scale_ticks(logs: Mapping[str, np.ndarray]) -> dict[str, object]:
    """The ticks of a linear scale of logarithms to base 10."""
    ticks, texts = log_ticks(np.concatenate([10.0 ** values.ravel() for values in logs.values()]))
    return {"tickmode": "array", "tickvals": np.log10(ticks).tolist(), "ticktext": texts}


def _layer_ticks(layers: Sequence[int | str]) -> dict[str, object]:
    """Ticks at every layer, or at no more than 12 evenly spaced ones."""
    places = range(0, len(layers), -(-len(layers) // 12))
    return {"tickmode": "array", "tickvals": list(places), "ticktext": [str(layers[place]) for place in places]}
