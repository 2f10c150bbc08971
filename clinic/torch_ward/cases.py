"""The cases of the ward: programs with the facts in their heads, from a folder or from this package."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HEALTHY = "none"
"""The kind of a program without a fault."""
FIELDS = ("id", "kind", "accepted", "chance")

Watch = Callable[..., object] | None
Program = Callable[[bool, int, Watch], float]
"""program(fixed, seed, watch) trains, and returns the score on held-out rows; higher is better."""


class Case(NamedTuple):
    """A program, and the facts that its author states."""

    name: str
    """Half and number, or the name of the function."""
    kind: str
    """The kind of the fault; `none` for a healthy program."""
    accepted: tuple[str, ...]
    """Other kinds that are an equally true first answer."""
    chance: float
    """The score of the best constant answer."""
    load: Callable[[], Program]
    """Loads the program."""
    places: tuple[str, ...] = ()
    """Places that are right answers; empty for a fault that is in no module or object."""

    @property
    def versions(self) -> tuple[bool, ...]:
        """The values of `fixed` with which the program runs: a healthy one ignores it."""
        return (True,) if self.kind == HEALTHY else (False, True)


def read_cases(folder: Path) -> tuple[Case, ...]:
    """The cases of a folder, in the order of their file names.

    Raises:
        ValueError: for a program without a field in its head.
    """
    return tuple(_read(path) for path in sorted(folder.glob("[0-9][0-9]_*.py")))


def _read(path: Path) -> Case:
    text = path.read_text(encoding="utf-8")
    head: dict[str, str] = {}
    for field in FIELDS:
        match = re.search(rf"^{field}: (.*)$", text, re.MULTILINE)
        if match is None:
            raise ValueError(f"{path.name}: no field {field!r} in its head")
        head[field] = match[1].strip()
    accepted = () if head["accepted"] == "-" else tuple(re.split(r",\s*", head["accepted"]))
    return Case(head["id"], head["kind"], accepted, float(head["chance"]), lambda: _program(path))


def _program(path: Path) -> Program:
    """The program of a file. The module is called `case`, whatever the file's name is."""
    spec = importlib.util.spec_from_file_location("case", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    program: Program = module.program
    return program


def case(
    kind: str, chance: float, *, accepted: tuple[str, ...] = (), places: tuple[str, ...] = ()
) -> Callable[[Program], Case]:
    """Make a case of a program of this package."""

    def make(program: Program) -> Case:
        return Case(program.__name__, kind, accepted, chance, lambda: program, places)

    return make


def cases_of(module: object) -> tuple[Case, ...]:
    """The cases of a module of this package, in its order."""
    return tuple(value for value in vars(module).values() if isinstance(value, Case))
