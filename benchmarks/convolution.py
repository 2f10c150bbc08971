"""How long networks of convolutions take to train, beside PyTorch: the same weights and pictures, in turn.

    python benchmarks/convolution.py [--rounds 5] [--calls 20] [--processor] [--kept] [--networks lenet residual]

Each program computes in a process of its own; both must compute the same numbers first. PyTorch computes with channels
last and its own number of threads. See README.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from thalweg.core.arrays import leaves, map_arrays
from thalweg.engine.engine import make_engine
from thalweg.engine.step import Batch, Plan, State
from thalweg.models.network import Network
from thalweg.parts.layers import Residual
from thalweg.parts.losses import SoftmaxCrossEntropy
from thalweg.parts.optimizers import SGD
from thalweg.parts.task_metrics import ClassificationMetric

BATCH = 128
RATE = 0.05
Program = Callable[[int], np.ndarray]


def lenet() -> Network:
    """1, 16 and 32 channels of 5 x 5 windows, on pictures of 28 x 28 pixels."""
    layers = ["reshape 28 28", "conv2d 16 5", "relu", "max_pool2d", "conv2d 32 5", "relu", "max_pool2d", "flatten"]
    return Network([*layers, "dense 10"])


def residual() -> Network:
    """Eight layers: a convolution, three residual blocks of two with 16, 32 and 64 channels, and the output layer.

    Windows of 3 x 3 on pictures of 32 x 32 pixels in three colours; the last two blocks begin with a stride of 2.
    """

    def convolution(width: int, stride: int = 1) -> list[object]:
        return [{"kind": "conv2d", "width": width, "stride": stride, "padding": 1, "bias": False}, "batch_norm"]

    blocks: list[object] = []
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        blocks += [Residual([*convolution(width, stride), "relu", *convolution(width)]), "relu"]
    return Network(["reshape 32 32 3", *convolution(16), "relu", *blocks, "global_average_pool", "dense 10"])


NETWORKS = {"lenet": (lenet, 28 * 28), "residual": (residual, 32 * 32 * 3)}


def setting(name: str) -> tuple[Plan, State, Batch]:
    """The plan of a network, its start, and the pictures of a step."""
    make, features = NETWORKS[name]
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, features), np.float32)
    y = rng.integers(10, size=BATCH).astype(np.int32)
    plan = Plan(network=make(), loss=SoftmaxCrossEntropy(), optimizer=SGD(RATE), metric=ClassificationMetric(1 / 10))
    return plan, plan.start(0, features), Batch(x, y, np.ones(BATCH, np.float32))


def thalweg(name: str) -> Program:
    """Thalweg's program: so many steps from the start, and the first kernels after them."""
    plan, start, batch = setting(name)
    engine = make_engine("compiled")
    data = engine.place(batch)
    rows = np.tile(np.arange(BATCH, dtype=np.int32), (100, 1))

    def steps(calls: int) -> np.ndarray:
        after, _ = engine.run(plan, engine.place(start), data, rows, 0, calls)
        return np.asarray(leaves(after.params)[0])

    return steps


def pytorch(name: str) -> Program:
    """PyTorch's program for the same numbers."""
    import torch

    from thalweg.models.conversion.to_torch import module_of

    plan, start, batch = setting(name)
    params = map_arrays(lambda array: array.astype(np.float32), start.params)
    rows, labels = torch.from_numpy(batch.x), torch.from_numpy(batch.y.astype(np.int64))

    def steps(calls: int) -> np.ndarray:
        net = module_of(plan.network, params, start.layers).train().to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
        for _ in range(calls):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(rows), labels).backward()
            optimizer.step()
        kernels = next(parameter for parameter in net.parameters() if parameter.ndim == 4)
        return kernels.detach().numpy().transpose(2, 3, 1, 0)

    return steps


PROGRAMS = {"thalweg": thalweg, "pytorch": pytorch}


def memory(kind: str) -> float:
    """The memory of this process in MB: VmRSS now, VmHWM at most so far. 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text("utf-8").splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith(kind)), 0.0)


def serve(program: str, name: str, processor: bool) -> None:
    """Compute as often as each line of the input says, and print seconds a call, and MB at most: above the start in the
    first call, which compiles or prepares its routines, and in the calls since then, and of the whole process."""
    clock = time.process_time if processor else time.perf_counter
    compute = PROGRAMS[program](name)
    start = memory("VmRSS")
    sys.stdout.buffer.write(compute(1).astype(np.float64).tobytes())
    sys.stdout.buffer.flush()
    first = memory("VmHWM")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # VmHWM begins again at VmRSS
    for line in sys.stdin:
        begin = clock()
        compute(int(line))
        seconds = (clock() - begin) / int(line)
        later = memory("VmHWM")
        print(seconds, first - start, later - start, max(first, later), flush=True)


def main() -> None:
    """Print the times of each round and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=20, help="steps of each program in a round, to 100")
    parser.add_argument("--processor", action="store_true", help="time of all threads, for a machine that is busy")
    parser.add_argument("--kept", action="store_true", help="programs of earlier trainings, as a user has them")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve, options.processor)
        return
    for name in options.networks:
        compare(name, options.rounds, options.calls, options.processor, options.kept)


def compare(name: str, rounds: int, calls: int, processor: bool, kept: bool) -> None:
    """Both programs of a network in turn, each in a process of its own."""
    print(f"{name}: {NETWORKS[name][0].__doc__.splitlines()[0]}")
    words = [sys.executable, __file__, *(["--processor"] if processor else []), "--serve"]
    # A kept program leaves out the compiler's memory.
    compiling = dict(os.environ) if kept else {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0"}
    both = [
        subprocess.Popen([*words, program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=compiling)
        for program in PROGRAMS
    ]
    size = leaves(setting(name)[1].params)[0].nbytes
    first, second = (np.frombuffer(process.stdout.read(size)) for process in both)
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-5)

    def measured(process: subprocess.Popen[bytes], calls: int) -> list[float]:
        process.stdin.write(f"{calls}\n".encode())
        process.stdin.flush()
        return [float(word) for word in process.stdout.readline().split()]

    for process in both:
        measured(process, 1)
    ratios = []
    for number in range(1, rounds + 1):
        (own, *peaks), (other, *other_peaks) = (measured(process, calls) for process in both)
        ratios.append(own / other)
        times = f"{own * 1e3:.1f} ms, PyTorch {other * 1e3:.1f} ms"
        print(f"round {number}: {times}, ratio {ratios[-1]:.2f}", flush=True)
    for process in both:
        process.stdin.close()
        process.wait()
    parts = ("the first call", "later calls", "the whole process")
    for when, peak, other_peak in zip(parts, peaks, other_peaks, strict=True):
        print(f"memory of {when}: {peak:.0f} MB, PyTorch {other_peak:.0f} MB")
    print(f"ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main()
