"""Commands that make runs and use them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from .shared import (
    EXIT_DIVERGED,
    EXIT_INTERRUPTED,
    DataDir,
    DataFile,
    DeviceName,
    EngineName,
    Json,
    Out,
    Quiet,
    Seed,
    Settings,
    SpecName,
    Target,
    changes_of,
    print_json,
    spec_and_name,
)

_MANY_CLASSES = 12


def train(
    spec: SpecName = None,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="How often all training rows are seen.")] = None,
    seed: Seed = None,
    engine: EngineName = None,
    device: DeviceName = None,
    probes: Annotated[
        str | None, typer.Option("--probes", help='off, light, standard or full; "standard 50": every 50 steps.')
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with this run, which was stopped or broken off.")
    ] = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="With --resume: go on though spec or rows have changed.")
    ] = False,
    out: Out = None,
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
    from ..core.errors import InputError

    changes = changes_of(data, target, data_dir, epochs, seed, engine, device)
    changes += [("probes", probes)] if probes else []
    if resume is not None:
        if spec is not None or out is not None:
            raise InputError(
                "--resume", f"goes on in {resume} with the spec there, and takes no other SPEC and no --out"
            )
        _resume(resume, changes, settings or [], accept_changes, json, quiet)
        return

    _train(*spec_and_name("train", spec, data, changes, settings or []), out, json, quiet)


def _train(spec: Any, name: str, out: Path | None, json: bool, quiet: bool) -> None:
    from ..core.progress import loading
    from ..runs.display import shown
    from ..runs.run_folder import new_folder
    from ..runs.train import run_session, warn
    from ..training.session import Session

    with shown(quiet) as display:
        session = Session.load(spec, loading(quiet))
        folder = out or new_folder(name)
        run = run_session(session, folder, [display], None if quiet else warn, on_session=_told(json or quiet))
    _tell(run, json)


def _resume(
    folder: Path, changes: list[tuple[str, Any]], settings: list[str], accept: bool, json: bool, quiet: bool
) -> None:
    from ..core.progress import loading
    from ..runs.display import shown
    from ..runs.resume import resume_run
    from ..runs.train import warn

    with shown(quiet) as display:
        run = resume_run(
            folder,
            settings,
            changes=changes,
            accept_changes=accept,
            callbacks=[display],
            on_session=_told(json or quiet),
            on_load=loading(quiet),
            warn=None if quiet else warn,
        )
    _tell(run, json)


def _told(quiet: bool) -> Any:
    from ..models.summary import network_in_words

    def told(session: Any) -> None:
        if quiet:
            return
        spec, split = session.spec, session.split
        print(f"network: {network_in_words(spec.network)};  loss: {spec.loss.kind};  optimizer: {spec.optimizer.kind}")
        for note in split.notes:
            print(f"note: {note}")

    return told


def _tell(run: Any, json: bool) -> None:
    """Print what came of a run; exit with its code where it did not come to its end."""
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
        fix = f"thalweg train --resume {run.folder} --set ... --accept-changes"
        print(f"thalweg: {run.outcome} What was good is kept; to go on with another setting: {fix}", file=sys.stderr)
        sys.exit(EXIT_DIVERGED)
    if run.interrupted:
        print(f"thalweg: {run.outcome} To go on: thalweg train --resume {run.folder}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _print_measures(run: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=run.outcome, title_justify="left", title_style="bold")
    table.add_column("set")
    names = list(next(iter(run.measures.values())))
    names_of_sets = list(run.measures)
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for part, measures in run.measures.items():
        table.add_row(part, *(_number(name, measures[name]) for name in names))
    console = Console(soft_wrap=True)
    console.print(table)
    if run.confusion is not None and len(run.confusion) <= _MANY_CLASSES:
        matrix = Table(title=f"true classes and what was said, {names_of_sets[-1]} set", title_justify="left")
        matrix.add_column("true")
        for name in run.preprocessing.target_names:
            matrix.add_column(name, justify="right")
        for name, counts in zip(run.preprocessing.target_names, run.confusion, strict=True):
            matrix.add_row(name, *(str(count) if count else "·" for count in counts))
        console.print(matrix)
    for remark in run.remarks:
        console.print(remark, highlight=False)
    console.print(f"report: {run.folder / 'report.html'}", highlight=False)


def _number(name: str, value: float) -> str:
    return f"{value:.2%}" if name == "accuracy" else f"{value:.4g}"


def lr_range(
    spec: SpecName = None,
    low: Annotated[float, typer.Option("--low", help="The rate that a sweep starts with.")] = 1e-6,
    high: Annotated[float, typer.Option("--high", help="The rate that a sweep ends with.")] = 10.0,
    steps: Annotated[int, typer.Option("--steps", help="Updates of a sweep.")] = 200,
    sweeps: Annotated[int, typer.Option("--sweeps", help="Sweeps, each with other weights and order.")] = 3,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    seed: Seed = None,
    engine: EngineName = None,
    device: DeviceName = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The page with the curve [default: runs/NAME-lr-range-TIME.html].")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find a learning rate: short trainings with a rising rate show where the loss falls and where it blows up.

    \b
    thalweg lr-range digits
    thalweg lr-range examples/rings.toml --low 1e-4 --steps 400
    """
    from ..core.files import commit
    from ..insight.lr_range import range_test
    from ..runs.run_folder import new_folder

    changes = changes_of(data, target, data_dir, None, seed, engine, device)
    described, name = spec_and_name("lr-range", spec, data, changes, settings or [])
    found = range_test(described, low=low, high=high, steps=steps, sweeps=sweeps, progress=not quiet)
    path = out or Path(f"{new_folder(f'{name}-lr-range')}.html")
    commit(path, found.report().encode())
    if json:
        numbers = {"rates": found.rates.tolist(), "smoothed": found.smoothed.tolist()}
        numbers["losses"] = [losses.tolist() for losses in found.losses]
        words = ("chosen", "reason", "remarks", "choices", "fell", "lowest", "blew_up")
        print_json({"page": str(path)} | {word: getattr(found, word) for word in words} | numbers)
    else:
        print("\n".join([found.outcome, found.reason, *found.remarks, f"curve: {path}"]))


def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    file: Annotated[
        Path, typer.Argument(help="A CSV, TSV or Parquet file with the columns that the run was trained on.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Write to this CSV file instead of stdout.")] = None,
) -> None:
    """Predict the rows of a file with a trained network; prints CSV."""
    from ..core.files import commit
    from ..data import read_table
    from ..runs.load import load
    from ..runs.predict import prediction_table

    content = prediction_table(load(run), read_table(file)).write_csv().encode()
    if out is None:
        sys.stdout.write(content.decode())
    else:
        commit(out, content)
        print(out)


def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the runs.")] = Path("runs"),
    json: Json = False,
) -> None:
    """List the runs of a folder."""
    from ..core.errors import InputError
    from ..runs.run_folder import list_runs

    if not folder.is_dir():
        raise InputError(str(folder), "is no folder of runs; `thalweg train digits` makes the first run in runs/")
    rows = list_runs(folder)
    if json:
        print_json([row._asdict() for row in rows])
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{len(rows)} runs in {folder}", title_justify="left")
    for column in ("run", "data", "network", "epochs", "result", "outcome"):
        table.add_column(column, overflow="fold")
    for row in rows:
        name, measures = next(reversed(row.measures.items()), ("", {}))
        result = f"{name}: " + ", ".join(f"{k.replace('_', ' ')} {_number(k, v)}" for k, v in measures.items())
        table.add_row(row.name, row.data, row.network, str(row.epochs), result if measures else "", row.outcome)
    Console().print(table)


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file [default: report.html of the run].")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Write the charts to this folder instead, each as a picture.")
    ] = None,
    image_format: Annotated[str, typer.Option("--image-format", help="png, svg or pdf.")] = "png",
    quiet: Quiet = False,
) -> None:
    """Write the report of a run anew, or its charts as pictures, and print the paths.

    \b
    thalweg report runs/digits-20260102-101500
    thalweg report runs/digits-20260102-101500 --images pictures --image-format svg
    """
    from ..core.errors import InputError
    from ..core.files import commit
    from ..core.progress import ProgressMessage, working
    from ..pages.figures import save_images
    from ..runs.load import load

    found, kind = load(run), cast(Any, image_format)
    if images is None:
        path = out or run / "report.html"
        commit(path, found.report().encode())
        print(path)
        return
    if out is not None:
        raise InputError("report", "writes the page (--out) or the pictures (--images), not both at once")
    with working(quiet) as watch:
        watch(ProgressMessage("drawing"))
        files = save_images(found.figures(), images, kind)
    print(*files, sep="\n")
