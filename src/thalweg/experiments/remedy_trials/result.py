"""What a proof came to: arms beside each other, verdicts, and the spec that is repaired."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ...core.files import commit, remove
from ...core.intervals import Difference, bootstrap
from ...pages.page import Page
from ...spec.spec import CompleteSpec
from ...spec.toml import to_toml
from ..comparison import ENOUGH_SEEDS, paired
from ..experiment import described
from .score import Score

# A gain of less than this is kept only where its interval lies above 0; where less is left to gain, nothing is added.
MARGIN = 0.01
Verdict = Literal["helps", "no evidence", "harms", "not tried"]


@dataclass(frozen=True, eq=False)
class ArmTried:
    """What an arm came to: its score by seed (NaN where it was not tried), and how many of its trials diverged.

    `updates` is how many it plans; `problem` says why it could not be tried, where it could not.
    """

    label: str
    changes: tuple[tuple[str, Any], ...]
    values: np.ndarray
    diverged: int = 0
    updates: int = 0
    problem: str = ""

    @property
    def tried(self) -> int:
        """The number of seeds that it was tried with."""
        return int(np.isfinite(self.values).sum())

    @cached_property
    def mean(self) -> float:
        """The mean over the seeds; NaN where there are none."""
        return float(np.nanmean(self.values)) if self.tried else math.nan

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean."""
        return bootstrap(self.values[np.isfinite(self.values)])

    def describe(self) -> dict[str, Any]:
        """Itself as JSON holds it."""
        return {
            "label": self.label,
            "changes": described(dict(self.changes)),
            "values": [_number(value) for value in self.values],
            "mean": _number(self.mean),
            "interval": [_number(end) for end in self.interval],
            "diverged": self.diverged,
            "updates": self.updates,
            "problem": self.problem,
        }


@dataclass(frozen=True, eq=False)
class Effect:
    """An arm set against the unchanged spec and against a random change, paired by seed.

    `difference` is arm minus unchanged, `chance` random change minus unchanged, `beyond` arm minus random change, each
    over the seeds that both have; None where there are none.
    """

    arm: ArmTried
    unchanged: ArmTried
    control: ArmTried | None = None

    @cached_property
    def difference(self) -> Difference | None:
        return paired(self.arm.values, self.unchanged.values)

    @cached_property
    def chance(self) -> Difference | None:
        return paired(self.control.values, self.unchanged.values) if self.control else None

    @cached_property
    def beyond(self) -> Difference | None:
        return paired(self.arm.values, self.control.values) if self.control else None

    @property
    def verdict(self) -> Verdict:
        """By the 95 % interval of the difference to the unchanged spec: above 0, below it, or neither."""
        if self.difference is None:
            return "not tried"
        return "helps" if self.difference.low > 0 else "harms" if self.difference.high < 0 else "no evidence"

    @property
    def pairs(self) -> int:
        """The number of seeds that it and the unchanged spec were tried with."""
        return int(np.isfinite(self.arm.values - self.unchanged.values).sum())

    @property
    def hint(self) -> bool:
        """Whether what its interval says is a hint only, for there are few pairs."""
        return self.verdict in ("helps", "harms") and self.pairs < ENOUGH_SEEDS

    @property
    def against_chance(self) -> str:
        """By the 95 % interval of the difference to the random change: better, worse, or not told apart."""
        if self.beyond is None:
            return "not tried"
        return "better" if self.beyond.low > 0 else "worse" if self.beyond.high < 0 else "not told apart"

    def describe(self) -> dict[str, Any]:
        """Itself as JSON holds it."""
        return self.arm.describe() | {
            "verdict": self.verdict,
            "pairs": self.pairs,
            "hint": self.hint,
            "difference": _described(self.difference),
            "random": self.control and self.control.describe() | {"difference": _described(self.chance)},
            "beyond_random": _described(self.beyond),
            "against_random": self.against_chance,
        }


class Combination(NamedTuple):
    """Remedies tried together: their labels, what they do, and what is gained over the best that there was before.

    `base` are the labels of that best one, none where it is the unchanged spec; `kept` says whether it is now the best.
    """

    remedies: tuple[str, ...]
    effect: Effect
    base: tuple[str, ...]
    gain: Difference | None
    kept: bool


@dataclass(frozen=True, eq=False)
class Proof:
    """Remedies, tried: the unchanged spec, the effect of each remedy, their combinations, and what is left of them.

    `chosen` are the labels of the remedies that the `repaired` spec has, and `repair` their effect: None and nothing
    where none helps. `remarks` say what could not be tried, and why. It shows itself in a notebook; `report()` is the
    whole of it as a page.
    """

    spec: CompleteSpec
    score: Score
    seeds: range
    unchanged: ArmTried
    effects: tuple[Effect, ...]
    combinations: tuple[Combination, ...]
    chosen: tuple[str, ...]
    repair: Effect | None
    repaired: CompleteSpec | None
    remarks: tuple[str, ...]
    seconds: float
    folder: Path | None = None

    @property
    def evidence(self) -> str:
        """What the evidence supports and what it does not, in plain sentences."""
        from .render import evidence_of

        return " ".join(evidence_of(self))

    def page(self) -> Page:
        """The proof as a page of text, tables and a chart."""
        from .render import worksheet_of

        return worksheet_of(self)

    def summary(self) -> Page:
        """The evidence and the table of the remedies: what a terminal shows."""
        from .render import summary_of

        return summary_of(self)

    def figures(self) -> list[Any]:
        """The charts of the report as plotly figures."""
        from .render import charts_of

        return [chart.figure for chart in charts_of(self)]

    def report(self) -> str:
        """The proof as one HTML page that needs no network."""
        return self.page().html()

    def describe(self) -> dict[str, Any]:
        """Itself as JSON holds it."""
        return {
            "score": self.score._asdict(),
            "seeds": list(self.seeds),
            "unchanged": self.unchanged.describe(),
            "remedies": [effect.describe() for effect in self.effects],
            "combinations": [
                {"remedies": list(found.remedies), "base": list(found.base), "kept": found.kept}
                | {"gain": _described(found.gain)}
                | found.effect.describe()
                for found in self.combinations
            ],
            "chosen": list(self.chosen),
            "repair": self.repair and self.repair.describe(),
            "repaired": self.repaired and self.repaired.describe(),
            "evidence": self.evidence,
            "remarks": list(self.remarks),
            "seconds": self.seconds,
        }

    def save(self, folder: str | Path) -> Path:
        """Write report.html, proof.json and, where something helps, repaired.toml. Raises InputError.

        A repaired.toml of an earlier proof that holds no longer is removed.
        """
        path = Path(folder)
        if self.repaired:
            commit(path / "repaired.toml", to_toml(self.repaired).encode())
        else:
            remove(path / "repaired.toml")
        commit(path / "proof.json", json.dumps(self.describe(), indent=1).encode())
        commit(path / "report.html", self.report().encode())
        return path

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _described(difference: Difference | None) -> dict[str, float | None] | None:
    return difference and {name: _number(value) for name, value in difference._asdict().items()}
