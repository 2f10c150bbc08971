"""How long a training step takes: this project, PyTorch, scikit-learn, a NumPy loop, and the bare matrix products.

    python benchmarks/training_speed.py [--cases rings mnist wide] [--rounds 5] [--json FILE] [--quick]

All programs train the same ReLU network with Adam, from the same weights, on the same rows, in turn, and all must learn
the problem. README.md in this folder says what the times include.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from jax import lax
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from thalweg.data import Data, Dataset, Mnist
from thalweg.data.idx import find_idx
from thalweg.engine.engine import Engine
from thalweg.engine.step import Plan, State
from thalweg.models.network import Network
from thalweg.parts.losses import CrossEntropy
from thalweg.parts.optimizers import Adam
from thalweg.parts.settings import Off, Training
from thalweg.spec.spec import Spec
from thalweg.training.batch_plan import Chunk
from thalweg.training.callbacks import Callback
from thalweg.training.fit import fit
from thalweg.training.session import Session

RATE = 1e-3
SEED = 0
# Each program has its own order of rows, so losses near 0 differ by factors.
SAME_LOSS = 3.0
COLUMNS = ("µs a step", "low - high", "times Thalweg's", "low - high", "loss", "accuracy", "first call, s")
PACKAGES = ("thalweg", "numpy", "jax", "torch", "scikit-learn")
Weights = list[tuple[np.ndarray, np.ndarray]]
"""W (fan_in, width) and b (width,) of each dense layer."""


@dataclass(frozen=True)
class Case:
    """A network and its training in a round."""

    name: str
    """rings, mnist or wide; the name decides the data."""
    sizes: tuple[int, ...]
    """Number of inputs, and the width of each dense layer."""
    batch_size: int
    rows: int
    """Number of training rows."""
    epochs: int
    bound: float
    """The accuracy on the training rows that a program must reach."""

    @property
    def steps(self) -> int:
        """Steps of one round."""
        return -(-self.rows // self.batch_size) * self.epochs

    @property
    def network(self) -> Network:
        """The network as Thalweg describes it."""
        *hidden, last = self.sizes[1:]
        layers = [layer for width in hidden for layer in (f"dense {width}", "relu")]
        return Network.of({"layers": [*layers, f"dense {last}", "softmax"]})

    @property
    def start(self) -> Weights:
        """The initial weights for all programs."""
        start = self.network.initialize(SEED, self.sizes[:1])
        return [(p.W.astype(np.float32), p.b.astype(np.float32)) for p in start.params if p]


CASES = (
    Case("rings", (2, 32, 16, 2), batch_size=128, rows=2_000, epochs=2_000, bound=0.99),
    Case("mnist", (784, 256, 128, 10), batch_size=128, rows=60_000, epochs=1, bound=0.92),
    Case("wide", (784, 2048, 2048, 10), batch_size=512, rows=10_240, epochs=1, bound=0.80),
)
QUICK: dict[str, dict[str, Any]] = {
    "rings": {"epochs": 40, "bound": 0.90},
    "mnist": {"rows": 6_000, "bound": 0.60},
    "wide": {"rows": 1_024, "bound": 0.20},
}


class Trained(NamedTuple):
    """The seconds of one round, and the weights after it; the bare products have no weights."""

    seconds: float
    weights: Weights


Peer = Callable[[], Trained]


def load(case: Case) -> tuple[Dataset, str]:
    """The rows of a case, and their name: without an MNIST folder, random pictures of MNIST's shape."""
    if case.name == "rings":
        return Data.of({"source": f"rings {case.rows}", "validation": 0.0, "test": 0.0}).load(SEED).train, "rings"
    root = Path(os.environ.get("THALWEG_DATA", ""))
    folder = next((f for f in (root, root / "mnist") if "THALWEG_DATA" in os.environ and find_idx(f)), None)
    if folder:
        data = Data(Mnist(str(folder)), validation=0.0).load(SEED).train
        return Dataset(data.x[: case.rows], data.y[: case.rows], data.task, target_names=data.target_names), "MNIST"
    rng = np.random.default_rng(SEED)
    y = np.arange(case.rows) % 10
    x = (rng.random((10, 784), np.float32)[y] + rng.random((case.rows, 784), np.float32)) / 2
    # Some labels are wrong, so that the loss has a lower limit, as with real data.
    y = np.where(rng.random(case.rows) < 0.05, rng.integers(10, size=case.rows), y)
    return Dataset(x, y, "classification", target_names=tuple("0123456789")), "random pixels: no MNIST in THALWEG_DATA"


def session_of(case: Case, data: Dataset) -> Session:
    """The training of a case in Thalweg."""
    spec = Spec(
        data=Data((data.x, data.y), task="classification", scale="none", validation=0.0, test=0.0),
        network=case.network,
        loss=CrossEntropy(),
        optimizer=Adam(RATE),
        training=Training(epochs=case.epochs, batch_size=case.batch_size, seed=SEED, engine="compiled"),
        probes=Off(),
    )
    return Session.load(spec)


class Clock(Callback):
    """Starts before the first step, when rows and weights are on the device."""

    began = 0.0

    def next_step(self, step: int) -> float:
        return 0 if step == 0 else math.inf

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, chunk: Chunk, index: int) -> None:
        self.began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time since the first step."""
        return time.perf_counter() - self.began


def thalweg_peer(case: Case, data: Dataset) -> Peer:
    """`fit`, as the shell and the estimators call it, without the time to place the rows on the device."""
    session = session_of(case, data)

    def run() -> Trained:
        clock = Clock()
        trained = fit(session, [clock])
        return Trained(clock.seconds, [(p.W, p.b) for p in trained.state.params if p])

    return run


def torch_peer(case: Case, data: Dataset) -> Peer:
    """PyTorch's usual loop, eager, with the fused Adam and all rows in memory."""
    x = torch.from_numpy(data.x)
    y = torch.from_numpy(data.y.astype(np.int64))

    def run() -> Trained:
        linear = [torch.nn.Linear(*shape) for shape in pairwise(case.sizes)]
        with torch.no_grad():
            for layer, (W, b) in zip(linear, case.start, strict=True):
                layer.weight.copy_(torch.from_numpy(W.T))
                layer.bias.copy_(torch.from_numpy(b))
        network = torch.nn.Sequential(*[m for layer in linear for m in (layer, torch.nn.ReLU())][:-1])
        optimizer = torch.optim.Adam(network.parameters(), RATE, fused=True)
        criterion = torch.nn.CrossEntropyLoss()

        began = time.perf_counter()
        for _ in range(case.epochs):
            for rows in torch.split(torch.randperm(len(x)), case.batch_size):
                optimizer.zero_grad()
                loss = criterion(network(x[rows]), y[rows])
                loss.backward()
                optimizer.step()
        seconds = time.perf_counter() - began
        return Trained(seconds, [(m.weight.detach().numpy().T, m.bias.detach().numpy()) for m in linear])

    return run


def sklearn_peer(case: Case, data: Dataset) -> Peer:
    """scikit-learn's MLPClassifier for a fixed number of epochs. Its one output for two classes is their difference."""

    def run() -> Trained:
        model = MLPClassifier(
            case.sizes[1:-1],
            solver="adam",
            alpha=0,
            batch_size=case.batch_size,
            learning_rate_init=RATE,
            max_iter=case.epochs,
            tol=0,
            n_iter_no_change=np.inf,
            warm_start=True,
            random_state=SEED,
        )
        first = np.concatenate([np.flatnonzero(data.y == label)[:1] for label in range(case.sizes[-1])])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            # One step on one row of each class makes the arrays; then they get the common initial weights.
            warnings.filterwarnings("ignore", "Got `batch_size` less than 1 or larger than sample size")
            model.partial_fit(data.x[first], data.y[first], classes=np.arange(case.sizes[-1]))
            *hidden, (W, b) = case.start
            if len(b) == 2:
                W = W[:, 1:] - W[:, :1]
                b = b[1:] - b[:1]
            model.coefs_ = [W for W, _ in (*hidden, (W, b))]
            model.intercepts_ = [b for _, b in (*hidden, (W, b))]

            began = time.perf_counter()
            model.fit(data.x, data.y)
            seconds = time.perf_counter() - began
        *hidden, (W, b) = zip(model.coefs_, model.intercepts_, strict=True)
        if len(b) == 1:
            W = np.hstack([0 * W, W])
            b = np.append(0 * b, b)
        return Trained(seconds, [*hidden, (W, b)])

    return run


def numpy_peer(case: Case, data: Dataset) -> Peer:
    """A loop by hand in float32. All parameters are views of one array, so that Adam is a dozen operations in place."""

    def run() -> Trained:
        theta, gradient, m, v, root = np.zeros((5, sum((i + 1) * o for i, o in pairwise(case.sizes))), np.float32)
        weights = _views(theta, case.sizes)
        grads = _views(gradient, case.sizes)
        for (W, b), (start_W, start_b) in zip(weights, case.start, strict=True):
            W[:] = start_W
            b[:] = start_b
        rng = np.random.default_rng(SEED)
        last = len(weights) - 1
        step = 0
        losses = []

        began = time.perf_counter()
        for _ in range(case.epochs):
            order = rng.permutation(len(data.x))
            for first in range(0, len(order), case.batch_size):
                rows = order[first : first + case.batch_size]
                y = data.y[rows]
                every = np.arange(len(rows))
                outputs = [data.x[rows]]
                for index, (W, b) in enumerate(weights):
                    z = outputs[-1] @ W
                    z += b
                    outputs.append(np.maximum(z, 0, out=z) if index < last else z)

                delta = outputs[-1]
                delta -= delta.max(axis=1, keepdims=True)
                np.exp(delta, out=delta)
                delta /= delta.sum(axis=1, keepdims=True)
                losses.append(-np.log(delta[every, y] + 1e-30).mean())
                delta[every, y] -= 1
                delta /= len(rows)

                for index in range(last, -1, -1):
                    W, _ = weights[index]
                    grad_W, grad_b = grads[index]
                    x = outputs[index]
                    np.matmul(x.T, delta, out=grad_W)
                    np.sum(delta, axis=0, out=grad_b)
                    if index:
                        delta = delta @ W.T
                        delta *= x > 0

                step += 1
                m *= 0.9
                v *= 0.999
                np.multiply(gradient, gradient, out=root)
                root *= 0.001
                v += root
                gradient *= 0.1
                m += gradient
                # The bias corrections of m and v in one factor, as in section 2 of Kingma and Ba.
                correct_v = (1 - 0.999**step) ** 0.5
                np.sqrt(v, out=root)
                root += 1e-8 * correct_v
                np.divide(m, root, out=root)
                root *= RATE * correct_v / (1 - 0.9**step)
                theta -= root
        return Trained(time.perf_counter() - began, weights)

    return run


def _views(flat: np.ndarray, sizes: tuple[int, ...]) -> Weights:
    """W and b of each layer as consecutive parts of one array."""
    views = []
    at = 0
    for fan_in, width in pairwise(sizes):
        W, b = np.split(flat[at : at + (fan_in + 1) * width], [fan_in * width])
        views.append((W.reshape(fan_in, width), b))
        at += (fan_in + 1) * width
    return views


def _operands(case: Case) -> tuple[np.ndarray, list[np.ndarray]]:
    """x, and W of each layer, scaled so that outputs are of the order of 1 in all layers."""
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((case.batch_size, case.sizes[0]), np.float32)
    return x, [rng.standard_normal((i, o), np.float32) / np.float32(i**0.5) for i, o in pairwise(case.sizes)]


def numpy_products(case: Case, data: Dataset) -> Peer:
    """Every matrix product of one step with NumPy's BLAS: x W and xᵀ d of each layer, d Wᵀ of all but the first."""
    x, weights = _operands(case)
    outputs = [x, *(np.empty((case.batch_size, width), np.float32) for width in case.sizes[1:])]
    deltas = [np.empty_like(z) for z in outputs]
    grads = [np.empty_like(W) for W in weights]

    def run() -> Trained:
        began = time.perf_counter()
        for _ in range(case.steps):
            for index, W in enumerate(weights):
                np.matmul(outputs[index], W, out=outputs[index + 1])
            delta = outputs[-1]
            for index in range(len(weights) - 1, -1, -1):
                np.matmul(outputs[index].T, delta, out=grads[index])
                if index:
                    delta = np.matmul(delta, weights[index].T, out=deltas[index])
        return Trained(time.perf_counter() - began, [])

    return run


def xla_products(case: Case, data: Dataset) -> Peer:
    """The same products under XLA, in one loop on the device."""
    operands = jax.device_put(_operands(case), jax.devices("cpu")[0])

    @jax.jit
    def loop(x: jax.Array, weights: list[jax.Array]) -> Any:
        def body(index: Any, carried: Any) -> Any:
            # One number of x changes in each step, so that no product can be computed once for all steps.
            outputs = [carried[0].at[0, 0].set(index / case.steps)]
            for W in weights:
                outputs.append(outputs[-1] @ W)
            delta = outputs[-1]
            grads = []
            for below, W in zip(outputs[-2::-1], weights[::-1], strict=True):
                grads.append(below.T @ delta)
                delta = delta @ W.T
            return outputs[0], grads[::-1]

        return lax.fori_loop(0, case.steps, body, (x, weights))

    def run() -> Trained:
        began = time.perf_counter()
        jax.block_until_ready(loop(*operands))
        return Trained(time.perf_counter() - began, [])

    return run


PEERS: dict[str, Callable[[Case, Dataset], Peer]] = {
    "thalweg": thalweg_peer,
    "torch": torch_peer,
    "sklearn": sklearn_peer,
    "numpy": numpy_peer,
    "products": numpy_products,
    "products_xla": xla_products,
}
LABELS = {
    "thalweg": "Thalweg",
    "torch": "PyTorch",
    "sklearn": "scikit-learn",
    "numpy": "NumPy loop",
    "products": "bare products (NumPy's BLAS)",
    "products_xla": "bare products (XLA)",
}


def evaluate(weights: Weights, data: Dataset) -> dict[str, float]:
    """Loss and accuracy on the training rows, computed in the same way for all programs."""
    z = data.x
    for index, (W, b) in enumerate(weights):
        z = np.maximum(z, 0) @ W + b if index else z @ W + b
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    loss = -log_p[np.arange(len(z)), data.y].mean(dtype=float)
    return {"loss": float(loss), "accuracy": float((z.argmax(axis=1) == data.y).mean())}


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Run all programs in turn, `rounds` times, after a first round that compiles. Exits if one does not learn."""
    data, name = load(case)
    peers = {peer: make(case, data) for peer, make in PEERS.items()}
    first: dict[str, float] = {}
    for peer, run in peers.items():
        began = time.perf_counter()
        run()
        first[peer] = time.perf_counter() - began

    microseconds: dict[str, list[float]] = {peer: [] for peer in peers}
    learnt: dict[str, list[dict[str, float]]] = {peer: [] for peer in peers}
    for _ in range(rounds):
        for peer, run in peers.items():
            trained = run()
            microseconds[peer].append(1e6 * trained.seconds / case.steps)
            if trained.weights:
                learnt[peer].append(evaluate(trained.weights, data))

    check_learnt(case, learnt)
    own = microseconds["thalweg"]
    return {
        **dataclasses.asdict(case),
        "data": name,
        "steps": case.steps,
        "first_call_seconds": first,
        "round_microseconds": microseconds,
        "microseconds": {peer: spread(times) for peer, times in microseconds.items()},
        "ratios": {
            peer: spread([time / mine for time, mine in zip(times, own, strict=True)])
            for peer, times in microseconds.items()
            if peer != "thalweg"
        },
        "over_products": {
            peer: spread([mine / time for time, mine in zip(microseconds[peer], own, strict=True)])
            for peer in ("products", "products_xla")
        },
        "learnt": {peer: found[-1] for peer, found in learnt.items() if found},
    }


def check_learnt(case: Case, learnt: dict[str, list[dict[str, float]]]) -> None:
    """Exit unless all programs learn in every round and reach similar losses, so that their times are comparable."""
    for peer, found in learnt.items():
        if not all(result["accuracy"] >= case.bound for result in found):
            sys.exit(
                f"{case.name}: {LABELS[peer]} did not reach an accuracy of {case.bound}: {found}; no time is valid"
            )
    losses = {peer: statistics.median(result["loss"] for result in found) for peer, found in learnt.items() if found}
    if not max(losses.values()) <= SAME_LOSS * min(losses.values()):
        sys.exit(f"{case.name}: the losses differ by more than a factor of {SAME_LOSS}: {losses}; no time is valid")


def table(result: dict[str, Any], rounds: int) -> Table:
    """The results of a case as a table."""
    sizes = "-".join(map(str, result["sizes"]))
    found = Table(
        title=f"{result['name']}: {sizes}, batch {result['batch_size']}, {result['rows']:,} rows ({result['data']}), "
        f"{rounds} rounds of {result['steps']} steps",
        caption="; ".join(
            f"Thalweg takes {over['median']:.2f} ({over['low']:.2f} - {over['high']:.2f}) times the {LABELS[peer]}"
            for peer, over in result["over_products"].items()
        ),
    )
    found.add_column("")
    for heading in COLUMNS:
        found.add_column(heading, justify="right")
    for peer, label in LABELS.items():
        times, ratio, learnt = (result[key].get(peer) for key in ("microseconds", "ratios", "learnt"))
        found.add_row(
            label,
            f"{times['median']:,.1f}",
            f"{times['low']:,.1f} - {times['high']:,.1f}",
            *([f"{ratio['median']:.2f}", f"{ratio['low']:.2f} - {ratio['high']:.2f}"] if ratio else ["1", ""]),
            *([f"{learnt['loss']:.2g}", f"{learnt['accuracy']:.4f}"] if learnt else ["", ""]),
            f"{result['first_call_seconds'][peer]:.2f}",
        )
    return found


def machine() -> dict[str, Any]:
    """The processor, the versions and the date."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "device": str(jax.devices()[0]),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": dict(_versions()),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.processor())


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            yield package, "not installed, run from its source"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=[case.name for case in CASES], default=[c.name for c in CASES])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write machine, versions and all single times to this file")
    parser.add_argument(
        "--quick", action="store_true", help="few steps: shows that everything runs; the figures mean nothing"
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")

    console = Console(width=None if sys.stdout.isatty() else 140)
    report: dict[str, Any] = {"machine": machine(), "rounds": options.rounds, "quick": options.quick, "cases": {}}
    versions = ", ".join(f"{name} {version}" for name, version in report["machine"]["versions"].items())
    console.print(f"{report['machine']['cpu']}, {report['machine']['cores']} cores; {versions}", highlight=False)
    with tempfile.TemporaryDirectory() as cache:
        # With the compiled programs of earlier runs, the first call would be too fast.
        os.environ["THALWEG_CACHE"] = cache
        for case in CASES:
            if case.name in options.cases:
                used = dataclasses.replace(case, **QUICK[case.name]) if options.quick else case
                report["cases"][case.name] = result = measure(used, options.rounds)
                console.print(table(result, options.rounds), highlight=False)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
