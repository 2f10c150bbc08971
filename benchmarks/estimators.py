"""Thalweg's and scikit-learn's networks with the same parameters: time to fit, and scores on unseen rows.

    python benchmarks/estimators.py [--rounds 5] [--seeds 10] [--quick] [--json FILE]

Time: MLPClassifier(random_state=round, tol=0) of both libraries, fitted in turn for the same number of epochs on MNIST
(random pictures of its shape if THALWEG_DATA names no folder), on a table of 20,000 rows and 30 columns, and on 300
rows. The first fit of each case is reported separately: it compiles, because the cache of programs is a new folder. A
ratio is computed within a round; the median and the extremes are printed.

Scores: each estimator after a StandardScaler, with its defaults except `max_iter`, on five data sets, over seeds that
decide the split, the initial weights and the order. The tables have the mean scores, the difference paired by seed with
its interval (Student's t), and the standard deviation of scikit-learn's scores over the seeds: its seed noise.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import thalweg
from sklearn import datasets
from thalweg.core.intervals import difference
from training_speed import CASES, load, machine


class Fit(NamedTuple):
    """A fit to time in both libraries."""

    name: str
    X: np.ndarray
    """Inputs (n, features)."""
    y: np.ndarray
    """Classes (n,)."""
    parameters: dict[str, Any]
    """Parameters of the estimators in both libraries."""
    required: float
    """The required ratio of scikit-learn's time to Thalweg's."""


def fits(quick: bool) -> list[Fit]:
    """The fits to time."""
    mnist, rows_name = load(next(case for case in CASES if case.name == "mnist"))
    table = datasets.make_classification(20_000, 30, n_informative=15, random_state=0)
    small = datasets.make_classification(300, 10, random_state=0)
    epochs = (1, 1, 2) if quick else (5, 20, 200)
    rows = 200 if quick else None
    names = f"784-100-10 ({rows_name})", "20,000 rows, 30-100-1", "300 rows, 10-100-1"
    xs = (mnist.x[:rows], table[0][:rows], small[0])
    ys = (mnist.y[:rows], table[1][:rows], small[1])
    return [
        Fit(f"{name}, {count} epochs", x, y, {"max_iter": count}, required)
        for name, x, y, count, required in zip(names, xs, ys, epochs, (2.0, 3.0, 1.0), strict=True)
    ]


def timed(estimator: Any, case: Fit, seed: int) -> float:
    """Seconds of one fit."""
    model = estimator(random_state=seed, tol=0, n_iter_no_change=10**6, **case.parameters)
    began = time.perf_counter()
    model.fit(case.X, case.y)
    seconds = time.perf_counter() - began
    assert model.n_iter_ == case.parameters["max_iter"]
    return seconds


def time_fits(rounds: int, quick: bool) -> list[dict[str, Any]]:
    """The times of all cases."""
    results = []
    for case in fits(quick):
        first = [timed(estimator, case, 0) for estimator in (thalweg.MLPClassifier, MLPClassifier)]
        pairs = []
        for seed in range(1, rounds + 1):
            pairs.append([timed(estimator, case, seed) for estimator in (thalweg.MLPClassifier, MLPClassifier)])
        ratios = [theirs / ours for ours, theirs in pairs]
        results.append(
            {
                "case": case.name,
                "asked": case.required,
                "thalweg": [ours for ours, _ in pairs],
                "sklearn": [theirs for _, theirs in pairs],
                "ratios": ratios,
                "first": first,
            }
        )
    return results


def scored(quick: bool) -> dict[str, tuple[Any, Any, Any, Any]]:
    """Data by name: X, y, and the two estimators."""
    classifiers = (thalweg.MLPClassifier, MLPClassifier)
    regressors = (thalweg.MLPRegressor, MLPRegressor)
    few = 500 if quick else None
    x, y = datasets.load_digits(return_X_y=True)
    # Targets that depend on eight columns by curves and products, with noise, as housing prices do.
    curved = datasets.make_friedman1(500 if quick else 4000, n_features=8, noise=1.0, random_state=0)
    return {
        "digits": (x[:few], y[:few], *classifiers),
        "breast cancer": (*datasets.load_breast_cancer(return_X_y=True), *classifiers),
        "wine": (*datasets.load_wine(return_X_y=True), *classifiers),
        "diabetes": (*datasets.load_diabetes(return_X_y=True), *regressors),
        "eight columns": (*curved, *regressors),
    }


def score_all(seeds: int, quick: bool) -> list[dict[str, Any]]:
    """The scores of all data sets."""
    results = []
    for name, (X, y, ours, theirs) in scored(quick).items():
        scores = np.array(
            [[score(estimator, X, y, seed, quick) for estimator in (ours, theirs)] for seed in range(seeds)]
        )
        paired = difference(scores[:, 0], scores[:, 1])
        results.append(
            {
                "data": name,
                "thalweg": scores[:, 0].tolist(),
                "sklearn": scores[:, 1].tolist(),
                "difference": list(paired),
                "noise": float(scores[:, 1].std(ddof=1)),
            }
        )
    return results


def score(estimator: Any, X: np.ndarray, y: np.ndarray, seed: int, quick: bool) -> float:
    """Accuracy, or R², on the test rows of a seed."""
    stratify = y if estimator.__name__ == "MLPClassifier" else None
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=stratify)
    # The targets of diabetes go up to 346: 200 epochs are not enough for both libraries.
    model = make_pipeline(StandardScaler(), estimator(random_state=seed, max_iter=2 if quick else 500))
    return float(model.fit(X_train, y_train).score(X_test, y_test))


def print_times(results: list[dict[str, Any]]) -> None:
    """The times as a table."""
    columns = ("case", "Thalweg, s", "scikit-learn, s", "ratio", "low - high", "required", "first fit: both, s")
    table = Table(*columns, title="Fit")
    for case in results:
        ours = statistics.median(case["thalweg"])
        theirs = statistics.median(case["sklearn"])
        ratios = case["ratios"]
        spread = f"{min(ratios):.2f} - {max(ratios):.2f}"
        first = ", ".join(f"{seconds:.2f}" for seconds in case["first"])
        times = (f"{ours:.3f}", f"{theirs:.3f}", f"{statistics.median(ratios):.2f}", spread)
        table.add_row(case["case"], *times, f"{case['asked']:g}", first)
    Console().print(table)


def print_scores(results: list[dict[str, Any]]) -> None:
    """The scores as a table."""
    title = "Scores on the test rows (accuracy, R²)"
    table = Table("data", "Thalweg", "scikit-learn", "difference (95 %)", "seed noise", title=title)
    for data in results:
        mean, low, high = data["difference"][:3]
        ours, theirs = (f"{statistics.mean(data[name]):.4f}" for name in ("thalweg", "sklearn"))
        table.add_row(data["data"], ours, theirs, f"{mean:+.4f} ({low:+.4f} to {high:+.4f})", f"{data['noise']:.4f}")
    Console().print(table)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="few rows and epochs, for the tests")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["THALWEG_CACHE"] = tempfile.mkdtemp(prefix="thalweg-benchmark-")
    # Both libraries warn if the fixed number of epochs ends before convergence.
    warnings.simplefilter("ignore", ConvergenceWarning)
    times = time_fits(options.rounds, options.quick)
    scores = score_all(options.seeds, options.quick)
    print(f"{machine()['cpu']}, {machine()['cores']} cores")
    print_times(times)
    print_scores(scores)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "times": times, "scores": scores}, indent=1))


if __name__ == "__main__":
    main()
