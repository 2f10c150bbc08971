"""A playground of its own, and a Chromium that looks at it. Without Chromium or Playwright these tests are left out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from thalweg.data import Source

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_START_SECONDS = 60
_WAIT_SECONDS = 40


class Browsed:
    """A page of the playground, and what its server sent to it."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.state: dict[str, Any] = {}
        self.frame: dict[str, Any] = {}
        self.points: dict[str, Any] = {}
        self.diagnosis: dict[str, Any] = {}
        self.trials: list[dict[str, Any]] = []
        self.stopped: str | None = None
        self.refused: list[str] = []
        self.complaints: list[str] = []
        page.on("websocket", lambda socket: socket.on("framereceived", self._receive))
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _receive(self, content: str | bytes) -> None:
        if isinstance(content, bytes):
            length = int.from_bytes(content[:4], "little")
            self.frame = json.loads(content[4 : 4 + length])
            return
        message = json.loads(content)
        match message["type"]:
            case "state":
                self.state = message
            case "points":
                self.points = message
            case "finding":
                self.diagnosis = message
            case "trial":
                self.trials.append(message)
            case "error":
                self.refused.append(message["message"])
            case "stopped":
                self.stopped = message["reason"]

    def open(self, **places: object) -> Browsed:
        """Open the playground with these values in its address, and wait until the network is drawn.

        The eager engine trains unless the address says something else: nobody waits for compilers.
        """
        places = {"training__engine": "eager", **places}
        written = {
            name.replace("__", "."): value if isinstance(value, str) else json.dumps(value)
            for name, value in places.items()
        }
        fragment = "&".join(f"{name}={quote(value)}" for name, value in written.items())
        self.page.goto(f"{self.address}#{fragment}")
        self.page.wait_for_selector(".unit canvas", timeout=1000 * _WAIT_SECONDS)
        self.until(lambda: bool(self.state and self.frame))
        return self

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; the page goes on meanwhile."""
        end = time.monotonic() + _WAIT_SECONDS
        while not holds():
            assert time.monotonic() < end, (self.state, self.complaints)
            self.page.wait_for_timeout(30)

    @property
    def source(self) -> dict[str, Any]:
        """The source of the rows, as a table."""
        source = Source.of(self.state["spec"]["data"]["source"])
        return {"kind": source.kind, **vars(source)}

    def weights(self) -> list[tuple[str, float, float]]:
        """The range of each array of weights and biases."""
        arrays = [array for array in self.frame["arrays"] if array["name"][:2] in ("W.", "b.")]
        return [(array["name"], array["low"], array["high"]) for array in arrays]

    def text(self, selector: str) -> str:
        """The text that is shown at a place."""
        shown: str = self.page.inner_text(selector)
        return shown

    def picture(self, selector: str) -> bytes:
        """The pixels of a canvas as PNG."""
        pixels: str = self.page.eval_on_selector(selector, "canvas => canvas.toDataURL()")
        return pixels.encode()


@contextmanager
def playground(folder: Path, port: int = 0, arguments: Sequence[str] = ()) -> Iterator[str]:
    """A playground that runs meanwhile: its address with the token."""
    command = [sys.executable, "-m", "thalweg", "playground", "--no-browser", "--folder", str(folder / "runs")]
    command += ["--port", str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=_environment()) as server:
        assert server.stdout is not None
        shown = server.stdout.readline()
        try:
            yield next(word for word in shown.split() if word.startswith("http"))
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(_START_SECONDS)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a playground with its token."""
    if CHROMIUM is None:
        pytest.skip("the page is not tested: there is no Chromium; install the package chromium of your system")
    with playground(tmp_path_factory.mktemp("playground")) as shown:
        yield shown


@pytest.fixture
def another() -> Callable[..., AbstractContextManager[str]]:
    """Starts one more playground: another(folder, port, arguments)."""
    return playground


def _environment() -> dict[str, str]:
    source = Path(__file__).parents[3] / "src"
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture(scope="session")
def chromium(address: str) -> Iterator[Any]:
    """A running Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is not tested: playwright is missing")
    with playwright.sync_playwright() as library:
        browser = library.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(chromium: Any) -> Iterator[Any]:
    """The profile of a browser: it has read the files of the page once."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture
def browsed(context: Any, address: str) -> Iterator[Browsed]:
    """A page of 1440 pixels that complains about nothing."""
    found = Browsed(context.new_page(), address)
    yield found
    with suppress(Exception):
        found.page.evaluate("localStorage.clear()")
    found.page.close()
    assert found.complaints == []
