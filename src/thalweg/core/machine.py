"""The machine that this process runs on, and the libraries that decide its numbers."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

__version__ = metadata.version("thalweg")
"""The version of Thalweg that is installed."""

_LIBRARIES = ("numpy", "jax", "polars")


def available_cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def machine_in_words() -> str:
    """System, processor and number of cores that this process may use: what decides how sums are rounded.

    >>> machine_in_words().startswith(platform.system())
    True
    """
    return f"{platform.system()} {platform.machine()}, {_processor()}, {len(available_cores())} cores"


def libraries_in_words() -> str:
    """The versions of the libraries that compute or read numbers.

    >>> [words.split()[0] for words in libraries_in_words().split(", ")]
    ['numpy', 'jax', 'polars']
    """
    return ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)


def _processor() -> str:
    """The model of the processor, where the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(named), platform.processor()) or "unknown processor"
