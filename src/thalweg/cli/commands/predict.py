"""`thalweg predict`: predict the rows of a table, or images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..options import RunFolder
from ..registry import command


@command(position=30)
def predict(
    run: RunFolder,
    files: Annotated[
        list[Path],
        typer.Argument(
            help="A CSV, TSV, Parquet or .xlsx file with the columns that the run was trained on; or PNG, JPEG and GIF "
            "files, where it was trained on images."
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Write to this CSV file instead of stdout.")] = None,
    columns: Annotated[
        bool, typer.Option("--columns", help="Write the columns of the file too, before the predictions.")
    ] = False,
) -> None:
    """Predict the rows of a table, or images, and print CSV.

    The column that names the rows (data.id of the spec) is written too. Categories that the training rows do not have,
    and numbers far outside of them, are named on stderr. Of images, each file is a row.
    """
    from ...core.files import commit
    from ...core.progress import print_line
    from ...core.streams import fits_terminal
    from ...runs.load import load
    from ...runs.predict import predictions_of_files

    predicted = predictions_of_files(load(run), files, columns)
    content = predicted.table.write_csv().encode()
    for line in predicted.unfamiliar:
        print_line(f"thalweg: {line}")
    if out is None:
        text = content.decode()
        if not fits_terminal(text):
            print("thalweg: some characters are written as escapes; --out writes them as they are", file=sys.stderr)
        sys.stdout.write(text)
    else:
        commit(out, content)
        print(out)
