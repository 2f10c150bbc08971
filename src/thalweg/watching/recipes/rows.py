"""The rows of a recipe, in memory as tensors."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, TensorDataset

from ...core.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class RecipeRows:
    """The rows of a recipe.

    Attributes:
        x: inputs of the training rows (n, ...).
        y: their targets (n, ...).
        held_out_x: inputs of the held-out rows.
        held_out_y: their targets.
        batch_size: rows of a batch.
        shuffle: whether rows come in a new order in each epoch.
        not_scored: number of held-out rows that were left out, because a NaN or an infinity in them has no score.
    """

    x: Tensor
    y: Tensor
    held_out_x: Tensor
    held_out_y: Tensor
    batch_size: int
    shuffle: bool
    not_scored: int = 0

    @property
    def has_classes(self) -> bool:
        """Whether the targets are classes or labels: whole numbers, or 0 and 1 alone."""
        return not self.y.is_floating_point() or bool(((self.y == 0) | (self.y == 1)).all())

    @property
    def has_two_values(self) -> bool:
        """Whether two different numbers are all targets: labels for a loss that takes labels."""
        return len(self.y.unique()) == 2

    @property
    def class_counts(self) -> Tensor:
        """Number of training rows of each class 0, 1, ... (K,); empty where targets are no classes, (n,) or (n, 1)."""
        y = self.y.reshape(len(self.y), -1)
        codes = y[:, 0].round()
        if y.shape[1] != 1 or bool((codes != y[:, 0]).any() or (codes < 0).any()) or not self.has_classes:
            return torch.zeros(0)
        return torch.bincount(codes.long()).float()

    @property
    def fingerprint(self) -> int:
        """A checksum of all numbers."""
        code = 0
        for tensor in (self.x, self.y, self.held_out_x, self.held_out_y):
            code = zlib.crc32(np.ascontiguousarray(tensor.cpu().numpy()).view(np.uint8).data, code)
        return code


def finite_rows(x: Tensor, y: Tensor) -> Tensor:
    """Which rows have finite numbers alone, in inputs and targets (n,).

    >>> finite_rows(torch.tensor([[1.0], [torch.inf], [2.0]]), torch.tensor([0.0, 1.0, torch.nan]))
    tensor([ True, False, False])
    """
    return torch.isfinite(x).reshape(len(x), -1).all(1) & torch.isfinite(y).reshape(len(y), -1).all(1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of a seed in this block, in PyTorch, NumPy and Python; then those that would have come."""
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def called(place: str, function: Callable[..., T], *arguments: object) -> T:
    """What a function of the user returns. Raises InputError that names the function and its error."""
    try:
        return function(*arguments)
    except InputError:
        raise
    except Exception as error:
        raise InputError(place, f"raised {type(error).__name__}: {error}") from error


def rows_of(data: Callable[[], object], batch_size: int | None, shuffle: bool | None) -> RecipeRows:
    """The rows that `data` of a recipe gives. Its random numbers are those of seed 0: all trainings have the same rows.

    Args:
        data: as in `Recipe`.
        batch_size: rows of a batch; None: that of a DataLoader, else 32.
        shuffle: whether the order is new in each epoch; None: as in a DataLoader, else True.

    Raises:
        InputError: they are not two sets of (x, y).
    """
    with seeded(0):
        sets = called("data", data)
        if not isinstance(sets, tuple | list) or len(sets) != 2:
            raise InputError("data", f"expected (training rows, held-out rows), received {_in_words(sets)}")
        (x, y), (held_out_x, held_out_y) = _tensors("training", sets[0]), _tensors("held-out", sets[1])
    if x.shape[1:] != held_out_x.shape[1:]:
        shapes = f"{tuple(x.shape[1:])} and {tuple(held_out_x.shape[1:])}"
        raise InputError("data", f"expected training and held-out rows of one shape, received {shapes}")
    loader = sets[0] if isinstance(sets[0], DataLoader) else None
    size = batch_size or (loader.batch_size if loader else None) or 32
    random_order = isinstance(loader.sampler, RandomSampler) if loader else True
    scored = finite_rows(held_out_x, held_out_y)
    if not scored.any():
        raise InputError("data, held-out rows", "expected finite numbers, received a NaN or an infinity in every row")
    return RecipeRows(
        x,
        y,
        held_out_x[scored],
        held_out_y[scored],
        min(size, len(y)),
        random_order if shuffle is None else shuffle,
        not_scored=int((~scored).sum()),
    )


def _tensors(name: str, rows: object) -> tuple[Tensor, Tensor]:
    """The inputs and targets of one set of rows."""
    place = f"data, {name} rows"
    if isinstance(rows, DataLoader):
        rows = rows.dataset
    if isinstance(rows, Dataset):
        rows = _collated(place, rows)
    if not isinstance(rows, tuple | list) or len(rows) != 2:
        raise InputError(place, f"expected (x, y), a Dataset or a DataLoader of such pairs, received {_in_words(rows)}")
    x, y = (_tensor(place, values) for values in rows)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) < 2:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise InputError(place, f"expected a row of x and y for each of at least 2 samples, received shapes {shapes}")
    return x, y


def _collated(place: str, dataset: Dataset[object]) -> tuple[Tensor, Tensor]:
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) == 2:
        x, y = dataset.tensors
        return x, y
    if not isinstance(dataset, Sized):
        raise InputError(place, "expected a Dataset with a length, received an IterableDataset")
    samples = called(place, lambda: [dataset[index] for index in range(len(dataset))])
    if not samples or not all(isinstance(sample, tuple | list) and len(sample) == 2 for sample in samples):
        raise InputError(place, f"expected samples (x, y), received {_in_words(samples[0] if samples else samples)}")
    columns = zip(*samples, strict=True)
    x, y = (torch.stack([torch.as_tensor(value) for value in column]) for column in columns)
    return x, y


def _tensor(place: str, values: object) -> Tensor:
    """Numbers as a tensor; fractional ones in PyTorch's default type."""
    tensor = called(place, torch.as_tensor, values).detach()
    return tensor.to(torch.get_default_dtype()) if tensor.dtype == torch.float64 else tensor


def _in_words(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"{len(value)} values: {', '.join(type(item).__name__ for item in value[:4])}"
    return f"a {type(value).__name__}"
