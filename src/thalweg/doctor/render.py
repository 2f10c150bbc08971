"""A diagnosis told: the verdict in a sentence, the causes with their evidence, what to do, the notes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence

from ..pages.blocks import Block, Check, Heading, Page, Suggestion, Table, Text
from ..pages.figures import measure_name
from ..pages.figures.record import is_share
from ..spec.toml import shell_text, toml_value
from .findings import Cause, Diagnosis, Finding, Learned, Remedy

_COLUMNS = ("finding", "place", "measured", "normal here")


def verdict(found: Diagnosis) -> str:
    """The diagnosis in a line: that nothing was found, or the root cause.

    >>> verdict(Diagnosis(Learned("accuracy", 0.97, 0.5, 0.99), (), ()))
    'Healthy: nothing was found that keeps it from learning.'
    """
    causes = _causes(found)
    if not causes:
        return "Healthy: nothing was found that keeps it from learning."
    root = causes[0].finding
    return f"Root cause: {root.code} at {root.place}. {root.sentence}"


def worksheet_of(found: Diagnosis, title: str = "Diagnosis", command: str = "") -> Page:
    """The diagnosis as a worksheet. With `command`, which trains the network, a remedy is told as a command too.

    >>> worksheet_of(Diagnosis(None, (), (), ("the loss began at 0.70, log 2 is 0.69",))).blocks[-1].says
    'the loss began at 0.70, log 2 is 0.69'
    """
    causes = _causes(found)
    blocks: list[Block] = [*_in_short(causes), Text(learned_in_words(found.learned))]
    told: list[Finding] = []
    for cause in causes:
        blocks += [Heading(f"{'A further' if told else 'The root'} cause: {cause.finding.code}")]
        blocks += [Text(cause.finding.sentence)] if told else []
        # What several causes explain is told with the first of them.
        own = cause._replace(explains=tuple(other for other in cause.explains if other not in told))
        blocks += _evidence(own, command)
        told += [own.finding, *own.explains]
    if found.healthy and found.evidence:
        blocks += [Heading("What speaks for health"), *(Check(words, measured=True) for words in found.evidence)]
    if notes := [finding for finding in found.findings if finding not in told]:
        caption = "Noted beside, and no sign of illness by itself" if _are_notes(notes) else "Found beside"
        blocks += [Heading("Further notes"), _table(caption, notes)]
    if found.remarks:
        blocks += [Heading("What was not looked at"), *map(Text, found.remarks)]
    return Page(title, tuple(blocks), verdict(found))


def health_of(found: Diagnosis) -> tuple[Block, ...]:
    """The diagnosis in short, for the report of a run: the verdict, what is above a note, the rest counted."""
    above = [finding for finding in found.findings if finding.severity != "note"]
    notes = len(found.findings) - len(above)
    told = [f"{_counted(notes, 'note')} beside, which `thalweg doctor` tells."] if notes else []
    table = [_table("Findings, the most telling first", above)] if above else []
    first = " ".join([verdict(found), learned_in_words(found.learned)])
    return Text(first), *table, *map(Text, [*told, *found.remarks])


def learned_in_words(learned: Learned | None) -> str:
    """How far a training came, in a sentence.

    >>> learned_in_words(Learned("accuracy", 0.74, 0.5, 0.98))
    'On its own rows it has accuracy 74.0%; the best constant answer has 50.0%, and 98.0% can be done: it came 50% of \
the way.'
    """
    if learned is None:
        return "Nothing was trained yet."
    name, share = measure_name(learned.measure), learned.share
    said = f"it has {name} {_value(learned, learned.score)}" if math.isfinite(learned.score) else f"it has no {name}"
    limits = f"the best constant answer has {_value(learned, learned.constant)}"
    if math.isfinite(learned.attainable):
        limits += f", and {_value(learned, learned.attainable)} can be done"
    way = ""
    if math.isfinite(share):
        way = ": it came " + ("no part" if share <= 0 else "all" if share >= 1 else f"{share:.0%}")
        way += " of the way"
    return f"On its own rows {said}; {limits}{way}."


def _causes(found: Diagnosis) -> list[Cause]:
    """The causes of an illness: those that are above a note, or explain what is."""
    return [cause for cause in found.causes if not _are_notes([cause.finding, *cause.explains])]


def _in_short(causes: Sequence[Cause]) -> list[Block]:
    """What the root cause explains, what to do first, how many causes there are beside."""
    told = []
    for cause in causes[:1]:
        names = dict.fromkeys(f"`{other.code}`" for other in cause.explains)
        told += [f"It explains {', '.join(names)}."] if names else []
        told += [f"What to do first: {remedy.label}." for remedy in cause.finding.remedies[:1]]
    if len(causes) > 1:
        told.append(f"{_counted(len(causes) - 1, 'further cause')} below.")
    return [Text(" ".join(told))] if told else []


def _evidence(cause: Cause, command: str) -> list[Block]:
    finding, explained = cause.finding, cause.explains
    caption = f"The evidence, seen {finding.stage}"
    if explained:
        caption += f", and {_counted(len(explained), 'finding')} that it explains"
    remedies = [Suggestion(remedy.label, _as_command(remedy, command)) for remedy in finding.remedies]
    return [_table(caption, [finding, *explained]), *remedies]


def _as_command(remedy: Remedy, command: str) -> str:
    """What is to be typed; without a command of the shell the places of the spec with their new values."""
    if not command:
        return "\n".join(f"{path} = {toml_value(value)}" for path, value in remedy.changes)
    settings = (shlex.quote(f"{path}={shell_text(value)}") for path, value in remedy.changes)
    return " ".join([command, *(f"--set {setting}" for setting in settings)])


def _table(caption: str, findings: Iterable[Finding]) -> Table:
    rows = [(finding.code, finding.place, finding.measured, finding.normal) for finding in findings]
    return Table(caption, _COLUMNS, rows)


def _are_notes(findings: Iterable[Finding]) -> bool:
    return all(finding.severity == "note" for finding in findings)


def _value(learned: Learned, value: float) -> str:
    return f"{value:.1%}" if is_share(learned.measure) else f"{value:.3g}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
