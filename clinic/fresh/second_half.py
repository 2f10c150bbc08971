"""The second half of the kinds: each can be looked at one by one once the rules of the doctor are made."""

from __future__ import annotations

from typing import Any

import numpy as np

from faults import DEAD, DECAY, HIGH, INPUTS, LARGE, LOW, PENALTY, SHORT, STILL
from rows import Rows
from thalweg.data.splitting import RowSplit

from .bases import Base, known
from .kinds import Case, Kind, Wrong, cases_of, inserted

# Settings. --------------------------------------------------------------------------------------------------------


def _smooth_targets(base: Base) -> Wrong | None:
    """Every class gets nearly the same part of the target."""
    if base.numbers:
        return None
    loss = "cross_entropy" if base.softmax else "binary_cross_entropy"
    return Wrong({"loss": {"kind": loss, "label_smoothing": 0.9999}}, ("loss.label_smoothing",))


def _met_at_once(base: Base) -> Wrong:
    """A target of the loss that the first epoch meets."""
    return Wrong({"stopping": {"measure": "loss", "target": 100.0}})


def _clipped(base: Base) -> Wrong | None:
    clip = {"kind": "global_norm", "limit": 2e-4}
    return Wrong({"training.clip": clip}) if base.by_gradient else None


def _decayed(base: Base) -> Wrong | None:
    """Each update takes a twentieth of the weights away."""
    return None if base.normalised else Wrong({"regularization.weight_decay": 0.05 / base.rate})


def _ridge(base: Base) -> Wrong | None:
    if base.normalised or base.nearly_straight or base.images:
        return None
    return Wrong({"regularization.l2": 0.1})


def _short_schedule(base: Base) -> Wrong:
    """The rate is 0 after the first hundredth of the training."""
    return Wrong({"optimizer.learning_rate": {"kind": "cosine", "peak": base.rate, "steps": "1 %"}})


def _rising_rate(base: Base) -> Wrong:
    """The rate grows a hundred thousand times over the training."""
    factor = 10 ** (5 / base.epochs)
    schedule = {"kind": "exponential", "initial": base.rate, "factor": factor, "every": "1 epoch"}
    return Wrong({"optimizer.learning_rate": schedule})


def _full_batch(base: Base) -> Wrong:
    return Wrong({"training.batch_size": "full", "training.epochs": max(5, base.epochs // 3)})


def _sharp_huber(base: Base) -> Wrong | None:
    """A loss whose gradient is a ten-thousandth of the deviations."""
    return Wrong({"loss": {"kind": "huber", "delta": 1e-4}}) if base.numbers and base.by_gradient else None


def _rate_under_clip(base: Base) -> Wrong:
    """A rate ten thousand times too high, and a clip of ten thousandth that hides it: all gradients count alike."""
    optimizer = {"kind": "momentum", "learning_rate": 3e3, "momentum": 0.9}
    changes = {"optimizer": optimizer, "training.clip": {"kind": "value", "limit": 3e-4}}
    return Wrong(changes, ("optimizer.learning_rate", "training.clip"))


def _nearly_all_held_out(base: Base) -> Wrong:
    return Wrong({"data.validation": 0.97})


# Network. ---------------------------------------------------------------------------------------------------------


def _tanh_at_the_end(base: Base) -> Wrong | None:
    if not base.softmax:
        return None
    place = f"network.layers.{len(base.layers) - 1}"
    return Wrong({place: "tanh", "loss": "cross_entropy"}, (place,))


def _dropped_waist(base: Base) -> Wrong | None:
    """Dropout behind a narrow layer that all signals pass."""
    if not (base.numbers or base.softmax):
        return None
    last = base.dense[-1]
    wrong = inserted(base, last, "dense 3", base.activation, "dropout 0.9")
    return wrong._replace(places=(f"network.layers.{last}", f"network.layers.{last + 2}"))


def _held_output(base: Base) -> Wrong | None:
    """The last layer keeps its initial weights, which are almost 0."""
    if not (base.numbers or base.softmax):
        return None
    path = f"network.layers.{base.dense[-1]}"
    return Wrong({f"{path}.init": "normal 0.000001", f"{path}.trainable": ["b"]})


def _high_bias(base: Base) -> Wrong | None:
    """The biases of a layer start where its units hardly change."""
    if base.activation != "tanh":
        return None
    return Wrong({f"network.layers.{base.dense[0]}.bias_init": {"kind": "constant", "value": 12.0}})


def _no_activations(base: Base) -> Wrong | None:
    if base.nearly_straight:
        return None
    return Wrong({"network.layers": [item for item in base.layers if item != base.activation]}, ("network.layers",))


def _deep_and_narrow(base: Base) -> Wrong:
    hidden: list[Any] = ["dense 3", "relu"] * 18
    return Wrong({"network.layers": ["flatten"] * base.images + hidden + base.output}, ("network.layers",))


def _bounded(base: Base) -> Wrong | None:
    """Answers between 0 and 1 for standardised numbers."""
    return inserted(base, len(base.layers), "sigmoid") if base.numbers else None


def _signs_only(base: Base) -> Wrong:
    """The first hidden layer is replaced by the signs of two of its sums."""
    place = base.dense[0]
    changes = {f"network.layers.{place}": "dense 2", f"network.layers.{place + 1}": "sign"}
    return Wrong(changes, (f"network.layers.{place}", f"network.layers.{place + 1}"))


# Rows and labels. -------------------------------------------------------------------------------------------------


def _drift(base: Base) -> Wrong | None:
    """In the known rows the inputs come to the test rows' kind from far away: the farther back, the farther."""
    if base.images or base.nearly_straight:
        return None

    def drift(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        way = np.linspace(6, 2, len(rows))[:, None] * x.std(axis=0)
        x[rows] += way * rng.choice([-1.0, 1.0], x.shape[1])
        return x, y

    return Wrong({"data.source": base.altered("drift", drift)}, ("data.inputs", "data.split"))


def _wrong_labels(base: Base) -> Wrong | None:
    """Two of five known rows have a wrong label, and the network has units and epochs enough to learn it."""
    if base.numbers or base.normalised or len(base.dense) < 3:
        return None

    def deal(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        wrong = rows[rng.random(len(rows)) < 0.4]
        y[wrong] = (y[wrong] + rng.integers(1, y.max() + 1, len(wrong))) % (y.max() + 1)
        return x, y

    changes = {"data.source": base.altered("wrong", deal), "training.epochs": 3 * base.epochs}
    return Wrong(changes, ("data.targets",))


def _filled_targets(base: Base) -> Wrong:
    """Targets of most known rows were missing, and filled by one value."""

    def fill(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        y[rows[rng.random(len(rows)) < 0.8]] = np.median(y) if base.numbers else 0
        return x, y

    return Wrong({"data.source": base.altered("filled", fill)}, ("data.targets",))


def _row_before(base: Base) -> Wrong:
    """Two of three known rows have the target of the row before, as where tables are joined by numbers of rows."""

    def slip(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        late = rows[len(rows) // 3 :]
        y[late] = y[late - 1]
        return x, y

    return Wrong({"data.source": base.altered("slipped", slip)}, ("data.targets",))


def _copied_rows(base: Base) -> Wrong:
    """The validation rows are copies of training rows."""

    def copy(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = rng.choice(split.train, len(split.validation), replace=False)
        x[split.validation], y[split.validation] = x[rows], y[rows]
        return x, y

    return Wrong({"data.source": base.altered("copied", copy)}, ("data.validation",))


def _other_validation(base: Base) -> Wrong | None:
    """The validation rows come from elsewhere, and decide when training stops."""
    if base.images:
        return None

    def move(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        x[split.validation] += 5 * x.std(axis=0) * rng.choice([-1.0, 1.0], x.shape[1])
        return x, y

    changes = {"data.source": base.altered("elsewhere", move), "stopping": {"patience": 2}}
    return Wrong(changes, ("data.validation",))


def _drowning_columns(base: Base) -> Wrong | None:
    """Three hundred copies of a column of noise."""
    if base.images or base.nearly_straight:
        return None

    def copy(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        noise = rng.standard_normal((len(x), 1))
        return np.hstack([x, np.repeat(noise, 300, axis=1)]), y

    return Wrong({"data.source": base.altered("copies", copy)}, ("data.inputs",))


def _huge_column(base: Base) -> Wrong | None:
    if base.images:
        return None

    def scale(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        x[:, -1] *= 1e4
        return x, (y - y.mean()) / y.std() if base.numbers else y

    changes = {"data.source": base.altered("huge", scale), "data.scale": "none"}
    return Wrong(changes, ("data.inputs", "data.scale"))


def _rounded(base: Base) -> Wrong | None:
    """Inputs kept as whole numbers of two and a half standard deviations."""
    if base.nearly_straight:
        return None

    def round_off(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        unit = 2.5 * x.std(axis=0).mean() if base.images else 2.5 * x.std(axis=0)
        return np.floor(x / unit), y

    return Wrong({"data.source": base.altered("rounded", round_off)}, ("data.inputs",))


KINDS = (
    Kind("nearly all of the target smoothed", _smooth_targets, "loss"),
    Kind("target of the loss met at once", _met_at_once, SHORT),
    Kind("clipped by norm to nothing", _clipped, LOW),
    Kind("decay that takes a twentieth", _decayed, PENALTY),
    Kind("ridge that costs a part", _ridge, PENALTY),
    Kind("schedule over at the start", _short_schedule, DECAY),
    Kind("rate that rises", _rising_rate, HIGH, shows="end"),
    Kind("one batch of all rows", _full_batch, f"{SHORT}, batch-size"),
    Kind("huber without a slope", _sharp_huber, f"loss, {LOW}"),
    Kind("tanh before the cross-entropy", _tanh_at_the_end, STILL),
    Kind("high rate under a tight clip", _rate_under_clip, HIGH),
    Kind("nearly all rows held out", _nearly_all_held_out, "overfitting", shows="held-out"),
    Kind("dropout in a narrow place", _dropped_waist, "dropout-too-strong"),
    Kind("last layer held still", _held_output, "init-too-small, vanishing, blind"),
    Kind("biases beyond the slope", _high_bias, LARGE),
    Kind("no activations", _no_activations),
    Kind("deep and narrow", _deep_and_narrow, DEAD),
    Kind("answers between 0 and 1", _bounded, "output-activation"),
    Kind("two signs at the bottom", _signs_only, "step-activation"),
    Kind("inputs that drift", _drift, "mismatch", shows="held-out"),
    Kind("wrong labels", _wrong_labels, "overfitting", shows="held-out"),
    Kind("most targets filled", _filled_targets, "imbalance", shows="held-out"),
    Kind("targets of the row before", _row_before, "data-unlearnable, overfitting", shows="held-out"),
    Kind("validation rows are copies", _copied_rows, "leak", shows="always"),
    Kind("validation rows from elsewhere", _other_validation, "mismatch, epochs-too-few"),
    Kind("copies of a column of noise", _drowning_columns, "duplicate-input"),
    Kind("one huge column", _huge_column, INPUTS),
    Kind("inputs rounded off", _rounded),
)


def second_half() -> dict[str, Case]:
    """The cases by name."""
    return cases_of("s", KINDS)
