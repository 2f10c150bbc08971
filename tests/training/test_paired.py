"""Paired runs: equal seeds train on equal rows from equal weights, and a training ends when the time is up."""

from __future__ import annotations

import math
import time

import pytest

from thalweg.core.errors import InputError
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec
from thalweg.training.paired import PairedRuns
from thalweg.training.session import Session

TABLES = {
    "data": {"source": "rings 200", "validation": 0.2},
    "network": {"layers": ["dense 8", "tanh", "dense 2", "softmax"]},
    "optimizer": "adam 0.02",
    "training": {"epochs": 12, "batch_size": 32, "engine": "eager", "clip": "value 1e-9"},
}


@pytest.fixture
def runs():
    session = Session.load(Spec.of(TABLES))
    return PairedRuns(session.spec, session.split, "accuracy")


def test_a_score_is_that_of_the_run_with_the_same_spec(runs):
    run = run_spec(Spec.of(TABLES))
    score = runs.score((), seed=0)
    assert (score.training, score.held_out) == tuple(
        run.measures[name]["accuracy"] for name in ("training", "validation")
    )
    assert score.epochs == 12
    assert not score.out_of_time


def test_a_change_and_another_seed_are_trained_as_their_own_specs(runs):
    changed = {**TABLES, "training": TABLES["training"] | {"clip": None, "seed": 5}}
    run = run_spec(Spec.of({**changed, "training": {k: v for k, v in changed["training"].items() if v is not None}}))
    assert runs.score((("training.clip", None),), seed=5).training == run.measures["training"]["accuracy"]


def test_a_training_is_run_once(runs):
    for _ in range(3):
        runs.score((), seed=0)
        runs.score((("training.clip", None),), seed=0)
    assert runs.trained == 2


def test_the_time_ends_a_training_and_more_time_runs_it_again(runs):
    long = (("training.epochs", 10**6),)
    began = time.monotonic()
    first = runs.score(long, seed=0, until=began + 0.3)
    assert first.out_of_time
    assert 0 < first.epochs < 10**6
    assert runs.score(long, seed=0, until=time.monotonic() + 0.6).epochs > first.epochs


def test_a_training_that_diverged_has_no_score(runs):
    score = runs.score((("training.clip", None), ("network.layers.1", "relu"), ("optimizer", "sgd 1e300")), seed=0)
    assert math.isnan(score.training)
    assert math.isnan(score.held_out)


@pytest.mark.parametrize("changes", [(("network.layers.0", "dense 0"),), (("network.layers.2", "dense 7"),)])
def test_changes_that_make_no_network_for_the_rows_are_refused(runs, changes):
    with pytest.raises(InputError):
        runs.score(changes, seed=0)


def test_a_short_training_of_the_compiled_engine_runs_on_the_eager_one_with_the_same_score():
    tables = {**TABLES, "training": TABLES["training"] | {"engine": "compiled", "clip": None}}
    tables["training"].pop("clip")
    session = Session.load(Spec.of(tables))
    score = PairedRuns(session.spec, session.split, "accuracy").score((), seed=0)
    assert score.training == pytest.approx(run_spec(Spec.of(tables)).measures["training"]["accuracy"], abs=0.02)
