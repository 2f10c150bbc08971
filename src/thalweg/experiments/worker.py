"""What a worker does: it runs one trial and gives back the run. It writes nothing."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from ..data import Data, Split
from ..runs import Run
from ..spec import WholeSpec, canonical
from ..trainer import run_on

# Trials of one seed come one after another and share their rows.
_loaded: dict[str, Split] = {}
_slots: list[FileLock] = []


def run_trial(key: str, spec: WholeSpec) -> tuple[str, Run | Exception]:
    """The run of a trial with its key; or the error that it ended with.

    An error is given back, not raised: what is raised by whoever carries the trials is thus never the trial's own.
    """
    try:
        return key, _without_rows(run_on(spec, _split_of(spec)))
    except Exception as error:
        return key, error


def run_pinned(key: str, spec: WholeSpec, slots: Path, shares: Sequence[Sequence[int]]) -> tuple[str, Run | Exception]:
    """`run_trial` in a process of its own, which keeps to one of the shares of the cores.

    Which one it is, a lock on a file in the folder `slots` decides, which a dead process lets go.
    """
    if not _slots:
        # Ctrl-C reaches every process of a terminal; who waits for the trials decides what it means.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        _pin(slots, shares)
    return run_trial(key, spec)


def _pin(slots: Path, shares: Sequence[Sequence[int]]) -> None:
    for number, cores in enumerate(shares):
        lock = FileLock(slots / str(number))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        _slots.append(lock)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        return


def forget_rows() -> None:
    """Let go of the rows that were kept for a next trial."""
    _loaded.clear()


def _split_of(spec: WholeSpec) -> Split:
    key = canonical({"data": spec.data.describe(), "seed": spec.training.seed})
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = spec.data.load(spec.training.seed)
    return _loaded[key]


def _without_rows(run: Run) -> Run:
    """The run with what a spec on a disk holds of its data."""
    spec = dataclasses.replace(run.spec, data=Data.of(run.spec.data.describe()))
    return dataclasses.replace(run, spec=spec, split=None)
