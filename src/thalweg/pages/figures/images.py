"""Save figures as image files for papers and slides."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Literal, TypedDict, get_args

import plotly.graph_objects as go

from ...core.errors import InputError, nearest
from ...core.files import commit
from ..numbers import number

ImageFormat = Literal["png", "svg", "pdf"]
_WIDTH = 900
_HEIGHT = 480
_PNG_SCALE = 2
# The time limit per figure: kaleido has none, and Chrome sometimes starts but never answers.
_SECONDS = 60.0


class _Options(TypedDict, total=False):
    """The options of kaleido for an image."""

    format: ImageFormat
    scale: int
    width: int
    height: int


class _Task(TypedDict):
    """One image to draw, as kaleido expects it: the figure as JSON, its file, and its options."""

    fig: dict[str, object]
    path: Path
    opts: _Options


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
    if kind not in get_args(ImageFormat):
        raise InputError(
            "images", f"expected png, svg or pdf, received {kind!r}; {nearest(str(kind), get_args(ImageFormat))}"
        )
    try:
        from kaleido.errors import BrowserFailedError, ChromeNotFoundError
    except ImportError as error:
        raise InputError("images", "the package kaleido is missing; pip install 'thalweg[image]'") from error
    names = [f"{name}.{kind}" for name in _names(figures)]
    with tempfile.TemporaryDirectory() as temporary:
        files = [Path(temporary) / name for name in names]
        tasks = [_task(figure, file, kind) for figure, file in zip(figures, files, strict=True)]
        seconds = _SECONDS * max(1, len(tasks))
        # The thread is needed in notebooks, where an event loop already runs in this one.
        with ThreadPoolExecutor(1) as pool:
            try:
                pool.submit(asyncio.run, _write(tasks, seconds)).result()
            except TimeoutError as error:
                raise InputError("images", f"Chrome did not finish within {number(seconds)} s; try again") from error
            except (ChromeNotFoundError, BrowserFailedError) as error:
                fix = (
                    "install Chrome or Chromium (for example with `plotly_get_chrome`), or set BROWSER_PATH to its file"
                )
                raise InputError("images", f"no working Chrome was found; {fix}") from error
        for file in files:
            commit(folder / file.name, file.read_bytes())
    return [folder / name for name in names]


async def _write(tasks: list[_Task], seconds: float) -> None:
    from kaleido import write_fig_from_object

    await asyncio.wait_for(write_fig_from_object(tasks), seconds)


def _task(figure: go.Figure, file: Path, kind: ImageFormat) -> _Task:
    printed = _printed(figure)
    options = _Options(
        format=kind,
        scale=_PNG_SCALE if kind == "png" else 1,
        width=printed.layout.width,
        height=printed.layout.height,
    )
    return _Task(fig=printed.to_dict(), path=file, opts=options)


def _printed(figure: go.Figure) -> go.Figure:
    """The figure as it is printed: without slider and buttons, on a white background."""
    printed = go.Figure(figure.data, figure.layout)
    if figure.frames:
        below = figure.layout.template.layout.margin.b
        height = figure.layout.height - (figure.layout.margin.b - below)
        printed.update_layout(height=height, margin={"b": below})
        printed.layout.sliders = printed.layout.updatemenus = ()
    size = {"width": printed.layout.width or _WIDTH, "height": printed.layout.height or _HEIGHT}
    colours = {"paper_bgcolor": "white", "plot_bgcolor": "white", "font": {"color": "#26292e"}, "title": {"x": 0.01}}
    return printed.update_layout(colours | size)


def _names(figures: Sequence[go.Figure]) -> list[str]:
    """File names from the titles of the figures; repeated titles are numbered."""
    names: list[str] = []
    for figure in figures:
        title = unescape(figure.layout.title.text or "figure")
        stem = re.sub(r"[^\w]+", "-", title.lower()).strip("-")[:80] or "figure"
        earlier = sum(bool(re.fullmatch(rf"{re.escape(stem)}(-\d+)?", name)) for name in names)
        names.append(f"{stem}-{earlier + 1}" if earlier else stem)
    return names
