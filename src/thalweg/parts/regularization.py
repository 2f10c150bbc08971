"""Regularization: what keeps weights small. W are the weights; biases and other vectors are left out by default."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.arrays import Array, Tree, leaves, map_weights, namespace
from .part import Part, Positive


@dataclass(frozen=True)
class Regularization(Part):
    """Penalties, decay and bounds of the weights; what is None is off and costs nothing.

    l1, l2            R = l1 Σ|W| + l2/2 ΣW² is added to the loss, l1 sign(W) + l2 W to its gradient
    alpha             l2 = alpha/n on top, n the sum of the weights of a batch: alpha/2 ΣW² beside the sum of its losses
    weight_decay      the update loses η λ W, beside the gradient (`Optimizer.decayed`)
    max_norm          each unit's incoming weights, a column of W, have a norm of at most max_norm
    biases            l1, l2, alpha and weight_decay hold for vectors too: biases, and parameters of normalisations

    Mind the 1/2. `alpha` is scikit-learn's: where batches are of one size it is l2 = alpha/n. Under SGD without
    momentum l2 and weight_decay are the same; under rules that divide by the size of the gradient they are not.

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
    alpha: Positive | None = None

    @property
    def penalizes(self) -> bool:
        """Whether anything is added to the loss."""
        return not self.l1 is self.l2 is self.alpha is None

    def penalty(self, params: Tree, total: Array = 1.0) -> Array:
        """R = l1 Σ|W| + l2/2 ΣW², a scalar, for a batch of weight `total`; its derivative is what `gradients` adds."""
        l2 = self._l2(total)
        return sum((self._penalty(w, l2) for w in leaves(params) if self.biases or w.ndim > 1), 0.0)

    def gradients(self, grads: Tree, params: Tree, total: Array = 1.0) -> Tree:
        """g + l1 sign(W) + l2 W: the gradients of L + R from the gradients of L."""
        if not self.penalizes:
            return grads
        l2 = self._l2(total)
        return map_weights(lambda g, w: g + self._slope(w, l2), grads, params, biases=self.biases)

    def backward_jvp(self, products: Tree, along: Tree, total: Array = 1.0) -> Tree:
        """H v + l2 v: the Hessian of L + R times a direction, from that of L; l1 has a curvature of 0 but at 0."""
        l2 = self._l2(total)
        return products if l2 is None else map_weights(lambda h, v: h + l2 * v, products, along, biases=self.biases)

    def _l2(self, total: Array) -> Array | None:
        """l2 and what alpha adds to it; a batch without weight counts as one sample."""
        if self.alpha is None:
            return self.l2
        share = self.alpha / (total + (total == 0))
        return share if self.l2 is None else self.l2 + share

    def _penalty(self, w: Array, l2: Array | None) -> Array:
        xp = namespace(w)
        penalty = xp.zeros((), dtype=w.dtype)
        if self.l1 is not None:
            penalty = penalty + self.l1 * xp.sum(xp.abs(w))
        if l2 is not None:
            penalty = penalty + l2 / 2 * xp.sum(w * w)
        return penalty

    def _slope(self, w: Array, l2: Array | None) -> Array:
        slope: Array = 0.0
        if self.l1 is not None:
            slope = slope + self.l1 * namespace(w).sign(w)
        if l2 is not None:
            slope = slope + l2 * w
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
