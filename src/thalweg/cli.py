"""The shell: `thalweg train`, `predict`, `runs`, `report`. What takes time to import is imported when it is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

EXIT_INPUT, EXIT_DIVERGED, EXIT_INTERRUPTED = 2, 3, 130
_MANY_CLASSES = 12

app = typer.Typer(
    name="thalweg",
    help="A training laboratory for neural networks: train, see every number, find out why a network does not learn.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Out = Annotated[Path | None, typer.Option("--out", help="Folder of the run [default: runs/NAME-TIME].")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


def main() -> None:
    """Run the shell command: a user's mistake is one message on stderr and exit code 2, never a traceback."""
    from .errors import InputError

    try:
        app()
    except InputError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; there is nobody to tell.
        sys.stderr.close()
        sys.exit(0)


def _fail(message: str) -> NoReturn:
    print(f"thalweg: {message}", file=sys.stderr)
    sys.exit(EXIT_INPUT)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        from importlib import metadata

        print(metadata.version("thalweg"))
        raise typer.Exit


@app.command()
def train(
    spec: Annotated[
        str | None,
        typer.Argument(help="A TOML file, or the name of an example or of a data source.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Set a value of the spec: section.key=value. May be repeated.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="A CSV, TSV or Parquet file, or a folder of IDX files.")
    ] = None,
    target: Annotated[str | None, typer.Option("--target", help="The column of the file to predict.")] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="The folder that holds MNIST's files.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="How often all training rows are seen.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Decides weights, splits and the order of samples.")
    ] = None,
    engine: Annotated[str | None, typer.Option("--engine", help="compiled (XLA) or eager (NumPy, float64).")] = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu or gpu.")] = None,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network and write a run with its report.

    \b
    thalweg train digits
    thalweg train examples/rings.toml --epochs 50 --set optimizer.learning_rate=0.01
    thalweg train --data titanic.csv --target survived
    """
    from .errors import InputError
    from .spec import assign, read_table, set_value, spec_of

    if spec is None and data is None:
        raise InputError(
            "train", "expected a spec, or --data FILE --target COLUMN; `thalweg train digits` is a first try"
        )
    table: dict[str, Any] = read_table(spec) if spec else {}
    given = {
        "data.source": str(Path(data).resolve()) if data and Path(data).exists() else data,
        "data.target": target,
        "data.source.folder": str(data_dir.resolve()) if data_dir else None,
        "training.epochs": epochs,
        "training.seed": seed,
        "training.engine": engine,
        "training.device": device,
    }
    for path, value in given.items():
        if value is not None:
            set_value(table, path, value)
    for assignment in settings or ():
        assign(table, assignment)
    name = Path(spec or data or "run").stem
    _train(spec_of(table, spec or "train"), name, out, json, quiet)


def _train(spec: Any, name: str, out: Path | None, json: bool, quiet: bool) -> None:
    from .display import shown
    from .folders import network_in_words, new_folder
    from .runs import run_spec

    def told(spec: Any, split: Any) -> None:
        if quiet or json:
            return
        print(f"network: {network_in_words(spec.network)};  loss: {spec.loss.kind};  optimizer: {spec.optimizer.kind}")
        for note in split.notes:
            print(f"note: {note}")

    with shown(quiet) as watch:
        run = run_spec(spec, watch, out or new_folder(name), told)
    if json:
        _print_json(
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
        print(f"thalweg: {run.outcome} What was good is kept in {run.folder}", file=sys.stderr)
        sys.exit(EXIT_DIVERGED)
    if run.interrupted:
        print(f"thalweg: {run.outcome} It is saved in {run.folder}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, indent=1))


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
    console.print(f"report: {run.folder / 'report.html'}", highlight=False)


def _number(name: str, value: float) -> str:
    return f"{value:.2%}" if name == "accuracy" else f"{value:.4g}"


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    file: Annotated[
        Path, typer.Argument(help="A CSV, TSV or Parquet file with the columns that the run was trained on.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Write to this CSV file instead of stdout.")] = None,
) -> None:
    """Predict the rows of a file with a trained network; prints CSV."""
    from .data import read_table
    from .files import commit
    from .runs import load, prediction_table

    content = prediction_table(load(run), read_table(file)).write_csv().encode()
    if out is None:
        sys.stdout.write(content.decode())
    else:
        commit(out, content)
        print(out)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the runs.")] = Path("runs"),
    json: Json = False,
) -> None:
    """List the runs of a folder."""
    from .errors import InputError
    from .folders import list_runs

    if not folder.is_dir():
        raise InputError(str(folder), "is no folder of runs; `thalweg train digits` makes the first run in runs/")
    rows = list_runs(folder)
    if json:
        _print_json([row._asdict() for row in rows])
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


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file [default: report.html of the run].")
    ] = None,
) -> None:
    """Write the report of a run anew, and print its path."""
    from .files import commit
    from .runs import load

    path = out or run / "report.html"
    commit(path, load(run).report().encode())
    print(path)
