"""A trained network with its preprocessing, and its predictions as graphs of operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from ..core.arrays import Array, LayerState, Params, arrays_of, map_arrays
from ..data import Preprocessing
from ..models.decision import decided
from ..models.network import Network
from ..models.summary import layer_in_words, network_in_words
from ..parts.part import ForwardContext, Loss
from ..parts.settings import Precision
from .tracing import ROWS, Graph, Traced, traced_input


class TrainedModel(NamedTuple):
    """A trained network and all that its predictions need.

    Attributes:
        network: the layers.
        loss: the loss of the training, which knows whether the outputs are logits, and the decision threshold.
        params: parameters of each layer.
        states: what each layer keeps besides: running statistics, centres.
        preprocessing: how rows become numbers, and outputs labels and values.
    """

    network: Network
    loss: Loss
    params: Sequence[Params]
    states: Sequence[LayerState]
    preprocessing: Preprocessing

    @property
    def title(self) -> str:
        """The network in words, with the task and the numbers of inputs and outputs."""
        known = self.preprocessing
        return f"{network_in_words(self.network)} ({known.task}, {known.features} inputs, {known.outputs} outputs)"

    def outputs_graph(self, precision: Precision) -> Graph:
        """From encoded rows (n, features), float64, to the outputs (n, K): scaling, layers, probabilities.

        Args:
            precision: of what the layers compute.

        Raises:
            InputError: a layer uses an operation that has no exported form.

        >>> from thalweg import train
        >>> run = train(["dense 2", "relu", "dense 2"], "xor", epochs=1, engine="eager", progress=False)
        >>> [value.operation for value in run.trained_model.outputs_graph("float32").operations][3:8]
        ['matmul', 'add', 'maximum', 'matmul', 'add']
        """
        params, states = (
            tuple(map_arrays(lambda array: np.asarray(array, precision), tuple(tree)))
            for tree in (self.params, self.states)
        )
        x = traced_input((ROWS, self.preprocessing.features), "float64")
        scaled = cast(Traced, self.preprocessing.scaled(cast(Array, x))).astype(precision)
        context = ForwardContext(training=False)
        outputs = self.network.forward(params, states, cast(Array, scaled), context).outputs
        labels = {
            cast(Traced, value).number: f"layer {number}: {layer_in_words(layer)}"
            for number, (layer, value) in reversed(list(enumerate(zip(self.network.layers, outputs, strict=True), 1)))
        }
        result = cast(Traced, self.loss.probabilities(outputs[-1]))
        names = _names(params)
        return Graph(x, result, labels, names | _names(states), frozenset(names.values()))

    def decision_graph(self, outputs: Traced) -> Graph:
        """From the outputs to the predictions: numbers of classes (n,), labels 0 and 1 (n, K), or values.

        Values are those of the target in its own units: (n,), or (n, K) for several targets.
        """
        known = self.preprocessing
        x = traced_input(outputs.shape, outputs.dtype)
        result = decided(known.task, self.loss, cast(Array, x))
        if known.task == "regression":
            values = known.in_units(cast(Array, x.astype("float64")))
            result = values[:, 0] if known.outputs == 1 else values
        return Graph(x, cast(Traced, result))


def _names(tree: Sequence[Params]) -> dict[int, str]:
    """The names of the arrays of all layers, by their `id`."""
    return {
        id(array): f"layer{number}_{place.replace('.', '_')}"
        for number, own in enumerate(tree, 1)
        for place, array in arrays_of(own)
    }
