"""A training that was stopped, killed or broken off goes on, and ends as if nothing had happened: bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars
import pytest
from sessions import Watching

import thalweg
from thalweg.core.errors import InputError
from thalweg.runs.load import load
from thalweg.runs.resume import resume_run
from thalweg.runs.run_folder import list_runs, read_records
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec
from thalweg.spec.toml import to_toml
from thalweg.training.checkpoints import newest
from thalweg.training.saved_state import read_arrays

# Whatever has a memory or draws random numbers: dropout, noise, batch normalisation, momentum and its schedule, the
# plateau, early stopping, the average; and all that changes gradients and weights on the way.
PLATEAU = {"kind": "plateau", "patience": 0}
EVERYTHING = {
    "data": {"source": "rings 120", "order": "balanced"},
    "network": {
        "layers": [
            "gaussian_noise 0.1",
            "dense 6",
            "batch_norm",
            "tanh",
            {"kind": "residual", "layers": ["dense 6", "relu", "dropout 0.2"]},
            "dense 2",
            "softmax",
        ]
    },
    "loss": {"kind": "cross_entropy", "label_smoothing": 0.1},
    "optimizer": {
        "kind": "nesterov",
        "learning_rate": {"kind": "linear_warmup", "steps": 5, "then": {**PLATEAU, "initial": 0.2}},
        "momentum": {"kind": "triangular", "low": 0.5, "high": 0.9, "period": 7},
    },
    "training": {"epochs": 8, "batch_size": 16, "accumulate": 2, "clip": "global_norm 0.5", "average": 0.9, "seed": 3},
    "regularization": {"l1": 1e-4, "l2": 1e-3, "weight_decay": 1e-3, "max_norm": 2.0},
    "stopping": {"patience": 100},
    "checkpoints": {"every": 3, "keep": 4},
}
STEPS_AN_EPOCH = 3


def everything(engine="eager", **training):
    return Spec.of({**EVERYTHING, "training": {**EVERYTHING["training"], "engine": engine, **training}})


def press(when, number=signal.SIGINT):
    """A watch that presses Ctrl-C, once, where `when` says so."""
    pressed = []

    def watch(progress):
        if when(progress) and not pressed:
            pressed.append(progress.step)
            os.kill(os.getpid(), number)

    return watch


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_same_arrays(found, expected):
    assert found.keys() == expected.keys()
    for place, array in expected.items():
        np.testing.assert_array_equal(found[place], array, err_msg=place)
        assert found[place].dtype == array.dtype


def assert_same_training(folder, expected):
    """The weights that answer, all that the last checkpoint holds, the counters, and the history."""
    names = [read_arrays(path / "checkpoints" / "final.safetensors") for path in (folder, expected)]
    assert_same_arrays(*names)
    (checkpoint, facts), (other, other_facts) = newest(folder), newest(expected)
    assert checkpoint.name == other.name
    assert_same_arrays(read_arrays(checkpoint), read_arrays(other))
    counters, others = facts["counters"], other_facts["counters"]
    assert counters | {"seconds": 0} == others | {"seconds": 0}
    assert read_records(folder / "metrics.jsonl") == read_records(expected / "metrics.jsonl")
    assert load(folder).history == load(expected).history
    assert load(folder).measures == load(expected).measures


@pytest.fixture(scope="module", params=["eager", "compiled"])
def whole(request, tmp_path_factory):
    """The folder of a training that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_spec(everything(request.param), folder=folder)
    return folder


@pytest.fixture(scope="module")
def eager(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eager") / "run"
    run_spec(everything(), folder=folder)
    return folder


def spec_in(folder):
    return thalweg.read_spec(str(folder / "spec.toml"))


def test_the_reference_uses_all_that_it_is_meant_to(whole):
    records = read_records(whole / "metrics.jsonl")
    assert [record["step"] for record in records] == [STEPS_AN_EPOCH * epoch for epoch in range(1, 9)]
    arrays = read_arrays(newest(whole)[0])
    assert {name.split(".")[1] for name in arrays if name.startswith("state.")} >= {"average", "moments", "layers"}
    assert any(name.startswith("best.") for name in arrays)
    # The plateau has lowered the rate, and clipping has acted.
    assert newest(whole)[1]["counters"]["rates"][0][0] < 0.2
    assert np.mean([record["clipped"] for record in records]) > 0
    assert any((read_arrays(newest(whole)[0])[f"state.params.{n}.W"] != 0).any() for n in (1, 5))


@pytest.mark.parametrize(
    "when",
    [
        lambda progress: progress.step == 1,
        lambda progress: progress.epoch_ended and progress.epoch == 2,
        lambda progress: progress.epoch_ended and progress.epoch >= 5,
    ],
    ids=["in the first epoch", "after an epoch", "after a checkpoint"],
)
def test_a_stopped_training_ends_as_the_one_that_was_not(whole, when, tmp_path):
    stopped = run_spec(spec_in(whole), tmp_path / "run", [Watching(press(when))])
    assert stopped.interrupted
    resumed = resume_run(tmp_path / "run")
    assert not resumed.interrupted
    assert_same_training(tmp_path / "run", whole)


def test_stopped_again_and_again_within_epochs(whole, tmp_path):
    run = run_spec(spec_in(whole), tmp_path / "run", [Watching(press(lambda progress: True))])
    steps = [int(run.state.step)]
    while run.interrupted and len(steps) < 7:
        # The first stretch of every training is one step.
        run = resume_run(tmp_path / "run", callbacks=[Watching(press(lambda progress: True, signal.SIGTERM))])
        steps.append(int(run.state.step))
        assert "SIGTERM" in run.outcome
    assert steps == [1, 2, 3, 4, 5, 6, 7]
    resume_run(tmp_path / "run")
    assert_same_training(tmp_path / "run", whole)


def test_a_finished_training_goes_on_for_more_epochs(whole, tmp_path):
    spec = spec_in(whole)
    fewer = Spec.of(spec.describe() | {"training": spec.training.describe() | {"epochs": 5}})
    run_spec(fewer, folder=tmp_path / "run")
    with pytest.raises(InputError, match="complete"):
        thalweg.resume(tmp_path / "run", progress=False)
    with pytest.raises(InputError, match=r"training.epochs: 5 -> 8"):
        thalweg.resume(tmp_path / "run", ["training.epochs=8"], progress=False)
    thalweg.resume(tmp_path / "run", ["training.epochs=8"], accept_changes=True, progress=False)
    assert_same_training(tmp_path / "run", whole)


def test_without_the_newest_checkpoint_it_goes_on_from_the_one_before(eager, tmp_path):
    folder = tmp_path / "run"
    run_spec(spec_in(eager), folder, [Watching(press(lambda progress: progress.epoch_ended and progress.epoch == 5))])
    damaged, _ = newest(folder)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    before, _ = newest(folder)
    assert before < damaged
    # With room for one checkpoint, the damaged one must not crowd out those that are written now.
    resume_run(
        folder,
        ["checkpoints.keep=1"],
        accept_changes=True,
        callbacks=[Watching(press(lambda progress: progress.epoch_ended))],
    )
    assert not damaged.exists() or damaged == newest(folder)[0]
    resume_run(folder, ["checkpoints.keep=4"], accept_changes=True)
    assert_same_training(folder, eager)


# Refused --------------------------------------------------------------------------------------------------------------


def interrupted(folder, spec):
    run_spec(spec, folder, [Watching(press(lambda progress: progress.epoch_ended))])
    return files_of(folder)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("optimizer.momentum=0.5", "optimizer.momentum"),
        ("training.seed=4", r"training.seed: 3 -> 4"),
        ("network.layers.1=dense 7", "network.layers"),
        ("loss.label_smoothing=0.2", r"loss.label_smoothing: 0.1 -> 0.2"),
        ("data.validation=0.2", r"data.validation: 0.1 -> 0.2"),
    ],
)
def test_a_changed_spec_is_refused_and_nothing_is_touched(setting, said, tmp_path):
    before = interrupted(tmp_path / "run", everything())
    with pytest.raises(InputError, match=said) as raised:
        thalweg.resume(tmp_path / "run", [setting], progress=False)
    assert "--accept-changes" in str(raised.value)
    assert files_of(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("network.layers.1=dense 7", "arrays of the network"),
        ("training.batch_size=7", "updates an epoch"),
        ("training.accumulate=1", "updates an epoch"),
        ("optimizer.kind=nowhere", "nowhere"),
    ],
)
def test_what_no_checkpoint_can_go_on_with_is_refused_even_if_accepted(setting, said, tmp_path):
    before = interrupted(tmp_path / "run", everything())
    with pytest.raises(InputError, match=said):
        thalweg.resume(tmp_path / "run", [setting], accept_changes=True, progress=False)
    assert files_of(tmp_path / "run") == before


def test_an_accepted_change_is_in_force_from_there_on(tmp_path):
    interrupted(tmp_path / "run", everything())
    settings = ["optimizer.learning_rate=0.001", "training.epochs=3"]
    run = thalweg.resume(tmp_path / "run", settings, accept_changes=True, progress=False)
    assert [record["learning_rate"] for record in run.history][1:] == pytest.approx([0.001, 0.001])
    assert run.history[0]["learning_rate"] != pytest.approx(0.001)
    assert spec_in(tmp_path / "run").optimizer.learning_rate == 0.001


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)).round(3)
    frame = polars.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": (x.sum(axis=1) > 0).astype(int)})
    path = tmp_path / "table.csv"
    frame.write_csv(path)
    return path, frame


def test_edited_rows_are_noticed_whichever_set_they_are_in(table, tmp_path):
    path, frame = table
    data = {"source": str(path), "target": "y", "validation": 0.2}
    spec = Spec.of({"data": data, "training": {"epochs": 4, "engine": "eager"}})
    before = interrupted(tmp_path / "run", spec)
    told = set()
    for row in range(len(frame)):
        # A small change of a training row changes how all rows are scaled.
        b = frame["b"].to_list()
        b[row] += 0.001
        frame.with_columns(b=polars.Series(b)).write_csv(path)
        with pytest.raises(InputError, match="changed: the") as raised:
            thalweg.resume(tmp_path / "run", progress=False)
        told |= {name for name in ("training", "validation", "test") if f"the {name} rows" in str(raised.value)}
    assert told == {"training", "validation", "test"}
    assert files_of(tmp_path / "run") == before
    assert len(thalweg.resume(tmp_path / "run", accept_changes=True, progress=False).history) == 4


def test_arrays_in_memory_are_given_again(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)), rng.integers(0, 2, 80)
    choices = {
        "network": {"layers": ["dense 4", "dropout 0.3", "dense 2", "softmax"]},
        "training": {"epochs": 6, "engine": "eager"},
    }
    spec = Spec.of({"data": (x, y), **choices})
    run_spec(spec, folder=tmp_path / "whole")
    before = interrupted(tmp_path / "run", spec)
    with pytest.raises(InputError, match="arrays in memory"):
        thalweg.resume(tmp_path / "run", progress=False)
    other = x.copy()
    other[5, 1] += 1e-9
    for wrong in ((other, y), (x[:-1], y[:-1]), (x, 1 - y)):
        with pytest.raises(InputError, match=r"data.source\S*: .* -> "):
            thalweg.resume(tmp_path / "run", data=wrong, progress=False)
    assert files_of(tmp_path / "run") == before
    thalweg.resume(tmp_path / "run", data=(x, y), progress=False)
    assert_same_training(tmp_path / "run", tmp_path / "whole")


def test_a_changed_plateau_begins_anew(tmp_path):
    interrupted(tmp_path / "run", everything())
    change = "optimizer.learning_rate.then.initial=0.004"
    run = thalweg.resume(tmp_path / "run", [change, "training.epochs=2"], accept_changes=True, progress=False)
    assert run.history[1]["learning_rate"] == pytest.approx(0.004)


def test_a_changed_measure_forgets_the_best_epoch(tmp_path):
    interrupted(tmp_path / "run", everything())
    settings = ["stopping.measure=accuracy", "training.epochs=4"]
    run = thalweg.resume(tmp_path / "run", settings, accept_changes=True, progress=False)
    later = [record["accuracy"] for record in run.history[1:]]
    counters = newest(tmp_path / "run")[1]["counters"]
    assert (counters["best"], counters["best_epoch"]) == (max(later), 2 + int(np.argmax(later)))


def test_what_is_no_unfinished_run_is_told(eager, tmp_path):
    with pytest.raises(InputError, match="complete: Trained 8 epochs"):
        thalweg.resume(eager, progress=False)
    with pytest.raises(InputError, match="not a run folder"):
        thalweg.resume(tmp_path, progress=False)
    saved = thalweg.train(["dense 2", "softmax"], "rings 50", epochs=1, engine="eager", progress=False)
    with pytest.raises(InputError, match="no checkpoint to resume from"):
        thalweg.resume(saved.save(tmp_path / "saved"), progress=False)
    assert spec_in(eager) == everything()


def test_a_checkpoint_without_its_records_is_refused(tmp_path):
    interrupted(tmp_path / "run", everything())
    (tmp_path / "run" / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match="expected the records of 1 epochs"):
        thalweg.resume(tmp_path / "run", progress=False)


# From the shell -------------------------------------------------------------------------------------------------------


LONG = {"epochs": 40, "batch_size": 8}


def shell(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "thalweg", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A training of a second or two from the shell: its spec's file, and the folder of one that was not interrupted."""
    folder = tmp_path_factory.mktemp("long")
    spec = everything(**LONG)
    spec = Spec.of(spec.describe() | {"data": {"source": "rings 500"}})
    (folder / "spec.toml").write_text(to_toml(spec))
    run_spec(spec, folder=folder / "run")
    return folder / "spec.toml", folder / "run"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_from_outside(number, long, tmp_path):
    spec, expected = long
    folder = tmp_path / "run"
    with shell("train", spec, "--out", folder) as process:
        while not any((folder / "checkpoints").glob("step-*.json")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    command = f"thalweg train --resume {folder}"
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        (row,) = list_runs(tmp_path)
        assert command in row.outcome
        with pytest.raises(InputError, match=command):
            load(folder)
    else:
        assert process.returncode == 130
        assert {signal.SIGINT: "Stopped by Ctrl-C", signal.SIGTERM: "Stopped by SIGTERM"}[number] in said
        assert command in said
        assert 0 < len(load(folder).history) < LONG["epochs"]
    with shell(*command.split()[1:]) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert_same_training(folder, expected)


def test_the_shell_refuses_changes_and_takes_them_when_told(tmp_path):
    before = interrupted(tmp_path / "run", everything())
    with shell("train", "--resume", tmp_path / "run", "--seed", 9) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "training.seed: 3 -> 9" in said
    assert "--accept-changes" in said
    assert "Traceback" not in said
    assert files_of(tmp_path / "run") == before
    words = ["--epochs", 10, "--accept-changes", "--quiet"]
    with shell("train", "--resume", tmp_path / "run", *words) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert len(load(tmp_path / "run").history) == 10
