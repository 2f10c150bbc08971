"""The latest rows of a training, by reference."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .tensors import any_tensor, exact

Rows = tuple[object, Tensor]
"""What the model takes (a tensor, a tuple of arguments or a dict of keywords), and the targets."""
# As many batches are kept as hold this many rows.
_KEPT = 512
_CHUNK = 256


class RecentRows:
    """The latest batches."""

    def __init__(self) -> None:
        self._batches: list[Rows] = []
        self._sizes: list[int] = []
        self._count = 0

    def add(self, inputs: object, targets: object) -> None:
        """Keep a batch, and drop those that are not needed any more."""
        if isinstance(targets, Tensor) and targets.dim():
            size = targets.size(0)
            self._batches.append((inputs, targets))
            self._sizes.append(size)
            self._count += size
            while self._count - self._sizes[0] >= _KEPT:
                self._count -= self._sizes.pop(0)
                del self._batches[0]

    def clear(self) -> None:
        """Drop all batches."""
        self._batches, self._sizes, self._count = [], [], 0

    @property
    def last(self) -> Rows | None:
        """The latest batch; None without one."""
        return self._batches[-1] if self._batches else None

    @property
    def chunk(self) -> int:
        """The number of rows that may be evaluated at once: as many as are trained on at once, or a few more."""
        return max(_CHUNK, *(len(targets) for _, targets in self._batches), 0)

    def joined(self) -> Rows | None:
        """All batches in one; the latest where they have different forms; None without one."""
        inputs = [x for x, _ in self._batches if isinstance(x, Tensor)]
        targets = [y for _, y in self._batches]
        by_row = all(len(x) == len(y) for x, y in zip(inputs, targets, strict=False))
        forms = {x.shape[1:] for x in inputs}, {y.shape[1:] for y in targets}
        if self._batches and len(inputs) == len(targets) and by_row and max(map(len, forms)) == 1:
            return torch.cat(inputs), torch.cat(targets)
        return self.last


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
