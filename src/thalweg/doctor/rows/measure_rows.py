"""Fill the facts of rows from a split, its spec and, after a training, its record."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...core.arrays import LayerState, Params, rms
from ...core.noise import generator
from ...data import Dataset, EpochIndex, Split, Task
from ...probes.records import Observations
from ...spec.spec import CompleteSpec
from ..attainable import (
    UncertainScore,
    attainable_score,
    constant_accuracy,
    constant_score,
    line_score,
    measure_of,
    reference_outputs,
    score_of,
)
from ..findings import Learned
from ..measurements import BEYOND_CHANCE, LEAST_GAP
from .row_facts import ColumnShift
from .row_faults import (
    Atom,
    CoarseInputs,
    FarTargets,
    FilledTargets,
    Shift,
    atom,
    coarse_inputs,
    far_targets,
    filled_targets,
    out_of_step,
    unrelated_columns,
)
from .row_relations import OneClass, TellingPair, TwoKinds, one_class, positive_logs, telling_pair, two_kinds
from .row_statistics import (
    ColumnOutliers,
    DoubtfulLabels,
    FewRows,
    TargetOrder,
    TellingColumn,
    coincidence,
    copies,
    doubtful_labels,
    few_rows,
    stretched_column,
    target_order,
    telling_column,
)
from .row_values import Edge, Magnitudes, TargetScore, edge, magnitudes, target_scores, value_apart
from .set_differences import (
    FrequencyShift,
    Halves,
    SetShift,
    Transfer,
    far_inputs,
    frequency_difference,
    halves,
    set_difference,
    transfer,
)
from .spoiled_rows import Rows, SpoiledRows, spoiled_rows
from .unmeasured import Unmeasured, unmeasured_inputs

# At most this many rows are examined; a single step takes fewer, a score more.
_ROWS = 2000
_SCORED_ROWS = 20_000
# Copies of columns are not looked for among more columns.
_MOST_COLUMNS = 500
# Targets of fewer orders of magnitude are ordinary.
_DECADES = 3.0
# The mean of a column with a smaller part of the overall deviation is shifted by a single row.
_STILL = 0.01
_FEW_VALIDATION_ROWS = 30
_NAN = float("nan")


@dataclass(frozen=True)
class TrainingRecord:
    """What a training leaves behind, as far as the doctor reads it; the fields are those of `Run`."""

    params: Params
    """Parameters of the trained network."""
    layers: LayerState
    """States of its layers."""
    history: Sequence[dict[str, float]]
    """Loss and scores of each epoch."""
    measures: dict[str, dict[str, float]]
    """Loss and scores of the trained network by set."""
    predict: Callable[[np.ndarray], np.ndarray]
    """The classes (n,), or the labels or values (n, outputs), that it predicts for prepared rows (n, inputs)."""
    observations: Observations | None = None
    """The records of the probes."""
    diverged: str = ""
    """Where the numbers stopped being finite; empty if they did not."""


@dataclass(frozen=True, eq=False)
class MeasuredRows:
    """Computes the facts of `RowFacts` that its public attributes name."""

    _spec: CompleteSpec
    _split: Split
    _per_epoch: int
    _record: TrainingRecord | None

    @cached_property
    def _train(self) -> Dataset:
        return self._split.train.head()

    @cached_property
    def _validation(self) -> Dataset | None:
        return None if self._split.validation is None else self._split.validation.head()

    @cached_property
    def _chosen(self) -> np.ndarray:
        n = len(self._train)
        return np.sort(generator(0, "doctor").permutation(n)[:_ROWS]) if n > _ROWS else np.arange(n)

    @cached_property
    def _x(self) -> np.ndarray:
        """Inputs of the examined rows (n, features), as the network takes them."""
        return np.asarray(self._train.x[self._chosen], dtype=float)

    @cached_property
    def _y(self) -> np.ndarray:
        """Targets of the examined rows, as the data set has them."""
        return np.asarray(self._train.y[self._chosen])

    @cached_property
    def _targets(self) -> np.ndarray:
        """The same targets as numbers (n, outputs): 0 and 1 for each class or label."""
        return self._as_numbers(self._y)

    def _as_numbers(self, y: np.ndarray) -> np.ndarray:
        """Targets of a data set as numbers (n, outputs)."""
        if self.task == "classification":
            return np.eye(self._train.outputs)[y]
        return np.asarray(y, dtype=float).reshape(len(y), -1)

    @property
    def task(self) -> Task:
        return self._train.task

    @property
    def rows(self) -> int:
        return len(self._split.train)

    @property
    def updates_per_epoch(self) -> int:
        return self._per_epoch

    @property
    def column_names(self) -> tuple[str, ...]:
        return self._split.preprocessing.feature_names

    @cached_property
    def column_sizes(self) -> np.ndarray:
        sizes = np.asarray(np.sqrt(np.mean(self._x**2, axis=0)))
        # An embedding layer takes codes of categories, whose size says nothing.
        sizes[[place for place, _ in self._train.codes]] = 1.0
        return sizes

    @cached_property
    def column_deviations(self) -> np.ndarray:
        deviations = np.asarray(self._x.std(axis=0))
        codes = [place for place, _ in self._train.codes]
        deviations[codes] = deviations[codes] > 0
        return deviations

    @property
    def column_quantiles(self) -> tuple[tuple[float, ...], ...]:
        quantiles = np.quantile(self._x, np.linspace(0, 1, 101), axis=0)
        return tuple(tuple(map(float, column)) for column in quantiles.T)

    @property
    def standardized_inputs(self) -> bool:
        below = itertools.takewhile(lambda layer: not layer.has_weights, self._spec.network.layers)
        is_bounded = any(np.isfinite(layer.output_range).all() for layer in below)
        scale = self._spec.data.scale
        return scale == "standard" or (scale == "robust" and is_bounded)

    @property
    def constant_columns(self) -> tuple[str, ...]:
        if self._train.image_shape or len(self._x) < 2:
            return ()
        return tuple(self.column_names[index] for index in np.flatnonzero(self.column_deviations == 0))

    @property
    def duplicate_columns(self) -> tuple[tuple[str, str], ...]:
        if self._train.image_shape or len(self._x) < 2 or self._x.shape[1] > _MOST_COLUMNS:
            return ()
        varied = np.flatnonzero(self.column_deviations > 0)
        names = [self.column_names[index] for index in varied]
        return tuple((names[copy], names[original]) for copy, original in copies(self._x[:, varied]))

    @property
    def target_size(self) -> float:
        return rms(self._targets) if self.task == "regression" else _NAN

    @property
    def target_deviation(self) -> float:
        return float(self._targets.std())

    @property
    def single_label_rows(self) -> float:
        several = self.task == "multilabel" and self._targets.shape[1] > 1
        return float(np.mean(self._targets.sum(axis=1) == 1)) if several else _NAN

    @property
    def majority(self) -> float:
        if self.task != "classification":
            return _NAN
        y = np.asarray(self._train.y)
        return float(np.bincount(y).max() / len(y))

    @property
    def target_order(self) -> TargetOrder | None:
        order = self._spec.data.order
        training = self._spec.training
        if not (order.in_time or order.same_each_epoch) or len(self._train) < 2:
            return None
        batch = -(-self.rows // self._per_epoch)
        visited = order.rows(EpochIndex(training.seed, 0, training.epochs, batch), self._train)
        return target_order(self._as_numbers(self._train.y)[visited], batch)

    @property
    def commonest_target(self) -> float:
        y = self._train.y
        rows = y.ravel() if y.size == len(y) else y
        return float(np.unique(rows, axis=0, return_counts=True)[1].max() / len(y))

    @cached_property
    def _distinct(self) -> np.ndarray:
        return np.unique(_hashes(self._train.x))

    @property
    def repeated_rows(self) -> float:
        return 1 - len(np.unique(_hashes(self._train.x, self._train.y))) / len(self._train)

    @property
    def shared_rows(self) -> float:
        if not self.validation_rows or self._validation is None:
            return _NAN
        return float(np.isin(_hashes(self._validation.x), self._distinct).mean())

    @property
    def shared_by_chance(self) -> float:
        return coincidence(self._x, len(self._train))

    @property
    def distinct_rows(self) -> float:
        return len(self._distinct) / len(self._train.x)

    @property
    def validation_rows(self) -> int:
        return 0 if self._validation is None else len(self._validation)

    @property
    def validation_shift(self) -> ColumnShift | None:
        if self._validation is None or self.validation_rows < _FEW_VALIDATION_ROWS:
            return None
        deviations = self.column_deviations
        other = self._validation.x
        difference = np.abs(other.mean(axis=0) - self._x.mean(axis=0))
        # A single row far away moves a mean, and widens the interval of the mean with it.
        chance = BEYOND_CHANCE * np.sqrt(other.var(axis=0) / len(other) + deviations**2 / len(self._x))
        moved = (deviations > _STILL * max(float(self._x.std()), 1e-12)) & (difference > chance)
        shift = np.where(moved, difference / np.maximum(deviations, 1e-12), 0.0)
        if not shift.size:
            return None
        return ColumnShift(self.column_names[int(shift.argmax())], float(shift.max()))

    @property
    def missing_classes(self) -> int:
        if self.task != "classification" or self._validation is None:
            return 0
        return len(set(np.unique(self._validation.y)) - set(np.unique(self._train.y)))

    @cached_property
    def _held_out(self) -> dict[str, Dataset]:
        """The validation and the test rows that are examined, where there are enough to judge by."""
        parts = {name: rows.head() for name, rows in self._split.sets.items() if name != "training"}
        return {name: part for name, part in parts.items() if len(part) >= _FEW_VALIDATION_ROWS}

    @property
    def stretched_column(self) -> ColumnOutliers | None:
        return None if self._train.image_shape else stretched_column(self._x)

    @property
    def far_inputs(self) -> dict[str, ColumnOutliers]:
        found = {name: far_inputs(rows.x, self._train.x) for name, rows in self._held_out.items()}
        return {name: outliers for name, outliers in found.items() if outliers}

    @property
    def set_differences(self) -> dict[str, SetShift]:
        return {name: set_difference(self._x, rows.x[:_ROWS]) for name, rows in self._held_out.items()}

    @property
    def target_names(self) -> tuple[str, ...]:
        return self._split.preprocessing.target_names

    @property
    def target_differences(self) -> dict[str, SetShift]:
        if self.task != "regression":
            return {}
        return {name: set_difference(self._targets, rows.y[:_ROWS]) for name, rows in self._held_out.items()}

    @property
    def frequency_differences(self) -> dict[str, FrequencyShift]:
        if self.task == "regression":
            return {}
        known = self._as_numbers(self._train.y)
        found = {name: frequency_difference(known, self._as_numbers(rows.y)) for name, rows in self._held_out.items()}
        return {name: shift for name, shift in found.items() if shift}

    @cached_property
    def transfers(self) -> dict[str, Transfer]:
        if self._record is None:
            return {}
        sets = {name: (rows.x[:_ROWS], rows.y[:_ROWS]) for name, rows in self._held_out.items()}
        return transfer(self._x, self._y, self._targets, self.task, sets, self._reference)

    @cached_property
    def spoiled_rows(self) -> SpoiledRows | None:
        if not self._is_suspicious or not self.transfers:
            return None
        name = max(self.transfers, key=lambda name: len(self._held_out[name]))
        # A repeated value is seen where no row between is left out.
        train, other = (self._first_rows(rows) for rows in (self._train, self._held_out[name]))
        return spoiled_rows(train, name, other, self.task, self.transfers[name].there)

    def _first_rows(self, rows: Dataset) -> Rows:
        y = rows.y[:_ROWS]
        return Rows(np.asarray(rows.x[:_ROWS], float), y, self._as_numbers(y))

    @property
    def halves(self) -> Halves | None:
        return halves(self._x, self._y, self._targets, self.task) if self._is_suspicious else None

    # Baselines --------------------------------------------------------------------------------------------------------

    @property
    def constant_accuracy(self) -> float:
        return constant_accuracy(self._y, self.task)

    @cached_property
    def _reference(self) -> np.ndarray | None:
        """Outputs of the cross-validated reference learner for the first of the examined rows."""
        return reference_outputs(self._x, self._targets, self.task)

    def _score(self, rows: Dataset) -> UncertainScore:
        """The score of the trained network on prepared rows, of many on evenly spaced ones; NaN if it diverged."""
        if self._record is None or self._record.diverged:
            return UncertainScore(_NAN, _NAN)
        spaced = slice(None, None, -(-len(rows) // _SCORED_ROWS))
        return score_of(self._record.predict(rows.x[spaced]), rows.y[spaced], self.task)

    @cached_property
    def _training_score(self) -> float:
        return self._score(self._train).value

    @cached_property
    def learned(self) -> Learned | None:
        if self._record is None:
            return None
        score = self._training_score
        constant = constant_score(self._y, self.task)
        best = UncertainScore(1.0) if self._is_near else attainable_score(self._x, self._y, self.task, self._reference)
        has_hidden = sum(layer.has_weights for layer in self._spec.network.layers) > 1
        line = line_score(self._x, self._y, self.task) if has_hidden else _NAN
        return Learned(
            measure=measure_of(self.task),
            score=score,
            constant=constant,
            attainable=max(best.value, constant),
            error=best.error,
            line=line,
        )

    @cached_property
    def _is_near(self) -> bool:
        """Whether the score is close to a perfect one, and that on other rows not far from it: the (slow) estimate of
        what is attainable, and a search for wrong labels, would say nothing more."""
        constant = constant_score(self._y, self.task)
        score = self._training_score
        values = [score, *(held_out.value for held_out in self.held_out_scores.values())]
        return 1 - score < LEAST_GAP and all(value - constant >= 0.75 * (1 - constant) > 0 for value in values)

    @property
    def reference(self) -> UncertainScore | None:
        if self._record is None or self._reference is None:
            return None
        return attainable_score(self._x, self._y, self.task, self._reference)

    @cached_property
    def telling_column(self) -> TellingColumn | None:
        if self._record is None or self._train.image_shape:
            return None
        return telling_column(self._x, self._y, self._targets, self.task)

    @property
    def doubtful_labels(self) -> DoubtfulLabels | None:
        if self._record is None or self.task != "classification" or self._is_near or self._reference is None:
            return None
        found = doubtful_labels(self._reference, self._y[: len(self._reference)])
        return found and found._replace(rows=self._chosen[found.rows])

    @property
    def _is_suspicious(self) -> bool:
        """Whether faults of single rows and columns are looked for: after a training, unless its scores refute them."""
        return self._record is not None and not self._is_near

    @property
    def filled_targets(self) -> FilledTargets | None:
        if not self._is_suspicious or self.task != "regression":
            return None
        found = filled_targets(self._x, self._targets)
        if found is None:
            return None
        values = self._split.preprocessing.values(self._targets[found.rows[:1]])
        return found._replace(rows=self._chosen[found.rows], original=float(np.ravel(values)[found.atom.column]))

    @property
    def filled_inputs(self) -> tuple[Atom, ...]:
        if not self._is_suspicious or self._train.image_shape or self._x.shape[1] > _MOST_COLUMNS:
            return ()
        atoms = []
        for column, values in enumerate(self._x.T):
            apart = value_apart(values)
            if found := apart or atom(values):
                others = float(values[values != found[0]].mean())
                atoms.append(Atom(column, *found, others, is_apart=apart is not None))
        return tuple(atoms)

    @property
    def unmeasured_inputs(self) -> tuple[Unmeasured, ...]:
        if not self._is_suspicious or self._train.image_shape or self._x.shape[1] > _MOST_COLUMNS:
            return ()
        told = self._reference
        if told is None:
            return ()
        n, variance = len(told), float(self._targets.var(axis=0).sum())
        if variance == 0:
            return ()
        errors = np.sum((told - self._targets[:n]) ** 2, axis=1) / variance
        known = self._split.preprocessing
        shift, span = (np.broadcast_to(of, self._x.shape[1]) for of in (known.shift, known.span))
        return unmeasured_inputs(self._x[:n], errors, shift, span)

    @cached_property
    def target_edge(self) -> Edge | None:
        if not self._is_suspicious or self.task != "regression":
            return None
        found = edge(self._targets)
        if found is None:
            return None
        column = found.atom.column
        values = self._split.preprocessing.values(self._targets[self._targets[:, column] == found.atom.value][:1])
        return found._replace(original=float(np.ravel(values)[column]))

    @property
    def beyond_edge(self) -> dict[str, float]:
        found = self.target_edge
        if found is None:
            return {}
        sign = 1 if found.is_upper else -1
        limit = sign * found.atom.value
        return {
            name: float(np.mean(sign * rows.y[:, found.atom.column] > limit)) for name, rows in self._held_out.items()
        }

    @cached_property
    def _outputs(self) -> np.ndarray | None:
        """What the trained network says for the examined rows of a regression (n, outputs); None if it diverged."""
        if self._record is None or self._record.diverged or self.task != "regression":
            return None
        return np.asarray(self._record.predict(self._train.x[self._chosen]), float).reshape(self._targets.shape)

    @property
    def target_magnitudes(self) -> Magnitudes | None:
        if self._outputs is None:
            return None
        known = self._split.preprocessing
        rounding = 2 * np.finfo(self._train.y.dtype).eps * np.abs(np.array(known.target_shift))
        values, outputs = known.values(self._targets), known.values(self._outputs)
        return magnitudes(self._x, values, outputs, rounding, _DECADES)

    @property
    def target_scores(self) -> tuple[TargetScore, ...]:
        return () if self._outputs is None else target_scores(self._x, self._targets, self._outputs)

    @property
    def two_kinds(self) -> TwoKinds | None:
        return two_kinds(self._x, self._targets) if self._is_suspicious and self.task == "regression" else None

    @property
    def one_class(self) -> OneClass | None:
        if not self._is_suspicious or self.task != "classification" or self._reference is None:
            return None
        return one_class(self._reference, self._y[: len(self._reference)])

    @property
    def telling_pair(self) -> TellingPair | None:
        few = self._x.shape[1] <= _MOST_COLUMNS
        if self._record is None or self._train.image_shape or not few or self.telling_column is not None:
            return None
        known = self._split.preprocessing
        numbers = self.task == "regression"
        targets = positive_logs(known.values(self._targets)) if numbers else self._targets
        logs = positive_logs(self._x * np.array(known.span) + np.array(known.shift))
        return telling_pair(self._x, logs, self._y, self._targets, targets, self.task)

    @property
    def out_of_step(self) -> Shift | None:
        if not self._is_suspicious:
            return None
        # Neighbours in the source are neighbours here only if no row between them is left out.
        rows = slice(0, _ROWS)
        x = np.asarray(self._train.x[rows], float)
        return out_of_step(x, self._as_numbers(self._train.y[rows]), self.task)

    @property
    def far_targets(self) -> FarTargets | None:
        if not self._is_suspicious or self.task != "regression":
            return None
        found = far_targets(self._x, self._targets)
        return found and found._replace(rows=self._chosen[found.rows])

    @property
    def unrelated_columns(self) -> tuple[int, ...]:
        if not self._is_suspicious or self._train.image_shape or self._x.shape[1] > _MOST_COLUMNS:
            return ()
        return tuple(map(int, unrelated_columns(self._x, self._targets)))

    @property
    def coarse_inputs(self) -> CoarseInputs | None:
        return coarse_inputs(self._x, self._y, self.task) if self._is_suspicious else None

    @property
    def classes(self) -> int:
        return len(np.unique(self._train.y)) if self.task == "classification" else 0

    @cached_property
    def held_out_scores(self) -> dict[str, UncertainScore]:
        return {name: self._score(rows) for name, rows in self._held_out.items()} if self._record else {}

    @property
    def held_out_errors(self) -> dict[str, FewRows]:
        record = self._record
        if record is None or record.diverged or self.task != "regression":
            return {}
        return {name: few_rows(record.predict(rows.x), rows.y) for name, rows in self._held_out.items()}


def _hashes(*arrays: np.ndarray) -> np.ndarray:
    """A number of 64 bits for each row of arrays of equal length (n,); equal rows have equal numbers."""
    rows = zip(*(np.ascontiguousarray(array) for array in arrays), strict=True)
    return np.fromiter((hash(tuple(part.tobytes() for part in row)) for row in rows), np.int64, len(arrays[0]))
