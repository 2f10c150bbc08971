"""What a worker does: it runs one trial, and leaves the run as a folder where it is asked for."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from ..core.errors import InputError
from ..data import Split
from ..runs.train import run_session
from ..spec.differences import canonical_json
from ..spec.spec import CompleteSpec
from ..training.session import Session
from .results import write_run

# How often a worker looks whether there is still somebody who waits for it.
_LOOK_SECONDS = 0.5


class Answer(NamedTuple):
    """What is said of a trial that has ended: its key, the error that it ended with, and why its run can not be
    written, if so.
    """

    key: str
    error: Exception | None = None
    unwritten: str = ""


def run_trial(key: str, spec: CompleteSpec, folder: Path) -> Answer:
    """Run a trial, and write its run into folder/key.

    An error is given back, not raised: what is raised by whoever carries the trials is thus never the trial's own.
    Ctrl-C is a KeyboardInterrupt.
    """
    try:
        run = run_session(Session(spec, _split_of(spec)))
    except Exception as error:
        return Answer(key, error)
    if run.interrupted:
        raise KeyboardInterrupt
    try:
        write_run(folder / key, run)
    except InputError as error:
        return Answer(key, unwritten=str(error))
    return Answer(key)


def send_trial(key: str, spec: CompleteSpec) -> tuple[Answer, dict[str, bytes]]:
    """What `run_trial` does on a machine that shares no folder: the files of the run by their names are sent."""
    with tempfile.TemporaryDirectory(prefix="thalweg-") as name:
        answer, place = run_trial(key, spec, Path(name)), Path(name) / key
        files = [path for path in place.rglob("*") if path.is_file()]
        return answer, {str(path.relative_to(place)): path.read_bytes() for path in files}


@dataclass(eq=False)
class Desk:
    """Where a process and its workers hand things to each other: specs go there as they start, runs into the folder.

    Only keys go through their pipes: of something larger a worker may have sent the half when it is killed, and the
    other half would be waited for for ever. `shares` are the cores of each worker, `owner` is whose folder it is.
    """

    folder: Path
    owner: int
    shares: Sequence[Sequence[int]]
    specs: Mapping[str, CompleteSpec]

    def settle(self) -> None:
        """Begin as a worker: end when the owner ends, and keep to a share of the cores."""
        _settled.append(self)
        threading.Thread(target=self._follow, daemon=True).start()
        self._pin()

    def _follow(self) -> None:
        while os.getppid() == self.owner:
            time.sleep(_LOOK_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(1)

    def _pin(self) -> None:
        """Keep to the first share that no living worker has: a lock on a file, which a dead process lets go."""
        for number, cores in enumerate(self.shares):
            lock = FileLock(self.folder / f"share-{number}")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            _share.append(lock)
            if hasattr(os, "sched_setaffinity"):
                # Threads that NumPy has started when it was imported are not left out.
                for thread in os.listdir("/proc/self/task"):
                    os.sched_setaffinity(int(thread), cores)
            return


# The desk that this process works at, and the lock on its share; the rows of the last trial, for the next ones of its
# seed.
_settled: list[Desk] = []
_share: list[FileLock] = []
_loaded: dict[str, Split] = {}


def run_settled(key: str) -> Answer:
    """Run a trial in a worker that has settled."""
    desk = _settled[-1]
    return run_trial(key, desk.specs[key], desk.folder)


def forget_rows() -> None:
    """Let go of the rows that were kept for a next trial."""
    _loaded.clear()


def _split_of(spec: CompleteSpec) -> Split:
    key = canonical_json({"data": spec.data.describe(), "seed": spec.training.seed})
    # A worker of a cluster may have threads that do this at the same time.
    split = _loaded.get(key)
    if split is None:
        split = spec.data.load(spec.training.seed)
        _loaded.clear()
        _loaded[key] = split
    return split
