"""The documentation site: `make docs` builds it into `site/`, without a network connection."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

import thalweg
from thalweg.pages.formulas_in_text import with_formulas
from thalweg.pages.mathml import inline_formula

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Thalweg"
author = "the authors of Thalweg"
html_show_copyright = False
release = version = thalweg.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "Thalweg"
html_static_path: list[str] = []
autodoc_member_order = "bysource"
autodoc_default_options = {
    "exclude-members": "set_fit_request, set_partial_fit_request, set_score_request, get_metadata_routing"
}
default_role = "code"
autodoc_typehints = "description"
napoleon_google_docstring = True
pygments_style = "default"
pygments_dark_style = "monokai"
# Types of other libraries, whose own documentation is on the network.
nitpicky = False
suppress_warnings = ["myst.header", "ref.python"]

# Documents beside the folder docs/, and the pages of the site that include them.
_INCLUDED = {
    "README.md": "/index.md",
    "CONTRIBUTING.md": "/about/contributing.md",
    "SECURITY.md": "/about/security.md",
    "CHANGELOG.md": "/about/changelog.md",
    "benchmarks/README.md": "/about/measured.md",
    "clinic/README.md": "/about/clinic.md",
}
# A character that no docstring has.
_COLON = "\ue000"
# Elements whose text is prose; signatures, code and titles are not.
_PROSE = (nodes.paragraph, nodes.emphasis, nodes.strong)
_LINK = re.compile(r"\]\((?:\.\./)?([\w/.-]+\.md)(?=[#)])")
_LINK_OUT = re.compile(r"\]\(\.\./([\w/.-]+)")


def _inside(match: re.Match[str]) -> str:
    """A link between documents, from the root of the site."""
    target = match[1]
    return f"]({_INCLUDED.get(target, '/' + target.removeprefix('docs/'))}"


def _page_read(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = _LINK_OUT.sub(_inside, source[0])


def _include_read(app: Sphinx, path: Path, parent: str, source: list[str]) -> None:
    source[0] = _LINK.sub(_inside, source[0])


def _before_napoleon(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Hide the colons of attributes, the words before which Napoleon takes for types."""
    if what in ("attribute", "property"):
        lines[:] = [line.replace(":", _COLON) for line in lines]


def _docstring_read(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Read a docstring as plain text: signs of formulas are no markup, and `width: number of units.` is a field."""
    read: list[str] = []
    in_fields = False
    for line in lines:
        if line.lstrip().startswith((">>>", "...")):
            read.append(line)
            continue
        text = re.sub(r"^([a-z]\w*): (?=\S)", r":\1: ", _escaped(line.replace(_COLON, ":")))
        is_field = text.startswith(":")
        goes_on = in_fields and text.startswith(" ")
        if read and read[-1] and text and in_fields != is_field and not goes_on:
            read.append("")
        in_fields = is_field or goes_on
        read.append(text)
    lines[:] = read


def _escaped(line: str) -> str:
    pieces = re.split(r"(`[^`]*`)", line)
    return "".join(
        piece if k % 2 else re.sub(r"(?<!^)([*|]|_(?=\W|$))", r"\\\1", piece) for k, piece in enumerate(pieces)
    )


def _formulas_drawn(app: Sphinx, tree: nodes.document) -> None:
    """Draw the formulas of paragraphs, lists and tables as MathML."""
    for text in list(tree.findall(nodes.Text)):
        if isinstance(text.parent, _PROSE) and len(pieces := with_formulas(text.astext())) > 1:
            drawn: list[nodes.Node] = []
            for k, piece in enumerate(pieces):
                drawn.append(nodes.raw("", inline_formula(piece), format="html") if k % 2 else nodes.Text(piece))
            text.parent.replace(text, drawn)


def setup(app: Sphinx) -> None:
    """Let links between documents lead to the pages of the site, read docstrings as text, and draw their formulas."""
    app.connect("doctree-read", _formulas_drawn)
    app.connect("source-read", _page_read)
    app.connect("include-read", _include_read)
    app.connect("autodoc-process-docstring", _before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", _docstring_read, priority=900)
