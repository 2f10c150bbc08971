"""A multi-layer perceptron, described by its hidden widths and its activation; the task decides the output layer."""

from __future__ import annotations

from dataclasses import dataclass

from ..data import Task
from ..parts.layers import Dense, Dropout, ReLU, Sigmoid, Softmax
from ..parts.part import Count, Fraction, Initializer, Layer, Part
from .network import Network

_OUTPUTS: dict[Task, tuple[Layer, ...]] = {
    "classification": (Softmax(),),
    "multilabel": (Sigmoid(),),
    "regression": (),
}


@dataclass(frozen=True)
class MultiLayerPerceptron(Part, family="architecture", kind="mlp"):
    """Hidden layers with one activation, and the output layer of the task: `network = "mlp"` in a spec.

    hidden: width of each hidden layer.
    activation: the layer after each hidden layer.
    normalization: "batch_norm" or "layer_norm" before each activation; None: no normalisation.
    dropout: fraction of units dropped after each activation; None: no dropout.
    init: initializer of the weights, as in `Network`.

    A comparison can vary each of them: `network.hidden = [[64], [64, 64]]`, `network.activation = ["relu", "tanh"]`.

    >>> [layer.kind for layer in MultiLayerPerceptron((8,), "tanh").network(3, "classification").layers]
    ['dense', 'tanh', 'dense', 'softmax']
    """

    hidden: tuple[Count, ...] = (64, 32)
    activation: Layer = ReLU()
    normalization: Layer | None = None
    dropout: Fraction | None = None
    init: Initializer | None = None

    @property
    def hidden_layers(self) -> tuple[Layer, ...]:
        """All layers except those of the output."""
        after = [self.normalization, self.activation, None if self.dropout is None else Dropout(self.dropout)]
        layers: list[Layer] = []
        for width in self.hidden:
            layers += [Dense(width), *(layer for layer in after if layer is not None)]
        return tuple(layers)

    def network(self, outputs: int, task: Task) -> Network:
        """The network for a task with `outputs` classes, labels or targets."""
        return Network((*self.hidden_layers, Dense(outputs), *_OUTPUTS[task]), self.init)
