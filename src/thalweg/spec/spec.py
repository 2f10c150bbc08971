"""A spec: everything that decides a run, in one TOML file or one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from ..core.errors import InputError, Problem
from ..data import Data
from ..models.linear_unit import LinearUnit
from ..models.mlp import MultiLayerPerceptron
from ..models.network import Network
from ..parts.part import Loss, Optimizer, Part, options_of
from ..parts.regularization import Regularization
from ..parts.settings import Checkpoints, Light, Probes, Stopping, Training


def data_name(spec: Spec) -> str:
    """The source of a spec in a word or two: its name, or the name of its file."""
    described = spec.data.describe()["source"]
    return described if isinstance(described, str) else Path(described.get("file") or described["kind"]).name


def _architecture(value: Any) -> str:
    kind = value.partition(" ")[0] if isinstance(value, str) else value
    if isinstance(value, Mapping):
        # A table that names widths, an activation, an initializer and no layers can be nothing else.
        mlp = bool(value) and value.keys() <= {field.name for field in options_of(MultiLayerPerceptron)}
        kind = value.get("kind", MultiLayerPerceptron.kind if mlp else None)
    if isinstance(kind, MultiLayerPerceptron) or kind == MultiLayerPerceptron.kind:
        return "mlp"
    return "unit" if isinstance(kind, LinearUnit | str) else "layers"


Architecture = Annotated[
    Annotated[Network, Tag("layers")]
    | Annotated[MultiLayerPerceptron, Tag("mlp")]
    | Annotated[LinearUnit, Tag("unit")],
    Discriminator(_architecture),
]
"""A network by its layers; or by its kind a multi-layer perceptron, or a linear unit."""


@dataclass(frozen=True)
class Spec(Part):
    """The sections of a spec file: data, network, loss, regularization, optimizer, training, stopping, checkpoints,
    probes.

    A missing network, loss, optimizer (Adam) or batch size is chosen to suit the data (`completed`). A linear unit has
    a rule of its own: InputError where it is given a loss, an optimizer or a batch size.

    >>> spec = Spec.of({"data": {"source": "rings"}, "network": {"layers": ["dense 2", "softmax"]}})
    >>> spec.training.epochs, spec.network.layers[0].width
    (20, 2)
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
            given = {"loss": self.loss, "optimizer": self.optimizer, "training.batch_size": self.training.batch_size}
            fix = f"the {unit.kind} has a rule of its own; leave it out, and set the options of network"
            problems = [
                Problem(name, f"{fix} ({_options(unit)})") for name, value in given.items() if value is not None
            ]
            if problems:
                raise InputError("network", problems)
            if unit.scale and not self.data.scale:
                object.__setattr__(self, "data", dataclasses.replace(self.data, scale=unit.scale))

    def describe(self) -> dict[str, Any]:
        sections = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: part.describe() for name, part in sections.items() if part is not None}


def _options(part: Part) -> str:
    return ", ".join(field.name for field in options_of(type(part)))


@dataclass(frozen=True)
class CompleteSpec(Spec):
    """A spec with nothing left open.

    >>> from thalweg.spec.complete import completed
    >>> spec = completed(Spec.of({"data": {"source": "xor"}}), Data("xor").load(seed=0).train)
    >>> spec.loss.kind, spec.optimizer.kind, spec.training.batch_size
    ('cross_entropy', 'adam', 32)
    """

    data: Data
    network: Network
    loss: Loss
    optimizer: Optimizer
