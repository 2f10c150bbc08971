"""`thalweg diff`: say what differs between two runs, and where their trainings part."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..options import Json, Quiet, RunFolder
from ..output import EXIT_WRONG, print_json, write_page
from ..registry import command


@command(position=62)
def diff(
    one: RunFolder,
    other: Annotated[Path, typer.Argument(help="The folder of another run.")],
    steps: Annotated[int, typer.Option("--steps", help="Most steps to replay side by side.")] = 2000,
    seconds: Annotated[
        float, typer.Option("--seconds", help="Time for the replay, and as much again for the trials.")
    ] = 60.0,
    seeds: Annotated[
        int, typer.Option("--seeds", help="Seeds of the trials that explain the outcome; 0 for no trials.")
    ] = 3,
    page: Annotated[
        Path | None,
        typer.Option("--page", help="Write to this file; its suffix sets the form: .html, .md, .json, .txt."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say why two runs differ.

    It names what differs, where the trainings part, and which setting explains the outcome.
    Specs, rows, versions and machines are compared. Both trainings are replayed side by side, up to the first quantity
    that differs by more than rounding. The settings that differ are then put back one at a time, in paired trials. The
    exit code is 0 if nothing differs by more than rounding, and 1 if the trainings differ.

    \b
    thalweg diff runs/yesterday runs/today
    thalweg diff runs/yesterday runs/today --seeds 5 --seconds 300 --page diff.html
    thalweg diff runs/cpu runs/gpu --seeds 0 --json
    """
    from ...core.progress import working
    from ...experiments.run_diff import diff as compared
    from ...pages.page import form_of

    form = form_of(page)
    with working(quiet) as watch:
        found = compared(one, other, steps=steps, seconds=seconds, seeds=seeds, watch=watch)
    if page is not None or not json:
        write_page(found.page(), form, page)
    if json:
        print_json(found.describe())
    if found.verdict == "differs":
        sys.exit(EXIT_WRONG)
