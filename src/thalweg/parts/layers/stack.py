"""Layers one after another: the common part of a network and a residual block.

In all functions, `params`, `caches`, ... have one entry for each layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...core.arrays import Array, Cache, Grads, LayerState, Params, arrays_of, leaves, map_arrays
from ..part import ForwardContext, InitContext, Layer, MeanField, check_parameters


class Start(NamedTuple):
    """Initial values of a stack.

    params: parameters of each layer.
    states: state of each layer.
    shapes: shape of one sample after each layer.
    """

    params: tuple[Params, ...]
    states: tuple[LayerState, ...]
    shapes: tuple[tuple[int, ...], ...]


class Forward(NamedTuple):
    """Results of a forward pass.

    outputs: output of each layer.
    states: new state of each layer.
    caches: numbers of each layer for the backward pass.
    """

    outputs: tuple[Array, ...]
    states: tuple[LayerState, ...]
    caches: tuple[Cache, ...]


def initialize(layers: Sequence[Layer], contexts: Iterable[InitContext], shape: tuple[int, ...]) -> Start:
    """Initial values for samples of `shape`, each layer's from its own context. `following` starts after the stack."""
    params: list[Params] = []
    states: list[LayerState] = []
    shapes: list[tuple[int, ...]] = []
    count = 0
    for index, (layer, context) in enumerate(zip(layers, contexts, strict=True)):
        following = (*layers[index + 1 :], *context.following)
        layer_params, layer_state, shape = layer.initialize(context._replace(following=following), shape)
        count += sum(array.size for array in leaves((layer_params, layer_state)))
        check_parameters(count)
        params.append(layer_params)
        states.append(layer_state)
        shapes.append(shape)
    return Start(tuple(params), tuple(states), tuple(shapes))


def forward(
    layers: Sequence[Layer], params: Sequence[Params], states: Sequence[LayerState], x: Array, context: ForwardContext
) -> Forward:
    """Run x (n, features) through all layers."""
    outputs: list[Array] = []
    new_states: list[LayerState] = []
    caches: list[Cache] = []
    for index, (layer, layer_params, layer_state) in enumerate(zip(layers, params, states, strict=True)):
        x, new_state, cache = layer.forward(layer_params, layer_state, x, context.at(index))
        outputs.append(x)
        new_states.append(new_state)
        caches.append(cache)
    return Forward(tuple(outputs), tuple(new_states), tuple(caches))


def trained(layers: Sequence[Layer], params: Sequence[Params]) -> tuple[Params, ...]:
    """What a training changes: parameters or their gradients, with `()` in place of every array that is held."""
    return tuple(layer.trained(own) for layer, own in zip(layers, params, strict=True))


def backward(
    layers: Sequence[Layer], params: Sequence[Params], caches: Sequence[Cache], delta: Array
) -> tuple[Array, tuple[Grads, ...]]:
    """(dL/dx, grads) from delta = dL/d(last output)."""
    deltas, grads = _above_the_lowest(layers, params, caches, delta)
    dx, lowest = layers[0].backward(params[0], caches[0], deltas[0])
    return dx, (lowest, *grads)


def gradients(
    layers: Sequence[Layer], params: Sequence[Params], caches: Sequence[Cache], delta: Array
) -> tuple[tuple[Array, ...], tuple[Grads, ...]]:
    """(deltas, grads) of every layer, without dL/dx; deltas[i] is dL/d(outputs[i])."""
    deltas, grads = _above_the_lowest(layers, params, caches, delta)
    return deltas, (layers[0].gradients(params[0], caches[0], deltas[0]), *grads)


def _above_the_lowest(
    layers: Sequence[Layer], params: Sequence[Params], caches: Sequence[Cache], delta: Array
) -> tuple[tuple[Array, ...], tuple[Grads, ...]]:
    """(deltas of every layer, grads of all but the lowest) by the chain rule: delta(i-1) = (dy_i/dx_i)ᵀ delta(i)."""
    deltas = [delta]
    grads: list[Grads] = []
    for index in reversed(range(1, len(layers))):
        delta, gradient = layers[index].backward(params[index], caches[index], delta)
        deltas.append(delta)
        grads.append(gradient)
    return tuple(reversed(deltas)), tuple(reversed(grads))


def jvp(
    layers: Sequence[Layer],
    params: Sequence[Params],
    caches: Sequence[Cache],
    direction: Sequence[Params],
    x_dot: Array | None,
) -> tuple[Array | None, ...]:
    """The derivative of every layer's output along a direction of the parameters and x_dot of the input.

    An entry is None if that output does not move: the lowest layers have no parameters, and x_dot is None.
    """
    # Only layers with parameters get an x_dot of None, and these take it.
    output_dots: list[Array | None] = []
    for layer, layer_params, cache, layer_direction in zip(layers, params, caches, direction, strict=True):
        if _moves(layer_direction, x_dot):
            x_dot = layer.jvp(layer_params, cache, layer_direction, x_dot)  # type: ignore[arg-type]
        output_dots.append(x_dot)
    return tuple(output_dots)


def backward_jvp(
    layers: Sequence[Layer],
    params: Sequence[Params],
    caches: Sequence[Cache],
    direction: Sequence[Params],
    input_dots: Sequence[Array | None],
    deltas: Sequence[Array],
    delta_dot: Array,
) -> tuple[Array | None, tuple[Grads, ...]]:
    """The derivative of (dL/dx, grads) along a direction of the parameters. That of dL/dx is None if x does not move.

    By the product rule each layer adds its own `Layer.backward_jvp` to its backward pass of delta_dot.

    Args:
        layers: the layers.
        params: their parameters.
        caches: their caches of the forward pass.
        direction: the direction, in the type of `params`.
        input_dots: derivative of the input of each layer; None if it does not move.
        deltas: dL/d(output) of each layer.
        delta_dot: derivative of the delta of the last output.
    """
    grad_dots: list[Grads] = []
    for index in reversed(range(len(layers))):
        if not _moves(direction[index], input_dots[index]):
            # No layer from here down has parameters: their gradients are empty, and so are the derivatives.
            return None, (*direction[: index + 1], *reversed(grad_dots))
        layer = layers[index]
        layer_params = params[index]
        cache = caches[index]
        own_dx_dot, own = layer.backward_jvp(
            layer_params,
            cache,
            direction[index],
            input_dots[index],  # type: ignore[arg-type]
            deltas[index],
        )
        if own_dx_dot is None:
            inherited = layer.gradients(layer_params, cache, delta_dot)
            grad_dots.append(map_arrays(lambda a, b: a + b, inherited, own))
            # The layers below have no parameters.
            return None, (*direction[:index], *reversed(grad_dots))
        dx_dot, inherited = layer.backward(layer_params, cache, delta_dot)
        delta_dot = dx_dot + own_dx_dot
        grad_dots.append(map_arrays(lambda a, b: a + b, inherited, own))
    return delta_dot, tuple(reversed(grad_dots))


def _moves(direction: Params, x_dot: Array | None) -> bool:
    """Whether the output of a layer moves: its input moves, or it has parameters."""
    return x_dot is not None or next(arrays_of(direction), None) is not None


def mean_field(layers: Sequence[Layer], draws: Sequence[Sequence[Params]], square: float) -> list[MeanField] | None:
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
