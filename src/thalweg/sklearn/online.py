"""One linear unit that learns yes or no row by row, exactly as scikit-learn's linear classifiers do.

The rule differs from that of `PerceptronLoss` with `sgd`: a score of 0 is a mistake for both classes, row weights
multiply the steps, several classes are one unit against the rest each, and the l1 penalty is cumulative. The weights
therefore equal those of scikit-learn up to rounding, also in the random order of its `shuffle`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from ..core.errors import InputError

Scores = TypeVar("Scores", float, np.ndarray)


class Rule(Protocol):
    """(scores z, targets t) -> (losses, slopes dl/dz), for a single row or arrays (n,)."""

    def __call__(self, z: Scores, t: Scores, /) -> tuple[Scores, Scores]: ...


def perceptron_rule(z: Scores, t: Scores, /) -> tuple[Scores, Scores]:
    """l = max(0, -t z), t = -1 or 1; the slope is -t where t z <= 0, else 0.

    >>> perceptron_rule(0.0, -1.0)[1], perceptron_rule(-2.0, -1.0)[1]
    (1.0, 0.0)
    """
    slope = -t * (t * z <= 0)
    return slope * z, slope


def least_mean_squares(z: Scores, t: Scores, /) -> tuple[Scores, Scores]:
    """l = (z - t)² / 2; the slope is z - t.

    >>> least_mean_squares(0.5, 1.0)
    (0.125, -0.5)
    """
    error = z - t
    return error * error / 2, error


class UnitRows(NamedTuple):
    """The rows of one unit.

    x: inputs (n, d).
    t: targets (n,).
    weight: how many rows each counts for (n,): the factor of its steps.
    """

    x: np.ndarray
    t: np.ndarray
    weight: np.ndarray


class HeldOutRows(NamedTuple):
    """Held-out rows for early stopping: inputs x (n, d), answers yes (n,), weights (n,)."""

    x: np.ndarray
    yes: np.ndarray
    weight: np.ndarray


class Line(NamedTuple):
    """A unit: weights w (d,) and bias b."""

    w: np.ndarray
    b: float


class LearnedLine(NamedTuple):
    """The result: the unit, and the mean objective of each epoch."""

    line: Line
    objectives: list[float]


# Below it scikit-learn multiplies the factor of its weights out.
_LEAST_SCALE = 1e-9


class Penalty:
    """Shrinks w by 1 - η α (1 - l1_ratio) before each step, and moves it towards 0 by η α l1_ratio after it, at most.

    What a weight has still to be moved is remembered (truncated gradient with a cumulative penalty). The bias is left
    out. `size` is the penalty as scikit-learn counts it in its objective: with the norms after the last step. `scale`
    is by how much w has shrunk since scikit-learn last multiplied it out; its early stopping scores w / scale.

    Source: Tsuruoka, Tsujii, Ananiadou 2009.
    """

    def __init__(self, alpha: float, l1_ratio: float, rate: float, w: np.ndarray) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.shrink = max(0.0, 1 - (1 - l1_ratio) * rate * alpha)
        self.step = l1_ratio * rate * alpha
        self.scale = 1.0
        self.due = 0.0
        self.moved = np.zeros_like(w)
        self.measure(w)

    def measure(self, w: np.ndarray) -> None:
        """Take the norms of w."""
        self.squares = float(w @ w)
        self.sum = float(np.abs(w).sum())

    @property
    def size(self) -> float:
        """α ((1 - l1_ratio) |w|² / 2 + l1_ratio Σ|w|)."""
        return self.alpha * ((1 - self.l1_ratio) * self.squares / 2 + self.l1_ratio * self.sum)

    def before(self, w: np.ndarray) -> None:
        """Shrink w in place."""
        w *= self.shrink
        self.scale *= self.shrink
        if self.scale < _LEAST_SCALE:
            self.scale = 1.0
        self.squares *= self.shrink**2
        self.sum *= self.shrink

    def after(self, w: np.ndarray) -> None:
        """Move w towards 0 in place."""
        if not self.step:
            return
        self.due += self.step
        before = w.copy()
        np.copyto(w, np.maximum(0.0, before - (self.due + self.moved)), where=before > 0)
        np.copyto(w, np.minimum(0.0, before + (self.due - self.moved)), where=before < 0)
        self.moved += w - before


class OnlineLearner(NamedTuple):
    """How one unit learns.

    rule: the loss.
    rate: η, the factor of all steps.
    batch_size: rows for each step, which is their mean.
    max_iter: the largest number of epochs.
    tol: smallest gain of an epoch that counts; None: never stop before max_iter.
    patience: epochs without such a gain until training stops.
    alpha: the factor of the penalty; None: no penalty.
    l1_ratio: the share of l1 in it.
    fit_intercept: whether the bias learns.
    threshold: the score above which the answer is yes.
    pocket: whether to return the weights of the epoch that answered the most rows right.
    verbose: whether to print a line for each epoch.
    """

    rule: Rule
    rate: float
    batch_size: int
    max_iter: int
    tol: float | None
    patience: int
    alpha: float | None
    l1_ratio: float
    fit_intercept: bool
    threshold: float
    pocket: bool
    verbose: bool

    def learn(
        self, data: UnitRows, start: Line, orders: Callable[[], np.ndarray], held: HeldOutRows | None
    ) -> LearnedLine:
        """Train from `start`; `orders` gives the rows of the next epoch in their order.

        Raises InputError where a number becomes NaN or infinite.
        """
        w, b = start.w.copy(), start.b
        penalty = None if self.alpha is None else Penalty(self.alpha, self.l1_ratio, self.rate, w)
        objectives: list[float] = []
        best, best_right, waited = math.inf, -1.0, 0
        kept = start
        for epoch in range(1, self.max_iter + 1):
            b, objective = self._epoch(data, w, b, penalty, orders())
            if not (np.isfinite(w).all() and math.isfinite(b)):
                fault = f"the weights became NaN or infinite in epoch {epoch}"
                raise InputError("X", f"{fault}; scaled inputs or a smaller eta0 are the usual remedy")
            objectives.append(objective)
            scored = w if penalty is None else w / penalty.scale
            cost = objective if held is None else -self._share_right(held, scored, b)
            waited = waited + 1 if self.tol is not None and cost > best - self.tol else 0
            best = min(best, cost)
            if self.verbose:
                print(f"epoch {epoch}: objective {objective:.8f}" + ("" if held is None else f", score {-cost:.6f}"))
            if self.pocket:
                right = self._share_right(HeldOutRows(data.x, data.t > 0, data.weight), w, b)
                if right > best_right:
                    best_right, kept = right, Line(w.copy(), b)
            if waited >= self.patience:
                break
        return LearnedLine(kept if self.pocket else Line(w, b), objectives)

    def _epoch(
        self, data: UnitRows, w: np.ndarray, b: float, penalty: Penalty | None, order: np.ndarray
    ) -> tuple[float, float]:
        """Learn the rows in their order, changing w in place; the bias, and the mean objective of the rows."""
        total = 0.0
        for inputs, t, weight in self._batches(UnitRows(*(array[order] for array in data))):
            loss, step, change = self._step(inputs, t, weight, w, b)
            total += loss
            if penalty is not None:
                total += penalty.size * np.size(t)
                penalty.before(w)
            if change is not None:
                w += change
                b += step * self.fit_intercept
            if penalty is not None:
                if change is not None:
                    penalty.measure(w)
                penalty.after(w)
        return b, total / len(order)

    def _batches(self, data: UnitRows) -> Iterator[tuple[np.ndarray, float | np.ndarray, float | np.ndarray]]:
        """Inputs, targets and weights of each step: numbers for single rows, which NumPy's arrays would slow down."""
        x, t, weight = data
        if self.batch_size == 1:
            yield from zip(x, t.tolist(), weight.tolist(), strict=True)
            return
        for begin in range(0, len(t), self.batch_size):
            rows = slice(begin, begin + self.batch_size)
            yield x[rows], t[rows], weight[rows]

    def _step(
        self, x: np.ndarray, t: float | np.ndarray, weight: float | np.ndarray, w: np.ndarray, b: float
    ) -> tuple[float, float, np.ndarray | None]:
        """The sum of the losses, the step of the bias, and that of w; None where nothing changes."""
        if isinstance(t, float):
            loss, slope = self.rule(float(x @ w) + b, t)
            step = -self.rate * slope * float(weight)
            return loss, step, (step * x if step else None)
        losses, slopes = self.rule(x @ w + b, t)
        steps = slopes * weight * (-self.rate / len(t))
        return float(losses.sum()), float(steps.sum()), (steps @ x if steps.any() else None)

    def _share_right(self, rows: HeldOutRows, w: np.ndarray, b: float) -> float:
        return float(np.average((rows.x @ w + b > self.threshold) == rows.yes, weights=rows.weight))


def shuffled(rows: int, seed: int) -> np.ndarray:
    """The permutation (rows,) that scikit-learn's linear classifiers apply again in each epoch.

    Source: Marsaglia 2003, Xorshift RNGs; the shuffle is that of Fisher and Yates.

    >>> sorted(shuffled(5, seed=1).tolist())
    [0, 1, 2, 3, 4]
    """
    order = list(range(rows))
    state = seed or 1
    for i in range(rows - 1):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        j = i + state % 2**31 % (rows - i)
        order[i], order[j] = order[j], order[i]
    return np.array(order)
