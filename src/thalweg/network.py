"""A network: a stack of layers, its start values, its forward and its backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .arrays import Array, Tree
from .errors import InputError, Problem
from .initializers import GlorotUniform, HeNormal, LeCunNormal, Zeros
from .layers import ELU, GELU, SELU, LeakyReLU, ReLU, Softplus, Swish
from .noise import generator
from .parts import Initializer, Layer, Mode, Part


def default_initializer(following: Sequence[Layer]) -> Initializer:
    """The start of weights that suits the activation which comes next.

    He's normal before the ReLU family (ReLU, LeakyReLU with its slope, ELU, GELU, Swish, Softplus), LeCun's normal
    before SELU, Glorot's uniform before everything else: Tanh, Sigmoid, Softmax, or no activation at all.

    >>> from thalweg.layers import LeakyReLU
    >>> default_initializer([LeakyReLU(0.2)])
    HeNormal(slope=0.2)
    """
    match following[:1]:
        case [LeakyReLU(alpha=alpha)]:
            return HeNormal(slope=alpha)
        case [ReLU() | ELU() | GELU() | Swish() | Softplus()]:
            return HeNormal()
        case [SELU()]:
            return LeCunNormal()
        case _:
            return GlorotUniform()


class Forward(NamedTuple):
    """What a forward pass leaves: outputs of every layer, their new states, and what the way back needs."""

    outputs: tuple[Array, ...]
    states: tuple[Tree, ...]
    caches: tuple[Tree, ...]


class Start(NamedTuple):
    """Parameters and states of every layer before training, and the shape of one sample after each layer."""

    params: tuple[Tree, ...]
    states: tuple[Tree, ...]
    shapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Network(Part):
    """Layers, one after another.

    `init` and `bias_init` serve every layer that has none of its own; without `init` each layer gets the one that suits
    the activation after it (`default_initializer`), and biases start at 0.

    >>> network = Network(["dense 3", "tanh", "dense 1"])
    >>> start = network.initialize(seed=0, shape=(2,))
    >>> start.params[0].W.shape, start.shapes
    ((2, 3), ((3,), (3,), (1,)))
    """

    layers: tuple[Layer, ...]
    init: Initializer | None = None
    bias_init: Initializer | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layers:
            raise InputError("Network", [Problem("layers", "expected at least one layer, received none")])

    def initialize(self, seed: int, shape: tuple[int, ...]) -> Start:
        """Start values in float64 for samples of `shape`. A layer's numbers depend on the seed and its place alone."""
        params, states, shapes = [], [], []
        for index, layer in enumerate(self.layers):
            weights = self.init or default_initializer(self.layers[index + 1 :])
            rng = generator(seed, "weights", index)
            own_params, own_state, shape = layer.initialize(rng, shape, weights, self.bias_init or Zeros())
            params.append(own_params)
            states.append(own_state)
            shapes.append(shape)
        return Start(tuple(params), tuple(states), tuple(shapes))

    def forward(self, params: Sequence[Tree], states: Sequence[Tree], x: Array, mode: Mode) -> Forward:
        """Run x (n, features) through all layers."""
        outputs, new_states, caches = [], [], []
        for layer, own_params, own_state in zip(self.layers, params, states, strict=True):
            x, own_state, cache = layer.forward(own_params, own_state, x, mode)
            outputs.append(x)
            new_states.append(own_state)
            caches.append(cache)
        return Forward(tuple(outputs), tuple(new_states), tuple(caches))

    def backward(
        self, params: Sequence[Tree], caches: Sequence[Tree], delta: Array
    ) -> tuple[tuple[Array, ...], tuple[Tree, ...]]:
        """(deltas, grads) of every layer from delta = dL/d(last output); deltas[i] is dL/d(outputs[i]).

        The chain rule, from the last layer to the first: delta(i-1) = (dy_i/dx_i)ᵀ delta(i).
        """
        deltas, grads = [delta], []
        for index in reversed(range(1, len(self.layers))):
            delta, gradient = self.layers[index].backward(params[index], caches[index], delta)
            deltas.append(delta)
            grads.append(gradient)
        grads.append(self.layers[0].gradients(params[0], caches[0], delta))
        return tuple(reversed(deltas)), tuple(reversed(grads))
