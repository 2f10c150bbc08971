"""How long the loss over a plane takes, compared with the matrix products that it cannot do without.

    python benchmarks/loss_landscape.py [--points 51] [--samples 2000] [--rounds 3]

The network is a 784-256-128-10 ReLU network in float32 on random pictures of MNIST's shape: the time does not depend on
their content. The time is that of `landscape` of a trained run, from the call to the numbers on the host. The first
round, which compiles, is printed but is not part of the median. The bare products are x W of each layer at every point
of the plane, computed by NumPy's BLAS. To find where the loss doubles, `landscape` uses another 100 points, which the
bare products leave out.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import numpy as np

import thalweg
from thalweg.insight.loss_landscape import landscape

WIDTHS = (784, 256, 128, 10)


def products(points: int, samples: int) -> float:
    """Seconds for x W of all layers at all points."""
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((samples, width), np.float32) for width in WIDTHS[:-1]]
    weights = [rng.standard_normal(shape, np.float32) for shape in itertools.pairwise(WIDTHS)]
    began = time.perf_counter()
    for _ in range(points):
        for x, w in zip(inputs, weights, strict=True):
            x @ w
    return time.perf_counter() - began


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("points", 51), ("samples", 2000), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2 * options.samples, WIDTHS[0]), np.float32)
    y = rng.integers(10, size=2 * options.samples)
    layers = ["dense 256", "relu", "dense 128", "relu", "dense 10", "softmax"]
    run = thalweg.train(layers, (x, y), epochs=1, batch_size=128, progress=False)
    seconds = []
    ratios = []
    for number in range(options.rounds + 1):
        began = time.perf_counter()
        result = landscape(run, points=options.points, samples=options.samples)
        seconds.append(time.perf_counter() - began)
        ratios.append(seconds[-1] / products(options.points**2, options.samples))
        size = f"{options.points} x {options.points} points, {result.rows:,} rows"
        print(f"round {number}: {size}: {seconds[-1]:.1f} s, {ratios[-1]:.2f} times the bare products", flush=True)
    print(f"median {statistics.median(seconds[1:]):.1f} s, {statistics.median(ratios[1:]):.2f} times the bare products")


if __name__ == "__main__":
    main()
