"""The doctor in the shell, in reports, on cards and while a training runs."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pty
import subprocess
import sys
import tomllib
import types
from typing import NamedTuple

import pytest

import thalweg
from thalweg.cli.shell import main
from thalweg.doctor import Diagnosis
from thalweg.experiments.remedy_trials import NoScoreError
from thalweg.runs.run import Run
from thalweg.runs.train import run_spec
from thalweg.spec.toml import read_spec

LAYERS = 'network.layers=["dense 8", "tanh", "dense 1", "softmax"]'
SINGLE = ["--set", LAYERS, "--epochs", "60"]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def shell(monkeypatch, capsys):
    def call(*words, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["thalweg", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def ill(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ill")
    run_spec(read_spec("xor", [LAYERS, "training.epochs=60"]), folder=folder / "run")
    return folder


def test_a_healthy_network_gets_a_clean_bill_and_is_not_kept(shell, tmp_path):
    done = shell("doctor", "xor", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Healthy: " in done.stdout
    assert "✓" in done.stdout
    assert "epoch 300/300" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("example", ["perceptron", "flowers", "rings"])
def test_shipped_examples_are_healthy(example):
    found = run_spec(read_spec(example, ["training.epochs=40"])).diagnose()
    assert found.healthy, found.findings
    assert found.evidence


def test_an_ill_one_is_told_of_with_exit_code_1_and_is_kept_where_it_is_asked_for(shell, tmp_path):
    done = shell("doctor", "xor", *SINGLE, "--json", "--quiet", "--out", "run", "--page", "page.html", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["healthy"] is False
    assert found["causes"][0]["code"] == "output-activation"
    assert found["folder"] == "run"
    assert "Root cause: output-activation" in (tmp_path / "page.html").read_text()
    # Probes see what the standard ones do.
    assert read_spec(str(tmp_path / "run" / "spec.toml")).probes.kind == "standard"


def test_a_run_is_examined_as_it_is_and_its_remedy_is_a_command_that_trains(shell, ill):
    folder = ill
    before = sorted((path, path.stat().st_mtime_ns) for path in (folder / "run").rglob("*"))
    done = shell("doctor", "run", "--quiet", cwd=folder)
    assert done.returncode == 1, done.stderr
    assert "Diagnosis of run" in done.stdout
    assert "thalweg train run/spec.toml --set" in done.stdout
    assert before == sorted((path, path.stat().st_mtime_ns) for path in (folder / "run").rglob("*"))


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["nowhere"], "'nowhere'"),
        (["half"], "thalweg: half: "),
        (["half/empty"], "half/empty"),
        (["half/rows.csv"], "--data half/rows.csv"),
        (["xor", "--prove", "--minutes", 0], "0.0"),
        ([], "expected a spec"),
        (["run", "--epochs", 3], "--set"),
        (["run", "--out", "there"], "--out"),
        (["xor", "--seeds", 3], "--seeds"),
        (["xor", "--page", "page.pdf"], "page.pdf"),
    ],
)
def test_bad_input_is_one_clear_message(shell, ill, words, fault):
    folder = ill
    (folder / "half" / "empty").mkdir(parents=True, exist_ok=True)
    (folder / "half" / "rows.csv").write_text("x,y\n1,2\n")
    (folder / "half" / "spec.toml").write_text((folder / "run" / "spec.toml").read_text())
    done = shell("doctor", *words, cwd=folder)
    assert done.returncode == 2
    assert fault in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_while_a_training_runs_each_severe_finding_is_told_once(shell, tmp_path):
    done = shell("train", "xor", *SINGLE, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0
    told = [line for line in done.stderr.splitlines() if line.startswith("thalweg: ")]
    assert [line.split()[1] for line in told] == ["output-activation", "vanishing"]
    assert "thalweg: " not in done.stdout


def test_a_quiet_training_and_a_healthy_one_are_told_nothing(shell, tmp_path):
    assert shell("train", "xor", *SINGLE, "--quiet", "--out", "a", cwd=tmp_path).stderr == ""
    assert "thalweg: " not in shell("train", "xor", "--out", "b", cwd=tmp_path).stderr


def test_what_is_told_stands_above_the_bar(tmp_path):
    ours, its = pty.openpty()
    words = ["train", "xor", *SINGLE, "--out", tmp_path / "run"]
    with subprocess.Popen([sys.executable, "-m", "thalweg", *map(str, words)], stdout=its, stderr=its):
        os.close(its)
        said = b""
        # Reading from a terminal that its last user has left fails, which is how its end shows.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 4096):
                said += chunk
    os.close(ours)
    assert said.count(b"thalweg: output-activation") == 1
    # The last that is drawn of the training is its bar.
    assert said.rindex(b"thalweg: ") < said.rindex(b"epoch 60/60")


def test_train_in_python_tells_it_where_it_shows_progress(capsys):
    layers = ["dense 4", "tanh", "dense 1", "softmax"]
    thalweg.train(layers, "xor", epochs=2, engine="eager")
    assert "thalweg: output-activation at layer 4 (softmax)" in capsys.readouterr().err
    thalweg.train(layers, "xor", epochs=2, engine="eager", progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_report_has_the_verdict_and_a_card_says_it_in_a_line(ill):
    folder = ill
    run = thalweg.load(folder / "run")
    page = (folder / "run" / "report.html").read_text()
    assert page.index("<h2>Overview</h2>") < page.index("<h2>Health</h2>") < page.index("<h2>Training</h2>")
    assert "Root cause: output-activation" in page
    assert "Root cause: output-activation at layer 4 (softmax)." in run._repr_html_()
    assert "<table>" in run.diagnose()._repr_html_()
    assert "Healthy: " in run_spec(read_spec("xor"))._repr_html_()


def test_of_a_run_whose_rows_are_gone_the_report_says_what_was_not_looked_at(shell, tmp_path):
    rows = "x,y\n" + "\n".join(f"{k % 7},{'yes' if k % 7 > 3 else 'no'}" for k in range(60))
    (tmp_path / "rows.csv").write_text(rows)
    words = ["--data", "rows.csv", "--target", "y", "--epochs", 3, "--engine", "eager", "--quiet", "--out", "run"]
    assert shell("train", *words, cwd=tmp_path).returncode == 0
    (tmp_path / "rows.csv").unlink()
    done = shell("report", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "run" / "report.html").read_text()
    assert "The rows of this run are gone" in page
    assert "rows.csv" in page
    assert "<h2>Training</h2>" in page
    assert "Answers on" not in page
    run = thalweg.load(tmp_path / "run")
    assert "<caption>" in run._repr_html_()
    assert run.figures()[0].layout.title.text == "Loss"
    done = shell("doctor", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert "rows.csv" in done.stderr


@pytest.mark.slow
def test_remedies_are_proven_and_the_repaired_spec_overwrites_nothing(shell, ill):
    folder = ill
    (folder / "run-repaired.toml").write_text("mine")
    words = ["doctor", "run", "--prove", "--seeds", 5, "--jobs", 1, "--json", "--quiet", "--page", "proof.html"]
    done = shell(*words, "--out", "proof", cwd=folder)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["proof"]["seeds"] == [0, 1, 2, 3, 4]
    assert found["repaired"] == "run-repaired-2.toml"
    assert (folder / "run-repaired.toml").read_text() == "mine"
    assert tomllib.loads((folder / "run-repaired-2.toml").read_text())["loss"]
    assert "Remedies" in (folder / "proof.html").read_text()
    assert (folder / "proof" / "proof.json").exists()


def test_of_a_healthy_network_there_is_nothing_to_prove(shell, tmp_path):
    done = shell("doctor", "xor", "--prove", "--quiet", "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert "nothing to prove" in done.stderr
    assert json.loads(done.stdout)["proof"] is None
    assert list(tmp_path.iterdir()) == []


def test_findings_without_a_remedy_end_with_the_diagnosis(shell, ill, monkeypatch):
    monkeypatch.setattr(Diagnosis, "remedies", ())
    done = shell("doctor", "run", "--prove", "--quiet", "--json", "--page", "alone.html", cwd=ill)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["causes"][0]["code"] == "output-activation"
    assert (found["proof"], found["repaired"]) == (None, None)
    assert "remedy" in done.stderr
    assert "output-activation" in (ill / "alone.html").read_text()


def test_rows_that_cannot_score_end_with_the_diagnosis(shell, tmp_path):
    # Sorted by class, and the last rows are all of one class.
    sections = {"split": "time", "validation": "0.2", "test": "0.0"}
    words = [word for name, value in sections.items() for word in ("--set", f"data.{name}={value}")]
    words += ["--set", "optimizer.learning_rate=1e-9", "--set", "network=mlp", "--epochs", 5]
    done = shell("doctor", "iris", *words, "--prove", "--quiet", "--json", cwd=tmp_path)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert not found["healthy"]
    assert found["proof"] is None
    assert "data.validation" in done.stderr


@pytest.mark.parametrize("spent", [0.5, 2.9, 3.0, 50.0])
def test_the_limit_holds_for_the_whole_command(shell, ill, monkeypatch, spent):
    # A clock that advances while the run is examined alone.
    now = types.SimpleNamespace(minutes=1000.0)
    clock = types.SimpleNamespace(monotonic=lambda: 60 * now.minutes)
    diagnose, given = Run.diagnose, []

    def slow(run, **options):
        now.minutes += spent
        return diagnose(run)

    def proof(*positional, **named):
        given.append(named["minutes"])
        raise NoScoreError("data", "no rows")

    monkeypatch.setattr(importlib.import_module("thalweg.cli.commands.doctor"), "time", clock)
    monkeypatch.setattr(Run, "diagnose", slow)
    monkeypatch.setattr(importlib.import_module("thalweg.experiments.remedy_trials.prove"), "prove", proof)
    done = shell("doctor", "run", "--prove", "--minutes", 3, "--json", "--quiet", cwd=ill)
    assert done.returncode == 1
    assert given == ([] if spent >= 3 else [pytest.approx(3 - spent)])
    assert json.loads(done.stdout)["proof"] is None


def test_the_training_of_the_spec_ends_with_the_limit(shell, tmp_path):
    # It would train for days.
    words = ["doctor", "xor", *SINGLE[:2], "--epochs", 10**9, "--prove", "--minutes", 0.01, "--json", "--quiet"]
    done = shell(*words, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["proof"] is None
    assert "0.01 minutes" in done.stderr
