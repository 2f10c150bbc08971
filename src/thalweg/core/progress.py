"""Progress of long computations, shown on stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

# Lines of a display that nobody overwrites: no more than one in this time, and always the last.
LINE_SECONDS = 1.0


def loading(quiet: bool = False) -> Callable[[int, int], None]:
    """A watch for `Data.load`: a line now and then, where rows take their time to be made ready."""
    last = time.monotonic()

    def watch(done: int, total: int) -> None:
        nonlocal last
        if not quiet and time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            print(f"rows made ready: {done:,} of {total:,}", file=sys.stderr, flush=True)

    return watch


def print_line(words: str) -> None:
    """A line for who watches a training; while a bar is shown, it stands above it."""
    # A training is worth more than the line that tells of it.
    with suppress(OSError):
        print(words, file=sys.stderr, flush=True)


@contextmanager
def working(quiet: bool = False) -> Iterator[Callable[[ProgressMessage], None]]:
    """A watch for a worksheet in the making: what is being computed now."""
    if quiet:
        yield lambda now: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        with Console(stderr=True).status("") as status:
            yield lambda now: status.update(Text(_working_in_words(now)))
    else:
        last = -math.inf

        def watch(now: ProgressMessage) -> None:
            nonlocal last
            if time.monotonic() - last >= LINE_SECONDS:
                last = time.monotonic()
                with suppress(OSError):
                    print(_working_in_words(now), file=sys.stderr, flush=True)

        yield watch


def _working_in_words(now: ProgressMessage) -> str:
    return now.text if now.fraction is None else f"{now.text} ({now.fraction:.0%})"


@dataclass(frozen=True)
class ProgressMessage:
    """No part of the page: says what is being computed now, and which share of it is done (0 to 1; None: unknown)."""

    text: str
    fraction: float | None = None
