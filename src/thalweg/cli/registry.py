"""The commands of the shell: each module in commands/ registers its command with the decorator `command`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")

_COMMANDS: dict[Callable[..., None], int] = {}


def command(*, position: int) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a function as the command of its name.

    The parameters of the function are the arguments and options of the command, its docstring is the help text.
    `thalweg --help` lists the commands by `position`.
    """

    def register(function: Callable[P, None]) -> Callable[P, None]:
        _COMMANDS[function] = position
        return function

    return register


def commands() -> list[Callable[..., None]]:
    """All commands, sorted by position, after every module in commands/ was imported."""
    package = f"{__package__}.commands"
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
    return sorted(_COMMANDS, key=_COMMANDS.__getitem__)
