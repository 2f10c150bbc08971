"""Healthy runs: they define what is normal, and show how often the doctor raises a false alarm.

    python clinic/healthy.py [--jobs N] [--cache FOLDER]

trains the shipped examples (except MNIST, which needs a download) and a grid of specs with recommended settings: 12
data sets, depths of 1 to 16, widths of 5 to 128, eight activations with suitable initializers, plain, with batch
normalization, and with residual blocks, seven optimizers at their usual rates, batches of 8 rows up to all rows. The
values of each axis appear equally often, in an order drawn with a fixed seed. Only runs that learn, as measured by
learns.py, count.

The even numbers of the grid are for calibration: quantiles of the doctor's measurements of these runs are written to
src/thalweg/doctor/healthy.json, where the doctor looks up what is normal. The odd numbers and the examples are for
counting false alarms. healthy.json in this folder says which runs learn.
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
from run_cache import CACHE, cached_runs, outcomes_of
from thalweg import load
from thalweg.experiments.processes import available_cores
from thalweg.spec.spec import Spec
from thalweg.spec.toml import example_names, read_spec

RESULTS = Path(__file__).parent / "healthy.json"
NORMAL = Path(__file__).parents[1] / "src" / "thalweg" / "doctor" / "healthy.json"
QUANTILES = (0.5, 1, 5, 50, 95, 99, 99.5)
SPECS = 156
SEED = 0
# A sigmoid network is at most this deep.
SHALLOW = 2
# From this depth on, a network needs more width, and tanh units need residual blocks.
DEEP = 8
UPDATES = 1200
SMALL = 200

# Number of training rows, and the [data] section; inputs are of the order of 1.
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
# Unscaled inputs of the order of 1 to 10, which many programs train with directly.
NATURAL = {"blobs", "iris", "digits", "friedman"}
NUMBERS = {"wave", "diabetes", "friedman"}
INITIALIZERS = {
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
    axes = [
        _column(rng, axis) for axis in (list(DATA), list(INITIALIZERS), DEPTHS, WIDTHS, BODIES, list(RATES), BATCHES)
    ]
    extras = _column(rng, EXTRAS)
    return dict(_spec(number, *row) for number, row in enumerate(zip(*axes, extras, strict=True)))


def _column(rng: np.random.Generator, axis: Sequence[Any]) -> list[Any]:
    """The values of an axis, all equally often, in random order."""
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
        # Many layers of sigmoid units would be a fault.
        depth = min(depth, SHALLOW)
    if depth >= DEEP:
        width = max(width, 24)
        if body == "plain" and activation == "tanh":
            body = "residual"
    rows, section = DATA[data]
    if data in NATURAL and number % 3 == 1:
        section = {**section, "scale": "none"}
    given = section["source"]
    whole = {**section, "source": source(given) if given in ("friedman", "four-labels") else given}
    per_epoch = 1 if batch == "full" else -(-rows // int(batch))
    # Plain gradient descent and the spiral need more updates.
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
            # Training a small network in NumPy takes less time than compiling a program for it.
            "engine": "eager" if depth * width <= SMALL else "compiled",
            "precision": "float32",
        },
    }
    table["network"]["init"] = INITIALIZERS[activation][number % 2]
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
    for place in range(depth):
        # A residual block needs as many outputs as inputs, so the first layer cannot be one.
        layers += [{"kind": "residual", "layers": block}] if body == "residual" and place else block
        layers += drop
    if data in NUMBERS:
        return [*layers, "dense 1"]
    if data == "labels":
        return [*layers, f"dense {OUTPUTS[data]}", "sigmoid"]
    if data not in OUTPUTS and number % 2:
        return [*layers, "dense 1", "sigmoid"]
    return [*layers, f"dense {OUTPUTS.get(data, 2)}", "softmax"]


def examples() -> dict[str, Spec]:
    """The shipped examples, except those that need a download."""
    names = [name for name in example_names() if not name.startswith("mnist")]
    return {f"example {name}": read_spec(name) for name in names}


def calibrates(name: str) -> bool:
    """Whether a run is for calibration; other runs are for counting false alarms."""
    return name[0].isdigit() and int(name.split()[0]) % 2 == 0


def measured(folder: Path) -> dict[str, float]:
    """The doctor's measurements of the run in a folder."""
    return load(folder).measurements.quantities


def quantiles(folders: Sequence[Path], jobs: int | None = None) -> dict[str, Any]:
    """Quantiles of each quantity over the runs that have it."""
    parallel = Parallel(min(jobs or len(available_cores()), len(folders)))
    measurements = parallel(delayed(measured)(folder) for folder in folders)
    columns = {name: np.array([quantities[name] for quantities in measurements]) for name in measurements[0]}
    finite = {name: column[np.isfinite(column)] for name, column in columns.items()}
    return {
        "command": "python clinic/healthy.py",
        "runs": len(measurements),
        "quantities": {
            name: {f"{q:g}": float(f"{np.percentile(column, q):.4g}") for q in QUANTILES}
            for name, column in finite.items()
            if len(column)
        },
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, help="processes [default: one for each core]")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the folder of cached runs")
    options = parser.parse_args()
    specs = {**examples(), **grid()}
    runs = cached_runs(specs)
    outcomes = outcomes_of(runs, options.cache, options.jobs)
    results = {name: outcome._asdict() for (name, _), outcome in outcomes.items()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    for part, calibrating in (("calibration", True), ("false alarms", False)):
        names = [name for name in specs if calibrates(name) == calibrating]
        learned = sum(results[name]["learned"] for name in names)
        print(f"{part}: {learned} of {len(names)} learned")
    normal = [options.cache / run.key for run in runs if calibrates(run.name) and results[run.name]["learned"]]
    NORMAL.write_text(json.dumps(quantiles(normal, options.jobs), indent=1) + "\n")


if __name__ == "__main__":
    main()
