"""`thalweg landscape`: show the loss around a trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..options import DataDir, DataFile, ImageForm, Images, Json, PageFile, PageForm, Quiet, Settings, SpecOrRun, Target
from ..output import images_to, write_page
from ..registry import command
from ..source import source_of

if TYPE_CHECKING:
    from ...insight.loss_landscape import Kind


@command(position=100)
def landscape(
    spec: SpecOrRun = None,
    kind: Annotated[str, typer.Option("--kind", help="plane or line (random directions), or path.")] = "plane",
    points: Annotated[int, typer.Option("--points", help="Number of points along each axis.")] = 51,
    span: Annotated[
        float,
        typer.Option(
            "--span",
            help="Extent of the plane or line in norms of each unit's weights; of a path, in quarters of its extent.",
        ),
    ] = 1.0,
    samples: Annotated[int, typer.Option("--samples", help="Training rows that the loss is averaged over.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of the directions and the rows.")] = 0,
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
    """Show the loss around a trained network.

    The loss is shown along a line, over a plane, or over the plane of the path of the weights. A spec is trained first;
    a run is shown as it was trained.

    \b
    thalweg landscape rings --points 25
    thalweg landscape runs/digits-20260102-101500 --kind path --out path.html
    thalweg landscape iris --kind line --span 2 --json
    """
    from ...core.progress import working
    from ...insight import loss_landscape
    from ...pages.page import form_of

    form = form_of(out, "json" if json else form)
    draw = images_to(images, image_format, quiet)
    source = source_of("landscape", spec, settings=settings, data=data, target=target, data_dir=data_dir)
    chosen = source.spec_or_run()
    with working(quiet) as watch:
        result = loss_landscape.landscape(
            chosen, cast("Kind", kind), points=points, span=span, samples=samples, seed=seed, watch=watch
        )
        page = result.page()
    write_page(page, form, out)
    draw(page.figures())
