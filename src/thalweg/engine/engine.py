"""Two ways to run the same step: `Eager` on NumPy, `Compiled` through XLA."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from ..core.arrays import Array, Tree, TreeT
from ..core.errors import InputError
from ..core.progress import print_line
from ..parts.settings import Device, EngineName, Precision
from .forked import forked_from_jax
from .step import Batch, Plan, State, StepMetrics

Args = ParamSpec("Args")
Result = TypeVar("Result")
CarryT = TypeVar("CarryT", bound=Tree)
OutputT = TypeVar("OutputT", bound=Tree)


class Engine(Protocol):
    """Runs steps and any other pure function of arrays.

    Arrays that an engine has made belong to it: hand them to its own methods only, until `fetch` returns them. A new
    analysis on the device is a pure function at the top of a module, which goes through `call` or `loop`.
    """

    @property
    def name(self) -> EngineName:
        """The word for it."""

    @property
    def precision(self) -> Precision:
        """The type of its floating-point numbers."""

    @property
    def platform(self) -> str:
        """The device: cpu or gpu."""

    def place(self, tree: TreeT) -> TreeT:
        """The arrays in the engine's own kind and precision, on its device."""

    def fetch(self, tree: TreeT) -> TreeT:
        """The arrays as NumPy arrays that no later step changes."""

    def finite(self, tree: Tree) -> bool:
        """Whether no number is NaN or infinite."""

    def agreed(self, number: int) -> int:
        """A number that depends on the clock or on signals, as the first of several processes has it.

        Processes that share the rows of each batch must run the same steps.
        """

    def run(
        self, plan: Plan, state: State, data: Batch, rows: Array, start: int, stop: int
    ) -> tuple[State, StepMetrics]:
        """Run steps of a training.

        Args:
            plan: what decides each step.
            state: the state before them. Do not use it again: the new state may take its memory.
            data: the rows that the steps choose from.
            rows: indices of the rows of each step, (steps, batch size); -1 is padding.
            start: the first step.
            stop: the step after the last one.

        Returns:
            The new state, and the metrics stacked over the steps: the first stop - start entries count. Fetch both:
            the device may still be at work.
        """

    def call(self, function: Callable[Args, Result], *args: Args.args, **options: Args.kwargs) -> Result:
        """function(*args), compiled once for each function and each shape of its arguments.

        Args:
            function: a pure function at the top of a module; a new function object would compile again.
            args: arrays of `place`; parts, which shape the program.
            options: none.

        Returns:
            What the function returns. Fetch it: the device may still be at work.
        """

    def loop(
        self,
        function: Callable[Concatenate[CarryT, Array, Args], tuple[CarryT, OutputT]],
        carry: CarryT,
        start: int,
        stop: int,
        size: int,
        *args: Args.args,
        **options: Args.kwargs,
    ) -> tuple[CarryT, OutputT]:
        """carry, output = function(carry, index, *args) for each index from start to stop.

        Args:
            function: as for `call`.
            carry: the first carry.
            start: the first index.
            stop: the index after the last one; any start and stop run the same program.
            size: the most indices of one call.
            args: as for `call`.
            options: none.

        Returns:
            The last carry, and the outputs stacked: the first stop - start entries count. Fetch both.
        """


@functools.cache
def _say_that_numpy_computes() -> None:
    print_line(
        "the compiled engine does not work in a process that was forked after JAX was loaded: NumPy trains here, slower"
        ' and equal to rounding; for the compiled engine start processes by "spawn" or by joblib\'s "loky"'
    )


def make_engine(
    name: EngineName, precision: Precision | None = None, device: Device | None = None, devices: int = 1
) -> Engine:
    """The engine of that name; without a precision, float64 for NumPy and float32 for XLA.

    With several `devices`, XLA shares the rows of each batch out among them.

    In a process that was forked after JAX was loaded, XLA cannot compute. There the engine is `Eager` in the precision
    of the compiled one, which is said once on stderr.

    Raises InputError where this machine lacks the devices, a forked process asks for a GPU or for several devices, or
    NumPy is to use these.

    >>> make_engine("eager")
    Eager(precision='float64')
    """
    if name == "compiled" and (device == "gpu" or devices > 1 or not forked_from_jax()):
        from .compiled import Compiled

        return Compiled(precision or "float32", device, devices)
    from .eager import Eager

    if name == "compiled":
        _say_that_numpy_computes()
        return Eager(precision or "float32")
    if device == "gpu":
        raise InputError("device", "the eager engine runs on the CPU; choose --engine compiled for a GPU")
    if devices > 1:
        raise InputError(
            "devices", f"expected 1 for the eager engine, received {devices}; choose --engine compiled for several"
        )
    return Eager(precision or "float64")
