"""How raw rows become the numbers of a network, and its outputs become labels and values again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ..core.errors import InputError
from .column_statistics import ColumnMoments, ColumnRange
from .dataset import Dataset, Scale, Task, as_matrix, as_targets, check_finite, check_targets, feature_names_of
from .tables import Column, ColumnSummary, as_frame, check_columns, check_table, fit_columns, is_frame

if TYPE_CHECKING:
    import polars

# As many rows are scaled at once as stay in the processor's cache.
_ROWS = 4096


@dataclass(frozen=True)
class Preprocessing:
    """What was learnt from the training rows, and from them alone, about scaling; a part of the model.

        input = (number - shift) / span,    target = (value - target_shift) / target_span

    shift and span: one for each input, or a single one for all (pictures). columns: how the columns of a table become
    numbers first; empty where rows came as numbers. classes: the labels as the data have them, of NumPy type
    `class_type`.

    >>> x, y = np.array([[1.0], [3.0]]), np.array(["no", "yes"])
    >>> fitted, notes = Preprocessing.fit(x, y, "classification", "standard")
    >>> fitted.inputs([[1.0], [2.0], [5.0]]).ravel().tolist()
    [-1.0, 0.0, 3.0]
    >>> fitted.targets(["yes"]).tolist(), fitted.labels([1, 0]).tolist()
    ([1], ['yes', 'no'])
    >>> Preprocessing.of(fitted.describe()) == fitted
    True
    """

    task: Task
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    shift: tuple[float, ...]
    span: tuple[float, ...]
    columns: tuple[Column, ...] = ()
    classes: tuple[bool | int | float | str, ...] = ()
    class_type: str = "<i8"
    target_shift: tuple[float, ...] = ()
    target_span: tuple[float, ...] = ()
    image_shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not {len(self.shift), len(self.span)} <= {1, self.features}:
            received = f"{len(self.shift)} and {len(self.span)}"
            raise InputError(
                "preprocessing", f"expected a shift and a span for {self.features} inputs, received {received}"
            )

    @classmethod
    def fit(
        cls,
        x: np.ndarray | polars.DataFrame,
        y: np.ndarray,
        task: Task,
        scale: Scale,
        feature_names: tuple[str, ...] = (),
        target_names: tuple[str, ...] = (),
        image_shape: tuple[int, int] | None = None,
    ) -> tuple[Self, tuple[str, ...]]:
        """Learn it from training rows; also gives notes on what the user ought to know.

        standard: mean 0 and deviation 1, also for the targets of a regression; range: lowest 0 and highest 1, one pair
        of them for all pixels of pictures; none: as it is. 0 and 1 of truth values and categories stay what they are.
        """
        return cls.fit_pieces([(x, y)], task, scale, feature_names, target_names, image_shape)

    @classmethod
    def fit_pieces(
        cls,
        pieces: Iterable[tuple[np.ndarray | polars.DataFrame, np.ndarray]],
        task: Task,
        scale: Scale,
        feature_names: tuple[str, ...] = (),
        target_names: tuple[str, ...] = (),
        image_shape: tuple[int, int] | None = None,
    ) -> tuple[Self, tuple[str, ...]]:
        """As `fit`, from training rows (x, y) that come piece by piece; one piece at a time is in memory."""
        inputs, targets = reduce(_merged, (_shown(x, y, task, scale) for x, y in pieces))
        columns: tuple[Column, ...] = ()
        notes: tuple[str, ...] = ()
        if isinstance(inputs, list):
            columns, inputs, notes = _fit_columns(inputs)
            feature_names = tuple(name for column in columns for name in column.inputs)
        shift, span = _fit_scale(inputs, scale, together=image_shape is not None)
        fitted = cls(
            task,
            feature_names_of(len(inputs.extent.low), feature_names),
            shift=_floats(shift),
            span=_floats(span),
            columns=columns,
            image_shape=image_shape,
            **_fit_targets(targets, task, scale, target_names),
        )
        return fitted, notes

    @property
    def features(self) -> int:
        """Number of inputs of the network."""
        return len(self.feature_names)

    @property
    def outputs(self) -> int:
        """Number of classes, outputs or labels."""
        return len(self.target_names)

    @property
    def target_unit(self) -> np.ndarray | float:
        """Size of one unit of the network's output in the units of the data: (outputs,) for a regression, else 1.

        >>> fitted, _ = Preprocessing.fit(np.eye(3), np.array([0.0, 3.0, 6.0]), "regression", "standard")
        >>> fitted.target_unit.round(3)
        array([2.449])
        """
        return np.array(self.target_span) if self.task == "regression" else 1.0

    def inputs(self, raw: Any) -> np.ndarray:
        """Raw rows as float32 (n, features).

        Rows: an array, a list of rows, a frame; after a table also dictionaries; pictures also (n, height, width).
        Raises InputError for missing columns, a wrong number of features, NaN (a table's missing values are filled),
        and numbers beyond float32.
        """
        if self.columns:
            frame = as_frame(raw, tuple(column.name for column in self.columns))
            check_columns(frame, tuple(column.name for column in self.columns))
            frame = frame.select([column.name for column in self.columns])
            check_table(frame)
            matrix = _encode(self.columns, frame)
        else:
            matrix = as_matrix(self._select(raw) if is_frame(raw) else raw, self.image_shape)
        if matrix.shape[1] != self.features:
            raise InputError("x", f"expected {self.features} features, received {matrix.shape[1]}")
        shift, span = np.array(self.shift), np.array(self.span)
        result = np.empty(matrix.shape, np.float32)
        with np.errstate(over="ignore"):
            for start in range(0, len(matrix), _ROWS):
                rows = slice(start, start + _ROWS)
                result[rows] = (matrix[rows] - shift) / span
        if not np.isfinite(result).all():
            name = self.feature_names[int(np.argwhere(~np.isfinite(result))[0, 1])]
            raise InputError(
                "x", f"numbers of {name!r} are too large for 32 bits; choose scale = 'standard' or another unit"
            )
        return result

    def unscaled(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs (n, features) in the units of the data again, float64; categories stay 0 and 1."""
        numbers: np.ndarray = np.asarray(inputs, np.float64) * np.array(self.span) + np.array(self.shift)
        return numbers

    def targets(self, raw: Any) -> np.ndarray:
        """Raw targets as the network wants them: class indices (n,) int32, else float32 (n, outputs).

        Raises InputError for a class that the training rows did not have, and for a wrong number of outputs.
        """
        y = as_targets(raw)
        check_targets(y, self.task)
        if self.task == "classification":
            return self._indices(y)
        table = _table(y)
        if table.shape[1] != self.outputs:
            raise InputError("y", f"expected {self.outputs} columns, received {table.shape[1]}")
        with np.errstate(over="ignore"):
            scaled: np.ndarray = (table - np.array(self.target_shift)) / np.array(self.target_span)
            scaled = scaled.astype(np.float32)
        check_finite(scaled, "y in 32 bits")
        return scaled

    def dataset(self, x: Any, y: Any, weight: np.ndarray | None = None) -> Dataset:
        """Raw rows and their targets as a network takes them."""
        return Dataset(self.inputs(x), self.targets(y), self.task, weight, self.target_names, self.image_shape)

    def labels(self, indices: Any) -> np.ndarray:
        """Class indices as the labels that the data had, in their own type."""
        if self.task != "classification":
            raise InputError("labels", f"are for classes, and the task is {self.task}")
        labels: np.ndarray = np.array(self.classes, np.dtype(self.class_type))[np.asarray(indices)]
        return labels

    def values(self, outputs: Any) -> np.ndarray:
        """Outputs of a regression in the units of the data, float64 (n, outputs)."""
        if self.task == "classification":
            raise InputError("values", "are numbers in their own units, and the task is classification")
        values: np.ndarray = np.asarray(outputs, np.float64) * np.array(self.target_span) + np.array(self.target_shift)
        return values

    def describe(self) -> dict[str, Any]:
        """Itself in plain numbers, words, lists and tables, as JSON holds them; `of` restores it exactly."""
        table: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return table

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Self:
        """The preprocessing that `describe` described. Raises InputError for anything else."""
        try:
            fitted: Self = _adapter().validate_python(dict(table))
        except ValidationError as error:
            raise InputError("preprocessing", str(error)) from None
        return fitted

    def _select(self, raw: Any) -> np.ndarray:
        import polars

        frame = as_frame(raw)
        # A frame that knows none of the names is taken in its own order, as an array is.
        if set(self.feature_names) & set(frame.columns):
            check_columns(frame, self.feature_names)
            frame = frame.select(self.feature_names)
        try:
            return frame.cast(polars.Float64).to_numpy()
        except polars.exceptions.PolarsError as error:
            raise InputError("x", f"expected columns of numbers: {str(error).splitlines()[0]}") from None

    def _indices(self, y: np.ndarray) -> np.ndarray:
        place = {label: i for i, label in enumerate(self.classes)}
        found = np.array([place.get(label, -1) for label in y.tolist()], np.int32)
        if (found < 0).any():
            row = int(np.argmax(found < 0))
            raise InputError(
                "y",
                f"{np.count_nonzero(found < 0)} labels are unknown from training, the first {y[row].item()!r} in row "
                f"{row} (from 0); classes: {', '.join(map(str, self.classes))}",
            )
        return found


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Preprocessing)


def _encode(columns: tuple[Column, ...], frame: polars.DataFrame) -> np.ndarray:
    return np.hstack([column.encode(frame[column.name]) for column in columns])


class _Numbers(NamedTuple):
    """What numbers show for their scaling; moments only where scaling asks for them."""

    extent: ColumnRange
    moments: ColumnMoments | None

    @classmethod
    def of(cls, x: np.ndarray, scale: Scale) -> _Numbers:
        return cls(ColumnRange.of(x), ColumnMoments.of(x) if scale == "standard" else None)

    def merged(self, later: _Numbers) -> _Numbers:
        moments = self.moments.merged(later.moments) if self.moments and later.moments else None
        return _Numbers(self.extent.merged(later.extent), moments)


# What rows show about their inputs (numbers, or columns of a table) and about their targets (numbers, or classes).
_Shown = tuple[_Numbers | list[ColumnSummary], _Numbers | np.ndarray]


def _shown(x: np.ndarray | polars.DataFrame, y: np.ndarray, task: Task, scale: Scale) -> _Shown:
    targets = as_targets(y)
    check_targets(targets, task)
    seen = np.unique(targets) if task == "classification" else _Numbers.of(_table(targets), scale)
    if not is_frame(x):
        return _Numbers.of(as_matrix(x), scale), seen
    frame = as_frame(x)
    check_table(frame)
    return [ColumnSummary.by(series) for series in frame], seen


def _merged(first: _Shown, later: _Shown) -> _Shown:
    (inputs, targets), (more, others) = first, later
    if isinstance(targets, np.ndarray):
        seen: _Numbers | np.ndarray = np.unique(np.concatenate([targets, np.asarray(others)]))
    else:
        seen = targets.merged(cast(_Numbers, others))
    if isinstance(inputs, list):
        columns = zip(inputs, cast(list[ColumnSummary], more), strict=True)
        return [column.merged(its) for column, its in columns], seen
    return inputs.merged(cast(_Numbers, more)), seen


def _fit_columns(shown: list[ColumnSummary]) -> tuple[tuple[Column, ...], _Numbers, tuple[str, ...]]:
    fitted, notes = fit_columns(shown)
    used = [(column, seen.inputs(column)) for column, seen in zip(fitted, shown, strict=True) if column]
    extents, moments = zip(*(numbers for _, numbers in used), strict=True)
    numbers = _Numbers(ColumnRange(*_joined(extents)), ColumnMoments(*_joined(moments)))
    return tuple(column for column, _ in used), numbers, notes


def _joined(parts: Sequence[tuple[np.ndarray, ...]]) -> Iterator[np.ndarray]:
    return (np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _fit_scale(numbers: _Numbers, scale: Scale, together: bool = False) -> tuple[np.ndarray, np.ndarray]:
    if scale == "none":
        return np.zeros(1), np.ones(1)
    low, high = numbers.extent
    if together and scale == "range":
        low, high = low.min(keepdims=True), high.max(keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        shift, span = low, high - low
        if scale == "standard" and numbers.moments:
            shift, span = numbers.moments.mean, np.sqrt(numbers.moments.variance)
    if not np.isfinite(span).all():
        raise InputError("data", f"numbers up to {np.abs([low, high]).max():.3g} are too large to be scaled")
    # Rounding gives a constant column a tiny deviation, which would blow up whatever differs later.
    constant = (low == high) | (span == 0)
    return np.where(constant, low, shift), np.where(constant, 1.0, span)


def _fit_targets(shown: _Numbers | np.ndarray, task: Task, scale: Scale, names: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(shown, np.ndarray):
        if len(shown) < 2:
            raise InputError("y", f"all rows have the class {shown[0].item()!r}; a classifier needs at least 2 classes")
        labels = tuple(shown.tolist())
        return {"classes": labels, "class_type": shown.dtype.str, "target_names": _class_names(labels, names)}
    shift, span = _fit_scale(shown, scale if task == "regression" and scale == "standard" else "none")
    width = len(shown.extent.low)
    return {
        "target_shift": _floats(np.broadcast_to(shift, width)),
        "target_span": _floats(np.broadcast_to(span, width)),
        "target_names": names or (("y",) if width == 1 else tuple(f"y{i}" for i in range(width))),
    }


def _class_names(labels: tuple[Any, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        return tuple(map(str, labels))
    foreign = [label for label in labels if label not in range(len(names))]
    if foreign:
        raise InputError("y", f"the label {foreign[0]} is outside of the {len(names)} classes 0 to {len(names) - 1}")
    return tuple(names[label] for label in labels)


def _table(y: np.ndarray) -> np.ndarray:
    return y.reshape(len(y), -1).astype(np.float64)


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.asarray(values, np.float64).tolist())
