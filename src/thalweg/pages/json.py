"""A worksheet for programs: JSON with every number at full precision."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from html import unescape
from numbers import Integral, Real
from typing import Any

import numpy as np

from .blocks import ArrayBlock, Block, Chart, Check, Settings
from .numbers import statistics

_MOST_NUMBERS = 1000
_CORNER = 6


def render_json(title: str, blocks: Sequence[Block], summary: str = "", settings: Settings = ()) -> str:
    """The worksheet as valid JSON: NaN and the infinities are strings, arrays beyond 1000 numbers show their corner.

    >>> from thalweg.pages.blocks import Text
    >>> json.loads(render_json("One step", [Text("It begins.")]))["blocks"]
    [{'kind': 'text', 'text': 'It begins.'}]
    """
    page = {
        "title": title,
        "summary": summary,
        "settings": dict(settings),
        "blocks": [_table_of(block) for block in blocks],
    }
    return json.dumps(page, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _table_of(block: Block) -> dict[str, Any]:
    kind = {"kind": type(block).__name__.lower()}
    match block:
        case ArrayBlock():
            words = {"name": block.name, "formula": block.formula, "remark": block.remark}
            return kind | words | _array(np.asarray(block.values))
        case Chart():
            return kind | {"title": unescape(block.figure.layout.title.text or ""), "caption": block.caption}
        case Check():
            return kind | _fields(block) | {"holds": block.holds}
        case _:
            return kind | _fields(block)


def _fields(block: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(block, field.name)) for field in dataclasses.fields(block)}


def _array(values: np.ndarray) -> dict[str, Any]:
    shape = {"shape": list(values.shape)}
    if values.size <= _MOST_NUMBERS:
        return shape | {"values": _plain(values)}
    corner = values[tuple(slice(_CORNER) if size > _CORNER else slice(None) for size in values.shape)]
    return shape | {"corner": _plain(corner)} | _plain(statistics(values))


def _plain(value: Any) -> Any:
    """The value in words, numbers, lists and tables that JSON knows."""
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
