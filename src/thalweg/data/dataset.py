"""Rows of numbers: what a source gives, what a network trains on, and the checks that both must pass."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..core.errors import InputError
from ..parts.settings import Precision
from .column_statistics import ColumnMoments
from .reading.notation import TableReading

if TYPE_CHECKING:
    import polars
    from numpy.typing import ArrayLike

Task = Literal["classification", "regression", "multilabel"]
Scale = Literal["standard", "robust", "range", "none"]
ImageShape = tuple[int, int] | tuple[int, int, int]
"""(height, width) of grey images, (height, width, channels) of others, whose channels lie next to each other."""


class Samples(NamedTuple):
    """The rows of a source, before they are split and scaled.

    Attributes:
        x: an array (n, features), or a polars frame.
        y: labels or numbers (n,), or (n, outputs); None while the targets are still a column of the frame.
        task: the task that the source is meant for; None: inferred from the targets.
        x_test: inputs of the source's own test set, (m, features).
        y_test: targets of the source's own test set.
        weight: weight of each row, (n,); None: all rows count alike.
        feature_names: names of the columns of an array.
        target_names: the classes, the outputs or the labels.
        image_shape: shape of an image where each row is one.
        scale: how the inputs are scaled by default.
        test: fraction of the rows held out for the test by default.
        notes: messages for the user about these data.
        table: how the text columns of a table were read.
    """

    x: np.ndarray | polars.DataFrame
    y: np.ndarray | None
    task: Task | None = None
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    weight: np.ndarray | None = None
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    image_shape: ImageShape | None = None
    scale: Scale = "standard"
    test: float = 0.2
    notes: tuple[str, ...] = ()
    table: TableReading | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """The rows that a network trains on: numbers only, one sample a row.

    Attributes:
        x: (n, features) numbers of the precision.
        y: class indices (n,) int32 for classification; (n, outputs) numbers of the precision for regression; (n,
            labels) of 0 and 1 for multilabel.
        task: classification, regression or multilabel.
        weight: (n,) float32; None: all rows count alike.
        target_names: the classes, the outputs or the labels.
        image_shape: shape of an image where each row is one.
        key: (n,) float64, the number of each row that the order uses (a length, a difficulty, a time), or None.
        precision: float32, or float64 for an engine that computes so.
        numbers: the columns of x that hold numbers, and not 0 and 1 of a category or a boolean; None: all columns.
        codes: the columns of x that hold numbers of categories, each with how many there are.

    Raises:
        InputError: rows, targets, weights or keys do not fit together.

    >>> data = Dataset([[0, 1], [1, 1]], [0, 1], "classification", target_names=("no", "yes"))
    >>> len(data), data.features, data.outputs, data.x.dtype.name
    (2, 2, 2, 'float32')
    """

    x: np.ndarray
    y: np.ndarray
    task: Task
    weight: np.ndarray | None = None
    target_names: tuple[str, ...] = ()
    image_shape: ImageShape | None = None
    key: np.ndarray | None = None
    precision: Precision = "float32"
    numbers: tuple[int, ...] | None = None
    codes: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        x = as_matrix(self.x)
        y = np.asarray(self.y)
        if self.task == "classification":
            if y.ndim != 1 or y.dtype.kind not in "iu":
                raise InputError("y", f"expected class indices (n,), received {y.dtype} of shape {y.shape}")
            classes = len(self.target_names) or np.inf
            _refuse(y, (y < 0) | (y >= classes), "y", f"are outside of the {classes} classes")
        else:
            if y.ndim != 2:
                raise InputError("y", f"expected shape (n, outputs) for {self.task}, received shape {y.shape}")
            check_finite(y, "y")
            if self.task == "multilabel":
                check_binary(y)
        check_lengths(x, y)
        object.__setattr__(self, "x", np.ascontiguousarray(x, self.precision))
        object.__setattr__(self, "y", np.ascontiguousarray(y, np.int32 if y.ndim == 1 else self.precision))
        if self.weight is not None:
            object.__setattr__(self, "weight", as_weight(self.weight, len(x)).astype(np.float32))
        if self.key is not None:
            object.__setattr__(self, "key", _as_key(self.key, len(x)))

    @classmethod
    def without_checks(
        cls,
        *,
        x: np.ndarray,
        y: np.ndarray,
        task: Task,
        weight: np.ndarray | None = None,
        target_names: tuple[str, ...] = (),
        image_shape: ImageShape | None = None,
        key: np.ndarray | None = None,
        numbers: tuple[int, ...] | None = None,
        codes: tuple[tuple[int, int], ...] = (),
    ) -> Dataset:
        """A data set of arrays that were checked before; they are neither checked again nor copied."""
        data = object.__new__(cls)
        fields = {"x": x, "y": y, "task": task, "weight": weight, "key": key, "precision": x.dtype.name}
        described = {"target_names": target_names, "image_shape": image_shape, "numbers": numbers, "codes": codes}
        for name, value in {**fields, **described}.items():
            object.__setattr__(data, name, value)
        return data

    def __len__(self) -> int:
        return len(self.x)

    @property
    def features(self) -> int:
        """Number of columns of x."""
        return int(self.x.shape[1])

    @property
    def outputs(self) -> int:
        """Number of classes, or of target columns."""
        if self.task == "classification":
            return len(self.target_names) or int(self.y.max()) + 1
        return int(self.y.shape[1])

    @property
    def target_variance(self) -> np.ndarray:
        """Weighted variance of each target of a regression, (outputs,)."""
        return ColumnMoments.of(self.y, self.weight).variance

    def parts(self) -> Iterator[Dataset]:
        """The rows in parts that fit into memory: here a single part."""
        yield self

    def head(self) -> Dataset:
        """The rows that are looked at to describe them: here all."""
        return self


def as_matrix(x: object, image_shape: ImageShape | None = None) -> np.ndarray:
    """`x` as an array (n, features) of finite numbers. Raises InputError if it is anything else.

    With `image_shape`, images (n, height, width) or (n, height, width, channels) are flattened to rows.

    >>> as_matrix([1.0, 2.0])
    Traceback (most recent call last):
        ...
    thalweg.core.errors.InputError: x: expected 2 dimensions (rows, features), received shape (2,); one feature: \
x.reshape(-1, 1); one row: x.reshape(1, -1)
    """
    try:
        array = np.asarray(x)
        if array.dtype.kind not in "biuf":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            "x", f"expected rows of numbers, all of one length: {error}; pass text as a table (a polars frame)"
        ) from None
    if image_shape and array.shape[1:] in (image_shape, (*image_shape, 1)):
        array = array.reshape(len(array), math.prod(image_shape))
    if array.ndim != 2:
        fix = "; one feature: x.reshape(-1, 1); one row: x.reshape(1, -1)" if array.ndim == 1 else ""
        raise InputError("x", f"expected 2 dimensions (rows, features), received shape {array.shape}{fix}")
    if not array.size:
        raise InputError("x", f"is empty: expected at least one row and one feature, received shape {array.shape}")
    check_finite(array, "x")
    return array


def image_shape_of(shape: tuple[int, ...]) -> ImageShape | None:
    """The shape of an image in an array of `shape`: (n, height, width) or (n, height, width, channels); else None.

    Raises InputError where the channels seem to come first, as PyTorch has them.

    >>> [image_shape_of(shape) for shape in ((9, 28, 28), (9, 28, 28, 1), (9, 28, 28, 3), (9, 4))]
    [(28, 28), (28, 28), (28, 28, 3), None]
    """
    if len(shape) not in (3, 4):
        return None
    height, width, channels = (*shape[1:], 1)[:3]
    if height in (1, 3) and width > 4 and channels > 4:
        raise InputError(
            "x",
            f"expected images (n, height, width, channels), received shape {shape}, whose channels seem to come first; "
            "x.transpose(0, 2, 3, 1) puts them last",
        )
    return (height, width) if channels == 1 else (height, width, channels)


def feature_names_of(features: int, names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The names of the columns of an array (n, features): `names` if given, else x0, x1, ...

    >>> feature_names_of(2)
    ('x0', 'x1')
    """
    return names or tuple(f"x{i}" for i in range(features))


def as_targets(y: ArrayLike) -> np.ndarray:
    """`y` as an array (n,) or (n, outputs) of numbers, booleans or text; a single column becomes (n,)."""
    try:
        array = np.asarray(y)
    except ValueError as error:
        raise InputError("y", f"expected labels or numbers, one for each row: {error}") from None
    if array.dtype.kind == "O":
        missing = np.array([value is None or value != value for value in array.ravel()]).reshape(array.shape)
        _refuse(array, missing, "y", "are missing; drop these rows")
        array = np.asarray(array.tolist())
    if array.dtype.kind not in "biufU":
        raise InputError("y", f"expected labels (text, integers) or numbers, received {array.dtype}")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or not array.size:
        raise InputError("y", f"expected shape (n,) or (n, outputs) with at least one row, received {array.shape}")
    check_finite(array, "y")
    return array


def as_weight(weight: ArrayLike, rows: int) -> np.ndarray:
    """`weight` as an array (n,) of numbers of at least 0, not all of them 0."""
    array = np.asarray(weight, np.float64)
    if array.shape != (rows,):
        raise InputError("weight", f"expected one number for each of the {rows} rows, received shape {array.shape}")
    check_finite(array, "weight")
    _refuse(array, array < 0, "weight", "are negative")
    check_any_weight(bool(array.any()))
    return array


def check_any_weight(any_weight: bool) -> None:
    """Raise InputError if no row has a weight above 0."""
    if not any_weight:
        raise InputError("weight", "is 0 for every row, so there is nothing to learn from; expected a positive weight")


def _as_key(key: ArrayLike, rows: int) -> np.ndarray:
    array = np.asarray(key, np.float64)
    if array.shape != (rows,):
        raise InputError("key", f"expected one number for each of the {rows} rows, received shape {array.shape}")
    _refuse(array, np.isnan(array), "key", "are NaN")
    return array


def check_lengths(x: np.ndarray | polars.DataFrame, y: np.ndarray) -> None:
    """Raise InputError if x and y have different numbers of rows."""
    if len(x) != len(y):
        raise InputError("x and y", f"expected the same number of rows, received {len(x)} in x and {len(y)} in y")


def check_finite(array: np.ndarray, subject: str) -> None:
    """Raise InputError if a number is NaN or infinite; the message counts them and names the first."""
    if array.dtype.kind == "f":
        _refuse(array, ~np.isfinite(array), subject, "are NaN or infinite; drop these rows or fill them in")


def check_binary(y: np.ndarray) -> None:
    """Raise InputError if a value is neither 0 nor 1."""
    _refuse(y, (y != 0) & (y != 1), "y", "are neither 0 nor 1, as multilabel targets must be")


def check_targets(y: np.ndarray, task: Task) -> None:
    """Raise InputError if targets, as `as_targets` returns them, do not suit the task."""
    if task == "classification":
        if y.ndim != 1:
            fix = "for one-hot rows pass y.argmax(axis=1)"
            raise InputError("y", f"expected one label for each row, received shape {y.shape}; {fix}")
    elif y.dtype.kind == "U":
        raise InputError("y", f"{task} needs numbers, received text such as {y.ravel()[0].item()!r}")
    elif task == "multilabel":
        check_binary(y)


def _refuse(array: np.ndarray, bad: np.ndarray, subject: str, fault: str) -> None:
    """Raise InputError if any value is bad: how many are, and where the first one is."""
    if bad.any():
        index = tuple(np.argwhere(bad)[0].tolist())
        place = ", ".join(f"{word} {i}" for word, i in zip(("row", "column"), index, strict=False))
        raise InputError(
            subject,
            f"{np.count_nonzero(bad)} of {array.size} values {fault}; the first is {array[index]} in {place} (from 0)",
        )
