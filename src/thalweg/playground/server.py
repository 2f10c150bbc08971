"""The server of the playground: its routes, and the socket of each lab."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..core.bounds import check_bounds
from ..core.errors import InputError, Problem
from ..core.files import Json, JsonObject, parsed_json
from ..pages.html import LIBRARY, library_text
from ..spec.edit import SpecTable, set_value
from .bodies import JSON_BYTES, json_of
from .catalogue import catalogue
from .experiment_processes import ExperimentProcesses
from .labs.process import LabProcess, Labs
from .lesson_process import LessonProcess
from .security import Access, Guard, RateLimit, body_of
from .specs import DEFAULT, FilesAllowed
from .study import Study
from .study_routes import STUDY_ROUTES
from .uploads import UPLOAD_BYTES, Uploads

_BURST, _RATE = 400, 200
_SOCKET_BURST, _SOCKET_RATE = 200, 100
_NO_LAB = "there is no training of this name; it has ended, or another server opened it"


@dataclass(frozen=True)
class Playground:
    """What a server shows, beside what its pages send.

    Attributes:
        access: who may ask.
        first: the spec that a page without its own begins with.
        files: the data files that the shell named.
        folder: the folder of runs and experiments.
        limit: how many requests pass.
        spare: a process that waits for the first lab.
    """

    access: Access
    first: SpecTable = field(default_factory=lambda: {**DEFAULT})
    files: tuple[str, ...] = ()
    folder: Path = Path("runs")
    limit: RateLimit = field(default_factory=lambda: RateLimit(_BURST, _RATE))
    spare: LabProcess | None = None


def application(playground: Playground) -> Starlette:
    """The application (ASGI) of a playground. Its processes end with it."""
    uploads = tempfile.mkdtemp(prefix="thalweg-playground-")
    allowed = FilesAllowed(uploads, playground.files)
    labs = Labs(allowed, playground.spare)
    study = Study(playground.folder)
    experiments = ExperimentProcesses(study, allowed)
    lessons = LessonProcess()
    files_of_pages = Uploads(uploads)

    def end_processes() -> None:
        labs.close_all()
        lessons.close()
        experiments.close()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        labs.prepare()
        try:
            yield
        finally:
            end_processes()
            shutil.rmtree(uploads, ignore_errors=True)

    app = Starlette(
        routes=routes(),
        lifespan=lifespan,
        middleware=[Middleware(Guard, access=playground.access, limit=playground.limit)],
        exception_handlers={InputError: _input_error, HTTPException: _http_error, KeyError: _missing},
    )
    app.router.redirect_slashes = False
    app.state.end_processes = end_processes
    app.state.labs = labs
    app.state.first = playground.first
    app.state.uploads = files_of_pages
    app.state.study = study
    app.state.experiments = experiments
    app.state.lessons = lessons
    app.state.sources = None
    return app


def routes() -> Sequence[BaseRoute]:
    """All routes of the server."""
    static = files(__package__) / "static"
    return [
        Route("/", _index),
        Route(f"/static/{LIBRARY}", _library),
        Mount("/static", StaticFiles(directory=str(static), check_dir=False)),
        Route("/api/catalogue", _catalogue),
        Route("/api/labs", _open_lab, methods=["POST"]),
        Route("/api/labs/{name}", _lab, methods=["GET", "DELETE"]),
        WebSocketRoute("/api/labs/{name}/live", _live),
        Route("/api/labs/{name}/sources", _sources),
        Route("/api/labs/{name}/step", _step),
        Route("/api/labs/{name}/landscape", _landscape),
        Route("/api/labs/{name}/race", _race),
        Route("/api/labs/{name}/export", _export),
        Route("/api/uploads", _upload, methods=["POST"]),
        *STUDY_ROUTES,
    ]


# Errors ---------------------------------------------------------------------------------------------------------------


async def _input_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, InputError)
    return _error(422, str(error), error.problems[0].place if error.problems else "")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail)


async def _missing(request: Request, error: Exception) -> Response:
    return _error(404, _NO_LAB)


def _error(status: int, message: str, place: str = "") -> Response:
    return JSONResponse({"message": message, "place": place}, status)


# Pages ----------------------------------------------------------------------------------------------------------------


async def _index(request: Request) -> Response:
    page = files(__package__) / "static" / "index.html"
    try:
        text = page.read_text(encoding="utf-8")
    except OSError:
        raise HTTPException(404, "this installation has no page") from None
    return Response(text, media_type="text/html", headers={"cache-control": "no-cache"})


async def _library(request: Request) -> Response:
    """The script of plotly, which the browser keeps: it has one text for each version."""
    return Response(library_text(), media_type="text/javascript", headers={"cache-control": "private, max-age=86400"})


async def _catalogue(request: Request) -> Response:
    return JSONResponse({**catalogue(), "defaults": request.app.state.first})


# Labs -----------------------------------------------------------------------------------------------------------------


async def _open_lab(request: Request) -> Response:
    body = await json_of(request)
    labs: Labs = request.app.state.labs
    problems: list[Problem] = []
    table = _table(body, request.app.state.first, problems)
    name = labs.open(table)
    state = await labs[name].ask("state")
    assert isinstance(state, dict)
    listed = [{"place": problem.place, "message": problem.message} for problem in problems]
    found = state["problems"]
    assert isinstance(found, list)
    return JSONResponse({"lab": name, "spec": state["spec"], "problems": [*listed, *found], "state": state}, 201)


def _table(body: JsonObject, first: SpecTable, problems: list[Problem]) -> SpecTable:
    """The tables of the spec that a request asks for, or `first`; what cannot be set is named among the problems."""
    spec = body.get("spec", {})
    if not isinstance(spec, dict):
        problems.append(Problem("spec", "expected an object"))
        spec = {}
    table: dict[str, Any] = {**(spec or first)}
    changes = body.get("set", {})
    for place, value in changes.items() if isinstance(changes, dict) else ():
        try:
            set_value(table, place, value)
        except InputError as error:
            problems += error.problems
    return table


async def _lab(request: Request) -> Response:
    lab = _lab_of(request)
    if request.method == "DELETE":
        request.app.state.labs.close(request.path_params["name"])
        return Response(status_code=204)
    return JSONResponse(await lab.ask("state"))


async def _sources(request: Request) -> Response:
    """The sources of points in a plane; some of them load a library, so that the page does not wait for them."""
    state = request.app.state
    state.sources = state.sources or await _lab_of(request).ask("sources")
    return JSONResponse(state.sources)


async def _step(request: Request) -> Response:
    query = request.query_params
    sample = query.get("sample")
    if sample is not None and not re.fullmatch(r"\d{1,9}", sample):
        raise InputError("sample", f"expected a row of the batch, received {sample!r}")
    number = None if sample is None else int(sample)
    lab = _lab_of(request)
    return JSONResponse(await lab.ask("step", sample=number, unit=query.get("unit"), weight=query.get("weight")))


async def _landscape(request: Request) -> Response:
    return JSONResponse(await _lab_of(request).ask("landscape"))


async def _race(request: Request) -> Response:
    query = request.query_params
    names: list[Json] = [name for name in query.get("optimizers", "").split(",") if name]
    return JSONResponse(await _lab_of(request).ask("race", landscape=query.get("landscape"), optimizers=names))


async def _export(request: Request) -> Response:
    """The file of an export; the lab writes it, and it is removed when it was sent."""
    path = Path(str(await _lab_of(request).ask("export", form=request.query_params.get("form", "toml"))))
    kind = "application/zip" if path.suffix == ".zip" else "text/plain; charset=utf-8"
    remove = BackgroundTask(shutil.rmtree, path.parent, ignore_errors=True)
    return FileResponse(path, media_type=kind, filename=path.name, background=remove)


async def _upload(request: Request) -> Response:
    uploads: Uploads = request.app.state.uploads
    content = await body_of(request, UPLOAD_BYTES)
    return JSONResponse(await uploads.take(request.headers.get("x-name", ""), content), 201)


def _lab_of(request: Request) -> LabProcess:
    labs: Labs = request.app.state.labs
    return labs[request.path_params["name"]]


async def _live(socket: WebSocket) -> None:
    """The socket of a lab: commands in, messages and frames out."""
    labs: Labs = socket.app.state.labs
    try:
        lab = labs[socket.path_params["name"]]
    except KeyError:
        await socket.close(1008, _NO_LAB)
        return
    await socket.accept()
    outgoing: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()
    described = False

    def on_message(content: bytes, is_frame: bool) -> None:
        nonlocal described
        # A frame for the page before this one may still be on its way; to this one the lab describes itself first.
        described = described or not is_frame
        if described:
            outgoing.put_nowait((content, is_frame))

    lab.attach(on_message)
    sender = asyncio.create_task(_send(socket, outgoing))
    try:
        await _receive(socket, lab)
    except (WebSocketDisconnect, RuntimeError, InputError):
        pass
    finally:
        lab.detach(on_message)
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError, RuntimeError, WebSocketDisconnect):
            await sender


async def _send(socket: WebSocket, outgoing: asyncio.Queue[tuple[bytes, bool]]) -> None:
    while True:
        content, is_frame = await outgoing.get()
        if is_frame:
            await socket.send_bytes(content)
        else:
            await socket.send_text(content.decode())


async def _receive(socket: WebSocket, lab: LabProcess) -> None:
    """Pass the commands of a page on; one that is malformed, or one too many, is answered and left out."""
    limit = RateLimit(_SOCKET_BURST, _SOCKET_RATE)
    while True:
        text = await socket.receive_text()
        try:
            command = _command(text)
        except InputError as error:
            await _complain(socket, str(error))
            continue
        if limit.passes():
            lab.send(command)
        else:
            await _complain(socket, "too many commands at once; this one is left out")


def _command(text: str) -> JsonObject:
    if len(text) > JSON_BYTES:
        raise InputError("command", f"expected at most {JSON_BYTES:,} characters")
    command = parsed_json("command", text.encode(errors="replace"))
    if not isinstance(command, dict) or not isinstance(command.get("do"), str):
        raise InputError("command", "expected an object with a command in `do`")
    check_bounds("command", command)
    return {name: value for name, value in command.items() if name != "ask"}


async def _complain(socket: WebSocket, message: str) -> None:
    await socket.send_text(json.dumps({"type": "error", "message": message, "place": ""}))
