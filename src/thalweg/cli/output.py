"""Output of the commands: exit codes, JSON, pages."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..learn.exercise import Exercise
    from ..learn.lesson import Lesson
    from ..pages.page import Page

EXIT_WRONG = 1
"""A network that does not learn, or a wrong answer to an exercise."""
EXIT_INPUT = 2
EXIT_DIVERGED = 3
EXIT_BUG = 70
"""A mistake of the program itself."""
EXIT_INTERRUPTED = 130
"""Ctrl-C and SIGTERM."""


def interrupted_by(number: int) -> int:
    """The exit code of a training that a signal has ended: 130 for Ctrl-C and SIGTERM, 128 + its number for another."""
    return EXIT_INTERRUPTED if number in (signal.SIGINT, signal.SIGTERM) else 128 + number


def print_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    import json

    print(json.dumps(value, indent=1))


def write_page(page: Page, form: str, out: Path | None) -> None:
    """Print a page in a form, or write it to the file `out` and print the path of the file."""
    from ..core.files import commit
    from ..core.streams import write_bytes

    if out is not None:
        commit(out, page.render(form).encode())
        print(out)
    elif form == "text":
        page.show()
    elif form in ("html", "json"):
        # Both are UTF-8 by their own rules, and escape by themselves what comes from outside.
        write_bytes(page.render(form).encode())
    else:
        sys.stdout.write(page.render(form))


def images_to(folder: Path | None, kind: str, quiet: bool) -> Callable[[Sequence[go.Figure]], None]:
    """A function that writes figures as pictures into a folder, and says so on stderr; without a folder none does.

    Raises:
        InputError: at once, if the form is unknown or what draws pictures is missing.
    """
    if folder is None:
        return lambda figures: None
    from ..core.progress import ProgressMessage, working
    from ..pages.figures import image_format, save_images

    known = image_format(kind)

    def write(figures: Sequence[go.Figure]) -> None:
        with working(quiet) as watch:
            watch(ProgressMessage("drawing"))
            files = save_images(figures, folder, known)
        print(*(f"picture: {file}" for file in files), sep="\n", file=sys.stderr)

    return write


def print_catalogue(
    title: str, column: str, groups: Mapping[str, Sequence[type[Lesson | Exercise]]], json: bool
) -> None:
    """List lessons or exercises by group, each with its name and its subject."""
    if json:
        entries = (entry for group in groups.values() for entry in group)
        print_json([{"name": entry.kind, "title": entry.title, "subject": entry.subject} for entry in entries])
        return
    from rich.table import Table

    from ..core.console import console

    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    table.add_column(column)
    for group, kinds in groups.items():
        if group:
            table.add_row("", "")
            table.add_row(group, style="bold")
        for kind in kinds:
            table.add_row(kind.kind, kind.subject)
    console().print(table)
