"""Changes to the nested tables of a spec, as `--set` makes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, TypeAlias

from ..core.errors import InputError, Problem
from ..data import Order, Source
from ..models.linear_units import LinearUnit
from ..models.network import Network
from ..parts.clipping import Clipping
from ..parts.optimizers import Adam
from ..parts.part import Initializer, Layer, Loss, Optimizer, Part
from ..parts.settings import Probes
from .spec import Spec
from .values import shell_value

SpecTable: TypeAlias = dict[str, Any]
"""The nested tables of a spec: values of TOML, or parts that were passed in Python."""

# The keys of a spec whose value may be a part in its short form, such as "adam 0.01".
_FAMILY_OF_KEY: dict[str, type[Part]] = {
    "network": LinearUnit,
    "init": Initializer,
    "activation": Layer,
    "normalization": Layer,
    "optimizer": Optimizer,
    "loss": Loss,
    "source": Source,
    "clip": Clipping,
    "order": Order,
    "probes": Probes,
}


def changed(spec: Spec, changes: Iterable[tuple[str, object]]) -> Spec:
    """The spec with other values at some places; None stands for the default of a setting.

    Raises InputError as `set_value` does, and for values that make no valid spec.

    >>> spec = Spec.of({"data": "xor", "training": {"clip": "value 0.1"}})
    >>> training = changed(spec, [("training.clip", None), ("training.epochs", 5)]).training
    >>> training.clip, training.epochs
    (None, 5)
    """
    table: SpecTable = {**spec.describe()}
    # Rows in memory have no description that could be read back.
    set_value(table, "data.source", spec.data.source)
    for path, value in changes:
        set_value(table, path, value)
    return Spec.of(table)


def merged(changes: Iterable[tuple[str, object]]) -> tuple[tuple[str, Any], ...]:
    """Changes without those that a later one replaces, at the same place or around it.

    >>> merged([("optimizer.momentum", 0.5), ("training.epochs", 5), ("training.epochs", 9), ("optimizer", "adam")])
    (('training.epochs', 9), ('optimizer', 'adam'))
    """
    kept: dict[str, object] = {}
    for path, value in changes:
        kept = {other: earlier for other, earlier in kept.items() if not f"{other}.".startswith(f"{path}.")}
        kept[path] = value
    return tuple(kept.items())


def overlap(path: str, other: str) -> bool:
    """Whether two paths are the same, or one lies inside of the other.

    >>> overlap("optimizer", "optimizer.momentum"), overlap("optimizer", "optimizers")
    (True, False)
    """
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")


def assign(table: SpecTable, assignment: str) -> None:
    """Change a value as the shell writes it: `optimizer.learning_rate=0.01`, `network=perceptron`.

    The value is read as TOML, or taken as a plain word if it is not TOML; nothing after the "=" stands for the default
    of the setting. Raises InputError as `set_value` does, and for a text without "=".

    >>> table = {"optimizer": "adam"}
    >>> assign(table, "optimizer.learning_rate=0.01")
    >>> table
    {'optimizer': {'kind': 'adam', 'learning_rate': 0.01}}
    """
    path, equals, text = assignment.partition("=")
    if not equals:
        raise InputError("--set", f"expected section.key=value, received {assignment!r}")
    set_value(table, path, shell_value(text) if text.strip() else None)


def set_value(table: SpecTable, path: str, value: object) -> None:
    """Change the value at a path of the tables; positions in lists count from 0: `network.layers.0`.

    None removes the value, so that the setting has its default.
    Tables on the path that are missing are added, and parts in their short form become tables. Raises InputError if the
    path leads through a plain value, or to a position that the list does not have.
    """
    *sections, key = [name.strip() for name in path.split(".")]
    if not key or not all(sections):
        raise InputError("--set", f"expected section.key, received {path!r}")
    if sections[:1] == ["optimizer"]:
        table.setdefault("optimizer", Adam.kind)
    container: SpecTable | list[Any] = table
    for name, next_name in itertools.pairwise([*sections, key]):
        container = _inner(container, name, next_name, path)
    if isinstance(container, list):
        container[_index(container, key, path)] = value
    elif value is None:
        container.pop(key, None)
    else:
        container[key] = value


def _inner(container: SpecTable | list[Any], name: str, next_name: str, path: str) -> SpecTable | list[Any]:
    """The table or list at `name`; a part in its short form is replaced by its table."""
    if isinstance(container, list):
        index = _index(container, name, path)
        container[index] = _expanded(container[index], Layer, name)
        inner = container[index]
    else:
        container[name] = _expanded(container.setdefault(name, {}), _FAMILY_OF_KEY.get(name), name)
        inner = container[name]
    if not isinstance(inner, dict | list):
        raise InputError("--set", [Problem(path, f"{name} is the value {inner!r}, which has no {next_name}")])
    return inner


def _expanded(value: object, family: type[Part] | None, name: str) -> object:
    """A part in its short form as its table; any other value unchanged."""
    if isinstance(value, list) and name == "network":
        return Network.as_table(value)
    if not isinstance(value, str):
        return value
    if name == "data":
        return {"source": value}
    return family.as_table(value) if family else {"kind": value}


def _index(items: list[Any], name: str, path: str) -> int:
    if not name.isdigit() or int(name) >= len(items):
        message = f"expected a position from 0 to {len(items) - 1}, received {name!r}"
        raise InputError("--set", [Problem(path, message)])
    return int(name)
