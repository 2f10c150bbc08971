"""The server's end of the labs: their processes, the questions to them, and which of them are kept."""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from ...core.errors import InputError, Problem
from ...core.files import Json, JsonObject
from ..specs import FilesAllowed
from . import launch
from .kinds import ANSWER_MESSAGE, FRAME_MESSAGE

MOST_LABS = 8
_ANSWER_SECONDS = 120.0
_KILL_SECONDS = 0.2
# A lab that has just begun draws its first picture before the next process is started.
_SPARE_SECONDS = 2.0

OnMessage = Callable[[bytes, bool], None]
"""Hears each message for a page: its content, and whether it is a frame."""


class LabProcess:
    """One lab: its process, and the page that looks at it.

    Its process starts at once and waits for a spec; its trainer and its analyst start after the first picture.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        to_trainer, of_trainer = context.Pipe()
        to_analyst, of_analyst = context.Pipe()
        self._process = context.Process(target=launch.lab, args=(theirs, to_trainer, to_analyst), daemon=True)
        self._process.start()
        for end in (theirs, to_trainer, to_analyst):
            end.close()
        self._helpers = {
            context.Process(target=launch.trainer, args=(of_trainer,), daemon=True): of_trainer,
            context.Process(target=launch.analyst, args=(of_analyst,), daemon=True): of_analyst,
        }
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Json]] = {}
        self._sending = threading.Lock()
        self.on_message: OnMessage | None = None

    def begin(self, table: Mapping[str, object], allowed: FilesAllowed) -> None:
        """Begin with a spec, where an event loop runs."""
        first = {"table": table, "folder": allowed.folder, "files": allowed.files}
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, daemon=True).start()
        self._connection.send_bytes(json.dumps(first).encode())

    def send(self, command: JsonObject) -> None:
        """Send a command of the page."""
        self._write(command)

    async def ask(self, what: str, **details: Json) -> Json:
        """The answer of the lab to a question. Raises InputError where it has none, or the lab is gone."""
        if what != "state":
            self._start_helpers()
        number = next(self._numbers)
        future = self._asked[number] = self._loop.create_future()
        try:
            self._write({"ask": number, "what": what, **details})
            return await asyncio.wait_for(future, _ANSWER_SECONDS)
        except TimeoutError:
            raise InputError(what, f"took longer than {_ANSWER_SECONDS:g} s") from None
        finally:
            self._asked.pop(number, None)

    def _start_helpers(self) -> None:
        """Start the trainer and the analyst, where they are not started yet."""
        for process, end in self._helpers.items():
            if process.pid is None:
                process.start()
                end.close()

    def attach(self, on_message: OnMessage) -> None:
        """Let a page look at it, in place of any other."""
        self.on_message = on_message
        self.send({"do": "hello"})

    def detach(self, on_message: OnMessage) -> None:
        """A page has closed; the training goes on."""
        if self.on_message is on_message:
            self.on_message = None
            with suppress(InputError):
                self.send({"do": "bye"})

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        for end in self._helpers.values():
            end.close()
        running = [self._process, *(process for process in self._helpers if process.pid is not None)]
        for process in running:
            process.kill()
        for process in running:
            process.join(_KILL_SECONDS)

    def _write(self, message: JsonObject) -> None:
        try:
            with self._sending:
                self._connection.send_bytes(json.dumps(message).encode())
        except OSError:
            raise InputError("lab", "its process has ended; open a new one") from None

    def _read(self) -> None:
        """Take what the lab sends, in a thread, and pass it on to the event loop."""
        while True:
            try:
                content = self._connection.recv_bytes()
            except (EOFError, OSError):
                content = b""
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._received, content)
            if not content:
                return

    def _received(self, content: bytes) -> None:
        kind, content = content[:1], content[1:]
        if not kind:
            self._ended()
        elif kind == ANSWER_MESSAGE:
            answer = json.loads(content)
            future = self._asked.get(answer["ask"])
            if future is None or future.done():
                return
            if "problems" in answer:
                problems = [Problem(place, message) for place, message in answer["problems"]]
                future.set_exception(InputError(answer["subject"], problems))
            else:
                future.set_result(answer["value"])
        elif self.on_message is not None:
            self.on_message(content, kind == FRAME_MESSAGE)
            if kind == FRAME_MESSAGE:
                self._start_helpers()

    def _ended(self) -> None:
        for future in self._asked.values():
            if not future.done():
                future.set_exception(InputError("lab", "its process has ended"))
        if self.on_message is not None:
            message = {"type": "stopped", "reason": "the process of this training has ended; open a new one"}
            self.on_message(json.dumps(message).encode(), False)


class Labs:
    """The labs of a server: at most 8, of which the oldest that nobody looks at is closed for a new one.

    One process more waits for a spec, so that a page need not wait for the start of Python.

    Args:
        allowed: the files that specs may name.
        spare: the process that waits, where it was started already.
    """

    def __init__(self, allowed: FilesAllowed, spare: LabProcess | None = None) -> None:
        self.allowed = allowed
        self._labs: dict[str, LabProcess] = {}
        self._spare = spare
        self._is_closed = False

    def prepare(self) -> None:
        """Start the process that waits for the next lab."""
        if not self._is_closed:
            self._spare = self._spare or LabProcess()

    def open(self, table: Mapping[str, object]) -> str:
        """Begin a lab with a spec that may be broken, and give its name.

        Raises InputError where all labs have a page that looks at them.
        """
        if len(self._labs) >= MOST_LABS:
            unseen = next((name for name, lab in self._labs.items() if lab.on_message is None), None)
            if unseen is None:
                raise InputError("labs", f"at most {MOST_LABS} trainings run at once; close a page")
            self.close(unseen)
        lab, self._spare = self._spare or LabProcess(), None
        lab.begin(table, self.allowed)
        asyncio.get_running_loop().call_later(_SPARE_SECONDS, self.prepare)
        name = secrets.token_hex(8)
        self._labs[name] = lab
        return name

    def __getitem__(self, name: str) -> LabProcess:
        """The lab of that name. Raises KeyError where there is none."""
        return self._labs[name]

    def close(self, name: str) -> None:
        """End a lab. Raises KeyError where there is none."""
        self._labs.pop(name).close()

    def close_all(self) -> None:
        """End all processes, for good."""
        self._is_closed = True
        for lab in [*self._labs.values(), *([self._spare] if self._spare else [])]:
            lab.close()
        self._labs.clear()
        self._spare = None
