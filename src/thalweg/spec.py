"""A spec: everything that decides a run, in one TOML file or one value."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from .blocks import Rows
from .clipping import Clipping
from .data import Data, Order, Source
from .errors import InputError, nearest
from .layers import Sigmoid, Softmax
from .losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError, SigmoidBinaryCrossEntropy, SoftmaxCrossEntropy
from .network import Network
from .optimizers import Adam
from .parts import Loss, Optimizer, Part
from .regularization import Regularization
from .stopping import Stopping
from .training import Checkpoints, Training

# The places of a spec where a part may stand by its name and options.
_NAMED: dict[str, type[Part]] = {
    "optimizer": Optimizer,
    "loss": Loss,
    "source": Source,
    "clip": Clipping,
    "order": Order,
}
_EXAMPLES = resources.files("thalweg") / "examples"


@dataclass(frozen=True)
class Spec(Part):
    """The sections of a spec file: data, network, loss, regularization, optimizer, training, stopping, checkpoints.

    A missing `network` or `loss` is chosen to suit the data (`completed`).

    >>> spec = Spec.of({"data": {"source": "rings"}, "network": {"layers": ["dense 2", "softmax"]}})
    >>> spec.training.epochs, spec.optimizer.learning_rate
    (20, 0.001)
    """

    data: Data
    network: Network | None = None
    loss: Loss | None = None
    optimizer: Optimizer = Adam()
    training: Training = Training()
    regularization: Regularization = Regularization()
    stopping: Stopping = Stopping()
    checkpoints: Checkpoints = Checkpoints()

    def describe(self) -> dict[str, Any]:
        sections = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: part.describe() for name, part in sections.items() if part is not None}


def default_network(data: Rows) -> Network:
    """Two hidden layers of 64 and 32 ReLU units, and the output that the task calls for."""
    output = {"classification": ["softmax"], "multilabel": ["sigmoid"], "regression": []}[data.task]
    return Network.of({"layers": ["dense 64", "relu", "dense 32", "relu", f"dense {data.outputs}", *output]})


def default_loss(network: Network, data: Rows) -> Loss:
    """The loss that belongs to the network's last layer and the task.

    Cross-entropy after Softmax, binary cross-entropy after Sigmoid, either on logits where the last layer is linear and
    the task is one of classes; the mean squared error for numbers.
    """
    last = network.layers[-1] if network.layers else None
    if data.task == "regression":
        return MeanSquaredError()
    if isinstance(last, Softmax):
        return CrossEntropy()
    if isinstance(last, Sigmoid):
        return BinaryCrossEntropy()
    single = network.layers and network.initialize(0, (data.features,)).shapes[-1] == (1,)
    return SigmoidBinaryCrossEntropy() if single or data.task == "multilabel" else SoftmaxCrossEntropy()


def completed(spec: Spec, data: Rows) -> Spec:
    """The spec with nothing left open, for the training rows of its data."""
    network = spec.network or default_network(data)
    return dataclasses.replace(spec, network=network, loss=spec.loss or default_loss(network, data))


def example_names() -> list[str]:
    """The specs that come with the package."""
    return sorted(item.name.removesuffix(".toml") for item in _EXAMPLES.iterdir() if item.name.endswith(".toml"))


def read_table(name: str) -> dict[str, Any]:
    """The tables of a spec: of a TOML file, of a shipped example by its name, or of the bare name of a data source.

    A data file that stands beside the spec is found there, whatever the current folder is.

    Raises InputError for an unknown name, an unreadable file, or text that is no TOML.
    """
    if not name.endswith(".toml"):
        if name in example_names():
            with resources.as_file(_EXAMPLES / f"{name}.toml") as path:
                return read_table(str(path))
        if name in Source.kinds:
            return {"data": {"source": name}}
        known = sorted({*example_names(), *Source.kinds} - {"arrays", "absent", "table", "idx"})
        raise InputError("spec", f"no file and no example is called {name!r}; {nearest(name, known)}")
    try:
        table = tomllib.loads(Path(name).read_bytes().decode())
    except OSError as error:
        raise InputError(name, f"can not be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(name, f"is no TOML: {error}") from error
    data = table.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    beside = Path(name).resolve().parent / source if isinstance(source, str) else None
    if beside and beside.is_file():
        table["data"]["source"] = str(beside)
    return table


def assign(table: dict[str, Any], assignment: str) -> None:
    """Change one value of a spec's tables, as the shell writes it: `optimizer.learning_rate=0.01`.

    The value is read as TOML, and as a plain word where it is none. Raises InputError for a place that there is not.

    >>> table = {"optimizer": "adam"}
    >>> assign(table, "optimizer.learning_rate=0.01")
    >>> table
    {'optimizer': {'kind': 'adam', 'learning_rate': 0.01}}
    """
    path, equals, text = assignment.partition("=")
    if not equals or "." not in path:
        raise InputError("--set", f"expected section.key=value, received {assignment!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    set_value(table, path, value)


def set_value(table: dict[str, Any], path: str, value: Any) -> None:
    """Change the value at a path of a spec's tables; lists count from 0: `network.layers.0`. Raises InputError."""
    *sections, key = [name.strip() for name in path.split(".")]
    if not key or not all(sections):
        raise InputError("--set", f"expected section.key, received {path!r}")
    if sections[:1] == ["optimizer"]:
        table.setdefault("optimizer", Adam.kind)
    place: Any = table
    for name, following in zip(sections, [*sections[1:], key], strict=True):
        place = _entered(place, name, following, path)
    if isinstance(place, list):
        place[_index(place, key, path)] = value
    else:
        place[key] = value


def _entered(place: Any, name: str, following: str, path: str) -> Any:
    key: Any = _index(place, name, path) if isinstance(place, list) else name
    inner = place[key] if isinstance(place, list) else place.setdefault(key, {})
    if isinstance(inner, str):
        inner = place[key] = _NAMED[name].as_table(inner) if name in _NAMED else {"kind": inner}
    if not isinstance(inner, dict | list):
        raise InputError("--set", f"{path}: {name} is the value {inner!r}, and has no {following}")
    return inner


def _index(items: list[Any], name: str, path: str) -> int:
    if not name.isdigit() or int(name) >= len(items):
        raise InputError("--set", f"{path}: expected a position from 0 to {len(items) - 1}, received {name!r}")
    return int(name)


def read_spec(name: str, settings: Iterable[str] = (), changes: Iterable[tuple[str, Any]] = ()) -> Spec:
    """The spec of a file, an example or a data source, with some values set anew. InputError names every problem.

    `changes` are places with their new values, `settings` texts as `assign` takes them.
    """
    table = read_table(name)
    for path, value in changes:
        set_value(table, path, value)
    for assignment in settings:
        assign(table, assignment)
    return spec_of(table, name)


def spec_of(table: dict[str, Any], name: str) -> Spec:
    """The spec that the tables describe; `name` is what an error calls it."""
    try:
        return Spec.of(table)
    except InputError as error:
        raise InputError(name, error.problems) from error


def differences(old: dict[str, Any], new: dict[str, Any], place: str = "") -> list[str]:
    """Where two described specs differ, one line for each value.

    >>> differences({"training": {"epochs": 5}}, {"training": {"epochs": 9}})
    ['training.epochs: 5 -> 9']
    """
    found = []
    for name in dict.fromkeys((*old, *new)):
        before, after, where = old.get(name), new.get(name), f"{place}.{name}".lstrip(".")
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, where)
        elif before != after:
            found.append(f"{where}: {before} -> {after}")
    return found


def to_toml(spec: Spec) -> str:
    """The spec as the text of a file that `read_spec` understands.

    >>> print(to_toml(Spec.of({"data": {"source": "rings"}})).splitlines()[0])
    [data]
    """
    import tomli_w

    return tomli_w.dumps(spec.describe())
