"""Variations: the arms of a [vary] table, their order and their labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.experiments.variation import Integers, LogUniformRange, UniformRange, variation_of

RATE = "optimizer.learning_rate"
LOG = {"kind": "log_uniform", "low": 1e-4, "high": 1.0}


def labels(vary):
    return [arm.label for arm in variation_of(vary).arms]


# --- grids


def test_the_last_axis_of_a_grid_runs_fastest():
    variation = variation_of({RATE: [0.1, 0.01], "optimizer": {"momentum": [0, 0.5, 0.9]}})
    assert [axis.path for axis in variation.axes] == [RATE, "optimizer.momentum"]
    assert [arm.changes for arm in variation.arms] == [
        ((RATE, rate), ("optimizer.momentum", momentum)) for rate in (0.1, 0.01) for momentum in (0, 0.5, 0.9)
    ]
    assert variation.arms[1].label == "learning_rate 0.1, momentum 0.5"


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_a_grid_has_each_combination_once(sizes):
    paths = ("training.batch_size", "training.epochs", "training.accumulate")
    vary = {path: list(range(1, size + 1)) for path, size in zip(paths, sizes, strict=False)}
    arms = variation_of(vary).arms
    assert len({arm.label for arm in arms}) == len({arm.changes for arm in arms}) == len(arms) == math.prod(sizes)


def test_dots_and_tables_are_the_same():
    assert variation_of({RATE: [0.1], "optimizer.momentum": [0.5]}) == variation_of(
        {"optimizer": {"learning_rate": [0.1], "momentum": [0.5]}}
    )


def test_an_array_is_a_list_of_numbers():
    assert variation_of({RATE: np.array([0.1, 0.01])}) == variation_of({RATE: [0.1, 0.01]})


def test_named_arms_hold_several_changes_each():
    vary = {
        "arm": {
            "plain": {},
            "fast": {"optimizer": {"kind": "momentum", "learning_rate": 0.1}, "training.batch_size": 16},
            "deep": {"network": {"hidden": [8, 8]}, "optimizer.learning_rate": 0.5},
        }
    }
    plain, fast, deep = variation_of(vary).arms
    assert (plain.label, fast.label, deep.label) == ("plain", "fast", "deep")
    assert plain.changes == ()
    # A table with a kind is one value; a table without is a section.
    assert fast.changes == (
        ("optimizer", {"kind": "momentum", "learning_rate": 0.1}),
        ("training.batch_size", 16),
    )
    assert deep.changes == (("network.hidden", [8, 8]), (RATE, 0.5))


def test_named_arms_are_combined_with_axes_of_values():
    assert labels({RATE: [0.1, 1], "arm": {"A": {}, "B": {"training.batch_size": 16}}}) == [
        "learning_rate 0.1, A",
        "learning_rate 0.1, B",
        "learning_rate 1, A",
        "learning_rate 1, B",
    ]


def test_whole_tables_are_changed_before_values_inside_of_them():
    arm = variation_of({RATE: [0.5], "optimizer": ["sgd", "adam"]}).arms[0]
    assert arm.changes == (("optimizer", "sgd"), (RATE, 0.5))


# --- names of axes and labels of arms


@pytest.mark.parametrize(
    ("vary", "names"),
    [
        ({RATE: [1.0]}, ["learning_rate"]),
        ({"network.layers.0.width": [1], "network.layers.2.width": [2]}, ["layers.0.width", "layers.2.width"]),
        ({"network.layers.0": ["relu"]}, ["layers.0"]),
        ({"data.split": ["random"], "split": {"A": {}}}, ["data.split", "split"]),
        ({"network.init": ["zeros"], "optimizer": ["sgd"]}, ["init", "optimizer"]),
    ],
)
def test_an_axis_has_the_shortest_unique_name(vary, names):
    assert [axis.name for axis in variation_of(vary).axes] == names


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0.1, "x 0.1"),
        (1 / 3, "x 0.333333"),
        (1e-7, "x 1e-07"),
        (100000, "x 100000"),
        (True, "x true"),
        ("he_normal", "x he_normal"),
        ([64, 32], "x 64-32"),
        ([0.5, 32], "x 0.5, 32"),
        ({"kind": "adam"}, "x adam"),
        ({"kind": "momentum", "learning_rate": 0.1, "momentum": 0.9}, "x momentum (learning_rate 0.1, momentum 0.9)"),
        ([{"kind": "dense", "width": 3}, "relu"], "x dense (width 3), relu"),
    ],
)
def test_a_value_has_a_short_label(value, label):
    (found,) = labels({"network.x": [value]})
    assert found == label


def test_long_labels_are_shortened_and_numbered_if_equal():
    deep = ["dense 40", "relu"] * 12
    found = labels({"network.layers": [["dense 4"], [*deep, "dense 2"], [*deep, "dense 3"], ["tanh"] * 30]})
    assert found[0] == "layers dense 4"
    assert found[1].endswith("… #2")
    assert found[2].endswith("… #3")
    assert found[1][:-1] == found[2][:-1]
    assert len(found[3]) == 60
    assert found[3].endswith("…")


def test_the_value_of_an_axis_is_its_number_or_its_words():
    numbers, words = variation_of({RATE: [0.1, 1], "optimizer": ["sgd", {"kind": "adam", "beta1": 0.5}]}).axes
    assert [setting.value for setting in numbers.settings] == [0.1, 1]
    assert [setting.value for setting in words.settings] == ["sgd", "adam (beta1 0.5)"]


# --- random samples


def drawn(vary, path=RATE):
    return np.array([dict(arm.changes)[path] for arm in variation_of(vary).arms])


def test_more_random_arms_leave_the_first_ones_as_they_were():
    vary = {RATE: LOG, "optimizer.momentum": {"kind": "uniform", "low": 0.0, "high": 0.99}, "network.init": ["a", "b"]}
    few, many = (variation_of(vary | {"random": count}).arms for count in (7, 30))
    assert many[:7] == few
    assert len(set(many)) == 30


def test_another_seed_draws_other_arms():
    first, same, other = (variation_of({RATE: LOG, "random": {"arms": 5, "seed": seed}}).arms for seed in (0, 0, 1))
    assert first == same == variation_of({RATE: LOG, "random": 5}).arms
    assert not set(first) & set(other)


@pytest.mark.parametrize(
    ("part", "cumulative"),
    [
        (UniformRange(-2.0, 3.0), lambda x: (x + 2) / 5),
        (LogUniformRange(1e-4, 10.0), lambda x: (np.log10(x) + 4) / 5),
        (Integers(3, 7), lambda x: (x - 2) / 5),
    ],
)
def test_a_range_has_the_distribution_that_it_names(part, cumulative):
    rng = np.random.default_rng(0)
    values = np.sort([part.draw(rng) for _ in range(4000)])
    assert part.low <= values[0]
    assert values[-1] <= part.high
    # The distance of Kolmogorov and Smirnov is beyond 1.95 / sqrt(n) once in a thousand samples.
    share = np.searchsorted(values, values, side="right") / values.size
    assert np.abs(share - cumulative(values)).max() < 1.95 / 4000**0.5


def test_numbers_of_a_sample_lie_in_their_range_and_whole_ones_are_whole():
    rates = drawn({RATE: LOG, "random": 200})
    assert ((rates >= 1e-4) & (rates <= 1)).all()
    # Of four decades each has a quarter.
    assert np.histogram(np.log10(rates), [-4, -3, -2, -1, 0])[0].min() > 25
    sizes = drawn(
        {"training.batch_size": {"kind": "integers", "low": 4, "high": 6}, "random": 40}, "training.batch_size"
    )
    assert sorted(sizes) == [4, 5, 6]
    assert sizes.dtype.kind == "i"


def test_lists_and_named_arms_of_a_sample_are_choices():
    vary = {RATE: LOG, "network.init": ["zeros", "he_normal"], "arm": {"A": {}, "B": {"training.epochs": 3}}}
    arms = variation_of(vary | {"random": 60}).arms
    assert {(arm.settings[0].label, arm.settings[2].label) for arm in arms} == {
        (init, arm) for init in ("zeros", "he_normal") for arm in ("A", "B")
    }


def test_equal_random_arms_are_one_arm():
    assert sorted(labels({"network.init": ["zeros", "he_normal"], "random": 50})) == ["init he_normal", "init zeros"]


# --- invalid variations


@pytest.mark.parametrize(
    ("vary", "place", "values"),
    [
        ({}, "", []),
        ({"random": 3}, "", []),
        ({RATE: []}, RATE, ["[]"]),
        ({RATE: 0.1}, RATE, ["0.1"]),
        ({RATE: "0.1"}, RATE, ["'0.1'"]),
        ({RATE: [0.1, 0.2, 0.1]}, RATE, ["0.1"]),
        ({"network.dropout": [None, 0.5]}, "network.dropout", ["None"]),
        ({"arm": {"A": {"network.dropout": None}}}, "arm.A.network.dropout", ["None"]),
        ({"optimiser.learning_rate": [1]}, "optimiser.learning_rate", ["'optimizer'?"]),
        ({"zzz": [1]}, "zzz", ["data, network, loss"]),
        ({1: [1]}, "1", []),
        ({"arm": {}}, "arm", []),
        ({"arm": {"A": 1}}, "arm", ["arm.plain = {}"]),
        ({"arm": {"A": {"optimiser": "sgd"}}}, "arm.A.optimiser", ["'optimizer'?"]),
        ({RATE: LOG}, RATE, ["random = 20"]),
        ({RATE: LOG | {"low": 0.0}, "random": 3}, f"{RATE}.low", ["0"]),
        ({RATE: LOG | {"low": 2.0}, "random": 3}, RATE, ["2.0", "1.0"]),
        ({RATE: LOG | {"kind": "loguniform"}, "random": 3}, RATE, ["'loguniform'", "'log_uniform'?"]),
        ({RATE: [1, 2], "random": 0}, "random.arms", ["1", "0"]),
        ({RATE: [1, 2], "random": "many"}, "random.arms", ["'many'"]),
        ({RATE: [1, 2], "random": {"arms": 2, "sed": 1}}, "random.sed", ["'seed'?"]),
    ],
)
def test_an_invalid_variation_is_rejected_with_its_place_and_value(vary, place, values):
    with pytest.raises(InputError) as raised:
        variation_of(vary)
    assert raised.value.subject == "vary"
    (problem,) = raised.value.problems
    assert problem.place == place
    assert all(value in problem.message for value in values)


def test_two_axes_cannot_change_the_same_place():
    with pytest.raises(InputError) as raised:
        variation_of({RATE: [1], "arm": {"A": {RATE: 2}}})
    assert (raised.value.subject, RATE in str(raised.value)) == ("vary", True)


def test_all_problems_are_reported_at_once():
    with pytest.raises(InputError) as raised:
        variation_of({RATE: 0.1, "zzz": [1], "random": 0})
    assert [problem.place for problem in raised.value.problems] == ["random.arms", RATE, "zzz"]


def test_drawn_numbers_are_as_long_as_their_labels():
    arms = variation_of({RATE: LOG | {"low": 0.123449, "high": 0.123451}, "random": 20}).arms
    assert {arm.changes[0][1] for arm in arms} <= {0.123449, 0.1234, 0.1235, 0.123451}
    for arm in variation_of({RATE: LOG, "random": 20}).arms:
        assert arm.label == f"learning_rate {arm.changes[0][1]:.4g}"
        assert float(arm.label.split()[1]) == arm.changes[0][1]


def test_a_further_axis_leaves_what_the_others_draw():
    further = {
        "network.init": ["a", "b"],
        RATE: LOG,
        "optimizer.momentum": {"kind": "uniform", "low": 0.0, "high": 1.0},
    }
    assert drawn({RATE: LOG, "random": 9}).tolist() == drawn({**further, "random": 9}).tolist()
