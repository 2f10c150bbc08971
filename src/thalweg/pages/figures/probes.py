"""Charts of what probes record over the updates of a training: delta, outputs, units, weights, steps and curvature.

All functions take `Observations`. The colour of a layer's line shows its place between input and output. Missing
numbers are gaps. A quantity that was not recorded raises InputError.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from ...parts.layers import Layer
from ...probes.records import Observations
from ..numbers import number
from .axes import log_axis
from .theme import BLUE, GREEN, ORANGE, SKY, TEMPLATE, VERMILION

HEALTHY_RATIOS = (1e-4, 1e-2)
"""The usual range of update norm / weight norm in a layer that learns well."""
MOST_PANELS = 6

# From the input to the output: mid tones that are visible on light and dark pages and differ in their blue.
_LAYER_COLOURS = ((0.0, "#3f76e0"), (0.5, "#c0579b"), (1.0, "#e0960a"))
_DENSITY = ((0.0, "rgba(31, 131, 198, 0.07)"), (1.0, "rgba(31, 131, 198, 1)"))
_GREY = "rgba(128, 132, 140, {})"
_MOST_NAMED_LINES = 8
_FEW = 30
_FEW_TICKS = 12
_BINS = 40
_OUTERMOST = 1e-3
# Bins with a smaller share of the values are left blank.
_LEAST_DENSITY = 1e-4
_MOST_DECADES = 12
_FAR = 100.0
_HIGHEST_BEND = 3.0


class Panel(NamedTuple):
    """One of several panels over the same updates; `layers` or `whole` may be missing."""

    title: str
    """The title of its vertical axis."""
    layers: np.ndarray | None = None
    """A quantity of each layer (n, layers)."""
    whole: np.ndarray | None = None
    """The same quantity of the whole network (n,)."""
    log: bool = False
    """Whether the vertical axis is logarithmic."""


def main_layers(layers: Sequence[str]) -> np.ndarray:
    """The indices of the layers with weights and of residual blocks, whose delta is dL/dz; of all if there are none.

    Layers inside of a residual block (such as 2.1) do not count, because only a part of the signal passes through them.

    >>> main_layers(["1: dense 8", "2: residual (dense 8)", "2.1: dense 8", "3: relu", "4: dense 2"]).tolist()
    [0, 1, 4]
    """
    weighted = {part.kind for part in Layer.kinds.values() if getattr(part, "has_weights", False)}

    def is_main(name: str) -> bool:
        number, _, words = name.partition(": ")
        kind, _, options = words.partition(" ")
        return "." not in number and (kind in weighted or options.startswith("("))

    indices = np.flatnonzero([is_main(name) for name in layers])
    return indices if indices.size else np.arange(len(layers))


def relative_delta(observations: Observations) -> tuple[np.ndarray, np.ndarray]:
    """The main layers with a recorded delta (layers,), and delta / delta of the last of them (n, layers)."""
    deltas = _positive(observations["delta_rms"])
    shown = _main_of(observations, _recorded_layers(deltas))
    with np.errstate(over="ignore"):
        return shown, _positive(deltas[:, shown] / deltas[:, shown[-1:]])


def predicted_relative_delta(shown: np.ndarray, expected: np.ndarray | None) -> np.ndarray:
    """The predicted delta of layers relative to the last of them (layers,); all 1 if there is no prediction at all."""
    if expected is None or not np.isfinite(expected[shown]).any():
        return np.ones(len(shown))
    last = expected[shown[-1]]
    return np.asarray(expected[shown] / (last if np.isfinite(last) else 1.0), dtype=float)


def delta_thresholds(predicted: np.ndarray) -> tuple[float, float]:
    """The relative deltas below which delta vanishes and above which it explodes.

    They are 1/100 of the smallest prediction and 100 times the largest one; but 1/100 if theory predicts less than
    1/100, and 100 if it predicts more than 100.

    >>> delta_thresholds(np.array([0.5, 1.0])), delta_thresholds(np.array([1e-6, 1.0]))
    ((0.005, 100.0), (0.01, 100.0))
    """
    low = float(np.nanmin(predicted))
    high = float(np.nanmax(predicted))
    return (low / _FAR if low >= 1 / _FAR else 1 / _FAR), (high * _FAR if high <= _FAR else _FAR)


def gradient_ribbon(observations: Observations, expected: np.ndarray | None = None) -> go.Figure:
    """The root mean square of delta by layer, above delta relative to that of the last layer.

    `expected` (layers,) is the relative delta that theory predicts for the start, NaN where there is no prediction. The
    zones in which delta vanishes and explodes are shaded from `delta_thresholds` on.

    >>> records = [{"step": 0, "whole": {}, "layers": {"delta_rms": [0.1, 0.5]}}]
    >>> observations = Observations.of(records, ("1: dense 8", "2: dense 2"), per_epoch=10)
    >>> [line.y.tolist() for line in gradient_ribbon(observations).data if line.yaxis == "y2"][0]
    [0.20000000298023224]
    """
    shown, relative = relative_delta(observations)
    predicted = predicted_relative_delta(shown, expected)
    deltas = _positive(observations["delta_rms"])
    everywhere = np.full_like(deltas, np.nan)
    everywhere[:, shown] = relative
    panels = (Panel("RMS of delta", deltas, log=True), Panel("relative to the last layer", everywhere, log=True))
    figure = _panels(observations, "Delta by layer", panels, shown, height=600)
    _ribbon(figure, observations.steps, deltas[:, shown])
    vanishing, exploding = delta_thresholds(predicted)
    low, high = _ends(np.append(relative, [vanishing, exploding]), room=4.0)
    _zone(figure, low, vanishing, "vanishing", VERMILION, row=2, log=True)
    _zone(figure, exploding, high, "exploding", VERMILION, row=2, at="bottom", log=True)
    levels = np.unique(predicted[np.isfinite(predicted)].round(12))
    for place, level in enumerate(predicted):
        if np.isfinite(level) and len(levels) > 1:
            colour = _colours(len(shown))[place]
            figure.add_hline(y=level, line={"color": colour, "dash": "dash", "width": 1}, opacity=0.7, row=2, col=1)
    if len(levels) == 1:
        figure.add_hline(y=levels[0], line={"color": _GREY.format(1), "dash": "dash", "width": 1}, row=2, col=1)
    return figure.update_yaxes(**_log_between(low, high), row=2)


def histograms_over_time(observations: Observations, quantity: str) -> go.Figure:
    """Histograms of "output" or "delta" over the updates, in one panel for each of at most six layers.

    The histograms of all observations are rebinned to the common bins of their panel. Those of delta are over
    log10|delta|, with the same bins for all layers.

    >>> layers = {"output_histogram": [[0.5, 0.5]], "output_low": [0.0], "output_high": [2.0]}
    >>> observations = Observations.of([{"step": 0, "whole": {}, "layers": layers}], ("1: dense 8",), per_epoch=10)
    >>> histograms_over_time(observations, "output").data[0].z.shape
    (40, 1)
    """
    shown = histogram_layers(observations, quantity)
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    of_delta = quantity == "delta"
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[_plain(observations.layers[layer]) for layer in shown],
        shared_xaxes=True,
        shared_yaxes="all" if of_delta else False,
        horizontal_spacing=0.07,
        vertical_spacing=0.16,
    )
    densities = []
    for place, layer in enumerate(shown):
        edges, density = _density(observations, quantity, layer, shown)
        densities.append(density[density > _LEAST_DENSITY])
        figure.add_heatmap(
            x=observations.steps,
            y=_small((edges[:-1] + edges[1:]) / 2),
            z=_small(np.where(density > _LEAST_DENSITY, density, np.nan).T),
            coloraxis="coloraxis",
            hoverongaps=False,
            hovertemplate=f"update %{{x}}<br>around {'10^' * of_delta}%{{y:.3~g}}: %{{z:.1%}}<extra></extra>",
            row=place // columns + 1,
            col=place % columns + 1,
        )
    # The colours are scaled to the other bins if one bin holds nearly all values, such as the zeros of a ReLU.
    shares = np.concatenate(densities)
    most = float(np.quantile(shares, 0.97)) if shares.size else 1.0
    bar = {"title": "share<br>in a bin", "tickformat": ".1~%", "thickness": 14}
    bar["len"] = min(1.0, 200 / (230 * rows) + 0.3)
    figure.update_layout(
        template=TEMPLATE,
        title="Size of delta over the updates" if of_delta else "Outputs over the updates",
        height=100 + 210 * rows,
        margin={"t": 64},
        coloraxis={"colorscale": _DENSITY, "cmin": 0, "cmax": most, "colorbar": bar},
    )
    figure.update_annotations(font={"size": 12})
    for column in range(1, columns + 1):
        last = (len(shown) - column) // columns + 1
        figure.update_xaxes(title=_axis_title(observations), showticklabels=True, row=last, col=column)
    return figure.update_yaxes(title="log<sub>10</sub>|delta|" if of_delta else "output", col=1)


def _density(observations: Observations, quantity: str, layer: int, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The common bin edges (bins + 1,) of a panel, and the shares (n, bins) of a layer's values between them.

    For delta the edges are the same in all panels and span at most twelve decades.
    """
    shares = observations[f"{quantity}_histogram"]
    low = observations[f"{quantity}_low"]
    high = observations[f"{quantity}_high"]
    of_delta = quantity == "delta"
    part = (slice(None), shown if of_delta else [layer])
    bottom, top = _reach(shares[part], low[part], high[part])
    edges = np.linspace(max(bottom, top - _MOST_DECADES) if of_delta else bottom, top, _BINS + 1)
    return edges, rebinned(shares[:, layer], low[:, layer], high[:, layer], edges)


def histogram_layers(observations: Observations, quantity: str) -> np.ndarray:
    """The indices of at most six layers whose histograms are drawn, evenly spaced from the input to the output.

    For delta these are dense layers and residual blocks. For outputs they are chosen from all layers; if there are more
    than six, from the last layer and those that are neither dense nor blocks, provided that there are three of these.
    """
    filled = observations[f"{quantity}_histogram"].sum(axis=2) > 0
    bounds = np.isfinite(observations[f"{quantity}_low"]) & np.isfinite(observations[f"{quantity}_high"])
    layers = _recorded_layers(np.where(filled & bounds, 1.0, np.nan))
    main = _main_of(observations, layers)
    if quantity == "delta":
        layers = main
    elif len(layers) > MOST_PANELS:
        others = np.setdiff1d(layers, main)
        layers = np.union1d(others, layers[-1:]) if len(others) >= MOST_PANELS // 2 else layers
    chosen = np.linspace(0, len(layers) - 1, min(MOST_PANELS, len(layers))).round().astype(int)
    return np.asarray(layers[chosen])


def rebinned(shares: np.ndarray, low: np.ndarray, high: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Histograms over common bins (n, m), from histograms over different ones.

    Args:
        shares: the share of the values in each bin (n, bins).
        low: the lower end of the bins of each histogram (n,), which are of equal width.
        high: their upper end (n,).
        edges: the edges of the common bins (m + 1,).

    Values are taken as evenly distributed within a bin. A missing histogram gives NaN.

    >>> rebinned(np.array([[1.0, 0.0]]), np.array([0.0]), np.array([4.0]), np.array([0.0, 1.0, 2.0, 4.0])).tolist()
    [[0.5, 0.5, 0.0]]
    """
    result = np.full((len(shares), len(edges) - 1), np.nan)
    # If all values are equal, their bins get a width far below that of the common ones.
    least = 1e-6 * (edges[1] - edges[0])
    for row, (histogram, start, end) in enumerate(zip(shares, low, high, strict=True)):
        if np.isfinite(histogram).all() and np.isfinite([start, end]).all():
            old_edges = np.linspace(start, max(end, start + least), len(histogram) + 1)
            cumulative = np.concatenate([[0.0], np.cumsum(histogram)])
            result[row] = np.diff(np.interp(edges, old_edges, cumulative))
    return result


def _reach(shares: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """The range of all values but the outermost thousandth on each side; its ends differ.

    `shares` (n, layers, bins) are histograms, `low` and `high` (n, layers) the ends of their bins.
    """
    ends = low[..., None] + (high - low)[..., None] * np.linspace(0, 1, shares.shape[-1] + 1)
    starts = ends[..., :-1].reshape(-1)
    stops = ends[..., 1:].reshape(-1)
    weights = shares.reshape(-1)
    known = np.isfinite(starts) & np.isfinite(stops) & (weights > 0)
    starts = starts[known]
    stops = stops[known]
    weights = weights[known]
    order = np.argsort(starts, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    bottom = starts[order][np.searchsorted(below, _OUTERMOST)]
    order = np.argsort(stops, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    top = stops[order][np.searchsorted(below, 1 - _OUTERMOST)]
    return float(bottom), float(max(top, bottom + max(1e-6, 1e-3 * abs(bottom))))


def dead_units(observations: Observations) -> go.Figure:
    """The share of dead units and of saturated outputs by layer. Layers without either quantity are left out.

    Diamonds are the shares of units that are dead on all training rows.

    >>> layers = {"dead": [None, 0.25], "saturated": [None, None]}
    >>> records = [{"step": 0, "whole": {}, "layers": layers}]
    >>> dead_units(Observations.of(records, ("1: dense 8", "2: relu"), per_epoch=10)).data[0].y.tolist()
    [0.25]
    """
    names = {"dead": "dead on the batch", "saturated": "saturated outputs"}
    recorded = [name for name in names if name in observations.by_layer and _recorded_layers(observations[name]).size]
    panels = [Panel(names[name], observations[name]) for name in recorded]
    shown = _recorded_layers(*(observations[name] for name in recorded))
    figure = _panels(observations, "Dead and saturated units", panels, shown, height=150 + 210 * len(panels))
    over_set = observations.by_layer.get("dead_over_set")
    if over_set is not None and "dead" in recorded:
        colours = _colours(len(shown))
        for place, layer in enumerate(shown):
            known = np.isfinite(over_set[:, layer])
            figure.add_scatter(
                x=observations.steps[known],
                y=_small(over_set[known, layer]),
                mode="markers",
                showlegend=False,
                marker={"symbol": "diamond", "size": 11 if known.sum() <= _FEW else 4, "color": colours[place]},
                hovertemplate=f"{_plain(observations.layers[layer])}<br>update %{{x}}<br>%{{y:.1%}} dead on all "
                "training rows<extra></extra>",
                row=1,
                col=1,
            )
    largest = max(np.nanmax(observations[name]) for name in recorded)
    return figure.update_yaxes(tickformat=".2~%", range=[-0.02, 1.02] if largest > 0.4 else None, rangemode="tozero")


def update_ratios(observations: Observations) -> go.Figure:
    """The norm of each layer's update relative to that of its weights, |ΔW|/|W|, with the healthy band around 1e-3."""
    ratios = _positive(observations["update_ratio"])
    figure = _panels(
        observations, "Size of the updates", [Panel("|ΔW| / |W|", ratios, log=True)], _recorded_layers(ratios)
    )
    low, high = _ends(np.append(ratios, HEALTHY_RATIOS), room=1.6)
    _zone(figure, *HEALTHY_RATIOS, "healthy", GREEN, log=True)
    return figure.update_yaxes(**_log_between(low, high))


def gradient_directions(observations: Observations) -> go.Figure:
    """The cosine of the gradients of successive steps, and the angle between update and -gradient in degrees."""
    titles = {
        "gradient_cosine": "cosine of successive<br>gradients",
        "update_angle": "angle of update to<br>-gradient (°)",
    }
    recorded = [name for name in titles if name in observations.by_layer]
    panels = [Panel(titles[name], observations[name], observations.whole.get(name)) for name in recorded]
    shown = _recorded_layers(*(observations[name] for name in recorded))
    figure = _panels(observations, "Directions of gradient and update", panels, shown, height=150 + 210 * len(panels))
    for row, name in enumerate(recorded, 1):
        if name == "gradient_cosine":
            figure.update_yaxes(range=[-1.05, 1.05], row=row)
            figure.add_hline(y=0, line={"color": _GREY.format(0.8), "width": 1, "dash": "dash"}, row=row, col=1)
        else:
            top = max(100.0, float(np.nanmax(observations[name], initial=0.0)) + 5)
            figure.update_yaxes(range=[-3, top], dtick=45 if top > 100 else 30, row=row)
            _zone(figure, 90, top, "uphill", VERMILION, row=row)
    return figure


def gradient_noise(observations: Observations, batch_size: int = 0) -> go.Figure:
    """The signal-to-noise ratio of the gradient of one sample, and the noise scale.

    The noise scale is the batch size at which the noise of the gradient is as large as its mean; larger batches help
    little. The `batch_size` of the training is a line in the same panel.
    Source: McCandlish et al. 2018, An empirical model of large-batch training, equation 2.9.
    """
    ratios = observations.by_layer.get("signal_to_noise")
    scale = observations.whole.get("noise_scale")
    panels = []
    shown = np.array([], dtype=int)
    if ratios is not None and _recorded_layers(_positive(ratios)).size:
        whole = observations.whole.get("signal_to_noise")
        whole = whole if whole is None else _positive(whole)
        panels.append(Panel("signal to noise<br>of one sample", _positive(ratios), whole, log=True))
        shown = _recorded_layers(_positive(ratios))
    if scale is not None and np.isfinite(_positive(scale)).any():
        panels.append(Panel("noise scale<br>in samples", whole=_positive(scale), log=True))
    figure = _panels(observations, "Noise of the gradient", panels, shown, height=150 + 210 * len(panels))
    if batch_size and panels[-1].layers is None:
        assert panels[-1].whole is not None
        low, high = _ends(np.append(panels[-1].whole, batch_size), room=1.8)
        line = {"color": VERMILION, "width": 2, "dash": "dash"}
        figure.add_hline(y=batch_size, line=line, row=len(panels), col=1)
        name = f"batch size {number(batch_size)}"
        _name(figure, name, batch_size, len(panels), True, yanchor="bottom", xanchor="right", x=0.99)
        figure.update_yaxes(**_log_between(low, high), row=len(panels))
    return figure


def step_lengths(observations: Observations) -> go.Figure:
    """The length alpha of each step, relative to the parabola of the loss along its direction.

    At -1 the step has length 0, at 0 it ends in the minimum, and at 1 it ends beyond it at the loss of its start.
    Points beyond ±3 are drawn at ±3. The line is a running median.

    Source: Schneider, Dangel and Hennig 2021, Cockpit, section 3.1.
    """
    alpha = observations["step_length"]
    shown = np.clip(alpha, -_HIGHEST_BEND, _HIGHEST_BEND)
    figure = _empty(observations, "Lengths of the steps", 1, 400)
    figure.add_scatter(
        x=observations.steps,
        y=_small(shown),
        customdata=_small(alpha),
        mode="markers",
        showlegend=False,
        marker={"color": SKY, "size": 6, "opacity": 0.75},
        hovertemplate="update %{x}<br>alpha %{customdata:.3~g}<extra></extra>",
    )
    if len(alpha) >= _FEW:
        line = {"color": BLUE, "width": 3}
        middle = _running_median(shown)
        figure.add_scatter(
            x=observations.steps, y=_small(middle), mode="lines", showlegend=False, line=line, hoverinfo="skip"
        )
    low = min(-1.3, float(np.nanmin(shown)) - 0.1)
    high = max(1.5, float(np.nanmax(shown)) + 0.1)
    _zone(figure, -1, 0, "undershoots", SKY, at="bottom", strength=0.1)
    _zone(figure, 0, 1, "overshoots", ORANGE, strength=0.12)
    _zone(figure, 1, high, "climbs", VERMILION, at="bottom", strength=0.12)
    figure.add_hline(y=0, line={"color": GREEN, "width": 2, "dash": "dash"})
    _name(figure, "minimum", 0, 1, False, yanchor="bottom", xanchor="right", x=0.99)
    return figure.update_yaxes(title="length alpha", range=[low, high])


def sharpness(observations: Observations) -> go.Figure:
    """The largest eigenvalue of the Hessian with 2 / learning rate, and the trace of the Hessian.

    Plain gradient descent is unstable where the eigenvalue is above 2 / learning rate. The error bars of the trace are
    two standard errors.
    Source: Cohen et al. 2021, Gradient descent on neural networks typically occurs at the edge of stability.
    """
    eigenvalue = observations["largest_eigenvalue"]
    observations = observations.at(np.isfinite(eigenvalue))
    eigenvalue = observations["largest_eigenvalue"]
    trace = observations.whole.get("hessian_trace")
    edge = _positive(2 / observations["learning_rate"])
    figure = _empty(observations, "Sharpness", 1 if trace is None else 2, 400 if trace is None else 560)
    shared = {"mode": _mode(observations), "x": observations.steps, "row": 1, "col": 1, "marker": {"size": 5}}
    hover = "update %{x}<br>%{y:.4~g}<extra>%{fullData.name}</extra>"
    line = {"color": BLUE, "width": 2}
    figure.add_scatter(
        y=_small(_positive(eigenvalue)), name="largest eigenvalue", line=line, hovertemplate=hover, **shared
    )
    line = {"color": VERMILION, "width": 2, "dash": "dash"}
    shared["mode"] = "lines"
    figure.add_scatter(y=_small(edge), name="2 / learning rate", line=line, hovertemplate=hover, **shared)
    curvatures = np.concatenate([_positive(eigenvalue), edge])
    figure.update_yaxes(title="curvature", **_logarithmic(curvatures), row=1)
    if trace is not None:
        error = observations.whole.get("hessian_trace_error")
        bars = None if error is None else {"array": _small(2 * error), "thickness": 1, "width": 2}
        figure.add_scatter(
            x=observations.steps,
            y=_small(trace),
            error_y=bars,
            mode=_mode(observations),
            name="trace",
            line={"color": GREEN, "width": 2},
            marker={"size": 5},
            hovertemplate=hover,
            row=2,
            col=1,
        )
        figure.update_yaxes(title="trace", rangemode="tozero", row=2)
    return figure


def outputs_over_time(observations: Observations) -> go.Figure:
    """The root mean square, the standard deviation and the effective rank of the outputs by layer."""
    titles = {
        "output_rms": ("RMS", True),
        "output_deviation": ("standard<br>deviation", True),
        "effective_rank": ("effective rank", False),
    }
    return _by_layer(observations, "Outputs by layer", titles)


def norms_over_time(observations: Observations) -> go.Figure:
    """The norms of gradient and weights by layer, and the distance of the weights from their initial values."""
    titles = {
        "gradient_norm": ("norm of<br>the gradient", True),
        "weight_norm": ("norm of<br>the weights", True),
        "distance": ("distance from<br>the start", False),
    }
    return _by_layer(observations, "Gradient and weights by layer", titles)


# --- panels, lines and zones


def _by_layer(observations: Observations, title: str, titles: dict[str, tuple[str, bool]]) -> go.Figure:
    """A panel for each recorded quantity; `titles` is {quantity: (title of its axis, whether it is logarithmic)}."""
    panels = []
    for name, (axis_title, log) in titles.items():
        values, whole = (
            quantity if quantity is None or not log else _positive(quantity)
            for quantity in (observations.by_layer.get(name), observations.whole.get(name))
        )
        if values is not None and _recorded_layers(values).size:
            panels.append(Panel(axis_title, values, whole, log))
    shown = _recorded_layers(*(panel.layers for panel in panels if panel.layers is not None))
    return _panels(observations, title, panels, shown, height=150 + 190 * len(panels))


def _panels(
    observations: Observations, title: str, panels: Sequence[Panel], shown: np.ndarray, height: int = 380
) -> go.Figure:
    """Panels over the same updates with one line for each of the `shown` layers, coloured by its place."""
    many = len(shown) > _MOST_NAMED_LINES
    few = len(observations) <= _FEW
    figure = _empty(observations, title, len(panels), height)
    named: set[int] = set()
    for row, panel in enumerate(panels, 1):
        for place, layer in enumerate(shown):
            if panel.layers is None or not np.isfinite(panel.layers[:, layer]).any():
                continue
            name = _plain(observations.layers[layer])
            y = _small(panel.layers[:, layer])
            # A value between two gaps is on no line, so that it needs a marker.
            dotted = few or bool(np.isnan(y).any())
            figure.add_scatter(
                x=observations.steps,
                y=y,
                name=name,
                mode="lines+markers" if dotted else "lines",
                line={"color": _colours(len(shown))[place], "width": 1.5 if many else 2},
                marker={"size": 5 if few else 3},
                legendgroup=name,
                showlegend=not many and layer not in named,
                hovertemplate=f"{name}<br>update %{{x}}<br>%{{y:.3~g}}<extra></extra>",
                row=row,
                col=1,
            )
            named.add(int(layer))
        if panel.whole is not None and np.isfinite(panel.whole).any():
            figure.add_scatter(
                x=observations.steps,
                y=_small(panel.whole),
                name="whole network",
                mode=_mode(observations),
                line={"color": GREEN, "width": 2.5, "dash": "dot"},
                marker={"size": 5},
                legendgroup="whole",
                showlegend=-1 not in named,
                hovertemplate="whole network<br>update %{x}<br>%{y:.3~g}<extra></extra>",
                row=row,
                col=1,
            )
            named.add(-1)
        values = np.concatenate([part.reshape(-1) for part in (panel.layers, panel.whole) if part is not None])
        figure.update_yaxes(title=panel.title, row=row, **(_logarithmic(values) if panel.log else {}))
    if many:
        _name_by_bar(figure, [observations.layers[layer] for layer in shown])
    return figure


def _empty(observations: Observations, title: str, rows: int, height: int) -> go.Figure:
    figure = make_subplots(rows, 1, shared_xaxes=True, vertical_spacing=0.07)
    legend = {"y": 0, "yref": "container", "yanchor": "bottom", "x": 0, "xanchor": "left"}
    figure.update_layout(template=TEMPLATE, title=title, height=height, showlegend=True, legend=legend)
    figure.update_layout(margin={"t": 44})
    steps = observations.steps
    span = max(1, int(np.ptp(steps)))
    few = 1 if span <= _FEW_TICKS else None
    figure.update_xaxes(range=[steps[0] - 0.02 * span, steps[-1] + 0.02 * span], dtick=few)
    return figure.update_xaxes(title=_axis_title(observations), row=rows)


def _axis_title(observations: Observations) -> str:
    return f"update ({number(observations.per_epoch)} per epoch)"


def _name_by_bar(figure: go.Figure, names: Sequence[str]) -> None:
    """Add a colour bar that names some of the layers, instead of a legend that would be too long."""
    ticks = np.unique(np.linspace(0, len(names) - 1, 5).round().astype(int))
    bar = {
        "title": "layer",
        "thickness": 12,
        "tickvals": ticks.tolist(),
        "ticktext": [_plain(names[tick]) for tick in ticks],
        "outlinewidth": 0,
    }
    marker = {
        "color": [0],
        "cmin": 0,
        "cmax": len(names) - 1,
        "colorscale": _LAYER_COLOURS,
        "colorbar": bar,
        "size": 0.1,
    }
    shared = {"mode": "markers", "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=[None], y=[None], marker=marker, row=1, col=1, **shared)


def _ribbon(figure: go.Figure, steps: np.ndarray, deltas: np.ndarray) -> None:
    """Shade the range from the smallest to the largest layer; nothing where a layer has no value."""
    known = np.isfinite(deltas).any(axis=1)
    low = np.nanmin(deltas[known], axis=1)
    high = np.nanmax(deltas[known], axis=1)
    low = np.where(np.isfinite(deltas[known]).all(axis=1), low, high)
    shared = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip", "row": 1, "col": 1}
    figure.add_scatter(x=steps[known], y=_small(low), **shared)
    figure.add_scatter(x=steps[known], y=_small(high), fill="tonexty", fillcolor=_GREY.format(0.18), **shared)


def _zone(
    figure: go.Figure,
    low: float,
    high: float,
    name: str,
    colour: str,
    row: int = 1,
    at: str = "top",
    strength: float = 0.14,
    log: bool = False,
) -> None:
    """Shade the range between two values, and write its name at its top or bottom."""
    style = {"fillcolor": colour, "opacity": strength, "line_width": 0, "layer": "below"}
    figure.add_hrect(y0=low, y1=high, row=row, col=1, **style)
    _name(figure, name, high if at == "top" else low, row, log, yanchor=at, xanchor="left", x=0.01)


def _name(figure: go.Figure, name: str, y: float, row: int, log: bool, **place: object) -> None:
    """Write a name at height y; `place` are further settings of the annotation."""
    # On a logarithmic axis, Plotly takes the position of a text as a logarithm, but that of a shape as it is.
    height = float(np.log10(y)) if log else y
    place |= {"xref": "x domain", "y": height, "row": row, "col": 1, "showarrow": False, "font": {"size": 12}}
    figure.add_annotation(text=name, **place)


def _colours(count: int) -> list[str]:
    """One colour for each of `count` layers, from the input to the output."""
    places = np.linspace(0, 1, count) if count > 1 else [0.0]
    return list(sample_colorscale([list(stop) for stop in _LAYER_COLOURS], places))


def _mode(observations: Observations) -> str:
    return "lines+markers" if len(observations) <= _FEW else "lines"


def _recorded_layers(*quantities: np.ndarray) -> np.ndarray:
    """The indices of the layers with a finite value of any of the quantities (n, layers)."""
    return np.flatnonzero(np.any([np.isfinite(values).any(axis=0) for values in quantities], axis=0))


def _main_of(observations: Observations, layers: np.ndarray) -> np.ndarray:
    """The layers with weights and residual blocks among `layers` (indices); all of them if there are none."""
    main = np.intersect1d(layers, main_layers(observations.layers))
    return main if main.size else layers


def _positive(values: np.ndarray) -> np.ndarray:
    """The values that a logarithmic axis and numbers of 32 bits can show; NaN elsewhere."""
    bounds = np.finfo(np.float32)
    return np.where((values >= bounds.tiny) & (values <= bounds.max), values, np.nan)


def _small(values: np.ndarray) -> np.ndarray:
    """The values in 32 bits, which halves the size of a page; NaN where they are not finite."""
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    return np.where(np.isfinite(rounded), rounded, np.float32(np.nan))


def _running_median(values: np.ndarray) -> np.ndarray:
    """The median of a window of about a tenth of the values, without NaN; NaN where all values are NaN."""
    reach = max(2, len(values) // 20)
    near = [values[max(0, place - reach) : place + reach + 1] for place in range(len(values))]
    return np.array([np.median(part[np.isfinite(part)]) if np.isfinite(part).any() else np.nan for part in near])


def _ends(values: np.ndarray, room: float) -> tuple[float, float]:
    """The ends of a logarithmic axis that shows all values, with a factor of `room` on either side."""
    known = values[np.isfinite(values)]
    return float(known.min() / room), float(known.max() * room)


def _logarithmic(values: np.ndarray) -> dict[str, object]:
    """The settings of a logarithmic axis that shows all values with a margin."""
    known = values[np.isfinite(values)]
    return _log_between(*_ends(known, room=1.25)) if known.size else {}


def _log_between(low: float, high: float) -> dict[str, object]:
    """The settings of a logarithmic axis between two ends."""
    ends = np.array([low, high])
    return {**log_axis(ends), "range": np.log10(ends).tolist()}


def _plain(name: str) -> str:
    """A name shortened for a legend, with HTML escaped, which Plotly would interpret."""
    return html.escape(name if len(name) <= 22 else f"{name[:21]}…", quote=False)
