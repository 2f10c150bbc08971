"""Initial values of weights and biases. The scaled rules keep the variance of signals and deltas through the layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError
from .part import Initializer, NonNegative, Number, Positive


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out): the number of inputs of one unit, and the number of units that one input feeds.

    Shapes: (width,) for a bias, whose fans are both width; (fan_in, width) for dense; (*window, in, out) for
    convolution, where each counts once for every place of the window.

    >>> fans((784, 256)), fans((3, 3, 16, 32))
    ((784, 256), (144, 288))
    """
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@dataclass(frozen=True)
class Zeros(Initializer, kind="zeros"):
    """All 0. For biases; with weights of 0 all units of a layer stay equal.

    >>> Zeros()(np.random.default_rng(0), (2,)).tolist()
    [0.0, 0.0]
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)


@dataclass(frozen=True)
class Ones(Initializer, kind="ones"):
    """All 1.

    >>> Ones()(np.random.default_rng(0), (2,)).tolist()
    [1.0, 1.0]
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.ones(shape)


@dataclass(frozen=True)
class Constant(Initializer, kind="constant"):
    """One value for all.

    >>> Constant(0.01)(np.random.default_rng(0), (2,)).tolist()
    [0.01, 0.01]
    """

    value: Number

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, self.value)


@dataclass(frozen=True)
class Given(Initializer, kind="given"):
    """Values stated row by row: the weights of a worked example.

    Raises InputError if the rows differ in length, or if the shape does not match.

    >>> Given(((1, 1), (1, 1)))(np.random.default_rng(0), (2, 2)).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """

    values: tuple[Number, ...] | tuple[tuple[Number, ...], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        lengths = [len(row) for row in self.values if isinstance(row, tuple)]
        if len(set(lengths)) > 1:
            raise InputError("given", f"expected rows of equal length, received rows of {lengths}")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        array = np.array(self.values, dtype=float)
        if array.shape != shape:
            raise InputError("given", f"expected values of shape {shape}, received {array.shape}")
        return array


@dataclass(frozen=True)
class Uniform(Initializer, kind="uniform"):
    """Uniform between `low` and `high`.

    >>> bool(abs(Uniform(-0.05, 0.05)(np.random.default_rng(0), (9,))).max() <= 0.05)
    True
    """

    low: Number = -0.05
    high: Number = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise InputError("uniform", f"expected low <= high, received low = {self.low}, high = {self.high}")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class Normal(Initializer, kind="normal"):
    """Normal with mean `mean` and standard deviation `deviation`.

    >>> Normal(deviation=0.0)(np.random.default_rng(0), (2,)).tolist()
    [0.0, 0.0]
    """

    deviation: NonNegative = 0.05
    mean: Number = 0.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.normal(self.mean, self.deviation, shape)


@dataclass(frozen=True)
class TruncatedNormal(Initializer, kind="truncated_normal"):
    """Normal, drawn again while more than two deviations from the mean; `deviation` is that before truncation.

    >>> bool(abs(TruncatedNormal(1.0)(np.random.default_rng(0), (999,))).max() <= 2)
    True
    """

    deviation: NonNegative = 0.05
    mean: Number = 0.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        draw = rng.normal(size=shape)
        while (far := np.abs(draw) > 2).any():
            draw[far] = rng.normal(size=int(far.sum()))
        return self.mean + self.deviation * draw


def _scaled_normal(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    return rng.normal(0.0, math.sqrt(variance), shape)


def _scaled_uniform(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    # A uniform distribution over [-a, a] has the variance a² / 3.
    bound = math.sqrt(3 * variance)
    return rng.uniform(-bound, bound, shape)


def _glorot(shape: tuple[int, ...]) -> float:
    return 2 / sum(fans(shape))


def _he(shape: tuple[int, ...], slope: float) -> float:
    return 2 / ((1 + slope**2) * fans(shape)[0])


def _lecun(shape: tuple[int, ...]) -> float:
    return 1 / fans(shape)[0]


@dataclass(frozen=True)
class GlorotNormal(Initializer, kind="glorot_normal"):
    """Normal with variance 2 / (fan_in + fan_out): keeps signals and deltas where f' is near 1 (tanh).

    Source: Glorot and Bengio 2010, equation 12.

    >>> GlorotNormal()(np.random.default_rng(0), (3, 2)).shape
    (3, 2)
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _scaled_normal(rng, shape, _glorot(shape))


@dataclass(frozen=True)
class GlorotUniform(Initializer, kind="glorot_uniform"):
    """Uniform in ±sqrt(6 / (fan_in + fan_out)), the variance of `GlorotNormal`.

    Source: Glorot and Bengio 2010, equation 16.

    >>> bool(abs(GlorotUniform()(np.random.default_rng(0), (3, 3))).max() <= 1)
    True
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _scaled_uniform(rng, shape, _glorot(shape))


@dataclass(frozen=True)
class HeNormal(Initializer, kind="he_normal"):
    """Normal with variance 2 / ((1 + slope²) fan_in): keeps signals through ReLU, or LeakyReLU of slope `slope`.

    Source: He et al. 2015, equations 10 and 15.

    >>> HeNormal()(np.random.default_rng(0), (3, 2)).shape
    (3, 2)
    """

    slope: Number = 0.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _scaled_normal(rng, shape, _he(shape, self.slope))


@dataclass(frozen=True)
class HeUniform(Initializer, kind="he_uniform"):
    """Uniform in ±sqrt(6 / ((1 + slope²) fan_in)), the variance of `HeNormal`.

    Source: He et al. 2015, equations 10 and 15.

    >>> bool(abs(HeUniform()(np.random.default_rng(0), (6, 3))).max() <= 1)
    True
    """

    slope: Number = 0.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _scaled_uniform(rng, shape, _he(shape, self.slope))


@dataclass(frozen=True)
class LeCunNormal(Initializer, kind="lecun_normal"):
    """Normal with variance 1 / fan_in, which the fixed point of SELU requires.

    Source: LeCun, Bottou, Orr, Müller 1998, equation 16.

    >>> LeCunNormal()(np.random.default_rng(0), (3, 2)).shape
    (3, 2)
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _scaled_normal(rng, shape, _lecun(shape))


@dataclass(frozen=True)
class LeCunUniform(Initializer, kind="lecun_uniform"):
    """Uniform in ±sqrt(3 / fan_in), the variance of `LeCunNormal`.

    Source: LeCun, Bottou, Orr, Müller 1998, equation 16.

    >>> bool(abs(LeCunUniform()(np.random.default_rng(0), (3, 2))).max() <= 1)
    True
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _scaled_uniform(rng, shape, _lecun(shape))


@dataclass(frozen=True)
class Orthogonal(Initializer, kind="orthogonal"):
    """gain * Q with orthonormal rows or columns, whichever are fewer: keeps lengths through deep linear stacks.

    Q is from the QR decomposition of a normal matrix (all axes except the last flattened), with the signs of R's
    diagonal removed, so that every orthogonal matrix is equally likely.

    Source: Saxe, McClelland, Ganguli 2014; Mezzadri 2007 for the signs.

    >>> Q = Orthogonal()(np.random.default_rng(0), (4, 3))
    >>> bool(np.allclose(Q.T @ Q, np.eye(3)))
    True
    """

    gain: Positive = 1.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        rows = math.prod(shape[:-1])
        columns = shape[-1]
        Q, R = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        Q = Q * np.where(np.diag(R) < 0, -1.0, 1.0)
        return self.gain * (Q if rows >= columns else Q.T).reshape(shape)
