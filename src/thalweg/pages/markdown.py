"""A page as Markdown in GitHub's flavor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Real

from ..core.printable import printable
from .blocks import (
    ArrayBlock,
    Block,
    Bullets,
    Chart,
    Check,
    CodeBlock,
    Facts,
    Folded,
    Formula,
    Gallery,
    Heading,
    KeyFigures,
    LinkItem,
    LinkList,
    Settings,
    SideBySide,
    Suggestion,
    Table,
    Text,
    flat,
)
from .numbers import array_summary, evidence, grid, number, shape_text


def render_markdown(title: str, blocks: Sequence[Block], summary: str = "", settings: Settings = ()) -> str:
    """A page as Markdown; charts and pictures are replaced by their captions.

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
    for block in flat(blocks):
        follows = isinstance(block, Check | Suggestion) and type(block) is type(before)
        if isinstance(block, Suggestion) and not follows:
            parts.append("### To try")
        text = _rendered(block)
        if follows and "\n" not in parts[-1].rpartition("\n- ")[2]:
            # Consecutive checks and suggestions are the items of one list.
            parts[-1] += f"\n{text}"
        else:
            parts.append(text)
        before = block
    if settings:
        parts.append("## Parameters\n\n" + _table(Table("", ("parameter", "value"), settings)))
    return printable("\n\n".join(parts)) + "\n"


def _rendered(block: Block) -> str:
    match block:
        case Heading():
            return f"## {_escaped(block.text)}"
        case Text():
            return _paragraph(block.text)
        case Bullets():
            return "\n".join(f"- {_with_code(item)}" for item in block.items)
        case Formula() | CodeBlock():
            return _fenced(block.text.rstrip("\n"))
        case KeyFigures():
            return "\n\n".join(f"**{_escaped(value)}** {_escaped(words)}" for value, words in block.items)
        case Facts():
            return "\n".join(f"- {_escaped(name)}: {_escaped(value)}" for name, value in block.items)
        case ArrayBlock():
            return _array(block)
        case Table():
            return _table(block)
        case Chart():
            return f"*Figure: {_escaped(block.description)}*"
        case Gallery():
            return "\n".join(f"- {_escaped(item.description)}" for item in block.pictures)
        case Check():
            return _check(block)
        case Suggestion():
            command = f"\n\n  ```console\n  {block.command}\n  ```" if block.command else ""
            return f"- {_with_code(block.text)}{command}"
        case LinkList():
            return "\n".join(map(_link, block.items))
        case SideBySide() | Folded():
            return "\n\n".join(map(_rendered, block.blocks))


def _array(block: ArrayBlock) -> str:
    shown = grid(block.values)
    formula = f"`{block.formula}`" if block.formula else ""
    summary = "" if shown.complete else array_summary(block.values)
    words = ", ".join(_with_code(text) for text in (shape_text(block.values), formula, summary, block.remark) if text)
    return f"**{_escaped(block.name)}** {words}".rstrip() + "\n\n" + _fenced("\n".join(shown.lines))


def _check(block: Check) -> str:
    proof = evidence(block)
    mark = "x" if block.holds else " "
    return f"- [{mark}] {_with_code(block.says)}" + (f" ({_escaped(proof)})" if proof else "")


def _link(item: LinkItem) -> str:
    words = [text for text in (item.text, item.remark) if text]
    return f"- [{_escaped(item.title)}]({item.address})" + "".join(f"<br>{_with_code(text)}" for text in words)


def _table(block: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def numeric(k: int) -> bool:
        return bool(block.rows) and all(isinstance(row[k], Real | None) for row in block.rows)

    lines = [line([_escaped(name) for name in block.columns])]
    lines += [line(["---:" if numeric(k) else "---" for k in range(len(block.columns))])]
    rows = [*block.rows, block.total] if block.total else block.rows
    lines += [line([_with_code(number(value, block.digits)) for value in row]) for row in rows]
    caption = f"{_escaped(block.caption)}\n\n" if block.caption else ""
    return caption + "\n".join(lines)


def _paragraph(text: str) -> str:
    line = " ".join(_with_code(text).split())
    # A sign or a number at the beginning would make a list or a heading of it.
    return re.sub(r"^([#+-]|\d+(?=[.)]))", r"\\\1" if not line[:1].isdigit() else r"\1\\", line)


def _with_code(text: str) -> str:
    """Escaped text, except for the parts between backquotes."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(piece.replace("|", "\\|") if k % 2 else _escaped(piece) for k, piece in enumerate(pieces))


def _escaped(text: str) -> str:
    return " ".join(re.sub(r"([\\`*_<>\[\]|~$])", r"\\\1", text).split("\n"))


def _fenced(text: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"
