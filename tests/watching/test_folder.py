"""What a watch keeps: its folder, what the shell makes of it, and the writers."""

from __future__ import annotations

import dataclasses
import json
import math
import signal
import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="LEFT OUT: watching PyTorch; make torch installs it")
nn = torch.nn

import thalweg  # noqa: E402
from thalweg import InputError  # noqa: E402
from thalweg.watching import TensorBoardWriter, WandbWriter  # noqa: E402
from thalweg.watching.folder import list_watches, read_watch  # noqa: E402


def watched(folder: Any = None, foreign: bool = False, **options: Any) -> Any:
    """A short training that learns, or one whose optimizer has other parameters."""
    torch.manual_seed(0)
    x = torch.randn(160, 4)
    y = (x[:, 0] > 0).long()
    model, loss_fn = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)), nn.CrossEntropyLoss()
    parameters = nn.Linear(4, 2).parameters() if foreign else model.parameters()
    optimizer = torch.optim.Adam(parameters, lr=0.02)
    with thalweg.watch(model, optimizer, loss_fn, folder=folder, quiet=True, **options) as watch:
        for epoch in range(12):
            for start in range(0, 128, 32):
                optimizer.zero_grad()
                rows = slice(start, start + 32)
                loss_fn(model(x[rows]), y[rows]).backward()
                optimizer.step()
            watch.epoch(validation=(x[128:], y[128:]))
            if epoch == 5:
                optimizer.param_groups[0]["lr"] = 0.01
    return watch


def as_json(training: Any) -> str:
    return json.dumps(dataclasses.asdict(training))


def test_what_is_read_is_what_was_seen(tmp_path):
    watch = watched(tmp_path / "run")
    training = read_watch(tmp_path / "run")
    # NaN is not equal to itself; its text is.
    assert as_json(training) == as_json(watch.training)
    assert training.rates == ((0, (0.02,)), (24, (0.01,)))
    assert training.steps == len(training.losses) == 48


def test_what_a_killed_process_has_seen_stays(tmp_path):
    program = """
import os, signal, sys, torch, thalweg
from torch import nn
model, loss_fn = nn.Linear(2, 1), nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
watch = thalweg.watch(model, optimizer, loss_fn, folder=sys.argv[1], quiet=True)
for step in range(9):
    loss_fn(model(torch.ones(4, 2)), torch.zeros(4, 1)).backward()
    optimizer.step()
os.kill(os.getpid(), signal.SIGKILL)
"""
    folder = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", program, str(folder)], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    with open(folder / "looks.jsonl", "ab") as file:
        file.write(b'{"step": 8, "sou')
    training = read_watch(folder)
    assert [look.step for look in training.looks] == [0, 1, 2, 3, 4, 5, 7]
    assert len(training.remarks) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("watch.json", b"{}"),
        ("watch.json", b'{"format": 9}'),
        ("looks.jsonl", b'{"step": "one", "source": "hooks"}\n'),
        ("losses.jsonl", b"[[[[\n"),
    ],
)
def test_a_wrong_file_is_a_clear_error(tmp_path, name, content):
    watched(tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_watch(tmp_path / "run")
    assert name in list_watches(tmp_path)[0].outcome


def test_a_folder_with_files_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="empty"):
        watched(tmp_path)


def test_the_shell_lists_and_examines_it(tmp_path, shell):
    watched(tmp_path / "good")
    watched(tmp_path / "bad", foreign=True)
    listed = json.loads(shell("runs", str(tmp_path), "--json").stdout)
    assert [(row["name"], row["epochs"], row["steps"]) for row in listed] == [("bad", 12, 48), ("good", 12, 48)]
    good = shell("doctor", str(tmp_path / "good"), "--json")
    assert (good.returncode, json.loads(good.stdout)["healthy"]) == (0, True)
    bad = shell("doctor", str(tmp_path / "bad"), "--json", "--fail-on", "severe")
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["causes"][0]["code"] == "optimizer-parameters"
    assert shell("doctor", str(tmp_path / "bad"), "--set", "loss=x").returncode == 2
    assert shell("doctor", str(tmp_path / "bad"), "--fail-on", "never").returncode == 2


def test_the_page_has_the_charts_that_apply(tmp_path):
    watch = watched()
    text = watch.report(tmp_path / "health.html").read_text(encoding="utf-8")
    titles = [figure.layout.title.text for figure in watch.page().figures()]
    assert titles == ["Loss", "Delta by module", "Outputs by module", "Updates by parameter"]
    assert text.startswith("<!doctype html>")


class Summary:
    """A stand-in for TensorBoard's writer, and for a run of Weights & Biases."""

    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []
        self.logs: list[dict[str, float]] = []
        self.flushed = False

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def flush(self) -> None:
        self.flushed = True

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        assert name.startswith("thalweg/")

    def log(self, numbers: dict[str, float]) -> None:
        self.logs.append(numbers)


def test_writers_get_all_numbers_and_no_nan():
    summary, run = Summary(), Summary()
    watch = watched(writers=[TensorBoardWriter(summary), WandbWriter(run)])
    steps = [look.step for look in watch.training.looks]
    assert [step for name, _, step in summary.scalars if name == "thalweg/loss"] == steps
    assert not any(math.isnan(value) for _, value, _ in summary.scalars)
    assert summary.flushed
    first = watch.training.looks[0]
    assert run.logs[0]["thalweg/delta/0"] == first.places[0].delta
    assert run.logs[0]["thalweg/step"] == 0


def test_a_writer_that_fails_ends_no_training():
    class Full(Summary):
        def add_scalar(self, name: str, value: float, step: int) -> None:
            raise OSError("disk full")

    watch = watched(writers=[TensorBoardWriter(Full())])
    assert len(watch.training.faults) == 1
