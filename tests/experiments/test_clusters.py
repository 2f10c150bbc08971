"""Trials on real clusters of this machine, and addresses where there is no cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweeps import ARMS, SEEDS, Shell, contents, marked, tables, trials_in, wait_for, write_tables

from thalweg.core.errors import InputError
from thalweg.experiments.compare import compare

# When Ray's files are read for the first time, its client server needs more than its default limit of 30 s.
RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "120"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "sweep"
    compare(tables(), jobs=1, folder=folder, progress=False)
    return all_contents(folder)


def all_contents(folder):
    return {path.name: contents(path) for path in trials_in(folder)}


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


# A separate process keeps the cluster's threads and warnings out of the test.
DASK = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        workers = [nanny.pid for nanny in cluster.workers.values()]
        print(cluster.scheduler_address.replace("tcp://", "dask://"), *workers)
        sys.stdout.flush()
        sys.stdin.read()
"""


@pytest.fixture
def dask(tmp_path):
    """The address of a Dask cluster with two workers, and their process ids."""
    (tmp_path / "cluster.py").write_text(DASK)
    command = [sys.executable, str(tmp_path / "cluster.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, text=True) as cluster:
        try:
            address, *workers = cluster.stdout.readline().split()
            yield address, [int(worker) for worker in workers]
        finally:
            cluster.stdin.close()
            cluster.wait(30)


def test_two_workers_of_dask_give_the_results_of_one_process(dask, undisturbed, tmp_path):
    spec = write_tables(tmp_path / "sweep.toml")
    code, _, err = Shell(spec, "--cluster", dask[0], "--out", tmp_path / "out", "--quiet").ended(120)
    assert (code, err) == (0, "")
    assert all_contents(tmp_path / "out") == undisturbed


@pytest.mark.slow
def test_a_worker_of_dask_killed_during_a_trial_costs_only_a_retry(dask, tmp_path):
    spec = write_tables(tmp_path / "sweep.toml", training={"epochs": 500}, seeds={"count": 2})
    shell = Shell(spec, "--cluster", dask[0], "--out", tmp_path / "out", "--quiet")
    wait_for(lambda: any((tmp_path / "out").glob("trials/[!.]*")), 60, shell.kill)
    os.kill(dask[1][0], signal.SIGKILL)
    code, _, err = shell.ended(120)
    assert code == 0
    # Dask may say that it runs again what the worker had not handed over.
    assert all(" - distributed." in line for line in err.splitlines())
    assert len(all_contents(tmp_path / "out")) == 2 * ARMS


@pytest.mark.slow
def test_two_workers_of_ray_give_the_results_of_one_process(undisturbed, tmp_path):
    mark = f"ray-{os.getpid()}-{time.monotonic_ns()}"
    environment = {**os.environ, **RAY, "SWEEP_MARK": mark}
    folder = f"/tmp/{mark}"
    port = free_port()
    client = free_port()
    ray = str(Path(sys.executable).with_name("ray"))
    try:
        subprocess.run(
            [
                *(ray, "start", "--head", "--num-cpus=2", f"--port={port}", f"--ray-client-server-port={client}"),
                *("--include-dashboard=false", f"--temp-dir={folder}"),
            ],
            **{"env": environment, "check": True, "capture_output": True, "timeout": 120},
        )
        spec = write_tables(tmp_path / "sweep.toml")
        shell = Shell(spec, "--cluster", f"ray://127.0.0.1:{client}", "--out", tmp_path / "out", "--quiet", env=RAY)
        code, _, err = shell.ended(180)
        assert (code, err) == (0, "")
        assert all_contents(tmp_path / "out") == undisturbed
        assert len(undisturbed) == ARMS * SEEDS
    finally:
        for number in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        subprocess.run(["rm", "-rf", folder], check=True)


# No cluster -----------------------------------------------------------------------------------------------------------


def test_an_address_without_an_answer_is_reported(tmp_path):
    spec = write_tables(tmp_path / "sweep.toml")
    address = f"127.0.0.1:{free_port()}"
    code, out, err = Shell(spec, "--cluster", f"dask://{address}", "--out", tmp_path / "out", "--quiet").ended()
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("thalweg: cluster: ")
    assert f"{address} within 10 s (Connection refused)" in line


def test_an_address_of_another_server_is_reported(monkeypatch):
    monkeypatch.setattr("thalweg.experiments.clusters.CLUSTER_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with pytest.raises(InputError) as raised:
            compare(tables(), cluster=f"dask://{host}:{port}", progress=False)
    assert raised.value.subject == "cluster"
    assert f"{host}:{port} answers" in str(raised.value)


STARTLESS = "Initialization failure from server:\nTraceback (most recent call last):\nRuntimeError: no server came up."


@pytest.mark.parametrize(
    ("error", "tries", "reason"),
    [
        (ConnectionAbortedError(STARTLESS), 3, "Initialization failure from server: RuntimeError: no server came up."),
        (ConnectionError("ray client connection timeout"), 1, "ray client connection timeout"),
    ],
)
def test_a_server_of_ray_that_does_not_start_is_tried_again(error, tries, reason, monkeypatch):
    ray = pytest.importorskip("ray")
    attempts = []

    def init(address, **options):
        attempts.append(address)
        raise error

    monkeypatch.setattr(ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError) as raised:
            compare(tables(), cluster=address, progress=False)
    assert attempts == [address] * tries
    assert f"({reason})" in str(raised.value)


@pytest.mark.parametrize(
    "address", ["here", "dask://here", "dask://:1", "tcp://127.0.0.1:8786", "dask://h:x", "ray://h:70000"]
)
def test_an_invalid_address_is_rejected(address):
    with pytest.raises(InputError) as raised:
        compare(tables(), cluster=address, progress=False)
    assert (raised.value.subject, repr(address) in str(raised.value)) == ("cluster", True)


@pytest.mark.parametrize(("kind", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_package_is_reported_with_its_command(kind, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match=rf"pip install 'thalweg\[{kind}\]'"):
            compare(tables(), cluster=f"{kind}://127.0.0.1:{port}", progress=False)
