"""Figures over a plane of two inputs: regions with samples and lines, and contours with paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .axes import over_plane
from .theme import BLUE, GREEN, ORANGE, PURPLE, SKY, TEMPLATE, VERMILION

_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_BORDER = "#7c7f85"
_GREY = "rgba(128, 132, 140, {})"
_BANDS = 16
# Points of a path farther from the picture than this many widths of it are not drawn.
_FAR = 20
_FEW_POINTS = 20
# In widths of the picture. Lines of this length lie over each other as a blob.
_LONG_PATH = 10.0

Line = tuple[str, np.ndarray, float]
"""A named line w · x + b = 0: (name, w, b)."""


def plane(
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    points: np.ndarray | None = None,
    classes: np.ndarray | None = None,
    names: Sequence[str] = (),
    title: str = "",
    axes: tuple[str, str] = ("x1", "x2"),
    lines: Sequence[Line] = (),
    levels: Sequence[float] | None = None,
) -> go.Figure:
    """The outputs of a network over a plane, as regions or shades, with samples and lines.

    Args:
        x: coordinates of the columns.
        y: coordinates of the rows.
        values: one output at each point (len(y), len(x)).
        points: samples (n, 2).
        classes: the class of each sample (n,), an index of `names`, which decides its colour.
        names: the names of the classes.
        title: the title of the figure.
        axes: the names of the two inputs.
        lines: (name, w, b) for each line w · x + b = 0; a line that does not cross the picture is left out.
        levels: rising levels that divide the plane into regions, which have the colours of the classes from 0 on.
            Without levels, the values are shaded on a scale.

    >>> x = np.linspace(0, 1, 3)
    >>> figure = plane(x, x, x[:, None] + x, levels=[0.9], lines=[("half", np.array([1.0, 0.0]), -0.5)])
    >>> figure.data[0].z.tolist()
    [[0, 0, 1], [0, 1, 1], [1, 1, 1]]
    >>> figure.data[-1].x.tolist(), figure.data[-1].y.tolist()
    ([0.5, 0.5], [0.0, 1.0])
    """
    figure = go.Figure([*_background(x, y, values, levels), *samples(points, classes, names)])
    for index, (name, w, b) in enumerate(lines):
        ends = _ends(x, y, np.asarray(w, dtype=float), float(b))
        if ends is not None:
            line = {"color": _COLOURS[(index + 2) % len(_COLOURS)], "dash": _DASHES[index % len(_DASHES)], "width": 3}
            figure.add_scatter(x=ends[:, 0], y=ends[:, 1], mode="lines", name=name, line=line, hoverinfo="skip")
    return over_plane(figure, x, y, axes).update_layout(template=TEMPLATE, title=title, height=460, showlegend=True)


def planes(
    x: np.ndarray,
    y: np.ndarray,
    values: Mapping[str, np.ndarray],
    points: np.ndarray | None = None,
    classes: np.ndarray | None = None,
    names: Sequence[str] = (),
    title: str = "",
    axes: tuple[str, str] = ("x1", "x2"),
    levels: Sequence[float] | None = None,
    columns: int = 3,
) -> go.Figure:
    """Several planes with the same samples, side by side: `values` is {name: (len(y), len(x))}.

    At most `columns` planes are in a row; the other arguments are those of `plane`.

    >>> x = np.linspace(0, 1, 3)
    >>> figure = planes(x, x, {"before": x[:, None] + x, "after": x[:, None] - x}, levels=[0.5])
    >>> [note.text for note in figure.layout.annotations]
    ['before', 'after']
    """
    columns = min(columns, len(values))
    rows = -(-len(values) // columns)
    gaps = {"horizontal_spacing": 0.06, "vertical_spacing": 0.14 / max(rows - 1, 1) if rows > 1 else 0.0}
    figure = make_subplots(rows, columns, subplot_titles=list(values), **gaps)
    for index, outputs in enumerate(values.values()):
        for trace in [*_background(x, y, outputs, levels), *samples(points, classes, names, size=4)]:
            trace.update(showlegend=index == 0) if trace.type == "scatter" else trace.update(showscale=False)
            figure.add_trace(trace, index // columns + 1, index % columns + 1)
    figure.update_xaxes(range=[x[0], x[-1]], showgrid=False)
    figure.update_yaxes(range=[y[0], y[-1]], showgrid=False)
    figure.update_xaxes(title=axes[0], row=rows)
    figure.update_yaxes(title=axes[1], col=1)
    # The names of the planes are between the legend and the planes.
    return figure.update_layout(template=TEMPLATE, title=title, height=130 + 270 * rows, legend={"y": 1.0 + 0.1 / rows})


def contours(
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    paths: Mapping[str, np.ndarray],
    title: str = "",
    axes: tuple[str, str] = ("x1", "x2"),
    minimum: np.ndarray | None = None,
) -> go.Figure:
    """Contours of a function of two variables, `values` (len(y), len(x)), with paths {name: (steps, 2)}.

    The contours divide the picture into bands of equal area, lower bands paler, so that the values may span many
    decades. A path starts at a white circle and ends at a circle of its colour; points that are not finite or far
    outside of the picture are left out. Longer paths lie below shorter ones, and those that cross the picture many
    times are thin. `minimum` (2,) or (k, 2) is marked by stars.

    >>> x = np.linspace(-1, 1, 5)
    >>> figure = contours(x, x, x[:, None] ** 2 + x**2, {"down": np.array([[1.0, 1.0], [0.5, 0.5]])})
    >>> figure.data[1].name, figure.data[1].x.tolist()
    ('down', [1.0, 0.5])
    """
    hover = f"{axes[0]} %{{x:.3~g}}, {axes[1]} %{{y:.3~g}}<br>value %{{customdata:.4~g}}<extra></extra>"
    bands = go.Contour(
        x=x,
        y=y,
        z=_quantiles(values),
        customdata=values,
        colorscale=[[0, _GREY.format(0.02)], [1, _GREY.format(0.35)]],
        contours={"start": 1 / _BANDS, "end": 1 - 1 / _BANDS, "size": 1 / _BANDS},
        line={"width": 0.7, "color": _GREY.format(0.6)},
        showscale=False,
        hovertemplate=hover,
    )
    figure = go.Figure(bands)
    _add_paths(figure, x, y, paths)
    if minimum is not None:
        stars = np.atleast_2d(minimum)
        mark = {"symbol": "star", "size": 14, "color": ORANGE}
        mark["line"] = {"width": 1, "color": _BORDER}
        figure.add_scatter(
            x=stars[:, 0], y=stars[:, 1], mode="markers", marker=mark, name="minimum", zorder=len(paths) + 1
        )
    figure.update_xaxes(title=axes[0], range=[x[0], x[-1]], showgrid=False)
    figure.update_yaxes(title=axes[1], range=[y[0], y[-1]], showgrid=False)
    return figure.update_layout(template=TEMPLATE, title=title, height=460, showlegend=True)


def _add_paths(figure: go.Figure, x: np.ndarray, y: np.ndarray, paths: Mapping[str, np.ndarray]) -> None:
    """Draw paths {name: (steps, 2)} over the picture, the longest below the others, with their starts and ends."""
    drawn = {name: _near_picture(x, y, np.asarray(path, dtype=float)) for name, path in paths.items()}
    lengths = {name: _length(x, y, path) for name, path in drawn.items()}
    from_longest = sorted(drawn, key=lambda name: -lengths[name])
    above: dict[str, Any] = {"zorder": len(drawn) + 1, "mode": "markers", "showlegend": False, "hoverinfo": "skip"}
    # A start at the border of the picture is seen whole.
    above["cliponaxis"] = False
    for index, (name, path) in enumerate(drawn.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        across, up = path.T
        width = 2.5 if lengths[name] < _LONG_PATH else 1.2
        figure.add_scatter(
            x=across,
            y=up,
            mode="lines",
            name=name,
            line={"color": colour, "dash": _DASHES[index % len(_DASHES)], "width": width},
            hovertemplate=f"{name}<extra></extra>",
            zorder=from_longest.index(name) + 1,
        )
        mark = {"color": colour, "size": 9, "line": {"width": 1, "color": "white"}}
        last = np.flatnonzero(np.isfinite(across))[-1:]
        figure.add_scatter(x=across[last], y=up[last], marker=mark, **above)
    for start in np.unique([np.asarray(path, dtype=float)[0] for path in paths.values()], axis=0) if paths else ():
        mark = {"size": 12, "color": "white", "line": {"width": 2.5, "color": _BORDER}}
        figure.add_scatter(x=start[:1], y=start[1:], marker=mark, **above)


def _background(x: np.ndarray, y: np.ndarray, values: np.ndarray, levels: Sequence[float] | None) -> list[go.Heatmap]:
    """Shades or regions, and a border at each level."""
    hover = "%{x:.3~g}, %{y:.3~g}<br>value %{customdata:.3~g}<extra></extra>"
    if levels is None:
        scale = [[0, BLUE], [0.5, "#d9d9d9"], [1, VERMILION]]
        return [go.Heatmap(x=x, y=y, z=values, customdata=values, colorscale=scale, opacity=0.6, hovertemplate=hover)]
    count = len(levels) + 1
    steps = [[edge / count, _COLOURS[(edge - side) % len(_COLOURS)]] for edge in range(count + 1) for side in (1, 0)]
    regions = go.Heatmap(
        x=x,
        y=y,
        z=np.digitize(values, levels),
        customdata=values,
        colorscale=steps[1:-1],
        zmin=-0.5,
        zmax=count - 0.5,
        opacity=0.25,
        showscale=False,
        hovertemplate=hover,
    )
    line = {"width": 2, "color": _BORDER, "smoothing": 0}
    shared: dict[str, object] = {"showscale": False, "showlegend": False, "hoverinfo": "skip", "line": line}
    borders = [
        go.Contour(x=x, y=y, z=values, contours={"start": level, "end": level, "size": 1, "coloring": "none"}, **shared)
        for level in levels
    ]
    return [regions, *borders]


def samples(
    points: np.ndarray | None, classes: np.ndarray | None, names: Sequence[str], size: int = 8
) -> list[go.Scatter]:
    """Samples (n, 2) as markers with one colour and symbol per class, twice as large where they are few."""
    if points is None:
        return []
    points = np.asarray(points, dtype=float)
    size *= 2 if len(points) <= _FEW_POINTS else 1
    indices = np.zeros(len(points), dtype=int) if classes is None else np.asarray(classes).astype(int).ravel()
    traces = []
    for index in np.unique(indices):
        symbol = _SYMBOLS[(index + index // len(_COLOURS)) % len(_SYMBOLS)]
        mark = {"color": _COLOURS[index % len(_COLOURS)], "symbol": symbol, "size": size}
        mark["line"] = {"width": 1 if size > 5 else 0, "color": "white"}
        name = names[index] if index < len(names) else f"class {index}" if classes is not None else "samples"
        across, up = points[indices == index].T
        hover = f"{name}: %{{x:.3~g}}, %{{y:.3~g}}<extra></extra>"
        group = {"name": name, "legendgroup": name, "hovertemplate": hover}
        traces.append(go.Scatter(x=across, y=up, mode="markers", marker=mark, **group))
    return traces


def _ends(x: np.ndarray, y: np.ndarray, w: np.ndarray, b: float) -> np.ndarray | None:
    """The points (2, 2) where the line w · x + b = 0 enters and leaves the picture; None if it does not cross it."""
    at_sides = [(side, -(b + w[0] * side) / w[1]) for side in (x[0], x[-1]) if w[1]]
    at_rows = [(-(b + w[1] * row) / w[0], row) for row in (y[0], y[-1]) if w[0]]
    inside = [(p, q) for p, q in at_sides + at_rows if x[0] <= p <= x[-1] and y[0] <= q <= y[-1]]
    ends = np.unique(np.array(inside), axis=0) if inside else np.empty((0, 2))
    return ends[[0, -1]] if len(ends) > 1 else None


def _quantiles(values: np.ndarray) -> np.ndarray:
    """The share of all values below each value, 0 to 1; equal values have equal shares."""
    flat = np.sort(values, axis=None)
    middle = (np.searchsorted(flat, values, side="left") + np.searchsorted(flat, values, side="right")) / 2
    return middle / flat.size


def _near_picture(x: np.ndarray, y: np.ndarray, path: np.ndarray) -> np.ndarray:
    """A path (steps, 2) with NaN for points that are not finite or far outside of the picture."""
    low = np.array([x[0], y[0]])
    high = np.array([x[-1], y[-1]])
    reach = _FAR * (high - low)
    with np.errstate(invalid="ignore"):
        near = np.all((path > low - reach) & (path < high + reach), axis=1, keepdims=True)
    return np.where(near, path, np.nan)


def _length(x: np.ndarray, y: np.ndarray, path: np.ndarray) -> float:
    """The length of a path (steps, 2), in widths and heights of the picture."""
    steps = np.diff(path, axis=0) / [x[-1] - x[0], y[-1] - y[0]]
    return float(np.nansum(np.hypot(*steps.T)))
