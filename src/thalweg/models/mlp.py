"""A multi-layer perceptron by its hidden widths and its activation; the output is the one that the task calls for."""

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
    """Hidden layers of some widths with one activation, and the output layer of the task: `network = "mlp"` of a spec.

    hidden: the width of each hidden layer. activation: the layer behind each. normalization: "batch_norm" or
    "layer_norm" before each activation. dropout: the share of units dropped behind each. init: as of a `Network`. What
    a comparison varies is a value of its own here: `network.hidden = [[64], [64, 64]]`, `network.activation =
    ["relu", "tanh"]`.

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
        """All layers but those of the output."""
        behind = [self.normalization, self.activation, None if self.dropout is None else Dropout(self.dropout)]
        layers: list[Layer] = []
        for width in self.hidden:
            layers += [Dense(width), *(layer for layer in behind if layer is not None)]
        return tuple(layers)

    def network(self, outputs: int, task: Task) -> Network:
        """The network for a task with so many classes, labels or targets."""
        return Network((*self.hidden_layers, Dense(outputs), *_OUTPUTS[task]), self.init)
