"""Trainings whose batches several devices share: four divided out of this processor, and two processes."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from input_errors import input_error

from thalweg.engine.engine import make_engine
from thalweg.spec.spec import Spec
from thalweg.training.session import Session

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# Statistics of the batch, noise, a loss that weights its rows, and a last batch with padding.
TRAIN = """
import sys
import jax
import numpy as np
import thalweg
from thalweg.core.arrays import arrays_of

rng = np.random.default_rng(0)
x = rng.normal(size=(330, 8, 8, 1))
y = rng.integers(0, 3, 330)
weight = rng.uniform(0.1, 2, 330)
NETWORKS = {
    "dense": [{"kind": "dense", "width": 24, "bias": False}, "batch_norm", "relu", "dropout 0.2", "dense 3"],
    "conv": ["conv2d 4 3 1 1", "batch_norm", "relu", "random_translation 1", "max_pool2d 2", "flatten", "dense 3"],
}


def trained(network, devices, precision, optimizer="momentum 0.05", **more):
    rows = (x, y, weight) if network == "conv" else (x.reshape(330, 64), y, weight)
    data = {"source": rows, "validation": 0.0, "test": 0.0, **more.pop("data", {})}
    run = thalweg.train(
        NETWORKS[network], data, optimizer=optimizer, batch_size=32, epochs=5, precision=precision, devices=devices,
        progress=False, **more,
    )
    # 330 rows in batches of 32: 11 updates an epoch, the last one of 10 rows.
    assert int(run.state.step) == 55
    return run


def arrays(run):
    return [np.asarray(array) for _, array in arrays_of((run.state.params, run.state.layers))]
"""

FOUR = (
    TRAIN
    + """
assert len(jax.devices()) == 4
for case, network, options in (
    ("dense", "dense", {}),
    ("conv", "conv", {}),
    ("clipped", "dense", {"clip": "global_norm 1", "average": 0.9, "probes": "standard"}),
    ("streamed", "dense", {"data": {"memory": 1, "scale": "none"}}),
):
    for precision in ("float64", "float32"):
        one, four = (trained(network, devices, precision, **options) for devices in (1, 4))
        worst = max(abs(a - b).max() for a, b in zip(arrays(one), arrays(four), strict=True))
        used = int(four.facts["devices"].split(",")[0])
        print(case, precision, worst, used, "devices" in one.facts)
"""
)

TWO = (
    """
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
"""
    + TRAIN
    + """
process, port, file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if port != "none":
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, process)
    assert (len(jax.devices()), len(jax.local_devices())) == (2, 1)
run = trained("dense", 1 if port == "none" else 2, "float64")
np.savez(file, *arrays(run))
"""
)


def environment(**changes):
    return {**os.environ, "OMP_NUM_THREADS": "1", **changes}


def four_devices(*words):
    return subprocess.run(
        [sys.executable, *words],
        env=environment(XLA_FLAGS="--xla_force_host_platform_device_count=4"),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_four_devices_train_the_weights_of_one():
    done = four_devices("-c", FOUR)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 8
    for case, precision, worst, used, said_of_one in lines:
        assert float(worst) <= {"float64": 1e-10, "float32": 1e-4}[precision], case
        assert (used, said_of_one) == ("4", "False")


@pytest.mark.slow
def test_two_processes_train_the_weights_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    files = [tmp_path / f"{name}.npz" for name in ("first", "second", "alone")]
    words = [sys.executable, "-c", TWO]
    both = [
        subprocess.Popen([*words, str(process), port, file], env=environment(XLA_FLAGS=""), stderr=subprocess.PIPE)
        for process, file in enumerate(files[:2])
    ]
    try:
        for process in both:
            _, errors = process.communicate(timeout=200)
            assert process.returncode == 0, errors
    finally:
        for process in both:
            process.kill()
    subprocess.run([*words, "0", "none", files[2]], env=environment(XLA_FLAGS=""), check=True, timeout=200)
    first, second, alone = ([np.load(file)[name] for name in np.load(file).files] for file in files)
    for one, other, expected in zip(first, second, alone, strict=True):
        assert np.array_equal(one, other)
        assert np.abs(one - expected).max() <= 1e-10


def test_more_devices_than_the_machine_has_are_refused():
    with input_error("devices", "64", "found", "xla_force_host_platform_device_count=64"):
        make_engine("compiled", device="cpu", devices=64)
    with input_error("devices", "eager", "received 2"):
        make_engine("eager", devices=2)


@pytest.mark.parametrize(
    ("devices", "batch", "sizes"), [(3, 32, (30, 33)), (8, 4, (8,)), (7, "full", (105,)), (200, 32, ())]
)
def test_devices_that_do_not_divide_a_batch_are_refused_with_batches_that_fit(devices, batch, sizes):
    def section(batch_size):
        return {"data": "iris", "network": ["dense 3"], "training": {"devices": devices, "batch_size": batch_size}}

    # 108 rows to train on.
    with input_error("training.devices", " or ".join(map(str, sizes)) or "fewer", f"received {devices}"):
        Session.load(Spec.of(section(batch))).check()
    for size in sizes:
        Session.load(Spec.of(section(size))).check()


def test_bad_numbers_of_devices_are_one_message_and_exit_code_2(tmp_path):
    command = [
        sys.executable,
        "-m",
        "thalweg",
        "train",
        "iris",
        "--out",
        tmp_path / "run",
        "--set",
        "training.batch_size=64",
    ]
    for devices, said in (("64", "expected 64 devices"), ("0", "received 0"), ("3", "received 3")):
        done = subprocess.run(
            [*command, "--devices", devices],
            env=environment(XLA_FLAGS=""),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "run").exists()
