"""A trial of the campaign."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple


class Trial(NamedTuple):
    """One attack or accident.

    name: what is tried, in a few words.
    run: tries it in the empty folder that it is given; returns what went wrong, or "".
    """

    name: str
    run: Callable[[Path], str]


class Ended(NamedTuple):
    """A command that has ended: its exit code and what it wrote, as bytes."""

    code: int
    out: bytes
    err: bytes


def thalweg(
    *words: str | int | Path, folder: Path, seconds: float = 90, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run `thalweg WORDS` in a folder, in a process of its own. Raises TimeoutExpired where it hangs."""
    done = subprocess.run(
        [sys.executable, "-m", "thalweg", *map(str, words)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def refused(ended: Ended) -> str:
    """What is wrong with the answer to bad input, or "": expected are exit code 2 and one message without traceback."""
    if b"Traceback" in ended.err + ended.out:
        return f"a traceback: {ended.err[-600:]!r}"
    if ended.code != 2:
        return f"exit code {ended.code}: {ended.err[-600:]!r}"
    return "" if ended.err.strip() else "no message"
