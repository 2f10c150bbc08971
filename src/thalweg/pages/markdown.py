"""A worksheet as Markdown in GitHub's flavour."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Settings, Suggestion, Table, Text
from .numbers import array_summary, evidence, grid, number, shape_text


def render_markdown(title: str, blocks: Sequence[Block], summary: str = "", settings: Settings = ()) -> str:
    """The worksheet as Markdown; of charts the captions.

    >>> print(render_markdown("One step", [Formula("z = x W + b")]))
    # One step
    <BLANKLINE>
    ```text
    z = x W + b
    ```
    <BLANKLINE>
    """
    parts = [f"# {_escaped(title)}"]
    if summary:
        parts.append(_paragraph(summary))
    before: Block | None = None
    for block in blocks:
        if isinstance(block, Suggestion) and not isinstance(before, Suggestion):
            parts.append("### To try")
        parts.append(_rendered(block))
        before = block
    if settings:
        parts.append("## Parameters\n\n" + _table("", ("parameter", "value"), settings))
    # Claims that follow each other, and commands, are the items of one list.
    return re.sub(r"(?m)^(- .*)\n\n(?=- )", r"\1\n", "\n\n".join(parts)) + "\n"


def _rendered(block: Block) -> str:
    match block:
        case Heading():
            return f"## {_escaped(block.text)}"
        case Text():
            return _paragraph(block.text)
        case Formula():
            return _fenced(block.text)
        case ArrayBlock():
            return _numbers(block)
        case Table():
            return _table(block.caption, block.columns, block.rows)
        case Chart():
            return f"*Figure: {_escaped(block.caption)}*"
        case Check():
            return f"- [{'x' if block.holds else ' '}] {_with_code(block.says)}{_measured(block)}"
        case Suggestion():
            command = f"\n\n  ```console\n  {block.command}\n  ```" if block.command else ""
            return f"- {_with_code(block.text)}{command}"


def _numbers(block: ArrayBlock) -> str:
    found = grid(block.values)
    formula = f"`{block.formula}`" if block.formula else ""
    told = [shape_text(block.values), formula, "" if found.complete else array_summary(block.values), block.remark]
    words = ", ".join(_with_code(text) for text in told if text)
    return f"**{_escaped(block.name)}** {words}".rstrip() + "\n\n" + _fenced("\n".join(found.lines))


def _measured(claim: Check) -> str:
    words = evidence(claim)
    return f" ({_escaped(words)})" if words else ""


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    numeric = [bool(rows) and all(isinstance(row[k], int | float) for row in rows) for k in range(len(columns))]
    lines = [line([_escaped(name) for name in columns]), line(["---:" if right else "---" for right in numeric])]
    lines += [line([_with_code(number(value)) for value in row]) for row in rows]
    title = f"{_escaped(caption)}\n\n" if caption else ""
    return title + "\n".join(lines)


def _paragraph(text: str) -> str:
    told = " ".join(_with_code(text).split())
    # At its beginning a sign or a number would make a list or a heading of it.
    return re.sub(r"^([#+-]|\d+(?=[.)]))", r"\\\1" if not told[:1].isdigit() else r"\1\\", told)


def _with_code(text: str) -> str:
    """Escaped, but for what stands between backquotes."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(piece.replace("|", "\\|") if k % 2 else _escaped(piece) for k, piece in enumerate(pieces))


def _escaped(text: str) -> str:
    return " ".join(re.sub(r"([\\`*_<>\[\]|~$])", r"\\\1", text).split("\n"))


def _fenced(text: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"
