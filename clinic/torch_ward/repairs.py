"""How much of the gap between a faulty program and its corrected twin the proven repair closes.

The faulty program is written as a recipe (`as_recipe`), and `thalweg.prove` repairs it on seeds of its own, without the
twin. Then four recipes are trained with the same fresh seeds: the faulty one, the repaired one, the corrected twin, and
random changes of the faulty one that cost no more and change as many places, another one for each seed. With s the mean
score of each,

    closed = (s(repaired) - s(faulty)) / (s(twin) - s(faulty)),

and the same of the random changes. A training that diverged scores as the best constant answer does.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import thalweg
from thalweg.core.files import Json
from thalweg.core.intervals import wilson
from thalweg.experiments.remedy_trials.score import NoScoreError
from thalweg.experiments.variation import Setting
from thalweg.watching.recipes.arms import RecipeArms
from thalweg.watching.recipes.loop import train
from thalweg.watching.recipes.trials import one_thread

from .as_recipe import NoRecipeError, recipe_of
from .cases import Case

ENOUGH = 0.9
"""A repair that closes this part of the gap is right."""
_PROOF_SEEDS = 5
_FRESH = range(1000, 1005)


class Repaired(NamedTuple):
    """The repair of one case."""

    name: str
    kind: str
    lines: str
    """The repair in PyTorch; empty where nothing helped."""
    faulty: float = math.nan
    """Mean score with the fresh seeds, as are the next three; NaN where there is none."""
    repaired: float = math.nan
    random: float = math.nan
    twin: float = math.nan
    remark: str = ""
    """Why there is no score."""
    seconds: float = 0.0

    @property
    def closed(self) -> float:
        """The part of the gap that the repair closes; 0 where there is no score."""
        return self._closed(self.repaired)

    @property
    def closed_at_random(self) -> float:
        """The part that random changes close."""
        return self._closed(self.random)

    def _closed(self, score: float) -> float:
        gap = self.twin - self.faulty
        return (score - self.faulty) / gap if gap > 0 else 0.0

    @property
    def line(self) -> str:
        """The case in a line of the report."""
        return (
            f"{self.name:24} {self.kind:20} repaired {self.closed:5.0%}  random change {self.closed_at_random:5.0%}"
            f"  ({self.faulty:.3g} -> {self.repaired:.3g}, twin {self.twin:.3g}) {self.remark}".rstrip()
        )


def repaired(case: Case, minutes: float) -> Repaired:
    """Prove a repair of a case, and score it with fresh seeds.

    Args:
        case: the case.
        minutes: the time after which the proof ends with what it has.
    """
    program = case.load()
    with one_thread():
        try:
            recipe, twin = recipe_of(program, False), recipe_of(program, True)
            proof = thalweg.prove(recipe, jobs=1, seeds=_PROOF_SEEDS, minutes=minutes)
        except (NoRecipeError, NoScoreError, thalweg.InputError) as error:
            return Repaired(case.name, case.kind, "", remark=str(error))
        arms = RecipeArms(recipe)
        changes = proof.changes or {}
        candidate = arms.candidate(
            "repaired", [Setting(place, str(value), ((place, value),)) for place, value in changes.items()]
        )
        controls = [arms.control(candidate, seed) if changes else None for seed in _FRESH]
        twins = RecipeArms(twin)
        same = arms.parts.measure == twins.parts.measure
        return Repaired(
            case.name,
            case.kind,
            proof.lines,
            faulty=_mean([_score(arms, seed, {}) for seed in _FRESH]),
            repaired=_mean([_score(arms, seed, changes) for seed in _FRESH]),
            random=_mean(
                [_score(arms, seed, dict(c.changes) if c else {}) for seed, c in zip(_FRESH, controls, strict=True)]
            ),
            twin=_mean([_score(twins, seed, {}) for seed in _FRESH]) if same else math.nan,
            remark="" if same else "the twin has another score",
            seconds=proof.seconds,
        )


def _score(arms: RecipeArms, seed: int, changes: Mapping[str, Json]) -> float:
    trained = train(arms.recipe.parts(arms.rows, seed, changes), seed)
    return trained.score if math.isfinite(trained.score) else arms.score.constant


def _mean(scores: Sequence[float]) -> float:
    return math.fsum(scores) / len(scores)


def repairs_report(found: Sequence[Repaired]) -> list[str]:
    """The lines of a report: each case, and the share of proven repairs beside that of random changes."""
    lines = [
        f"repair proven: the part of the gap to the corrected twin that is closed, {len(_FRESH)} fresh seeds",
        *(f"  {one.line}" for one in found),
    ]
    for name, closed in (
        ("repair", [one.closed for one in found]),
        ("random change", [one.closed_at_random for one in found]),
    ):
        right = sum(part >= ENOUGH for part in closed)
        low, high = wilson(right, len(closed)) if closed else (0.0, 1.0)
        lines.append(
            f"  {name:14} at least {ENOUGH:.0%} of the gap: {right}/{len(closed)} = {right / max(len(closed), 1):.0%}"
            f" [{low:.0%}, {high:.0%}]"
        )
    return lines


def read_repairs(path: Path) -> list[Repaired]:
    """The repairs that a file holds; none where there is no file."""
    if not path.exists():
        return []
    kept = json.loads(path.read_text(encoding="utf-8"))["repairs"]
    return [Repaired(**{name: math.nan if value is None else value for name, value in one.items()}) for one in kept]


def write_repairs(path: Path, found: Iterable[Repaired]) -> None:
    """Write repairs, in the order of their names, and their report. The file is replaced at once."""
    ordered = sorted(found)
    kept = [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in one._asdict().items()
        }
        for one in ordered
    ]
    text = json.dumps({"report": repairs_report(ordered), "repairs": kept}, indent=1, allow_nan=False)
    beside = path.with_suffix(".part")
    beside.write_text(text + "\n", encoding="utf-8")
    os.replace(beside, path)
