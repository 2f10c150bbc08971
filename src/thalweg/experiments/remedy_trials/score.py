"""A score that is comparable between arms with different losses and scales, and the rows that it is taken on."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...core.errors import InputError
from ...data import RowSource, Split
from ...doctor.attainable import measure_of
from ...parts.metrics import is_share
from ..results import TrialResult

# Fewer rows cannot score: one row more or less that is right would weigh too much.
ENOUGH_ROWS = 30
# Without validation rows this part of the training rows is held out for the score, at least ENOUGH_ROWS of them.
_HELD_OUT = 1 / 5
# Holding out a larger part would change too much of what is trained: such rows are too few.
_MOST_HELD_OUT = 3 / 10


class NoScoreError(InputError):
    """No rows can score the arms of remedy trials."""


class Score(NamedTuple):
    """Balanced accuracy for classes and labels, R² for numbers, at the end of a training.

    Of both a constant answer has a known score, however rare a class is. R² has no lower bound: an R² below 0 is
    replaced by R² / (1 - R²) = variance / mean square error - 1, which lies between -1 and 0 and keeps the order. A
    trial that diverged has no score. A recipe may have another score.

    Attributes:
        measure: "balanced_accuracy" or "r2"; of a recipe "accuracy", "r2", or "score" for a function of the user.
        rows: the set of rows, "validation" or "training".
        row_count: number of rows in the set.
        constant: score of the best constant answer: 1 / number of classes, or 0 for R².
        held_out: number of training rows of the spec that are validation rows in all trials.

    >>> score = Score("r2", "validation", 100, 0.0)
    >>> result = TrialResult([], {"validation": {"r2": -3.0}}, "Trained.", "", 1.0)
    >>> score.of(result), score.of(result._replace(diverged="the loss became NaN"))
    (-0.75, nan)
    """

    measure: str
    rows: str
    row_count: int
    constant: float
    held_out: int = 0

    def of(self, result: TrialResult) -> float:
        """The score of a trial; NaN where it diverged. Raises InputError where its run lacks the measure."""
        measures = result.measures[self.rows]
        if self.measure not in measures:
            raise InputError(str(result.folder), f"was written by an earlier version without {self.measure}; remove it")
        value = measures[self.measure]
        if not math.isfinite(value) or result.diverged:
            return math.nan
        return value / (1 - value) if value < 0 else value

    @property
    def least(self) -> float:
        """The lowest score: that of no right answer, or of an infinite error."""
        return 0.0 if is_share(self.measure) else -1.0


def score_for(split: Split, held_out: int = 0) -> Score:
    """The score of arms with the rows of a split: on validation rows where these can score, else on training rows.

    Args:
        split: the rows that the arms are trained on.
        held_out: number of its validation rows that are training rows of the spec.
    """
    validation = split.validation
    rows = split.train if validation is None or not can_score(validation) else validation
    measure = measure_of(split.train.task)
    return Score(
        measure=measure,
        rows="training" if rows is split.train else "validation",
        row_count=len(rows),
        constant=0.0 if measure == "r2" else constant_balanced_accuracy(rows),
        held_out=held_out,
    )


def can_score(rows: RowSource) -> bool:
    """Whether rows are enough to score arms, and differ in their targets: else a constant answer is the best one."""
    return len(rows) >= ENOUGH_ROWS and tells_apart(rows)


def tells_apart(rows: RowSource) -> bool:
    """Whether the targets of the rows differ."""
    return len(np.unique(_targets(rows), axis=0)) > 1


def rows_to_hold_out(split: Split) -> int:
    """How many training rows to hold out for the score, beside the validation rows; 0 where too few are left to train.

    >>> from thalweg.data import Data
    >>> [rows_to_hold_out(Data.of({"source": f"moons {rows}", "validation": 0.0, "test": 0.0}).load(0))
    ...  for rows in (90, 100, 1000)]
    [0, 30, 200]
    """
    train = len(split.train)
    present = len(split.validation) if split.validation is not None else 0
    rows = ENOUGH_ROWS - present if 0 < present < ENOUGH_ROWS else max(ENOUGH_ROWS, round(_HELD_OUT * train))
    return rows if rows <= _MOST_HELD_OUT * train else 0


def constant_balanced_accuracy(rows: RowSource) -> float:
    """The balanced accuracy of any constant answer: 1 / number of classes, for labels the mean over the labels.

    >>> from thalweg.data import Dataset
    >>> constant_balanced_accuracy(Dataset([[0], [1], [2], [3]], [0, 1, 1, 1], "classification"))
    0.5
    """
    y = _targets(rows)
    labels = y if y.ndim > 1 else y[:, None]
    return float(np.mean([1 / len(np.unique(label)) for label in labels.T]))


def _targets(rows: RowSource) -> np.ndarray:
    """The targets of the rows that count."""
    return np.concatenate([part.y if part.weight is None else part.y[part.weight > 0] for part in rows.parts()])
