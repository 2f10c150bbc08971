"""Worker processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType

from .experiment import Trial
from .workers import TrialOutcome, WorkerContext, run_trial_in_worker

# The longest wait for the executor of an interrupted sweep; it takes a fraction of a second.
_CLOSING_SECONDS = 5.0


def available_cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


@contextmanager
def local_workers(
    trials: Sequence[Trial], jobs: int, folder: Path
) -> Iterator[Callable[[Sequence[Trial]], Iterator[TrialOutcome]]]:
    """A function that runs some of the trials in `jobs` processes, each with its share of the cores.

    All processes are killed at the end. Ctrl-C raises KeyboardInterrupt once; the next ones are ignored until then.
    """
    from joblib import Parallel, delayed

    cores = available_cores()
    shares = [cores[number::jobs] or [cores[number % len(cores)]] for number in range(jobs)]
    context = WorkerContext(folder, os.getpid(), shares, {trial.key: trial.spec for trial in trials})

    def run(trials: Sequence[Trial]) -> Iterator[TrialOutcome]:
        parallel = Parallel(
            *(jobs, "loky", "generator_unordered"),
            batch_size=1,
            initializer=WorkerContext.init_worker,
            initargs=(context,),
        )
        with _interrupts_blocked():
            outcomes = parallel(delayed(run_trial_in_worker)(trial.key) for trial in trials)
        with closing(outcomes):
            yield from outcomes

    others = multiprocessing.active_children()
    with _one_interrupt(), warnings.catch_warnings():
        # Between two trials joblib restarts a worker whose memory has grown, which costs nothing.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
        # Trials are cancelled when the time is up.
        warnings.filterwarnings("ignore", r"\d+ tasks which were still being processed by the workers")
        warnings.filterwarnings("ignore", r"\d+ tasks have been successfully executed but")
        try:
            try:
                yield run
            finally:
                _kill_workers(others)
        finally:
            # The one interrupt may have cut off the first attempt.
            _kill_workers(others)


def _kill_workers(others: Sequence[multiprocessing.process.BaseProcess]) -> None:
    """Kill all worker processes, and wait a while for the threads that serve them; `others` are other children.

    An interrupt may have left the executor in any state. It joins its workers when the interpreter exits, so that none
    of them may live on.
    """
    for process in multiprocessing.active_children():
        if process not in others and process.pid is not None:
            with suppress(OSError):
                os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    closing = threading.Thread(target=_shut_down, daemon=True)
    closing.start()
    closing.join(_CLOSING_SECONDS)


def _shut_down() -> None:
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(kill_workers=True)


@contextmanager
def _one_interrupt() -> Iterator[None]:
    """In this block Ctrl-C raises KeyboardInterrupt once: the next ones cannot cut off the cleaning up after it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes and threads that start in this block ignore Ctrl-C: the thread that waits for them handles it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The tracker starts with the first worker otherwise, and its start would unblock the signal in this thread.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
