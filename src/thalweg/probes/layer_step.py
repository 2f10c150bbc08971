"""The layers of one step, those inside of residual blocks too, each with all its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from ..core.arrays import Array, Grads, LayerState, Params, Tree, Updates, map_arrays, namespace
from ..engine.step import Plan, State, Trace, pieces
from ..parts.layers import Activation, Branch, stack
from ..parts.part import ForwardContext, Layer
from . import quantities as q

_Contexts = Sequence[tuple[slice, ForwardContext]]
"""The rows that were processed together, with their context."""


def slope(layer: Layer, z: Array, y: Array) -> Array | None:
    """f'(z) of an elementwise activation; None for other layers and for the identity."""
    return layer.derivative(z, y) if isinstance(layer, Activation) and not layer.is_identity else None


def saturation(layer: Layer, z: Array, y: Array, weights: Array) -> Array | None:
    """The fraction of saturated outputs of a layer that saturates or whose outputs sum to 1; None for other layers.

    The slope of a softmax is that of an output by its own logit, y (1 - y).
    """
    if layer.sums_to_one:
        return q.saturated_probabilities(y, weights)
    if layer.saturates and isinstance(layer, Activation):
        return q.saturated(layer.derivative(z, y), layer.steepest_slope, weights)
    return None


class LayerStep(NamedTuple):
    """A layer at one step."""

    layer: Layer
    """The layer."""
    params: Params
    """Its parameters before the step."""
    start: Params
    """Its parameters at the start of the training."""
    grads: Grads
    """Its gradient."""
    updates: Updates
    """Its update."""
    x: Array
    """Its inputs (n, ...)."""
    y: Array
    """Its outputs (n, ...); logits for an output activation that runs fused with the loss."""
    delta: Array
    """dL/dy (n, ...)."""
    outputs: Array
    """y, or the probabilities of an output activation that runs fused with the loss."""

    @property
    def slope(self) -> Array | None:
        """f'(z) of an elementwise activation; None for other layers."""
        return slope(self.layer, self.x, self.y)


def layer_steps(plan: Plan, state: State, start: Params, trace: Trace) -> list[LayerStep]:
    """Every layer of a step, in the order of `each_layer`.

    Args:
        plan: the plan of the training.
        state: the state before the step.
        start: the parameters at the start of the training.
        trace: the step.
    """
    rows = 0
    contexts = []
    for piece, context in pieces(plan, state, trace.batch):
        contexts.append((slice(rows, rows + len(piece.weight)), context))
        rows += len(piece.weight)
    trees = (state.params, start, trace.grads, trace.updates)
    flow = (trace.batch.x, trace.outputs, trace.deltas)
    steps = _opened(plan.network.layers, trees, state.layers, flow, contexts)
    if plan.network.layers[-1].is_identity:
        steps[-1] = steps[-1]._replace(outputs=plan.loss.probabilities(steps[-1].y))
    return steps


def each_layer(layers: Sequence[Layer], trees: Tree) -> list[Tree]:
    """The tree of each layer; that of a residual block comes before those of its inner layers.

    >>> from thalweg.parts.layers import Branch, Dense, ReLU, Residual
    >>> each_layer([Dense(2), Residual([ReLU()])], ("W", Branch(("inner",), ())))
    ['W', Branch(layers=('inner',), projection=()), 'inner']
    """
    result = []
    for layer, tree in zip(layers, trees, strict=True):
        result += [tree, *(each_layer(layer.inner, _inner(tree)) if layer.inner else [])]
    return result


def evaluated(
    layers: Sequence[Layer], params: Sequence[Tree], states: Sequence[Tree], x: Array
) -> list[tuple[Layer, Array, Array]]:
    """Each layer with its input and its output in evaluation mode, in the order of `each_layer`."""
    outputs = stack.forward(layers, params, states, x, ForwardContext(training=False)).outputs
    result = []
    for layer, own, state, z, y in zip(layers, params, states, (x, *outputs[:-1]), outputs, strict=True):
        result += [
            (layer, z, y),
            *(evaluated(layer.inner, _inner(own), cast("tuple[Tree, ...]", state), z) if layer.inner else []),
        ]
    return result


def _opened(
    layers: Sequence[Layer],
    trees: Sequence[Tree],
    states: LayerState,
    flow: tuple[Array, Tree, Tree],
    contexts: _Contexts,
) -> list[LayerStep]:
    """The layers of a stack, with those inside of its blocks.

    Args:
        layers: the layers.
        trees: the parameters, those at the start, gradients and updates.
        states: the states of the layers.
        flow: the input of the stack, the outputs and the deltas of its layers.
        contexts: the rows that were processed together.
    """
    x, outputs, deltas = flow
    result = []
    numbers = zip(layers, *trees, (x, *outputs[:-1]), outputs, deltas, outputs, strict=True)
    for index, fields in enumerate(numbers):
        step = LayerStep(*fields)
        result.append(step)
        if step.layer.inner:
            inner_trees = tuple(_inner(tree) for tree in (step.params, step.start, step.grads, step.updates))
            inner_contexts = [(rows, context.at(index)) for rows, context in contexts]
            inner_flow = _inside(step, step.layer.inner, states[index], inner_contexts)
            result += _opened(step.layer.inner, inner_trees, states[index], inner_flow, inner_contexts)
    return result


def _inner(tree: Tree) -> tuple[Tree, ...]:
    """The trees of the layers inside of a residual block."""
    return cast("Branch", tree).layers


def _inside(
    block: LayerStep, layers: Sequence[Layer], states: LayerState, contexts: _Contexts
) -> tuple[Array, Tree, Tree]:
    """The input, the outputs and the deltas of the layers inside of a residual block."""
    params = _inner(block.params)
    inner_states = cast("tuple[Tree, ...]", states)
    parts = []
    for rows, context in contexts:
        outputs, _, caches = stack.forward(layers, params, inner_states, block.x[rows], context)
        parts.append((outputs, stack.gradients(layers, params, caches, block.delta[rows])[0]))
    outputs, deltas = map_arrays(lambda *arrays: namespace(block.x).concat(arrays), *parts)
    return block.x, outputs, deltas
