"""Where numbers first went wrong: the stretch of steps in which it happened is run again, in NumPy, step by step."""

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

# Another engine rounds otherwise, and may come to the same end a few steps later.
_MORE_STEPS = 8


class Fault(NamedTuple):
    """What went wrong: which quantity became what, and in which step of its block."""

    what: str
    step: int


def first_fault(
    network: Network, plan: Plan, engine: Engine, good: State, start: int, block: Chunk, mark: int, stop: int
) -> Fault | None:
    """What became NaN or infinite first, in which layer and at which step; None where it is not found.

    `network` has the layers as the user named them. `good` is the state before step `start` of the block; the steps
    from `mark` to `stop` hold the fault.
    """
    state = engine.place(good)
    if mark > start:
        state, _ = engine.run(plan, state, block.data, block.rows, start, mark)
    eager = Eager(engine.precision)
    state, data = eager.place(engine.fetch(state)), eager.place(engine.fetch(block.data))
    step = make_trace(plan)
    with np.errstate(all="ignore"):
        for index in range(mark, min(stop + _MORE_STEPS, block.steps)):
            state, trace = step(state, batch_at(data, block.rows, index))
            for name, array in _quantities(network, trace, state):
                if not np.isfinite(array).all():
                    kind = "NaN" if np.isnan(array).any() else "infinite"
                    return Fault(f"{name} became {kind}", index)
    return None


def _quantities(network: Network, trace: Trace, after: State) -> Iterator[tuple[str, Array]]:
    """Every number of a step with its name, in the order in which they are computed."""
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
