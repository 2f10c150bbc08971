"""Comparison of described parts and specs."""

from __future__ import annotations

import json
from typing import Any


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


def canonical_json(described: Any) -> str:
    """What a part describes as one text, the same for the same content.

    >>> canonical_json({"b": 1, "a": [0.5]})
    '{"a": [0.5], "b": 1}'
    """
    return json.dumps(described, sort_keys=True)
