"""How long a sweep takes, as a user runs it: Thalweg, PyTorch with joblib, and scikit-learn's GridSearchCV.

    python benchmarks/sweep.py [--rounds 5] [--json FILE] [--quick]

Eight learning rates, four momenta and three seeds of a 2-32-16-2 ReLU network: 96 trainings of 50 epochs on 2,000
points of two rings (500 more are held out), batches of 128, SGD with momentum, in two processes. In each round all
programs run once, in turn, each in a new process. The time is that of the whole process with start-up, imports and
compilation. README.md in this folder has the details.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

JOBS = 2
POINTS = 2_000
HELD_OUT = 500
BATCH_SIZE = 128
MOMENTA = (0.0, 0.5, 0.9, 0.95)
# The accuracy that the best arm must reach for a time to count.
BOUND = 0.98


class Sweep(NamedTuple):
    """The size of a sweep: a number of rates from 0.001 to 0.2, of momenta, and of seeds."""

    rates: int = 8
    momenta: int = 4
    seeds: int = 3
    epochs: int = 50

    @property
    def trials(self) -> int:
        """Number of trainings."""
        return self.rates * self.momenta * self.seeds

    @property
    def axes(self) -> tuple[list[float], list[float]]:
        """The rates and the momenta."""
        return np.geomspace(1e-3, 0.2, self.rates).tolist(), list(MOMENTA[-self.momenta :])


QUICK = Sweep(rates=2, momenta=1, seeds=2, epochs=10)


def rings() -> tuple[np.ndarray, np.ndarray]:
    """A disc and a ring around it: (2500, 2) float32, (2500,) int64."""
    rng = np.random.default_rng(0)
    y = np.arange(POINTS + HELD_OUT) % 2
    radius = np.sqrt(rng.uniform(np.where(y, 0.8, 0.0) ** 2, np.where(y, 1.0, 0.4) ** 2))
    angle = rng.uniform(0, 2 * np.pi, len(y))
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.05 * rng.standard_normal((len(y), 2))
    return x.astype(np.float32), y


def torch_trial(rate: float, momentum: float, seed: int, epochs: int) -> list[float]:
    """One training in PyTorch's usual loop: the accuracy on the held-out points after each epoch."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    x, y = map(torch.from_numpy, rings())
    rows = torch.randperm(len(x))
    train = rows[:POINTS]
    held_out = rows[POINTS:]
    x_train = x[train]
    y_train = y[train]
    x_held = x[held_out]
    y_held = y[held_out]
    network = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(network.parameters(), rate, momentum, fused=True)
    criterion = nn.CrossEntropyLoss()
    accuracy = []
    for _ in range(epochs):
        for batch in torch.randperm(POINTS).split(BATCH_SIZE):
            optimizer.zero_grad()
            criterion(network(x_train[batch]), y_train[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            accuracy.append((network(x_held).argmax(dim=1) == y_held).float().mean().item())
    return accuracy


def torch_sweep(sweep: Sweep) -> float:
    """The best mean accuracy of the sweep in PyTorch, with the trainings in processes of joblib."""
    from joblib import Parallel, delayed

    arms = list(itertools.product(*sweep.axes))
    tasks = (delayed(torch_trial)(*arm, seed, sweep.epochs) for arm in arms for seed in range(sweep.seeds))
    accuracy = np.array(Parallel(JOBS)(tasks))
    return float(accuracy.reshape(len(arms), sweep.seeds, sweep.epochs)[..., -1].mean(axis=1).max())


def sklearn_sweep(sweep: Sweep) -> float:
    """The best mean accuracy of the sweep by scikit-learn's search over a grid."""
    from sklearn.model_selection import GridSearchCV, ShuffleSplit
    from sklearn.neural_network import MLPClassifier

    # scikit-learn warns in every process if a training takes all of its epochs.
    os.environ["PYTHONWARNINGS"] = "ignore"
    rates, momenta = sweep.axes
    model = MLPClassifier(
        (32, 16),
        solver="sgd",
        alpha=0,
        batch_size=BATCH_SIZE,
        nesterovs_momentum=False,
        max_iter=sweep.epochs,
        tol=0,
        n_iter_no_change=sweep.epochs,
    )
    search = GridSearchCV(
        model,
        {"learning_rate_init": rates, "momentum": momenta},
        n_jobs=JOBS,
        refit=False,
        cv=ShuffleSplit(sweep.seeds, train_size=POINTS, test_size=HELD_OUT, random_state=0),
    )
    return float(search.fit(*rings()).best_score_)


PEERS: dict[str, Callable[[Sweep], float]] = {"torch": torch_sweep, "sklearn": sklearn_sweep}
LABELS = {
    "cold": "Thalweg, nothing compiled before",
    "warm": "Thalweg, compiled in an earlier run",
    "torch": "PyTorch and joblib",
    "sklearn": "scikit-learn, GridSearchCV",
}
COLUMNS = ("seconds", "low - high", "times Thalweg's", "low - high", "best accuracy")


def experiment(sweep: Sweep) -> str:
    """The sweep as a file for `thalweg experiment`."""
    rates, momenta = sweep.axes
    return f"""\
seeds = {sweep.seeds}
[data]
source = {{ kind = "rings", samples = {POINTS + HELD_OUT} }}
test = 0.0
validation = {HELD_OUT / (POINTS + HELD_OUT)}
[network]
kind = "mlp"
hidden = [32, 16]
[optimizer]
kind = "momentum"
[training]
epochs = {sweep.epochs}
batch_size = {BATCH_SIZE}
[vary]
optimizer.learning_rate = {rates}
optimizer.momentum = {momenta}
"""


def thalweg(sweep: Sweep, cache: Path) -> tuple[float, float]:
    """Seconds and best accuracy of `thalweg experiment FILE`, which trains, compares and writes its report."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "sweep.toml"
        out = Path(name) / "out"
        file.write_text(experiment(sweep))
        words = ["-m", "thalweg", "experiment", file, "--jobs", JOBS, "--out", out, "--json", "--quiet"]
        seconds, output = timed(words, {"THALWEG_CACHE": str(cache)})
        assert len(list((out / "trials").iterdir())) == sweep.trials
    return seconds, max(arm["mean"] for arm in json.loads(output)["arms"])


def peer(name: str, sweep: Sweep) -> tuple[float, float]:
    """Seconds and best accuracy of PyTorch or scikit-learn."""
    seconds, output = timed([__file__, "--peer", name, "--sweep", *sweep])
    return seconds, float(output)


def timed(words: list[Any], environment: Mapping[str, str] = {}) -> tuple[float, str]:
    """Seconds of a whole Python process, and its output on stdout."""
    began = time.perf_counter()
    process = subprocess.run(
        [sys.executable, *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{' '.join(map(str, words))} failed: {process.stderr}")
    return seconds, process.stdout


def measure(sweep: Sweep, rounds: int, bound: float) -> dict[str, Any]:
    """Run all programs in turn, `rounds` times. Exits if one does not learn."""
    seconds: dict[str, list[float]] = {name: [] for name in LABELS}
    accuracy: dict[str, list[float]] = {name: [] for name in LABELS}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for name in LABELS:
                took, best = thalweg(sweep, Path(cache)) if name not in PEERS else peer(name, sweep)
                if not best >= bound:
                    sys.exit(f"{LABELS[name]}: the best accuracy is {best}, below {bound}; no time is valid")
                seconds[name].append(took)
                accuracy[name].append(best)
    ratios = {
        name: [other / cold for other, cold in zip(times, seconds["cold"], strict=True)]
        for name, times in seconds.items()
    }
    return {"seconds": seconds, "ratios": ratios, "accuracy": accuracy}


def growth(sizes: list[Sweep]) -> list[dict[str, float]]:
    """Seconds of sweeps of several sizes, with everything compiled before."""
    times = []
    with tempfile.TemporaryDirectory() as cache:
        thalweg(sizes[0], Path(cache))
        for sweep in sizes:
            seconds, _ = thalweg(sweep, Path(cache))
            times.append({"trials": sweep.trials, "seconds": seconds, "each": seconds / sweep.trials})
    return times


def spread(values: list[float]) -> tuple[str, str]:
    """Median, and the extremes."""
    return f"{statistics.median(values):.2f}", f"{min(values):.2f} - {max(values):.2f}"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write machine, versions and all single times to this file")
    parser.add_argument(
        "--quick", action="store_true", help="few trials: shows that everything runs; the figures mean nothing"
    )
    # A round starts this script for each of the other programs.
    parser.add_argument("--peer", choices=list(PEERS), help=argparse.SUPPRESS)
    parser.add_argument("--sweep", type=int, nargs=4, default=Sweep(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.peer:
        print(PEERS[options.peer](Sweep(*options.sweep)))
        return

    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140)
    sweep = QUICK if options.quick else Sweep()
    results = measure(sweep, options.rounds, 0.0 if options.quick else BOUND)
    table = Table(title=f"{sweep.trials} trainings of {sweep.epochs} epochs, {options.rounds} rounds")
    table.add_column("")
    for heading in COLUMNS:
        table.add_column(heading, justify="right")
    for name, label in LABELS.items():
        ratio = spread(results["ratios"][name]) if name != "cold" else ("1", "")
        best = f"{statistics.median(results['accuracy'][name]):.4f}"
        table.add_row(label, *spread(results["seconds"][name]), *ratio, best)
    console.print(table, highlight=False)
    results["growth"] = growth([sweep._replace(rates=rates) for rates in ((1,) if options.quick else (2, 4, 8, 16))])
    for line in results["growth"]:
        console.print(f"{line['trials']:4} trainings: {line['seconds']:6.2f} s, {line['each']:.3f} s each")
    if options.json:
        from training_speed import machine

        report = {
            "machine": machine(),
            "rounds": options.rounds,
            "quick": options.quick,
            "trials": sweep.trials,
            **results,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
