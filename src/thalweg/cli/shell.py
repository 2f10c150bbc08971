"""The shell: `thalweg train`, `lr-range`, `predict`, `runs`, `report`, `doctor`, `experiment`, `explain`,
`gradient-flow`, `landscape`, `boundary`, `arena`, `lesson`, `exercise`.

What takes time to import is imported when it is needed.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from . import arena, boundary, doctor, experiment, landscape, learning, training
from .shared import EXIT_INPUT, EXIT_INTERRUPTED

app = typer.Typer(
    name="thalweg",
    help="A training laboratory for neural networks: train, see every number, find out why a network does not learn.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for command in (
    *(training.train, training.lr_range, training.predict, training.runs, training.report),
    *(
        doctor.doctor,
        experiment.experiment,
        learning.explain,
        learning.gradient_flow,
        landscape.landscape,
        boundary.boundary,
        arena.arena,
        learning.lesson,
        learning.exercise,
    ),
):
    app.command()(command)


def main() -> None:
    """Run the shell command: a user's mistake is one message on stderr and exit code 2, never a traceback."""
    from ..core.errors import InputError

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
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; there is nobody to tell.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.filename is not None:
            _fail(f"{error.filename}: can not be used: {error.strerror}")
        # What was printed and not written yet would fail a second time when Python ends.
        sys.stdout = None
        _fail(f"the output can not be written: {error.strerror or error}")


def _fail(message: str) -> NoReturn:
    print(f"thalweg: {message}", file=sys.stderr)
    sys.exit(EXIT_INPUT)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        from importlib import metadata

        print(metadata.version("thalweg"))
        raise typer.Exit
