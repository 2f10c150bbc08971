"""The command that shows what a network answers over a plane of its inputs."""

from __future__ import annotations

from typing import Annotated

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


def boundary(
    spec: SpecOrRun = None,
    features: Annotated[
        tuple[str, str] | None,
        typer.Option("--features", metavar="A B", help="Two inputs for a slice, by names or numbers from 0."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="NAME=VALUE", help="Where a slice holds another input [default: its mean]."),
    ] = None,
    frames: Annotated[bool, typer.Option("--frames/--no-frames", help="Show it through the training.")] = True,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    out: SheetFile = None,
    form: SheetForm = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what a network answers on a plane of its inputs: the decision boundary, through its training.

    A spec is trained first; a run is shown as it was trained. Two inputs are the plane; of more, it is the one of the
    two leading principal axes, or a slice.

    \b
    thalweg boundary rings --out rings.html
    thalweg boundary flowers --features "petal length" "petal width" --at "sepal length=6"
    thalweg boundary runs/digits-20260102-101500 --no-frames --json
    """
    from ..core.progress import working
    from ..insight.decision_boundary import boundary as seen_on_plane
    from ..pages.page import form_of

    wanted = form_of(out, "json" if json else form)
    changes = changes_of(data, target, data_dir, None, None, None, None)
    source = run_or_spec("boundary", spec, data, changes, settings or [])
    held = dict(map(_held, at or []))
    with working(quiet) as watch:
        sheet = seen_on_plane(source, features, held, frames=frames, watch=watch).page()
    hand_over(sheet, wanted, out)


def _held(text: str) -> tuple[str, float]:
    from ..core.errors import InputError

    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise InputError("--at", f"expected NAME=VALUE with a number, received {text!r}") from error
