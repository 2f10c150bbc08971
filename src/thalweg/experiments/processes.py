"""Worker processes of this machine."""

from __future__ import annotations

import math
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType

from ..core.machine import available_cores
from .experiment import Trial
from .workers import TrialOutcome, WorkerContext, run_group_in_worker

# How often a sweep looks whether Ctrl-C was pressed.
_LOOK_SECONDS = 0.05
# The longest wait for the thread that serves the workers, and for the executor, at the end of a sweep. Each takes a
# fraction of a second.
_CLOSING_SECONDS = 4.0


@contextmanager
def local_workers(
    trials: Sequence[Trial[object]], jobs: int, folder: Path, until: float = math.inf
) -> Iterator[Callable[[Sequence[Sequence[Trial[object]]]], Iterator[TrialOutcome]]]:
    """A function that runs groups of the trials in `jobs` processes, each with its share of the cores.

    Trials are given up at the time `until`, as of `time.monotonic`. All processes are killed at the end, and at Ctrl-C,
    which raises KeyboardInterrupt.
    """
    from joblib import Parallel, delayed

    cores = available_cores()
    shares = [cores[number::jobs] or [cores[number % len(cores)]] for number in range(jobs)]
    context = WorkerContext(folder, os.getpid(), shares, {trial.key: trial.spec for trial in trials}, until)
    workers = _Workers()

    def run(groups: Sequence[Sequence[Trial[object]]]) -> Iterator[TrialOutcome]:
        workers.stop_if_asked()
        parallel = Parallel(
            *(jobs, "loky", "generator_unordered"),
            batch_size=1,
            initializer=WorkerContext.init_worker,
            initargs=(context,),
        )
        keys = [[trial.key for trial in group] for group in groups]
        yield from workers.outcomes(lambda: parallel(map(delayed(run_group_in_worker), keys)))

    with workers.asked_at_ctrl_c(), _quiet_processes(), warnings.catch_warnings():
        # Between two trials joblib restarts a worker whose memory has grown, which costs nothing.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
        # Trials are cancelled when the time is up.
        warnings.filterwarnings("ignore", r"\d+ tasks which were still being processed by the workers")
        warnings.filterwarnings("ignore", r"\d+ tasks have been successfully executed but")
        try:
            yield run
        finally:
            workers.close()
    workers.stop_if_asked()


class _Workers:
    """The worker processes of a sweep, and the wish to end it.

    An exception of a signal handler could leave joblib and its executor in any state, and so could the death of a
    worker: such as one that never ends. So they have a thread of their own, which is left where it does not end in
    time, and Ctrl-C raises nothing in them: it kills the workers, and becomes the interrupt here.
    """

    def __init__(self) -> None:
        self._others = set(multiprocessing.active_children())
        self._asked = False

    def outcomes(self, start: Callable[[], Generator[list[TrialOutcome]]]) -> Iterator[TrialOutcome]:
        """What the generator gives that `start` makes. Ctrl-C, and closing this one, kill the workers."""
        received: queue.SimpleQueue[TrialOutcome | BaseException | None] = queue.SimpleQueue()

        def serve() -> None:
            try:
                with _interrupts_blocked(), closing(start()) as outcomes:
                    for of_group in outcomes:
                        for outcome in of_group:
                            received.put(outcome)
                received.put(None)
            except BaseException as error:
                received.put(error)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        ended = False
        try:
            while not ended:
                self.stop_if_asked()
                with suppress(queue.Empty):
                    outcome = received.get(timeout=_LOOK_SECONDS)
                    ended = not isinstance(outcome, TrialOutcome)
                    if isinstance(outcome, BaseException):
                        self.stop_if_asked()
                        raise outcome
                    if outcome is not None:
                        yield outcome
        finally:
            until = time.monotonic() + _CLOSING_SECONDS
            while not ended and server.is_alive() and time.monotonic() < until:
                self._kill()
                server.join(_LOOK_SECONDS)

    @contextmanager
    def asked_at_ctrl_c(self) -> Iterator[None]:
        """In this block Ctrl-C asks the sweep to end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: FrameType | None) -> None:
            # Nothing else: a handler that takes a lock may interrupt the holder of this lock.
            self._asked = True

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def stop_if_asked(self) -> None:
        """Raise KeyboardInterrupt after Ctrl-C."""
        if self._asked:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Kill the workers, and wait a while for the threads that serve them."""
        self._kill()
        closing = threading.Thread(target=_shut_down, daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)

    def _kill(self) -> None:
        for process in multiprocessing.active_children():
            if process not in self._others and process.pid is not None:
                with suppress(OSError):
                    os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _shut_down() -> None:
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(kill_workers=True)


@contextmanager
def _quiet_processes() -> Iterator[None]:
    """Python processes that start in this block show no warnings: they share the terminal of their parent.

    One of them removes the files of workers that Ctrl-C has killed, and would warn of each.
    """
    sys.warnoptions.append("ignore")
    try:
        yield
    finally:
        sys.warnoptions.remove("ignore")


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
