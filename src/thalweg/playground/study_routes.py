"""The routes of runs, experiments and lessons.

They find the study, its experiments and the process of lessons in the state of the application.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import unquote_plus

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ..core.errors import InputError
from .bodies import json_of
from .experiment_processes import ExperimentProcesses
from .lesson_process import LessonProcess
from .study import Study

# A report is a page from the folder: it may draw itself, and reach nothing of this server.
_REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; frame-ancestors 'self'"
)

_Result = TypeVar("_Result")


async def _of_study(question: Callable[..., _Result], *details: object) -> _Result:
    """The answer to a question that reads files. Raises HTTPException (404) where it knows no such name."""
    try:
        return await run_in_threadpool(question, *details)
    except KeyError:
        raise HTTPException(404, "the folder has no run or experiment of this name") from None


async def _runs(request: Request) -> Response:
    study: Study = request.app.state.study
    experiments: ExperimentProcesses = request.app.state.experiments
    return JSONResponse({"folder": str(study.folder), "entries": await _of_study(experiments.entries)})


async def _report(request: Request) -> Response:
    study: Study = request.app.state.study
    page = await _of_study(study.report, request.path_params["name"])
    return HTMLResponse(page, headers={"content-security-policy": _REPORT_POLICY})


async def _compare(request: Request) -> Response:
    study: Study = request.app.state.study
    # Commas separate names before their escapes are read: a name may hold one.
    listed = dict(pair.partition("=")[::2] for pair in request.url.query.split("&")).get("names", "")
    names = [unquote_plus(name) for name in listed.split(",") if name]
    return JSONResponse({"runs": await _of_study(study.curves, names)})


async def _start(request: Request) -> Response:
    experiments: ExperimentProcesses = request.app.state.experiments
    body = await json_of(request)
    spec = body.get("spec", {})
    if not isinstance(spec, dict):
        raise InputError("spec", "expected an object of JSON")
    name = await _of_study(experiments.start, spec, body.get("vary"), body.get("seeds", {}))
    return JSONResponse(await _of_study(experiments.state, name), 201)


async def _experiment(request: Request) -> Response:
    experiments: ExperimentProcesses = request.app.state.experiments
    name = request.path_params["name"]
    if request.method == "POST":
        await _of_study(experiments.resume, name)
    if request.method == "DELETE":
        await _of_study(experiments.stop, name)
    return JSONResponse(await _of_study(experiments.state, name))


async def _lessons(request: Request) -> Response:
    lessons: LessonProcess = request.app.state.lessons
    return JSONResponse(await run_in_threadpool(lessons.listed))


async def _lesson(request: Request) -> Response:
    lessons: LessonProcess = request.app.state.lessons
    return JSONResponse(await run_in_threadpool(lessons.page, request.path_params["name"]))


STUDY_ROUTES = (
    Route("/api/runs", _runs),
    Route("/api/runs/compare", _compare),
    Route("/runs/{name}/report", _report),
    Route("/api/experiments", _start, methods=["POST"]),
    Route("/api/experiments/{name}", _experiment, methods=["GET", "POST", "DELETE"]),
    Route("/api/lessons", _lessons),
    Route("/api/lessons/{name}", _lesson),
)
"""The routes."""
