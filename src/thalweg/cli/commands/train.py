"""`thalweg train`: train a network and write a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import (
    DataDir,
    DataFile,
    DeviceName,
    Devices,
    EngineName,
    Epochs,
    Json,
    Quiet,
    Seed,
    Settings,
    SpecName,
    Target,
)
from ..output import EXIT_DIVERGED, interrupted_by, print_json
from ..registry import command
from ..source import GivenSource, source_of

if TYPE_CHECKING:
    from rich.table import Table

    from ...runs.run import Run
    from ...training.session import Session

# A confusion matrix of more classes is too wide for a terminal.
_MAX_CLASSES = 12


@command(position=10)
def train(
    spec: SpecName = None,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    epochs: Epochs = None,
    seed: Seed = None,
    engine: EngineName = None,
    device: DeviceName = None,
    devices: Devices = None,
    probes: Annotated[
        str | None, typer.Option("--probes", help='off, light, standard or full; "standard 50": every 50 steps.')
    ] = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Resume an interrupted run.")] = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="With --resume: resume although the spec or the rows have changed.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run [default: runs/NAME-TIME].")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network and write a run with its report.

    \b
    thalweg train digits
    thalweg train examples/rings.toml --epochs 50 --set optimizer.learning_rate=0.01
    thalweg train --data titanic.csv --target survived
    thalweg train mnist --probes standard
    thalweg train --resume runs/digits-20260102-101500
    """
    from ...core.errors import InputError

    source = source_of(
        "train",
        spec,
        settings=settings,
        data=data,
        target=target,
        data_dir=data_dir,
        epochs=epochs,
        seed=seed,
        engine=engine,
        device=device,
        devices=devices,
    )
    if probes:
        source.changes.append(("probes", probes))
    if resume is None:
        run = _train(source, out, json, quiet)
    elif spec is None and out is None:
        run = _resume(resume, source, accept_changes, json, quiet)
    else:
        raise InputError("--resume", f"uses the spec and the folder of {resume}, so it takes no SPEC and no --out")
    _show_result(run, json)


def _train(source: GivenSource, out: Path | None, json: bool, quiet: bool) -> Run:
    from ...core.progress import loading
    from ...runs.display import shown
    from ...runs.run_folder import new_folder
    from ...runs.train import run_session, warn
    from ...training.session import Session

    spec = source.spec()
    with shown(quiet) as display:
        session = Session.load(spec, loading(quiet))
        folder = out or new_folder(source.name)
        return run_session(session, folder, [display], None if quiet else warn, on_session=_print_start(json or quiet))


def _resume(folder: Path, source: GivenSource, accept_changes: bool, json: bool, quiet: bool) -> Run:
    from ...core.progress import loading
    from ...runs.display import shown
    from ...runs.resume import resume_run
    from ...runs.train import warn

    with shown(quiet) as display:
        return resume_run(
            folder,
            source.settings,
            changes=source.changes,
            accept_changes=accept_changes,
            callbacks=[display],
            on_session=_print_start(json or quiet),
            on_load=loading(quiet),
            warn=None if quiet else warn,
        )


def _print_start(quiet: bool) -> Callable[[Session], None]:
    """A callback before the first step that prints the network and the notes on the data."""
    from ...models.summary import network_in_words

    def on_session(session: Session) -> None:
        if quiet:
            return
        spec = session.spec
        print(f"network: {network_in_words(spec.network)};  loss: {spec.loss.kind};  optimizer: {spec.optimizer.kind}")
        for note in session.split.notes:
            print(f"note: {note}")

    return on_session


def _show_result(run: Run, json: bool) -> None:
    """Print the result of a run, and exit with a code of its own if it diverged or was interrupted."""
    if json:
        print_json(
            {
                "folder": str(run.folder),
                "outcome": run.outcome,
                "measures": run.measures,
                "confusion": run.confusion,
                "facts": run.facts,
            }
        )
    else:
        _print_measures(run)
    if run.diverged:
        command = f"thalweg train --resume {run.folder} --set ... --accept-changes"
        print(
            f"thalweg: {run.outcome} The last good state is kept; to resume with another setting: {command}",
            file=sys.stderr,
        )
        sys.exit(EXIT_DIVERGED)
    if run.interrupted:
        print(f"thalweg: {run.outcome} To resume: thalweg train --resume {run.folder}", file=sys.stderr)
        sys.exit(interrupted_by(run.signal))


def _print_measures(run: Run) -> None:
    from rich.table import Table

    from ...core.console import console
    from ...pages.numbers import measure_name, measure_value

    table = Table(title=run.outcome, title_justify="left", title_style="bold")
    table.add_column("set")
    names = list(next(iter(run.measures.values())))
    for name in names:
        table.add_column(measure_name(name), justify="right")
    for part, measures in run.measures.items():
        table.add_row(part, *(measure_value(name, measures[name]) for name in names))
    console().print(table, soft_wrap=True)
    if run.confusion is not None and len(run.confusion) <= _MAX_CLASSES:
        console().print(_confusion_matrix(run), soft_wrap=True)
    for remark in run.remarks:
        print(remark)
    assert run.folder is not None
    print(f"report: {run.folder / 'report.html'}")


def _confusion_matrix(run: Run) -> Table:
    from rich.table import Table

    classes = run.preprocessing.target_names
    part = list(run.measures)[-1]
    title = f"confusion matrix, {part} set: true classes in rows, predicted ones in columns"
    table = Table(title=title, title_justify="left")
    table.add_column("true", overflow="fold")
    for name in classes:
        table.add_column(name, justify="right", overflow="fold")
    for name, counts in zip(classes, run.confusion or [], strict=True):
        table.add_row(name, *(str(count) if count else "·" for count in counts))
    return table
