"""Find the parts that the modules of a folder define."""

from __future__ import annotations

import importlib
import pkgutil

from ..parts.part import Part


def kinds_in(package: str) -> list[type[Part]]:
    """Import every module of a package, and return the kinds of parts that these modules define.

    A new lesson or exercise is therefore one file: no list of them has to be edited.
    """
    folder = importlib.import_module(package)
    kinds: list[type[Part]] = []
    for info in pkgutil.iter_modules(folder.__path__):
        module = importlib.import_module(f"{package}.{info.name}")
        classes = (value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Part))
        kinds += [kind for kind in classes if kind.kind and kind.__module__ == module.__name__]
    return kinds
