"""The command that finds out why a network does not learn."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .shared import (
    EXIT_INTERRUPTED,
    EXIT_WRONG,
    DataDir,
    DataFile,
    DeviceName,
    EngineName,
    Json,
    Quiet,
    Seed,
    Settings,
    SpecOrRun,
    Target,
    changes_of,
    print_json,
    run_or_spec,
)


def doctor(
    spec: SpecOrRun = None,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="How often all training rows are seen.")] = None,
    seed: Seed = None,
    engine: EngineName = None,
    device: DeviceName = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Keep what is trained here as a run in this folder.", show_default=False),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", help="Write to this file; its suffix names the form: .html, .md, .json, .txt."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say why a network does not learn, with the evidence and what to do; a healthy one gets a clean bill.

    A spec is trained first; a run is examined as it is. The exit code is 0 for a healthy network, and 1 where something
    was found that keeps it from learning.

    \b
    thalweg doctor deep-plain
    thalweg doctor examples/rings.toml --set optimizer.learning_rate=10
    thalweg doctor runs/digits-20260102-101500 --page diagnosis.html
    """
    from rich.console import Console

    from ..files import commit
    from ..folders import data_in_words
    from ..worksheet import FORMS, form_of, show

    form = form_of(page)
    changes = changes_of(data, target, data_dir, epochs, seed, engine, device)
    source = run_or_spec("doctor", spec, data, changes, settings or [])
    run = _examined(source, out, quiet)
    found = run.diagnose()
    name = Path(spec).name if spec else data_in_words(run.spec)
    trained = str(Path(source) / "spec.toml") if isinstance(source, str) else spec
    sheet = found.worksheet(f"Diagnosis of {name}", _command(trained, changes, settings or []))
    if page is not None:
        commit(page, FORMS[form](sheet).encode())
    if json:
        print_json({"folder": run.folder and str(run.folder), **found.describe()})
    elif page is not None:
        print(page)
    else:
        show(sheet, Console())
    if not found.healthy:
        sys.exit(EXIT_WRONG)


def _examined(source: Any, out: Path | None, quiet: bool) -> Any:
    """The run of a folder as it is, or what a spec is trained to, seen by probes; with `out` it is kept there."""
    from ..display import loading, shown
    from ..errors import InputError
    from ..runs import load
    from ..trainer import run_spec

    if isinstance(source, str):
        if out is not None:
            raise InputError("doctor", f"examines a run as it is, and writes no other one to {out}; leave --out out")
        return load(source)
    with shown(quiet) as watch:
        run = run_spec(_probed(source), watch, out, loading=loading(quiet))
    if run.interrupted:
        print(f"thalweg: {run.outcome} There is no diagnosis of half a training.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    return run


def _probed(spec: Any) -> Any:
    """The spec with probes that see no less than the standard ones, as often as it asks for."""
    import dataclasses

    from ..probes import Light, Standard

    if isinstance(spec.probes, Standard):
        return spec
    every = spec.probes.every if isinstance(spec.probes, Light) else None
    return dataclasses.replace(spec, probes=Standard(every))


def _command(trained: str | None, changes: list[tuple[str, Any]], settings: list[str]) -> str:
    """The command that trains what was examined, for remedies to be added to it."""
    from ..spec import shell_text

    given = [*(f"{path}={shell_text(value)}" for path, value in changes), *settings]
    words = ["thalweg", "train", *([trained] if trained else [])]
    return shlex.join([*words, *(word for text in given for word in ("--set", text))])
