"""The rows of two runs: which differ, in which columns, and how their targets are distributed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...data import Dataset, Preprocessing, RowSource
from .record import RunRecord

SETS = ("training", "validation", "test")
_FIRST = 5
# Rows are compared in the units of the data: scaling there and back rounds in the precision of the rows.
_ROUNDING = {"float32": 64 * 2.0**-24, "float64": 64 * 2.0**-53}


class RowChange(NamedTuple):
    """A number of a row that differs.

    Attributes:
        row: number of the row in its set, from 0.
        column: name of the column; "target" or the name of a target.
        values: both values, in the units of the data.
    """

    row: int
    column: str
    values: tuple[object, object]


class SetDifference(NamedTuple):
    """A set of rows of two runs.

    Attributes:
        name: training, validation or test.
        counts: number of rows of each run; None where they are not there any more, or the run has no such set.
        fingerprints: the recorded CRC-32 of the rows of each run; None where it was not recorded.
        differing: number of rows that differ place by place; None where they were not compared.
        reordered: whether they are the same rows in another order.
        first: the first numbers that differ.
        columns: number of differing rows by column, the largest first.
        classes: the fraction of each class, or the mean and the standard deviation of each target, of each run.
    """

    name: str
    counts: tuple[int | None, int | None]
    fingerprints: tuple[int | None, int | None]
    differing: int | None = None
    reordered: bool = False
    first: tuple[RowChange, ...] = ()
    columns: tuple[tuple[str, int], ...] = ()
    targets: tuple[tuple[str, tuple[float, float]], ...] = ()

    @property
    def same(self) -> bool | None:
        """Whether the rows are the same, by comparison or by their fingerprints; None where it is not known."""
        if self.differing is not None:
            return self.differing == 0
        if None in self.fingerprints:
            return None
        return self.fingerprints[0] == self.fingerprints[1]


def compare_rows(one: RunRecord, other: RunRecord) -> tuple[SetDifference, ...]:
    """The sets that one of the runs has."""
    records = (one, other)
    sets = [record.split.sets if record.split else {} for record in records]
    known = {*sets[0], *sets[1], *one.fingerprints, *other.fingerprints}
    names = [name for name in SETS if name in known]
    return tuple(_compared(name, records, (sets[0].get(name), sets[1].get(name))) for name in names)


def _compared(
    name: str, records: tuple[RunRecord, RunRecord], rows: tuple[RowSource | None, RowSource | None]
) -> SetDifference:
    prints = (records[0].fingerprints.get(name), records[1].fingerprints.get(name))
    mine, theirs = rows
    counts = (None if mine is None else len(mine), None if theirs is None else len(theirs))
    found = SetDifference(name, counts, prints)
    if mine is None or theirs is None:
        return found
    known = records[0].run.preprocessing, records[1].run.preprocessing
    found = found._replace(targets=_targets(known, (mine, theirs)))
    if counts[0] != counts[1] or known[0].feature_names != known[1].feature_names:
        return found
    return _place_by_place(found, known, mine, theirs)


def _place_by_place(
    found: SetDifference, known: tuple[Preprocessing, Preprocessing], mine: RowSource, theirs: RowSource
) -> SetDifference:
    names = (*known[0].feature_names, *_target_names(known[0]), "weight")
    by_column = np.zeros(len(names), dtype=int)
    first: list[RowChange] = []
    differing = 0
    start = 0
    hashes: tuple[list[bytes], list[bytes]] = ([], [])
    precisions = {known[0].precision, known[1].precision}
    rounding = _ROUNDING["float32" if "float32" in precisions else "float64"]
    for pair in _aligned(mine, theirs):
        tables = [_raw(part, fitted) for part, fitted in zip(pair, known, strict=True)]
        scale = np.maximum(*(np.abs(table).max(axis=0, initial=0.0) for table in tables))
        different = np.abs(tables[0] - tables[1]) > rounding * scale
        by_column += different.sum(axis=0)
        rows = np.flatnonzero(different.any(axis=1))
        differing += len(rows)
        for row, column in np.argwhere(different)[: _FIRST - len(first)].tolist():
            values = tuple(
                _shown(table[row, column], names[column], fitted) for table, fitted in zip(tables, known, strict=True)
            )
            first.append(RowChange(start + row, names[column], (values[0], values[1])))
        for kept, table in zip(hashes, tables, strict=True):
            kept += [line.tobytes() for line in table.astype(np.float32)] if differing else []
        start += len(tables[0])
    largest = sorted(zip(names, by_column.tolist(), strict=True), key=lambda item: -item[1])
    return found._replace(
        differing=differing,
        reordered=differing > 1 and start == len(hashes[0]) and sorted(hashes[0]) == sorted(hashes[1]),
        first=tuple(first),
        columns=tuple((name, count) for name, count in largest if count),
    )


def _aligned(mine: RowSource, theirs: RowSource) -> Iterator[tuple[Dataset, Dataset]]:
    """The rows of both in parts of the same length, which fit into memory."""
    sources = [mine.parts(), theirs.parts()]
    parts: list[Dataset | None] = [None, None]
    offsets = [0, 0]
    while True:
        for which in (0, 1):
            part = parts[which]
            if part is None or offsets[which] == len(part):
                parts[which] = next(sources[which], None)
                offsets[which] = 0
        one, other = parts
        if one is None or other is None:
            return
        count = min(len(one) - offsets[0], len(other) - offsets[1])
        yield _rows(one, offsets[0], count), _rows(other, offsets[1], count)
        offsets = [offset + count for offset in offsets]


def _rows(part: Dataset, start: int, count: int) -> Dataset:
    rows = slice(start, start + count)
    return Dataset.without_checks(
        x=part.x[rows], y=part.y[rows], task=part.task, weight=None if part.weight is None else part.weight[rows]
    )


def _raw(part: Dataset, fitted: Preprocessing) -> np.ndarray:
    """Inputs, targets and weight of the rows in the units of the data; classes by their numbers."""
    y = fitted.values(part.y) if fitted.task == "regression" else part.y.reshape(len(part), -1)
    weight = np.ones(len(part)) if part.weight is None else part.weight
    return np.column_stack([fitted.unscaled(part.x), y, weight])


def _target_names(fitted: Preprocessing) -> tuple[str, ...]:
    if fitted.task == "classification":
        return ("target",)
    return fitted.target_names or tuple(f"target {number}" for number in range(1, fitted.outputs + 1))


def _shown(value: float, column: str, fitted: Preprocessing) -> object:
    if column == "target" and fitted.task == "classification":
        return fitted.labels(int(value)).item()
    return float(value)


def _targets(
    known: tuple[Preprocessing, Preprocessing], rows: tuple[RowSource, RowSource]
) -> tuple[tuple[str, tuple[float, float]], ...]:
    """The fraction of each class or label, or mean and standard deviation of each target, of both runs."""
    described = [_distribution(fitted, source) for fitted, source in zip(known, rows, strict=True)]
    names = dict.fromkeys(name for each in described for name in each)
    return tuple((name, (described[0].get(name, np.nan), described[1].get(name, np.nan))) for name in names)


def _distribution(fitted: Preprocessing, rows: RowSource) -> dict[str, float]:
    y = np.concatenate([part.y for part in rows.parts()])
    if fitted.task == "classification":
        shares = np.bincount(y, minlength=rows.outputs) / len(y)
        return {f"share of {label}": float(share) for label, share in zip(fitted.classes, shares, strict=False)}
    values = fitted.values(y) if fitted.task == "regression" else y.astype(float)
    found: dict[str, float] = {}
    for name, column in zip(_target_names(fitted), values.T, strict=True):
        found[f"mean of {name}"] = float(column.mean())
        found[f"standard deviation of {name}"] = float(column.std())
    return found
