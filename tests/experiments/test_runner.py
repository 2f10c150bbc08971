"""Trials in processes of this machine: results, cores, workers that die, interrupts, full disks."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars
import pytest
from sweeps import (
    ARMS,
    SEEDS,
    Shell,
    contents,
    stamps,
    tables,
    trials_in,
    wait_for,
    write_tables,
)

from thalweg.core.errors import InputError
from thalweg.core.machine import available_cores
from thalweg.experiments.compare import compare
from thalweg.experiments.experiment import Experiment
from thalweg.experiments.runner import run_missing, run_trials

LONG = {"epochs": 1000}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of the sweep, run in one process."""
    folder = tmp_path_factory.mktemp("undisturbed") / "sweep"
    compare(tables(), jobs=1, folder=folder, progress=False)
    return folder


def all_contents(folder):
    return {path.name: contents(path) for path in trials_in(folder)}


def table(folder):
    """The table of all trials, without columns that depend on the clock and the folder."""
    found = polars.read_csv(folder / "trials.csv")
    return found.drop([name for name in found.columns if name in ("seconds", "folder")]).sort("arm", "seed")


def some_finished(folder, count=1):
    return lambda: (folder / "trials").exists() and len(list((folder / "trials").glob("[!.]*"))) >= count


def test_the_time_left_is_told_from_trials_in_processes_that_run(tmp_path, monkeypatch):
    # The first trial takes 90 seconds, as one that compiles, and each other a second.
    messages = []
    monkeypatch.setattr("thalweg.experiments.runner.time", SimpleNamespace(monotonic=lambda: 90.0 + len(messages)))
    (tmp_path / "trials").mkdir()
    trials = Experiment.of(tables(training={"epochs": 1})).trials()
    run_missing(trials, tmp_path, jobs=1, watch=lambda message: messages.append(message.text))
    assert messages[:4] == [
        f"trial 0 of {ARMS * SEEDS}: starting",
        "trial 1 of 12",
        "trial 2 of 12",
        "trial 3 of 12, 0:09 left",
    ]
    assert messages[-1] == "trial 12 of 12, 0:00 left"


# The same in every way ------------------------------------------------------------------------------------------------


def test_two_processes_give_the_results_of_one_bit_for_bit(undisturbed, tmp_path):
    spec = write_tables(tmp_path / "sweep.toml")
    code, _, err = Shell(spec, "--jobs", 2, "--out", tmp_path / "two", "--quiet").ended()
    assert (code, err) == (0, "")
    assert len(all_contents(undisturbed)) == ARMS * SEEDS
    assert all_contents(tmp_path / "two") == all_contents(undisturbed)
    assert table(tmp_path / "two").equals(table(undisturbed))


def test_two_processes_give_the_results_of_one_for_compiled_trials(tmp_path):
    small = tables(training={"engine": "compiled", "epochs": 3}, seeds={"count": 1})
    for jobs in (1, 2):
        compare(small, jobs=jobs, folder=tmp_path / str(jobs), progress=False)
    assert all_contents(tmp_path / "1") == all_contents(tmp_path / "2")


def test_each_worker_keeps_to_its_own_cores_before_jax_is_imported(tmp_path):
    owner = os.getpid()

    def record_cores(x, y):
        import os
        import sys

        if os.getpid() != owner:
            threads = {frozenset(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")}
            (tmp_path / f"{os.getpid()}").write_text(
                repr(([sorted(thread) for thread in threads], "jax" in sys.modules))
            )
            # Wait until the other worker has got some trials too.
            import time

            time.sleep(1)
        return y

    x = np.random.default_rng(0).normal(size=(40, 2))
    y = np.arange(40) % 2
    spec = tables(data={"source": (x, y), "order": {"kind": "curriculum", "by": record_cores}}, seeds={"count": 2})
    trials = Experiment.of(spec).trials()
    found = []
    runs = tmp_path / "runs"
    runs.mkdir()
    assert run_trials(trials, runs, lambda trial, path: found.append((trial.key, path.name)), jobs=2) == {}
    assert sorted(found) == sorted((trial.key, trial.key) for trial in trials)
    records = [eval(path.read_text()) for path in tmp_path.iterdir() if path.is_file()]
    assert len(records) == 2
    assert not any(imported for _, imported in records)
    # All threads of a worker run on the same cores.
    (one,), (other,) = (threads for threads, _ in records)
    cores = available_cores()
    if len(cores) > 1:
        assert sorted(one + other) == cores


# Workers that die -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_worker_killed_during_a_trial_costs_only_a_retry(tmp_path):
    spec = write_tables(tmp_path / "sweep.toml", training=LONG, seeds={"count": 1})
    shell = Shell(spec, "--jobs", 2, "--out", tmp_path / "out", "--quiet")
    wait_for(some_finished(tmp_path / "out"), 60, shell.kill)
    before = set(shell.workers())
    kept = stamps(path for path in (tmp_path / "out" / "trials").glob("[!.]*"))
    os.kill(max(before), signal.SIGKILL)
    wait_for(lambda: set(shell.workers()) - before, 30, shell.kill)
    code, _, err = shell.ended(120)
    assert (code, err) == (0, "")
    assert len(all_contents(tmp_path / "out")) == ARMS
    assert kept
    after = stamps(trials_in(tmp_path / "out"))
    assert kept == {path: after[path] for path in kept}


@pytest.mark.slow
def test_a_worker_killed_while_it_hands_over_more_than_a_pipe_holds(tmp_path):
    spec = write_tables(
        tmp_path / "sweep.toml",
        network={"kind": "mlp", "hidden": [400, 400], "activation": "tanh"},
        training={"epochs": 1},
        seeds={"count": 1},
    )
    shell = Shell(spec, "--jobs", 2, "--out", tmp_path / "out", "--quiet")
    wait_for(lambda: len(shell.workers()) == 2, 30, shell.kill)
    # The parent is stopped until its workers have nothing left to do but to hand over their runs.
    os.kill(shell.process.pid, signal.SIGSTOP)

    def cpu_time():
        stats = [Path(f"/proc/{worker}/stat").read_text().split() for worker in shell.workers()]
        return sum(int(stat[13]) + int(stat[14]) for stat in stats)

    def at_rest():
        before = cpu_time()
        time.sleep(1.5)
        return cpu_time() - before < 20

    time.sleep(2)
    wait_for(at_rest, 60, shell.kill)
    for worker in shell.workers():
        os.kill(worker, signal.SIGKILL)
    os.kill(shell.process.pid, signal.SIGCONT)
    code, _, err = shell.ended()
    assert (code, err) == (0, "")
    assert len(all_contents(tmp_path / "out")) == ARMS


@pytest.mark.slow
def test_a_trial_that_kills_each_worker_fails_and_the_others_are_kept(tmp_path):
    owner = os.getpid()

    def deadly(x, y):
        import os

        if os.getpid() != owner:
            os._exit(7)
        return y

    x = np.random.default_rng(0).normal(size=(40, 2))
    y = np.arange(40) % 2
    orders = ["shuffled", {"kind": "curriculum", "by": deadly}]
    spec = tables(data={"source": (x, y)}, vary={"data.order": orders}, seeds={"count": 3})
    found = compare(spec, jobs=2, folder=tmp_path, progress=False)
    assert len(found.failed) == 3
    for error in found.failed.values():
        assert re.search(r"seed \d$", error.subject)
    assert [contents(path)["interrupted"] for path in trials_in(tmp_path)] == [False] * 3


def test_a_trial_that_cannot_run_fails_and_the_others_go_on(tmp_path):
    owner = os.getpid()

    def moody(x, y):
        import os

        from thalweg.core.errors import InputError

        if os.getpid() != owner:
            raise InputError("rows", "expected better ones")
        return y

    x = np.random.default_rng(0).normal(size=(40, 2))
    y = np.arange(40) % 2
    orders = ["shuffled", {"kind": "curriculum", "by": moody}]
    spec = tables(data={"source": (x, y)}, vary={"data.order": orders}, seeds={"count": 2})
    found = compare(spec, jobs=2, folder=tmp_path / "out", progress=False)
    assert [str(error) for error in found.failed.values()] == ["rows: expected better ones"] * 2
    assert len(trials_in(tmp_path / "out")) == 2


def test_errors_and_functions_survive_pickling():
    import cloudpickle

    from thalweg.core.errors import Problem
    from thalweg.data.orders import KeyFunction

    for error in (InputError("a", "b"), InputError("a", [Problem("x", "y"), Problem("", "z")])):
        copy = cloudpickle.loads(cloudpickle.dumps(error))
        assert (type(copy), str(copy), copy.problems) == (InputError, str(error), error.problems)
    copy = cloudpickle.loads(cloudpickle.dumps(KeyFunction(np.hypot)))
    assert (copy, copy.function) == ("hypot()", np.hypot)


# Ctrl-C ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.slow
def test_ctrl_c_leaves_no_process_and_the_same_command_continues(jobs, tmp_path, undisturbed):
    spec = write_tables(tmp_path / "sweep.toml", training=LONG, seeds={"count": 2})
    words = (spec, "--jobs", jobs, "--out", tmp_path / "out", "--quiet", "--set")
    shell = Shell(*words, "training.epochs=1000")
    wait_for(some_finished(tmp_path / "out"), 60, shell.kill)
    os.killpg(shell.process.pid, signal.SIGINT)
    code, out, err = shell.ended(30)
    assert (code, out) == (130, "")
    (line,) = err.splitlines()
    assert line.startswith("thalweg: interrupted; ")
    assert str(tmp_path / "out") in line
    kept = stamps(trials_in(tmp_path / "out"))
    assert 0 < len({path.parent for path in kept if path.name == "result.json"}) < 2 * ARMS
    code, _, err = Shell(*words, "training.epochs=1000").ended(120)
    assert (code, err) == (0, "")
    after = stamps(trials_in(tmp_path / "out"))
    assert kept == {path: after[path] for path in kept}
    assert len(all_contents(tmp_path / "out")) == 2 * ARMS


@pytest.mark.slow
def test_ctrl_c_at_many_moments(tmp_path):
    spec = write_tables(tmp_path / "sweep.toml")
    for number in range(20):
        shell = Shell(spec, "--jobs", 2, "--out", tmp_path / "out" / str(number), "--quiet")
        wait_for((tmp_path / "out" / str(number) / ".lock").exists, 60, shell.kill)
        time.sleep(0.15 * number)
        os.killpg(shell.process.pid, signal.SIGINT)
        code, _, err = shell.ended(30)
        # A shell reports a death by the signal as 130 too. Python dies so where the interrupt, though it was handled,
        # passed through C code (as in the import of an extension module), and where it is about to exit.
        assert code in (0, 130, -signal.SIGINT), (number, err)
        assert code == 0 or "thalweg: interrupted" in err or (tmp_path / "out" / str(number) / "report.html").exists()
        assert "Traceback" not in err, (number, err)
        assert "Warning" not in err


# Folders and disks ----------------------------------------------------------------------------------------------------


def test_a_second_process_in_the_same_folder_is_refused(tmp_path):
    spec = write_tables(tmp_path / "sweep.toml", training=LONG)
    first = Shell(spec, "--jobs", 1, "--out", tmp_path / "out", "--quiet")
    wait_for(some_finished(tmp_path / "out"), 60, first.kill)
    kept = stamps((tmp_path / "out" / "trials").glob("[!.]*"))
    with pytest.raises(InputError) as raised:
        compare(tables(), jobs=1, folder=tmp_path / "out", progress=False)
    assert raised.value.subject == str(tmp_path / "out")
    assert "another process" in str(raised.value)
    first.kill()
    assert first.ended()[0] == -signal.SIGKILL
    after = stamps((tmp_path / "out" / "trials").glob("[!.]*"))
    assert kept == {path: after[path] for path in kept}


LIMITED = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from thalweg.cli.shell import main
main()
"""


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.slow
def test_a_full_disk_is_one_message_and_finished_trials_are_kept(jobs, tmp_path):
    # The weights of the wide arm exceed the limit.
    spec = write_tables(tmp_path / "sweep.toml", vary={"network.hidden": [[4], [300, 300]]}, seeds={"count": 1})
    words = (spec, "--jobs", jobs, "--out", tmp_path / "out", "--quiet")
    code, out, err = Shell(*words, wrapper=("-c", LIMITED, "200000")).ended()
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[-1].startswith("thalweg: ")
    assert "File too large" in lines[-1]
    assert len(lines) <= 2
    assert all(str(tmp_path / "out") in line for line in lines[:-1])
    kept = stamps((tmp_path / "out" / "trials").glob("[!.]*"))
    code, _, err = Shell(*words).ended()
    assert (code, err) == (0, "")
    after = stamps(trials_in(tmp_path / "out"))
    assert kept == {path: after[path] for path in kept}
    assert len(all_contents(tmp_path / "out")) == 2


def test_only_new_trials_are_run(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 5},{i % 2}\n" for i in range(60)))
    data = {"source": str(file), "target": "y"}

    def run(**changes):
        compare(tables(data=data, training={"epochs": 2}, **changes), jobs=1, folder=tmp_path / "out", progress=False)
        return stamps(trials_in(tmp_path / "out"))

    first = run(seeds=1)
    more = run(seeds=2, vary={"optimizer": ["sgd 0.1", "adam 0.01", "sgd 0.5", "sgd 0.01"]})
    assert first == {path: more[path] for path in first}
    assert len(trials_in(tmp_path / "out")) == 8
    file.write_text(file.read_text().replace("3,3,1", "3,4,1"))
    other = run(seeds=1)
    assert more == {path: other[path] for path in more}
    assert len(trials_in(tmp_path / "out")) == 8 + ARMS


# Invalid input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({"vary": {"optimizer.learning_rate": [*(0.01 * n for n in range(1, 500)), -1.0]}}, "in 1 of 500 arms"),
        ({"vary": {"optimizer.lerning_rate": [0.1]}}, "learning_rate"),
        ({"seeds": 0}, "seeds"),
    ],
)
def test_all_trials_are_checked_before_the_first_starts(changes, value, tmp_path):
    with pytest.raises(InputError) as raised:
        compare(tables(optimizer="sgd 0.1", **changes), jobs=2, folder=tmp_path / "out", progress=False)
    assert value in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_no_jobs_are_refused(tmp_path):
    with pytest.raises(InputError) as raised:
        compare(tables(), jobs=0, folder=tmp_path / "out", progress=False)
    assert (raised.value.subject, "received 0" in str(raised.value)) == ("jobs", True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_after_the_time_limit_no_further_trial_is_handed_over(jobs, tmp_path, monkeypatch):
    trials = Experiment.of(tables()).trials()
    # An hour for each trial; trials themselves see the clock of the system.
    clock = [time.monotonic()]
    until = clock[0] + 3 * 3600
    received = []
    monkeypatch.setattr("thalweg.experiments.runner.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def finished(trial, path):
        assert (path / "result.json").exists()
        received.append(trial.key)
        clock[0] += 3600

    assert run_trials(trials, tmp_path, finished, jobs, until=until) == {}
    assert len(received) == len(set(received)) == 3
    assert run_trials(trials, tmp_path, finished, jobs, until=until) == {}
    assert len(received) == 3
