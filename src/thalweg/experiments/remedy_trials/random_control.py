"""Random changes of a spec as a control: a remedy that does no better than a random change shows no insight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ...data import Split
from ...pages.numbers import count_noun
from ...parts.layers import Activation
from ...parts.part import at
from ...spec.spec import CompleteSpec
from ..variation import Setting

RATE_FACTORS = (3.0, 30.0)
EPOCH_FACTORS = (2.0, 5.0)
BATCH_FACTORS = (1 / 8, 1 / 4, 1 / 2, 2, 4, 8)
OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")
INITIALIZERS = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal")

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


def _another(rng: np.random.Generator, kinds: Sequence[str], present: str) -> str:
    others = [kind for kind in kinds if kind != present]
    return others[int(rng.integers(len(others)))]


def _rate(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    low, high = RATE_FACTORS
    # Uniform in the logarithm.
    power = rng.uniform(math.log(low), math.log(high))
    factor = math.exp(power if rng.random() < 1 / 2 else -power)
    # A schedule is replaced by a number, relative to its first rate.
    rate = float(f"{float(at(spec.optimizer.learning_rate, np.array(0))) * factor:.3g}")
    return _setting(f"rate {rate:g}", {"optimizer.learning_rate": rate}) if rate > 0 else None


def _optimizer(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    kind = _another(rng, OPTIMIZERS, spec.optimizer.kind)
    return _setting(kind, {"optimizer": kind})


def _initializer(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    present = spec.network.init.kind if spec.network.init else ""
    kind = _another(rng, INITIALIZERS, present)
    return _setting(f"init {kind}", {"network.init": kind})


def _activation(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    hidden = [(place, layer) for place, layer in enumerate(spec.network.layers[:-1]) if isinstance(layer, Activation)]
    if not hidden:
        return None
    kind = _another(rng, ACTIVATIONS, hidden[0][1].kind)
    return _setting(f"hidden {kind}", {f"network.layers.{place}": kind for place, _ in hidden})


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
    scaled = {*made.shift, *made.target_shift} - {0.0} or {*made.span, *made.target_span} - {1.0}
    return _setting("no scaling", {"data.scale": "none"}) if scaled else _setting("scaling", {"data.scale": "standard"})


def _epochs(spec: CompleteSpec, split: Split, rng: np.random.Generator) -> Setting | None:
    # More epochs only: a remedy that beats a shortened training proves nothing.
    epochs = round(spec.training.epochs * rng.uniform(*EPOCH_FACTORS))
    return _setting(count_noun(epochs, "epoch"), {"training.epochs": epochs})


def _setting(label: str, changes: dict[str, object]) -> Setting:
    return Setting(label, label, tuple(changes.items()))


_Change: TypeAlias = Callable[[CompleteSpec, Split, np.random.Generator], Setting | None]
_CHANGES: tuple[_Change, ...] = (_rate, _optimizer, _initializer, _activation, _batch_size, _scaling, _epochs)
