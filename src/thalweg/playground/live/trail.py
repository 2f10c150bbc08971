"""The states that a training has passed, thinned evenly, to go back to."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from ...parts.part import Optimizer
from ...training.checkpoints import Checkpoint

_MOST = 200


class KeptState(NamedTuple):
    """A state at the beginning of an epoch.

    Attributes:
        checkpoint: the state.
        epoch: the epochs before it.
        optimizer: the optimizer of the coming step.
        rows: places of the coming batch in the training rows; -1 is padding.
        number: no other state of the training has it.
    """

    checkpoint: Checkpoint
    epoch: float
    optimizer: Optimizer
    rows: np.ndarray
    number: int = 0


class Trail:
    """At most 200 states of a training, at every `stride`-th beginning of an epoch."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.clear()

    def clear(self) -> None:
        """Forget all states."""
        self.stride = 1
        self.kept: list[KeptState] = []

    def keep(self, state: KeptState) -> None:
        """Keep a state; where there are too many, every second one goes."""
        if self.kept and self.kept[-1].checkpoint.step >= state.checkpoint.step:
            return
        self.kept.append(state._replace(number=next(self._numbers)))
        if len(self.kept) > _MOST:
            self.kept = self.kept[::2]
            self.stride *= 2

    def cut(self, step: int) -> None:
        """Forget the states after a step: the training takes another way from there."""
        self.kept = [state for state in self.kept if state.checkpoint.step <= step]

    def nearest(self, step: int) -> KeptState | None:
        """The kept state that is nearest to a number of updates; None where there is none."""
        return min(self.kept, key=lambda state: abs(int(state.checkpoint.state.step) - step), default=None)

    @property
    def steps(self) -> list[int]:
        """The updates before each state."""
        return [int(state.checkpoint.state.step) for state in self.kept]
