"""Where a recipe comes from: the file that defines it, and whether other processes can import its factories."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import traceback
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType

import torch

from ...core.errors import InputError, Problem
from ...core.files import read_bytes
from ...core.printable import received
from .recipe import FACTORIES, Recipe
from .rows import RecipeRows

_LARGEST_FILE = 2**20


def load_recipe(path: str | Path) -> Recipe:
    """The recipe that a Python file defines: `recipe = thalweg.Recipe(...)`, or `def recipe()` that returns one.

    The file is run, as `import` runs it; its folder is where its own imports are found.

    Raises InputError where the file cannot be read, raises an error, or defines no recipe.
    """
    module = _module(Path(path).resolve())
    found = getattr(module, "recipe", None)
    if isinstance(found, FunctionType):
        try:
            found = found()
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise _error(Path(path), error) from error
    if not isinstance(found, Recipe):
        known = received(found) if hasattr(module, "recipe") else "none"
        raise InputError(
            str(path), f"expected `recipe = thalweg.Recipe(...)` or `def recipe()` that returns one, received {known}"
        )
    return found


def _module(path: Path) -> ModuleType:
    """The module of a file, under a name that depends on its path alone, so that it is run once in a process."""
    text = read_bytes(path, _LARGEST_FILE)
    name = f"thalweg_recipe_{hashlib.sha256(str(path).encode() + text).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        # It stays there: a function of the file may import when it is called.
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        # A file that ends its process, with `sys.exit`, defines no recipe either.
        if isinstance(error, InputError) or not isinstance(error, Exception | SystemExit):
            raise
        raise _error(path, error) from error
    return module


def _error(path: Path, error: BaseException) -> InputError:
    """The error of the user's code with the last of its lines that took part."""
    own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path.resolve())]
    line = f" line {own[-1]}:" if own else ""
    return InputError(str(path), f"{line} {type(error).__name__}: {error}".strip())


def code_of(recipe: Recipe, rows: RecipeRows) -> str:
    """A hash of the files of the factories, of the plain options, and of the rows."""
    factories = [getattr(recipe, name) for name in FACTORIES]
    texts = {_source(factory) for factory in factories if callable(factory)}
    names = [repr(each) if isinstance(each, torch.nn.Module | str) else _qualified(each) for each in factories]
    plain = [recipe.epochs, recipe.batch_size, recipe.shuffle, recipe.clip, rows.fingerprint]
    return hashlib.sha256("\0".join([*names, *map(str, plain), *sorted(texts)]).encode()).hexdigest()


def _qualified(factory: object) -> str:
    own = _plain(factory)
    return getattr(own, "__qualname__", type(own).__qualname__)


def _source(factory: object) -> str:
    module = sys.modules.get(getattr(_plain(factory), "__module__", "") or "")
    try:
        return inspect.getsource(module) if module else ""
    except (OSError, TypeError):
        return ""


def _plain(factory: object) -> object:
    return _plain(factory.func) if isinstance(factory, partial) else factory


def check_importable(recipe: Recipe) -> None:
    """Raise InputError with every factory that another process cannot import: a lambda, or one of `__main__`."""
    problems = []
    for name in FACTORIES:
        factory = getattr(recipe, name)
        if not callable(factory) or isinstance(factory, torch.nn.Module):
            continue
        qualified = _qualified(factory)
        if "<" in qualified:
            problems.append(Problem(name, f"{qualified} is a lambda or a function inside of another one"))
        elif getattr(_plain(factory), "__module__", None) == "__main__":
            problems.append(Problem(name, f"{qualified} is defined in the program that runs (`__main__`)"))
    if problems:
        fix = (
            "put the recipe into a file of its own and import it, use `thalweg doctor FILE.py --prove`, or pass jobs=1"
        )
        raise InputError("Recipe", [*problems, Problem("", f"other processes cannot import these factories; {fix}")])
