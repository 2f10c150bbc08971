"""The proof of remedies: verdicts, combinations, random changes of the same cost, a time that is over, what is kept."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import types
from pathlib import Path

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.core.intervals import bootstrap
from thalweg.data import Data
from thalweg.doctor.findings import Remedy
from thalweg.experiments import compare as experiments
from thalweg.experiments import runner as execution
from thalweg.experiments.remedy_trials import search as conduct
from thalweg.experiments.remedy_trials.arms import Bench, merged, setting_of
from thalweg.experiments.remedy_trials.random_control import ACTIVATIONS, INITIALIZERS, OPTIMIZERS, random_change
from thalweg.experiments.remedy_trials.result import Proof
from thalweg.experiments.remedy_trials.score import Score, largest_share, score_for
from thalweg.experiments.remedy_trials.search import prove
from thalweg.parts.settings import Standard
from thalweg.runs.train import run_spec
from thalweg.spec.complete import completed
from thalweg.spec.edit import set_value
from thalweg.spec.spec import Spec
from thalweg.spec.toml import read_spec

RATE = "optimizer.learning_rate"
EAGER = {"epochs": 20, "engine": "eager"}
# It learns a little in its time: a larger rate learns more, a smaller one nothing.
SLOW = {
    "data": {"source": "rings 200", "validation": 0.3},
    "network": {"layers": ["dense 8", "tanh", "dense 2"]},
    "optimizer": {"kind": "adam", "learning_rate": 0.003},
    "training": EAGER,
    "probes": "standard",
}
LARGER = Remedy("a larger rate", ((RATE, 0.05),))
SAME = Remedy("its own start", (("network.init", "glorot_uniform"),))
TINY = Remedy("a tiny rate", ((RATE, 1e-9),))
FOUR = [LARGER, SAME, TINY, Remedy("nowhere", (("network.layers.9", "relu"),))]
# Numbers: nothing that is worse than their mean has learnt anything.
WAVE = {
    "data": {"source": "wave 80", "validation": 0.0, "test": 0.0},
    "network": {"layers": ["dense 12", "tanh", "dense 1"]},
    "optimizer": "adam 0.03",
    "training": {**EAGER, "epochs": 40},
}


def changed(spec, **changes):
    """The tables of a spec with the values at some paths changed: __ stands for a dot."""
    table = json.loads(json.dumps(spec))
    for path, value in changes.items():
        set_value(table, path.replace("__", "."), value)
    return table


def proven(spec, remedies, **given) -> Proof:
    return prove(Spec.of(spec), remedies, **{"jobs": 1, **given})


def trials_in(folder) -> set[str]:
    return {path.name for path in (Path(folder) / "trials").iterdir()}


@pytest.fixture(scope="module")
def slow(tmp_path_factory) -> Proof:
    """A larger rate, the start that the network has anyway, a tiny rate, and what makes no spec."""
    return proven(SLOW, FOUR, folder=tmp_path_factory.mktemp("slow") / "proof")


# Each remedy alone ----------------------------------------------------------------------------------------------------


def test_what_helps_what_does_nothing_and_what_harms(slow: Proof):
    assert [effect.verdict for effect in slow.effects] == ["helps", "no evidence", "harms", "not tried"]
    assert slow.effects[0].against_chance == "better"
    assert slow.chosen == ("a larger rate",)
    assert slow.repaired is not None
    assert slow.repaired.optimizer.learning_rate == 0.05


def test_the_trials_are_plain_trainings_of_the_same_seeds(slow: Proof):
    for seed in (0, 3):
        run = run_spec(Spec.of(changed(SLOW, optimizer__learning_rate=0.05, training__seed=seed)))
        assert slow.effects[0].arm.values[seed] == run.measures["validation"]["accuracy"]
        run = run_spec(Spec.of(changed(SLOW, training__seed=seed)))
        assert slow.unchanged.values[seed] == max(0.5, run.measures["validation"]["accuracy"])


def test_differences_are_paired_by_seed(slow: Proof):
    effect = slow.effects[0]
    assert effect.control is not None
    for found, base in ((effect.difference, slow.unchanged), (effect.beyond, effect.control)):
        pairs = effect.arm.values - base.values
        assert found is not None
        assert found.mean == pytest.approx(pairs.mean())
        assert (found.low, found.high) == bootstrap(pairs)


def test_the_repaired_spec_has_nothing_else_changed(slow: Proof):
    assert slow.repaired is not None
    rate = dataclasses.replace(slow.repaired.optimizer, learning_rate=0.003)
    assert dataclasses.replace(slow.repaired, optimizer=rate) == slow.spec
    # What a trial looks like inside is not looked at; what the user asked for stays.
    assert isinstance(slow.repaired.probes, Standard)


def test_it_says_what_the_evidence_does_not_support(slow: Proof):
    assert "`a larger rate` helps: +" in slow.evidence
    assert "No seed changes with `its own start`: there is no evidence that it does anything." in slow.evidence
    assert "`a tiny rate` harms: -" in slow.evidence
    assert "Intervals of 5 seeds are too narrow" in slow.evidence
    assert slow.remarks == (
        "`nowhere` can not be tried: network.layers.9: expected a position from 0 to 2, received '9'.",
        "Not added to others, for these change the same places: `a tiny rate`.",
    )


def test_the_same_gain_with_every_seed_is_a_gain():
    single = {"data": "xor", "network": ["dense 8", "tanh", "dense 1", "softmax"], "loss": "binary_cross_entropy"}
    more = {"optimizer": "adam 0.05", "training": {**EAGER, "epochs": 200}}
    last = Remedy("a sigmoid", (("network.layers.3", "sigmoid"),))
    proof = proven({**single, **more}, [last, TINY], seeds=3)
    assert [tuple(effect.difference) for effect in proof.effects] == [(0.5, 0.5, 0.5), (0.0, 0.0, 0.0)]
    assert "`a sigmoid` helps, by 3 seeds: +50.0" in proof.evidence
    assert "No seed changes with `a tiny rate`: there is no evidence" in proof.evidence


def test_what_gains_nothing_together_with_two_seeds_is_not_tried_with_more(slow: Proof):
    (together,) = slow.combinations
    assert together.remedies == ("a larger rate", "its own start")
    assert together.gain is not None
    assert together.gain.mean == 0
    assert together.effect.arm.tried == 2


def test_three_seeds_give_a_hint_and_one_gives_nothing():
    few = proven(SLOW, [LARGER], seeds=3)
    assert few.effects[0].verdict == "helps"
    assert "`a larger rate` helps, by 3 seeds: +" in few.evidence
    assert "That is a hint, no proof: take 5 seeds or more." in few.evidence
    one = proven(SLOW, [LARGER], seeds=1)
    assert one.effects[0].verdict == "no evidence"
    assert "one pair says nothing of chance" in one.evidence
    assert one.repaired is None
    assert "The largest gain is that of `a larger rate`, +" in one.evidence
    assert "with 2 seeds instead of 1 it may be told from chance." in one.evidence
    nothing = proven(SLOW, [TINY], seeds=1)
    assert "The largest gain" not in nothing.evidence


# Scores ---------------------------------------------------------------------------------------------------------------


def test_r2_means_the_same_whatever_the_scale_of_the_targets():
    scaled = Remedy("scaling", (("data.scale", "standard"),))
    found = proven(changed(WAVE, data__scale="none"), [scaled], seeds=2)
    spec = Spec.of(changed(WAVE, data__scale="standard", training__seed=1))
    run, raw = run_spec(spec), spec.data.source.load(1)
    y = raw.y.ravel()
    r2 = 1 - ((run.predict(raw.x) - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert found.score == Score("r2", "training", 80, 0.0)
    assert found.effects[0].arm.values[1] == pytest.approx(r2, rel=1e-4)


def test_what_diverges_counts_as_the_constant_answer():
    wild = Remedy("wild", (("optimizer", "sgd 1e30"),))
    found = proven(WAVE, [wild], seeds=3)
    assert found.unchanged.values.min() > 0.1
    assert found.effects[0].arm.diverged == 3
    assert found.effects[0].arm.values.tolist() == [0, 0, 0]
    assert found.effects[0].verdict == "harms"


def test_arms_of_another_loss_are_compared():
    spec = changed(SLOW, network__layers=["dense 8", "tanh", "dense 1", "sigmoid"], loss="squared_error")
    remedy = Remedy("cross-entropy", (("loss", "binary_cross_entropy"), (RATE, 0.05)))
    assert proven(spec, [remedy], seeds=3).effects[0].verdict == "helps"


@pytest.mark.parametrize(("share", "rows"), [(0.0, "training"), (0.2, "training"), (0.3, "validation")])
def test_the_validation_rows_are_scored_where_there_are_enough(share, rows):
    # 20 and 30 of 100 rows.
    split = Data.of({"source": "rings 100", "validation": share, "test": 0.0}).load(0)
    assert score_for([split]).rows == rows
    without = Data.of({"source": "rings 100", "validation": 0.0, "test": 0.0}).load(0)
    assert score_for([split, without]).rows == "training"


def test_the_best_constant_answer_is_that_of_the_largest_class_or_of_the_most_frequent_labels():
    x = np.arange(8.0)[:, None]
    classes = Data.of({"source": (x, [0, 0, 0, 0, 0, 1, 1, 2]), "validation": 0.0, "test": 0.0})
    assert largest_share(classes.load(0).train) == 5 / 8
    # (1, 0) comes three times; each label alone would be told right more often.
    labels = [[1, 0], [1, 0], [1, 0], [0, 0], [0, 0], [0, 1], [0, 1], [1, 1]]
    several = Data.of({"source": (x, labels), "task": "multilabel", "validation": 0.0, "test": 0.0})
    assert largest_share(several.load(0).train) == 3 / 8
    weighted = Data.of({"source": (x, [0, 0, 0, 0, 0, 1, 1, 2], [1] * 5 + [4, 4, 7]), "validation": 0.0, "test": 0.0})
    assert largest_share(weighted.load(0).train) == 8 / 20


def test_another_task_can_not_be_compared():
    x = np.arange(40.0)[:, None]
    spec = {"data": {"source": (x, x[:, 0] > 20), "task": "classification"}, "training": {**EAGER, "epochs": 1}}
    found = proven(spec, [Remedy("numbers", (("data.task", "regression"),))], seeds=2)
    assert found.effects[0].verdict == "not tried"
    assert "data.task: is regression then, whose score can not be set against the others" in found.remarks[0]


# Together -------------------------------------------------------------------------------------------------------------


def test_two_faults_that_do_nothing_alone_are_mended_together():
    # With zeros all hidden units stay silent whatever the rate is; with the rate nothing moves whatever the start is.
    faulty = changed(WAVE, network__init="zeros", optimizer__learning_rate=1e-9)
    remedies = [
        Remedy("a start", (("network.init", "glorot_uniform"),)),
        Remedy("batches of 40", (("training.batch_size", 40),)),
        Remedy("a rate", ((RATE, 0.03),)),
        Remedy("a hundred epochs", (("training.epochs", 100),)),
    ]
    found = proven(faulty, remedies, seeds=2)
    assert [effect.verdict for effect in found.effects] == ["no evidence"] * 4
    tried = [(len(each.remedies), each.kept) for each in found.combinations]
    assert tried[:2] == [(2, False), (3, True)]
    assert {"a start", "a rate"} <= set(found.chosen)
    assert found.repair is not None
    assert found.repair.verdict == "helps"
    assert found.repair.against_chance == "better"
    # The random change in its place has as many settings.
    assert found.repair.control is not None
    assert len(found.repair.control.changes) >= len(found.chosen)


def test_of_alternatives_for_one_place_the_second_is_tried_too():
    faulty = changed(WAVE, network__init="zeros", optimizer__learning_rate=1e-9)
    start = Remedy("a start", (("network.init", "glorot_uniform"),))
    found = proven(faulty, [start, TINY, Remedy("a rate", ((RATE, 0.03),))], seeds=2)
    assert [effect.verdict for effect in found.effects] == ["no evidence"] * 3
    assert found.chosen == ("a start", "a rate")


def test_what_adds_to_the_best_is_kept_and_what_does_not_is_left():
    # A softmax over one output is 1 whatever comes in; behind it the rate is too small.
    spec = changed(
        SLOW,
        network__layers=["dense 8", "tanh", "dense 1", "softmax"],
        loss="binary_cross_entropy",
        optimizer__learning_rate=0.001,
        data__validation=0.0,
    )
    remedies = [
        Remedy("sigmoid", (("network.layers.3", "sigmoid"),)),
        Remedy("again", (("network.layers.3", "softmax"), ("network.layers.1", "tanh"))),
        Remedy("rate", ((RATE, 0.05),)),
    ]
    found = proven(spec, remedies, seeds=3)
    assert found.chosen == ("sigmoid", "rate")
    assert [each.remedies for each in found.combinations if each.kept] == [("sigmoid", "rate")]
    assert found.repaired is not None
    assert found.repaired.network.layers[3].kind == "sigmoid"
    assert "`again` leaves network.layers.3 to an earlier remedy: what is left of it is tried." in found.remarks


@pytest.mark.parametrize(
    ("first", "second", "left", "given_up"),
    [
        ((("a.b", 1),), (("a.b", 2),), (), ("a.b",)),
        ((("a.b", 1),), (("a.b", 1),), (), ()),
        ((("a", {"b": 1}),), (("a.b", 2), ("c", 3)), (("c", 3),), ("a.b",)),
        ((("a.b", 1),), (("a", {"b": 2}),), (), ("a",)),
        ((("a.b", 1),), (("a.bc", 2),), (("a.bc", 2),), ()),
        ((("a.1", 1),), (("a.11", 2), ("a.2", 3)), (("a.11", 2), ("a.2", 3)), ()),
    ],
)
def test_of_two_remedies_for_one_place_the_earlier_wins(first, second, left, given_up):
    found = merged([setting_of(Remedy("first", first))], Remedy("second", second))
    assert (found.setting.changes, found.given_up) == (left, given_up)


def test_nothing_is_added_where_nothing_is_left_to_gain():
    spec = changed(SLOW, optimizer__learning_rate=1e-9, data__validation=0.0)
    found = proven(spec, [Remedy("a rate", ((RATE, 0.1), ("training.epochs", 60))), SAME], seeds=3)
    assert found.effects[0].arm.mean > 0.99
    assert found.combinations == ()
    assert "leaves less than 0.01 to gain" in found.remarks[0]


# Random changes -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(
        Spec.of(
            changed(SLOW, optimizer__learning_rate={"kind": "exponential", "initial": 0.01, "factor": 0.9, "every": 10})
        )
    )


REMEDIES = [
    Remedy("longer", (("training.epochs", 60),)),
    Remedy("larger batches", (("training.batch_size", 128),)),
    Remedy("scaling and rate", (("data.scale", "standard"), (RATE, 0.1))),
    Remedy("all layers", tuple((f"network.layers.{place}", layer) for place, layer in ((0, "dense 9"), (1, "relu")))),
]


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.label)
def test_a_random_change_is_the_same_again_and_never_needs_more_updates(bench: Bench, remedy: Remedy):
    arm = bench.candidate(remedy.label, [setting_of(remedy)])
    for seed in range(25):
        control = bench.control(arm, seed)
        assert control is not None
        assert control.updates <= arm.updates
        assert control.known_as not in (arm.known_as, bench.unchanged.known_as)
        again = bench.control(arm, seed)
        assert again is not None
        assert again.arm == control.arm
        # Layers of one network are one setting; epochs that are fewer for the sake of the cost are none.
        settings = [each for each in control.arm.settings if dict(each.changes).get("training.epochs", 20) >= 20]
        assert len(settings) == (2 if remedy.label == "scaling and rate" else 1)


def test_random_changes_keep_to_their_space(bench: Bench):
    spec, split, seen = bench.spec, bench.unchanged.split, {}
    for seed in range(300):
        for setting in random_change(spec, split, np.random.default_rng(seed), 1):
            seen.setdefault(setting.changes[0][0], []).append(setting.changes[0][1])
    rates = np.array(seen.pop(RATE)) / 0.01
    away = np.abs(np.log(rates))
    assert math.log(3) - 0.01 < away.min() < math.log(4) < math.log(25) < away.max() < math.log(30) + 0.01
    assert 0.3 < (rates > 1).mean() < 0.7
    assert set(seen.pop("optimizer")) == {*OPTIMIZERS} - {"adam"}
    assert set(seen.pop("network.init")) == {*INITIALIZERS}
    assert set(seen.pop("network.layers.1")) == {*ACTIVATIONS} - {"tanh"}
    assert set(seen.pop("training.batch_size")) == {4, 8, 16, 64, 112}
    assert set(seen.pop("data.scale")) == {"standard" if spec.data.scale == "none" else seen_scale(split)}
    epochs = seen.pop("training.epochs")
    assert min(epochs) >= 40
    assert max(epochs) <= 100
    assert not seen


def seen_scale(split) -> str:
    """Scaling as it would be toggled, from the rows themselves."""
    standard = np.allclose(split.train.x.mean(axis=0), 0, atol=1e-5)
    return "none" if standard else "standard"


def test_another_seed_draws_another_random_change(bench: Bench):
    arm = bench.candidate(LARGER.label, [setting_of(LARGER)])
    drawn = {str(found.arm.changes) for seed in range(10) if (found := bench.control(arm, seed))}
    assert len(drawn) >= 5


# Time, folders, Ctrl-C ------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves by one minute for each trial, and by nothing else."""
    now = types.SimpleNamespace(minutes=0)
    run_trial = execution.run_trial

    def counted(*given):
        now.minutes += 1
        return run_trial(*given)

    calls = itertools.count()
    time = types.SimpleNamespace(monotonic=lambda: 60.0 * now.minutes + 1e-6 * next(calls))
    monkeypatch.setattr(execution, "run_trial", counted)
    for module in (execution, experiments, conduct):
        monkeypatch.setattr(module, "time", time)
    return now


def test_the_time_is_kept_and_what_is_missing_is_told(clock, tmp_path):
    found = proven(SLOW, [LARGER, SAME, TINY], minutes=12, folder=tmp_path)
    # A first look has 4 minutes; then what gained by it has 4 more, beside the unchanged spec.
    assert [arm.tried for arm in (found.unchanged, *(effect.arm for effect in found.effects))] == [3, 3, 1, 1]
    assert found.chosen == ("a larger rate",)
    assert clock.minutes == len(trials_in(tmp_path)) <= 12
    assert "The time was over: " in found.remarks[0]
    assert found.seconds == pytest.approx(60 * clock.minutes, abs=1)
    # The rest of them: nothing is run twice.
    whole = proven(SLOW, [LARGER, SAME, TINY], folder=tmp_path)
    assert clock.minutes == len(trials_in(tmp_path))
    assert whole.effects[0].arm.tried == 5
    assert not any("time was over" in remark for remark in whole.remarks)


def test_time_that_combinations_have_no_use_for_is_given_to_the_remedies(clock):
    # One remedy alone: nothing to combine.
    found = proven(SLOW, [LARGER], minutes=12)
    assert clock.minutes == 12
    assert found.effects[0].arm.tried == 4


def test_no_time_at_all_says_nothing(clock):
    found = proven(SLOW, [LARGER, SAME], minutes=1e-12)
    assert clock.minutes == 0
    assert found.effects[0].verdict == "not tried"
    assert found.evidence == "No trial of the unchanged spec has come to its end: nothing can be said."
    assert found.figures() == []
    assert "nothing can be said" in found.report()


def test_few_trials_are_run_by_this_process_and_long_ones_by_several(monkeypatch):
    asked = []

    def run(trials, folder, finished, jobs, *more):
        asked.append((len(trials), jobs))
        return {}

    monkeypatch.setattr(experiments, "run_trials", run)
    for pace in (1e-3, 1e3):
        course = conduct._Course(*([None] * 2), None, None, 0.0, print, Score("r2", "training", 1, 0.0))
        course.results["known"] = types.SimpleNamespace(seconds=pace)
        asked.append(course._processes(10))
    assert asked == [1, None]


def test_a_second_call_runs_nothing_again(slow: Proof, monkeypatch):
    def run(*given):
        raise AssertionError("a trial was run")

    monkeypatch.setattr(experiments, "run_trials", run)
    again = proven(SLOW, FOUR, folder=slow.folder)
    assert again.chosen == slow.chosen
    assert again.effects[0].describe() == slow.effects[0].describe()


def test_what_is_saved_can_be_read(slow: Proof):
    folder = slow.folder
    assert folder is not None
    told = json.loads((folder / "proof.json").read_text())
    assert [remedy["verdict"] for remedy in told["remedies"]] == ["helps", "no evidence", "harms", "not tried"]
    assert told["remedies"][3]["values"] == [None] * 5
    assert "<h1>Remedies, tried</h1>" in (folder / "report.html").read_text()
    run = run_spec(read_spec(str(folder / "repaired.toml")))
    assert run.measures["validation"]["accuracy"] == slow.effects[0].arm.values[0]


def test_a_repair_that_holds_no_longer_is_removed(tmp_path):
    (tmp_path / "repaired.toml").write_text("")
    assert proven(SLOW, [TINY], seeds=2, folder=tmp_path).repaired is None
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "trials", "proof.json", "report.html"}


def test_ctrl_c_leaves_whole_trials_and_the_same_call_goes_on(tmp_path, monkeypatch):
    run_trial, count = execution.run_trial, iter(range(100))

    def stopped(*given):
        if next(count) == 4:
            raise KeyboardInterrupt
        return run_trial(*given)

    monkeypatch.setattr(execution, "run_trial", stopped)
    with pytest.raises(KeyboardInterrupt):
        proven(SLOW, [LARGER], seeds=3, folder=tmp_path)
    assert len(trials_in(tmp_path)) == 4
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "trials"}
    assert proven(SLOW, [LARGER], seeds=3, folder=tmp_path).chosen == ("a larger rate",)
    assert next(count) == 10


# What it takes and tells ----------------------------------------------------------------------------------------------


def test_rows_in_memory_and_a_completed_spec_will_do():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 3))
    spec = Spec.of({**SLOW, "data": {"source": (x, x.sum(axis=1) > 0)}})
    whole = completed(spec, spec.data.load(0).train)
    given = {"seeds": 2, "jobs": 1}
    first, second = (prove(each, [LARGER], **given) for each in (spec, whole))
    assert first.effects[0].arm.values.tolist() == second.effects[0].arm.values.tolist()
    assert first.effects[0].arm.tried == 2


def test_rows_that_a_remedy_chooses_otherwise_are_told():
    found = proven(SLOW, [Remedy("other rows", (("data.split", "time"),))], seeds=2)
    assert found.remarks == ("`other rows` chooses other rows than the unchanged spec, and is scored on these.",)


def test_progress_is_told():
    heard = []
    proven(SLOW, [LARGER], seeds=2, watch=heard.append)
    assert heard[0].text == "a first look: trial 0 of 4: starting"
    assert (heard[-1].text, heard[-1].share) == ("alone: trial 2 of 2, 0:00 left", 1)


def test_the_chart_has_a_row_for_each_remedy_that_was_tried(slow: Proof):
    (figure,) = slow.figures()
    assert figure.layout.yaxis.ticktext == (
        "<b>a larger rate</b><br>helps",
        "its own start<br>no evidence",
        "a tiny rate<br>harms",
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"remedies": []}, "expected at least one"),
        ({"remedies": [LARGER, LARGER]}, "'a larger rate' twice"),
        ({"seeds": 0}, "seeds: expected a whole number of at least 1, received 0"),
        ({"jobs": 0}, "jobs: expected a whole number of at least 1, received 0"),
        ({"minutes": 0}, "minutes: expected a number above 0, received 0"),
        ({"minutes": math.nan}, "minutes: expected a number above 0"),
    ],
)
def test_what_makes_no_proof_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        prove(Spec.of(SLOW), **{"remedies": [LARGER], "jobs": 1, **given})
