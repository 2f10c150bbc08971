"""The places that CONTRIBUTING.md names suffice: one new thing of each kind in a copy of the project works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the package, the tests of parts and the documents."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("src", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "format_0"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "clinic").mkdir()
    return folder


def add(copy: Path, path: str, text: str, before: str | None = None) -> None:
    """Write a new file, or put text into one that exists: before the line that matches, else at its end."""
    file = copy / path
    old = file.read_text(encoding="utf-8") if file.exists() else ""
    if before is None:
        file.write_text(f"{old}\n{text}" if old else text, encoding="utf-8")
        return
    place = re.search(before, old, re.MULTILINE)
    assert place, f"{path} has no {before}"
    file.write_text(old[: place.start()] + text + old[place.start() :], encoding="utf-8")


def python(copy: Path, *arguments: str) -> str:
    """What Python prints in the copy."""
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def tested(copy: Path, *arguments: str) -> None:
    """Run tests in the copy."""
    python(copy, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments)
