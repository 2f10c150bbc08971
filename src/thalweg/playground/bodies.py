"""The bodies of requests."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..core.errors import InputError
from ..core.files import JsonObject, parsed_json
from .security import body_of

JSON_BYTES = 256 * 2**10
"""Most bytes of a text of JSON from the page."""


async def json_of(request: Request) -> JsonObject:
    """The JSON object of a request. Raises HTTPException or InputError for any other body."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "expected a body of the type application/json")
    value = parsed_json("the body", await body_of(request, JSON_BYTES))
    if not isinstance(value, dict):
        raise InputError("the body", "expected an object of JSON")
    return value
