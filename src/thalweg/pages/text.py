"""A page on the terminal, and as plain text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from numbers import Real

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as Columns
from rich.text import Text as Words

from ..core.console import console as output_console
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

_INDENT = 4
# A space on both sides of a column, and one between columns.
_COLUMN_PADDING = 3
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
    console = console or output_console()
    width = min(console.width, _WIDEST)
    console.print(_words(title, style="bold"), Rule(style="dim", characters="═"), sep="\n", width=width)
    if summary:
        console.print(_prose(summary), width=width)
    before: Block | None = None
    for block in flat(blocks):
        # Consecutive checks are one list, and so are suggestions and charts.
        follows = isinstance(block, Check | Suggestion | Chart) and type(block) is type(before)
        if not follows:
            console.print()
        if isinstance(block, Suggestion) and not follows:
            console.print(Words("To try", style="bold"))
        for line in _rendered(block, width):
            console.print(line, width=width)
        before = block
    if settings:
        parameters = ", ".join(f"{name} = {value}" for name, value in settings)
        console.print()
        console.print(_prose(f"Parameters: {parameters}", style="dim"), width=width)


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
            return [_words(block.text, style="bold"), Words("─" * min(len(block.text), width), style="dim")]
        case Text():
            return [_prose(block.text)]
        case Bullets():
            return [_marked("•", _prose(item)) for item in block.items]
        case Formula() | CodeBlock():
            return [_indented(_words(block.text.rstrip("\n"), style="cyan"))]
        case KeyFigures():
            return [Words.assemble((printable(value), "bold"), " ", printable(words)) for value, words in block.items]
        case Facts():
            return [_facts(block.items)]
        case ArrayBlock():
            return _array(block, width)
        case Table():
            return [_prose(block.caption, style="dim"), _columns(block, width)]
        case Chart():
            return [_prose(f"Figure: {block.description} (drawn on the HTML page: --out page.html)", style="italic")]
        case Gallery():
            return [_marked("•", _prose(item.description)) for item in block.pictures]
        case Check():
            return [_check(block)]
        case Suggestion():
            lines: list[RenderableType] = [_prose(f"→ {block.text}")]
            return [*lines, _indented(_words(block.command, style="green"))] if block.command else lines
        case LinkList():
            return [line for item in block.items for line in _link(item)]
        case SideBySide() | Folded():
            return [line for inner in block.blocks for line in _rendered(inner, width)]


def _facts(items: Settings) -> Columns:
    table = Columns.grid(padding=(0, 3, 0, 0))
    for name, value in items:
        table.add_row(_words(name, style="dim"), _words(value))
    return table


def _array(block: ArrayBlock, width: int) -> list[RenderableType]:
    shown = grid(block.values, width - _INDENT)
    head = _words(block.name, style="bold")
    if not np.ndim(block.values):
        head.append(f" = {shown.lines[0]}", style="not bold")
    summary = "" if shown.complete else array_summary(block.values)
    parts = ((shape_text(block.values), "dim"), (block.formula, "cyan"), (summary, "dim"), (block.remark, ""))
    for text, style in parts:
        if text:
            head.append("  ").append(printable(text), style=f"not bold {style}")
    return [head, _indented(_words("\n".join(shown.lines), no_wrap=True))] if np.ndim(block.values) else [head]


def _columns(block: Table, width: int) -> Columns:
    table = Columns(box=SIMPLE_HEAD, show_edge=False)
    lines = [*block.rows, *([block.total] if block.total else [])]
    rows = [[printable(number(value, block.digits)) for value in row] for row in lines]
    cells = [[printable(name), *(row[k] for row in rows)] for k, name in enumerate(block.columns)]
    for k, (column, room) in enumerate(zip(cells, _widths(cells, width), strict=True)):
        right = bool(block.rows) and all(isinstance(row[k], Real | None) for row in block.rows)
        table.add_column(Words(column[0]), justify="right" if right else "left", overflow="fold", width=room)
    for row in rows[: len(block.rows)]:
        table.add_row(*map(Words, row))
    if block.total:
        table.add_section()
        table.add_row(*map(Words, rows[-1]))
    return table


def _widths(cells: Sequence[Sequence[str]], width: int) -> list[int | None]:
    """The width of each column of a table, so that no word is broken; None throughout where the words lack the room.

    The widest columns give way first.
    """
    widths = [max(map(cell_len, column)) for column in cells]
    words = [max((cell_len(word) for cell in column for word in cell.split()), default=0) for column in cells]
    room = width - _COLUMN_PADDING * len(cells) + 1
    if sum(words) > room:
        return [None] * len(cells)
    while sum(widths) > room:
        widest = max((k for k in range(len(cells)) if widths[k] > words[k]), key=lambda k: widths[k])
        widths[widest] -= 1
    return list(widths)


def _check(block: Check) -> Columns:
    mark, style = ("✓", "green") if block.holds else ("✗", "bold red")
    proof = evidence(block)
    return _marked(mark, Words.assemble(_prose(block.says), (f"  ({printable(proof)})" if proof else "", "dim")), style)


def _link(item: LinkItem) -> list[RenderableType]:
    head = Words.assemble((printable(item.title), "bold"), "  ", (printable(item.address), "dim"))
    return [head, *(_indented(_prose(text)) for text in (item.text, item.remark) if text)]


def _marked(mark: str, words: Words, style: str = "") -> Columns:
    """A line with a mark before it; its further lines are indented."""
    row = Columns.grid()
    row.add_row(Words(f"{mark} ", style=style), words)
    return row


def _words(text: str, style: str = "", no_wrap: bool = False) -> Words:
    return Words(printable(text), style=style, no_wrap=no_wrap)


def _prose(text: str, style: str = "") -> Words:
    words = _words(" ".join(printable(text).split()), style=style)
    words.highlight_regex(r"`[^`]+`", "cyan")
    return words


def _indented(words: Words) -> Padding:
    return Padding(words, (0, 0, 0, _INDENT))
