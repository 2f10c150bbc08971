"""A spec completed by its data: nothing is left open."""

from __future__ import annotations

import dataclasses

from ..core.errors import InputError
from ..data import RowSource
from ..models.linear_unit import LinearUnit
from ..models.mlp import MultiLayerPerceptron
from ..models.network import Network
from ..parts.layers import Sigmoid, Softmax
from ..parts.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    MeanSquaredError,
    SigmoidBinaryCrossEntropy,
    SoftmaxCrossEntropy,
)
from ..parts.optimizers import Adam
from ..parts.part import Loss
from ..parts.settings import BATCH_SIZE, Stopping
from .spec import CompleteSpec, Spec


def default_loss(network: Network, data: RowSource) -> Loss:
    """The loss that belongs to the network's last layer and the task.

    Cross-entropy after Softmax, binary cross-entropy after Sigmoid, either on logits where the last layer is linear and
    the task is one of classes; the mean squared error for numbers.
    """
    last = network.layers[-1] if network.layers else None
    if data.task == "regression":
        return MeanSquaredError()
    if isinstance(last, Softmax):
        return CrossEntropy()
    if isinstance(last, Sigmoid):
        return BinaryCrossEntropy()
    single = network.layers and network.initialize(0, (data.features,)).shapes[-1] == (1,)
    return SigmoidBinaryCrossEntropy() if single or data.task == "multilabel" else SoftmaxCrossEntropy()


def completed(spec: Spec, data: RowSource) -> CompleteSpec:
    """The spec with nothing left open, for the training rows of its data.

    A linear unit becomes what it is made of: layers, loss, optimizer, batch size, and when to stop. Raises InputError
    where the data has no classes that it could tell apart.
    """
    sections = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
    unit, batch_size = spec.network, spec.training.batch_size
    if isinstance(unit, LinearUnit):
        if data.task != "classification":
            fix = 'for numbers take layers = ["dense 1"] with loss = "squared_error" and optimizer = "sgd"'
            raise InputError("network", f"the {unit.kind} tells classes apart, and the task is {data.task}; {fix}")
        sections |= {"network": unit.network(data.outputs), "loss": unit.loss, "optimizer": unit.optimizer}
        sections["stopping"] = _merged(unit.stopping, spec.stopping)
        batch_size = unit.batch_size
    else:
        network = (
            unit if isinstance(unit, Network) else (unit or MultiLayerPerceptron()).network(data.outputs, data.task)
        )
        sections |= {"network": network, "loss": spec.loss or default_loss(network, data)}
        sections["optimizer"] = spec.optimizer or Adam()
    sections["training"] = dataclasses.replace(spec.training, batch_size=batch_size or BATCH_SIZE)
    return CompleteSpec(**sections)


def _merged(usual: Stopping, given: Stopping) -> Stopping:
    """What is usual, but for what was given another value than the one that stands for nothing given."""
    fields = [field for field in dataclasses.fields(Stopping) if getattr(given, field.name) != field.default]
    return dataclasses.replace(usual, **{field.name: getattr(given, field.name) for field in fields})
