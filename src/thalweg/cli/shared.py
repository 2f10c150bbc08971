"""What the commands share: options that mean the same everywhere, exit codes, a spec from a command's arguments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

EXIT_WRONG, EXIT_INPUT, EXIT_DIVERGED, EXIT_INTERRUPTED = 1, 2, 3, 130

SpecName = Annotated[
    str | None, typer.Argument(help="A TOML file, or the name of an example or of a data source.", show_default=False)
]
SpecOrRun = Annotated[
    str | None,
    typer.Argument(
        help="A TOML file, the name of an example or of a data source, or the folder of a run.", show_default=False
    ),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Set a value of the spec: section.key=value. May be repeated.")
]
DataFile = Annotated[str | None, typer.Option("--data", help="A CSV, TSV or Parquet file, or a folder of IDX files.")]
Target = Annotated[str | None, typer.Option("--target", help="The column of the file to predict.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="The folder that holds MNIST's files.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Decides weights, splits and the order of samples.")]
EngineName = Annotated[str | None, typer.Option("--engine", help="compiled (XLA) or eager (NumPy, float64).")]
DeviceName = Annotated[str | None, typer.Option("--device", help="cpu or gpu.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the run [default: runs/NAME-TIME].")]
SheetFile = Annotated[
    Path | None, typer.Option("--out", help="Write to this file; its suffix names the form: .html, .md, .json, .txt.")
]
SheetForm = Annotated[str | None, typer.Option("--format", help="text, html, markdown or json.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


def changes_of(
    data: str | None,
    target: str | None,
    data_dir: Path | None,
    epochs: int | None,
    seed: int | None,
    engine: str | None,
    device: str | None,
) -> list[tuple[str, Any]]:
    """Places of a spec with the values that options gave them."""
    given = {
        "data.source": str(Path(data).resolve()) if data and Path(data).exists() else data,
        "data.target": target,
        "data.source.folder": str(data_dir.resolve()) if data_dir else None,
        "training.epochs": epochs,
        "training.seed": seed,
        "training.engine": engine,
        "training.device": device,
    }
    return [(path, value) for path, value in given.items() if value is not None]


def spec_and_name(
    command: str, spec: str | None, data: str | None, changes: list[tuple[str, Any]], settings: list[str]
) -> tuple[Any, str]:
    """The spec that a command's arguments describe, and a short name for what comes of it."""
    from ..core.errors import InputError
    from ..spec.edit import assign, set_value
    from ..spec.toml import read_spec_table, spec_of

    if spec is None and data is None:
        raise InputError(
            command, f"expected a spec, or --data FILE --target COLUMN; `thalweg {command} digits` is a first try"
        )
    table: dict[str, Any] = read_spec_table(spec) if spec else {}
    for path, value in changes:
        set_value(table, path, value)
    for assignment in settings:
        assign(table, assignment)
    return spec_of(table, spec or command), Path(spec or data or "run").stem


def run_or_spec(
    command: str, source: str | None, data: str | None, changes: list[tuple[str, Any]], settings: list[str]
) -> Any:
    """The folder of a run as it is, or the spec that a command's arguments describe."""
    from ..core.errors import InputError

    if source is None or not (Path(source) / "spec.toml").is_file():
        return spec_and_name(command, source, data, changes, settings)[0]
    if changes or settings:
        raise InputError(command, f"a run is shown as it was trained, and takes no --set and no data: {source}")
    return source


def print_json(value: Any) -> None:
    """Print it as JSON on stdout."""
    import json

    print(json.dumps(value, indent=1))


def hand_over(sheet: Any, form: str, out: Path | None) -> None:
    """Print a worksheet in that form, or write it to a file and print the file's name."""
    from ..core.files import commit

    if out is not None:
        commit(out, sheet.render(form).encode())
        print(out)
    elif form == "text":
        sheet.show()
    else:
        sys.stdout.write(sheet.render(form))
