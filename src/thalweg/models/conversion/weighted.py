"""A network together with its weights: what a conversion gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ...core.arrays import LayerState, Params
from ...core.errors import InputError, Problem
from ...parts.initializers import Constant, HeUniform, Normal, Uniform
from ...parts.layers import Conv2d, Dense, Reshape
from ...parts.layers.convolution import BareKernels, Kernels
from ...parts.layers.dense import Affine, Weights
from ...parts.part import Initializer, Layer, Trainable
from ..network import Network


class WeightedLayer(NamedTuple):
    """A layer with its weights.

    Attributes:
        layer: the layer.
        params: its parameters, as NumPy arrays in float64.
        state: its running statistics; `()` where it has none.
        inputs: number of features that it takes; None where it takes any number.
    """

    layer: Layer
    params: Params = ()
    state: LayerState = ()
    inputs: int | None = None


class WeightedNetwork(NamedTuple):
    """A network with its weights.

    Attributes:
        network: the layers, whose initializers draw weights like those of the origin.
        params: parameters of each layer.
        states: running statistics of each layer.
        inputs: number of features of a sample.
    """

    network: Network
    params: tuple[Params, ...]
    states: tuple[LayerState, ...]
    inputs: int


Reader = Callable[[str], Sequence[WeightedLayer]]
"""Reads one layer of another library, given its place; raises InputError where there is no equal layer."""


def collected(
    subject: str, readers: Sequence[tuple[str, Reader]], before: Sequence[WeightedLayer] = ()
) -> WeightedNetwork:
    """The network of all layers in their order, with the layers `before` them.

    Raises InputError with every layer that has no equal, each with its place, and where nothing says how many features
    the network takes.
    """
    layers = list(before)
    problems: list[Problem] = []
    for place, reader in readers:
        try:
            layers += reader(place)
        except InputError as error:
            problems += [Problem(place, problem.message) for problem in error.problems]
    if problems:
        raise InputError(subject, problems)
    inputs = next((layer.inputs for layer in layers if layer.inputs is not None), None)
    if inputs is None:
        raise InputError(subject, "expected at least one layer with weights, received none")
    network = Network(tuple(layer.layer for layer in layers))
    return WeightedNetwork(
        network, tuple(layer.params for layer in layers), tuple(layer.state for layer in layers), inputs
    )


def dense(
    W: np.ndarray, b: np.ndarray | None, inits: tuple[Initializer, Initializer], trainable: Trainable
) -> WeightedLayer:
    """A dense layer of given weights W (fan_in, width) and bias b (width,), and the initializers of both."""
    init, bias_init = inits
    fan_in, width = W.shape
    if b is None:
        return WeightedLayer(Dense(width, init, bias=False, trainable=trainable), Weights(W), (), fan_in)
    return WeightedLayer(Dense(width, init, bias_init, trainable=trainable), Affine(W, b), (), fan_in)


def convolution(layer: Conv2d, W: np.ndarray, b: np.ndarray | None) -> WeightedLayer:
    """A convolution of given kernels W (kernel, kernel, channels / groups, width) and bias b (width,)."""
    return WeightedLayer(layer, BareKernels(W) if b is None else Kernels(W, b))


def picture(height: int, width: int, channels: int) -> WeightedLayer:
    """The layer that makes a picture of a row."""
    return WeightedLayer(Reshape(height, width, channels), inputs=height * width * channels)


def trainable_of(**held: bool) -> Trainable:
    """Which parameters a training changes, from whether each of them is trained.

    >>> trainable_of(W=True, b=True), trainable_of(W=True, b=False), trainable_of(W=False)
    (True, ('W',), False)
    """
    names = tuple(name for name, trained in held.items() if trained)
    return bool(names) if len(names) in (0, len(held)) else names


def linear_initializer(values: np.ndarray, fan_in: int) -> Initializer:
    """The initializer that draws numbers like these, where the library does not say which one drew them.

    PyTorch's rule for linear layers, uniform in ±1/sqrt(fan_in), where it may have drawn them; a constant where all are
    equal; else a normal distribution of their mean and standard deviation.

    Source: torch.nn.Linear: kaiming_uniform_ with a = sqrt(5), whose variance is 1 / (3 fan_in).

    >>> rng = np.random.default_rng(0)
    >>> linear_initializer(rng.uniform(-0.5, 0.5, (4, 30)), fan_in=4)
    HeUniform(slope=2.23606797749979)
    >>> linear_initializer(np.zeros((4, 30)), fan_in=4)
    Constant(value=0.0)
    """
    if values.min() == values.max():
        return Constant(float(values.flat[0]))
    bound = 1 / math.sqrt(fan_in)
    # The spread of the deviation of n uniform numbers is 0.45 / sqrt(n) of it.
    deviation = float(values.std()) * math.sqrt(3) / bound
    if np.abs(values).max() <= bound * (1 + 1e-6) and abs(deviation - 1) < 5 * 0.45 / math.sqrt(values.size):
        return HeUniform(math.sqrt(5)) if values.ndim > 1 else Uniform(-bound, bound)
    return Normal(float(values.std()), float(values.mean()))
