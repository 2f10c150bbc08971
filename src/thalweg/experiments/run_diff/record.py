"""What is known of a run: its spec, its rows, the versions and the machine, as far as they were recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...core.errors import InputError
from ...data import Arrays, Split
from ...runs.load import load
from ...runs.run import Run
from ...spec.differences import Change, changes
from ...training.checkpoints import fingerprints, has_checkpoints, newest
from ...training.session import Session
from .rounding import relative_difference, roundoff_of_sum, terms_of_step, unit_roundoff

# Sections that no training depends on, to the bit.
_NO_PART = ("probes", "checkpoints")
# Where the same training is computed: these settings change a training by rounding alone.
_WHERE = ("training.engine", "training.precision", "training.device", "training.devices")
# The probes have six digits.
_RECORDED_DIGITS = 1e-5
# The recorded quantities without sums that cancel, in the order of computation.
_FORWARD = ("output_rms",)
_BACKWARD = ("delta_rms", "gradient_norm")
_AFTER = ("weight_norm", "update_ratio")


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A run with its rows, where they can be loaded.

    Attributes:
        run: the run.
        name: its name, for tables.
        fingerprints: the CRC-32 of each set of rows that was recorded with the run; empty where none was.
        split: the rows of the training; None where they are not there any more.
        missing: why there are no rows; empty where there are.
    """

    run: Run
    name: str
    fingerprints: dict[str, int]
    split: Split | None
    missing: str = ""

    @property
    def session(self) -> Session | None:
        """The training, to be replayed; None without rows."""
        return Session(self.run.spec, self.split) if self.split else None

    @property
    def steps(self) -> int:
        """Updates of the training."""
        return int(self.run.history[-1]["step"]) if self.run.history else 0

    @property
    def versions(self) -> dict[str, str]:
        """The recorded versions by name."""
        facts = self.run.facts
        thalweg, _, python = facts.get("thalweg", "").partition(" on Python ")
        libraries = dict(words.split(" ", 1) for words in facts.get("libraries", "").split(", ") if " " in words)
        return {name: value for name, value in {"thalweg": thalweg, "python": python, **libraries}.items() if value}

    @property
    def machine(self) -> dict[str, str]:
        """What was recorded of the machine and of the engine, by name."""
        facts = self.run.facts
        system, _, rest = facts.get("machine", "").partition(", ")
        processor, _, cores = rest.rpartition(", ")
        engine = dict(zip(("engine", "precision", "device"), facts.get("engine", "").split(", "), strict=False))
        named = {"system": system, "processor": processor, "cores": cores.removesuffix(" cores"), **engine}
        return {name: value for name, value in named.items() if value}

    @property
    def kind(self) -> tuple[str, str]:
        """Precision and device of the engine."""
        recorded = self.machine
        return recorded.get("precision", self.run.spec.training.number_type), recorded.get("device", "cpu")


def record_of(source: Run | str | Path) -> RunRecord:
    """The record of a run or of its folder.

    Raises InputError where it is not the folder of a run, the training has not ended, or a file is damaged.
    """
    run = source if isinstance(source, Run) else load(source)
    name = run.folder.name if run.folder else "run"
    if run.interrupted:
        fix = f"resume it with `thalweg train --resume {run.folder}`" if run.folder else "train it to its end"
        raise InputError(str(run.folder or name), f"the training was interrupted; {fix}")
    if run.split:
        return RunRecord(run, name, fingerprints(run.split), run.split)
    recorded: dict[str, int] = {}
    if run.folder and has_checkpoints(run.folder):
        recorded = dict(newest(run.folder)[1]["rows"])
    try:
        split = run.rows()
    except InputError as error:
        return RunRecord(run, name, recorded, None, str(error))
    if recorded and fingerprints(split) != recorded:
        return RunRecord(run, name, recorded, None, "the source gives other rows now than in the training")
    return RunRecord(run, name, recorded, split)


def spec_changes(one: RunRecord, other: RunRecord) -> list[Change]:
    """Where the completed specs differ, with both values; rows in memory are one change."""
    sources = [record.run.spec.data.source for record in (one, other)]
    found = changes(one.run.spec.describe(), other.run.spec.describe())
    if not any(isinstance(source, Arrays) for source in sources):
        return found
    left = [change for change in found if not f"{change.path}.".startswith("data.source.")]
    return [Change("data.source", *sources), *left] if len(left) < len(found) else left


def changes_training(change: Change) -> bool:
    """Whether a setting takes part in a training by more than rounding: probes, checkpoints and engines do not."""
    return not change.path.startswith(_NO_PART) and change.path not in _WHERE


class FactPair(NamedTuple):
    """A fact of both runs; None where a run did not record it.

    Attributes:
        name: what it is.
        values: the value of each run.
    """

    name: str
    values: tuple[str | None, str | None]

    @property
    def differs(self) -> bool | None:
        """Whether the values differ; None where it is not known."""
        first, second = self.values
        return None if first is None or second is None else first != second


def paired(one: dict[str, str], other: dict[str, str], names: tuple[str, ...]) -> tuple[FactPair, ...]:
    """The facts of both runs by name."""
    return tuple(FactPair(name, (one.get(name), other.get(name))) for name in names)


class MeasurePair(NamedTuple):
    """A measure at the end of both trainings.

    Attributes:
        rows: the set of rows.
        measure: name of the measure.
        values: the value of each run.
    """

    rows: str
    measure: str
    values: tuple[float, float]


def outcomes(one: RunRecord, other: RunRecord) -> tuple[MeasurePair, ...]:
    """The measures that both runs have, by set of rows."""
    mine, theirs = one.run.measures, other.run.measures
    return tuple(
        MeasurePair(rows, measure, (value, theirs[rows][measure]))
        for rows, measures in mine.items()
        if rows in theirs
        for measure, value in measures.items()
        if measure in theirs[rows]
    )


class RecordedPart(NamedTuple):
    """The first recorded quantity that differs.

    Attributes:
        quantity: its name: loss of an epoch, or a quantity of the probes.
        layer: its layer in words; "" for the whole network.
        step: updates before it.
        difference: |a - b| / max(|a|, |b|).
        bound: (steps + 1) g(n): what rounding explains where no step makes it larger.
    """

    quantity: str
    layer: str
    step: int
    difference: float
    bound: float

    @property
    def beyond(self) -> bool:
        """Whether the difference exceeds the bound."""
        return not self.difference <= self.bound


def rounding_of_records(one: RunRecord, other: RunRecord) -> float:
    """g(n) of a step of two runs: what rounding changes in it."""
    unit = unit_roundoff([record.kind for record in (one, other)])
    terms = max(_terms(record) for record in (one, other))
    return roundoff_of_sum(terms, unit)


def _terms(record: RunRecord) -> int:
    rows = record.run.spec.training.batch_size
    return terms_of_step(record.run.network, record.run.preprocessing.features, rows if isinstance(rows, int) else 1000)


def recorded_losses(one: RunRecord, other: RunRecord) -> RecordedPart | None:
    """The first epoch whose recorded losses differ by more than rounding; else the largest difference, if any."""
    size = rounding_of_records(one, other)
    pairs = zip(one.run.history, other.run.history, strict=False)
    found = [
        RecordedPart("loss of the epoch", "", int(mine["step"]), difference, (int(mine["step"]) + 1) * size)
        for mine, theirs in pairs
        if (difference := relative_difference(np.array(mine["loss"]), np.array(theirs["loss"])))
    ]
    return _first(found)


def recorded_probes(one: RunRecord, other: RunRecord) -> RecordedPart | None:
    """The first quantity of the probes that differs by more than rounding; else the largest difference, if any."""
    mine, theirs = (record.run.observations for record in (one, other))
    if mine.layers != theirs.layers:
        return None
    size = rounding_of_records(one, other)
    found = []
    for step in sorted({*mine.steps.tolist()} & {*theirs.steps.tolist()}):
        rows = [int(np.flatnonzero(observed.steps == step)[0]) for observed in (mine, theirs)]
        for quantity, index in _in_order(set(mine.whole) & set(theirs.whole), mine.by_layer, len(mine.layers)):
            values = [
                observed.whole[quantity][row] if index is None else observed.by_layer[quantity][row, index]
                for observed, row in zip((mine, theirs), rows, strict=True)
                if quantity in observed.whole or quantity in observed.by_layer
            ]
            if len(values) < 2 or np.isnan(values).all():
                continue
            difference = relative_difference(*np.array(values))
            if difference > _RECORDED_DIGITS:
                layer = "" if index is None else mine.layers[index]
                bound = (step + 1) * size + _RECORDED_DIGITS
                found.append(RecordedPart(quantity, layer, step, difference, bound))
    return _first(found)


def _in_order(whole: set[str], by_layer: dict[str, np.ndarray], layers: int) -> list[tuple[str, int | None]]:
    """The recorded quantities in the order of computation, each with the index of its layer."""
    forward = [*range(layers)]
    ordered: list[tuple[str, int | None]] = []
    ordered += [("input_rms", None)] if "input_rms" in whole else []
    ordered += [(name, index) for index in forward for name in _FORWARD if name in by_layer]
    ordered += [("loss", None)] if "loss" in whole else []
    ordered += [(name, index) for name in _BACKWARD for index in reversed(forward) if name in by_layer]
    return [*ordered, *((name, index) for name in _AFTER for index in forward if name in by_layer)]


def _first(found: list[RecordedPart]) -> RecordedPart | None:
    beyond = next((part for part in found if part.beyond), None)
    return beyond or max(found, key=lambda part: part.difference, default=None)
