"""`thalweg explain`: show one training step number by number."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import DataDir, DataFile, Json, PageFile, PageForm, Quiet, Seed, Settings, SpecOrRun, Target
from ..output import write_page
from ..registry import command
from ..source import source_of


@command(position=80)
def explain(
    spec: SpecOrRun = None,
    step: Annotated[int, typer.Option("--step", help="The step to show, from 1; the training runs up to it.")] = 1,
    sample: Annotated[int | None, typer.Option("--sample", help="Show this row of the batch, from 0.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare each gradient with finite differences.")] = False,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    seed: Seed = None,
    out: PageFile = None,
    form: PageForm = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show every number of one training step.

    The page has the forward pass, the loss, the backward pass, the gradients, the optimizer and the update.

    \b
    thalweg explain xor
    thalweg explain digits --step 100 --sample 0 --check
    thalweg explain runs/digits-20260102-101500 --step 5 --out step.html
    """
    from ...core.progress import working
    from ...insight import explain
    from ...pages.page import form_of

    form = form_of(out, "json" if json else form)
    source = source_of("explain", spec, settings=settings, data=data, target=target, data_dir=data_dir, seed=seed)
    described = source.spec_or_spec_of_run()
    with working(quiet) as watch:
        page = explain.explain(described, step, sample, check, watch)
    write_page(page, form, out)
