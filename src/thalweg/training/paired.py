"""Paired runs: a training and changed ones, of its spec or of its rows, from the same seed, and their scores."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..data import Dataset, Split
from ..parts.settings import Off
from ..spec.complete import completed
from ..spec.differences import canonical_json
from ..spec.edit import changed
from ..spec.spec import CompleteSpec, Spec
from .callbacks import TimeLimit
from .fit import fit
from .row_edits import RowEdit
from .session import Session

Changes = tuple[tuple[str, object], ...]
"""Places of a spec with their new values; None stands for the default of a setting. The place `rows` has a
`RowEdit`."""
ROWS = "rows"
"""The place of a change of the rows."""

# Each change of a spec may need a program of its own, which takes about this long to compile.
_COMPILE_SECONDS = 3.0


class PairedScore(NamedTuple):
    """What a training reached.

    Attributes:
        training: score on the training rows; NaN where the training diverged.
        held_out: score on the validation rows; NaN where it diverged, or without such rows.
        epochs: epochs that it ran; fewer than planned where the time was up or it stopped early.
        out_of_time: whether it ended because the time was up.
        parts: the part of each validation row in its score (n,), 0 where it diverged or the rows stream: trainings that
            are scored on the same rows differ beyond chance if these parts do.
    """

    training: float
    held_out: float
    epochs: int
    out_of_time: bool = False
    parts: np.ndarray = np.zeros(0)


class PairedRuns:
    """Trains changes of one spec, each for any seed: equal seeds give equal rows, initial weights and orders of rows.

    Changes of the rows are changes of the rows of the spec's own seed, which they were made for; the seed then decides
    the initial weights and the orders.

    Args:
        spec: the completed spec that is changed.
        split: its rows for its own seed, where they are loaded already.
        measure: the name of the score: that of the task in `evaluate`.

    >>> from thalweg.spec.spec import Spec
    >>> spec = Session.load(Spec.of({"data": "xor", "optimizer": "adam 0.01", "training": {"epochs": 200}})).spec
    >>> runs = PairedRuns(spec, None, "accuracy")
    >>> runs.score((), seed=0).training, runs.score((("optimizer.learning_rate", 1e-9),), seed=0).training
    (1.0, 0.5)
    """

    def __init__(self, spec: CompleteSpec, split: Split | None, measure: str) -> None:
        self.spec = spec
        self.measure = measure
        self._splits: dict[tuple[str, int], Split] = {}
        if split is not None:
            self._splits[canonical_json(spec.data.describe()), spec.training.seed] = split
        self._scores: dict[tuple[str, object], PairedScore] = {}

    def score(self, changes: Changes, seed: int, until: float = float("inf")) -> PairedScore:
        """Train the spec with some changes; a training that has run before is not run again.

        Args:
            changes: the changes.
            seed: the seed of the training.
            until: the time, as of `time.monotonic`, after which it ends where it is.

        Raises:
            InputError: the changes make no spec that suits the rows.
            KeyboardInterrupt: at Ctrl-C.
        """
        of_rows = tuple(value for _, value in changes if isinstance(value, RowEdit))
        of_spec = tuple(change for change in changes if change[0] != ROWS)
        spec = changed(self.spec, (*of_spec, ("training.seed", seed)))
        key = canonical_json(spec.describe()), of_rows
        if key not in self._scores or (self._scores[key].out_of_time and time.monotonic() < until):
            self._scores[key] = self._trained(self._session(spec, of_rows), until)
        return self._scores[key]

    def completed(self, changes: Changes) -> CompleteSpec:
        """The spec with some changes, which are not of the rows.

        Raises:
            InputError: the changes make no spec that suits the rows.
        """
        spec = changed(self.spec, changes)
        return completed(spec, self._split(spec, spec.training.seed).train)

    @property
    def trained(self) -> int:
        """Number of trainings so far."""
        return len(self._scores)

    def _session(self, spec: Spec, of_rows: Sequence[RowEdit]) -> Session:
        split = self._split(spec, self.spec.training.seed if of_rows else spec.training.seed)
        for change in of_rows:
            split = change.applied(split, spec.data.scale)
        session = Session(dataclasses.replace(completed(spec, split.train), probes=Off()), split)
        session.check()
        return _fastest(session)

    def _split(self, spec: Spec, seed: int) -> Split:
        key = canonical_json(spec.prepared_data.describe()), seed
        if key not in self._splits:
            self._splits[key] = spec.prepared_data.load(seed, precision=spec.training.number_type)
        return self._splits[key]

    def _trained(self, session: Session, until: float) -> PairedScore:
        limit = TimeLimit(until)
        ended = fit(session, [limit])
        validation = session.split.validation
        if ended.interrupted:
            raise KeyboardInterrupt
        if ended.fault is not None:
            return PairedScore(float("nan"), float("nan"), len(ended.history), parts=np.zeros(len(validation or ())))
        training, held_out = (
            float(session.evaluate(ended.state, rows)[self.measure]) if rows is not None else float("nan")
            for rows in (session.split.train, validation)
        )
        parts = (
            session.score_parts(ended.state, validation)
            if isinstance(validation, Dataset)
            else np.zeros(len(validation or ()))
        )
        return PairedScore(training, held_out, len(ended.history), bool(limit.stop), parts)


def _fastest(session: Session) -> Session:
    """The session on the eager engine, where this trains it in less time than a program takes to compile."""
    training = session.spec.training
    if training.engine == "eager" or session.numpy_seconds > _COMPILE_SECONDS:
        return session
    eager = dataclasses.replace(training, engine="eager", precision=training.number_type, device=None)
    return Session(dataclasses.replace(session.spec, training=eager), session.split)
