"""Seeded samples of large sets of rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ...core.noise import generator
from ...data import Dataset, RowSource


def sampled(rows: RowSource, most: int) -> Dataset:
    """The rows of a set in memory; of a large one `most` rows, the same each time."""
    if isinstance(rows, Dataset) and len(rows) <= most:
        return rows
    count = len(rows)
    chosen = np.arange(count)
    if count > most:
        chosen = np.sort(generator(0, "playground", "rows").choice(count, most, replace=False))
    first = 0
    picked: list[Dataset] = []
    for part in rows.parts():
        own = chosen[(chosen >= first) & (chosen < first + len(part))] - first
        weight, key = (None if array is None else array[own] for array in (part.weight, part.key))
        picked.append(dataclasses.replace(part, x=part.x[own], y=part.y[own], weight=weight, key=key))
        first += len(part)
    return _joined(picked)


def _joined(parts: Sequence[Dataset]) -> Dataset:
    """The rows of several parts of a set as one."""
    weights = [part.weight for part in parts if part.weight is not None]
    keys = [part.key for part in parts if part.key is not None]
    return dataclasses.replace(
        parts[0],
        x=np.concatenate([part.x for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        weight=np.concatenate(weights) if weights else None,
        key=np.concatenate(keys) if keys else None,
    )
