"""Comparisons of trials that were never trained: the measures are given by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.core.errors import InputError
from thalweg.experiments.comparison import Comparison
from thalweg.experiments.experiment import Experiment
from thalweg.experiments.results import TrialResult

BASE = {
    "data": {"source": {"kind": "rings", "samples": 60}, "validation": 0.25},
    "network": {"layers": ["dense 2", "softmax"]},
    "optimizer": {"kind": "momentum"},
    "training": {"epochs": 3, "batch_size": 8, "engine": "eager"},
}
# A number that is shown only where a test measure is.
TEST = 0.123456


def named(labels: Sequence[str]) -> dict[str, Any]:
    """A [vary] with these named arms."""
    return {"arm": {label: {"training.epochs": place + 1} for place, label in enumerate(labels)}}


def comparison(
    values: Mapping[str, Sequence[float]],
    losses: Mapping[str, Sequence[float]] | None = None,
    vary: Mapping[str, Any] | None = None,
    test: float | None = TEST,
    failed: Mapping[str, Sequence[int]] | None = None,
    order: Sequence[int] | None = None,
    **compare: str,
) -> Comparison:
    """The arms with their validation accuracy by seed: NaN diverged, `failed` seeds could not run.

    `losses` are the validation losses, 1 - accuracy where none are given; `order` another order of the trials.
    """
    seeds = len(next(iter(values.values())))
    table = {**BASE, "vary": dict(vary or named(list(values))), "seeds": seeds, "compare": compare}
    experiment = Experiment.of(table, "by hand")
    assert [arm.label for arm in experiment.arms] == list(values)
    results, errors = {}, {}
    trials = experiment.trials()
    for trial in trials:
        accuracy = values[trial.arm.label][trial.seed]
        if trial.seed in (failed or {}).get(trial.arm.label, ()):
            errors[trial.key] = InputError("training", "took all the memory")
            continue
        loss = losses[trial.arm.label][trial.seed] if losses else 1 - accuracy
        results[trial.key] = _result(accuracy, loss, test)
    if order is not None:
        trials = tuple(trials[place] for place in order)
        keys = [trial.key for trial in trials if trial.key in results]
        results = {key: results[key] for key in keys}
    return Comparison(experiment, trials, results, errors)


def _result(accuracy: float, loss: float, test: float | None) -> TrialResult:
    measures = {"loss": loss, "accuracy": accuracy}
    sets = {"training": measures, "validation": measures}
    if test is not None:
        sets["test"] = {"loss": test, "accuracy": test}
    epochs = [{f"{part}{name}": value for part in ("", "validation_") for name, value in measures.items()}] * 2
    diverged = "the loss became NaN in epoch 2, step 9" if math.isnan(accuracy) else ""
    return TrialResult(epochs, sets, "Diverged." if diverged else "Trained 3 epochs.", diverged, 0.5)
