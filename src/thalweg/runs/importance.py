"""The importance of the inputs of a trained network: how much of its score is lost without each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..core.errors import InputError
from ..core.intervals import Difference, differences
from ..data import Dataset, ImageShape, Preprocessing, Task
from ..pages.blocks import Block, Chart, Folded, Table, Text
from ..pages.numbers import count_noun, difference, interval, measure_name
from ..pages.page import Page, Paged
from ..probes.picture_maps import pixels

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHUFFLES = 5
MOST_INPUTS = 200
"""The report of a network with more inputs than these does not measure their importance."""
MOST_PIXELS = 1600
"""The report of a network of pictures with more pixels than these does not measure the importance of their regions."""
_MOST_ROWS = 2000
_LEAST_ROWS = 100
_MOST_OUTPUTS = 500_000
# What a network computes for a picture grows with its pixels.
_MOST_PIXELS_OF_ALL = 40_000_000
_MOST_REGIONS = 7
_MOST_BARS = 20
_MOST_NAMED = 5


class Region(NamedTuple):
    """A rectangle of a picture, all channels together.

    Attributes:
        top: its first row, from 0.
        bottom: the row behind its last one.
        left: its first column, from 0.
        right: the column behind its last one.
    """

    top: int
    bottom: int
    left: int
    right: int

    @property
    def name(self) -> str:
        """Its rows and columns, counted from 1.

        >>> Region(0, 4, 8, 9).name
        'rows 1 to 4, column 9'
        """
        return f"{_span('row', self.top, self.bottom)}, {_span('column', self.left, self.right)}"


def _span(noun: str, start: int, stop: int) -> str:
    return f"{noun} {stop}" if stop == start + 1 else f"{noun}s {start + 1} to {stop}"


class InputImportance(NamedTuple):
    """The importance of one column of the data, or of one region of the pictures.

    Attributes:
        name: the name of the column, or where the region is.
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

    Of pictures, j is a region: its pixels in all channels are those of other pictures.

    Each row gets the values of `shuffles` other rows, one after another, so that the importance is a mean over pairs of
    rows. The intervals are those of Student's t over the rows, each of which counts with what it loses and with what
    others lose by its value. They hold together for all columns.

    Columns that tell the same share their importance: without one of them, the network still has the others. The
    importance is that for this network, not that for the target. The same holds for regions that tell the same; and a
    region of another picture has seams, which no picture of the training has.

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
    """The mean of the pictures and of their channels (height, width), in the units of the data; None for columns."""

    def page(self) -> Page:
        return Page("Importance of the inputs", tuple(self.blocks()))

    def blocks(self) -> list[Block]:
        """What the importance is, its chart, and the table of all columns or regions."""
        noun = "column" if self.picture is None else "region"
        score = measure_name(self.measure)
        words = (
            f"How much the {score} on {count_noun(self.rows, 'row')} of the {self.held_out} set falls where the values "
            f"of one {noun} are those of other rows, so that they tell nothing of the target. "
            f"{noun.capitalize()}s that tell the same share their importance. It says what this network uses, not what "
            "causes the target."
        )
        shown = self.inputs[:_MOST_BARS]
        caption = "; ".join(f"{item.name}: {difference(self.measure, -item.lost.mean)}" for item in shown[:_MOST_NAMED])
        more, figure = self._bars(shown) if self.picture is None else self._map(self.picture)
        return [Text(f"{words} {more}"), Chart(figure, caption), Folded(f"All {noun}s", (self._table(noun),))]

    def _bars(self, shown: tuple[InputImportance, ...]) -> tuple[str, go.Figure]:
        """The chart of columns, and what it needs in words."""
        from ..pages import figures

        words = "Bars are pale where the interval includes 0."
        if rest := self.inputs[len(shown) :]:
            largest = difference(self.measure, -rest[0].lost.mean)
            words += f" The chart has the {len(shown)} first of {len(self.inputs)} columns; the next one: {largest}."
        return words, figures.importance({item.name: item.lost for item in shown}, self.measure)

    def _map(self, picture: np.ndarray) -> tuple[str, go.Figure]:
        """The chart of regions, and what it needs in words."""
        from ..pages import figures

        words = (
            "A region of another picture has seams, which may confuse a network by themselves. Dots mark the regions "
            "whose interval excludes 0."
        )
        lost: dict[tuple[int, int, int, int], Difference] = {
            item.region: item.lost for item in self.inputs if item.region
        }
        return words, figures.importance_map(picture, lost, self.measure)

    def _table(self, noun: str) -> Table:
        rows = [
            (item.name, difference(self.measure, -item.lost.mean), _ends(self.measure, item.lost))
            for item in self.inputs
        ]
        caption = f"Change of the {measure_name(self.measure)} where the values of a {noun} are those of other rows"
        return Table(caption, (noun, "change", "95 % interval"), rows)


def _ends(measure: str, lost: Difference) -> str:
    return "not known" if math.isnan(lost.low) else interval(measure, -lost.high, -lost.low, write=difference)


def importance_of(
    preprocessing: Preprocessing,
    data: Dataset,
    held_out: str,
    decisions_of: Callable[[np.ndarray], np.ndarray],
    shuffles: int = SHUFFLES,
) -> Importance | None:
    """The importance of each column of the data for a network, or of each region where the rows are pictures.

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
    groups, most = _plan(preprocessing, data, shuffles)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data))[:most]
    x, y = data.x[order], data.y[order]
    rows = len(order)
    if rows < 2 or (data.task == "regression" and (y == y[0]).all()):
        return None
    weight = np.ones(rows) if data.weight is None else data.weight[order] / data.weight[order].mean()
    whole = _scores(data.task, decisions_of(x), y)
    shifts = [1 + k * (rows - 1) // shuffles for k in range(shuffles)]
    by_row = []
    for group in groups:
        # The rows are in random order, so that a rotation gives each row the values of another one at random.
        changed = [x.copy() for _ in shifts]
        for copy, shift in zip(changed, shifts, strict=True):
            copy[:, group.inputs] = np.roll(x[:, group.inputs], shift, axis=0)
        scores = _scores(data.task, decisions_of(np.concatenate(changed)), np.concatenate([y] * shuffles))
        lost = (whole - scores.reshape(shuffles, rows)) * weight
        given = np.stack([np.roll(row, -shift) for row, shift in zip(lost, shifts, strict=True)])
        by_row.append((lost + given).mean(axis=0) - lost.mean())
    # The score stands on both sides, so that a difference of its rounding errors is none.
    found = differences(whole, whole - np.array(by_row), len(groups))
    inputs = [
        InputImportance(group.name, lost, group.region) for group, lost in zip(groups, found, strict=True) if lost
    ]
    inputs.sort(key=lambda item: -item.lost.mean)
    picture = None
    if data.image_shape is not None:
        picture = pixels(preprocessing.unscaled(x), data.image_shape).mean(axis=(0, 3))
    measure = "r2" if data.task == "regression" else "accuracy"
    return Importance(measure, held_out, rows, shuffles, tuple(inputs), picture)


def rows_to_answer(preprocessing: Preprocessing, data: Dataset, shuffles: int) -> int:
    """How many rows a network answers for the importance. Raises InputError where `shuffles` is below 1."""
    groups, most = _plan(preprocessing, data, shuffles)
    return min(most, len(data)) * (1 + shuffles * len(groups))


def _plan(preprocessing: Preprocessing, data: Dataset, shuffles: int) -> tuple[list[_Group], int]:
    """The inputs that are shuffled together, and the most rows. Raises InputError where `shuffles` is below 1."""
    if shuffles < 1:
        raise InputError("shuffles", f"expected a number of at least 1, received {shuffles}")
    groups = list(_columns(preprocessing) if data.image_shape is None else _regions(data.image_shape))
    outputs = min(_MOST_OUTPUTS, _MOST_PIXELS_OF_ALL // math.prod(data.image_shape[:2] if data.image_shape else ()))
    return groups, int(np.clip(outputs // (shuffles * len(groups)), _LEAST_ROWS, _MOST_ROWS))


class _Group(NamedTuple):
    """Inputs that are shuffled together: their places, and the region of pictures that they are."""

    name: str
    inputs: slice | np.ndarray
    region: Region | None = None


def _columns(preprocessing: Preprocessing) -> Iterator[_Group]:
    """Each column of the data with the inputs that it became."""
    if not preprocessing.columns:
        yield from (_Group(name, slice(place, place + 1)) for place, name in enumerate(preprocessing.feature_names))
        return
    place = 0
    for column in preprocessing.columns:
        yield _Group(column.name, slice(place, place + len(column.inputs)))
        place += len(column.inputs)


def _regions(shape: ImageShape) -> Iterator[_Group]:
    """The regions of a grid over pictures, at most 7 x 7, whose sides differ by one pixel at most."""
    places = np.arange(math.prod(shape)).reshape(*shape[:2], -1)
    down, across = (_edges(side) for side in shape[:2])
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            region = Region(top, bottom, left, right)
            yield _Group(region.name, places[top:bottom, left:right].ravel(), region)


def _edges(side: int) -> list[int]:
    """Where the regions of a side of so many pixels begin, and its end.

    >>> _edges(8), _edges(10)
    ([0, 2, 4, 6, 8], [0, 2, 4, 6, 8, 10])
    """
    count = math.ceil(side / math.ceil(side / _MOST_REGIONS))
    return [side * place // count for place in range(count + 1)]


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
