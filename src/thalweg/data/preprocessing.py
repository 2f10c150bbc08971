"""Conversion of raw rows to the numbers of a network, and of its outputs to labels and values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from math import prod
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ..core.arrays import Array
from ..core.bounds import problem_of
from ..core.errors import InputError, Problem
from ..core.files import JsonObject
from ..core.printable import received
from ..parts.settings import Precision
from .dataset import (
    Dataset,
    ImageShape,
    Scale,
    Task,
    as_matrix,
    as_targets,
    check_finite,
    check_targets,
    feature_names_of,
)
from .fitting import Label, RowSummary, as_columns, fit_inputs, fit_targets
from .reading.notation import UNREAD, TableReading
from .tables import Column, Frame, as_frame, check_columns, check_table, is_frame

if TYPE_CHECKING:
    import polars
    from numpy.typing import ArrayLike

# This many rows are scaled at once, so that they stay in the processor's cache.
_ROWS = 4096
_LARGEST_LABEL = 1024


RawRows: TypeAlias = "ArrayLike | Frame | Iterable[Mapping[str, object]]"
"""Rows as a user has them: an array, a list of rows, a table, dictionaries."""


@dataclass(frozen=True)
class Preprocessing:
    """Scaling and encoding, fitted to the training rows alone; a part of the model.

        input = (number - shift) / span,    target = (value - target_shift) / target_span

    Attributes:
        task: classification, regression or multilabel.
        feature_names: names of the network's inputs.
        target_names: the classes, the outputs or the labels.
        shift: one number for each input, or a single one for all.
        span: one number for each input, or a single one for all.
        columns: how the columns of a table become numbers; empty for rows of numbers.
        classes: the labels as the data have them.
        class_type: NumPy type of the labels.
        target_shift: one number for each output of a regression.
        target_span: one number for each output of a regression.
        image_shape: shape of an image where each row is one.
        precision: of the rows that the network gets.
        low: the lowest number of each input in the training rows, before it is scaled; empty in runs of old versions.
        high: the highest one.

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
    classes: tuple[Label, ...] = ()
    class_type: str = "<i8"
    target_shift: tuple[float, ...] = ()
    target_span: tuple[float, ...] = ()
    image_shape: ImageShape | None = None
    precision: Precision = "float32"
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if problems := [Problem(place, message) for place, holds, message in self._conditions() if not holds]:
            raise InputError("preprocessing", problems)

    def _conditions(self) -> Iterator[tuple[str, bool, str]]:
        """What must hold between the fields: (field, whether it does, what is expected)."""
        sizes = {1, self.features}
        received = f"received {len(self.shift)} and {len(self.span)}"
        expected = f"expected one shift and one span for all inputs, or {self.features} of each"
        yield "shift", {len(self.shift), len(self.span)} <= sizes, f"{expected}, {received}"
        outputs = self.outputs if self.task == "regression" else 0
        # Several labels have a shift of 0 and a span of 1 each.
        fits = {len(self.target_shift), len(self.target_span)} <= {outputs, self.outputs}
        yield "target_shift", fits, f"expected one shift and one span for each of {outputs} targets"
        yield "low", len(self.low) == len(self.high), "expected as many lowest as highest numbers"
        yield "low", len(self.low) in {0, self.features}, "expected a lowest and a highest number for each input"
        for name in ("shift", "span", "target_shift", "target_span", "low", "high"):
            yield name, bool(np.isfinite(getattr(self, name)).all()), "expected finite numbers"
        for name in ("span", "target_span"):
            yield name, 0 not in getattr(self, name), "expected numbers other than 0"
        if self.task == "classification":
            yield "classes", len(self.classes) == self.outputs, f"expected {self.outputs} classes, one for each name"
            yield "class_type", self._classes_have_their_type(), "expected the NumPy type of the classes"
        names = tuple(name for column in self.columns for name in column.inputs)
        yield "columns", not names or names == self.feature_names, "expected the columns of the named inputs"
        shape = self.image_shape or (1, self.features)
        yield "image_shape", min(shape) > 0 and prod(shape) == self.features, f"expected {self.features} pixels"

    def _classes_have_their_type(self) -> bool:
        try:
            kind = np.dtype(self.class_type)
            longest = max((len(str(label)) for label in self.classes), default=0)
            # A type of long texts would take much memory for short ones.
            return kind.kind in "biufU" and kind.itemsize <= _LARGEST_LABEL + 4 * longest and self._labels.dtype == kind
        except (TypeError, ValueError, OverflowError, SyntaxError):
            return False

    @property
    def _labels(self) -> np.ndarray:
        """The classes as an array of their type (K,)."""
        return np.array(self.classes, np.dtype(self.class_type))

    @classmethod
    def fit(
        cls,
        x: np.ndarray | polars.DataFrame,
        y: np.ndarray,
        task: Task,
        scale: Scale,
        feature_names: tuple[str, ...] = (),
        target_names: tuple[str, ...] = (),
        image_shape: ImageShape | None = None,
    ) -> tuple[Self, tuple[str, ...]]:
        """Fit scaling and encoding to training rows.

        Args:
            x: rows (n, features), or a table.
            y: labels or numbers (n,), or (n, outputs).
            task: classification, regression or multilabel.
            scale: "standard": mean 0 and standard deviation 1, also for the targets of a regression; "range": lowest 0
                and highest 1, with one range for all pixels of images; "robust": median 0 and distance of the quartiles
                1, which a few absurd numbers do not change, and targets as in "standard"; "none": unchanged. Booleans
                and categories are never scaled.
            feature_names: names of the columns of an array.
            target_names: the classes, the outputs or the labels.
            image_shape: shape of an image where each row is one.

        Returns:
            The preprocessing, and notes for the user about irregular columns.
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
        image_shape: ImageShape | None = None,
        table: TableReading | None = None,
        precision: Precision = "float32",
        codes_above: int | None = None,
    ) -> tuple[Self, tuple[str, ...]]:
        """`fit` for training rows (x, y) in pieces, of which one at a time is in memory.

        `table` is how the text columns of a table were read; `precision` that of the rows for the network; a column of
        more than `codes_above` categories becomes one input, the number of its category.
        """
        summary = reduce(RowSummary.merged, (RowSummary.of(x, y, task, scale) for x, y in pieces))
        inputs = fit_inputs(summary.inputs, scale, image_shape is not None, table or UNREAD, codes_above)
        targets = fit_targets(summary.targets, task, scale, target_names)
        if inputs.columns:
            feature_names = tuple(name for column in inputs.columns for name in column.inputs)
        fitted = cls(
            task=task,
            feature_names=feature_names_of(inputs.features, feature_names),
            target_names=targets.names,
            shift=_floats(inputs.shift),
            span=_floats(inputs.span),
            columns=inputs.columns,
            classes=targets.classes,
            class_type=targets.class_type,
            target_shift=_floats(targets.shift),
            target_span=_floats(targets.span),
            image_shape=image_shape,
            precision=precision,
            low=_floats(inputs.range.low),
            high=_floats(inputs.range.high),
        )
        return fitted, inputs.notes

    @property
    def features(self) -> int:
        """Number of inputs of the network."""
        return len(self.feature_names)

    @property
    def outputs(self) -> int:
        """Number of classes, outputs or labels."""
        return len(self.target_names)

    @property
    def numbers(self) -> tuple[int, ...] | None:
        """The inputs that are numbers and not 0 and 1 of a category or a boolean; None: all, as no table was read."""
        if not self.columns:
            return None
        scaled = [column.is_scaled for column in self.columns for _ in column.inputs]
        return tuple(place for place, is_number in enumerate(scaled) if is_number)

    @property
    def codes(self) -> tuple[tuple[int, int], ...]:
        """The inputs that are numbers of categories, each with how many there are, that of no known one included."""
        columns = [column for column in self.columns for _ in column.inputs]
        return tuple((place, len(column.categories) + 1) for place, column in enumerate(columns) if column.coded)

    @property
    def target_unit(self) -> np.ndarray | float:
        """Size of one unit of the network's output in the units of the data: (outputs,) for a regression, else 1.

        >>> fitted, _ = Preprocessing.fit(np.eye(3), np.array([0.0, 3.0, 6.0]), "regression", "standard")
        >>> fitted.target_unit.round(3)
        array([2.449])
        """
        return np.array(self.target_span) if self.task == "regression" else 1.0

    def inputs(self, raw: RawRows) -> np.ndarray:
        """Raw rows as numbers of the network's precision, (n, features).

        Args:
            raw: an array, a list of rows or a frame; dictionaries too if the training rows came from a table; images
                (n, height, width) or (n, height, width, channels) too if they were images.

        Raises:
            InputError: missing columns, a wrong number of features, NaN (missing values of a table are filled), or
                numbers too large for the precision.
        """
        if self.columns:
            names = tuple(column.name for column in self.columns)
            frame = as_frame(raw, names)
            check_columns(frame, names)
            frame = frame.select(names)
            check_table(frame)
            matrix = np.hstack([column.encode(frame[column.name]) for column in self.columns])
        else:
            matrix = as_matrix(self._from_frame(raw) if is_frame(raw) else raw, self.image_shape)
        if matrix.shape[1] != self.features:
            raise InputError("x", f"expected {self.features} features, received {matrix.shape[1]}")
        scaled = np.empty(matrix.shape, self.precision)
        with np.errstate(over="ignore"):
            for start in range(0, len(matrix), _ROWS):
                rows = slice(start, start + _ROWS)
                scaled[rows] = self.scaled(matrix[rows])
        if not np.isfinite(scaled).all():
            row, place = np.argwhere(~np.isfinite(scaled))[0].tolist()
            name = self.feature_names[place]
            fault = f"numbers of {name!r} are too large for {self.precision}; set scale = 'standard', or another unit"
            if np.isinf(matrix[row, place]):
                fault = f"column {name!r}: an infinite number in row {row + 1} (counted from 1)"
            raise InputError("x", fault)
        return scaled

    def scaled(self, numbers: Array) -> Array:
        """Numbers (n, features) of encoded rows as inputs of the network: (number - shift) / span."""
        return (numbers - np.array(self.shift)) / np.array(self.span)

    def unscaled(self, inputs: ArrayLike) -> np.ndarray:
        """Inputs (n, features) in the units of the data, float64; categories stay 0 and 1."""
        numbers: np.ndarray = np.asarray(inputs, np.float64) * np.array(self.span) + np.array(self.shift)
        return numbers

    def targets(self, raw: ArrayLike) -> np.ndarray:
        """Raw targets as class indices (n,) int32, or as numbers of the network's precision (n, outputs).

        Raises InputError for a class that the training rows do not have, and for a wrong number of outputs.
        """
        y = as_targets(raw)
        check_targets(y, self.task)
        if self.task == "classification":
            return self._class_indices(y)
        columns = as_columns(y)
        if columns.shape[1] != self.outputs:
            raise InputError("y", f"expected {self.outputs} columns, received {columns.shape[1]}")
        with np.errstate(over="ignore"):
            scaled: np.ndarray = (columns - np.array(self.target_shift)) / np.array(self.target_span)
            scaled = scaled.astype(self.precision)
        check_finite(scaled, f"y as {self.precision}")
        return scaled

    def dataset(
        self,
        x: RawRows,
        y: ArrayLike,
        weight: ArrayLike | None = None,
    ) -> Dataset:
        """Raw rows and their targets as a data set for the network."""
        return Dataset(
            x=self.inputs(x),
            y=self.targets(y),
            task=self.task,
            weight=None if weight is None else np.asarray(weight),
            target_names=self.target_names,
            image_shape=self.image_shape,
            precision=self.precision,
            numbers=self.numbers,
            codes=self.codes,
        )

    def labels(self, indices: ArrayLike) -> np.ndarray:
        """Class indices as the labels of the data, in their original type."""
        if self.task != "classification":
            raise InputError("labels", f"expected the task classification, received {self.task}")
        labels: np.ndarray = self._labels[np.asarray(indices)]
        return labels

    def values(self, outputs: ArrayLike) -> np.ndarray:
        """Outputs of a regression in the units of the data, float64 (n, outputs)."""
        if self.task == "classification":
            raise InputError("values", "expected a task with numbers as targets, received classification")
        return self.in_units(np.asarray(outputs, np.float64))

    def in_units(self, outputs: Array) -> Array:
        """Outputs (n, outputs) of a regression in the units of the data: output * target_span + target_shift."""
        return outputs * np.array(self.target_span) + np.array(self.target_shift)

    def describe(self) -> JsonObject:
        """The preprocessing as plain numbers, words, lists and tables, as JSON has them; `of` restores it exactly."""
        table: JsonObject = _adapter().dump_python(self, mode="json")
        return table

    @classmethod
    def of(cls, table: object) -> Self:
        """The preprocessing that `describe` described. Raises InputError for anything else."""
        if not isinstance(table, dict):
            raise InputError("preprocessing", f"expected a table, received {received(table)}")
        try:
            fitted = _adapter().validate_python(table)
        except ValidationError as error:
            problems = [problem_of(item) for item in error.errors(include_url=False)]
            raise InputError("preprocessing", problems) from None
        assert isinstance(fitted, cls)
        return fitted

    def _from_frame(self, raw: Frame) -> np.ndarray:
        """The numbers of a frame, for training rows that were an array."""
        import polars

        frame = as_frame(raw)
        # A frame with none of the names is taken in its own column order, like an array.
        if set(self.feature_names) & set(frame.columns):
            check_columns(frame, self.feature_names)
            frame = frame.select(self.feature_names)
        try:
            return frame.cast(polars.Float64).to_numpy()
        except polars.exceptions.PolarsError as error:
            raise InputError("x", f"expected columns of numbers: {str(error).splitlines()[0]}") from None

    def _class_indices(self, y: np.ndarray) -> np.ndarray:
        index_of = {label: i for i, label in enumerate(self.classes)}
        indices = np.array([index_of.get(label, -1) for label in y.tolist()], np.int32)
        unknown = indices < 0
        if unknown.any():
            row = int(np.argmax(unknown))
            raise InputError(
                "y",
                f"{np.count_nonzero(unknown)} labels do not occur in the training rows; the first is "
                f"{y[row].item()!r} in row {row} (from 0); known classes: {', '.join(map(str, self.classes))}",
            )
        return indices


@cache
def _adapter() -> TypeAdapter[Preprocessing]:
    return TypeAdapter(Preprocessing)


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.asarray(values, np.float64).tolist())
