"""How fast a network trains on rows that stream from a disk, beside the same rows in memory.

    python benchmarks/streaming.py [--rows 500000] [--memory 100] [--rounds 5] [--epochs 3]

A 100-64-10 ReLU network by Adam in batches of 128, on the same rows both ways, in turn. The first stretch of steps,
in which the program is compiled, is left out. The rows lie in the file cache of the system if there is room: what is
shown is what streaming costs, not what the disk does.
"""

from __future__ import annotations

import argparse
import math
import statistics

import numpy as np

from thalweg.data import Data, Dataset, StreamedDataset
from thalweg.models.network import Network
from thalweg.parts.losses import CrossEntropy
from thalweg.parts.optimizers import Adam
from thalweg.parts.settings import Training
from thalweg.training.callbacks import Progress
from thalweg.training.fit import fit

FEATURES, CLASSES = 100, 10


def samples_per_second(rows: Dataset | StreamedDataset, epochs: int) -> float:
    """The speed of a training on these rows."""
    speed = math.nan

    def watch(progress: Progress) -> None:
        nonlocal speed
        speed = progress.samples_per_second

    network = Network(["dense 64", "relu", f"dense {CLASSES}"])
    fit(network, CrossEntropy(), Adam(), Training(epochs=epochs, batch_size=128), rows, watch=watch)
    return speed


def main() -> None:
    """Measure both in turn; print the ratio of each round, their median and extremes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 500_000), ("memory", 100), ("rounds", 5), ("epochs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((asked.rows, FEATURES), np.float32)
    y = (x @ rng.standard_normal((FEATURES, CLASSES), np.float32)).argmax(axis=1)
    whole = Data((x, y), validation=0.0, test=0.0).load(0).train
    streamed = Data((x, y), validation=0.0, test=0.0, memory=asked.memory).load(0).train
    if not isinstance(streamed, StreamedDataset):
        parser.error(f"{asked.rows} rows fit into {asked.memory} MB; take more rows or less memory")
    ratios = []
    for number in range(asked.rounds):
        # Who begins changes from round to round.
        order = [("memory", whole), ("disk", streamed)][:: 1 if number % 2 else -1]
        speeds = {name: samples_per_second(rows, asked.epochs) for name, rows in order}
        ratios.append(speeds["disk"] / speeds["memory"])
        both = ", ".join(f"{name} {speed:,.0f} samples/s" for name, speed in sorted(speeds.items()))
        print(f"round {number + 1}: {both}, ratio {ratios[-1]:.2f}")
    print(f"streamed / in memory: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
