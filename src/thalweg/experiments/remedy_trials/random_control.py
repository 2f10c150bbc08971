"""Random changes of a spec as a control: a remedy that does no better than a random change shows no insight.

A random change changes something: what equals the present setting under another name, such as a default that is set to
its default, is not drawn.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ...core.arrays import leaves
from ...data import Split
from ...models.network import Network
from ...pages.numbers import count_noun
from ...parts.layers import Activation
from ...parts.part import Initializer, Layer, Optimizer, at, options_of
from ...spec.spec import CompleteSpec
from ..variation import Setting

RATE_FACTORS = (3.0, 30.0)
EPOCH_FACTORS = (2.0, 5.0)
BATCH_FACTORS = (1 / 8, 1 / 4, 1 / 2, 2, 4, 8)
OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")
INITIALIZERS = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal")

# Optimizers that make the same first updates, and activations that are equal at so many points, are the same.
_COMPARED_STEPS = 4
_COMPARED_POINTS = 25
# A scaling below this changes nothing but rounding errors.
_ROUNDING = 1e-6

SPACE = (
    "the learning rate times or divided by 3 to 30; another optimizer with its default rate; another initializer;"
    " another activation of the hidden layers; a batch size times or divided by 2, 4 or 8; scaling on or off; 2 to 5"
    " times the epochs, where the remedy trains that long"
)
"""What random changes are drawn from, in words."""


ACTIVATIONS = ("relu", "leaky_relu", "elu", "tanh", "sigmoid")
"""The kinds of activations that hidden layers can have."""


def random_change(spec: CompleteSpec, split: Split, rng: np.random.Generator, count: int) -> tuple[Setting, ...]:
    """`count` random changes of different kinds, or as many as there are kinds; see SPACE.

    >>> from thalweg.spec.spec import Spec
    >>> from thalweg.spec.complete import completed
    >>> spec = Spec.of({"data": "rings", "optimizer": "sgd 0.1"})
    >>> split = spec.data.load(0)
    >>> for setting in random_change(completed(spec, split.train), split, np.random.default_rng(1), 2):
    ...     print(setting.label, dict(setting.changes))
    scaling {'data.scale': 'standard'}
    rate 0.0126 {'optimizer.learning_rate': 0.0126}
    """
    order = rng.permutation(len(_CHANGES))
    settings = (_CHANGES[place](spec, split, rng) for place in order)
    return tuple(setting for setting in settings if setting)[:count]


def _one_of(rng: np.random.Generator, kinds: Sequence[str]) -> str | None:
    return kinds[int(rng.integers(len(kinds)))] if kinds else None


def _rate(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    low, high = RATE_FACTORS
    # Uniform in the logarithm.
    power = rng.uniform(math.log(low), math.log(high))
    factor = math.exp(power if rng.random() < 1 / 2 else -power)
    # A schedule is replaced by a number, relative to its first rate.
    rate = float(f"{float(at(spec.optimizer.learning_rate, np.array(0))) * factor:.3g}")
    return _setting(f"rate {rate:g}", {"optimizer.learning_rate": rate}) if rate > 0 else None


def _optimizer(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    present = spec.optimizer
    others = [kind for kind in OPTIMIZERS if kind != present.kind and not _same_training(present, Optimizer.of(kind))]
    kind = _one_of(rng, others)
    return _setting(kind, {"optimizer": kind}) if kind else None


def _same_training(one: Optimizer, other: Optimizer) -> bool:
    """Whether two optimizers are the same rule with the same rate."""
    return one.learning_rate == other.learning_rate and same_rule(one, other)


def same_rule(one: Optimizer, other: Optimizer) -> bool:
    """Whether two optimizers make the same updates with equal rates, as momentum of 0 and sgd do.

    >>> same_rule(Optimizer.of({"kind": "momentum", "momentum": 0.0}), Optimizer.of("sgd 0.5"))
    True
    """
    one, other = _with_equal_rate(one), _with_equal_rate(other)
    params = (np.array([0.3, -1.2]),)
    moments, other_moments = one.init(params), other.init(params)
    for step in range(_COMPARED_STEPS):
        grads = (np.array([1.0, -0.2]) * (step + 1),)
        updates, moments = one.update(grads, moments, params, np.array(step))
        other_updates, other_moments = other.update(grads, other_moments, params, np.array(step))
        if not np.allclose(updates[0], other_updates[0], rtol=1e-9, atol=0):
            return False
    return True


def _with_equal_rate(optimizer: Optimizer) -> Optimizer:
    options = {option.name: getattr(optimizer, option.name) for option in options_of(type(optimizer))}
    return type(optimizer)(**options | {"learning_rate": 1.0})


def _initializer(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    # A kind may be what the activations or the layers have chosen already: the weights decide, not the names.
    present = _start(spec.network, split)
    others = [kind for kind in INITIALIZERS if not _equal(present, _start(_with_init(spec.network, kind), split))]
    kind = _one_of(rng, others)
    return _setting(f"init {kind}", {"network.init": kind}) if kind else None


def _with_init(network: Network, kind: str) -> Network:
    return dataclasses.replace(network, init=Initializer.of(kind))


def _start(network: Network, split: Split) -> list[np.ndarray]:
    """The initial parameters of a network for seed 0."""
    return leaves(network.initialize(0, (split.train.features,)).params)


def _equal(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _activation(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    hidden = [(place, layer) for place, layer in enumerate(spec.network.layers[:-1]) if isinstance(layer, Activation)]
    others = [kind for kind in ACTIVATIONS if any(_differ(layer, Layer.of(kind)) for _, layer in hidden)]
    kind = _one_of(rng, others)
    return _setting(f"hidden {kind}", {f"network.layers.{place}": kind for place, _ in hidden}) if kind else None


def _differ(one: Activation, other: Layer) -> bool:
    """Whether two activations differ as functions."""
    return not isinstance(other, Activation) or values_of(one) != values_of(other)


def values_of(activation: Activation) -> tuple[float, ...]:
    """The values of an activation at some points, to 9 digits: they tell functions apart whatever they are called.

    >>> values_of(Layer.of({"kind": "leaky_relu", "alpha": 0.0})) == values_of(Layer.of("relu"))
    True
    """
    return tuple(float(f"{value:.9g}") for value in activation.value(np.linspace(-6.0, 6.0, _COMPARED_POINTS)))


def _batch_size(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    rows = len(split.train)
    present = spec.training.batch_size
    current = min(present, rows) if isinstance(present, int) else rows
    size = round(current * BATCH_FACTORS[int(rng.integers(len(BATCH_FACTORS)))])
    size = min(max(size, 1), rows)
    if size == current or spec.optimizer.full_batch:
        return None
    return _setting(f"batch size {size}", {"training.batch_size": size})


def _scaling(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    made = split.preprocessing
    shift = np.array([*made.shift, *made.target_shift, 0.0])
    span = np.array([*made.span, *made.target_span, 1.0])
    if not np.allclose(shift, 0.0, atol=_ROUNDING) or not np.allclose(span, 1.0, rtol=_ROUNDING):
        return _setting("no scaling", {"data.scale": "none"})
    # Columns that have a mean of 0 and a standard deviation of 1 already stay what they are.
    return None if spec.data.scale == "standard" else _setting("scaling", {"data.scale": "standard"})


def _epochs(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    # More epochs only: a remedy that beats a shortened training proves nothing.
    epochs = round(spec.training.epochs * rng.uniform(*EPOCH_FACTORS))
    return _setting(count_noun(epochs, "epoch"), {"training.epochs": epochs})


def _setting(label: str, changes: dict[str, object]) -> Setting:
    return Setting(label, label, tuple(changes.items()))


_Change: TypeAlias = Callable[[CompleteSpec, Split, np.random.Generator], Setting | None]
_CHANGES: tuple[_Change, ...] = (_rate, _optimizer, _initializer, _activation, _batch_size, _scaling, _epochs)
