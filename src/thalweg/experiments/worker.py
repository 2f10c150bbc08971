"""What a worker does: it runs one trial and gives back the run."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
from filelock import FileLock, Timeout

from ..data import Data, Split
from ..runs import Run
from ..spec import WholeSpec, canonical
from ..trainer import run_on

Answer = tuple[str, Run | Exception]
"""The key of a trial, and its run or the error that it ended with."""

_SPECS = "specs"
# How often a worker looks whether there is still somebody who waits for it.
_LOOK_SECONDS = 0.5

# Trials of one seed come one after another and share their rows.
_loaded: dict[str, Split] = {}
_specs: dict[str, WholeSpec] = {}
_slot: list[FileLock] = []


def run_trial(key: str, spec: WholeSpec) -> Answer:
    """The run of a trial with its key; or the error that it ended with.

    An error is given back, not raised: what is raised by whoever carries the trials is thus never the trial's own.
    """
    try:
        return key, _without_rows(run_on(spec, _split_of(spec)))
    except Exception as error:
        return key, error


class Desk(NamedTuple):
    """A folder where a process and its workers hand things to each other: specs there, runs back.

    Only keys go through their pipes: of something larger a worker may have sent the half when it is killed, and the
    other half would be waited for for ever. `shares` are the cores of each worker, `owner` is whose folder it is.
    """

    folder: Path
    owner: int
    shares: Sequence[Sequence[int]]

    def lay(self, specs: Mapping[str, WholeSpec]) -> None:
        """Put down the specs of trials by their keys, for all workers."""
        self._put(_SPECS, specs)

    def take(self, key: str) -> Answer:
        """The answer of a worker that has finished, which is then no longer here."""
        answer: Answer = self._get(key)
        (self.folder / key).unlink()
        return answer

    def settle(self) -> None:
        """Begin as a worker: end when the owner ends, keep to a share of the cores, read the specs."""
        threading.Thread(target=self._follow, daemon=True).start()
        self._pin()
        _specs.update(self._get(_SPECS))

    def run(self, key: str) -> tuple[str, str]:
        """Run a trial, as a worker that has settled; its key, and why its answer can not be taken, if so."""
        try:
            self._put(key, run_trial(key, _specs[key]))
        except OSError as error:
            return key, error.strerror or str(error)
        return key, ""

    def _put(self, name: str, value: Any) -> None:
        with open(self.folder / name, "wb") as file:
            cloudpickle.dump(value, file)

    def _get(self, name: str) -> Any:
        with open(self.folder / name, "rb") as file:
            return pickle.load(file)

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
            _slot.append(lock)
            if hasattr(os, "sched_setaffinity"):
                # Threads that NumPy has started when it was imported are not left out.
                for thread in os.listdir("/proc/self/task"):
                    os.sched_setaffinity(int(thread), cores)
            return


def forget_rows() -> None:
    """Let go of the rows that were kept for a next trial."""
    _loaded.clear()


def _split_of(spec: WholeSpec) -> Split:
    key = canonical({"data": spec.data.describe(), "seed": spec.training.seed})
    # A worker of a cluster may have threads that do this at the same time.
    split = _loaded.get(key)
    if split is None:
        split = spec.data.load(spec.training.seed)
        _loaded.clear()
        _loaded[key] = split
    return split


def _without_rows(run: Run) -> Run:
    """The run with what a spec on a disk holds of its data."""
    spec = dataclasses.replace(run.spec, data=Data.of(run.spec.data.describe()))
    return dataclasses.replace(run, spec=spec, split=None)
