"""How long the loss over a plane takes, beside the matrix products that it cannot do without.

    python benchmarks/loss_landscape.py [--points 51] [--samples 2000] [--rounds 3]

A 784-256-128-10 ReLU network in float32 on random pictures of MNIST's shape: the time does not depend on what they
show. Timed is `landscape` of a trained run, from the call to the numbers on the host; the first round, which compiles,
is shown and left out of the median. The bare products are x W of each layer at every place of the plane, made by
NumPy's BLAS; where the loss doubles takes another 100 places, which they leave out.
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


def products(places: int, samples: int) -> float:
    """Seconds for x W of all layers, at so many places."""
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((samples, width), np.float32) for width in WIDTHS[:-1]]
    weights = [rng.standard_normal(shape, np.float32) for shape in itertools.pairwise(WIDTHS)]
    began = time.perf_counter()
    for _ in range(places):
        for x, w in zip(inputs, weights, strict=True):
            x @ w
    return time.perf_counter() - began


def main() -> None:
    """Measure both in turn; print each round, and the median of time and ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("points", 51), ("samples", 2000), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2 * asked.samples, WIDTHS[0]), np.float32), rng.integers(10, size=2 * asked.samples)
    layers = ["dense 256", "relu", "dense 128", "relu", "dense 10", "softmax"]
    run = thalweg.train(layers, (x, y), epochs=1, batch_size=128, progress=False)
    seconds, ratios = [], []
    for number in range(asked.rounds + 1):
        began = time.perf_counter()
        found = landscape(run, points=asked.points, samples=asked.samples)
        seconds.append(time.perf_counter() - began)
        ratios.append(seconds[-1] / products(asked.points**2, asked.samples))
        told = f"{asked.points} x {asked.points} places, {found.rows:,} rows"
        print(f"round {number}: {told}: {seconds[-1]:.1f} s, {ratios[-1]:.2f} times the bare products", flush=True)
    print(f"median {statistics.median(seconds[1:]):.1f} s, {statistics.median(ratios[1:]):.2f} times the bare products")


if __name__ == "__main__":
    main()
