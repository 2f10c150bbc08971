"""The latest rows of a training, by reference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .tensors import any_tensor, exact

Rows = tuple[object, Tensor]
"""What the model takes (a tensor, a tuple of arguments or a dict of keywords), and the targets."""
Call = tuple[tuple[object, ...], Mapping[str, object]]
"""The arguments and keywords of a call of the model."""
# As many batches are kept as hold this many rows.
_KEPT = 512
_CHUNK = 256


class RecentRows:
    """The latest batches."""

    def __init__(self) -> None:
        self._calls: list[tuple[Call, object]] = []
        self._most = 0

    def add(self, call: Call, targets: object) -> None:
        """Keep a batch; those that are not needed any more are dropped several at a time."""
        self._calls.append((call, targets))
        if len(self._calls) > self._most:
            self._drop()

    def _drop(self) -> None:
        """Drop the batches that are not needed any more, and those without rows."""
        kept: list[tuple[Call, object]] = []
        count = 0
        for call, targets in reversed(self._calls):
            if isinstance(targets, Tensor) and targets.dim() and count < _KEPT:
                kept.append((call, targets))
                count += targets.size(0)
        self._calls = kept[::-1]
        self._most = len(kept) + len(kept) // 2

    @property
    def _batches(self) -> list[Rows]:
        self._drop()
        return [(_as_inputs(*call), targets) for call, targets in self._calls if isinstance(targets, Tensor)]

    def clear(self) -> None:
        """Drop all batches."""
        self._calls = []

    @property
    def last(self) -> Rows | None:
        """The latest batch; None without one."""
        batches = self._batches
        return batches[-1] if batches else None

    @property
    def chunk(self) -> int:
        """The number of rows that may be evaluated at once: as many as are trained on at once, or a few more."""
        return max(_CHUNK, *(len(targets) for _, targets in self._batches), 0)

    def joined(self) -> Rows | None:
        """All batches in one; the latest where they have different forms; None without one."""
        batches = self._batches
        inputs = [x for x, _ in batches if isinstance(x, Tensor)]
        targets = [y for _, y in batches]
        by_row = all(len(x) == len(y) for x, y in zip(inputs, targets, strict=False))
        forms = {x.shape[1:] for x in inputs}, {y.shape[1:] for y in targets}
        if batches and len(inputs) == len(targets) and by_row and max(map(len, forms)) == 1:
            return torch.cat(inputs), torch.cat(targets)
        return batches[-1] if batches else None


def as_call(inputs: object) -> Call:
    """Arguments and keywords of the model for what the user tells as its inputs."""
    if isinstance(inputs, Mapping):
        return (), inputs
    return (tuple(inputs), {}) if isinstance(inputs, tuple | list) else ((inputs,), {})


def _as_inputs(args: tuple[object, ...], kwargs: Mapping[str, object]) -> object:
    """The inverse of `as_call`."""
    if kwargs and not args:
        return dict(kwargs)
    return args[0] if len(args) == 1 else args


def is_rows(value: object) -> bool:
    """Whether a value is a pair of inputs and targets, of at least one row."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    targets = value[1]
    return isinstance(targets, Tensor) and targets.dim() > 0 and len(targets) > 0


def as_arrays(rows: Rows) -> tuple[np.ndarray, np.ndarray] | None:
    """The first tensor of the inputs, and the targets, as arrays; None where they have other rows."""
    x = any_tensor([rows[0]])
    if x is None or not x.dim() or len(x) != len(rows[1]):
        return None
    return exact(x).cpu().numpy(), rows[1].detach().cpu().numpy()
