"""The theory of linear units: separability, safe rates, the best threshold."""

from __future__ import annotations

import numpy as np

# Larger linear programs (rows times columns) could take minutes.
_LARGEST_PROGRAM = 1_000_000
# Seconds after which a linear program is given up.
_LONGEST_PROGRAM = 10.0


def separable(x: np.ndarray, y: np.ndarray, bias: bool = True, at_zero: int = 0) -> bool | None:
    """Whether a linear unit can separate all classes y (n,) by x (n, d); None if the problem is too large.

    A linear program: are there w_k, b_k with (w_k - w_j) x + b_k - b_j >= 1 for every x of class k and every j != k?
    For two classes that is a line (a plane, ...) between them. Without a bias the line goes through the origin, and
    samples of the class `at_zero`, which is the answer on the line, may lie on it: >= 0 is enough for them.

    Source: Minsky and Papert 1969; Duda, Hart, Stork 2001, section 5.10.

    >>> corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> separable(corners, np.array([0, 0, 0, 1])), separable(corners, np.array([0, 1, 1, 0]))
    (True, False)
    """
    from scipy import sparse
    from scipy.optimize import linprog

    classes, y = np.unique(y, return_inverse=True)
    # Scaling the inputs does not change the answer, only the accuracy of the program; nor does shifting beside a bias.
    x = np.asarray(x, dtype=float)
    x = _with_ones((x - bias * x.mean(axis=0)) / np.where(x.std(axis=0) == 0, 1, x.std(axis=0)), bias)
    rows = np.unique(np.column_stack([x, y]), axis=0)
    x = rows[:, :-1]
    y = rows[:, -1].astype(int)
    count = len(classes)
    if len(x) * (count - 1) * x.shape[1] > _LARGEST_PROGRAM:
        return None
    # Each row: the sample times (one-hot of its class minus one-hot of another).
    blocks = []
    margins = []
    for other in range(count):
        rivals = y != other
        signs = np.eye(count)[y[rivals]] - np.eye(count)[other]
        blocks.append((signs[:, :, None] * x[rivals][:, None, :]).reshape(int(rivals.sum()), -1))
        on_line = not bias and count == 2 and classes[1 - other] == at_zero
        margins.append(np.full(len(blocks[-1]), 0.0 if on_line else 1.0))
    sides = np.concatenate(blocks)
    result = linprog(
        np.zeros(sides.shape[1]),
        A_ub=sparse.csr_array(-sides),
        b_ub=-np.concatenate(margins),
        bounds=(None, None),
        options={"time_limit": _LONGEST_PROGRAM},
    )
    return {0: True, 2: False}.get(result.status)


def _with_ones(x: np.ndarray, bias: bool) -> np.ndarray:
    """x (n, d), with a column of 1 for the bias where there is one."""
    return np.column_stack([x, np.ones(len(x))]) if bias else x


def safe_rate(x: np.ndarray, weight: np.ndarray | None = None, bias: bool = True) -> float:
    """The largest stable rate of the LMS rule by batch: 2/λ, λ the largest eigenvalue of the inputs' correlation.

    R = Σ w x xᵀ / Σ w with a 1 for the bias, if there is one, appended to each x (n, d).
    Above this rate the error along the eigenvector
    grows with each step; online the mean of the weights diverges.

    Source: Widrow and Stearns 1985, chapter 6.

    >>> round(safe_rate(np.array([[1.0, 1.0]])), 6)
    0.666667
    """
    x = _with_ones(np.asarray(x, dtype=float), bias)
    weights = np.full(len(x), 1 / len(x)) if weight is None else weight / np.sum(weight)
    return float(2 / np.linalg.eigvalsh((x * weights[:, None]).T @ x)[-1])


def safe_online_rate(x: np.ndarray, bias: bool = True) -> float:
    """The rate below which no LMS step on a single sample overshoots: 2/|x|² of the longest x.

    |x|² includes the 1 for the bias, if there is one.

    A step changes the error of its sample by the factor 1 - η |x|².

    Source: Widrow and Stearns 1985, chapter 6; Nagumo and Noda 1967.

    >>> round(safe_online_rate(np.array([[1.0, 1.0], [0.0, 0.0]])), 6)
    0.666667
    """
    return float(2 / np.square(_with_ones(np.asarray(x, dtype=float), bias)).sum(axis=1).max())


def best_threshold(z: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The threshold of outputs z (n,) above which "yes" is most often correct for the truths y (n,).

    Among equally good thresholds it is the middle of the widest gap.

    >>> best_threshold(np.array([0.1, 0.2, 0.8]), np.array([0, 0, 1]))
    0.5
    """
    order = np.argsort(z, kind="stable")
    z = np.asarray(z, dtype=float)[order]
    yes = np.asarray(y)[order] > 0
    weight = np.ones(len(z)) if weight is None else np.asarray(weight, dtype=float)[order]
    below = np.concatenate([[0.0], np.cumsum(np.where(yes, -weight, weight))])
    edges = np.concatenate([[z[0] - 1], z, [z[-1] + 1]])
    gaps = np.diff(edges)
    best = np.flatnonzero((gaps > 0) & (below >= below[gaps > 0].max()))
    cut = best[np.argmax(gaps[best])]
    return float(edges[cut] + gaps[cut] / 2)


def rounded_down(value: float) -> float:
    """The value rounded down to one significant digit."""
    unit = 10.0 ** np.floor(np.log10(value))
    return float(np.floor(value / unit) * unit)
