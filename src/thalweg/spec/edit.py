"""Changes to the nested tables of a spec, as the shell's --set makes them."""

from __future__ import annotations

import itertools
from typing import Any

from ..core.errors import InputError, Problem
from ..data import Order, Source
from ..models.linear_unit import LinearUnit
from ..models.network import Network
from ..parts.clipping import Clipping
from ..parts.optimizers import Adam
from ..parts.part import Initializer, Layer, Loss, Optimizer, Part
from ..parts.settings import Probes
from .values import shell_value

# The places of a spec where a part may stand by its name and options.
_NAMED: dict[str, type[Part]] = {
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


def assign(table: dict[str, Any], assignment: str) -> None:
    """Change a value of a spec's tables, as the shell writes it: `optimizer.learning_rate=0.01`, `network=perceptron`.

    The value is read as TOML, and as a plain word where it is none. Raises InputError for a place that there is not.

    >>> table = {"optimizer": "adam"}
    >>> assign(table, "optimizer.learning_rate=0.01")
    >>> table
    {'optimizer': {'kind': 'adam', 'learning_rate': 0.01}}
    """
    path, equals, text = assignment.partition("=")
    if not equals:
        raise InputError("--set", f"expected section.key=value, received {assignment!r}")
    set_value(table, path, shell_value(text))


def set_value(table: dict[str, Any], path: str, value: Any) -> None:
    """Change the value at a path of a spec's tables; lists count from 0: `network.layers.0`. Raises InputError."""
    *sections, key = [name.strip() for name in path.split(".")]
    if not key or not all(sections):
        raise InputError("--set", f"expected section.key, received {path!r}")
    if sections[:1] == ["optimizer"]:
        table.setdefault("optimizer", Adam.kind)
    place: Any = table
    for name, following in itertools.pairwise([*sections, key]):
        place = _entered(place, name, following, path)
    if isinstance(place, list):
        place[_index(place, key, path)] = value
    else:
        place[key] = value


def _entered(place: Any, name: str, following: str, path: str) -> Any:
    key: Any = _index(place, name, path) if isinstance(place, list) else name
    inner = place[key] if isinstance(place, list) else place.setdefault(key, {})
    if isinstance(inner, str) and name == "data":
        inner = place[key] = {"source": inner}
    elif isinstance(inner, list) and name == "network":
        inner = place[key] = Network.as_table(inner)
    elif isinstance(inner, str):
        # A list of parts is one of layers.
        family = Layer if isinstance(place, list) else _NAMED.get(name)
        inner = place[key] = family.as_table(inner) if family else {"kind": inner}
    if not isinstance(inner, dict | list):
        raise InputError("--set", [Problem(path, f"{name} is the value {inner!r}, and has no {following}")])
    return inner


def _index(items: list[Any], name: str, path: str) -> int:
    if not name.isdigit() or int(name) >= len(items):
        found = f"expected a position from 0 to {len(items) - 1}, received {name!r}"
        raise InputError("--set", [Problem(path, found)])
    return int(name)
