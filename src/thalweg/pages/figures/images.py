"""Save figures as image files for papers and slides."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from html import unescape
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import plotly.graph_objects as go

from ...core.errors import InputError, nearest
from ...core.files import commit
from ..numbers import number
from .drawing import NO_BROWSER, DrawingOptions, DrawingTask

ImageFormat = Literal["png", "svg", "pdf"]
_WIDTH = 900
_HEIGHT = 480
# Room for the scale of the colours beside a plane.
_SCALE_WIDTH = 100
_PNG_SCALE = 2
# The time limit per figure: kaleido has none, and Chrome sometimes starts but never answers.
_SECONDS = 60.0


def save_images(figures: Sequence[go.Figure], folder: Path, kind: ImageFormat = "png") -> list[Path]:
    """Save each figure on a white background and return the files, which are named by the titles of the figures.

    PNG images have two pixels per unit of length; svg and pdf are vector graphics. Of an animation, the first view is
    saved.

    Args:
        figures: the figures to save.
        folder: the folder of the files, which is created.
        kind: the format.

    Raises:
        InputError: kaleido (the extra `image`) or Chrome is missing, the format is unknown, or the folder cannot be
            written.
    """
    image_format(kind)
    names = [f"{name}.{kind}" for name in _names(figures)]
    with tempfile.TemporaryDirectory() as temporary:
        files = [Path(temporary) / name for name in names]
        _draw([_task(figure, file, kind) for figure, file in zip(figures, files, strict=True)])
        for file in files:
            commit(folder / file.name, file.read_bytes())
    return [folder / name for name in names]


def _draw(tasks: Sequence[DrawingTask]) -> None:
    """Draw figures in a process of their own: threads of kaleido that wait for a dead Chrome would never let it end."""
    seconds = _SECONDS * max(1, len(tasks))
    command = [sys.executable, "-m", "thalweg.pages.figures.drawing"]
    try:
        drawn = subprocess.run(command, input=json.dumps(tasks).encode(), capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise InputError("images", f"Chrome did not finish within {number(seconds)} s; try again") from error
    if drawn.returncode == NO_BROWSER:
        fix = "install Chrome or Chromium (for example with `plotly_get_chrome`), or set BROWSER_PATH to its file"
        raise InputError("images", f"no working Chrome was found; {fix}")
    if drawn.returncode:
        last = drawn.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InputError("images", f"cannot be drawn: {' '.join(last) or f'exit code {drawn.returncode}'}")


def image_format(kind: str) -> ImageFormat:
    """The format of pictures with this name. Raises InputError if it is unknown, or if kaleido is missing.

    >>> image_format("gif")
    Traceback (most recent call last):
        ...
    thalweg.core.errors.InputError: images: expected png, svg or pdf, received 'gif'; known: png, svg, pdf
    """
    known: tuple[ImageFormat, ...] = get_args(ImageFormat)
    for name in known:
        if name == kind:
            try:
                import_module("kaleido.errors")
            except ImportError as error:
                raise InputError("images", "the package kaleido is missing; pip install 'thalweg[image]'") from error
            return name
    raise InputError("images", f"expected png, svg or pdf, received {kind!r}; {nearest(kind, known)}")


def _task(figure: go.Figure, file: Path, kind: ImageFormat) -> DrawingTask:
    printed = _printed(figure)
    options = DrawingOptions(
        format=kind,
        scale=_PNG_SCALE if kind == "png" else 1,
        width=printed.layout.width,
        height=printed.layout.height,
    )
    return DrawingTask(fig=json.loads(printed.to_json()), path=str(file), opts=options)


def _printed(figure: go.Figure) -> go.Figure:
    """The figure as it is printed: without slider and buttons, on a white background."""
    printed = go.Figure(figure.data, figure.layout)
    if figure.frames:
        below = figure.layout.template.layout.margin.b
        height = figure.layout.height - (figure.layout.margin.b - below)
        printed.update_layout(height=height, margin={"b": below})
        printed.layout.sliders = printed.layout.updatemenus = ()
    height = printed.layout.height or _HEIGHT
    size = {"width": printed.layout.width or _width(printed, height), "height": height}
    colours = {
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "font": {"color": "#26292e"},
        "title": {"x": 0.01, "pad": {"t": 14}},
    }
    return printed.update_layout(colours | size)


def _width(figure: go.Figure, height: float) -> float:
    """The width of a picture; where both axes have the same scale, no more than the plane needs."""
    if figure.layout.yaxis.scaleanchor is None:
        return _WIDTH
    margin = figure.layout.template.layout.margin
    across, up = (abs(axis.range[1] - axis.range[0]) for axis in (figure.layout.xaxis, figure.layout.yaxis))
    plane = across / up * (height - margin.t - margin.b)
    return float(np.clip(plane + margin.l + margin.r + _SCALE_WIDTH, _HEIGHT, _WIDTH))


def _names(figures: Sequence[go.Figure]) -> list[str]:
    """File names from the titles of the figures; repeated titles are numbered."""
    names: list[str] = []
    for figure in figures:
        title = unescape(figure.layout.title.text or "figure")
        stem = re.sub(r"[^\w]+", "-", title.lower()).strip("-")[:80] or "figure"
        earlier = sum(bool(re.fullmatch(rf"{re.escape(stem)}(-\d+)?", name)) for name in names)
        names.append(f"{stem}-{earlier + 1}" if earlier else stem)
    return names
