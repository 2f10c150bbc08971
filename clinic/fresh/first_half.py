"""The first half of the kinds. Whoever makes rules of the doctor does not read this file before they are made.

first_half.sha256 holds its hash: a test fails if the file changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from faults import DEAD, DECAY, HIGH, INPUTS, LARGE, LOW, ORDERED, PENALTY, SHORT, SMALL
from rows import Rows
from thalweg.data.splitting import RowSplit

from .bases import Base, known
from .kinds import Case, Kind, Wrong, cases_of, inserted

_BY_MOMENTUM = ("momentum", "nesterov")
_WITH_EPSILON = ("adam", "adamw", "amsgrad", "nadam", "rmsprop")

# Settings. --------------------------------------------------------------------------------------------------------


def _tight_norm(base: Base) -> Wrong:
    return Wrong({"regularization.max_norm": 0.05})


def _no_gain_is_enough(base: Base) -> Wrong:
    """An absolute gain in one epoch that no loss of this size can make."""
    return Wrong({"stopping": {"patience": 1, "tolerance": 20.0}})


def _clipped(base: Base) -> Wrong | None:
    fits = base.by_gradient
    return Wrong({"training.clip": {"kind": "value", "limit": 2e-5}}) if fits else None


def _lasso(base: Base) -> Wrong | None:
    # A normalisation undoes what shrinks all weights of a unit alike, and straight lines need few weights.
    if base.normalised or base.nearly_straight:
        return None
    return Wrong({"regularization.l1": 0.07 if base.numbers else 0.02})


def _long_warmup(base: Base) -> Wrong:
    """The rate would be reached after the time of three hundred trainings."""
    schedule = {"kind": "linear_warmup", "then": base.rate, "steps": f"{300 * base.epochs} epochs"}
    return Wrong({"optimizer.learning_rate": schedule})


def _endless_momentum(base: Base) -> Wrong | None:
    return Wrong({"optimizer.momentum": 0.9999}) if base.optimizer in _BY_MOMENTUM else None


def _huge_epsilon(base: Base) -> Wrong | None:
    return Wrong({"optimizer.epsilon": 100.0}) if base.optimizer in _WITH_EPSILON else None


def _single_rows(base: Base) -> Wrong | None:
    if base.normalised:
        return None
    optimizer = {"kind": "momentum", "learning_rate": 1.0, "momentum": 0.9}
    return Wrong({"training.batch_size": 1, "optimizer": optimizer, "training.epochs": max(2, base.epochs // 15)})


def _accumulated(base: Base) -> Wrong:
    """One update for many more batches than an epoch has."""
    return Wrong({"training.accumulate": 64, "training.epochs": max(4, base.epochs // 5)})


def _nothing_for_rare(base: Base) -> Wrong | None:
    """Rows of the rare class are visited as rarely as they are, in a third of the rows at once."""
    fits = base.table["data"].get("order") == "balanced"
    return Wrong({"data.order": "shuffled", "training.batch_size": 512}, ("data.order",)) if fits else None


def _masked_rate(base: Base) -> Wrong:
    """A tiny rate, and initial weights so small that the loss seems to be settled."""
    changes: dict[str, Any] = {"optimizer.learning_rate": base.rate / 300, "network.init": "normal 0.001"}
    return Wrong(changes)


# Network. ---------------------------------------------------------------------------------------------------------


def _dropped_inputs(base: Base) -> Wrong:
    return inserted(base, base.dense[0], "dropout 0.95")


def _drowned(base: Base) -> Wrong:
    """Noise of thirty times the standard deviation of the inputs."""
    return inserted(base, base.dense[0], {"kind": "gaussian_noise", "deviation": 30.0})


def _waist(base: Base) -> Wrong | None:
    """A layer of one unit between wide ones, where the task needs more than one number."""
    if not base.softmax or base.nearly_straight:
        return None
    place = base.dense[1]
    wrong = inserted(base, place, "dense 1", base.activation)
    return wrong._replace(places=(f"network.layers.{place}",))


def _tiny(base: Base) -> Wrong | None:
    if base.nearly_straight:
        return None
    layers = ["flatten"] * base.images + ["dense 1", base.activation, *base.output]
    return Wrong({"network.layers": layers}, ("network.layers",))


def _wide_start(base: Base) -> Wrong | None:
    """The second of several layers starts with weights fifty times as large as they should be."""
    if len(base.dense) < 3 or base.normalised:
        return None
    return Wrong({f"network.layers.{base.dense[1]}.init": {"kind": "normal", "deviation": 12.0}})


def _dead_bias(base: Base) -> Wrong | None:
    """The biases of the second layer start so low that no unit is ever above 0."""
    if base.activation != "relu" or base.normalised:
        return None
    return Wrong({f"network.layers.{base.dense[1]}.bias_init": {"kind": "constant", "value": -10.0}})


def _competing_units(base: Base) -> Wrong | None:
    """The hidden units of a layer share an output of 1, which leaves little of the gradient."""
    if not base.by_gradient or len(base.dense) < 3:
        return None
    wrong = [place for place, item in enumerate(base.layers) if item == base.activation]
    return Wrong({f"network.layers.{place}": "softmax" for place in wrong})


def _levelled_by_epsilon(base: Base) -> Wrong:
    """Normalisations that divide by the root of a million instead of the deviation."""
    layers: list[Any] = []
    wrong = []
    for place, item in enumerate(base.layers):
        layers.append(item)
        if place in base.dense[:-1]:
            wrong.append(f"network.layers.{len(layers)}")
            layers.append({"kind": "layer_norm", "epsilon": 1e6})
    return Wrong({"network.layers": layers}, tuple(wrong))


def _blind_features(base: Base) -> Wrong:
    """Radial features whose width is a small part of the distance between rows: they are 0 for all of them."""
    first = base.dense[0]
    return Wrong(
        {f"network.layers.{first}": {"kind": "radial", "units": 32, "width": 0.05}}, (f"network.layers.{first}",)
    )


def _straight(base: Base) -> Wrong | None:
    """Leaky units whose slope below 0 is the one above it: the network is a line."""
    if base.nearly_straight:
        return None
    layers = [{"kind": "leaky_relu", "alpha": 1.0} if item == base.activation else item for item in base.layers]
    wrong = [place for place, item in enumerate(base.layers) if item == base.activation]
    return Wrong({"network.layers": layers}, tuple(f"network.layers.{place}" for place in wrong))


def _levelled(base: Base) -> Wrong | None:
    """A normalisation over the units of a sample behind the only unit: it is a constant."""
    last = base.dense[-1]
    fits = str(base.layers[last]) == "dense 1"
    return inserted(base, last + 1, "layer_norm") if fits else None


def _biases_only(base: Base) -> Wrong | None:
    """Every layer learns its biases and keeps its initial weights."""
    if not (base.numbers or base.softmax):
        return None
    changes = {f"network.layers.{place}.trainable": ["b"] for place in base.dense}
    return Wrong(changes)


# Rows and labels. -------------------------------------------------------------------------------------------------


def _ordered(base: Base) -> Wrong | None:
    if not base.numbers:
        return None

    def sort(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        order = np.concatenate([split.train[np.argsort(y[split.train])], split.validation, split.test])
        return x[order], y[order]

    changes = {
        "data.source": base.altered("ordered", sort),
        "data.order": "time",
        "training.batch_size": 4,
        "training.epochs": max(2, base.epochs // 8),
        "optimizer": {"kind": "sgd", "learning_rate": 0.03},
    }
    return Wrong(changes, ("data.source", "data.order"))


def _moved_class(base: Base) -> Wrong | None:
    """Nearly all known rows of the class 1 have the label of the class 0, and those of 2 that of 1."""
    if not base.softmax:
        return None

    def move(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        moved = rows[rng.random(len(rows)) < 0.9]
        y[moved] = np.choose(y[moved], [0, 0, 1, *range(3, y.max() + 1)])
        return x, y

    return Wrong({"data.source": base.altered("moved", move)}, ("data.targets",))


def _far_rows(base: Base) -> Wrong | None:
    """Four training rows with a million in each column, by which the columns are then scaled."""
    if base.images:
        return None

    def spoil(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = rng.choice(split.train, 4, replace=False)
        x[rows] = 1e6 * x.std(axis=0) * rng.choice([-1.0, 1.0], (4, x.shape[1]))
        return x, y

    return Wrong({"data.source": base.altered("far", spoil)}, ("data.inputs", "data.scale"))


def _far_targets(base: Base) -> Wrong | None:
    """Two percent of the training rows have targets a hundred times too large, and the error counts by its square."""
    if not base.numbers:
        return None

    def spoil(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = rng.choice(split.train, max(3, len(split.train) // 50), replace=False)
        y[rows] = y.mean() + 100 * y.std() * rng.choice([-1.0, 1.0], len(rows))
        return x, y

    return Wrong({"data.source": base.altered("far-targets", spoil)}, ("data.targets", "loss"))


def _telling_column(base: Base) -> Wrong | None:
    """A column that is the target in all known rows, and noise where the network is used."""
    if base.images:
        return None

    def tell(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        column = y.astype(float)
        column[split.test] = rng.permutation(column[split.test])
        return np.column_stack([x, column]), y

    return Wrong({"data.source": base.altered("telling", tell)}, ("data.inputs",))


KINDS = (
    Kind("largest norm far too small", _tight_norm, PENALTY),
    Kind("gain that no epoch makes", _no_gain_is_enough, SHORT),
    Kind("clipped by value to nothing", _clipped, LOW),
    Kind("lasso that costs a part", _lasso, PENALTY),
    Kind("warm-up longer than the training", _long_warmup, DECAY),
    Kind("momentum without an end", _endless_momentum, HIGH),
    Kind("epsilon beyond all gradients", _huge_epsilon, LOW),
    Kind("single rows at a high rate", _single_rows, f"{HIGH}, batch-size, noisy-gradient"),
    Kind("one update for all batches", _accumulated, f"{SHORT}, batch-size"),
    Kind("rare class in rare rows", _nothing_for_rare, "imbalance"),
    Kind("tiny rate and tiny start", _masked_rate, f"{LOW}, {SMALL}"),
    Kind("inputs dropped", _dropped_inputs, "dropout-too-strong"),
    Kind("noise over the inputs", _drowned, "noisy-gradient"),
    Kind("waist of one unit", _waist),
    Kind("too few units", _tiny),
    Kind("one layer starts far too wide", _wide_start, LARGE),
    Kind("biases below all units", _dead_bias, DEAD),
    Kind("hidden units that compete", _competing_units),
    Kind("normalised by a huge constant", _levelled_by_epsilon, "vanishing, blind"),
    Kind("features that see no row", _blind_features, "vanishing, blind"),
    Kind("activation that is a line", _straight),
    Kind("normalised to a constant", _levelled, "output-activation, vanishing, blind"),
    Kind("only biases learn", _biases_only),
    Kind("rows in the order of their targets", _ordered, ORDERED),
    Kind("labels of a class moved", _moved_class, shows="held-out"),
    Kind("few rows far away", _far_rows, INPUTS),
    Kind("few targets far away", _far_targets, "missing-target-scaling, loss"),
    Kind("column that tells the target", _telling_column, "leak", shows="held-out"),
)


def first_half() -> dict[str, Case]:
    """The cases by name."""
    return cases_of("f", KINDS)
