"""What a worker does: it runs a trial, and writes the run into a folder that the parent process moves or reads."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from ..core.errors import InputError
from ..data import Split
from ..runs.train import run_session, run_together
from ..spec.differences import canonical_json
from ..spec.spec import CompleteSpec
from ..training.callbacks import TimeLimit
from ..training.session import Session
from .results import write_run

# How often a worker checks whether its parent is still alive.
_CHECK_SECONDS = 0.5


class TrialOutcome(NamedTuple):
    """How a trial ended.

    Attributes:
        key: the key of the trial.
        error: the exception that the training raised; None on success.
        write_error: why the run could not be written; empty on success.
        out_of_time: whether the time was up before the training had ended; there is no run then.
    """

    key: str
    error: Exception | None = None
    write_error: str = ""
    out_of_time: bool = False


@singledispatch
def record(work: object, path: Path, until: float) -> bool:
    """Train what a trial trains, and write the run into the folder `path`.

    The module that defines a kind of trial registers it here.
    Returns whether the training ended before the time `until`, as of `time.monotonic`. Raises whatever the training
    raises, `RunWriteError` where the run cannot be written, and KeyboardInterrupt at Ctrl-C.
    """
    raise TypeError(f"no trial trains {type(work).__name__}")


class RunWriteError(Exception):
    """The run of a trial cannot be written."""


@record.register
def _record_spec(spec: CompleteSpec, path: Path, until: float) -> bool:
    limit = TimeLimit(until)
    run = run_session(Session(spec, _split_of(spec)), callbacks=[limit])
    if run.interrupted:
        raise KeyboardInterrupt
    if limit.stop:
        return False
    try:
        write_run(path, run)
    except InputError as error:
        raise RunWriteError(str(error)) from error
    return True


def run_trial(key: str, spec: object, folder: Path, until: float = math.inf) -> TrialOutcome:
    """Run a trial and write its run into folder/key; at the time `until`, as of `time.monotonic`, it is given up.

    An exception of the training is returned. An exception that is raised while trials are carried out thus comes from
    the worker or its transport, never from a trial. Ctrl-C raises KeyboardInterrupt.
    """
    try:
        in_time = record(spec, folder / key, until)
    except RunWriteError as error:
        return TrialOutcome(key, write_error=str(error))
    except Exception as error:
        return TrialOutcome(key, error)
    return TrialOutcome(key, out_of_time=not in_time)


def run_group(members: Sequence[tuple[str, object]], folder: Path, until: float = math.inf) -> list[TrialOutcome]:
    """`run_trial` of a group of trials, keys with their works: as one program where device and rows allow it."""
    sessions = _joint_sessions([work for _, work in members])
    if not sessions:
        return [run_trial(key, work, folder, until) for key, work in members]
    limits = [TimeLimit(until) for _ in sessions]
    runs = run_together(sessions, [[limit] for limit in limits])
    if any(run.interrupted for run in runs):
        raise KeyboardInterrupt
    outcomes = []
    for (key, _), run, limit in zip(members, runs, limits, strict=True):
        outcome = TrialOutcome(key, out_of_time=bool(limit.stop))
        if not limit.stop:
            try:
                write_run(folder / key, run)
            except InputError as error:
                outcome = TrialOutcome(key, write_error=str(error))
        outcomes.append(outcome)
    return outcomes


def _joint_sessions(works: Sequence[object]) -> list[Session]:
    """The sessions of some works where they train as one program, otherwise none.

    A work whose rows cannot be loaded says so when it runs alone.
    """
    specs = [work for work in works if isinstance(work, CompleteSpec)]
    if len(specs) < max(2, len(works)):
        return []
    try:
        sessions = [Session(spec, _split_of(spec)) for spec in specs]
        for session in sessions:
            session.check()
        joins = len({session.structure for session in sessions}) == 1 and sessions[0].engine.platform == "cpu"
    except InputError:
        return []
    return sessions if joins else []


def run_trial_remotely(key: str, spec: object) -> tuple[TrialOutcome, dict[str, bytes]]:
    """`run_trial` on a machine that shares no folder with the parent: the files of the run are returned by name."""
    with tempfile.TemporaryDirectory(prefix="thalweg-") as name:
        outcome = run_trial(key, spec, Path(name))
        run_folder = Path(name) / key
        files = [path for path in run_folder.rglob("*") if path.is_file()]
        return outcome, {path.relative_to(run_folder).as_posix(): path.read_bytes() for path in files}


@dataclass(eq=False)
class WorkerContext:
    """State shared between the parent process and its workers on this machine.

    Specs reach the workers when they start, runs go through the folder. Only keys go through pipes: a worker that is
    killed while it writes a larger object would leave the parent waiting for the rest.

    Attributes:
        folder: the temporary folder for the runs; the parent moves each finished run out of it.
        parent: the process id of the parent.
        core_shares: the cores of each worker.
        specs: what each trial trains, by key.
        until: the time at which trials are given up, as of `time.monotonic`, which all processes of a machine share.
    """

    folder: Path
    parent: int
    core_shares: Sequence[Sequence[int]]
    specs: Mapping[str, object]
    until: float = math.inf

    def init_worker(self) -> None:
        """Start as a worker: exit when the parent exits, and use one share of the cores."""
        _contexts.append(self)
        # A worker shares the terminal of its parent; what its libraries warn of is not addressed to the user.
        warnings.simplefilter("ignore")
        threading.Thread(target=self._exit_with_parent, daemon=True).start()
        self._pin_to_cores()

    def _exit_with_parent(self) -> None:
        while os.getppid() == self.parent:
            time.sleep(_CHECK_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(1)

    def _pin_to_cores(self) -> None:
        """Use the first share that no living worker holds: a file lock, which the system releases at a death."""
        for number, cores in enumerate(self.core_shares):
            lock = FileLock(self.folder / f"share-{number}")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            _share_locks.append(lock)
            if hasattr(os, "sched_setaffinity") and os.path.isdir("/proc/self/task"):
                # The import of NumPy has started threads already, and they have to be pinned too.
                for thread in os.listdir("/proc/self/task"):
                    os.sched_setaffinity(int(thread), cores)
            return


# State of a worker process: its context, the lock on its share of the cores, and the rows of the last trial, which
# trials with the same seed reuse.
_contexts: list[WorkerContext] = []
_share_locks: list[FileLock] = []
_loaded: dict[str, Split] = {}


def run_group_in_worker(keys: Sequence[str]) -> list[TrialOutcome]:
    """Run a group of trials in a process that `WorkerContext.init_worker` has prepared."""
    context = _contexts[-1]
    return run_group([(key, context.specs[key]) for key in keys], context.folder, context.until)


def forget_rows() -> None:
    """Release the rows that are kept for the next trial."""
    _loaded.clear()


def _split_of(spec: CompleteSpec) -> Split:
    precision = spec.training.number_type
    key = canonical_json({"data": spec.data.describe(), "seed": spec.training.seed, "precision": precision})
    # A cluster may call this from several threads at a time, so the split is kept in a local variable.
    split = _loaded.get(key)
    if split is None:
        split = spec.data.load(spec.training.seed, precision=precision)
        _loaded.clear()
        _loaded[key] = split
    return split
