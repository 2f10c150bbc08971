"""The benchmark of the training speed runs, in a few steps, and writes what it promises."""

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import thalweg

ROOT = Path(__file__).parents[1]
PEERS = {"thalweg", "torch", "sklearn", "numpy", "products", "products_xla"}
LEARNERS = {"thalweg", "torch", "sklearn", "numpy"}

pytestmark = pytest.mark.skipif(
    find_spec("torch") is None,
    reason="LEFT OUT: the benchmark, which needs PyTorch; make torch installs it",
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict:
    file = tmp_path_factory.mktemp("benchmark") / "speed.json"
    source = Path(thalweg.__path__[0]).parent
    script = [sys.executable, "benchmarks/training_speed.py", "--quick", "--cases", "rings", "--rounds", "2"]
    done = subprocess.run(
        [*script, "--json", str(file)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Thalweg" in done.stdout
    assert "PyTorch" in done.stdout
    return json.loads(file.read_text())


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
    for peer, found in result["ratios"].items():
        # The median of two rounds is their mean.
        ratios = [time / own for time, own in zip(rounds[peer], rounds["thalweg"], strict=True)]
        assert found == pytest.approx({"median": sum(ratios) / 2, "low": min(ratios), "high": max(ratios)})
    for peer, found in result["over_products"].items():
        ratios = [own / time for time, own in zip(rounds[peer], rounds["thalweg"], strict=True)]
        assert found == pytest.approx({"median": sum(ratios) / 2, "low": min(ratios), "high": max(ratios)})
    for peer, found in result["microseconds"].items():
        times = rounds[peer]
        assert found == pytest.approx({"median": sum(times) / 2, "low": min(times), "high": max(times)})


def test_everybody_learns_the_same_problem(report):
    learnt = report["cases"]["rings"]["learnt"]
    assert set(learnt) == LEARNERS
    losses = [found["loss"] for found in learnt.values()]
    assert all(found["accuracy"] > 0.9 for found in learnt.values())
    assert max(losses) < 3 * min(losses)
