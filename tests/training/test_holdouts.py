"""The number of epochs that repeated holdout chooses."""

import dataclasses

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.parts.part import Optimizer
from thalweg.runs.load import load
from thalweg.runs.resume import resume
from thalweg.runs.train import train
from thalweg.spec.spec import Spec
from thalweg.training.fit import fit
from thalweg.training.holdouts import best_epoch, with_chosen_length
from thalweg.training.row_edits import taken
from thalweg.training.session import Session


def session(data, epochs=60, **stopping):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    y = np.where(rng.random(60) < 0.3, 1, 0) if data == "noise" else (x[:, 0] > 0).astype(int)
    sections = {
        "data": {"source": (x, y), "test": 0.0},
        "network": ["dense 32", "relu", "dense 2", "softmax"],
        "optimizer": "adam 0.05",
        "training": {"epochs": epochs, "engine": "eager"},
        "stopping": {"holdouts": 3, "patience": 25, **stopping},
    }
    return Session.load(Spec.of(sections))


def test_the_best_epoch_has_the_lowest_mean_of_those_that_all_curves_have():
    curves = [{1: 3.0, 2: 1.0, 3: 0.0}, {1: 1.0, 2: 2.0}]
    assert best_epoch(curves) == 2
    assert best_epoch([*curves, {1: np.nan, 2: np.inf}]) == 2
    assert best_epoch([{1: np.nan}, {}]) is None


def test_noise_is_learned_for_a_shorter_time_than_a_rule():
    noise, rule = (with_chosen_length(session(data)).spec.training.epochs for data in ("noise", "rule"))
    assert noise < 30 < rule <= 60


def test_the_chosen_spec_trains_all_rows_and_chooses_nothing_again():
    whole = session("rule")
    chosen = with_chosen_length(whole)
    assert chosen.split.train is whole.split.train
    assert (chosen.spec.stopping.holdouts, chosen.spec.stopping.patience) == (None, None)
    assert with_chosen_length(chosen) is chosen
    assert [note for note in chosen.split.notes if str(chosen.spec.training.epochs) in note]


def test_the_choice_repeats_itself_to_the_bit():
    assert with_chosen_length(session("rule")).spec == with_chosen_length(session("rule")).spec


def test_held_out_rows_never_train(monkeypatch):
    seen = []

    def recorded(part, callbacks):
        seen.append(part.split.train)
        return fit(part, callbacks)

    monkeypatch.setattr("thalweg.training.holdouts.fit", recorded)
    rows = session("rule").split.train
    with_chosen_length(session("rule"))
    assert len(seen) == 3
    for part in seen:
        assert len(part) == len(rows) - round(0.2 * len(rows))
        assert abs(part.y.mean() - rows.y.mean()) < 0.03
    assert not np.array_equal(seen[0].x, seen[1].x)


def test_a_class_with_a_single_row_does_not_prevent_it():
    whole = session("rule")
    rows = whole.split.train
    alone = taken(rows, np.concatenate([np.flatnonzero(rows.y == 0), np.flatnonzero(rows.y == 1)[:1]]))
    chosen = with_chosen_length(Session(whole.spec, dataclasses.replace(whole.split, train=alone)))
    assert chosen.spec.training.epochs >= 1


def test_where_all_holdouts_diverge_the_training_itself_says_so():
    whole = session("rule")
    wild = dataclasses.replace(whole.spec, optimizer=Optimizer.of("sgd 1e30"))
    chosen = with_chosen_length(Session(wild, whole.split))
    assert (chosen.spec.training.epochs, chosen.spec.stopping.holdouts) == (60, None)
    assert fit(chosen).diverged


def test_a_run_states_its_length_and_can_be_repeated(tmp_path):
    first = train(
        "mlp", "iris", engine="eager", stopping={"holdouts": 1}, epochs=20, folder=tmp_path / "a", progress=False
    )
    saved = load(tmp_path / "a").spec
    assert saved.training.epochs == len(first.history)
    assert saved.stopping.holdouts is None
    again = train(saved.network, "iris", engine="eager", epochs=saved.training.epochs, progress=False)
    np.testing.assert_array_equal(again.state.params[0].W, first.state.params[0].W)
    with pytest.raises(InputError, match="already complete"):
        resume(tmp_path / "a", progress=False)


def test_streamed_rows_cannot_be_held_out(tmp_path):
    rows = np.random.default_rng(0).normal(size=(20_000, 31)).round(1)
    rows[:, 0] = rows[:, 0] > 0
    names = ",".join(["y", *(f"x{number}" for number in range(30))])
    np.savetxt(tmp_path / "rows.csv", rows, fmt="%g", delimiter=",", header=names, comments="")
    sections = {
        "data": {"source": str(tmp_path / "rows.csv"), "target": "y", "memory": 2},
        "stopping": {"holdouts": 2},
        "training": {"epochs": 1},
    }
    with pytest.raises(InputError, match="holdouts"):
        with_chosen_length(Session.load(Spec.of(sections)))
