"""Comparison of specs and parts by their descriptions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Change(NamedTuple):
    """A value of a description that has changed.

    Attributes:
        path: its place, as `set_value` takes it: `optimizer.learning_rate`, `network.layers.0`.
        before: the value in the old description; None where it has none.
        after: the value in the new description; None where it has none.
    """

    path: str
    before: object
    after: object


def changes(old: Mapping[str, object], new: Mapping[str, object]) -> list[Change]:
    """The smallest changes that turn one description of a spec into another, each of which can be made alone.

    A part of another kind is one change, since its options are others; so is a list of another length.

    >>> old = {"optimizer": {"kind": "sgd", "learning_rate": 0.1}, "network": {"layers": ["dense 8", "tanh"]}}
    >>> new = {"optimizer": {"kind": "adam", "learning_rate": 0.1}, "network": {"layers": ["dense 8", "relu"]}}
    >>> [change.path for change in changes(old, new)]
    ['optimizer', 'network.layers.1']
    """
    return list(_changes(old, new, ""))


def _changes(old: object, new: object, place: str) -> Iterator[Change]:
    pairs: list[tuple[str, object, object]] | None = None
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old.get("kind") == new.get("kind"):
        pairs = [(name, old.get(name), new.get(name)) for name in dict.fromkeys((*old, *new))]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(str(number), *both) for number, both in enumerate(zip(old, new, strict=True))]
    if pairs is not None:
        for name, before, after in pairs:
            yield from _changes(before, after, f"{place}.{name}".lstrip("."))
    elif old != new:
        yield Change(place, old, new)


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """The `changes` of a description, one line for each.

    >>> differences({"training": {"epochs": 5}}, {"training": {"epochs": 9}})
    ['training.epochs: 5 -> 9']
    """
    return [f"{change.path}: {change.before} -> {change.after}" for change in changes(old, new)]


def canonical_json(description: object) -> str:
    """A description as JSON with sorted keys: the same text for the same content.

    >>> canonical_json({"b": 1, "a": [0.5]})
    '{"a": [0.5], "b": 1}'
    """
    return json.dumps(description, sort_keys=True)
