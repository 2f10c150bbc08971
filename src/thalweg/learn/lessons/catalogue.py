"""The shelf: all lessons in the order of teaching, each by its name, and the site that they make together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ...core.errors import InputError
from ...core.progress import ProgressMessage
from ...pages.blocks import Block, Check, Heading, LinkItem, LinkList, Text
from ...pages.html import LIBRARY, Link, library_text
from ...pages.page import Page
from ...spec.values import shell_value
from .lesson import Lesson

INDEX = "index.html"
_LEFT_OUT = "This lesson can not be worked out here:"

# The chapters of the site, and their lessons in the order of teaching.
_CHAPTERS: dict[str, tuple[str, ...]] = {
    "One unit": ("perceptron", "adaline", "gradient-step"),
    "More than a line": ("xor-features", "xor-relu", "rings"),
    "Outputs and losses": ("pairings", "softmax-adam", "iteration"),
    "The flow of delta": ("vanishing", "exploding", "dead-relu", "initialisation"),
    "The way down": ("optimizers", "rates", "sample-order", "terrain"),
    "At full size": ("mnist",),
}


def chapters() -> dict[str, list[type[Lesson]]]:
    """The kinds of lessons by chapter, in the order of teaching."""
    return {chapter: [_kind(name) for name in names] for chapter, names in _CHAPTERS.items()}


def lesson_names() -> list[str]:
    """The names of all lessons, in the order of teaching.

    >>> "gradient-step" in lesson_names()
    True
    """
    return [kind.kind for kinds in chapters().values() for kind in kinds]


def lesson(name: str, settings: Mapping[str, Any] | None = None, quick: bool = False) -> Lesson:
    """The lesson of that name, with some of its parameters set anew; `quick` is its quick form, which they may change.

    Raises InputError for a name that no lesson has, for a parameter that it has not, and for a value that does not fit.

    >>> lesson("gradient-step", {"learning_rate": 0.5}).page().title
    'One step of gradient descent'
    """
    values = dict(settings or {})
    if quick and name in Lesson.kinds:
        values = {**_kind(name).quick, **values}
    return Lesson.of({"kind": name, **values})


def settings_of(assignments: Iterable[str]) -> dict[str, Any]:
    """Parameters as the shell writes them, `learning_rate=0.5`, by name. Raises InputError for what is no assignment.

    >>> settings_of(["learning_rate=0.5", "hidden=[2, 3]"])
    {'learning_rate': 0.5, 'hidden': [2, 3]}
    """
    found = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.strip():
            raise InputError("--set", f"expected parameter=value, received {assignment!r}")
        found[name.strip()] = shell_value(text)
    return found


class File(NamedTuple):
    """A file of the site: its name and its text; `left_out` says why a lesson could not be worked out."""

    name: str
    text: str
    left_out: str = ""


def site(quick: bool = False, watch: Callable[[ProgressMessage], None] = lambda working: None) -> Iterator[File]:
    """The files of the site that all lessons make, each when it is worked out; the list of all comes last.

    A lesson that can not be worked out here, for want of its data say, has a page that tells why.
    """
    yield File(LIBRARY, library_text())
    names = lesson_names()
    kept: dict[str, list[Check] | InputError] = {}
    for k, name in enumerate(names):

        def heard(now: ProgressMessage, k: int = k, name: str = name) -> None:
            watch(ProgressMessage(f"{name}: {now.text}", (k + (now.fraction or 0)) / len(names)))

        heard(ProgressMessage("begins"))
        try:
            sheet = lesson(name, quick=quick).page(heard)
            kept[name] = [block for block in sheet.blocks if isinstance(block, Check)]
        except InputError as error:
            kept[name] = error
            kind = _kind(name)
            sheet = Page(kind.title, (Text(f"{_LEFT_OUT} {error}."),), kind.subject)
        fault = f"{name}: {kept[name]}" if isinstance(kept[name], InputError) else ""
        yield File(_address(name), sheet.html(_links(names, k)), fault)
    yield File(INDEX, _index(kept).html())


def _kind(name: str) -> type[Lesson]:
    kind = Lesson.kinds[name]
    assert issubclass(kind, Lesson)
    return kind


def _address(name: str) -> str:
    return f"{name}.html"


def _links(names: list[str], k: int) -> list[Link]:
    links = [Link("All lessons", INDEX, "up")]
    if k:
        links.append(Link(f"← {_kind(names[k - 1]).title}", _address(names[k - 1]), "prev"))
    if k + 1 < len(names):
        links.append(Link(f"{_kind(names[k + 1]).title} →", _address(names[k + 1]), "next"))
    return links


def _index(kept: Mapping[str, list[Check] | InputError]) -> Page:
    """The list of all lessons: title, subject, and the number of claims that hold."""
    blocks: list[Block] = []
    for chapter, kinds in chapters().items():
        blocks += [Heading(chapter), LinkList([_item(kind, kept[kind.kind]) for kind in kinds])]
    claims = [claim for found in kept.values() if isinstance(found, list) for claim in found]
    summary = f"The worked examples of textbooks, each run on the real engine. {_verdict(claims)}"
    return Page("Lessons", tuple(blocks), summary)


def _item(kind: type[Lesson], claims: list[Check] | InputError) -> LinkItem:
    if isinstance(claims, InputError):
        remark = f"– {_LEFT_OUT} {claims}."
    else:
        remark = f"{'✓' if all(claim.holds for claim in claims) else '✗'} {_verdict(claims)}"
    return LinkItem(kind.title, _address(kind.kind), kind.subject, remark)


def _verdict(claims: list[Check]) -> str:
    held = sum(claim.holds for claim in claims)
    return f"All {held} claims hold." if held == len(claims) else f"{held} of {len(claims)} claims hold."
