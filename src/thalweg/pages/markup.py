"""What every page is made of: the document with its style and script, sections, tables, charts, facts.

A page is whole in itself: no network, readable years later, light and dark, on paper. What comes from outside is
escaped here, and the page's own policy forbids the browser to load anything from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape, unescape
from numbers import Real
from typing import Any

import plotly.graph_objects as go
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from .numbers import number

LIBRARY = "plotly.min.js"
"""The file beside the pages of a site that draws their charts."""


def document(title: str, top: str, sections: str, *, shared: bool = False) -> str:
    """A whole page: `top` and `sections` are HTML. With `shared`, what draws charts is read from `LIBRARY` beside it.

    >>> document("digits", "", section("Overview", "")).startswith("<!doctype html>")
    True
    """
    library = ""
    if "plotly-graph-div" in sections:
        library = f'<script src="{LIBRARY}"></script>\n' if shared else f"<script>{library_text()}</script>\n"
    # A page opened from a file has no origin: `file:` names the files of this machine.
    policy = _POLICY.replace("SCRIPTS", "'unsafe-inline' 'self' file:" if shared else "'unsafe-inline'")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n{_HEAD}{policy}<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n{library}</head>\n<body>\n{top}<main>\n{sections}</main>\n"
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def library_text() -> str:
    """The program that draws the charts, as the text of the file `LIBRARY`."""
    text: str = get_plotlyjs()
    return text


def header(title: str, outcome: str, more: str = "") -> str:
    """The head of a page: its title and, in a line, what came of it; `more` is HTML.

    >>> "<h1>a &lt; b</h1>" in header("a < b", "Trained.")
    True
    """
    return f'<header>\n<h1>{escape(title)}</h1>\n<p class="outcome">{escape(outcome)}</p>\n{more}</header>\n'


def section(heading: str, content: str) -> str:
    """A section under its heading; both are HTML."""
    return f"<section>\n<h2>{heading}</h2>\n{content}</section>\n"


def facts(found: Sequence[tuple[str, str]]) -> str:
    """Names with their values, side by side where there is room."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n" for name, value in found)
    return f'<dl class="facts">\n{items}</dl>\n'


def copyable(text: str) -> str:
    """Text as it is to be typed, with a button that copies it."""
    return (
        '<div class="copyable"><button type="button">Copy</button>\n'
        f'<pre tabindex="0"><code>{escape(text)}</code></pre></div>\n'
    )


def specification(spec: str) -> str:
    """The section that holds a spec's TOML; nothing where there is none."""
    return section("Specification", copyable(spec)) if spec else ""


def chart(name: str, figure: go.Figure, caption: str = "") -> str:
    """A figure with its caption; `name` tells it apart from the other charts of the page."""
    config = {"displayModeBar": False, "responsive": True}
    # What moves waits until it is asked to.
    drawing = to_html(figure, config, auto_play=False, include_plotlyjs=False, full_html=False, div_id=name)
    label = escape(unescape(figure.layout.title.text or caption))
    under = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure aria-label="{label}">{drawing}{under}</figure>\n'


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    foot: Sequence[Any] | None = None,
    told: Callable[[Any], str] = number,
) -> str:
    """A table whose first cells name the rows; numbers stand to the right. `told` writes a cell as text."""

    def line(cells: Sequence[Any]) -> str:
        first, *rest = cells
        return f'<tr><th scope="row">{escape(told(first))}</th>{"".join(map(cell, rest))}</tr>\n'

    def cell(value: Any) -> str:
        kind = ' class="number"' if numeric(value) else ""
        return f"<td{kind}>{escape(told(value))}</td>"

    def numeric(value: Any) -> bool:
        return value is None or isinstance(value, Real)

    body = list(rows)
    heads = "".join(
        f'<th scope="col"{" class=number" if k and all(numeric(row[k]) for row in body) else ""}>{escape(name)}</th>'
        for k, name in enumerate(head)
    )
    end = f"<tfoot>\n{line(foot)}</tfoot>\n" if foot else ""
    return (
        f'<div class="table" tabindex="0"><table>\n<caption>{escape(caption)}</caption>\n<thead>\n<tr>{heads}</tr>\n'
        f"</thead>\n<tbody>\n{''.join(map(line, body))}</tbody>\n{end}</table></div>\n"
    )


def chart_page(
    title: str,
    outcome: str,
    figure: go.Figure,
    found: Sequence[tuple[str, str]] = (),
    remarks: Sequence[str] = (),
    spec: str = "",
) -> str:
    """A page that tells of one chart: the outcome, the chart, remarks and facts, the spec it came from.

    >>> "<h1>digits</h1>" in chart_page("digits", "A line.", go.Figure(layout={"title": "Loss"}))
    True
    """
    told = "".join(f"<p>{escape(remark)}</p>\n" for remark in remarks)
    sections = f"<section>\n{chart('chart', figure)}{told}</section>\n"
    if found:
        sections += section("Overview", facts(found))
    return document(title, header(title, outcome), sections + specification(spec))


_HEAD = """<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
"""

_POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src SCRIPTS;
 style-src 'unsafe-inline'; img-src data: blob:">
"""

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --card: #f6f7f9; --ink: #1c1f24; --soft: #5a6069; --line: #dde0e5; --accent: #0b6aa8;
}
@media screen and (prefers-color-scheme: dark) {
  :root { --page: #15171b; --card: #1e2126; --ink: #e8eaed; --soft: #a2a8b1; --line: #343941; --accent: #6cb9ec; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 66rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 .75rem; font-size: 1.25rem; }
h3 { margin: 0; font-size: 1rem; }
section { margin-top: 2.5rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
.outcome { margin: .4rem 0 0; color: var(--soft); font-size: 1.1rem; overflow-wrap: anywhere; }
.headline { margin: 1.25rem 0 0; font-size: 1.1rem; }
.headline strong {
  margin-right: .3rem; color: var(--accent); font-size: 3rem; line-height: 1.1; font-variant-numeric: tabular-nums;
}
.table { overflow-x: auto; }
.stacked > .table { overflow: auto; max-height: 40rem; margin-top: 1.5rem; }
table { width: max-content; border-collapse: collapse; font-size: .925rem; font-variant-numeric: tabular-nums; }
caption { padding: 0 0 .5rem; color: var(--soft); text-align: left; font-size: .875rem; }
th, td {
  max-width: 16rem; padding: .3rem 1.5rem .3rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; text-align: left; vertical-align: top;
}
th:last-child, td:last-child { padding-right: .25rem; }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 500; }
tfoot th, tfoot td { border-bottom: 0; font-weight: 600; }
.number { text-align: right; white-space: nowrap; }
.overview, .beside { display: grid; align-items: start; }
.overview { grid-template-columns: minmax(0, auto) minmax(0, 1fr); gap: 1.5rem 4rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 12rem), 1fr)); gap: .75rem 1.5rem; }
.facts { margin: 0; }
dt { color: var(--soft); font-size: .8125rem; }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 0; min-width: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 29rem), 1fr)); gap: 1.5rem; }
.beside { grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1.5rem 2rem; }
.beside table { width: auto; }
@media (max-width: 40rem) { th, td { padding-right: .8rem; } }
@media (max-width: 52rem) { .overview, .beside { grid-template-columns: minmax(0, 1fr); } }
.js-plotly-plot text:not(.heatmap-label *, .hoverlayer *) { fill: var(--ink) !important; }
.updatemenu-item-rect { fill: transparent !important; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: 1.25rem 1rem; }
.pictures img {
  display: block; width: 100%; border: 1px solid var(--line); border-radius: 4px; image-rendering: pixelated;
}
figcaption { margin-top: .3rem; font-size: .8125rem; line-height: 1.35; overflow-wrap: anywhere; }
.copyable { position: relative; }
pre { margin: 0; padding: 1rem; overflow: auto; border-radius: 6px; background: var(--card); font-size: .875rem; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
button {
  position: absolute; top: .6rem; right: .6rem; padding: .25rem .7rem;
  border: 1px solid var(--line); border-radius: 4px;
  background: var(--page); color: var(--ink); font: inherit; font-size: .8125rem; cursor: pointer;
}
.prose > p, .prose > ul, .prose > ol { max-width: 48rem; }
.prose > * + * { margin-top: 1rem; }
.prose > p { margin-bottom: 0; }
.lead { margin-top: 1.5rem; }
.prose > figure { max-width: 56rem; }
pre.formula { border-left: 3px solid var(--accent); line-height: 1.6; font-size: .95rem; }
.worked { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; align-items: flex-start; }
.numbers { max-width: 100%; }
.numbers small, .claims small { color: var(--soft); }
.numbers code { margin: 0 .25rem; color: var(--soft); font-size: .85rem; }
pre.array {
  position: relative; width: max-content; max-width: 100%; margin-top: .3rem; padding: .35rem .8rem;
  border: 1px solid var(--ink); border-width: 0 1px; border-radius: 6px; background: none;
}
pre.scalar { margin-top: .3rem; padding: .35rem 0; background: none; }
.claims { padding: 0; list-style: none; }
.claims li { display: flex; gap: .6rem; padding: .25rem 0; }
.mark { color: #008a62; font-weight: 700; }
.fails .mark { color: #d0452b; }
.fails { font-weight: 600; }
.prose > .tries { margin-top: .4rem; padding-left: 1.2rem; }
.lessons { margin: 0; padding: 0; list-style: none; }
.lessons li + li { margin-top: 1rem; }
.lessons small { color: var(--soft); }
.tries li + li { margin-top: .75rem; }
.tries .copyable { margin-top: .35rem; }
.tries button { top: .35rem; right: .4rem; }
.tries pre { padding: .6rem 5rem .6rem .8rem; }
a { color: var(--accent); }
.way { display: flex; flex-wrap: wrap; gap: .5rem 1.75rem; margin: 0 0 1.25rem; font-size: .925rem; }
main > .way { margin: 2.5rem 0 0; padding-top: 1.25rem; border-top: 1px solid var(--line); }
.contents { margin-top: 1.5rem; font-size: .925rem; }
.contents ol { margin: 0; padding-left: 1.4rem; columns: 16rem auto; }
@media print {
  .way, .contents { display: none; }
  pre { white-space: pre-wrap; }
  pre.array { white-space: pre; font-size: .62rem; }
  body { padding: 0; max-width: none; font-size: .875rem; }
  .charts, .overview, .beside { display: block; }
  .overview > *, .beside > * { margin-bottom: 1rem; }
  .table, .stacked > .table { max-height: none; overflow: visible; }
  table { width: auto; font-size: .8rem; }
  th, td { padding-right: .7rem; }
  tfoot { display: table-row-group; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  button, .modebar { display: none !important; }
}
"""

# Charts keep the width they were drawn with: on paper they are drawn again, as wide as a sheet.
# A page opened from a file may be refused the clipboard: then the text is selected, ready to be copied by hand.
_SCRIPT = """
const redraw = (width) => {
  for (const chart of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(chart, { width });
};
addEventListener("beforeprint", () => redraw(660));
addEventListener("afterprint", () => redraw(null));
for (const button of document.querySelectorAll(".copyable > button")) {
  const words = button.parentElement.querySelector("code");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(words.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(words);
    }
  });
}
"""
