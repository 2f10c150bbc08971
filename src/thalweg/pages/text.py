"""A worksheet on the terminal, and as plain text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from numbers import Real

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as Columns
from rich.text import Text as Words

from .blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Settings, Suggestion, Table, Text
from .numbers import array_summary, evidence, grid, number, shape_text

_INDENT = 4
_WIDEST = 100


def print_text(
    title: str,
    blocks: Sequence[Block],
    summary: str = "",
    settings: Settings = (),
    *,
    console: Console | None = None,
) -> None:
    """Print a page on a console, by default in color on standard output; lines are at most 100 characters wide."""
    console = console or Console()
    width = min(console.width, _WIDEST)
    console.print(Words(title, style="bold"), Rule(style="dim", characters="═"), sep="\n", width=width)
    if summary:
        console.print(_prose(summary), width=width)
    before: Block | None = None
    for block in blocks:
        # Claims that follow each other are one list, and so are things to try.
        follows = isinstance(block, Check | Suggestion) and type(block) is type(before)
        if not follows:
            console.print()
        if isinstance(block, Suggestion) and not follows:
            console.print(Words("To try", style="bold"))
        for line in _rendered(block, width):
            console.print(line, width=width)
        before = block
    if settings:
        told = ", ".join(f"{name} = {value}" for name, value in settings)
        console.print()
        console.print(_prose(f"Parameters: {told}", style="dim"), width=width)


def render_text(
    title: str, blocks: Sequence[Block], summary: str = "", settings: Settings = (), *, width: int = _WIDEST
) -> str:
    """A page as plain text with lines of at most `width` characters.

    >>> print(render_text("One step", [Formula("z = x W + b")], width=20))
    One step
    ════════════════════
    <BLANKLINE>
        z = x W + b
    <BLANKLINE>
    """
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, force_terminal=False)
    print_text(title, blocks, summary, settings, console=console)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _rendered(block: Block, width: int) -> list[RenderableType]:
    match block:
        case Heading():
            return [Words(block.text, style="bold"), Words("─" * min(len(block.text), width), style="dim")]
        case Text():
            return [_prose(block.text)]
        case Formula():
            return [_indented(Words(block.text, style="cyan"))]
        case ArrayBlock():
            return _numbers(block, width)
        case Table():
            return [_prose(block.caption, style="dim"), _columns(block)]
        case Chart():
            return [_prose(f"Figure: {block.caption} (drawn on the HTML page: --out page.html)", style="italic")]
        case Check():
            return [_claim(block)]
        case Suggestion():
            told: list[RenderableType] = [_prose(f"→ {block.text}")]
            return [*told, _indented(Words(block.command, style="green"))] if block.command else told


def _numbers(block: ArrayBlock, width: int) -> list[RenderableType]:
    found = grid(block.values, width - _INDENT)
    head = Words(block.name, style="bold")
    told = [
        shape_text(block.values),
        block.formula,
        "" if found.complete else array_summary(block.values),
        block.remark,
    ]
    if not np.ndim(block.values):
        head.append(f" = {found.lines[0]}", style="not bold")
    for text, style in zip(told, ("dim", "cyan", "dim", ""), strict=True):
        if text:
            head.append("  ").append(text, style=f"not bold {style}")
    return [head, _indented(Words("\n".join(found.lines), no_wrap=True))] if np.ndim(block.values) else [head]


def _columns(block: Table) -> Columns:
    table = Columns(box=SIMPLE_HEAD, show_edge=False)
    for k, name in enumerate(block.columns):
        right = bool(block.rows) and all(isinstance(row[k], Real) for row in block.rows)
        table.add_column(Words(name), justify="right" if right else "left", overflow="fold")
    for row in block.rows:
        table.add_row(*(Words(number(value)) for value in row))
    return table


def _claim(block: Check) -> Columns:
    mark, style = ("✓ ", "green") if block.holds else ("✗ ", "bold red")
    found = evidence(block)
    row = Columns.grid()
    row.add_row(Words(mark, style=style), Words.assemble(_prose(block.says), (f"  ({found})" if found else "", "dim")))
    return row


def _prose(text: str, style: str = "") -> Words:
    words = Words(" ".join(text.split()), style=style)
    words.highlight_regex(r"`[^`]+`", "cyan")
    return words


def _indented(words: Words) -> Padding:
    return Padding(words, (0, 0, 0, _INDENT))
