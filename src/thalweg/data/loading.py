"""The [data] section of a spec: a source, split, scaled and ready to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

import numpy as np

from ..core.errors import InputError
from ..core.noise import generator
from ..parts.part import Count, Fraction, Part
from .dataset import Dataset, Samples, Scale, Task, check_targets
from .orders import Order, Shuffled
from .pieces import LabeledPieces, LabeledRows, piece_bytes, separate_target
from .preprocessing import Preprocessing
from .source import Source
from .splitting import RowSplit, split_in_time, split_rows
from .streaming import DiskWriter, MemoryWriter, RowSource, StreamedDataset

# What splitting n rows takes at most, for each of them: permutations, and the classes in order.
_SPLIT_BYTES = 64


@dataclass(frozen=True)
class Split:
    """Rows to train on, to validate with and to test with; what made them; what the user ought to know of them."""

    train: Dataset | StreamedDataset
    validation: Dataset | StreamedDataset | None
    test: Dataset | StreamedDataset | None
    preprocessing: Preprocessing
    notes: tuple[str, ...]
    order: Order = Shuffled()

    @property
    def sets(self) -> dict[str, RowSource]:
        """The sets that exist, by name: training, validation, test. The last one is the best measure of unseen rows.

        >>> list(Data("iris", validation=0.0).load(seed=0).sets)
        ['training', 'test']
        """
        named = {"training": self.train, "validation": self.validation, "test": self.test}
        return {name: rows for name, rows in named.items() if rows is not None}


@dataclass(frozen=True)
class Data(Part):
    """Where the data come from, and how they are split and scaled.

    target: the column of a table to learn. task: inferred from the targets if not given.
    test: the share of the rows held out for the test where the source has no test set of its own; None: the source's
    default. validation: the share of the other rows held out for the validation.
    scale: how inputs (and the targets of a regression) are scaled by what the training rows show; None: the source's
    default.
    order: the order in which an epoch meets the training rows. split: which rows are held out: "random" ones (of each
    class its share), or by "time" the last ones: training, validation, test, in the order of the file, or in that of
    the column that `order = { kind = "time", by = ... }` names.
    memory: how many megabytes (10^6 bytes) the rows may take. Where they take more as float32 they stream from a disk
    while the network trains, if their source can be read in pieces: tables, .npy files, arrays. None: no limit.

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
    order: Order = Shuffled()
    split: Literal["random", "time"] = "random"
    memory: Count | None = None

    @classmethod
    def of(cls, value: Any) -> Self:
        """From a table of its fields, or from all that a source may be: a name, a path, (x, y)."""
        is_section = isinstance(value, Mapping) and "kind" not in value
        return super().of(value if is_section or isinstance(value, cls) else {"source": value})

    def load(self, seed: int, watch: Callable[[int, int], None] = lambda done, total: None) -> Split:
        """Load, split and scale; the seed decides which rows go where. Raises InputError for data of no use.

        `watch` hears how many rows of how many are prepared, where they come in pieces.
        """
        raw = self._raw(seed, watch)
        samples, y, key = self._gathered(raw)
        task, notes, n = self.task or samples.task, list(samples.notes), len(y)
        if task is None:
            task, reason = infer_task(y)
            notes.append(f"task: {task}, because {reason}; set task if it is not meant so")
        check_targets(y, task)
        self.order.check(task)
        own_test = samples.x_test is not None
        share = 0.0 if own_test else samples.test if self.test is None else self.test
        if self.split == "time":
            rows = split_in_time(n, self.validation, share, key if self.order.in_time else None)
        else:
            labels = y if task == "classification" else None
            rows = split_rows(generator(seed, "split"), n, self.validation, share, labels)
            if self.order.in_time and (self.validation or share):
                notes.append(
                    "the order is that of time, and split = 'random' holds out rows that lie between the training "
                    "rows; split = 'time' holds out the last ones"
                )
        if own_test and self.test is not None:
            notes.append(f"test = {self.test} has no effect: the source has a test set of its own")
        for name, wanted, got in (("validation", self.validation, rows.validation), ("test", share, rows.test)):
            if wanted and not len(got):
                notes.append(f"{name} = {wanted} of {n} rows is less than one row: there is no {name} set")

        # A source names its targets for its own task: classes are no outputs.
        names = samples.target_names if task == samples.task else ()
        if self.target is not None and task != "classification":
            names = (self.target,)
        preprocessing, said = Preprocessing.fit_pieces(
            ((piece.samples.x[index], y[start + index]) for start, piece, index in _drawn(raw, rows.train)),
            task,
            self.scale or samples.scale,
            samples.feature_names,
            names,
            samples.image_shape,
        )
        notes += said
        size, memory = 4 * n * preprocessing.features, None
        if self.memory and isinstance(raw, LabeledPieces) and size > self.memory * 10**6:
            memory = self.memory * 10**6
            _check_streams(memory, self.order, y, key)
            notes.append(_how(size, memory))
        sets = _encoded(raw, rows, preprocessing, y, key, memory)
        test = sets[2]
        if samples.x_test is not None and samples.y_test is not None:
            test = preprocessing.dataset(samples.x_test, samples.y_test)
        return Split(cast(Dataset | StreamedDataset, sets[0]), sets[1], test, preprocessing, tuple(notes), self.order)

    def _raw(self, seed: int, watch: Callable[[int, int], None]) -> Iterable[LabeledRows]:
        """The rows as the source gives them: as a whole, or piece by piece where `memory` asks for it."""
        size = piece_bytes(self.memory * 10**6) if self.memory else 0
        pieces = self.source.pieces(size) if size else None
        if pieces is None:
            return [separate_target(self.source.load(seed), self.target)]
        return LabeledPieces(pieces, max(1, size // (4 * pieces.width)), self.target, watch)

    def _gathered(self, raw: Iterable[LabeledRows]) -> tuple[Samples, np.ndarray, np.ndarray | None]:
        """What is known of all rows, the targets of all, and what the order looks at."""
        targets, keys, missing = list[np.ndarray](), list[np.ndarray | None](), 0
        for samples, y, gaps in raw:
            head = samples
            targets.append(y)
            keys.append(self.order.key(samples.x, y, samples.feature_names))
            missing += gaps
        y = targets[0] if len(targets) == 1 else np.concatenate(targets)
        known = [key for key in keys if key is not None]
        key = np.concatenate(known) if known else None
        if not len(y):
            raise InputError("table", f"the target column {self.target!r} has no values, expected classes or numbers")
        if missing:
            note = f"{missing} of {missing + len(y)} rows have no value of {self.target!r} and are left out"
            head = head._replace(notes=(*head.notes, note))
        return head, y, key


def _check_streams(memory: int, order: Order, y: np.ndarray, key: np.ndarray | None) -> None:
    """InputError where rows that stream can not be split within the memory (bytes), or would have to be sorted."""
    least = -(-(2 * y.nbytes + _SPLIT_BYTES * len(y)) // 10**6)
    if least * 10**6 > memory:
        raise InputError(
            "data.memory",
            f"{memory // 10**6} MB do not hold the targets of {len(y)} rows while they are split: at least "
            f"memory = {least} does",
        )
    if order.in_time and key is not None and (np.diff(key) < 0).any():
        row = int(np.argmax(np.diff(key) < 0)) + 1
        raise InputError(
            "data.order",
            f"rows that stream can not be sorted, and row {row} (from 0) is earlier than the one before it; sort the "
            "file, or leave memory out",
        )


def _drawn(raw: Iterable[LabeledRows], rows: np.ndarray) -> Iterator[tuple[int, LabeledRows, np.ndarray]]:
    """Each piece that holds some of the rows: where it starts, itself, and which of its rows they are."""
    start = 0
    for piece in raw:
        low, high = np.searchsorted(rows, [start, start + len(piece.y)])
        if low < high:
            yield start, piece, rows[low:high] - start
        start += len(piece.y)


def _encoded(
    raw: Iterable[LabeledRows],
    rows: RowSplit,
    preprocessing: Preprocessing,
    y: np.ndarray,
    key: np.ndarray | None,
    memory: int | None,
) -> list[Dataset | StreamedDataset | None]:
    """The sets of the split in the numbers of the network; on a disk if `memory` (bytes) is given, else in memory."""
    head = (preprocessing.task, preprocessing.target_names, preprocessing.image_shape)
    sets = [
        (MemoryWriter(*head) if memory is None else DiskWriter(*head, memory)) if len(part) else None for part in rows
    ]
    cut = len(y) if memory is None else max(1, piece_bytes(memory) // (4 * preprocessing.features))
    start = 0
    for samples, targets, _ in raw:
        stop = start + len(targets)
        for number, (part, into) in enumerate(zip(rows, sets, strict=True)):
            chosen = part[slice(*np.searchsorted(part, [start, stop]))]
            for some in (chosen[i : i + cut] for i in range(0, len(chosen), cut)):
                columns = {"x": preprocessing.inputs(samples.x[some - start]), "y": preprocessing.targets(y[some])}
                if samples.weight is not None:
                    columns["weight"] = samples.weight[some - start].astype(np.float32)
                if key is not None and not number:
                    columns["key"] = key[some]
                if into:
                    into.append(columns)
        start = stop
    return [into.finish() if into else None for into in sets]


def _how(size: int, memory: int) -> str:
    return (
        f"the rows take {size / 1e6:.0f} MB as float32, more than memory = {memory // 10**6}: they stream from a disk. "
        "Blocks of neighbouring rows are met in random order, in parts that fit into memory, and data.order holds "
        "inside of each part"
    )


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
    labels = np.isin(distinct, (0, 1)).all() or np.isin(distinct, (-1, 1)).all()
    if labels or (len(distinct) <= 20 and len(distinct) < len(y) / 2):
        return "classification", f"the target holds {len(distinct)} different integers in {len(y)} rows"
    return "regression", f"the target holds {len(distinct)} different integers in {len(y)} rows"
