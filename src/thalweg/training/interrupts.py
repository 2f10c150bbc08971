"""Ctrl-C and SIGTERM as requests to stop at the next chunk."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_requests(saves: bool) -> Iterator[Callable[[], str]]:
    """A function that names the signal that asked to stop, or gives "".

    The first Ctrl-C waits for the end of the running chunk, and so does SIGTERM where the training `saves` its state.
    A second one interrupts at once. Outside the main thread, which alone receives signals, the function gives "".
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: ""
        return
    names = {signal.SIGINT: "Ctrl-C"} | ({signal.SIGTERM: "SIGTERM"} if saves else {})
    received: list[str] = []

    def request(number: int, frame: FrameType | None) -> None:
        received.append(names[signal.Signals(number)])
        signal.signal(number, handlers[signal.Signals(number)])

    handlers = {number: signal.signal(number, request) for number in names}
    try:
        yield lambda: received[0] if received else ""
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
