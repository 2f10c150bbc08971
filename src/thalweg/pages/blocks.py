"""The blocks of a page: text, formulas, arrays, tables, charts, checks, suggestions, and groups of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import plotly.graph_objects as go

Settings = Sequence[tuple[str, str]]
"""Names and values of parameters."""


@dataclass(frozen=True)
class Heading:
    """The title of the section that follows."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph. Words between backquotes are code."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of short texts. Words between backquotes are code."""

    items: Sequence[str]


@dataclass(frozen=True)
class Formula:
    """Formulas as plain text with mathematical signs, one a line."""

    text: str


@dataclass(frozen=True)
class CodeBlock:
    """Text to copy as it is, such as a spec."""

    text: str


@dataclass(frozen=True)
class KeyFigures:
    """The main results of a page, shown large.

    Attributes:
        items: Values and what they measure: `("87.5 %", "accuracy on the test set")`.
    """

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Facts:
    """Names with their values, in columns where there is room."""

    items: Settings


@dataclass(frozen=True, eq=False)
class ArrayBlock:
    """A named array, shown with its shape.

    Attributes:
        name: Symbol or name of the array.
        values: The numbers, of any shape.
        formula: How they were computed.
        remark: What they mean.
    """

    name: str
    values: ArrayLike
    formula: str = ""
    remark: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of words and numbers.

    Attributes:
        caption: What the table shows.
        columns: Names of the columns.
        rows: Cells, one for each column; the first cell names its row.
        total: A last row that sums up the others; empty for none.
        digits: Significant digits of real numbers.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    total: Sequence[object] = ()
    digits: int = 4


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure with a caption that says in words what it shows, also for readers who do not see it."""

    figure: go.Figure
    caption: str = ""

    @property
    def title(self) -> str:
        """The title of the figure as plain text."""
        return unescape(self.figure.layout.title.text or "")

    @property
    def description(self) -> str:
        """Title and caption, in place of the figure."""
        return ". ".join(text for text in (self.title, self.caption) if text)


@dataclass(frozen=True)
class Picture:
    """A PNG file with the lines of its caption."""

    name: str
    png: bytes
    caption: Sequence[str]

    @property
    def description(self) -> str:
        """Name and caption, in place of the picture."""
        return f"{self.name}: {', '.join(self.caption)}"


@dataclass(frozen=True)
class Gallery:
    """Small pictures with captions."""

    pictures: Sequence[Picture]


@dataclass(frozen=True, eq=False)
class Check:
    """A statement with its evidence: a measured value and the expected one, equal to within `tolerance` (absolute).

    Without `expected` the statement holds if `measured` is true.

    >>> Check("one and one are two", 1 + 1, 2).holds
    True
    """

    says: str
    measured: ArrayLike
    expected: ArrayLike = True
    tolerance: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the measured value is the expected one."""
        measured = np.asarray(self.measured)
        expected = np.asarray(self.expected)
        if measured.shape != expected.shape:
            return False
        if measured.dtype.kind in "iuf":
            return bool(np.all(np.abs(measured - expected) <= self.tolerance))
        return bool(np.all(measured == expected))


@dataclass(frozen=True)
class Suggestion:
    """Something to try, with the command that does it."""

    text: str
    command: str = ""


class LinkItem(NamedTuple):
    """A link to a page with a description and a remark in small letters."""

    title: str
    address: str
    text: str = ""
    remark: str = ""


@dataclass(frozen=True)
class LinkList:
    """Links to other pages of a site."""

    items: Sequence[LinkItem]


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Blocks side by side where there is room, else one below the other."""

    blocks: Sequence[Block]


@dataclass(frozen=True, eq=False)
class Folded:
    """Blocks that a browser shows once their title is chosen; elsewhere a section with this title.

    Attributes:
        title: What the blocks are, in a few words.
        blocks: The blocks; their headings are below the title.
    """

    title: str
    blocks: Sequence[Block]


Block = (
    Heading
    | Text
    | Bullets
    | Formula
    | CodeBlock
    | KeyFigures
    | Facts
    | ArrayBlock
    | Table
    | Chart
    | Gallery
    | Check
    | Suggestion
    | LinkList
    | SideBySide
    | Folded
)


def flat(blocks: Sequence[Block]) -> Iterator[Block]:
    """All blocks in order, those that stand side by side one after another, those that are folded below their title.

    >>> [block.text for block in flat([Folded("a", [SideBySide([Text("b"), Text("c")])])])]
    ['a', 'b', 'c']
    """
    for block in blocks:
        if isinstance(block, Folded):
            yield Heading(block.title)
        if isinstance(block, SideBySide | Folded):
            yield from flat(block.blocks)
        else:
            yield block
