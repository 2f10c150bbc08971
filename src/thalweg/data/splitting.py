"""The split of rows into training, validation and test rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..core.errors import InputError


class RowSplit(NamedTuple):
    """Indices of the rows of each part, in ascending order; no row is in two parts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_rows(
    rng: np.random.Generator,
    rows: int,
    validation: float,
    test: float,
    labels: np.ndarray | None = None,
    texts: np.ndarray | None = None,
) -> RowSplit:
    """Draw the test rows, then the validation rows from the rest.

    Args:
        rng: where the rows are drawn from.
        rows: number of rows.
        validation: fraction of the rows that are not test rows.
        test: fraction of all rows.
        labels: class of each row, (n,); if given, each class is split by the same fractions.
        texts: the classes by name, where labels are their places, (K,).

    Raises:
        InputError: no row is left to train on, or a class has fewer rows than there are parts.

    >>> [len(part) for part in split_rows(np.random.default_rng(0), 100, validation=0.1, test=0.2)]
    [72, 8, 20]
    """
    test_size, validation_size = _sizes(rows, validation, test)
    parts = 1 + (test_size > 0) + (validation_size > 0)
    groups = [np.arange(rows, dtype=_index_type(rows))] if labels is None else _classes(labels, texts, parts)
    groups = [rng.permutation(group) for group in groups]
    test_rows, groups = _draw(groups, test_size, keep=1 + (validation_size > 0))
    validation_rows, groups = _draw(groups, validation_size, keep=1)
    return RowSplit(_join(groups), validation_rows, test_rows)


def split_in_time(rows: int, validation: float, test: float, times: np.ndarray | None = None) -> RowSplit:
    """The first rows train, the next ones validate, the last ones test; `times` (n,), if given, order the rows.

    Raises InputError if no row is left to train on.

    >>> [part.tolist() for part in split_in_time(6, validation=0.25, test=0.4)]
    [[0, 1, 2], [3], [4, 5]]
    """
    test_size, validation_size = _sizes(rows, validation, test)
    sequence = np.arange(rows) if times is None else np.argsort(times, kind="stable")
    sequence = sequence.astype(_index_type(rows), copy=False)
    train_size = rows - test_size - validation_size
    return RowSplit(*(np.sort(part) for part in np.split(sequence, [train_size, train_size + validation_size])))


def _sizes(rows: int, validation: float, test: float) -> tuple[int, int]:
    """Numbers of test and of validation rows."""
    test_size = round(test * rows)
    validation_size = round(validation * (rows - test_size))
    if test_size + validation_size >= rows:
        received = f"of {rows} rows, {test_size} go to the test set and {validation_size} to the validation set"
        raise InputError("split", f"leaves no training rows: {received}; lower test or validation")
    return test_size, validation_size


def _classes(labels: np.ndarray, texts: np.ndarray | None, parts: int) -> list[np.ndarray]:
    """The rows of each class. Raises InputError for a class with fewer rows than parts."""
    classes = np.unique(labels)
    index = np.searchsorted(classes, labels).astype(_index_type(len(classes)))
    order = np.argsort(index, kind="stable").astype(_index_type(len(labels)))
    groups = np.split(order, np.cumsum(np.bincount(index))[:-1])
    for label, group in zip(classes if texts is None else texts[classes], groups, strict=True):
        if len(group) < parts:
            size = f"{len(group)} row{'s' * (len(group) > 1)}"
            raise InputError(
                "split",
                f"the class {label.item()!r} has {size}, but a split into {parts} parts needs at least {parts} rows of "
                "each class; merge rare classes, or set test = 0 or validation = 0",
            )
    return groups


def _draw(groups: list[np.ndarray], total: int, keep: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Take `total` rows, of each group in proportion to its size, but leave `keep` in each: drawn rows, the rest."""
    sizes = np.array([len(group) for group in groups])
    exact = total * sizes / sizes.sum()
    counts = np.minimum(np.floor(exact).astype(int), sizes - keep)
    # The rows lost by rounding down go to the largest remainders, as seats in a parliament do.
    for i in np.argsort(counts - exact, kind="stable"):
        if counts.sum() < total and counts[i] < sizes[i] - keep:
            counts[i] += 1
    drawn = _join([group[:count] for group, count in zip(groups, counts, strict=True)])
    return drawn, [group[count:] for group, count in zip(groups, counts, strict=True)]


def _join(groups: list[np.ndarray]) -> np.ndarray:
    rows = np.concatenate(groups)
    rows.sort()
    return rows


def _index_type(count: int) -> type[np.signedinteger]:
    """The type of indices below `count`: half the memory where 32 bits hold them."""
    return np.int32 if count <= np.iinfo(np.int32).max else np.int64
