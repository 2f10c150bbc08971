"""A page as JSON with every number at full precision."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np

from ..core.files import Json, JsonObject
from ..core.printable import printable_json
from .blocks import ArrayBlock, Block, Chart, Check, Folded, Gallery, LinkList, Settings, SideBySide, Suggestion
from .numbers import statistics

_MOST_NUMBERS = 1000
_CORNER = 6


def render_json(title: str, blocks: Sequence[Block], summary: str = "", settings: Settings = ()) -> str:
    """A page as valid JSON: NaN and infinities are strings, arrays of more than 1000 numbers are cut to their corner.

    >>> from thalweg.pages.blocks import Text
    >>> json.loads(render_json("One step", [Text("It begins.")]))["blocks"]
    [{'kind': 'text', 'text': 'It begins.'}]
    """
    page = {
        "title": title,
        "summary": summary,
        "settings": dict(settings),
        "blocks": [_rendered(block) for block in blocks],
    }
    return printable_json(json.dumps(page, indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def _rendered(block: Block) -> JsonObject:
    kind: JsonObject = {"kind": _kind(block)}
    match block:
        case ArrayBlock():
            words: JsonObject = {"name": block.name, "formula": block.formula, "remark": block.remark}
            return kind | words | _array(np.asarray(block.values))
        case Chart():
            return kind | {"title": block.title, "caption": block.caption}
        case Gallery():
            pictures: list[Json] = [
                {"name": picture.name, "png": base64.b64encode(picture.png).decode(), "caption": list(picture.caption)}
                for picture in block.pictures
            ]
            return kind | {"pictures": pictures}
        case LinkList():
            return kind | {"items": [_plain(item._asdict()) for item in block.items]}
        case SideBySide():
            return kind | {"blocks": [_rendered(inner) for inner in block.blocks]}
        case Folded():
            return kind | {"title": block.title, "blocks": [_rendered(inner) for inner in block.blocks]}
        case Check():
            return kind | _fields(block) | {"holds": block.holds}
        case _:
            return kind | _fields(block)


# Programs read these words, so they outlive the names of the classes.
_KINDS: dict[type[Block], str] = {ArrayBlock: "numbers", Check: "claim", Suggestion: "try"}


def _kind(block: Block) -> str:
    """The word for a block: of most the name of the class, `SideBySide` -> `side-by-side`."""
    name = type(block).__name__.removesuffix("Block")
    return _KINDS.get(type(block)) or re.sub(r"(?<=.)([A-Z])", r"-\1", name).lower()


def _fields(block: Block) -> JsonObject:
    return {field.name: _plain(getattr(block, field.name)) for field in dataclasses.fields(block)}


def _array(values: np.ndarray) -> JsonObject:
    shape: JsonObject = {"shape": list(values.shape)}
    if values.size <= _MOST_NUMBERS:
        return shape | {"values": _plain(values)}
    corner = values[tuple(slice(_CORNER) if size > _CORNER else slice(None) for size in values.shape)]
    known = {name: _plain(value) for name, value in statistics(values).items()}
    return shape | {"corner": _plain(corner)} | known


def _plain(value: object) -> Json:
    """The value as strings, numbers, lists and objects of JSON."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else _not_finite(float(value))
    return value if value is None else str(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
