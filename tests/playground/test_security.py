"""Only the own page is let in: thousands of wrong requests to every route, none accepted, no error of the program."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
from event_loops import run
from starlette.routing import Mount, Route, WebSocketRoute

from thalweg.playground.security import Access, RateLimit
from thalweg.playground.server import Playground, application

PORT = 8123
REQUESTS = 5000
HOST = f"127.0.0.1:{PORT}"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
STRANGE_HOSTS = [
    "",
    "evil.example",
    f"evil.example:{PORT}",
    "127.0.0.1",
    "127.0.0.1:1",
    f"127.0.0.1:{PORT}.evil.example",
]
STRANGE_ORIGINS = [
    "",
    "null",
    "http://evil.example",
    "http://127.0.0.1",
    f"https://{HOST}",
    f"http://{HOST}.evil.example",
]
STRANGE_BODIES = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 5000, b'{"a":' * 300, b"1e9999", b"x" * 300_000]
STRANGE_NAMES = ["", "..", "%2e%2e", "%00", "a" * 3000, "0" * 16, "<script>", "..%2f..%2fetc%2fpasswd", "é", "a b"]


@pytest.fixture
def playground(tmp_path):
    access = Access.at(["127.0.0.1", "localhost"], PORT)
    shown = Playground(access, folder=tmp_path, limit=RateLimit(1e9, 1e9))
    app = application(shown)
    yield app, access
    app.state.lessons.close()


def asked(app, method: str, path: str, headers: dict[str, str], body: bytes = b"", kind: str = "http"):
    """The status of a request, and its headers; for a websocket 101 where it is accepted, else 403."""
    path, _, query = path.partition("?")
    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode("latin-1", "replace"),
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()],
        "server": ("127.0.0.1", PORT),
        "client": ("127.0.0.1", 1),
        "subprotocols": [],
        "root_path": "",
    }
    sent = []
    incoming = iter([{"type": "http.request", "body": body}] if kind == "http" else [{"type": "websocket.connect"}])

    async def receive():
        return next(incoming, {"type": f"{kind}.disconnect", "code": 1000})

    async def send(message):
        sent.append(message)

    run(app(scope, receive, send))
    first = sent[0]
    if kind == "websocket":
        return (101 if first["type"] == "websocket.accept" else 403), {}
    return first["status"], {name.decode(): value.decode() for name, value in first["headers"]}


def right(access: Access) -> dict[str, str]:
    return {
        "host": HOST,
        "origin": f"http://{HOST}",
        "cookie": f"{access.cookie}={access.session}",
        "content-type": "application/json",
    }


def places(app) -> Iterator[tuple[str, set[str], str]]:
    """Every route: its path with the names of its parameters in braces, its methods, and its kind."""
    for route in app.routes:
        if isinstance(route, WebSocketRoute):
            yield route.path, {"GET"}, "websocket"
        elif isinstance(route, Route):
            yield route.path, set(route.methods or ()), "http"
        elif isinstance(route, Mount):
            yield f"{route.path}/{{name}}", {"GET", "HEAD"}, "http"


def wrong_request(rng: random.Random, access: Access, place: tuple[str, set[str], str]):
    """A request to a route with at least one thing wrong."""
    path, allowed, kind = place
    headers = right(access)
    has_name = "{name}" in path
    # A file of any content is read, in a process of its own: tests/playground/test_uploads.py.
    takes_body = "POST" in allowed and not has_name and path != "/api/uploads"
    method = "POST" if allowed == {"POST"} else rng.choice(sorted(allowed - {"HEAD", "DELETE"}) or ["GET"])
    body = b"{}"
    faults = {"host", "origin", "cookie"} | ({"method"} if kind == "http" else set())
    faults |= ({"name"} if has_name else set()) | ({"body"} if takes_body else set())
    for fault in rng.sample(sorted(faults), rng.randint(1, len(faults))):
        if fault == "host":
            headers["host"] = rng.choice(STRANGE_HOSTS)
        elif fault == "origin":
            headers["origin"] = rng.choice(STRANGE_ORIGINS)
        elif fault == "cookie":
            headers["cookie"] = rng.choice(["", "a=b", f"{access.cookie}=", f"{access.cookie}={access.token}", ";;=,"])
        elif fault == "method":
            method = rng.choice([name for name in METHODS if name not in allowed])
        elif fault == "body":
            body = rng.choice(STRANGE_BODIES)
    name = rng.choice(STRANGE_NAMES)
    path = path.replace("{name}", name) + rng.choice(
        ["", "?token=x", "?token=", "?a=b&token=%ff", f"?token={'x' * 9000}"]
    )
    return method, path, headers, body, kind


def test_no_wrong_request_to_any_route_is_accepted(playground):
    app, access = playground
    rng = random.Random(0)
    known = list(places(app))
    accepted = []
    for _ in range(REQUESTS):
        request = wrong_request(rng, access, rng.choice(known))
        status, _ = asked(app, *request)
        if not 400 <= status < 500:
            accepted.append((status, request[:3]))
    assert accepted == []
    assert asked(app, "GET", "/api/catalogue", right(access))[0] == 200


@pytest.mark.parametrize("missing", ["host", "origin", "cookie"])
def test_a_changing_request_needs_all_three_signs(playground, missing):
    app, access = playground
    headers = right(access)
    del headers[missing]
    assert asked(app, "DELETE", "/api/labs/none", headers)[0] == 403
    assert asked(app, "DELETE", "/api/labs/none", right(access))[0] == 404


def test_the_token_sets_a_cookie_that_scripts_cannot_read_and_leaves_the_address(playground):
    app, access = playground
    status, headers = asked(app, "GET", f"/?token={access.token}", {"host": HOST})
    parts = {part.strip() for part in headers["set-cookie"].split(";")}
    assert (status, headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict", f"{access.cookie}={access.session}"} <= parts
    assert asked(app, "GET", f"/?token={access.token}x", {"host": HOST})[0] == 403
    # The token alone opens nothing but the first page.
    assert asked(app, "GET", f"/api/catalogue?token={access.token}", {"host": HOST})[0] == 403


def test_no_page_may_run_scripts_of_its_text(playground):
    app, access = playground
    _, headers = asked(app, "GET", "/api/catalogue", right(access))
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["script-src"] == "'self'"
    assert policy["default-src"] == "'none'"


def test_a_websocket_of_another_site_is_refused(playground):
    app, access = playground
    foreign = right(access) | {"origin": "http://evil.example"}
    assert asked(app, "GET", "/api/labs/none/live", foreign, kind="websocket")[0] == 403


def test_a_burst_passes_and_a_flood_does_not(playground):
    _, access = playground
    limited = application(Playground(access, limit=RateLimit(20, 0)))
    statuses = [asked(limited, "GET", "/api/labs/none", right(access))[0] for _ in range(25)]
    assert statuses == [404] * 20 + [429] * 5


def test_bodies_are_bounded(playground):
    app, access = playground
    body = json.dumps({"spec": {"a": "x" * 300_000}}).encode()
    assert asked(app, "POST", "/api/labs", right(access), body)[0] == 413


def test_names_of_two_servers_differ_by_port():
    assert Access.at(["127.0.0.1"], 1).cookie != Access.at(["127.0.0.1"], 2).cookie
    assert Access.at(["::1"], 1).hosts == ("[::1]:1",)
