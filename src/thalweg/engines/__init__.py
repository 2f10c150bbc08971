"""Two ways to run the same step: `Eager` on NumPy, `Compiled` through XLA. Both have the same methods."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from ..arrays import Array, Tree
from ..errors import InputError
from ..landscapes import Track, Walk
from ..network import Network
from ..observation import Found
from ..parts import Loss
from ..probes.presets import Light
from ..step import Batch, Plan, State

Precision = Literal["float32", "float64"]
Device = Literal["cpu", "gpu"]
EngineName = Literal["compiled", "eager"]


class Engine(Protocol):
    """What an engine does. Arrays that it made are used with its own methods only, until `fetch` gives them back."""

    @property
    def precision(self) -> Precision:
        """The type of its numbers."""

    @property
    def platform(self) -> str:
        """What it runs on: cpu or gpu."""

    def place(self, tree: Tree) -> Tree:
        """The arrays in this engine's kind and precision, on its device."""

    def fetch(self, tree: Tree) -> Tree:
        """The arrays as NumPy arrays that no later step changes."""

    def finite(self, tree: Tree) -> bool:
        """Whether no number is NaN or infinite."""

    def run(self, plan: Plan, state: State, data: Batch, rows: Array, start: int, stop: int) -> tuple[State, Tree]:
        """Steps start to stop of `rows` (steps, batch size): the new state, and the reports stacked over the steps.

        The first stop - start reports are these steps'; what comes behind them means nothing. Both results are to be
        fetched, for the device may still be at work. The state that was given must not be used again: its memory may
        be the new one's.
        """

    def measure(self, plan: Plan, state: State, data: Batch, rows: Array) -> Tree:
        """The scores of every batch, stacked, without learning from them."""

    def slope(self, plan: Plan, state: State, data: Batch, rows: Array) -> tuple[Array, Tree]:
        """The loss with its penalty over the rows[0], and its gradient; to be fetched. InputError where layers draw."""

    def losses(
        self, plan: Plan, state: State, data: Batch, axes: tuple[Tree, ...], places: Array, start: int, stop: int
    ) -> np.ndarray:
        """The losses (stop - start,) over all rows at places start to stop of `places` (n, k): each so far along axes.

        An axis has the shape of the parameters, and the state's own are the place 0; layers are in evaluation mode.
        """

    def predict(self, network: Network, loss: Loss, state: State, x: Array) -> np.ndarray:
        """What the network answers for the rows of x (n, features): (n, K)."""

    def observe(self, plan: Plan, probes: Light, state: State, start: Tree, data: Batch, rows: Array) -> Found:
        """What the probes make of the step from `state` on the rows[0], worked out beside the training.

        Nothing that is given changes. The result is to be fetched, for the device may still be at work.
        """

    def alive(self, plan: Plan, state: State, data: Batch, rows: Array) -> tuple[Array, ...]:
        """Which units of each activation let a gradient pass for some of the rows[0]; to be fetched."""

    def hessian_product(self, plan: Plan, state: State, data: Batch, rows: Array, along: Tree) -> Tree:
        """The Hessian of the loss over the rows[0], times a direction of the parameters; to be fetched."""

    def walk(self, walk: Walk, starts: np.ndarray, key: np.ndarray, steps: int) -> Track:
        """Where the walks from all starts (n, 2) come to; `key` (2,) is that of the noise."""


def make_engine(name: EngineName, precision: Precision | None = None, device: Device | None = None) -> Engine:
    """The engine of that name; without a precision, float64 for NumPy and float32 for XLA.

    Raises InputError where the machine has no such device.

    >>> make_engine("eager")
    Eager(precision='float64')
    """
    if name == "eager":
        from .eager import Eager

        if device == "gpu":
            raise InputError("device", "the eager engine runs on the CPU; choose --engine compiled for a GPU")
        return Eager(precision or "float64")
    from .compiled import Compiled

    return Compiled(precision or "float32", device)
