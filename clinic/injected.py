"""Faults of a known kind, put into specs that learn.

    python clinic/injected.py [--jobs N] [--cache FOLDER]

trains ten healthy specs and the same specs with faults, with three seeds each, and the cases of unseen.py with one
seed. A case counts with the seeds in which its base learns and the case itself does not, as measured by learns.py. A
fault that is one even if the network learns (rows that leak, softmax over one unit) counts if its base learns. The
results are written to injected.json.

The kinds follow studies of mutations of deep learning programs: output, loss, rate, length, initialization, scaling,
activation, depth, dropout, data, order, batch, schedule, penalty. Each case lists all codes that are right answers, the
main one first. After a first look at the rates, rules of the doctor were changed because of cases in this file. The
cases in unseen.py were not looked at: they show how the doctor does on new cases.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import unseen
from faults import (
    DEAD,
    DECAY,
    HIDDEN,
    HIGH,
    INPUTS,
    LARGE,
    LOW,
    ORDERED,
    PENALTY,
    SHORT,
    SMALL,
    STILL,
    TARGETS,
    InjectedFault,
    stack,
    table,
)
from learns import Outcome
from rows import source
from run_cache import CACHE, cached_runs, outcomes_of
from thalweg.spec.edit import set_value
from thalweg.spec.spec import Spec
from thalweg.spec.toml import spec_of

RESULTS = Path(__file__).parent / "injected.json"
SEEDS = range(3)


def _adam(rate: float) -> dict[str, Any]:
    return {"kind": "adam", "learning_rate": rate}


def _momentum(rate: float) -> dict[str, Any]:
    return {"kind": "momentum", "learning_rate": rate, "momentum": 0.9}


def _sgd(rate: float) -> dict[str, Any]:
    return {"kind": "sgd", "learning_rate": rate}


def bases() -> dict[str, dict[str, Any]]:
    """The tables of the healthy specs."""
    return {
        "rings": table("rings 600", stack(2, 16, "relu", "dense 2", "softmax"), "he_normal", _adam(0.005), 60),
        "moons": table("moons 600", stack(2, 12, "tanh", "dense 1", "sigmoid"), "glorot_uniform", _sgd(0.3), 80),
        "iris": table("iris", stack(1, 16, "relu", "dense 3", "softmax"), "he_uniform", _momentum(0.02), 60, 16),
        "wine": table("wine", stack(2, 24, "tanh", "dense 3", "softmax"), "glorot_normal", _adam(0.005), 40, 16),
        "cancer": table("breast_cancer", stack(2, 24, "elu", "dense 1", "sigmoid"), "he_normal", _sgd(0.05), 30),
        "digits": table("digits", stack(2, 48, "relu", "dense 10", "softmax"), "he_normal", _momentum(0.02), 20, 64),
        "wave": table("wave", stack(2, 16, "tanh", "dense 1"), "glorot_normal", _adam(0.01), 80),
        "friedman": table(source("friedman"), stack(2, 32, "relu", "dense 1"), "he_normal", _momentum(0.01), 50),
        "labels": table(
            source("four-labels"), stack(1, 32, "relu", "dense 4", "sigmoid"), "he_normal", _adam(0.01), 40
        ),
        "blobs": table(
            source("ten-blobs"), stack(6, 24, "leaky_relu", "dense 10", "softmax"), "he_normal", _adam(0.003), 30
        ),
    }


class _Fault(NamedTuple):
    """A fault and the base that it is put into."""

    kind: str
    base: str
    changes: dict[str, Any]
    """Places of the spec with their new values."""
    faults: str
    """Codes that are right answers, separated by commas."""
    always: bool = False
    """Whether the fault is one even if the network learns."""


_OUTPUT = "network.layers.5"
_INIT = "network.init"
_RATE = "optimizer.learning_rate"
_EPOCHS = "training.epochs"


def _faults() -> list[_Fault]:
    return [
        _Fault("softmax over one unit", "moons", {_OUTPUT: "softmax"}, "output-activation", True),
        _Fault("softmax over one unit", "cancer", {_OUTPUT: "softmax"}, "output-activation", True),
        _Fault("relu before cross-entropy", "cancer", {_OUTPUT: "relu", "loss": "binary_cross_entropy"}, STILL),
        _Fault("relu before cross-entropy", "digits", {_OUTPUT: "relu", "loss": "cross_entropy"}, STILL),
        _Fault("tanh before cross-entropy", "wine", {_OUTPUT: "tanh", "loss": "cross_entropy"}, STILL),
        _Fault("tanh before cross-entropy", "moons", {_OUTPUT: "tanh", "loss": "binary_cross_entropy"}, STILL),
        _Fault("linear before cross-entropy", "rings", {_OUTPUT: "linear", "loss": "cross_entropy"}, STILL),
        _Fault("linear before cross-entropy", "cancer", {_OUTPUT: "linear", "loss": "binary_cross_entropy"}, STILL),
        _Fault("output bounded for numbers", "wave", _layers("wave", "sigmoid"), "output-activation"),
        _Fault("output bounded for numbers", "friedman", _layers("friedman", "relu"), "output-activation"),
        _Fault("output bounded for numbers", "friedman", _layers("friedman", "softmax"), "output-activation"),
        _Fault("softmax for several labels", "labels", {"network.layers.3": "softmax"}, STILL, True),
        _Fault(
            "loss of numbers for classes",
            "digits",
            {"loss": "mae", "optimizer": _sgd(0.01)},
            f"loss, {LOW}, optimizer",
        ),
        _Fault(
            "loss of numbers for classes", "iris", {"loss": "mae", "optimizer": _sgd(0.01)}, f"loss, {LOW}, optimizer"
        ),
        _Fault(
            "loss of numbers for classes", "blobs", {"loss": "mse", "optimizer": _sgd(0.01)}, f"loss, {LOW}, optimizer"
        ),
        _Fault("rate too high", "rings", {_RATE: 2.0}, HIGH),
        _Fault("rate too high", "digits", {_RATE: 2.0}, HIGH),
        _Fault("rate too high", "wave", {_RATE: 3.0}, HIGH),
        _Fault("rate too high", "friedman", {_RATE: 1.0}, HIGH),
        _Fault("rate too high", "blobs", {_RATE: 1.0}, HIGH),
        _Fault("rate too high", "moons", {_RATE: 100.0}, HIGH),
        _Fault("rate too low", "rings", {_RATE: 5e-6}, LOW),
        _Fault("rate too low", "digits", {_RATE: 2e-5}, LOW),
        _Fault("rate too low", "friedman", {_RATE: 1e-5}, LOW),
        _Fault("rate too low", "wine", {_RATE: 5e-6}, LOW),
        _Fault("rate too low", "wave", {_RATE: 1e-5}, LOW),
        _Fault("epochs too few", "moons", {_EPOCHS: 1}, SHORT),
        _Fault("epochs too few", "rings", {_EPOCHS: 1}, SHORT),
        _Fault("epochs too few", "wave", {_EPOCHS: 2}, SHORT),
        _Fault("epochs too few", "blobs", {_EPOCHS: 1}, SHORT),
        _Fault("start at zero", "rings", {_INIT: "zeros"}, "init-symmetric, init-too-small, blind"),
        _Fault("start at zero", "wave", {_INIT: "zeros"}, "init-symmetric, init-too-small, blind"),
        _Fault("start at one value", "digits", {_INIT: "constant 0.1"}, "init-symmetric, init-too-large"),
        _Fault("start too small", "blobs", {_INIT: {"kind": "uniform", "low": -0.001, "high": 0.001}}, SMALL),
        _Fault("start too small", "blobs", {_INIT: "normal 0.01", "optimizer": _sgd(0.05)}, f"{SMALL}, {LOW}"),
        _Fault(
            "start too small",
            "wave",
            _deep("wave", 8, 16, "tanh", {_INIT: "normal 0.02", "optimizer": _sgd(0.05)}),
            f"{SMALL}, {LOW}",
        ),
        _Fault("start too large", "digits", _deep("digits", 6, 48, "tanh", {_INIT: "normal 3"}), LARGE),
        _Fault("start too large", "wave", _deep("wave", 4, 32, "tanh", {_INIT: "normal 3"}), LARGE),
        _Fault("start too large", "friedman", {_INIT: "normal 3"}, LARGE),
        _Fault(
            "inputs unscaled", "friedman", {"data.source": source("friedman-thousands"), "data.scale": "none"}, INPUTS
        ),
        _Fault("inputs unscaled", "cancer", {"data.source": source("cancer-columns"), "data.scale": "none"}, INPUTS),
        _Fault("inputs unscaled", "cancer", {"data.scale": "none"}, INPUTS),
        _Fault("inputs unscaled", "iris", {"data.source": source("iris-thousands"), "data.scale": "none"}, INPUTS),
        _Fault("inputs unscaled", "moons", {"data.source": source("moons-offset"), "data.scale": "none"}, INPUTS),
        _Fault(
            "targets unscaled", "wave", {"data.source": source("wave-ten-thousands"), "data.scale": "none"}, TARGETS
        ),
        _Fault(
            "targets unscaled",
            "friedman",
            {"data.source": source("friedman-ten-thousands"), "data.scale": "none"},
            TARGETS,
        ),
        _Fault("deep sigmoid", "digits", _deep("digits", 8, 48, "sigmoid"), HIDDEN),
        _Fault("deep sigmoid", "moons", _deep("moons", 7, 12, "sigmoid"), HIDDEN),
        _Fault("stack of exponentials", "rings", _deep("rings", 5, 16, "exponential"), f"exploding, {HIGH}"),
        _Fault("stack of exponentials", "iris", _deep("iris", 5, 16, "exponential"), f"exploding, {HIGH}"),
        _Fault("deep and narrow", "rings", _deep("rings", 20, 3, "relu"), DEAD),
        _Fault("deep and narrow", "friedman", _deep("friedman", 24, 3, "relu"), DEAD),
        _Fault("dropout too strong", "digits", _dropped("digits", 2, 48, "relu"), "dropout-too-strong"),
        _Fault("dropout too strong", "wave", _dropped("wave", 2, 16, "tanh"), "dropout-too-strong"),
        _Fault("dropout too strong", "labels", _dropped("labels", 3, 32, "relu"), "dropout-too-strong"),
        _Fault("units that step", "rings", _deep("rings", 2, 4, "step"), "step-activation"),
        _Fault("units that step", "wave", _deep("wave", 4, 2, "step"), "step-activation"),
        _Fault("units that step", "digits", _deep("digits", 3, 12, "step"), "step-activation"),
        _Fault("targets dealt anew", "iris", {"data.source": source("iris-permuted")}, "data-unlearnable"),
        _Fault("targets dealt anew", "cancer", {"data.source": source("cancer-permuted")}, "data-unlearnable"),
        _Fault("targets dealt anew", "wave", {"data.source": source("wave-permuted")}, "data-unlearnable"),
        _Fault("sorted, not shuffled", "blobs", _in_order("ten-blobs-sorted", 0.2), ORDERED),
        _Fault("sorted, not shuffled", "wine", _in_order("wine-sorted", 0.3), ORDERED),
        _Fault("rows that leak", "moons", {"data.source": source("moons-doubled")}, "leak", True),
        _Fault("rows that leak", "wine", {"data.source": source("wine-doubled")}, "leak", True),
        _Fault("rows that leak", "friedman", {"data.source": source("friedman-doubled")}, "leak", True),
        _Fault("one row, long steps", "digits", _single(0.1, 4), f"{HIGH}, batch-size, noisy-gradient"),
        _Fault("one row, long steps", "moons", _single(1.0, 10), f"{HIGH}, batch-size, noisy-gradient"),
        _Fault("one row, long steps", "friedman", _single(0.1, 10), f"{HIGH}, batch-size, noisy-gradient"),
        _Fault("schedule to nothing", "moons", {_RATE: {"kind": "exponential", "initial": 0.3, "every": 1}}, DECAY),
        _Fault("schedule to nothing", "rings", {_RATE: {"kind": "inverse_time", "a": 0.005, "b": 1.0}}, DECAY),
        _Fault(
            "schedule to nothing",
            "friedman",
            {_RATE: {"kind": "step_decay", "initial": 0.01, "factor": 0.01, "every": 10}},
            DECAY,
        ),
        _Fault("penalty enormous", "digits", {"regularization.l2": 1.0}, PENALTY),
        _Fault("penalty enormous", "wave", {"regularization.l2": 1.0}, PENALTY),
        _Fault("penalty enormous", "wine", {"regularization.l1": 0.5}, PENALTY),
        _Fault("clipped to nothing", "iris", {"training.clip": {"kind": "global_norm", "limit": 1e-4}}, LOW),
        _Fault("clipped to nothing", "friedman", {"training.clip": {"kind": "value", "limit": 1e-6}}, LOW),
        _Fault("one update an epoch", "rings", {"training.batch_size": "full", _EPOCHS: 10}, f"{SHORT}, batch-size"),
        _Fault("one update an epoch", "blobs", {"training.batch_size": "full", _EPOCHS: 8}, f"{SHORT}, batch-size"),
    ]


def _layers(base: str, activation: str) -> dict[str, Any]:
    """The base with an activation after its last layer."""
    return {"network.layers": [*bases()[base]["network"]["layers"], activation]}


def _deep(base: str, depth: int, width: int, activation: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """The base with other hidden layers."""
    return {"network.layers": [*stack(depth, width, activation), *_output(base)], **(more or {})}


def _dropped(base: str, depth: int, width: int, activation: str) -> dict[str, Any]:
    block = [f"dense {width}", activation, "dropout 0.95"]
    return {"network.layers": [*block * depth, *_output(base)]}


def _output(base: str) -> list[Any]:
    layers = bases()[base]["network"]["layers"]
    return layers[-1:] if layers[-1].startswith("dense") else layers[-2:]


def _in_order(rows: str, rate: float) -> dict[str, Any]:
    return {"data.source": source(rows), "data.order": "time", "optimizer": _momentum(rate), _EPOCHS: 10}


def _single(rate: float, epochs: int) -> dict[str, Any]:
    return {"training.batch_size": 1, _EPOCHS: epochs, "optimizer": _momentum(rate)}


def healthy() -> dict[str, Spec]:
    """The bases as specs."""
    return {name: spec_of(table, name) for name, table in bases().items()}


def injected() -> dict[str, InjectedFault]:
    """All cases by name."""
    tables = bases()
    cases = {}
    for number, fault in enumerate(_faults()):
        table = copy.deepcopy(tables[fault.base])
        for path, value in fault.changes.items():
            set_value(table, path, value)
        name = f"{number:02d} {fault.kind}: {fault.base}"
        codes = tuple(fault.faults.split(", "))
        cases[name] = InjectedFault(fault.kind, fault.base, spec_of(table, name), codes, fault.always)
    return cases


def counted(
    cases: Mapping[str, InjectedFault], outcomes: Mapping[tuple[str, int], Outcome], seeds: range
) -> dict[str, Any]:
    """The outcomes of each case, and whether they count."""
    return {
        name: {
            "base": case.base,
            "kind": case.kind,
            "faults": case.faults,
            "always": case.always,
            "seeds": [
                {
                    **outcomes[name, seed]._asdict(),
                    "counts": outcomes[case.base, seed].learned and (case.always or not outcomes[name, seed].learned),
                }
                for seed in seeds
            ],
        }
        for name, case in cases.items()
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, help="processes [default: one for each core]")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the folder of cached runs")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for sound, cases, seeds in ((healthy(), injected(), SEEDS), (unseen.healthy(), unseen.unseen(), unseen.SEEDS)):
        specs = sound | {name: case.spec for name, case in cases.items()}
        outcomes = outcomes_of(cached_runs(specs, seeds), options.cache, options.jobs)
        entries = counted(cases, outcomes, seeds)
        learned = sum(outcomes[name, seed].learned for name in sound for seed in seeds)
        counts = [sum(seed["counts"] for seed in entry["seeds"]) for entry in entries.values()]
        print(f"bases: {learned} of {len(sound) * len(seeds)} runs learn")
        print(f"faults: {sum(map(bool, counts))} of {len(counts)} cases count, with {sum(counts)} runs")
        results |= entries
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
