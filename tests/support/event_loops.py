"""Coroutines in an event loop of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# The library that drives the browser keeps a loop in the main thread, in which no other one can run.
_THREAD = ThreadPoolExecutor(1)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine."""
    return _THREAD.submit(asyncio.run, coroutine).result()
