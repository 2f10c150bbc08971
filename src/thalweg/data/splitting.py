"""Which rows train, which validate, which test."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..core.errors import InputError


class RowSplit(NamedTuple):
    """Indices of rows, each in ascending order; no row is in two parts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_rows(
    rng: np.random.Generator, rows: int, validation: float, test: float, labels: np.ndarray | None = None
) -> RowSplit:
    """Draw the test rows, a share `test` of all, then the validation rows, a share `validation` of the rest.

    With `labels` (n,) each class is split by the same shares. Raises InputError if no row is left to train on, or if a
    class has fewer rows than there are parts.

    >>> [len(part) for part in split_rows(np.random.default_rng(0), 100, validation=0.1, test=0.2)]
    [72, 8, 20]
    """
    tested, validated = _sizes(rows, validation, test)
    groups = [np.arange(rows)] if labels is None else _classes(labels, 1 + (tested > 0) + (validated > 0))
    groups = [rng.permutation(group) for group in groups]
    test_rows, groups = _draw(groups, tested, keep=1 + (validated > 0))
    validation_rows, groups = _draw(groups, validated, keep=1)
    return RowSplit(_join(groups), validation_rows, test_rows)


def split_in_time(rows: int, validation: float, test: float, times: np.ndarray | None = None) -> RowSplit:
    """The last rows test, those before them validate, the first train; `times` (n,), if given, say which are the last.

    Raises InputError if no row is left to train on.

    >>> split_in_time(6, validation=0.25, test=0.4)
    RowSplit(train=array([0, 1, 2]), validation=array([3]), test=array([4, 5]))
    """
    tested, validated = _sizes(rows, validation, test)
    sequence = np.arange(rows) if times is None else np.argsort(times, kind="stable")
    first = rows - tested - validated
    return RowSplit(*(np.sort(part) for part in np.split(sequence, [first, first + validated])))


def _sizes(rows: int, validation: float, test: float) -> tuple[int, int]:
    tested = round(test * rows)
    validated = round(validation * (rows - tested))
    if tested + validated >= rows:
        raise InputError(
            "split", f"leaves no training rows: of {rows}, {tested} go to the test and {validated} to the validation"
        )
    return tested, validated


def _classes(labels: np.ndarray, parts: int) -> list[np.ndarray]:
    classes, index = np.unique(labels, return_inverse=True)
    groups = [np.flatnonzero(index == i) for i in range(len(classes))]
    for label, group in zip(classes, groups, strict=True):
        if len(group) < parts:
            size = f"{len(group)} row{'s' * (len(group) > 1)}"
            raise InputError(
                "split",
                f"the class {label.item()!r} has {size}, and a split into {parts} parts needs at least {parts} rows of "
                "each class; join rare classes, or set test = 0 or validation = 0",
            )
    return groups


def _draw(groups: list[np.ndarray], total: int, keep: int) -> tuple[np.ndarray, list[np.ndarray]]:
    sizes = np.array([len(group) for group in groups])
    exact = total * sizes / sizes.sum()
    counts = np.minimum(np.floor(exact).astype(int), sizes - keep)
    # What rounding down left over goes to the largest remainders, as seats in a parliament do.
    for i in np.argsort(counts - exact, kind="stable"):
        if counts.sum() < total and counts[i] < sizes[i] - keep:
            counts[i] += 1
    drawn = _join([group[:count] for group, count in zip(groups, counts, strict=True)])
    return drawn, [group[count:] for group, count in zip(groups, counts, strict=True)]


def _join(groups: list[np.ndarray]) -> np.ndarray:
    return np.sort(np.concatenate(groups))
