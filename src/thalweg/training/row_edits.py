"""Changes of the rows of a training: rows or columns left out, targets moved along the rows, other sets.

A training with a change is compared with its control. Both are scored on the same held-out rows. What a change does to
held-out rows is decided on training rows alone.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.errors import InputError
from ..core.noise import generator
from ..data import Dataset, Split
from ..data.dataset import Scale
from ..data.fitting import NumberSummary, fit_scale, scale_of_targets


@dataclass(frozen=True)
class RowEdit(ABC):
    """A change of the training rows and of the held-out rows that score it.

    >>> from thalweg.data import Data
    >>> split = Data("iris", validation=0.2).load(seed=0)
    >>> len(split.train), len(WithoutRows((0, 3)).applied(split, "standard").train)
    (96, 94)
    """

    @abstractmethod
    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        """The training rows with the change."""

    def scored(self, held_out: Dataset) -> Dataset:
        """The held-out rows that score the training with the change: as they are, unless the change says otherwise."""
        return held_out

    @property
    def unchanged(self) -> RowEdit:
        """The same training rows without the change, scored on the rows that the change is scored on."""
        return AsTheyAre()

    @property
    def control(self) -> RowEdit:
        """What fresh seeds compare the change with: as many rows, without what the change claims."""
        return self.unchanged

    def applied(self, split: Split, scale: Scale | None) -> Split:
        """The split with the change, scaled again by its own training rows: scaling is affine, so that scaled rows are
        scaled again as raw rows would be.

        Args:
            split: prepared rows, in memory.
            scale: how the spec scales them; None: as their source does.

        Raises:
            InputError: the rows stream from the disk, there are no held-out rows, or no row is left.
        """
        train, held_out = split.train, split.validation
        if not isinstance(train, Dataset) or not isinstance(held_out, Dataset):
            raise InputError("rows", "only a training with training and validation rows in memory can have other rows")
        kept, scored = self.training(train, held_out), self.scored(held_out)
        known = split.preprocessing
        is_scaled = any(known.shift) or any(span != 1 for span in known.span)
        scale = scale or ("standard" if is_scaled else "none")
        inputs = _scaling(kept.x, scale) if kept.image_shape is None else _SAME
        target_scale = scale_of_targets(kept.task, scale)
        numbers = target_scale != "none"
        targets = _scaling(kept.y, target_scale) if numbers else _SAME
        kept, scored = (
            dataclasses.replace(rows, x=inputs(rows.x), y=targets(rows.y) if numbers else rows.y)
            for rows in (kept, scored)
        )
        return dataclasses.replace(split, train=kept, validation=scored)


@dataclass(frozen=True)
class AsTheyAre(RowEdit):
    """No change."""

    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        return train


@dataclass(frozen=True)
class ScoredLike(RowEdit):
    """The training rows as they are, scored on the held-out rows that score another change."""

    change: RowEdit

    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        return train

    def scored(self, held_out: Dataset) -> Dataset:
        return self.change.scored(held_out)


@dataclass(frozen=True)
class WithoutRows(RowEdit):
    """Training rows left out. Held-out rows stay as they are: none is chosen by what the change claims.

    The control leaves out as many rows with the same labels at random, so that neither the number of the rows nor how
    often a class occurs explains a gain.
    """

    rows: tuple[int, ...]
    """Numbers of the training rows, from 0."""

    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        return taken(train, np.delete(np.arange(len(train)), self.rows))

    @property
    def control(self) -> RowEdit:
        return WithoutAsMany(self)


@dataclass(frozen=True)
class WithoutAsMany(RowEdit):
    """As many training rows of each class left out as by another change, at random."""

    change: WithoutRows

    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        labels = train.y if train.task == "classification" else np.zeros(len(train), int)
        counts = np.bincount(labels[list(self.change.rows)], minlength=int(labels.max()) + 1)
        rng = generator(0, "row changes", "control")
        drawn = [rng.permutation(np.flatnonzero(labels == label))[:count] for label, count in enumerate(counts)]
        return taken(train, np.delete(np.arange(len(train)), np.concatenate(drawn)))


@dataclass(frozen=True)
class WithoutTarget(RowEdit):
    """Rows with one value of a target left out, in the training rows and in the rows that score.

    Where the inputs do not tell which rows have the value, the others are a fair sample of all rows.
    """

    output: int
    """Number of the target column."""
    value: float
    """The value, in the unit of the prepared rows."""

    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        return self.scored(train)

    def scored(self, held_out: Dataset) -> Dataset:
        return taken(held_out, np.flatnonzero(held_out.y[:, self.output] != held_out.y.dtype.type(self.value)))

    @property
    def unchanged(self) -> RowEdit:
        return ScoredLike(self)


@dataclass(frozen=True)
class MovedTargets(RowEdit):
    """Row i with the target of row i + by, in the training rows and in the rows that score; ends are left out.

    Rows that are in step by chance alone score nothing after the move, so that it cannot gain without being right.
    """

    by: int

    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        return self.scored(train)

    def scored(self, held_out: Dataset) -> Dataset:
        n = len(held_out)
        rows = np.arange(max(0, -self.by), min(n, n - self.by))
        moved = taken(held_out, rows)
        return dataclasses.replace(moved, y=held_out.y[rows + self.by])

    @property
    def unchanged(self) -> RowEdit:
        return ScoredLike(self)


@dataclass(frozen=True)
class WithoutColumns(RowEdit):
    """Input columns left out; the rows that score are the same."""

    columns: tuple[int, ...]

    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        return self.scored(train)

    def scored(self, held_out: Dataset) -> Dataset:
        return dataclasses.replace(held_out, x=np.delete(held_out.x, self.columns, axis=1), image_shape=None)


class FilledCell(NamedTuple):
    """A value that stands for a missing one in an input column, and what takes its place."""

    column: int
    value: float
    """The value, in the unit of the prepared rows."""
    instead: float
    """The mean of the other values, in the same unit."""


@dataclass(frozen=True)
class MarkedCells(RowEdit):
    """Values that stand for missing ones replaced by the mean of the others, with a column each that is 1 where they
    were; the rows that score are the same."""

    cells: tuple[FilledCell, ...]

    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        return self.scored(train)

    def scored(self, held_out: Dataset) -> Dataset:
        x = held_out.x.copy()
        marks = np.stack([x[:, cell.column] == x.dtype.type(cell.value) for cell in self.cells], axis=1)
        for cell, mark in zip(self.cells, marks.T, strict=True):
            x[mark, cell.column] = cell.instead
        return dataclasses.replace(held_out, x=np.hstack([x, marks.astype(x.dtype)]), image_shape=None)


@dataclass(frozen=True)
class RankedCells(RowEdit):
    """Each input replaced by its rank among the training rows, in the rows that score too: x -> the part of the
    training rows with smaller values, interpolated between quantiles.

    The order of the values stays: trees, which use nothing else of them, learn the same.
    """

    quantiles: tuple[tuple[float, ...], ...]
    """Evenly spaced quantiles of each column of the training rows, from its smallest value to its largest."""

    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        return self.scored(train)

    def scored(self, held_out: Dataset) -> Dataset:
        columns = zip(held_out.x.T, self.quantiles, strict=True)
        ranks = [np.interp(values, knots, np.linspace(0, 1, len(knots))) for values, knots in columns]
        return dataclasses.replace(held_out, x=np.stack(ranks, axis=1).astype(held_out.x.dtype))


@dataclass(frozen=True)
class MoreRows(RowEdit):
    """The held-out rows but each fourth train too; each fourth scores."""

    every: int = 4

    def training(self, train: Dataset, held_out: Dataset) -> Dataset:
        more = taken(held_out, np.flatnonzero(np.arange(len(held_out)) % self.every))
        return dataclasses.replace(
            train,
            x=np.concatenate([train.x, more.x]),
            y=np.concatenate([train.y, more.y]),
            weight=_joined(train.weight, more.weight),
            key=_joined(train.key, more.key),
        )

    def scored(self, held_out: Dataset) -> Dataset:
        return taken(held_out, np.arange(0, len(held_out), self.every))

    @property
    def unchanged(self) -> RowEdit:
        return ScoredLike(self)


def taken(data: Dataset, rows: np.ndarray) -> Dataset:
    """The data set with these of its rows, by their numbers."""
    weight, key = (None if values is None else values[rows] for values in (data.weight, data.key))
    return dataclasses.replace(data, x=data.x[rows], y=data.y[rows], weight=weight, key=key)


def _joined(values: np.ndarray | None, more: np.ndarray | None) -> np.ndarray | None:
    return None if values is None or more is None else np.concatenate([values, more])


@dataclass(frozen=True, eq=False)
class _Affine:
    """(values - shift) / span, for each column."""

    shift: np.ndarray | float
    span: np.ndarray | float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return np.asarray((values - self.shift) / self.span)


_SAME = _Affine(0.0, 1.0)


def _scaling(values: np.ndarray, scale: Scale) -> _Affine:
    """The scaling of columns (n, columns) that a data set of these rows has."""
    return _Affine(*fit_scale(NumberSummary.of(values, scale), scale))
