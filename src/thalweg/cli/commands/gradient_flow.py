"""`thalweg gradient-flow`: show how delta changes with depth before training."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import (
    DataDir,
    DataFile,
    ImageForm,
    Images,
    Json,
    PageFile,
    PageForm,
    Quiet,
    Seed,
    Settings,
    SpecOrRun,
    Target,
)
from ..output import images_to, write_page
from ..registry import command
from ..source import source_of


@command(position=90)
def gradient_flow(
    spec: SpecOrRun = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Number of draws of the initial weights.")] = 20,
    rows: Annotated[int, typer.Option("--rows", help="Number of training rows to measure with.")] = 256,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    seed: Seed = None,
    out: PageFile = None,
    form: PageForm = None,
    images: Images = None,
    image_format: ImageForm = "png",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how delta shrinks or grows with depth before training.

    The measured values are compared with the theory of the initialization.

    \b
    thalweg gradient-flow deep-plain
    thalweg gradient-flow digits --set network.init=glorot_normal --seeds 50 --out flow.html
    """
    from ...core.progress import working
    from ...insight import gradient_flow
    from ...pages.page import form_of

    form = form_of(out, "json" if json else form)
    draw = images_to(images, image_format, quiet)
    source = source_of("gradient-flow", spec, settings=settings, data=data, target=target, data_dir=data_dir, seed=seed)
    described = source.spec_or_spec_of_run()
    with working(quiet) as watch:
        page = gradient_flow.gradient_flow(described, seeds, rows, watch).page()
    write_page(page, form, out)
    draw(page.figures())
