"""The entry points of a lab's processes: the server starts them without loading their libraries."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection

# Frames go first, then the training, and analyses last. Above 0, a process leaves the processor to others.
_TRAINER, _ANALYST = 3, 6


def lab(connection: Connection, trainer: Connection, analyst: Connection) -> None:
    """The process that trains on the eager engine, and draws."""
    from .commands import serve_lab

    serve_lab(connection, trainer, analyst)


def trainer(connection: Connection) -> None:
    """The process that trains on the compiled engine; it loads nothing before there is something to compile."""
    # Ctrl-C is for the server, which closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _give_way(_TRAINER)
    connection.poll(None)
    from ..live.trainer import serve_trainer

    serve_trainer(connection)


def analyst(connection: Connection) -> None:
    """The process that analyses."""
    _give_way(_ANALYST)
    from ..analyses.analyst import serve_analyst
    from ..analyses.jobs import FUNCTIONS

    serve_analyst(connection, FUNCTIONS)


def _give_way(niceness: int) -> None:
    """Let processes of a lower niceness go first, also while this one loads its libraries."""
    if hasattr(os, "nice"):
        os.nice(niceness)
