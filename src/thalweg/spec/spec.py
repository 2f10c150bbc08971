"""A spec: everything that decides a run, in one TOML file or one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Discriminator, Tag

from ..core.errors import InputError, Problem
from ..core.files import JsonObject
from ..data import Data
from ..models.linear_units import LinearUnit
from ..models.mlp import Architecture as ArchitecturePart
from ..models.mlp import default_architecture
from ..models.network import Network
from ..parts.part import Loss, Optimizer, Part, options_of
from ..parts.regularization import Regularization
from ..parts.settings import Checkpoints, CompleteTraining, Light, Probes, Stopping, Training


def data_name(spec: Spec) -> str:
    """The name of a spec's source, or of its file."""
    source = spec.data.describe()["source"]
    if isinstance(source, str):
        return source
    assert isinstance(source, dict)
    return Path(str(source.get("file") or source["kind"])).name


def _architecture(value: object) -> str:
    kind = value.partition(" ")[0] if isinstance(value, str) else value
    if isinstance(value, Mapping):
        # A table of options of an architecture, without layers, can be nothing else.
        kind = value.get("kind", ArchitecturePart.kind_with(value) if value else None)
    if isinstance(kind, ArchitecturePart) or (isinstance(kind, str) and kind in ArchitecturePart.kinds):
        return "architecture"
    return "unit" if isinstance(kind, LinearUnit | str) else "layers"


Architecture = Annotated[
    Annotated[Network, Tag("layers")]
    | Annotated[ArchitecturePart, Tag("architecture")]
    | Annotated[LinearUnit, Tag("unit")],
    Discriminator(_architecture),
]
"""A network given by its layers, or an architecture or a linear unit given by its kind."""


@dataclass(frozen=True)
class Spec(Part):
    """The sections of a spec file.

    A missing network, loss, optimizer (Adam) or batch size is chosen to suit the data (`completed`), and so is a number
    of epochs that is "auto".

    Attributes:
        data: source, split and scaling of the rows.
        network: layers, a multi-layer perceptron, the network for tables, or a linear unit.
        loss: the loss.
        optimizer: the optimizer with its learning rate.
        training: epochs, batch size, seed, engine and more.
        regularization: penalties, weight decay and limits of the weights.
        stopping: when to stop before the last epoch.
        checkpoints: when to save the state of a training.
        probes: how much is recorded during a training.

    Raises:
        InputError: a linear unit, which has its own training rule, with a loss, an optimizer or a batch size.

    >>> spec = Spec.of({"data": {"source": "rings"}, "network": {"layers": ["dense 2", "softmax"]}})
    >>> spec.training.epochs, spec.network.layers[0].width
    ('auto', 2)
    """

    data: Data
    network: Architecture | None = None
    loss: Loss | None = None
    optimizer: Optimizer | None = None
    training: Training = Training()
    regularization: Regularization = Regularization()
    stopping: Stopping = Stopping()
    checkpoints: Checkpoints = Checkpoints()
    probes: Probes = Light()

    def __post_init__(self) -> None:
        super().__post_init__()
        unit = self.network
        if isinstance(unit, LinearUnit):
            settings = {"loss": self.loss, "optimizer": self.optimizer, "training.batch_size": self.training.batch_size}
            fix = f"remove it, and set the options of network ({_options(unit)})"
            problems = [
                Problem(name, f"the {unit.kind} has its own training rule; {fix}")
                for name, value in settings.items()
                if value is not None
            ]
            if problems:
                raise InputError("network", problems)

    @property
    def prepared_data(self) -> Data:
        """The data, scaled and coded as the network wants them where `data` does not say how."""
        data, network = self.data, self.network or default_architecture(self.data.source)
        if isinstance(network, LinearUnit | ArchitecturePart):
            data = dataclasses.replace(data, scale=data.scale or network.scale)
        if isinstance(network, ArchitecturePart):
            data = dataclasses.replace(data, codes_above=data.codes_above or network.codes_above)
        return data

    def describe(self) -> JsonObject:
        sections = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: part.describe() for name, part in sections.items() if part is not None}


def _options(part: Part) -> str:
    return ", ".join(field.name for field in options_of(type(part)))


@dataclass(frozen=True)
class CompleteSpec(Spec):
    """A spec whose network, loss, optimizer, batch size and number of epochs are all set.

    >>> from thalweg.spec.complete import completed
    >>> spec = completed(Spec.of({"data": {"source": "xor"}}), Data("xor").load(seed=0).train)
    >>> spec.loss.kind, spec.optimizer.kind, spec.training.batch_size, spec.training.epochs
    ('cross_entropy', 'adam', 32, 1000)
    """

    data: Data
    network: Network
    loss: Loss
    optimizer: Optimizer
    training: CompleteTraining
