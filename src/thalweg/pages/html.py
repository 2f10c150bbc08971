"""A worksheet as one HTML page that needs no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

import numpy as np

from . import markup as pages
from .blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Settings, Suggestion, Table, Text
from .numbers import array_summary, evidence, grid, number, shape_text

_FEW_PARTS = 6

# What blocks of one kind that follow each other stand in.
_TOGETHER: dict[type[Block], tuple[str, str]] = {
    ArrayBlock: ('<div class="worked">\n', "</div>\n"),
    Check: ('<ul class="claims">\n', "</ul>\n"),
    Suggestion: ('<h3>To try</h3>\n<ul class="tries">\n', "</ul>\n"),
}


class Link(NamedTuple):
    """A link to another page of a site: its words, its address, and what it is to this page (`prev`, `next`, `up`)."""

    words: str
    address: str
    relation: str


class _Part(NamedTuple):
    heading: str
    blocks: list[tuple[int, Block]]


def render_html(
    title: str, blocks: Sequence[Block], summary: str = "", settings: Settings = (), *, links: Sequence[Link] = ()
) -> str:
    """A page as an HTML document; with `links` it is part of a site, whose pages share the script that draws charts.

    >>> "<h1>One step</h1>" in render_html("One step", [Text("It begins.")])
    True
    """
    navigation = _navigation(links)
    parts = _parts(blocks)
    sections = _contents(parts) + "".join(_section(k, part) for k, part in enumerate(parts))
    if settings:
        sections += pages.section("Parameters", pages.facts(settings))
    top = pages.header(title, summary)
    return pages.document(title, navigation + top, sections + navigation, shared=bool(links))


def render_fragment(title: str, blocks: Sequence[Block], summary: str = "", settings: Settings = ()) -> str:
    """A page as HTML without a document, a style or charts, for notebooks and other pages.

    >>> render_fragment("One step", [Text("It begins.")], "In short.")
    '<p><strong>One step</strong> In short.</p>\\n<p>It begins.</p>\\n'
    """
    head = f"<p><strong>{escape(title)}</strong> {escape(summary)}</p>\n"
    content = "".join(_rendered(block, place) for place, block in enumerate(blocks) if not isinstance(block, Chart))
    return head + content + (pages.facts(settings) if settings else "")


def as_section(heading: str, blocks: Sequence[Block]) -> str:
    """Blocks without a heading among them as a section of a page of another kind.

    >>> "<h2>Health</h2>" in as_section("Health", [Text("It learns.")])
    True
    """
    return _section(0, _Part(heading, list(enumerate(blocks))))


def _navigation(links: Sequence[Link]) -> str:
    items = "".join(f'<a href="{escape(a)}" rel="{escape(rel)}">{escape(words)}</a>\n' for words, a, rel in links)
    return f'<nav class="way" aria-label="Pages">\n{items}</nav>\n' if links else ""


def _parts(blocks: Sequence[Block]) -> list[_Part]:
    """The blocks under their headings, each with its place on the page; those before the first heading have none."""
    parts = [_Part("", [])]
    for place, block in enumerate(blocks):
        if isinstance(block, Heading):
            parts.append(_Part(block.text, []))
        else:
            parts[-1].blocks.append((place, block))
    return parts if parts[0].blocks else parts[1:]


def _contents(parts: Sequence[_Part]) -> str:
    named = [(k, part.heading) for k, part in enumerate(parts) if part.heading]
    if len(named) <= _FEW_PARTS:
        return ""
    items = "".join(f'<li><a href="#part-{k}">{_with_code(heading)}</a></li>\n' for k, heading in named)
    return f'<nav class="contents" aria-label="Contents">\n<ol>\n{items}</ol>\n</nav>\n'


def _section(k: int, part: _Part) -> str:
    content = ""
    for kind, group in groupby(part.blocks, key=lambda item: type(item[1])):
        first, last = _TOGETHER.get(kind, ("", ""))
        content += first + "".join(_rendered(block, place) for place, block in group) + last
    if not part.heading:
        return f'<div class="prose lead">\n{content}</div>\n'
    return f'<section class="prose" id="part-{k}">\n<h2>{_with_code(part.heading)}</h2>\n{content}</section>\n'


def _rendered(block: Block, place: int) -> str:
    match block:
        case Heading() | Text():
            return f"<p>{_with_code(block.text)}</p>\n"
        case Formula():
            return f'<pre class="formula" tabindex="0">{escape(block.text)}</pre>\n'
        case ArrayBlock():
            return _numbers(block)
        case Table():
            return pages.table(block.caption, block.columns, block.rows, told=number)
        case Chart():
            return pages.chart(f"chart-{place}", block.figure, block.caption)
        case Check():
            return _claim(block)
        case Suggestion():
            command = pages.copyable(block.command) if block.command else ""
            return f"<li>{_with_code(block.text)}{command}</li>\n"


def _numbers(block: ArrayBlock) -> str:
    found = grid(block.values)
    told = [("small", shape_text(block.values)), ("code", block.formula)]
    told.append(("small", "" if found.complete else array_summary(block.values)))
    words = " ".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in told if text)
    remark = f"<figcaption>{_with_code(block.remark)}</figcaption>" if block.remark else ""
    rows, kind = escape("\n".join(found.lines)), "array" if np.ndim(block.values) else "scalar"
    return (
        f'<figure class="numbers" aria-label="{escape(block.name)}"><div><strong>{escape(block.name)}</strong> {words}'
        f'</div>\n<pre class="{kind}" tabindex="0">{rows}</pre>{remark}</figure>\n'
    )


def _claim(block: Check) -> str:
    kind, mark, said = ("holds", "✓", "holds") if block.holds else ("fails", "✗", "does not hold")
    found = evidence(block)
    small = f" <small>{escape(found)}</small>" if found else ""
    sign = f'<span class="mark" role="img" aria-label="{said}">{mark}</span>'
    return f'<li class="{kind}">{sign}<span>{_with_code(block.says)}{small}</span></li>\n'


def _with_code(text: str) -> str:
    """Escaped; what stands between backquotes is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
