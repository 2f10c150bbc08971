"""The order in which an epoch visits the training rows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, PlainValidator

from ..core.errors import InputError, nearest
from ..core.noise import generator
from ..parts.part import Count, Part
from .dataset import Dataset, Task, feature_names_of
from .tables import Column, as_frame, check_columns, is_frame

if TYPE_CHECKING:
    import polars

PositiveFraction = Annotated[float, Field(gt=0, le=1, strict=True)]

KeyCallable: TypeAlias = Callable[[Any, np.ndarray], ArrayLike]
"""A Python function f(x, y) -> (n,) of the rows as the source gives them: x an array or a polars frame."""


class KeyFunction(str):
    """A Python function f(x, y) -> (n,) of the rows as the source gives them; as text it is its name: `length()`."""

    function: KeyCallable

    def __new__(cls, function: KeyCallable) -> KeyFunction:
        """Store the function with its name."""
        name = super().__new__(cls, f"{getattr(function, '__name__', type(function).__name__)}()")
        name.function = function
        return name

    def __reduce__(self) -> tuple[type[KeyFunction], tuple[KeyCallable]]:
        """Another process receives the function, and derives the name from it again."""
        return type(self), (self.function,)


def _column_or_function(value: object) -> str:
    if isinstance(value, KeyFunction):
        return value
    if callable(value):
        return KeyFunction(value)
    if not isinstance(value, str) or not value:
        raise InputError("", f"expected the name of a column or a function f(x, y), received {value!r}")
    return value


By = Annotated[str | KeyCallable, PlainValidator(_column_or_function)]
"""The name of a column, or in Python a function f(x, y) -> (n,) of the rows as the source gives them."""


class EpochIndex(NamedTuple):
    """The epoch that an order is asked for.

    Attributes:
        seed: seed of the training.
        epoch: number of the epoch, from 0.
        epochs: number of epochs of the training.
        batch_size: rows of a batch.
        part: number of the part of the epoch where rows are streamed; 0 where all rows are in memory.
    """

    seed: int
    epoch: int
    epochs: int
    batch_size: int
    part: int = 0

    def generator(self, *purpose: str) -> np.random.Generator:
        """Random numbers for this epoch and part, independent of all others."""
        place = (self.epoch, self.part) if self.part else (self.epoch,)
        return generator(self.seed, "order", *place, *purpose)


class Order(Part, ABC, family="order"):
    """Which training rows an epoch visits, and in which order: a function of the seed and the epoch alone.

    >>> from thalweg.data import Order
    >>> data = Dataset([[0.0], [1.0], [2.0], [3.0]], np.array([0, 0, 1, 1]), "classification")
    >>> Order.of("stratified").rows(EpochIndex(seed=0, epoch=0, epochs=20, batch_size=2), data).tolist()
    [2, 1, 0, 3]
    """

    in_time: ClassVar[bool] = False
    """Whether the rows are a sequence in time that must not be shuffled."""
    same_each_epoch: ClassVar[bool] = False
    """Whether every epoch has the same order."""
    needs_classes: ClassVar[bool] = False
    """Whether the order depends on the classes of the rows."""

    def check(self, task: Task) -> None:
        """Raise InputError if the order needs classes and the task has none."""
        if self.needs_classes and task != "classification":
            raise InputError("order", f"{self.kind} needs classes, but the task is {task}; choose order = 'shuffled'")

    @abstractmethod
    def rows(self, epoch_index: EpochIndex, data: Dataset) -> np.ndarray:
        """Indices (n,) into the n rows of `data`; always n, so that every epoch has the same number of updates."""

    def key(self, x: np.ndarray | polars.DataFrame, y: np.ndarray, names: tuple[str, ...] = ()) -> np.ndarray | None:
        """The number of each row that the order uses, (n,) float64, from rows as the source gives them; None: none."""
        return None


@dataclass(frozen=True)
class Shuffled(Order, kind="shuffled"):
    """Every row once, shuffled anew for each epoch.

    >>> Shuffled().rows(EpochIndex(0, 0, 20, 2), Dataset(np.zeros((4, 1)), np.zeros((4, 1)), "regression")).tolist()
    [1, 0, 2, 3]
    """

    def rows(self, epoch_index: EpochIndex, data: Dataset) -> np.ndarray:
        return epoch_index.generator().permutation(len(data))


@dataclass(frozen=True)
class Fixed(Order, kind="fixed"):
    """Every row once, shuffled once: the same order in each epoch.

    >>> data = Dataset(np.zeros((4, 1)), np.zeros((4, 1)), "regression")
    >>> [Fixed().rows(EpochIndex(0, epoch, 20, 2), data).tolist() for epoch in (0, 1)]
    [[1, 0, 2, 3], [1, 0, 2, 3]]
    """

    same_each_epoch: ClassVar[bool] = True

    def rows(self, epoch_index: EpochIndex, data: Dataset) -> np.ndarray:
        return epoch_index._replace(epoch=0).generator().permutation(len(data))


class KeyedOrder(Order):
    """An order that uses a number of each row: the value of the column `by`, or of the function `by`."""

    by: By | None

    def key(self, x: np.ndarray | polars.DataFrame, y: np.ndarray, names: tuple[str, ...] = ()) -> np.ndarray | None:
        """The numbers (n,) float64. Raises InputError for an unknown column, text, and missing values."""
        if self.by is None:
            return None
        if str(self.by).endswith("()") and not isinstance(self.by, KeyFunction):
            raise InputError(
                "order",
                f"by = {self.by} is a Python function, which a spec cannot store; pass the function again in Python, "
                "or write its values into a column of the table and name that column",
            )
        values = (
            _function_values(self.by, x, y)
            if isinstance(self.by, KeyFunction)
            else _column_values(str(self.by), x, names)
        )
        missing = np.isnan(values)
        if missing.any():
            raise InputError(
                "order",
                f"by = {self.by!r} is missing or NaN in {np.count_nonzero(missing)} of {len(values)} rows; the first "
                f"is row {int(np.argmax(missing))} (from 0); fill in these cells or drop these rows",
            )
        return values

    def keys_of(self, data: Dataset) -> np.ndarray:
        """The numbers of these rows. Raises InputError if the data set has none."""
        if data.key is None:
            raise InputError(
                "order", f"{self.kind} by {self.by!r} needs a number for each row; pass Dataset(..., key=...)"
            )
        return data.key


def _function_values(by: KeyFunction, x: np.ndarray | polars.DataFrame, y: np.ndarray) -> np.ndarray:
    values = np.asarray(by.function(x, y))
    if values.shape != (len(y),) or values.dtype.kind not in "biuf":
        raise InputError(
            "order",
            f"by = {by}: expected one number for each of the {len(y)} rows, received {values.dtype} of shape "
            f"{values.shape}",
        )
    return values.astype(np.float64)


def _column_values(name: str, x: np.ndarray | polars.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    if is_frame(x):
        frame = as_frame(x)
        check_columns(frame, (name,))
        series = frame[name]
        return Column(name, "time" if series.dtype.is_temporal() else "number", fill=np.nan).encode(series)[:, 0]
    names = feature_names_of(np.shape(x)[1], names)
    if name not in names:
        raise InputError("order", f"column {name!r} is missing; {nearest(name, names)}")
    return np.asarray(x)[:, names.index(name)].astype(np.float64)


@dataclass(frozen=True)
class InTime(KeyedOrder, kind="time"):
    """Every row once, in the order of time: as in the file, or sorted by the column `by`; nothing is shuffled.

    >>> data = Dataset(np.zeros((4, 1)), np.zeros((4, 1)), "regression", key=[2.0, 0.0, 3.0, 1.0])
    >>> epoch = EpochIndex(0, 0, 20, 2)
    >>> InTime().rows(epoch, data).tolist(), InTime(by="day").rows(epoch, data).tolist()
    ([0, 1, 2, 3], [1, 3, 0, 2])
    """

    by: By | None = None
    in_time: ClassVar[bool] = True

    def rows(self, epoch_index: EpochIndex, data: Dataset) -> np.ndarray:
        return np.arange(len(data)) if self.by is None else np.argsort(self.keys_of(data), kind="stable")


@dataclass(frozen=True)
class Stratified(Order, kind="stratified"):
    """Every row once; each batch has the class proportions of all rows, as nearly as whole numbers allow.

    Of a class with a fraction p of the rows, a batch of B rows holds p B, rounded down or up. Which rows those are, and
    which batches are rounded up, changes from epoch to epoch. Raises InputError if the targets are not classes.

    Source: systematic sampling, Madow & Madow 1944, "On the Theory of Systematic Sampling, I".

    >>> data = Dataset(np.zeros((9, 1)), np.array([0, 0, 0, 1, 1, 1, 1, 1, 1]), "classification")
    >>> data.y[Stratified().rows(EpochIndex(0, 0, 20, 3), data)].reshape(3, 3).sum(axis=1).tolist()
    [2, 2, 2]
    """

    needs_classes: ClassVar[bool] = True

    def rows(self, epoch_index: EpochIndex, data: Dataset) -> np.ndarray:
        rng = epoch_index.generator()
        by_class = np.concatenate([rng.permutation(rows) for rows in _classes(self, data)])
        return _stratified(by_class, epoch_index.batch_size, rng)


@dataclass(frozen=True)
class Balanced(Order, kind="balanced"):
    """All classes equally often, in the epoch and in each batch; rows of small classes are repeated.

    Of n draws and K classes, each class has n/K, rounded down or up. No row is repeated before all rows of its class
    have been drawn; large classes have different rows in each epoch. Raises InputError if the targets are not classes.

    >>> data = Dataset(np.zeros((9, 1)), np.array([0, 1, 1, 1, 1, 1, 1, 1, 1]), "classification")
    >>> data.y[Balanced().rows(EpochIndex(0, 0, 20, 4), data)].tolist()
    [1, 0, 1, 0, 0, 1, 1, 0, 1]
    """

    needs_classes: ClassVar[bool] = True

    def rows(self, epoch_index: EpochIndex, data: Dataset) -> np.ndarray:
        rng = epoch_index.generator()
        classes = _classes(self, data)
        # The classes are in random order, so that the draws left over do not always go to the same ones.
        groups = [classes[i] for i in rng.permutation(len(classes))]
        sizes = np.diff(np.arange(len(groups) + 1) * len(data) // len(groups))
        drawn = [_repeated(group, int(size), rng) for group, size in zip(groups, sizes, strict=True)]
        return _stratified(np.concatenate(drawn), epoch_index.batch_size, rng)


@dataclass(frozen=True)
class Buckets(KeyedOrder, kind="buckets"):
    """Every row once; each batch has rows of similar length, and the batches are in random order.

    `by` is the column that holds the length. The rows are sorted by it and cut into batches. Before the cut each row is
    moved by up to half a batch at random, so that batches do not hold the same rows in every epoch.

    Source: Khomenko et al. 2016, "Accelerating recurrent neural network training using sequence bucketing".

    >>> data = Dataset(np.zeros((6, 1)), np.zeros((6, 1)), "regression", key=[1.0, 9.0, 2.0, 8.0, 1.0, 9.0])
    >>> data.key[Buckets(by="length").rows(EpochIndex(0, 0, 20, 3), data)].tolist()
    [2.0, 1.0, 1.0, 9.0, 8.0, 9.0]
    """

    by: By

    def rows(self, epoch_index: EpochIndex, data: Dataset) -> np.ndarray:
        rng = epoch_index.generator()
        size = epoch_index.batch_size
        n = len(data)
        places = np.empty(n)
        places[_sorted(self.keys_of(data), rng)] = np.arange(n) + rng.uniform(0, size / 2, n)
        rows = np.argsort(places)
        # The short batch is cut out at a random place of the sorted rows, or it would always hold the longest ones.
        start = int(rng.integers(n // size + 1)) * size
        short = n % size
        others = np.concatenate([rows[:start], rows[start + short :]])
        return _joined(others.reshape(-1, size), rows[start : start + short], rng)


@dataclass(frozen=True)
class Curriculum(KeyedOrder, kind="curriculum"):
    """From easy to hard: the epochs are divided into stages, and each stage draws from more of the rows, up to all.

    `by` is the column that holds the difficulty. Stage s of S (from 0) draws from the easiest fraction
    start + (1 - start) s / (S - 1) of the rows, which are shuffled and repeated until they fill the epoch. With fewer
    epochs than stages there is one stage for each epoch.

    Source: Bengio et al. 2009, "Curriculum Learning".

    >>> data = Dataset(np.zeros((4, 1)), np.zeros((4, 1)), "regression", key=[4.0, 3.0, 2.0, 1.0])
    >>> [Curriculum(by="noise").rows(EpochIndex(0, epoch, 4, 2), data).tolist() for epoch in range(4)]
    [[3, 3, 3, 3], [2, 3, 2, 3], [1, 3, 2, 1], [2, 1, 3, 0]]
    """

    by: By
    stages: Count = 4
    start: PositiveFraction = 0.25

    def rows(self, epoch_index: EpochIndex, data: Dataset) -> np.ndarray:
        stages = min(self.stages, epoch_index.epochs)
        stage = epoch_index.epoch * stages // epoch_index.epochs
        first = math.ceil(self.start * len(data)) if stages > 1 else len(data)
        # Whole numbers, rounded up: a fraction of 0.5 is rounded to a little more, and would admit a row more.
        admitted = first - (first - len(data)) * stage // max(stages - 1, 1)
        # Rows of equal difficulty are admitted at random, and the same ones in every epoch.
        easiest = _sorted(self.keys_of(data), epoch_index._replace(epoch=0).generator("ties"))
        return _repeated(easiest[:admitted], len(data), epoch_index.generator())


def _classes(order: Order, data: Dataset) -> list[np.ndarray]:
    """The rows of each class."""
    order.check(data.task)
    rows = np.argsort(data.y, kind="stable")
    return np.split(rows, np.flatnonzero(np.diff(data.y[rows])) + 1)


def _repeated(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the rows, shuffled; no row is repeated before all have been drawn."""
    return np.concatenate([rng.permutation(rows) for _ in range(-(-count // len(rows)))])[:count]


def _sorted(key: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rows sorted by their key, equal ones in random order."""
    return np.lexsort((rng.random(len(key)), key))


def _stratified(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Rows that are sorted by class, distributed so that each batch has its proportion of every class, +-1.

    The short batch takes every (n / short)-th row; the others are dealt to the batches in turn.
    """
    short = len(rows) % size
    taken = (np.arange(short) * len(rows) + rng.integers(len(rows))) // max(short, 1)
    others = np.delete(rows, taken)
    return _joined(others.reshape(size, -1).T, rows[taken], rng)


def _joined(batches: np.ndarray, short: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The batches (batches, size) in random order, each shuffled; then the short batch, shuffled."""
    return np.concatenate([rng.permuted(rng.permutation(batches), axis=1).ravel(), rng.permutation(short)])
