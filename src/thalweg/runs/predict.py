"""Predictions of a run as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .run import Run

if TYPE_CHECKING:
    import polars


def prediction_table(run: Run, table: polars.DataFrame) -> polars.DataFrame:
    """The predictions of a run for the rows of a table: the prediction, and for classes the probability of each.

    Raises InputError where columns are missing.
    """
    import polars

    outputs = run.outputs_of(run.preprocessing.inputs(table))
    names = run.preprocessing.target_names
    if run.task == "classification":
        columns: dict[str, np.ndarray] = {"prediction": run.preprocessing.labels(run.classes(outputs))}
        if outputs.shape[1] == len(names):
            columns |= {f"p({name})": outputs[:, index] for index, name in enumerate(names)}
        else:
            columns["output"] = outputs[:, 0]
        return polars.DataFrame(columns)
    if run.task == "regression":
        values = run.preprocessing.values(outputs)
    else:
        values = (outputs > run.decision_threshold).astype(int)
    headings = [f"prediction({name})" if len(names) > 1 else "prediction" for name in names]
    return polars.DataFrame({heading: values[:, index] for index, heading in enumerate(headings)})
