"""Statistics of faults that lie in single rows or columns: filled-in values, rows out of step, targets far away,
columns without a relation to the targets, inputs on a coarse grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...core.noise import generator
from ...data import Task
from ..attainable import FEW_ROWS, UncertainScore, attainable_score, folds, reference_outputs
from .small_learner import random_units, ridge_outputs

# A value that fewer rows have is no filled-in value, nor one that is not this many times as frequent as the next.
_LEAST_SHARE = 0.05
_TIMES_AS_FREQUENT = 10
# Of the other values at least this part occurs once, or the column is not continuous.
_DISTINCT = 0.5
_SHIFTS = (-3, -2, -1, 1, 2, 3)
_NULL_SHIFTS = 99
# A shift is beyond chance by this many standard deviations of shifts that mean nothing.
_BEYOND = 6.0
# An error of more robust standard deviations is far away; at most this part of the rows counts as few.
_FAR = 10.0
_MOST_FAR = 0.05
_CUT = 3.0
_NORMAL_DEVIATION = 1.4826
_INTERVALS = 8
_RELATED = 0.05
_FEW_VALUES = 3
_NEARLY_ALL = 0.95


class Atom(NamedTuple):
    """A value that many rows share, in a column that is continuous otherwise."""

    column: int
    """Number of the column."""
    value: float
    """The value."""
    share: float
    """Fraction of the rows that have it."""
    others: float = float("nan")
    """Mean of the other values."""
    is_apart: bool = False
    """Whether it is far from all others, so that it decides the scale of the column."""


class FilledTargets(NamedTuple):
    """An atom of the targets, and whether the inputs tell it."""

    atom: Atom
    """The value."""
    told: UncertainScore
    """How well the inputs tell which rows have it: balanced accuracy of a reference learner, cross-validated."""
    others: UncertainScore
    """R² that is attainable on the rows with other values."""
    rows: np.ndarray
    """Numbers of the rows that have it."""
    original: float = float("nan")
    """The value in the unit of the source."""


class Shift(NamedTuple):
    """Targets that rows tell of other rows better than their own."""

    by: int
    """Row i tells the target of row i + by."""
    score: float
    """Cross-validated R² of the targets of these rows."""
    own: float
    """R² of the rows' own targets."""
    chance: float
    """Largest R² of the targets of rows far away, which nothing joins to the row."""


class FarTargets(NamedTuple):
    """Few targets that are far from what the others suggest."""

    rows: np.ndarray
    """Numbers of the rows, the farthest first."""
    distance: float
    """The distance of the nearest of them, in robust standard deviations of the errors."""
    part: float
    """The part of the sum of the squared distances from the median target that they have."""
    chance: float
    """Probability of the gap between them and the others in a tail as heavy as a variance allows."""


class CoarseInputs(NamedTuple):
    """Inputs that take few values, so that rows with different targets have equal inputs."""

    columns: int
    """Number of columns whose values lie on a grid coarser than they vary."""
    repeated: float
    """Fraction of the rows that share their inputs with another row."""
    best: float
    """Score of the best output for each group of rows with equal inputs: no network does better."""


def atom(values: np.ndarray) -> tuple[float, float] | None:
    """The value that is far more frequent than any other of an otherwise continuous column (n,), with its share.

    Continuous: most of the other values occur once. In such a column a value that many rows share is no coincidence.
    None where there is none.

    >>> atom(np.append(np.linspace(0, 1, 80), np.full(20, 0.5)))
    (0.5, 0.2)
    >>> atom(np.arange(100) % 7)
    """
    found, counts = np.unique(values, return_counts=True)
    if len(found) < 3:
        return None
    top = int(counts.argmax())
    others = np.delete(counts, top)
    share = counts[top] / len(values)
    if others.sum() * _DISTINCT > np.sum(others == 1) or share < _LEAST_SHARE:
        return None
    return (float(found[top]), float(share)) if counts[top] >= _TIMES_AS_FREQUENT * others.max() else None


def filled_targets(x: np.ndarray, targets: np.ndarray) -> FilledTargets | None:
    """The atom of targets (n, outputs) with the largest share, and whether inputs x (n, features) tell it.

    None where there is no atom, or too few rows to learn from.
    """
    atoms = [Atom(column, *found) for column, values in enumerate(targets.T) if (found := atom(values))]
    if not atoms:
        return None
    largest = max(atoms, key=lambda one: one.share)
    has_it = targets[:, largest.column] == largest.value
    if min(len(x) - has_it.sum(), has_it.sum()) < FEW_ROWS / 2:
        return None
    classes = has_it.astype(int)
    told = attainable_score(x, classes, "classification", reference_outputs(x, np.eye(2)[classes], "classification"))
    rest = x[~has_it], targets[~has_it]
    others = attainable_score(*rest, "regression", reference_outputs(*rest, "regression"))
    return FilledTargets(largest, told, others, np.flatnonzero(has_it))


def out_of_step(x: np.ndarray, targets: np.ndarray, task: Task) -> Shift | None:
    """The shift k with which inputs x_i tell targets t_(i+k) far better than t_i; None where there is none.

    The learner is a ridge regression on random rectified units, cross-validated, the same for all shifts. Shifts by a
    quarter of the rows or more show what chance does, whatever the order of the rows. A shift counts if its R² exceeds
    theirs by six of their standard deviations, that of no shift by three of a difference, and if no other shift by few
    rows tells half as much: in a series all near shifts tell something, because neighbours are alike.

    Args:
        x: inputs (n, features) in the order of their source.
        targets: targets as numbers (n, outputs).
        task: the task.
    """
    n = len(x)
    if n < FEW_ROWS:
        return None
    near = (0, *_SHIFTS)
    far = np.linspace(n / 4, 3 * n / 4, _NULL_SHIFTS).astype(int)
    scores = _shifted_scores(x, targets, [*near, *far], folds(targets, task))
    own, *others = map(float, scores[: len(near)])
    chance = scores[len(near) :]
    deviation = float(chance.std())
    second, best = np.sort(others)[-2:]
    if best - chance.mean() <= _BEYOND * deviation or best - own <= _BEYOND / np.sqrt(2) * deviation:
        return None
    if second - chance.mean() > (best - chance.mean()) / 2:
        return None
    return Shift(_SHIFTS[int(np.argmax(others))], float(best), own, float(chance.max()))


def far_targets(x: np.ndarray, targets: np.ndarray) -> FarTargets | None:
    """Few targets (n, columns) that are far from what the inputs x (n, features) of the others suggest.

    A reference learner that has not seen the row fits the targets, cut at three robust deviations from their median.
    The deviation is 1.4826 times the median of |error - median error|, as many standard deviations as of normal errors.
    Rows that are more than ten of them away, and apart from the others, are far: at most 5 % of the rows, which have
    more than half of the squares. None where there are none.

    Source: Hampel 1974, "The influence curve and its role in robust estimation".
    """
    middle, scale = _robust(targets)
    outer = np.max(np.abs(targets - middle) / scale, axis=1) > _FAR
    if not 0 < outer.mean() <= _MOST_FAR:
        return None
    fitted = reference_outputs(x, np.clip(targets, middle - _CUT * scale, middle + _CUT * scale), "regression")
    if fitted is None:
        return None
    errors = targets[: len(fitted)] - fitted
    centre, spread = _robust(errors)
    distance = np.max(np.abs(errors - centre) / spread, axis=1)
    order = np.argsort(-distance, kind="stable")
    count, chance = _gap(distance[order])
    rows = order[:count]
    squares = np.sum((targets[: len(fitted)] - middle) ** 2, axis=1)
    part = float(squares[rows].sum() / squares.sum())
    return FarTargets(rows, float(distance[rows[-1]]), part, chance) if count and part > 1 / 2 else None


def _gap(distance: np.ndarray) -> tuple[int, float]:
    """How many of falling distances (n,) stand before the widest gap, and the probability of such a gap by chance.

    In a tail P(D > d) ~ d^-2, the heaviest with about a variance, the k-th largest distance is at least g times the
    next with probability g^-2k. The gaps behind all distances above ten are compared, at most 5 % of the rows
    (Bonferroni).

    Source: Hill 1975, "A simple general approach to inference about the tail of a distribution", eq. 2.2.
    """
    most = min(int(np.sum(distance > _FAR)), int(_MOST_FAR * len(distance)))
    if not most:
        return 0, 1.0
    k = np.arange(1, most + 1)
    exponent = 2 * k * np.log(distance[:most] / np.maximum(distance[1 : most + 1], 1.0))
    return int(exponent.argmax()) + 1, float(min(1.0, most * np.exp(-exponent.max())))


def _robust(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust deviation of each column (n, columns); an infinite one where half of the values are equal."""
    middle = np.median(values, axis=0)
    scale = _NORMAL_DEVIATION * np.median(np.abs(values - middle), axis=0)
    return middle, np.where(scale > 0, scale, np.inf)


def unrelated_columns(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Numbers of the columns of x (n, columns) that alone tell nothing of targets (n, outputs) beyond chance.

    Rows are put into eight intervals of a column with equally many rows. F compares the variance of the mean targets of
    the intervals with that within them, for the output with the largest F; the column is related if chance exceeds F
    with a probability below 5 %, all outputs together.

    Source: Fisher 1925, "Statistical Methods for Research Workers", chapter 7.
    """
    from scipy.special import fdtrc

    n, outputs = targets.shape
    between, within = _INTERVALS - 1, n - _INTERVALS
    if within < 1:
        return np.zeros(0, int)
    deviation = targets - targets.mean(axis=0)
    total = np.sum(deviation**2, axis=0)
    interval = np.arange(n) * _INTERVALS // n
    sizes = np.bincount(interval)[:, None]
    starts = np.searchsorted(interval, np.arange(_INTERVALS))
    unrelated = []
    for column in range(x.shape[1]):
        # Equal values are put into intervals at random.
        order = np.lexsort((generator(column, "doctor", "ties").permutation(n), x[:, column]))
        explained = np.sum(np.add.reduceat(deviation[order], starts, axis=0) ** 2 / sizes, axis=0)
        ratio = explained * within / np.maximum((total - explained) * between, 1e-300)
        if float(fdtrc(between, within, ratio.max())) * outputs > _RELATED:
            unrelated.append(column)
    return np.array(unrelated, int)


def coarse_inputs(x: np.ndarray, y: np.ndarray, task: Task) -> CoarseInputs | None:
    """Whether nearly all columns of x (n, columns) lie on grids that are coarse against how they vary.

    A grid is coarse if it has more than two values at equal distances, of which the two or three most frequent are 95 %
    of all rows. Categories in columns of 0 and 1 are none. None unless nearly all columns that vary are coarse.
    """
    varies = x.min(axis=0) < x.max(axis=0)
    coarse = [column for column in np.flatnonzero(varies) if _is_coarse(x[:, column])]
    if not coarse or len(coarse) < _NEARLY_ALL * varies.sum():
        return None
    group = np.unique(x, axis=0, return_inverse=True)[1].ravel()
    repeated = float(np.mean(np.bincount(group)[group] > 1))
    return CoarseInputs(len(coarse), repeated, attainable_score(x, y, task, None).value)


def _is_coarse(values: np.ndarray) -> bool:
    found, counts = np.unique(values, return_counts=True)
    if len(found) < 3:
        return False
    steps = np.diff(found)
    on_grid = np.allclose(steps / steps.min(), np.round(steps / steps.min()), atol=1e-3)
    return bool(on_grid and np.sort(counts)[-_FEW_VALUES:].sum() >= _NEARLY_ALL * len(values))


def _shifted_scores(x: np.ndarray, targets: np.ndarray, shifts: list[int], fold: np.ndarray) -> np.ndarray:
    """Cross-validated R² of the targets of row i + k from the inputs of row i for each shift k, in a circle."""
    moved = np.hstack([np.roll(targets - targets.mean(axis=0), -k, axis=0) for k in shifts])
    errors = np.sum((moved - ridge_outputs(random_units(x), moved, fold)) ** 2, axis=0)
    total = np.sum(moved**2) / len(shifts)
    return np.asarray(1 - errors.reshape(len(shifts), targets.shape[1]).sum(axis=1) / max(float(total), 1e-300))
