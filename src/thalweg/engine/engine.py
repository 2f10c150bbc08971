"""Two ways to run the same step: `Eager` on NumPy, `Compiled` through XLA. Both have the same methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..core.arrays import Array, Tree
from ..core.errors import InputError
from ..parts.settings import Device, EngineName, Precision
from .step import Batch, Plan, State


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

    def call(self, function: Callable[..., Tree], *args: Any) -> Tree:
        """function(*args), compiled once for each function and each shape of its arguments.

        `function` is pure and stands at the top of a module: a new function object would compile again. Parts among
        the arguments shape the program; arrays are those of `place`. The result is to be fetched, for the device may
        still be at work.
        """

    def loop(self, function: Callable[..., Any], carry: Tree, start: int, stop: int, size: int, *args: Any) -> Any:
        """carry, output = function(carry, index, *args) for each index from start to stop: (carry, outputs).

        The outputs are stacked; the first stop - start of `size` mean something. One program serves any start and stop.
        `function` stands at the top of a module, as for `call`; both results are to be fetched.
        """


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
