"""A network: a stack of layers, its initial values, its forward and its backward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.arrays import Array, Cache, Grads, LayerState, Params, map_arrays
from ..core.errors import InputError, Problem
from ..core.noise import generator
from ..data import ImageShape
from ..parts.initializers import GlorotUniform, Zeros
from ..parts.layers import Reshape, stack
from ..parts.layers.stack import Forward, Start
from ..parts.part import ForwardContext, InitContext, Initializer, Layer, Part

_MOST_LAYERS = 1000


def default_initializer(following: Sequence[Layer]) -> Initializer:
    """The initializer for weights that suits the activation after them.

    He's normal before the ReLU family (ReLU, LeakyReLU with its slope, ELU, GELU, Swish, Softplus), LeCun's normal
    before SELU, Glorot's uniform before everything else: Tanh, Sigmoid, Softmax, or no activation. Layers that
    normalise, drop, add noise or flatten are skipped (`Layer.transparent`, `Layer.suited_initializer`).

    Args:
        following: the layers behind the weights, the next one first.

    >>> from thalweg.parts.layers import BatchNorm, LeakyReLU
    >>> default_initializer([BatchNorm(), LeakyReLU(0.2)])
    HeNormal(slope=0.2)
    """
    suited = next((layer.suited_initializer for layer in following if not layer.transparent), None)
    return suited or GlorotUniform()


@dataclass(frozen=True)
class Network(Part):
    """Layers, one after another.

    layers: the layers, from the input to the output.
    init: initializer of the weights of all layers without their own; None: the one that suits the activation after
    each layer (`default_initializer`).
    bias_init: initializer of the biases of all layers without their own; None: 0.

    >>> network = Network(["dense 3", "tanh", "dense 1"])
    >>> start = network.initialize(seed=0, shape=(2,))
    >>> start.params[0].W.shape, start.shapes
    ((2, 3), ((3,), (3,), (1,)))
    """

    layers: tuple[Layer, ...]
    init: Initializer | None = None
    bias_init: Initializer | None = None

    if TYPE_CHECKING:  # `Part` reads text and tables as parts, which the fields' types do not say.

        def __init__(
            self,
            layers: Sequence[Layer | str | Mapping[str, Any]],
            init: Initializer | str | None = None,
            bias_init: Initializer | str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layers:
            raise InputError("Network", [Problem("layers", "expected at least one layer, received none")])
        if len(self.layers) > _MOST_LAYERS:
            received = f"received {len(self.layers):,}"
            raise InputError("Network", [Problem("layers", f"expected at most {_MOST_LAYERS:,} layers, {received}")])

    @classmethod
    def as_table(cls, value: object) -> dict[str, Any]:
        """The table of a network; a list is read as its layers."""
        named = isinstance(value, Sequence) and not isinstance(value, str)
        return super().as_table({"layers": value} if named else value)

    def for_pictures(self, shape: ImageShape | None) -> Network:
        """This network for rows that are pictures of that shape: they are reshaped where its layers take pictures.

        None: the rows are no pictures, and the network stays as it is.

        >>> Network(["conv2d 8", "flatten", "dense 2"]).for_pictures((28, 28)).layers[0]
        Reshape(height=28, width=28, channels=1)
        """
        if shape is None or _axes_of_input(self.layers) != len(Reshape(*shape).shape):
            return self
        return dataclasses.replace(self, layers=(Reshape(*shape), *self.layers))

    def initialize(self, seed: int, shape: tuple[int, ...]) -> Start:
        """Initial values in float64 for samples of `shape`. Those of a layer depend only on the seed and its place."""
        return self.draw([generator(seed, "weights", index) for index in range(len(self.layers))], shape)

    def draw(self, streams: Sequence[np.random.Generator], shape: tuple[int, ...]) -> Start:
        """Initial values with a random stream for each layer; they may share one, which they then use in order."""
        weights = (lambda following: self.init) if self.init else default_initializer
        contexts = (InitContext(rng, weights, self.bias_init or Zeros()) for rng in streams)
        return stack.initialize(self.layers, contexts, shape)

    def layout(self, shape: tuple[int, ...]) -> Start:
        """A start for samples of `shape` whose parameters are zeros that take no memory, where only shapes matter.

        >>> start = Network(["dense 3", "tanh", "dense 1"]).layout((2,))
        >>> start.params[0].W.shape, start.shapes[-1]
        ((2, 3), (1,))
        """
        return _layout(self, shape)

    def forward(
        self, params: Sequence[Params], states: Sequence[LayerState], x: Array, context: ForwardContext
    ) -> Forward:
        """Run x (n, features) through all layers."""
        return stack.forward(self.layers, params, states, x, context)

    def trained(self, params: Sequence[Params]) -> tuple[Params, ...]:
        """What a training changes: parameters or their gradients, with `()` in place of every array that is held.

        >>> network = Network([{"kind": "dense", "width": 1, "trainable": ["W"]}])
        >>> network.trained(network.initialize(0, (1,)).params)[0].b
        ()
        """
        return stack.trained(self.layers, params)

    def backward(
        self, params: Sequence[Params], caches: Sequence[Cache], delta: Array
    ) -> tuple[tuple[Array, ...], tuple[Grads, ...]]:
        """(deltas, grads) of every layer from delta = dL/d(last output); deltas[i] is dL/d(outputs[i])."""
        return stack.gradients(self.layers, params, caches, delta)

    def jvp(
        self, params: Sequence[Params], caches: Sequence[Cache], direction: Sequence[Params]
    ) -> tuple[Array | None, ...]:
        """The derivative of every layer's output along a direction of the parameters; None where it is fixed."""
        return stack.jvp(self.layers, params, caches, direction, None)

    def backward_jvp(
        self,
        params: Sequence[Params],
        caches: Sequence[Cache],
        direction: Sequence[Params],
        output_dots: Sequence[Array | None],
        deltas: Sequence[Array],
        delta_dot: Array,
    ) -> tuple[Grads, ...]:
        """The derivative of the gradients along a direction of the parameters.

        Args:
            params: parameters of each layer.
            caches: caches of the forward pass.
            direction: the direction, in the type of `params`.
            output_dots: derivative of each layer's output, from `jvp`.
            deltas: dL/d(output) of each layer, from `backward`.
            delta_dot: derivative of dL/d(last output).
        """
        input_dots = (None, *output_dots[:-1])
        return stack.backward_jvp(self.layers, params, caches, direction, input_dots, deltas, delta_dot)[1]


def _axes_of_input(layers: Sequence[Layer]) -> int | None:
    """The number of axes of the samples that the layers take; None: samples of any shape."""
    axes = (_axes_of_input(layer.inner) if layer.inner else layer.input_axes for layer in layers)
    return next((count for count in axes if count is not None), None)


@lru_cache(maxsize=64)
def _layout(network: Network, shape: tuple[int, ...]) -> Start:
    start = network.initialize(0, shape)
    return start._replace(params=map_arrays(lambda array: np.broadcast_to(0.0, array.shape), start.params))
