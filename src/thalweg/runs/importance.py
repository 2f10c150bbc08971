"""The importance of the inputs of a trained network: how much of its score is lost without each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.errors import InputError
from ..core.intervals import Difference, differences
from ..data import Dataset, Preprocessing, Task
from ..pages.blocks import Block, Chart, Folded, Table, Text
from ..pages.numbers import count_noun, difference, interval, measure_name
from ..pages.page import Page, Paged

SHUFFLES = 5
MOST_INPUTS = 200
"""The report of a network with more inputs than these does not measure their importance."""
_MOST_ROWS = 2000
_LEAST_ROWS = 100
_MOST_OUTPUTS = 500_000
_MOST_BARS = 20
_MOST_NAMED = 5


class InputImportance(NamedTuple):
    """The importance of one column of the data.

    Attributes:
        name: the name of the column.
        lost: the score that is lost where its values are shuffled, with an interval over the rows.
    """

    name: str
    lost: Difference


@dataclass(frozen=True, eq=False)
class Importance(Paged):
    """How much of the score of a network is lost where the values of a column are shuffled among held-out rows.

        importance of column j = score(x) - score(x with column j of other rows)

    Each row gets the values of `shuffles` other rows, one after another, so that the importance is a mean over pairs of
    rows. The intervals are those of Student's t over the rows, each of which counts with what it loses and with what
    others lose by its value. They hold together for all columns.

    Columns that tell the same share their importance: without one of them, the network still has the others. The
    importance is that for this network, not that for the target.

    Source: Breiman 2001, Random forests, section 10; Fisher, Rudin and Dominici 2019, equation 3;
    Hoeffding 1948 for the variance of a mean over pairs.
    """

    measure: str
    """The score: "accuracy" (of several labels: all of them right), or "r2"."""
    held_out: str
    """The set of the rows."""
    rows: int
    """Number of rows."""
    shuffles: int
    """How many other rows a row gets its values from."""
    inputs: tuple[InputImportance, ...]
    """The columns, the most important first."""

    def page(self) -> Page:
        return Page("Importance of the inputs", tuple(self.blocks()))

    def blocks(self) -> list[Block]:
        """What the importance is, its chart, and the columns that the chart leaves out."""
        from ..pages import figures

        score = measure_name(self.measure)
        words = (
            f"How much the {score} on {count_noun(self.rows, 'row')} of the {self.held_out} set falls where the values "
            "of one column are those of other rows, so that they tell nothing of the target. Columns that tell the "
            "same share their importance. It says what this network uses, not what causes the target. Bars are pale "
            "where the interval includes 0."
        )
        shown = self.inputs[:_MOST_BARS]
        lost = {item.name: item.lost for item in shown}
        caption = "; ".join(
            f"{name} {difference(self.measure, -found.mean)}" for name, found in list(lost.items())[:_MOST_NAMED]
        )
        if rest := self.inputs[_MOST_BARS:]:
            largest = difference(self.measure, -rest[0].lost.mean)
            words += f" The chart has the {_MOST_BARS} first of {len(self.inputs)} columns; the next one: {largest}."
        return [
            Text(words),
            Chart(figures.importance(lost, self.measure), caption),
            Folded("All columns", (self._table(),)),
        ]

    def _table(self) -> Table:
        rows = [
            (item.name, difference(self.measure, -item.lost.mean), _ends(self.measure, item.lost))
            for item in self.inputs
        ]
        caption = f"Change of the {measure_name(self.measure)} where the values of a column are those of other rows"
        return Table(caption, ("column", "change", "95 % interval"), rows)


def _ends(measure: str, lost: Difference) -> str:
    return "not known" if math.isnan(lost.low) else interval(measure, -lost.high, -lost.low, write=difference)


def importance_of(
    preprocessing: Preprocessing,
    data: Dataset,
    held_out: str,
    decisions_of: Callable[[np.ndarray], np.ndarray],
    shuffles: int = SHUFFLES,
) -> Importance | None:
    """The importance of each column of the data for a network.

    Args:
        preprocessing: how columns became inputs; the inputs of a category are shuffled together.
        data: held-out rows; of many, a seeded sample is taken.
        held_out: the name of their set.
        decisions_of: what the network says of the prepared targets of prepared rows (n, inputs): numbers of classes
            (n,), labels 0 and 1 (n, K), or values (n, K).
        shuffles: how many other rows a row gets its values from.

    Returns:
        None where nothing can be measured: fewer than two rows, or numbers to predict that are all equal.

    Raises:
        InputError: `shuffles` is below 1.
    """
    if shuffles < 1:
        raise InputError("shuffles", f"expected a number of at least 1, received {shuffles}")
    columns = list(_columns(preprocessing))
    rng = np.random.default_rng(0)
    most = int(np.clip(_MOST_OUTPUTS // (shuffles * len(columns)), _LEAST_ROWS, _MOST_ROWS))
    order = rng.permutation(len(data))[:most]
    x, y = data.x[order], data.y[order]
    rows = len(order)
    if rows < 2 or (data.task == "regression" and (y == y[0]).all()):
        return None
    weight = np.ones(rows) if data.weight is None else data.weight[order] / data.weight[order].mean()
    whole = _scores(data.task, decisions_of(x), y)
    shifts = [1 + k * (rows - 1) // shuffles for k in range(shuffles)]
    by_row = []
    for _, places in columns:
        # The rows are in random order, so that a rotation gives each row the values of another one at random.
        changed = [x.copy() for _ in shifts]
        for copy, shift in zip(changed, shifts, strict=True):
            copy[:, places] = np.roll(x[:, places], shift, axis=0)
        scores = _scores(data.task, decisions_of(np.concatenate(changed)), np.concatenate([y] * shuffles))
        lost = (whole - scores.reshape(shuffles, rows)) * weight
        given = np.stack([np.roll(row, -shift) for row, shift in zip(lost, shifts, strict=True)])
        by_row.append((lost + given).mean(axis=0) - lost.mean())
    # The score stands on both sides, so that a difference of its rounding errors is none.
    found = differences(whole, whole - np.array(by_row), len(columns))
    inputs = [InputImportance(name, item) for (name, _), item in zip(columns, found, strict=True) if item]
    inputs.sort(key=lambda item: -item.lost.mean)
    return Importance("r2" if data.task == "regression" else "accuracy", held_out, rows, shuffles, tuple(inputs))


def _columns(preprocessing: Preprocessing) -> Iterator[tuple[str, slice]]:
    """The name of each column of the data, and the inputs that it became."""
    if not preprocessing.columns:
        yield from ((name, slice(place, place + 1)) for place, name in enumerate(preprocessing.feature_names))
        return
    place = 0
    for column in preprocessing.columns:
        yield column.name, slice(place, place + len(column.inputs))
        place += len(column.inputs)


def _scores(task: Task, decisions: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What each row adds to the score (n,): 1 for a right prediction, or 1 - (y - t)² / variance of the targets t."""
    if task == "classification":
        return (decisions == y).astype(float)
    if task == "multilabel":
        right: np.ndarray = (decisions == y).all(axis=1).astype(float)
        return right
    variance = y.astype(float).var(axis=0)
    varied = variance > 0
    squares = (decisions.astype(float) - y)[:, varied] ** 2 / variance[varied]
    added: np.ndarray = 1 - squares.mean(axis=1)
    return added
