"""Blocks and sentences for a diagnosis: the verdict, the causes with their evidence, what to do, the notes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence

from ..pages.blocks import Block, Check, Folded, Heading, Suggestion, Table, Text
from ..pages.numbers import count_noun, measure_name, measure_value, percent
from ..spec.values import shell_text, toml_value
from .findings import Cause, Finding, Learned, Remedy

_COLUMNS = ("finding", "place", "measured", "normal")
_HEALTHY = "Healthy: nothing was found that prevents learning."


def verdict(causes: Sequence[Cause], findings: Sequence[Finding] = ()) -> str:
    """The diagnosis in a line: healthy, the root cause, or the symptoms where no cause is confirmed.

    >>> verdict([])
    'Healthy: nothing was found that prevents learning.'
    """
    serious = serious_causes(causes)
    if serious:
        root = serious[0].finding
        return f"Root cause: {root.code} at {root.place}. {root.sentence}"
    if _are_notes(findings):
        return _HEALTHY
    symptoms = dict.fromkeys(finding.code for finding in findings if finding.severity != "note")
    return f"No cause found. Symptoms: {', '.join(symptoms)}."


def serious_causes(causes: Iterable[Cause]) -> list[Cause]:
    """The causes that are above a note, or explain a finding that is."""
    return [cause for cause in causes if not _are_notes([cause.finding, *cause.explains])]


def diagnosis_blocks(
    learned: Learned | None,
    findings: Sequence[Finding],
    causes: Sequence[Cause],
    evidence: Sequence[str],
    remarks: Sequence[str],
    repair: Remedy | None = None,
    command: str = "",
    file: str = "",
) -> tuple[Block, ...]:
    """The blocks of a diagnosis below its verdict: what to do, and the evidence, folded.

    Args:
        learned: how much the training achieved; None before it.
        findings: all findings.
        causes: the causes among them, the root first.
        evidence: measurements that support health; shown where nothing is above a note.
        remarks: what could not be examined.
        repair: the change that paired runs confirmed; None: the first remedy of the root cause is shown in its place.
        command: a shell command that trains the network; each remedy is then shown as a command too.
        file: the file with the repaired spec; empty: none was written.
    """
    serious = serious_causes(causes)
    root = serious[0].finding if serious else None
    first = repair or (root.remedies[0] if root and root.remedies else None)
    blocks: list[Block] = [Text(_confirmed(root, first))] if root and root.confirmation else []
    if first:
        label = f"{first.label}; the whole spec is in `{file}`" if file else first.label
        blocks.append(Suggestion(label, _as_command(first, command)))
    folded = _evidence(learned, findings, serious, first, command)
    if _are_notes(findings) and evidence:
        folded += [Heading("Evidence of health"), *(Check(words, measured=True) for words in evidence)]
    if remarks:
        folded += [Heading("Not examined"), *map(Text, remarks)]
    many = f": {count_noun(len(findings), 'finding')}" if findings else ""
    return *blocks, Folded(f"Evidence{many}", folded)


def _evidence(
    learned: Learned | None, findings: Sequence[Finding], causes: Sequence[Cause], first: Remedy | None, command: str
) -> list[Block]:
    """What was learned, the measurements and remedies of each cause, and the findings that belong to none."""
    blocks: list[Block] = [Text(learned_in_words(learned))]
    shown: list[Finding] = []
    for cause in causes:
        finding = cause.finding
        blocks.append(Heading(f"{'Further' if shown else 'Root'} cause: {finding.code}"))
        if shown:
            tried = f" {_confirmed(finding, None)}" if finding.confirmation else ""
            blocks.append(Text(f"{finding.sentence}{tried}"))
        # A finding that several causes explain is shown with the first of them.
        others = [other for other in cause.explains if other not in shown]
        blocks += _measured(finding, others)
        blocks += [
            Suggestion(remedy.label, _as_command(remedy, command)) for remedy in finding.remedies if remedy != first
        ]
        shown += [finding, *cause.explains]
    if others := [finding for finding in findings if finding not in shown]:
        caption = "Notes; none of them is a sign of a fault by itself" if _are_notes(others) else "Symptoms"
        blocks += [Heading("Other findings"), _table(caption, others)]
    return blocks


def _measured(finding: Finding, explained: Sequence[Finding]) -> list[Block]:
    """The measurements of a cause and of what it explains. Paired runs are described in words."""
    if finding.stage == "in paired runs":
        return [_table("Findings that it explains", explained)] if explained else []
    more = f", with {count_noun(len(explained), 'finding')} that it explains" if explained else ""
    return [_table(f"Measured {finding.stage}{more}", [finding, *explained])]


def _confirmed(finding: Finding, shown: Remedy | None) -> str:
    """What paired runs say of a finding, in a sentence, with the change that they tried unless it is `shown`."""
    assert finding.confirmation is not None
    words, change = finding.confirmation.in_words(), finding.confirmation.change
    with_change = f", with {change}" if change and not (shown and shown.label == change) else ""
    return f"{words[0].upper()}{words[1:]}{with_change}."


def health_blocks(
    learned: Learned | None, findings: Sequence[Finding], causes: Sequence[Cause], remarks: Sequence[str]
) -> tuple[Block, ...]:
    """The short form for the report of a run: the verdict, the findings above a note, and the number of notes."""
    above = [finding for finding in findings if finding.severity != "note"]
    notes = len(findings) - len(above)
    more = [f"`thalweg doctor` also shows {count_noun(notes, 'note')}."] if notes else []
    table = [_table("Findings, the most severe first", above)] if above else []
    return Text(f"{verdict(causes, findings)} {learned_in_words(learned)}"), *table, *map(Text, [*more, *remarks])


def learned_in_words(learned: Learned | None) -> str:
    """How much a training achieved, in a sentence.

    >>> learned_in_words(Learned("r2", score=0.5, constant=0.0, attainable=1.0)).replace("\\u202f", " ")
    'On the training rows: R² 0.5; best constant output 0; attainable 1. It closed 50 % of the gap.'
    """
    if learned is None:
        return "Not trained yet."
    score = measure_value(learned.measure, learned.score) if math.isfinite(learned.score) else "not available"
    parts = [
        f"{measure_name(learned.measure)} {score}",
        f"best constant output {measure_value(learned.measure, learned.constant)}",
    ]
    if math.isfinite(learned.line):
        parts.append(f"best straight line {measure_value(learned.measure, learned.line)}")
    if math.isfinite(learned.attainable):
        parts.append(f"attainable {measure_value(learned.measure, learned.attainable)}")
    closed = ""
    if math.isfinite(learned.share):
        closed = f" It closed {percent(min(max(learned.share, 0.0), 1.0), 2)} of the gap."
    return f"On the training rows: {'; '.join(parts)}.{closed}"


def finding_in_words(finding: Finding) -> str:
    """A finding in a line.

    >>> finding_in_words(Finding("plateau", "during training", "note", "the loss", 5.0, "0.69", "falling", "It stops."))
    'plateau at the loss: It stops. Measured: 0.69. Normal: falling.'
    """
    return (
        f"{finding.code} at {finding.place}: {finding.sentence} Measured: {finding.measured}. Normal: {finding.normal}."
    )


def _as_command(remedy: Remedy, command: str) -> str:
    """The remedy as a shell command; without a command, as lines of a spec."""
    if not command:
        return "\n".join(
            f"# without {path}" if value is None else f"{path} = {toml_value(value)}" for path, value in remedy.changes
        )
    settings = (shlex.quote(f"{path}={shell_text(value)}") for path, value in remedy.changes)
    return " ".join([command, *(f"--set {setting}" for setting in settings)])


def _table(caption: str, findings: Iterable[Finding]) -> Table:
    rows = [(finding.code, finding.place, finding.measured, finding.normal) for finding in findings]
    return Table(caption, _COLUMNS, rows)


def _are_notes(findings: Iterable[Finding]) -> bool:
    return all(finding.severity == "note" for finding in findings)
