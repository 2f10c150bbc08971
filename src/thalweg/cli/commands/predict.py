"""`thalweg predict`: predict the rows of a file."""

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
    file: Annotated[
        Path, typer.Argument(help="A CSV, TSV or Parquet file with the columns that the run was trained on.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Write to this CSV file instead of stdout.")] = None,
) -> None:
    """Predict the rows of a file with a trained network, and print CSV."""
    from ...core.files import commit
    from ...core.streams import fits_terminal
    from ...runs.load import load
    from ...runs.predict import prediction_table

    trained = load(run)
    rows = trained.spec.data.source.rows_like_these(str(file))
    content = prediction_table(trained, rows).write_csv().encode()
    if out is None:
        text = content.decode()
        if not fits_terminal(text):
            print("thalweg: some characters are written as escapes; --out writes them as they are", file=sys.stderr)
        sys.stdout.write(text)
    else:
        commit(out, content)
        print(out)
