"""A process that draws figures with kaleido: `python -m thalweg.pages.figures.drawing` reads its tasks from stdin."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import TypedDict

NO_BROWSER = 3
"""The exit code where no Chrome works."""


class DrawingOptions(TypedDict):
    """The options of kaleido for an image."""

    format: str
    scale: int
    width: int
    height: int


class DrawingTask(TypedDict):
    """One image to draw, as kaleido expects it: the figure as JSON, its file, and its options."""

    fig: dict[str, object]
    path: str
    opts: DrawingOptions


def main() -> int:
    """Draw the figures on stdin, and return the exit code."""
    import asyncio

    from kaleido import write_fig_from_object
    from kaleido.errors import BrowserFailedError, ChromeNotFoundError

    try:
        asyncio.run(write_fig_from_object(json.load(sys.stdin.buffer)))
    except (ChromeNotFoundError, BrowserFailedError):
        return NO_BROWSER
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Threads that wait for Chrome would keep a usual end waiting.
    os._exit(code)
