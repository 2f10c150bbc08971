"""Comparison of specs and parts by their descriptions."""

from __future__ import annotations

import json
from collections.abc import Mapping


def differences(old: Mapping[str, object], new: Mapping[str, object], place: str = "") -> list[str]:
    """Where two descriptions of a spec differ, one line for each value.

    >>> differences({"training": {"epochs": 5}}, {"training": {"epochs": 9}})
    ['training.epochs: 5 -> 9']
    """
    lines = []
    for name in dict.fromkeys((*old, *new)):
        before = old.get(name)
        after = new.get(name)
        path = f"{place}.{name}".lstrip(".")
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, path)
        elif before != after:
            lines.append(f"{path}: {before} -> {after}")
    return lines


def canonical_json(description: object) -> str:
    """A description as JSON with sorted keys: the same text for the same content.

    >>> canonical_json({"b": 1, "a": [0.5]})
    '{"a": [0.5], "b": 1}'
    """
    return json.dumps(description, sort_keys=True)
