"""The third part of the kinds. Whoever makes rules of the doctor does not read this file before they are made.

third_part.sha256 holds its hash: a test fails if the file changes. The answers were written before any diagnosis, by
somebody who had not read the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from faults import DECAY, HIGH, INPUTS, LARGE, LOW, PENALTY, SHORT, SMALL, STILL, TARGETS
from rows import Rows
from thalweg.data.splitting import RowSplit

from .bases import Base, known
from .kinds import Case, Kind, Wrong, cases_of, inserted
from .third_bases import third_bases

_RATE = "optimizer.learning_rate"

# Settings. --------------------------------------------------------------------------------------------------------


def _squares_kept_for_ever(base: Base) -> Wrong | None:
    """The mean of the squares hardly begins to grow from 0, so that the first steps are ten thousand times as long."""
    if base.nearly_straight:
        return None
    optimizer = {"kind": "rmsprop", "learning_rate": 0.003, "rho": 0.99999999}
    return Wrong({"optimizer": optimizer}, ("optimizer.rho",))


def _adadelta(base: Base) -> Wrong:
    """Adadelta, whose rate is 1, with the usual rate of Adam."""
    return Wrong({"optimizer": {"kind": "adadelta", "learning_rate": 0.001}}, (_RATE, "optimizer.kind"))


def _high_cycle(base: Base) -> Wrong | None:
    if "layer_norm" in base.layers:
        return None
    return Wrong({_RATE: {"kind": "one_cycle", "peak": 150 * base.rate}})


def _late_begin(base: Base) -> Wrong:
    """Almost no rate until the last hundredth of the training."""
    first, then = ({"kind": "constant", "value": rate} for rate in (1e-8, base.rate))
    schedule = {"kind": "joined", "schedules": [first, then], "boundaries": ["99 %"]}
    return Wrong({_RATE: schedule})


def _impatient_plateau(base: Base) -> Wrong | None:
    """A hundredth of the rate after each epoch that leaves more than a hundredth of the loss."""
    if base.by_gradient:
        return None
    schedule = {"kind": "plateau", "initial": base.rate, "factor": 0.01, "patience": 0, "threshold": 0.99}
    return Wrong({_RATE: schedule})


def _reference_of_one(base: Base) -> Wrong | None:
    """The rate counts for a batch of one row, and is multiplied by the rows of a batch."""
    if base.nearly_straight or "layer_norm" in base.layers:
        return None
    return Wrong({_RATE: {"kind": "linear_scaling", "then": 3 * base.rate, "reference": 1}})


def _seconds(base: Base) -> Wrong:
    """The time limit of a first try was left in."""
    return Wrong({"stopping": {"seconds": 0.001}}, ("stopping.seconds",))


def _few_rows_decide(base: Base) -> Wrong | None:
    """Training stops after one epoch in which a handful of validation rows did not get better by three fifths."""
    if base.nearly_straight:
        return None
    changes = {"data.validation": 0.006, "stopping": {"patience": 1, "threshold": 0.6}}
    return Wrong(changes, ("data.validation", "stopping.patience", "stopping.threshold"))


def _alpha(base: Base) -> Wrong:
    """A penalty that another library divides by all rows."""
    return Wrong({"regularization.alpha": 300.0})


def _gradient_descent(base: Base) -> Wrong:
    """One step an epoch."""
    changes = {"optimizer": {"kind": "gradient_descent", "learning_rate": 0.01}, "training.batch_size": "full"}
    return Wrong(changes, ("optimizer.kind", "training.batch_size"))


def _rate_of_adam(base: Base) -> Wrong | None:
    """The optimizer was replaced, and the rate was kept."""
    optimizer = {"kind": "sgd", "learning_rate": 0.0005}
    return None if base.by_gradient else Wrong({"optimizer": optimizer}, ("optimizer.kind", _RATE))


def _slow_and_short(base: Base) -> Wrong:
    """A low rate and few epochs, each of which would cost little."""
    return Wrong({_RATE: base.rate / 20, "training.epochs": max(2, base.epochs // 12)})


def _logits_twice(base: Base) -> Wrong | None:
    """A loss that applies the last activation a second time."""
    if base.layers[-1] != "sigmoid":
        return None
    return Wrong({"loss": "sigmoid_binary_cross_entropy"}, ("loss", f"network.layers.{len(base.layers) - 1}"))


def _counts_of_numbers(base: Base) -> Wrong | None:
    """A loss for counts, where half of the targets are below 0."""
    return Wrong({"loss": "poisson"}) if base.numbers and base.table.get("loss") != "poisson" else None


# Network. ---------------------------------------------------------------------------------------------------------


def _normalised(base: Base, layer: Any, **changes: Any) -> Wrong:
    """The base with a normalisation behind each hidden dense layer, which is wrong together with other changes."""
    layers: list[Any] = []
    wrong = list(changes)
    for place, item in enumerate(base.layers):
        layers.append(item)
        if place in base.dense[:-1]:
            wrong.append(f"network.layers.{len(layers)}")
            layers.append(layer)
    return Wrong({"network.layers": layers, **changes}, tuple(wrong))


def _late_statistics(base: Base) -> Wrong:
    """The running mean and variance hardly leave 0 and 1, and the network is used with them."""
    return _normalised(base, {"kind": "batch_norm", "momentum": 0.99999})


def _pairs(base: Base) -> Wrong | None:
    """Batches of two rows for little memory, summed over sixteen, and normalised over two rows."""
    if base.images or base.nearly_straight:
        return None
    return _normalised(base, "batch_norm", **{"training.batch_size": 2, "training.accumulate": 16})


def _alike_in_a_batch(base: Base) -> Wrong | None:
    """Batches of like rows, of which the normalisation takes what they have in common."""
    if base.images or base.nearly_straight:
        return None
    return _normalised(base, "batch_norm", **{"data.order": {"kind": "buckets", "by": "x0"}})


def _frozen(base: Base) -> Wrong | None:
    """The hidden layers are held still, as those of a network that was trained before; they are not wide."""
    if base.nearly_straight:
        return None
    held = {"kind": "dense", "width": 8, "trainable": False}
    layers = ["flatten"] * base.images + [held, base.activation] * (len(base.dense) - 1) + base.output
    places = [place for place, layer in enumerate(layers) if layer is held]
    return Wrong({"network.layers": layers}, tuple(f"network.layers.{place}" for place in places))


def _each_row_alike(base: Base) -> Wrong | None:
    """Each row's own mean and size are taken away, where a row has few inputs."""
    few = base.rows()[0].shape[1] <= 10 and not base.images
    return inserted(base, base.dense[0], "layer_norm") if few else None


def _activation_first(base: Base) -> Wrong | None:
    """The activation stands before its layer: half of the inputs are lost."""
    return None if base.nearly_straight or base.images else inserted(base, base.dense[0], "relu")


def _wide_features(base: Base) -> Wrong:
    """Radial features so wide that they are 1 for all rows."""
    place = f"network.layers.{base.dense[0]}"
    return Wrong({place: {"kind": "radial", "units": 32, "width": 1000.0}}, (place,))


def _shortcuts(base: Base) -> Wrong | None:
    """Thirty residual blocks without a normalisation: each doubles the variance."""
    if base.nearly_straight or "layer_norm" in base.layers or base.name == "ribbon":
        return None
    first = base.layers[: base.dense[0] + 2]
    width = int(str(base.layers[base.dense[0]]).split()[1])
    block = {"kind": "residual", "layers": [f"dense {width}", "relu"]}
    changes = {"network.layers": [*first, *[block] * 30, *base.output], "network.init": "he_normal"}
    places = tuple(f"network.layers.{place}" for place in range(len(first), len(first) + 30))
    return Wrong(changes, (*places, "network.init"))


def _dropped_answers(base: Base) -> Wrong | None:
    """Dropout behind the last layer."""
    fits = base.numbers and base.dense[-1] == len(base.layers) - 1
    return inserted(base, len(base.layers), "dropout 0.9") if fits else None


def _positive_start(base: Base) -> Wrong | None:
    """Weights between 0 and 1."""
    if base.nearly_straight or "layer_norm" in base.layers:
        return None
    return Wrong({"network.init": {"kind": "uniform", "low": 0.0, "high": 1.0}})


def _slope_in_percent(base: Base) -> Wrong | None:
    """Units whose slope below 0 is 30 instead of 0.3."""
    if "layer_norm" in base.layers or base.layers.count(base.activation) < 2:
        return None
    leaky = {"kind": "leaky_relu", "alpha": 30.0}
    wrong = [place for place, item in enumerate(base.layers) if item == base.activation]
    return Wrong({f"network.layers.{place}": leaky for place in wrong})


def _far_answers(base: Base) -> Wrong | None:
    """The bias of the last layer starts at 200."""
    if base.softmax or base.layers[-1] == "exponential" or "layer_norm" in base.layers:
        return None
    return Wrong({f"network.layers.{base.dense[-1]}.bias_init": {"kind": "constant", "value": 200.0}})


def _slope_of_the_start(base: Base) -> Wrong | None:
    """Weights for leaky units of a slope that the units do not have: far too small."""
    if not base.by_gradient:
        return None
    return Wrong({"network.init": {"kind": "he_normal", "slope": 300.0}})


# Rows and labels. -------------------------------------------------------------------------------------------------


def _standard(base: Base) -> bool:
    """Whether inputs and numbers are standardised."""
    return bool(base.table["data"]["scale"] == "standard")


def _with_rows(
    base: Base, name: str, alter: Callable[..., Rows], *places: str, changes: dict[str, Any] | None = None
) -> Wrong:
    return Wrong({"data.source": base.altered(name, alter), **(changes or {})}, places)


def _in_units(z: np.ndarray) -> np.ndarray:
    return (z - z.mean(axis=0)) / z.std(axis=0)


def _missing_as_numbers(base: Base) -> Wrong | None:
    """One of eight cells is missing, and is written as -99999."""
    if base.images:
        return None

    def lose(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        x = x.astype(float)
        x[rows] = np.where(rng.random(x[rows].shape) < 0.12, -99999.0, x[rows])
        return x, y

    return _with_rows(base, "missing", lose, "data.inputs", "data.scale")


def _other_columns(base: Base) -> Wrong:
    """The columns of the known rows stand in another order than those of the test rows; images lie on their side."""

    def move(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        x[rows] = x[rows].swapaxes(1, 2) if base.images else np.roll(x[rows], 1, axis=1)
        return x, y

    return _with_rows(base, "columns", move, "data.inputs")


def _other_unit(base: Base) -> Wrong | None:
    """The known rows are in another unit, with another zero."""
    if base.images:
        return None

    def convert(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        x = x.astype(float)
        x[rows] = (x[rows] - 3 * x.std(axis=0)) / 1.8
        return x, y

    return _with_rows(base, "unit", convert, "data.inputs", "data.split")


def _upside_down(base: Base) -> Wrong | None:
    """In every second known row the sensors were mounted upside down."""
    if base.images or base.nearly_straight or base.name == "ball":
        return None

    def turn(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)[::2]
        x = x.astype(float)
        x[rows] = 2 * x.mean(axis=0) - x[rows]
        return x, y

    return _with_rows(base, "turned", turn, "data.inputs")


def _half_of_the_range(base: Base) -> Wrong | None:
    """Known rows were collected where the first input is low, and the target hangs on this input."""
    if base.name not in ("calls", "arm", "alarms", "ribbon"):
        return None

    def collect(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        low = x[:, 0] < np.quantile(x[:, 0], 0.4)
        noise = 0.02 * x.std(axis=0) * rng.standard_normal(x.shape)
        x = x.astype(float)
        for rows in (split.train, split.validation):
            drawn = rng.choice(rows[low[rows]], len(rows))
            x[rows], y[rows] = x[drawn] + noise[rows], y[drawn]
        return x, y

    return _with_rows(base, "half", collect, "data.inputs", "data.split")


def _hardly_collected(base: Base) -> Wrong | None:
    """Of the second half of the classes there are hardly any known rows."""
    if not base.softmax or base.nearly_straight or "order" in base.table["data"]:
        return None

    def collect(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        first = y <= y.max() // 2
        noise = 0.05 * x.std(axis=0) * rng.standard_normal(x.shape)
        x = x.astype(float)
        for rows in (split.train, split.validation):
            lost = rows[~first[rows] & (rng.random(len(rows)) < 0.97)]
            drawn = rng.choice(rows[first[rows]], len(lost))
            x[lost], y[lost] = x[drawn] + noise[lost], y[drawn]
        return x, y

    return _with_rows(base, "collected", collect, "data.targets")


def _two_that_tell(base: Base) -> Wrong | None:
    """Two columns whose difference is the target in all known rows, and nothing where the network is used."""
    if base.images or base.nearly_straight or base.rows()[1].ndim > 1:
        return None

    def tell(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        told = _in_units(y.astype(float))
        told[split.test] = rng.permutation(told[split.test])
        noise = rng.standard_normal(len(x))
        return np.column_stack([x, noise, noise + told]), y

    return _with_rows(base, "two-tell", tell, "data.inputs")


def _few_rows_repeated(base: Base) -> Wrong | None:
    """A loop wrote twelve rows again and again."""
    if base.nearly_straight or base.images:
        return None

    def repeat(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = rng.choice(rng.choice(split.train, 12, replace=False), len(split.train))
        x[split.train], y[split.train] = x[rows], y[rows]
        return x, y

    return _with_rows(base, "repeated", repeat, "data.inputs", "data.source")


def _small_inputs(base: Base) -> Wrong | None:
    if base.images or not _standard(base):
        return None

    def shrink(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return 1e-5 * _in_units(x), _in_units(y) if base.numbers else y

    return _with_rows(base, "small", shrink, "data.inputs", "data.scale", changes={"data.scale": "none"})


def _small_targets(base: Base) -> Wrong | None:
    if not base.numbers or not _standard(base):
        return None

    def shrink(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return _in_units(x), 1e-4 * _in_units(y)

    return _with_rows(base, "small-targets", shrink, "data.targets", "data.scale", changes={"data.scale": "none"})


def _one_outweighs(base: Base) -> Wrong | None:
    """One of several targets is in millimetres, the others are in metres."""
    if not base.numbers or base.rows()[1].ndim == 1:
        return None

    def outweigh(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return _in_units(x), y * np.array([1000.0, *[1.0] * (y.shape[1] - 1)])

    return _with_rows(base, "outweighs", outweigh, "data.targets", "data.scale", changes={"data.scale": "none"})


def _orders_of_magnitude(base: Base) -> Wrong | None:
    """Targets over many orders of magnitude."""
    if not base.numbers or not _standard(base):
        return None

    def grow(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        return x, np.exp(8 * _in_units(y))

    return _with_rows(base, "magnitudes", grow, "data.targets", "loss")


def _cut_off(base: Base) -> Wrong | None:
    """What is above the second decile was written as the second decile."""
    if not base.numbers:
        return None

    def cut(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        y[rows] = np.minimum(y[rows], np.quantile(y, 0.2, axis=0))
        return x, y

    return _with_rows(base, "cut", cut, "data.targets", "data.test")


def _without_sign(base: Base) -> Wrong | None:
    """The known targets are deviations from the mean without their sign."""
    if not base.numbers or not _standard(base):
        return None

    def lose(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        y[rows] = y.mean(axis=0) + np.abs(y[rows] - y.mean(axis=0))
        return x, y

    return _with_rows(base, "signs", lose, "data.targets", "data.test")


def _turned_scale(base: Base) -> Wrong | None:
    """In two of five known rows the best is the lowest number, in the others the highest."""
    if not base.numbers or not _standard(base):
        return None

    def turn(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        rows = rows[rng.random(len(rows)) < 0.42]
        y[rows] = 2 * y.mean(axis=0) - y[rows]
        return x, y

    return _with_rows(base, "turned-scale", turn, "data.targets")


def _drifting_targets(base: Base) -> Wrong | None:
    """The instrument that measured the known targets came slowly to its zero."""
    if not base.numbers:
        return None

    def drift(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        y[rows] += np.multiply.outer(np.linspace(5, 1, len(rows)), y.std(axis=0))
        return x, y

    return _with_rows(base, "drifting", drift, "data.targets", "data.split")


def _exchanged_targets(base: Base) -> Wrong | None:
    """In most known rows the columns of the targets are exchanged."""
    if base.rows()[1].ndim == 1:
        return None

    def exchange(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        rows = rows[rng.random(len(rows)) < 0.6]
        y[rows] = np.roll(y[rows], 1, axis=1)
        return x, y

    return _with_rows(base, "exchanged", exchange, "data.targets")


def _two_spellings(base: Base) -> Wrong | None:
    """Half of the known rows of each class have another spelling of its name, which makes a class of its own."""
    if not base.softmax:
        return None
    classes = int(base.rows()[1].max()) + 1

    def spell(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        y[rows[rng.random(len(rows)) < 0.5]] += classes
        return x, y

    wider = {f"network.layers.{base.dense[-1]}": f"dense {2 * classes}"}
    return _with_rows(base, "spellings", spell, "data.targets", "data.test", changes=wider)


def _yes_or_no(base: Base) -> Wrong | None:
    """Nearly all known labels were cast to yes or no on their way."""
    if not base.softmax:
        return None

    def cast(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        lost = rows[rng.random(len(rows)) < 0.95]
        y[lost] = np.minimum(y[lost], 1)
        return x, y

    return _with_rows(base, "yes-or-no", cast, "data.targets", "data.test")


def _from_one(base: Base) -> Wrong | None:
    """The older known rows count the classes from one, the newer ones from zero."""
    if not base.softmax:
        return None

    def count(x: np.ndarray, y: np.ndarray, split: RowSplit, rng: np.random.Generator) -> Rows:
        rows = known(split)
        older = rows[: len(rows) * 3 // 5]
        y[older] = (y[older] + 1) % (y.max() + 1)
        return x, y

    return _with_rows(base, "from-one", count, "data.targets")


KINDS = (
    Kind("squares kept for ever", _squares_kept_for_ever, HIGH),
    Kind("adadelta at the rate of adam", _adadelta, LOW),
    Kind("cycle with a high peak", _high_cycle, HIGH),
    Kind("rate that begins at the end", _late_begin, f"unfinished-warm-up, {LOW}"),
    Kind("plateau without patience", _impatient_plateau, DECAY),
    Kind("rate for a batch of one row", _reference_of_one, HIGH),
    Kind("time limit left in", _seconds, SHORT),
    Kind("few rows decide the stop", _few_rows_decide, SHORT),
    Kind("alpha of all rows", _alpha, PENALTY),
    Kind("gradient descent of the textbook", _gradient_descent, f"{SHORT}, batch-size, optimizer"),
    Kind("sgd at the rate of adam", _rate_of_adam, f"{LOW}, optimizer"),
    Kind("slow and short", _slow_and_short, LOW),
    Kind("loss that repeats the activation", _logits_twice, STILL),
    Kind("loss of counts for numbers", _counts_of_numbers, "loss, exploding, output-activation"),
    Kind("running statistics that arrive late", _late_statistics),
    Kind("normalised over two rows", _pairs),
    Kind("normalised over like rows", _alike_in_a_batch),
    Kind("hidden layers left frozen", _frozen),
    Kind("each row normalised", _each_row_alike),
    Kind("activation before its layer", _activation_first),
    Kind("features alike for all rows", _wide_features, "vanishing, blind"),
    Kind("thirty shortcuts", _shortcuts, f"{LARGE}, {HIGH}, loss-at-start"),
    Kind("answers dropped", _dropped_answers, "dropout-too-strong"),
    Kind("weights from 0 to 1", _positive_start, f"{LARGE}, loss-at-start"),
    Kind("slope in percent", _slope_in_percent, f"{LARGE}, loss-at-start"),
    Kind("answers that start far away", _far_answers, f"loss-at-start, {LARGE}"),
    Kind("start for a slope that is not there", _slope_of_the_start, f"{SMALL}, {LOW}"),
    Kind("missing values as numbers", _missing_as_numbers, f"outlying-inputs, {INPUTS}"),
    Kind("columns in another order", _other_columns, "mismatch", shows="held-out"),
    Kind("known rows in another unit", _other_unit, "mismatch", shows="held-out"),
    Kind("sensors upside down", _upside_down, "mismatch"),
    Kind("half of the range", _half_of_the_range, "mismatch", shows="held-out"),
    Kind("classes hardly collected", _hardly_collected, "imbalance, mismatch", shows="held-out"),
    Kind("two columns that tell", _two_that_tell, "target-leak, leak, mismatch", shows="held-out"),
    Kind("few rows repeated", _few_rows_repeated, "duplicate-rows, memorised, overfitting, mismatch", shows="held-out"),
    Kind("inputs far too small", _small_inputs, f"missing-input-scaling, {LOW}, {SMALL}"),
    Kind("targets far too small", _small_targets, f"{TARGETS}, loss-at-start"),
    Kind("one target outweighs", _one_outweighs, TARGETS),
    Kind("targets of all magnitudes", _orders_of_magnitude),
    Kind("targets cut off", _cut_off, shows="held-out"),
    Kind("targets without their sign", _without_sign, shows="held-out"),
    Kind("scale turned in some rows", _turned_scale),
    Kind("targets that drift", _drifting_targets, "mismatch", shows="held-out"),
    Kind("targets exchanged", _exchanged_targets),
    Kind("two spellings of a class", _two_spellings),
    Kind("labels cast to yes or no", _yes_or_no, shows="held-out"),
    Kind("classes counted from one", _from_one, "wrong-labels, mismatch", shows="held-out"),
)


def third_part() -> dict[str, Case]:
    """The cases by name."""
    return cases_of("t", KINDS, most=3, among=third_bases)
