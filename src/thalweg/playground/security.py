"""What the server lets in: requests of its own page only, of bounded size and rate."""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
# A style has no power here, and the charts of plotly set some.
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_TARGET_BYTES = 8 * 2**10


@dataclass
class Access:
    """Who may ask: a page that was opened with the token, under one of the server's own names.

    Attributes:
        hosts: the values of the header Host that are accepted: names with the port.
        token: the secret in the address that the shell prints.
        cookie: the name of the cookie; it differs by port, since cookies do not.
        session: the secret in the cookie.
    """

    hosts: tuple[str, ...]
    cookie: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @classmethod
    def at(cls, names: Iterable[str], port: int) -> Access:
        """The access to a server at some names and one port."""
        hosts = tuple(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names)
        return cls(hosts, f"thalweg-{port}")

    @property
    def origins(self) -> set[str]:
        """The origins of the own pages."""
        return {f"http://{host}" for host in self.hosts}


class RateLimit:
    """Lets a burst of requests pass, and then so many a second (a token bucket).

    Args:
        burst: the most requests at once.
        rate: requests a second.
    """

    def __init__(self, burst: float, rate: float) -> None:
        self.burst = burst
        self.rate = rate
        self._left = burst
        self._since = time.monotonic()

    def passes(self) -> bool:
        """Whether one more request may pass now."""
        now = time.monotonic()
        self._left = min(self.burst, self._left + (now - self._since) * self.rate)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Guard:
    """Refuses every request that does not come from the own page, and adds the headers that protect it (ASGI).

    A request needs a Host among the server's own names; the cookie, unless it brings the token to the first page; no
    foreign Origin, and the own one where it changes something or opens a websocket.

    Args:
        app: the application.
        access: who may ask.
        limit: how many requests pass.
    """

    def __init__(self, app: ASGIApp, access: Access, limit: RateLimit) -> None:
        self.app = app
        self.access = access
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is not None:
            await _refuse(scope, send, *refused)
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        if self._brings_token(scope):
            await self._let_in(send)
            return
        await self._guarded(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the reason with which a request is refused; None where it is not."""
        headers = _headers(scope)
        origin = headers.get("origin")
        method = scope.get("method", "GET")
        changes = method in _CHANGING or scope["type"] == "websocket"
        if headers.get("host") not in self.access.hosts:
            return 403, "this address is not the server's own"
        if origin is not None and origin not in self.access.origins:
            return 403, "another site may not ask"
        if changes and origin is None:
            return 403, "the request does not say which site it comes from"
        foreign = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        # A link on another site may open the first page with its token, and nothing else.
        if foreign and not self._brings_token(scope):
            return 403, "another site may not ask"
        if not (self._brings_token(scope) or self._has_cookie(headers.get("cookie", ""))):
            return 403, "open the address that `thalweg playground` printed: it has a token"
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > _TARGET_BYTES:
            return 414, "the address is too long"
        if not self.limit.passes():
            return 429, "too many requests at once"
        return None

    def _brings_token(self, scope: Scope) -> bool:
        """Whether a request opens the first page with the token."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            return False
        try:
            given = parse_qs(scope["query_string"].decode("ascii"), max_num_fields=10).get("token", [])
        except ValueError:
            return False
        return len(given) == 1 and hmac.compare_digest(given[0].encode(), self.access.token.encode())

    def _has_cookie(self, header: str) -> bool:
        try:
            cookies = SimpleCookie(header)
        except CookieError:
            return False
        given = cookies.get(self.access.cookie)
        return given is not None and hmac.compare_digest(given.value.encode(), self.access.session.encode())

    async def _let_in(self, send: Send) -> None:
        """Set the cookie and go to the page without the token; the browser keeps the fragment of the address."""
        cookie = f"{self.access.cookie}={self.access.session}; Path=/; HttpOnly; SameSite=Strict"
        headers = {
            **_HEADERS,
            "location": "/",
            "set-cookie": cookie,
            "cache-control": "no-store",
            "content-length": "0",
        }
        await send({"type": "http.response.start", "status": 303, "headers": _raw(headers)})
        await send({"type": "http.response.body", "body": b""})

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its answer."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                added = [pair for pair in _raw(_HEADERS) if pair[0] not in known]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, guarded)


async def body_of(request: Request, most: int) -> bytes:
    """The body of a request. Raises HTTPException (413) where it has more than `most` bytes."""
    parts = []
    received = 0
    async for part in request.stream():
        received += len(part)
        if received > most:
            raise HTTPException(413, f"expected a body of at most {most:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _headers(scope: Scope) -> dict[str, str]:
    """The headers of a request; one that comes twice has no value, so that nothing can be hidden in the second."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        found[key] = "" if key in found else value.decode("latin-1")
    return found


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": message})
        return
    body = json.dumps({"message": message, "place": ""}).encode()
    headers = {**_HEADERS, "content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    await send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
    await send({"type": "http.response.body", "body": body})
