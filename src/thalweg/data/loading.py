"""The [data] section of a spec: a source that is split, scaled and ready to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np

from ..core.errors import InputError
from ..core.files import JsonObject
from ..core.memory import machine_memory
from ..core.noise import generator
from ..parts.part import Count, Fraction, Part
from ..parts.settings import Precision
from .dataset import Samples, Scale, Task, check_targets
from .orders import Order, Shuffled
from .pieces import LabeledPieces, LabeledRows, piece_bytes, separate_target
from .preprocessing import Preprocessing
from .reading.column_choice import ColumnChoice, ColumnTypes
from .source import Source
from .splitting import RowSplit, split_in_time, split_rows
from .streaming import DiskWriter, MemoryWriter, RowSource

if TYPE_CHECKING:
    import polars

# Bytes for each row that splitting takes at most: permutations, and the rows sorted by class.
_SPLIT_BYTES = 24
_FIRST_TARGETS = 1000
_NUMBER_BYTES = 4
# Bytes for each row that tell which set it belongs to.
_SET_BYTES = 4
# What a training takes for each byte of its rows in memory: the rows, a copy while they are put together, a copy on the
# device to train on, and one to evaluate. Rows that are read as a whole are twice as large, as a table and as numbers.
_COPIES = 4
_COPIES_OF_A_WHOLE = 8


@dataclass(frozen=True)
class Split:
    """A data set that is split, scaled and ready to train on.

    Attributes:
        train: the training rows.
        validation: the validation rows, or None.
        test: the test rows, or None.
        preprocessing: scaling and encoding, fitted to the training rows.
        notes: messages for the user about these data.
        order: the order in which an epoch visits the training rows.
    """

    train: RowSource
    validation: RowSource | None
    test: RowSource | None
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


class _AllRows(NamedTuple):
    """What is known of all rows of a source.

    Attributes:
        samples: names, defaults and test set of the source; its rows are those of the last piece.
        y: the targets of all rows; of targets that are text, the place of each in `texts`.
        key: the number of each row that the order uses, or None.
        notes: messages for the user.
        texts: the different texts of the targets, sorted; None where they are numbers.
    """

    samples: Samples
    y: np.ndarray
    key: np.ndarray | None
    notes: tuple[str, ...]
    texts: np.ndarray | None = None

    @property
    def kinds(self) -> np.ndarray:
        """Targets that tell what all are like: the different texts, or all numbers."""
        return self.y if self.texts is None else self.texts

    def targets(self, rows: np.ndarray) -> np.ndarray:
        """The targets of some rows, as the source has them."""
        return self.y[rows] if self.texts is None else self.texts[self.y[rows]]


@dataclass(frozen=True)
class Data(Part):
    """Where the data come from, and how they are split and scaled.

    Attributes:
        source: where the rows come from.
        target: the column of a table to predict.
        task: classification, regression or multilabel; None: inferred from the targets.
        validation: fraction of the rows that are not test rows, held out for validation.
        test: fraction of the rows held out for the test, unless the source has its own test set; None: the source's
            default.
        scale: how inputs (and the targets of a regression) are scaled, fitted to the training rows; None: the source's
            default.
        order: the order in which an epoch visits the training rows.
        split: "random": held-out rows are drawn, in proportion from each class; "time": the first rows train, the next
            ones validate, the last ones test, in the order of the file or of the column that
            `order = { kind = "time", by = ... }` names.
        memory: megabytes (10^6 bytes) that the rows may take with all copies of them, four times their size as numbers
            of the training's precision. If they take more they stream from the disk during training, provided that the
            source can be read in pieces: tables, .npy files, arrays. None: half of the machine's memory.
        columns: the columns that are inputs; empty: all but the other ones.
        drop: columns that are left out.
        types: of some columns of a table, the kind: number, time, boolean or category. The others have the one that
            their values suggest.
        id: a column of a table that names the rows: it is no input, and predictions have it.
        codes_above: a column with more categories becomes one input, the number of its category, for an embedding
            layer; None: each category of a column is an input, 0 or 1, unless the network is one with embeddings.

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
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    types: ColumnTypes = ()
    id: str | None = None
    codes_above: Count | None = None

    def describe(self) -> JsonObject:
        """As every part; without lists of columns that are empty, and with kinds of columns as a table."""
        table = {name: value for name, value in super().describe().items() if value != []}
        return {**table, "types": dict(self.types)} if self.types else table

    @property
    def choice(self) -> ColumnChoice:
        """What is said of the columns."""
        return ColumnChoice(self.target, self.columns, self.drop, self.types, self.id)

    @classmethod
    def of(cls, value: object) -> Self:
        """From a table of its fields, or from every form of a source: a name, a path, (x, y)."""
        is_section = isinstance(value, Mapping) and "kind" not in value
        return super().of(value if is_section or isinstance(value, cls) else {"source": value})

    @property
    def keeps_test_rows(self) -> bool:
        """Whether the test rows are the same rows for every seed: the last ones in time, or a test set of the source.

        >>> Data("digits").keeps_test_rows, Data("digits", split="time").keeps_test_rows
        (False, True)
        """
        if self.split == "time":
            return True
        # Sources that can stream have no test set of their own.
        return not self.source.numbers() and self.source.load(0).x_test is not None

    def load(
        self,
        seed: int,
        on_load: Callable[[int, int], None] = lambda done, total: None,
        precision: Precision = "float32",
    ) -> Split:
        """Load, split and scale the data.

        Args:
            seed: decides which rows go to which set.
            on_load: called with the number of rows prepared so far and in total, where they are read in pieces.
            precision: of the numbers of the rows.

        Raises:
            InputError: the data cannot be read, split or learned from.
        """
        rows = self._read(seed, on_load)
        all_rows = self._gather(rows)
        task, all_rows, task_notes = self._task_of(all_rows)
        samples = all_rows.samples
        row_split, split_notes = self._split(all_rows, task, seed)
        preprocessing, fit_notes = Preprocessing.fit_pieces(
            _training_pieces(rows, row_split.train, all_rows),
            task=task,
            scale=self.scale or samples.scale,
            feature_names=samples.feature_names,
            target_names=self._target_names(samples, task),
            image_shape=samples.image_shape,
            table=samples.table,
            precision=precision,
            codes_above=self.codes_above,
        )
        memory, memory_notes = self._memory_limit(rows, all_rows, preprocessing)
        train, validation, test = _prepare(rows, row_split, preprocessing, all_rows, memory)
        assert train is not None
        if samples.x_test is not None and samples.y_test is not None:
            test = preprocessing.dataset(samples.x_test, samples.y_test)
        return Split(
            train=train,
            validation=validation,
            test=test,
            preprocessing=preprocessing,
            notes=(*all_rows.notes, *task_notes, *split_notes, *fit_notes, *memory_notes),
            order=self.order,
        )

    @property
    def _memory_bytes(self) -> int:
        """The memory that the rows may take with all copies of them."""
        return self.memory * 10**6 if self.memory else machine_memory() // 2

    def _read(self, seed: int, on_load: Callable[[int, int], None]) -> Iterable[LabeledRows]:
        """The rows as the source gives them: as a whole, or piece by piece if they may not fit into the memory."""
        source = self.source.reader(self.choice)
        size = piece_bytes(self._memory_bytes)
        fits = self.memory is None and _COPIES_OF_A_WHOLE * _NUMBER_BYTES * source.numbers() <= self._memory_bytes
        reader = None if fits else source.pieces(size)
        if reader is None:
            return [separate_target(source.load(seed), self.choice)]
        return LabeledPieces(reader, max(1, size // (_NUMBER_BYTES * reader.width)), self.choice, on_load)

    def _gather(self, rows: Iterable[LabeledRows]) -> _AllRows:
        """Targets and keys of all rows. Raises InputError if no row has a target."""
        targets: list[np.ndarray] = []
        keys: list[np.ndarray] = []
        codes: dict[str, int] = {}
        missing = 0
        for piece in rows:
            samples = piece.samples
            targets.append(_coded(piece.y, codes) if piece.y.dtype.kind == "U" else piece.y)
            key = self.order.key(samples.x, piece.y, samples.feature_names)
            if key is not None:
                keys.append(key)
            missing += piece.missing
        texts = np.array(sorted(codes)) if codes else None
        y = _joined(targets)
        if texts is not None:
            y = np.argsort([codes[text] for text in texts.tolist()]).astype(np.int32)[y]
        if not len(y):
            raise InputError("table", f"target column {self.target!r}: expected classes or numbers, it has no values")
        notes = samples.notes
        if missing:
            notes = (*notes, f"{missing} of {missing + len(y)} rows have no value of {self.target!r} and are dropped")
        return _AllRows(samples=samples, y=y, key=_joined(keys) if keys else None, notes=notes, texts=texts)

    def _task_of(self, all_rows: _AllRows) -> tuple[Task, _AllRows, tuple[str, ...]]:
        """The task, the rows with classes in place of one-hot rows, and a note on what was inferred.

        Raises InputError if targets or order do not suit the task.
        """
        notes: tuple[str, ...] = ()
        task = self.task or all_rows.samples.task
        if task is None:
            task, reason = infer_task(all_rows.kinds)
            notes = (f"task: {task}, because {reason}; set task if this is wrong",)
        if task == "classification" and all_rows.y.ndim == 2 and _is_one_hot(all_rows.y):
            if self.task:
                notes = ("each row of the targets has a single 1, whose column is read as the class",)
            all_rows = all_rows._replace(y=all_rows.y.argmax(axis=1), samples=_with_classes(all_rows.samples))
        check_targets(all_rows.kinds, task)
        self.order.check(task)
        return task, all_rows, notes

    def _split(self, all_rows: _AllRows, task: Task, seed: int) -> tuple[RowSplit, tuple[str, ...]]:
        """Which rows go to which set, and notes on what may surprise."""
        samples, y, key, _, texts = all_rows
        notes = []
        rows = len(y)
        has_test_set = samples.x_test is not None
        test = 0.0 if has_test_set else samples.test if self.test is None else self.test
        if self.split == "time":
            row_split = split_in_time(rows, self.validation, test, key if self.order.in_time else None)
            if task == "classification":
                _check_classes(all_rows, row_split)
        else:
            labels = y if task == "classification" else None
            row_split = split_rows(generator(seed, "split"), rows, self.validation, test, labels, texts)
            if self.order.in_time and (self.validation or test):
                notes.append(
                    "the order is that of time, but split = 'random' holds out rows between the training rows; "
                    "split = 'time' holds out the last ones"
                )
        if has_test_set and self.test is not None:
            notes.append(f"test = {self.test} has no effect: the source has its own test set")
        for name, fraction, indices in (
            ("validation", self.validation, row_split.validation),
            ("test", test, row_split.test),
        ):
            if fraction and not len(indices):
                notes.append(f"{name} = {fraction} of {rows} rows is less than one row: there is no {name} set")
        return row_split, tuple(notes)

    def _target_names(self, samples: Samples, task: Task) -> tuple[str, ...]:
        """The names of the targets; a source names them for its own task, whose classes are not outputs of another."""
        if self.target is not None and task != "classification":
            return (self.target,)
        return samples.target_names if task == samples.task else ()

    def _memory_limit(
        self, rows: Iterable[LabeledRows], all_rows: _AllRows, preprocessing: Preprocessing
    ) -> tuple[int | None, tuple[str, ...]]:
        """The memory limit in bytes if the rows exceed it, else None; and a note if they stream."""
        size = np.dtype(preprocessing.precision).itemsize * len(all_rows.y) * preprocessing.features
        memory = self._memory_bytes
        if not isinstance(rows, LabeledPieces) or _COPIES * size <= memory:
            return None, ()
        _check_streaming(memory, self.order, all_rows)
        limit = f"memory = {self.memory}" if self.memory else f"half of the machine's memory ({memory / 1e6:.0f} MB)"
        note = (
            f"the rows take {size / 1e6:.0f} MB as {preprocessing.precision}, with their copies in memory "
            f"{_COPIES * size / 1e6:.0f} MB, more than {limit}: they stream from the disk. Blocks of adjacent rows are "
            "visited in random order, in parts that fit into memory, and data.order applies within each part"
        )
        return memory, (note,)


def _coded(texts: np.ndarray, codes: dict[str, int]) -> np.ndarray:
    """The code of each text; a new text has the next one. A text takes four bytes for each of its letters.

    >>> codes = {"no": 0}
    >>> _coded(np.array(["yes", "no", "yes"]), codes).tolist(), codes
    ([1, 0, 1], {'no': 0, 'yes': 1})
    """
    different, places = np.unique(texts, return_inverse=True)
    return np.array([codes.setdefault(text, len(codes)) for text in different.tolist()], np.int32)[places]


def _check_classes(all_rows: _AllRows, row_split: RowSplit) -> None:
    """Raise InputError for a class of held-out rows that no training row has."""
    y = all_rows.y
    known = np.unique(y[row_split.train])
    for name, indices in (("validation", row_split.validation), ("test", row_split.test)):
        strange = np.setdiff1d(y[indices], known)
        if len(strange):
            number = np.count_nonzero(y[indices] == strange[0])
            label = (strange if all_rows.texts is None else all_rows.texts[strange])[0].item()
            raise InputError(
                "data.split",
                f"{number} of the {len(indices)} {name} rows have the class {label!r}, which no training row has: "
                "split = 'time' holds out the last rows, and the rows are sorted by class; set split = 'random'",
            )


def _is_one_hot(y: np.ndarray) -> bool:
    """Whether each row (n, outputs) has a single 1, and each column one."""
    return bool(
        y.shape[1] > 1 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all() and (y.sum(axis=0) > 0).all()
    )


def _with_classes(samples: Samples) -> Samples:
    """The samples with a test set whose targets are classes in place of one-hot rows."""
    if samples.y_test is None or samples.y_test.ndim == 1:
        return samples
    return samples._replace(y_test=samples.y_test.argmax(axis=1))


def _check_streaming(memory: int, order: Order, all_rows: _AllRows) -> None:
    """Raise InputError if streamed rows cannot be split within the memory (bytes), or would have to be sorted."""
    rows = len(all_rows.y)
    held = all_rows.y.nbytes + (0 if all_rows.key is None else all_rows.key.nbytes)
    # First the split; then half of the memory is for the pieces that are read.
    least = -(-max(held + _SPLIT_BYTES * rows, 2 * (held + _SET_BYTES * rows)) // 10**6)
    if least * 10**6 > memory:
        raise InputError(
            "data.memory",
            f"{memory // 10**6} MB cannot hold the targets of {rows} rows while they are split; set memory to at "
            f"least {least}",
        )
    if order.in_time and all_rows.key is not None:
        falls = np.diff(all_rows.key) < 0
        if falls.any():
            row = int(np.argmax(falls)) + 1
            raise InputError(
                "data.order",
                f"streamed rows cannot be sorted, but row {row} (from 0) is earlier than the row before it; sort the "
                "file, or remove memory",
            )


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    """The arrays as one. Each is forgotten as soon as it is copied."""
    if len(arrays) == 1:
        return arrays[0]
    joined = np.empty((sum(map(len, arrays)), *arrays[0].shape[1:]), np.result_type(*arrays))
    end = len(joined)
    while arrays:
        array = arrays.pop()
        joined[end - len(array) : end] = array
        end -= len(array)
    return joined


def _training_pieces(
    rows: Iterable[LabeledRows], train: np.ndarray, all_rows: _AllRows
) -> Iterator[tuple[np.ndarray | polars.DataFrame, np.ndarray]]:
    """The training rows and their targets, piece by piece; `train` are the ascending indices of these rows."""
    start = 0
    for piece in rows:
        stop = start + len(piece.y)
        indices = _between(train, start, stop)
        if len(indices):
            yield piece.samples.x[indices - start], all_rows.targets(indices)
        start = stop


def _prepare(
    rows: Iterable[LabeledRows],
    row_split: RowSplit,
    preprocessing: Preprocessing,
    all_rows: _AllRows,
    memory: int | None,
) -> tuple[RowSource | None, RowSource | None, RowSource | None]:
    """The preprocessed training, validation and test rows; on the disk if there is a memory limit (bytes)."""
    writers = [_writer(preprocessing, memory) if len(indices) else None for indices in row_split]
    size = len(all_rows.y) if memory is None else max(1, piece_bytes(memory) // (4 * preprocessing.features))
    start = 0
    for samples, targets, _ in rows:
        stop = start + len(targets)
        for name, indices, writer in zip(RowSplit._fields, row_split, writers, strict=True):
            if writer is None:
                continue
            piece = _between(indices, start, stop)
            for chunk in (piece[i : i + size] for i in range(0, len(piece), size)):
                columns = {
                    "x": preprocessing.inputs(samples.x[chunk - start]),
                    "y": preprocessing.targets(all_rows.targets(chunk)),
                }
                if samples.weight is not None:
                    columns["weight"] = samples.weight[chunk - start].astype(np.float32)
                if all_rows.key is not None and name == "train":
                    columns["key"] = all_rows.key[chunk]
                writer.append(columns)
        start = stop
    train, validation, test = (writer.finish() if writer else None for writer in writers)
    return train, validation, test


def _writer(preprocessing: Preprocessing, memory: int | None) -> MemoryWriter | DiskWriter:
    return MemoryWriter(preprocessing) if memory is None else DiskWriter(preprocessing, memory)


def _between(indices: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The ascending indices from `start` up to, but without, `stop`."""
    # Bounds of another type would have all indices converted.
    return indices[slice(*np.searchsorted(indices, np.array([start, stop], indices.dtype)))]


def infer_task(y: np.ndarray) -> tuple[Task, str]:
    """The task that the targets suggest, and the reason.

    >>> infer_task(np.array([0.5, 1.5]))
    ('regression', 'the target is continuous')
    """
    if y.ndim == 2:
        if y.dtype.kind in "biuf" and _is_one_hot(y):
            return "classification", f"each row has {y.shape[1]} targets, a single 1 among zeros, which names its class"
        if y.dtype.kind in "biuf" and np.isin(y, (0, 1)).all():
            return "multilabel", f"each row has {y.shape[1]} targets of 0 or 1"
        return "regression", f"each row has {y.shape[1]} numbers as targets"
    if y.dtype.kind in "bU":
        return "classification", f"the target is {'boolean' if y.dtype.kind == 'b' else 'text'}"
    # The first numbers of a continuous target tell that there are many.
    distinct = np.unique(y[:_FIRST_TARGETS])
    if y.dtype.kind != "f" or len(distinct) <= 2:
        distinct = np.unique(y)
    if y.dtype.kind == "f":
        if len(distinct) == 2 and (np.isin(distinct, (0, 1)).all() or np.isin(distinct, (-1, 1)).all()):
            return "classification", f"the target has only the numbers {distinct[0]:g} and {distinct[1]:g}"
        return "regression", "the target is continuous"
    reason = f"the target has {len(distinct)} different integers in {len(y)} rows"
    usual_labels = np.isin(distinct, (0, 1)).all() or np.isin(distinct, (-1, 1)).all()
    if usual_labels or (len(distinct) <= 20 and len(distinct) < len(y) / 2):
        return "classification", reason
    return "regression", reason
