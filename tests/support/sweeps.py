"""Small sweeps for the tests of experiments, and `thalweg experiment` as a process with all its children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import tomli_w

from thalweg.runs.run_folder import read_records, read_result

TABLES = {
    "data": {"source": "rings 60"},
    "network": {"kind": "mlp", "hidden": [4], "activation": "tanh"},
    "training": {"epochs": 20, "batch_size": 16, "engine": "eager"},
    "vary": {"optimizer": ["sgd 0.1", "adam 0.01", "sgd 0.5"]},
    "seeds": {"count": 4},
}
ARMS = 3
SEEDS = 4


def tables(**sections):
    """The tables of the sweep with replaced sections; `training` is merged instead."""
    return {**TABLES, **sections, "training": TABLES["training"] | sections.get("training", {})}


def write_tables(path, **sections):
    """Write the tables of a sweep as a file, and return its path."""
    path.write_bytes(tomli_w.dumps(tables(**sections)).encode())
    return path


class Shell:
    """`thalweg experiment` in its own process group. It finds all processes that it started, also orphans."""

    def __init__(self, *words, env=None, wrapper=("-m", "thalweg")):
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, *wrapper, "experiment", *map(str, words)],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True},
            env={**os.environ, **(env or {}), "SWEEP_MARK": self.mark},
        )

    def ended(self, seconds=60):
        """Exit code, stdout and stderr. Fails where it does not end in time or leaves a process behind."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        wait_for(lambda: not self.alive(), 5, self.kill)
        return self.process.returncode, out, err

    def alive(self, word=""):
        """This process and its descendants, of those the ones with a word in their command line."""
        return [number for number in marked(self.mark) if word in command_of(number)]

    def workers(self):
        """The worker processes."""
        return self.alive("LokyProcess")

    def kill(self):
        """End all of them."""
        for number in self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def marked(mark):
    """The living processes whose environment holds a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
    return found


def command_of(number):
    """The command line of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def wait_for(condition, seconds, otherwise=lambda: None):
    """Wait until a condition holds; fail where it does not hold in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            otherwise()
            raise AssertionError(f"the condition did not hold within {seconds} s")
        time.sleep(0.02)


def trials_in(folder):
    """The folders of finished trials, and whatever else is there, hidden or not."""
    return sorted(path for path in (folder / "trials").iterdir() if path.name != ".writable")


def contents(folder):
    """The content of a trial that does not depend on the time: weights in bytes, records, spec, measures."""
    result = read_result(folder)
    return {
        "weights": (folder / "checkpoints" / "final.safetensors").read_bytes(),
        "records": read_records(folder / "metrics.jsonl"),
        "spec": (folder / "spec.toml").read_bytes(),
        **{name: result[name] for name in ("measures", "diverged", "confusion", "interrupted")},
    }


def stamps(paths):
    """Inode and modification time of every file of some folders: equal stamps mean untouched files."""
    files = [file for path in paths for file in sorted(path.rglob("*")) if file.is_file()]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}
