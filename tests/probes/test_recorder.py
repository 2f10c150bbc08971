"""Probes look and change nothing; what they record is whole, the same on both engines, and goes on after a stop."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sessions import Watching

from thalweg.core.arrays import arrays_of
from thalweg.data import Data, EpochIndex, StreamedDataset
from thalweg.parts.settings import Full, Light
from thalweg.probes.recorder import ProbeCallback
from thalweg.runs.load import load
from thalweg.runs.resume import resume_run
from thalweg.runs.run_folder import read_records
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec
from thalweg.training.batch_plan import BatchPlan

# Probes change nothing ------------------------------------------------------------------------------------------------

RINGS = {"source": "rings 70"}
STREAM = np.random.default_rng(0)
# 2.4 MB as float32, held in pieces of 1 MB.
STREAM_X = STREAM.normal(size=(6000, 100)).astype(np.float32)
STREAM_Y = (STREAM_X[:, 0] > 0).astype(int)

PLAIN = {"network": {"layers": ["dense 4", "relu", "dense 2", "softmax"]}, "training": {"epochs": 3, "batch_size": 8}}
CASES = {
    "rings": PLAIN,
    "noise and batch statistics": {
        "network": {"layers": ["dense 4", "batch_norm", "tanh", "dropout 0.3", "dense 2", "softmax"]},
        "training": {"epochs": 3, "batch_size": 8},
    },
    "accumulate, clip, average": {
        **PLAIN,
        "training": {"epochs": 3, "batch_size": 8, "accumulate": 2, "clip": "global_norm 0.1", "average": 0.9},
        "regularization": {"l2": 0.01, "weight_decay": 0.01, "max_norm": 1.0},
    },
    "full batch": {**PLAIN, "optimizer": "gradient_descent 0.5", "training": {"epochs": 6}},
    "adaptive rate": {
        **PLAIN,
        "optimizer": {"kind": "momentum", "learning_rate": {"kind": "plateau", "initial": 2.0, "patience": 0}},
        "training": {"epochs": 6, "batch_size": 8},
    },
    "best weights": {**PLAIN, "optimizer": "adam 0.5", "training": {"epochs": 30}, "stopping": {"patience": 2}},
}
# What takes long to compile, in one.
CASES["together"] = {
    **CASES["accumulate, clip, average"],
    "network": CASES["noise and batch statistics"]["network"],
    "optimizer": CASES["adaptive rate"]["optimizer"],
    "stopping": {"patience": 2},
}
CASES["streamed"] = {
    "data": {"source": (STREAM_X, STREAM_Y), "memory": 1, "test": 0.0, "validation": 0.0},
    "network": {"layers": ["dense 3", "relu", "dense 2", "softmax"]},
    "training": {"epochs": 2, "batch_size": 100},
}
PRESETS = ["light", "light 1", "standard 2", "full 3"]


@pytest.fixture(autouse=True)
def disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def spec_of(case, engine="eager", probes="off", **training):
    sections = {"data": RINGS, **case, "probes": probes}
    return Spec.of(sections | {"training": {**sections["training"], "engine": engine, **training}})


@functools.cache
def bare(case, engine):
    return run_spec(spec_of(CASES[case], engine))


def assert_same_run(found, expected):
    """The same bytes in the state that answers, and the same records of the epochs."""
    arrays = dict(arrays_of(found.state))
    others = dict(arrays_of(expected.state))
    assert arrays.keys() == others.keys()
    for place, array in arrays.items():
        assert np.asarray(array).tobytes() == np.asarray(others[place]).tobytes(), place
    assert found.history == expected.history
    assert found.measures == expected.measures


@pytest.mark.parametrize("probes", PRESETS)
@pytest.mark.parametrize("case", CASES)
def test_probes_change_no_training_in_numpy(case, probes):
    run = run_spec(spec_of(CASES[case], "eager", probes))
    assert run.records
    assert_same_run(run, bare(case, "eager"))


@pytest.mark.parametrize(
    ("case", "probes"),
    [
        ("rings", "light 1"),
        ("rings", "standard 2"),
        ("together", "full 3"),
        ("full batch", "standard 2"),
        ("streamed", "full 7"),
    ],
)
def test_probes_change_no_compiled_training(case, probes):
    run = run_spec(spec_of(CASES[case], "compiled", probes))
    assert run.records
    assert_same_run(run, bare(case, "compiled"))


def test_the_cases_do_what_they_are_named_for():
    assert isinstance(Data.of(CASES["streamed"]["data"]).load(0).train, StreamedDataset)
    assert bare("full batch", "eager").per_epoch == 1
    assert len({record["learning_rate"] for record in bare("adaptive rate", "eager").history}) > 1
    assert len(bare("best weights", "eager").history) < 30
    assert np.mean([record["clipped"] for record in bare("accumulate, clip, average", "eager").history]) > 0


# What is recorded -----------------------------------------------------------------------------------------------------


def close(one, other, place=""):
    """The same names, and the same numbers to 1e-5: of six digits the last one may differ."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for name in one:
            close(one[name], other[name], f"{place}.{name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), place
        for index, pair in enumerate(zip(one, other, strict=True)):
            close(*pair, f"{place}[{index}]")
    elif one is None or other is None:
        assert one is other, (place, one, other)
    else:
        assert one == pytest.approx(other, rel=1e-5, abs=1e-5), place


def test_both_engines_record_the_same():
    one, other = (
        run_spec(spec_of(CASES["together"], engine, "full 4", precision="float64", epochs=2)).records
        for engine in ("eager", "compiled")
    )
    close(one, other)


@pytest.mark.parametrize("every", [1, 7, 20])
def test_every_n_steps_are_looked_at_from_the_first_one_on(every):
    run = run_spec(spec_of(PLAIN, probes=f"light {every}", epochs=5))
    steps = 5 * run.per_epoch
    assert [record["step"] for record in run.records] == list(range(0, steps, every))
    np.testing.assert_array_equal(run.observations.steps, np.arange(0, steps, every))


def recorder_of(every):
    data = Data.of(RINGS).load(0).train
    return ProbeCallback(Light(every), BatchPlan(data, None, EpochIndex(0, 0, 3, 8), 8), ())


@given(st.integers(1, 50), st.integers(0, 1000))
def test_due_is_the_first_multiple_of_the_cadence_that_is_not_past(every, step):
    due = recorder_of(every).next_step(step)
    assert due % every == 0
    assert step <= due < step + every


def test_the_end_is_recorded_and_what_is_rare_at_every_fifth_look():
    run = run_spec(spec_of(PLAIN, probes="full 2", epochs=3))
    looks = run.records[:-1]
    end = run.records[-1]
    assert end["step"] == 3 * run.per_epoch
    assert (end["whole"], list(end["layers"])) == ({}, ["dead_over_set"])
    for number, record in enumerate(looks):
        assert ("largest_eigenvalue" in record["whole"]) == (number % 5 == 0)
        assert ("dead_over_set" in record["layers"]) == (number % 5 == 0)
    seen = run.observations
    assert np.isfinite(seen["largest_eigenvalue"]).tolist() == [n % 5 == 0 for n in range(len(looks))] + [False]


def test_the_next_gradient_is_known_within_an_epoch_or_of_a_full_batch():
    run = run_spec(spec_of(PLAIN, probes="standard 1"))
    for record in run.records[:-1]:
        last = (record["step"] + 1) % run.per_epoch == 0
        assert (record["whole"]["gradient_cosine"] is None) == last
        assert (record["whole"]["step_length"] is None) == last
    full = run_spec(spec_of(CASES["full batch"], probes="standard 1"))
    assert all(record["whole"]["gradient_cosine"] is not None for record in full.records[:-1])


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_units_dead_over_the_set_are_those_of_numpy(engine):
    """More rows than go into one batch; a unit that a single row, the very last one, keeps alive."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 3)).astype(np.float32)
    x[-1] = 100.0
    bias = {"kind": "given", "values": (0, -3.5, -50, -1e4)}
    weights = {"kind": "given", "values": ((1, 1, 1, 1), (1, 0, 1, 0), (0, 0, 1, 0))}
    layers = [{"kind": "dense", "width": 4, "init": weights, "bias_init": bias}, "relu", "dense 2", "softmax"]
    sections = {
        "data": {
            "source": (x, (x[:, 0] > 0).astype(int)),
            "scale": "none",
            "test": 0.0,
            "validation": 0.0,
            "order": "fixed",
        },
        "network": {"layers": layers},
        "optimizer": "sgd 1e-9",
        "training": {"epochs": 1, "batch_size": 1000},
    }
    run = run_spec(spec_of(sections, engine, "full 1"))
    W = np.array(weights["values"])
    b = np.array(bias["values"])
    dead = [float(np.mean((x[rows] @ W + b <= 0).all(axis=0))) for rows in (slice(0, 1000), slice(None))]
    assert dead == [0.75, 0.25]
    assert run.records[0]["layers"]["dead"] == [None, dead[0], None, None]
    for record in (run.records[0], run.records[-1]):
        assert record["layers"]["dead_over_set"] == [None, dead[1], None, None]


def test_streamed_rows_are_all_asked_whether_a_unit_is_dead():
    case = {
        **CASES["streamed"],
        "network": {"layers": ["dense 40", "relu", "dense 2", "softmax"], "bias_init": "constant -4.5"},
    }
    run = run_spec(spec_of(case, probes="full 100"))
    rows = np.concatenate([part.x for part in run.split.train.parts()])
    for record, network in ((run.records[0], run.network.initialize(0, (100,)).params), (run.records[-1], run.params)):
        W, b = network[0]
        dead = (rows.astype(float) @ W + b <= 0).all(axis=0).mean()
        assert 0 < dead < 1
        assert record["layers"]["dead_over_set"][1] == pytest.approx(dead, abs=1e-6)


# In the folder of a run -----------------------------------------------------------------------------------------------


def press(step):
    """A watch that presses Ctrl-C, once, after a number of steps."""
    pressed = []

    def watch(progress):
        if progress.step >= step and not pressed:
            pressed.append(progress.step)
            os.kill(os.getpid(), signal.SIGINT)

    return watch


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "validation"), [("eager", 0.0), ("eager", 0.1), ("compiled", 0.1)])
def test_a_training_that_was_stopped_has_the_records_of_one_that_was_not(engine, validation, tmp_path):
    case = {
        **CASES["noise and batch statistics"],
        "data": {**RINGS, "validation": validation},
        "checkpoints": {"every": 4},
    }
    spec = spec_of(case, engine, "standard 1", epochs=6)
    whole = run_spec(spec, folder=tmp_path / "whole")
    stopped = run_spec(spec, tmp_path / "run", [Watching(press(1))])
    steps = {int(stopped.state.step)}
    while stopped.interrupted and len(steps) < 4:
        stopped = resume_run(tmp_path / "run", callbacks=[Watching(press(1))])
        steps.add(int(stopped.state.step))
    # Each part ends after its first stretch, of one step: within the first epoch.
    assert steps == {1, 2, 3, 4}
    resumed = resume_run(tmp_path / "run")
    assert resumed.records == whole.records
    assert (tmp_path / "run" / "probes.jsonl").read_bytes() == (tmp_path / "whole" / "probes.jsonl").read_bytes()


def test_a_training_stopped_between_epochs_of_a_block_has_the_same_records(tmp_path):
    case = {**PLAIN, "data": {**RINGS, "validation": 0.0}, "checkpoints": {"every": 50}}
    spec = spec_of(case, "eager", "standard 1", epochs=8)
    whole = run_spec(spec, folder=tmp_path / "whole")
    stopped = run_spec(spec, tmp_path / "run", [Watching(press(whole.per_epoch))])
    assert stopped.state.step == whole.per_epoch
    assert resume_run(tmp_path / "run").records == whole.records


def test_the_file_of_a_run_holds_its_records(tmp_path):
    run = run_spec(spec_of(PLAIN, probes="standard 3"), folder=tmp_path / "run")
    loaded = load(tmp_path / "run")
    assert read_records(tmp_path / "run" / "probes.jsonl") == list(run.records)
    assert loaded.records == run.records
    assert loaded.observations.layers == ("1: dense 4", "2: relu", "3: dense 2", "4: softmax")
    for name, values in (run.observations.whole | run.observations.by_layer).items():
        np.testing.assert_array_equal(loaded.observations[name], values)
    assert loaded.observations.per_epoch == run.per_epoch
    # A crash while the last line is written.
    path = tmp_path / "run" / "probes.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    assert load(tmp_path / "run").records == run.records[:-1]
    # A run saved later has them too.
    again = dataclasses.replace(run, folder=None).save(tmp_path / "saved")
    assert load(again).records == run.records


def test_without_probes_there_is_no_file(tmp_path):
    run = run_spec(spec_of(PLAIN), folder=tmp_path / "run")
    assert run.records == load(tmp_path / "run").records == ()
    assert not (tmp_path / "run" / "probes.jsonl").exists()
    assert len(run.observations) == 0


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_training_that_diverges_keeps_its_records_up_to_the_fault(engine, tmp_path):
    rng = np.random.default_rng(0)
    case = {
        "data": {"source": (rng.normal(size=(50, 2)), rng.normal(size=(50, 2))), "test": 0.0, "validation": 0.0},
        "network": {"layers": ["dense 4", "relu", "dense 2"]},
        "optimizer": "sgd 1e4",
        "training": {"epochs": 300, "batch_size": 10},
    }
    run = run_spec(spec_of(case, engine, "full 1"), folder=tmp_path / "run")
    assert run.diverged
    losses = [record["whole"]["loss"] for record in run.records]
    assert len(losses) >= 2
    # None after the first one that is none.
    assert all(loss is not None for loss in losses[:-1])
    assert [record["step"] for record in run.records] == list(range(len(losses)))

    def refuse(token):
        raise AssertionError(token)

    lines = (tmp_path / "run" / "probes.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=refuse) for line in lines] == list(run.records)
    assert load(tmp_path / "run").records == run.records


# From the shell -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probes", "said"),
    [("nonsense", "unknown probes 'nonsense'"), ("light 0", "every"), ("standard 2 3", "at most 1 options")],
)
def test_bad_probes_are_one_message(probes, said, tmp_path):
    command = [sys.executable, "-m", "thalweg", "train", "rings", "--probes", probes, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_misspelt_option_in_a_file_is_one_message(tmp_path):
    (tmp_path / "spec.toml").write_text('probes = { kind = "standard", evry = 5 }\n[data]\nsource = "rings"\n')
    command = [sys.executable, "-m", "thalweg", "train", "spec.toml", "--out", "run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "probes.evry" in done.stderr
    assert "did you mean 'every'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_shell_turns_probes_on(tmp_path):
    words = ["train", "rings", "--epochs", "2", "--engine", "eager", "--probes", "standard 5", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "thalweg", *words, "--out", "run"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    seen = load(tmp_path / "run")
    assert seen.spec.probes.describe() == {"kind": "standard", "every": 5}
    assert not isinstance(seen.spec.probes, Full)
    assert np.isfinite(seen.observations["effective_rank"][0, 1])
