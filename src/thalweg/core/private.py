"""Folders whose content is trusted, because no other user of this machine can change it; and what is kept there."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import ParamSpec

import numpy as np

from .files import cache_folder, replace
from .machine import __version__

Args = ParamSpec("Args")

_MOST_BYTES = 64 * 2**20
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


def private_folder(name: str) -> str:
    """Make a folder that only this user can read and change, unless it exists. Returns why it is not so, or "".

    The folder belongs to the effective user and has the mode 0700, and so has all that lies in it the same owner. Every
    folder above belongs to this user or to root, and no one else can replace what lies in it. No part of its path is a
    symbolic link, unless the system made it: in the root folder, or as root for another user.

    Where the system has no such owners, as on Windows, the folder is only made.

    Args:
        name: the folder.
    """
    if "://" in name:
        return "is not a folder of this machine"
    try:
        folder = Path(os.path.abspath(name))
        if not hasattr(os, "geteuid"):
            folder.mkdir(parents=True, exist_ok=True)
            return ""
        return _first(_problems(folder))
    except (OSError, ValueError) as error:
        return f"cannot be used: {getattr(error, 'strerror', None) or error}"


def _first(problems: Iterator[str]) -> str:
    return next(problems, "")


def _problems(folder: Path) -> Iterator[str]:
    user = os.geteuid()
    above = Path(folder.anchor)
    left = list(reversed(folder.parts[1:]))
    yield from _open_to_others(above, user)
    links = 0
    while left:
        part = above / left.pop()
        if not os.path.lexists(part):
            part.mkdir(mode=0o700, exist_ok=True)
        status = part.lstat()
        if stat.S_ISLNK(status.st_mode):
            by_system = status.st_uid == 0 and (user != 0 or above == Path(folder.anchor))
            links += 1
            if not by_system or links > _MOST_LINKS:
                yield f"{part} is a symbolic link"
                return
            target = Path(os.path.normpath(above / os.readlink(part)))
            above = Path(folder.anchor)
            left += reversed(target.parts[1:])
            continue
        yield from _open_to_others(part, user)
        above = part
    status = above.lstat()
    if status.st_uid != user:
        yield f"belongs to the user {status.st_uid}, not to {user}"
    if status.st_mode & _OTHERS:
        yield f"has the mode {stat.S_IMODE(status.st_mode):04o}, expected 0700"
    with os.scandir(above) as entries:
        for entry in entries:
            if entry.is_symlink() or entry.stat(follow_symlinks=False).st_uid != user:
                yield f"holds {entry.name}, which is a symbolic link or belongs to another user"


_MOST_LINKS = 8


def _open_to_others(folder: Path, user: int) -> Iterator[str]:
    """Why another user can replace what lies in a folder on the way."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        yield f"{folder} is not a folder"
    elif status.st_uid not in (0, user):
        yield f"{folder} belongs to another user"
    elif status.st_mode & _OTHERS_WRITE and not status.st_mode & stat.S_ISVTX:
        yield f"{folder} can be changed by other users"


# Kept results --------------------------------------------------------------------------------------------------------


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
