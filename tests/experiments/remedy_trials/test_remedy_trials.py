"""Remedy trials: verdicts, combinations, random changes of equal cost, time limits, files."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from thalweg.core.arrays import leaves
from thalweg.core.errors import InputError
from thalweg.core.intervals import difference
from thalweg.doctor.findings import Remedy
from thalweg.experiments import runner, workers
from thalweg.experiments.remedy_trials import search, trials
from thalweg.experiments.remedy_trials.arms import ArmFactory, merged, setting_of
from thalweg.experiments.remedy_trials.effects import ArmScores, RemedyEffect
from thalweg.experiments.remedy_trials.proof import Proof
from thalweg.experiments.remedy_trials.prove import prove
from thalweg.experiments.remedy_trials.random_control import ACTIVATIONS, INITIALIZERS, OPTIMIZERS, random_change
from thalweg.experiments.remedy_trials.render import Outcome, evidence_blocks
from thalweg.experiments.remedy_trials.score import Score
from thalweg.parts.settings import Off, Standard
from thalweg.runs.train import run_spec
from thalweg.spec.complete import completed
from thalweg.spec.edit import set_value
from thalweg.spec.spec import Spec
from thalweg.spec.toml import read_spec
from thalweg.training import callbacks

NAN = math.nan
RATE = "optimizer.learning_rate"
EAGER = {"epochs": 20, "engine": "eager"}
# It learns a little: more with a larger rate, and nothing with a tiny one.
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
# Regression: predictions worse than the mean of the targets have learned nothing.
WAVE = {
    "data": {"source": "wave 80", "validation": 0.0, "test": 0.0},
    "network": {"layers": ["dense 12", "tanh", "dense 1"]},
    "optimizer": "adam 0.03",
    "training": {**EAGER, "epochs": 40},
}


def changed(spec, **changes):
    """The tables of a spec with changed values; __ in a name is a dot of the path."""
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
    """Proof of a larger rate, the initializer that the network has anyway, a tiny rate, and an invalid change."""
    return proven(SLOW, FOUR, seeds=10, folder=tmp_path_factory.mktemp("slow") / "proof")


# Each remedy alone ----------------------------------------------------------------------------------------------------


def test_remedies_that_help_do_nothing_and_harm(slow: Proof):
    assert [effect.verdict for effect in slow.effects] == ["helps", "undecided", "harms", "not tried"]
    assert slow.effects[0].against_control == "better"
    assert slow.chosen == ("a larger rate",)
    assert slow.repaired is not None
    assert slow.repaired.optimizer.learning_rate == 0.05


def test_trials_are_plain_trainings_with_the_same_seeds(slow: Proof):
    for seed in (0, 3):
        run = run_spec(Spec.of(changed(SLOW, optimizer__learning_rate=0.05, training__seed=seed)))
        assert slow.effects[0].arm.values[seed] == run.measures["validation"]["balanced_accuracy"]
        run = run_spec(Spec.of(changed(SLOW, training__seed=seed)))
        assert slow.unchanged.values[seed] == run.measures["validation"]["balanced_accuracy"]


def test_differences_are_paired_by_seed(slow: Proof):
    effect = slow.effects[0]
    assert effect.control is not None
    for found, base in ((effect.difference, slow.unchanged), (effect.beyond_control, effect.control)):
        pairs = effect.arm.values - base.values
        assert found is not None
        assert found.mean == pytest.approx(pairs.mean())
        # Three remedies can be tried, and two combinations of them.
        assert found == difference(effect.arm.values, base.values, comparisons=5)


def test_the_repaired_spec_has_nothing_else_changed(slow: Proof):
    assert slow.repaired is not None
    rate = dataclasses.replace(slow.repaired.optimizer, learning_rate=0.003)
    assert dataclasses.replace(slow.repaired, optimizer=rate) == slow.spec
    # Trials run without probes, and the repaired spec keeps those of the user.
    assert isinstance(slow.repaired.probes, Standard)


def test_the_evidence_in_full():
    def effect(label, values, control=None, lost=()):
        arm = ArmScores(label, (), np.array(values), lost)
        return RemedyEffect(arm, unchanged, control, comparisons=3)

    unchanged = ArmScores("unchanged", (), np.array([0.5, 0.6, 0.7]))
    chance = ArmScores("chance", (), np.array([0.55, 0.55, 0.75]))
    good = effect("good", [0.75, 0.84, 0.95], chance)
    none = effect("none", [0.5, 0.6, 0.7])
    bad = effect("bad", [0.4, 0.5, 0.6])
    lost = effect("lost", [0.8, NAN, 0.81], lost=(False, True, False))
    outcome = Outcome(
        score=Score("balanced_accuracy", "validation", 100, 0.5),
        seeds=3,
        unchanged=unchanged,
        effects=(good, none, bad, lost),
        combinations=(),
        chosen=("good",),
        repair=good,
    )
    before, remedies, *after = evidence_blocks(outcome)
    assert [
        text.replace("\u202f", " ") for text in (before.text, *remedies.items, *(block.text for block in after))
    ] == [
        "Over 3 seeds the unchanged spec reaches 60 % (95 % interval 35.16 to 84.84 %) balanced accuracy on the"
        " validation rows; the best constant answer reaches 50 %.",
        "`good` helps: +24.7 points (95 % interval +22.1 to +27.2 points), and does better than a random change of"
        " equal cost (`chance`): +23 points (95 % interval +0.0536 to +45.9 points).",
        "Whether `bad` helps cannot be decided with 3 seeds: all differences are equal: -10 points.",
        "Whether `lost` helps cannot be decided with 2 seeds; about 8 would: +20.5 points (95 % interval -100 to +100"
        " points) (2 of 3 pairs); 1 of 3 trials diverged.",
        "No score changes with `none`: that it has any effect cannot be decided.",
        "The repaired spec has only `good`: 84.67 % (95 % interval 59.78 to 100 %)."
        " It is the best of 4 arms, partly by luck: on new rows it may gain less.",
        "The intervals of 3 comparisons hold together with a probability of 95 %.",
    ]


def test_the_evidence_names_each_remedy_and_its_limits(slow: Proof):
    assert "`a larger rate` helps: +" in slow.evidence
    assert "`its own start`" in slow.evidence
    assert "`a tiny rate` harms: -" in slow.evidence
    assert "5 comparisons hold together with a probability of 95 %" in slow.evidence
    invalid, not_combined = slow.remarks
    assert "`nowhere`" in invalid
    assert "network.layers.9: expected a position from 0 to 2, received '9'" in invalid
    assert "`a tiny rate`" in not_combined


def test_the_same_gain_with_every_seed_is_not_certain():
    single = {"data": "xor", "network": ["dense 8", "tanh", "dense 1", "softmax"], "loss": "binary_cross_entropy"}
    more = {"optimizer": "adam 0.05", "training": {**EAGER, "epochs": 200}}
    last = Remedy("a sigmoid", (("network.layers.3", "sigmoid"),))
    proof = proven({**single, **more}, [last, TINY], seeds=3)
    assert [effect.difference.mean for effect in proof.effects] == [0.5, 0.0]
    assert all(effect.difference.all_equal for effect in proof.effects)
    assert proof.effects[0].verdict == "undecided"
    assert proof.repaired is None
    assert "cannot be decided with 3 seeds: all differences are equal: +50 points" in proof.evidence
    assert "No score changes with `a tiny rate`" in proof.evidence


def test_a_combination_without_gain_is_tried_with_two_seeds_only(slow: Proof):
    (together,) = slow.combinations
    assert together.remedies == ("a larger rate", "its own start")
    assert together.gain is not None
    assert together.gain.mean == 0
    assert together.effect.arm.tried == 2


def test_three_seeds_may_show_an_effect_and_one_shows_nothing():
    few = proven(SLOW, [LARGER], seeds=3)
    assert (few.effects[0].verdict, few.effects[0].difference.pairs) == ("helps", 3)
    # A single remedy is a single comparison.
    assert few.effects[0].difference.comparisons == 1
    one = proven(SLOW, [LARGER], seeds=1)
    assert one.effects[0].verdict == "undecided"
    assert "one pair of seeds" in one.evidence
    assert one.repaired is None
    assert "The largest gain is that of `a larger rate`, +" in one.evidence
    nothing = proven(SLOW, [TINY], seeds=1)
    assert "The largest gain" not in nothing.evidence


# Scores ---------------------------------------------------------------------------------------------------------------


def test_r2_means_the_same_whatever_the_scale_of_the_targets():
    scaled = Remedy("scaling", (("data.scale", "standard"),))
    found = proven(changed(WAVE, data__scale="none"), [scaled], seeds=2)
    spec = Spec.of(changed(WAVE, data__scale="standard", training__seed=1))
    run = run_spec(spec)
    raw = spec.data.source.load(1)
    y = raw.y.ravel()
    r2 = 1 - ((run.predict(raw.x) - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert found.score == Score("r2", "training", 80, 0.0)
    assert found.effects[0].arm.values[1] == pytest.approx(r2, rel=1e-4)


def test_an_arm_that_diverges_with_every_seed_has_the_lowest_score():
    wild = Remedy("wild", (("optimizer", "sgd 1e30"),))
    found = proven(WAVE, [wild], seeds=3)
    assert found.unchanged.values.min() > 0.1
    assert (found.effects[0].arm.diverged, found.effects[0].arm.tried) == (3, 3)
    assert found.effects[0].arm.values.tolist() == [-1, -1, -1]
    assert found.effects[0].verdict == "harms"
    assert "3 of 3 trials diverged" in found.evidence


def scored(values, lost=()):
    """An arm with these scores by seed; it diverged with the seeds `lost`."""
    return ArmScores("arm", (), np.array(values, float), tuple(seed in lost for seed in range(len(values))))


def test_a_divergence_is_counted_and_not_averaged_in():
    unchanged = scored([0.5, 0.6, 0.55, 0.5, 0.6])
    arm = scored([0.8, NAN, 0.86, 0.8, NAN], lost=(1, 4))
    assert (arm.diverged, arm.tried) == (2, 5)
    assert arm.mean == pytest.approx(0.82)
    effect = RemedyEffect(arm, unchanged)
    assert effect.difference.mean == pytest.approx(0.91 / 3)
    assert (effect.difference.pairs, effect.difference.verdict) == (3, "higher")
    # It diverges, which the unchanged spec does not: it is not said to help.
    assert effect.verdict == "undecided"
    assert RemedyEffect(unchanged, arm).verdict == "harms"
    both = scored([0.5, NAN, 0.55, 0.5, NAN], lost=(1, 4))
    assert RemedyEffect(arm, both).verdict == "helps"
    assert RemedyEffect(arm, scored([NAN, 0.5, NAN, NAN, 0.5], lost=(0, 2, 3))).verdict == "undecided"


def test_the_same_gain_with_five_seeds_may_be_the_repair():
    unchanged = [0.5] * 5
    equal = RemedyEffect(scored([1.0] * 5), scored(unchanged), comparisons=9)
    assert (equal.verdict, equal.repairs) == ("undecided", True)
    assert not RemedyEffect(scored([1.0] * 4), scored(unchanged[:4])).repairs
    assert not RemedyEffect(scored([0.505] * 5), scored(unchanged)).repairs
    assert not RemedyEffect(scored([0.0] * 5), scored(unchanged)).repairs
    assert not RemedyEffect(scored([1.0, 1.0, 1.0, 0.6, 0.5]), scored(unchanged), comparisons=9).repairs


def test_useless_remedies_seldom_help():
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(1500):
        unchanged = scored(rng.standard_normal(5))
        arms = [scored(rng.standard_normal(5)) for _ in range(6)]
        wrong += any(RemedyEffect(arm, unchanged, comparisons=11).verdict != "undecided" for arm in arms)
    assert wrong / 1500 < 0.05


def test_arms_of_another_loss_are_compared():
    spec = changed(SLOW, network__layers=["dense 8", "tanh", "dense 1", "sigmoid"], loss="squared_error")
    remedy = Remedy("cross-entropy", (("loss", "binary_cross_entropy"), (RATE, 0.05)))
    assert proven(spec, [remedy], seeds=3).effects[0].verdict == "helps"


def test_another_task_cannot_be_compared():
    x = np.arange(40.0)[:, None]
    spec = {"data": {"source": (x, x[:, 0] > 20), "task": "classification"}, "training": {**EAGER, "epochs": 1}}
    found = proven(spec, [Remedy("numbers", (("data.task", "regression"),))], seeds=2)
    assert found.effects[0].verdict == "not tried"
    assert "data.task: becomes regression" in found.remarks[0]


# Together -------------------------------------------------------------------------------------------------------------


def test_two_faults_are_repaired_together_where_neither_helps_alone():
    # Zero weights keep all hidden units at 0 with any rate, and the tiny rate changes nothing from any start.
    faulty = changed(WAVE, network__init="zeros", optimizer__learning_rate=1e-9)
    remedies = [
        Remedy("a start", (("network.init", "glorot_uniform"),)),
        Remedy("batches of 40", (("training.batch_size", 40),)),
        Remedy("a rate", ((RATE, 0.03),)),
        Remedy("a hundred epochs", (("training.epochs", 100),)),
    ]
    found = proven(faulty, remedies, seeds=5)
    assert [effect.verdict for effect in found.effects] == ["undecided"] * 4
    # The pairs are screened with other seeds: only the one that gains there is tried with those of the trials.
    pair = found.combinations[0]
    assert (pair.remedies, pair.base, pair.kept) == (("a start", "a rate"), (), True)
    assert found.chosen[:2] == pair.remedies
    assert found.repair is not None
    assert found.repair.verdict == "helps"
    assert found.repair.against_control == "better"
    # Its random change has as many settings.
    assert found.repair.control is not None
    assert len(found.repair.control.changes) >= len(found.chosen)


def test_faults_that_hide_each_other_are_found_behind_other_remedies(tmp_path):
    faulty = changed(WAVE, network__init="zeros", optimizer__learning_rate=1e-9)
    useless = [Remedy(f"batches of {size}", (("training.batch_size", size),)) for size in (40, 20)]
    more = Remedy("more epochs", (("training.epochs", 60),))
    start = Remedy("a start", (("network.init", "glorot_uniform"),))
    rate = Remedy("a rate", ((RATE, 0.03),))
    found = proven(faulty, [*useless, more, start, rate], seeds=5, folder=tmp_path)
    assert not any(effect.gains for effect in found.effects)
    assert {"a start", "a rate"} <= set(found.chosen)
    assert found.combinations[0].effect.repairs
    # No more combinations are judged than the intervals allow for: five remedies and four combinations.
    assert len(found.combinations) <= 4
    judged = [*found.effects, *(combination.effect for combination in found.combinations), found.repair]
    assert {effect.difference.comparisons for effect in judged} == {9}
    # What judges the pair are the seeds of all arms, and not those that chose it.
    pair = found.combinations[0].effect.arm
    changes = {path.replace(".", "__"): value for path, value in pair.changes}
    for seed in (0, 4):
        run = run_spec(Spec.of(changed(faulty, training__seed=seed, **changes)))
        assert pair.values[seed] == run.measures["training"]["r2"]
    seeds = {read_spec(str(path / "spec.toml")).training.seed for path in (tmp_path / "trials").iterdir()}
    assert seeds == set(range(7))


def incumbent(label, values, updates, settings=1):
    """An arm with these scores and cost."""
    arm = types.SimpleNamespace(settings=(setting_of(Remedy(label, ())),))
    candidate = types.SimpleNamespace(arm=arm, updates=updates, changed_settings=settings)
    return search.Incumbent(candidate, ArmScores(label, (), np.array(values)))


def test_of_equal_remedies_the_cheaper_one_is_preferred():
    # Whichever comes first.
    equal = [incumbent("longer", [0.97] * 5, 4000), incumbent("cheaper", [0.97, 0.97, 0.98, 0.965, 0.97], 100, 3)]
    for order in (equal, equal[::-1]):
        assert search.preferred(order).names == ("cheaper",)
    # With equal updates fewer settings, and with equal settings the more likely one.
    settings = [
        incumbent("three", [0.9] * 5, 100, 3),
        incumbent("one", [0.9] * 5, 100),
        incumbent("last", [0.9] * 5, 100),
    ]
    assert search.preferred(settings).names == ("one",)
    # An improvement is worth its updates.
    better = [
        incumbent("longer", [0.97, 0.96, 0.98, 0.97, 0.97], 4000),
        incumbent("cheaper", [0.8, 0.81, 0.8, 0.82, 0.8], 100),
    ]
    assert search.preferred(better).names == ("longer",)


def test_more_epochs_give_way_to_a_remedy_that_needs_no_more_updates():
    # Twenty times the epochs at the slow rate, or the same epochs at a large one: both classify all rows.
    longer = Remedy("longer", (("training.epochs", 400),))
    found = proven(SLOW, [longer, Remedy("a large rate", ((RATE, 0.1),))], seeds=5)
    assert found.effects[0].arm.values.tolist() == found.effects[1].arm.values.tolist() == [1.0] * 5
    assert [effect.verdict for effect in found.effects] == ["helps", "helps"]
    assert found.effects[0].arm.updates == 20 * found.effects[1].arm.updates
    assert found.chosen == ("a large rate",)


def test_the_second_of_two_alternatives_for_one_place_is_tried_too():
    faulty = changed(WAVE, network__init="zeros", optimizer__learning_rate=1e-9)
    start = Remedy("a start", (("network.init", "glorot_uniform"),))
    found = proven(faulty, [start, TINY, Remedy("a rate", ((RATE, 0.03),))], seeds=5)
    assert [effect.verdict for effect in found.effects] == ["undecided"] * 3
    assert found.chosen == ("a start", "a rate")


def test_only_remedies_that_improve_the_best_are_kept():
    # A softmax over one output is always 1, which hides that the rate is too small.
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
    found = proven(spec, remedies, seeds=5)
    assert found.chosen == ("sigmoid", "rate")
    assert [each.remedies for each in found.combinations if each.kept] == [("sigmoid", "rate")]
    assert found.repaired is not None
    assert found.repaired.network.layers[3].kind == "sigmoid"
    assert any("`again`" in remark and "network.layers.3" in remark for remark in found.remarks)


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
    found = proven(spec, [Remedy("a rate", ((RATE, 0.1), ("training.epochs", 60))), SAME], seeds=5)
    assert found.effects[0].arm.mean > 0.99
    assert found.combinations == ()
    assert "`a rate` is within 0.01" in found.remarks[0]


# Random changes -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def factory() -> ArmFactory:
    return ArmFactory(
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
def test_a_random_change_is_repeatable_and_needs_no_more_updates(factory: ArmFactory, remedy: Remedy):
    arm = factory.candidate(remedy.label, [setting_of(remedy)])
    for seed in range(25):
        control = factory.control(arm, seed)
        assert control is not None
        assert control.updates <= arm.updates
        assert not control.is_like(arm)
        assert not control.is_like(factory.unchanged)
        again = factory.control(arm, seed)
        assert again is not None
        assert again.arm == control.arm
        # All layers together are one setting; a number of epochs that is reduced to limit the cost does not count.
        settings = [each for each in control.arm.settings if dict(each.changes).get("training.epochs", 20) >= 20]
        assert len(settings) == (2 if remedy.label == "scaling and rate" else 1)


def test_random_changes_keep_to_their_space(factory: ArmFactory):
    spec = factory.spec
    split = factory.unchanged.split
    drawn = {}
    for seed in range(300):
        for setting in random_change(spec, split, np.random.default_rng(seed), 1):
            drawn.setdefault(setting.changes[0][0], []).append(setting.changes[0][1])
    rates = np.array(drawn.pop(RATE)) / 0.01
    away = np.abs(np.log(rates))
    assert math.log(3) - 0.01 < away.min() < math.log(4) < math.log(25) < away.max() < math.log(30) + 0.01
    assert 0.3 < (rates > 1).mean() < 0.7
    assert set(drawn.pop("optimizer")) == {*OPTIMIZERS} - {"adam"}
    # The initializer that tanh has by default is left out.
    assert set(drawn.pop("network.init")) == {*INITIALIZERS} - {"glorot_uniform"}
    assert set(drawn.pop("network.layers.1")) == {*ACTIVATIONS} - {"tanh"}
    assert set(drawn.pop("training.batch_size")) == {4, 8, 16, 64, 112}
    assert set(drawn.pop("data.scale")) == {"standard" if spec.data.scale == "none" else other_scale(split)}
    epochs = drawn.pop("training.epochs")
    assert min(epochs) >= 40
    assert max(epochs) <= 100
    assert not drawn


OPTIMIZERS_AT_REST = ["sgd 0.05", {"kind": "momentum", "learning_rate": 0.01, "momentum": 0.0}, "adam 0.003", "rmsprop"]
HE_LAYER = {"kind": "dense", "width": 5, "init": "he_normal"}
NETWORKS = [
    {"layers": ["dense 5", "tanh", "dense 2"]},
    {"layers": ["dense 5", "relu", "dense 2"], "init": "he_uniform"},
    {"layers": ["dense 5", {"kind": "leaky_relu", "alpha": 0.0}, "dense 2"], "init": "lecun_normal"},
    {
        "layers": [
            {"kind": "dense", "width": 5, "init": "he_normal"},
            "sigmoid",
            {"kind": "dense", "width": 2, "init": "zeros"},
        ]
    },
    {"layers": ["dense 3", {"kind": "residual", "layers": ["dense 3", "tanh"]}, "dense 2", "softmax"]},
]
# Doctor's remedies: the same change in other words than those of a random change.
TRIED = [
    Remedy("rate", ((RATE, 0.4),)),
    Remedy("adam", (("optimizer", {"kind": "adam", "learning_rate": 0.001}),)),
    Remedy("weights of the first layer", (("network.layers.0", HE_LAYER),)),
    Remedy("he", (("network.init", "he_normal"),)),
    Remedy("scaled", (("data.scale", "standard"),)),
    Remedy("longer", (("training.epochs", 7),)),
    Remedy("batches of all rows", (("training.batch_size", "full"),)),
]


def trained(candidate) -> tuple[list[np.ndarray], int]:
    """The final weights of an arm, by training it, and its number of updates."""
    run = run_spec(dataclasses.replace(candidate.spec, probes=Off()))
    return [np.asarray(array) for array in leaves(run.params)], candidate.updates


@pytest.mark.parametrize("network", NETWORKS, ids=lambda table: str(table["layers"][1])[:12])
@pytest.mark.parametrize("scale", ["none", "standard"])
def test_a_random_change_is_never_nothing_and_never_a_remedy_that_is_tried(network, scale):
    for optimizer in OPTIMIZERS_AT_REST:
        table = {
            "data": {"source": "moons 24", "validation": 0.25, "scale": scale},
            "network": network,
            "optimizer": optimizer,
            "training": {"epochs": 2, "engine": "eager", "batch_size": 8},
        }
        factory = ArmFactory(Spec.of(table))
        tried = []
        for remedy in TRIED:
            with contextlib.suppress(InputError):
                tried.append(factory.candidate(remedy.label, [setting_of(remedy)]))
        others = [trained(arm)[0] for arm in (factory.unchanged, *tried)]
        for seed in range(8):
            arm = tried[seed % len(tried)]
            control = factory.control(arm, seed, tried)
            assert control is not None, (arm.arm.label, seed)
            weights, updates = trained(control)
            assert updates <= arm.updates
            # Different weights after the training prove that something is different.
            for other in others:
                assert have_different_weights(weights, other), (control.arm.label, optimizer)


def have_different_weights(one, other) -> bool:
    """Whether the weights of two trained arms differ."""
    same_shapes = [array.shape for array in one] == [array.shape for array in other]
    return not (same_shapes and all(map(np.array_equal, one, other)))


def test_the_random_change_of_a_combination_is_none_of_its_remedies_and_no_other_one():
    table = {
        "data": {"source": "moons 24", "validation": 0.25},
        "network": NETWORKS[0],
        "optimizer": {"kind": "momentum", "learning_rate": 0.01, "momentum": 0.0},
        "training": {"epochs": 2, "engine": "eager", "batch_size": 4},
    }
    factory = ArmFactory(Spec.of(table))
    remedies = [
        *TRIED[:2],
        *TRIED[4:],
        # In other words what a random change may be.
        Remedy("plain steps", (("optimizer", {"kind": "sgd", "learning_rate": 0.05}),)),
        Remedy("a leak of 0", (("network.layers.1", {"kind": "leaky_relu", "alpha": 0.0}),)),
        Remedy("a constant rate", ((RATE, {"kind": "constant", "value": 0.2}),)),
    ]
    tried = [factory.candidate(remedy.label, [setting_of(remedy)]) for remedy in remedies]
    others = [trained(arm)[0] for arm in (factory.unchanged, *tried)]
    drawn = 0
    for one, other in itertools.combinations(remedies, 2):
        left, given_up = merged([setting_of(one)], other)
        if given_up or not left.changes:
            continue
        together = factory.candidate(f"{one.label} + {other.label}", [setting_of(one), left])
        control = factory.control(together, drawn, tried)
        if together.updates < factory.unchanged.updates:
            # Most random changes need an epoch of more updates.
            continue
        assert control is not None
        settings = [each for each in control.arm.settings if dict(each.changes).get("training.epochs", 9) > 1]
        assert len(settings) == 2
        drawn += 1
        alone = [factory.candidate(setting.label, [setting]) for setting in settings]
        for arm in (control, *alone):
            weights = trained(arm)[0]
            assert all(have_different_weights(weights, each) for each in others), (control.arm.label, arm.arm.label)
        assert have_different_weights(trained(control)[0], trained(together)[0])
    assert drawn >= 10


def test_an_initializer_of_the_network_is_not_drawn_where_each_layer_has_its_own():
    rng = np.random.default_rng(0)
    for seed in range(60):
        own = [
            {"kind": "dense", "width": width, "init": str(rng.choice(INITIALIZERS))}
            for width in (int(rng.integers(2, 6)), 2)
        ]
        layers = [own[0], str(rng.choice(ACTIVATIONS)), own[1]]
        spec = Spec.of({"data": "moons 24", "network": layers, "training": EAGER})
        split = spec.data.load(0)
        drawn = random_change(completed(spec, split.train), split, np.random.default_rng(seed), 9)
        assert "network.init" not in {path for setting in drawn for path, _ in setting.changes}
        assert len(drawn) >= 5


@pytest.mark.parametrize(
    ("one", "other", "like"),
    [
        ((("training.batch_size", "full"),), (("training.batch_size", 18),), True),
        ((("training.batch_size", 500),), (("training.batch_size", "full"),), True),
        ((("training.batch_size", 17),), (("training.batch_size", "full"),), False),
        ((("optimizer", {"kind": "momentum", "momentum": 0.0}),), (("optimizer", "sgd"),), True),
        ((("optimizer", {"kind": "momentum", "momentum": 0.1}),), (("optimizer", "sgd"),), False),
        (((RATE, {"kind": "constant", "value": 0.3}),), ((RATE, 0.3),), True),
        (((RATE, 0.3),), ((RATE, 0.4),), True),
        (((RATE, 0.3),), ((RATE, 0.5),), False),
        (((RATE, {"kind": "cosine", "peak": 0.3}),), ((RATE, 0.3),), False),
        ((("network.layers.1", "relu"),), (("network.layers.1", {"kind": "leaky_relu", "alpha": 0.0}),), True),
        ((("network.layers.1", "relu"),), (("network.layers.1", "leaky_relu"),), False),
        ((("network.init", "he_normal"),), (("network.layers.0", HE_LAYER),), False),
    ],
)
def test_what_an_arm_makes_decides_what_it_is_like_and_not_its_name(one, other, like):
    table = {
        "data": {"source": "moons 24", "validation": 0.25, "test": 0.0},
        "network": NETWORKS[0],
        "optimizer": "sgd 0.01",
        "training": {"epochs": 2, "engine": "eager", "batch_size": 8},
    }
    factory = ArmFactory(Spec.of(table))
    arms = [factory.candidate("", [setting_of(Remedy("", changes))]) for changes in (one, other)]
    assert arms[0].is_like(arms[1]) is arms[1].is_like(arms[0]) is like


def other_scale(split) -> str:
    """The opposite of the present scaling, judged by the rows."""
    standard = np.allclose(split.train.x.mean(axis=0), 0, atol=1e-5)
    return "none" if standard else "standard"


def test_another_seed_draws_another_random_change(factory: ArmFactory):
    arm = factory.candidate(LARGER.label, [setting_of(LARGER)])
    drawn = {str(found.arm.changes) for seed in range(10) if (found := factory.control(arm, seed))}
    assert len(drawn) >= 5


# Time, folders, Ctrl-C ------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances by one minute for each trial only."""
    now = types.SimpleNamespace(minutes=0, limits=[])
    run_trial = workers.run_trial

    def counted(*given):
        outcome = run_trial(*given)
        now.minutes += 1
        now.limits.append(given[3])
        return outcome

    calls = itertools.count()
    time = types.SimpleNamespace(monotonic=lambda: 60.0 * now.minutes + 1e-6 * next(calls))
    monkeypatch.setattr(workers, "run_trial", counted)
    for module in (callbacks, runner, search, trials, sys.modules["thalweg.experiments.remedy_trials.prove"]):
        monkeypatch.setattr(module, "time", time)
    return now


def test_the_time_limit_is_kept_and_missing_trials_are_counted(clock, tmp_path):
    found = proven(SLOW, [LARGER, SAME, TINY], minutes=21, folder=tmp_path)
    # The first seeds have 7 minutes; remedies with a gain then have 7 more, together with the unchanged spec.
    assert [arm.tried for arm in (found.unchanged, *(effect.arm for effect in found.effects))] == [5, 5, 3, 2]
    assert found.chosen == ("a larger rate",)
    assert clock.minutes == len(trials_in(tmp_path)) <= 21
    assert "Time is up: " in found.remarks[0]
    # A trial that began in time may take longer than its stage: it is given up at the end of all stages alone.
    assert clock.limits == pytest.approx([21 * 60] * 21, abs=1)
    assert found.seconds == pytest.approx(60 * clock.minutes, abs=1)
    # The same call without a limit runs only what is missing.
    whole = proven(SLOW, [LARGER, SAME, TINY], folder=tmp_path)
    assert clock.minutes == len(trials_in(tmp_path))
    assert whole.effects[0].arm.tried == 5
    assert not any("Time is up" in remark for remark in whole.remarks)


def test_time_that_combinations_do_not_need_goes_to_the_remedies(clock):
    # A single remedy leaves nothing to combine.
    found = proven(SLOW, [LARGER], minutes=12)
    assert clock.minutes == 12
    assert found.effects[0].arm.tried == 4


def test_without_time_there_is_no_evidence(clock):
    found = proven(SLOW, [LARGER, SAME], minutes=1e-12)
    assert clock.minutes == 0
    assert found.effects[0].verdict == "not tried"
    assert "nothing can be decided" in found.evidence
    assert found.figures() == []
    assert found.evidence in found.report()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_trial_that_runs_when_the_time_is_up_is_given_up(tmp_path, jobs):
    # It would train for days.
    endless = changed(SLOW, training__epochs=10**9)
    found = proven(endless, [LARGER], minutes=0.02, jobs=jobs, folder=tmp_path)
    assert found.unchanged.tried == 0
    assert trials_in(tmp_path) == set()
    assert "Time is up: " in found.remarks[0]


def test_a_training_stops_at_the_first_piece_after_its_time(monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(callbacks, "time", types.SimpleNamespace(monotonic=lambda: next(seconds)))
    limit = callbacks.TimeLimit(3)
    run = run_spec(Spec.of(changed(SLOW, training__epochs=100)), callbacks=[limit])
    assert run.outcome.startswith("Stopped after ")
    assert limit.stop
    assert next(seconds) == 4
    # One that has ended in time is a whole training.
    limit = callbacks.TimeLimit(math.inf)
    assert run_spec(Spec.of(SLOW), callbacks=[limit]).outcome.startswith("Trained ")
    assert limit.stop == ""


def test_short_trials_run_in_this_process_and_long_ones_in_several():
    processes = []
    for seconds in (1e-3, 1e3):
        log = trials.TrialLog(range(5), None, None, 0.0, print)
        log.results["known"] = types.SimpleNamespace(seconds=seconds)
        processes.append(log.processes(10))
    assert processes == [1, None]


def test_a_second_call_runs_nothing_again(slow: Proof, monkeypatch):
    def run(*given):
        raise AssertionError("a trial was run")

    monkeypatch.setattr(runner, "run_trials", run)
    again = proven(SLOW, FOUR, seeds=10, folder=slow.folder)
    assert again.chosen == slow.chosen
    assert again.effects[0].describe() == slow.effects[0].describe()


def test_saved_files_can_be_read(slow: Proof):
    folder = slow.folder
    assert folder is not None
    saved = json.loads((folder / "proof.json").read_text())
    assert [remedy["verdict"] for remedy in saved["remedies"]] == ["helps", "undecided", "harms", "not tried"]
    assert saved["remedies"][3]["values"] == [None] * 10
    assert "a larger rate" in (folder / "report.html").read_text()
    run = run_spec(read_spec(str(folder / "repaired.toml")))
    assert run.measures["validation"]["balanced_accuracy"] == slow.effects[0].arm.values[0]


def test_an_outdated_repair_is_removed(tmp_path):
    (tmp_path / "repaired.toml").write_text("")
    assert proven(SLOW, [TINY], seeds=2, folder=tmp_path).repaired is None
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "trials", "proof.json", "report.html"}


def test_ctrl_c_leaves_whole_trials_and_the_same_call_continues(tmp_path, monkeypatch):
    run_trial = workers.run_trial
    count = iter(range(100))

    def stopped(*given):
        if next(count) == 4:
            raise KeyboardInterrupt
        return run_trial(*given)

    monkeypatch.setattr(workers, "run_trial", stopped)
    with pytest.raises(KeyboardInterrupt):
        proven(SLOW, [LARGER], seeds=3, folder=tmp_path)
    assert len(trials_in(tmp_path)) == 4
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "trials"}
    assert proven(SLOW, [LARGER], seeds=3, folder=tmp_path).chosen == ("a larger rate",)
    assert next(count) == 10


# Input and progress ---------------------------------------------------------------------------------------------------


def test_rows_in_memory_and_a_completed_spec_are_accepted():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 3))
    spec = Spec.of({**SLOW, "data": {"source": (x, x.sum(axis=1) > 0)}})
    whole = completed(spec, spec.data.load(0).train)
    given = {"seeds": 2, "jobs": 1}
    first, second = (prove(each, [LARGER], **given) for each in (spec, whole))
    assert first.effects[0].arm.values.tolist() == second.effects[0].arm.values.tolist()
    assert first.effects[0].arm.tried == 2


def test_a_remedy_that_selects_other_rows_gets_a_remark():
    found = proven(SLOW, [Remedy("other rows", (("data.split", "time"),))], seeds=2)
    (remark,) = found.remarks
    assert remark.startswith("`other rows` ")


def test_progress_is_reported():
    messages = []
    proven(SLOW, [LARGER], seeds=2, watch=messages.append)
    assert messages[0].text.endswith(": trial 0 of 4: starting")
    assert messages[-1].text.endswith(": trial 2 of 2")
    assert messages[-1].fraction == 1


def test_the_chart_has_a_row_for_each_remedy_that_was_tried(slow: Proof):
    (figure,) = slow.figures()
    assert figure.layout.yaxis.ticktext == (
        "<b>a larger rate</b><br>helps",
        "its own start<br>undecided",
        "a tiny rate<br>harms",
    )


@pytest.mark.parametrize(
    ("given", "subject", "value"),
    [
        ({"remedies": []}, "remedies", "none"),
        ({"remedies": [LARGER, LARGER]}, "remedies", "'a larger rate'"),
        ({"seeds": 0}, "seeds", "received 0"),
        ({"jobs": 0}, "jobs", "received 0"),
        ({"minutes": 0}, "minutes", "received 0"),
        ({"minutes": math.nan}, "minutes", "received nan"),
    ],
)
def test_invalid_arguments_are_rejected(given, subject, value):
    with pytest.raises(InputError) as raised:
        prove(Spec.of(SLOW), **{"remedies": [LARGER], "jobs": 1, **given})
    assert raised.value.subject == subject
    assert value in str(raised.value)
