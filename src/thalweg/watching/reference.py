"""What a reference learner reaches on the rows of a watched training.

scikit-learn is not imported into the user's process: unless it is there already, this module runs as a program, which
reads rows from stdin and writes scores to stdout.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np

from ..data import Task
from ..doctor.attainable import (
    FEW_ROWS,
    UncertainScore,
    attainable_score,
    constant_score,
    line_score,
    reference_outputs,
)
from .facts import ReferenceScores

Rows = tuple[np.ndarray, np.ndarray]
"""Inputs and targets."""
_NAMES = ("x", "y", "validation_x", "validation_y")
# No more rows are sent, and the other process has this many seconds.
_READ_ROWS = 2000
_SECONDS = 60
_MOST_COLUMNS = 1000
_MOST_ROWS = 400


def reference_scores(training: Rows, validation: Rows | None, task: Task) -> ReferenceScores | None:
    """The scores of random forests, each cross-validated on its own rows.

    Args:
        training: inputs (n, ...) and targets (n,) or (n, outputs) of the training.
        validation: the same of the validation.
        task: the task.

    Returns:
        None for fewer than 100 rows, for rows that are not finite numbers, and if the other process fails.
    """
    few = [None if rows is None else (rows[0][:_READ_ROWS], rows[1][:_READ_ROWS]) for rows in (training, validation)]
    if "sklearn" in sys.modules:
        return _scores(cast("Rows", few[0]), few[1], task)
    return _in_another_process(cast("Rows", few[0]), few[1], task)


def _in_another_process(training: Rows, validation: Rows | None, task: Task) -> ReferenceScores | None:
    arrays = dict(zip(_NAMES, (*training, *(validation or ())), strict=False))
    content = io.BytesIO()
    np.savez(content, task=np.array(task), **arrays)
    package = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=content.getvalue(),
            env=environment,
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = json.loads(done.stdout)
    return found and ReferenceScores(**found)


def main() -> None:
    """Read rows from stdin, and write their scores to stdout."""
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as arrays:
        rows = [arrays[name] for name in _NAMES if name in arrays]
        task = cast("Task", str(arrays["task"]))
    scores = _scores((rows[0], rows[1]), (rows[2], rows[3]) if len(rows) > 2 else None, task)
    sys.stdout.write(json.dumps(scores and dataclasses.asdict(scores)))


def _scores(training: Rows, validation: Rows | None, task: Task) -> ReferenceScores | None:
    known = _score(*training, task)
    if known is None:
        return None
    score, constant, line, rows = known
    other = _score(*validation, task) if validation is not None else None
    return ReferenceScores(
        training=score.value,
        training_error=score.error,
        training_constant=constant,
        training_line=line,
        validation=other[0].value if other else float("nan"),
        validation_error=other[0].error if other else float("nan"),
        validation_constant=other[1] if other else float("nan"),
        rows=rows,
    )


def _score(x: np.ndarray, y: np.ndarray, task: Task) -> tuple[UncertainScore, float, float, int] | None:
    """The score of the forest, that of a constant output, that of a line, and the number of rows."""
    x = np.asarray(x, float).reshape(len(x), -1)[:, :_MOST_COLUMNS]
    # Rows of several epochs: a copy in another fold would tell the target.
    first = np.sort(np.unique(x, axis=0, return_index=True)[1])[:_MOST_ROWS]
    x, y = x[first], np.asarray(y)[first]
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    finite = np.isfinite(x).all() and np.isfinite(y.astype(float)).all()
    if len(x) < FEW_ROWS or not finite or y.ndim > 2 or (task == "classification" and y.ndim != 1):
        return None
    classes = task == "classification" or (task == "multilabel" and y.ndim == 1)
    if classes:
        names, y = np.unique(y, return_inverse=True)
        if len(names) < 2 or len(names) > len(y) / 2:
            return None
        targets = np.eye(len(names))[y]
    else:
        targets = y.reshape(len(y), -1).astype(float)
    kind: Task = "classification" if classes else task
    outputs = reference_outputs(x, targets, kind)
    best = attainable_score(x, y, kind, outputs)
    return best, constant_score(y, kind), line_score(x, y, kind), len(x)


if __name__ == "__main__":
    main()
