"""How long the gradient of a convolutional network takes, beside PyTorch: the same weights and pictures, in turn.

    python benchmarks/convolution.py [--rounds 5] [--calls 20] [--processor]

The network has 1, 16 and 32 channels of 5 x 5 windows on pictures of 28 x 28 pixels, in batches of 128. Both gradients
must be the same numbers. PyTorch computes with channels last and its own number of threads. See README.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from thalweg.core.arrays import leaves, map_arrays
from thalweg.engine.engine import make_engine
from thalweg.engine.step import Batch, Plan, loss_and_gradient
from thalweg.models.conversion.to_torch import module_of
from thalweg.models.network import Network
from thalweg.parts.losses import SoftmaxCrossEntropy
from thalweg.parts.optimizers import SGD
from thalweg.parts.task_metrics import ClassificationMetric

BATCH = 128
LAYERS = [
    "reshape 28 28",
    "conv2d 16 5",
    "relu",
    "max_pool2d",
    "conv2d 32 5",
    "relu",
    "max_pool2d",
    "flatten",
    "dense 10",
]


def programs() -> tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]:
    """The gradient of the first kernels (5, 5, 1, 16) by Thalweg and by PyTorch, each as a function."""
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, 784), np.float32)
    y = rng.integers(10, size=BATCH).astype(np.int32)
    network = Network(LAYERS)
    plan = Plan(network=network, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.1), metric=ClassificationMetric(0.5))
    start = plan.start(0, 784)
    engine = make_engine("compiled")
    state, batch = engine.place(start), engine.place(Batch(x, y, np.ones(BATCH, np.float32)))

    def thalweg() -> np.ndarray:
        _, gradients = engine.call(loss_and_gradient, plan, state, batch)
        return np.asarray(leaves(gradients)[0])

    params = map_arrays(lambda array: array.astype(np.float32), start.params)
    module = module_of(network, params, start.layers).train()
    rows, labels = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))

    def peer() -> np.ndarray:
        module.zero_grad()
        torch.nn.functional.cross_entropy(module(rows), labels).backward()
        kernels = next(parameter for parameter in module.parameters() if parameter.ndim == 4)
        assert kernels.grad is not None
        return kernels.grad.numpy().transpose(2, 3, 1, 0)

    return thalweg, peer


def seconds(function: Callable[[], np.ndarray], calls: int, clock: Callable[[], float]) -> float:
    """The median time of a call."""
    times = []
    for _ in range(calls):
        begin = clock()
        function()
        times.append(clock() - begin)
    return statistics.median(times)


def main() -> None:
    """Print the times of each round and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=20, help="gradients of each program in a round")
    parser.add_argument("--processor", action="store_true", help="time of all threads, for a machine that is busy")
    options = parser.parse_args()
    clock = time.process_time if options.processor else time.perf_counter
    thalweg, peer = programs()
    np.testing.assert_allclose(thalweg(), peer(), rtol=1e-3, atol=1e-5)
    ratios = []
    for number in range(1, options.rounds + 1):
        own, other = (seconds(program, options.calls, clock) for program in (thalweg, peer))
        ratios.append(own / other)
        print(f"round {number}: {own * 1e3:.1f} ms, PyTorch {other * 1e3:.1f} ms, ratio {ratios[-1]:.2f}", flush=True)
    print(f"ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
