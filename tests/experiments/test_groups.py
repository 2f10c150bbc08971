"""Trials that run as one program: which ones, and with the results that they have alone."""

from __future__ import annotations

import numpy as np
import pytest
from sweeps import contents, tables, trials_in

from thalweg.core.errors import InputError
from thalweg.engine import choice
from thalweg.experiments import workers
from thalweg.experiments.compare import compare
from thalweg.experiments.experiment import Experiment
from thalweg.experiments.runner import run_missing
from thalweg.experiments.workers import run_group
from thalweg.runs.load import load

RATES = {"vary": {"optimizer.learning_rate": [0.01, 0.1, 1e200]}, "optimizer": "sgd", "seeds": {"count": 2}}
COMPILED = {"engine": "compiled", "precision": "float64", "epochs": 6}


@pytest.fixture
def groups(monkeypatch):
    """The sizes of the groups that run as one program in this process; a group of any gain is one."""
    sizes = []
    train = workers.run_together

    def counted(sessions, callbacks):
        sizes.append(len(sessions))
        return train(sessions, callbacks)

    monkeypatch.setattr(workers, "run_together", counted)
    monkeypatch.setattr(choice, "_JOINT_COMPILE_SECONDS", 0.0)
    return sizes


def same_run(one, other):
    mine = load(one)
    alone = load(other)
    assert mine.spec.describe() == alone.spec.describe()
    assert mine.diverged == alone.diverged
    for first, second in zip(mine.history, alone.history, strict=True):
        assert first == pytest.approx(second, abs=1e-10)
    for name, measures in mine.measures.items():
        assert measures == pytest.approx(alone.measures[name], abs=1e-10, nan_ok=True)
    for layer, other_layer in zip(mine.params, alone.params, strict=True):
        for array, other_array in zip(layer, other_layer, strict=True):
            np.testing.assert_allclose(array, other_array, rtol=0, atol=1e-10)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_experiment_has_the_results_of_trials_that_run_alone(jobs, groups, monkeypatch, tmp_path):
    spec = tables(training=COMPILED, **RATES)
    compare(spec, jobs=jobs, folder=tmp_path / "together", progress=False)
    monkeypatch.setattr(choice, "_JOINT_COMPILE_SECONDS", np.inf)
    compare(spec, jobs=1, folder=tmp_path / "alone", progress=False)
    # In the workers of two processes the groups are not seen.
    assert groups == ([6] if jobs == 1 else [])
    together = trials_in(tmp_path / "together")
    assert len(together) == 6
    for path, other in zip(together, trials_in(tmp_path / "alone"), strict=True):
        assert path.name == other.name
        assert contents(path)["interrupted"] is False
        same_run(path, other)


def test_groups_are_of_one_architecture_and_what_few_epochs_save_is_not_worth_a_program(groups, tmp_path):
    vary = {"network.hidden": [[3], [4]], "optimizer.learning_rate": [0.01, 0.1]}
    compare(tables(training=COMPILED, vary=vary, seeds={"count": 3}), jobs=1, progress=False)
    assert groups == [6, 6]
    groups.clear()
    # The default bound: six trials of six epochs are over before a larger program is compiled.
    choice._JOINT_COMPILE_SECONDS = 1.0
    compare(tables(training=COMPILED, **RATES), jobs=1, progress=False)
    assert groups == []


def test_missing_trials_alone_are_run_and_counted(groups, tmp_path):
    trials = Experiment.of(tables(training=COMPILED, **RATES)).trials()
    (tmp_path / "trials").mkdir()
    run_missing(trials[:2], tmp_path, jobs=1)
    messages = []
    results, failed = run_missing(trials, tmp_path, jobs=1, watch=lambda message: messages.append(message.text))
    assert groups == [2, 4]
    assert (len(results), failed) == (6, {})
    assert messages == ["trial 2 of 6: starting", *(f"trial {number} of 6" for number in range(3, 7))]


def test_a_trial_that_cannot_run_fails_and_the_others_of_its_group_do_not(groups, tmp_path):
    loads = []

    def moody(x, y):
        loads.append(len(y))
        # The rows of the first seed are loaded once, and those of the second one fail each time.
        if len(loads) > 1:
            raise InputError("rows", "expected better ones")
        return y

    x = np.random.default_rng(0).normal(size=(40, 2))
    data = {"source": (x, np.arange(40) % 2), "order": {"kind": "curriculum", "by": moody}}
    trials = Experiment.of(tables(data=data, training=COMPILED, **RATES)).trials()
    group = [trials[0], trials[1], trials[3]]
    assert [trial.seed for trial in group] == [0, 0, 1]
    workers.forget_rows()
    loads.clear()
    outcomes = run_group([(trial.key, trial.spec) for trial in group], tmp_path)
    assert groups == []
    assert [str(outcome.error or "") for outcome in outcomes] == ["", "", "rows: expected better ones"]
    assert {path.name for path in tmp_path.iterdir()} == {trial.key for trial in group[:2]}


def test_when_the_time_is_up_no_trial_of_a_group_has_a_run(groups, tmp_path):
    trials = Experiment.of(tables(training=COMPILED, **RATES)).trials()
    outcomes = run_group([(trial.key, trial.spec) for trial in trials[:2]], tmp_path, until=0.0)
    assert groups == [2]
    assert [outcome.out_of_time for outcome in outcomes] == [True, True]
    assert list(tmp_path.iterdir()) == []
