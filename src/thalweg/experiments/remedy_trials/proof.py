"""The result of remedy trials: verdicts on the remedies, and the repaired spec."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...core.files import Json, JsonObject, commit, remove
from ...pages.blocks import Block, Heading, Suggestion, Table, Text
from ...pages.numbers import count_noun, difference, measure_name, number
from ...pages.page import Page, Paged
from ...spec.spec import CompleteSpec
from ...spec.toml import to_toml
from .effects import ArmScores, Combination, RemedyEffect
from .random_control import SPACE
from .render import (
    Outcome,
    combinations_table,
    effects_chart,
    evidence_blocks,
    method_paragraphs,
    remedies_table,
    scores_table,
)
from .score import Score

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, kw_only=True)
class RemedyTrials(Paged, ABC):
    """Remedies tried in paired trials, and what was repaired by those that help.

    Attributes:
        score: what arms are scored by.
        seeds: the seeds.
        unchanged: scores of the unchanged spec.
        effects: the effect of each remedy.
        combinations: the combinations that were tried, in order.
        chosen: labels of the remedies in the repair; empty where nothing helps.
        repair: effect of the repair; None where nothing helps.
        remarks: what could not be tried, and why.
        seconds: the time that it took.
        folder: the folder of the trials; None where they were not kept.
    """

    subject: ClassVar[str]
    """What the remedies change, in a word."""
    space: ClassVar[str]
    """What random changes are drawn from, in words."""

    score: Score
    seeds: Sequence[int]
    unchanged: ArmScores
    effects: tuple[RemedyEffect, ...]
    combinations: tuple[Combination, ...]
    chosen: tuple[str, ...]
    repair: RemedyEffect | None
    remarks: tuple[str, ...]
    seconds: float
    folder: Path | None = None

    @property
    def evidence(self) -> str:
        """What the evidence supports and what it does not, in sentences."""
        blocks = evidence_blocks(self._outcome)
        return " ".join(block.text if isinstance(block, Text) else " ".join(block.items) for block in blocks)

    @property
    def _outcome(self) -> Outcome:
        return Outcome(
            score=self.score,
            seeds=len(self.seeds),
            unchanged=self.unchanged,
            effects=self.effects,
            combinations=self.combinations,
            chosen=self.chosen,
            repair=self.repair,
            subject=self.subject,
        )

    def page(self) -> Page:
        """The evidence, the effects, the repair and the method."""
        outcome = self._outcome
        blocks: list[Block] = [Heading("What the evidence says"), *evidence_blocks(outcome)]
        if chart := effects_chart(outcome):
            blocks.append(chart)
        blocks.append(remedies_table(outcome))
        if self.combinations:
            blocks += [Heading("Combinations"), combinations_table(self.combinations, self.score.measure)]
        blocks += self._repair_blocks
        blocks += [Heading("Method"), *map(Text, method_paragraphs(outcome, self.space)), scores_table(outcome)]
        if self.remarks:
            blocks += [Heading("Remarks"), *map(Text, self.remarks)]
        return Page(self._title, tuple(blocks), self._summary_line, self._settings)

    def summary(self) -> Page:
        """The evidence and the table of the remedies, for a terminal."""
        blocks: list[Block] = [*evidence_blocks(self._outcome), remedies_table(self._outcome)]
        blocks += map(Text, self.remarks)
        return Page(self._title, tuple(blocks), self._summary_line)

    @property
    def _title(self) -> str:
        return "Remedy trials"

    @property
    def _summary_line(self) -> str:
        if self.repair and self.repair.difference:
            gain = difference(self.score.measure, self.repair.difference.mean)
            return f"Repaired by {' + '.join(self.chosen)}: {gain} {measure_name(self.score.measure)}."
        return "No remedy was shown to help."

    @property
    def _settings(self) -> tuple[tuple[str, str], ...]:
        rows = count_noun(self.score.row_count, f"{self.score.rows} row")
        return (
            ("remedies", str(len(self.effects))),
            ("seeds", ", ".join(map(str, self.seeds))),
            ("score", f"{measure_name(self.score.measure)} on {rows}"),
            ("time", f"{number(round(self.seconds))} s"),
        )

    @property
    @abstractmethod
    def _repair_blocks(self) -> list[Block]:
        """What is repaired; empty where nothing helps."""

    def figures(self) -> list[go.Figure]:
        """The chart of the report as a plotly figure; none where no trial has finished."""
        chart = effects_chart(self._outcome)
        return [chart.figure] if chart else []

    def describe(self) -> JsonObject:
        """The proof as JSON."""
        return {
            "score": {**self.score._asdict()},
            "seeds": list(self.seeds),
            "unchanged": self.unchanged.describe(),
            "remedies": [effect.describe() for effect in self.effects],
            "combinations": [combination.describe() for combination in self.combinations],
            "chosen": list(self.chosen),
            "repair": self.repair.describe() if self.repair else None,
            "repaired": self._repaired_json,
            "evidence": self.evidence,
            "remarks": list(self.remarks),
            "seconds": self.seconds,
        }

    @property
    @abstractmethod
    def _repaired_json(self) -> Json:
        """What is repaired, as JSON; None where nothing helps."""

    def save(self, folder: str | Path) -> Path:
        """Write report.html, proof.json and, where something helps, the repair. Raises InputError.

        Where nothing helps, the repair of an earlier proof is removed.
        """
        path = Path(folder)
        name, text = self._repaired_file
        if text:
            commit(path / name, text.encode())
        else:
            remove(path / name)
        commit(path / "proof.json", json.dumps(self.describe(), indent=1).encode())
        commit(path / "report.html", self.report().encode())
        return path

    @property
    @abstractmethod
    def _repaired_file(self) -> tuple[str, str]:
        """The name of the file of the repair, and its text; no text where nothing helps."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Proof(RemedyTrials):
    """Remedies of a spec tried in paired trials, and the spec repaired by those that help.

    Attributes:
        spec: the completed spec that remedies change.
        repaired: the repaired spec; None where nothing helps.
    """

    subject = "spec"
    space = SPACE

    spec: CompleteSpec
    repaired: CompleteSpec | None

    @property
    def _repair_blocks(self) -> list[Block]:
        if self.repair is None or self.repaired is None:
            return []
        changes = [(path, number(value)) for path, value in self.repair.arm.changes]
        blocks: list[Block] = [
            Heading("The repaired spec"),
            Table("What is changed", ("place", "new value"), changes),
            Suggestion("The whole spec:", to_toml(self.repaired)),
        ]
        if self.folder:
            blocks.append(Suggestion("Train it:", f"thalweg train {self.folder / 'repaired.toml'}"))
        return blocks

    @property
    def _repaired_json(self) -> Json:
        return self.repaired.describe() if self.repaired else None

    @property
    def _repaired_file(self) -> tuple[str, str]:
        return "repaired.toml", to_toml(self.repaired) if self.repaired else ""
