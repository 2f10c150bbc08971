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
# Characters below which a text that is cut says nothing.
_LEAST_ROOM = 12


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
        (
            row.name,
            row.data,
            row.network,
            str(row.epochs),
            _measures(row) if long else _score(row),
            row.outcome if long else "" if row.status == "finished" else row.status,
        )
        for row in rows
    ]
    lines += [(watch.name, "PyTorch", watch.model, str(watch.epochs), "", watch.outcome) for watch in watched]
    table = Table(title=f"{count_noun(len(lines), 'run')} in {folder}", title_justify="left", expand=not long)
    # Long texts are cut at the end, and the network is left out where it has no room; names and numbers never.
    # The outcome of a run is a word, that of a watch a sentence.
    columns = ("run", "data", "network", "epochs", "result", "outcome")
    cut = ("network", "outcome") if watched else ("network",)
    shown = [place for place in range(len(columns)) if not lines or any(line[place] for line in lines)]
    widths = [max([len(column), *(len(line[place]) for line in lines)]) for place, column in enumerate(columns)]
    room = console().width - 1 - sum(3 + (0 if columns[place] in cut else widths[place]) for place in shown)
    if not long and room < _LEAST_ROOM:
        shown = [place for place in shown if columns[place] != "network"]
    for place in shown:
        column = columns[place]
        if long:
            table.add_column(column, overflow="fold")
        elif column in cut:
            table.add_column(column, overflow="ellipsis", no_wrap=True, ratio=1)
        else:
            table.add_column(column, overflow="ellipsis", no_wrap=True, min_width=widths[place])
    for line in lines:
        table.add_row(*(line[place] for place in shown))
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
