"""Small synthetic problems, each with a known difficulty, drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ..core.noise import generator
from ..parts.part import Count, NonNegative, Positive
from .dataset import Samples
from .source import Source

Rows = Annotated[int, Field(ge=1, le=10**7, strict=True)]
"""A number of rows that any machine can hold."""


@dataclass(frozen=True)
class TruthTable(Source):
    """A function of two booleans: its four rows (0,0) (0,1) (1,0) (1,1), repeated up to `samples` rows.

    `noise` is the standard deviation of Gaussian noise on the inputs. With four rows all of them are training rows.
    """

    samples: Rows = 4
    noise: NonNegative = 0.0
    outputs: ClassVar[tuple[int, int, int, int]]
    """Class of the rows (0,0), (0,1), (1,0) and (1,1)."""

    def load(self, seed: int) -> Samples:
        row = np.arange(self.samples) % 4
        x = np.stack([row // 2, row % 2], axis=1) + self.noise * _rng(seed).standard_normal((self.samples, 2))
        y = np.array(self.outputs)[row]
        test = 0.0 if self.samples <= 4 else 0.2
        return Samples(x, y, "classification", scale="none", test=test, target_names=("0", "1"))


@dataclass(frozen=True)
class Xor(TruthTable, kind="xor"):
    """y = 1 where exactly one input is 1: no line separates the classes, so a hidden layer is needed.

    >>> Xor().load(seed=0).y.tolist()
    [0, 1, 1, 0]
    """

    outputs = (0, 1, 1, 0)


@dataclass(frozen=True)
class And(TruthTable, kind="and"):
    """y = 1 where both inputs are 1: a single unit learns it.

    >>> And().load(seed=0).y.tolist()
    [0, 0, 0, 1]
    """

    outputs = (0, 0, 0, 1)


@dataclass(frozen=True)
class Or(TruthTable, kind="or"):
    """y = 1 where at least one input is 1: a single unit learns it.

    >>> Or().load(seed=0).y.tolist()
    [0, 1, 1, 1]
    """

    outputs = (0, 1, 1, 1)


class DrawnSource(Source):
    """A source whose rows are drawn from the seed."""

    draws_rows = True


@dataclass(frozen=True)
class Rings(DrawnSource, kind="rings"):
    """Class 0 is a disc of radius 0.4, class 1 a ring of radii 0.8 to 1 around it: a closed curve separates them.

    >>> Rings(samples=300).load(seed=0).x.shape
    (300, 2)
    """

    samples: Rows = 2000
    noise: NonNegative = 0.05

    def load(self, seed: int) -> Samples:
        rng = _rng(seed)
        y = np.arange(self.samples) % 2
        # The square root of a uniform number spreads the points evenly over the area.
        radius = np.sqrt(rng.uniform(np.where(y, 0.8, 0.0) ** 2, np.where(y, 1.0, 0.4) ** 2))
        angle = rng.uniform(0, 2 * np.pi, self.samples)
        x = _polar(radius, angle) + self.noise * rng.standard_normal((self.samples, 2))
        return Samples(x, y, "classification", scale="none", target_names=("disc", "ring"))


@dataclass(frozen=True)
class Spiral(DrawnSource, kind="spiral"):
    """`arms` interleaved spirals of `turns` turns, out to radius 1; one class for each arm.

    >>> Spiral(samples=300, arms=3).load(seed=0).target_names
    ('arm 0', 'arm 1', 'arm 2')
    """

    samples: Rows = 2000
    arms: Annotated[int, Field(ge=2)] = 2
    turns: Positive = 1.5
    noise: NonNegative = 0.02

    def load(self, seed: int) -> Samples:
        rng = _rng(seed)
        y = np.arange(self.samples) % self.arms
        radius = np.sqrt(rng.uniform(0, 1, self.samples))
        x = _polar(radius, 2 * np.pi * (self.turns * radius + y / self.arms))
        x += self.noise * rng.standard_normal(x.shape)
        return Samples(x, y, "classification", scale="none", target_names=_numbered("arm", self.arms))


@dataclass(frozen=True)
class Moons(DrawnSource, kind="moons"):
    """Two interleaving half circles (scikit-learn's `make_moons`).

    >>> Moons(samples=300).load(seed=0).x.shape
    (300, 2)
    """

    samples: Rows = 2000
    noise: NonNegative = 0.1

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import make_moons

        x, y = make_moons(self.samples, noise=self.noise, random_state=_random_state(seed))
        return Samples(x, y, "classification", scale="none", target_names=("upper", "lower"))


@dataclass(frozen=True)
class Blobs(DrawnSource, kind="blobs"):
    """One Gaussian cloud for each class, of standard deviation `spread`, with centres in [-3, 3] (`make_blobs`).

    >>> Blobs(samples=300, features=5).load(seed=0).x.shape
    (300, 5)
    """

    samples: Rows = 1000
    classes: Annotated[int, Field(ge=2)] = 3
    features: Count = 2
    spread: NonNegative = 0.5

    def load(self, seed: int) -> Samples:
        from sklearn.datasets import make_blobs

        x, y = make_blobs(
            self.samples,
            self.features,
            centers=self.classes,
            cluster_std=self.spread,
            center_box=(-3.0, 3.0),
            random_state=_random_state(seed),
        )
        return Samples(x, y, "classification", scale="none", target_names=_numbered("blob", self.classes))


@dataclass(frozen=True)
class Plane(DrawnSource, kind="plane"):
    """y = 2 x0 - 3 x1 + 1 + noise with x uniform in [-1, 1]²: a single linear unit learns it.

    >>> Plane(samples=300).load(seed=0).x.shape
    (300, 2)
    """

    samples: Rows = 500
    noise: NonNegative = 0.1

    def load(self, seed: int) -> Samples:
        rng = _rng(seed)
        x = rng.uniform(-1, 1, (self.samples, 2))
        y = x @ np.array([2.0, -3.0]) + 1 + self.noise * rng.standard_normal(self.samples)
        return Samples(x, y, "regression", scale="none")


@dataclass(frozen=True)
class Wave(DrawnSource, kind="wave"):
    """y = sin(x) + noise with x uniform in [-π, π]: a curve that a small network can fit.

    >>> Wave(samples=300).load(seed=0).x.shape
    (300, 1)
    """

    samples: Rows = 500
    noise: NonNegative = 0.05

    def load(self, seed: int) -> Samples:
        rng = _rng(seed)
        x = rng.uniform(-np.pi, np.pi, (self.samples, 1))
        y = np.sin(x[:, 0]) + self.noise * rng.standard_normal(self.samples)
        return Samples(x, y, "regression", scale="none")


def _rng(seed: int) -> np.random.Generator:
    return generator(seed, "data")


def _random_state(seed: int) -> int:
    return int(_rng(seed).integers(2**31))


def _polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Points (n, 2) given by polar coordinates."""
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _numbered(word: str, count: int) -> tuple[str, ...]:
    return tuple(f"{word} {i}" for i in range(count))
