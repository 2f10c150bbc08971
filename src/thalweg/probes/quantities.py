"""The formulas of the probes and of the doctor: pure functions from the numbers of a step to a few numbers.

Rows are samples. `weights` (n,) is the part of the batch that each sample is: 1/n, 0 for padding, more for a heavier
sample; they sum to 1.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from ..core.arrays import Array, Tree, arrays_of, namespace

BINS = 32
# Of more numbers than this, a histogram counts every second, third, ... row.
_COUNTED = 4_096
SATURATED = 0.05
"""An output is saturated where its derivative is below this fraction of the largest derivative."""
# Rounding error of a mean, in units in the last place.
ROUNDED = 8


class Moments(NamedTuple):
    """Mean, standard deviation and root mean square of the numbers of a batch, each ()."""

    mean: Array
    deviation: Array
    rms: Array


def moments(values: Array, weights: Array) -> Moments:
    """Mean m, deviation √(mean (v - m)²) and √(mean v²) over samples and units: values (n, ...), weights (n,).

    >>> import numpy as np
    >>> [float(value) for value in moments(np.array([[1.0], [7.0], [9.0]]), np.array([0.5, 0.5, 0.0]))]
    [4.0, 3.0, 5.0]
    """
    xp = namespace(values)
    v = _flat(values)
    mean = xp.sum(weights * xp.mean(v, axis=1))
    deviation = xp.sqrt(xp.sum(weights * xp.mean((v - mean) ** 2, axis=1)))
    return Moments(mean, deviation, xp.sqrt(xp.sum(weights * xp.mean(v * v, axis=1))))


def largest(values: Array, weights: Array) -> Array:
    """The largest absolute value: values (n, ...), without the rows of weight 0.

    >>> import numpy as np
    >>> float(largest(np.array([[-3.0], [7.0]]), np.array([1.0, 0.0])))
    3.0
    """
    xp = namespace(values)
    v = _flat(values)
    return xp.max(xp.where(weights[:, None] > 0, xp.abs(v), xp.zeros_like(v)))


def alive(slopes: Array, weights: Array) -> Array:
    """Which units (k,) pass a gradient for some row, that is, have a derivative f'(z) other than 0: slopes (n, k).

    Of pictures (n, height, width, channels) the units are the channels, which pass one at any pixel.

    >>> import numpy as np
    >>> alive(np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([0.5, 0.5])).tolist()
    [False, True]
    """
    flat, weights = _by_unit(slopes, weights)
    return namespace(slopes).any((flat != 0) & (weights[:, None] > 0), axis=0)


def saturated(slopes: Array, steepest: float, weights: Array) -> Array:
    """The fraction of the outputs with a derivative below 5 % of the steepest: slopes (n, k).

    Source: Glorot and Bengio 2010, section 3.

    >>> import numpy as np
    >>> float(saturated(np.array([[0.01, 0.2]]), 0.25, np.array([1.0])))
    0.5
    """
    xp = namespace(slopes)
    flat = _flat(slopes)
    flags = xp.where(xp.abs(flat) < SATURATED * steepest, xp.ones_like(flat), xp.zeros_like(flat))
    return xp.sum(weights * xp.mean(flags, axis=1))


def dead(slopes: Array, weights: Array) -> Array:
    """The fraction of the units that pass no gradient for any row: slopes (n, k).

    >>> import numpy as np
    >>> float(dead(np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([0.5, 0.5])))
    0.5
    """
    xp = namespace(slopes)
    unit = weights[0]
    return 1 - xp.mean(xp.where(alive(slopes, weights), xp.ones_like(unit), xp.zeros_like(unit)))


def saturated_probabilities(p: Array, weights: Array) -> Array:
    """The fraction of probabilities whose slope by the logit, p (1 - p), is below 5 % of its largest value 1/4."""
    return saturated(p * (1 - p), 0.25, weights)


def effective_rank(values: Array, weights: Array) -> Array:
    """(Σλ)² / Σλ², λ the eigenvalues of the covariance of the units: the number of directions in use.

    1 for samples on one line, the number of units for samples that vary equally in all directions, NaN for samples that
    are all the same. Computed without eigenvalues: Σλ is the trace of the covariance, Σλ² its sum of squares.

    Source: the participation ratio, as in Gao et al. 2017, A theory of multineuronal dimensionality.

    >>> import numpy as np
    >>> even = np.full(4, 0.25)
    >>> float(effective_rank(np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]), even))
    2.0
    """
    xp = namespace(values)
    v, weights = _by_unit(values, weights)
    centred = xp.sqrt(weights)[:, None] * (v - xp.sum(weights[:, None] * v, axis=0))
    # Both products have the same eigenvalues except for zeros; the smaller one is cheaper.
    product = centred @ centred.T if v.shape[0] < v.shape[1] else centred.T @ centred
    spread = xp.sum(centred * centred)
    # Rounding leaves a small variance of samples that are all the same.
    rounding = (ROUNDED * xp.finfo(v.dtype).eps) ** 2 * xp.sum(weights[:, None] * v * v)
    nothing = xp.full_like(spread, xp.nan)
    return xp.where(spread > rounding, spread**2 / xp.sum(product * product), nothing)


class Histogram(NamedTuple):
    """The fraction of the numbers in each of 32 bins of equal width between the lowest and the highest number (32,)."""

    shares: Array
    low: Array
    high: Array


def histogram(values: Array, counts: Array) -> Histogram:
    """The histogram of those values (n, k) for which `counts` (n, k) is true; NaN if there are none.

    >>> import numpy as np
    >>> found = histogram(np.array([[0.0], [1.0], [1.0], [5.0]]), np.array([[True], [True], [True], [False]]))
    >>> float(found.shares[0]), float(found.shares[-1]), float(found.high)
    (0.3333333333333333, 0.6666666666666666, 1.0)
    """
    xp = namespace(values)
    every = max(1, values.shape[0] * values.shape[1] // _COUNTED)
    values = values[::every]
    counts = counts[::every]
    low = xp.min(xp.where(counts, values, xp.full_like(values, xp.inf)))
    high = xp.max(xp.where(counts, values, xp.full_like(values, -xp.inf)))
    width = xp.where(high > low, (high - low) / BINS, xp.ones_like(low))
    edges = low + width * xp.astype(xp.arange(1, BINS), values.dtype)
    flat = xp.reshape(values, (-1,))
    counted = xp.reshape(counts, (-1,))
    below = xp.sum(xp.astype((flat[:, None] < edges) & counted[:, None], values.dtype), axis=0)
    total = xp.sum(xp.astype(counted, values.dtype))
    ends = xp.concat([xp.zeros_like(below[:1]), below, total[None]])
    return Histogram((ends[1:] - ends[:-1]) / total, low, high)


def square(tree: Tree) -> Array:
    """Σ g² over all arrays of a tree: the square of its norm."""
    total: float | Array = sum((namespace(array).sum(array * array) for _, array in arrays_of(tree)), 0.0)
    return cast("Array", total)


def dot(tree: Tree, other: Tree) -> Array:
    """Σ a b over all arrays of two trees of the same shape."""
    pairs = zip(arrays_of(tree), arrays_of(other), strict=True)
    total: float | Array = sum((namespace(a).sum(a * b) for (_, a), (_, b) in pairs), 0.0)
    return cast("Array", total)


def cosine(product: Array, first: Array, second: Array) -> Array:
    """a·b / (|a| |b|) from a·b, |a|² and |b|²: 1 same direction, 0 orthogonal, -1 opposite; NaN for a zero vector.

    >>> import numpy as np
    >>> float(cosine(np.array(6.0), np.array(4.0), np.array(9.0)))
    1.0
    """
    xp = namespace(product)
    return xp.clip(product / (xp.sqrt(first) * xp.sqrt(second)), -1.0, 1.0)


def degrees(cosine: Array) -> Array:
    """The angle of a cosine, in degrees: 0 to 180."""
    xp = namespace(cosine)
    return xp.acos(cosine) * (180 / xp.pi)


def gradient_variance(x: Array, delta: Array, weights: Array, gradient: Array, bias: bool = True) -> Array:
    """The variance of the samples' own gradients around their mean, summed over the parameters of a dense layer.

    Sample i has the gradient x_i ⊗ d_i for W and d_i for b, d_i = delta_i / p_i with p_i its weight. So its
    square is (|x_i|² + 1) |d_i|², without a bias |x_i|² |d_i|², and

        Σ p_i |g_i|² - |Σ p_i g_i|² = Σ (|x_i|² + 1) |delta_i|² / p_i - |g|²,

    exact from x (n, fan_in) and delta (n, width), without any sample's gradient. `gradient` is |g|². Of an ensemble, x
    is (n, members, fan_in) and delta (n, members, width), and the squares of the members add up.

    Source: the norms are Goodfellow's, 2015, Efficient per-example gradient computations.

    >>> import numpy as np
    >>> x, delta, even = np.array([[1.0], [3.0]]), np.array([[0.5], [-0.5]]), np.array([0.5, 0.5])
    >>> g = (np.sum(x * delta)) ** 2 + np.sum(delta) ** 2
    >>> float(gradient_variance(x, delta, even, g))
    5.0
    """
    xp = namespace(x)
    norms = (xp.sum(x * x, axis=-1) + bias) * xp.sum(delta * delta, axis=-1)
    norms = xp.sum(xp.reshape(norms, (norms.shape[0], -1)), axis=1)
    found = xp.sum(norms / xp.where(weights > 0, weights, xp.ones_like(weights))) - gradient
    return xp.maximum(found, xp.zeros_like(found))


def noise_scale(gradient: Array, variance: Array, weights: Array) -> Array:
    """The batch size at which noise and gradient are equal: tr S / |G|²; NaN if the gradient is lost in the noise.

    |g|² of a batch of B rows contains the noise too: with the unbiased tr S = variance B / (B - 1),
    |G|² = |g|² - tr S / B. With weights p, B = 1 / Σ p². Batches far larger than this scale bring little.

    Source: McCandlish et al. 2018, An empirical model of large-batch training, equation 2.9 and appendix A.

    >>> import numpy as np
    >>> float(noise_scale(np.array(2.0), np.array(3.0), np.full(4, 0.25)))
    4.0
    """
    xp = namespace(weights)
    rows = 1 / xp.sum(weights * weights)
    true = gradient - variance / (rows - 1)
    nothing = xp.full_like(true, xp.nan)
    return xp.where(true > 0, variance * rows / (rows - 1) / xp.where(true > 0, true, xp.ones_like(true)), nothing)


class Estimate(NamedTuple):
    """A mean over a batch, and the variance of that mean."""

    mean: Array
    variance: Array


def estimate(values: Array, weights: Array) -> Estimate:
    """The mean Σ p v of values (n,), and its variance from batch to batch, Σ p² Σ p (v - mean)².

    >>> import numpy as np
    >>> [float(value) for value in estimate(np.array([1.0, 3.0]), np.array([0.5, 0.5]))]
    [2.0, 0.5]
    """
    xp = namespace(values)
    mean = xp.sum(weights * values)
    return Estimate(mean, xp.sum(weights * weights) * xp.sum(weights * (values - mean) ** 2))


def step_length(loss: Estimate, slope: Estimate, next_loss: Estimate, next_slope: Estimate) -> Array:
    """Where a step ends on the parabola along it: alpha = -q'(1) / q'(0).

    -1: it did not move; below 0: it fell short; 0: it ended at the minimum; above 0: it overshot; 1: it ended on the
    other side at the same height. q(0), q'(0) come from the batch of the step, q(1), q'(1) from the next one,
    each with the variance of its mean. Every parabola has q(1) - q(0) = (q'(0) + q'(1)) / 2; the measured
    values miss this by r, and the most likely parabola distributes r where the variances v are large:

        q'(0) = s0 + v(s0) r / 2D,  q'(1) = s1 + v(s1) r / 2D,  D = v(f0) + v(f1) + (v(s0) + v(s1)) / 4.

    Source: Schneider, Dangel, Hennig 2021, Cockpit, section 3 (alpha); Mahsereci and Hennig 2015 for noisy values.

    >>> import numpy as np
    >>> exact = [Estimate(np.array(value), np.array(0.0)) for value in (4.0, -8.0, 1.0, 4.0)]
    >>> float(step_length(exact[0], exact[1], exact[2], exact[3]))
    0.5
    """
    xp = namespace(loss.mean)
    r = next_loss.mean - loss.mean - (slope.mean + next_slope.mean) / 2
    total = loss.variance + next_loss.variance + (slope.variance + next_slope.variance) / 4
    pull = xp.where(total > 0, r / (2 * xp.where(total > 0, total, xp.ones_like(total))), xp.zeros_like(r))
    return -(next_slope.mean + next_slope.variance * pull) / (slope.mean + slope.variance * pull)


def _flat(values: Array) -> Array:
    """One row for each sample."""
    return namespace(values).reshape(values, (values.shape[0], -1))


def _by_unit(values: Array, weights: Array) -> tuple[Array, Array]:
    """(values, weights) with a column for each unit. Of pictures a channel is a unit, and each pixel is a row."""
    xp = namespace(values)
    if values.ndim < 4:
        return _flat(values), weights
    rows = xp.reshape(values, (-1, values.shape[-1]))
    pixels = rows.shape[0] // weights.shape[0]
    shares = xp.broadcast_to((weights / pixels)[:, None], (weights.shape[0], pixels))
    return rows, xp.reshape(shares, (-1,))
