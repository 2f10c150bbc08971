"""JSON types, bounded reading of files, files that are written whole or not at all, and the user's cache folder."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from .bounds import check_bounds
from .errors import InputError

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
"""A value of JSON or TOML."""
JsonObject: TypeAlias = dict[str, Json]
"""A table of JSON or TOML."""

# Seconds between the tries to change a file that another process has open: a second in all.
_WAITS = (0.01, 0.03, 0.1, 0.3, 0.56)


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """A context with a regular file, open for reading. A link to a regular file counts as one.

    Raises InputError for a folder, a pipe, a socket or a device, which may never end, and for a file that cannot be
    read.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(str(path), "expected a regular file, received a pipe or a device")
            yield file
    except InputError:
        raise
    except IsADirectoryError:
        raise InputError(str(path), "expected a regular file, received a folder") from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        # A name that no file can have.
        raise InputError(repr(str(path)), f"cannot be read: {error}") from error


def _without_waiting(name: str, flags: int) -> int:
    # Without this flag, opening a pipe waits for its other end.
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def read_bytes(path: Path, largest: int) -> bytes:
    """The content of a regular file of at most `largest` bytes. Raises InputError for any other file."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # Some files of the system claim to be empty, so that the size alone proves nothing.
        content = file.read(largest + 1) if size <= largest else b""
    if max(size, len(content)) > largest:
        raise InputError(str(path), f"expected at most {largest:,} bytes, received {max(size, len(content)):,}")
    return content


def read_json(path: Path, largest: int) -> Json:
    """The value in a JSON file of at most `largest` bytes.

    Raises InputError where it cannot be read, is not JSON, is nested too deeply or has a number that is too large.
    """
    return parsed_json(str(path), read_bytes(path, largest))


def parsed_json(subject: str, content: bytes) -> Json:
    """The value of a JSON text; `subject` names it in errors. Raises InputError as `read_json` does."""
    try:
        value: Json = json.loads(content)
    except RecursionError:
        raise InputError(subject, "is nested too deeply") from None
    except ValueError as error:
        raise InputError(subject, f"is not valid JSON: {error}") from None
    check_bounds(subject, value)
    return value


def commit(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a temporary file in the same folder, flushed to disk, then renamed.

    Creates missing folders. If two processes write at once, the last rename wins. Raises InputError if the folder
    cannot be written or the disk is full; the file then keeps its old content.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _flush_folder(path.parent)
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror or error}") from error


def replace(source: Path, target: Path) -> None:
    """Rename a file or a folder; a file of the new name is replaced. Raises OSError where that is not possible."""
    _patiently(lambda: os.replace(source, target))


def _patiently(change: Callable[[], None]) -> None:
    """Make a change of a file, which Windows refuses while another process has the file open: mostly for an instant."""
    for seconds in _WAITS:
        try:
            return change()
        except PermissionError:
            time.sleep(seconds)
    return change()


def _flush_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system opens folders as files; Windows does not."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def remove(path: Path) -> None:
    """Remove a file if it exists. Raises InputError if the folder cannot be written."""
    try:
        _patiently(lambda: path.unlink(missing_ok=True))
    except OSError as error:
        raise InputError(str(path), f"cannot be removed: {error.strerror or error}") from error


def cache_folder() -> Path:
    """The folder of compiled programs and downloads: $THALWEG_CACHE, or the cache folder of the user on this system."""
    import platformdirs

    return Path(os.environ.get("THALWEG_CACHE") or platformdirs.user_cache_dir("thalweg"))
