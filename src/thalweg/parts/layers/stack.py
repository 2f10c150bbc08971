"""Layers one after another: what a network and a residual block have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...core.arrays import Array, Tree, arrays_of, map_arrays
from ..part import ForwardContext, InitContext, Layer, MeanField


class Start(NamedTuple):
    """Parameters and states of every layer before training, and the shape of one sample after each layer."""

    params: tuple[Tree, ...]
    states: tuple[Tree, ...]
    shapes: tuple[tuple[int, ...], ...]


class Forward(NamedTuple):
    """What a forward pass leaves: outputs of every layer, their new states, and what the way back needs."""

    outputs: tuple[Array, ...]
    states: tuple[Tree, ...]
    caches: tuple[Tree, ...]


def initialize(layers: Sequence[Layer], draws: Iterable[InitContext], shape: tuple[int, ...]) -> Start:
    """Start values for samples of `shape`, each layer's by its own draw; `following` counts from the last layer on."""
    params, states, shapes = [], [], []
    for index, (layer, draw) in enumerate(zip(layers, draws, strict=True)):
        following = (*layers[index + 1 :], *draw.following)
        own_params, own_state, shape = layer.initialize(draw._replace(following=following), shape)
        params.append(own_params)
        states.append(own_state)
        shapes.append(shape)
    return Start(tuple(params), tuple(states), tuple(shapes))


def forward(
    layers: Sequence[Layer], params: Sequence[Tree], states: Sequence[Tree], x: Array, mode: ForwardContext
) -> Forward:
    """Run x (n, features) through all layers."""
    outputs, new_states, caches = [], [], []
    for index, (layer, own_params, own_state) in enumerate(zip(layers, params, states, strict=True)):
        x, own_state, cache = layer.forward(own_params, own_state, x, mode.at(index))
        outputs.append(x)
        new_states.append(own_state)
        caches.append(cache)
    return Forward(tuple(outputs), tuple(new_states), tuple(caches))


def backward(
    layers: Sequence[Layer], params: Sequence[Tree], caches: Sequence[Tree], delta: Array
) -> tuple[Array, tuple[Tree, ...]]:
    """(dL/dx, grads) from delta = dL/d(last output)."""
    deltas, grads = _above_the_lowest(layers, params, caches, delta)
    dx, lowest = layers[0].backward(params[0], caches[0], deltas[0])
    return dx, (lowest, *grads)


def gradients(
    layers: Sequence[Layer], params: Sequence[Tree], caches: Sequence[Tree], delta: Array
) -> tuple[tuple[Array, ...], tuple[Tree, ...]]:
    """(deltas, grads) of every layer, where nobody asks for dL/dx; deltas[i] is dL/d(outputs[i])."""
    deltas, grads = _above_the_lowest(layers, params, caches, delta)
    return deltas, (layers[0].gradients(params[0], caches[0], deltas[0]), *grads)


def _above_the_lowest(
    layers: Sequence[Layer], params: Sequence[Tree], caches: Sequence[Tree], delta: Array
) -> tuple[tuple[Array, ...], tuple[Tree, ...]]:
    """(deltas of every layer, grads of all but the lowest) by the chain rule: delta(i-1) = (dy_i/dx_i)ᵀ delta(i)."""
    deltas, grads = [delta], []
    for index in reversed(range(1, len(layers))):
        delta, gradient = layers[index].backward(params[index], caches[index], delta)
        deltas.append(delta)
        grads.append(gradient)
    return tuple(reversed(deltas)), tuple(reversed(grads))


def jvp(
    layers: Sequence[Layer], params: Sequence[Tree], caches: Sequence[Tree], along: Sequence[Tree], dx: Array | None
) -> tuple[Array | None, ...]:
    """How every layer's output moves while the parameters move along `along` and x along dx (None: x stays).

    The lowest layers may have no parameters and an input that stays: so do their outputs, and stand as None.
    """
    moves = []
    for layer, own, cache, way in zip(layers, params, caches, along, strict=True):
        if not _stays(way, dx):
            dx = layer.jvp(own, cache, way, dx)
        moves.append(dx)
    return tuple(moves)


def backward_jvp(
    layers: Sequence[Layer],
    params: Sequence[Tree],
    caches: Sequence[Tree],
    along: Sequence[Tree],
    moves: Sequence[Array | None],
    deltas: Sequence[Array],
    turn: Array,
) -> tuple[Array | None, tuple[Tree, ...]]:
    """How (dL/dx, grads) move along that motion, while the delta of the last output moves along `turn`.

    moves[i] is how the input of layer i moves, and deltas[i] is dL/d(outputs[i]). By the product rule every layer adds
    its own bend to what it makes of the motion of delta. Where an input stays nobody asks for dL/d(input) nor for its
    motion: it is None.
    """
    grads: list[Tree] = []
    for index in reversed(range(len(layers))):
        if _stays(along[index], moves[index]):
            # No layer from here on down has parameters: their gradients are empty, as their motion is.
            return None, (*along[: index + 1], *reversed(grads))
        layer, own, cache = layers[index], params[index], caches[index]
        bent_dx, bent = layer.backward_jvp(own, cache, along[index], moves[index], deltas[index])
        if moves[index] is None:
            turn, turned = None, layer.gradients(own, cache, turn)
        else:
            turned_dx, turned = layer.backward(own, cache, turn)
            turn = turned_dx + bent_dx
        grads.append(map_arrays(lambda a, b: a + b, turned, bent))
    return turn, tuple(reversed(grads))


def _stays(along: Tree, dx: Array | None) -> bool:
    """Whether a layer's output stays: its input does, and it has no parameters."""
    return dx is None and next(arrays_of(along), None) is None


def mean_field(layers: Sequence[Layer], draws: Sequence[Sequence[Tree]], square: float) -> list[MeanField] | None:
    """The mean-field theory of each layer in turn, for inputs of mean square `square`; None if one layer has none.

    `draws` are several independent draws of the parameters of all layers.
    """
    steps: list[MeanField] = []
    for index, layer in enumerate(layers):
        step = layer.mean_field([params[index] for params in draws], square)
        if step is None:
            return None
        steps.append(step)
        square = step.square
    return steps
