"""Memory of a process that fits networks on tables of ever new shapes: it must level off. See README.md."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from thalweg import MLPClassifier


def resident() -> float:
    """Memory of this process in MB, as Linux reports it."""
    line = next(line for line in Path("/proc/self/status").read_text("utf-8").splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def fit(rows: int) -> None:
    """Fit a network to a table of that many rows, on the compiled engine."""
    x = np.random.default_rng(0).normal(size=(rows, 6))
    model = MLPClassifier((8,), max_iter=3, engine="compiled", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, x[:, 0] > 0)


def main() -> None:
    """Print the memory after the first fit, and after each 25."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=200, help="tables, each of another number of rows")
    fits = parser.parse_args().fits
    for done in range(1, fits + 1):
        fit(59 + done)
        if done == 1 or done % 25 == 0:
            print(f"{done:4} fits: {resident():6.0f} MB", flush=True)


if __name__ == "__main__":
    main()
