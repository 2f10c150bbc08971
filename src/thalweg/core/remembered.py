"""Arrays that pure functions compute slowly, kept in the user's cache folder from process to process."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import ParamSpec

import numpy as np

from .files import cache_folder, replace
from .machine import __version__
from .private import private_folder

Args = ParamSpec("Args")

_MOST_BYTES = 64 * 2**20


def remembered(function: Callable[Args, np.ndarray]) -> Callable[Args, np.ndarray]:
    """The same function, whose results outlive the process: equal arguments compute once on a machine.

    A result belongs to the function, its module's text, the versions of Thalweg and scikit-learn, and the arguments. It
    is read only where no other user can change it (`private_folder`); else, and where the file is damaged, the function
    computes.

    Args:
        function: a pure function at the top of a module, of arrays and plain values.
    """
    name = f"{function.__module__}.{function.__qualname__}"

    @functools.wraps(function)
    def recalled(*args: Args.args, **options: Args.kwargs) -> np.ndarray:
        folder = _folder(str(cache_folder() / "results"))
        if folder is None:
            return function(*args, **options)
        digest = hashlib.sha256(f"{name}\0{_origin(function.__code__.co_filename)}".encode())
        for value in (*args, *sorted(options.items())):
            _add(digest.update, value)
        path = folder / f"{digest.hexdigest()[:40]}.npy"
        with contextlib.suppress(OSError, ValueError, EOFError):
            result: np.ndarray = np.load(path)
            os.utime(path)
            return result
        result = function(*args, **options)
        # A full disk, say: the result is computed again next time.
        with contextlib.suppress(OSError):
            temporary = path.with_suffix(f".{os.getpid()}.part")
            with open(temporary, "wb") as file:
                np.save(file, result, allow_pickle=False)
            replace(temporary, path)
        return result

    return recalled


def _add(update: Callable[[bytes], None], value: object) -> None:
    if isinstance(value, np.ndarray):
        update(f"array {value.dtype.str} {value.shape}".encode())
        update(np.ascontiguousarray(value).tobytes())
    else:
        update(f"{type(value).__name__} ".encode())
        update(value.encode() if isinstance(value, str) else repr(value).encode())
    update(b"\0")


@functools.cache
def _origin(file: str) -> str:
    """What computes besides the arguments: the versions, and the text of a module."""
    with contextlib.suppress(OSError):
        return f"{_versions()} {hashlib.sha256(Path(file).read_bytes()).hexdigest()}"
    return _versions()


@functools.cache
def _versions() -> str:
    return f"{__version__} {np.__version__} {metadata.version('scikit-learn')}"


@functools.cache
def _folder(name: str) -> Path | None:
    """The folder, without the results that have not been used for longest where all take too much; None if another user
    could change it."""
    if private_folder(name):
        return None
    with contextlib.suppress(OSError):
        files = sorted(((entry.stat(), entry.path) for entry in os.scandir(name)), key=lambda file: -file[0].st_mtime)
        kept = 0
        for status, path in files:
            kept += status.st_size
            if kept > _MOST_BYTES:
                os.unlink(path)
    return Path(name)
