"""Regularization: what keeps weights small. W are the weights; biases and other vectors are left out by default."""

from __future__ import annotations

from dataclasses import dataclass

from .arrays import Array, Tree, arrays_of, map_weights, namespace
from .parts import Part, Positive


@dataclass(frozen=True)
class Regularization(Part):
    """Penalties, decay and bounds of the weights; what is None is off and costs nothing.

    l1, l2            R = l1 Σ|W| + l2/2 ΣW² is added to the loss, l1 sign(W) + l2 W to its gradient
    weight_decay      the update loses η λ W, beside the gradient (`Optimizer.decayed`)
    max_norm          each unit's incoming weights, a column of W, have a norm of at most max_norm
    biases            l1, l2 and weight_decay hold for vectors too: biases, and parameters of normalisations

    Mind the 1/2: scikit-learn's `alpha` adds alpha/(2n) ΣW², which is l2 = alpha/n for n samples in a batch. Under SGD
    without momentum l2 and weight_decay are the same; under rules that divide by the size of the gradient they are not.

    Source: Goodfellow et al. 2016, section 7.1; Loshchilov and Hutter 2019; max-norm: Srivastava et al. 2014, section
    5.1.

    >>> import numpy as np
    >>> params = (np.array([[3.0], [4.0]]), np.array([9.0]))
    >>> float(Regularization(l1=1.0).penalty(params)), float(Regularization(l2=1.0).penalty(params))
    (7.0, 12.5)
    >>> [array.round(3).tolist() for array in Regularization(max_norm=1.0).constrained(params)]
    [[[0.6], [0.8]], [9.0]]
    """

    l1: Positive | None = None
    l2: Positive | None = None
    weight_decay: Positive | None = None
    max_norm: Positive | None = None
    biases: bool = False

    @property
    def penalizes(self) -> bool:
        """Whether anything is added to the loss."""
        return self.l1 is not None or self.l2 is not None

    def penalty(self, params: Tree) -> Array:
        """R = l1 Σ|W| + l2/2 ΣW², a scalar; its derivative is what `gradients` adds."""
        return sum((self._penalty(w) for _, w in arrays_of(params) if self.biases or w.ndim > 1), 0.0)

    def gradients(self, grads: Tree, params: Tree) -> Tree:
        """g + l1 sign(W) + l2 W: the gradients of L + R from the gradients of L."""
        if not self.penalizes:
            return grads
        return map_weights(lambda g, w: g + self._slope(w), grads, params, biases=self.biases)

    def bend(self, products: Tree, along: Tree) -> Tree:
        """H v + l2 v: the Hessian of L + R times a direction, from that of L; l1 has a curvature of 0 but at 0."""
        l2 = self.l2
        return products if l2 is None else map_weights(lambda h, v: h + l2 * v, products, along, biases=self.biases)

    def _penalty(self, w: Array) -> Array:
        xp = namespace(w)
        total = xp.zeros((), dtype=w.dtype)
        if self.l1 is not None:
            total = total + self.l1 * xp.sum(xp.abs(w))
        if self.l2 is not None:
            total = total + self.l2 / 2 * xp.sum(w * w)
        return total

    def _slope(self, w: Array) -> Array:
        slope: Array = 0.0
        if self.l1 is not None:
            slope = slope + self.l1 * namespace(w).sign(w)
        if self.l2 is not None:
            slope = slope + self.l2 * w
        return slope

    def constrained(self, params: Tree) -> Tree:
        """W with each column scaled down to a norm of at most max_norm; what is within stays as it is, to the bit."""
        limit = self.max_norm
        return params if limit is None else map_weights(lambda w: _within_norm(w, limit), params)


def _within_norm(w: Array, limit: Array) -> Array:
    """w limit / max(|w|, limit), |w| over all axes but the last, which counts the units."""
    xp = namespace(w)
    norm = xp.sqrt(xp.sum(w * w, axis=tuple(range(w.ndim - 1)), keepdims=True))
    return w * (limit / xp.maximum(norm, limit))
