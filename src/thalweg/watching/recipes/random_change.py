"""Random changes of a recipe as a control: a remedy that does no better than a random change shows no insight."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...core.files import Json
from .edits import OPTIMIZERS
from .modules import ACTIVATIONS
from .parts import TrainingParts

SPACE = (
    "the learning rate times or divided by 3 to 30; another optimizer with its default rate; new initial weights by one"
    " of three rules; another activation of the hidden layers; batches of 2 to 8 times the rows; dropout of 0.1 to 0.5;"
    " weight decay of 1e-5 to 0.1; gradients clipped to a norm of 0.1 to 10; scaling of the inputs"
)
"""What random changes are drawn from, in words."""

_LOW, _HIGH = math.log(3), math.log(30)


def random_change(parts: TrainingParts, rng: np.random.Generator, count: int) -> dict[str, Json]:
    """`count` random changes of different places, or as many as there are places; see SPACE."""
    places = rng.permutation(sorted(_CHANGES))
    return {str(place): _CHANGES[str(place)](parts, rng) for place in places[:count]}


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.2g}")


def _rate(parts: TrainingParts, rng: np.random.Generator) -> float:
    rate = float(parts.optimizer(parts.model).param_groups[0]["lr"])
    power = rng.uniform(_LOW, _HIGH)
    return float(f"{rate * math.exp(power if rng.random() < 1 / 2 else -power):.2g}")


def _one_of(names: tuple[str, ...]) -> Callable[[TrainingParts, np.random.Generator], str]:
    return lambda parts, rng: names[int(rng.integers(len(names)))]


_CHANGES: dict[str, Callable[[TrainingParts, np.random.Generator], Json]] = {
    "learning_rate": _rate,
    "optimizer": _one_of(OPTIMIZERS),
    "init": _one_of(("default", "he", "glorot")),
    "activation": _one_of(tuple(ACTIVATIONS)),
    "batch_size": lambda parts, rng: int(parts.batch_size * 2 ** rng.integers(1, 4)),
    "dropout": lambda parts, rng: round(float(rng.uniform(0.1, 0.5)), 2),
    "weight_decay": lambda parts, rng: _log_uniform(rng, 1e-5, 0.1),
    "clip": lambda parts, rng: _log_uniform(rng, 0.1, 10),
    "inputs": lambda parts, rng: "standardized",
}
