"""The shell command `thalweg` with its subcommands.

A module of this folder imports what is slow to import inside of its functions, so that `thalweg --help` is quick.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated, NoReturn

import typer

from .output import EXIT_BUG, EXIT_INPUT, EXIT_INTERRUPTED
from .registry import commands

app = typer.Typer(
    name="thalweg",
    help="A training laboratory for neural networks: train, see every number, find out why a network does not learn.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for function in commands():
    app.command()(function)


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
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(EXIT_INTERRUPTED)
        except OSError as error:
            _fail(f"{error.filename or 'the system'}: cannot be used: {error.strerror or error}")
        except Exception:
            # A mistake of the program. Its traceback may hold text from outside, so it takes the same way.
            traceback.print_exc()
            sys.exit(EXIT_BUG)


def _fail(message: str) -> NoReturn:
    print(f"thalweg: {message}", file=sys.stderr)
    sys.exit(EXIT_INPUT)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from importlib import metadata

        print(metadata.version("thalweg"))
        raise typer.Exit
