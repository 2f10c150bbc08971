"""Worker processes of this machine."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

from .experiment import Trial
from .workers import TrialOutcome, WorkerContext, run_trial_in_worker


def available_cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


@contextmanager
def local_workers(
    trials: Sequence[Trial], jobs: int, folder: Path
) -> Iterator[Callable[[Sequence[Trial]], Iterator[TrialOutcome]]]:
    """A function that runs some of the trials in `jobs` processes, each with its share of the cores.

    All processes are killed at the end.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

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

    with warnings.catch_warnings():
        # Between two trials joblib restarts a worker whose memory has grown, which costs nothing.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
        # Trials are cancelled when the time is up.
        warnings.filterwarnings("ignore", r"\d+ tasks which were still being processed by the workers")
        warnings.filterwarnings("ignore", r"\d+ tasks have been successfully executed but")
        try:
            yield run
        finally:
            with _interrupts_blocked():
                get_reusable_executor(reuse=True).shutdown(kill_workers=True)


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
