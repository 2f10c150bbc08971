"""The order in which an epoch meets the training rows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, PlainValidator

from ..core.errors import InputError, nearest
from ..core.noise import generator
from ..parts.part import Count, Part
from .dataset import Dataset, Task, feature_names_of
from .tables import Column, as_frame, check_columns, is_frame

if TYPE_CHECKING:
    import polars

Share = Annotated[float, Field(gt=0, le=1, strict=True)]


class KeyFunction(str):
    """A Python function f(x, y) -> (n,) of the rows as the source gives them; as a word it is its name: `length()`."""

    values: Callable[[Any, np.ndarray], Any]

    def __new__(cls, values: Callable[[Any, np.ndarray], Any]) -> KeyFunction:
        """Keep the function beside its name."""
        word = super().__new__(cls, f"{getattr(values, '__name__', type(values).__name__)}()")
        word.values = values
        return word

    def __reduce__(self) -> tuple[type[KeyFunction], tuple[Callable[[Any, np.ndarray], Any]]]:
        """How it goes from one process to another: as the function, whose name it takes again."""
        return type(self), (self.values,)


def _column_or_function(value: Any) -> str:
    if isinstance(value, KeyFunction):
        return value
    if callable(value):
        return KeyFunction(value)
    if not isinstance(value, str) or not value:
        raise InputError("", f"expected the name of a column or a function f(x, y), received {value!r}")
    return value


By = Annotated[str | Callable[[Any, np.ndarray], Any], PlainValidator(_column_or_function)]
"""The name of a column, or in Python a function f(x, y) -> (n,) of the rows as the source gives them."""


class EpochIndex(NamedTuple):
    """Which epoch of which training an order is asked for; `epoch` counts from 0, up to `epochs`.

    `part` is the place among the parts of an epoch, where rows are streamed; 0 where all are in memory.
    """

    seed: int
    epoch: int
    epochs: int
    batch_size: int
    part: int = 0

    def generator(self, *purpose: str) -> np.random.Generator:
        """The random numbers of this turn, and of nothing else."""
        return generator(self.seed, "order", *((self.epoch, self.part) if self.part else (self.epoch,)), *purpose)


class Order(Part, ABC, family="order"):
    """Which training rows an epoch meets, and in which order: a function of the seed and the epoch alone.

    >>> from thalweg.data import Order
    >>> data = Dataset([[0.0], [1.0], [2.0], [3.0]], np.array([0, 0, 1, 1]), "classification")
    >>> Order.of("stratified").rows(EpochIndex(seed=0, epoch=0, epochs=20, batch_size=2), data).tolist()
    [2, 1, 0, 3]
    """

    in_time: ClassVar[bool] = False
    """Whether the rows are a sequence in time, which nothing may shuffle."""
    needs_classes: ClassVar[bool] = False
    """Whether it looks at the classes of the rows."""

    def check(self, task: Task) -> None:
        """Raise InputError where the task has not what the order looks at."""
        if self.needs_classes and task != "classification":
            raise InputError("order", f"{self.kind} needs classes, and the task is {task}; choose order = 'shuffled'")

    @abstractmethod
    def rows(self, turn: EpochIndex, data: Dataset) -> np.ndarray:
        """Indices (n,) into the rows of `data`; as many as it has, so that every epoch has as many updates."""

    def key(self, x: np.ndarray | polars.DataFrame, y: np.ndarray, names: tuple[str, ...] = ()) -> np.ndarray | None:
        """What the order looks at, (n,) float64, from rows as the source gives them; None if it looks at nothing."""
        return None


@dataclass(frozen=True)
class Shuffled(Order, kind="shuffled"):
    """Every row once, shuffled anew for each epoch.

    >>> Shuffled().rows(EpochIndex(0, 0, 20, 2), Dataset(np.zeros((4, 1)), np.zeros((4, 1)), "regression")).tolist()
    [1, 0, 2, 3]
    """

    def rows(self, turn: EpochIndex, data: Dataset) -> np.ndarray:
        return turn.generator().permutation(len(data))


@dataclass(frozen=True)
class Fixed(Order, kind="fixed"):
    """Every row once, shuffled once: the same order in each epoch.

    >>> data = Dataset(np.zeros((4, 1)), np.zeros((4, 1)), "regression")
    >>> [Fixed().rows(EpochIndex(0, epoch, 20, 2), data).tolist() for epoch in (0, 1)]
    [[1, 0, 2, 3], [1, 0, 2, 3]]
    """

    def rows(self, turn: EpochIndex, data: Dataset) -> np.ndarray:
        return turn._replace(epoch=0).generator().permutation(len(data))


class KeyedOrder(Order):
    """An order that looks at a number of each row: that of the column `by`, or what the function `by` gives."""

    by: By | None

    def key(self, x: np.ndarray | polars.DataFrame, y: np.ndarray, names: tuple[str, ...] = ()) -> np.ndarray | None:
        """The numbers (n,) float64. Raises InputError for an unknown column, text, and missing values."""
        if self.by is None:
            return None
        if str(self.by).endswith("()") and not isinstance(self.by, KeyFunction):
            raise InputError(
                "order",
                f"by = {self.by} was a Python function, and a spec does not hold it; give the function anew in Python, "
                "or write its values into a column of the table and name that column",
            )
        values = (
            _function_values(self.by, x, y) if isinstance(self.by, KeyFunction) else _column(str(self.by), x, names)
        )
        missing = np.isnan(values)
        if missing.any():
            raise InputError(
                "order",
                f"by = {self.by!r} is missing or NaN in {np.count_nonzero(missing)} of {len(values)} rows, the first "
                f"is row {int(np.argmax(missing))} (from 0); fill in these cells or drop these rows",
            )
        return values

    def keys_of(self, data: Dataset) -> np.ndarray:
        """The numbers of these rows. Raises InputError if they were loaded without."""
        if data.key is None:
            raise InputError(
                "order", f"{self.kind} by {self.by!r} needs a number of each row; give Dataset(..., key=...)"
            )
        return data.key


def _function_values(by: KeyFunction, x: Any, y: np.ndarray) -> np.ndarray:
    values = np.asarray(by.values(x, y))
    if values.shape != (len(y),) or values.dtype.kind not in "biuf":
        raise InputError(
            "order",
            f"by = {by}: expected one number for each of the {len(y)} rows, received {values.dtype} of shape "
            f"{values.shape}",
        )
    return values.astype(np.float64)


def _column(name: str, x: np.ndarray | polars.DataFrame, names: tuple[str, ...]) -> np.ndarray:
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
    """Every row once, in time: as they come, or by the times in the column `by`; nothing is shuffled.

    >>> data = Dataset(np.zeros((4, 1)), np.zeros((4, 1)), "regression", key=[2.0, 0.0, 3.0, 1.0])
    >>> epoch = EpochIndex(0, 0, 20, 2)
    >>> InTime().rows(epoch, data).tolist(), InTime(by="day").rows(epoch, data).tolist()
    ([0, 1, 2, 3], [1, 3, 0, 2])
    """

    by: By | None = None
    in_time: ClassVar[bool] = True

    def rows(self, turn: EpochIndex, data: Dataset) -> np.ndarray:
        return np.arange(len(data)) if self.by is None else np.argsort(self.keys_of(data), kind="stable")


@dataclass(frozen=True)
class Stratified(Order, kind="stratified"):
    """Every row once, each batch with the classes' shares of the whole, as nearly as whole numbers allow.

    Of a class with a share p of the rows, a batch of B rows holds p B, rounded down or up. Which rows those are, and
    which batches are rounded up, changes from epoch to epoch. Raises InputError if the targets are no classes.

    Source: systematic sampling, Madow & Madow 1944, "On the Theory of Systematic Sampling, I".

    >>> data = Dataset(np.zeros((9, 1)), np.array([0, 0, 0, 1, 1, 1, 1, 1, 1]), "classification")
    >>> data.y[Stratified().rows(EpochIndex(0, 0, 20, 3), data)].reshape(3, 3).sum(axis=1).tolist()
    [2, 2, 2]
    """

    needs_classes: ClassVar[bool] = True

    def rows(self, turn: EpochIndex, data: Dataset) -> np.ndarray:
        rng = turn.generator()
        return _dealt(np.concatenate([rng.permutation(rows) for rows in _classes(self, data)]), turn.batch_size, rng)


@dataclass(frozen=True)
class Balanced(Order, kind="balanced"):
    """All classes equally often, in the epoch and in each batch; rows of small classes come several times.

    Of n draws and K classes, each class has n/K, rounded down or up. No row comes a further time before all of its
    class have come; large classes show other rows in each epoch. Raises InputError if the targets are no classes.

    >>> data = Dataset(np.zeros((9, 1)), np.array([0, 1, 1, 1, 1, 1, 1, 1, 1]), "classification")
    >>> data.y[Balanced().rows(EpochIndex(0, 0, 20, 4), data)].tolist()
    [1, 0, 1, 0, 0, 1, 1, 0, 1]
    """

    needs_classes: ClassVar[bool] = True

    def rows(self, turn: EpochIndex, data: Dataset) -> np.ndarray:
        rng = turn.generator()
        classes = _classes(self, data)
        # The classes stand in random order, so that not always the same ones have the draw that is left over.
        groups = [classes[i] for i in rng.permutation(len(classes))]
        sizes = np.diff(np.arange(len(groups) + 1) * len(data) // len(groups))
        drawn = [_repeated(group, int(size), rng) for group, size in zip(groups, sizes, strict=True)]
        return _dealt(np.concatenate(drawn), turn.batch_size, rng)


@dataclass(frozen=True)
class Buckets(KeyedOrder, kind="buckets"):
    """Every row once, each batch of rows of like length; the batches come in random order.

    by: the column that holds the length. The rows are sorted by it and cut into batches. Before the cut each is moved
    up by a random part of half a batch, so that batches do not hold the same rows in every epoch.

    Source: Khomenko et al. 2016, "Accelerating recurrent neural network training using sequence bucketing".

    >>> data = Dataset(np.zeros((6, 1)), np.zeros((6, 1)), "regression", key=[1.0, 9.0, 2.0, 8.0, 1.0, 9.0])
    >>> data.key[Buckets(by="length").rows(EpochIndex(0, 0, 20, 3), data)].tolist()
    [2.0, 1.0, 1.0, 9.0, 8.0, 9.0]
    """

    by: By

    def rows(self, turn: EpochIndex, data: Dataset) -> np.ndarray:
        rng = turn.generator()
        size, n = turn.batch_size, len(data)
        places = np.empty(n)
        places[_sorted(self.keys_of(data), rng)] = np.arange(n) + rng.uniform(0, size / 2, n)
        rows = np.argsort(places)
        # The short batch is cut out of the sorted rows at a random batch, else it always held the longest.
        start, short = int(rng.integers(n // size + 1)) * size, n % size
        others = np.concatenate([rows[:start], rows[start + short :]])
        return _joined(others.reshape(-1, size), rows[start : start + short], rng)


@dataclass(frozen=True)
class Curriculum(KeyedOrder, kind="curriculum"):
    """From easy to hard: the epochs are parted into stages, and each stage draws from more of the rows, up to all.

    by: the column that holds the difficulty. Stage s of S (from 0) draws from the easiest share
    start + (1 - start) s / (S - 1); its rows are shuffled, and repeated as often as fills the epoch. Fewer epochs than
    stages make as many stages as epochs.

    Source: Bengio et al. 2009, "Curriculum Learning".

    >>> data = Dataset(np.zeros((4, 1)), np.zeros((4, 1)), "regression", key=[4.0, 3.0, 2.0, 1.0])
    >>> [Curriculum(by="noise").rows(EpochIndex(0, epoch, 4, 2), data).tolist() for epoch in range(4)]
    [[3, 3, 3, 3], [2, 3, 2, 3], [1, 3, 2, 1], [2, 1, 3, 0]]
    """

    by: By
    stages: Count = 4
    start: Share = 0.25

    def rows(self, turn: EpochIndex, data: Dataset) -> np.ndarray:
        stages = min(self.stages, turn.epochs)
        later = stages - 1 - turn.epoch * stages // turn.epochs
        share = 1 - (1 - self.start) * later / max(stages - 1, 1)
        # Rows of one difficulty are let in at random, and the same ones in every epoch.
        easiest = _sorted(self.keys_of(data), turn._replace(epoch=0).generator("ties"))
        return _repeated(easiest[: math.ceil(share * len(data))], len(data), turn.generator())


def _classes(order: Order, data: Dataset) -> list[np.ndarray]:
    """The rows of each class."""
    order.check(data.task)
    rows = np.argsort(data.y, kind="stable")
    return np.split(rows, np.flatnonzero(np.diff(data.y[rows])) + 1)


def _repeated(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the rows, shuffled; none comes a further time before all have come."""
    return np.concatenate([rng.permutation(rows) for _ in range(-(-count // len(rows)))])[:count]


def _sorted(key: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rows by their key, equal ones in random order."""
    return np.lexsort((rng.random(len(key)), key))


def _dealt(deck: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A deck that is sorted by class, dealt out to batches, so that each has its share of every class, +-1.

    The short batch takes every (n / short)-th card; the others are dealt in turn.
    """
    short = len(deck) % size
    taken = (np.arange(short) * len(deck) + rng.integers(len(deck))) // max(short, 1)
    others = np.delete(deck, taken)
    return _joined(others.reshape(size, -1).T, deck[taken], rng)


def _joined(batches: np.ndarray, short: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The batches (number, size) in random order, each shuffled; the short one last, as batches are cut in sequence."""
    return np.concatenate([rng.permuted(rng.permutation(batches), axis=1).ravel(), rng.permutation(short)])
