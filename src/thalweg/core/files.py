"""Files that are whole or not there at all, and the user's own cache folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypeAlias

from .errors import InputError

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
"""A value as JSON and TOML know it."""
JsonObject: TypeAlias = dict[str, Json]
"""A table of JSON or TOML."""


def commit(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all: beside it, flushed to the disk, then renamed; folders are made if need be.

    Of two processes that write at once the last to rename stands. Raises InputError where the folder can not be written
    or the disk is full; the file is then as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(beside, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InputError(str(path), f"can not be written: {error.strerror or error}") from error


def remove(path: Path) -> None:
    """Remove a file, if it is there. Raises InputError where the folder can not be written."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(str(path), f"can not be removed: {error.strerror or error}") from error


def cache_folder() -> Path:
    """Where compiled programs and downloads are kept: $THALWEG_CACHE, or the user's cache folder of this system."""
    import platformdirs

    return Path(os.environ.get("THALWEG_CACHE") or platformdirs.user_cache_dir("thalweg"))
