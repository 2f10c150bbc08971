"""How a worker trains a trial of a recipe, and what it writes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

import torch

from ...core.errors import InputError
from ...core.files import Json, commit
from ...experiments.workers import RunWriteError, record
from ...runs.run_folder import RESULT_FILE, Result, json_line, make_room
from .loop import TrainedRecipe, train
from .origin import load_recipe
from .recipe import Recipe
from .rows import RecipeRows

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
        parts = recipe.parts(rows, work.seed, work.changes)
        trained = train(parts, work.seed, until)
    if not trained.ended:
        return False
    try:
        _write(path, trained, parts.measure)
    except InputError as error:
        raise RunWriteError(str(error)) from error
    return True


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
