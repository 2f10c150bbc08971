"""The command that shows the loss around a trained network."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .shared import (
    DataDir,
    DataFile,
    Json,
    Quiet,
    Settings,
    SheetFile,
    SheetForm,
    SpecOrRun,
    Target,
    changes_of,
    hand_over,
    run_or_spec,
)


def landscape(
    spec: SpecOrRun = None,
    kind: Annotated[str, typer.Option("--kind", help="plane or line (random directions), or path.")] = "plane",
    points: Annotated[int, typer.Option("--points", help="Places along each axis.")] = 51,
    span: Annotated[
        float,
        typer.Option(
            "--span", help="How far to look, in norms of each unit's weights; of a path, in quarters of its extent."
        ),
    ] = 1.0,
    samples: Annotated[int, typer.Option("--samples", help="Training rows that the loss is averaged over.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Decides the directions and the rows.")] = 0,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    out: SheetFile = None,
    form: SheetForm = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the loss around a trained network: along a line, over a plane, or over the plane of its path.

    A spec is trained first; a run is shown as it was trained.

    \b
    thalweg landscape rings --points 25
    thalweg landscape runs/digits-20260102-101500 --kind path --out path.html
    thalweg landscape iris --kind line --span 2 --json
    """
    from ..core.progress import working
    from ..insight.loss_landscape import landscape as around
    from ..pages.page import form_of

    wanted = form_of(out, "json" if json else form)
    changes = changes_of(data, target, data_dir, None, None, None, None)
    source = run_or_spec("landscape", spec, data, changes, settings or [])
    chosen: Any = kind
    with working(quiet) as watch:
        found = around(source, chosen, points=points, span=span, samples=samples, seed=seed, watch=watch)
        sheet = found.page()
    hand_over(sheet, wanted, out)
