"""The memory of this machine and of this process, and estimates that are refused before anything is allocated."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from .errors import InputError

# Where a container has less memory than its machine.
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


@cache
def machine_memory() -> int:
    """The memory of this machine, or of the container that this process runs in, in bytes."""
    total = _system_memory()
    with suppress(OSError, ValueError):
        total = min(total, int(_CONTAINER.read_text(encoding="ascii")))
    return total


def _system_memory() -> int:
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    class Status(ctypes.Structure):
        _fields_ = (("length", ctypes.c_uint32), ("load", ctypes.c_uint32), ("numbers", ctypes.c_uint64 * 7))

    status = Status(length=ctypes.sizeof(Status))
    getattr(ctypes, "windll").kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # noqa: B009
    return int(status.numbers[0])


def release_memory() -> None:
    """Give memory that is free in this process back to the system, where its allocator can: glibc's on Linux."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def check_memory(subject: str, needed: int, fix: str) -> None:
    """Raise InputError if something needs more memory than this machine has.

    Args:
        subject: what needs it.
        needed: a lower estimate, in bytes.
        fix: what the user can change.

    >>> check_memory("dense", 10**18, "make it narrower")
    Traceback (most recent call last):
    ...
    thalweg.core.errors.InputError: dense: needs about 1,000,000,000 GB of memory, the machine has ...; make it narrower
    """
    has = machine_memory()
    if needed > has:
        raise InputError(
            subject, f"needs about {_gigabytes(needed)} of memory, the machine has {_gigabytes(has)}; {fix}"
        )


def _gigabytes(count: int) -> str:
    # Whole numbers: more gigabytes than a float can count have been asked for.
    return f"{max(1, count // 10**9):,} GB" if count < 10**30 else f"10^{len(str(count // 10**9)) - 1} GB"
