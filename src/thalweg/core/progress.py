"""Progress of long computations, shown on stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

from .printable import printable
from .streams import escaped_streams

# Where a display cannot overwrite its lines (no terminal), it prints at most one line in this time.
LINE_SECONDS = 1.0


def loading(quiet: bool = False) -> Callable[[int, int], None]:
    """A callback (done, total) for `Data.load`: prints a line at most once a second while rows are prepared."""
    last = time.monotonic()

    def watch(done: int, total: int) -> None:
        nonlocal last
        if not quiet and time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            print_line(f"rows ready: {done:,} of {total:,}")

    return watch


def print_line(words: str) -> None:
    """Print a line to stderr; while a progress bar is shown, the line appears above it.

    In a notebook it goes to stdout: what comes from stderr looks like an error there.
    """
    # A closed stderr must not end a training.
    with suppress(OSError):
        print(printable(words), file=sys.stdout if in_notebook() else sys.stderr, flush=True)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def notebook_line() -> Callable[[str], None]:
    """A function that shows a line of text below the cell, in place of the one before."""
    from IPython.display import display

    line = display({"text/plain": ""}, raw=True, display_id=True)

    def show(words: str) -> None:
        line.update({"text/plain": printable(words)}, raw=True)

    return show


@contextmanager
def working(quiet: bool = False) -> Iterator[Callable[[ProgressMessage], None]]:
    """A context with a callback that shows what is being computed: a status line in a terminal or a notebook."""
    if quiet:
        yield lambda now: None
    elif sys.stderr.isatty():
        from .console import console

        with console(error=True).status("") as status, escaped_streams():
            yield lambda now: status.update(printable(_working_in_words(now)))
    elif in_notebook():
        show = notebook_line()
        yield lambda now: show(_working_in_words(now))
        show("")
    else:
        last = -math.inf

        def watch(now: ProgressMessage) -> None:
            nonlocal last
            if time.monotonic() - last >= LINE_SECONDS:
                last = time.monotonic()
                print_line(_working_in_words(now))

        yield watch


def _working_in_words(now: ProgressMessage) -> str:
    return now.text if now.fraction is None else f"{now.text} ({now.fraction:.0%})"


@dataclass(frozen=True)
class ProgressMessage:
    """A message that says what is being computed now. It is not part of any page.

    text: what is being computed.
    fraction: how much of it is done, 0 to 1; None: unknown.
    """

    text: str
    fraction: float | None = None


Watch: TypeAlias = Callable[[ProgressMessage], None]
"""A function that receives messages on the progress of a computation."""


def ignore_progress(message: ProgressMessage) -> None:
    """A `Watch` that does nothing."""
