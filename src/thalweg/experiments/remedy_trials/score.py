"""A score that means the same in all arms, whatever loss they train with."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...data import RowSource, Split, Task
from ..results import TrialResult

# Fewer validation rows say too little: the training rows are scored then.
ENOUGH_ROWS = 30


class Score(NamedTuple):
    """Accuracy for classes and labels, R² for numbers, at the end of a training, on the rows of one set.

    `rows` says which set, "validation" or "training", and `row_count` how many rows it has; `constant` is what the best
    answer reaches that is always the same: the share of the largest class, or 0. What diverged, and what answers worse
    than that, counts as that answer: it has learnt nothing, and how wrong it is does not matter.

    >>> score = Score("accuracy", "validation", 100, 0.6)
    >>> ended = TrialResult([], {"validation": {"accuracy": 0.75}}, "Trained.", "", 1.0)
    >>> score.of(ended), score.of(ended._replace(diverged="the loss became NaN"))
    (0.75, 0.6)
    """

    measure: str
    rows: str
    row_count: int
    constant: float

    def of(self, result: TrialResult) -> float:
        """The score of a trial."""
        value = result.measures[self.rows][self.measure]
        return max(value, self.constant) if math.isfinite(value) and not result.diverged else self.constant


def score_for(splits: list[Split]) -> Score:
    """The score of arms with these splits, the first one's rows: of the validation rows, where all have enough."""
    enough = all(split.validation is not None and len(split.validation) >= ENOUGH_ROWS for split in splits)
    held_out, train = splits[0].validation, splits[0].train
    rows, name = (held_out, "validation") if enough and held_out is not None else (train, "training")
    measure = measure_of(train.task)
    return Score(measure, name, len(rows), 0.0 if measure == "r2" else largest_share(rows))


def measure_of(task: Task) -> str:
    """What networks of a task are scored by."""
    return "r2" if task == "regression" else "accuracy"


def largest_share(rows: RowSource) -> float:
    """The weighted share of the rows that have the most frequent target.

    >>> from thalweg.data import Dataset
    >>> largest_share(Dataset([[0], [1], [2], [3]], [0, 1, 1, 1], "classification"))
    0.75
    """
    parts = [(part.y, part.weight if part.weight is not None else np.ones(len(part))) for part in rows.parts()]
    y, weight = (np.concatenate(each) for each in zip(*parts, strict=True))
    _, which = np.unique(y, axis=0, return_inverse=True)
    return float(np.bincount(which.ravel(), weights=weight).max() / weight.sum())
