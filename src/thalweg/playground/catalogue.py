"""The catalogue of everything that a spec can name, for the controls of the page."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from ..core.files import Json, JsonObject
from ..data import Data, Order, Source
from ..models.linear_units import LinearUnit
from ..models.mlp import MultiLayerPerceptron
from ..parts.clipping import Clipping
from ..parts.layers.activations import Activation
from ..parts.part import Initializer, Layer, Loss, Optimizer, Part, Schedule, options_of
from ..parts.regularization import Regularization
from ..parts.settings import Stopping, Training
from .specs import DEFAULT

FAMILIES: dict[str, type[Part]] = {
    "layers": Layer,
    "losses": Loss,
    "optimizers": Optimizer,
    "schedules": Schedule,
    "initializers": Initializer,
    "sources": Source,
    "clipping": Clipping,
    "orders": Order,
    "units": LinearUnit,
}
SECTIONS: dict[str, type[Part]] = {
    "data": Data,
    "network": MultiLayerPerceptron,
    "training": Training,
    "regularization": Regularization,
    "stopping": Stopping,
}

_PLAIN = {bool: "flag", int: "count", float: "number", str: "text"}
_OPTION = re.compile(r"^ *(\w+): (.*(?:\n(?! *\w+: |\n).+)*)", re.MULTILINE)


@cache
def catalogue() -> JsonObject:
    """All kinds of parts and sections of a spec, with their options, types, bounds and first lines of documentation."""
    return {
        "families": {name: [_kind(kind, cls) for kind, cls in _kinds(family)] for name, family in FAMILIES.items()},
        "sections": {name: _kind(name, cls) for name, cls in SECTIONS.items()},
        "defaults": DEFAULT,
        "activations": [kind for kind, cls in _kinds(Layer) if issubclass(cls, Activation)],
        "features": [kind for kind, cls in _kinds(Layer) if getattr(cls, "is_feature_map", False)],
    }


def _kinds(family: type[Part]) -> Iterator[tuple[str, type[Part]]]:
    """The kinds of a family under their first names, without those that only other code makes."""
    named: dict[type[Part], str] = {}
    for name, cls in family.kinds.items():
        if issubclass(cls, family) and not inspect.isabstract(cls):
            named.setdefault(cls, name)
    return ((name, cls) for cls, name in sorted(named.items(), key=lambda item: item[1]))


def _kind(kind: str, cls: type[Part]) -> JsonObject:
    text = inspect.getdoc(cls) or ""
    words = {name: " ".join(meaning.split()) for name, meaning in _OPTION.findall(text)}
    hints = get_type_hints(cls, include_extras=True)
    options: list[Json] = [
        {
            "name": field.name,
            "default": _plain(field.default),
            "doc": words.get(field.name, ""),
            **_type(hints[field.name]),
        }
        for field in options_of(cls)
    ]
    return {"kind": kind, "doc": " ".join(text.split("\n\n")[0].split()), "options": options}


def _plain(value: object) -> Json:
    """A default as JSON: None for what has none, or none of its own."""
    if isinstance(value, Part):
        return value.describe()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else None


def _type(hint: object) -> JsonObject:
    """The type of an option in words, its choices and its bounds; unions list what else it may be."""
    found: JsonObject = {"type": "text", "choices": None, "least": None, "most": None}
    kinds: list[Json] = []
    for part, metadata in _parts(hint):
        if get_origin(part) is Literal:
            found["choices"] = [*get_args(part)]
            kinds.append("choice")
        elif inspect.isclass(part) and issubclass(part, Part):
            name = next((name for name, family in FAMILIES.items() if issubclass(part, family)), part.__name__.lower())
            kinds.append(name)
        elif get_origin(part) in (tuple, list) or part is tuple:
            kinds.append("list")
        elif inspect.isclass(part) and part in _PLAIN:
            kinds.append(_PLAIN[part])
        found |= _bounds(metadata)
    found["type"] = kinds[0] if kinds else "text"
    return found | {"also": kinds[1:]}


def _parts(hint: object, metadata: Sequence[object] = ()) -> Iterator[tuple[object, Sequence[object]]]:
    """The members of a type: of a union each, without None and without what `Annotated` adds."""
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        yield from _parts(inner, (*metadata, *more))
    elif get_origin(hint) in (Union, UnionType):
        for member in get_args(hint):
            if member is not type(None):
                yield from _parts(member, metadata)
    else:
        yield hint, metadata


def _bounds(metadata: Sequence[object]) -> JsonObject:
    """The least and the most that a number may be."""
    found: JsonObject = {}
    for item in metadata:
        for bound in item.metadata if isinstance(item, FieldInfo) else ():
            for name, key in (("ge", "least"), ("gt", "least"), ("le", "most"), ("lt", "most")):
                value: Any = getattr(bound, name, None)
                if value is not None:
                    found[key] = value
    return found
