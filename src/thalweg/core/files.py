"""JSON types, files that are written whole or not at all, and the cache folder of the user."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypeAlias

from .errors import InputError

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
"""A value of JSON or TOML."""
JsonObject: TypeAlias = dict[str, Json]
"""A table of JSON or TOML."""


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
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _flush_folder(path.parent)
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror or error}") from error


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
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(str(path), f"cannot be removed: {error.strerror or error}") from error


def cache_folder() -> Path:
    """The folder of compiled programs and downloads: $THALWEG_CACHE, or the cache folder of the user on this system."""
    import platformdirs

    return Path(os.environ.get("THALWEG_CACHE") or platformdirs.user_cache_dir("thalweg"))
