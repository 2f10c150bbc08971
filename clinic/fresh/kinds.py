"""The form of a kind of fault, its cases, and which answers of the doctor are right."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from scorecard import fits
from thalweg.doctor.findings import Finding
from thalweg.parts.part import Layer
from thalweg.spec.edit import set_value
from thalweg.spec.spec import Spec
from thalweg.spec.toml import spec_of

from .bases import Base, bases

Shows = Literal["training", "end", "held-out", "always"]
"""Where a fault shows: in the score of the training rows, at the end of the training only, in the score of the held-out
rows only, or whatever was learned."""


class Wrong(NamedTuple):
    """The changes of a base that make it faulty, or unusual."""

    changes: dict[str, Any]
    """Paths of the spec with their new values."""
    places: tuple[str, ...] = ()
    """The paths that are wrong then, where they are not those of the changes. The parts of the data have the paths
    `data.inputs`, `data.targets`, `data.validation` and `data.test`."""


def inserted(base: Base, place: int, *layers: Any) -> Wrong:
    """The base with wrong layers before the one at a place."""
    whole = base.layers
    changes = {"network.layers": [*whole[:place], *layers, *whole[place:]]}
    return Wrong(changes, tuple(f"network.layers.{place + i}" for i in range(len(layers))))


class Kind(NamedTuple):
    """A kind of fault, or of a healthy spec that is unusual."""

    name: str
    put: Callable[[Base], Wrong | None]
    """Makes the changes of a base; None if the kind does not fit it."""
    codes: str = ""
    """Codes that are right answers, the main one first, separated by commas; empty if the doctor has no name for it."""
    shows: Shows = "training"


class Case(NamedTuple):
    """A base with the changes of a kind."""

    name: str
    kind: Kind
    base: str
    """Name of the base, which is its healthy twin."""
    spec: Spec
    table: dict[str, Any]
    """The sections of the spec."""
    places: tuple[str, ...]
    """The paths that are wrong."""

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes that are right answers, the main one first."""
        return tuple(self.kind.codes.split(", ")) if self.kind.codes else ()


def changed(table: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the sections of a spec with other values at some paths."""
    result = copy.deepcopy(table)
    for path, value in changes.items():
        set_value(result, path, value)
    return result


def cases_of(
    part: str, kinds: Sequence[Kind], most: int = 4, among: Callable[[], Mapping[str, Base]] = bases
) -> dict[str, Case]:
    """The cases of a part by name: each kind in at most `most` of the bases that it fits; the first of them rotates."""
    cases = {}
    for number, kind in enumerate(kinds):
        fitting = [(base, wrong) for base in among().values() if (wrong := kind.put(base))]
        first = number % len(fitting)
        for base, wrong in (fitting[first:] + fitting[:first])[:most]:
            name = f"{part}{number:02d} {kind.name}: {base.name}"
            table = changed(base.table, wrong.changes)
            places = wrong.places or tuple(wrong.changes)
            cases[name] = Case(name, kind, base.name, spec_of(table, name), table, places)
    return cases


# Right answers. ---------------------------------------------------------------------------------------------------

# Words of a finding's place that speak of a part of the data.
_WORDS = {
    "data.inputs": ("input", "column"),
    "data.targets": ("target", "class", "label"),
    "data.validation": ("validation",),
    "data.test": ("test",),
    "data.order": ("order",),
}


# Findings that only say that something is wrong; their remedies are guesses.
_SYMPTOMS = ("plateau", "blind", "cannot-memorise")
_LAYERS = "network.layers"


def is_right(case: Case, finding: Finding) -> bool:
    """Whether a finding has a right code, names a wrong place, or has a remedy that changes what is there.

    Remedies of symptoms do not count.
    """
    if fits(finding.code, case.codes):
        return True
    if any(names(finding.place, place) for place in case.places):
        return True
    if finding.code in _SYMPTOMS:
        return False
    changes = [change for remedy in finding.remedies for change in remedy.changes]
    return any(touches(path, value, place, case.table) for path, value in changes for place in case.places)


def names(text: str, place: str) -> bool:
    """Whether the place of a finding, in words, is a path of a spec or lies in it.

    A layer also names what it holds, but not all layers.

    >>> names("layer 4 (softmax)", "network.layers.3"), names("layer 4 (softmax)", "network.layers.2.init")
    (True, False)
    >>> names("layer 4 (softmax)", "network.layers.3.init"), names("layer 4 (softmax)", "network.layers")
    (True, False)
    >>> names("training.clip", "training.clip"), names("training", "training.clip")
    (True, False)
    >>> names("inputs", "data.inputs"), names("validation rows", "data.inputs")
    (True, False)
    """
    if place in _WORDS:
        return any(word in text for word in _WORDS[place])
    layer = text.split(" ")[1] if text.startswith("layer ") else ""
    if not layer.isdigit():
        return _holds(place, text)
    path = f"{_LAYERS}.{int(layer) - 1}"
    return place != _LAYERS and (_holds(place, path) or _holds(path, place))


def touches(path: str, value: object, place: str, table: Mapping[str, Any]) -> bool:
    """Whether the change of a path to a value replaces what a spec has at a place.

    New layers replace a wrong one if they do not contain it any more. A change of one layer leaves the list of layers
    as it is.

    >>> layers = ["dense 1", "relu", {"kind": "dense", "width": 2, "init": "zeros"}]
    >>> table = {"network": {"layers": layers}, "optimizer": {"kind": "sgd", "learning_rate": 9.0}}
    >>> touches("network.layers", ["dense 1", "tanh", "dense 2"], "network.layers.1", table)
    True
    >>> touches("network.layers", ["dense 1", "batch_norm", "relu", "dense 2"], "network.layers.1", table)
    False
    >>> touches("network.layers.2", {"kind": "dense", "width": 3, "init": "zeros"}, "network.layers.2.init", table)
    False
    >>> touches("optimizer", "adam 0.01", "optimizer.learning_rate", table)
    True
    """
    if path == _LAYERS and place.startswith(f"{_LAYERS}."):
        layer = table["network"]["layers"][int(place.split(".")[2])]
        assert isinstance(value, Sequence)
        return Layer.of(layer) not in [Layer.of(item) for item in value]
    if _holds(path, place):
        inside = place.removeprefix(path).strip(".")
        return not inside or value_at(value, inside) != value_at(table, place)
    return place != _LAYERS and _holds(place, path)


def value_at(table: object, path: str) -> object:
    """The value at a path of tables and lists; None if there is none."""
    for name in path.split("."):
        if isinstance(table, Mapping):
            table = table.get(name)
        elif isinstance(table, list) and name.isdigit() and int(name) < len(table):
            table = table[int(name)]
        else:
            return None
    return table


def _holds(outer: str, inner: str) -> bool:
    """Whether a path is another one or leads to it."""
    return f"{inner}.".startswith(f"{outer}.")
