"""What the tests of experiments share: small sweeps, the shell as a process, and every process that it has started."""

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
ARMS, SEEDS = 3, 4


def tables(**sections):
    """The tables of the sweep, with sections that take the place of its own; a `training` is merged."""
    return {**TABLES, **sections, "training": TABLES["training"] | sections.get("training", {})}


def write_tables(path, **sections):
    """Write the tables of a sweep as a file, and return its path."""
    path.write_bytes(tomli_w.dumps(tables(**sections)).encode())
    return path


class Shell:
    """`thalweg experiment` in a process group of its own; it knows all that it has started, orphans too."""

    def __init__(self, *words, env=None, wrapper=("-m", "thalweg")):
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, *wrapper, "experiment", *map(str, words)],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True},
            env={**os.environ, **(env or {}), "SWEEP_MARK": self.mark},
        )

    def ended(self, seconds=60):
        """Exit code, stdout and stderr; it has to end within a time, and to leave no process behind."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        wait_for(lambda: not self.alive(), 5, self.kill)
        return self.process.returncode, out, err

    def alive(self, word=""):
        """The processes that carry the mark of this one, itself among them, and have a word in their command line."""
        return [number for number in marked(self.mark) if word in command_of(number)]

    def workers(self):
        """The processes that run trials."""
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
    """The command line of a process, empty when it has gone."""
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def wait_for(condition, seconds, otherwise=lambda: None):
    """Wait until something holds, and fail where it does not within a time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            otherwise()
            raise AssertionError(f"it did not come to pass within {seconds} s")
        time.sleep(0.02)


def trials_in(folder):
    """The folders of finished trials; there is nothing else beside them, hidden or not."""
    return sorted(path for path in (folder / "trials").iterdir() if path.name != ".writable")


def contents(folder):
    """All of a trial that says how it went, and nothing of when: the weights in bytes, records, measures."""
    result = read_result(folder)
    return {
        "weights": (folder / "checkpoints" / "final.safetensors").read_bytes(),
        "records": read_records(folder / "metrics.jsonl"),
        "spec": (folder / "spec.toml").read_bytes(),
        **{name: result[name] for name in ("measures", "diverged", "confusion", "interrupted")},
    }


def stamps(paths):
    """Inode and time of every file of some folders: what is the same was not touched."""
    files = [file for path in paths for file in sorted(path.rglob("*")) if file.is_file()]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}
