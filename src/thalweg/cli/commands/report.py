"""`thalweg report`: write the report of a run again, or its charts as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..options import Quiet, RunFolder
from ..registry import command

if TYPE_CHECKING:
    from ...pages.figures.images import ImageFormat


@command(position=50)
def report(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file [default: report.html of the run].")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Write the charts as pictures to this folder instead.")
    ] = None,
    image_format: Annotated[str, typer.Option("--image-format", help="png, svg or pdf.")] = "png",
    quiet: Quiet = False,
) -> None:
    """Write the report of a run again, or its charts as pictures.

    \b
    thalweg report runs/digits-20260102-101500
    thalweg report runs/digits-20260102-101500 --images pictures --image-format svg
    """
    from ...core.errors import InputError
    from ...core.files import commit
    from ...core.progress import ProgressMessage, working
    from ...pages.figures import save_images
    from ...runs.load import load, write_report_again

    if images is not None and out is not None:
        raise InputError("report", "writes either the page (--out) or the pictures (--images), not both")
    if images is not None:
        loaded = load(run)
        with working(quiet) as watch:
            watch(ProgressMessage("drawing"))
            files = save_images(loaded.figures(), images, cast("ImageFormat", image_format))
        print(*files, sep="\n")
    elif out is not None:
        commit(out, load(run).report().encode())
        print(out)
    else:
        print(write_report_again(run))
