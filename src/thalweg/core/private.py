"""Folders whose content is trusted, because no other user of this machine can change it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

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
