"""Sweeps whose workers, and whose own process, are killed at random moments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sweeps import ARMS, SEEDS, TABLES, contents, trials_in

from thalweg.experiments.compare import compare

# A process that has no threads, and has not imported JAX, forks sweeps and kills: kill -9 at a worker or at the sweep
# itself, at random moments, from the start of a worker to the end of the sweep. A killed sweep is started again.
KILLER = """
import atexit, json, os, random, signal, sys, time
from pathlib import Path
sys.path.append(sys.argv[1])
import polars, pydantic, sklearn.datasets
import joblib.externals.loky
from sweeps import TABLES, command_of, marked, stamps, trials_in, wait_for
from thalweg.experiments.experiment import Experiment
from thalweg.experiments.compare import run_experiment

root, sweeps, rng = Path(sys.argv[2]), int(sys.argv[3]), random.Random(int(sys.argv[4]))
assert "jax" not in sys.modules
experiment = Experiment.of(TABLES)
counts = dict.fromkeys(("sweeps", "workers killed", "retries", "sweeps killed", "went on"), 0)


def start(folder, mark, errors):
    child = os.fork()
    if not child:
        status = 1
        try:
            os.environ["SWEEP_MARK"] = mark
            for number in (1, 2):
                os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
            sys.stderr = open(2, "w")
            found = run_experiment(experiment, folder, 2)
            status = 0 if not found.failed else 3
        except BaseException as error:
            print(f"ended with {error!r}", file=sys.stderr, flush=True)
        finally:
            atexit._run_exitfuncs()
            os._exit(status)
    return child


def workers_of(mark):
    return [number for number in marked(mark) if "LokyProcess" in command_of(number)]


def has_ended(child):
    number, status = os.waitpid(child, os.WNOHANG)
    return (status,) if number else ()


def after_a_while():
    # At once, while a worker starts; by the clock, anywhere; or by what is finished, on machines of any speed.
    due = time.monotonic() + rng.choice([0, rng.uniform(0, 2)])
    return rng.choice([lambda: time.monotonic() >= due, after_some_trials()])


def after_some_trials():
    wanted, place = rng.randint(0, 10), folder / "trials"
    return lambda: len(list(place.glob("[!.]*"))) >= wanted


def disturbed(child, mark, kills, target, moment):
    # Wait for the end of a sweep, and kill that often: a worker some time after its start, or the sweep itself.
    lives, known, due, end = 1, set(), None, time.monotonic() + 90
    while not (status := has_ended(child)):
        assert time.monotonic() < end, "a sweep hangs"
        now = set(workers_of(mark))
        if now and not now & known:
            # Other processes than before: a new life.
            lives, known, due = lives + bool(known), now, moment()
        known |= now
        if now and due and kills and due():
            os.kill(child if target == "sweep" else rng.choice(list(now)), signal.SIGKILL)
            counts[f"{target}s killed"] += 1
            kills, due = kills - 1, None
        time.sleep(0.01)
    counts["retries"] += lives - 1
    return status[0]


for number in range(sweeps):
    folder, mark, errors = root / str(number), f"mark-{os.getpid()}-{number}-", root / f"{number}.err"
    kept = {}
    if number % 3 == 2:
        disturbed(start(folder, mark, root / f"{number}.first.err"), mark, 1, "sweep", after_some_trials)
        wait_for(lambda: not workers_of(mark), 10)
        kept = stamps([path for path in trials_in(folder) if not path.name.startswith(".")])
        counts["went on"] += 0 < len({path.parent for path in kept if path.name == "result.json"}) < 12
    status = disturbed(start(folder, mark, errors), mark, rng.choice([1, 1, 2]), "worker", after_a_while)
    output = errors.read_text() if errors.exists() else ""
    assert status == 0 and output == "", (number, status, output)
    wait_for(lambda: not marked(mark), 10)
    after = stamps(trials_in(folder))
    assert kept == {path: after.get(path) for path in kept}, number
    counts["sweeps"] += 1
print(json.dumps(counts))
"""


def storm(folder, sweeps, seed):
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(Path(__file__).parents[1] / "support"), str(folder), str(sweeps), str(seed)],
        **{"capture_output": True, "text": True},
    )
    assert done.returncode == 0, done.stderr
    undisturbed = {}
    compare(TABLES, jobs=1, folder=folder / "undisturbed", progress=False)
    undisturbed = {path.name: contents(path) for path in trials_in(folder / "undisturbed")}
    assert len(undisturbed) == ARMS * SEEDS
    for number in range(sweeps):
        found = {path.name: contents(path) for path in trials_in(folder / str(number))}
        assert found == undisturbed, number
    return json.loads(done.stdout)


@pytest.mark.slow
def test_sweeps_survive_kills_of_workers_and_sweeps(tmp_path):
    counts = storm(tmp_path, 30, seed=1)
    assert counts["sweeps"] == 30
    # With fewer of them the test would show little.
    assert counts["workers killed"] > 20
    assert counts["retries"] > 12
    assert counts["went on"] > 0
