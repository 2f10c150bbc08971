"""NumPy, step by step: for inspection, gradient checks, and as the oracle of the tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..core.arrays import Array, Tree, as_vector, from_vector, leaves, map_arrays
from ..parts.part import Optimizer
from .step import Batch, Plan, State, batch_at, make_step


def stack(reports: list[Tree]) -> Tree:
    """Reports of several steps as one report whose arrays have a first axis over the steps."""
    return map_arrays(lambda *values: np.array(values), *reports)


def _each(change: Callable[[Tree], Tree], moments: Tree) -> Tree:
    """The moments of an optimizer with each of their trees changed."""
    return type(moments)(*map(change, moments)) if moments else ()


# Beyond so many parameters the time of a step is that of its numbers, no longer that of its calls.
_FEW_PARAMETERS = 2**16


@dataclass(frozen=True)
class _Joined(Optimizer):
    """A rule that works by element on all arrays as one vector: one call for each of its operations, not one an array.

    Its moments are trees of one vector.
    """

    rule: Optimizer

    @property
    def learning_rate(self) -> Any:
        return self.rule.learning_rate

    def init(self, params: Tree) -> Tree:
        return self.rule.init((as_vector(params),))

    def update(self, grads: Tree, moments: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        (updates,), moments = self.rule.update((as_vector(grads),), moments, (), step)
        return from_vector(updates, grads), moments


@dataclass(frozen=True)
class Eager:
    """The engine that runs each operation when Python comes to it, on NumPy arrays."""

    precision: Literal["float32", "float64"] = "float64"

    @property
    def platform(self) -> str:
        """What it runs on."""
        return "cpu"

    def place(self, tree: Tree) -> Tree:
        """The arrays in this engine's kind and precision."""

        def cast(array: Array) -> np.ndarray:
            array = np.asarray(array)
            return array.astype(self.precision, copy=False) if array.dtype.kind == "f" else array

        return map_arrays(cast, tree)

    def fetch(self, tree: Tree) -> Tree:
        """The arrays as NumPy arrays that stay as they are."""
        return tree

    def finite(self, tree: Tree) -> bool:
        """Whether no number is NaN or infinite."""
        return all(np.isfinite(array).all() for array in leaves(tree))

    def run(self, plan: Plan, state: State, data: Batch, rows: Array, start: int, stop: int) -> tuple[State, Tree]:
        """Steps start to stop of `rows` (steps, batch size): the new state, and the stacked reports."""
        params, moments, rule = state.params, state.moments, plan.optimizer
        joins = rule.by_element and 0 < sum(array.size for array in leaves(params)) <= _FEW_PARAMETERS
        if joins:
            plan = dataclasses.replace(plan, optimizer=_Joined(rule))
            state = state._replace(moments=_each(lambda tree: (as_vector(tree),), moments))
        step = make_step(plan)
        reports = []
        # Overflow and NaN are no surprise to be warned of: whoever reads the reports looks for them.
        with np.errstate(all="ignore"):
            for index in range(start, stop):
                state, report = step(state, batch_at(data, rows, index))
                reports.append(report)
        if joins:
            state = state._replace(moments=_each(lambda tree: from_vector(tree[0], params), state.moments))
        return state, stack(reports)

    def call(self, function: Callable[..., Tree], *args: Any) -> Tree:
        """function(*args)."""
        with np.errstate(all="ignore"):
            return function(*args)

    def loop(self, function: Callable[..., Any], carry: Tree, start: int, stop: int, size: int, *args: Any) -> Any:
        """carry, output = function(carry, index, *args) from start to stop: the last carry, the stacked outputs."""
        outputs = []
        with np.errstate(all="ignore"):
            for index in range(start, stop):
                carry, output = function(carry, np.asarray(index), *args)
                outputs.append(output)
        return carry, stack(outputs)
