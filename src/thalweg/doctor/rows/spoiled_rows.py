"""Training rows with a fault that other rows do not have, and where it is: in inputs, in targets, or between them.

Other rows of the same kind are the yardstick: a learner of the training rows, which are more, knows at least as much
about them as a learner of a part of themselves. Where it does not, something is wrong with the training rows, whatever
it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from ...core.noise import generator
from ...data import Task
from ..attainable import (
    UncertainScore,
    attainable_score,
    decided,
    folds,
    reference_forest,
    reference_outputs,
    score_of,
)

# A difference counts beyond this many standard errors, which is 0.1 % of chance, and from this size on.
_BEYOND = 3.0
_RELEVANT = 0.05
# More columns are not looked at one by one.
_MOST_COLUMNS = 30
# A column tells something if the score loses this much without it. It tells as much as in other rows, or next to
# nothing, if this is so large a part of what it loses there.
_TELLS = 0.025
_AS_MUCH = 0.8
_NOTHING = 0.2
# The fewest rows of a set from which its share in a leaf is estimated.
_LEAF = 10
# In a continuous column most values occur once.
_CONTINUOUS = 0.5

Part = Literal["inputs", "targets", "relation"]


class Rows(NamedTuple):
    """Rows of one set, in the order of their source."""

    x: np.ndarray
    """Inputs (n, columns)."""
    y: np.ndarray
    """Targets as the data set has them."""
    targets: np.ndarray
    """The same targets as numbers (n, outputs)."""


class SpoiledRows(NamedTuple):
    """Training rows that tell less of other rows than these tell of themselves."""

    than: str
    """The set of the others: validation or test."""
    there: UncertainScore
    """The score of a reference learner of the training rows on the others."""
    own: UncertainScore
    """Its cross-validated score where it is fitted to a part of the others."""
    part: Part
    """What is of another kind in the training rows: the inputs, the targets, or only what the first tell of the
    second."""
    columns: tuple[int, ...]
    """The numbers of the input columns concerned; empty where no column stands out."""

    @property
    def lost(self) -> float:
        """What the training rows cost the score of the others."""
        return self.own.value - self.there.value


def spoiled_rows(train: Rows, than: str, other: Rows, task: Task, there: UncertainScore) -> SpoiledRows | None:
    """Whether training rows tell less of other rows than these of themselves, beyond chance, and what differs in them.

    Beyond chance: by more than 0.05 and three standard errors of the difference. None where they do not, and for fewer
    than 100 other rows.

    What differs is decided in this order: the inputs, where a forest tells by them from which set a row is; the
    targets, in the same way; the columns that tell nothing of the targets in the training rows alone; what inputs and
    targets tell together. A value that repeats the one before it, in a continuous column, is a sign too.

    Args:
        train: the training rows.
        than: the name of the set of the others.
        other: rows that no step has seen.
        task: the task.
        there: the score of a reference learner of the training rows on the others.

    Source: Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests".
    """
    outputs = reference_outputs(other.x, other.targets, task)
    if outputs is None:
        return None
    own = attainable_score(other.x, other.y, task, outputs)
    if not _beyond(own, there):
        return None
    if columns := _different_columns(train.x, other.x):
        return SpoiledRows(than, there, own, "inputs", columns)
    if _different_columns(train.targets, other.targets):
        return SpoiledRows(than, there, own, "targets", ())
    columns = _unrelated_columns(train, other, task)
    return SpoiledRows(than, there, own, "inputs" if columns else "relation", columns)


def _beyond(high: UncertainScore, low: UncertainScore) -> bool:
    return high.value - low.value > max(_RELEVANT, _BEYOND * float(np.hypot(high.error, low.error)))


def _different_columns(a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    """The columns by which a forest tells rows a (n, columns) from rows b (m, columns); empty where it cannot."""
    columns = a.shape[1]
    continuous = [len(np.unique(values)) >= _CONTINUOUS * len(b) for values in b.T]
    marked = [np.hstack([rows, _repeats(rows)[:, continuous]]) for rows in (a, b)]
    rng = generator(0, "doctor", "sets")
    size = min(len(a), len(b))
    x = np.concatenate([rows[np.sort(rng.permutation(len(rows))[:size])] for rows in marked])
    y = np.repeat([0, 1], size)
    order = rng.permutation(2 * size)
    x, y = x[order], y[order]
    sets = np.eye(2)[y]
    outputs = reference_outputs(x, sets, "classification", _LEAF)
    if outputs is None:
        return ()
    told = attainable_score(x, y, "classification", outputs)
    if not _beyond(told, UncertainScore(0.5)):
        return ()
    shares = reference_forest("classification", _LEAF).fit(x, sets).feature_importances_
    share = shares[:columns]
    np.add.at(share, np.flatnonzero(continuous), shares[columns:])
    found = np.flatnonzero(share >= share.mean())
    return tuple(map(int, found[np.argsort(-share[found], kind="stable")]))


def _repeats(x: np.ndarray) -> np.ndarray:
    """1 where a value of x (n, columns) is that of the row before, 0 elsewhere (n, columns)."""
    return np.vstack([np.zeros((1, x.shape[1])), x[1:] == x[:-1]])


def _unrelated_columns(train: Rows, other: Rows, task: Task) -> tuple[int, ...]:
    """The columns that tell next to nothing of the targets in the training rows, where others tell as much as ever."""
    if train.x.shape[1] > _MOST_COLUMNS:
        return ()
    here, there = (np.array(list(_parts_of_columns(rows, task))) for rows in (train, other))
    nothing = (there > _TELLS) & (here < _NOTHING * there)
    kept = (np.minimum(here, there) > _TELLS) & (here >= _AS_MUCH * there)
    return tuple(map(int, np.flatnonzero(nothing))) if nothing.any() and kept.any() else ()


def _parts_of_columns(rows: Rows, task: Task) -> Iterator[float]:
    """What the cross-validated score of a forest loses without each column, whose values are exchanged."""
    fold = folds(rows.targets, task)
    numbers = range(fold.max() + 1)
    targets = rows.targets if rows.targets.shape[1] > 1 else rows.targets[:, 0]
    forests = [reference_forest(task).fit(rows.x[fold != number], targets[fold != number]) for number in numbers]

    def score(x: np.ndarray) -> float:
        outputs = np.empty(rows.targets.shape)
        for number, forest in zip(numbers, forests, strict=True):
            outputs[fold == number] = forest.predict(x[fold == number]).reshape(-1, rows.targets.shape[1])
        return score_of(decided(outputs, rows.y, task), rows.y, task).value

    whole = score(rows.x)
    for column in range(rows.x.shape[1]):
        exchanged = rows.x.copy()
        exchanged[:, column] = generator(column, "doctor", "exchanged").permutation(exchanged[:, column])
        yield whole - score(exchanged)
