"""The shell command, run in this process, where jax is imported already."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from thalweg.cli import main


class Finished(NamedTuple):
    """What a finished process shows: its exit code and its output."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """Calls `thalweg WORDS` as the shell does, in the current folder or in `cwd`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str | int | Path, cwd: Path | None = None) -> Finished:
        self._capsys.readouterr()
        folder = os.getcwd()
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["thalweg", *map(str, words)])
            patch.chdir(cwd or folder)
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
        return Finished(code, *self._capsys.readouterr())
