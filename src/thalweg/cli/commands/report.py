"""`thalweg report`: write the report of a run or an experiment again, or its charts as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import ImageForm, Quiet
from ..output import images_to
from ..registry import command


@command(position=50)
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run or of an experiment.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file [default: report.html of the folder].")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Write the charts as pictures to this folder instead.")
    ] = None,
    image_format: ImageForm = "png",
    library: Annotated[
        Path | None,
        typer.Option("--library", help="Share the script that draws charts with other reports, in this folder."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a report again, or its charts as pictures.

    The folder is that of a run or of an experiment.

    \b
    thalweg report runs/digits-20260102-101500
    thalweg report runs/digits-20260102-101500 --images pictures --image-format svg
    thalweg report experiments/momentum-and-rate --images pictures
    thalweg report runs/digits-20260102-101500 --library runs
    """
    from ...core.errors import InputError
    from ...core.progress import loading
    from ...experiments.compare import load_comparison
    from ...experiments.results import EXPERIMENT_FILE, locked_folder
    from ...runs.load import load, write_report_again

    if images is not None and out is not None:
        raise InputError("report", "writes either the page (--out) or the pictures (--images), not both")
    draw = images_to(images, image_format, quiet)
    if (folder / EXPERIMENT_FILE).is_file():
        comparison = load_comparison(folder, loading(quiet))
        if images is not None:
            draw(comparison.figures())
        elif out is not None:
            comparison.report(out, library)
            print(out)
        else:
            with locked_folder(folder):
                comparison.save(folder, library)
            print(folder / "report.html")
    elif images is not None:
        draw(load(folder).figures())
    elif out is not None:
        load(folder).report(out, library)
        print(out)
    else:
        print(write_report_again(folder, library))
