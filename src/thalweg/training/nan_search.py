"""The first number that became NaN or infinite: the steps in which it happened are run again in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..core.arrays import Array, Tree, arrays_of
from ..engine.eager import Eager
from ..engine.engine import Engine
from ..engine.step import Plan, State, Trace, batch_at, make_trace
from ..models.network import Network
from .batch_plan import Chunk

# Another engine rounds differently, and may diverge a few steps later.
_MORE_STEPS = 8


class Fault(NamedTuple):
    """A number that became NaN or infinite."""

    what: str
    """The quantity and what it became."""
    step: int
    """The step, counted from 0 in its chunk or its training."""


def first_fault(
    network: Network, plan: Plan, engine: Engine, good: State, start: int, chunk: Chunk, begin: int, stop: int
) -> Fault | None:
    """The number that became NaN or infinite first, with its layer and step; None where the search finds none.

    Args:
        network: the layers as the user named them.
        plan: what decides each step.
        engine: the engine of the training.
        good: the state before step `start` of the chunk, as NumPy arrays.
        start: index of that step.
        chunk: the steps.
        begin: index of the first step that may hold the fault.
        stop: index after the last one.
    """
    state = engine.place(good)
    if begin > start:
        state, _ = engine.run(plan, state, chunk.data, chunk.rows, start, begin)
    eager = Eager(engine.precision)
    state = eager.place(engine.fetch(state))
    data = eager.place(engine.fetch(chunk.data))
    step = make_trace(plan)
    with np.errstate(all="ignore"):
        for index in range(begin, min(stop + _MORE_STEPS, chunk.steps)):
            state, trace = step(state, batch_at(data, chunk.rows, index))
            for name, array in _quantities(network, trace, state):
                if not np.isfinite(array).all():
                    kind = "NaN" if np.isnan(array).any() else "infinite"
                    return Fault(f"{name} became {kind}", index)
    return None


def _quantities(network: Network, trace: Trace, after: State) -> Iterator[tuple[str, Array]]:
    """Every number of a step with its name, in the order of computation."""
    layers = [f"layer {number} ({layer.kind})" for number, layer in enumerate(network.layers, 1)]
    yield from ((f"the output of {layer}", array) for layer, array in zip(layers, trace.outputs, strict=True))
    yield "the loss", trace.loss
    backwards = zip(reversed(layers), reversed(trace.deltas), strict=True)
    yield from ((f"delta, the derivative of the loss by the output of {layer},", array) for layer, array in backwards)
    yield from _by_layer("the gradient", layers, trace.grads)
    yield from _by_layer("the parameter", layers, after.params)
    for name, moment in zip(getattr(after.moments, "_fields", ()), after.moments, strict=True):
        yield from _by_layer(f"the optimizer's {name} for", layers, moment)
    yield from _by_layer("the running statistic", layers, after.layers)


def _by_layer(what: str, layers: list[str], trees: Tree) -> Iterator[tuple[str, Array]]:
    for layer, tree in zip(layers, trees, strict=True):
        for place, array in arrays_of(tree):
            yield f"{what} {place} of {layer}", array
