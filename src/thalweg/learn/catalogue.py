"""All lessons by name and by chapter, and the site that they make together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from ..core.errors import InputError
from ..core.progress import ProgressMessage
from ..pages.blocks import Block, Check, Heading, LinkItem, LinkList, Text
from ..pages.html import LIBRARY, Link, library_text
from ..pages.page import Page
from ..spec.values import shell_value
from .lesson import Lesson
from .lessons import LESSONS

INDEX = "index.html"
_UNAVAILABLE = "This lesson cannot be computed here:"

Outcome = list[Check] | InputError
"""The checks of a lesson, or the error that kept it from being computed."""


def chapters() -> dict[str, list[type[Lesson]]]:
    """The kinds of lessons by chapter, in the order of teaching."""
    by_chapter: dict[str, list[type[Lesson]]] = {}
    for kind in LESSONS:
        by_chapter.setdefault(kind.chapter, []).append(kind)
    return by_chapter


def lesson_names() -> list[str]:
    """The names of all lessons, in the order of teaching.

    >>> "gradient-step" in lesson_names()
    True
    """
    return [kind.kind for kind in _ordered()]


def lesson(name: str, settings: Mapping[str, object] | None = None, quick: bool = False) -> Lesson:
    """The lesson of a name.

    Args:
        name: One of `lesson_names()`.
        settings: Values for some of its parameters.
        quick: Start from the values of the quick form; `settings` take precedence over them.

    Raises:
        InputError: There is no such lesson or parameter, or a value does not fit its parameter.

    >>> lesson("gradient-step", {"learning_rate": 0.5}).page().title
    'One step of gradient descent'
    """
    values = dict(settings or {})
    if quick and name in Lesson.kinds:
        values = {**_kind_of(name).quick, **values}
    return Lesson.of({"kind": name, **values})


def settings_of(assignments: Iterable[str]) -> dict[str, object]:
    """Parse parameters as written on the command line: `learning_rate=0.5`. Raises InputError if there is no name or
    no `=`.

    >>> settings_of(["learning_rate=0.5", "hidden=[2, 3]"])
    {'learning_rate': 0.5, 'hidden': [2, 3]}
    """
    settings: dict[str, object] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.strip():
            raise InputError("--set", f"expected parameter=value, received {assignment!r}")
        settings[name.strip()] = shell_value(text)
    return settings


class SiteFile(NamedTuple):
    """A file of the site."""

    name: str
    text: str
    left_out: str = ""
    """Why the lesson of this page could not be computed; empty if it was."""


def site(quick: bool = False, watch: Callable[[ProgressMessage], None] = lambda message: None) -> Iterator[SiteFile]:
    """Yield the files of a site with all lessons, each as soon as it is computed; the index comes last.

    A lesson that cannot be computed here, for example because its data are missing, gets a page that says why.
    """
    yield SiteFile(LIBRARY, library_text())
    kinds = _ordered()
    outcomes: dict[str, Outcome] = {}
    for index, kind in enumerate(kinds):
        page, outcomes[kind.kind] = _computed(kind, quick, _overall(watch, kind.kind, index / len(kinds), len(kinds)))
        outcome = outcomes[kind.kind]
        left_out = str(outcome) if isinstance(outcome, InputError) else ""
        yield SiteFile(_address(kind), page.html(_links(kinds, index), LIBRARY), left_out)
    yield SiteFile(INDEX, _index(outcomes).html())


def _overall(
    watch: Callable[[ProgressMessage], None], name: str, start: float, lessons: int
) -> Callable[[ProgressMessage], None]:
    """A watch that places the progress of one lesson within the whole site."""

    def within(message: ProgressMessage) -> None:
        watch(ProgressMessage(f"{name}: {message.text}", start + (message.fraction or 0) / lessons))

    return within


def _computed(kind: type[Lesson], quick: bool, watch: Callable[[ProgressMessage], None]) -> tuple[Page, Outcome]:
    watch(ProgressMessage("begins"))
    try:
        page = lesson(kind.kind, quick=quick).page(watch)
    except InputError as error:
        return Page(kind.title, (Text(f"{_UNAVAILABLE} {error}."),), kind.subject), error
    return page, [block for block in page.blocks if isinstance(block, Check)]


def _ordered() -> list[type[Lesson]]:
    return [kind for kinds in chapters().values() for kind in kinds]


def _kind_of(name: str) -> type[Lesson]:
    kind = Lesson.kinds[name]
    assert issubclass(kind, Lesson)
    return kind


def _address(kind: type[Lesson]) -> str:
    return f"{kind.kind}.html"


def _links(kinds: list[type[Lesson]], index: int) -> list[Link]:
    links = [Link("All lessons", INDEX, "up")]
    if index:
        before = kinds[index - 1]
        links.append(Link(f"← {before.title}", _address(before), "prev"))
    if index + 1 < len(kinds):
        after = kinds[index + 1]
        links.append(Link(f"{after.title} →", _address(after), "next"))
    return links


def _index(outcomes: Mapping[str, Outcome]) -> Page:
    """The list of all lessons with title, subject and the number of checks that hold."""
    blocks: list[Block] = []
    for chapter, kinds in chapters().items():
        blocks += [Heading(chapter), LinkList([_item(kind, outcomes[kind.kind]) for kind in kinds])]
    checks = [check for outcome in outcomes.values() if not isinstance(outcome, InputError) for check in outcome]
    summary = f"Worked examples of textbooks, each run on the real engine. {_holding(checks)}"
    return Page("Lessons", tuple(blocks), summary)


def _item(kind: type[Lesson], outcome: Outcome) -> LinkItem:
    if isinstance(outcome, InputError):
        remark = "– This lesson cannot be computed here; its page says why."
    else:
        remark = f"{'✓' if all(check.holds for check in outcome) else '✗'} {_holding(outcome)}"
    return LinkItem(kind.title, _address(kind), kind.subject, remark)


def _holding(checks: list[Check]) -> str:
    held = sum(check.holds for check in checks)
    return f"All {held} claims hold." if held == len(checks) else f"{held} of {len(checks)} claims hold."
