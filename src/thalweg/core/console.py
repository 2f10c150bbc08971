"""The console that draws tables, pages and progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, ConsoleOptions, HighlighterType, JustifyMethod, OverflowMethod, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from .printable import printable
from .streams import unescaped

_LEAST_WIDTH = 20


def console(error: bool = False) -> Console:
    """The console of stdout, or of stderr."""
    return PrintableConsole(unescaped(sys.stderr if error else sys.stdout))


class PrintableConsole(Console):
    """A console whose strings are text: without markup, and with escapes where a terminal would obey them.

    It is never narrower than 20 characters, because tables lose their columns below.

    Args:
        file: the stream to write to.
    """

    def __init__(self, file: TextIO) -> None:
        super().__init__(file=file, markup=False, emoji=False)
        self.width = max(self.width, _LEAST_WIDTH)

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,
        markup: bool | None = None,
        highlight: bool | None = None,
        highlighter: HighlighterType | None = None,
    ) -> Text:
        """A string as text, escaped before its width is measured."""
        return super().render_str(
            printable(text),
            style=style,
            justify=justify,
            overflow=overflow,
            emoji=False,
            markup=False,
            highlight=highlight,
            highlighter=highlighter,
        )

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of an object, also those that do not come from strings, with escapes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Leave it to the stream what happens when its reader leaves."""
        raise BrokenPipeError
