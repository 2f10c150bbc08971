"""Lessons in the playground: the training that each opens with, and its text, step by step beside the network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import cast

from ..core.files import Json, JsonObject
from ..learn.catalogue import lesson, lesson_names
from ..learn.lesson import Lesson
from ..pages.blocks import Block, Chart, Heading, Text, flat
from ..pages.html import render_blocks


def listed_lessons() -> list[JsonObject]:
    """All lessons in the order of teaching, each with its title, and whether the playground can show its training."""
    return [_described(name, lesson(name)) for name in lesson_names()]


def lesson_page(name: str) -> JsonObject:
    """A lesson in its quick form, computed: the spec of its training, and its page in steps.

    A step has a title, the HTML of its blocks without charts, and the figures of its charts as JSON of plotly.

    Raises:
        InputError: there is no such lesson, or it cannot be computed here.

    >>> page = lesson_page("gradient-step")
    >>> page["title"], page["spec"]
    ('One step of gradient descent', None)
    """
    chosen = lesson(name, quick=True)
    spec = chosen.playground.describe() if chosen.playground else None
    steps: list[Json] = [_step(title, blocks) for title, blocks in _steps(chosen.page().blocks)]
    return {**_described(name, chosen), "command": f"thalweg lesson {name}", "spec": spec, "steps": steps}


def _described(name: str, chosen: Lesson) -> JsonObject:
    return {
        "name": name,
        "title": chosen.title,
        "subject": chosen.subject,
        "chapter": chosen.chapter,
        # Its spec may need the rows of the data.
        "opens": type(chosen).playground is not Lesson.playground,
    }


def _steps(blocks: Sequence[Block]) -> Iterator[tuple[str, list[Block]]]:
    """The blocks in steps, each below the title of its section: a text begins a new one."""
    title = ""
    step: list[Block] = []
    for block in blocks:
        if isinstance(block, Heading | Text) and step:
            yield title, step
            step = []
        if isinstance(block, Heading):
            title = block.text
        else:
            step.append(block)
    if step:
        yield title, step


def _step(title: str, blocks: Sequence[Block]) -> JsonObject:
    figures = [block.figure for block in flat(blocks) if isinstance(block, Chart)]
    return {
        "title": title,
        "html": render_blocks(blocks),
        "figures": [cast("Json", json.loads(figure.to_json())) for figure in figures],
    }
