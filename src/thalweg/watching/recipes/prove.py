"""`thalweg.prove`: remedies in paired trials, of a spec or of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ...core.errors import InputError
from ...core.progress import ProgressMessage
from ...doctor.findings import Remedy
from ...experiments import remedy_trials
from ...experiments.remedy_trials.proof import Proof
from ...spec.spec import Spec
from .recipe import Recipe, check_torch

if TYPE_CHECKING:
    from .proof import RecipeProof


@overload
def prove(
    subject: Spec,
    remedies: Sequence[Remedy],
    *,
    seeds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    minutes: float | None = None,
    folder: str | Path | None = None,
    watch: Callable[[ProgressMessage], None] = lambda now: None,
) -> Proof: ...


@overload
def prove(
    subject: Recipe,
    remedies: Sequence[Remedy] | None = None,
    *,
    seeds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    minutes: float | None = None,
    folder: str | Path | None = None,
    watch: Callable[[ProgressMessage], None] = lambda now: None,
) -> RecipeProof: ...


def prove(
    subject: Spec | Recipe,
    remedies: Sequence[Remedy] | None = None,
    *,
    seeds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    minutes: float | None = None,
    folder: str | Path | None = None,
    watch: Callable[[ProgressMessage], None] = lambda now: None,
) -> Proof | RecipeProof:
    """Try remedies in trials paired by seed, and repair the spec or the recipe by those that help.

    Everything is compared with the unchanged training and with a random change of equal cost, on rows that are not
    trained on. Then remedies are combined. For details see `thalweg.experiments.remedy_trials.prove` (specs); for a
    recipe the remedies are first chosen on seeds of their own.

    Args:
        subject: a spec or a recipe.
        remedies: the remedies, the most likely first; they change places of the spec, or of a recipe. None, for a
            recipe: all that suit it.
        seeds: number of seeds of each arm.
        seed: the first seed; the others follow it.
        jobs: number of processes. None: one for each core, where there is enough to do; 1: this process.
        minutes: the time after which trials are given up; the proof then covers what has finished.
        folder: keeps the trials and the proof; trials that it holds are not run again.
        watch: is called with the progress.

    Raises:
        InputError: the subject does not suit its data, an argument is invalid, or the factories of a recipe cannot be
            imported by other processes.
        NoScoreError: the rows cannot show whether an arm is better than another one.
        KeyboardInterrupt: at Ctrl-C; the same call with the same folder continues.

    >>> spec = Spec.of({"data": "rings", "network": ["dense 4", "tanh", "dense 2"], "optimizer": "adam 1e-6",
    ...                 "training": {"epochs": 10, "engine": "eager"}})
    >>> proof = prove(spec, [Remedy("rate 0.1", (("optimizer.learning_rate", 0.1),))], seeds=3, jobs=1)
    >>> proof.effects[0].verdict
    'helps'
    """
    if isinstance(subject, Recipe):
        check_torch()
        from .proving import prove_recipe

        return prove_recipe(
            subject, remedies, seeds=seeds, seed=seed, jobs=jobs, minutes=minutes, folder=folder, watch=watch
        )
    if remedies is None:
        fix = "those of a diagnosis are `thalweg.train(...).diagnose().remedies`"
        raise InputError("remedies", f"expected the remedies of a spec, received none; {fix}")
    return remedy_trials.prove(
        subject, remedies, seeds=seeds, seed=seed, jobs=jobs, minutes=minutes, folder=folder, watch=watch
    )
