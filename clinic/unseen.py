"""Faults of all kinds in ten more specs: cases that no rule of the doctor was made from.

Each kind is put into every spec that it fits, by a rule. (In injected.py each case was chosen by hand.) The data, the
networks, the optimizers and the batch sizes are different ones. Cases count, and codes are right answers, as in
injected.py, whose command trains these cases too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

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
from rows import source
from thalweg.spec.edit import set_value
from thalweg.spec.spec import Spec
from thalweg.spec.toml import spec_of

# The last layers for two classes, and for numbers.
_ONE = ("dense 1", "sigmoid")
_NUMBER = ("dense 1",)

# One seed is enough, because there are many bases.
SEEDS = range(1)

_Table = dict[str, Any]
_Changes = dict[str, Any]


def _by(kind: str, rate: float, **more: float) -> dict[str, Any]:
    return {"kind": kind, "learning_rate": rate, **more}


def bases() -> dict[str, _Table]:
    """The tables of the healthy specs."""
    several = ("dense 3", "softmax")
    return {
        "shells": table(source("shells"), stack(2, 20, "gelu", *several), "he_normal", _by("adam", 0.004), 50),
        "checks": table(source("checks"), stack(3, 32, "relu", *_ONE), "he_uniform", _by("adam", 0.005), 80),
        "clusters": table(source("clusters"), stack(2, 32, "selu", *several), "lecun_normal", _by("sgd", 0.05), 40),
        "clouds": table(
            source("clouds"), stack(1, 24, "tanh", "dense 4", "softmax"), "glorot_uniform", _by("rmsprop", 0.003), 30
        ),
        "even": table(source("even"), stack(2, 40, "swish", *_ONE), "he_normal", _by("nesterov", 0.02), 20, 64),
        "topics": table(
            source("topics"), stack(1, 32, "elu", "dense 4", "sigmoid"), "he_normal", _by("adamw", 0.005), 40
        ),
        "roll": table(source("roll"), stack(3, 32, "tanh", *_NUMBER), "glorot_normal", _by("adam", 0.004), 50, 24),
        "angle": table(source("angle"), stack(2, 24, "elu", *_NUMBER), "he_normal", _by("momentum", 0.01), 60),
        "product": table(
            source("product"), stack(2, 32, "leaky_relu", *_NUMBER), "he_normal", _by("adam", 0.005), 60, 48
        ),
        "planes": table(
            source("planes"), stack(1, 32, "sigmoid", *_NUMBER), "glorot_uniform", _by("adagrad", 0.05), 60
        ),
    }


# Changes of a base for each kind of fault; None if the kind does not fit the base. --------------------------------


def _end(base: _Table) -> list[Any]:
    layers = base["network"]["layers"]
    return layers[-1:] if layers[-1].startswith("dense") else layers[-2:]


def _classes(base: _Table) -> bool:
    """Whether the task is classification with one class a row."""
    *_, last, activation = base["network"]["layers"]
    return activation == "softmax" or (last, activation) == _ONE


def _numbers(base: _Table) -> bool:
    return base["network"]["layers"][-1] == "dense 1"


def _depth(base: _Table) -> int:
    return (len(base["network"]["layers"]) - len(_end(base))) // 2


def _deep(depth: int, width: int, activation: str) -> Callable[[_Table], _Changes]:
    return lambda base: {"network.layers": stack(depth, width, activation, *_end(base))}


def _output(activation: str) -> Callable[[_Table], _Changes | None]:
    """Another activation before the cross-entropy."""

    def change(base: _Table) -> _Changes | None:
        if not _classes(base):
            return None
        *below, last = base["network"]["layers"]
        loss = "cross_entropy" if last == "softmax" else "binary_cross_entropy"
        return {"network.layers": [*below, activation], "loss": loss}

    return change


def _softmax_of_one(base: _Table) -> _Changes | None:
    layers = base["network"]["layers"]
    return {"network.layers": [*layers[:-1], "softmax"]} if tuple(_end(base)) == _ONE else None


def _softmax_of_labels(base: _Table) -> _Changes | None:
    layers = base["network"]["layers"]
    return None if _classes(base) or _numbers(base) else {"network.layers": [*layers[:-1], "softmax"]}


def _bounded(activation: str) -> Callable[[_Table], _Changes | None]:
    def change(base: _Table) -> _Changes | None:
        return {"network.layers": [*base["network"]["layers"], activation]} if _numbers(base) else None

    return change


def _loss(kind: str) -> Callable[[_Table], _Changes | None]:
    return lambda base: {"loss": kind, "optimizer": _by("sgd", 0.01)} if _classes(base) else None


def _rate(times: float) -> Callable[[_Table], _Changes]:
    return lambda base: {"optimizer.learning_rate": times * base["optimizer"]["learning_rate"]}


def _rows(suffix: str, fits: Callable[[_Table], bool] = lambda base: True, **more: Any) -> Callable[..., Any]:
    """Other rows in place of those of the base."""

    def change(base: _Table) -> _Changes | None:
        return {"data.source": source(f"{_named(base)}-{suffix}"), **more} if fits(base) else None

    return change


def _named(base: _Table) -> str:
    return str(base["data"]["source"]["x"]).rsplit("/", 1)[-1].removesuffix("-x.npy")


def _sorted(base: _Table) -> _Changes | None:
    if not _classes(base):
        return None
    optimizer = _by("momentum", 0.2, momentum=0.9)
    return {
        "data.source": source(f"{_named(base)}-sorted"),
        "data.order": "time",
        "optimizer": optimizer,
        "training.epochs": 8,
    }


def _dropped(base: _Table) -> _Changes:
    layers = base["network"]["layers"]
    hidden = [item for place in range(_depth(base)) for item in (*layers[2 * place : 2 * place + 2], "dropout 0.95")]
    return {"network.layers": [*hidden, *_end(base)]}


def _schedule(kind: str) -> Callable[[_Table], _Changes]:
    def change(base: _Table) -> _Changes:
        rate = base["optimizer"]["learning_rate"]
        options = {
            "exponential": {"kind": "exponential", "initial": rate, "every": 2},
            "inverse_time": {"kind": "inverse_time", "a": rate, "b": 2.0},
        }
        return {"optimizer.learning_rate": options[kind]}

    return change


_NONE = {"data.scale": "none"}
KINDS: tuple[tuple[str, str, Callable[[_Table], _Changes | None], bool], ...] = (
    ("softmax over one unit", "output-activation", _softmax_of_one, True),
    ("relu before cross-entropy", STILL, _output("relu"), False),
    ("tanh before cross-entropy", STILL, _output("tanh"), False),
    ("linear before cross-entropy", STILL, _output("linear"), False),
    ("output bounded for numbers", "output-activation", _bounded("sigmoid"), False),
    ("output bounded for numbers", "output-activation", _bounded("relu"), False),
    ("softmax for several labels", STILL, _softmax_of_labels, True),
    ("loss of numbers for classes", f"loss, {LOW}, optimizer", _loss("mae"), False),
    ("rate too high", HIGH, _rate(1000.0), False),
    ("rate too high", HIGH, _rate(100.0), False),
    ("rate too low", LOW, _rate(1e-3), False),
    ("rate too low", LOW, _rate(1e-5), False),
    ("epochs too few", SHORT, lambda base: {"training.epochs": 1}, False),
    ("start at zero", "init-symmetric, init-too-small, blind", lambda base: {"network.init": "zeros"}, False),
    ("start at one value", "init-symmetric, init-too-large", lambda base: {"network.init": "constant 0.1"}, False),
    (
        "start too small",
        f"{SMALL}, {LOW}",
        lambda base: {"network.init": "normal 0.01", **_deep(6, 24, "tanh")(base), "optimizer": _by("sgd", 0.05)},
        False,
    ),
    ("start too large", LARGE, lambda base: {"network.init": "normal 5", **_deep(5, 32, "tanh")(base)}, False),
    ("inputs unscaled", INPUTS, _rows("thousands", **_NONE), False),
    ("inputs unscaled", INPUTS, _rows("columns", **_NONE), False),
    ("inputs unscaled", INPUTS, _rows("offset", **_NONE), False),
    ("targets unscaled", TARGETS, _rows("ten-thousands", _numbers, **_NONE), False),
    ("deep sigmoid", HIDDEN, _deep(8, 24, "sigmoid"), False),
    ("stack of exponentials", f"exploding, {HIGH}", _deep(5, 24, "exponential"), False),
    ("deep and narrow", DEAD, _deep(20, 3, "relu"), False),
    ("dropout too strong", "dropout-too-strong", _dropped, False),
    ("units that step", "step-activation", _deep(2, 4, "step"), False),
    ("targets dealt anew", "data-unlearnable", _rows("permuted"), False),
    ("sorted, not shuffled", ORDERED, _sorted, False),
    ("rows that leak", "leak", _rows("doubled"), True),
    (
        "one row, long steps",
        f"{HIGH}, batch-size, noisy-gradient",
        lambda base: {
            "training.batch_size": 1,
            "training.epochs": 5,
            "optimizer": _by("momentum", 0.2, momentum=0.9),
        },
        False,
    ),
    ("schedule to nothing", DECAY, _schedule("exponential"), False),
    ("schedule to nothing", DECAY, _schedule("inverse_time"), False),
    ("penalty enormous", PENALTY, lambda base: {"regularization.l2": 2.0}, False),
    (
        "clipped to nothing",
        LOW,
        lambda base: {"training.clip": {"kind": "global_norm", "limit": 1e-5}, "optimizer": _by("sgd", 0.05)},
        False,
    ),
    (
        "one update an epoch",
        f"{SHORT}, batch-size",
        lambda base: {"training.batch_size": "full", "training.epochs": 6},
        False,
    ),
)


def healthy() -> dict[str, Spec]:
    """The bases as specs."""
    return {name: spec_of(table, name) for name, table in bases().items()}


def unseen() -> dict[str, InjectedFault]:
    """All cases by name."""
    cases = {}
    for number, (kind, faults, change, always) in enumerate(KINDS):
        for base, healthy_table in bases().items():
            changes = change(healthy_table)
            if changes is None:
                continue
            faulty = copy.deepcopy(healthy_table)
            for path, value in changes.items():
                set_value(faulty, path, value)
            name = f"u{number:02d} {kind}: {base}"
            cases[name] = InjectedFault(kind, base, spec_of(faulty, name), tuple(faults.split(", ")), always)
    return cases
