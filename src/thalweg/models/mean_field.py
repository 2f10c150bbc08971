"""The theory of wide layers with random weights: how outputs grow on the way up, and deltas on the way down.

Each layer knows its own theory, `Layer.mean_field`; here the layers of a network are put together.

Source: Poole et al. 2016; Schoenholz et al. 2017, Deep information propagation, equations 3 and 7; He et al. 2015,
section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.arrays import Tree
from ..parts.layers import stack
from ..parts.part import Layer


def predicted(
    layers: Sequence[Layer], draws: Sequence[Sequence[Tree]], square: float, stages: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The rms of the outputs of some layers, and of their deltas relative to that of the last of them.

    Args:
        layers: the layers of a network.
        draws: several independent draws of the parameters of all layers.
        square: mean square of the inputs.
        stages: the places of the layers asked for, in increasing order.

    Returns:
        (outputs, deltas), each with a number for each stage; NaN everywhere if a layer has no theory.

    >>> from thalweg.parts.layers import Affine, Dense
    >>> W, b = np.array([[2.0]]), np.array([0.0])
    >>> outputs, deltas = predicted([Dense(1), Dense(1)], [(Affine(W, b), Affine(W, b))], 1.0, [0, 1])
    >>> outputs.tolist(), deltas.tolist()
    ([2.0, 4.0], [2.0, 1.0])
    """
    last = stages[-1] + 1
    steps = stack.mean_field(layers[:last], draws, square)
    if steps is None:
        nothing = np.full(len(stages), np.nan)
        return nothing, nothing
    outputs = np.sqrt([steps[stage].square for stage in stages])
    factors = np.array([step.factor for step in steps])
    deltas = np.sqrt([np.prod(factors[stage + 1 : last]) for stage in stages])
    return outputs, deltas
