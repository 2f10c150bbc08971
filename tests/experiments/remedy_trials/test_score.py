"""The score of remedy trials: its order, the rows that it is taken on, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from thalweg.core.errors import InputError
from thalweg.data import Data, Dataset
from thalweg.doctor.findings import Remedy
from thalweg.experiments.remedy_trials.arms import ArmFactory, setting_of
from thalweg.experiments.remedy_trials.prove import prove
from thalweg.experiments.remedy_trials.score import NoScoreError, Score, constant_balanced_accuracy
from thalweg.experiments.results import TrialResult
from thalweg.parts.schedules.metric_schedules import metric_schedules
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec

RATE = "optimizer.learning_rate"
EAGER = {"epochs": 20, "engine": "eager"}


def spec_of(data, **sections) -> Spec:
    return Spec.of(
        {
            "data": data,
            "network": ["dense 8", "tanh", "dense 2"],
            "optimizer": "adam 0.01",
            "training": EAGER,
            **sections,
        }
    )


def result_of(**measures) -> TrialResult:
    return TrialResult([], {"training": measures}, "Trained.", "", 1.0)


# Order ----------------------------------------------------------------------------------------------------------------


def test_scores_below_a_constant_answer_keep_their_order():
    score = Score("r2", "training", 100, 0.0)
    below = [-1e300, -1e6, -1000.0, -10.0, -1.0, -0.1, -1e-6]
    values = [score.of(result_of(r2=value)) for value in below]
    assert values == sorted(values)
    assert len(set(values[1:])) == len(values) - 1
    assert min(values) >= score.least == -1
    assert max(values) < 0
    # -10 stands for a mean square error of eleven times the variance.
    assert values[3] == pytest.approx(1 / 11 - 1)
    # R² from 0 on is what it is, and small differences around 0 have one size.
    assert [score.of(result_of(r2=value)) for value in (0.0, 0.3, 1.0)] == [0.0, 0.3, 1.0]
    assert values[-1] == pytest.approx(-1e-6, rel=1e-5)


def test_less_bad_helps_and_is_no_repair():
    # Targets around 100 that the outputs do not reach: R² is far below 0, nearer with the larger rate.
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2))
    spec = spec_of(
        {"source": (x, 100 + x[:, 0] + 0.1 * rng.standard_normal(200)), "scale": "none", "task": "regression"},
        network=["dense 1"],
        optimizer="adam 0.001",
    )
    found = prove(spec, [Remedy("a larger rate", ((RATE, 0.2),))], seeds=5, jobs=1)
    (effect,) = found.effects
    assert found.unchanged.mean < effect.arm.mean < 0
    assert effect.verdict == "helps"
    assert (effect.gains, effect.repairs, found.repaired) == (True, False, None)


def test_a_run_of_an_earlier_version_is_named():
    with pytest.raises(InputError) as raised:
        Score("balanced_accuracy", "training", 4, 0.5).of(result_of(loss=0.1, accuracy=1.0))
    assert "balanced_accuracy" in str(raised.value)


# Classes that are rare ------------------------------------------------------------------------------------------------


def test_a_constant_answer_has_one_score_however_rare_a_class_is():
    rng = np.random.default_rng(1)
    for share in (0.5, 0.1, 0.01):
        y = (rng.random(1000) < share).astype(np.int32)
        rows = Dataset(np.zeros((1000, 1)), y, "classification")
        assert constant_balanced_accuracy(rows) == balanced_accuracy_score(y, np.zeros(1000)) == 0.5
    three = Dataset(np.zeros((4, 1)), np.array([0, 0, 1, 2]), "classification", weight=np.array([1, 1, 5, 0]))
    # The only row of the last class has no weight.
    assert constant_balanced_accuracy(three) == 0.5
    labels = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0]], float)
    assert constant_balanced_accuracy(Dataset(np.zeros((4, 1)), labels, "multilabel")) == (0.5 + 1 + 0.5) / 3


def test_a_network_that_always_names_the_frequent_class_wins_nothing():
    # One class of 30: a network that finds it costs accuracy at first, and always naming the other one has 97 %.
    rng = np.random.default_rng(2)
    y = np.arange(600) % 30 == 0
    x = rng.standard_normal((600, 2)) + 2.0 * y[:, None]
    spec = spec_of(
        {"source": (x, y), "task": "classification", "validation": 0.3, "test": 0.0, "order": "balanced"},
        training=EAGER | {"epochs": 60},
    )
    dead = Remedy("dead", (("network.init", "zeros"), (RATE, 1e-12)))
    found = prove(spec, [dead], seeds=3, jobs=1)
    (effect,) = found.effects
    assert found.score.constant == 0.5
    assert effect.arm.values.tolist() == [0.5] * 3
    assert effect.verdict == "harms"
    # By accuracy it would have helped.
    accuracies = []
    for changes in ((), dead.changes):
        arm = ArmFactory(spec).candidate("arm", [setting_of(Remedy("arm", changes))])
        accuracies.append(run_spec(arm.spec).measures["validation"]["accuracy"])
    assert accuracies[1] > accuracies[0]


# Rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "share", "scored", "count", "held_out"),
    [
        (4, 0.0, "training", 4, 0),
        (90, 0.0, "training", 90, 0),
        # 5 of 50 rows: 25 more would be more than a third of the training rows.
        (50, 0.1, "training", 45, 0),
        (100, 0.0, "validation", 30, 30),
        (100, 0.2, "validation", 30, 10),
        (100, 0.3, "validation", 30, 0),
        (1000, 0.0, "validation", 200, 200),
        (1000, 0.5, "validation", 500, 0),
    ],
)
def test_arms_are_scored_on_rows_that_they_do_not_train_on_where_there_are_enough(rows, share, scored, count, held_out):
    factory = ArmFactory(spec_of({"source": f"rings {rows}", "validation": share, "test": 0.0}))
    assert factory.score == Score("balanced_accuracy", scored, count, 0.5, held_out)
    split = factory.unchanged.split
    assert len(split.sets[scored]) == count
    assert len(split.train) == round(rows * (1 - share)) - held_out


def test_held_out_rows_are_those_of_the_training_set_and_the_same_in_all_arms():
    rng = np.random.default_rng(3)
    x = np.arange(400.0)[:, None]
    y = rng.integers(2, size=400)
    data = {"source": (x, y), "task": "classification", "validation": 0.0, "test": 0.25}
    spec = spec_of(data)
    factory = ArmFactory(spec)
    assert factory.score.held_out == 60
    remedies = [Remedy("rate", ((RATE, 0.1),)), Remedy("raw", (("data.scale", "none"),))]
    arms = [factory.candidate(remedy.label, [setting_of(remedy)]) for remedy in remedies]

    def numbers(split, rows):
        """The original x of rows, which tells them apart."""
        return np.rint(rows.x[:, 0] * split.preprocessing.span[0] + split.preprocessing.shift[0]).astype(int)

    for seed in (0, 1, 2):
        whole = spec.data.load(seed)
        splits = [arm.trained.data.load(seed) for arm in (factory.unchanged, *arms)]
        held = [set(numbers(split, split.validation)) for split in splits]
        assert held[0] == held[1] == held[2]
        for split in splits:
            train = set(numbers(split, split.train))
            assert not train & held[0]
            assert train | held[0] == set(numbers(whole, whole.train))
            assert set(numbers(split, split.test)) == set(numbers(whole, whole.test))


def test_no_single_row_is_left_for_the_last_batch():
    # 127 rows without 30 are 97, three batches and a row, which batch normalization cannot take.
    spec = spec_of({"source": "rings 127", "validation": 0.0, "test": 0.0})
    factory = ArmFactory(spec)
    assert (factory.score.held_out, len(factory.unchanged.split.train)) == (31, 96)
    layers = ["dense 8", "batch_norm", "tanh", "dense 2"]
    normalized = Remedy("normalized", (("network", {"layers": layers}),))
    assert factory.candidate("normalized", [setting_of(normalized)]).updates == 3 * 20


def test_rare_classes_are_repaired_by_their_balanced_accuracy():
    rng = np.random.default_rng(8)
    y = np.arange(1000) % 25 == 0
    x = rng.standard_normal((1000, 2)) + 1.5 * y[:, None]
    spec = spec_of({"source": (x, y), "task": "classification", "validation": 0.3, "test": 0.0})
    found = prove(spec, [Remedy("balanced", (("data.order", "balanced"),))], seeds=5, jobs=1)
    assert found.effects[0].verdict == "helps"
    assert found.repaired is not None
    assert found.repaired.data.order.kind == "balanced"


def test_the_repaired_spec_trains_on_all_of_its_rows():
    spec = spec_of({"source": "rings 200", "validation": 0.0, "test": 0.0}, optimizer="adam 0.003")
    found = prove(spec, [Remedy("a larger rate", ((RATE, 0.05),))], seeds=3, jobs=1)
    assert found.score.held_out == 40
    assert found.repaired is not None
    assert found.repaired.data == found.spec.data == spec.data
    assert found.repaired.stopping == spec.stopping


def test_what_a_training_decides_by_stays_when_rows_are_held_out():
    plateau = {"kind": "adam", "learning_rate": {"kind": "plateau", "initial": 0.01, "patience": 3}}
    spec = spec_of({"source": "rings 200", "validation": 0.0, "test": 0.0}, optimizer=plateau, stopping={"patience": 5})
    factory = ArmFactory(spec)
    trained = factory.unchanged.trained
    assert trained.data.validation == 0.2
    assert trained.stopping.measure == "loss"
    assert [schedule.measure for schedule in metric_schedules(trained.optimizer)] == ["loss"]
    assert [schedule.measure for schedule in metric_schedules(factory.unchanged.spec.optimizer)] == [None]
    # With validation rows of its own the spec decides by them, and by more of them if they were too few.
    few = ArmFactory(spec_of({"source": "rings 100", "validation": 0.2, "test": 0.0}, stopping={"patience": 5}))
    assert few.score.held_out == 10
    assert few.unchanged.trained.stopping.measure is None


def test_noise_that_is_learned_by_heart_is_no_repair():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((150, 4))
    data = {"source": (x, rng.standard_normal(150)), "task": "regression", "validation": 0.0, "test": 0.0}
    spec = spec_of(data, network=["dense 40", "tanh", "dense 1"], optimizer="adam 0.0001")
    remedy = Remedy("a larger rate", ((RATE, 0.02), ("training.epochs", 150)))
    found = prove(spec, [remedy], seeds=3, jobs=1)
    assert (found.score.rows, found.score.held_out) == ("validation", 30)
    assert found.repaired is None
    # On the rows that it trains on the remedy gains a lot.
    factory = ArmFactory(spec)
    ends = [run_spec(factory.candidate("", [setting_of(each)]).spec) for each in (Remedy("none", ()), remedy)]
    before, after = (run.measures["training"]["r2"] for run in ends)
    assert after > before + 0.5


# Rows that cannot score -----------------------------------------------------------------------------------------------


def test_rows_with_one_target_cannot_score():
    # Sorted by class: the last rows are all of the last class.
    y = np.repeat([0, 1, 2], 80)
    x = np.random.default_rng(5).standard_normal((240, 2)) + y[:, None]
    data = {"source": (x, y), "task": "classification", "validation": 0.2, "test": 0.0}
    in_time = data | {"split": "time"}
    assert len(set(Data.of(in_time).load(0).validation.y)) == 1
    with pytest.raises(NoScoreError) as raised:
        prove(spec_of(in_time, network=["dense 3"]), [Remedy("rate", ((RATE, 0.1),))], seeds=2, jobs=1)
    assert raised.value.subject == "data.validation"
    # Drawn at random they can.
    assert ArmFactory(spec_of(data, network=["dense 3"])).score.rows == "validation"
    # An arm that leaves such rows is not tried.
    found = prove(spec_of(data, network=["dense 3"]), [Remedy("in time", (("data.split", "time"),))], seeds=2, jobs=1)
    assert found.effects[0].verdict == "not tried"


def test_a_constant_number_cannot_score_either():
    x = np.arange(200.0)[:, None]
    y = np.minimum(x[:, 0], 100.0)
    data = {"source": (x, y), "task": "regression", "split": "time", "validation": 0.3, "test": 0.0}
    with pytest.raises(NoScoreError):
        ArmFactory(spec_of(data, network=["dense 1"]))
    # Neither can training rows, however few.
    few = {"source": (x[:20], np.ones(20)), "task": "regression", "validation": 0.0, "test": 0.0}
    with pytest.raises(NoScoreError):
        ArmFactory(spec_of(few, network=["dense 1"]))


def test_rows_that_cannot_be_held_out_are_said_so():
    # The only row of the last class cannot be both trained on and held out.
    y = np.array([0, 1] * 100 + [2])
    x = np.random.default_rng(6).standard_normal((201, 2))
    data = {"source": (x, y), "task": "classification", "validation": 0.0, "test": 0.0}
    with pytest.raises(NoScoreError) as raised:
        ArmFactory(spec_of(data, network=["dense 3"]))
    assert "the class 2 has 1 row" in str(raised.value)


def test_the_score_is_part_of_the_json():
    spec = spec_of({"source": "rings 200", "validation": 0.0, "test": 0.0})
    found = prove(spec, [Remedy("rate", ((RATE, 0.1),))], seeds=2, jobs=1)
    assert json.loads(json.dumps(found.describe()))["score"] == {
        "measure": "balanced_accuracy",
        "rows": "validation",
        "row_count": 40,
        "constant": 0.5,
        "held_out": 40,
    }
