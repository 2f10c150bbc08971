"""The four forms of a worksheet, and which of them a file asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..core.errors import InputError, nearest
from .blocks import Page
from .html import as_html
from .json import as_json
from .markdown import as_markdown
from .text import as_text

FORMS: dict[str, Callable[[Page], str]] = {
    "text": as_text,
    "html": as_html,
    "markdown": as_markdown,
    "json": as_json,
}
_SUFFIXES = {".txt": "text", ".html": "html", ".htm": "html", ".md": "markdown", ".json": "json"}


def form_of(out: Path | None = None, name: str | None = None) -> str:
    """The form that is wanted: the one named, else the one that the file's suffix stands for, else text.

    Raises InputError for a name or a suffix that stands for none, and for a folder.

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
