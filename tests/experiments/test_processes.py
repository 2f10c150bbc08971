"""A sweep that is stopped ends, even where the processes or the threads that serve its workers do not."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from thalweg.experiments import processes

STUCK = """
import sys, threading, time
import joblib.externals.loky.process_executor as executor
import thalweg.experiments.processes as processes

# What serves the workers waits for one of them that never answers, in a thread that the interpreter joins at its end.
processes._shut_down = lambda: time.sleep(600)
executor._ExecutorManagerThread.kill_workers = lambda *args, **settings: time.sleep(600)
threading.Thread(target=time.sleep, args=(600,)).start()
sys.argv = ["thalweg", "experiment", "momentum-and-rate", "--seeds", "4", "--jobs", "2", "--out", "sweep"]
sys.argv += ["--set", "training.epochs=100000"]
from thalweg.cli import program

program()
"""


def test_a_pool_that_does_not_shut_down_is_left(monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(processes, "_shut_down", never.wait)
    monkeypatch.setattr(processes, "_CLOSING_SECONDS", 0.2)
    began = time.monotonic()
    processes._Workers().close()
    assert time.monotonic() - began < 5
    never.set()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="LEFT OUT: Windows sends no Ctrl-C to another process")
def test_a_sweep_whose_workers_are_stuck_ends_after_two_interrupts(tmp_path):
    sweep = subprocess.Popen([sys.executable, "-c", STUCK], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert sweep.stderr.readline()
        time.sleep(3)
        for _ in range(2):
            sweep.send_signal(signal.SIGINT)
            time.sleep(0.3)
        began = time.monotonic()
        sweep.communicate(timeout=60)
        assert time.monotonic() - began < 10
        assert sweep.returncode == 130
    finally:
        sweep.kill()
