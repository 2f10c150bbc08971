"""Facts about the task and its rows, as measurements name them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...data import Task
from ..attainable import UncertainScore
from ..facts import NamedFacts, fact
from .row_faults import Atom, CoarseInputs, FarTargets, FilledTargets, Shift
from .row_relations import OneClass, TellingPair, TwoKinds
from .row_statistics import ColumnOutliers, DoubtfulLabels, TargetOrder, TellingColumn
from .row_values import Edge, Magnitudes, TargetScore
from .set_differences import FrequencyShift, Halves, SetShift, Transfer
from .spoiled_rows import SpoiledRows
from .unmeasured import Unmeasured

_NAN = float("nan")
_NO_NUMBERS = np.zeros(0)


class ColumnShift(NamedTuple):
    """The input column whose mean differs most between training and validation rows."""

    column: str
    deviations: float
    """Difference of the means in standard deviations of the training rows."""


class RowFacts(NamedFacts):
    """What is known of the rows of a training."""

    @fact
    def task(self) -> Task:
        """classification, multilabel or regression."""
        raise LookupError("the source of the measurements gives no task")

    @fact
    def rows(self) -> int:
        """Number of training rows."""
        return 0

    @fact
    def column_names(self) -> tuple[str, ...]:
        """Names of the input columns."""
        return ()

    @fact
    def column_sizes(self) -> np.ndarray:
        """Root mean square of each input column (columns,)."""
        return _NO_NUMBERS

    @fact
    def column_deviations(self) -> np.ndarray:
        """Standard deviation of each input column (columns,)."""
        return _NO_NUMBERS

    @fact
    def column_quantiles(self) -> tuple[tuple[float, ...], ...]:
        """Hundredths of each input column, from its smallest value to its largest."""
        return ()

    @fact
    def standardized_inputs(self) -> bool:
        """Whether inputs are standardized, or scaled by quartiles and bounded by a layer before the first weights."""
        return False

    @fact
    def constant_columns(self) -> tuple[str, ...]:
        """Names of the input columns with the same value in all rows."""
        return ()

    @fact
    def duplicate_columns(self) -> tuple[tuple[str, str], ...]:
        """Names of the input columns that are copies, each with the name of its original."""
        return ()

    @fact
    def target_deviation(self) -> float:
        """Standard deviation of the targets of a regression."""
        return _NAN

    @fact
    def targets_out_of_range(self) -> float:
        """Fraction of the targets outside of the output range of the network."""
        return _NAN

    @fact
    def single_label_rows(self) -> float:
        """Fraction of the rows with exactly one label; NaN unless the task is multilabel with several labels."""
        return _NAN

    @fact
    def majority(self) -> float:
        """Fraction of the rows in the most frequent class."""
        return _NAN

    @fact
    def target_order(self) -> TargetOrder | None:
        """How the targets change along the rows; None if the rows are not visited in the same order in each epoch."""
        return None

    @fact
    def shared_rows(self) -> float:
        """Fraction of the validation rows that are training rows too."""
        return _NAN

    @fact
    def shared_by_chance(self) -> float:
        """The same fraction where rows are drawn anew from independent columns: what few values in few columns do."""
        return 0.0

    @fact
    def distinct_rows(self) -> float:
        """Number of different training rows divided by the number of training rows."""
        return _NAN

    @fact
    def validation_rows(self) -> int:
        """Number of validation rows."""
        return 0

    @fact
    def validation_shift(self) -> ColumnShift | None:
        """The column that differs most between training and validation rows."""
        return None

    @fact
    def missing_classes(self) -> int:
        """Number of classes that occur in validation rows and in no training row."""
        return 0

    @fact
    def constant_loss(self) -> float:
        """Loss of the best output that is the same for all rows; NaN if it is not known for this loss."""
        return _NAN

    @fact
    def constant_accuracy(self) -> float:
        """Accuracy or R² of the best output that is the same for all rows."""
        return _NAN

    @fact
    def commonest_target(self) -> float:
        """Fraction of the rows that have the most frequent target."""
        return _NAN

    @fact
    def repeated_rows(self) -> float:
        """Fraction of the training rows that repeat the inputs and the targets of another."""
        return _NAN

    @fact
    def reference(self) -> UncertainScore | None:
        """Score of a cross-validated reference learner on rows that it has not seen; None before a training, which
        takes less time, and for few rows."""
        return None

    @fact
    def telling_column(self) -> TellingColumn | None:
        """The input column that alone tells the target; None if there is none, and before a training."""
        return None

    @fact
    def doubtful_labels(self) -> DoubtfulLabels | None:
        """Labels that the reference learner contradicts; None without classes or without a reference learner."""
        return None

    @fact
    def stretched_column(self) -> ColumnOutliers | None:
        """The input column whose standard deviation is most due to few rows."""
        return None

    @fact
    def far_inputs(self) -> dict[str, ColumnOutliers]:
        """Of the sets `validation` and `test`, the column that reaches farthest beyond its range in the training rows;
        sets without such rows are left out."""
        return {}

    @fact
    def set_differences(self) -> dict[str, SetShift]:
        """The column whose distribution differs most from that of the training rows, for `validation` and `test`."""
        return {}

    @fact
    def target_names(self) -> tuple[str, ...]:
        """Names of the classes, the labels or the target columns."""
        return ()

    @fact
    def target_differences(self) -> dict[str, SetShift]:
        """The target column whose distribution differs most from that of the training rows, for `validation` and
        `test`; empty for classes and labels."""
        return {}

    @fact
    def frequency_differences(self) -> dict[str, FrequencyShift]:
        """The class or label whose frequency differs most from that in the training rows, for the sets where it does
        beyond chance; empty for numbers."""
        return {}

    @fact
    def transfers(self) -> dict[str, Transfer]:
        """How well a reference learner of the training rows does on the rows of `validation` and `test`; empty before a
        training and for few rows."""
        return {}

    @fact
    def spoiled_rows(self) -> SpoiledRows | None:
        """Whether the validation or the test rows, whichever are more, tell more of themselves than the training rows
        tell of them; None where they do not, before a training, for few rows, and where scores are near perfect."""
        return None

    @fact
    def halves(self) -> Halves | None:
        """How well a reference learner of the first half of the training rows does on the second half; None before a
        training, for few rows, and where their targets differ."""
        return None

    @fact
    def filled_targets(self) -> FilledTargets | None:
        """A value that many of otherwise continuous targets share; None if there is none, and before a training."""
        return None

    @fact
    def filled_inputs(self) -> tuple[Atom, ...]:
        """Values that many rows share in input columns that are otherwise continuous, or far away; empty before a
        training."""
        return ()

    @fact
    def unmeasured_inputs(self) -> tuple[Unmeasured, ...]:
        """Columns with values at the end of a range or carried forward that tell less than others, those that cost most
        first; empty before a training."""
        return ()

    @fact
    def target_edge(self) -> Edge | None:
        """The end of the range of a target that many rows share; None if there is none, and before a training."""
        return None

    @fact
    def beyond_edge(self) -> dict[str, float]:
        """The fraction of the rows of `validation` and `test` whose targets are beyond that end."""
        return {}

    @fact
    def target_magnitudes(self) -> Magnitudes | None:
        """Positive targets of more than three orders of magnitude; None if there are none, and before a training."""
        return None

    @fact
    def target_scores(self) -> tuple[TargetScore, ...]:
        """What the network learned of each of several targets of unlike size; empty if they are not, and before a
        training."""
        return ()

    @fact
    def two_kinds(self) -> TwoKinds | None:
        """The target whose errors fall most clearly into two branches; None before a training, for few rows, and for
        targets that are no continuous numbers."""
        return None

    @fact
    def one_class(self) -> OneClass | None:
        """Two classes that the inputs tell from all others and least from each other; None if there are none, and
        before a training."""
        return None

    @fact
    def telling_pair(self) -> TellingPair | None:
        """The two input columns that together tell the target; None if there are none, if one column does, and before a
        training."""
        return None

    @fact
    def out_of_step(self) -> Shift | None:
        """The shift with which inputs tell the targets of other rows; None if there is none, and before a training."""
        return None

    @fact
    def far_targets(self) -> FarTargets | None:
        """Few targets far from what the inputs of the others suggest; None if there are none, and before a training."""
        return None

    @fact
    def unrelated_columns(self) -> tuple[int, ...]:
        """Numbers of the input columns that alone tell nothing of the targets; empty before a training."""
        return ()

    @fact
    def coarse_inputs(self) -> CoarseInputs | None:
        """Inputs that take few values; None if they do not, and before a training."""
        return None

    @fact
    def classes(self) -> int:
        """Number of classes that occur in the training rows; 0 for other tasks."""
        return 0
