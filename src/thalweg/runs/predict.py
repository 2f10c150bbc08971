"""Predictions of a run for rows of files, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..core.errors import InputError
from ..core.printable import received
from ..data import Column, Preprocessing, RawRows
from ..data.reading.image_files import is_image_file
from ..data.reading.notation import Reading
from ..export.rows import named_results
from ..models.decision import predictions
from .run import Run

if TYPE_CHECKING:
    import polars


class FilePredictions(NamedTuple):
    """The predictions for the rows of files.

    Attributes:
        table: the predictions, one row for each row of the files.
        unfamiliar: lines on what is unlike the training rows.
    """

    table: polars.DataFrame
    unfamiliar: Sequence[str] = ()


def predictions_of_files(run: Run, files: Sequence[Path], columns: bool = False) -> FilePredictions:
    """The predictions for the rows of a table, or for images, of which each file is a row.

    Args:
        run: the run.
        files: a table of the form of the one that the run was trained on; or images, where its rows are images.
        columns: whether the columns of the table are written too, before the predictions.

    Raises:
        InputError: the files cannot be read, or do not fit the run.
    """
    if run.preprocessing.image_shape is not None and all(map(is_image_file, files)):
        return FilePredictions(image_predictions(run, files))
    if len(files) != 1:
        fix = "put the rows into one file" if run.preprocessing.image_shape is None else "several files must be images"
        raise InputError("predict", f"expected one table, received {len(files)} files; {fix}")
    table = run.spec.data.source.rows_like_these(str(files[0]))
    return FilePredictions(prediction_table(run, table, columns), unfamiliar(run.preprocessing, table))


def image_predictions(run: Run, files: Sequence[Path]) -> polars.DataFrame:
    """The predictions of a run whose rows are images, for files of images: the file, then as for a table.

    Raises InputError for files that are damaged, or of another size than the images of the run.
    """
    import polars

    shape = run.preprocessing.image_shape
    if shape is None:
        raise InputError("predict", "expected a run that was trained on images")
    images = np.stack([run.spec.data.source.image_like_these(str(file), shape) for file in files])
    return _with_results(run, polars.DataFrame({"file": [str(file) for file in files]}), images)


def prediction_table(run: Run, table: polars.DataFrame, columns: bool = False) -> polars.DataFrame:
    """The predictions of a run for the rows of a table: the prediction, and for classes the probability of each.

    Args:
        run: the run.
        table: the rows; where it has the column that names the rows (`[data] id`), the predictions have it too.
        columns: whether the other columns of the table are written too, before the predictions.

    Raises:
        InputError: columns are missing, or cells are not understood.
    """
    kept = table.columns if columns else [name for name in table.columns if name == run.spec.data.id]
    return _with_results(run, table.select(kept), table)


def _with_results(run: Run, kept: polars.DataFrame, rows: RawRows) -> polars.DataFrame:
    """The predictions for raw rows beside columns that are kept."""
    import polars

    outputs = run.predict_outputs(rows)
    predicted = predictions(run.preprocessing, run.loss, outputs)
    names = run.preprocessing.target_names
    results = polars.DataFrame(named_results(predicted, outputs, names, run.task == "classification"))
    return polars.concat([kept.drop(results.columns, strict=False), results], how="horizontal")


def unfamiliar(known: Preprocessing, table: polars.DataFrame) -> list[str]:
    """A line on each column whose cells are unlike those of the training rows; rows are counted from 1.

    A number is far outside where its distance from the range of the training rows is more than the width of the range.
    A category that the training rows do not have counts as none of the categories.
    """
    if not known.columns:
        numbers = enumerate(known.unscaled(known.inputs(table)).T if known.low else ())
        return [line for place, cells in numbers if (line := _outside(known, known.feature_names[place], place, cells))]
    lines = []
    place = 0
    for column in known.columns:
        series = table[column.name]
        if column.kind == "category":
            lines.append(_unseen(column, series))
        elif column.is_scaled and known.low:
            lines.append(_outside(known, column.name, place, column.encode(series)[:, 0]))
        place += len(column.inputs)
    return [line for line in lines if line]


def _unseen(column: Column, series: polars.Series) -> str:
    import polars

    texts = Reading("text").convert(series.cast(polars.String))
    rows = (texts.is_not_null() & ~texts.is_in(column.categories)).arg_true()
    if not len(rows):
        return ""
    first = received(texts[int(rows[0])])
    return (
        f"column {column.name!r}: {len(rows)} of {len(texts)} rows have a category that the training rows do not have "
        f"and that counts as none; the first is {first} in row {rows[0] + 1} (counted from 1)"
    )


def _outside(known: Preprocessing, name: str, place: int, cells: np.ndarray) -> str:
    low, high = known.low[place], known.high[place]
    rows = np.flatnonzero(np.maximum(low - cells, cells - high) > high - low)
    if not len(rows):
        return ""
    return (
        f"column {name!r}: {len(rows)} of {len(cells)} rows are far outside of the training rows, {low:.6g} to "
        f"{high:.6g}; the first is {cells[rows[0]]:.6g} in row {rows[0] + 1} (counted from 1)"
    )
