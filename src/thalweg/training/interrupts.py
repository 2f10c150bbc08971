"""Ctrl-C and other signals as requests to stop at the next chunk."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_REQUESTS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGXCPU", "SIGBREAK")
"""The signals that ask a training which saves its state to stop; each system has some of them."""
_IMPATIENT = ("SIGINT", "SIGTERM")
"""Those of which a second one interrupts at once. The system itself repeats the others."""


@contextmanager
def stop_requests(saves: bool) -> Iterator[Callable[[], signal.Signals | None]]:
    """A function that gives the first signal that asked to stop, or None.

    Ctrl-C waits for the end of the running chunk, and so do the other signals where the training `saves` its state. A
    second Ctrl-C or SIGTERM interrupts at once. A signal that the process was started to ignore, as `nohup` does with
    SIGHUP, stays ignored. Outside the main thread, which alone receives signals, the function gives None.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    received: list[signal.Signals] = []

    def request(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        if received[-1].name in _IMPATIENT:
            signal.signal(number, handlers[received[-1]])

    handlers = {number: signal.getsignal(number) for number in _numbers(saves)}
    for number in handlers:
        signal.signal(number, request)
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def in_words(number: signal.Signals) -> str:
    """How messages name a signal."""
    return "Ctrl-C" if number == signal.SIGINT else number.name


def _numbers(saves: bool) -> list[signal.Signals]:
    if not saves:
        return [signal.SIGINT]
    known = [getattr(signal, name) for name in _REQUESTS if hasattr(signal, name)]
    return [number for number in known if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
