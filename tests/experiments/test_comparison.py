"""Comparisons: means, intervals and paired differences by hand; test measures of the best arm only."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import math
from pathlib import Path

import numpy as np
import polars
import pytest
from hand_made import BASE, TEST, comparison, named
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from thalweg.experiments.compare import compare
from thalweg.experiments.experiment import Experiment
from thalweg.experiments.ranking import Baseline, Ranking, baseline_of
from thalweg.pages.blocks import Table

NAN = math.nan
RATE = "optimizer.learning_rate"


def students(values, comparisons=1):
    """The ends of the interval of the mean of values, of Student's t."""
    return stats.ttest_1samp(values, 0.0).confidence_interval(1 - 0.05 / comparisons)


def arm(found, label):
    return next(each for each in found.arms if each.label == label)


# --- arms


def test_an_arm_has_its_values_their_mean_and_their_interval():
    found = comparison({"A": [0.5, 0.75, 0.875, 0.5], "B": [0.25, 0.25, 0.25, 0.25]})
    first, second = found.arms
    assert first.values.tolist() == [0.5, 0.75, 0.875, 0.5]
    assert first.mean == 0.65625
    assert first.interval == pytest.approx(tuple(students(first.values)))
    assert second.mean == 0.25
    assert np.isnan(second.interval).all()
    assert (first.loss, first.diverged) == (0.34375, 0)


def test_a_difference_is_that_of_pairs_of_seeds():
    # The seeds differ far more than the arms: unpaired, nothing could be said.
    found = comparison({"base": [0.1, 0.5, 0.9, 0.3, 0.7], "more": [0.15, 0.55, 0.93, 0.35, 0.72]})
    base, more = found.arms
    assert base.difference is None
    assert base.better is None
    assert more.difference.mean == pytest.approx(0.04)
    assert more.difference[1:3] == pytest.approx(tuple(students(more.values - base.values)))
    assert more.better is True


def test_the_interval_of_a_mean_ends_where_the_measure_does():
    found = comparison({"A": [0.9, 1.0], "B": [0.0, 0.1]})
    assert [each.interval[1] for each in found.arms] == [1.0, pytest.approx(students([0.0, 0.1])[1])]
    assert [each.interval[0] for each in found.arms] == [pytest.approx(students([0.9, 1.0])[0]), 0.0]
    losses = {"A": [0.1, 3.0], "B": [0.2, 0.3]}
    by_loss = comparison(losses, losses=losses, measure="validation_loss")
    assert by_loss.arms[0].interval == (0.0, pytest.approx(students([0.1, 3.0])[1]))


@pytest.mark.parametrize(
    ("other", "better"),
    [
        ([0.7, 0.72, 0.75], True),
        ([0.2, 0.22, 0.25], False),
        ([0.6, 0.3, 0.5], None),
        ([0.6, 0.9, 0.7], None),  # all of them higher, which three seeds can be by chance
        ([0.5, 0.5, 0.5], None),
        ([0.7, 0.7, 0.7], None),  # nothing is known of the spread
    ],
)
def test_an_interval_without_0_is_a_verdict_in_the_direction_of_the_measure(other, better):
    by_accuracy = comparison({"A": [0.5, 0.5, 0.5], "B": other})
    assert by_accuracy.arms[1].better is better
    upside_down = {"A": [0.5, 0.5, 0.5], "B": other}
    by_loss = comparison(upside_down, losses=upside_down, measure="validation_loss")
    assert not by_loss.higher_is_better
    assert by_loss.arms[1].better is (None if better is None else not better)


def test_seeds_that_diverged_are_left_out_of_means_and_pairs():
    found = comparison({"base": [0.5, NAN, 0.6, 0.5], "more": [0.7, 0.9, NAN, 0.8]})
    base, more = found.arms
    assert base.mean == pytest.approx(1.6 / 3)
    assert more.mean == pytest.approx(0.8)
    assert (base.diverged, more.diverged) == (1, 1)
    # Seeds 0 and 3 are there in both.
    assert more.difference.mean == pytest.approx(0.25)
    assert more.difference[1:3] == pytest.approx(tuple(students([0.2, 0.3])))
    assert more.difference.pairs == 2


def test_a_trial_that_could_not_run_has_no_value():
    found = comparison({"A": [0.5, 0.6], "B": [0.7, 0.8]}, failed={"B": [1]})
    np.testing.assert_array_equal(found.arms[1].values, [0.7, NAN])
    assert found.arms[1].diverged == 1
    row = found.table.row(3, named=True)
    assert (row["arm"], row["seed"], row["diverged"]) == ("B", 1, "training: took all the memory")
    assert row["validation_accuracy"] is None


def test_arms_without_a_common_seed_have_no_difference():
    found = comparison({"A": [0.5, NAN], "B": [NAN, 0.7]})
    assert found.arms[1].difference is None
    assert found.arms[1].better is None


def test_one_seed_has_no_interval_and_gives_no_verdict():
    found = comparison({"A": [0.5], "B": [0.9]})
    first, second = found.arms
    assert np.isnan(first.interval).all()
    assert second.difference.mean == pytest.approx(0.4)
    assert np.isnan(second.difference[1:3]).all()
    assert second.better is None


def test_the_baseline_is_the_first_arm_or_the_one_that_is_named():
    values = {"A": [0.5, 0.5], "B": [0.7, 0.7], "C": [0.6, 0.6]}
    assert [each.difference and round(each.difference.mean, 6) for each in comparison(values).arms] == [None, 0.2, 0.1]
    found = comparison(values, baseline="C")
    assert [each.difference and round(each.difference.mean, 6) for each in found.arms] == [-0.1, 0.1, None]


# --- the best one


def test_the_best_arm_has_the_best_mean():
    found = comparison({"A": [0.5, 0.7], "B": [0.9, 0.6], "C": [0.3, 0.8]})
    assert [each.label for each in found.ranked] == ["B", "A", "C"]
    losses = {"A": [0.1, 0.1], "B": [0.3, 0.3], "C": [0.2, 0.2]}
    found = comparison({"A": [0.5, 0.7], "B": [0.9, 0.6], "C": [0.3, 0.8]}, losses, measure="validation_loss")
    assert [each.label for each in found.ranked] == ["A", "C", "B"]


def test_an_arm_that_diverges_is_never_before_one_that_does_not():
    found = comparison({"lucky": [1.0, NAN, 1.0], "steady": [0.6, 0.6, 0.6], "lost": [NAN, NAN, NAN]})
    assert [each.label for each in found.ranked] == ["steady", "lucky", "lost"]
    assert math.isnan(arm(found, "lost").mean)


def test_equal_means_are_ranked_by_validation_loss():
    values = {"A": [1.0, 1.0], "B": [1.0, 1.0], "C": [0.9, 0.9]}
    losses = {"A": [0.2, 0.2], "B": [0.1, 0.1], "C": [0.01, 0.01]}
    assert [each.label for each in comparison(values, losses).ranked] == ["B", "A", "C"]
    # The same mean, though the sums of the floats differ.
    values = {"A": [0.6, 0.6], "B": [0.4, 0.8]}
    assert sum(values["A"]) != sum(values["B"])
    assert [each.label for each in comparison(values, {"A": [0.2, 0.2], "B": [0.3, 0.3]}).ranked] == ["A", "B"]


def test_a_rival_has_a_paired_difference_whose_interval_includes_0():
    found = comparison(
        {
            "worse": [0.1, 0.2, 0.3, 0.2, 0.11],
            "best": [0.7, 0.8, 0.9, 0.8, 0.7],
            "close": [0.8, 0.7, 0.8, 0.9, 0.6],
            # Its own interval overlaps that of the best, but it is behind with every seed by about as much.
            "behind": [0.68, 0.78, 0.879, 0.78, 0.68],
            "gone": [NAN] * 5,
        }
    )
    assert found.best.label == "best"
    assert found.rivals == ("close",)


def test_the_spec_of_the_best_arm_is_whole():
    found = comparison({"A": [0.5, 0.5], "B": [0.7, 0.7]})
    assert found.best_spec.training.epochs == 2
    assert found.best_spec.loss.kind == "cross_entropy"


# --- statistics do not depend on the order of anything


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_order_of_trials_changes_nothing(data):
    numbers = st.one_of(st.just(NAN), st.integers(0, 20).map(lambda k: k / 20))
    arms = data.draw(st.integers(1, 4))
    seeds = data.draw(st.integers(1, 4))
    values = {f"arm {k}": data.draw(st.lists(numbers, min_size=seeds, max_size=seeds)) for k in range(arms)}
    order = data.draw(st.permutations(range(arms * seeds)))
    first = comparison(values)
    other = comparison(values, order=order)
    assert repr(first.ranked) == repr(other.ranked)
    assert first.rivals == other.rivals
    assert first.evidence == other.evidence
    assert repr(first.test_measures) == repr(other.test_measures)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(5)))
def test_the_order_of_seeds_changes_no_mean_and_no_verdict(order):
    values = {"A": [0.5, 0.6, NAN, 0.7, 0.4], "B": [0.75, 0.65, 0.5, 0.8, 0.5], "C": [0.5, 0.5, 0.5, 0.5, 0.6]}
    first, other = (comparison({a: [v[k] for k in places] for a, v in values.items()}) for places in (range(5), order))
    for one, two in zip(first.arms, other.arms, strict=True):
        assert one.mean == two.mean
        assert one.better is two.better
        np.testing.assert_allclose(one.interval, two.interval)
    assert [each.label for each in first.ranked] == [each.label for each in other.ranked]


def claims(ranking):
    """Whether an experiment calls any arm better or worse than another one."""
    against_baseline = any(arm.better is not None for arm in ranking.arms)
    return against_baseline or len(ranking.rivals) < len(ranking.against_best)


@pytest.mark.parametrize("arms", [2, 3, 10, 30])
def test_experiments_with_equal_arms_seldom_call_one_of_them_better_or_worse(arms):
    rng = np.random.default_rng(arms)
    repeats = 400
    labels = [f"A{k}" for k in range(arms)]
    wrong = 0
    for _ in range(repeats):
        drawn = 0.8 + 0.01 * (rng.standard_normal((arms, 5)) + rng.standard_normal(5))
        values = dict(zip(labels, drawn, strict=True))
        wrong += claims(Ranking.of(values, values, "validation_accuracy", "A0"))
    # Two deviations of the share above 5 %.
    assert wrong / repeats < 0.05 + 2 * (0.05 / repeats) ** 0.5


def test_all_differences_from_the_baseline_share_the_level():
    rng = np.random.default_rng(3)
    values = {f"A{k}": rng.normal(0.8, 0.01, 5).tolist() for k in range(5)} | {"lost": [NAN] * 5}
    found = comparison(values)
    assert found.ranking.comparisons == 4
    for each in found.arms[1:5]:
        expected = students(each.values - found.arms[0].values, 4)
        assert each.difference[1:3] == pytest.approx(tuple(expected))
    assert found.arms[5].difference is None


def test_pairs_with_the_best_arm_share_the_level_with_all_pairs():
    rng = np.random.default_rng(4)
    values = {name: rng.normal(mean, 0.01, 5).tolist() for name, mean in (("A", 0.7), ("B", 0.9), ("C", 0.8))}
    ranking = comparison(values).ranking
    assert {label: each.comparisons for label, each in ranking.against_best.items()} == {"A": 2, "C": 3}
    # The difference from the baseline has one interval, from whatever side it is seen.
    best = ranking.best.difference
    assert (ranking.against_best["A"].low, ranking.against_best["A"].high) == pytest.approx((-best.high, -best.low))
    ranking = comparison(values, baseline="B").ranking
    assert ranking.against_best == {arm.label: arm.difference for arm in ranking.arms if arm.difference}


# --- the table


def test_the_table_has_a_row_for_each_trial_with_its_axis_values():
    values = {
        f"learning_rate {rate}, {size}": [0.5, 0.625]
        for rate, size in itertools.product(("0.1", "0.2"), ("small", "large"))
    }
    vary = {
        "optimizer.learning_rate": [0.1, 0.2],
        "size": {"small": {}, "large": {"training.batch_size": 32}},
    }
    table = comparison(values, vary=vary).table
    assert table.columns == [
        "arm",
        "learning_rate",
        "size",
        "seed",
        "trial",
        "diverged",
        "epochs",
        "seconds",
        "training_loss",
        "training_accuracy",
        "validation_loss",
        "validation_accuracy",
    ]
    assert table["learning_rate"].to_list() == [0.1, 0.1, 0.2, 0.2] * 2
    assert table["size"].to_list() == ["small", "large"] * 4
    assert table["seed"].to_list() == [0] * 4 + [1] * 4
    assert table["validation_accuracy"].to_list() == [0.5] * 4 + [0.625] * 4
    assert table["trial"].n_unique() == 8


def test_the_table_is_read_back_from_parquet_and_csv(tmp_path: Path):
    found = comparison({"A": [0.5, NAN], "B": [0.7, 0.8]})
    found.save(tmp_path)
    assert polars.read_parquet(tmp_path / "trials.parquet").equals(found.table)
    read = polars.read_csv(tmp_path / "trials.csv")
    assert read.columns == found.table.columns
    assert read["arm"].to_list() == ["A", "B", "A", "B"]
    np.testing.assert_array_equal(read["validation_accuracy"].to_numpy(), [0.5, 0.7, NAN, 0.8])
    assert read["diverged"].to_list() == ["", "", "the loss became NaN in epoch 2, step 9", ""]


def test_a_folder_holds_the_experiment_and_the_best_spec(tmp_path: Path):
    import tomllib

    from thalweg.spec.toml import read_spec

    found = comparison({"A": [0.5, 0.5], "B": [0.7, 0.8]}, baseline="B")
    found.save(tmp_path)
    again = Experiment.of(tomllib.loads((tmp_path / "experiment.toml").read_text()), "by hand")
    assert [trial.key for trial in again.trials()] == [trial.key for trial in found.trials]
    assert again.compare.baseline == "B"
    assert read_spec(str(tmp_path / "best.toml")).describe() == found.best_spec.describe()


# --- the test measure is shown once


def test_the_test_measures_are_those_of_the_best_arm():
    found = comparison({"A": [0.5, 0.5], "B": [0.7, NAN]})
    assert found.best.label == "A"
    assert {name: values.tolist() for name, values in found.test_measures.items()} == {
        "loss": [TEST, TEST],
        "accuracy": [TEST, TEST],
    }
    assert comparison({"A": [0.5], "B": [0.7]}, test=None).test_measures == {}


def test_test_measures_are_in_one_place_of_the_report_only(tmp_path: Path):
    found = comparison({"A": [0.5, 0.5], "B": [0.7, 0.9]})
    found.save(tmp_path)
    csv = io.StringIO((tmp_path / "trials.csv").read_text()).getvalue()
    assert "test" not in csv
    assert str(TEST) not in csv
    shown = json.dumps([repr(block) for block in found.summary().blocks], ensure_ascii=False)
    assert "12.35\u202f%" not in shown
    report = (tmp_path / "report.html").read_text()
    # In one row of one table; the same value with every seed has no interval.
    assert report.count("12.35") == 1
    assert report.count("0.1235") == 1
    assert str(TEST) not in report


def test_an_experiment_of_named_arms_is_written_as_it_was(tmp_path: Path):
    found = comparison({"A": [0.5], "B": [0.7]})
    assert found.experiment.describe()["vary"] == named(["A", "B"])


GRID = {"optimizer.learning_rate": [0.1, 0.2], "training.batch_size": [4, 8, 16]}


def test_an_effect_is_the_mean_over_the_other_axes_paired_by_seed():
    values = {
        "learning_rate 0.1, batch_size 4": [0.5, 0.6],
        "learning_rate 0.1, batch_size 8": [0.6, 0.6],
        "learning_rate 0.1, batch_size 16": [0.4, math.nan],
        "learning_rate 0.2, batch_size 4": [0.7, 0.9],
        "learning_rate 0.2, batch_size 8": [0.7, 0.9],
        "learning_rate 0.2, batch_size 16": [0.3, 0.5],
    }
    rate, eight, sixteen = comparison(values, vary=GRID).effects
    assert (rate.axis, rate.setting, rate.against) == ("learning_rate", "0.2", "0.1")
    # Seed 0: (0.2 + 0.1 - 0.1) / 3; seed 1: (0.3 + 0.3) / 2, for one of the pairs is not there.
    assert rate.difference.mean == pytest.approx((0.2 / 3 + 0.3) / 2)
    assert rate.by_context == pytest.approx([0.25, 0.2, -0.1])
    assert (eight.setting, eight.against) == ("8", "4")
    assert eight.by_context == pytest.approx([0.05, 0.0])
    assert sixteen.difference.mean == pytest.approx(((-0.1 - 0.4) / 2 - 0.4) / 2)
    assert {each.difference.comparisons for each in (rate, eight, sixteen)} == {3}
    by_seed = [0.2 / 3, 0.3]
    assert rate.difference[1:3] == pytest.approx(tuple(students(by_seed, 3)))


def test_effects_compare_with_the_baseline_and_need_a_grid():
    labels = [f"learning_rate {rate}, batch_size {size}" for rate in (0.1, 0.2) for size in (4, 8, 16)]
    values = {label: [0.5, 0.6] for label in labels}
    effects = comparison(values, vary=GRID, baseline=labels[4]).effects
    assert {(effect.axis, effect.against) for effect in effects} == {("learning_rate", "0.2"), ("batch_size", "8")}
    assert all(effect.better is None for effect in effects)
    assert comparison({"a": [0.5], "b": [0.6]}).effects == ()


# --- the baseline


CONSTANTS = {"A": 0.5, "B": 0.5, "C": 0.5}


def scores(**values):
    return {label: np.array(row, float) for label, row in values.items()}


@pytest.mark.parametrize(
    "first",
    [
        [0.5, 0.5, 0.5],  # the constant answer
        [0.4, 0.3, 0.5],
        [0.52, 0.5, 0.55],  # next to nothing
        [NAN, NAN, 0.9],  # most trials diverged
        [NAN, NAN, NAN],
    ],
)
def test_an_arm_that_did_not_learn_is_no_baseline_unless_it_is_named(first):
    values = scores(A=first, B=[0.8, 0.9, 0.7], C=[0.9, 0.9, 0.9])
    found = baseline_of(None, values, CONSTANTS, "accuracy")
    assert found.label == "B"
    assert "`A`" in found.remark
    assert "`B`" in found.remark
    named = baseline_of("A", values, CONSTANTS, "accuracy")
    assert named.label == "A"
    assert "did not learn" in named.remark


@pytest.mark.parametrize("first", [[0.7, 0.7, 0.7], [NAN, 0.9, 0.9], [0.9, 0.9, 0.9]])
def test_an_arm_that_learned_is_the_baseline_without_a_word(first):
    values = scores(A=first, B=[0.8, 0.9, 0.7], C=[0.9, 0.9, 0.9])
    assert baseline_of(None, values, CONSTANTS, "accuracy") == Baseline("A")
    assert baseline_of("C", values, CONSTANTS, "accuracy") == Baseline("C")


def test_where_no_arm_learned_there_is_no_baseline():
    found = baseline_of(None, scores(A=[0.5, 0.5], B=[NAN, NAN], C=[0.3, 0.5]), CONSTANTS, "accuracy")
    assert found.label is None
    assert "No arm learned" in found.remark


def test_r_squared_is_measured_from_0():
    values = scores(A=[-5.0, -1.0], B=[0.2, 0.3], C=[0.3, 0.3])
    assert baseline_of(None, values, dict.fromkeys("ABC", 0.0), "r2").label == "B"


def test_the_page_says_which_arm_is_the_baseline_and_why():
    values = {"A": [0.5, 0.5, 0.5], "B": [0.7, 0.8, 0.75], "C": [0.9, 0.8, 0.85]}
    found = dataclasses.replace(comparison(values), constants=CONSTANTS)
    assert found.baseline.label == found.ranking.baseline == "B"
    assert [each.difference is None for each in found.arms] == [False, True, False]
    text = " ".join(found.page().text().split())
    assert " ".join(found.baseline.remark.split()) in text
    # The effects and charts follow the baseline.
    assert dict(found.page().settings)["baseline"] == "B"


def test_without_a_baseline_the_arms_are_compared_in_pairs():
    values = {"A": [0.5, 0.5, 0.4], "B": [0.3, 0.4, 0.35], "C": [0.5, 0.45, 0.5]}
    found = dataclasses.replace(comparison(values), constants=CONSTANTS)
    assert found.baseline.label is None
    assert all(each.difference is None for each in found.arms)
    tables = [block for block in found.page().blocks if isinstance(block, Table)]
    (pairs,) = [table for table in tables if tuple(table.columns)[:2] == ("first", "second")]
    assert len(pairs.rows) == 3
    assert found.report()
    assert found.figures()


def test_a_training_at_a_rate_that_diverges_or_stands_still_is_no_baseline():
    spec = {**BASE, "data": {"source": {"kind": "rings", "samples": 200}, "validation": 0.3}}
    spec["network"] = {"layers": ["dense 8", "tanh", "dense 2", "softmax"]}
    spec["training"] = {"epochs": 15, "engine": "eager"}
    spec["optimizer"] = {"kind": "adam"}
    vary = {"arm": {"still": {RATE: 1e-9}, "sound": {RATE: 0.05}, "too": {RATE: 0.03}}}
    found = compare(spec, vary, 3, jobs=1, progress=False)
    assert found.baseline.label == "sound"
    assert "still" in found.evidence
