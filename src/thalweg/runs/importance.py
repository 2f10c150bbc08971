"""The importance of inputs of a trained network, columns or regions: how much of its score is lost without each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.errors import InputError
from ..core.intervals import Difference, differences
from ..data import Dataset, Preprocessing, Task
from ..data.dataset import ImageShape
from ..pages.blocks import Block, Chart, Folded, Table, Text
from ..pages.numbers import count_noun, difference, interval, measure_name
from ..pages.page import Page, Paged
from ..probes.picture_maps import pixels

SHUFFLES = 5
MOST_INPUTS = 200
"""The report of a network with more inputs than these does not measure their importance."""
_MOST_ROWS = 2000
_LEAST_ROWS = 100
_MOST_OUTPUTS = 500_000
# An answer to a picture takes longer than one to a row of a table.
_MOST_OUTPUTS_OF_PICTURES = 100_000
_MOST_REGIONS_ACROSS = 7
_MOST_BARS = 20
_MOST_NAMED = 5


class Region(NamedTuple):
    """A part of a picture, in pixels counted from 0: all channels of some rows and columns.

    >>> Region(slice(0, 4), slice(4, 8)).name
    'rows 1 to 4, columns 5 to 8'
    """

    rows: slice
    columns: slice

    @property
    def name(self) -> str:
        """Its rows and columns, counted from 1."""
        rows, columns = (f"{part.start + 1} to {part.stop}" for part in self)
        return f"rows {rows}, columns {columns}"


class InputImportance(NamedTuple):
    """The importance of one column of the data, or of one region of pictures.

    Attributes:
        name: the name of the column, or the rows and columns of the region.
        lost: the score that is lost where its values are shuffled, with an interval over the rows.
        region: the region; None for a column.
    """

    name: str
    lost: Difference
    region: Region | None = None


@dataclass(frozen=True, eq=False)
class Importance(Paged):
    """How much of the score of a network is lost where the values of a column are shuffled among held-out rows.

        importance of column j = score(x) - score(x with column j of other rows)

    A picture has regions in place of columns, at most 7 x 7 of whole pixels. At the edge of a region from another
    picture there is a seam, which no training row has; what the network makes of it counts as importance too.

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
    """The columns or regions, the most important first."""
    picture: np.ndarray | None = None
    """The mean of the pictures (height, width), where the rows are pictures."""

    def page(self) -> Page:
        return Page("Importance of the inputs", tuple(self.blocks()))

    def blocks(self) -> list[Block]:
        """What the importance is, its chart, and the columns that the chart leaves out."""
        return self._of_columns() if self.picture is None else self._of_regions(self.picture)

    def _of_regions(self, picture: np.ndarray) -> list[Block]:
        from ..pages import figures

        score = measure_name(self.measure)
        parts = [(item.region.rows, item.region.columns, item.lost) for item in self.inputs if item.region]
        words = (
            f"How much the {score} on {count_noun(self.rows, 'picture')} of the {self.held_out} set falls where one "
            "region of a picture is that of another picture, so that it tells nothing of the target. Regions that tell "
            "the same share their importance, and a region from another picture has a seam at its edge. It says what "
            "this network uses, not what causes the target. Regions are blank where the interval includes 0."
        )
        caption = "; ".join(
            f"{item.name}: {difference(self.measure, -item.lost.mean)}" for item in self.inputs[:_MOST_NAMED]
        )
        chart = Chart(figures.importance_of_regions(picture, parts, self.measure), caption)
        return [Text(words), chart, Folded("All regions", (self._table("region"),))]

    def _of_columns(self) -> list[Block]:
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
            Folded("All columns", (self._table("column"),)),
        ]

    def _table(self, what: str) -> Table:
        rows = [
            (item.name, difference(self.measure, -item.lost.mean), _ends(self.measure, item.lost))
            for item in self.inputs
        ]
        caption = f"Change of the {measure_name(self.measure)} where the values of a {what} are those of other rows"
        return Table(caption, (what, "change", "95 % interval"), rows)


def _ends(measure: str, lost: Difference) -> str:
    return "not known" if math.isnan(lost.low) else interval(measure, -lost.high, -lost.low, write=difference)


def importance_of(
    preprocessing: Preprocessing,
    data: Dataset,
    held_out: str,
    decisions_of: Callable[[np.ndarray], np.ndarray],
    shuffles: int = SHUFFLES,
) -> Importance | None:
    """The importance of each column of the data, or of each region of pictures, for a network.

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
    shape = data.image_shape
    groups = list(_columns(preprocessing) if shape is None else _regions(shape))
    rng = np.random.default_rng(0)
    outputs = _MOST_OUTPUTS if shape is None else _MOST_OUTPUTS_OF_PICTURES
    most = int(np.clip(outputs // (shuffles * len(groups)), _LEAST_ROWS, _MOST_ROWS))
    order = rng.permutation(len(data))[:most]
    x, y = data.x[order], data.y[order]
    rows = len(order)
    if rows < 2 or (data.task == "regression" and (y == y[0]).all()):
        return None
    weight = np.ones(rows) if data.weight is None else data.weight[order] / data.weight[order].mean()
    whole = _scores(data.task, decisions_of(x), y)
    shifts = [1 + k * (rows - 1) // shuffles for k in range(shuffles)]
    by_row = []
    for places in (group.places for group in groups):
        # The rows are in random order, so that a rotation gives each row the values of another one at random.
        changed = [x.copy() for _ in shifts]
        for copy, shift in zip(changed, shifts, strict=True):
            copy[:, places] = np.roll(x[:, places], shift, axis=0)
        scores = _scores(data.task, decisions_of(np.concatenate(changed)), np.concatenate([y] * shuffles))
        lost = (whole - scores.reshape(shuffles, rows)) * weight
        given = np.stack([np.roll(row, -shift) for row, shift in zip(lost, shifts, strict=True)])
        by_row.append((lost + given).mean(axis=0) - lost.mean())
    # The score stands on both sides, so that a difference of its rounding errors is none.
    found = differences(whole, whole - np.array(by_row), len(groups))
    inputs = [
        InputImportance(group.name, item, group.region) for group, item in zip(groups, found, strict=True) if item
    ]
    inputs.sort(key=lambda item: -item.lost.mean)
    measure = "r2" if data.task == "regression" else "accuracy"
    picture = None if shape is None else pixels(x, shape).mean(axis=(0, 3))
    return Importance(measure, held_out, rows, shuffles, tuple(inputs), picture)


class _Group(NamedTuple):
    """Inputs that are shuffled together: their name, their places, and their region in a picture."""

    name: str
    places: slice | np.ndarray
    region: Region | None = None


def _columns(preprocessing: Preprocessing) -> Iterator[_Group]:
    """The columns of the data, each with the inputs that it became."""
    if not preprocessing.columns:
        yield from (_Group(name, slice(place, place + 1)) for place, name in enumerate(preprocessing.feature_names))
        return
    place = 0
    for column in preprocessing.columns:
        yield _Group(column.name, slice(place, place + len(column.inputs)))
        place += len(column.inputs)


def _regions(shape: ImageShape) -> Iterator[_Group]:
    """The regions of pictures, of the same size but for the last ones of a row and of a column."""
    height, width = shape[:2]
    places = np.arange(math.prod(shape)).reshape(height, width, -1)
    for rows in _divided(height):
        for columns in _divided(width):
            region = Region(rows, columns)
            yield _Group(region.name, places[region].ravel(), region)


def _divided(pixels: int) -> Iterator[slice]:
    """At most seven parts of a row or column of pixels.

    >>> list(_divided(8))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None), slice(6, 8, None)]
    """
    size = -(-pixels // _MOST_REGIONS_ACROSS)
    yield from (slice(start, min(start + size, pixels)) for start in range(0, pixels, size))


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
