"""Thalweg's estimators for tables beside others on public tables: scores and processor time of untuned defaults.

    python benchmarks/suite.py [--splits 5] [--tables NAMES] [--methods NAMES] [--development] [--results FILE]
    python benchmarks/suite.py --report [--results FILE]

Every method fits the same rows and is scored on the same test rows, a quarter, drawn by class. Each fit is a line that
is appended to FILE as it ends: a run that was stopped goes on, and `--report` prints the pages of what is there.

    fast, full  thalweg.TabularClassifier and TabularRegressor with both efforts, frames as they are
    boosting    HistGradientBoosting, text as categories
    forest      RandomForest, text as numbers
    linear      LogisticRegression and Ridge, missing values by the median, scaled, text one-hot
    MLP         scikit-learn's network after the same preparation, numbers of a regression scaled
    RealMLP     RealMLP of the package pytabkit with its tuned defaults, missing numbers by the median
    TabM        TabM of pytabkit with its defaults, prepared likewise

All have their defaults besides, and one thread. A score is normalised for each table: 0 is the best constant answer
(classes by their frequency; the mean, or the median for absolute errors), 1 the best mean of any method there, and -1
the least. A table where no method beats the constant is left out of that measure. Intervals (95 %) are of the paired
bootstrap over tables. Times are of the processor: the median of the fits of a table after the first one, which
compiles, where there is another.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

# Before NumPy, JAX and PyTorch are imported: each of them reads it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import thalweg
from suite_tables import DEVELOPMENT, SUITE, Source, Table

Scores = dict[str, float]
Cell = tuple[str, int]
"""A table and a split."""

# The sign that makes more better.
MEASURES: Mapping[str, int] = {"accuracy": 1, "auc": 1, "log_loss": -1, "r2": 1, "mae": -1, "rmse": -1}
# The measure of a table that a single score needs; an accuracy cannot be normalised where one class is most rows.
MAIN = ("auc", "r2")
RESAMPLES = 20_000


class Record(NamedTuple):
    """One fit."""

    table: str
    method: str
    split: int
    seconds: float
    """Processor time of the fit."""
    predict_seconds: float
    first: bool
    """Whether it is the first fit of the method to this table in its process."""
    scores: Scores


# Methods --------------------------------------------------------------------------------------------------------------


def _is_text(x: pd.DataFrame) -> list[str]:
    return [name for name in x if not pd.api.types.is_numeric_dtype(x[name])]


def _prepared() -> object:
    """Numbers filled and scaled, text one-hot."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
        sparse_threshold=0,
    )


def _thalweg(effort: str) -> Callable[[bool, int, pd.DataFrame], object]:
    def make(classes: bool, seed: int, x: pd.DataFrame) -> object:
        kind = thalweg.TabularClassifier if classes else thalweg.TabularRegressor
        return kind(effort, random_state=seed)

    return make


def _boosting(classes: bool, seed: int, x: pd.DataFrame) -> object:
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return kind(categorical_features="from_dtype", random_state=seed)


def _forest(classes: bool, seed: int, x: pd.DataFrame) -> object:
    kind = RandomForestClassifier if classes else RandomForestRegressor
    text = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer(
        (text, make_column_selector(dtype_exclude="number")), remainder="passthrough", sparse_threshold=0
    )
    return make_pipeline(columns, kind(random_state=seed))


def _linear(classes: bool, seed: int, x: pd.DataFrame) -> object:
    return make_pipeline(_prepared(), LogisticRegression(max_iter=1000) if classes else Ridge())


def _mlp(classes: bool, seed: int, x: pd.DataFrame) -> object:
    network = MLPClassifier if classes else MLPRegressor
    model = network(random_state=seed)
    return make_pipeline(
        _prepared(), model if classes else TransformedTargetRegressor(model, transformer=StandardScaler())
    )


def _pytabkit(name: str) -> Callable[[bool, int, pd.DataFrame], object]:
    def make(classes: bool, seed: int, x: pd.DataFrame) -> object:
        from pytabkit.models.sklearn import sklearn_interfaces

        model = getattr(sklearn_interfaces, f"{name}_{'Classifier' if classes else 'Regressor'}")
        filled = make_column_transformer(
            (SimpleImputer(strategy="median"), make_column_selector(dtype_include="number")),
            remainder="passthrough",
            verbose_feature_names_out=False,
        ).set_output(transform="pandas")
        return make_pipeline(filled, model(device="cpu", n_threads=1, random_state=seed, verbosity=0))

    return make


METHODS: Mapping[str, Callable[[bool, int, pd.DataFrame], object]] = {
    "fast": _thalweg("fast"),
    "full": _thalweg("full"),
    "boosting": _boosting,
    "forest": _forest,
    "linear": _linear,
    "MLP": _mlp,
    "RealMLP": _pytabkit("RealMLP_TD"),
    "TabM": _pytabkit("TabM_D"),
}
OURS = ("fast", "full")
# Without pytabkit, which takes minutes for a table.
USUAL = tuple(METHODS)[:6]


# Fits -----------------------------------------------------------------------------------------------------------------


def scores_of(y: np.ndarray, predicted: np.ndarray, labels: np.ndarray | None) -> Scores:
    """The scores of predicted values (n,), or of probabilities (n, classes) of `labels`."""
    if labels is None:
        error = predicted - y
        r2 = 1 - float((error**2).mean() / y.var())
        return {"r2": r2, "mae": float(np.abs(error).mean()), "rmse": math.sqrt((error**2).mean())}
    accuracy = float((labels[predicted.argmax(axis=1)] == y).mean())
    if len(labels) == 2:
        auc = roc_auc_score(y == labels[1], predicted[:, 1])
    else:
        auc = roc_auc_score(y, predicted, multi_class="ovr", labels=labels)
    return {"accuracy": accuracy, "auc": float(auc), "log_loss": float(log_loss(y, predicted, labels=labels))}


def constant_scores(y: np.ndarray, y_test: np.ndarray) -> Scores:
    """The scores of the best constants of the training targets."""
    if y.dtype.kind == "f":
        by_mean = scores_of(y_test, np.full(len(y_test), y.mean()), None)
        return by_mean | {"mae": float(np.abs(y_test - np.median(y)).mean())}
    labels, counts = np.unique(y, return_counts=True)
    return scores_of(y_test, np.tile(counts / len(y), (len(y_test), 1)), labels)


def split_of(table: Table, split: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray]:
    """Inputs for training and test, and their targets."""
    stratify = table.y if table.classes else None
    return tuple(train_test_split(table.x, table.y, test_size=0.25, random_state=split, stratify=stratify))


def with_categories(x: pd.DataFrame) -> pd.DataFrame:
    """The frame with text as categories, which the other methods know columns by."""
    text = _is_text(x)
    return x.astype(dict.fromkeys(text, str)).where(x.notna()).astype(dict.fromkeys(text, "category"))


def measured(name: str, table: Table, method: str, split: int, first: bool) -> Record:
    """Fit and score a method."""
    x = table.x if method in OURS else with_categories(table.x)
    train, test, y, y_test = split_of(Table(x, table.y), split)
    model = METHODS[method](table.classes, split, train)
    began = time.process_time()
    model.fit(train, y)
    fitted = time.process_time()
    predicted = model.predict_proba(test) if table.classes else model.predict(test)
    ended = time.process_time()
    labels = model.classes_ if table.classes else None
    scores = scores_of(y_test, np.asarray(predicted, float), labels)
    return Record(name, method, split, fitted - began, ended - fitted, first, scores)


def run(sources: Mapping[str, Source], methods: Iterable[str], splits: int, results: Path, seconds: float) -> None:
    """Fit what the results do not have, a table after the other, and append each fit as it ends."""
    done = {(record.table, record.method, record.split) for record in read(results)}
    limit = time.monotonic() + seconds
    for name, source in sources.items():
        wanted = [(split, method) for split in range(splits) for method in ("constant", *methods)]
        wanted = [(split, method) for split, method in wanted if (name, method, split) not in done]
        table = source.load() if wanted else None
        seen = set()
        for split, method in wanted:
            if time.monotonic() > limit:
                return
            if method == "constant":
                _, _, y, y_test = split_of(table, split)
                record = Record(name, method, split, 0.0, 0.0, False, constant_scores(y, y_test))
            else:
                record = measured(name, table, method, split, method not in seen)
                seen.add(method)
            with results.open("a") as file:
                file.write(json.dumps(record._asdict()) + "\n")
            shown = "  ".join(f"{measure} {value:.4f}" for measure, value in record.scores.items())
            print(f"{name:<20}{method:<10}{split}  {record.seconds:8.2f} s  {shown}", flush=True)


def read(results: Path) -> list[Record]:
    """The fits of a file of results."""
    lines = results.read_text().splitlines() if results.exists() else []
    return [Record(**json.loads(line)) for line in lines]


# Report ---------------------------------------------------------------------------------------------------------------


class Results(NamedTuple):
    """The mean scores of methods by table, over the splits that all of them have."""

    means: Mapping[str, Mapping[str, Scores]]
    """By table and method."""
    seconds: Mapping[str, Mapping[str, float]]
    """Processor time of a fit, by table and method."""
    splits: Mapping[str, int]


def gathered(records: Iterable[Record], methods: Iterable[str]) -> Results:
    """The results of those tables that all methods have fits of, for the same splits."""
    fits: dict[str, dict[str, dict[int, Record]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        fits[record.table][record.method][record.split] = record
    means, seconds, splits = {}, {}, {}
    for table, of in fits.items():
        common = set.intersection(*(set(of[method]) for method in ("constant", *methods)))
        if not common:
            continue
        splits[table] = len(common)
        means[table] = {
            method: {
                measure: statistics.mean(of[method][split].scores[measure] for split in common)
                for measure in of[method][min(common)].scores
            }
            for method in ("constant", *methods)
        }
        seconds[table] = {}
        for method in methods:
            later = [fit.seconds for fit in of[method].values() if not fit.first]
            seconds[table][method] = statistics.median(later or [fit.seconds for fit in of[method].values()])
    return Results(means, seconds, splits)


def normalised(means: Mapping[str, Scores], measure: str) -> dict[str, float] | None:
    """Scores of methods between 0, the constant's, and 1, the best; None where none beats the constant."""
    sign = MEASURES[measure]
    values = {method: sign * scores[measure] for method, scores in means.items()}
    constant = values.pop("constant")
    best = max(values.values())
    if best <= constant:
        return None
    return {method: max(-1.0, (value - constant) / (best - constant)) for method, value in values.items()}


def interval_over_tables(differences: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """(mean, low, high) of paired differences (tables,): 95 % of the means of resampled tables.

    >>> interval_over_tables(np.full(5, 0.25))
    (0.25, 0.25, 0.25)
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(differences), (RESAMPLES, len(differences)))
    low, high = np.quantile(differences[drawn].mean(axis=1), [0.025, 0.975])
    return float(differences.mean()), float(low), float(high)


def _by_measure(results: Results, tables: Iterable[str], measures: Iterable[str]) -> list[dict[str, float]]:
    """The normalised scores of each table that has one of the measures."""
    rows = []
    for table in tables:
        for measure in measures:
            if measure in results.means[table]["constant"]:
                scores = normalised(results.means[table], measure)
                rows += [scores] if scores else []
    return rows


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _heading(*cells: object) -> str:
    return "\n".join([_row(*cells), _row("---", *["---:"] * (len(cells) - 1))])


def _interval(values: list[float]) -> str:
    mean, low, high = interval_over_tables(np.array(values))
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def scores_page(results: Results, tables: list[str], methods: list[str]) -> str:
    """Normalised scores of each measure, ranks, the seconds of a fit to each table, and the mean ratio of times."""
    lines = [_heading("method", "score", "rank", "accuracy", "log loss", "MAE", "seconds", "time / boosting's")]
    main = _by_measure(results, tables, MAIN)
    ranks = [{method: 1 + sum(other > own for other in row.values()) for method, own in row.items()} for row in main]
    baseline = "boosting" if "boosting" in methods else methods[0]
    for method in methods:
        others = []
        for measure in ("accuracy", "log_loss", "mae"):
            rows = _by_measure(results, tables, [measure])
            others.append(f"{statistics.mean(row[method] for row in rows):.3f}" if rows else "")
        ratios = [results.seconds[table][method] / results.seconds[table][baseline] for table in tables]
        lines.append(
            _row(
                method,
                f"{statistics.mean(row[method] for row in main):.3f}",
                f"{statistics.mean(row[method] for row in ranks):.2f}",
                *others,
                f"{sum(results.seconds[table][method] for table in tables):.0f}",
                f"{statistics.geometric_mean(ratios):.1f}",
            )
        )
    return "\n".join(lines)


def differences_page(results: Results, tables: list[str], methods: list[str], ours: list[str]) -> str:
    """Ours minus each other one: normalised scores paired by table."""
    lines = [_heading("difference", "score", "better on", "accuracy", "log loss")]
    for own in ours:
        for other in methods:
            if other in ours:
                continue
            main = [row[own] - row[other] for row in _by_measure(results, tables, MAIN)]
            cells = [_interval(main), f"{sum(value > 0 for value in main)} of {len(main)}"]
            for measure in ("accuracy", "log_loss"):
                rows = _by_measure(results, tables, [measure])
                cells.append(_interval([row[own] - row[other] for row in rows]) if rows else "")
            lines.append(_row(f"{own} - {other}", *cells))
    return "\n".join(lines)


def tables_page(results: Results, sources: Mapping[str, Source], tables: list[str], methods: list[str]) -> str:
    """The raw mean of the main measure, the log loss of classes, and the seconds, for each table and method."""
    lines = [_heading("table", "rows", "splits", "measure", *methods)]
    for table in tables:
        means = results.means[table]
        for measure in ("auc", "accuracy", "log_loss", "r2", "mae", "rmse"):
            if measure in means["constant"]:
                values = [f"{means[method][measure]:.4g}" for method in methods]
                lines.append(_row(table, f"{sources[table].rows:,}", results.splits[table], measure, *values))
        seconds = [f"{results.seconds[table][method]:.2f}" for method in methods]
        lines.append(_row(table, f"{sources[table].rows:,}", results.splits[table], "seconds", *seconds))
    return "\n".join(lines)


def report(records: list[Record], sources: Mapping[str, Source], methods: list[str]) -> str:
    """All pages."""
    results = gathered(records, methods)
    public = [name for name in sources if name in results.means and not sources[name].generated]
    groups = {
        "Public tables": public,
        "Public tables of more than 5,000 rows": [name for name in public if sources[name].rows > 5000],
        "Generated tables": [name for name in sources if name in results.means and sources[name].generated],
    }
    ours = [method for method in methods if method in OURS]
    pages = []
    for title, tables in groups.items():
        if tables:
            pages += [f"## {title}: {len(tables)}", scores_page(results, tables, methods)]
            pages += [differences_page(results, tables, methods, ours)] if len(methods) > len(ours) > 0 else []
    tables = [name for name in sources if name in results.means]
    return "\n\n".join([*pages, "## All", tables_page(results, sources, tables, methods)])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--tables", nargs="+", choices=[*SUITE, *DEVELOPMENT], metavar="NAME")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(USUAL))
    parser.add_argument("--development", action="store_true", help="the tables that defaults may be chosen on")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no fit after this time")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("suite.jsonl"))
    parser.add_argument("--report", action="store_true", help="only print what the results have")
    options = parser.parse_args()
    # The others warn where their defaults stop too early, and of categories that training rows lack.
    warnings.simplefilter("ignore")
    sources = DEVELOPMENT if options.development else SUITE
    if options.tables:
        sources = {name: {**SUITE, **DEVELOPMENT}[name] for name in options.tables}
    if not options.report:
        run(sources, options.methods, options.splits, options.results, options.seconds)
    print(report(read(options.results), sources, options.methods))


if __name__ == "__main__":
    main()
