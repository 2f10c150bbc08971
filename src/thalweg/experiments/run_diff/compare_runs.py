"""`diff`: what differs between two runs, where their trainings part, and which difference explains the outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...core.files import JsonObject
from ...core.progress import ProgressMessage, Watch, ignore_progress
from ...doctor.attainable import measure_of
from ...pages.page import Page, Paged
from ...runs.run import Run
from ...spec.differences import Change
from ...training.callbacks import Record
from .findings import Findings, Reproduction
from .interventions import Explanation, explain_outcome, not_tried, score_of_both
from .lockstep import Lockstep, lockstep
from .record import (
    RunRecord,
    changes_training,
    outcomes,
    paired,
    record_of,
    recorded_losses,
    recorded_probes,
    rounding_of_records,
    spec_changes,
)
from .render import described, diff_page
from .rounding import relative_difference
from .rows import compare_rows

VERSIONS = ("thalweg", "python", "numpy", "jax", "polars")
MACHINE = ("system", "processor", "cores", "engine", "precision", "device")


@dataclass(frozen=True, eq=False)
class RunDiff(Findings, Paged):
    """Two runs side by side, as `Findings` has them."""

    def page(self) -> Page:
        """The comparison as a page."""
        return diff_page(self)

    def describe(self) -> JsonObject:
        """The comparison as JSON."""
        return described(self)


def diff(
    one: Run | str | Path,
    other: Run | str | Path,
    *,
    steps: int = 2000,
    seconds: float = 60.0,
    seeds: int = 3,
    watch: Watch = ignore_progress,
) -> RunDiff:
    """What differs between two runs, where their trainings part, and which difference explains the outcome.

    Specs, rows, versions and machines are compared as far as the runs recorded them. Where the rows of both can be
    loaded, both trainings are replayed side by side up to the first quantity that differs by more than rounding. Then
    the settings that differ are put back one at a time, in paired trials.

    Args:
        one: the first run, or its folder.
        other: the second run, or its folder.
        steps: most steps that are replayed.
        seconds: the time for the replay, and the time for the trials.
        seeds: number of seeds of each trial; 0 for no trials.
        watch: hears of the progress.

    Raises:
        InputError: one of them is not a run, its training has not ended, or they have different tasks.
        KeyboardInterrupt: at Ctrl-C.

    >>> from thalweg import train
    >>> layers = ["dense 4", "tanh", "dense 2", "softmax"]
    >>> runs = [train(layers, "xor", optimizer=f"adam {rate}", epochs=9, engine="eager", progress=False)
    ...         for rate in (0.1, 0.2)]
    >>> found = diff(*runs)
    >>> found.verdict, [change.path for change in found.changes]
    ('differs', ['optimizer.learning_rate'])
    >>> parting = found.lockstep.parting
    >>> parting.step, parting.name, parting.layer, parting.part, round(parting.difference, 3)
    (1, 'update', '1: dense 4', 'W', 0.5)
    """
    _check(steps, seconds, seeds)
    records = record_of(one), record_of(other)
    tasks = [record.run.task for record in records]
    if tasks[0] != tasks[1]:
        raise InputError("diff", f"expected two runs of the same task, received {tasks[0]} and {tasks[1]}")
    return _compared(records, steps, seconds, seeds, watch)


def _compared(records: tuple[RunRecord, RunRecord], steps: int, seconds: float, seeds: int, watch: Watch) -> RunDiff:
    changes = tuple(spec_changes(*records))
    watch(ProgressMessage("comparing the rows"))
    rows = compare_rows(*records)
    replayed, why_not = _replayed(records, steps, seconds, watch)
    better = _better(records)
    return RunDiff(
        records=records,
        changes=changes,
        rows=rows,
        versions=paired(records[0].versions, records[1].versions, VERSIONS),
        machine=paired(records[0].machine, records[1].machine, MACHINE),
        outcomes=outcomes(*records),
        recorded_loss=recorded_losses(*records),
        recorded_probe=recorded_probes(*records),
        lockstep=replayed,
        why_not_replayed=why_not,
        reproductions=_reproductions(records, replayed),
        better=better,
        explanation=_explanation(records, changes, better, seeds, seconds, watch),
    )


def _check(steps: int, seconds: float, seeds: int) -> None:
    if steps < 1:
        raise InputError("steps", f"expected a whole number of at least 1, received {steps}")
    if not seconds > 0:
        raise InputError("seconds", f"expected a number above 0, received {seconds}")
    if seeds < 0:
        raise InputError("seeds", f"expected a whole number of at least 0, received {seeds}")


def _replayed(
    records: tuple[RunRecord, RunRecord], steps: int, seconds: float, watch: Watch
) -> tuple[Lockstep | None, str]:
    """Both trainings side by side, or why that is not possible."""
    one, other = records
    sessions = one.session, other.session
    if sessions[0] is None or sessions[1] is None:
        missing = [f"the rows of {record.name}: {record.missing}" for record in records if record.session is None]
        return None, "; ".join(missing)
    try:
        return lockstep(sessions[0], sessions[1], steps=steps, seconds=seconds, watch=watch), ""
    except InputError as error:
        # The device of a run may not be there, or its spec is of another version.
        return None, str(error)


def _reproductions(
    records: tuple[RunRecord, RunRecord], replayed: Lockstep | None
) -> tuple[Reproduction | None, Reproduction | None]:
    if replayed is None:
        return None, None
    size = rounding_of_records(*records)
    one, other = (
        _reproduction(record.run.history, history, size)
        for record, history in zip(records, replayed.histories, strict=True)
    )
    return one, other


def _reproduction(recorded: Sequence[Record], replayed: Sequence[Record], size: float) -> Reproduction | None:
    pairs = [(mine["loss"], theirs["loss"], mine["step"]) for mine, theirs in zip(recorded, replayed, strict=False)]
    if not pairs:
        return None
    difference = max(relative_difference(np.array(mine), np.array(theirs)) for mine, theirs, _ in pairs)
    return Reproduction(len(pairs), difference, (pairs[-1][2] + 1) * size)


def _better(records: tuple[RunRecord, RunRecord]) -> int | None:
    """The run with the higher score, on the rows that say most about new ones."""
    splits = [record.split for record in records]
    measure = measure_of(records[0].run.task)
    rows = "training"
    if splits[0] and splits[1]:
        rows = score_of_both(splits[0], splits[1]).rows
    elif all("validation" in record.run.measures for record in records):
        rows = "validation"
    values = [record.run.measures[rows].get(measure, math.nan) for record in records]
    scores = [-math.inf if record.run.diverged else value for record, value in zip(records, values, strict=True)]
    return None if scores[0] == scores[1] or math.isnan(sum(values)) else int(scores[1] > scores[0])


def _explanation(
    records: tuple[RunRecord, RunRecord],
    changes: Sequence[Change],
    better: int | None,
    seeds: int,
    seconds: float,
    watch: Watch,
) -> Explanation:
    """Which of the settings that take part in the training explain the outcome."""
    tried = [change for change in changes if changes_training(change)]
    if better is None:
        return not_tried(tried, "the outcomes have the same score")
    if not tried:
        return not_tried(tried, "no setting that takes part in the training differs")
    if seeds == 0:
        return not_tried(tried, "no trials were asked for")
    if not records[0].split or not records[1].split:
        return not_tried(tried, "the rows of both runs are needed")
    if better == 0:
        tried = [Change(change.path, change.after, change.before) for change in tried]
    return explain_outcome(records[1 - better], records[better], tried, seeds=seeds, seconds=seconds, watch=watch)
