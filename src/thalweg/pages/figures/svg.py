"""Charts of lines, points and maps as SVG, without a browser: for notebooks that are read where no script runs."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from html import escape, unescape
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.basedatatypes import BaseTraceType

from ...core.printable import printable
from ..numbers import number, percent
from .axes import log_ticks, round_ticks
from .theme import TEMPLATE

_WIDTH = 720
_HEIGHT = 400
_DASHES = {"dot": "2 3", "dash": "7 4", "longdash": "11 4", "dashdot": "7 3 2 3", "longdashdot": "11 3 2 3"}
_ROW = 18
# About the width of a character of the small font, and the room for a line of the legend before its name.
_CHARACTER = 6.3
_SAMPLE = 34
_INK = TEMPLATE.layout.font.color
_GRID = TEMPLATE.layout.xaxis.gridcolor
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class _Axis(NamedTuple):
    """An axis: where its ends are in the picture and in numbers, and its ticks."""

    first: float
    last: float
    low: float
    high: float
    log: bool
    names: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]
    title: str

    def place(self, values: Sequence[object]) -> np.ndarray:
        """Places in the picture; NaN for what the axis cannot show."""
        return self.at(_positions(values, self.names, self.log))

    def at(self, position: np.ndarray) -> np.ndarray:
        """Places in the picture of numbers of the axis."""
        return self.first + (position - self.low) / (self.high - self.low) * (self.last - self.first)


def chart_svg(figure: go.Figure) -> str:
    """The figure as SVG, or "" where it has other traces than lines, points and maps on a plane.

    A border between the shades of a map is not drawn: the shades show it.

    >>> chart_svg(go.Figure(go.Scatter(y=[1, 2]))).count("<path")
    1
    """
    if not all(map(_can_be_drawn, figure.data)) or not figure.data:
        return ""
    width = figure.layout.width or _WIDTH
    lines = [trace for trace in figure.data if trace.type == "scatter"]
    legend = _legend([trace for trace in lines if trace.name and trace.showlegend is not False], width)
    if figure.layout.showlegend is False or len(figure.data) < 2:
        legend = []
    rows = 1 + max((row for _, _, row in legend), default=-1)
    title = _plain(figure.layout.title.text or "")
    subtitle = _plain(figure.layout.title.subtitle.text or "")
    bar = _ROW if any(trace.type == "heatmap" and trace.showscale is not False for trace in figure.data) else 0
    top = 16 + (24 if title else 0) + (_ROW if subtitle else 0) + rows * _ROW + bar
    height = (figure.layout.height or _HEIGHT) + rows * _ROW + bar
    left = _left_margin(figure)
    plane = (left, width - 16.0, float(top), height - 48.0)
    parts = [_text(8, 20, title, size=16)] if title else []
    parts += [_text(8, 38, subtitle)] if subtitle else []
    for trace, shift, row in legend:
        line = top - bar - rows * _ROW + row * _ROW - 4
        parts += [*_sample(trace, 8 + shift, line), _text(8 + shift + _SAMPLE, line + 4, _plain(trace.name))]
    pairs = dict.fromkeys((trace.xaxis or "x", trace.yaxis or "y") for trace in figure.data)
    for x_name, y_name in pairs:
        traces = [trace for trace in figure.data if (trace.xaxis or "x", trace.yaxis or "y") == (x_name, y_name)]
        x = _axis(figure, x_name, plane[0], plane[1])
        y = _axis(figure, y_name, plane[3], plane[2])
        x, y = _with_equal_units(figure, x, y)
        parts += [*_frame(x, y), _opened_plane(x, y), *_traces(figure, traces, x, y), "</svg>"]
    parts += _colour_bar(figure, plane)
    parts += [_note(figure, note, plane) for note in figure.layout.annotations if note.xref == note.yref == "paper"]
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">\n{body}\n</svg>'
    )


def _can_be_drawn(trace: BaseTraceType) -> bool:
    return trace.type in ("scatter", "heatmap") or (trace.type == "contour" and trace.contours.coloring == "none")


def _axis(figure: go.Figure, name: str, start: float, end: float) -> _Axis:
    """An axis (`x`, `y2`) between two ends of the picture."""
    own = figure.layout[f"{name[0]}axis{name[1:]}"]
    group = {axis for axis in _axes(figure, name[0]) if _root(figure, axis) == _root(figure, name)}
    values = [
        np.ravel(np.asarray(part, dtype=object)) for trace in figure.data for part in _extent(trace, name[0], group)
    ]
    found = [value for part in values for value in part.tolist()]
    names = tuple(dict.fromkeys(str(value) for value in found if isinstance(value, str)))
    log = own.type == "log"
    positions = _positions(found, names, log)
    positions = positions[np.isfinite(positions)]
    low, high = (positions.min(), positions.max()) if positions.size else (0.0, 1.0)
    room = 0.5 if names else 0.05 * (high - low) or (0.5 if log else 0.5 * abs(high)) or 0.5
    low, high = (low - room, high + room)
    if own.rangemode == "tozero" and not log:
        low, high = min(low, 0.0), max(high, 0.0)
    if own.range is not None and None not in own.range:
        low, high = (float(end) for end in own.range)
    elif own.autorange == "reversed":
        low, high = high, low
    domain = own.domain or (0, 1)
    first, last = (start + share * (end - start) for share in domain)
    ticks = tuple(_ticks(own, names, log, float(low), float(high))) if own.showticklabels is not False else ()
    return _Axis(first, last, float(low), float(high), log, names, ticks, _plain(own.title.text or ""))


def _axes(figure: go.Figure, letter: str) -> set[str]:
    return {(trace[f"{letter}axis"] or letter) for trace in figure.data}


def _root(figure: go.Figure, name: str) -> str:
    """The axis whose range an axis takes."""
    own = figure.layout[f"{name[0]}axis{name[1:]}"]
    return _root(figure, own.matches) if own.matches and own.matches != name else name


def _extent(trace: BaseTraceType, letter: str, group: set[str]) -> Iterator[object]:
    """The numbers of a trace that an axis has to show, with the ends of its intervals."""
    if (trace[f"{letter}axis"] or letter) not in group:
        return
    values = _values(trace, letter)
    yield values
    if trace.type != "scatter":
        if trace.type == "heatmap" and not any(isinstance(value, str) for value in values):
            yield _edges(np.asarray(values, float))
        return
    error = trace[f"error_{letter}"]
    if error.array is not None:
        less = error.array if error.arrayminus is None else error.arrayminus
        yield np.asarray(values, float) + np.asarray(error.array, float)
        yield np.asarray(values, float) - np.asarray(less, float)


def _values(trace: BaseTraceType, letter: str) -> Sequence[object]:
    values = trace[letter]
    if values is not None:
        return list(values)
    if trace.type == "scatter":
        return list(range(len(trace.y if letter == "x" else trace.x)))
    return list(range(np.asarray(trace.z).shape[letter == "x"]))


def _edges(centres: np.ndarray) -> np.ndarray:
    """The first and the last edge of cells around evenly spaced centres."""
    half = (centres[-1] - centres[0]) / max(len(centres) - 1, 1) / 2 or 0.5
    return np.array([centres[0] - half, centres[-1] + half])


def _positions(values: Sequence[object], names: Sequence[str], log: bool) -> np.ndarray:
    """Values as numbers of the axis: the places of names, the logarithms of a logarithmic axis."""
    if names:
        places = {name: float(k) for k, name in enumerate(names)}
        return np.array([places.get(str(value), np.nan) for value in values])
    position = np.array([np.nan if value is None else value for value in values], dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        position = np.log10(position) if log else position
    return np.where(np.isfinite(position), position, np.nan)


def _ticks(own: Any, names: Sequence[str], log: bool, low: float, high: float) -> Iterator[tuple[float, str]]:
    """Places of the ticks, in numbers of the axis, with their labels."""
    low, high = min(low, high), max(low, high)
    if names:
        yield from ((float(k), _plain(name)) for k, name in enumerate(names))
        return
    if own.tickvals is not None:
        values = list(own.tickvals)
        texts = [number(value) for value in values] if own.ticktext is None else [_plain(text) for text in own.ticktext]
        places = _positions(values, (), log)
    elif log:
        values, texts = log_ticks([10.0**low, 10.0**high])
        texts, places = [_plain(text) for text in texts], np.log10(values)
    else:
        places = round_ticks(low, high)
        if own.tickformat == "d":
            places = np.unique(np.round(places))
        texts = [
            percent(place) if "%" in (own.tickformat or "") else number(float(place)) for place in places.round(12)
        ]
    yield from ((place, text) for place, text in zip(places.tolist(), texts, strict=True) if low <= place <= high)


def _with_equal_units(figure: go.Figure, x: _Axis, y: _Axis) -> tuple[_Axis, _Axis]:
    """The axes of a plane whose units must have one length, with the longer one shortened."""
    if not figure.layout.yaxis.scaleanchor:
        return x, y
    units = [abs((axis.last - axis.first) / (axis.high - axis.low)) for axis in (x, y)]
    shares = [min(units) / unit for unit in units]
    return x._replace(last=x.first + shares[0] * (x.last - x.first)), y._replace(
        first=y.last + shares[1] * (y.first - y.last)
    )


def _opened_plane(x: _Axis, y: _Axis) -> str:
    """The beginning of a region that its lines cannot leave. Without an id: a notebook has many pictures on a page."""
    left, right = sorted((x.first, x.last))
    top, bottom = sorted((y.first, y.last))
    box = (left - 6, top - 6, right - left + 12, bottom - top + 12)
    place = 'x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"'.format(*box)
    return f'<svg {place} viewBox="{" ".join(f"{end:.1f}" for end in box)}">'


def _frame(x: _Axis, y: _Axis) -> Iterator[str]:
    """Grid, ticks and titles of a plane."""
    left, right = sorted((x.first, x.last))
    top, bottom = sorted((y.first, y.last))
    for axis, across in ((x, False), (y, True)):
        for position, text in axis.ticks:
            at = axis.first + (position - axis.low) / (axis.high - axis.low) * (axis.last - axis.first)
            ends = (left, at, right, at) if across else (at, top, at, bottom)
            yield '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}"/>'.format(*ends, _GRID)
            if across:
                yield _text(left - 6, at + 4, text, anchor="end")
            else:
                yield _text(at, bottom + 16, text, anchor="middle")
    if x.title:
        yield _text((left + right) / 2, bottom + 36, x.title, anchor="middle")
    if y.title:
        middle = (top + bottom) / 2
        yield _text(14, middle, y.title, anchor="middle", turn=f' transform="rotate(-90 14 {middle:.1f})"')


def _traces(figure: go.Figure, traces: Sequence[BaseTraceType], x: _Axis, y: _Axis) -> Iterator[str]:
    """Maps and areas below, then lines, intervals and points."""
    for trace in traces:
        if trace.type == "heatmap":
            yield from _map(figure, trace, x, y)
    traces = [trace for trace in traces if trace.type == "scatter"]
    before = np.empty((0, 2))
    areas = []
    for trace in traces:
        points = np.column_stack([x.place(_values(trace, "x")), y.place(_values(trace, "y"))])
        points = points[np.isfinite(points).all(axis=1)]
        if trace.fill in ("toself", "tonexty"):
            corners = np.concatenate([points, before[::-1] if trace.fill == "tonexty" else before[:0]])
            words = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
            areas.append(f'<polygon points="{words}" fill="{escape(str(trace.fillcolor or _GRID))}"/>')
        before = points
    yield from areas
    for trace in traces:
        yield from _trace(trace, x, y)


def _map(figure: go.Figure, trace: BaseTraceType, x: _Axis, y: _Axis) -> Iterator[str]:
    """The cells of a heat map as an embedded picture, and what is written in them."""
    z = np.asarray(trace.z, float)
    colours = _colours(figure, trace)
    pixels = np.dstack([colours.of(z), np.where(np.isfinite(z), 255.0, 0.0)])
    places = [
        axis.at(_edges(_positions(_values(trace, each), axis.names, axis.log))) for each, axis in (("x", x), ("y", y))
    ]
    (left, right), (first, last) = places
    # The first row of a picture is its highest one.
    pixels = pixels[:: 1 if first < last else -1, :: 1 if left < right else -1]
    box = (min(left, right), min(first, last), abs(right - left), abs(last - first))
    yield _picture(pixels, box, smooth=bool(trace.zsmooth))
    if trace.texttemplate and trace.text is not None:
        across, up = (axis.place(_values(trace, each)) for each, axis in (("x", x), ("y", y)))
        for (row, column), words in np.ndenumerate(np.asarray(trace.text)):
            ink = "white" if colours.of(z[row, column]).mean() < 128 else "black"
            yield _text(float(across[column]), float(up[row]) + 4, _plain(str(words)), anchor="middle", ink=ink)


def _picture(pixels: np.ndarray, box: tuple[float, float, float, float], smooth: bool) -> str:
    """Pixels (rows, columns, 4) stretched over a box (left, top, width, height)."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels.round().astype(np.uint8), "RGBA").save(file, "PNG")
    style = "" if smooth else ' style="image-rendering: pixelated"'
    place = 'x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"'.format(*box)
    content = base64.b64encode(file.getvalue()).decode()
    return f'<image {place} preserveAspectRatio="none"{style} href="data:image/png;base64,{content}"/>'


class _Colours(NamedTuple):
    """The colours of a map: at each of the stops from 0 to 1, for values from `low` to `high`."""

    stops: np.ndarray
    rgb: np.ndarray
    low: float
    high: float

    def of(self, values: np.ndarray) -> np.ndarray:
        """Red, green and blue from 0 to 255 of each value, in a new last axis; white for NaN."""
        share = np.clip((values - self.low) / ((self.high - self.low) or 1.0), 0.0, 1.0)
        found = np.stack([np.interp(share, self.stops, channel) for channel in self.rgb.T], axis=-1)
        return np.where(np.isfinite(values)[..., None], found, 255.0)


def _colours(figure: go.Figure, trace: BaseTraceType) -> _Colours:
    """The colours of a trace, or those that it shares with others."""
    from PIL import ImageColor

    own, letter = (figure.layout[trace.coloraxis], "c") if trace.coloraxis else (trace, "z")
    sharing = [each for each in figure.data if trace.coloraxis and each.coloraxis == trace.coloraxis] or [trace]
    values = np.concatenate([np.ravel(np.asarray(each.z, float)) for each in sharing])
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
    middle = own[f"{letter}mid"]
    if middle is not None:
        reach = max(high - middle, middle - low)
        low, high = middle - reach, middle + reach
    low, high = (
        given if given is not None else end for given, end in ((own[f"{letter}min"], low), (own[f"{letter}max"], high))
    )
    scale = own.colorscale or TEMPLATE.layout.colorscale.sequential
    rgb = np.array([ImageColor.getrgb(colour)[:3] for _, colour in scale], float)
    stops = np.array([stop for stop, _ in scale], float)
    if own.reversescale:
        stops, rgb = 1 - stops[::-1], rgb[::-1]
    return _Colours(stops, rgb, float(low), float(high))


def _colour_bar(figure: go.Figure, plane: tuple[float, float, float, float]) -> Iterator[str]:
    """The colours of the first map that shows its scale, with the values at their ends, above the plane."""
    maps = [trace for trace in figure.data if trace.type == "heatmap" and trace.showscale is not False]
    if not maps:
        return
    colours = _colours(figure, maps[0])
    _, right, top, _ = plane
    low, high = number(colours.low, 3), number(colours.high, 3)
    end = right - _CHARACTER * len(high) - 6
    shades = colours.of(np.linspace(colours.low, colours.high, 64))[None]
    yield _picture(np.dstack([shades, np.full((1, 64), 255.0)]), (end - 120, top - 16, 120, 8), smooth=True)
    yield _text(end - 126, top - 8, low, anchor="end")
    yield _text(end + 6, top - 8, high)


def _trace(trace: BaseTraceType, x: _Axis, y: _Axis) -> Iterator[str]:
    """Lines, intervals and points of a trace."""
    across = x.place(_values(trace, "x"))
    up = y.place(_values(trace, "y"))
    colour = escape(str(trace.line.color or trace.marker.color or _INK))
    mode = trace.mode or "lines"
    if "lines" in mode and trace.line.width != 0:
        dash = f' stroke-dasharray="{_DASHES[trace.line.dash]}"' if trace.line.dash in _DASHES else ""
        path = _path(across, up, step=trace.line.shape == "hv")
        yield f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{trace.line.width or 2}"{dash}/>'
    for letter, axis in (("x", x), ("y", y)):
        error = trace[f"error_{letter}"]
        if error.array is not None:
            values = np.asarray(_values(trace, letter), float)
            ends = [values + np.asarray(error.array, float)]
            ends += [values - np.asarray(error.array if error.arrayminus is None else error.arrayminus, float)]
            first, last = (axis.place(end.tolist()) for end in ends)
            for one, other, a, b in zip(first, last, across, up, strict=True):
                ends_of = (one, b, other, b) if letter == "x" else (a, one, a, other)
                if np.isfinite(ends_of).all():
                    line = '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"'.format(*ends_of)
                    own = escape(str(error.color or colour))
                    yield f'{line} stroke="{own}" stroke-width="{error.thickness or 2}"/>'
    if "markers" in mode:
        size = trace.marker.size if isinstance(trace.marker.size, int | float) else 6
        is_open = "open" in str(trace.marker.symbol)
        one = trace.marker.color if isinstance(trace.marker.color, str) else colour
        style = f'fill="none" stroke="{escape(one)}" stroke-width="2"' if is_open else f'fill="{escape(one)}"'
        for a, b in zip(across, up, strict=True):
            if np.isfinite(a + b):
                yield f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{size / 2:.1f}" {style}/>'


def _path(across: np.ndarray, up: np.ndarray, step: bool) -> str:
    """A line through the points, interrupted where one is missing."""
    path = []
    drawn = False
    for a, b in zip(across, up, strict=True):
        if np.isfinite(a + b):
            path.append(
                f"{'H' + format(a, '.1f') + 'V' + format(b, '.1f')}"
                if drawn and step
                else f"{'L' if drawn else 'M'}{a:.1f},{b:.1f}"
            )
        drawn = bool(np.isfinite(a + b))
    return "".join(path)


def _legend(traces: Sequence[BaseTraceType], width: float) -> list[tuple[BaseTraceType, float, int]]:
    """The traces of the legend, each with its place in a row and its row."""
    placed = []
    x, row = 0.0, 0
    for trace in traces:
        room = _SAMPLE + _CHARACTER * len(_plain(trace.name)) + 18
        if x and x + room > width - 16:
            x, row = 0.0, row + 1
        placed.append((trace, x, row))
        x += room
    return placed


def _sample(trace: BaseTraceType, x: float, y: float) -> Iterator[str]:
    colour = escape(str(trace.line.color or trace.marker.color or _INK))
    if "lines" in (trace.mode or "lines"):
        dash = f' stroke-dasharray="{_DASHES[trace.line.dash]}"' if trace.line.dash in _DASHES else ""
        yield f'<line x1="{x}" y1="{y}" x2="{x + 28}" y2="{y}" stroke="{colour}" stroke-width="2"{dash}/>'
    if "markers" in (trace.mode or ""):
        is_open = "open" in str(trace.marker.symbol)
        style = f'fill="none" stroke="{colour}" stroke-width="2"' if is_open else f'fill="{colour}"'
        yield f'<circle cx="{x + 14}" cy="{y}" r="4" {style}/>'


def _note(figure: go.Figure, note: Any, plane: tuple[float, float, float, float]) -> str:
    """A text at a place of the whole plane, such as the title of a small chart."""
    left, right, top, bottom = plane
    anchor = {"left": "start", "right": "end"}.get(note.xanchor, "middle")
    return _text(
        left + note.x * (right - left), bottom - note.y * (bottom - top) - 4, _plain(note.text or ""), anchor=anchor
    )


def _left_margin(figure: go.Figure) -> float:
    """Room for the labels and the title of the vertical axis."""
    names = [
        str(value)
        for trace in figure.data
        for value in (trace.y if trace.y is not None else ())
        if isinstance(value, str)
    ]
    longest = max((len(_plain(part)) for name in names for part in name.split("<br>")), default=0)
    return max(72.0, 36 + _CHARACTER * longest)


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 12, turn: str = "", ink: str = _INK) -> str:
    style = f'text-anchor="{anchor}" font-size="{size}" fill="{ink}"{turn}'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(printable(text))}</text>'


def _plain(text: str) -> str:
    """The words of a label without its tags; powers are raised letters."""
    raised = re.sub(r"<sup>(.*?)</sup>", lambda match: match[1].translate(_RAISED), text)
    return unescape(re.sub(r"<[^>]+>", " ", raised)).strip()
