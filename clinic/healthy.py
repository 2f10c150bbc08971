"""Healthy runs: what is normal, and how often the doctor raises a false alarm.

    python clinic/healthy.py [--jobs N] [--cache FOLDER]

trains the examples that come with Thalweg (but MNIST, which is downloaded) and a grid of specs as one would advise:
12 data sets, depths of 1 to 16, widths of 5 to 128, eight activations with the start values that suit them, plain, with
batch normalisation, and with residual blocks, seven optimizers at their usual rates, batches of 8 rows to all. Each
axis has its values equally often, in an order drawn with a fixed seed. Who learned, as learns.py measures it, counts.

Of the grid, the even numbers are for calibration: quantiles of what the doctor measures in them are kept in
src/thalweg/doctor/healthy.json, where it looks up what is normal. The odd numbers are left to count false alarms, with
the examples. Who learned is kept in healthy.json beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from rows import source
from thalweg import load
from thalweg.experiments.runner import cores
from thalweg.spec.spec import Spec
from thalweg.spec.toml import example_names, read_spec
from ward import CACHE, outcomes, stays

RESULTS = Path(__file__).parent / "healthy.json"
NORMAL = Path(__file__).parents[1] / "src" / "thalweg" / "doctor" / "healthy.json"
QUANTILES = (0.5, 1, 5, 50, 95, 99, 99.5)
SPECS = 156
SEED = 0
# The deep ones are no toys any more: they need something that keeps signals alive, or start values alone and width.
SHALLOW, DEEP = 2, 8
UPDATES = 1200
SMALL = 200

# Rows for training, and the section of the data: inputs of the order of 1.
DATA: dict[str, tuple[int, dict[str, Any]]] = {
    "rings": (480, {"source": "rings 600"}),
    "moons": (480, {"source": "moons 600"}),
    "spiral": (720, {"source": "spiral 900"}),
    "blobs": (480, {"source": {"kind": "blobs", "samples": 600, "classes": 4, "features": 6}, "scale": "standard"}),
    "iris": (108, {"source": "iris"}),
    "wine": (128, {"source": "wine"}),
    "cancer": (410, {"source": "breast_cancer"}),
    "digits": (1294, {"source": "digits"}),
    "wave": (360, {"source": "wave"}),
    "diabetes": (318, {"source": "diabetes"}),
    "friedman": (432, {"source": "friedman"}),
    "labels": (432, {"source": "four-labels"}),
}
OUTPUTS = {"blobs": 4, "iris": 3, "wine": 3, "digits": 10, "labels": 4}
# Their own units are of the order of 1 to 10, which many train with as they are.
NATURAL = {"blobs", "iris", "digits", "friedman"}
NUMBERS = {"wave", "diabetes", "friedman"}
STARTS = {
    "relu": ("he_normal", "he_uniform"),
    "leaky_relu": ("he_normal", "he_uniform"),
    "elu": ("he_normal", "glorot_normal"),
    "selu": ("lecun_normal", "lecun_uniform"),
    "gelu": ("he_normal", "glorot_uniform"),
    "swish": ("he_normal", "he_uniform"),
    "tanh": ("glorot_uniform", "glorot_normal"),
    "sigmoid": ("glorot_uniform", "glorot_normal"),
}
DEPTHS = (1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 8, 10, 12, 16)
WIDTHS = (5, 8, 12, 16, 16, 24, 32, 32, 48, 64, 128)
BODIES = ("plain", "plain", "batch_norm", "residual")
# Rates for shallow networks, and for deep ones.
RATES = {
    "sgd": (0.1, 0.03),
    "momentum": (0.02, 0.005),
    "nesterov": (0.02, 0.005),
    "adam": (0.005, 0.001),
    "rmsprop": (0.003, 0.001),
    "adagrad": (0.05, 0.02),
    "adamw": (0.005, 0.001),
}
BATCHES = (8, 16, 32, 32, 64, 128, "full")
EXTRAS = ("", "", "", "cosine", "dropout", "l2", "best")


def grid() -> dict[str, Spec]:
    """The specs of the grid by their names, which begin with their numbers."""
    rng = np.random.default_rng(SEED)
    axes = [_column(rng, axis) for axis in (list(DATA), list(STARTS), DEPTHS, WIDTHS, BODIES, list(RATES), BATCHES)]
    extras = _column(rng, EXTRAS)
    return dict(_spec(number, *row) for number, row in enumerate(zip(*axes, extras, strict=True)))


def _column(rng: np.random.Generator, axis: Sequence[Any]) -> list[Any]:
    """The values of an axis, each as often as the others, in any order."""
    values = list(itertools.islice(itertools.cycle(axis), SPECS))
    return [values[i] for i in rng.permutation(SPECS)]


def _spec(
    number: int,
    data: str,
    activation: str,
    depth: int,
    width: int,
    body: str,
    optimizer: str,
    batch: int | str,
    extra: str,
) -> tuple[str, Spec]:
    if activation == "sigmoid":
        # A stack of sigmoid units is a fault of its own.
        depth = min(depth, SHALLOW)
    if depth >= DEEP:
        width, body = max(width, 24), "residual" if body == "plain" and activation == "tanh" else body
    rows, section = DATA[data]
    if data in NATURAL and number % 3 == 1:
        section = {**section, "scale": "none"}
    given = section["source"]
    whole = {**section, "source": source(given) if given in ("friedman", "four-labels") else given}
    per_epoch = 1 if batch == "full" else -(-rows // int(batch))
    # Plain descent goes a longer way, and so does a batch of all rows, whose steps are all there is in an epoch.
    updates = UPDATES * (2 if optimizer in ("sgd", "adagrad") or data == "spiral" else 1)
    rate: Any = RATES[optimizer][depth > SHALLOW + 2]
    dropout = 0.2 if extra == "dropout" and width >= 32 else None
    table: dict[str, Any] = {
        "data": {**whole, "validation": 0.1, "test": 0.2},
        "network": {"layers": _layers(data, activation, depth, width, body, dropout, number)},
        "optimizer": {"kind": optimizer, "learning_rate": rate},
        "training": {
            "epochs": max(10, -(-updates // per_epoch)),
            "batch_size": batch,
            # In NumPy a small network is trained before a program for it would be compiled.
            "engine": "eager" if depth * width <= SMALL else "compiled",
            "precision": "float32",
        },
    }
    table["network"]["init"] = STARTS[activation][number % 2]
    if extra == "cosine":
        table["optimizer"]["learning_rate"] = {"kind": "cosine", "peak": 2 * rate}
    if extra == "l2":
        table["regularization"] = {"l2": 1e-4}
    if extra == "best":
        table["stopping"] = {"restore_best": True}
    return f"{number:03d} {data} {activation} {depth}x{width} {body} {optimizer}", Spec.of(table)


def _layers(
    data: str, activation: str, depth: int, width: int, body: str, dropout: float | None, number: int
) -> list[Any]:
    layers: list[Any] = []
    block = [f"dense {width}", *(["batch_norm"] if body == "batch_norm" else []), activation]
    drop = [f"dropout {dropout}"] if dropout else []
    for at in range(depth):
        # A way around needs as many outputs as inputs.
        layers += [{"kind": "residual", "layers": block}] if body == "residual" and at else block
        layers += drop
    if data in NUMBERS:
        return [*layers, "dense 1"]
    if data == "labels":
        return [*layers, f"dense {OUTPUTS[data]}", "sigmoid"]
    if data not in OUTPUTS and number % 2:
        return [*layers, "dense 1", "sigmoid"]
    return [*layers, f"dense {OUTPUTS.get(data, 2)}", "softmax"]


def examples() -> dict[str, Spec]:
    """The examples that come with Thalweg and learn, but those that have to be downloaded."""
    names = [name for name in example_names() if not name.startswith("mnist")]
    return {f"example {name}": read_spec(name) for name in names}


def calibrates(name: str) -> bool:
    """Whether a run is for calibration; else it is for counting false alarms."""
    return name[0].isdigit() and int(name.split()[0]) % 2 == 0


def measured(folder: Path) -> dict[str, float]:
    """What the doctor measures of a run that lies in a folder."""
    return load(folder).measurements.quantities


def quantiles(folders: Sequence[Path], jobs: int | None = None) -> dict[str, Any]:
    """Quantiles of each quantity over runs; a run that has no such quantity is left out of it."""
    found = Parallel(min(jobs or len(cores()), len(folders)))(delayed(measured)(folder) for folder in folders)
    columns = {name: np.array([quantities[name] for quantities in found]) for name in found[0]}
    told = {name: column[np.isfinite(column)] for name, column in columns.items()}
    return {
        "command": "python clinic/healthy.py",
        "runs": len(found),
        "quantities": {
            name: {f"{q:g}": float(f"{np.percentile(column, q):.4g}") for q in QUANTILES}
            for name, column in told.items()
            if len(column)
        },
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, help="processes; one for each core unless given")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where runs are kept")
    words = parser.parse_args()
    specs = {**examples(), **grid()}
    wanted = stays(specs)
    found = outcomes(wanted, words.cache, words.jobs)
    results = {name: outcome._asdict() for (name, _), outcome in found.items()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    for part, calibrating in (("calibration", True), ("false alarms", False)):
        names = [name for name in specs if calibrates(name) == calibrating]
        learned = sum(results[name]["learned"] for name in names)
        print(f"{part}: {learned} of {len(names)} learned")
    normal = [words.cache / stay.key for stay in wanted if calibrates(stay.name) and results[stay.name]["learned"]]
    NORMAL.write_text(json.dumps(quantiles(normal, words.jobs), indent=1) + "\n")


if __name__ == "__main__":
    main()
