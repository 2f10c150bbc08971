"""Causes that are confirmed: what, taken away, lets a network learn, whatever it is."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pytest

from thalweg.cli.shell import main
from thalweg.core.progress import ignore_progress
from thalweg.doctor.findings import Learned, Remedy
from thalweg.doctor.interventions.confirmation import budget_for, confirmed
from thalweg.doctor.interventions.paired_test import PairedTest
from thalweg.doctor.interventions.search import SuspectSearch
from thalweg.doctor.interventions.suspect import part, setting
from thalweg.doctor.interventions.suspects import longer
from thalweg.runs.train import run_spec
from thalweg.spec.edit import changed
from thalweg.spec.spec import Spec
from thalweg.spec.toml import read_spec
from thalweg.training.paired import PairedRuns, PairedScore

HEALTHY = Spec.of(
    {
        "data": {"source": "moons 300", "validation": 0.2},
        "network": {"layers": ["dense 16", "tanh", "dense 16", "tanh", "dense 2", "softmax"]},
        "optimizer": "adam 0.01",
        "training": {"epochs": 30, "engine": "eager"},
        "probes": "standard",
    }
)


def run_of(changes):
    return run_spec(changed(HEALTHY, changes))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"loss": {"kind": "cross_entropy", "label_smoothing": 0.999}}, "loss.label_smoothing"),
        pytest.param({"optimizer.epsilon": 1e5}, "optimizer.epsilon", marks=pytest.mark.slow),
        pytest.param({"regularization.max_norm": 1e-3}, "regularization.max_norm", marks=pytest.mark.slow),
        pytest.param({"training.clip": "value 1e-9", "optimizer": "sgd 0.1"}, "training.clip", marks=pytest.mark.slow),
        pytest.param({"network.layers.1": "gaussian_noise 100"}, "network.layers.1.deviation", marks=pytest.mark.slow),
    ],
)
def test_what_no_check_names_is_found_by_putting_it_back(changes, place):
    diagnosis = run_of(changes.items()).diagnose(confirm=True)
    root = diagnosis.causes[0].finding
    assert not diagnosis.healthy
    assert place.startswith(root.place)
    assert root.confirmation.status == "confirmed"
    assert root.confirmation.pairs == 3
    assert root.confirmation.after - root.confirmation.before > 0.1


@pytest.mark.parametrize(
    ("changes", "code", "place"),
    [
        # Units that share an output of 1 pass little of the gradient on.
        (
            {"network.layers.1": "softmax", "network.layers.3": "softmax", "optimizer": "momentum 0.02"},
            "setting",
            "network.layers.1",
        ),
        # No row is near a centre.
        ({"network.layers": [{"kind": "radial", "units": 12, "width": 0.004}, "dense 2", "softmax"]}, "setting", None),
        # One plane cannot bound a ring, and no other rate, rule or length helps.
        pytest.param(
            {"network.layers": ["dense 2", "softmax"]}, "too-narrow", "network.layers", marks=pytest.mark.slow
        ),
        pytest.param(
            {"network.layers": ["dense 1", "tanh", "dense 2", "softmax"]}, "too-narrow", None, marks=pytest.mark.slow
        ),
    ],
)
def test_parts_that_a_plain_network_would_not_have_are_found(changes, code, place):
    diagnosis = run_of([("data.source", "rings 300"), *changes.items()]).diagnose(confirm=True)
    root = diagnosis.causes[0].finding
    assert (root.code, root.confirmation.status) == (code, "confirmed")
    assert place in (None, root.place)


@pytest.mark.slow
def test_a_larger_network_is_not_the_cause_where_something_that_is_taken_away_is():
    few = {"network.layers": ["dense 6", "tanh", "dense 2", "softmax"], "regularization.max_norm": 0.3}
    diagnosis = run_of([("data.source", "rings 300"), *few.items()]).diagnose(confirm=True)
    assert diagnosis.causes[0].finding.place.startswith("regularization")
    assert "too-narrow" not in {cause.finding.code for cause in diagnosis.causes}


def test_what_keeps_a_network_at_the_straight_line_is_its_cause():
    """Short steps leave tanh units at the line: two thirds of the gap, and nothing of what lies beyond the line."""
    few = {"data.source": "moons 600", "network.layers": ["dense 8", "tanh", "dense 2", "softmax"]}
    run = run_of([*few.items(), ("optimizer", "sgd 0.05"), ("training.epochs", 10)])
    quick = run.diagnose()
    assert quick.learned.share > 2 / 3
    assert quick.learned.score < quick.learned.line + 0.02
    assert [(found.code, found.severity) for found in quick.findings] == [("linear-fit", "note")]
    root = run.diagnose(confirm=True).causes[0].finding
    assert (root.code, root.confirmation.status) == ("lr-too-low", "confirmed")


@pytest.mark.slow
def test_the_scores_of_a_confirmation_are_those_of_the_paired_runs():
    run = run_of([("regularization.max_norm", 1e-3)])
    result = run.diagnose(confirm=True).causes[0].finding.confirmation
    runs = PairedRuns(run.spec, None, run.diagnose().learned.measure)
    scores = [
        [runs.score(changes, seed).training for seed in (1, 2, 3)]
        for changes in ((), (("regularization.max_norm", None),))
    ]
    assert (result.before, result.after) == pytest.approx(tuple(np.mean(scores, axis=1)))


def test_a_healthy_network_is_not_tried():
    run = run_of([])
    assert run.diagnose(confirm=True) == run.diagnose()


def test_a_finding_whose_removal_changes_nothing_is_no_cause():
    """Targets drawn at random: whatever is changed, nothing is learned, and nothing is named as the root."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 3))
    spec = changed(HEALTHY, [("data.source", (x, np.repeat([0, 1], 30))), ("optimizer", "sgd 1e-9")])
    spec = changed(spec, [("network.layers", ["dense 2", "softmax"]), ("training.epochs", 3)])
    run = run_spec(changed(spec, [("data.source", (np.zeros((60, 3)), np.repeat([0, 1], 30)))]))
    codes = {cause.finding.code for cause in run.diagnose(confirm=True).causes}
    assert not codes & {"plateau", "blind", "cannot-memorise"}


@pytest.mark.slow
def test_two_faults_that_mask_each_other_are_found_together():
    run = run_of([("training.clip", "value 1e-9"), ("regularization.max_norm", 1e-3), ("optimizer", "sgd 0.1")])
    diagnosis = run.diagnose(confirm=True)
    sections = {cause.finding.place.partition(".")[0] for cause in diagnosis.causes[:2]}
    assert sections == {"training", "regularization"}
    repaired = changed(run.spec, diagnosis.repair.changes)
    assert repaired.training.clip is None
    assert repaired.regularization.max_norm is None


def tried(run, suspected):
    """The diagnosis with these suspects alone."""
    diagnosis = run.diagnose()
    return confirmed(diagnosis, suspected, PairedRuns(run.spec, run.split, diagnosis.learned.measure), 60)


def test_a_loss_for_another_task_is_found():
    """Half of the targets are below 0, and the loss is for counts."""
    x = np.linspace(-3, 3, 200)[:, None]
    layers = ["dense 16", "tanh", "dense 1"]
    run = run_of([("data.source", (x, np.sin(x[:, 0]))), ("network.layers", layers), ("loss", "poisson")])
    root = run.diagnose(confirm=True).causes[0].finding
    assert (root.code, root.confirmation.status) == ("loss", "confirmed")
    assert root.remedies[0].changes[0] == ("loss", "mean_squared_error")


def test_a_length_is_tried_four_times_as_long_while_it_gains():
    run = run_of([("optimizer", "sgd 0.05"), ("training.epochs", 1), ("data.source", "rings 300")])
    root = tried(run, [longer(1)]).causes[0].finding
    assert root.code == "epochs-too-few"
    assert root.remedies[0].changes[0][1] in (16, 64, 256)


def test_a_fault_and_a_rate_that_suited_it_are_found_as_a_pair():
    run = run_of([("regularization.max_norm", 1e-3), ("optimizer", "sgd 1e-5")])
    norm = setting("regularization.max_norm", None)
    rate = part("optimizer.learning_rate", Remedy("a rate of 0.3", (("optimizer.learning_rate", 0.3),)))
    diagnosis = tried(run, [norm, rate._replace(compensates=True)])
    assert [cause.finding.place for cause in diagnosis.causes] == ["regularization.max_norm"]
    assert {"regularization.max_norm", "optimizer.learning_rate"} <= {path for path, _ in diagnosis.repair.changes}


def test_what_is_put_back_together_is_no_more_than_what_is_needed(monkeypatch):
    """Two of eight settings close the shortfall, and only together. A training takes a second, of 24."""
    needed = {("data", 2), ("data", 7)}
    trained = []
    monkeypatch.setattr(time, "monotonic", lambda: float(len(trained)))

    class Runs:
        spec = HEALTHY

        def score(self, changes, seed, until):
            trained.append(changes)
            score = 1.0 if needed <= {(path[:4], value) for path, value in changes} else 0.5
            return PairedScore(score, score, 1)

    suspected = [part(f"data{i}", Remedy(f"{i}", ((f"data{i}", i),))) for i in range(8)]
    test = PairedTest(Learned("accuracy", 0.5, 0.5, 1.0), Runs(), "training")
    (found,) = SuspectSearch(test, suspected, 24.0, ignore_progress).run()
    assert {(path[:4], value) for path, value in found.changes} == needed


def test_a_repair_has_what_else_the_training_needs_without_its_fault():
    run = run_of([("training.clip", "value 1e-9"), ("optimizer", "sgd 0.02"), ("data.source", "rings 300")])
    clip = setting("training.clip", None)
    diagnosis = tried(run, [clip])
    assert [cause.finding.place for cause in diagnosis.causes] == ["training.clip"]
    runs = PairedRuns(run.spec, run.split, diagnosis.learned.measure)
    alone, repaired = (
        np.mean([runs.score(changes, seed).training for seed in (1, 2, 3)])
        for changes in (clip.changes, diagnosis.repair.changes)
    )
    assert len(diagnosis.repair.changes) > 1
    assert repaired > alone + 0.01


def test_a_first_cause_that_nothing_needs_is_replaced_by_the_one_that_is():
    """Both changes help, but with the second one the first changes nothing."""
    run = run_of([("stopping.target", 10.0), ("network.init", "normal 0.5")])
    init = setting("network.init", None)
    stop = part("stopping", Remedy("all epochs", (("stopping", None),)))
    assert [cause.finding.place for cause in tried(run, [init, stop]).causes][:1] == ["stopping"]


def test_rows_that_others_show_to_be_spoiled_come_before_what_their_own_score_confirms():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((800, 4))
    y = x[:, 0] + np.sin(2 * x[:, 1]) + x[:, 2]
    # The last 250 rows are the test rows: only the others were joined wrongly.
    x[:550, :2] = rng.permutation(x[:550, :2])
    data = {"source": (x, y), "validation": 0.1, "test": 250 / 800, "split": "time"}
    network = {"layers": ["dense 16", "tanh", "dense 1"]}
    training = {"epochs": 20, "engine": "eager"}
    spec = {"data": data, "network": network, "optimizer": "adam 1e-7", "training": training, "probes": "standard"}
    diagnosis = run_spec(Spec.of(spec)).diagnose(confirm=True)
    root, *others = (cause.finding for cause in diagnosis.causes)
    assert (root.code, root.place) == ("spoiled-rows", "input columns x0, x1")
    confirmed_there = [one for one in others if one.confirmation and one.confirmation.status == "confirmed"]
    assert confirmed_there[0].confirmation.scored == "training"
    # No change of the spec mends the root cause.
    assert diagnosis.repair is None


def test_the_budget_holds():
    run = run_of([("training.average", 0.99999), ("training.epochs", 300)])
    began = time.monotonic()
    run.diagnose(confirm=True, seconds=1.0)
    # The last piece of a training, and the scores, come on top.
    assert time.monotonic() - began < 6
    assert budget_for(1) == 30
    assert budget_for(60) == 180


def shell(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["thalweg", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, *capsys.readouterr()


@pytest.mark.slow
def test_the_shell_confirms_unless_it_is_to_be_quick(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    run_of([("regularization.max_norm", 1e-3)]).save(tmp_path / "run")
    code, out, _ = shell(monkeypatch, capsys, "doctor", tmp_path / "run", "--json", "--quiet")
    finding = json.loads(out)["findings"][0]
    assert code == 1
    assert json.loads(out)["causes"][0]["code"] == finding["code"]
    assert finding["confirmation"]["status"] == "confirmed"
    assert read_spec(json.loads(out)["repaired"]).regularization.max_norm is None
    code, out, _ = shell(monkeypatch, capsys, "doctor", tmp_path / "run", "--json", "--quick")
    assert code == 1
    assert all(finding["confirmation"] is None for finding in json.loads(out)["findings"])


@pytest.mark.parametrize(
    "words", [["--budget", "0"], ["--budget", "-1"], ["--budget", "nan"], ["--quick", "--budget", "5"]]
)
def test_a_wrong_budget_is_refused_before_anything_is_trained(monkeypatch, capsys, words):
    code, out, err = shell(monkeypatch, capsys, "doctor", "xor", *words)
    assert code == 2
    assert out == ""
    assert "epoch" not in err
