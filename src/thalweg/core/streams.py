"""stdout and stderr of the shell command: what comes from outside cannot control the terminal, and nothing is lost."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator
from typing import TextIO, cast

from .errors import InputError
from .printable import printable

# What the product itself draws, for encodings that lack it.
_SIGNS = {
    "─": "-", "═": "=", "•": "*", "·": ".", "→": "->", "←": "<-", "✓": "[x]", "✗": "[ ]", "…": "...",
    "\u00a0": " ", "\u202f": " ", "×": "x", "−": "-", "–": "-", "±": "+-", "≤": "<=", "≥": ">=",
    "≠": "!=", "≈": "~", "½": "1/2",
}  # fmt: skip


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Write what an encoding lacks as a similar sign or as its escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    shown = (_SIGNS.get(sign) or sign.encode("unicode_escape").decode() for sign in signs)
    return "".join(shown), error.end


codecs.register_error("thalweg", _replace)


class Output:
    """A text stream whose text fits its encoding, and whose reader may leave.

    What the encoding lacks is written as an escape. Where the reader closes the stream, as `head` does, the rest goes
    nowhere and the command goes on to its own exit code.

    Args:
        stream: the stream to write to.
        required: whether text that cannot be written, such as on a full disk, is an error: InputError.
    """

    def __init__(self, stream: TextIO, required: bool) -> None:
        self._stream = stream
        self._required = required
        self._closed = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text. Returns its number of characters."""
        encoding = self._stream.encoding
        if encoding and not text.isascii():
            text = text.encode(encoding, "thalweg").decode(encoding)
        with self._problems_told():
            if not self._closed:
                self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write some texts."""
        for line in lines:
            self.write(line)

    def write_bytes(self, content: bytes) -> None:
        """Write bytes behind the text that is written already."""
        self.flush()
        with self._problems_told():
            if not self._closed:
                self._stream.buffer.write(content)
                self._stream.buffer.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        with self._problems_told():
            if not self._closed:
                self._stream.flush()

    @contextlib.contextmanager
    def _problems_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._close()
            if self._required and not isinstance(error, BrokenPipeError):
                raise InputError("output", f"cannot be written: {error.strerror or error}") from error

    def _close(self) -> None:
        """Send what is buffered, and what is still to come, nowhere."""
        self._closed = True
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class Escaped:
    """A text stream that escapes everything that could control a terminal; see `printable`.

    Args:
        output: the stream to write to.
    """

    def __init__(self, output: TextIO) -> None:
        self.output = output

    def __getattr__(self, name: str) -> object:
        return getattr(self.output, name)

    def write(self, text: str) -> int:
        """Write a text. Returns its number of characters."""
        return self.output.write(printable(text))

    def writelines(self, lines: Iterable[str]) -> None:
        """Write some texts."""
        self.output.writelines(map(printable, lines))


def unescaped(stream: TextIO) -> TextIO:
    """The stream behind an escaped one, for what writes colors itself and escapes its texts by itself."""
    return stream.output if isinstance(stream, Escaped) else stream


def fits_terminal(text: str) -> bool:
    """Whether stdout shows a text as it is: none of its characters is escaped, and its encoding has all of them."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return printable(text) == text


def write_bytes(content: bytes) -> None:
    """Write a document that states its own encoding to stdout."""
    output = unescaped(sys.stdout)
    if isinstance(output, Output):
        output.write_bytes(content)
    else:
        output.flush()
        output.buffer.write(content)


@contextlib.contextmanager
def escaped_streams() -> Iterator[None]:
    """A context in which all text that reaches stdout and stderr is escaped."""
    with (
        contextlib.redirect_stdout(cast(TextIO, Escaped(sys.stdout))),
        contextlib.redirect_stderr(cast(TextIO, Escaped(sys.stderr))),
    ):
        yield


@contextlib.contextmanager
def shell_streams() -> Iterator[None]:
    """The streams of the shell command: open, escaped, in any encoding, and without raw words of libraries."""
    _open_closed()
    hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook = lambda args: _note(args.exc_value)
    sys.unraisablehook = lambda args: _note(args.exc_value)
    try:
        with (
            contextlib.redirect_stdout(cast(TextIO, Output(sys.stdout, required=True))),
            contextlib.redirect_stderr(cast(TextIO, Output(sys.stderr, required=False))),
            escaped_streams(),
            warnings.catch_warnings(),
        ):
            told: set[str] = set()
            warnings.showwarning = lambda message, *place: _note_once(message, told)
            yield
    finally:
        threading.excepthook, sys.unraisablehook = hooks


def _open_closed() -> None:
    """Open each standard stream that was closed before the start to nowhere.

    A file that is opened later would get its number otherwise, and the output of libraries.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115 - open as long as the process
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _note_once(message: Warning | str, told: set[str]) -> None:
    """Print the first line of a library's warning, each warning once."""
    line = str(message).strip().partition("\n")[0]
    if line not in told:
        told.add(line)
        print(f"note: {line}", file=sys.stderr)


def _note(error: BaseException | None) -> None:
    """Print the end of an error that ends no more than a thread or an object."""
    if error is not None and not isinstance(error, SystemExit | BrokenPipeError):
        print(f"note: {traceback.format_exception_only(error)[-1].strip()}", file=sys.stderr)
