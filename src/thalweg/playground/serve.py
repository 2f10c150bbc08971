"""Starting and ending the server."""

from __future__ import annotations

import ipaddress
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from ..core.errors import InputError
from ..spec.edit import SpecTable
from .labs.process import LabProcess
from .security import Access
from .server import Playground, application

_LOOPBACK = ("127.0.0.1", "localhost")
_GRACE_SECONDS = 1


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("192.168.0.7")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; port 0 takes a free one. Raises InputError where it cannot be taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    # A port of a server that has just ended is free; on Windows this option would let two servers share it.
    if hasattr(socket, "SO_REUSEPORT"):
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except (OSError, OverflowError) as error:
        taken.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError("--port", f"{host}:{port} cannot be used: {reason}; --port 0 takes a free one") from None
    taken.listen()
    return taken


class _Server(uvicorn.Server):
    """A server that says when it listens, and whose processes end before it waits for its requests.

    Args:
        config: that of uvicorn.
        started: is called when it listens.
        end_processes: ends the processes.
    """

    def __init__(self, config: uvicorn.Config, started: Callable[[], None], end_processes: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell_started = started
        self._end_processes = end_processes

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Requests that wait for a process end with it.
        self._end_processes()
        await super().shutdown(sockets)


def _config(app: ASGIApp) -> uvicorn.Config:
    """The settings of the server: sizes are bounded, and it does not say what it is."""
    return uvicorn.Config(
        app,
        log_level="error",
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ws_max_size=2**20,
        # Nothing is gained on the way to the same machine, and every frame would wait for it.
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=2**16,
        server_header=False,
    )


def serve(
    first: SpecTable,
    files: tuple[str, ...] = (),
    folder: Path = Path("runs"),
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    spare: LabProcess | None = None,
    state: str = "",
    browser: bool,
    tell: Callable[[str], None],
) -> None:
    """Serve the playground until Ctrl-C.

    Args:
        first: the spec that a page begins with.
        files: the data files that specs may name besides uploads.
        folder: the folder of runs and experiments.
        host: the address to listen at; every address but a loopback one is reached from other machines.
        port: the port; 0 takes a free one.
        spare: the process of the first lab, where it was started already.
        state: the fragment of the address: the state in which the page opens.
        browser: whether to open a browser.
        tell: hears the address of the page, with its token, once the server listens.

    Raises:
        InputError: the address cannot be used.
    """
    taken = listening(host, port)
    port = int(taken.getsockname()[1])
    names = [*_LOOPBACK, "::1"] if is_loopback(host) else [host]
    access = Access.at(dict.fromkeys([host, *names]), port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/?token={access.token}{f'#{state}' if state else ''}"

    app = application(Playground(access, first, files, folder, spare=spare))

    def started() -> None:
        tell(address)
        if browser:
            webbrowser.open(address)

    try:
        _Server(_config(app), started, app.state.end_processes).run(sockets=[taken])
    finally:
        taken.close()
