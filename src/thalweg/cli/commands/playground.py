"""`thalweg playground`: a page on which networks are built and trained while you watch."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import DataFile, Settings, SpecName, Target
from ..registry import command
from ..source import source_of

if TYPE_CHECKING:
    from ...core.files import JsonObject


@command(position=15)
def playground(
    spec: SpecName = None,
    data: DataFile = None,
    target: Target = None,
    settings: Settings = None,
    lesson: Annotated[
        str | None, typer.Option("--lesson", help="Open a lesson beside its network.", show_default=False)
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", help="The folder of runs and experiments.")] = Path("runs"),
    port: Annotated[int, typer.Option("--port", help="The port of the page; 0 takes a free one.")] = 0,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen at. Only 127.0.0.1 is for this machine alone.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Open a page to build and train networks.

    You watch every number while a network trains, and ask why. The page is served to this machine alone, until Ctrl-C.

    \b
    thalweg playground
    thalweg playground --data titanic.csv --target survived
    thalweg playground my-spec.toml --no-browser --port 8000
    thalweg playground --lesson vanishing
    """
    import os
    import sys

    from ...core.errors import InputError
    from ...playground.labs.process import LabProcess

    # It loads its libraries while the server does.
    spare = LabProcess()
    from ...playground.serve import is_loopback, serve
    from ...playground.specs import DEFAULT

    files: tuple[str, ...] = ()
    if lesson is not None:
        first = _spec_of_lesson(lesson, spec, data, settings)
    elif spec is None and data is None and not settings:
        first = dict(DEFAULT)
    else:
        described = source_of("playground", spec, settings=settings, data=data, target=target).spec()
        first, files = dict(described.describe()), described.data.source.named_files
        if missing := next((name for name in files if not os.path.exists(name)), None):
            raise InputError(missing, "there is no such file or folder")
    if not is_loopback(host):
        print(
            f"thalweg: {host} can be reached from other machines: everybody with the address below can train here and"
            " read the data that you open; nothing is encrypted",
            file=sys.stderr,
        )
    state = f"lesson={lesson}" if lesson else ""
    tell = partial(print, flush=True)
    serve(first, files, folder, host, port, spare=spare, state=state, browser=browser, tell=tell)


def _spec_of_lesson(name: str, spec: str | None, data: str | None, settings: list[str] | None) -> JsonObject:
    """The spec with which a lesson opens. Raises InputError where it has none, or where another one is given too."""
    from ...core.errors import InputError
    from ...learn import catalogue

    if spec is not None or data is not None or settings:
        raise InputError("--lesson", "brings its own spec, so it takes no spec, no --data and no --set")
    opening = catalogue.lesson(name, quick=True).playground
    if opening is None:
        raise InputError("--lesson", f"{name} has no training to show; read it: thalweg lesson {name}")
    return opening.describe()
