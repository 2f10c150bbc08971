"""Find the classes that the modules of a folder define."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TypeVar

from ..parts.part import Part

P = TypeVar("P", bound=Part)


def kinds_in(package: str, family: type[P]) -> list[type[P]]:
    """Import every module of a package and return the members of a family that these modules define.

    A new lesson or exercise is therefore one file: no list of them has to be edited.
    """
    folder = importlib.import_module(package)
    kinds: list[type[P]] = []
    for found in pkgutil.iter_modules(folder.__path__):
        module = importlib.import_module(f"{package}.{found.name}")
        defined = (value for value in vars(module).values() if isinstance(value, type))
        kinds += [value for value in defined if issubclass(value, family) and value.__module__ == module.__name__]
    return kinds
