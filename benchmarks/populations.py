"""How long an experiment takes whose trials run as one program, and one after another.

    python benchmarks/populations.py [--rounds 3] [--jobs 2] [--cases NAMES] [--quick]

Each case is an experiment of eight trials: four learning rates with two seeds, or eight seeds. In each round it runs
twice, in turn, each time in a new process and with the programs of an earlier run in a cache of its own: `together`
with groups as the choice makes them, `alone` with groups of one trial. Wall time and the processor time of all
processes are those of the whole experiment, with imports, rows, evaluation and the files of the runs. Before the
rounds both run once with empty caches, with what compiling costs (`first`).
A ratio is alone / together within a round; the median and the extremes are printed. Where the choice is to train alone
both do the same, and the ratio shows the noise.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict


class Case(NamedTuple):
    """An experiment of eight trials."""

    data: str
    hidden: tuple[int, ...]
    batch: int
    epochs: int
    seeds: int = 2

    def tables(self, quick: bool) -> dict[str, object]:
        """The experiment."""
        rates = [0.01, 0.03, 0.1, 0.2][: 8 // self.seeds]
        return {
            "data": {"source": self.data, "validation": 0.2},
            "network": {"kind": "mlp", "hidden": list(self.hidden)},
            "optimizer": {"kind": "momentum"},
            "training": {"epochs": 5 if quick else self.epochs, "batch_size": self.batch},
            "vary": {"optimizer.learning_rate": rates},
            "seeds": 2 if quick else self.seeds,
        }


CASES = {
    "8 units": Case("rings 300", (8,), 32, 3000),
    "32-16 units": Case("rings 2000", (32, 16), 128, 600),
    "64 units, 64 inputs": Case("digits", (64,), 32, 400),
    "few epochs": Case("rings 300", (8,), 32, 50),
    "256-256 units": Case("digits", (256, 256), 128, 20),
}


class Said(TypedDict):
    """What a process says of its experiment: trials of the largest group, and the loss of each trial."""

    size: int
    losses: list[float]


class Cost(NamedTuple):
    """Seconds of a process and its workers: by the clock, and of the processor."""

    wall: float
    processor: float


def run_case(tables: str, jobs: str, mode: str) -> None:
    """Run an experiment in this process and its workers, and print how many trials a group has."""
    import thalweg
    from thalweg.experiments import runner
    from thalweg.experiments.experiment import Trial

    sizes: list[int] = []
    grouped = runner._groups

    def groups(trials: Sequence[Trial[object]], workers: int, cluster: str | None) -> list[Sequence[Trial[object]]]:
        found = grouped(trials, workers, cluster)
        if mode == "alone":
            found = [[trial] for trial in trials]
        sizes.append(max(map(len, found)))
        return found

    runner._groups = groups
    with tempfile.TemporaryDirectory() as name:
        comparison = thalweg.compare(json.loads(tables), jobs=int(jobs), folder=Path(name) / "out", progress=False)
    losses = comparison.table.sort("arm", "seed")["validation_loss"].to_list()
    print(json.dumps({"size": sizes[-1], "losses": losses}))


def cost_of(tables: dict[str, object], jobs: int, mode: str, cache: Path) -> tuple[Cost, Said]:
    """What an experiment costs in a new process, and what the process says of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    process = subprocess.run(
        [sys.executable, __file__, "--run", json.dumps(tables), str(jobs), mode],
        env={**os.environ, "THALWEG_CACHE": str(cache / mode)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, processor), json.loads(process.stdout)


def spread(values: list[float]) -> str:
    """Median and extremes."""
    return f"{statistics.median(values):5.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--quick", action="store_true", help="shows that everything runs; the figures mean nothing")
    # Each measurement starts this script.
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_case(*options.run)
        return
    for name in options.cases:
        tables = CASES[name].tables(options.quick)
        with tempfile.TemporaryDirectory() as folder:
            costs: dict[str, list[Cost]] = {"together": [], "alone": []}
            said: dict[str, Said] = {}
            for _ in range(options.rounds + 1):
                for mode, measured in costs.items():
                    cost, said[mode] = cost_of(tables, options.jobs, mode, Path(folder))
                    measured.append(cost)
        pairs = list(zip(costs["alone"], costs["together"], strict=True))
        first, *rounds = [(a.wall / b.wall, a.processor / b.processor) for a, b in pairs]
        losses = zip(said["alone"]["losses"], said["together"]["losses"], strict=True)
        print(
            f"{name:20} groups of {said['together']['size']}  wall {spread([r[0] for r in rounds])}"
            f"  processor {spread([r[1] for r in rounds])}  first {first[0]:.2f} {first[1]:.2f}"
            f"  seconds alone {statistics.median(c.wall for c in costs['alone'][1:]):.1f}"
            f" {statistics.median(c.processor for c in costs['alone'][1:]):.1f}"
            f"  losses differ by {max(abs(a - b) for a, b in losses):.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
