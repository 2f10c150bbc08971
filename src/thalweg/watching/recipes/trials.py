"""Trials of a recipe: its arms, and how a worker trains one of them."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import torch

from ...core.errors import InputError, Problem
from ...core.files import Json, commit
from ...core.noise import generator
from ...experiments.experiment import Trial
from ...experiments.remedy_trials.score import ENOUGH_ROWS, NoScoreError, Score
from ...experiments.variation import Arm, Setting
from ...experiments.workers import RunWriteError, record
from ...pages.numbers import count_noun
from ...runs.run_folder import RESULT_FILE, Result, json_line, make_room
from ...spec.differences import canonical_json
from .files import load_recipe
from .loop import TrainedRecipe, train
from .parts import TrainingParts
from .random_change import random_change
from .recipe import FACTORIES, Recipe
from .rows import RecipeRows
from .scoring import constant_score

_DRAWS = 100
_CLOSE = 1.5

RecipeSource: TypeAlias = Recipe | Path
"""A recipe, or the file that defines it."""


class RecipeWork(NamedTuple):
    """What a trial of a recipe trains.

    Attributes:
        source: the recipe, or its file, which a worker runs.
        changes: places of the recipe with their new values.
        seed: the seed.
    """

    source: RecipeSource
    changes: dict[str, Json]
    seed: int


# The recipe of this process with its rows, by the key of its source: all trials have the same rows.
_loaded: dict[RecipeSource, tuple[Recipe, RecipeRows]] = {}


def loaded(source: RecipeSource) -> tuple[Recipe, RecipeRows]:
    """A recipe with its rows, which are read once in a process."""
    if source not in _loaded:
        recipe = source if isinstance(source, Recipe) else load_recipe(source)
        _loaded.clear()
        _loaded[source] = recipe, recipe.rows()
    return _loaded[source]


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread in this block: sums of several threads differ in their last digits from machine to machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@record.register
def _record_recipe(work: RecipeWork, path: Path, until: float) -> bool:
    with one_thread():
        recipe, rows = loaded(work.source)
        trained = train(recipe.parts(rows, work.seed, work.changes), work.seed, until)
    if not trained.ended:
        return False
    try:
        _write(path, trained, measure_of(recipe, rows))
    except InputError as error:
        raise RunWriteError(str(error)) from error
    return True


def measure_of(recipe: Recipe, rows: RecipeRows) -> str:
    """The name of the score: "accuracy", "r2", or "score" for a function of the user."""
    if recipe.score is None:
        return "r2" if rows.y.is_floating_point() else "accuracy"
    return recipe.score if isinstance(recipe.score, str) else "score"


def _write(path: Path, trained: TrainedRecipe, measure: str) -> None:
    """The files of a run that results are read from."""
    scores = {"training": trained.training_score, "validation": trained.score}
    # A trial that diverged has no score, and files hold no NaN.
    measures = {name: {measure: 0.0 if math.isnan(value) else value} for name, value in scores.items()}
    lost = math.isnan(trained.score)
    result = Result(
        outcome="Diverged." if lost else "Trained.",
        seconds=trained.seconds,
        remarks=[],
        interrupted=False,
        diverged=trained.diverged or ("outputs that are not finite" if lost else ""),
        threshold=None,
        measures=measures,
        confusion=None,
        facts={},
        notes=[],
        per_epoch=1,
    )
    make_room(path)
    commit(path / "metrics.jsonl", b"".join(map(json_line, trained.history)))
    commit(path / RESULT_FILE, json.dumps(result, indent=1).encode())


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
        self._code = _code_of(self.recipe, self.rows)
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
        measure = measure_of(self.recipe, self.rows)
        constant = constant_score(self.parts.score, targets)
        return Score(measure=measure, rows="validation", row_count=len(targets), constant=constant)

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


def _code_of(recipe: Recipe, rows: RecipeRows) -> str:
    """A hash of the files of the factories, of the plain options, and of the rows."""
    factories = [getattr(recipe, name) for name in FACTORIES]
    texts = {_source(factory) for factory in factories if callable(factory)}
    names = [repr(each) if isinstance(each, torch.nn.Module | str) else _qualified(each) for each in factories]
    plain = [recipe.epochs, recipe.batch_size, recipe.shuffle, recipe.clip, rows.fingerprint]
    return hashlib.sha256("\0".join([*names, *map(str, plain), *sorted(texts)]).encode()).hexdigest()


def _qualified(factory: object) -> str:
    own = _plain(factory)
    return getattr(own, "__qualname__", type(own).__qualname__)


def _source(factory: object) -> str:
    module = sys.modules.get(getattr(_plain(factory), "__module__", "") or "")
    try:
        return inspect.getsource(module) if module else ""
    except (OSError, TypeError):
        return ""


def _plain(factory: object) -> object:
    return _plain(factory.func) if isinstance(factory, partial) else factory


def check_importable(recipe: Recipe) -> None:
    """Raise InputError with every factory that another process cannot import: a lambda, or one of `__main__`."""
    problems = []
    for name in FACTORIES:
        factory = getattr(recipe, name)
        if not callable(factory) or isinstance(factory, torch.nn.Module):
            continue
        qualified = _qualified(factory)
        if "<" in qualified:
            problems.append(Problem(name, f"{qualified} is a lambda or a function inside of another one"))
        elif getattr(_plain(factory), "__module__", None) == "__main__":
            problems.append(Problem(name, f"{qualified} is defined in the program that runs (`__main__`)"))
    if problems:
        fix = (
            "put the recipe into a file of its own and import it, use `thalweg doctor FILE.py --prove`, or pass jobs=1"
        )
        raise InputError("Recipe", [*problems, Problem("", f"other processes cannot import these factories; {fix}")])
