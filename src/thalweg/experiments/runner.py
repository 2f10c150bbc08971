"""Where trials run: in this process, in processes of this machine, or on a cluster."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import socket
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from urllib.parse import urlsplit

from ..core.errors import InputError
from ..core.files import commit
from .experiment import Trial
from .processes import available_cores
from .workers import Answer, Desk, forget_rows, run_settled, run_trial, send_trial

CLUSTER_SECONDS = 10.0
"""How long a cluster may take to answer."""

# A worker may die of what has nothing to do with its trial: a trial that was there is tried again, alone, so often.
_TRIES_ALONE = 2
# Where worker after worker dies and no trial is finished in between, so often, it is not the trials.
_FRUITLESS_ROUNDS = 3
_RAY_TRIES = 3
# Ray hands out a list of tasks and gives it back as a whole: lists this long for each worker keep what is lost small.
_TASKS_EACH = 4

_Runner = Callable[[Sequence[Trial]], Iterator[Answer]]
# A cluster shares no folder: it sends the files of a run.
_Sent = tuple[Answer, dict[str, bytes]]
_Sender = Callable[[Sequence[Trial]], Iterator[_Sent]]


def run_trials(
    trials: Sequence[Trial],
    folder: Path,
    finished: Callable[[Trial, Path], None],
    jobs: int | None = None,
    cluster: str | None = None,
    until: float = math.inf,
) -> dict[str, InputError]:
    """Run all trials, and hand over the folder of each run as it comes, once and in this process.

    The folders are made below `folder`, and are the receiver's. Returns the errors of the trials that could not run.

    A worker that dies costs the trials that were running another try, each alone; one whose workers die again could
    not run. `jobs` is the number of processes; None: one for each core. `cluster` is the address of a Dask or Ray
    cluster. After `until`, a time of `time.monotonic`, no further trial is waited for. Raises InputError where there is
    no such cluster, and where workers die again and again without finishing a trial; KeyboardInterrupt at Ctrl-C.
    """
    missing, failed = {trial.key: trial for trial in trials}, {}

    def over() -> bool:
        return time.monotonic() >= until

    def collect(run: _Runner, some: Sequence[Trial]) -> None:
        with closing(_answers(run, some)) as answers:
            for key, error, unwritten in answers:
                trial = missing.pop(key, None)
                if trial is None:
                    continue
                if unwritten:
                    raise InputError(str(folder), f"what a trial has found can not be written: {unwritten}")
                if isinstance(error, InputError):
                    failed[key] = error
                elif error:
                    raise error
                else:
                    finished(trial, folder / key)
                if over():
                    return

    def alone(run: _Runner, trial: Trial) -> None:
        for tries in range(_TRIES_ALONE):
            try:
                collect(run, [trial])
                return
            except _WorkerLostError as lost:
                if tries + 1 == _TRIES_ALONE:
                    failed[trial.key] = _gave_up(missing.pop(trial.key), lost)

    fruitless = 0
    with _workers(trials, folder, cluster, min(jobs or len(available_cores()), len(trials))) as (run, width):
        while missing and fruitless < _FRUITLESS_ROUNDS and not over():
            done = len(trials) - len(missing) - len(failed)
            try:
                collect(run, list(missing.values()))
            except _WorkerLostError:
                # Trials begin one after another: those that were running are the first of the missing.
                for trial in list(missing.values())[:width]:
                    if not over():
                        alone(run, trial)
                fruitless = fruitless + 1 if len(trials) - len(missing) - len(failed) == done else 0
    if missing and not over():
        raise InputError(
            "experiment", f"workers die, whichever trial they run; {len(missing)} are left. {list(failed.values())[-1]}"
        )
    return failed


class _WorkerLostError(Exception):
    """What was carrying trials is gone; the message says what is known of that."""


def _answers(run: _Runner, trials: Sequence[Trial]) -> Generator[Answer]:
    try:
        yield from run(trials)
    except InputError:
        # This machine's disk.
        raise
    except Exception as error:
        # A trial gives its errors back: this is a worker's end, for which each kind of cluster has its own words.
        raise _WorkerLostError(f"{type(error).__name__}: {error}".splitlines()[0]) from error


def _gave_up(trial: Trial, lost: _WorkerLostError) -> InputError:
    fix = "look at the memory that it takes, and try it alone (--jobs 1); on a cluster thalweg must be installed"
    return InputError(f"{trial.arm.label}, seed {trial.seed}", f"each worker that ran it died ({lost}); {fix}")


@contextmanager
def _workers(trials: Sequence[Trial], folder: Path, cluster: str | None, jobs: int) -> Iterator[tuple[_Runner, int]]:
    """A function that runs trials and tells of each that has ended, and how many it runs at a time."""
    if cluster is None and jobs <= 1:
        try:
            yield lambda trials: (run_trial(trial.key, trial.spec, folder) for trial in trials), 1
        finally:
            forget_rows()
    elif cluster is None:
        with _local(trials, jobs, folder) as run:
            yield run, jobs
    else:
        with _connected(cluster) as (send, width):

            def received(trials: Sequence[Trial]) -> Iterator[Answer]:
                for answer, files in send(trials):
                    for name, content in files.items():
                        commit(folder / answer.key / name, content)
                    yield answer

            yield received, width


@contextmanager
def _local(trials: Sequence[Trial], jobs: int, folder: Path) -> Iterator[_Runner]:
    """Processes of this machine, each with its share of the cores; none is left behind."""
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    own = available_cores()
    shares = [own[number::jobs] or [own[number % len(own)]] for number in range(jobs)]
    desk = Desk(folder, os.getpid(), shares, {trial.key: trial.spec for trial in trials})

    def run(trials: Sequence[Trial]) -> Iterator[Answer]:
        parallel = Parallel(
            *(jobs, "loky", "generator_unordered"), batch_size=1, initializer=Desk.settle, initargs=(desk,)
        )
        with _unheard():
            answers = parallel(delayed(run_settled)(trial.key) for trial in trials)
        with closing(answers):
            yield from answers

    with warnings.catch_warnings():
        # A worker whose memory has grown is renewed between two trials, which costs nothing.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
        # So are trials that are given up when the time is over.
        warnings.filterwarnings("ignore", r"\d+ tasks which were still being processed by the workers")
        warnings.filterwarnings("ignore", r"\d+ tasks have been successfully executed but")
        try:
            yield run
        finally:
            with _unheard():
                get_reusable_executor(reuse=True).shutdown(kill_workers=True)


@contextmanager
def _unheard() -> Iterator[None]:
    """Processes and threads that start meanwhile do not hear of Ctrl-C: who waits for them decides what it means."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Its start, which else comes with that of the first worker, makes the thread hear of Ctrl-C again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _connected(cluster: str) -> Iterator[tuple[_Sender, int]]:
    """The workers of a cluster. Raises InputError where its address is none, or nobody answers there."""
    address = urlsplit(cluster)
    host, found = address.hostname, re.fullmatch(r".+:(\d{1,5})", address.netloc)
    port = int(found[1]) if found else 0
    if address.scheme not in _CLUSTERS or not host or not 0 < port < 1 << 16:
        raise InputError("cluster", f"expected dask://HOST:PORT or ray://HOST:PORT, received {cluster!r}")
    try:
        socket.create_connection((host, port), CLUSTER_SECONDS).close()
    except OSError as error:
        raise InputError(
            "cluster",
            f"nobody answered at {host}:{port} within {CLUSTER_SECONDS:g} s"
            f" ({error.strerror or error}); is it running, and is this the port for clients?",
        ) from error
    with ExitStack() as stack:
        try:
            workers = stack.enter_context(_CLUSTERS[address.scheme](host, port))
        except ImportError as error:
            raise InputError(
                "cluster", f"{address.scheme} is not installed here ({error}); pip install 'thalweg[{address.scheme}]'"
            ) from error
        except (OSError, RuntimeError) as error:
            # Where there is a traceback in the message, the reason is its end.
            lines = str(error).strip().splitlines() or [type(error).__name__]
            reason = " ".join(dict.fromkeys([lines[0], lines[-1]]))
            raise InputError(
                "cluster",
                f"{host}:{port} answers, and not as a {address.scheme} cluster that has workers"
                f" ({reason}); is this the port for clients?",
            ) from error
        yield workers


@contextmanager
def _dask(host: str, port: int) -> Iterator[tuple[_Sender, int]]:
    from distributed import Client
    from joblib import Parallel, delayed, effective_n_jobs, parallel_config

    def run(trials: Sequence[Trial]) -> Iterator[_Sent]:
        with parallel_config("dask", client=client):
            parallel = Parallel(return_as="generator_unordered", batch_size=1)
            yield from parallel(delayed(send_trial)(trial.key, trial.spec) for trial in trials)

    # A scheduler greets first. For one that never does, the client would wait without an end.
    with socket.create_connection((host, port), CLUSTER_SECONDS) as place:
        if not place.recv(1):
            raise ConnectionError("closed without a greeting")
    with Client(f"tcp://{host}:{port}", timeout=CLUSTER_SECONDS, set_as_default=False) as client:
        with parallel_config("dask", client=client):
            width = effective_n_jobs(-1)
        yield run, width


@contextmanager
def _ray(host: str, port: int) -> Iterator[tuple[_Sender, int]]:
    from joblib import Parallel, delayed, effective_n_jobs, parallel_config
    from ray.util.joblib import register_ray

    def run(trials: Sequence[Trial]) -> Iterator[_Sent]:
        with parallel_config("ray"), Parallel(-1, batch_size=1) as parallel:
            size = _TASKS_EACH * width
            for start in range(0, len(trials), size):
                some = trials[start : start + size]
                yield from parallel(delayed(send_trial)(trial.key, trial.spec) for trial in some)

    register_ray()
    with _ray_client(host, port):
        with parallel_config("ray"):
            width = effective_n_jobs(-1)
        yield run, width


def _ray_client(host: str, port: int) -> AbstractContextManager[object]:
    """A Ray cluster starts a server for each client. One that crashed, or came too late, says nothing of the next."""
    import ray

    connect = partial(ray.init, f"ray://{host}:{port}", logging_level=logging.ERROR, log_to_driver=False)
    for _ in range(_RAY_TRIES - 1):
        with suppress(ConnectionAbortedError):
            return connect()
    return connect()


_CLUSTERS = {"dask": _dask, "ray": _ray}
