"""Networks of PyTorch and Keras with their weights, and the runs that examine them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.arrays import LayerState, Params, arrays_of, leaves
from ..core.errors import InputError, Problem
from ..engine.step import State
from ..models.conversion.from_keras import KerasLayer, is_keras, network_of_keras
from ..models.conversion.from_torch import is_module, network_of_module
from ..models.conversion.to_torch import module_of
from ..models.conversion.weighted import WeightedNetwork
from ..models.network import Network
from ..models.summary import network_in_words
from ..parts.initializers import Given
from ..parts.layers.dense import Affine, Weights
from ..parts.part import ForwardContext, Layer, Loss
from ..parts.settings import Off
from ..spec.spec import Spec
from ..spec.values import MOST_VALUES
from ..training.fit import Fit
from ..training.session import Session
from .recording import RunBuilder
from .run import Run

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class ConvertedNetwork:
    """A network of another library as one of ours, with its weights.

    Attributes:
        network: the layers. Their initializers draw weights like those that the origin began with, so far as it says.
        params: parameters of each layer, as NumPy arrays in float64.
        states: running statistics of each layer.
        inputs: number of features of a sample.
    """

    network: Network
    params: tuple[Params, ...]
    states: tuple[LayerState, ...]
    inputs: int

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """The outputs (n, K) in prediction for samples x: (n, inputs), or pictures (n, height, width, channels)."""
        rows = np.asarray(x, dtype=float).reshape(len(x), -1)
        return self.network.forward(self.params, self.states, rows, ForwardContext(training=False)).outputs[-1]

    def run(self, data: object, loss: Loss | str | Mapping[str, object] | None = None) -> Run:
        """A run without a step whose weights are these: for its measures, its boundary, its loss landscape and more.

        Args:
            data: what `thalweg.train` takes as data; rows must be prepared as the network expects them.
            loss: the loss; by default the one that belongs to the last layer and the task.

        Raises:
            InputError: the data do not fit the network.

        >>> import pytest
        >>> torch = pytest.importorskip("torch")
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2))
        >>> sorted(from_torch(model).run("moons").measures["test"])
        ['accuracy', 'balanced_accuracy', 'loss']
        """
        spec = Spec.of({"data": data, "network": self.network, "loss": loss, "training": {"epochs": 1}})
        session = Session.load(dataclasses.replace(spec, probes=Off()))
        features = session.split.train.features
        if features != self.inputs:
            raise InputError("data", f"expected {self.inputs} inputs, which the network takes, received {features}")
        session.check()
        _ = session.batches
        start = session.start._replace(params=self.params, layers=self.states)
        state: State = session.engine.fetch(session.engine.place(start))
        run = RunBuilder(session, self.params).run(Fit(state, []), 0.0)
        return dataclasses.replace(run, outcome="Converted: it was not trained here.")

    @property
    def _by_layer(self) -> list[tuple[Params, LayerState]]:
        return list(zip(self.params, self.states, strict=True))

    @property
    def with_given_start(self) -> Network:
        """The network whose dense layers begin with exactly these weights, in every training and with every seed.

        A spec states each of these numbers, so that `thalweg.explain` and lessons begin with them.

        Raises:
            InputError: more numbers than a spec may hold, or a layer whose numbers no spec can state: normalisation
                that was trained.

        >>> import pytest
        >>> torch = pytest.importorskip("torch")
        >>> converted = from_torch(torch.nn.Sequential(torch.nn.Linear(2, 2)))
        >>> np.array_equal(converted.with_given_start.initialize(7, (2,)).params[0].W, converted.params[0].W)
        True
        """
        count = sum(np.size(array) for _, array in arrays_of(self.params))
        if count > MOST_VALUES:
            raise InputError("network", f"has {count:,} weights, and a spec holds at most {MOST_VALUES:,} values")
        network = Network(tuple(map(_beginning_with, self.network.layers, self.params)))
        start = network.initialize(0, (self.inputs,))
        moved = [
            Problem(f"layer {number}", "its weights or running statistics come from a training, which no spec states")
            for number, (own, drawn) in enumerate(zip(self._by_layer, zip(*start[:2], strict=True), strict=True), 1)
            if any(not np.array_equal(a, b) for a, b in zip(leaves(own), leaves(drawn), strict=True))
        ]
        if moved:
            raise InputError("network", moved)
        return network

    def to_torch(self) -> nn.Sequential:
        """The network as nn.Sequential with these weights, in evaluation mode. Raises InputError without PyTorch."""
        return module_of(self.network, self.params, self.states)


def _beginning_with(layer: Layer, params: Params) -> Layer:
    """The layer with initializers that state its weights; a layer without dense weights as it is."""
    if not isinstance(params, Affine | Weights):
        return layer
    given: dict[str, object] = {"init": Given(tuple(tuple(map(float, row)) for row in params.W))}
    if isinstance(params, Affine):
        given["bias_init"] = Given(tuple(map(float, params.b)))
    return type(layer)(**{**vars(layer), **given})


def network_from(value: object, say: Callable[[str], None]) -> object:
    """The network of a PyTorch module or a Keras model, and a line on it; any other value as it is."""
    convert = from_torch if is_module(value) else from_keras if is_keras(value) else None
    if convert is None:
        return value
    network = convert(value).network  # type: ignore[arg-type]
    say(
        f"thalweg: {type(value).__name__} is converted to {network_in_words(network)}. New weights are drawn by its"
        " initializers; the model itself is not changed."
    )
    return network


def _converted(weighted: WeightedNetwork) -> ConvertedNetwork:
    return ConvertedNetwork(*weighted)


def from_torch(module: nn.Module, input_shape: tuple[int, int, int] | None = None) -> ConvertedNetwork:
    """A PyTorch module as a network of ours, with its weights and running statistics.

    PyTorch does not keep which rule drew the weights. A new training draws by the rule of nn.Linear where it may have
    drawn them, a constant where all weights are equal, else normal numbers of their mean and deviation.

    Args:
        module: nn.Sequential, nested as it may be, of layers that we have.
        input_shape: (channels, height, width) of the pictures that a module takes; None for rows. The network takes
            the same pictures with the channels last, as rows or (n, height, width, channels).

    Raises:
        InputError: with every module that has no equal layer, each with its place; for a module of pictures without
            `input_shape`.

    >>> import pytest
    >>> torch = pytest.importorskip("torch")
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> x = torch.randn(5, 2)
    >>> np.allclose(from_torch(model).outputs(x.numpy()), model(x).detach().numpy(), atol=1e-6)
    True
    """
    return _converted(network_of_module(module, input_shape))


def from_keras(model: KerasLayer) -> ConvertedNetwork:
    """A Keras 3 model as a network of ours, with its weights, running statistics and initializers.

    Keras's normal initializers are truncated at two deviations; ours of the same name have the same variance and are
    not truncated.

    Args:
        model: keras.Sequential, nested as it may be, of layers that we have; on any backend.

    Raises:
        InputError: with every layer that has no equal, each with its place.
    """
    return _converted(network_of_keras(model))
