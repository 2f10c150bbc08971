"""The [data] section of a spec: a source, split, scaled and ready to train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..errors import InputError, nearest
from ..noise import generator
from ..parts import Fraction, Part
from .dataset import Dataset, Samples, Scale, Task, check_targets
from .preprocessing import Preprocessing
from .source import Source
from .splitting import split_rows
from .tables import take_target


@dataclass(frozen=True)
class Split:
    """Rows to train on, to validate with and to test with; what made them; what the user ought to know of them."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    preprocessing: Preprocessing
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Data(Part):
    """Where the data come from, and how they are split and scaled.

    target: the column of a table to learn. task: inferred from the targets if not given.
    test: the share of the rows held out for the test where the source has no test set of its own; None: the source's
    default. validation: the share of the other rows held out for the validation.
    scale: how inputs (and the targets of a regression) are scaled by what the training rows show; None: the source's
    default.

    >>> split = Data("iris", validation=0.2).load(seed=0)
    >>> len(split.train), len(split.validation), len(split.test)
    (96, 24, 30)
    """

    source: Source
    target: str | None = None
    task: Task | None = None
    validation: Fraction = 0.1
    test: Fraction | None = None
    scale: Scale | None = None

    @classmethod
    def of(cls, value: Any) -> Self:
        """From a table of its fields, or from all that a source may be: a name, a path, (x, y)."""
        is_section = isinstance(value, Mapping) and "kind" not in value
        return super().of(value if is_section or isinstance(value, cls) else {"source": value})

    def load(self, seed: int) -> Split:
        """Load, split and scale; the seed decides which rows go where. Raises InputError for data of no use."""
        samples, y = _aim(self.source.load(seed), self.target)
        task, notes, n = self.task or samples.task, list(samples.notes), len(y)
        if task is None:
            task, reason = infer_task(y)
            notes.append(f"task: {task}, because {reason}; set task if it is not meant so")
        check_targets(y, task)
        own_test = samples.x_test is not None
        share = 0.0 if own_test else samples.test if self.test is None else self.test
        labels = y if task == "classification" else None
        rows = split_rows(generator(seed, "split"), n, self.validation, share, labels)
        if own_test and self.test is not None:
            notes.append(f"test = {self.test} has no effect: the source has a test set of its own")
        for name, wanted, got in (("validation", self.validation, rows.validation), ("test", share, rows.test)):
            if wanted and not len(got):
                notes.append(f"{name} = {wanted} of {n} rows is less than one row: there is no {name} set")

        # A source names its targets for its own task: classes are no outputs.
        names = samples.target_names if task == samples.task else ()
        if self.target is not None and task != "classification":
            names = (self.target,)
        preprocessing, said = Preprocessing.fit(
            samples.x[rows.train],
            y[rows.train],
            task,
            self.scale or samples.scale,
            samples.feature_names,
            names,
            samples.image_shape,
        )

        def part(index: np.ndarray) -> Dataset:
            weight = None if samples.weight is None else samples.weight[index]
            return preprocessing.dataset(samples.x[index], y[index], weight)

        test = part(rows.test) if len(rows.test) else None
        if samples.x_test is not None and samples.y_test is not None:
            test = preprocessing.dataset(samples.x_test, samples.y_test)
        validation = part(rows.validation) if len(rows.validation) else None
        return Split(part(rows.train), validation, test, preprocessing, (*notes, *said))


def infer_task(y: np.ndarray) -> tuple[Task, str]:
    """The task that targets of this kind suggest, and why.

    >>> infer_task(np.array([0.5, 1.5]))
    ('regression', 'the target is continuous')
    """
    if y.ndim == 2:
        if np.isin(y, (0, 1)).all():
            one_hot = (y.sum(axis=1) == 1).all()
            hint = ", a single 1 in each (give y.argmax(axis=1) if they are classes)" if one_hot else ""
            return "multilabel", f"each row has {y.shape[1]} targets of 0 or 1{hint}"
        return "regression", f"each row has {y.shape[1]} numbers as targets"
    if y.dtype.kind in "bU":
        return "classification", "the target holds " + ("truth values" if y.dtype.kind == "b" else "text")
    if y.dtype.kind == "f":
        return "regression", "the target is continuous"
    distinct = np.unique(y)
    if np.isin(distinct, (0, 1)).all() or (len(distinct) <= 20 and len(distinct) < len(y) / 2):
        return "classification", f"the target holds {len(distinct)} different integers in {len(y)} rows"
    return "regression", f"the target holds {len(distinct)} different integers in {len(y)} rows"


def _aim(samples: Samples, target: str | None) -> tuple[Samples, np.ndarray]:
    """The samples with the target column taken out of their table, and the targets."""
    if samples.y is not None:
        if target is not None:
            raise InputError("data", f"target = {target!r} has no place here: the source has its own targets")
        return samples, samples.y
    if isinstance(samples.x, np.ndarray):
        raise InputError("data", "y is missing: give (x, y)")
    if target is None:
        known = nearest("", samples.x.columns)
        raise InputError("data", f"target is missing: the column of the table that is to be learnt; {known}")
    aimed = take_target(samples.x, target)
    weight = None if samples.weight is None else samples.weight[aimed.kept]
    notes = (*samples.notes, *aimed.notes)
    return samples._replace(x=aimed.frame, weight=weight, notes=notes), aimed.y
