"""The compiled engine of a lab works in a process of its own: neither its compiler nor its training delays a frame.

The lab sends rows, specs to compile, and courses; the trainer says what is ready, shows its looks, and where it stands.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

from ...core.errors import InputError
from ...data import Split
from ...spec.spec import CompleteSpec
from .advance import Course, LiveLook, OnLook, Reply, Stand, advance, compile_programs, endless


class _Preparation(NamedTuple):
    """A spec whose programs are to be compiled."""

    complete: CompleteSpec


class _Order(NamedTuple):
    """A spec, and the course that its training is to take."""

    complete: CompleteSpec
    course: Course


class Trainer:
    """The lab's end: what it asks of the process that trains.

    Args:
        connection: the pipe to the process.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sent: Split | None = None
        self._wanted: tuple[CompleteSpec, Split] | None = None
        self._works = False

    def prepare(self, complete: CompleteSpec, split: Split) -> None:
        """Let it compile the programs of a training. It does one after another, and leaves out all but the newest."""
        self._wanted = complete, split
        if not self._works:
            self._send_wanted()

    def _send_wanted(self) -> None:
        assert self._wanted is not None
        complete, split = self._wanted
        self._wanted, self._works = None, True
        rows = () if split is self._sent else (split,)
        self._sent = split
        # Many rows take their time, and the process may not have started: the training goes on meanwhile.
        threading.Thread(target=self._send, args=((*rows, _Preparation(complete)),), daemon=True).start()

    def _send(self, items: Sequence[object]) -> None:
        with suppress(OSError):
            for item in items:
                self._connection.send(item)

    def prepared(self) -> bool | None:
        """Whether the newest training that it was to prepare is ready, False where it cannot be; None until then."""
        try:
            if not self._works or not self._connection.poll():
                return None
            ready = bool(self._connection.recv())
        except (EOFError, OSError):
            ready = self._works = False
            return ready
        self._works = False
        if self._wanted is None:
            return ready
        self._send_wanted()
        return None

    def advance(self, complete: CompleteSpec, course: Course, on_look: OnLook) -> Stand:
        """Let a training that is prepared advance. It trains on while a look is seen: a reply counts at the next one.

        Raises EOFError or OSError where the process has ended.
        """
        reply = Reply(False, course.keep_every)
        self._connection.send(_Order(complete, course))
        while isinstance(shown := self._connection.recv(), LiveLook):
            self._connection.send(reply)
            reply = on_look(shown)
        return cast("Stand", shown)


def serve_trainer(connection: Connection) -> None:
    """The process that trains on the compiled engine, until the pipe is closed."""
    try:
        train_for(connection)
    except (EOFError, OSError):
        os._exit(0)


def train_for(connection: Connection) -> None:
    """Do what a `Trainer` asks for. Raises EOFError or OSError when its pipe is closed."""

    def show(look: LiveLook) -> Reply:
        connection.send(look)
        return cast("Reply", connection.recv())

    while True:
        received = connection.recv()
        if isinstance(received, Split):
            split = received
        elif isinstance(received, _Order):
            session = endless(received.complete, split, "compiled")
            connection.send(advance(session, received.course, show))
        else:
            connection.send(_compiles(received.complete, split))


def _compiles(complete: CompleteSpec, split: Split) -> bool:
    """Whether the programs of a training can be compiled, which they are then."""
    try:
        compile_programs(endless(complete, split, "compiled"))
    except InputError:
        return False
    # The compiler and the program stay: a search through them for garbage would delay the training.
    gc.freeze()
    return True
