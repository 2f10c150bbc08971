"""`thalweg runs`: list the runs of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Json
from ..output import print_json
from ..registry import command


@command(position=40)
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that contains the runs.")] = Path("runs"),
    json: Json = False,
) -> None:
    """List the runs of a folder."""
    from ...core.errors import InputError
    from ...runs.run_folder import list_runs
    from ...watching.folder import list_watches

    if not folder.is_dir():
        raise InputError(str(folder), "not a folder of runs; `thalweg train digits` makes the first run in runs/")
    rows = list_runs(folder)
    watched = list_watches(folder)
    if json:
        print_json([*(row._asdict() for row in rows), *(watch._asdict() for watch in watched)])
        return
    from rich.table import Table

    from ...core.console import console
    from ...pages.numbers import count_noun, measure_name, measure_value

    table = Table(title=f"{count_noun(len(rows) + len(watched), 'run')} in {folder}", title_justify="left")
    for column in ("run", "data", "network", "epochs", "result", "outcome"):
        table.add_column(column, overflow="fold")
    for row in rows:
        result = ""
        if row.measures:
            part, measures = next(reversed(row.measures.items()))
            values = (f"{measure_name(name)} {measure_value(name, value)}" for name, value in measures.items())
            result = f"{part}: {', '.join(values)}"
        table.add_row(row.name, row.data, row.network, str(row.epochs), result, row.outcome)
    for watch in watched:
        table.add_row(watch.name, "PyTorch", watch.model, str(watch.epochs), "", watch.outcome)
    console().print(table)
