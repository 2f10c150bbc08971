"""Charts of the loss around a network: along one direction, and over a plane as contours and as a surface."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from .axes import log_ticks
from .flow import curves
from .theme import TEMPLATE, VERMILION

# Above this ratio of the largest to the smallest loss, the scale is logarithmic.
_LOG_RATIO = 10.0
_BANDS = 20
_DARK = "#26292e"
_LIGHT = "#ffffff"
_MIDDLE = "#8a8d93"
_GREY = "rgba(128, 132, 140, 0.35)"


def loss_line(x: np.ndarray, losses: np.ndarray, centre: float, title: str, axis: str) -> go.Figure:
    """The losses (n,) at signed distances x (n,) from a network along one direction; its loss is `centre`.

    The scale is logarithmic if the losses span more than a decade.

    >>> figure = loss_line(np.array([-1.0, 0.0, 1.0]), np.array([3.0, 1.0, 2.0]), 1.0, "Loss along a line", "distance")
    >>> figure.data[0].y.tolist(), figure.layout.yaxis.type
    ([3.0, 1.0, 2.0], None)
    """
    figure = curves(x, {"loss": losses}, title, axis, "loss", log=_needs_log(losses))
    figure.update_traces(mode="lines")
    return figure.add_scatter(x=[0], y=[centre], **_network_marker())


def loss_plane(
    x: np.ndarray,
    y: np.ndarray,
    losses: np.ndarray,
    centre: float,
    title: str,
    axes: tuple[str, str],
    path: np.ndarray | None = None,
    path_losses: np.ndarray | None = None,
) -> go.Figure:
    """The losses over a plane as contours and, next to them, as a surface in the same colours.

    Heights and colours are logarithmic if the losses span more than a decade. Losses that are not finite are left out.

    Args:
        x: coordinates of the columns; the network is at (0, 0).
        y: coordinates of the rows.
        losses: (len(y), len(x)).
        centre: the loss of the network.
        title: the title of the figure.
        axes: the names of the two directions.
        path: points of the training on the plane (m, 2); it starts at the white circle.
        path_losses: the losses of the plane below the path (m,).

    >>> x = np.linspace(-1, 1, 3)
    >>> figure = loss_plane(x, x, 10.0 ** (2 * x[:, None] + x), 1.0, "Loss", ("first", "second"))
    >>> figure.data[0].z.tolist()
    [[-3.0, -2.0, -1.0], [-1.0, 0.0, 1.0], [1.0, 2.0, 3.0]]
    """
    log = _needs_log(losses)
    heights = _heights(losses, log)
    ticks = _ticks(heights, log)
    figure = make_subplots(1, 2, specs=[[{"type": "xy"}, {"type": "scene"}]], horizontal_spacing=0.04)
    low, high = _ends(heights)
    hover = "%{x:.3~g}, %{y:.3~g}<br>loss %{customdata:.4~g}<extra></extra>"
    shared = {"x": x, "y": y, "z": heights, "customdata": losses, "colorscale": "Cividis", "hovertemplate": hover}
    step = (high - low) / _BANDS or 1.0
    bands = {"start": low + step, "end": high - step, "size": step}
    thin = {"width": 0.6, "color": _GREY}
    figure.add_trace(go.Contour(**shared, zmin=low, zmax=high, contours=bands, line=thin, showscale=False), 1, 1)
    bar = {"title": "loss", "len": 0.9, "thickness": 14, **ticks}
    figure.add_trace(go.Surface(**shared, cmin=low, cmax=high, colorbar=bar), 1, 2)
    if path is not None and path_losses is not None:
        _add_path(figure, np.asarray(path, dtype=float), _heights(path_losses, log))
    figure.add_trace(go.Scatter(x=[0], y=[0], **_network_marker()), 1, 1)
    peak = {"size": 5, "color": _LIGHT, "line": {"width": 1, "color": _DARK}}
    at_centre = _heights(np.array([centre]), log)
    top = go.Scatter3d(x=[0], y=[0], z=at_centre, mode="markers", marker=peak, showlegend=False, hoverinfo="skip")
    figure.add_trace(top, 1, 2)
    figure.update_xaxes(title=axes[0], range=[x[0], x[-1]], showgrid=False)
    figure.update_yaxes(title=axes[1], range=[y[0], y[-1]], showgrid=False)
    return figure.update_layout(template=TEMPLATE, title=title, height=460, showlegend=True, scene=_scene(ticks))


def _scene(ticks: dict[str, object]) -> dict[str, object]:
    """The axes and the camera of the surface."""
    style = {"showbackground": False, "gridcolor": _MIDDLE, "zerolinecolor": _MIDDLE, "tickfont": {"size": 10}}
    first, second, vertical = (
        {**style, "title": {"text": name, "font": {"size": 11}}} for name in ("first axis", "second axis", "")
    )
    return {
        "xaxis": first,
        "yaxis": second,
        "zaxis": {**vertical, **ticks},
        "camera": {"eye": {"x": 1.6, "y": -1.75, "z": 1.1}},
        "aspectmode": "cube",
    }


def _network_marker() -> dict[str, object]:
    mark = {"symbol": "star", "size": 13, "color": _LIGHT, "line": {"width": 1.5, "color": _DARK}}
    return {"mode": "markers", "name": "trained network", "marker": mark, "hoverinfo": "skip"}


def _add_path(figure: go.Figure, path: np.ndarray, heights: np.ndarray) -> None:
    line = {"color": VERMILION, "width": 3}
    across, up = path.T
    style = {"mode": "lines+markers", "name": "path of the training", "line": line, "legendgroup": "path"}
    figure.add_trace(go.Scatter(x=across, y=up, **style, marker={"size": 5}, hoverinfo="skip"), 1, 1)
    start = {"size": 11, "color": _LIGHT, "line": {"width": 2.5, "color": VERMILION}}
    begin = {
        "mode": "markers",
        "name": "start of the path",
        "marker": start,
        "legendgroup": "path",
        "hoverinfo": "skip",
    }
    figure.add_trace(go.Scatter(x=across[:1], y=up[:1], **begin), 1, 1)
    raised = {**style, "line": {"color": VERMILION, "width": 6}, "marker": {"size": 2.5}, "showlegend": False}
    figure.add_trace(go.Scatter3d(x=across, y=up, z=heights, **raised, hoverinfo="skip"), 1, 2)


def _needs_log(losses: np.ndarray) -> bool:
    known = losses[np.isfinite(losses)]
    return bool(known.size and known.min() > 0 and known.max() > _LOG_RATIO * known.min())


def _heights(losses: ArrayLike, log: bool) -> np.ndarray:
    """The losses, or their logarithms to base 10; NaN where there are none."""
    values = np.asarray(losses, dtype=float)
    values = np.where(np.isfinite(values) & ((values > 0) | (not log)), values, np.nan)
    return np.log10(values) if log else values


def _ends(heights: np.ndarray) -> tuple[float, float]:
    known = heights[np.isfinite(heights)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def _ticks(heights: np.ndarray, log: bool) -> dict[str, object]:
    """The ticks of a scale of logarithms; the default ones for a scale of losses."""
    if not log:
        return {}
    ticks, texts = log_ticks(10.0**heights)
    return {"tickmode": "array", "tickvals": np.log10(ticks).tolist(), "ticktext": texts}
