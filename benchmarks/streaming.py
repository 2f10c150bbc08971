"""How fast a network trains on rows that stream from a disk, compared with the same rows in memory.

    python benchmarks/streaming.py [--rows 500000] [--memory 100] [--rounds 5] [--epochs 3]
    python benchmarks/streaming.py --table 10000000 [--memory 320] [--classes]

A 100-64-10 ReLU network is trained with Adam in batches of 128, on the same rows in both ways, in turn. The first chunk
of steps, in which the program is compiled, is left out. If there is room, the rows are in the file cache of the system:
the benchmark measures the cost of streaming, not the speed of the disk.

With `--table`, a Parquet file of so many rows of 20 numbers is written into $TMPDIR, and `thalweg train` trains a
20-32-1 network on it for one epoch, in a process of its own; and so on a file of 1,000 rows, whose peak of memory is
that of the libraries. With `--classes`, the target is one of two classes in words.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

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
COLUMNS = 20


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


def write_table(path: Path, rows: int, classes: bool) -> None:
    """Write a Parquet file of so many rows, made piece by piece: 20 numbers between -1 and 1, and a target y.

    The target is a number or, with `classes`, whether it is positive, in words.
    """
    numbers = {f"x{seed}": pl.col("row").hash(seed) / 2**63 - 1 for seed in range(COLUMNS)}
    frame = pl.LazyFrame().select(pl.int_range(0, rows, dtype=pl.UInt32).alias("row")).with_columns(**numbers)
    noise = 0.1 * (pl.col("row").hash(COLUMNS) / 2**63 - 1)
    y = pl.col("x0") + pl.col("x1") * pl.col("x2") + noise
    if classes:
        y = pl.when(y > 0).then(pl.lit("a positive sum")).otherwise(pl.lit("a negative sum"))
    frame.with_columns(y=y).drop("row").sink_parquet(path)


def peak_and_seconds(folder: Path, rows: int, memory: int, classes: bool) -> tuple[float, float]:
    """The peak of memory (MB) and the seconds of `thalweg train` on such a table."""
    table = folder / f"{rows}.parquet"
    write_table(table, rows, classes)
    words = ["train", "--data", table, "--target", "y", "--epochs", "1", "--quiet", "--out", folder / f"run-{rows}"]
    network = ["dense 32", "relu", *(["dense 2", "softmax"] if classes else ["dense 1"])]
    # Few rows would train without XLA, whose memory is a part of both peaks.
    words += ["--engine", "compiled"]
    settings = [f"network={json.dumps(network)}", "training.batch_size=1024", f"data.memory={memory}"]
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "thalweg", *map(str, words), *(word for one in settings for word in ("--set", one))],
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    # macOS counts bytes, Linux kibibytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 1e6, time.perf_counter() - begin


def measure_table(rows: int, memory: int, classes: bool) -> None:
    """Print the peak of memory of a training on a table of so many rows, and of one on 1,000 rows."""
    with tempfile.TemporaryDirectory() as folder:
        for count in (1000, rows):
            peak, seconds = peak_and_seconds(Path(folder), count, memory, classes)
            print(f"{count:,} rows x {COLUMNS} columns, memory = {memory}: peak {peak:.0f} MB, {seconds:.1f} s")


def main() -> None:
    """Measure both in turn; print the ratio of each round, the median and the extremes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 500_000), ("memory", None), ("rounds", 5), ("epochs", 3), ("table", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--classes", action="store_true")
    options = parser.parse_args()
    if options.table:
        measure_table(options.table, options.memory or 320, options.classes)
        return
    options.memory = options.memory or 100
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
