"""The command that the README names opens the first page, and the page names all that it loads."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
STATIC = Path(str(files("thalweg.playground"))) / "static"
_IMPORT = re.compile(r"""from\s+"(\.[^"]+)";""")


def command_of(document: str) -> list[str]:
    """The first command of the playground in a document."""
    (line, *_) = re.findall(r"^```\n(thalweg playground)$", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize("document", ["README.md", "docs/playground.md"])
def test_the_command_of_the_documents_opens_a_browser_with_the_first_page(document, tmp_path):
    browser = tmp_path / "browser.py"
    browser.write_text("import sys, pathlib\npathlib.Path(sys.argv[1]).write_text(sys.argv[2])\n")
    shown = tmp_path / "address"
    environment = {**os.environ, "BROWSER": f"{shlex.join([sys.executable, str(browser), str(shown)])} %s"}
    name, *arguments = command_of(document)
    command = [sys.executable, "-m", name, *arguments]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            printed = server.stdout.readline().strip()
            until = time.monotonic() + 30
            while not shown.exists() or not shown.read_text():
                assert time.monotonic() < until
                time.sleep(0.02)
            assert shown.read_text() == printed
            answer = httpx.get(printed, follow_redirects=True)
            assert answer.status_code == 200
            assert answer.text == (STATIC / "index.html").read_text(encoding="utf-8")
        finally:
            server.send_signal(signal.SIGINT)


def imported_by(module: Path, found: set[Path]) -> set[Path]:
    """The modules that a module of the page loads, and those that these load."""
    for name in _IMPORT.findall(module.read_text(encoding="utf-8")):
        other = (module.parent / name).resolve()
        if other not in found:
            found.add(other)
            imported_by(other, found)
    return found


def test_the_browser_hears_of_all_modules_at_once():
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    named = {STATIC.resolve() / name for name in re.findall(r'rel="modulepreload" href="/static/([^"]+)"', page)}
    assert named == imported_by(STATIC.resolve() / "js" / "main.js", set())
