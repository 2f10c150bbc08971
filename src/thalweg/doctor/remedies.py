"""The changes that the doctor may advise, as changes of a spec."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ..models.network import default_initializer
from ..parts.layers import Activation, Dense, Dropout, Softmax
from ..parts.part import Layer
from .case import Case
from .findings import Remedy
from .material import is_activation

_REGRESSION_LOSSES = ("mean_squared_error", "half_mean_squared_error", "mean_absolute_error", "huber", "squared_error")


def _layers(case: Case, change: Callable[[int, Layer], Layer]) -> tuple[tuple[str, Any], ...]:
    """The layers that a change makes others of, each at its own place, so that remedies of other layers go with it."""
    changed = ((index, layer, change(index, layer)) for index, layer in enumerate(case.network.layers))
    return tuple((f"network.layers.{index}", made.describe()) for index, layer, made in changed if made != layer)


def _begun(layer: Layer, following: Sequence[Layer]) -> Layer:
    """A dense layer with the start that suits what follows."""
    if not isinstance(layer, Dense):
        return layer
    return dataclasses.replace(layer, init=default_initializer(following), bias_init=None)


def suited_output(case: Case) -> tuple[str, str]:
    """The last activation and the loss that belong to the task."""
    if case.task == "regression":
        kind = case.spec.loss.kind
        return "linear", kind if kind in _REGRESSION_LOSSES else "mean_squared_error"
    if case.task == "classification" and case.width > 1:
        return "softmax", "cross_entropy"
    return "sigmoid", "binary_cross_entropy"


def output(case: Case) -> Remedy:
    """The last activation, and the loss, that suit the task."""
    kind, loss = suited_output(case)
    last = len(case.network.layers) - 1
    changes = _layers(case, lambda index, layer: Layer.of(kind) if index == last else layer)
    if not isinstance(case.network.layers[-1], Activation | Softmax):
        network = case.network.describe()
        changes = (("network", {**network, "layers": [*network["layers"], kind]}),)
    if loss != case.spec.loss.kind:
        changes += (("loss", loss),)
    return Remedy(f"{kind} as the output, with {loss.replace('_', ' ')}", changes)


def hidden(case: Case, kind: str) -> Remedy:
    """Another hidden activation, with the start of weights that suits it."""
    new = Layer.of(kind)
    layers = [new if index in case.hidden else layer for index, layer in enumerate(case.network.layers)]

    def change(index: int, layer: Layer) -> Layer:
        return new if index in case.hidden else _begun(layer, layers[index + 1 :])

    return Remedy(f"{kind.replace('_', ' ')} units, with a start that suits them", _layers(case, change))


def init(case: Case) -> Remedy:
    """The start of weights that suits the activations."""
    layers = case.network.layers
    changes = _layers(case, lambda index, layer: _begun(layer, layers[index + 1 :]))
    return Remedy("weights that start to suit the activations", changes)


def normalized(case: Case) -> Remedy:
    """Batch normalisation before every hidden activation."""
    described = case.network.describe()
    layers: list[Any] = []
    for index, told in enumerate(described["layers"]):
        layers += ["batch_norm", told] if index in case.hidden else [told]
    return Remedy("batch normalisation before each hidden activation", (("network", {**described, "layers": layers}),))


def scale(case: Case) -> Remedy:
    """Standardised inputs; of a regression, standardised targets too."""
    what = "inputs and targets" if case.task == "regression" else "inputs"
    return Remedy(f"standardised {what}", (("data.scale", "standard"),))


def rate(case: Case, factor: float) -> Remedy:
    """Another learning rate, constant."""
    now = case.rate
    return Remedy(
        f"a learning rate of {now * factor:.3g}", (("optimizer.learning_rate", float(f"{now * factor:.3g}")),)
    )


def adam(case: Case) -> Remedy:
    """Adam at its usual rate."""
    return Remedy("Adam at 0.001", (("optimizer", {"kind": "adam", "learning_rate": 0.001}),))


def longer(case: Case, factor: int) -> Remedy:
    """More epochs."""
    epochs = case.spec.training.epochs * factor
    return Remedy(f"{epochs:,} epochs", (("training.epochs", epochs),))


def batch(case: Case, size: int) -> Remedy:
    """Another batch size."""
    return Remedy(f"batches of {size}", (("training.batch_size", size),))


def shuffled(case: Case) -> Remedy:
    """Rows in another order in each epoch."""
    return Remedy("rows shuffled in each epoch", (("data.order", "shuffled"),))


def dropout(case: Case, share: float) -> Remedy:
    """Less dropout."""
    changes = _layers(case, lambda index, layer: Dropout(share) if isinstance(layer, Dropout) else layer)
    return Remedy(f"dropout of {share}", changes)


def weaker(case: Case) -> Remedy:
    """No penalty of the weights."""
    changes = tuple((f"regularization.{name}", 0.0) for name in case.spec.regularization.describe() if name != "biases")
    return Remedy("no penalty of the weights", changes)


def hidden_kinds(case: Case) -> set[str]:
    """The hidden activations."""
    return {
        layer.kind for index, layer in enumerate(case.network.layers) if index in case.hidden and is_activation(layer)
    }
