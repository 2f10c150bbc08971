"""The shell command `thalweg` with its subcommands.

A module of this folder imports what is slow to import inside of its functions, so that `thalweg --help` is quick.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from .output import EXIT_BUG, EXIT_INPUT, EXIT_INTERRUPTED
from .registry import commands

LONGEST_END = 5.0
"""Seconds from the last line of a command to the end of its process."""

app = typer.Typer(
    name="thalweg",
    help="A training laboratory for neural networks: train, see every number, find out why a network does not learn.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for function in commands():
    app.command()(function)


def program() -> None:
    """The shell command as a process of its own: `main`, and an end that no library can hold up."""
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
        threading.Thread(target=_end_after, args=(code, LONGEST_END), daemon=True).start()
        raise


def _end_after(code: int, seconds: float) -> None:
    """End this process, whatever its other threads, its workers and its exit functions wait for."""
    time.sleep(seconds)
    os._exit(code)


def main() -> None:
    """Run the shell command. A mistake of the user is one message on stderr and exit code 2, never a traceback."""
    from ..core.errors import InputError
    from ..core.streams import shell_streams

    with shell_streams():
        try:
            try:
                app()
            finally:
                sys.stdout.flush()
        except InputError as error:
            _fail(str(error))
        except MemoryError:
            _fail("not enough memory: take fewer rows, a smaller batch or narrower layers")
        except KeyboardInterrupt:
            _exit_interrupted("interrupted")
        except SystemExit as end:
            # Typer makes an exit of the interrupt.
            if end.code == EXIT_INTERRUPTED:
                _exit_interrupted()
            raise
        except OSError as error:
            _fail(f"{error.filename or 'the system'}: cannot be used: {error.strerror or error}")
        except Exception:
            # A mistake of the program. Its traceback may hold text from outside, so it takes the same way.
            traceback.print_exc()
            sys.exit(EXIT_BUG)


def _exit_interrupted(message: str = "") -> NoReturn:
    """End at once: a second Ctrl-C changes nothing, and no library waits for its threads and processes at the exit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError, ValueError, AttributeError):
        if message:
            print(message, file=sys.stderr)
        sys.stderr.flush()
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    os._exit(EXIT_INTERRUPTED)


def _fail(message: str) -> NoReturn:
    print(f"thalweg: {message}", file=sys.stderr)
    sys.exit(EXIT_INPUT)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from ..core.machine import __version__

        print(__version__)
        raise typer.Exit
