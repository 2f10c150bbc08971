"""What takes long is computed in a second process of each lab, so that the training and its frames never wait.

The lab sends jobs, each with a snapshot of its training; the analyst sends answers, and messages for the page.
"""

from __future__ import annotations

import itertools
import os
import queue
import signal
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import NamedTuple

from ...core.errors import InputError
from ...core.files import Json, JsonObject
from ...core.progress import ProgressMessage
from ...data import Split
from .path_probes import PathProbes


class Answer(NamedTuple):
    """The answer to a job: what it gave, or why it gave nothing."""

    job: int
    value: Json = None
    error: InputError | None = None


class Job(NamedTuple):
    """A question: its number, the name of its function, and the arguments."""

    number: int
    name: str
    arguments: tuple[object, ...]


class Desk:
    """What a function of the analyst has at hand.

    Attributes:
        rows: the rows of the training.
        probes: what the probes measure on its path.
        stopped: set when nobody waits for the trials that run.
        send: sends a message to the page.
    """

    def __init__(self, send: Callable[[JsonObject], None]) -> None:
        self.rows: Split
        self.probes = PathProbes()
        self.stopped = threading.Event()
        self.send = send

    def progress(self, what: str, message: ProgressMessage) -> None:
        """Say how far a job has come."""
        self.send({"type": "progress", "what": what, "message": message.text, "share": message.fraction})


Functions = Mapping[str, Callable[..., Json]]
"""The functions that a job can name; each takes the desk and the arguments of the job."""

Then = Callable[[Answer], None]


class Analyst:
    """The lab's end: it hands jobs over and passes on what comes back, in threads of its own.

    Args:
        connection: the pipe to the process.
        send: sends a message to the page.
    """

    def __init__(self, connection: Connection, send: Callable[[JsonObject], None]) -> None:
        self._connection = connection
        self._send = send
        self._numbers = itertools.count()
        self._waiting: dict[int, Then] = {}
        self._outgoing: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._rows: Split | None = None
        self._is_gone = False
        for work in (self._read, self._write):
            threading.Thread(target=work, daemon=True).start()

    def ask(self, name: str, rows: Split, *arguments: object, then: Then) -> None:
        """Hand over a job about some rows; `then` hears its answer, in another thread."""
        number = next(self._numbers)
        if self._is_gone:
            then(_gone(number))
            return
        self._waiting[number] = then
        if rows is not self._rows:
            # Once for all jobs about them: there may be many.
            self._outgoing.put(rows)
            self._rows = rows
        self._outgoing.put(Job(number, name, arguments))

    def stop_trials(self) -> None:
        """End the trials that run."""
        self._outgoing.put(None)

    def _write(self) -> None:
        while True:
            item = self._outgoing.get()
            try:
                self._connection.send(item)
            except OSError:
                return

    def _read(self) -> None:
        while True:
            try:
                received = self._connection.recv()
            except (EOFError, OSError):
                self._is_gone = True
                for number, then in list(self._waiting.items()):
                    then(_gone(number))
                # To send it fails, so that the other thread ends too.
                self.stop_trials()
                return
            if isinstance(received, Answer):
                self._waiting.pop(received.job)(received)
            else:
                self._send(received)


def _gone(number: int) -> Answer:
    return Answer(number, error=InputError("lab", "the process that analyses has ended; open a new page"))


def serve_analyst(connection: Connection, functions: Functions) -> None:
    """The process of an analyst: each job in a thread, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sending = threading.Lock()

    def send(item: object) -> None:
        with sending:
            connection.send(item)

    desk = Desk(send)
    try:
        while True:
            received = connection.recv()
            if received is None:
                desk.stopped.set()
            elif isinstance(received, Job):
                function = functions[received.name]
                threading.Thread(target=_work, args=(function, desk, received, send), daemon=True).start()
            else:
                desk.rows = received
    except (EOFError, OSError):
        os._exit(0)


def _work(function: Callable[..., Json], desk: Desk, job: Job, send: Callable[[object], None]) -> None:
    try:
        answer = Answer(job.number, function(desk, *job.arguments))
    except InputError as error:
        answer = Answer(job.number, error=error)
    except MemoryError:
        answer = Answer(job.number, error=InputError(job.name, "not enough memory"))
    send(answer)
