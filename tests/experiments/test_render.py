"""A comparison told: the sentences say what the evidence supports, and no more; tables and charts are there as apt."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hand_made import BASE, comparison

from thalweg.experiments.comparison import Comparison
from thalweg.experiments.experiment import Experiment
from thalweg.experiments.results import TrialResult
from thalweg.pages.blocks import Chart, Heading, Suggestion, Table, Text

NAN = math.nan


def sentences(values, **given):
    return comparison(values, **given).evidence


def headings(found):
    return [block.text for block in found.page().blocks if isinstance(block, Heading)]


def tables(found):
    return {block.caption: block for block in found.page().blocks if isinstance(block, Table)}


def titles(found):
    return [figure.layout.title.text for figure in found.figures()]


# --- the sentences


def test_one_seed_says_nothing_of_chance():
    text = sentences({"A": [0.5], "B": [0.75]})
    assert text.startswith("Over 1 seed, `B` has the best mean validation accuracy: 75.00%.")
    assert "by +25.00 percentage points from the baseline `A`, paired by seed. One pair says nothing of chance." in text
    assert "interval" not in text
    assert "better," not in text


def test_a_few_seeds_are_a_hint():
    text = sentences({"A": [0.5, 0.5, 0.5], "B": [0.75, 0.8, 0.7]})
    assert "`B` has the best mean validation accuracy: 75.00% (95 % interval 70.00 to 80.00%)." in text
    assert "+25.00 percentage points (95 % interval +20.00 to +30.00) from the baseline `A`" in text
    assert "That is a hint, no proof: take 5 seeds or more." in text


def test_a_clear_winner_of_many_seeds_is_called_better():
    text = sentences({"A": [0.5] * 10, "B": [0.7, 0.8] * 5})
    assert "better, for the interval leaves out 0." in text
    assert "Every other arm is worse" in text
    assert "hint" not in text
    assert "too narrow" not in text


def test_intervals_of_five_to_nine_seeds_are_called_too_narrow():
    for seeds, narrow in ((4, False), (5, True), (9, True), (10, False)):
        assert ("too narrow" in sentences({"A": [0.5] * seeds, "B": [0.7] * seeds})) is narrow


def test_overlapping_intervals_are_called_that():
    text = sentences({"A": [0.5, 0.6, 0.7, 0.5, 0.6], "B": [0.55, 0.58, 0.75, 0.45, 0.62]})
    assert "the interval holds 0, so that the evidence supports no difference between the two." in text
    assert "The evidence does not tell it from `A`: their intervals overlap, the paired difference" in text
    assert "Every other arm is worse" not in text


def test_many_rivals_are_counted():
    values = {"A": [0.1] * 5} | {f"B{k}": [0.6, 0.7, 0.6 + k / 100, 0.7, 0.8 - k / 100] for k in range(8)}
    text = sentences(values)
    assert "`B1`, `B2`, `B3`, `B4` and 3 more: " in text


def test_the_best_of_many_arms_is_called_lucky():
    values = {f"A{k}": [0.5 + k / 100] * 5 for k in range(32)}
    text = sentences(values)
    assert "The best of 32 arms is the best partly by luck" in text
    assert "partly by luck" not in sentences({name: values[name] for name in list(values)[:9]})


def test_the_baseline_may_be_the_best():
    text = sentences({"A": [0.9] * 5, "B": [0.5] * 5})
    assert "`A` has the best mean" in text
    assert "from the baseline" not in text
    assert "Every other arm is worse" in text


def test_equal_arms_are_counted():
    values, losses = {"A": [0.5] * 3, "B": [1.0] * 3, "C": [1.0] * 3}, {"A": [1] * 3, "B": [0.2] * 3, "C": [0.1] * 3}
    assert "`C` has the best" in sentences(values, losses=losses)
    assert "1 more has the same; its validation loss is the least." in sentences(values, losses=losses)


def test_what_diverged_is_told():
    text = sentences({"A": [0.5] * 5, "B": [0.9, NAN, 0.9, 0.9, 0.9], "C": [NAN] * 5})
    assert "`A` has the best mean" in text
    assert "Trials of `B` and `C` diverged or could not run." in text
    # Of B four pairs are left: better than the best, and not chosen, for it diverges.
    assert "`B` does better where it comes to an end, but not every seed does." in text
    assert "overlap" not in text
    assert "Every other arm is worse" not in text


def test_nothing_is_compared_where_all_diverged():
    found = comparison({"A": [NAN, NAN], "B": [NAN, NAN]})
    assert found.evidence.startswith("Every trial of every arm diverged or could not run: there is nothing to compare")
    assert found.figures() == []
    assert "The best" not in found.summary().summary
    assert not any("best" in heading for heading in headings(found))
    assert found.report()


def test_an_arm_is_not_told_worse_where_nothing_can_be_paired():
    text = sentences({"A": [0.5, NAN, NAN], "B": [NAN, 0.7, NAN], "C": [NAN, NAN, NAN]})
    assert "worse" not in text
    assert "has the same" not in text
    text = sentences({"A": [0.8] * 5, "B": [0.7] * 5, "C": [NAN] * 5})
    assert "Every other arm that shares seeds with it is worse" in text


# --- tables and charts


def test_the_report_has_its_parts_in_order():
    found = comparison({"A": [0.5, 0.6], "B": [0.7, NAN]})
    assert headings(found) == [
        "What the evidence says",
        "Charts",
        "What did not come to an end",
        "The best arm: A",
    ]
    lost = tables(found)["What diverged, and when"]
    assert [tuple(row) for row in lost.rows] == [("B", 1, "the loss became NaN in epoch 2, step 9")]
    blocks = found.page().blocks
    assert isinstance(blocks[1], Text)
    (spec,) = [block for block in blocks if isinstance(block, Suggestion)]
    assert "[optimizer]" in spec.command


def test_a_trial_that_could_not_run_is_listed():
    found = comparison({"A": [0.5, 0.6], "B": [0.7, 0.8]}, failed={"B": [0]})
    lost = tables(found)["What diverged, and when"]
    assert [tuple(row) for row in lost.rows] == [("B", 0, "training: took all the memory")]


def test_the_arms_stand_with_the_best_first():
    found = comparison({"A": [0.5] * 5, "B": [0.7] * 5, "C": [0.3, 0.7, 0.5, 0.4, 0.6], "D": [0.4] * 5})
    (table,) = [table for caption, table in tables(found).items() if "by arm" in caption]
    assert [row[0] for row in table.rows] == ["B", "A", "C", "D"]
    assert [row[-1] for row in table.rows] == ["better", "baseline", "no difference shown", "worse"]
    assert table.rows[0][1] == "70.00% (70.00 to 70.00%)"
    assert table.rows[0][2] == "+20.00 (+20.00 to +20.00)"


def test_verdicts_of_few_pairs_are_hints():
    found = comparison({"A": [0.5] * 3, "B": [0.7] * 3, "C": [0.2] * 3, "D": [NAN, 0.4, NAN]})
    (table,) = [table for caption, table in tables(found).items() if "by arm" in caption]
    verdicts = {row[0]: row[3] for row in table.rows}
    assert verdicts == {"A": "baseline", "B": "a hint of better", "C": "a hint of worse", "D": "one pair"}
    assert {row[0]: row[4] for row in table.rows}["D"] == "2 of 3"


def test_many_arms_are_cut_to_the_best_ones_and_the_baseline():
    values = {f"A{k}": [0.01 * k] * 2 for k in range(40)}
    found = comparison(values)
    short = next(block for block in found.summary().blocks if isinstance(block, Table))
    assert [row[0] for row in short.rows] == [*(f"A{k}" for k in range(39, 27, -1)), "A0"]
    assert "13 of 40 arms" in short.caption
    measures, differences, curves, _ = found.figures()
    assert len(measures.data[1].x) == 31
    assert len(differences.data[1].x) == 30
    assert len({line.name for line in curves.data if line.name and "Line" not in line.name}) >= 9


GRID = {"optimizer.learning_rate": [0.1, 0.2], "optimizer.momentum": [0.0, 0.5, 0.9]}


def grid(numbers):
    pairs = itertools.product((0.1, 0.2), (0, 0.5, 0.9))
    return {f"learning_rate {a:g}, momentum {b:g}": [x] * 2 for (a, b), x in zip(pairs, numbers, strict=True)}


def test_two_axes_are_a_map():
    found = comparison(grid([0.1, 0.2, 0.3, 0.4, NAN, 0.6]), vary=GRID)
    (plane,) = [figure for figure in found.figures() if figure.data[0].type == "heatmap"]
    np.testing.assert_array_equal(plane.data[0].z, [[0.1, 0.2, 0.3], [0.4, NAN, 0.6]])
    assert plane.layout.yaxis.ticktext == ("0.1", "0.2")
    assert plane.layout.xaxis.ticktext == ("0", "0.5", "0.9")
    assert (plane.layout.yaxis.title.text, plane.layout.xaxis.title.text) == ("learning_rate", "momentum")


def test_one_axis_has_neither_map_nor_parallel_axes():
    assert titles(comparison({"A": [0.5, 0.6], "B": [0.7, 0.8]})) == [
        "Validation accuracy by arm",
        "Validation accuracy against the baseline",
        "Validation accuracy over the epochs",
        "Loss over the epochs",
    ]


def test_three_axes_and_random_arms_are_parallel_axes():
    ranged = {"optimizer.learning_rate": {"kind": "log_uniform", "low": 1e-4, "high": 1.0}, "random": 6}
    labels = [arm.label for arm in Experiment.of({**BASE, "vary": ranged}).arms]
    found = comparison({label: [0.1 * k] * 2 for k, label in enumerate(labels)}, vary=ranged)
    (chart,) = [figure for figure in found.figures() if figure.layout.title.text == "Validation accuracy by all axes"]
    words = [note.text for note in chart.layout.annotations]
    # The rates in powers of ten, as they are drawn; the measure in per cent.
    assert "10<sup>-3</sup>" in words
    assert "40%" in words
    three = {**GRID, "training.epochs": [1, 2]}
    labels = [arm.label for arm in Experiment.of({**BASE, "vary": three}).arms]
    found = comparison({label: [0.05 * k] * 2 for k, label in enumerate(labels)}, vary=three)
    assert "Validation accuracy by all axes" in titles(found)
    assert not any(figure.data[0].type == "heatmap" for figure in found.figures())


def test_every_chart_has_a_caption():
    charts = [block for block in comparison(grid([0.1] * 6), vary=GRID).page().blocks if isinstance(block, Chart)]
    assert len(charts) == 5
    assert all(chart.caption.endswith(".") for chart in charts)


def test_numbers_are_compared_by_their_loss():
    base = {**BASE, "data": {"source": "diabetes", "validation": 0.25}, "network": {"layers": ["dense 1"]}}
    experiment = Experiment.of({**base, "vary": {"optimizer.learning_rate": [0.1, 0.2]}, "seeds": 2}, "numbers")
    trials = experiment.trials()
    results = {}
    for trial, loss in zip(trials, (0.5, 0.25, 0.75, 0.25), strict=True):
        measures = {"loss": loss, "r2": 1 - loss}
        results[trial.key] = TrialResult([], {"training": measures, "validation": measures}, "", "", 0.1)
    found = Comparison(experiment, trials, results, {})
    assert found.measure == "validation_loss"
    assert found.best.label == "learning_rate 0.2"
    assert "best mean validation loss: 0.25 (95 % interval 0.25 to 0.25)" in found.evidence
    assert "-0.375 (95 % interval -0.5 to -0.25) from the baseline" in found.evidence


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize("arms", [1, 2, 12])
def test_every_comparison_can_be_told(seeds, arms):
    rng = np.random.default_rng(arms + 100 * seeds)
    values = {f"A{k}": np.where(rng.random(seeds) < 0.3, NAN, rng.random(seeds)).tolist() for k in range(arms)}
    found = comparison(values)
    assert found.report().startswith("<!doctype html>")
    assert found._repr_html_()
    assert "nan" not in found.evidence
    assert "inf" not in found.evidence.replace("information", "")
