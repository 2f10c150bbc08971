"""Layers one after another: what a network and a residual block have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..arrays import Array, Tree
from ..parts import Draw, Layer, Mode


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


def initialize(layers: Sequence[Layer], draws: Iterable[Draw], shape: tuple[int, ...]) -> Start:
    """Start values for samples of `shape`, each layer's by its own draw; `following` counts from the last layer on."""
    params, states, shapes = [], [], []
    for index, (layer, draw) in enumerate(zip(layers, draws, strict=True)):
        following = (*layers[index + 1 :], *draw.following)
        own_params, own_state, shape = layer.initialize(draw._replace(following=following), shape)
        params.append(own_params)
        states.append(own_state)
        shapes.append(shape)
    return Start(tuple(params), tuple(states), tuple(shapes))


def forward(layers: Sequence[Layer], params: Sequence[Tree], states: Sequence[Tree], x: Array, mode: Mode) -> Forward:
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
