"""The theory of wide layers with random weights: how large outputs are on their way up, and deltas on their way down.

Source: Poole et al. 2016; Schoenholz et al. 2017, Deep information propagation, equations 3 and 7; He et al. 2015,
section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from ..core.arrays import Tree
from ..parts.layers import Activation, BatchNorm, Branch, Dense, Dropout, Flatten, GaussianNoise, LayerNorm, Residual
from ..parts.part import Layer

# The expectations over a standard normal number: sums over a fine grid, for slopes jump. 0 itself is left out.
_Z = np.linspace(-9, 9, 3600)
_DENSITY = np.exp(-(_Z**2) / 2)
_DENSITY /= _DENSITY.sum()


class Passage(NamedTuple):
    """What a layer makes of the mean square of a signal, and by what it multiplies that of the gradient on its way
    back; both per unit.
    """

    square: float
    factor: float


def passage(layer: Layer, params: Sequence[Tree], square: float) -> Passage | None:
    """The theory of a wide layer with random weights, for inputs of that mean square; None where it has none.

    `params` are several draws of its parameters. Dense: n_in var(W) s + mean(b²), and n_out var(W). Activation f:
    E f(√s z)² and E f'(√s z)² with z standard normal. Normalisation: 1 and 1/s. Dropout: both s/(1-p) and 1/(1-p). A
    residual block adds its own to what goes around it.

    >>> from thalweg.parts.layers import ReLU
    >>> [round(value, 3) for value in passage(ReLU(), [()], 2.0)]
    [1.0, 0.5]
    """
    match layer:
        case Dense():
            weight = float(np.mean([np.square(draw.W) for draw in params]))
            fan_in, fan_out = params[0].W.shape
            bias = float(np.mean([np.square(draw.b) for draw in params]))
            return Passage(fan_in * weight * square + bias, fan_out * weight)
        case Activation():
            z = np.sqrt(square) * _Z
            y = layer.value(z)
            return Passage(float(_DENSITY @ y**2), float(_DENSITY @ layer.derivative(z, y) ** 2))
        case BatchNorm() | LayerNorm():
            return Passage(1.0, 1 / square) if square else None
        case Dropout():
            return Passage(square / (1 - layer.rate), 1 / (1 - layer.rate))
        case GaussianNoise():
            return Passage(square + layer.deviation**2, 1.0)
        case Flatten():
            return Passage(square, 1.0)
        case Residual():
            return _around(layer, params, square)
    return None


def _around(block: Residual, params: Sequence[Branch], square: float) -> Passage | None:
    inner = passages(block.layers, [draw.layers for draw in params], square)
    if inner is None:
        return None
    own = reduce(lambda product, step: product * step.factor, inner, 1.0)
    past = Passage(square, 1.0)
    if not isinstance(params[0].projection, tuple):
        weight = float(np.mean([np.square(draw.projection) for draw in params]))
        fan_in, fan_out = params[0].projection.shape
        past = Passage(fan_in * weight * square, fan_out * weight)
    return Passage(past.square + inner[-1].square, past.factor + own)


def passages(layers: Sequence[Layer], draws: Sequence[Sequence[Tree]], square: float) -> list[Passage] | None:
    """The passage of each layer of a stack, one after another; None where one of them has no theory."""
    found: list[Passage] = []
    for index, layer in enumerate(layers):
        step = passage(layer, [draw[index] for draw in draws], square)
        if step is None:
            return None
        found.append(step)
        square = step.square
    return found


def predicted(
    layers: Sequence[Layer], draws: Sequence[Sequence[Tree]], square: float, stages: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The rms of the outputs of some layers (the stages), and of their deltas as parts of that of the last stage.

    `square` is the mean square of the inputs; NaN where a layer has no theory.

    >>> from thalweg.parts.layers import Affine, Identity
    >>> W, b = np.array([[2.0]]), np.array([0.0])
    >>> outputs, deltas = predicted([Dense(1), Dense(1)], [(Affine(W, b), Affine(W, b))], 1.0, [0, 1])
    >>> outputs.tolist(), deltas.tolist()
    ([2.0, 4.0], [2.0, 1.0])
    """
    found = passages(layers[: stages[-1] + 1], draws, square)
    if found is None:
        nothing = np.full(len(stages), np.nan)
        return nothing, nothing
    outputs = np.sqrt([found[stage].square for stage in stages])
    factors = np.array([step.factor for step in found])
    parts = [np.prod(factors[stage + 1 : stages[-1] + 1]) for stage in stages]
    return outputs, np.sqrt(parts)
