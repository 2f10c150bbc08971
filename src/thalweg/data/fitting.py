"""Scaling and encoding fitted to the training rows, from statistics that are merged piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from ..core.errors import InputError
from .column_statistics import ColumnMoments, ColumnQuantiles, ColumnRange
from .dataset import Scale, Task, as_matrix, as_targets, check_targets
from .reading.notation import UNREAD, TableReading
from .tables import Column, ColumnSummary, as_frame, check_table, fit_columns, is_frame

if TYPE_CHECKING:
    import polars

Label: TypeAlias = bool | int | float | str
"""A class as the data have it."""


# Statistics of rows ---------------------------------------------------------------------------------------------------


class NumberSummary(NamedTuple):
    """What scaling needs to know of columns of numbers: moments for the scale "standard", quantiles for "robust"."""

    range: ColumnRange
    moments: ColumnMoments | None
    quantiles: ColumnQuantiles | None = None

    @classmethod
    def of(cls, x: np.ndarray, scale: Scale) -> NumberSummary:
        """The summary of x (n, columns)."""
        moments = ColumnMoments.of(x) if scale == "standard" else None
        return cls(ColumnRange.of(x), moments, ColumnQuantiles.of(x) if scale == "robust" else None)

    def merged(self, later: NumberSummary) -> NumberSummary:
        """The summary over the rows of both."""
        moments = self.moments.merged(later.moments) if self.moments and later.moments else None
        quantiles = self.quantiles.merged(later.quantiles) if self.quantiles and later.quantiles else None
        return NumberSummary(self.range.merged(later.range), moments, quantiles)


class RowSummary(NamedTuple):
    """What preprocessing needs to know of training rows.

    Attributes:
        inputs: the summary of rows of numbers, or of each column of a table.
        targets: the summary of numbers, or the distinct classes, sorted.
    """

    inputs: NumberSummary | tuple[ColumnSummary, ...]
    targets: NumberSummary | np.ndarray

    @classmethod
    def of(cls, x: np.ndarray | polars.DataFrame, y: np.ndarray, task: Task, scale: Scale) -> RowSummary:
        """The summary of rows and targets as the source gives them. Raises InputError if they cannot be used."""
        targets = as_targets(y)
        check_targets(targets, task)
        is_classes = task == "classification"
        target_summary = (
            np.unique(targets) if is_classes else NumberSummary.of(as_columns(targets), scale_of_targets(task, scale))
        )
        if not is_frame(x):
            return cls(NumberSummary.of(as_matrix(x), scale), target_summary)
        frame = as_frame(x)
        check_table(frame)
        return cls(tuple(ColumnSummary.of(series, quantiles=scale == "robust") for series in frame), target_summary)

    def merged(self, later: RowSummary) -> RowSummary:
        """The summary over the rows of both."""
        return RowSummary(_merged_inputs(self.inputs, later.inputs), _merged_targets(self.targets, later.targets))


def _merged_inputs(
    first: NumberSummary | tuple[ColumnSummary, ...], later: NumberSummary | tuple[ColumnSummary, ...]
) -> NumberSummary | tuple[ColumnSummary, ...]:
    if isinstance(first, NumberSummary):
        assert isinstance(later, NumberSummary)
        return first.merged(later)
    assert not isinstance(later, NumberSummary)
    return tuple(column.merged(its_later) for column, its_later in zip(first, later, strict=True))


def _merged_targets(first: NumberSummary | np.ndarray, later: NumberSummary | np.ndarray) -> NumberSummary | np.ndarray:
    if isinstance(first, NumberSummary):
        assert isinstance(later, NumberSummary)
        return first.merged(later)
    assert isinstance(later, np.ndarray)
    return np.unique(np.concatenate([first, later]))


def as_columns(y: np.ndarray) -> np.ndarray:
    """Targets (n,) or (n, outputs) as float64 (n, outputs)."""
    return y.reshape(len(y), -1).astype(np.float64)


# Inputs ---------------------------------------------------------------------------------------------------------------


class FittedInputs(NamedTuple):
    """How the inputs are encoded and scaled: input = (number - shift) / span.

    Attributes:
        features: number of inputs.
        columns: how the columns of a table become numbers; empty for rows of numbers.
        shift: (features,), or one number for all inputs.
        span: (features,), or one number for all inputs.
        range: lowest and highest number of each input before it is scaled, (features,) each.
        notes: messages for the user about irregular columns.
    """

    features: int
    columns: tuple[Column, ...]
    shift: np.ndarray
    span: np.ndarray
    range: ColumnRange
    notes: tuple[str, ...]


def fit_inputs(
    summary: NumberSummary | tuple[ColumnSummary, ...],
    scale: Scale,
    one_range: bool = False,
    table: TableReading = UNREAD,
    codes_above: int | None = None,
) -> FittedInputs:
    """Fit the encoding and scaling of the inputs.

    `one_range`: the scale "range" uses one range for all inputs; `codes_above`: see `fit_columns`.
    """
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()
    if not isinstance(summary, NumberSummary):
        columns, summary, notes = _fit_table(summary, table, codes_above)
    shift, span = fit_scale(summary, scale, one_range)
    if coded := [place for place, column in enumerate(_of_inputs(columns)) if column.coded]:
        shift, span = (np.array(np.broadcast_to(numbers, len(summary.range.low))) for numbers in (shift, span))
        shift[coded], span[coded] = 0.0, 1.0
    return FittedInputs(len(summary.range.low), columns, shift, span, summary.range, notes)


def _of_inputs(columns: Iterable[Column]) -> list[Column]:
    """The column of each input."""
    return [column for column in columns for _ in column.inputs]


def _fit_table(
    summaries: tuple[ColumnSummary, ...], table: TableReading, codes_above: int | None
) -> tuple[tuple[Column, ...], NumberSummary, tuple[str, ...]]:
    """The columns that are inputs, the summary of the inputs that they become, and notes."""
    fitted, notes = fit_columns(summaries, table, codes_above)
    columns = []
    ranges = []
    moments = []
    quantiles = []
    for column, summary in zip(fitted, summaries, strict=True):
        if column is not None:
            input_range, input_moments = summary.input_statistics(column)
            columns.append(column)
            ranges.append(input_range)
            moments.append(input_moments)
            if five := summary.five_numbers(column):
                quantiles.append(five)
    inputs = NumberSummary(
        ColumnRange(*_concatenated(ranges)),
        ColumnMoments(*_concatenated(moments)),
        # Of a table whose columns are scaled otherwise there are none.
        ColumnQuantiles(quantiles[0].rows, np.hstack([own.values for own in quantiles])) if quantiles else None,
    )
    return tuple(columns), inputs, notes


def _concatenated(statistics: Iterable[tuple[np.ndarray, ...]]) -> Iterable[np.ndarray]:
    return (np.concatenate(arrays) for arrays in zip(*statistics, strict=True))


def fit_scale(summary: NumberSummary, scale: Scale, one_range: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Shift and span that scale the columns. Raises InputError for numbers too large to scale.

    standard: mean and standard deviation; robust: median and the distance of the quartiles, or half of the range where
    these are equal; range: lowest number and highest minus lowest; none: 0 and 1.
    """
    if scale == "none":
        return np.zeros(1), np.ones(1)
    low, high = summary.range
    if one_range and scale == "range":
        low = low.min(keepdims=True)
        high = high.max(keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        shift = low
        span = high - low
        if scale == "standard" and summary.moments:
            shift = summary.moments.mean
            span = np.sqrt(summary.moments.variance)
        if scale == "robust" and summary.quantiles:
            shift = summary.quantiles.at(0.5)
            between = summary.quantiles.at(0.75) - summary.quantiles.at(0.25)
            span = np.where(between > 0, between, span / 2)
    if not np.isfinite(span).all():
        raise InputError("data", f"numbers up to {np.abs([low, high]).max():.3g} are too large to scale; rescale them")
    # Rounding gives a constant column a tiny deviation, which would magnify any later difference.
    constant = (low == high) | (span == 0)
    return np.where(constant, low, shift), np.where(constant, 1.0, span)


# Targets --------------------------------------------------------------------------------------------------------------


class FittedTargets(NamedTuple):
    """How the targets are encoded and scaled.

    Attributes:
        names: the classes, the outputs or the labels.
        classes: the classes as the data have them; empty for other tasks.
        class_type: NumPy type of the classes.
        shift: (outputs,) of a regression: target = (value - shift) / span.
        span: (outputs,) of a regression.
    """

    names: tuple[str, ...]
    classes: tuple[Label, ...] = ()
    class_type: str = "<i8"
    shift: np.ndarray = np.zeros(0)
    span: np.ndarray = np.zeros(0)


def fit_targets(summary: NumberSummary | np.ndarray, task: Task, scale: Scale, names: tuple[str, ...]) -> FittedTargets:
    """Fit the encoding of classes, or the scaling of numbers. Raises InputError if there is only one class."""
    if isinstance(summary, np.ndarray):
        if len(summary) < 2:
            raise InputError(
                "y", f"all rows have the class {summary[0].item()!r}; a classifier needs at least 2 classes"
            )
        classes = tuple(summary.tolist())
        return FittedTargets(_class_names(classes, names), classes, summary.dtype.str)
    shift, span = fit_scale(summary, scale_of_targets(task, scale))
    width = len(summary.range.low)
    default_names = ("y",) if width == 1 else tuple(f"y{i}" for i in range(width))
    return FittedTargets(
        names=names or default_names, shift=np.broadcast_to(shift, width), span=np.broadcast_to(span, width)
    )


def scale_of_targets(task: Task, scale: Scale) -> Scale:
    """How targets are scaled where inputs are scaled so: the numbers of a regression to mean 0 and deviation 1."""
    return "standard" if task == "regression" and scale in ("standard", "robust") else "none"


def _class_names(classes: tuple[Label, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        return tuple(map(str, classes))
    unknown = [label for label in classes if label not in range(len(names))]
    if unknown:
        raise InputError("y", f"the label {unknown[0]} is outside of the {len(names)} classes 0 to {len(names) - 1}")
    return tuple(names[int(label)] for label in classes)
