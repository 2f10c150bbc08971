"""A lock on a folder: one process at a time writes there, and a dead process releases it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from .errors import InputError
from .files import remove

LOCK_FILE = ".lock"
"""The file of a lock, which is no content of its folder."""

# Seconds until a lock that another process holds is an error: it writes its name after it has the lock, and until then
# the file may name a process that was killed.
_PATIENCE = 1.0


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder for this process alone, without half-written files of processes that died.

    The file of the lock stays: a lock on a file that was removed would keep nobody out.

    Raises:
        InputError: another process holds the lock (it is named), or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    path = folder / LOCK_FILE
    if path.is_symlink():
        raise InputError(str(path), "expected a file, received a link to another one; remove it")
    try:
        lock = FileLock(path).acquire(timeout=_PATIENCE)
    except Timeout as error:
        fix = "wait until it has ended, or use another folder"
        raise InputError(str(folder), f"another process is writing here{_holder(path)}; {fix}") from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(str(folder), f"cannot be locked for writing: {reason}") from error
    with lock:
        holder = {"process": os.getpid(), "host": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
        _write(path, json.dumps(holder).encode())
        sweep(folder)
        try:
            yield
        finally:
            _write(path, b"")


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder now."""
    from filelock import FileLock, Timeout

    path = folder / LOCK_FILE
    if not path.is_file() or path.is_symlink():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False


def sweep(folder: Path) -> None:
    """Remove half-written files of processes that died. Raises InputError if the folder cannot be written."""
    for path in folder.glob(".*.part"):
        remove(path)


def _write(path: Path, holder: bytes) -> None:
    """Write who holds a lock into its file, after the first byte: Windows locks that one, and nobody can read it."""
    try:
        with open(path, "r+b") as file:
            file.seek(1)
            file.write(holder)
            file.truncate()
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror or error}") from error


def _holder(path: Path) -> str:
    """The process that holds a lock, in words; "" where its file cannot be read, or is not written yet."""
    try:
        with open(path, "rb") as file:
            file.seek(1)
            holder = json.loads(file.read(1000))
        host, since = (ascii(str(holder[name])[:80])[1:-1] for name in ("host", "since"))
        return f": process {int(holder['process'])} on {host}, since {since}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
