"""Each arm at its best level of an axis: chosen on validation rows with some seeds, compared on fresh ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hand_made import BASE as HAND_MADE
from scipy import stats
from typer.testing import CliRunner

import thalweg
from thalweg import InputError, compare
from thalweg.cli.shell import app
from thalweg.data import Data
from thalweg.experiments import workers
from thalweg.experiments.choices import choices_of, fresh_experiment
from thalweg.experiments.experiment import Experiment
from thalweg.experiments.ranking import Ranking
from thalweg.experiments.tuned import TunedComparison, rows_in_words
from thalweg.pages.blocks import Table

RATE = "optimizer.learning_rate"
OPTIMIZERS = ["sgd", "adam"]
RATES = [0.001, 0.03, 1.0]
SPEC = {
    "data": {"source": {"kind": "rings", "samples": 80}, "validation": 0.25},
    "network": {"kind": "mlp", "hidden": [4], "activation": "tanh"},
    "training": {"epochs": 3, "batch_size": 16, "engine": "eager"},
}
VARY = {"optimizer": OPTIMIZERS, RATE: RATES}
NAN = math.nan


def tuned(spec=SPEC, vary=None, seeds=None, **given) -> TunedComparison:
    options = {"best_over": RATE, "jobs": 1, "progress": False, **given}
    found = compare(spec, vary or VARY, seeds or {"count": 2, "fresh": 3}, **options)
    assert isinstance(found, TunedComparison)
    return found


@pytest.fixture(scope="module")
def found() -> TunedComparison:
    return tuned()


@pytest.fixture
def ran(monkeypatch) -> list[tuple[float, int]]:
    """The rate and the seed of each training from here on."""
    runs = []
    original = workers.run_session

    def run(session, **options):
        runs.append((session.spec.optimizer.learning_rate, session.spec.training.seed))
        return original(session, **options)

    monkeypatch.setattr(workers, "run_session", run)
    return runs


def choices(values, measure="validation_accuracy", losses=None, rates=RATES, **compare_section):
    """The choices by hand: the values of each optimizer by rate, (rates, seeds)."""
    seeds = len(next(iter(values.values()))[0])
    table = {
        **HAND_MADE,
        "vary": {"optimizer": list(values), RATE: rates},
        "seeds": seeds,
        "compare": {"best_over": RATE, **compare_section},
    }
    experiment = Experiment.of(table, "mine")
    by_arm = {}
    for name, rows in values.items():
        for rate, row in zip(rates, rows, strict=True):
            by_arm[f"optimizer {name}, learning_rate {rate:g}"] = np.array(row, float)
    losses = {label: 1 - row for label, row in by_arm.items()} if losses is None else losses
    ranking = Ranking.of(by_arm, losses, measure, None)
    return experiment, choices_of(experiment, experiment.nuisance, ranking)


# --- the choice


def test_the_level_with_the_best_mean_is_chosen_for_each_contender():
    _, (sgd, adam) = choices(
        {"sgd": [[0.2, 0.3], [0.5, 0.7], [0.6, 0.8]], "adam": [[0.7, 0.7], [0.9, 0.4], [0.2, 0.1]]}
    )
    assert (sgd.contender, sgd.best.setting.value, sgd.edge) == ("optimizer sgd", 1.0, "largest")
    assert (adam.contender, adam.best.setting.value, adam.edge) == ("optimizer adam", 0.001, "smallest")


def test_a_level_between_two_others_is_at_no_edge():
    _, (sgd,) = choices_of_one([[0.2, 0.3], [0.8, 0.7], [0.6, 0.6]])
    assert (sgd.best.setting.value, sgd.edge) == (0.03, "")


def choices_of_one(rows, **given):
    experiment, found = choices({"sgd": rows, "adam": [[0.5] * len(rows[0])] * len(rows)}, **given)
    return experiment, found[:1]


def test_fewer_diverged_trials_come_before_a_better_mean():
    _, (sgd,) = choices_of_one([[0.5, 0.5, 0.5], [0.6, 0.6, 0.6], [0.9, 0.9, NAN]])
    assert sgd.best.setting.value == 0.03
    assert sgd.diverged == 1
    # A larger rate was tried, so the range has to be extended in no direction.
    assert sgd.edge == ""


def test_equal_means_are_tied_and_the_loss_decides():
    label = "optimizer {}, learning_rate {:g}".format
    losses = {label(name, rate): np.array([0.3, 0.3]) for name in OPTIMIZERS for rate in RATES}
    losses[label("sgd", 0.03)] = np.array([0.1, 0.2])
    _, (sgd,) = choices_of_one([[0.9, 0.9], [0.9, 0.9], [0.5, 0.5]], losses=losses)
    assert (sgd.best.setting.value, sgd.tied) == (0.03, ("0.001",))


def test_a_contender_whose_trials_all_diverge_has_no_level_and_is_not_compared():
    experiment, found = choices({"sgd": [[NAN, NAN]] * 3, "adam": [[0.5, 0.5], [0.6, 0.6], [0.7, NAN]]})
    assert [choice.best is None for choice in found] == [True, False]
    fresh = fresh_experiment(experiment, found)
    assert [arm.label for arm in fresh.arms] == ["optimizer adam, learning_rate 0.03"]


def test_levels_of_words_have_no_edge():
    table = {
        **HAND_MADE,
        "vary": {"optimizer": OPTIMIZERS, "network.init": ["he_normal", "glorot_normal"]},
        "compare": {"best_over": "init"},
        "seeds": 2,
    }
    experiment = Experiment.of(table, "mine")
    values = {arm.label: np.array([0.5, 0.6]) + 0.01 * place for place, arm in enumerate(experiment.arms)}
    ranking = Ranking.of(values, values, "validation_accuracy", None)
    assert [choice.edge for choice in choices_of(experiment, experiment.nuisance, ranking)] == ["", ""]


# --- the two stages


def test_fresh_seeds_choose_nothing_and_choosing_seeds_compare_nothing(found: TunedComparison):
    chosen_with = {trial.seed for trial in found.tuning.trials}
    compared_on = {trial.seed for trial in found.trials}
    assert (chosen_with, compared_on) == ({0, 1}, {2, 3, 4})
    # The choice is that of the validation rows of the first seeds, computed here from their runs alone.
    for optimizer in OPTIMIZERS:
        means = {}
        for rate in RATES:
            trials = [t for t in found.tuning.trials if t.arm.label == f"optimizer {optimizer}, learning_rate {rate:g}"]
            measures = [found.tuning.results[trial.key].measures["validation"] for trial in trials]
            means[rate] = (np.mean([m["accuracy"] for m in measures]), -np.mean([m["loss"] for m in measures]))
        best = max(means, key=means.get)
        assert f"optimizer {optimizer}, learning_rate {best:g}" in [arm.label for arm in found.arms]


def test_the_arms_are_compared_on_test_rows(found: TunedComparison):
    assert found.measure == "test_accuracy"
    for arm in found.arms:
        trials = [trial for trial in found.trials if trial.arm.label == arm.label]
        accuracies = [found.results[trial.key].measures["test"]["accuracy"] for trial in trials]
        np.testing.assert_array_equal(arm.values, accuracies)
    assert found.best_spec.training.seed in (2, 3, 4)


def test_a_fresh_trial_is_a_plain_training(found: TunedComparison):
    from thalweg.runs.train import run_spec

    trial = found.trials[0]
    assert run_spec(trial.spec).measures["test"] == found.results[trial.key].measures["test"]


def test_without_test_rows_they_are_compared_on_validation_rows_of_fresh_seeds():
    data = {**SPEC["data"], "test": 0.0}
    result = tuned({**SPEC, "data": data})
    assert result.measure == "validation_accuracy"
    assert "no test rows" in result.rows
    assert "no test rows" in " ".join(result.page().text().split())


def test_the_pairs_hold_together():
    vary = {"optimizer": ["sgd", "adam", "rmsprop"], RATE: [0.01, 0.1]}
    result = tuned(vary=vary, seeds={"count": 1, "fresh": 6}, measure="validation_loss")
    assert result.measure == "test_loss"
    values = {arm.label: arm.values for arm in result.arms}
    assert len(result.ranking.pairs) == 3
    for pair in result.ranking.pairs:
        test = stats.ttest_rel(values[pair.first], values[pair.second])
        low, high = test.confidence_interval(1 - 0.05 / 3)
        assert (pair.difference.low, pair.difference.high) == pytest.approx((low, high))
        assert (pair.better is None) == (test.pvalue * 3 > 0.05)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Data("rings 50"), "each fresh seed draws"),
        (Data("digits"), "may have been a validation row"),
        (Data("digits", split="time"), "the same for all seeds"),
    ],
)
def test_it_is_said_whether_the_rows_were_used_to_choose(data, words):
    assert words in rows_in_words("test_accuracy", data)


def test_a_baseline_is_a_contender_and_is_compared_at_its_best_level():
    result = tuned(baseline="optimizer adam")
    assert result.baseline.label in [arm.label for arm in result.arms]
    assert result.baseline.label.startswith("optimizer adam")
    assert [arm.difference is None for arm in result.arms] == [False, True]


def test_a_random_sample_has_levels_of_its_own_for_each_contender():
    vary = {"random": 12, "optimizer": OPTIMIZERS, RATE: {"kind": "log_uniform", "low": 1e-3, "high": 1.0}}
    result = tuned(vary=vary)
    assert len(result.arms) == 2
    assert sum(len(choice.levels) for choice in result.choices) == 12
    assert len(result.figures()) > 0


# --- folders: nothing is lost or repeated in either stage


def test_trials_of_both_stages_are_kept_and_not_run_again(tmp_path: Path, ran):
    first = tuned(folder=tmp_path)
    assert len(ran) == 2 * 6 + 3 * 2
    again = tuned(folder=tmp_path)
    assert len(ran) == 18
    assert again.table.equals(first.table)
    assert again.describe() == first.describe()
    assert first.table.height == 18
    assert set(first.table["stage"]) == {"tuning", "fresh seeds"}


@pytest.mark.parametrize("stop_after", [3, 12, 14])
def test_an_interrupted_sweep_goes_on_in_either_stage(stop_after, tmp_path: Path, ran, monkeypatch, found):
    original = workers.run_session

    def interrupted(session, **options):
        if len(ran) == stop_after:
            raise KeyboardInterrupt
        return original(session, **options)

    with monkeypatch.context() as patch:
        patch.setattr(workers, "run_session", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tuned(folder=tmp_path)
    assert len(list((tmp_path / "trials").iterdir())) == stop_after == len(ran)
    whole = tuned(folder=tmp_path)
    assert len(ran) == 18
    assert whole.describe()["arms"] == found.describe()["arms"]


def test_the_file_in_the_folder_makes_the_same_sweep(tmp_path: Path, ran):
    first = tuned(folder=tmp_path)
    count = len(ran)
    again = compare(tmp_path / "experiment.toml", folder=tmp_path, jobs=1, progress=False)
    assert len(ran) == count
    assert [arm.label for arm in again.arms] == [arm.label for arm in first.arms]
    assert thalweg.load(tmp_path / "trials" / first.trials[0].key).spec.describe() == first.trials[0].spec.describe()


# --- the page and the shell


def test_the_page_names_the_budget_and_the_chosen_levels(found: TunedComparison):
    page = found.page()
    text = " ".join(page.text().split())
    assert "3 levels with 2 seeds (0 to 1), 6 trials for each arm, 12 in all" in text
    assert "3 fresh seeds (2 to 4)" in text
    tables = [block for block in page.blocks if isinstance(block, Table)]
    (table,) = [table for table in tables if "best learning_rate" in table.columns]
    assert [row[0] for row in table.rows] == ["optimizer sgd", "optimizer adam"]
    for row, choice in zip(table.rows, found.choices, strict=True):
        assert row[1].startswith(choice.best.setting.label)
    assert "What the evidence says" in found.report()
    assert json.loads(page.json())["title"] == "Experiment experiment"
    assert "learning_rate" in page.markdown()


def test_a_level_at_the_edge_is_said():
    result = tuned(vary={"optimizer": OPTIMIZERS, RATE: [1e-6, 1e-5]})
    assert {choice.edge for choice in result.choices} == {"largest"}
    assert result.evidence.count("extend the range") == 2


def test_the_figure_has_a_line_and_a_ring_for_each_contender(found: TunedComparison):
    figure = found.figures()[0]
    assert figure.layout.xaxis.type == "log"
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert {line.name for line in lines} == {"optimizer sgd", "optimizer adam"}
    assert all(line.x.tolist() == RATES for line in lines)
    rings = [trace for trace in figure.data if trace.marker.symbol == "circle-open"]
    assert sorted(ring.x[0] for ring in rings) == sorted(choice.best.setting.value for choice in found.choices)


FILE = """
seeds = { count = 2, fresh = 3 }
[data]
source = { kind = "rings", samples = 80 }
validation = 0.25
[network]
kind = "mlp"
hidden = [4]
[training]
epochs = 2
engine = "eager"
[vary]
optimizer = ["sgd", "adam"]
"optimizer.learning_rate" = [0.01, 0.1]
"""


def shell(*words):
    return CliRunner().invoke(app, ["experiment", *map(str, words)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.toml"
    path.write_text(FILE)
    return path


def test_the_shell_chooses_and_compares(file: Path, tmp_path: Path):
    words = [file, "--best-over", "learning_rate", "--jobs", 1, "--out", tmp_path / "out", "--quiet"]
    done = shell(*words, "--json")
    assert done.exit_code == 0
    facts = json.loads(done.stdout)
    assert (facts["measure"], facts["seeds"]) == ("test_accuracy", [2, 3, 4])
    assert [choice["arm"] for choice in facts["choices"]] == ["optimizer sgd", "optimizer adam"]
    assert all(choice["trials"] == 4 for choice in facts["choices"])
    assert len(facts["tuning"]["arms"]) == 4
    assert len(facts["pairs"]) == 1
    assert "each at its best learning_rate" in " ".join(shell(*words).output.split())


def test_check_counts_the_trials_of_both_stages(file: Path):
    facts = json.loads(shell(file, "--best-over", RATE, "--check", "--json").stdout)
    assert (facts["trials"], facts["fresh_seeds"]) == (2 * 4 + 3 * 2, [2, 3, 4])
    assert "14 trials in all" in shell(file, "--best-over", RATE, "--check").output


@pytest.mark.parametrize(
    ("change", "place", "word"),
    [
        ({"compare": {"best_over": "optimizer.momentum"}}, "compare.best_over", "not an axis of [vary]"),
        ({"compare": {"best_over": "lerning_rate"}}, "compare.best_over", "'learning_rate'?"),
        ({"compare": {"best_over": RATE}, "vary": {RATE: [0.1, 0.2]}}, "compare.best_over", "nothing but"),
        ({"compare": {"best_over": RATE}, "vary": {**VARY, RATE: [0.1]}}, "compare.best_over", "at least 2 levels"),
        ({"compare": {"best_over": RATE}, "vary": {**VARY, "optimizer": ["sgd"]}}, "compare.best_over", "nothing to"),
        ({"compare": {"best_over": 3}}, "compare.best_over", "3"),
        ({"compare": {"best_over": RATE, "baseline": "optimizer sdg"}}, "compare.baseline", "'optimizer sgd'?"),
        ({"compare": {"best_over": RATE}, "seeds": {"count": 2, "fresh": 1}}, "seeds.fresh", "2"),
        ({"seeds": {"count": 2, "fresh": 4}}, "seeds.fresh", "best_over"),
    ],
)
def test_what_does_not_suit_is_refused(change, place, word):
    with pytest.raises(InputError) as raised:
        Experiment.of({**SPEC, "vary": VARY, **change}, "mine")
    (problem,) = raised.value.problems
    assert problem.place == place
    assert word in problem.message
