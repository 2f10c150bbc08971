"""Charts of a trained network: its outputs over its inputs, its hidden units and its weights."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ...core.intervals import Difference
from ...parts.metrics import is_share
from ..numbers import measure_name, number
from .axes import over_plane
from .plane import samples
from .theme import BLUE, INK, TEMPLATE, VERMILION

_PALE = "#e6e6e6"
_DIVERGING = [[0, BLUE], [0.5, _PALE], [1, VERMILION]]
_AROUND_ZERO: dict[str, object] = {"colorscale": _DIVERGING, "zmid": 0}
_FRACTIONS: dict[str, object] = {"colorscale": [[0, _PALE], [1, VERMILION]], "zmin": 0, "zmax": 1}
_GREYS = [[0, "#26292e"], [1, "#f4f4f4"]]
# The same region colours on light and dark pages, so that one dark border is visible on both.
_REGIONS = ("#a5cde8", "#efbf9e", "#99d8c7", "#ebd6e4", "#f5d899", "#bbe1f6")
_BORDER = "#26292e"
_SHADES = [[0, "#79b5dd"], [0.5, "#f4f4f4"], [1, "#e69e6e"]]
_PANELS_IN_A_ROW = 4
_PICTURES_IN_A_ROW = 8
_MOST_BORDERS = 12
# Levels of the values on a map: no screen shows more shades.
_LEVELS = 1000
_FRAME_MILLISECONDS = 350
_CONTROLS_HEIGHT = 120
_CONTROL = "rgba(128, 132, 140, 0.45)"


def boundary(
    x: np.ndarray,
    y: np.ndarray,
    outputs: np.ndarray,
    points: np.ndarray | None = None,
    classes: np.ndarray | None = None,
    names: Sequence[str] = (),
    threshold: float = 0.5,
    axes: tuple[str, str] = ("x1", "x2"),
    title: str = "Decision boundary",
) -> go.Figure:
    """The class that a network predicts at each point of a plane, with samples.

    Two classes are shaded by the output for the second one. With K = 1 it is predicted above `threshold`; with K = 2
    the larger output decides, and the shade is the probability of the second class, or the difference of the outputs if
    they are not probabilities. More classes are regions. Lines are drawn where the prediction changes.

    Args:
        x: coordinates of the columns.
        y: coordinates of the rows.
        outputs: the outputs of the network (len(y), len(x), K).
        points: samples (n, 2).
        classes: the class of each sample (n,), an index of `names`.
        names: the names of the classes.
        threshold: the decision threshold if K = 1.
        axes: the names of the two inputs.
        title: the title of the figure.

    >>> x = np.linspace(0, 1, 3)
    >>> p = np.stack([1 - x + 0 * x[:, None], x + 0 * x[:, None]], axis=-1)
    >>> boundary(x, x, p).data[0].z[0].tolist()
    [0.0, 0.5, 1.0]
    """
    marks = samples(points, classes, [_plain(name) for name in names])
    figure = go.Figure([*_class_map(x, y, outputs, names, threshold, axes), *marks])
    return _with_axes(figure, x, y, axes, title).update_layout(height=480, showlegend=True)


def boundary_frames(
    steps: Sequence[int] | np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    outputs: np.ndarray,
    points: np.ndarray | None = None,
    classes: np.ndarray | None = None,
    names: Sequence[str] = (),
    threshold: float = 0.5,
    axes: tuple[str, str] = ("x1", "x2"),
    title: str = "Decision boundary through the training",
    steps_per_epoch: int | None = None,
) -> go.Figure:
    """The decision boundary after each of `steps` (f,), with a slider and buttons to play and pause.

    `outputs` are (f, len(y), len(x), K), `steps_per_epoch` adds the epoch to the name of a step; the other arguments
    are those of `boundary`. All steps have the same scale; the figure starts with the last one.

    >>> x = np.linspace(0, 1, 3)
    >>> figure = boundary_frames([0, 10], x, x, np.stack([x + 0 * x[:, None], x * x[:, None]])[..., None])
    >>> [frame.name for frame in figure.frames], figure.layout.sliders[0].active
    (['step 0', 'step 10'], 1)
    """
    frames = [_class_map(x, y, frame, names, threshold, axes, outputs) for frame in outputs]
    marks = samples(points, classes, [_plain(name) for name in names])
    figure = go.Figure([*frames[-1], *marks])
    figure = _with_axes(figure, x, y, axes, title).update_layout(height=480, showlegend=True)
    return _animated(figure, steps, frames, steps_per_epoch)


def surface_frames(
    steps: Sequence[int] | np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    points: np.ndarray,
    true: np.ndarray,
    name: str,
    axes: tuple[str, str] = ("x1", "x2"),
    title: str = "",
    steps_per_epoch: int | None = None,
) -> go.Figure:
    """A fitted surface after each of `steps` (f,), with a slider and buttons to play and pause.

    `values` are (f, len(y), len(x)), `steps_per_epoch` adds the epoch to the name of a step; the other arguments are
    those of `fitted_surface`. The colours are scaled to the last surface and the samples.

    >>> x = np.array([0.0, 1.0])
    >>> figure = surface_frames([0, 5], x, x, np.zeros((2, 2, 2)), np.array([[0.5, 0.5]]), np.array([1.0]), "sum")
    >>> len(figure.frames), figure.layout.coloraxis.cmax
    (2, 1.0)
    """
    title = title or f"Fitted {_plain(name)} through the training"
    figure = fitted_surface(x, y, values[-1], points, true, name, axes, title)
    ends = np.concatenate([values[-1].ravel(), np.ravel(true)])
    ends = ends[np.isfinite(ends)]
    if ends.size:
        figure.update_layout(coloraxis={"cmin": float(ends.min()), "cmax": float(ends.max())})
    return _animated(figure, steps, [[go.Heatmap(z=_rounded(frame))] for frame in values], steps_per_epoch)


def fitted_surface(
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    points: np.ndarray,
    true: np.ndarray,
    name: str,
    axes: tuple[str, str] = ("x1", "x2"),
    title: str = "",
) -> go.Figure:
    """The values that a network predicts over two inputs, with samples in the colours of their true values.

    Samples that blend into the surface are predicted well.

    Args:
        x: coordinates of the columns.
        y: coordinates of the rows.
        values: predicted values (len(y), len(x)).
        points: samples (n, 2).
        true: the true value of each sample (n,).
        name: the name of the target.
        axes: the names of the two inputs.
        title: the title of the figure; by default the target.

    >>> x = np.array([0.0, 1.0])
    >>> figure = fitted_surface(x, x, x + x[:, None], np.array([[0.5, 0.5]]), np.array([1.0]), "sum")
    >>> figure.data[1].marker.color.tolist()
    [1.0]
    """
    hover = f"{_plain(axes[0])} %{{x:.3~g}}, {_plain(axes[1])} %{{y:.3~g}}<br>"
    surface = go.Heatmap(
        x=x,
        y=y,
        z=_rounded(values),
        zsmooth="fast",
        coloraxis="coloraxis",
        hovertemplate=f"{hover}%{{z:.4~g}}<extra></extra>",
    )
    figure = go.Figure(surface)
    figure.add_scatter(
        x=points[:, 0],
        y=points[:, 1],
        mode="markers",
        marker={"color": true, "coloraxis": "coloraxis", "size": 8, "line": {"width": 1, "color": "white"}},
        hovertemplate=f"{hover}true %{{marker.color:.4~g}}<extra></extra>",
    )
    bar = {"title": _plain(name), "thickness": 16}
    figure.update_layout(coloraxis={"colorscale": "Cividis", "colorbar": bar}, showlegend=False)
    return _with_axes(figure, x, y, axes, title or f"Fitted {_plain(name)}").update_layout(height=440)


def fitted_curve(
    x: np.ndarray, values: np.ndarray, points: np.ndarray, true: np.ndarray, name: str, axis: str = "x", title: str = ""
) -> go.Figure:
    """The values (m,) that a network predicts over its only input x (m,), with samples `points` and `true` (n,).

    >>> curve = fitted_curve(np.array([0.0, 1.0]), np.array([0.0, 2.0]), np.array([0.5]), np.array([1.1]), "y")
    >>> curve.data[1].y.tolist()
    [0.0, 2.0]
    """
    figure = go.Figure()
    hover = f"{_plain(axis)} %{{x:.4~g}}, {_plain(name)} %{{y:.4~g}}<extra></extra>"
    mark = {"color": BLUE, "size": 6, "opacity": 0.55}
    figure.add_scatter(x=points, y=true, mode="markers", name="samples", marker=mark, hovertemplate=hover)
    line = {"color": VERMILION, "width": 2.5}
    figure.add_scatter(x=x, y=values, mode="lines", name="network", line=line, hovertemplate=hover)
    figure.update_xaxes(title=_plain(axis))
    figure.update_yaxes(title=_plain(name))
    title = title or f"Fitted {_plain(name)}"
    return figure.update_layout(template=TEMPLATE, title=title, height=400, showlegend=True)


def unit_maps(
    x: np.ndarray,
    y: np.ndarray,
    outputs: np.ndarray,
    axes: tuple[str, str] = ("x1", "x2"),
    title: str = "Outputs of the hidden units",
) -> go.Figure:
    """The outputs (units, len(y), len(x)) of each unit over a plane, on one scale; if it has both signs, 0 is grey.

    >>> x = np.array([0.0, 1.0])
    >>> unit_maps(x, x, np.array([[[0.0, 1.0], [0.0, 1.0]]])).layout.annotations[0].text
    'unit 1'
    """
    count = len(outputs)
    columns = min(count, _PANELS_IN_A_ROW)
    rows = -(-count // columns)
    names = [f"unit {unit}" for unit in range(1, count + 1)]
    gap = min(0.25 / rows, 0.12)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=names,
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=gap,
    )
    for unit, values in enumerate(outputs):
        hover = f"{names[unit]} at %{{x:.3~g}}, %{{y:.3~g}}: %{{z:.4~g}}<extra></extra>"
        surface = go.Heatmap(x=x, y=y, z=_rounded(values), coloraxis="coloraxis", hovertemplate=hover)
        figure.add_trace(surface, unit // columns + 1, unit % columns + 1)
    figure.update_annotations(font={"size": 12})
    bar = {"title": "output", "thickness": 16}
    figure.update_layout(template=TEMPLATE, title=title, height=110 + 165 * rows, margin={"t": 64})
    figure.update_layout(coloraxis={**_scale(outputs), "colorbar": bar})
    figure.update_xaxes(showgrid=False, nticks=4).update_yaxes(showgrid=False, nticks=4)
    figure.update_xaxes(title=_plain(axes[0]), row=rows)
    return figure.update_yaxes(title=_plain(axes[1]), col=1)


def weight_images(
    pictures: np.ndarray, units: Sequence[int] | np.ndarray, title: str = "Weights of the first layer"
) -> go.Figure:
    """The weights of units as images (units, height, width) side by side: blue below 0, pale at 0, orange above.

    A unit responds most to an image that is dark where its weights are blue, and bright where they are orange.
    `units` are the indices of the units from 0; the captions count from 1.

    >>> figure = weight_images(np.array([[[1.0, -2.0]], [[0.5, 0.0]]]), [4, 2])
    >>> figure.data[0].z.tolist(), figure.layout.annotations[0].text
    ([[1.0, -2.0, nan, 0.5, 0.0]], '5')
    """
    return _mosaic(pictures, [f"{int(unit) + 1}" for unit in units], title, "unit", "weight", _AROUND_ZERO)


def feature_maps(maps: np.ndarray, units: Sequence[int] | np.ndarray, sample: int) -> go.Figure:
    """What the kernels `units` make of a sample (units, rows, columns), side by side: blue below 0, orange above.

    >>> feature_maps(np.array([[[1.0, -2.0]]]), [4], sample=7).layout.title.text
    'Feature maps of sample 7'
    """
    return _mosaic(
        maps, [f"{int(unit) + 1}" for unit in units], f"Feature maps of sample {sample}", "unit", "z", _AROUND_ZERO
    )


def picture_row(pictures: Sequence[np.ndarray], names: Sequence[str], title: str, value: str) -> go.Figure:
    """Pictures (height, width) of any sizes side by side under their names: blue below 0, pale at 0, orange above.

    >>> figure = picture_row([np.array([[1.0, -2.0]]), np.array([[3.0]])], ["x", "W"], "A picture", "brightness")
    >>> figure.data[0].z.tolist(), figure.layout.annotations[1].text
    ([[1.0, -2.0, nan, 3.0, nan]], 'W')
    """
    height, width = np.max([picture.shape for picture in pictures], axis=0)
    framed = np.full((len(pictures), height, width), np.nan)
    for place, picture in zip(framed, pictures, strict=True):
        left = (width - picture.shape[1]) // 2
        place[: picture.shape[0], left : left + picture.shape[1]] = picture
    return _mosaic(framed, [_plain(name) for name in names], title, "picture", value, _AROUND_ZERO)


def saliency_maps(maps: np.ndarray, names: Sequence[str]) -> go.Figure:
    """The saliency of classes (classes, height, width), side by side, each in fractions of its largest.

    >>> saliency_maps(np.array([[[1.0, 0.5]]]), ["cat"]).layout.annotations[0].text
    'cat'
    """
    return _mosaic(maps, [_plain(name) for name in names], "Mean saliency by class", "class", "|dL/dx|", _FRACTIONS)


def importance_map(
    picture: np.ndarray, lost: Mapping[tuple[int, int, int, int], Difference], measure: str
) -> go.Figure:
    """The score that is lost without each region of pictures, beside their mean; dots where the interval excludes 0.

    Args:
        picture: the mean picture (height, width).
        lost: what is lost without each region (top, bottom, left, right).
        measure: the score.

    >>> from thalweg.core.intervals import difference
    >>> lost = {(0, 2, 0, 1): difference([1.0, 0.9, 0.8], [0.4, 0.5, 0.6])}
    >>> importance_map(np.ones((2, 1)), lost, "accuracy").data[1].z.round(2).tolist()
    [[0.4], [0.4]]
    """
    height, width = picture.shape
    values = np.full(picture.shape, np.nan)
    for (top, bottom, left, right), found in lost.items():
        values[top:bottom, left:right] = found.mean
    gap = max(1, round(width / 10))
    shift = width + gap
    name = measure_name(measure)
    reach = float(np.nanmax(np.abs(values), initial=0)) or 1.0
    figure = go.Figure()
    figure.add_heatmap(
        z=picture, colorscale=_GREYS, showscale=False, hovertemplate="row %{y}, column %{x}: %{z:.4~g}<extra></extra>"
    )
    figure.add_heatmap(
        z=values,
        x=np.arange(shift, shift + width),
        **_AROUND_ZERO,
        zmin=-reach,
        zmax=reach,
        colorbar={"title": f"{name} lost", "thickness": 16, "tickformat": "~%" if is_share(measure) else None},
        hovertemplate="%{z:.3~f}<extra></extra>",
    )
    sure = [region for region, found in lost.items() if found.verdict != "undecided"]
    figure.add_scatter(
        x=[shift + (left + right - 1) / 2 for _, _, left, right in sure],
        y=[(top + bottom - 1) / 2 for top, bottom, _, _ in sure],
        mode="markers",
        marker={"color": _BORDER, "size": 5},
        hoverinfo="skip",
        showlegend=False,
    )
    for label, left in (("mean picture", 0), ("without the region", shift)):
        words = {"text": label, "font": {"size": 11}, "showarrow": False, "yanchor": "bottom"}
        figure.add_annotation(x=left + (width - 1) / 2, y=-0.5, **words)
    hidden = {"visible": False, "constrain": "domain"}
    figure.update_xaxes(range=[-0.5, shift + width - 0.5], **hidden)
    figure.update_yaxes(range=[height - 0.5, -0.5 - height / 10], scaleanchor="x", **hidden)
    total = 110 + min(600, round(620 * height / (shift + width)))
    title = "Importance of the regions"
    return figure.update_layout(
        template=TEMPLATE, title=title, height=total, showlegend=False, margin={"t": 48, "l": 8, "b": 16}
    )


def _mosaic(
    pictures: np.ndarray, names: Sequence[str], title: str, what: str, value: str, scale: dict[str, object]
) -> go.Figure:
    """Pictures (k, height, width) side by side, each under its name; `scale` are the colours of a heat map."""
    count, height, width = pictures.shape
    columns = min(count, _PICTURES_IN_A_ROW)
    rows = -(-count // columns)
    # Each image has its number above it, and an empty column between it and the next.
    head = max(1, round(height / 5)) if rows > 1 else 0
    mosaic = np.full((rows * (height + head) - head, columns * (width + 1) - 1), np.nan, dtype=pictures.dtype)
    labels = np.full(mosaic.shape, "", dtype=object)
    figure = go.Figure()
    for place, (picture, label) in enumerate(zip(pictures, names, strict=True)):
        top = place // columns * (height + head)
        left = place % columns * (width + 1)
        area = (slice(top, top + height), slice(left, left + width))
        mosaic[area] = picture
        labels[area] = label
        name = {"text": label, "font": {"size": 11}, "showarrow": False, "yanchor": "bottom"}
        figure.add_annotation(x=left + (width - 1) / 2, y=top - 0.5, **name)
    figure.add_heatmap(
        z=mosaic,
        customdata=labels,
        hovertemplate=f"{what} %{{customdata}}: %{{z:.4~g}}<extra></extra>",
        hoverongaps=False,
        **scale,
        colorbar={"title": value, "thickness": 16},
    )
    hidden = {"visible": False, "constrain": "domain"}
    figure.update_xaxes(range=[-0.5, mosaic.shape[1] - 0.5], **hidden)
    figure.update_yaxes(range=[mosaic.shape[0] - 0.5, -0.5 - max(1.0, height / 5)], scaleanchor="x", **hidden)
    total = 110 + min(900, round(620 * (mosaic.shape[0] + height / 5) / mosaic.shape[1]))
    return figure.update_layout(template=TEMPLATE, title=title, height=total, margin={"t": 48, "l": 8, "b": 16})


def _class_map(
    x: np.ndarray,
    y: np.ndarray,
    outputs: np.ndarray,
    names: Sequence[str],
    threshold: float,
    axes: tuple[str, str],
    frames: np.ndarray | None = None,
) -> list[go.Heatmap | go.Contour]:
    """The predicted classes over a plane as shades or regions, and the lines where the prediction changes.

    `frames` are the outputs (f, len(y), len(x), K) of all frames of an animation, which get the same scale and lines of
    the same classes.
    """
    all_outputs = outputs[None] if frames is None else frames
    hover = f"{_plain(axes[0])} %{{x:.3~g}}, {_plain(axes[1])} %{{y:.3~g}}<br>"
    count = outputs.shape[-1]
    if count > 2:
        return _regions(x, y, outputs, names, hover, all_outputs)
    second = _plain(names[1]) if len(names) > 1 else "class 1"
    probable = bool((all_outputs >= 0).all() and (all_outputs <= 1).all())

    def for_second(outputs: np.ndarray) -> np.ndarray:
        return outputs[..., 1] - outputs[..., 0] if count == 2 and not probable else outputs[..., -1]

    if count == 2:
        threshold = 0.5 if probable else 0.0
    values = for_second(outputs)
    label = f"p({second})" if probable else f"output for {second}"
    if probable and threshold == 0.5:
        ends = {"zmin": 0.0, "zmax": 1.0}
    elif frames is None:
        ends = {"zmid": threshold}
    else:
        last = np.abs(for_second(frames[-1]) - threshold)
        reach = float(last[np.isfinite(last)].max(initial=0.0)) or 1.0
        ends = {"zmin": threshold - reach, "zmax": threshold + reach}
    shades = go.Heatmap(
        x=x,
        y=y,
        z=_rounded(values),
        zsmooth="fast",
        colorscale=_SHADES,
        colorbar={"title": label, "thickness": 16},
        hovertemplate=f"{hover}{label}: %{{z:.3~g}}<extra></extra>",
        **ends,
    )
    return [shades, _border(x, y, values - threshold)]


def _regions(
    x: np.ndarray, y: np.ndarray, outputs: np.ndarray, names: Sequence[str], hover: str, all_outputs: np.ndarray
) -> list[go.Heatmap | go.Contour]:
    """Regions of the largest output, and the borders of each region that occurs in any frame."""
    count = outputs.shape[-1]
    predicted = outputs.argmax(axis=-1).astype(np.uint8)
    class_names = np.array([_plain(names[k]) if k < len(names) else f"class {k}" for k in range(count)])
    colours = [_REGIONS[k % len(_REGIONS)] for k in range(count)]
    steps = [[(k + side) / count, colour] for k, colour in enumerate(colours) for side in (0, 1)]
    regions = go.Heatmap(
        x=x,
        y=y,
        z=predicted,
        colorscale=steps,
        zmin=-0.5,
        zmax=count - 0.5,
        showscale=False,
        hovertemplate=f"{hover}class %{{z}} (from 0)<extra></extra>",
    )
    if count <= _MOST_BORDERS and len(all_outputs) == 1:
        regions.update(text=class_names[predicted], hovertemplate=f"{hover}%{{text}}<extra></extra>")
    lines = []
    for k in np.unique(all_outputs.argmax(axis=-1))[:_MOST_BORDERS]:
        others = np.delete(outputs, k, axis=-1).max(axis=-1)
        lines.append(_border(x, y, outputs[..., k] - others))
    return [regions, *lines]


def _border(x: np.ndarray, y: np.ndarray, values: np.ndarray) -> go.Contour:
    """The line where the values cross 0."""
    return go.Contour(
        x=x,
        y=y,
        z=_around_zero(values),
        contours={"start": 0.0, "end": 0.0, "size": 1, "coloring": "none"},
        line={"width": 2, "color": _BORDER, "smoothing": 0},
        showscale=False,
        showlegend=False,
        hoverinfo="skip",
    )


def _around_zero(values: np.ndarray) -> np.ndarray:
    """Numbers in 16 bits with the same zero line, which depends on the corners of the cells that it crosses alone.

    All other values are cut off at the largest of these, so that most of a map is one number and compresses well.
    """
    if not np.isfinite(values).all():
        return values
    above = values >= 0
    corners = above[:-1, :-1].astype(int) + above[:-1, 1:] + above[1:, :-1] + above[1:, 1:]
    crossed = (corners > 0) & (corners < 4)
    near = np.zeros(values.shape, bool)
    for part in (near[:-1, :-1], near[:-1, 1:], near[1:, :-1], near[1:, 1:]):
        part |= crossed
    reach = float(np.abs(values[near]).max(initial=0.0)) or 1.0
    scaled = np.clip(values / reach, -1, 1) * 32767
    # Away from 0, so that no value loses its sign.
    return (np.sign(scaled) * np.ceil(np.abs(scaled))).astype(np.int16)


def _animated(
    figure: go.Figure,
    steps: Sequence[int] | np.ndarray,
    frames: Sequence[Sequence[go.Heatmap | go.Contour]],
    steps_per_epoch: int | None,
) -> go.Figure:
    """The figure with one frame per step, which replaces its first traces, with a slider and buttons."""
    names = [_step_name(int(step), steps_per_epoch) for step in steps]
    figure.frames = [
        go.Frame(name=name, data=[type(trace)(z=trace.z) for trace in traces], traces=[*range(len(traces))])
        for name, traces in zip(names, frames, strict=True)
    ]
    at_once: dict[str, object] = {"mode": "immediate", "transition": {"duration": 0}}
    still = at_once | {"frame": {"duration": 0, "redraw": True}}
    playing = at_once | {"frame": {"duration": _FRAME_MILLISECONDS, "redraw": True}, "fromcurrent": True}
    slider = {
        "active": len(names) - 1,
        "steps": [{"label": name, "method": "animate", "args": [[name], still]} for name in names],
        "currentvalue": {"prefix": "", "xanchor": "left", "font": {"size": 13, "color": INK}},
        # The current step is named above the slider; labels below it would lie over each other.
        "ticklen": 0,
        "minorticklen": 0,
        "font": {"size": 1, "color": "rgba(0, 0, 0, 0)"},
        "x": 0,
        "len": 1,
        "y": 0,
        "pad": {"t": 40},
        "bgcolor": _CONTROL,
        "activebgcolor": BLUE,
        "bordercolor": _CONTROL,
    }
    buttons = {
        "type": "buttons",
        "direction": "left",
        "showactive": False,
        "buttons": [
            {"label": "Play", "method": "animate", "args": [None, playing]},
            {"label": "Pause", "method": "animate", "args": [[None], still]},
        ],
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "top",
        "pad": {"t": 104},
        "bgcolor": "rgba(0, 0, 0, 0)",
        "bordercolor": _CONTROL,
    }
    height = (figure.layout.height or 0) + _CONTROLS_HEIGHT
    below = figure.layout.template.layout.margin.b + _CONTROLS_HEIGHT
    return figure.update_layout(sliders=[slider], updatemenus=[buttons], height=height, margin={"b": below})


def _step_name(step: int, steps_per_epoch: int | None) -> str:
    return f"step {number(step)}" + (f", epoch {number(step / steps_per_epoch, 3)}" if steps_per_epoch else "")


def _rounded(values: np.ndarray) -> np.ndarray:
    """The values as multiples of a power of two, at least `_LEVELS` levels apart: they compress to half."""
    finite = values[np.isfinite(values)]
    width = float(finite.max() - finite.min()) if finite.size else 0.0
    if not 0 < width < np.inf:
        return values.astype(np.float32)
    step = 2.0 ** np.floor(np.log2(width / _LEVELS))
    return (np.round(values / step) * step).astype(np.float32)


def _with_axes(figure: go.Figure, x: np.ndarray, y: np.ndarray, axes: tuple[str, str], title: str) -> go.Figure:
    figure = over_plane(figure, x, y, (_plain(axes[0]), _plain(axes[1])))
    return figure.update_layout(template=TEMPLATE, title=title)


def _scale(values: np.ndarray) -> dict[str, object]:
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() < 0 < finite.max():
        return {"colorscale": _DIVERGING, "cmid": 0}
    return {"colorscale": "Cividis"}


def _plain(name: str) -> str:
    """A name shortened for a chart, with HTML escaped, which Plotly would interpret."""
    return html.escape(name if len(name) <= 40 else f"{name[:39]}…", quote=False)
