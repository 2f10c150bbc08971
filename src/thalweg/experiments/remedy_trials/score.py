"""A score that is comparable between arms with different losses and scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...data import RowSource, Split, Task
from ..results import TrialResult

# With fewer validation rows the training rows are scored.
ENOUGH_ROWS = 30


class Score(NamedTuple):
    """Accuracy for classes and labels, R² for numbers, at the end of a training.

    A trial that scores worse than the best constant answer counts as that answer: it has learned nothing, and how wrong
    it is does not matter. A trial that diverged has no score.

    Attributes:
        measure: "accuracy" or "r2".
        rows: the set of rows, "validation" or "training".
        row_count: number of rows in the set.
        constant: score of the best constant answer: the fraction of the largest class, or 0 for R².

    >>> score = Score("accuracy", "validation", 100, 0.6)
    >>> result = TrialResult([], {"validation": {"accuracy": 0.75}}, "Trained.", "", 1.0)
    >>> score.of(result), score.of(result._replace(diverged="the loss became NaN"))
    (0.75, nan)
    """

    measure: str
    rows: str
    row_count: int
    constant: float

    def of(self, result: TrialResult) -> float:
        """The score of a trial; NaN where it diverged."""
        value = result.measures[self.rows][self.measure]
        return max(value, self.constant) if math.isfinite(value) and not result.diverged else math.nan


def score_for(splits: Sequence[Split]) -> Score:
    """The score of arms with these splits: on validation rows, where all have enough; rows are those of the first."""
    enough = all(split.validation is not None and len(split.validation) >= ENOUGH_ROWS for split in splits)
    first = splits[0]
    rows = first.validation if enough and first.validation is not None else first.train
    measure = measure_of(first.train.task)
    return Score(
        measure=measure,
        rows="training" if rows is first.train else "validation",
        row_count=len(rows),
        constant=0.0 if measure == "r2" else largest_fraction(rows),
    )


def measure_of(task: Task) -> str:
    """The measure that networks of a task are scored by."""
    return "r2" if task == "regression" else "accuracy"


def largest_fraction(rows: RowSource) -> float:
    """The weighted fraction of the rows that have the most frequent target.

    >>> from thalweg.data import Dataset
    >>> largest_fraction(Dataset([[0], [1], [2], [3]], [0, 1, 1, 1], "classification"))
    0.75
    """
    parts = list(rows.parts())
    y = np.concatenate([part.y for part in parts])
    weight = np.concatenate([part.weight if part.weight is not None else np.ones(len(part)) for part in parts])
    _, which = np.unique(y, axis=0, return_inverse=True)
    return float(np.bincount(which.ravel(), weights=weight).max() / weight.sum())
