"""Pages in notebooks: text and tables as HTML, and charts in two forms.

A front end draws the interactive form of a chart with its own copy of Plotly; where no script runs, as on GitHub or in
a converted notebook, it shows the picture. So an output holds the numbers of its charts, and never the library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ..core.printable import printable
from .blocks import Block, Chart, Settings, flat
from .html import chart_words, render_blocks, render_fragment

_PLOTLY = "application/vnd.plotly.v1+json"
Bundle = dict[str, object]
"""One output of a notebook: its forms by their types."""


def outputs(title: str, blocks: Sequence[Block], summary: str, settings: Settings) -> Iterator[Bundle]:
    """The outputs of a page from top to bottom: text as HTML, and each chart as data of Plotly and as a picture.

    >>> [sorted(bundle) for bundle in outputs("One step", (), "In short.", ())]
    [['text/html', 'text/plain']]
    """
    yield {"text/html": render_fragment(title, (), summary, settings), "text/plain": printable(f"{title}: {summary}")}
    text: list[Block] = []
    for block in flat(blocks):
        if not isinstance(block, Chart):
            text.append(block)
            continue
        yield from _text(text)
        text = []
        yield _chart(block)
    yield from _text(text)


def _text(blocks: Sequence[Block]) -> Iterator[Bundle]:
    if blocks:
        yield {"text/html": render_blocks(blocks), "text/plain": ""}


def _chart(chart: Chart) -> Bundle:
    # Plotly takes long to load, and most pages have no chart.
    from .figures.svg import chart_svg

    picture = chart_svg(chart.figure)
    still = {"image/svg+xml": picture} if picture else {"text/html": chart_words(chart)}
    return {_PLOTLY: json.loads(chart.figure.to_json()), **still, "text/plain": printable(chart.description)}


def show(title: str, blocks: Sequence[Block], summary: str = "", settings: Settings = ()) -> None:
    """Display a page in a notebook."""
    from IPython.display import display

    for bundle in outputs(title, blocks, summary, settings):
        display(bundle, raw=True)


def still_html(title: str, blocks: Sequence[Block], summary: str = "", settings: Settings = ()) -> str:
    """A page as HTML without scripts: charts of lines and points are pictures, of others their words are left.

    >>> from thalweg.pages.blocks import Text
    >>> "<p>It begins.</p>" in still_html("One step", [Text("It begins.")])
    True
    """
    forms = outputs(title, blocks, summary, settings)
    return "".join(str(form.get("image/svg+xml", form.get("text/html"))) for form in forms)
