"""Experiments from Python and from the shell: results, files and rejected input."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import polars
import pytest
from compilations import compilations
from typer.testing import CliRunner

import thalweg
from thalweg import InputError, Spec, compare
from thalweg.cli.shell import app
from thalweg.experiments.compare import load_comparison
from thalweg.experiments.shipped import shipped
from thalweg.runs.train import run_spec

RATE = "optimizer.learning_rate"
SPEC = {
    "data": {"source": {"kind": "rings", "samples": 80}, "validation": 0.25},
    "network": {"kind": "mlp", "hidden": [4], "activation": "tanh"},
    "optimizer": {"kind": "momentum"},
    "training": {"epochs": 2, "batch_size": 16, "engine": "eager"},
}
FILE = """
seeds = 2
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
optimizer = ["sgd 0.1", "adam 0.1"]
"""


def quick(spec=SPEC, vary=None, seeds=2, **given):
    return compare(spec, vary or {RATE: [0.1, 0.01]}, seeds, jobs=1, progress=False, **given)


def shell(*words):
    return CliRunner().invoke(app, ["experiment", *map(str, words)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.toml"
    path.write_text(FILE)
    return path


def report(*words):
    return CliRunner().invoke(app, ["report", *map(str, words)])


# --- the folder


def test_the_report_of_a_folder_is_made_again_from_its_trials(file, tmp_path):
    folder = tmp_path / "sweep"
    assert shell(file, "--out", folder, "--jobs", 1, "--quiet").exit_code == 0
    made = {name: (folder / name).read_bytes() for name in ("report.html", "arms.csv", "arms.md", "arms.tex")}
    for name in made:
        (folder / name).unlink()
    again = report(folder)
    assert again.exit_code == 0, again.output
    assert {name: (folder / name).read_bytes() for name in made} == made


def test_the_tables_of_the_arms_have_the_numbers_of_the_comparison(tmp_path):
    found = quick(folder=tmp_path / "sweep")
    table = polars.read_csv(tmp_path / "sweep" / "arms.csv")
    assert table["arm"].to_list() == [arm.label for arm in found.ranked]
    np.testing.assert_allclose(table["validation_accuracy"], [arm.mean for arm in found.ranked])
    assert set(table["verdict"]) <= {"better", "worse", "undecided", "baseline", None}
    assert all(arm.label.replace("_", "\\_") in (tmp_path / "sweep" / "arms.tex").read_text() for arm in found.arms)


def test_a_folder_with_missing_trials_reports_those_that_have_run(file, tmp_path):
    folder = tmp_path / "sweep"
    shell(file, "--out", folder, "--jobs", 1, "--quiet")
    gone = sorted((folder / "trials").iterdir())[0]
    shutil.rmtree(gone)
    assert report(folder).exit_code == 0
    comparison = load_comparison(folder)
    assert (len(comparison.results), set(comparison.failed)) == (3, {gone.name})
    for trial in (folder / "trials").iterdir():
        shutil.rmtree(trial)
    # Nothing has run: this is the message of the first trial, and the report stays as it was.
    with pytest.raises(InputError, match="runs it"):
        load_comparison(folder)


def test_a_folder_without_an_experiment_is_named(tmp_path):
    with pytest.raises(InputError, match=r"experiment\.toml is missing"):
        load_comparison(tmp_path)


# --- Python


def test_a_comparison_has_its_table_its_arms_and_its_figures():
    found = quick()
    assert isinstance(found, thalweg.Comparison)
    assert found.table.height == 4
    assert [arm.label for arm in found.arms] == ["learning_rate 0.1", "learning_rate 0.01"]
    assert np.isfinite(found.table["validation_accuracy"].to_numpy()).all()
    assert len(found.figures()) == 4
    assert found.folder is None


def test_the_trials_of_a_comparison_are_plain_trainings():
    found = quick()
    spec = found.trials[3].spec
    run = run_spec(spec)
    row = found.table.row(3, named=True)
    assert (row["learning_rate"], row["seed"]) == (0.01, 1)
    assert row["validation_loss"] == run.measures["validation"]["loss"]
    assert row["training_accuracy"] == run.measures["training"]["accuracy"]


def test_a_spec_its_tables_and_a_file_are_the_same(file: Path):
    table = tomllib.loads(FILE)
    vary = table.pop("vary")
    seeds = table.pop("seeds")
    keys = [
        [trial.key for trial in found.trials]
        for found in (
            quick(str(file), vary, seeds),
            compare(str(file), jobs=1, progress=False),
            compare(tomllib.loads(FILE), jobs=1, progress=False),
            quick(table, vary, seeds),
            quick(Spec.of(table), vary, seeds),
        )
    ]
    assert all(each == keys[0] for each in keys)


def test_measure_and_baseline_can_be_chosen():
    found = quick(measure="validation_loss", baseline="learning_rate 0.01")
    assert found.measure == "validation_loss"
    assert found.arms[1].difference is None
    with pytest.raises(InputError) as raised:
        quick(baseline="learning_rate 1")
    assert [problem.place for problem in raised.value.problems] == ["compare.baseline"]


def test_rows_in_memory_are_compared_over():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 3))
    found = quick({**SPEC, "data": {"source": (x, x.sum(axis=1) > 0), "validation": 0.25}})
    assert found.table.height == 4
    assert found.report()


def test_an_experiment_shows_itself_in_a_notebook(ipython):
    from IPython.utils.capture import capture_output

    found = quick()
    with capture_output() as shown:
        found._ipython_display_()
    text = "".join(output.data.get("text/html", "") for output in shown.outputs)
    assert "What the evidence says" in text
    assert found.best.label in text


def test_finished_trials_of_a_folder_are_not_run_again(tmp_path: Path, monkeypatch):
    from thalweg.experiments import workers

    ran = []
    original = workers.run_session
    monkeypatch.setattr(
        workers, "run_session", lambda session, **options: (ran.append(session.spec), original(session, **options))[1]
    )
    first = quick(folder=tmp_path)
    assert len(ran) == 4
    again = quick(folder=tmp_path)
    assert len(ran) == 4
    assert again.table.equals(first.table)
    more = quick(folder=tmp_path, vary={RATE: [0.1, 0.01, 0.001]}, seeds=3)
    # One new arm and one new seed make nine trials; four of them are finished.
    assert len(ran) == 9
    assert more.table.height == 9
    assert len(list((tmp_path / "trials").iterdir())) == 9


def test_a_folder_holds_runs_tables_and_the_report(tmp_path: Path):
    found = quick(folder=tmp_path)
    assert polars.read_parquet(tmp_path / "trials.parquet").equals(found.table)
    assert "What the evidence says" in (tmp_path / "report.html").read_text()
    for trial in found.trials:
        run = thalweg.load(tmp_path / "trials" / trial.key)
        assert run.spec.describe() == trial.spec.describe()
        assert run.history == found.results[trial.key].history


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seeds": 0}, "seeds.count: expected greater than or equal to 1"),
        ({"vary": {"optimizer.rate": [1]}}, "optimizer.rate: unknown option of momentum"),
        ({"vary": {"nothing": [1]}}, "vary.nothing: not a section of a spec"),
    ],
)
def test_invalid_input_is_rejected_before_anything_is_written(given, words, tmp_path: Path):
    with pytest.raises(InputError) as raised:
        quick(**{"folder": tmp_path / "new", **given})
    assert words in str(raised.value)
    assert not (tmp_path / "new").exists()


def test_fewer_than_one_process_is_refused():
    with pytest.raises(InputError) as raised:
        compare(SPEC, {RATE: [0.1]}, 1, jobs=0, progress=False)
    assert (raised.value.subject, "received 0" in str(raised.value)) == ("jobs", True)


# --- one program for all trials of an architecture


def compiled(vary, seeds=1, **training):
    spec = {**SPEC, "network": {"kind": "mlp", "hidden": [7]}, "training": {"epochs": 2, "batch_size": 16, **training}}
    before = compilations()
    quick(spec, vary, seeds)
    return compilations() - before


def test_rates_momenta_penalties_and_seeds_share_one_program():
    assert compiled({RATE: [0.1]}) > 0
    assert compiled({RATE: [0.3, 0.01, 0.003], "optimizer.momentum": [0.0, 0.5]}, 3) == 0
    assert compiled({"optimizer": ["momentum 0.2 0.7", {"kind": "momentum", "learning_rate": 1e-3}]}, 2) == 0
    # Another width does need another program, so the count is sensitive.
    assert compiled({"network.hidden": [[9]]}) > 0


# --- the shell


def test_the_shell_runs_a_file_and_prints_the_evidence(file: Path, tmp_path: Path):
    done = shell(file, "--jobs", 1, "--out", tmp_path / "out", "--quiet")
    assert done.exit_code == 0
    assert "Experiment sweep" in done.output
    assert "with 2 seeds" in " ".join(done.output.split())
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_shell_gives_json(file: Path, tmp_path: Path):
    done = shell(file, "--jobs", 1, "--out", tmp_path / "out", "--json", "--quiet", "--seeds", 3)
    facts = json.loads(done.stdout)
    assert facts["measure"] == "validation_accuracy"
    assert [arm["arm"] for arm in facts["arms"]] == ["optimizer sgd 0.1", "optimizer adam 0.1"]
    first, second = facts["arms"]
    # The first arm did not learn in two epochs.
    assert facts["baseline"] == "optimizer adam 0.1"
    first, second = second, first
    assert first["difference"] is None
    pairs = np.subtract(second["values"], first["values"])
    assert second["difference"]["mean"] == pytest.approx(pairs.mean())
    assert len(pairs) == 3
    assert facts["best"] in ("optimizer sgd 0.1", "optimizer adam 0.1")
    assert set(facts["test"]) == {"loss", "accuracy", "balanced_accuracy"}
    assert all("test" not in str(arm) for arm in facts["arms"])
    assert facts["failed"] == {}


def test_check_lists_the_arms_and_runs_nothing(file: Path, tmp_path: Path):
    done = shell(file, "--check", "--out", tmp_path / "out")
    assert done.output.splitlines() == [
        "2 arms, 2 seeds each: 4 trials, all checked",
        "  optimizer sgd 0.1",
        "  optimizer adam 0.1",
    ]
    assert not (tmp_path / "out").exists()
    facts = json.loads(shell(file, "--check", "--json").stdout)
    assert facts == {"arms": ["optimizer sgd 0.1", "optimizer adam 0.1"], "seeds": [0, 1], "trials": 4}


def test_settings_of_the_shell_change_the_experiment(file: Path):
    words = ["--set", "vary.training.batch_size=[8, 16]", "--set", "seeds.first=4", "--seeds", 3, "--check", "--json"]
    facts = json.loads(shell(file, *words).stdout)
    assert facts["seeds"] == [4, 5, 6]
    assert facts["trials"] == 12


def test_alone_it_lists_the_shipped_experiments():
    done = shell()
    for name, words in shipped().items():
        assert f"{name:32} {words}" in done.output
    assert all(words for words in shipped().values())


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_experiment_can_be_checked(name, mnist_folder):
    done = shell(name, "--check")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["momentum-and-rat"], "did you mean 'momentum-and-rate'?"),
        (["rings"], "[vary]"),
        (["momentum-and-rate", "--seeds", 0, "--check"], "seeds.count: expected greater than or equal to 1"),
        (["momentum-and-rate", "--jobs", 0], "jobs: "),
        (["momentum-and-rate", "--set", "compare.baseline=x", "--check"], "compare.baseline: "),
    ],
)
def test_mistakes_are_one_message(words, message, tmp_path: Path):
    done = shell(*words, "--out", tmp_path / "out")
    assert done.exit_code != 0
    assert isinstance(done.exception, InputError | SystemExit)
    assert message in str(done.exception) + done.output
