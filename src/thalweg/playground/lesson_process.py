"""Lessons are computed in a process of their own, so that the server answers meanwhile."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from ..core.errors import InputError
from ..core.files import Json
from .lesson_pages import lesson_page, listed_lessons


class LessonProcess:
    """Computes lessons, one after another, each once. The process starts with the first one."""

    def __init__(self) -> None:
        self._known: dict[str, Json] = {}
        self._asking = threading.Lock()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None

    def listed(self) -> Json:
        """All lessons, as `listed_lessons` gives them. It waits for the process."""
        return self._answer("")

    def page(self, name: str) -> Json:
        """A lesson, as `lesson_page` gives it. It waits for the process.

        Raises InputError as `lesson_page` does, and where the process ended.
        """
        return self._answer(name)

    def close(self) -> None:
        """End the process, also while it computes."""
        if self._process is not None:
            self._process.kill()

    def _answer(self, name: str) -> Json:
        with self._asking:
            if name not in self._known:
                self._known[name] = self._asked(name)
            return self._known[name]

    def _asked(self, name: str) -> Json:
        if self._process is None or not self._process.is_alive():
            self._begin()
        assert self._connection is not None
        try:
            self._connection.send(name)
            answer = self._connection.recv()
        except (EOFError, OSError):
            raise InputError("lesson", "its process ended; ask again") from None
        if isinstance(answer, InputError):
            raise answer
        return answer

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


def _serve(connection: Connection) -> None:
    """Answer names with lessons, and the empty name with the list, until the server is gone."""
    # Ctrl-C ends the server, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        while True:
            name = connection.recv()
            try:
                answer: object = lesson_page(name) if name else listed_lessons()
            except InputError as error:
                answer = error
            connection.send(answer)
