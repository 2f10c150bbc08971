"""Predictions of a run as a table."""

from __future__ import annotations

from typing import Any

from .run import Run


def prediction_table(run: Run, table: Any) -> Any:
    """A table of predictions for the rows of a polars frame: the answer, and for classes the probability of each.

    Raises InputError where columns are missing.
    """
    import polars

    x = run.preprocessing.inputs(table)
    outputs = run.outputs_of(x)
    names = run.preprocessing.target_names
    if run.task == "classification":
        columns: dict[str, Any] = {"prediction": run.preprocessing.labels(run.classes(outputs))}
        if outputs.shape[1] == len(names):
            columns |= {f"p({name})": outputs[:, index] for index, name in enumerate(names)}
        else:
            columns["output"] = outputs[:, 0]
    else:
        values = (
            run.preprocessing.values(outputs)
            if run.task == "regression"
            else (outputs > run.decision_threshold).astype(int)
        )
        columns = {
            f"prediction({name})" if len(names) > 1 else "prediction": values[:, i] for i, name in enumerate(names)
        }
    return polars.DataFrame(columns)
