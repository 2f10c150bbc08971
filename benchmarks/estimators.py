"""Thalweg's networks beside scikit-learn's with the same parameters: time to fit, and scores on unseen rows.

    python benchmarks/estimators.py [--rounds 5] [--seeds 10] [--quick] [--json FILE]

Time: MLPClassifier(random_state=round, tol=0) of either library, fitted in turn for the same number of epochs on MNIST
(random pictures of its shape where THALWEG_DATA names no folder), on a table of 20,000 rows and 30 columns, and on 300
rows. The first fit of each case stands by itself: it compiles, for the cache of programs is a new folder. A ratio is
taken within a round; printed are the median and the extremes.

Scores: each estimator behind a StandardScaler, with its defaults but for `max_iter`, on five data sets, over seeds that
decide the split, the start and the order. Told are the mean scores, the difference paired by seed with its interval
(Student's t), and the standard deviation of scikit-learn's own scores over the seeds: its seed noise.
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
    """Rows to fit, with the parameters that both libraries get, and how many times quicker Thalweg has to be."""

    name: str
    X: np.ndarray
    y: np.ndarray
    parameters: dict[str, Any]
    asked: float


def fits(quick: bool) -> list[Fit]:
    """The cases that are timed."""
    mnist, rows_are = load(next(case for case in CASES if case.name == "mnist"))
    table = datasets.make_classification(20_000, 30, n_informative=15, random_state=0)
    small = datasets.make_classification(300, 10, random_state=0)
    epochs = (1, 1, 2) if quick else (5, 20, 200)
    rows = 200 if quick else None
    names = f"784-100-10 ({rows_are})", "20,000 rows, 30-100-1", "300 rows, 10-100-1"
    xs, ys = (mnist.x[:rows], table[0][:rows], small[0]), (mnist.y[:rows], table[1][:rows], small[1])
    return [
        Fit(f"{name}, {count} epochs", x, y, {"max_iter": count}, asked)
        for name, x, y, count, asked in zip(names, xs, ys, epochs, (2.0, 3.0, 1.0), strict=True)
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
    found = []
    for case in fits(quick):
        first = [timed(estimator, case, 0) for estimator in (thalweg.MLPClassifier, MLPClassifier)]
        pairs = []
        for seed in range(1, rounds + 1):
            pairs.append([timed(estimator, case, seed) for estimator in (thalweg.MLPClassifier, MLPClassifier)])
        ratios = [theirs / ours for ours, theirs in pairs]
        found.append(
            {
                "case": case.name,
                "asked": case.asked,
                "thalweg": [ours for ours, _ in pairs],
                "sklearn": [theirs for _, theirs in pairs],
                "ratios": ratios,
                "first": first,
            }
        )
    return found


def scored(quick: bool) -> dict[str, tuple[Any, Any, Any, Any]]:
    """Data by name: X, y, and the two estimators."""
    classifiers, regressors = (thalweg.MLPClassifier, MLPClassifier), (thalweg.MLPRegressor, MLPRegressor)
    few = 500 if quick else None
    x, y = datasets.load_digits(return_X_y=True)
    # Eight columns, of which the numbers follow in curves and products, with noise: what housing prices are like.
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
    found = []
    for name, (X, y, ours, theirs) in scored(quick).items():
        scores = np.array(
            [[score(estimator, X, y, seed, quick) for estimator in (ours, theirs)] for seed in range(seeds)]
        )
        told = difference(scores[:, 0], scores[:, 1])
        found.append(
            {
                "data": name,
                "thalweg": scores[:, 0].tolist(),
                "sklearn": scores[:, 1].tolist(),
                "difference": list(told),
                "noise": float(scores[:, 1].std(ddof=1)),
            }
        )
    return found


def score(estimator: Any, X: np.ndarray, y: np.ndarray, seed: int, quick: bool) -> float:
    """Accuracy, or R², over the test rows of a seed."""
    stratify = y if estimator.__name__ == "MLPClassifier" else None
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=stratify)
    # The diabetes' targets go up to 346: 200 epochs are not enough for either of the two.
    model = make_pipeline(StandardScaler(), estimator(random_state=seed, max_iter=2 if quick else 500))
    return float(model.fit(X_train, y_train).score(X_test, y_test))


def print_times(found: list[dict[str, Any]]) -> None:
    """The times as a table."""
    columns = ("case", "Thalweg, s", "scikit-learn, s", "ratio", "low - high", "asked", "first fit: ours, theirs, s")
    table = Table(*columns, title="Fit")
    for case in found:
        ours, theirs = statistics.median(case["thalweg"]), statistics.median(case["sklearn"])
        ratio, low, high = statistics.median(case["ratios"]), min(case["ratios"]), max(case["ratios"])
        first = ", ".join(f"{seconds:.2f}" for seconds in case["first"])
        row = (f"{ours:.3f}", f"{theirs:.3f}", f"{ratio:.2f}", f"{low:.2f} - {high:.2f}", f"{case['asked']:g}", first)
        table.add_row(case["case"], *row)
    Console().print(table)


def print_scores(found: list[dict[str, Any]]) -> None:
    """The scores as a table."""
    title = "Scores over the test rows (accuracy, R²)"
    table = Table("data", "Thalweg", "scikit-learn", "difference (95 %)", "seed noise", title=title)
    for data in found:
        mean, low, high = data["difference"]
        ours, theirs = (f"{statistics.mean(data[name]):.4f}" for name in ("thalweg", "sklearn"))
        table.add_row(data["data"], ours, theirs, f"{mean:+.4f} ({low:+.4f} to {high:+.4f})", f"{data['noise']:.4f}")
    Console().print(table)


def main() -> None:
    """Fit and score both, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="few rows and epochs, for the tests")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["THALWEG_CACHE"] = tempfile.mkdtemp(prefix="thalweg-benchmark-")
    # Neither has settled after a number of epochs that is given.
    warnings.simplefilter("ignore", ConvergenceWarning)
    times, scores = time_fits(options.rounds, options.quick), score_all(options.seeds, options.quick)
    print(f"{machine()['cpu']}, {machine()['cores']} cores")
    print_times(times)
    print_scores(scores)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "times": times, "scores": scores}, indent=1))


if __name__ == "__main__":
    main()
