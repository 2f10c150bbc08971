"""The page of a comparison: sentences that say no more than the evidence supports, tables and charts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hand_made import BASE, comparison

from thalweg.core.intervals import difference
from thalweg.experiments.comparison import Comparison
from thalweg.experiments.experiment import Experiment
from thalweg.experiments.results import TrialResult
from thalweg.pages.blocks import Chart, Heading, Suggestion, Table, Text

NAN = math.nan


def evidence(values, **given):
    """The sentences with ordinary spaces before percent signs."""
    return comparison(values, **given).evidence.replace("\u202f", " ")


def headings(found):
    return [block.text for block in found.page().blocks if isinstance(block, Heading)]


def tables(found):
    return {block.caption: block for block in found.page().blocks if isinstance(block, Table)}


def failures(found):
    (table,) = [table for table in tables(found).values() if tuple(table.columns) == ("arm", "seed", "what happened")]
    return table


def arms(found):
    """The table of the arms."""
    (table,) = [table for table in tables(found).values() if tuple(table.columns)[:2] == ("arm", "mean")]
    return table


def titles(found):
    return [figure.layout.title.text for figure in found.figures()]


# --- the sentences


def test_the_evidence_of_three_seeds_in_full():
    assert evidence({"A": [0.5, 0.5, 0.5], "B": [0.75, 0.8, 0.7], "C": [0.5, 0.6, 0.4], "D": [0.5, NAN, NAN]}) == (
        "`B` has the best mean validation accuracy over 3 seeds: 75 % (95 % interval 62.58 to 87.42 %)."
        " Paired by seed, it differs from the baseline `A` by +25 points (95 % interval +7.09 to +42.9 points)."
        " It is better: the interval excludes 0."
        " The intervals of all 2 differences from the baseline hold together with a probability of 95 %."
        " Whether it is better than `C` or `D` cannot be decided with 3 seeds; about 4 would."
        " Diverged or could not run: 2 of 3 trials of `D`; means and differences are those of the other trials."
    )


def test_one_seed_gives_no_interval_and_no_verdict():
    text = evidence({"A": [0.5], "B": [0.75]})
    assert "75 %" in text
    assert "+25 points" in text
    assert "1 seed" in text
    assert "interval" not in text
    assert "better" not in text


def test_a_clear_winner_is_better_and_the_other_arm_worse():
    text = evidence({"A": [0.5] * 10, "B": [0.7, 0.8] * 5})
    assert "It is better" in text
    assert "worse" in text
    assert "cannot be decided" not in text


def test_what_cannot_be_decided_names_the_seeds_that_would():
    base, other = [0.5, 0.6, 0.7, 0.5, 0.6], [0.55, 0.58, 0.75, 0.45, 0.62]
    found = comparison({"A": base, "B": other})
    needed = difference(other, base).seeds_needed
    assert f"cannot be decided with 5 seeds; about {needed} would" in found.evidence
    assert "more than 1,000 would" in evidence({"A": [0.5, 0.6, 0.7], "B": [0.6, 0.6, 0.601]})


@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
def test_equal_differences_are_not_certain(seeds):
    text = evidence({"A": [0.5] * seeds, "B": [0.7] * seeds})
    assert f"cannot be decided with {seeds} seeds: all differences are equal" in text
    assert "interval" not in text
    assert "It is better" not in text


def test_an_arm_whose_paired_difference_includes_0_is_not_called_worse():
    values = {"A": [0.5, 0.6, 0.7, 0.5, 0.6], "B": [0.55, 0.58, 0.75, 0.45, 0.62]}
    assert comparison(values).rivals == ("A",)
    text = evidence(values)
    assert "cannot be decided" in text
    assert "excludes 0" not in text
    assert "worse" not in text


def test_many_rivals_are_counted():
    values = {"A": [0.1] * 5} | {f"B{k}": [0.6, 0.7, 0.6 + k / 100, 0.7, 0.8 - k / 100] for k in range(8)}
    assert "`B1`, `B2`, `B3`, `B4` or 3 more" in evidence(values)


def test_the_best_of_many_arms_is_partly_luck():
    values = {f"A{k}": [0.5 + k / 100] * 5 for k in range(32)}
    assert "luck" in evidence(values)
    assert "luck" not in evidence({name: values[name] for name in list(values)[:9]})


def test_the_baseline_may_be_the_best():
    text = evidence({"A": [0.9, 0.91, 0.9, 0.9, 0.9], "B": [0.5] * 5})
    assert text.startswith("`A` has the best mean")
    assert "baseline" not in text
    assert "worse" in text


def test_equal_arms_are_counted():
    values = {"A": [0.5] * 3, "B": [1.0] * 3, "C": [1.0] * 3}
    text = evidence(values, losses={"A": [1] * 3, "B": [0.2] * 3, "C": [0.1] * 3})
    assert text.startswith("`C` has the best mean")
    assert "1 other arm has the same mean" in text


def test_arms_that_diverged_are_named():
    values = {"A": [0.5] * 5, "B": [0.9, NAN, 0.91, 0.9, 0.92], "C": [NAN] * 5}
    found = comparison(values)
    assert found.best.label == "A"
    # Four pairs are left of B: it is better than the best arm on these, and is not chosen because it diverges.
    assert (found.unsteady, found.rivals) == (("B",), ())
    assert "`B` does better" in found.evidence
    assert "1 of 5 trials of `B` and 5 of 5 trials of `C`" in found.evidence
    assert "worse" not in found.evidence
    # The mean and the difference are those of the seeds that finished.
    rows = {row[0]: row for row in arms(found).rows}
    assert rows["B"][3:] == ("better (4 of 5 pairs)", "1 of 5")
    assert found.arms[1].difference.mean == pytest.approx(0.4075)


def test_nothing_is_compared_where_all_diverged():
    found = comparison({"A": [NAN, NAN], "B": [NAN, NAN]})
    assert "nothing to compare" in found.evidence
    assert found.figures() == []
    assert "A" not in found.summary().summary
    assert not any("best" in heading for heading in headings(found))
    assert found.report()


def test_an_arm_is_not_called_worse_where_nothing_can_be_paired():
    found = comparison({"A": [0.5, NAN, NAN], "B": [NAN, 0.7, NAN], "C": [NAN, NAN, NAN]})
    assert found.ranking.against_best == {}
    assert "worse" not in found.evidence
    assert "the same mean" not in found.evidence
    found = comparison({"A": [0.8] * 5, "B": [0.7, 0.7, 0.71, 0.7, 0.7], "C": [NAN] * 5})
    assert set(found.ranking.against_best) == {"B"}
    assert "Every other arm that shares seeds with it is worse" in found.evidence


def test_an_arm_that_finishes_may_be_worse_than_the_baseline():
    # The baseline diverges once and is better otherwise.
    found = comparison({"A": [0.9, 0.91, 0.9, NAN], "B": [0.5, 0.5, 0.5, 0.5]})
    assert (found.best.label, found.best.better) == ("B", False)
    assert "It is worse" in found.evidence


# --- tables and charts


def test_the_report_has_its_parts_in_order():
    found = comparison({"A": [0.5, 0.6], "B": [0.7, NAN]})
    assert headings(found) == [
        "What the evidence says",
        "Charts",
        "Trials that did not finish",
        "The best arm: A",
    ]
    lost = failures(found)
    assert [tuple(row) for row in lost.rows] == [("B", 1, "the loss became NaN in epoch 2, step 9")]
    blocks = found.page().blocks
    assert isinstance(blocks[1], Text)
    (spec,) = [block for block in blocks if isinstance(block, Suggestion)]
    assert "[optimizer]" in spec.command


def test_a_trial_that_could_not_run_is_listed():
    found = comparison({"A": [0.5, 0.6], "B": [0.7, 0.8]}, failed={"B": [0]})
    lost = failures(found)
    assert [tuple(row) for row in lost.rows] == [("B", 0, "training: took all the memory")]


def test_the_arms_stand_with_the_best_first():
    values = {
        "A": [0.5] * 5,
        "B": [0.69, 0.7, 0.7, 0.7, 0.71],
        "C": [0.3, 0.7, 0.5, 0.4, 0.6],
        "D": [0.41, 0.4, 0.4, 0.39, 0.4],
    }
    found = comparison(values)
    table = arms(found)
    assert [row[0] for row in table.rows] == ["B", "A", "C", "D"]
    assert [row[-1].split(" with")[0] for row in table.rows] == ["better", "baseline", "cannot be decided", "worse"]
    assert table.rows[0][1] == "70\u202f% (69.12 to 70.88\u202f%)"
    assert table.rows[0][2] == "+20 points (+18.7 to +21.3 points)"
    assert "simultaneous over 3 comparisons" in table.caption


def test_one_pair_gives_no_verdict():
    found = comparison({"A": [0.5] * 3, "B": [NAN, 0.4, NAN]})
    row = next(row for row in arms(found).rows if row[0] == "B")
    assert row[2:] == ("-10 points", "cannot be decided with one pair of seeds (1 of 3 pairs)", "2 of 3")


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
    # The rates in powers of ten, as they are drawn; the measure in percent.
    assert "10<sup>-3</sup>" in words
    assert "40\u202f%" in words
    three = {**GRID, "training.epochs": [1, 2]}
    labels = [arm.label for arm in Experiment.of({**BASE, "vary": three}).arms]
    found = comparison({label: [0.05 * k] * 2 for k, label in enumerate(labels)}, vary=three)
    assert "Validation accuracy by all axes" in titles(found)
    assert not any(figure.data[0].type == "heatmap" for figure in found.figures())


def test_every_chart_has_a_caption():
    charts = [block for block in comparison(grid([0.1] * 6), vary=GRID).page().blocks if isinstance(block, Chart)]
    assert len(charts) == 6
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
    assert "over 2 seeds: 0.25." in found.evidence
    assert "-0.375 (95 % interval -1.96 to +1.21)" in found.evidence


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize("arms", [1, 2, 12])
def test_every_comparison_makes_a_page(seeds, arms):
    rng = np.random.default_rng(arms + 100 * seeds)
    values = {f"A{k}": np.where(rng.random(seeds) < 0.3, NAN, rng.random(seeds)).tolist() for k in range(arms)}
    found = comparison(values)
    assert found.report().startswith("<!doctype html>")
    assert found._repr_html_()
    assert "nan" not in found.evidence
    assert "inf" not in found.evidence.replace("information", "")
