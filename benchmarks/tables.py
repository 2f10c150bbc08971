"""Thalweg's defaults on tables beside scikit-learn's: scores on test rows, and the time to fit.

    python benchmarks/tables.py [--splits 3] [--tables iris wine ...] [--development] [--quick] [--json FILE]

Every method fits the same rows and is scored on the same test rows, a fifth, drawn by class:

    thalweg       thalweg.train(None, (x, y), epochs="auto"), which holds a tenth of its rows out for validation
    20 epochs     the same with epochs=20, which is the default
    boosting      HistGradientBoosting with its defaults
    MLP           StandardScaler and scikit-learn's network with its defaults (targets scaled too)

Scores are accuracy or R². A difference to Thalweg is paired by split, with its interval (Student's t, 95 %); a ratio
of times is that of the medians, in seconds of the processor, so that other programs count for little. The first fit of
each table compiles and is not timed. `--development` takes tables that constants of the defaults may be chosen on; no
table is in both lists.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import thalweg
from sklearn import datasets
from thalweg.core.intervals import difference

Rows = tuple[np.ndarray, np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray, int], Callable[[np.ndarray], np.ndarray]]

TABLES: dict[str, Callable[[], Rows]] = {
    "iris": partial(datasets.load_iris, return_X_y=True),
    "3,000 x 20": partial(datasets.make_classification, 3000, 20, n_informative=10, n_classes=3, random_state=0),
    "wine": partial(datasets.load_wine, return_X_y=True),
    "breast cancer": partial(datasets.load_breast_cancer, return_X_y=True),
    "diabetes": partial(datasets.load_diabetes, return_X_y=True, scaled=False),
}
DEVELOPMENT: dict[str, Callable[[], Rows]] = {
    "digits": partial(datasets.load_digits, return_X_y=True),
    "moons": partial(datasets.make_moons, 400, noise=0.25, random_state=5),
    "150 x 4": partial(
        datasets.make_classification,
        150,
        4,
        n_informative=4,
        n_redundant=0,
        n_classes=3,
        n_clusters_per_class=1,
        class_sep=1.5,
        random_state=3,
    ),
    "600 x 30": partial(datasets.make_classification, 600, 30, n_informative=6, flip_y=0.05, random_state=21),
    "2,000 x 15": partial(datasets.make_classification, 2000, 15, n_informative=8, n_classes=3, random_state=11),
    "curves, 150": partial(datasets.make_friedman1, 150, noise=1.0, random_state=2),
    "curves, 2,500": partial(datasets.make_friedman1, 2500, noise=1.0, random_state=2),
}


def _thalweg(
    epochs: int | Literal["auto"], x: np.ndarray, y: np.ndarray, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    data = {"source": (x, y), "test": 0.0}
    run = thalweg.train(None, data, epochs=epochs, seed=seed, probes="off", progress=False)
    return lambda rows: np.ravel(run.predict(rows))


def _boosting(x: np.ndarray, y: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    kind = HistGradientBoostingRegressor if y.dtype.kind == "f" else HistGradientBoostingClassifier
    return kind(random_state=seed).fit(x, y).predict


def _mlp(x: np.ndarray, y: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    if y.dtype.kind == "f":
        network = TransformedTargetRegressor(MLPRegressor(random_state=seed), transformer=StandardScaler())
    else:
        network = MLPClassifier(random_state=seed)
    return make_pipeline(StandardScaler(), network).fit(x, y).predict


METHODS: dict[str, Fit] = {
    "thalweg": partial(_thalweg, "auto"),
    "20 epochs": partial(_thalweg, 20),
    "boosting": _boosting,
    "MLP": _mlp,
}


def score(y: np.ndarray, predicted: np.ndarray) -> float:
    """Accuracy, or R²."""
    if y.dtype.kind == "f":
        return float(1 - ((y - predicted) ** 2).mean() / y.var())
    return float((y == predicted).mean())


def measured(rows: Rows, splits: int, quick: bool) -> dict[str, dict[str, list[float]]]:
    """Scores and times of all methods on one table, by split."""
    x, y = rows
    results: dict[str, dict[str, list[float]]] = {name: {"scores": [], "seconds": []} for name in METHODS}
    labels = None if y.dtype.kind == "f" else y
    for seed in range(splits):
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=seed, stratify=labels)
        for name, fit in METHODS.items():
            if seed == 0 and not quick:
                fit(x_train, y_train, seed)
            began = time.process_time()
            predict = fit(x_train, y_train, seed)
            results[name]["seconds"].append(time.process_time() - began)
            results[name]["scores"].append(score(y_test, np.asarray(predict(x_test))))
    return results


def _print(results: dict[str, dict[str, dict[str, list[float]]]]) -> None:
    columns = ("table", "method", "score", "thalweg - it (95 %)", "processor, s", "ratio to thalweg")
    table = Table(*columns, title="Scores on the test rows (accuracy, R²)")
    for name, methods in results.items():
        ours = methods["thalweg"]
        own_time = statistics.median(ours["seconds"])
        for method, theirs in methods.items():
            taken = statistics.median(theirs["seconds"])
            paired: Any = difference(np.array(ours["scores"]), np.array(theirs["scores"]))
            words = "" if method == "thalweg" else f"{paired[0]:+.3f} ({paired[1]:+.3f} to {paired[2]:+.3f})"
            mean = f"{statistics.mean(theirs['scores']):.3f}"
            table.add_row(
                name if method == "thalweg" else "", method, mean, words, f"{taken:.2f}", f"{taken / own_time:.2f}"
            )
    Console(width=110).print(table)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--development", action="store_true")
    parser.add_argument("--tables", nargs="+", choices=[*TABLES, *DEVELOPMENT])
    parser.add_argument("--quick", action="store_true", help="two splits, the first fits timed too, for the tests")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    # scikit-learn's networks warn where 200 epochs are not enough.
    warnings.simplefilter("ignore", ConvergenceWarning)
    names = options.tables or list(DEVELOPMENT if options.development else TABLES)
    splits = 2 if options.quick else options.splits
    results = {name: measured({**TABLES, **DEVELOPMENT}[name](), splits, options.quick) for name in names}
    _print(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
