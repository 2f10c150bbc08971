"""Workers of a Dask or Ray cluster."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

from ..core.errors import InputError
from ..core.files import commit
from .experiment import Trial
from .workers import TrialOutcome, run_trial_remotely

CLUSTER_SECONDS = 10.0
"""How long a cluster may take to answer."""

_RAY_ATTEMPTS = 3
# Ray accepts a list of tasks and returns it as a whole: with short lists a lost one costs little.
_RAY_TASKS_PER_WORKER = 4

# A cluster shares no folder: it returns the files of a run with its outcome.
_RemoteRunner: TypeAlias = Callable[[Sequence[Trial[object]]], Iterator[tuple[TrialOutcome, dict[str, bytes]]]]


class _Cluster(NamedTuple):
    """A function that runs trials on the cluster, and how many trials run at a time."""

    run: _RemoteRunner
    width: int


@contextmanager
def cluster_workers(
    address: str, folder: Path
) -> Iterator[tuple[Callable[[Sequence[Sequence[Trial[object]]]], Iterator[TrialOutcome]], int]]:
    """A function that runs groups of trials on a cluster and writes their runs into the folder, and how many run at a
    time: each trial runs alone.

    Raises:
        InputError: the address is invalid, no cluster answers there, or its package is not installed.
    """
    with _connected(address) as (run, width):

        def run_and_write(groups: Sequence[Sequence[Trial[object]]]) -> Iterator[TrialOutcome]:
            for outcome, files in run([trial for group in groups for trial in group]):
                for name, content in files.items():
                    commit(folder / outcome.key / name, content)
                yield outcome

        yield run_and_write, width


@contextmanager
def _connected(cluster: str) -> Iterator[_Cluster]:
    address = urlsplit(cluster)
    host = address.hostname
    match = re.fullmatch(r".+:(\d{1,5})", address.netloc)
    port = int(match[1]) if match else 0
    if address.scheme not in _CLUSTERS or not host or not 0 < port < 1 << 16:
        raise InputError("cluster", f"expected dask://HOST:PORT or ray://HOST:PORT, received {cluster!r}")
    try:
        socket.create_connection((host, port), CLUSTER_SECONDS).close()
    except OSError as error:
        raise InputError(
            "cluster",
            f"no answer from {host}:{port} within {CLUSTER_SECONDS:g} s ({error.strerror or error});"
            " check that the cluster is running and that this is its port for clients",
        ) from error
    with ExitStack() as stack:
        try:
            workers = stack.enter_context(_CLUSTERS[address.scheme](host, port))
        except ImportError as error:
            raise InputError(
                "cluster", f"{address.scheme} is not installed here ({error}); pip install 'thalweg[{address.scheme}]'"
            ) from error
        except (OSError, RuntimeError) as error:
            # The reason stands at the end of a traceback in the message.
            lines = str(error).strip().splitlines() or [type(error).__name__]
            reason = " ".join(dict.fromkeys([lines[0], lines[-1]]))
            raise InputError(
                "cluster",
                f"{host}:{port} answers, but not as a {address.scheme} cluster with workers ({reason});"
                " check that this is the port for clients",
            ) from error
        yield workers


@contextmanager
def _dask(host: str, port: int) -> Iterator[_Cluster]:
    from distributed import Client
    from joblib import Parallel, delayed, effective_n_jobs, parallel_config

    def run(trials: Sequence[Trial[object]]) -> Iterator[tuple[TrialOutcome, dict[str, bytes]]]:
        with parallel_config("dask", client=client):
            parallel = Parallel(return_as="generator_unordered", batch_size=1)
            yield from parallel(delayed(run_trial_remotely)(trial.key, trial.spec) for trial in trials)

    # A Dask scheduler sends a greeting. Without one the client would wait endlessly.
    with socket.create_connection((host, port), CLUSTER_SECONDS) as connection:
        if not connection.recv(1):
            raise ConnectionError("closed without a greeting")
    with Client(f"tcp://{host}:{port}", timeout=CLUSTER_SECONDS, set_as_default=False) as client:
        with parallel_config("dask", client=client):
            width = effective_n_jobs(-1)
        yield _Cluster(run, width)


@contextmanager
def _ray(host: str, port: int) -> Iterator[_Cluster]:
    from joblib import Parallel, delayed, effective_n_jobs, parallel_config
    from ray.util.joblib import register_ray

    def run(trials: Sequence[Trial[object]]) -> Iterator[tuple[TrialOutcome, dict[str, bytes]]]:
        with parallel_config("ray"), Parallel(-1, batch_size=1) as parallel:
            size = _RAY_TASKS_PER_WORKER * width
            for start in range(0, len(trials), size):
                some = trials[start : start + size]
                yield from parallel(delayed(run_trial_remotely)(trial.key, trial.spec) for trial in some)

    register_ray()
    with _ray_client(host, port):
        with parallel_config("ray"):
            width = effective_n_jobs(-1)
        yield _Cluster(run, width)


def _ray_client(host: str, port: int) -> AbstractContextManager[object]:
    """A connection to a Ray cluster, which starts a server for each client; a failed start is tried again."""
    import ray

    connect = partial(ray.init, f"ray://{host}:{port}", logging_level=logging.ERROR, log_to_driver=False)
    for _ in range(_RAY_ATTEMPTS - 1):
        with suppress(ConnectionAbortedError):
            return connect()
    return connect()


_CLUSTERS: dict[str, Callable[[str, int], AbstractContextManager[_Cluster]]] = {"dask": _dask, "ray": _ray}
