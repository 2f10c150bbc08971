"""A process that was forked after JAX was loaded computes with NumPy, and never waits for threads that it lacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# In a process of its own: JAX and threads of this one would go with the fork. A child that hangs is killed by its
# alarm, so that nothing stays.
_START = """
import json, os, signal, sys
import numpy as np
from thalweg.core.errors import InputError
from thalweg.engine.eager import Eager
from thalweg.engine.engine import make_engine

def forked(answer):
    # What the function answers in a forked process.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(40)
        os.write(writer, json.dumps(answer()).encode())
        os._exit(0)
    os.close(writer)
    assert os.waitpid(child, 0)[1] == 0, "the child has hung"
    return json.loads(os.read(reader, 60_000))
"""


def told(script: str) -> tuple[dict, str]:
    """What a script in a process of its own prints as JSON, and its stderr."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-W", "ignore", "-c", _START + script]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=100)
        finally:
            # Workers of a pool outlive a parent that hangs.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors
    return json.loads(output), errors


def test_a_fork_of_a_process_that_has_trained_trains_with_numpy_and_this_is_said_once():
    answer, errors = told("""
from thalweg import MLPClassifier
x = np.random.default_rng(0).normal(size=(60, 3))
y = (x[:, 0] > 0).astype(int)
fit = lambda **options: MLPClassifier((4,), max_iter=4, random_state=0, tol=0, **options).fit(x, y)
parent = fit(engine="compiled")
def child():
    return [parent.predict_proba(x).tolist(), fit(engine="compiled").predict_proba(x).tolist()]
of_parent, of_child = forked(child)
print(json.dumps([parent.predict_proba(x).tolist(), of_parent, of_child]))
""")
    parent, of_parent, of_child = answer
    for row, same, trained in zip(parent, of_parent, of_child, strict=True):
        assert same == pytest.approx(row, abs=1e-6)
        assert trained == pytest.approx(row, abs=1e-4)
    assert errors.count("\n") == 1
    assert "spawn" in errors
    assert "loky" in errors


def test_the_engine_of_a_fork_has_the_precision_of_the_compiled_one():
    answer, _ = told("""
make_engine("compiled")
def child():
    engines = [make_engine("compiled"), make_engine("compiled", "float64"), make_engine("eager")]
    return [[isinstance(engine, Eager), engine.precision] for engine in engines]
print(json.dumps([forked(child), forked(lambda: forked(child))]))
""")
    assert answer == [[[True, "float32"], [True, "float64"], [True, "float64"]]] * 2


def test_an_engine_that_was_made_before_the_fork_and_a_gpu_are_input_errors():
    answer, _ = told("""
engine = make_engine("compiled")
ones = engine.place((np.ones(3),))
def child():
    refused = []
    for use in (
        lambda: engine.place((np.ones(3),)), lambda: engine.finite(ones), lambda: engine.call(np.square, ones[0]),
        lambda: engine.platform, lambda: make_engine("compiled", device="gpu"),
    ):
        try:
            use()
        except InputError as error:
            refused.append(str(error))
    return len(refused)
print(json.dumps([forked(child), bool(engine.finite(ones))]))
""")
    assert answer == [5, True]


def test_a_fork_of_a_process_without_jax_compiles():
    answer, errors = told("""
def child():
    engine = make_engine("compiled")
    return [type(engine).__name__, float(engine.fetch(engine.call(sum, engine.place((np.ones(()), np.ones(()))))))]
print(json.dumps(forked(child)))
""")
    assert answer == ["Compiled", 2.0]
    assert not errors


def test_a_grid_search_in_forked_processes_finds_what_one_process_finds():
    answer, _ = told("""
import joblib
from sklearn.model_selection import GridSearchCV
from thalweg import MLPClassifier
x = np.random.default_rng(0).normal(size=(90, 3))
y = (x[:, 0] + x[:, 1] > 0).astype(int)
model = MLPClassifier((4,), max_iter=30, random_state=0, learning_rate_init=0.05, engine="compiled")
scores = []
for backend in ("sequential", "multiprocessing"):
    with joblib.parallel_config(backend, n_jobs=2):
        scores.append(GridSearchCV(model, {"alpha": [1e-4, 10.0]}, cv=3).fit(x, y).cv_results_["mean_test_score"])
print(json.dumps([score.tolist() for score in scores]))
""")
    one, forked = answer
    # A row at the boundary may fall on the other side.
    assert forked == pytest.approx(one, abs=0.03)
    assert one[0] > 0.8
