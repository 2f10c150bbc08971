"""NumPy, step by step: for inspection and gradient checks, and the oracle of the tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np

from ..core.arrays import (
    Array,
    Moments,
    Params,
    Scalar,
    Tree,
    TreeT,
    as_vector,
    from_vector,
    leaves,
    map_arrays,
)
from ..parts.part import Optimizer
from ..parts.settings import EngineName, Precision
from .step import Batch, Plan, State, StepMetrics, batch_at, make_step

Args = ParamSpec("Args")
Result = TypeVar("Result")
CarryT = TypeVar("CarryT", bound=Tree)


def stack(trees: list[TreeT]) -> TreeT:
    """Trees of one structure as one tree whose arrays have a new first axis."""
    return map_arrays(lambda *values: np.array(values), *trees)


def _map_moments(change: Callable[[Tree], Tree], moments: Moments) -> Moments:
    """The moments of an optimizer with each of their trees changed."""
    assert isinstance(moments, tuple)
    return type(moments)(*map(change, moments)) if moments else ()


# With more parameters the arithmetic of a step takes longer than its calls.
_FEW_PARAMETERS = 2**16


@dataclass(frozen=True)
class _Joined(Optimizer):
    """An element-wise rule applied to all arrays as one vector: one call for each operation instead of one per array.

    Its moments are trees of one vector.
    """

    rule: Optimizer

    def init(self, params: Params) -> Moments:
        return self.rule.init((as_vector(params),))

    def update(self, grads: TreeT, moments: Moments, params: Params, step: Scalar) -> tuple[TreeT, Moments]:
        (updates,), moments = self.rule.update((as_vector(grads),), moments, (), step)
        return from_vector(updates, grads), moments


@dataclass(frozen=True)
class Eager:
    """The engine that runs each operation on NumPy arrays when Python reaches it.

    >>> Eager().call(np.square, np.array([2.0])).tolist()
    [4.0]
    """

    precision: Precision = "float64"

    @property
    def name(self) -> EngineName:
        """The word for it."""
        return "eager"

    @property
    def platform(self) -> str:
        """The device: cpu or gpu."""
        return "cpu"

    def place(self, tree: TreeT) -> TreeT:
        """The arrays in the engine's own kind and precision, on its device."""

        def cast(array: Array) -> np.ndarray:
            array = np.asarray(array)
            return array.astype(self.precision, copy=False) if array.dtype.kind == "f" else array

        return map_arrays(cast, tree)

    def fetch(self, tree: TreeT) -> TreeT:
        """The arrays as NumPy arrays that no later step changes."""
        return tree

    def finite(self, tree: Tree) -> bool:
        """Whether no number is NaN or infinite."""
        return all(np.isfinite(array).all() for array in leaves(tree))

    def agreed(self, number: int) -> int:
        """The number: one process trains."""
        return number

    def run(
        self, plan: Plan, state: State, data: Batch, rows: Array, start: int, stop: int
    ) -> tuple[State, StepMetrics]:
        """Run the steps from `start` to before `stop`; step k uses the rows `rows[k]`. See `Engine.run`."""
        params = plan.network.trained(state.params)
        rule = plan.optimizer
        joins = rule.by_element and 0 < sum(array.size for array in leaves(params)) <= _FEW_PARAMETERS
        if joins:
            plan = dataclasses.replace(plan, optimizer=_Joined(rule.learning_rate, rule))
            state = state._replace(moments=_map_moments(lambda tree: (as_vector(tree),), state.moments))
        step = make_step(plan)
        metrics = []
        # Overflow and NaN are looked for in the metrics: a warning would say it twice.
        with np.errstate(all="ignore"):
            for index in range(start, stop):
                state, of_step = step(state, batch_at(data, rows, index))
                metrics.append(of_step)
        if joins:
            state = state._replace(
                moments=_map_moments(lambda tree: from_vector(leaves(tree)[0], params), state.moments)
            )
        return state, stack(metrics)

    def call(self, function: Callable[Args, Result], *args: Args.args, **options: Args.kwargs) -> Result:
        """The result of a pure function of arrays. See `Engine.call`."""
        with np.errstate(all="ignore"):
            return function(*args, **options)

    def loop(
        self,
        function: Callable[Concatenate[CarryT, Array, Args], tuple[CarryT, TreeT]],
        carry: CarryT,
        start: int,
        stop: int,
        size: int,
        *args: Args.args,
        **options: Args.kwargs,
    ) -> tuple[CarryT, TreeT]:
        """The carry and the stacked outputs of a pure function over a range of steps. See `Engine.loop`."""
        outputs = []
        with np.errstate(all="ignore"):
            for index in range(start, stop):
                carry, output = function(carry, np.asarray(index), *args, **options)
                outputs.append(output)
        return carry, stack(outputs)
