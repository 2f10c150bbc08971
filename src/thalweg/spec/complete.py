"""Completion of a spec by its data: network, loss, optimizer, batch size and length that the spec leaves open."""

from __future__ import annotations

import dataclasses

from ..core.errors import InputError
from ..data import RowSource, StreamedDataset
from ..models.linear_units import LinearUnit
from ..models.mlp import Architecture, default_architecture
from ..models.network import Network
from ..parts.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    MeanSquaredError,
    SigmoidBinaryCrossEntropy,
    SoftmaxCrossEntropy,
)
from ..parts.optimizers import Adam
from ..parts.part import Layer, Loss
from ..parts.settings import BATCH_SIZE
from .length import merged, with_epochs, with_length
from .spec import CompleteSpec, Spec

# A linear unit has its own rule of when to stop.
_UNIT_EPOCHS = 20


def default_loss(network: Network, data: RowSource) -> Loss:
    """The loss that suits the network's last layer and the task.

    The mean squared error for a regression. For classes and labels: cross-entropy after a layer whose outputs sum to 1
    (softmax), binary cross-entropy after probabilities of single outputs (sigmoid), their forms on logits otherwise.

    >>> from thalweg.data import Data
    >>> default_loss(Network(["dense 2", "softmax"]), Data("rings").load(seed=0).train).kind
    'cross_entropy'
    """
    if data.task == "regression":
        return MeanSquaredError()
    if network.layers and network.layers[-1].sums_to_one:
        return CrossEntropy()
    if network.layers and _gives_probabilities(network.layers[-1]):
        return BinaryCrossEntropy()
    single = network.layers and network.layout((data.features,)).shapes[-1] == (1,)
    return SigmoidBinaryCrossEntropy() if single or data.task == "multilabel" else SoftmaxCrossEntropy()


def _gives_probabilities(layer: Layer) -> bool:
    """Whether each output is a probability through which a gradient passes; a step function lets none pass."""
    return layer.output_range == (0.0, 1.0) and bool(layer.steepest_slope)


def completed(spec: Spec, data: RowSource) -> CompleteSpec:
    """The complete spec for the training rows of its data.

    A linear unit is replaced by its layers, loss, optimizer, batch size and stopping rule; `epochs = "auto"` means 20
    there. Pictures are reshaped before a network whose first layers take pictures. Raises InputError if the task of a
    linear unit is not classification. Rows that stream because of the machine's memory do so wherever the spec is
    trained: the order of rows depends on it.
    """
    if isinstance(data, StreamedDataset) and spec.data.memory is None:
        spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, memory=data.memory // 10**6))
    if isinstance(spec.network, LinearUnit):
        return _completed_unit(spec, spec.network, data)
    network = spec.network or default_architecture(spec.data.source, data)
    updates = None
    if isinstance(network, Architecture):
        layers = network.for_rows(data)
        loss = network.loss_of(spec.loss or default_loss(layers, data))
        optimizer, batch_size = spec.optimizer or network.optimizer(), network.batch_size
        updates = None if spec.optimizer else network.updates
    else:
        layers = network.for_pictures(data.image_shape)
        loss = spec.loss or default_loss(layers, data)
        optimizer, batch_size = spec.optimizer or Adam(), BATCH_SIZE
    training = dataclasses.replace(spec.training, batch_size=spec.training.batch_size or batch_size)
    complete_training, stopping = with_length(training, spec.stopping, optimizer, spec.data, data, updates)
    return CompleteSpec(
        data=spec.prepared_data,
        network=layers,
        loss=loss,
        optimizer=optimizer,
        training=complete_training,
        regularization=spec.regularization,
        stopping=stopping,
        checkpoints=spec.checkpoints,
        probes=spec.probes,
    )


def _completed_unit(spec: Spec, unit: LinearUnit, data: RowSource) -> CompleteSpec:
    if data.task != "classification":
        fix = 'for numbers use layers = ["dense 1"] with loss = "squared_error" and optimizer = "sgd"'
        raise InputError("network", f"the {unit.kind} expects the task classification, received {data.task}; {fix}")
    return CompleteSpec(
        data=spec.prepared_data,
        network=unit.network(data.outputs),
        loss=unit.loss,
        optimizer=unit.optimizer,
        training=with_epochs(
            dataclasses.replace(spec.training, batch_size=unit.batch_size),
            _UNIT_EPOCHS if spec.training.epochs == "auto" else spec.training.epochs,
        ),
        regularization=spec.regularization,
        stopping=merged(unit.stopping, spec.stopping),
        checkpoints=spec.checkpoints,
        probes=spec.probes,
    )
