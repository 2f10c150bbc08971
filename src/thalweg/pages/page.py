"""Pages of blocks: one form for every result, written as text, HTML, Markdown and JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import InputError, nearest
from .blocks import Block, Chart, flat
from .html import Link, render_fragment, render_html
from .json import render_json
from .markdown import render_markdown
from .text import print_text, render_text

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from rich.console import Console

FORMS = ("text", "html", "markdown", "json")
_SUFFIXES = {".txt": "text", ".html": "html", ".htm": "html", ".md": "markdown", ".json": "json"}


@dataclass(frozen=True, eq=False)
class Page:
    """A page of blocks under a title.

    Attributes:
        title: Heading of the page.
        blocks: Content, from top to bottom.
        summary: One or two sentences below the title.
        settings: Names and values of the parameters that the page was computed with.

    >>> from thalweg.pages.blocks import Formula
    >>> print(Page("One step", (Formula("z = x W + b"),)).text(width=20))
    One step
    ════════════════════
    <BLANKLINE>
        z = x W + b
    <BLANKLINE>
    """

    title: str
    blocks: tuple[Block, ...]
    summary: str = ""
    settings: tuple[tuple[str, str], ...] = ()

    def text(self, width: int = 100) -> str:
        """Plain text with lines of at most `width` characters."""
        return render_text(self.title, self.blocks, self.summary, self.settings, width=width)

    def html(self, links: Sequence[Link] = ()) -> str:
        """An HTML document that needs no network.

        With `links` to other pages it belongs to a site, and shares the script that draws charts with the other pages.
        """
        return render_html(self.title, self.blocks, self.summary, self.settings, links=links)

    def fragment(self) -> str:
        """HTML without a document around it and without charts, to stand inside of another page."""
        return render_fragment(self.title, self.blocks, self.summary, self.settings)

    def markdown(self) -> str:
        """Markdown in GitHub's flavor; charts are replaced by their captions."""
        return render_markdown(self.title, self.blocks, self.summary, self.settings)

    def json(self) -> str:
        """Valid JSON with all numbers at full precision."""
        return render_json(self.title, self.blocks, self.summary, self.settings)

    def render(self, form: str) -> str:
        """The page in one of the forms of `FORMS`."""
        match form:
            case "text":
                return self.text()
            case "html":
                return self.html()
            case "markdown":
                return self.markdown()
            case "json":
                return self.json()
        raise InputError("form", f"expected one of {', '.join(FORMS)}, received {form!r}")

    def figures(self) -> list[go.Figure]:
        """All charts from top to bottom."""
        return [block.figure for block in flat(self.blocks) if isinstance(block, Chart)]

    def show(self, console: Console | None = None) -> None:
        """Print the page in color on a terminal; paragraphs are at most 100 characters wide."""
        print_text(self.title, self.blocks, self.summary, self.settings, console=console)

    def _repr_html_(self) -> str:
        # A frame keeps the styles of the page and of the notebook apart.
        frame = "width: 100%; height: 42rem; border: 0"
        return f'<iframe srcdoc="{escape(self.html())}" title="{escape(self.title)}" style="{frame}"></iframe>'


class Paged(ABC):
    """A result that can be shown as a page.

    Subclasses define `page()`; notebooks and the HTML report follow from it.
    """

    @abstractmethod
    def page(self) -> Page:
        """The result as a page of text, tables and charts."""

    def report(self) -> str:
        """The page as an HTML document that needs no network."""
        return self.page().html()

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


def form_of(out: Path | None = None, name: str | None = None) -> str:
    """The form of a page: `name` if given, else the one of the suffix of the file `out`, else text.

    Raises InputError for an unknown name or suffix, and if `out` is a folder.

    >>> form_of(Path("page.html")), form_of(Path("page.html"), "json"), form_of()
    ('html', 'json', 'text')
    """
    if out is not None and out.is_dir():
        raise InputError("--out", f"expected a file, received the folder {out}")
    if name is not None:
        if name not in FORMS:
            raise InputError("--format", f"expected a form, received {name!r}; {nearest(name, FORMS)}")
        return name
    if out is None:
        return "text"
    if out.suffix.lower() not in _SUFFIXES:
        known = ", ".join(_SUFFIXES)
        raise InputError(
            "--out", f"expected a file that ends in one of {known}, received {str(out)!r}; or use --format"
        )
    return _SUFFIXES[out.suffix.lower()]
