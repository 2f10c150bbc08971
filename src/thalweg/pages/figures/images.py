"""Figures -> files of pictures, for papers and slides."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any, Literal, get_args

import plotly.graph_objects as go

from ...core.errors import InputError, nearest
from ...core.files import commit

ImageFormat = Literal["png", "svg", "pdf"]
_WIDTH = 900
_HEIGHT = 480
_PNG_SCALE = 2
# For each figure. A Chrome now and then starts and never says a word; kaleido would wait for it for ever.
_SECONDS = 60.0


def save_images(figures: Sequence[go.Figure], folder: Path, kind: ImageFormat = "png") -> list[Path]:
    """Write each figure to a file of the folder, on white ground, and return the files.

    A file has the name of the figure's title. PNG has two dots for each unit of length; svg and pdf are drawn in lines.
    What moves is shown as it stands at first.

    Raises InputError where kaleido or a Chrome to draw with is missing (the extra `image`), for another format, and
    where the folder can not be written.
    """
    if kind not in get_args(ImageFormat):
        raise InputError(
            "images", f"expected png, svg or pdf, received {kind!r}; {nearest(str(kind), get_args(ImageFormat))}"
        )
    try:
        from kaleido.errors import BrowserFailedError, ChromeNotFoundError
    except ImportError as error:
        raise InputError("images", "kaleido, which draws them, is missing; pip install 'thalweg[image]'") from error
    names = [f"{name}.{kind}" for name in _names(figures)]
    with tempfile.TemporaryDirectory() as drawn:
        files = [Path(drawn) / name for name in names]
        options = {"format": kind, "scale": _PNG_SCALE if kind == "png" else 1}
        wanted = [_wanted(figure, file, options) for figure, file in zip(figures, files, strict=True)]
        seconds = _SECONDS * max(1, len(wanted))
        # In a thread, for a notebook has a loop of its own in this one.
        with ThreadPoolExecutor(1) as pool:
            try:
                pool.submit(asyncio.run, _drawn(wanted, seconds)).result()
            except TimeoutError as error:
                raise InputError("images", f"Chrome was not done with them in {seconds:g} s; try again") from error
            except (ChromeNotFoundError, BrowserFailedError) as error:
                fix = "install Chrome or Chromium (`plotly_get_chrome` fetches one), or name it in BROWSER_PATH"
                raise InputError("images", f"no Chrome was found that answers and could draw them; {fix}") from error
        for file in files:
            commit(folder / file.name, file.read_bytes())
    return [folder / name for name in names]


async def _drawn(wanted: list[dict[str, Any]], seconds: float) -> None:
    from kaleido import write_fig_from_object

    await asyncio.wait_for(write_fig_from_object(wanted), seconds)


def _wanted(figure: go.Figure, file: Path, options: dict[str, Any]) -> dict[str, Any]:
    """What kaleido is to draw, and where."""
    printed = _printed(figure)
    size = {"width": printed.layout.width, "height": printed.layout.height}
    return {"fig": printed.to_dict(), "path": file, "opts": options | size}


def _printed(figure: go.Figure) -> go.Figure:
    """The figure as it stands on paper: without anything to press."""
    printed = go.Figure(figure.data, figure.layout)
    if figure.frames:
        below = figure.layout.template.layout.margin.b
        height = figure.layout.height - (figure.layout.margin.b - below)
        printed.update_layout(height=height, margin={"b": below})
        printed.layout.sliders = printed.layout.updatemenus = ()
    size = {"width": printed.layout.width or _WIDTH, "height": printed.layout.height or _HEIGHT}
    ground = {"paper_bgcolor": "white", "plot_bgcolor": "white", "font": {"color": "#26292e"}, "title": {"x": 0.01}}
    return printed.update_layout(ground | size)


def _names(figures: Sequence[go.Figure]) -> list[str]:
    """File names from the titles, numbered where a title comes again."""
    names: list[str] = []
    for figure in figures:
        title = unescape(figure.layout.title.text or "figure")
        stem = re.sub(r"[^\w]+", "-", title.lower()).strip("-")[:80] or "figure"
        again = sum(bool(re.fullmatch(rf"{re.escape(stem)}(-\d+)?", name)) for name in names)
        names.append(f"{stem}-{again + 1}" if again else stem)
    return names
