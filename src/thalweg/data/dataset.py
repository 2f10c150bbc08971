"""Rows of numbers: what a source gives, what a network trains on, and what makes such rows unfit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..core.errors import InputError
from .column_statistics import ColumnMoments

if TYPE_CHECKING:
    import polars

Task = Literal["classification", "regression", "multilabel"]
Scale = Literal["standard", "range", "none"]


class Samples(NamedTuple):
    """The rows of a source as they came, before they are split and scaled.

    x: an array (n, features) or a polars frame; y: an array (n,) of labels or numbers, or (n, outputs); None while it
    is still a column of the frame. `x_test` and `y_test` are the source's own test rows, where it has such. `scale` and
    `test` are the source's own habits: how its inputs are scaled, and the share of its rows held out for the test.
    """

    x: np.ndarray | polars.DataFrame
    y: np.ndarray | None
    task: Task | None = None
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    weight: np.ndarray | None = None
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None
    scale: Scale = "standard"
    test: float = 0.2
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a network trains on: numbers only, one row a sample.

    x: (n, features) float32. y: class indices (n,) int32 for classification; (n, outputs) float32 for regression;
    (n, labels) float32 of 0 and 1 for multilabel. weight: (n,) float32, or None for rows that count alike.
    target_names: the classes, the outputs or the labels. image_shape: (height, width) where rows are pictures.
    key: (n,) float64, what the order of the rows looks at (a length, a difficulty, a time), or None.
    Raises InputError for rows that do not fit together.

    >>> data = Dataset([[0, 1], [1, 1]], [0, 1], "classification", target_names=("no", "yes"))
    >>> len(data), data.features, data.outputs, data.x.dtype.name
    (2, 2, 2, 'float32')
    """

    x: np.ndarray
    y: np.ndarray
    task: Task
    weight: np.ndarray | None = None
    target_names: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None
    key: np.ndarray | None = None

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
                raise InputError("y", f"expected (n, outputs) for {self.task}, received shape {y.shape}")
            check_finite(y, "y")
            if self.task == "multilabel":
                check_binary(y)
        check_lengths(x, y)
        object.__setattr__(self, "x", np.ascontiguousarray(x, np.float32))
        object.__setattr__(self, "y", np.ascontiguousarray(y, np.int32 if y.ndim == 1 else np.float32))
        if self.weight is not None:
            object.__setattr__(self, "weight", as_weight(self.weight, len(x)).astype(np.float32))
        if self.key is not None:
            object.__setattr__(self, "key", _as_key(self.key, len(x)))

    @classmethod
    def without_checks(cls, **fields: Any) -> Dataset:
        """Rows that were checked when they were written to a disk, and are not looked at again: all of its fields."""
        data = object.__new__(cls)
        for field in dataclasses.fields(cls):
            object.__setattr__(data, field.name, fields.get(field.name, field.default))
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
        """The weighted variance of each target of a regression, (outputs,)."""
        return ColumnMoments.of(self.y, self.weight).variance

    def parts(self) -> Iterator[Dataset]:
        """The rows in pieces that fit into memory: all of them at once."""
        yield self


def as_matrix(x: Any, image_shape: tuple[int, int] | None = None) -> np.ndarray:
    """`x` as an array (n, features) of finite numbers; InputError says what else it is.

    With `image_shape` (height, width), pictures (n, height, width) are flattened to rows.

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
            "x", f"expected rows of numbers, all of one length: {error}; text needs a table (a polars frame)"
        ) from None
    if image_shape and array.ndim == 3 and array.shape[1:] == image_shape:
        array = array.reshape(len(array), image_shape[0] * image_shape[1])
    if array.ndim != 2:
        fix = "; one feature: x.reshape(-1, 1); one row: x.reshape(1, -1)" if array.ndim == 1 else ""
        raise InputError("x", f"expected 2 dimensions (rows, features), received shape {array.shape}{fix}")
    if not array.size:
        raise InputError("x", f"is empty: shape {array.shape}; at least one row and one feature are needed")
    check_finite(array, "x")
    return array


def feature_names_of(features: int, names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The names of the columns of an array (n, features): those given, or x0, x1, ...

    >>> feature_names_of(2)
    ('x0', 'x1')
    """
    return names or tuple(f"x{i}" for i in range(features))


def as_targets(y: Any) -> np.ndarray:
    """`y` as an array (n,) or (n, outputs) of numbers, truth values or text; one column alone becomes (n,)."""
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


def as_weight(weight: Any, rows: int) -> np.ndarray:
    """`weight` as an array (n,) of numbers of at least 0, not all of them 0."""
    array = np.asarray(weight, np.float64)
    if array.shape != (rows,):
        raise InputError("weight", f"expected one number for each of the {rows} rows, received shape {array.shape}")
    check_finite(array, "weight")
    _refuse(array, array < 0, "weight", "are negative")
    if not array.any():
        raise InputError("weight", "is 0 for every row: nothing would be learnt")
    return array


def _as_key(key: Any, rows: int) -> np.ndarray:
    array = np.asarray(key, np.float64)
    if array.shape != (rows,):
        raise InputError("key", f"expected one number for each of the {rows} rows, received shape {array.shape}")
    _refuse(array, np.isnan(array), "key", "are NaN")
    return array


def check_lengths(x: Any, y: Any) -> None:
    """InputError if x and y have different numbers of rows."""
    if len(x) != len(y):
        raise InputError("x and y", f"expected as many rows in both, received {len(x)} in x and {len(y)} in y")


def check_finite(array: np.ndarray, subject: str) -> None:
    """InputError if a number is NaN or infinite; names the first and counts them."""
    if array.dtype.kind == "f":
        _refuse(array, ~np.isfinite(array), subject, "are NaN or infinite; drop these rows or fill them in")


def check_binary(y: np.ndarray) -> None:
    """InputError if a value is neither 0 nor 1."""
    _refuse(y, (y != 0) & (y != 1), "y", "are neither 0 nor 1, as multilabel targets must be")


def check_targets(y: np.ndarray, task: Task) -> None:
    """InputError if targets, as `as_targets` gives them, can not be those of the task."""
    if task == "classification":
        if y.ndim != 1:
            fix = "for rows of 0 and one 1 give y.argmax(axis=1)"
            raise InputError("y", f"expected one label for each row, received shape {y.shape}; {fix}")
    elif y.dtype.kind == "U":
        raise InputError("y", f"{task} needs numbers, received text such as {y.ravel()[0].item()!r}")
    elif task == "multilabel":
        check_binary(y)


def _refuse(array: np.ndarray, bad: np.ndarray, subject: str, fault: str) -> None:
    if bad.any():
        where = tuple(np.argwhere(bad)[0].tolist())
        place = ", ".join(f"{word} {i}" for word, i in zip(("row", "column"), where, strict=False))
        value = array[where]
        raise InputError(
            subject, f"{np.count_nonzero(bad)} of {array.size} values {fault}; the first is {value} in {place} (from 0)"
        )
