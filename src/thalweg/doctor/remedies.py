"""The changes that the doctor may advise, as changes of a spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..layers import Activation, Dense, Dropout, Softmax
from ..parts import Layer
from .case import Case, is_activation
from .findings import Remedy

_REGRESSION_LOSSES = ("mean_squared_error", "half_mean_squared_error", "mean_absolute_error", "huber", "squared_error")


def _network(case: Case, change: Callable[[int, Layer], Any]) -> tuple[str, Any]:
    """The network with some layers changed: None leaves one out, a dictionary or a word stands in its place."""
    described = case.network.describe()
    layers = [change(index, layer) for index, layer in enumerate(case.network.layers)]
    kept = [
        told if made is layer else made
        for told, made, layer in zip(described["layers"], layers, case.network.layers, strict=True)
        if made is not None
    ]
    return "network", {**described, "layers": kept}


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
    replaced = isinstance(case.network.layers[-1], Activation | Softmax)
    path, network = _network(case, lambda index, layer: kind if replaced and index == last else layer)
    if not replaced:
        network["layers"].append(kind)
    changes: tuple[tuple[str, Any], ...] = ((path, network),)
    if loss != case.spec.loss.kind:
        changes += (("loss", loss),)
    return Remedy(f"{kind} as the output, with {loss.replace('_', ' ')}", changes)


def hidden(case: Case, kind: str) -> Remedy:
    """Another hidden activation, with the start of weights that suits it."""
    places = set(case.hidden)
    _, network = _network(case, lambda index, layer: kind if index in places else _plain(layer))
    return Remedy(f"{kind.replace('_', ' ')} units, with weights that start to suit them", (_bare(network),))


def init(case: Case) -> Remedy:
    """The start of weights that suits the activations."""
    _, network = _network(case, lambda index, layer: _plain(layer))
    return Remedy("weights that start to suit the activations", (_bare(network),))


def normalized(case: Case) -> Remedy:
    """Batch normalisation behind every hidden dense layer, and weights that start to suit the activations."""
    places = set(case.hidden)
    _, network = _network(case, lambda index, layer: _plain(layer))
    layers: list[Any] = []
    for index, told in enumerate(network["layers"]):
        layers += ["batch_norm", told] if index in places else [told]
    return Remedy("batch normalisation before each hidden activation", (_bare({**network, "layers": layers}),))


def _plain(layer: Layer) -> Any:
    """A dense layer without an initializer of its own."""
    if not isinstance(layer, Dense) or (layer.init is None and layer.bias_init is None):
        return layer
    return {"kind": "dense", "width": layer.width}


def _bare(network: dict[str, Any]) -> tuple[str, Any]:
    return "network", {key: value for key, value in network.items() if key not in ("init", "bias_init")}


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
    path, network = _network(case, lambda index, layer: f"dropout {share}" if isinstance(layer, Dropout) else layer)
    return Remedy(f"dropout of {share}", ((path, network),))


def weaker(case: Case) -> Remedy:
    """No penalty of the weights."""
    changes = tuple((f"regularization.{name}", 0.0) for name in case.spec.regularization.describe() if name != "biases")
    return Remedy("no penalty of the weights", changes)


def hidden_kinds(case: Case) -> set[str]:
    """The hidden activations."""
    return {
        layer.kind for index, layer in enumerate(case.network.layers) if index in case.hidden and is_activation(layer)
    }
