"""Bounds of values that come from outside: how deep they are nested, how large their numbers are, what they declare."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .errors import InputError, Problem
from .printable import received

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

DEEPEST = 64
"""Most tables and lists nested in each other."""
LARGEST_INTEGER = 2**63 - 1
"""The largest whole number, as TOML has it: 64 bits with its sign."""

T = TypeVar("T")


def check_bounds(subject: str, value: object, most: float = math.inf) -> None:
    """Check the tables and lists of TOML or JSON.

    Args:
        subject: what they are, for errors.
        value: the outermost table or list, or a plain value.
        most: the largest number of values in all of them.

    Raises:
        InputError: they are nested too deeply, a whole number has more than 64 bits, or there are too many values.

    >>> check_bounds("spec", {"epochs": 2**64})
    Traceback (most recent call last):
    ...
    thalweg.core.errors.InputError: spec: epochs: expected a whole number of at most 64 bits, received one of 65 bits
    """
    # Not recursive: the value may be nested deeper than Python can recurse. The deepest place is looked at first, so
    # that a value which contains itself is found out.
    left: list[tuple[object, str, int]] = [(value, "", 0)]
    count = 0
    while left:
        value, place, depth = left.pop()
        if isinstance(value, int):
            if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
                received = f"received one of {value.bit_length()} bits"
                raise InputError(subject, [Problem(place, f"expected a whole number of at most 64 bits, {received}")])
            continue
        if not isinstance(value, dict | list) or not value:
            continue
        if depth == DEEPEST:
            top = place.partition(".")[0].partition("[")[0]
            raise InputError(subject, [Problem(top, f"expected at most {DEEPEST} tables and lists in each other")])
        count += len(value)
        if count > most:
            raise InputError(subject, f"expected at most {most:,} values")
        if isinstance(value, dict):
            left += [(item, f"{place}.{name}" if place else str(name), depth + 1) for name, item in value.items()]
        elif any(isinstance(item, int | dict | list) for item in value):
            left += [(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]


def declared(kind: type[T], value: object, subject: str, place: str = "") -> T:
    """A value from outside as what a type declares, strictly: no word is read as a number.

    Args:
        kind: the type: a TypedDict, a dict, a list, a union of these.
        value: the value, as JSON has it.
        subject: what the value is, for errors.
        place: where it is.

    Raises:
        InputError: with every field that is not as declared.

    >>> declared(dict[str, float], {"loss": "low"}, "metrics.jsonl")
    Traceback (most recent call last):
    ...
    thalweg.core.errors.InputError: metrics.jsonl: loss: expected a valid number, received 'low'
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        if kind not in _ADAPTERS:
            _ADAPTERS[kind] = TypeAdapter(kind)
        return cast(T, _ADAPTERS[kind].validate_python(value, strict=True))
    except ValidationError as error:
        problems = [problem_of(item) for item in error.errors(include_url=False)]
        raise InputError(subject, [problem.below(place) if place else problem for problem in problems]) from None


_ADAPTERS: dict[object, TypeAdapter[Any]] = {}


def problem_of(item: ErrorDetails) -> Problem:
    """A fault that pydantic has found, in the words of this project."""
    message = item["msg"].replace("Input should be", "expected").removeprefix("Value error, ")
    ending = "" if item["type"] == "missing" else f", received {received(item['input'])}"
    return Problem(".".join(str(step) for step in item["loc"]), f"{message}{ending}")
