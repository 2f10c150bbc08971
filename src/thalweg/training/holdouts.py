"""The number of epochs chosen by repeated holdout: for tables too small to spare validation rows that can decide it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..core.errors import InputError
from ..core.noise import generator
from ..data import Dataset
from ..data.splitting import split_rows
from ..engine.engine import Engine
from ..engine.step import Plan, State
from ..parts.settings import Stopping
from ..spec.length import with_epochs
from .batch_plan import Chunk
from .callbacks import Callback
from .evaluate import evaluator
from .fit import fit
from .row_edits import taken
from .session import Session

_FRACTION = 0.2
# Updates between two measurements of the held-out rows, which take as long as ten updates.
_LOOK_UPDATES = 50


def with_chosen_length(session: Session) -> Session:
    """The session with the number of epochs that repeated holdout chooses; unchanged unless its spec asks for it.

    Each of `stopping.holdouts` trainings holds a fifth of the training rows out, by class. It ends after
    `stopping.patience` epochs in which their loss has not improved. The epoch with the lowest mean over these losses
    becomes `training.epochs`, and `patience` and `holdouts` are removed, so that the spec of a run states what was
    trained and repeats it. A note on the rows says what was found. Where all of them diverge, only
    `holdouts` is removed.

    Raises KeyboardInterrupt at Ctrl-C, and InputError where the rows cannot be held out from.

    Source: Stone 1974, Cross-validatory choice and assessment of statistical predictions.

    >>> from thalweg.spec.spec import Spec
    >>> sections = {"data": "iris", "training": {"epochs": 40, "engine": "eager"}, "stopping": {"holdouts": 2}}
    >>> chosen = with_chosen_length(Session.load(Spec.of(sections)))
    >>> 1 <= chosen.spec.training.epochs <= 40, chosen.spec.stopping.holdouts
    (True, None)
    """
    stopping = session.spec.stopping
    rows = session.split.train
    if not stopping.holdouts:
        return session
    if not isinstance(rows, Dataset):
        raise InputError("stopping.holdouts", "expected rows in memory, received rows that stream from the disk")
    without = dataclasses.replace(stopping, holdouts=None)
    curves = [_held_out_losses(session, rows, number) for number in range(stopping.holdouts)]
    epochs = best_epoch(curves)
    if epochs is None:
        # The training itself shows what became NaN or infinite.
        return Session(dataclasses.replace(session.spec, stopping=without), session.split)
    ended = max(epoch for curve in curves for epoch in curve)
    note = (
        f"length: holdouts of a fifth of the training rows ({len(curves)}) stopped after at most {ended} epochs; "
        f"best epoch in their mean: {epochs}"
    )
    spec = dataclasses.replace(
        session.spec,
        training=with_epochs(session.spec.training, epochs),
        stopping=dataclasses.replace(without, patience=None),
    )
    return Session(spec, dataclasses.replace(session.split, notes=(*session.split.notes, note)))


def best_epoch(curves: Sequence[dict[int, float]]) -> int | None:
    """The epoch with the lowest mean loss, of those that all curves have.

    A curve gives the held-out loss by epoch. Curves without a finite loss are left out; None where none is left.

    >>> best_epoch([{5: 0.4, 10: 0.2, 15: 0.1}, {5: 0.5, 10: 0.6}])
    10
    """
    finite = [{epoch: loss for epoch, loss in curve.items() if np.isfinite(loss)} for curve in curves]
    known = [curve for curve in finite if curve]
    common = sorted(set.intersection(*map(set, known))) if known else []
    return min(common, key=lambda epoch: sum(curve[epoch] for curve in known), default=None)


def _held_out_losses(session: Session, rows: Dataset, number: int) -> dict[int, float]:
    """The loss over the held-out rows by epoch, until it no longer improves."""
    spec = session.spec
    stopping = spec.stopping
    labels = rows.y if rows.task == "classification" and np.bincount(rows.y).min() > 1 else None
    chosen = split_rows(generator(spec.training.seed, "holdout", number), len(rows), _FRACTION, 0.0, labels)
    split = dataclasses.replace(session.split, train=taken(rows, chosen.train), validation=None, test=None)
    seconds = stopping.seconds / (stopping.holdouts or 1) if stopping.seconds else None
    part = Session(dataclasses.replace(spec, stopping=Stopping(seconds=seconds)), split)
    callback = _HeldOutCallback(part, taken(rows, chosen.validation), stopping.patience)
    if fit(part, [callback]).interrupted:
        raise KeyboardInterrupt
    return callback.losses


class _HeldOutCallback(Callback):
    """Measures held-out rows at the end of every few epochs, and stops when their loss has not improved for long.

    Args:
        session: the training.
        rows: the held-out rows.
        patience: number of epochs without an improvement; None: it never stops.
    """

    def __init__(self, session: Session, rows: Dataset, patience: int | None) -> None:
        self.losses: dict[int, float] = {}
        self.patience = patience
        self._per_epoch = session.batches.per_epoch
        self._every = max(1, _LOOK_UPDATES // self._per_epoch) * self._per_epoch
        self._measure = evaluator(session.plan, session.engine, rows)
        self._best = 0

    def next_step(self, step: int) -> float:
        return max(1, -(-step // self._every)) * self._every

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, chunk: Chunk, index: int) -> None:
        self._look(state, chunk.first + index)

    def on_train_end(self, engine: Engine, plan: Plan, state: State, step: int) -> None:
        if step % self._per_epoch == 0:
            self._look(state, step)

    def _look(self, state: State, step: int) -> None:
        epoch = step // self._per_epoch
        self.losses[epoch] = self._measure(state)["loss"]
        if self.losses[epoch] <= self.losses.get(self._best, np.inf):
            self._best = epoch
        elif self.patience is not None and epoch - self._best >= self.patience:
            self.stop = f"the held-out loss has not improved for {self.patience} epochs"
