"""Compare the training speed of two versions of Thalweg: each trains in a process of its own, in alternating pairs.

    python benchmarks/two_versions.py path/to/old/src src --pairs 21

The ratio new / old of each pair is taken of times that follow each other, so that a slow minute of the machine slows
both. Two intervals of 95 %: of the geometric mean, by Student's t; of the median, by the ranks of the ratios, which a
few interrupted trainings do not move.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

CASES: dict[str, dict[str, Any]] = {
    "rings": {
        "data": "rings",
        "network": {"layers": ["dense 16", "tanh", "dense 16", "tanh", "dense 2", "softmax"]},
        "optimizer": "adam 0.01",
        "training": {"epochs": 300, "batch_size": 32},
        "probes": "off",
    },
    "mnist": {
        "data": "mnist",
        "network": {"layers": ["dense 128", "relu", "dense 10", "softmax"]},
        "optimizer": "adam 0.001",
        "training": {"epochs": 2, "batch_size": 128},
        "probes": "off",
    },
}

# Runs in both versions, so it uses public names only.
WORKER = """
import json, sys
import thalweg
data = {}
for line in sys.stdin:
    case = json.loads(line)
    training = case["training"]
    source = case["data"]
    if source not in data:
        data[source] = thalweg.Data(source)
    run = thalweg.train(
        case["network"], data[source], optimizer=case["optimizer"], probes=case["probes"], progress=False, **training
    )
    print(json.dumps([run.seconds, run.history[-1]["loss"]]), flush=True)
"""


def worker(source: str) -> subprocess.Popen[str]:
    """A process that trains with the version in a source folder."""
    environment = {**os.environ, "PYTHONPATH": str(Path(source).resolve())}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", WORKER], env=environment, stdin=pipe, stdout=pipe, text=True)


def seconds(process: subprocess.Popen[str], case: dict[str, Any]) -> tuple[float, float]:
    """The time and the last loss of one training."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(case) + "\n")
    process.stdin.flush()
    time, loss = json.loads(process.stdout.readline())
    return time, loss


def compared(old: str, new: str, case: dict[str, Any], pairs: int) -> dict[str, float]:
    """The ratio of times new / old with its 95 % interval."""
    processes = [worker(old), worker(new)]
    losses = [seconds(process, case)[1] for process in processes]  # the first training compiles
    ratios = []
    for pair in range(pairs):
        order = (0, 1) if pair % 2 == 0 else (1, 0)
        times = [0.0, 0.0]
        for which in order:
            times[which] = seconds(processes[which], case)[0]
        ratios.append(times[1] / times[0])
    for process in processes:
        process.kill()
        process.wait()
    logs = np.log(ratios)
    half = stats.t.ppf(0.975, pairs - 1) * logs.std(ddof=1) / np.sqrt(pairs)
    mean = logs.mean()
    rank = max(0, int(stats.binom.ppf(0.025, pairs, 0.5)) - 1)
    return {
        "ratio": float(np.exp(mean)),
        "low": float(np.exp(mean - half)),
        "high": float(np.exp(mean + half)),
        "median": float(np.median(ratios)),
        "median_low": float(sorted(ratios)[rank]),
        "median_high": float(sorted(ratios)[-1 - rank]),
        "pairs": pairs,
        "same_loss": float(losses[0] == losses[1]),
    }


def main() -> None:
    """Print the ratios of all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    options = parser.parse_args()
    for name in options.cases:
        found = compared(options.old, options.new, CASES[name], options.pairs)
        same = "the same last loss" if found["same_loss"] else "another last loss"
        print(
            f"{name}: new / old {found['ratio']:.3f} ({found['low']:.3f} to {found['high']:.3f}), median "
            f"{found['median']:.3f} ({found['median_low']:.3f} to {found['median_high']:.3f}), "
            f"{options.pairs} pairs, {same}",
            flush=True,
        )


if __name__ == "__main__":
    main()
