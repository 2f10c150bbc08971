"""Remedies as changes of a spec.

The random controls of a proof are drawn by the labels, so that another label gives another control.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from ...core.errors import InputError
from ...core.files import Json, JsonObject
from ...data import Task
from ...models.network import Network, default_initializer
from ...pages.numbers import count_noun
from ...parts.layers import Activation, Dense
from ...parts.part import Layer, options_of
from ...parts.schedules import Constant
from ...spec.edit import changed
from ...spec.spec import CompleteSpec, Spec
from ..findings import Remedy

_REGRESSION_LOSSES = ("mean_squared_error", "half_mean_squared_error", "mean_absolute_error", "huber", "squared_error")
_Changes = tuple[tuple[str, Json], ...]


@dataclass(frozen=True)
class SpecRemedies:
    """Makes remedies that change a spec."""

    spec: CompleteSpec
    """The spec."""
    task: Task
    """Its task."""
    outputs: int
    """Number of outputs of the network."""
    hidden: frozenset[int]
    """Indices of the hidden activations."""
    learning_rate: float
    """Largest learning rate of the training; NaN if unknown."""

    @property
    def suited_output(self) -> str:
        """The output activation that suits the task."""
        return self._suited()[0]

    def output(self) -> Remedy:
        """The output activation and the loss that suit the task; no change where a loss on logits has its outputs."""
        kind, loss = self._suited()
        last = len(self._layers) - 1
        new = Layer.of(kind)
        changes: _Changes = ()
        if isinstance(self._layers[-1], Activation) or self._layers[-1].sums_to_one:
            changes = self._changed(lambda index, layer: new if index == last else layer)
        elif self.task != "regression" and self.spec.loss.takes == "logits":
            loss = self.spec.loss.kind
        elif not new.is_identity:
            changes = (("network", self._network([*self._described_layers, kind])),)
        if loss != self.spec.loss.kind:
            changes += (("loss", loss),)
        return Remedy(f"{kind} as the output, with {loss.replace('_', ' ')}", changes)

    def hidden_units(self, kind: str) -> Remedy:
        """Hidden activations of another kind, with initial weights that suit them."""
        new = Layer.of(kind)
        layers = [new if index in self.hidden else layer for index, layer in enumerate(self._layers)]

        def change(index: int, layer: Layer) -> Layer:
            return new if index in self.hidden else _initialized(layer, layers[index + 1 :])

        return Remedy(f"{kind.replace('_', ' ')} units, with a start that suits them", self._changed(change))

    def units_between(self, kind: str) -> Remedy:
        """An activation after each layer with weights that has nothing nonlinear before the next one."""
        new = Layer.of(kind)
        layers: list[Layer] = []
        waiting = False
        for layer in self._layers:
            if waiting and layer.has_weights:
                layers.append(new)
            waiting = layer.has_weights or (waiting and layer.is_linear)
            layers.append(layer)
        suited = [_initialized(layer, layers[index + 1 :]) for index, layer in enumerate(layers)]
        described: list[Json] = [_without_defaults(layer) for layer in suited if not layer.is_identity]
        label = f"{kind.replace('_', ' ')} between the layers, with a start that suits it"
        return Remedy(label, (("network", self._network(described)),))

    def width(self, least: int) -> Remedy:
        """Hidden layers of at least this width."""
        weighted = [index for index, layer in enumerate(self._layers) if layer.has_weights]
        layers = widened(self.spec.network, frozenset(weighted[:-1]), least).layers
        return Remedy(f"hidden layers of at least {least} units", self._changed(lambda index, layer: layers[index]))

    def init(self) -> Remedy:
        """Initial weights that suit the activations."""
        changes = self._changed(lambda index, layer: _initialized(layer, self._layers[index + 1 :]))
        return Remedy("weights that start to suit the activations", changes)

    def batch_norm(self) -> Remedy:
        """Batch normalization before each hidden activation."""
        layers: list[Json] = []
        for index, layer in enumerate(self._described_layers):
            layers += ["batch_norm", layer] if index in self.hidden else [layer]
        label = "batch normalisation before each hidden activation"
        return Remedy(label, (("network", self._network(layers)),))

    def scale(self) -> Remedy:
        """Standardized inputs; in a regression also standardized targets."""
        what = "inputs and targets" if self.task == "regression" else "inputs"
        return Remedy(f"standardised {what}", (("data.scale", "standard"),))

    def rate(self, factor: float) -> Remedy:
        """The learning rate times `factor`, constant; the optimizer's own default in place of 0 or an unknown rate."""
        rate = f"{self.learning_rate * factor if self.learning_rate > 0 else self._default_rate:.3g}"
        return Remedy(f"a learning rate of {rate}", (("optimizer.learning_rate", float(rate)),))

    def default(self, option: str) -> Remedy:
        """An option of the optimizer at its default."""
        value = next(field.default for field in options_of(type(self.spec.optimizer)) if field.name == option)
        return Remedy(f"{option} = {value}, its default", ((f"optimizer.{option}", None),))

    def adam(self) -> Remedy:
        """Adam at learning rate 0.001."""
        return Remedy("Adam at 0.001", (("optimizer", {"kind": "adam", "learning_rate": 0.001}),))

    def longer(self, factor: int) -> Remedy:
        """`factor` times as many epochs."""
        epochs = self.spec.training.epochs * factor
        return Remedy(count_noun(epochs, "epoch"), (("training.epochs", epochs),))

    def batch(self, size: int) -> Remedy:
        """Another batch size."""
        return Remedy(f"batches of {size}", (("training.batch_size", size),))

    def shuffle(self) -> Remedy:
        """Rows shuffled in each epoch."""
        return Remedy("rows shuffled in each epoch", (("data.order", "shuffled"),))

    def balanced_order(self) -> Remedy:
        """All classes equally often in each epoch."""
        return Remedy("all classes equally often", (("data.order", "balanced"),))

    def dropout(self, rate: float) -> Remedy:
        """Dropout with the given rate."""
        changes = self._changed(lambda index, layer: Layer.of(f"{layer.kind} {rate}") if layer.drop_rate else layer)
        return Remedy(f"dropout of {rate}", changes)

    def no_penalty(self) -> Remedy:
        """No penalty on the weights."""
        names = [name for name in self.spec.regularization.describe() if name != "biases"]
        return Remedy("no penalty of the weights", tuple((f"regularization.{name}", None) for name in names))

    def best_epoch(self) -> Remedy:
        """The weights of the epoch with the best validation score."""
        return Remedy("the weights of the best epoch", (("stopping.restore_best", True),))

    def random_split(self) -> Remedy:
        """Validation and test rows drawn at random."""
        return Remedy("rows split at random", (("data.split", "random"),))

    def held_out(self, share: float) -> Remedy:
        """A part of the rows for validation."""
        return Remedy(f"{share:.0%} of the rows held out for validation", (("data.validation", share),))

    def effective(self, remedies: Sequence[Remedy]) -> tuple[Remedy, ...]:
        """Those that make another valid spec, each spec once, and whose learning rate is not 0 throughout."""
        effects: list[JsonObject] = [_effect(self.spec)]
        chosen = []
        for remedy in remedies:
            spec = self._with(remedy)
            if spec is None or _effect(spec) in effects or (spec.optimizer and spec.optimizer.learning_rate == 0):
                continue
            effects.append(_effect(spec))
            chosen.append(remedy)
        return tuple(chosen)

    def _with(self, remedy: Remedy) -> Spec | None:
        """The spec with the changes of a remedy; None where they make no valid spec."""
        try:
            return changed(self.spec, remedy.changes)
        except InputError:
            return None

    @property
    def _default_rate(self) -> float:
        """The default learning rate of the optimizer."""
        options = {option.name: option.default for option in options_of(type(self.spec.optimizer))}
        rate = options["learning_rate"]
        assert isinstance(rate, float)
        return rate

    @property
    def _layers(self) -> tuple[Layer, ...]:
        return self.spec.network.layers

    @property
    def _described_layers(self) -> list[Json]:
        """The layers as a spec describes them."""
        return cast("list[Json]", self.spec.network.describe()["layers"])

    def _network(self, layers: list[Json]) -> Json:
        """The network with other layers."""
        return self.spec.network.describe() | {"layers": layers}

    def _suited(self) -> tuple[str, str]:
        """The output activation and the loss that suit the task."""
        if self.task == "regression":
            kind = self.spec.loss.kind
            return "linear", kind if kind in _REGRESSION_LOSSES else "mean_squared_error"
        if self.task == "classification" and self.outputs > 1:
            return "softmax", "cross_entropy"
        return "sigmoid", "binary_cross_entropy"

    def _changed(self, change: Callable[[int, Layer], Layer]) -> _Changes:
        """A change of layers, each at its own path, so that it can be combined with changes of other layers."""
        changed = ((index, layer, change(index, layer)) for index, layer in enumerate(self._layers))
        return tuple(
            (f"network.layers.{index}", _without_defaults(new)) for index, layer, new in changed if new != layer
        )


def widened(network: Network, hidden: frozenset[int], least: int) -> Network:
    """The network with some of its layers at least so wide.

    >>> [layer.width for layer in widened(Network(["dense 3", "dense 40", "dense 1"]), frozenset([0, 1]), 24).layers]
    [24, 40, 1]
    """

    def change(index: int, layer: Layer) -> Layer:
        if index not in hidden:
            return layer
        dense = cast("Dense", layer)
        return dataclasses.replace(dense, width=max(dense.width, least))

    return dataclasses.replace(network, layers=tuple(change(*entry) for entry in enumerate(network.layers)))


def _effect(spec: Spec) -> JsonObject:
    """The spec as a table in which rates that differ by rounding, or by their form alone, are equal."""
    table = spec.describe()
    if spec.optimizer is None:
        return table
    rate = spec.optimizer.learning_rate
    rate = rate.value if isinstance(rate, Constant) else rate
    optimizer = spec.optimizer.describe()
    if isinstance(rate, int | float):
        optimizer["learning_rate"] = f"{rate:.2g}"
    return table | {"optimizer": optimizer}


def _without_defaults(layer: Layer) -> JsonObject:
    """The table of a layer, without the options that have their default."""
    defaults = {field.name: field.default for field in options_of(type(layer))}
    return {name: value for name, value in layer.describe().items() if name not in defaults or value != defaults[name]}


def _initialized(layer: Layer, following: Sequence[Layer]) -> Layer:
    """A layer with weights whose initializer suits the layers above it."""
    if not layer.has_weights:
        return layer
    return dataclasses.replace(cast("Dense", layer), init=default_initializer(following), bias_init=None)
