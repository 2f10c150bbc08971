"""Experiments before they run: paired arms, keys of trials, and checks of every arm."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from thalweg.core.errors import InputError
from thalweg.experiments.experiment import Experiment
from thalweg.runs.train import run_session
from thalweg.spec.spec import Spec
from thalweg.spec.toml import to_toml
from thalweg.training.callbacks import Callback
from thalweg.training.session import Session

BASE = {
    "data": {"source": {"kind": "rings", "samples": 60}, "validation": 0.25},
    # The default initializer depends on the activation.
    "network": {"layers": ["dense 6", "tanh", "dense 2", "softmax"], "init": "glorot_uniform"},
    "optimizer": "sgd 0.1",
    "training": {"epochs": 2, "batch_size": 8, "engine": "eager"},
}
RATE = "optimizer.learning_rate"


def trials(vary, seeds=1, **base):
    return Experiment.of({**BASE, **base, "vary": vary, "seeds": seeds}).trials()


# --- pairs


class Witness(Callback):
    """A callback that records the initial state and the rows of each step."""

    def __init__(self):
        self.start = None
        self.rows = []

    def next_step(self, step):
        return step

    def on_step_begin(self, engine, plan, state, chunk, index):
        if self.start is None:
            self.start = engine.fetch(state)
        rows = chunk.rows[index]
        self.rows += np.asarray(chunk.data.x)[rows[rows >= 0]].tolist()


def witnessed(trial):
    witness = Witness()
    split = trial.spec.data.load(trial.seed)
    run_session(Session(trial.spec, split), callbacks=[witness])
    return split, witness


DIFFERENT = {
    "arm": {
        "plain": {},
        "rate": {RATE: 0.001},
        "optimizer": {"optimizer": "adam 0.01"},
        "batch": {"training.batch_size": 5},
        "loss": {"loss": "mse"},
        "activation": {"network.layers.1": "relu"},
        "deeper": {"network.layers": ["dense 6", "tanh", "dense 6", "tanh", "dense 2", "softmax"]},
        "penalty": {"regularization.l2": 0.1},
    }
}


@pytest.mark.parametrize("seed", [0, 3])
def test_arms_of_one_seed_share_rows_order_and_initial_weights(seed):
    found = trials(DIFFERENT, {"count": 1, "first": seed})
    assert {trial.seed for trial in found} == {seed}
    (first, one), *others = map(witnessed, found)
    assert len(one.rows) == 2 * len(first.train)
    for split, other in others:
        for part in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(split, part).x, getattr(first, part).x)
            np.testing.assert_array_equal(getattr(split, part).y, getattr(first, part).y)
        assert other.rows == one.rows
        # The key of all noise, and the weights of the first layer, which all of them share.
        np.testing.assert_array_equal(other.start.key, one.start.key)
        np.testing.assert_array_equal(other.start.params[0].W, one.start.params[0].W)
    for _, other in others[:5]:
        np.testing.assert_array_equal(other.start.params[2].W, one.start.params[2].W)


def test_another_seed_has_other_rows_another_order_and_another_start():
    (first, one), (second, other) = map(witnessed, trials({RATE: [0.1]}, 2))
    assert not np.array_equal(first.train.x, second.train.x)
    assert one.rows != other.rows
    assert not np.array_equal(one.start.params[0].W, other.start.params[0].W)
    assert not np.array_equal(one.start.key, other.start.key)


def test_noise_is_paired_too():
    dropping = {"network": {"layers": ["dense 6", "dropout 0.5", "dense 2", "softmax"]}}
    slow, same = trials({RATE: [1e-12, 1e-13]}, **dropping)
    losses = [run_session(Session(t.spec, t.spec.data.load(t.seed))).history[0]["loss"] for t in (slow, same)]
    # The weights hardly move: a difference could only come from other dropped units, as with another seed.
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    other = slow.spec.data.load(slow.seed)
    training = dataclasses.replace(slow.spec.training, seed=1)
    session = Session(dataclasses.replace(slow.spec, training=training), other)
    assert run_session(session).history[0]["loss"] != pytest.approx(losses[0], rel=1e-3)


def test_trials_come_seed_by_seed():
    found = trials({RATE: [0.1, 0.2]}, {"count": 2, "first": 4})
    assert [(trial.arm.label, trial.seed) for trial in found] == [
        ("learning_rate 0.1", 4),
        ("learning_rate 0.2", 4),
        ("learning_rate 0.1", 5),
        ("learning_rate 0.2", 5),
    ]
    assert [trial.spec.training.seed for trial in found] == [4, 4, 5, 5]
    assert found[1].spec.optimizer.learning_rate == 0.2


def test_arms_do_not_change_the_tables_of_each_other():
    vary = {"arm": {"A": {"network.layers.0": "dense 9"}, "B": {}, "C": {"optimizer": {"kind": "adam"}}}, RATE: [1, 2]}
    experiment = Experiment.of({**BASE, "vary": vary})
    widths = [experiment.spec(arm).network.layers[0].width for arm in experiment.arms]
    assert widths == [9, 6, 6, 9, 6, 6]
    assert BASE["network"]["layers"][0] == "dense 6"
    assert [experiment.spec(arm).optimizer.learning_rate for arm in experiment.arms] == [1, 1, 1, 2, 2, 2]


# --- keys


def keys(vary, seeds=1, **base):
    return [trial.key for trial in trials(vary, seeds, **base)]


def test_a_trial_has_the_same_key_however_it_is_written():
    (key,) = keys({RATE: [0.5]})
    for vary, base in [
        ({"optimizer": ["sgd 0.5"]}, {}),
        ({"optimizer": [{"kind": "sgd", "learning_rate": 0.5}]}, {}),
        ({"arm": {"any name": {"optimizer": "sgd 0.5"}}}, {}),
        ({"training.epochs": [2]}, {"optimizer": "sgd 0.5"}),
        ({RATE: [0.5]}, {"data": {"source": "rings 60", "validation": 0.25, "order": "shuffled"}}),
        ({RATE: [0.5]}, {"loss": "cross_entropy"}),
        ({RATE: [0.5]}, {"training": {**BASE["training"], "seed": 9}}),
    ]:
        assert keys(vary, **base) == [key]


def test_whatever_decides_a_result_changes_its_key():
    found = keys(DIFFERENT) + keys({RATE: [0.1]}, {"count": 3, "first": 1})
    found += keys({RATE: [0.1]}, data={**BASE["data"], "validation": 0.3})
    found += keys({RATE: [0.1]}, training={**BASE["training"], "epochs": 3})
    assert len(set(found)) == len(found)


def test_the_key_of_a_trial_does_not_depend_on_other_arms_or_seeds():
    few = keys({RATE: [0.1]}, 2)
    many = keys({RATE: [0.3, 0.1, 0.2]}, 4)
    assert few == [many[1], many[4]]
    assert keys({RATE: [0.1]}, {"count": 1, "first": 1}) == few[1:]


def test_other_rows_are_another_trial(tmp_path: Path):
    file = tmp_path / "rows.csv"
    rows = [f"{k},{k % 3},{'ab'[k % 2]}" for k in range(40)]
    data = {"source": str(file), "target": "y", "validation": 0.25}
    found = []
    for last in ("1", "1", "2"):
        file.write_text("\n".join(["u,v,y", *rows, f"77,{last},a"]))
        found += keys({RATE: [0.1]}, data=data)
    assert found[0] == found[1] != found[2]


def test_rows_in_memory_can_be_experimented_with():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    y = np.where(x.sum(axis=1) > 0, "yes", "no")
    first, second = (keys({RATE: [0.1]}, data={"source": (rows, y), "validation": 0.25}) for rows in (x, -x))
    assert first != second
    assert keys({RATE: [0.1]}, data={"source": (x.copy(), y), "validation": 0.25}) == first


# --- descriptions


@pytest.mark.parametrize(
    "vary",
    [
        {"optimizer": [{"kind": "sgd"}, {"kind": "adam"}], "training.batch_size": [8, 16]},
        {"training": {"batch_size": [8, 16]}, "optimizer.learning_rate": [0.1, 0.2], "arm": {"A": {}, "B": {}}},
        {
            "optimizer.learning_rate": {"kind": "uniform", "low": 0.1, "high": 1.0},
            "network": {"layers.0": ["dense 3", "dense 5"]},
            "random": {"arms": 4, "seed": 2},
        },
    ],
)
def test_a_written_experiment_has_the_same_arms_in_the_same_order(vary):
    first = Experiment.of({**BASE, "vary": vary})
    again = Experiment.of(tomllib.loads(tomli_w.dumps(first.describe())))
    assert again.arms == first.arms


def test_the_tables_of_an_experiment_make_it_again():
    vary = {RATE: np.array([0.1, 0.2]), "arm": {"A": {}, "B": {"network.layers.1": "relu"}}}
    first = Experiment.of({**BASE, "vary": vary, "seeds": 2, "compare": {"baseline": "learning_rate 0.2, A"}}, "mine")
    again = Experiment.of(first.describe(), "mine")
    assert [trial.key for trial in again.trials()] == [trial.key for trial in first.trials()]
    assert again.describe() == first.describe()
    assert again.compare.baseline == first.compare.baseline == "learning_rate 0.2, A"


def test_a_spec_of_an_arm_is_a_spec_of_its_own():
    (trial,) = trials({RATE: [0.5]}, {"count": 1, "first": 2})
    alone = Spec.of(tomllib.loads(to_toml(trial.spec)))
    assert alone.describe() == trial.spec.describe()
    assert alone.training.seed == 2


def test_probes_are_off_unless_requested():
    assert trials({RATE: [0.1]})[0].spec.probes.kind == "off"
    assert trials({RATE: [0.1]}, probes="light")[0].spec.probes.kind == "light"


# --- invalid experiments


def rejected(act) -> InputError:
    with pytest.raises(InputError) as raised:
        act()
    assert raised.value.subject == "mine"
    return raised.value


@pytest.mark.parametrize(
    ("change", "place", "values"),
    [
        ({"vary": None}, "", ["[vary]"]),
        ({"vary": {RATE: []}}, f"vary.{RATE}", ["[]"]),
        ({"seeds": 0}, "seeds.count", ["1", "0"]),
        ({"seeds": "many"}, "seeds.count", ["integer"]),
        ({"seeds": {"first": -1}}, "seeds.first", ["-1"]),
        ({"seeds": {"number": 3}}, "seeds.number", ["Seeds"]),
        ({"compare": {"mesure": "x"}}, "compare.mesure", ["'measure'?"]),
        ({"compare": "accuracy"}, "compare", ["table", "'accuracy'"]),
        ({"experiment": {"seeds": 5}}, "experiment", ["vary, seeds, compare"]),
        ({"compare": {"baseline": "learning_rate 0.3"}}, "compare.baseline", ["'learning_rate 0.3'"]),
    ],
)
def test_an_invalid_experiment_is_rejected(change, place, values):
    error = rejected(lambda: Experiment.of({**BASE, "vary": {RATE: [0.1, 0.2]}, **change}, "mine"))
    (problem,) = error.problems
    assert problem.place == place
    assert all(value in problem.message for value in values)


def refused(change, **vary) -> InputError:
    return rejected(lambda: Experiment.of({**BASE, "vary": vary, **change}, "mine").trials())


@pytest.mark.parametrize(
    ("change", "vary", "values"),
    [
        ({}, {"optimizer.rate": [1, 2]}, ["optimizer.rate", "sgd"]),
        ({}, {"network.layers.9": ["relu"]}, ["from 0 to 3", "'9'", "(in every arm)"]),
        ({}, {RATE: [0.1, -1]}, ["optimizer.learning_rate", "-1", "(in 1 of 2 arms: learning_rate -1)"]),
        ({}, {"network.layers.2.width": [2, 3]}, ["'dense 2'", "(in 1 of 2 arms: width 3)"]),
        ({"data": {"source": "rings 60", "validation": 0.0}}, {RATE: [1]}, ["data.validation = 0.2"]),
        ({"compare": {"measure": "accuracy"}}, {RATE: [1]}, ["compare.measure", "'accuracy'"]),
        ({"data": "no such.csv"}, {RATE: [1]}, ["no such.csv"]),
    ],
)
def test_every_trial_is_checked_before_the_first_one_starts(change, vary, values):
    (problem,) = refused(change, **vary).problems
    assert all(value in problem.message for value in values)


def test_one_wrong_value_among_hundreds_is_found_and_named_once():
    rates = [*(0.01 * (k + 1) for k in range(499)), -5]
    (problem,) = refused({}, **{RATE: rates}).problems
    assert "received -5" in problem.message
    assert "(in 1 of 500 arms: learning_rate -5)" in problem.message


def test_a_problem_of_many_arms_is_reported_once_with_the_first_of_them():
    vary = {"arm": {f"arm {k}": {"network.layers.1": "rellu"} for k in range(5)} | {"good": {}}}
    (problem,) = refused({}, **vary).problems
    assert problem.message.count("rellu") == 1
    assert "(in 5 of 6 arms: arm 0; arm 1; arm 2 and 2 more)" in problem.message


def test_all_problems_of_all_arms_are_reported_at_once():
    first, second = refused({}, arm={"A": {RATE: -1}, "B": {"training.epochs": 0}}).problems
    assert "(in 1 of 2 arms: A)" in first.message
    assert "(in 1 of 2 arms: B)" in second.message
