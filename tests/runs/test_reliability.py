"""What happens to a run's files when the process is killed, the disk is full, or nothing may be written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from sessions import Watching

import thalweg
from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.runs.resume import resume_run
from thalweg.runs.run_folder import list_runs, read_records
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec
from thalweg.spec.toml import to_toml
from thalweg.training.checkpoints import newest
from thalweg.training.saved_state import read_arrays

SPEC = {
    "data": {"source": "rings 60"},
    "network": {"layers": ["dense 4", "tanh", "dropout 0.2", "dense 2", "softmax"]},
    "optimizer": "adam 0.01",
    "training": {"epochs": 1_000_000, "batch_size": 16, "engine": "eager", "average": 0.9},
    "checkpoints": {"every": 1, "keep": 2},
}
STEPS_AN_EPOCH = 3


def spec_of(**training):
    return Spec.of({**SPEC, "training": SPEC["training"] | training})


# Killed ---------------------------------------------------------------------------------------------------------------

# A process that has no threads, and has not imported JAX, forks trainings and kills them: kill -9 at random moments,
# from the loading of the data to the middle of a write. Each training goes on where the one before was killed. It says
# over a pipe what is committed; the checkpoint may be newer than that, by no more than the epoch that was running.
KILLER = """
import json, os, random, select, signal, sys, time
from pathlib import Path
import polars, pydantic, sklearn.datasets
from thalweg.training.saved_state import read_arrays
from thalweg.runs.resume import resume_run
from thalweg.runs.train import run_spec
from thalweg.training.callbacks import Callback
from thalweg.training.checkpoints import newest
from thalweg.spec.spec import Spec

class Telling(Callback):
    def on_progress(self, progress):
        if progress.epoch_ended:
            os.write(its, f"{progress.step} ".encode())

folder, spec, kills = Path(sys.argv[1]), Spec.of(json.loads(sys.argv[2])), int(sys.argv[3])
assert "jax" not in sys.modules
rng, told, torn = random.Random(0), 0, 0
for kill in range(kills):
    ours, its = os.pipe()
    child = os.fork()
    if not child:
        try:
            if (folder / "checkpoints").exists():
                resume_run(folder, callbacks=[Telling()])
            else:
                run_spec(spec, folder, [Telling()])
        finally:
            os._exit(1)
    os.close(its)
    if kill % 2 == 0:
        # The first has to come so far that there is something to go on from. Of the others, half are killed while they
        # write, however long they take to begin.
        select.select([ours], [], [])
    time.sleep(rng.uniform(0, 0.08))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the training ended by itself"
    said = b""
    while part := os.read(ours, 1 << 16):
        said += part
    os.close(ours)
    told = max([told, *map(int, said.split())])
    torn += any(folder.rglob(".*.part"))
    path, _ = newest(folder)
    step = int(read_arrays(path)["state.step"])
    assert told <= step <= told + 3, (told, step)
    told = step
print(json.dumps({"step": step, "torn": torn}))
"""


def killed(folder, kills):
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(folder), json.dumps(SPEC), str(kills)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_as_never_killed(folder, step):
    """The newest checkpoint holds what a training of its length holds that nobody killed; half-written files go."""
    epochs = step // STEPS_AN_EPOCH
    settings = [f"training.epochs={epochs + 1}"]
    resumed = resume_run(folder, settings, accept_changes=True)
    assert not [path for path in folder.rglob("*") if path.name.endswith(".part")]
    assert len(list((folder / "checkpoints").glob("step-*"))) == 2 * SPEC["checkpoints"]["keep"]
    whole = run_spec(spec_of(epochs=epochs + 1))
    assert resumed.history == whole.history == read_records(folder / "metrics.jsonl")
    for (place, one), (_, other) in zip(arrays_of(resumed.state), arrays_of(whole.state), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=place)


def test_killed_at_random_moments_no_committed_epoch_is_lost(tmp_path):
    found = killed(tmp_path / "run", 20)
    assert_as_never_killed(tmp_path / "run", found["step"])


@pytest.mark.slow
def test_killed_at_two_hundred_random_moments(tmp_path):
    found = killed(tmp_path / "run", 200)
    # Some kills came in the middle of a write; else this would have shown little.
    assert found["torn"] > 0
    assert_as_never_killed(tmp_path / "run", found["step"])


# The disk is full, or refuses -----------------------------------------------------------------------------------------


class Failing:
    """A function of `os` that fails from its n-th call on where files of the run are concerned."""

    def __init__(self, real, after, number):
        self.real, self.left, self.number, self.failed = real, after, number, False

    def __call__(self, *arguments, **options):
        if self.left == 0:
            self.failed = True
            raise OSError(self.number, os.strerror(self.number))
        self.left -= 1
        return self.real(*arguments, **options)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param("fsync", errno.ENOSPC, id="full", marks=pytest.mark.slow),
        pytest.param("replace", errno.EACCES, id="denied", marks=pytest.mark.slow),
        pytest.param("unlink", errno.EROFS, id="read-only", marks=pytest.mark.slow),
    ],
)
def test_a_disk_that_fails_at_any_moment_is_told_and_what_was_written_stays_good(name, number, tmp_path, monkeypatch):
    spec, outcomes = spec_of(epochs=4), []
    real = getattr(os, name)
    for after in range(200):
        folder = tmp_path / str(after)
        failing = Failing(real, after, number)
        monkeypatch.setattr(os, name, failing)
        try:
            run_spec(spec, folder=folder)
        except InputError as error:
            outcomes.append(str(error))
        finally:
            monkeypatch.setattr(os, name, real)
        if not failing.failed:
            break
        assert len(outcomes) == after + 1, "silent success"
        assert str(folder) in outcomes[-1]
        assert os.strerror(number) in outcomes[-1]
        records = read_records(folder / "metrics.jsonl")
        if (folder / "checkpoints").exists() and any((folder / "checkpoints").glob("step-*.json")):
            path, _ = newest(folder)
            step = int(read_arrays(path)["state.step"])
            # The records may be one epoch ahead of the checkpoint, and never behind it.
            assert 0 <= len(records) - step // STEPS_AN_EPOCH <= 1
            if step < 4 * STEPS_AN_EPOCH or not (folder / "result.json").exists():
                assert len(resume_run(folder).history) == 4
    assert len(outcomes) > 3
    assert any(f"thalweg train --resume {tmp_path}" in said for said in outcomes)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.slow
def test_files_that_can_not_be_opened_are_told(number, tmp_path, monkeypatch):
    import builtins

    spec, real, told = spec_of(epochs=3), open, []
    for after in range(200):
        folder, left = tmp_path / str(after), [after]

        def opened(file, mode="r", *more, left=left, folder=folder, **options):
            if str(folder) in str(file) and set(mode) & set("wa"):
                left[0] -= 1
                if left[0] < 0:
                    raise OSError(number, os.strerror(number))
            return real(file, mode, *more, **options)

        monkeypatch.setattr(builtins, "open", opened)
        try:
            run_spec(spec, folder=folder)
        except InputError as error:
            told.append(str(error))
        finally:
            monkeypatch.setattr(builtins, "open", real)
        if left[0] >= 0:
            break
        assert len(told) == after + 1, "silent success"
        assert str(folder) in told[-1]
    assert len(told) > 5


LIMITED = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from thalweg.cli.shell import main
main()
"""


def limited(size, *words):
    """The shell in a process whose files cannot grow beyond `size` bytes."""
    command = [sys.executable, "-c", LIMITED, str(size), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_disk_that_fills_up_while_training_ends_it_with_exit_code_2(tmp_path):
    (tmp_path / "spec.toml").write_text(to_toml(spec_of(epochs=400)))
    # Room for the spec and the checkpoints, and not for the records of all epochs.
    done = limited(20_000, "train", tmp_path / "spec.toml", "--probes", "off", "--out", tmp_path / "run", "--quiet")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert os.strerror(errno.EFBIG) in done.stderr
    assert str(tmp_path / "run" / "metrics.jsonl") in done.stderr
    step = int(read_arrays(newest(tmp_path / "run")[0])["state.step"])
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    assert 0 <= len(records) - step // STEPS_AN_EPOCH <= 1
    (row,) = list_runs(tmp_path)
    assert "thalweg train --resume" in row.outcome
    # With room again it goes on to its end.
    assert len(resume_run(tmp_path / "run", ["training.epochs=300"], accept_changes=True).history) == 300


def test_no_room_for_a_single_checkpoint(tmp_path):
    (tmp_path / "spec.toml").write_text(to_toml(spec_of(epochs=5)))
    done = limited(1500, "train", tmp_path / "spec.toml", "--probes", "off", "--out", tmp_path / "run", "--quiet")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "safetensors" in done.stderr
    assert not any((tmp_path / "run").rglob("*.part"))
    # With room again it begins anew, since nothing was saved.
    resumed = thalweg.resume(tmp_path / "run", progress=False)
    assert resumed.history == run_spec(spec_of(epochs=5)).history


def test_resuming_what_may_not_be_written_is_told(tmp_path, monkeypatch):
    stopped = [False]

    def press(progress):
        if not stopped[0]:
            stopped[0] = True
            os.kill(os.getpid(), 2)

    run_spec(spec_of(epochs=5), tmp_path / "run", [Watching(press)])
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}

    def refused(path, *more, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "unlink", refused)
    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(InputError, match="Permission denied"):
        thalweg.resume(tmp_path / "run", progress=False)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_a_folder_that_is_read_only_is_told(readable, write_protected):
    run_spec(spec_of(epochs=2), folder=readable / "run")
    before = {path: path.read_bytes() for path in readable.rglob("*") if path.is_file()}
    with write_protected(readable):
        with pytest.raises(InputError, match="Permission denied"):
            resume_run(readable / "run", ["training.epochs=4"], accept_changes=True)
        with pytest.raises(InputError, match="cannot be used"):
            run_spec(spec_of(epochs=2), folder=readable / "other")
    assert {path: path.read_bytes() for path in readable.rglob("*") if path.is_file()} == before


# Records --------------------------------------------------------------------------------------------------------------


def test_records_that_were_cut_anywhere_are_read_up_to_the_cut_and_the_run_is_listed(tmp_path):
    run_spec(spec_of(epochs=4), folder=tmp_path / "runs" / "one")
    path = tmp_path / "runs" / "one" / "metrics.jsonl"
    content, records = path.read_bytes(), read_records(path)
    assert len(records) == 4
    ends = [0, *(index for index, byte in enumerate(content) if byte == ord("\n"))]
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        whole = sum(end <= length for end in ends[1:])
        assert read_records(path) == records[:whole]
        if length % 100 == 0:
            (row,) = list_runs(tmp_path / "runs")
            assert (row.name, row.epochs) == ("one", whole)
            assert row.outcome.startswith("Trained 4 epochs")


def test_records_that_can_not_be_read_are_told(tmp_path):
    run_spec(spec_of(epochs=1), folder=tmp_path / "one")
    path = tmp_path / "one" / "metrics.jsonl"
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"metrics.jsonl: .*received a folder"):
        read_records(path)
    (row,) = list_runs(tmp_path)
    assert "metrics.jsonl" in row.outcome
