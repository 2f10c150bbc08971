"""`thalweg runs`: list the runs of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..options import Json
from ..output import print_json
from ..registry import command

if TYPE_CHECKING:
    from ...runs.run_folder import RunRow

By = Literal["finished", "name", "data", "epochs", "score"]


@command(position=40)
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that contains the runs.")] = Path("runs"),
    sort: Annotated[By, typer.Option("--sort", help="Order; the best score comes first.")] = "finished",
    long: Annotated[bool, typer.Option("--long", help="Show all measures and whole texts.")] = False,
    json: Json = False,
) -> None:
    """List the runs of a folder."""
    from ...core.errors import InputError
    from ...runs.run_folder import list_runs
    from ...watching.folder import list_watches

    if not folder.is_dir():
        raise InputError(str(folder), "not a folder of runs; `thalweg train digits` makes the first run in runs/")
    rows = list_runs(folder)
    if sort == "score":
        rows.sort(key=lambda row: -row.score.value if row.score else float("inf"))
    else:
        rows.sort(key=lambda row: getattr(row, sort))
    watched = list_watches(folder)
    if json:
        print_json([*(row._asdict() for row in rows), *(watch._asdict() for watch in watched)])
        return
    from rich.table import Table

    from ...core.console import console
    from ...pages.numbers import count_noun

    lines = [
        (row.name, row.data, row.network, str(row.epochs), _measures(row) if long else _score(row), row.outcome)
        for row in rows
    ]
    lines += [(watch.name, "PyTorch", watch.model, str(watch.epochs), "", watch.outcome) for watch in watched]
    table = Table(title=f"{count_noun(len(lines), 'run')} in {folder}", title_justify="left", expand=not long)
    for place, column in enumerate(("run", "data", "network", "epochs", "result", "outcome")):
        if long:
            table.add_column(column, overflow="fold")
        else:
            # Long texts are cut at the end, names and numbers never.
            cut = column in ("network", "outcome")
            width = max((len(line[place]) for line in lines), default=0)
            least = None if cut else max(width, len(column))
            table.add_column(column, overflow="ellipsis", no_wrap=True, min_width=least, ratio=1 if cut else None)
    for line in lines:
        table.add_row(*line)
    console().print(table)


def _score(row: RunRow) -> str:
    """The score of a run in a few words."""
    from ...pages.numbers import measure_name, measure_value

    score = row.score
    return f"{measure_name(score.measure)} {measure_value(score.measure, score.value)}" if score else ""


def _measures(row: RunRow) -> str:
    """All measures on the rows of the score."""
    from ...pages.numbers import measure_name, measure_value

    rows, measures = next(reversed(row.measures.items()), ("", {}))
    values = (f"{measure_name(name)} {measure_value(name, value)}" for name, value in measures.items())
    return f"{rows}: {', '.join(values)}" if rows else ""
