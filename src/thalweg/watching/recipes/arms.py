"""The arms of a recipe: its changes, and random changes of equal cost."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from ...core.errors import InputError
from ...core.files import Json
from ...core.noise import generator
from ...experiments.experiment import Trial
from ...experiments.remedy_trials.score import ENOUGH_ROWS, NoScoreError, Score
from ...experiments.variation import Arm, Setting
from ...pages.numbers import count_noun
from ...spec.differences import canonical_json
from .loop import train
from .origin import code_of
from .parts import TrainingParts
from .random_change import random_change
from .scoring import constant_score
from .trials import RecipeSource, RecipeWork, loaded, one_thread

# A random change may not suit the recipe, or be like a remedy: this many are drawn until one does.
_DRAWS = 100
# Rates that differ by less than this factor make no other remedy.
_CLOSE = 1.5


class RecipeCandidate(NamedTuple):
    """An arm of a recipe that can be tried.

    Attributes:
        arm: its settings.
        source: the recipe, or its file.
        code: a hash of the recipe and its rows.
        updates: number of parameter updates that its training plans.
    """

    arm: Arm
    source: RecipeSource
    code: str
    updates: int

    @property
    def changes(self) -> dict[str, Json]:
        """Places of the recipe with their new values."""
        return _as_changes(self.arm.settings)

    @property
    def changed_settings(self) -> int:
        """Number of places that it changes."""
        return len(self.changes)

    def selects_same_rows(self, other: RecipeCandidate) -> bool:
        """Always: no change of a recipe selects rows."""
        return True

    def trial(self, seed: int) -> Trial[object]:
        """Its trial with a seed."""
        decisive = canonical_json({"code": self.code, "changes": self.changes, "seed": seed})
        key = hashlib.sha256(decisive.encode()).hexdigest()[:16]
        return Trial(self.arm, seed, RecipeWork(self.source, self.changes, seed), key)

    def is_like(self, other: RecipeCandidate) -> bool:
        """Whether both change the same places to the same values, or to rates that differ by less than half."""
        ours, theirs = self.changes, other.changes
        return ours.keys() == theirs.keys() and all(_are_close(ours[place], theirs[place]) for place in ours)


def _as_changes(settings: Sequence[Setting]) -> dict[str, Json]:
    # Values come from remedies, whose values are JSON.
    return {place: value for setting in settings for place, value in setting.changes}  # type: ignore[misc]


def _are_close(one: Json, other: Json) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return max(one, other) < _CLOSE * min(one, other) or one == other
    return one == other


class RecipeArms:
    """Makes the arms of a recipe.

    Attributes:
        source: the recipe, or its file.
        recipe: the recipe.
        rows: its rows.
        score: what arms are scored by.
        unchanged: the arm without changes.

    Raises:
        InputError: the factories do not fit together.
        NoScoreError: too few held-out rows, or all with the same target.
    """

    def __init__(self, source: RecipeSource) -> None:
        self.source = source
        self.recipe, self.rows = loaded(source)
        self.score = self._score()
        self._code = code_of(self.recipe, self.rows)
        self.unchanged = self.candidate("unchanged", ())

    @property
    def parts(self) -> TrainingParts:
        """The parts of an unchanged training with seed 0; each time with a new model."""
        return self.recipe.parts(self.rows, 0)

    def _score(self) -> Score:
        targets = self.rows.held_out_y
        if len(targets) < ENOUGH_ROWS:
            found = count_noun(len(targets), "held-out row")
            raise NoScoreError("data", f"expected at least {ENOUGH_ROWS} held-out rows, received {found}")
        if len(targets.unique(dim=0)) < 2:
            raise NoScoreError("data", "all held-out rows have the same target: any constant output is right")
        parts = self.parts
        constant = constant_score(parts.score, targets)
        return Score(measure=parts.measure, rows="validation", row_count=len(targets), constant=constant)

    def candidate(self, label: str, settings: Sequence[Setting]) -> RecipeCandidate:
        """The arm with these settings. Raises InputError where they do not suit the recipe: one step is tried."""
        changes = _as_changes(settings)
        with one_thread():
            parts = self.recipe.parts(self.rows, 0, changes)
            updates = parts.updates
            _try_one_step(parts)
        return RecipeCandidate(Arm(label, tuple(settings)), self.source, self._code, updates)

    def control(
        self, candidate: RecipeCandidate, seed: int, tried: Sequence[RecipeCandidate] = ()
    ) -> RecipeCandidate | None:
        """A random change of as many places that plans no more updates; None where none was found.

        It is not like the candidate or one of the remedies that are tried, nor is any of its settings alone.
        """
        for number in range(_DRAWS):
            rng = generator(seed, "random change", candidate.arm.label, number)
            changes = random_change(self.parts, rng, candidate.changed_settings)
            settings = [_setting(place, value) for place, value in changes.items()]
            try:
                control = self._limited(settings, candidate.updates)
            except InputError:
                continue
            others = (candidate, *tried)
            alone = [control._replace(arm=Arm(setting.label, (setting,))) for setting in settings] if control else []
            if control and not any(one.is_like(other) for one in (control, *alone) for other in others):
                return control
        return None

    def _limited(self, settings: Sequence[Setting], updates: int) -> RecipeCandidate | None:
        """The arm with as many epochs as this number of updates allows; None where it allows less than one."""
        joined = self.candidate(", ".join(setting.label for setting in settings), settings)
        if joined.updates <= updates:
            return joined
        epochs = self.recipe.epochs * updates // joined.updates
        return self.candidate(joined.arm.label, [*settings, _setting("epochs", epochs)]) if epochs else None


def _setting(place: str, value: Json) -> Setting:
    words = f"{value:g}" if isinstance(value, float) else str(value)
    label = f"{place.replace('_', ' ')} {words}"
    return Setting(label, label, ((place, value),))


def _try_one_step(parts: TrainingParts) -> None:
    """One step, and the outputs of two held-out rows, of a model that is not used further. Raises InputError."""
    rows = parts.rows
    few = slice(0, parts.batch_size)
    first = dataclasses.replace(
        rows, x=rows.x[few], y=rows.y[few], held_out_x=rows.held_out_x[:2], held_out_y=rows.held_out_y[:2]
    )
    train(dataclasses.replace(parts, rows=first, epochs=1, score=lambda outputs, targets: 0.0), 0)
