"""A lab's training at one moment, as it is handed to the analyst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...engine.step import State
from ...spec.spec import CompleteSpec
from ...training.callbacks import Record
from ..live.live_training import LiveTraining
from ..live.trail import KeptState


class LabSnapshot(NamedTuple):
    """A training at one moment: what an analysis needs while the training goes on.

    Attributes:
        complete: its spec.
        state: its state.
        records: the measures of some of its epochs.
        path: earlier states.
        epochs: epochs so far.
        seconds: the time that it has trained.
    """

    complete: CompleteSpec
    state: State
    records: Sequence[Record]
    path: Sequence[KeptState]
    epochs: float
    seconds: float

    @classmethod
    def of(cls, training: LiveTraining, state: State | None = None) -> LabSnapshot:
        """The training as it stands now, or in a state that was just seen of it."""
        checkpoint = training.checkpoint
        state = state or checkpoint.state
        return cls(
            complete=training.complete,
            state=state,
            records=tuple(training.records),
            path=tuple(training.trail.kept),
            epochs=training.epoch_of(state),
            seconds=checkpoint.early_stopping.seconds,
        )
