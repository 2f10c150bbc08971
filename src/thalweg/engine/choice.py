"""Which engine does a work in less time: NumPy, which starts at once, or XLA, which compiles first."""

from __future__ import annotations

import math

import numpy as np

from ..core.arrays import Params, arrays_of
from ..models.network import Network
from ..parts.settings import Training
from .engine import Engine, make_engine

# Seconds of NumPy: for the calls of a layer in a step, for a number of the parameters in an update, for a product and
# its two of the backward pass, and for an output and its delta.
_CALL_SECONDS = 4e-5
_UPDATE_SECONDS = 1e-8
_PRODUCT_SECONDS = 2e-10
_OUTPUT_SECONDS = 5e-9
# JAX is imported and a program loaded from the cache in 1 s; compiling takes 0.5 to 5 s more, which later trainings
# share.
_START_SECONDS = 0.5


def step_seconds(network: Network, params: tuple[Params, ...], features: int, rows: int) -> float:
    """The seconds that NumPy is expected to need for a step on the processor's core.

    The calls of all layers, the products of every weight with every place where it is used in every row, and what is
    done once for every output and every parameter.

    Args:
        network: the network.
        params: its parameters, an entry for each layer.
        features: number of its inputs.
        rows: rows of the batch.

    >>> network = Network(["dense 64", "relu", "dense 3"])
    >>> params = network.initialize(0, (4,)).params
    >>> round(step_seconds(network, params, 4, rows=32) * 1e6)
    149
    """
    seconds = _CALL_SECONDS * len(network.layers)
    for shape, of_layer in zip(network.layout((features,)).shapes, params, strict=True):
        places = math.prod(shape[:-1])
        weights = sum(int(np.size(array)) for _, array in arrays_of((of_layer,)))
        seconds += weights * (_UPDATE_SECONDS + _PRODUCT_SECONDS * rows * places)
        seconds += _OUTPUT_SECONDS * rows * math.prod(shape)
    return seconds


def engine_for(training: Training, seconds: float = math.inf, anywhere: bool = False) -> Engine:
    """The engine of a training section: the one that it names, or for "auto" the one that ends first.

    NumPy, in the precision of the other, where it needs less than 0.5 s; else XLA.

    Args:
        training: the section.
        seconds: what NumPy is expected to need for the whole work.
        anywhere: on whatever device this machine has, and on one alone.

    >>> engine_for(Training(), seconds=0.1)
    Eager(precision='float32')
    """
    device, devices = (None, 1) if anywhere else (training.device, training.devices or 1)
    name = training.engine
    if name == "auto":
        name = "eager" if device != "gpu" and devices == 1 and seconds < _START_SECONDS else "compiled"
    return make_engine(name, training.number_type, device, devices)
