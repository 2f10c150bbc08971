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

_PAIR = ("x1", "x2")


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
        return Samples(x, y, "classification", feature_names=_PAIR, scale="none", test=test, target_names=("0", "1"))


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
    """Class 0 is a disc, class 1 a ring around it: a closed curve separates them, a line does not.

    samples: number of rows.
    noise: standard deviation of Gaussian noise on the inputs.
    radius: outer radius r of the ring, whose inner radius is 0.8 r; that of the disc is 0.4 r.

    >>> Rings(samples=300).load(seed=0).x.shape
    (300, 2)
    """

    samples: Rows = 2000
    noise: NonNegative = 0.05
    radius: Positive = 1.0

    def load(self, seed: int) -> Samples:
        rng = _rng(seed)
        y = np.arange(self.samples) % 2
        # The square root of a uniform number spreads the points evenly over the area.
        radius = np.sqrt(rng.uniform(np.where(y, 0.8, 0.0) ** 2, np.where(y, 1.0, 0.4) ** 2))
        angle = rng.uniform(0, 2 * np.pi, self.samples)
        x = self.radius * _polar(radius, angle) + self.noise * rng.standard_normal((self.samples, 2))
        return Samples(x, y, "classification", feature_names=_PAIR, scale="none", target_names=("disc", "ring"))


@dataclass(frozen=True)
class Spiral(DrawnSource, kind="spiral"):
    """Interleaved spirals, one class for each arm: a curve that winds around the middle separates two arms.

    samples: number of rows.
    arms: number of spirals.
    turns: number of times that an arm goes around the middle.
    noise: standard deviation of Gaussian noise on the inputs.
    radius: where the arms end.

    >>> Spiral(samples=300, arms=3).load(seed=0).target_names
    ('arm 0', 'arm 1', 'arm 2')
    """

    samples: Rows = 2000
    arms: Annotated[int, Field(ge=2)] = 2
    turns: Positive = 1.5
    noise: NonNegative = 0.02
    radius: Positive = 1.0

    def load(self, seed: int) -> Samples:
        rng = _rng(seed)
        y = np.arange(self.samples) % self.arms
        radius = np.sqrt(rng.uniform(0, 1, self.samples))
        x = self.radius * _polar(radius, 2 * np.pi * (self.turns * radius + y / self.arms))
        x += self.noise * rng.standard_normal(x.shape)
        return Samples(
            x, y, "classification", feature_names=_PAIR, scale="none", target_names=_numbered("arm", self.arms)
        )


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
        return Samples(x, y, "classification", feature_names=_PAIR, scale="none", target_names=("upper", "lower"))


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
class Gaussians(DrawnSource, kind="gaussians"):
    """Two round Gaussian clouds around (-2, -2) and (2, 2): the line x1 + x2 = 0 separates them best.

    No classifier can expect more than a share Φ(2 √2 / noise) of right answers, Φ being the standard normal's
    distribution function: 99.8 % at a noise of 1, 92.1 % at 2.

    samples: number of rows.
    noise: standard deviation of each cloud.

    Source: the data `gauss` of TensorFlow Playground (Smilkov et al. 2017).

    >>> Gaussians(samples=300).load(seed=0).x.shape
    (300, 2)
    """

    samples: Rows = 500
    noise: NonNegative = 1.0

    def load(self, seed: int) -> Samples:
        y = np.arange(self.samples) % 2
        x = (4.0 * y - 2)[:, None] + self.noise * _rng(seed).standard_normal((self.samples, 2))
        return Samples(x, y, "classification", feature_names=_PAIR, scale="none", target_names=("lower", "upper"))


@dataclass(frozen=True)
class Quadrants(DrawnSource, kind="quadrants"):
    """Class 1 where x1 x2 > 0, in [-5, 5]² without the axes: XOR with an area for each of its four rows.

    samples: number of rows.
    noise: standard deviation of Gaussian noise on the inputs; without it, no point is closer than 0.3 to an axis.

    Source: the data `xor` of TensorFlow Playground (Smilkov et al. 2017).

    >>> samples = Quadrants(samples=300, noise=0).load(seed=0)
    >>> bool(((samples.x[:, 0] * samples.x[:, 1] > 0) == samples.y).all())
    True
    """

    samples: Rows = 500
    noise: NonNegative = 0.1

    def load(self, seed: int) -> Samples:
        rng = _rng(seed)
        shape = (self.samples, 2)
        x = rng.choice([-1.0, 1.0], shape) * rng.uniform(0.3, 5.0, shape)
        y = (x[:, 0] * x[:, 1] > 0).astype(int)
        x += self.noise * rng.standard_normal(shape)
        return Samples(
            x, y, "classification", feature_names=_PAIR, scale="none", target_names=("unequal signs", "equal signs")
        )


@dataclass(frozen=True)
class Hills(DrawnSource, kind="hills"):
    """y = Σ s_k max(0, 1 - |x - c_k| / 2) + noise with x uniform in [-6, 6]²: three hills and three hollows in a plane.

    The middles c_k lie at x1 = -4, 0, 4 and x2 = -2.5, 2.5; the signs s_k alternate like the squares of a chessboard.

    samples: number of rows.
    noise: standard deviation of Gaussian noise on y.

    Source: the data `reg-gauss` of TensorFlow Playground (Smilkov et al. 2017).

    >>> Hills(samples=300).load(seed=0).x.shape
    (300, 2)
    """

    samples: Rows = 500
    noise: NonNegative = 0.05

    def load(self, seed: int) -> Samples:
        rng = _rng(seed)
        x = rng.uniform(-6, 6, (self.samples, 2))
        middles = np.array([(4.0 * column, 2.5 * row) for column in (-1, 0, 1) for row in (-1, 1)])
        signs = np.array([-1, 1, 1, -1, -1, 1])
        distance = np.linalg.norm(x[:, None] - middles, axis=-1)
        y = np.maximum(0, 1 - distance / 2) @ signs + self.noise * rng.standard_normal(self.samples)
        return Samples(x, y, "regression", feature_names=_PAIR, scale="none")


@dataclass(frozen=True)
class Plane(DrawnSource, kind="plane"):
    """y = 2 x1 - 3 x2 + 1 + noise with x uniform in [-1, 1]²: a single linear unit learns it.

    >>> Plane(samples=300).load(seed=0).x.shape
    (300, 2)
    """

    samples: Rows = 500
    noise: NonNegative = 0.1

    def load(self, seed: int) -> Samples:
        rng = _rng(seed)
        x = rng.uniform(-1, 1, (self.samples, 2))
        y = x @ np.array([2.0, -3.0]) + 1 + self.noise * rng.standard_normal(self.samples)
        return Samples(x, y, "regression", feature_names=_PAIR, scale="none")


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
