"""How fast a network trains on rows that stream from a disk, compared with the same rows in memory.

    python benchmarks/streaming.py [--rows 500000] [--memory 100] [--rounds 5] [--epochs 3]

A 100-64-10 ReLU network is trained with Adam in batches of 128, on the same rows in both ways, in turn. The first chunk
of steps, in which the program is compiled, is left out. If there is room, the rows are in the file cache of the system:
the benchmark measures the cost of streaming, not the speed of the disk.
"""

from __future__ import annotations

import argparse
import math
import statistics

import numpy as np

from thalweg.data import Data, StreamedDataset
from thalweg.models.network import Network
from thalweg.parts.losses import CrossEntropy
from thalweg.parts.optimizers import Adam
from thalweg.parts.settings import Off, Training
from thalweg.spec.spec import Spec
from thalweg.training.callbacks import Callback, Progress
from thalweg.training.fit import fit
from thalweg.training.session import Session

FEATURES = 100
CLASSES = 10


class Speed(Callback):
    """Keeps the speed of a training."""

    samples_per_second = math.nan

    def on_progress(self, progress: Progress) -> None:
        self.samples_per_second = progress.samples_per_second


def session_of(data: Data, epochs: int) -> Session:
    """The training of the network on these rows."""
    return Session.load(
        Spec(
            data=data,
            network=Network(["dense 64", "relu", f"dense {CLASSES}"]),
            loss=CrossEntropy(),
            optimizer=Adam(),
            training=Training(epochs=epochs, batch_size=128, engine="compiled"),
            probes=Off(),
        )
    )


def samples_per_second(session: Session) -> float:
    """The speed of a training."""
    speed = Speed()
    fit(session, [speed])
    return speed.samples_per_second


def main() -> None:
    """Measure both in turn; print the ratio of each round, the median and the extremes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 500_000), ("memory", 100), ("rounds", 5), ("epochs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((options.rows, FEATURES), np.float32)
    y = (x @ rng.standard_normal((FEATURES, CLASSES), np.float32)).argmax(axis=1)
    in_memory = session_of(Data((x, y), validation=0.0, test=0.0), options.epochs)
    streamed = session_of(Data((x, y), validation=0.0, test=0.0, memory=options.memory), options.epochs)
    if not isinstance(streamed.split.train, StreamedDataset):
        parser.error(f"{options.rows} rows fit into {options.memory} MB; take more rows or less memory")
    ratios = []
    for number in range(options.rounds):
        # The two programs take turns in beginning a round.
        order = [("memory", in_memory), ("disk", streamed)][:: 1 if number % 2 else -1]
        speeds = {name: samples_per_second(session) for name, session in order}
        ratios.append(speeds["disk"] / speeds["memory"])
        both = ", ".join(f"{name} {speed:,.0f} samples/s" for name, speed in sorted(speeds.items()))
        print(f"round {number + 1}: {both}, ratio {ratios[-1]:.2f}")
    print(f"streamed / in memory: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
