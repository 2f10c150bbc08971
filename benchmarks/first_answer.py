"""How long the first answer takes: a small training with its report, a prediction, and both on a new machine.

    python benchmarks/first_answer.py [--rounds 5] [--quick]

Each program is a new process, in turn in each round. Its wall time and the time of the processor are printed as medians
and extremes, and as ratios to a process that only imports NumPy, JAX and polars, within the round. The bytecode of all
modules is there, as after an installation.

- `train`: `thalweg train iris --epochs 20` with its report, after the same command has run before.
- `train, compiled`: the same with `--engine compiled`: what JAX costs, its program read from the cache.
- `predict`: `thalweg predict` of one row by the run.
- `new machine`: `train` with an empty cache folder.

Then the parts of `train`, in one process that does what the command does.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

BASE = "import numpy, jax, polars"
ROW = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5.1,3.5,1.4,0.2\n"
# The parts of `thalweg train`, one after the other, each with the lines that it takes.
PARTS = {
    "imports of the shell": "import thalweg.cli.commands.train",
    "imports of training": "from thalweg.runs.train import Session, Spec, run_session\nimport thalweg.runs.display",
    "rows": 'session = Session.load(Spec.of({"data": "iris", "training": {"epochs": 20}}))',
    "training": "run = run_session(session)",
    "doctor": "run.diagnose()",
    "charts": "page = run.page()",
    "page": "html = page.html()",
}


class Cost(NamedTuple):
    """Seconds of a process: by the clock, and of the processor."""

    wall: float
    processor: float


def cost_of(words: list[str], environment: dict[str, str]) -> Cost:
    """What a process costs. Raises CalledProcessError where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, *words], env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def parts_of(environment: dict[str, str]) -> list[float]:
    """Seconds of the processor for each part of `thalweg train`, in one process."""
    clock = "print(time.process_time())"
    lines = "\n".join(["import time", clock, *(f"{line}\n{clock}" for line in PARTS.values())])
    done = subprocess.run([sys.executable, "-c", lines], env=environment, check=True, capture_output=True, text=True)
    times = list(map(float, done.stdout.split()))
    return [end - begin for begin, end in itertools.pairwise(times)]


def spread(values: list[float]) -> str:
    """The median and the extremes."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, to show that everything runs")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            **os.environ,
            "THALWEG_CACHE": str(folder / "cache"),
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            "PYTHONDONTWRITEBYTECODE": "",
        }
        empty = environment | {"THALWEG_CACHE": str(folder / "empty")}
        (folder / "row.csv").write_text(ROW)
        train = ["-m", "thalweg", "train", "iris", "--epochs", "20", "--out", str(folder / "run")]
        programs = {
            "base": ["-c", BASE],
            "train": train,
            "train, compiled": [*train, "--engine", "compiled"],
            "predict": ["-m", "thalweg", "predict", str(folder / "first"), str(folder / "row.csv")],
            "new machine": train,
        }
        cost_of([*train[:-1], str(folder / "first")], environment)
        costs: dict[str, list[Cost]] = {program: [] for program in programs}
        parts = []
        # The first round fills the caches.
        for number in range(rounds + 1):
            for program, words in programs.items():
                shutil.rmtree(folder / "run", ignore_errors=True)
                shutil.rmtree(folder / "empty", ignore_errors=True)
                cost = cost_of(words, empty if program == "new machine" else environment)
                if number:
                    costs[program].append(cost)
            if number:
                parts.append(parts_of(environment))
        print(f"{'seconds':16} {'wall':24} {'processor':24} {'processor / base':24}")
        for program, found in costs.items():
            ratios = [cost.processor / base.processor for cost, base in zip(found, costs["base"], strict=True)]
            times = [spread([cost[part] for cost in found]) for part in range(2)]
            print(f"{program:16} {times[0]:24} {times[1]:24} {spread(ratios):24}")
        for part, seconds in zip(PARTS, zip(*parts, strict=True), strict=True):
            print(f"  {part:22} {spread(list(seconds))}")


if __name__ == "__main__":
    main()
