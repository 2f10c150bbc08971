"""A training that was stopped, killed or broken off goes on, and ends as if nothing had happened: bit for bit."""

from __future__ import annotations

import os
import shutil
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
@pytest.mark.slow
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


# Whatever was recorded survives a kill at any moment -----------------------------------------------------------------

FILMED = {
    "data": {"source": "rings 60", "validation": 0.2},
    "network": {"layers": ["dense 4", "tanh", "dropout 0.2", "dense 2", "softmax"]},
    "training": {"epochs": 6, "batch_size": 16, "engine": "eager"},
    "checkpoints": {"every": 1},
    "probes": "standard 2",
}
RECORDED = ("metrics.jsonl", "probes.jsonl", "frames.safetensors", "frames.json", "checkpoints/final.safetensors")


def recorded_in(folder):
    return {name: (folder / name).read_bytes() for name in RECORDED}


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """The folder of a whole training with a film, and copies of it by step, as a kill would have left it."""
    root = tmp_path_factory.mktemp("filmed")
    copies = {}

    def copy(progress):
        copies[progress.step] = shutil.copytree(root / "run", root / str(progress.step))

    run = run_spec(Spec.of(FILMED), root / "run", [Watching(copy)])
    assert len(run.boundary_frames.steps) > 8
    # How many steps run at a time depends on the speed of the machine.
    assert copies.keys() >= {1, *range(3, 19, 3)}
    return root / "run", copies


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_film_probes_and_records(filmed, tmp_path):
    whole, copies = filmed
    for step in copies:
        copy = shutil.copytree(copies[step], tmp_path / str(step))
        assert not (copy / "frames.safetensors").exists()
        resume_run(copy)
        assert recorded_in(copy) == recorded_in(whole), copy.name
        assert {path.name for path in copy.iterdir()} == {path.name for path in whole.iterdir()}


@pytest.mark.slow
def test_a_resumed_training_that_is_killed_loses_nothing_of_the_first(filmed, tmp_path):
    whole, _ = filmed
    first = run_spec(Spec.of(FILMED), tmp_path / "run", [Watching(press(lambda progress: progress.step > 6))])
    assert first.interrupted
    copies = []

    def copy(progress):
        copies.append(shutil.copytree(tmp_path / "run", tmp_path / str(progress.step)))

    before = {path.relative_to(tmp_path / "run") for path in (tmp_path / "run").rglob("*")}
    resume_run(tmp_path / "run", callbacks=[Watching(copy)])
    assert recorded_in(tmp_path / "run") == recorded_in(whole)
    left = {path.relative_to(copies[0]) for path in copies[0].rglob("*")}
    assert {str(path) for path in before - left} <= {"result.json"}
    assert len(copies) >= 3
    for copy in copies:
        with pytest.raises(InputError, match="thalweg train --resume"):
            load(copy)
        resume_run(copy)
        assert recorded_in(copy) == recorded_in(whole), copy.name


def test_killed_before_the_first_checkpoint_it_begins_anew(filmed, tmp_path):
    whole, copies = filmed
    shutil.copytree(copies[1], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints", ignore_errors=True)
    with pytest.raises(InputError, match="changed"):
        resume_run(tmp_path / "run", ["training.seed=5"])
    resume_run(tmp_path / "run")
    assert recorded_in(tmp_path / "run") == recorded_in(whole)


@pytest.mark.parametrize("missing", ["report.html", "result.json", "checkpoints/final.json"])
@pytest.mark.parametrize("how", ["removed", "torn"])
@pytest.mark.slow
def test_what_is_missing_of_a_run_that_has_ended_is_written(missing, how, filmed, tmp_path):
    whole, _ = filmed
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    with pytest.raises(InputError, match="complete"):
        resume_run(folder)
    content = (folder / missing).read_bytes()
    if how == "removed":
        (folder / missing).unlink()
    else:
        (folder / missing).write_bytes(content[: len(content) // 2])
    (folder / ".report.html.1.part").write_bytes(b"half")
    assert resume_run(folder).history == load(whole).history
    assert recorded_in(folder) == recorded_in(whole)
    assert (folder / "report.html").read_bytes().rstrip().endswith(b"</html>")
    assert not list(folder.rglob(".*.part"))
    with pytest.raises(InputError, match="complete"):
        resume_run(folder)


def test_a_report_that_is_older_than_the_result_is_written_again(filmed, tmp_path):
    shutil.copytree(filmed[0], tmp_path / "run")
    os.utime(tmp_path / "run" / "report.html", (1, 1))
    resume_run(tmp_path / "run")
    assert (tmp_path / "run" / "report.html").stat().st_mtime > 1


# Two writers ----------------------------------------------------------------------------------------------------------


def test_records_that_two_writers_damaged_are_read_by_their_step(filmed, tmp_path):
    whole, copies = filmed
    copy = copies[12]
    folder = tmp_path / "run"
    shutil.copytree(copy, folder)
    for name in ("metrics.jsonl", "probes.jsonl", "frames.jsonl"):
        lines = (folder / name).read_bytes().splitlines(keepends=True)
        torn = lines[0][:20] + lines[-1] + lines[0][20:]
        (folder / name).write_bytes(b"".join([*lines[::-1], lines[1], torn, *lines[2:], lines[1][:30]]))
    assert read_records(folder / "metrics.jsonl") == read_records(copy / "metrics.jsonl")
    resume_run(folder)
    assert recorded_in(folder) == recorded_in(whole)


def test_an_older_checkpoint_with_all_its_records_goes_before_a_newer_one_without(filmed, tmp_path):
    whole, copies = filmed
    folder = tmp_path / "run"
    shutil.copytree(copies[18], folder)
    records = read_records(folder / "metrics.jsonl")
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    gap = len(records) - 1
    (folder / "metrics.jsonl").write_bytes(b"".join(lines[: gap - 1] + lines[gap:]))
    resume_run(folder)
    assert recorded_in(folder) == recorded_in(whole)


def test_a_gap_in_the_records_is_told_and_the_weights_are_the_same(filmed, tmp_path):
    whole, copies = filmed
    folder = tmp_path / "run"
    shutil.copytree(copies[18], folder)
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_bytes(b"".join(lines[1:]))
    run = resume_run(folder)
    assert run.history == load(whole).history[1:]
    assert any("1 epoch " in note for note in run.notes)
    assert recorded_in(folder) | {"metrics.jsonl": b""} == recorded_in(whole) | {"metrics.jsonl": b""}


def test_a_second_writer_is_refused_and_touches_nothing(filmed, tmp_path):
    _, copies = filmed
    folder = tmp_path / "run"
    shutil.copytree(copies[6], folder)
    seen = []

    def second(progress):
        before = files_of(folder)
        for write in (
            lambda: resume_run(folder),
            lambda: run_spec(Spec.of(FILMED), folder),
            lambda: load(filmed[0]).save(folder),
        ):
            with pytest.raises(InputError) as raised:
                write()
            seen.append(str(raised.value))
        assert files_of(folder) == before

    resume_run(folder, callbacks=[Watching(second)])
    assert seen
    assert all(f"process {os.getpid()} on" in said or "empty folder" in said for said in seen)
    assert recorded_in(folder) == recorded_in(filmed[0])


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right on Windows")
def test_checkpoints_behind_a_link_are_never_written_or_deleted(filmed, tmp_path):
    _, copies = filmed
    folder = tmp_path / "run"
    shutil.copytree(copies[9], folder)
    (folder / "checkpoints").rename(tmp_path / "elsewhere")
    (folder / "checkpoints").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / ".mine.part").write_text("mine")
    before = files_of(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="link"):
        resume_run(folder)
    with pytest.raises(InputError, match="link"):
        load(filmed[0]).write(folder)
    assert files_of(tmp_path / "elsewhere") == before


# Other signals --------------------------------------------------------------------------------------------------------

SAVING = [name for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGXCPU", "SIGBREAK") if hasattr(signal, name)]


@pytest.mark.parametrize("name", SAVING)
@pytest.mark.slow
def test_each_signal_saves(name, filmed, tmp_path):
    number = getattr(signal, name)
    stopped = run_spec(Spec.of(FILMED), tmp_path / "run", [Watching(press(lambda progress: progress.step > 4, number))])
    assert (stopped.interrupted, stopped.signal) == (True, number)
    assert f"by {name} after" in stopped.outcome
    assert newest(tmp_path / "run")[0].stem == f"step-{int(stopped.state.step):010}"
    resume_run(tmp_path / "run")
    assert recorded_in(tmp_path / "run") == recorded_in(filmed[0])


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system has no SIGHUP")
def test_what_the_process_was_started_to_ignore_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = run_spec(Spec.of(FILMED), tmp_path / "run", [Watching(press(lambda progress: True, signal.SIGHUP))])
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not run.interrupted


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 130), ("SIGHUP", 129), ("SIGUSR1", 138)])
def test_the_exit_code_names_the_signal(name, code):
    from thalweg.cli.output import interrupted_by

    if sys.platform != "linux":
        pytest.skip("signals have other numbers here")
    assert interrupted_by(getattr(signal, name)) == code
