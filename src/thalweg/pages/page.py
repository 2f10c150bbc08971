"""Pages of blocks: one form for every result, written as text, HTML, Markdown and JSON."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..core.errors import InputError, nearest
from ..core.files import commit
from ..core.noise import same_draws
from ..core.printable import printable
from .blocks import Block, Chart, flat
from .html import LIBRARY, Link, library_text, render_fragment, render_html
from .json import render_json
from .markdown import render_markdown
from .notebook import show, still_html
from .numbers import number

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
        with same_draws():
            from .text import render_text

        return render_text(self.title, self.blocks, self.summary, self.settings, width=width)

    def html(self, links: Sequence[Link] = (), library: str = "") -> str:
        """An HTML document that needs no network.

        With `links` it belongs to a site of pages. With the address of a `library`, which has the name `LIBRARY` and
        the content of `library_text()`, it shares the script that draws charts; otherwise it holds the script.
        """
        return render_html(self.title, self.blocks, self.summary, self.settings, links=links, library=library)

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
        with same_draws():
            from .text import print_text

        print_text(self.title, self.blocks, self.summary, self.settings, console=console)

    def _repr_html_(self) -> str:
        return still_html(self.title, self.blocks, self.summary, self.settings)

    def _ipython_display_(self) -> None:
        show(self.title, self.blocks, self.summary, self.settings)


class Report(str):
    """The text of an HTML page, which a notebook shows as a page and an interpreter in a line.

    Attributes:
        page: what it was made from.

    >>> "<h1>One step</h1>" in Report(Page("One step", ()))
    True
    """

    page: Page

    def __new__(cls, page: Page, library: str = "") -> Report:
        """The page as an HTML document."""
        report = super().__new__(cls, page.html(library=library))
        report.page = page
        return report

    def __repr__(self) -> str:
        """One line."""
        size = number(len(self) / 1e6, 2)
        return printable(f"Report: {self.page.title}, an HTML page of {size} MB; .report(path) writes it to a file.")

    def _repr_html_(self) -> str:
        return self.page._repr_html_()

    def _ipython_display_(self) -> None:
        self.page._ipython_display_()


class Paged(ABC):
    """A result that can be shown as a page.

    Subclasses define `page()`; notebooks and the HTML report follow from it.
    """

    @abstractmethod
    def page(self) -> Page:
        """The result as a page of text, tables and charts."""

    def report(self, path: str | Path | None = None, library: str | Path | None = None) -> Report:
        """The page as an HTML document that needs no network: a text that shows itself in a notebook.

        Args:
            path: a file to write it to as well.
            library: a folder for the script that draws charts (4.8 MB), which written reports share; by default each
                report holds it, compressed, so that it can be moved and mailed.

        Raises:
            InputError: a file cannot be written, or a library is given without a path.
        """
        if path is None:
            if library is not None:
                raise InputError("report", "a shared library needs the path of the report: report(path, library)")
            return Report(self.page())
        report = Report(self.page(), _shared_library(Path(library), Path(path)) if library is not None else "")
        commit(Path(path), report.encode())
        return report

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()

    def _ipython_display_(self) -> None:
        self.page()._ipython_display_()


def _shared_library(folder: Path, page: Path) -> str:
    """The address of the library in a folder, for a page in a file; the library is written unless it is there."""
    file = folder / LIBRARY
    text = library_text().encode()
    if not file.is_file() or file.stat().st_size != len(text):
        commit(file, text)
    try:
        return quote(Path(os.path.relpath(file, page.parent)).as_posix())
    except ValueError:
        # On another drive of Windows.
        return file.absolute().as_uri()


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
