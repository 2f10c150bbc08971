"""A page as HTML that needs no network: readable years later, in light and dark, and on paper.

All text from outside is escaped here, and the policy of the page forbids the browser to load anything from elsewhere.
"""

from __future__ import annotations

import re
import zlib
from base64 import b64encode, b85encode
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape as escape_html
from importlib.resources import files
from itertools import groupby
from numbers import Real
from typing import NamedTuple

import numpy as np

from ..core.printable import printable, printable_json
from ..core.private import remembered
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
    Picture,
    Settings,
    SideBySide,
    Suggestion,
    Table,
    Text,
    flat,
)
from .formulas_in_text import with_formulas
from .mathml import formula_html, inline_formula
from .numbers import array_summary, evidence, grid, number, shape_text

LIBRARY = "plotly.min.js"
"""Name of the file that draws the charts of a site, in the folder of its pages."""

# Pages with more sections than this have a table of contents.
_FEW_SECTIONS = 6
# A table with more rows than this stands below a chart, not beside it.
_FEW_ROWS = 12

# Opening and closing tags around consecutive blocks of one kind.
_GROUPS: dict[type[Block], tuple[str, str]] = {
    ArrayBlock: ('<div class="worked">\n', "</div>\n"),
    Check: ('<ul class="claims">\n', "</ul>\n"),
    Suggestion: ('<h3>To try</h3>\n<ul class="tries">\n', "</ul>\n"),
}


class Link(NamedTuple):
    """A link to another page of a site: its text, its address, and its relation to this page (`prev`, `next`, `up`)."""

    text: str
    address: str
    relation: str


class _Section(NamedTuple):
    heading: str
    blocks: list[Block]


def render_html(
    title: str,
    blocks: Sequence[Block],
    summary: str = "",
    settings: Settings = (),
    *,
    links: Sequence[Link] = (),
    library: str = "",
) -> str:
    """A page as an HTML document.

    Args:
        title: its heading.
        blocks: its content.
        summary: a sentence below the title.
        settings: the parameters that it was computed with.
        links: other pages of the site that it belongs to.
        library: the address of the script that draws charts, which pages share; "": the page holds the script.

    >>> "<h1>One step</h1>" in render_html("One step", [Text("It begins.")])
    True
    """
    navigation = _navigation(links)
    sections = _sections(blocks)
    content = _contents(sections)
    for k, section in enumerate(sections):
        content += _section_html(section, k)
    if settings:
        content += f"<section>\n<h2>Parameters</h2>\n{_facts(settings)}</section>\n"
    header = f'<header>\n<h1>{escape(title)}</h1>\n<p class="outcome">{escape(summary)}</p>\n</header>\n'
    charts = any(isinstance(block, Chart) for block in flat(blocks))
    script = f'<script src="{escape(library)}"></script>\n' if library else _packed_library()
    body = f"{navigation}{header}<main>\n{content}{navigation}</main>\n"
    return _document(title, body, script if charts else "", bool(library))


def render_fragment(title: str, blocks: Sequence[Block], summary: str = "", settings: Settings = ()) -> str:
    r"""A page as HTML without a document, a style or charts, for notebooks.

    >>> render_fragment("One step", [Text("It begins.")], "In short.")
    '<p><strong>One step</strong> In short.</p>\n<p>It begins.</p>\n'
    """
    head = f"<p><strong>{escape(title)}</strong> {escape(summary)}</p>\n"
    return head + render_blocks(blocks) + (_facts(settings) if settings else "")


def render_blocks(blocks: Sequence[Block]) -> str:
    r"""Blocks as HTML without charts, to stand inside of another page.

    >>> render_blocks([Text("It begins."), Bullets(["one"])])
    '<p>It begins.</p>\n<ul>\n<li>one</li>\n</ul>\n'
    """
    return _blocks_html([block for block in flat(blocks) if not isinstance(block, Chart)], "part")


def chart_words(chart: Chart) -> str:
    """What stands where a chart cannot be drawn: its title and caption."""
    return f"<p><em>Figure: {escape(chart.description)}</em></p>\n"


def library_text() -> str:
    """The script that draws charts: the content of the file `LIBRARY`."""
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text


@cache
def _asset(name: str) -> str:
    """A file of this folder as text."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _packed_library() -> str:
    """The script that draws charts, for a page that holds it."""
    return _packed_bytes(library_text(), 'id="library"').tobytes().decode() + "\n"


@remembered
def _packed_bytes(text: str, attributes: str) -> np.ndarray:
    """`_packed` as bytes (n,)."""
    return np.frombuffer(_packed(text, attributes).encode(), np.uint8)


def _packed(text: str, attributes: str) -> str:
    """A text, compressed, in an element that page.js unpacks.

    It is written in base 85 with a comma for "<", so that nothing in it is a tag or a comment.
    """
    content = zlib.compress(text.encode(), 9)
    written = b85encode(content, pad=True).decode().replace("<", ",")
    return f'<script type="text/plain" {attributes} data-bytes="{len(content)}">{written}</script>'


def _document(title: str, body: str, library: str, shared: bool) -> str:
    # A page that is opened from a file has no origin: `file:` stands for the files of this machine.
    scripts = "'unsafe-inline' 'self' file:" if shared else "'unsafe-inline'"
    policy = f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_asset('page.css')}</style>\n{library}</head>\n"
        f"<body>\n{body}<script>\n{_asset('page.js')}</script>\n</body>\n</html>\n"
    )


def _navigation(links: Sequence[Link]) -> str:
    items = ""
    for text, address, relation in links:
        items += f'<a href="{escape(address)}" rel="{escape(relation)}">{escape(text)}</a>\n'
    return f'<nav class="way" aria-label="Pages">\n{items}</nav>\n' if links else ""


def _sections(blocks: Sequence[Block]) -> list[_Section]:
    """The blocks below each heading; those before the first heading have an empty one."""
    sections = [_Section("", [])]
    for block in blocks:
        if isinstance(block, Heading):
            sections.append(_Section(block.text, []))
        else:
            sections[-1].blocks.append(block)
    return sections if sections[0].blocks else sections[1:]


def _contents(sections: Sequence[_Section]) -> str:
    headings = [(k, section.heading) for k, section in enumerate(sections) if section.heading]
    if len(headings) <= _FEW_SECTIONS:
        return ""
    items = "".join(f'<li><a href="#part-{k}">{_with_code(heading)}</a></li>\n' for k, heading in headings)
    return f'<nav class="contents" aria-label="Contents">\n<ol>\n{items}</ol>\n</nav>\n'


def _section_html(section: _Section, k: int) -> str:
    content = _blocks_html(section.blocks, f"chart-{k}")
    if not section.heading:
        return f'<div class="prose lead">\n{content}</div>\n'
    return f'<section class="prose" id="part-{k}">\n<h2>{_with_code(section.heading)}</h2>\n{content}</section>\n'


def _blocks_html(blocks: Sequence[Block], name: str) -> str:
    """Blocks one after another; `name` begins the names of their charts."""
    content = ""
    for kind, group in groupby(enumerate(blocks), key=lambda item: type(item[1])):
        first, last = _GROUPS.get(kind, ("", ""))
        content += first + "".join(_block_html(block, f"{name}-{k}") for k, block in group) + last
    return content


def _block_html(block: Block, name: str) -> str:
    match block:
        case Heading():
            return f"<h3>{_with_code(block.text)}</h3>\n"
        case Text():
            return f"<p>{_with_code(block.text)}</p>\n"
        case Bullets():
            return "<ul>\n" + "".join(f"<li>{_with_code(item)}</li>\n" for item in block.items) + "</ul>\n"
        case Formula():
            return formula_html(block.text)
        case CodeBlock():
            return _copyable(block.text)
        case KeyFigures():
            return _key_figures(block)
        case Facts():
            return _facts(block.items)
        case ArrayBlock():
            return _array(block)
        case Table():
            return _table(block)
        case Chart():
            return _chart(block, name)
        case Gallery():
            return f'<div class="pictures">\n{"".join(map(_picture, block.pictures))}</div>\n'
        case Check():
            return _check(block)
        case Suggestion():
            command = _copyable(block.command) if block.command else ""
            return f"<li>{_with_code(block.text)}{command}</li>\n"
        case LinkList():
            return f'<ul class="links">\n{"".join(map(_link, block.items))}</ul>\n'
        case SideBySide():
            return f'<div class="{_arrangement(block.blocks)}">\n{_blocks_html(block.blocks, name)}</div>\n'
        case Folded():
            title = f"<summary>{_with_code(block.title)}</summary>"
            return f"<details>\n{title}\n{_blocks_html(block.blocks, name)}</details>\n"


def _arrangement(blocks: Sequence[Block]) -> str:
    """The class of style for blocks side by side: charts in columns, a chart with its table, a table with facts."""
    if all(isinstance(block, Chart) for block in blocks):
        return "charts"
    if any(isinstance(block, Facts) for block in blocks):
        return "overview"
    long = any(isinstance(block, Table) and len(block.rows) > _FEW_ROWS for block in blocks)
    return "stacked" if long else "beside"


def _key_figures(block: KeyFigures) -> str:
    items = "".join(f"<p><strong>{escape(value)}</strong> {escape(words)}</p>\n" for value, words in block.items)
    return f'<div class="headline">\n{items}</div>\n'


def _facts(items: Settings) -> str:
    pairs = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n" for name, value in items)
    return f'<dl class="facts">\n{pairs}</dl>\n'


def _copyable(text: str) -> str:
    return (
        '<div class="copyable"><button type="button">Copy</button>\n'
        f'<pre tabindex="0"><code>{escape(text)}</code></pre></div>\n'
    )


def _array(block: ArrayBlock) -> str:
    shown = grid(block.values)
    words = [shape_text(block.values), "" if shown.complete else array_summary(block.values)]
    shape, summary = (f"<small>{escape(text)}</small>" if text else "" for text in words)
    formula = inline_formula(block.formula) if block.formula else ""
    head = " ".join(part for part in (shape, formula, summary) if part)
    remark = f"<figcaption>{_with_code(block.remark)}</figcaption>" if block.remark else ""
    rows = escape("\n".join(shown.lines))
    kind = "array" if np.ndim(block.values) else "scalar"
    return (
        f'<figure class="numbers" aria-label="{escape(block.name)}"><div><strong>{escape(block.name)}</strong> {head}'
        f'</div>\n<pre class="{kind}" tabindex="0">{rows}</pre>{remark}</figure>\n'
    )


def _table(block: Table) -> str:
    """A table whose first cells name the rows; numbers are aligned to the right."""

    def numeric(value: object) -> bool:
        return value is None or isinstance(value, Real)

    def cell(value: object) -> str:
        kind = ' class="number"' if numeric(value) else ""
        return f"<td{kind}>{escape(number(value, block.digits))}</td>"

    def line(cells: Sequence[object]) -> str:
        first, *rest = cells
        name = escape(number(first, block.digits))
        return f'<tr><th scope="row">{name}</th>{"".join(map(cell, rest))}</tr>\n'

    def lines(rows: Iterable[Sequence[object]]) -> str:
        return "".join(map(line, rows))

    heads = ""
    for k, name in enumerate(block.columns):
        kind = ' class="number"' if k and all(numeric(row[k]) for row in block.rows) else ""
        heads += f'<th scope="col"{kind}>{escape(name)}</th>'
    total = f"<tfoot>\n{line(block.total)}</tfoot>\n" if block.total else ""
    return (
        f'<div class="table" tabindex="0"><table>\n<caption>{escape(block.caption)}</caption>\n'
        f"<thead>\n<tr>{heads}</tr>\n</thead>\n<tbody>\n{lines(block.rows)}</tbody>\n{total}</table></div>\n"
    )


def _chart(block: Chart, name: str) -> str:
    # page.js draws it, and animations wait for their button.
    drawing = _packed(printable_json(block.figure.to_json()), f'class="chart" data-for="{name}"')
    height = block.figure.layout.height
    style = f' style="height: {height}px"' if height else ""
    caption = f"<figcaption>{_with_code(block.caption)}</figcaption>" if block.caption else ""
    place = f'<div id="{name}" class="plotly-graph-div"{style}></div>'
    return f'<figure aria-label="{escape(block.title or block.caption)}">{place}{drawing}{caption}</figure>\n'


def _picture(picture: Picture) -> str:
    alt = escape(picture.description)
    caption = "<br>".join(map(escape, picture.caption))
    source = f"data:image/png;base64,{b64encode(picture.png).decode()}"
    return f'<figure><img src="{source}" alt="{alt}"><figcaption>{caption}</figcaption></figure>\n'


def _check(block: Check) -> str:
    kind, mark, label = ("holds", "✓", "holds") if block.holds else ("fails", "✗", "does not hold")
    proof = evidence(block)
    small = f" <small>{escape(proof)}</small>" if proof else ""
    sign = f'<span class="mark" role="img" aria-label="{label}">{mark}</span>'
    return f'<li class="{kind}">{sign}<span>{_with_code(block.says)}{small}</span></li>\n'


def _link(item: LinkItem) -> str:
    text = f"<br>{_with_code(item.text)}" if item.text else ""
    remark = f"<br><small>{escape(item.remark)}</small>" if item.remark else ""
    return f'<li><a href="{escape(item.address)}">{escape(item.title)}</a>{text}{remark}</li>\n'


def escape(text: str) -> str:
    """A text of HTML that shows `text`, with escapes for what would hide or turn round what it says."""
    return escape_html(printable(text))


def _with_code(text: str) -> str:
    """Escaped text; parts between backquotes are code, and formulas are MathML."""
    content = ""
    for k, piece in enumerate(re.split(r"`([^`]+)`", text)):
        content += f"<code>{escape(piece)}</code>" if k % 2 else _prose(piece)
    return content


def _prose(text: str) -> str:
    pieces = with_formulas(text)
    return "".join(inline_formula(piece) if k % 2 else escape(piece) for k, piece in enumerate(pieces))
