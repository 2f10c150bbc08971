"""`thalweg boundary`: show the output of a network over a plane of its inputs."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import DataDir, DataFile, ImageForm, Images, Json, PageFile, PageForm, Quiet, Settings, SpecOrRun, Target
from ..output import images_to, write_page
from ..registry import command
from ..source import source_of


@command(position=110)
def boundary(
    spec: SpecOrRun = None,
    features: Annotated[
        tuple[str, str] | None,
        typer.Option("--features", metavar="A B", help="Two inputs for a slice, by names or numbers from 0."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="NAME=VALUE", help="Value of another input on the slice [default: its mean]."),
    ] = None,
    frames: Annotated[bool, typer.Option("--frames/--no-frames", help="Show it through the training.")] = True,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    out: PageFile = None,
    form: PageForm = None,
    images: Images = None,
    image_format: ImageForm = "png",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the output of a network over a plane of its inputs.

    For classes, this is the decision boundary, shown through the training.

    A spec is trained first; a run is shown as it was trained. Two inputs span the plane themselves; of more inputs, the
    plane is that of the two leading principal axes, or a slice.

    \b
    thalweg boundary rings --out rings.html
    thalweg boundary flowers --features "petal length" "petal width" --at "sepal length=6"
    thalweg boundary runs/digits-20260102-101500 --no-frames --json
    """
    from ...core.progress import working
    from ...insight import decision_boundary
    from ...pages.page import form_of

    form = form_of(out, "json" if json else form)
    draw = images_to(images, image_format, quiet)
    source = source_of("boundary", spec, settings=settings, data=data, target=target, data_dir=data_dir)
    chosen = source.spec_or_run()
    fixed = dict(map(_name_and_value, at or []))
    with working(quiet) as watch:
        page = decision_boundary.boundary(chosen, features, fixed, frames=frames, watch=watch).page()
    write_page(page, form, out)
    draw(page.figures())


def _name_and_value(text: str) -> tuple[str, float]:
    from ...core.errors import InputError

    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise InputError("--at", f"expected NAME=VALUE with a number, received {text!r}") from error
