"""A network: a stack of layers, its start values, its forward and its backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import Array, Tree
from ..core.errors import InputError, Problem
from ..core.noise import generator
from ..parts.initializers import GlorotUniform, Zeros
from ..parts.layers import stack
from ..parts.layers.stack import Forward, Start
from ..parts.part import ForwardContext, InitContext, Initializer, Layer, Part


def default_initializer(following: Sequence[Layer]) -> Initializer:
    """The start of weights that suits the activation which comes next.

    He's normal before the ReLU family (ReLU, LeakyReLU with its slope, ELU, GELU, Swish, Softplus), LeCun's normal
    before SELU, Glorot's uniform before everything else: Tanh, Sigmoid, Softmax, or no activation at all. Layers that
    normalise, drop, disturb or flatten are looked through.

    >>> from thalweg.parts.layers import BatchNorm, LeakyReLU
    >>> default_initializer([BatchNorm(), LeakyReLU(0.2)])
    HeNormal(slope=0.2)
    """
    suited = next((layer.suited_initializer for layer in following if not layer.transparent), None)
    return suited or GlorotUniform()


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

    @classmethod
    def as_table(cls, value: Any) -> dict[str, Any]:
        """The table of a network; a list is one of its layers."""
        named = isinstance(value, Sequence) and not isinstance(value, str)
        return super().as_table({"layers": value} if named else value)

    def initialize(self, seed: int, shape: tuple[int, ...]) -> Start:
        """Start values in float64 for samples of `shape`. A layer's numbers depend on the seed and its place alone."""
        return self.draw([generator(seed, "weights", index) for index in range(len(self.layers))], shape)

    def draw(self, streams: Sequence[np.random.Generator], shape: tuple[int, ...]) -> Start:
        """Start values that each layer draws from a stream of its own, or all of them, one after another, from one."""
        weights = (lambda following: self.init) if self.init else default_initializer
        draws = (InitContext(rng, weights, self.bias_init or Zeros()) for rng in streams)
        return stack.initialize(self.layers, draws, shape)

    def forward(self, params: Sequence[Tree], states: Sequence[Tree], x: Array, mode: ForwardContext) -> Forward:
        """Run x (n, features) through all layers."""
        return stack.forward(self.layers, params, states, x, mode)

    def backward(
        self, params: Sequence[Tree], caches: Sequence[Tree], delta: Array
    ) -> tuple[tuple[Array, ...], tuple[Tree, ...]]:
        """(deltas, grads) of every layer from delta = dL/d(last output); deltas[i] is dL/d(outputs[i])."""
        return stack.gradients(self.layers, params, caches, delta)

    def jvp(self, params: Sequence[Tree], caches: Sequence[Tree], along: Sequence[Tree]) -> tuple[Array | None, ...]:
        """How every layer's output moves while the parameters move along `along`; None below the first that learns."""
        return stack.jvp(self.layers, params, caches, along, None)

    def backward_jvp(
        self,
        params: Sequence[Tree],
        caches: Sequence[Tree],
        along: Sequence[Tree],
        tangents: Sequence[Array | None],
        deltas: Sequence[Array],
        turn: Array,
    ) -> tuple[Tree, ...]:
        """How the gradients move along that motion, while dL/d(last output) moves along `turn`.

        `tangents` come from `tangent`, and `deltas` from `backward`.
        """
        moves = (None, *tangents[:-1])
        return stack.backward_jvp(self.layers, params, caches, along, moves, deltas, turn)[1]
