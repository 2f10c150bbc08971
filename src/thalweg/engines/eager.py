"""NumPy, step by step: for inspection, gradient checks, and as the oracle of the tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .. import hessian
from ..arrays import Array, Tree, as_vector, from_vector, leaves, map_arrays
from ..landscapes import Track, Walk
from ..observation import Found, alive, observe
from ..parts import Optimizer
from ..probes.presets import Light
from ..step import Batch, Plan, State, batch_at, make_measure, make_slope, make_step, predict
from .surface import loss_at


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

    def measure(self, plan: Plan, state: State, data: Batch, rows: Array) -> Tree:
        """The scores of every batch, stacked, without learning."""
        measure = make_measure(plan)
        with np.errstate(all="ignore"):
            return stack([measure(state, batch_at(data, rows, index)) for index in range(len(rows))])

    def slope(self, plan: Plan, state: State, data: Batch, rows: Array) -> tuple[Array, Tree]:
        """The loss with its penalty over the rows[0], and its gradient."""
        with np.errstate(all="ignore"):
            return make_slope(plan)(state, batch_at(data, rows, 0))

    def losses(
        self, plan: Plan, state: State, data: Batch, axes: tuple[Tree, ...], places: Array, start: int, stop: int
    ) -> np.ndarray:
        """The losses (stop - start,) over all rows at places start to stop: each so far along the axes."""
        with np.errstate(all="ignore"):
            return np.array([loss_at(plan, state, data, axes, place) for place in places[start:stop]])

    def predict(self, network: Any, loss: Any, state: State, x: np.ndarray) -> np.ndarray:
        """Answers for the rows of x."""
        with np.errstate(all="ignore"):
            return np.asarray(predict(network, loss, state.params, state.layers, x))

    def observe(self, plan: Plan, probes: Light, state: State, start: Tree, data: Batch, rows: Array) -> Found:
        """What the probes make of the step from `state` on the rows[0]."""
        with np.errstate(all="ignore"):
            return observe(plan, probes, state, start, data, rows)

    def alive(self, plan: Plan, state: State, data: Batch, rows: Array) -> tuple[Array, ...]:
        """Which units of each activation let a gradient pass for some of the rows[0]."""
        with np.errstate(all="ignore"):
            return alive(plan, state, data, rows)

    def hessian_product(self, plan: Plan, state: State, data: Batch, rows: Array, along: Tree) -> Tree:
        """The Hessian of the loss over the rows[0], times a direction."""
        with np.errstate(all="ignore"):
            return hessian.product(plan, state, batch_at(data, rows, 0), along)

    def walk(self, walk: Walk, starts: np.ndarray, key: np.ndarray, steps: int) -> Track:
        """Where the walks from all starts (n, 2) come to, step by step."""
        walkers = walk.begin(*starts.T.astype(self.precision))
        places = [walkers.place]
        with np.errstate(all="ignore"):
            for step in range(steps):
                walkers = walk.step(walkers, key, np.asarray(step))
                places.append(walkers.place)
            x, y = (np.stack(along) for along in zip(*places, strict=True))
            return Track(x, y, walk.landscape.value(x, y))
