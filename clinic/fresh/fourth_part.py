"""The fourth part of the kinds. Whoever makes rules of the doctor does not read this file before they are made.

fourth_part.sha256 holds its hash: a test fails if the file changes. The answers were written before any diagnosis, by
somebody who had not read the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from faults import DEAD, DECAY, HIGH, INPUTS, LARGE, PENALTY, SHORT
from rows import Rows
from thalweg.data.splitting import RowSplit

from .bases import Base, known
from .fourth_bases import fourth_bases
from .kinds import Case, Kind, Wrong, cases_of, inserted

_RATE = "optimizer.learning_rate"
# Bases whose inputs have different units.
_IN_UNITS = ("cells", "failures", "wages")
# Bases whose optimizer has the memories of Adam.
_OF_ADAM = ("adam", "adamw", "adam_hat", "amsgrad", "nadam")
# Bases with tables of measured numbers.
_MEASURED = ("cells", "failures", "wages", "signals", "switches")

# Settings. --------------------------------------------------------------------------------------------------------


def _memories_exchanged(base: Base) -> Wrong | None:
    """The two memories of Adam, given in the wrong order."""
    if base.optimizer not in _OF_ADAM:
        return None
    return Wrong({"optimizer.beta_1": 0.999, "optimizer.beta_2": 0.9})


def _resumed_schedule(base: Base) -> Wrong:
    """A schedule copied from a training that was resumed after a hundred million rows."""
    schedule = {"kind": "inverse_scaling", "initial": base.rate, "rows": 1000, "done": 1e8}
    return Wrong({_RATE: schedule}, (f"{_RATE}.done", _RATE))


def _adam_at_the_rate_of_sgd(base: Base) -> Wrong | None:
    """The optimizer was replaced, and the rate of a textbook's gradient descent was kept."""
    if base.nearly_straight:
        return None
    return Wrong({"optimizer": {"kind": "adam", "learning_rate": 0.5}}, (_RATE, "optimizer.kind"))


def _momentum_to_one(base: Base) -> Wrong | None:
    """A momentum that rises over the training, as in a paper, but to 1: nothing brakes at the end."""
    if base.nearly_straight or base.name == "failures":
        return None
    momentum = {"kind": "polynomial", "initial": 0.5, "final": 1.0, "power": 16.0}
    optimizer = {"kind": "momentum", "learning_rate": 0.02, "momentum": momentum}
    return Wrong({"optimizer": optimizer}, ("optimizer.momentum",))


def _stopped_in_the_easy_rows(base: Base) -> Wrong | None:
    """A patience that ends while the curriculum still shows the first few rows."""
    if base.images:
        return None
    order = {"kind": "curriculum", "by": "x1", "stages": 2, "start": 0.02}
    changes = {"data.order": order, "stopping": {"patience": 4}}
    return Wrong(changes, ("data.order", "stopping.patience"))


def _margins_for_numbers(base: Base) -> Wrong | None:
    """The loss of a classifier, which asks for the sign of a number alone."""
    return Wrong({"loss": "hinge"}) if base.numbers else None


def _every_regularisation(base: Base) -> Wrong | None:
    """Every regularisation of papers on large networks at once, none of which would cost as much alone."""
    if not base.softmax or base.nearly_straight:
        return None
    layers: list[Any] = []
    wrong = ["regularization.l2", "regularization.weight_decay", "regularization.max_norm"]
    for place, item in enumerate(base.layers):
        layers.append(item)
        if item == base.activation and place < base.dense[-1]:
            wrong.append(f"network.layers.{len(layers)}")
            layers.append("dropout 0.3")
    penalty = {"l2": 0.03, "weight_decay": 0.1, "max_norm": 1.0}
    return Wrong({"network.layers": layers, "regularization": penalty}, tuple(wrong))


# Network. ---------------------------------------------------------------------------------------------------------


def _behind_dense(base: Base, *layers: Any, **changes: Any) -> Wrong:
    """The base with more layers behind each hidden dense layer, which are wrong together with other changes."""
    result: list[Any] = []
    wrong = list(changes)
    for place, item in enumerate(base.layers):
        result.append(item)
        if place in base.dense[:-1]:
            wrong += [f"network.layers.{len(result) + i}" for i in range(len(layers))]
            result += layers
    return Wrong({"network.layers": result, **changes}, tuple(wrong))


def _momentum_of_another_library(base: Base) -> Wrong | None:
    """The momentum of PyTorch's normalisation, which here keeps the statistics of the last four rows."""
    if base.name not in ("signals", "wages"):
        return None
    return _behind_dense(base, {"kind": "batch_norm", "momentum": 0.01}, **{"training.batch_size": 4})


def _dropped_before_normalised(base: Base) -> Wrong | None:
    """Dropout before each normalisation, whose statistics are those of dropped units."""
    return _behind_dense(base, "dropout 0.5", "batch_norm") if base.softmax and not base.nearly_straight else None


def _without_shortcuts(base: Base) -> Wrong | None:
    """The layers of a residual network without its shortcuts and normalisations, at a library's usual weights."""
    if base.nearly_straight or base.numbers:
        return None
    width = str(base.layers[base.dense[0]])
    hidden: list[Any] = [width, base.activation] * 40
    layers = ["flatten"] * base.images + hidden + base.output
    return Wrong({"network.layers": layers, "network.init": "glorot_uniform"})


def _answers_against_each_other(base: Base) -> Wrong | None:
    """A normalisation over the units of the last layer: several numbers are made one another's opposites."""
    several = base.numbers and base.rows()[1].ndim > 1
    return inserted(base, len(base.layers), "layer_norm") if several else None


def _powers(base: Base) -> Wrong | None:
    """The powers and products of the inputs up to the sixth, which nothing scales."""
    return inserted(base, 0, "polynomial 6") if base.name in ("failures", "wages") else None


def _old_head(base: Base) -> Wrong | None:
    """The network was made for two classes before, and its old head is still below the new one."""
    return inserted(base, base.dense[-1], "dense 2", "softmax") if base.softmax else None


def _scattered_biases(base: Base) -> Wrong | None:
    """Biases drawn from the wide distribution that was meant for inputs in their units."""
    if base.nearly_straight or base.numbers:
        return None
    return Wrong({"network.bias_init": {"kind": "normal", "deviation": 60.0}})


def _held_mean(base: Base) -> Wrong | None:
    """The second layer is held at one value: each of its units is the mean of all below."""
    if len(base.dense) < 3 or base.numbers:
        return None
    width = int(str(base.layers[base.dense[1]]).split()[1])
    held = {"kind": "dense", "width": width, "init": {"kind": "constant", "value": 1 / width}, "trainable": False}
    return Wrong({f"network.layers.{base.dense[1]}": held})


def _squashed_inputs(base: Base) -> Wrong | None:
    """Inputs in their units, which a sigmoid brings between 0 and 1 instead of a scale."""
    if base.name not in _IN_UNITS:
        return None
    wrong = inserted(base, 0, "sigmoid")
    changes = {**wrong.changes, "data.scale": "none"}
    return Wrong(changes, (*wrong.places, "data.scale", "data.inputs"))


# Rows and labels. -------------------------------------------------------------------------------------------------


def _with_rows(base: Base, name: str, alter: Callable[..., Rows], *places: str) -> Wrong:
    return Wrong({"data.source": base.altered(name, alter)}, places)


def _shuffled(x: np.ndarray, y: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> Rows:
    """Some rows in random order: those of a base go round the classes, so that a row would tell of the next one."""
    order = rng.permutation(rows)
    return x[order], y[order]


def _inputs_of_all_magnitudes(base: Base) -> Wrong | None:
    """Inputs over many orders of magnitude, of which a standard scale leaves a few large rows."""
    if base.name not in ("failures", "switches", "signals", "cells"):
        return None

    def grow(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return np.exp(5 * (x - x.mean(axis=0)) / x.std(axis=0)), y

    return _with_rows(base, "magnitudes", grow, "data.inputs", "data.scale")


def _tables_joined_by_place(base: Base) -> Wrong | None:
    """The first half of the columns comes from a table that had another order in the known rows."""
    if base.images:
        return None

    def join(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        half = (x.shape[1] + 1) // 2
        x[rows, :half] = x[rng.permutation(rows), :half]
        return x, y

    return _with_rows(base, "joined", join, "data.inputs")


def _rolling_means(base: Base) -> Wrong | None:
    """The known targets are means over the last nine rows of the file."""
    if not base.numbers:
        return None

    def roll(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        sums = np.cumsum(y[rows], axis=0)
        y[rows[9:]] = (sums[9:] - sums[:-9]) / 9
        return x, y

    return _with_rows(base, "rolling", roll, "data.targets")


def _saturated_sensors(base: Base) -> Wrong | None:
    """The sensors of the known rows ended at the second decile."""
    if base.name not in _MEASURED:
        return None

    def end(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        x[rows] = np.minimum(x[rows], np.quantile(x, 0.2, axis=0))
        return x, y

    return _with_rows(base, "saturated", end, "data.inputs")


def _carried_forward(base: Base) -> Wrong | None:
    """Each column of the known rows was measured in one row of six, and the value was carried forward."""
    if base.name not in _MEASURED:
        return None

    def carry(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        x[rows], y[rows] = _shuffled(x, y, rows, rng)
        for column in range(x.shape[1]):
            measured = np.maximum(rows - (rows + column) % 6, 0)
            x[rows, column] = x[measured, column]
        return x, y

    return _with_rows(base, "carried", carry, "data.inputs")


def _wrapped_numbers(base: Base) -> Wrong | None:
    """The numbers of the known rows were too large for their type, and began again at the lowest."""
    if base.name not in (*_MEASURED, "halves", "spot"):
        return None

    def wrap(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        least, highest = (x.min(), x.max()) if base.images else (x.min(axis=0), x.max(axis=0))
        x[rows] = least + (x[rows] - least) % (0.4 * (highest - least))
        return x, y

    return _with_rows(base, "wrapped", wrap, "data.inputs")


def _label_of_a_group(base: Base) -> Wrong | None:
    """Five rows that follow one another in the file were given the label of the first."""
    if base.numbers or base.rows()[1].ndim > 1 or base.nearly_straight:
        return None

    def give(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        x[rows], y[rows] = _shuffled(x, y, rows, rng)
        y[rows] = y[rows - rows % 5]
        return x, y

    return _with_rows(base, "groups", give, "data.targets")


def _negatives(base: Base) -> Wrong | None:
    """The known images are negatives: what is bright was written as dark."""
    if not base.images:
        return None

    def invert(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        x[rows] = x.max() + x.min() - x[rows]
        return x, y

    return _with_rows(base, "negatives", invert, "data.inputs")


KINDS = (
    Kind("memories of adam exchanged", _memories_exchanged, HIGH),
    Kind("schedule of a resumed training", _resumed_schedule, DECAY),
    Kind("adam at the rate of sgd", _adam_at_the_rate_of_sgd, HIGH),
    Kind("momentum that rises to one", _momentum_to_one, HIGH),
    Kind("stopped in the easy rows", _stopped_in_the_easy_rows, f"{SHORT}, overfitting, memorised"),
    Kind("margins for numbers", _margins_for_numbers, "loss"),
    Kind("every regularisation at once", _every_regularisation, f"{PENALTY}, dropout-too-strong"),
    Kind("momentum of another library", _momentum_of_another_library, "statistics-disagree"),
    Kind("dropped before it is normalised", _dropped_before_normalised, "statistics-disagree, dropout-too-strong"),
    Kind("forty layers without a shortcut", _without_shortcuts, f"{DEAD}, saturating-hidden, {LARGE}"),
    Kind("answers against each other", _answers_against_each_other),
    Kind("powers of the inputs", _powers, f"{INPUTS}, init-too-large, loss-at-start"),
    Kind("old head below the new one", _old_head, "too-narrow, saturating-hidden, vanishing"),
    Kind("biases scattered over the units", _scattered_biases, f"{LARGE}, dying-relu, linear-fit, loss-at-start"),
    Kind("layer held at a mean", _held_mean, "init-symmetric, too-narrow"),
    Kind("inputs squashed, not scaled", _squashed_inputs, "missing-input-scaling, saturating-hidden, vanishing, blind"),
    Kind("inputs of all magnitudes", _inputs_of_all_magnitudes, f"outlying-inputs, {INPUTS}"),
    Kind("tables joined by place", _tables_joined_by_place, "mismatch, unrelated-input"),
    Kind("rolling means as targets", _rolling_means, "out-of-step, data-unlearnable"),
    Kind("sensors at their end", _saturated_sensors, "filled-input, mismatch", shows="held-out"),
    Kind("values carried forward", _carried_forward),
    Kind("numbers that wrap around", _wrapped_numbers, "mismatch", shows="held-out"),
    Kind("label of a group", _label_of_a_group, "wrong-labels, out-of-step, data-unlearnable"),
    Kind("negatives of the images", _negatives, "mismatch", shows="held-out"),
)


def fourth_part() -> dict[str, Case]:
    """The cases by name."""
    return cases_of("q", KINDS, most=2, among=fourth_bases)
