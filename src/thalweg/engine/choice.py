"""What takes less time: NumPy, which starts at once, or XLA, which compiles first; trainings alone or as one program.

A choice follows from layers, parameters, rows and device, never from a clock: it is the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

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

# Seconds of XLA on a CPU that each further training of one program saves at the end of an epoch: its steps, check and
# measures are called and fetched with those of the first (1.0 to 1.5 ms measured); and what the larger program takes
# longer to compile (0 to 1 s).
_JOINT_EPOCH_SECONDS = 1e-3
_JOINT_COMPILE_SECONDS = 1.0
# Products of weights and rows in an epoch. Up to three times as many, and in the steps of an epoch up to 500, trainings
# together took less time in all that was measured; beyond it calls are a small part of the time.
_MOST_JOINT_PRODUCTS = 2**24
_LARGEST_GROUP = 8


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
    for shape, weights in _weights(network, params, features):
        seconds += weights * (_UPDATE_SECONDS + _PRODUCT_SECONDS * rows * math.prod(shape[:-1]))
        seconds += _OUTPUT_SECONDS * rows * math.prod(shape)
    return seconds


def _weights(network: Network, params: tuple[Params, ...], features: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """The shape of a sample after each layer, and the number of the layer's parameters."""
    for shape, of_layer in zip(network.layout((features,)).shapes, params, strict=True):
        yield shape, sum(int(np.size(array)) for _, array in arrays_of((of_layer,)))


def joint_saving(network: Network, params: tuple[Params, ...], features: int, rows: int, epochs: int) -> float:
    """The seconds that a training, measured after each epoch, saves on a CPU by running in the program of another one.

    0 where the arithmetic of an epoch takes much longer than its calls.

    Args:
        network: the network.
        params: its parameters, an entry for each layer.
        features: number of its inputs.
        rows: training rows.
        epochs: epochs that the training surely runs.

    >>> network = Network(["dense 64", "relu", "dense 3"])
    >>> params = network.initialize(0, (4,)).params
    >>> joint_saving(network, params, 4, rows=150, epochs=200), joint_saving(network, params, 4, 10**6, 200)
    (0.2, 0.0)
    """
    products = sum(weights * math.prod(shape[:-1]) for shape, weights in _weights(network, params, features)) * rows
    return epochs * _JOINT_EPOCH_SECONDS if products <= _MOST_JOINT_PRODUCTS else 0.0


def group_size(trainings: int, workers: int) -> int:
    """How many trainings run as one program at most, so that all workers end at about the same time.

    >>> group_size(8, workers=2), group_size(96, workers=2), group_size(20, workers=2)
    (4, 8, 5)
    """
    rounds = -(-trainings // (workers * _LARGEST_GROUP))
    return -(-trainings // (rounds * workers))


def ends_sooner_together(trainings: float, size: int, saving: float) -> bool:
    """Whether a worker ends trainings of one structure sooner in groups than one after another.

    Args:
        trainings: their number.
        size: trainings in a group.
        saving: the `joint_saving` of each.

    >>> ends_sooner_together(4, 4, saving=1.0), ends_sooner_together(4, 4, saving=0.1)
    (True, False)
    """
    return trainings * (1 - 1 / size) * saving >= _JOINT_COMPILE_SECONDS


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
