"""Regularization keeps weights small. W are the weights; biases and other vectors are left out by default."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.arrays import Array, Params, Scalar, TreeT, leaves, map_weights, namespace
from .part import NonNegative, Part, Positive


@dataclass(frozen=True)
class Regularization(Part):
    """Penalties, decay and bounds of the weights. None switches one off, at no cost; a penalty or decay of 0 is None.

    l1: R = l1 Σ|W| + l2/2 ΣW² is added to the loss, l1 sign(W) + l2 W to its gradient.
    l2: see l1; mind the 1/2.
    weight_decay: η λ W is subtracted from the update, apart from the gradient (`Optimizer.decayed`).
    max_norm: largest norm of the incoming weights of each unit, a column of W.
    biases: whether l1, l2, alpha and weight_decay also apply to vectors: biases, and parameters of normalisations.
    alpha: adds alpha/n to l2, with n the sum of the weights of a batch, as in scikit-learn.

    Under SGD without momentum l2 and weight_decay are the same; under rules that divide by the size of the gradient
    they are not.

    Source: Goodfellow et al. 2016, section 7.1; Loshchilov and Hutter 2019; max-norm: Srivastava et al. 2014, section
    5.1.

    >>> import numpy as np
    >>> params = (np.array([[3.0], [4.0]]), np.array([9.0]))
    >>> float(Regularization(l1=1.0).penalty(params)), float(Regularization(l2=1.0).penalty(params))
    (7.0, 12.5)
    >>> [array.round(3).tolist() for array in Regularization(max_norm=1.0).constrained(params)]
    [[[0.6], [0.8]], [9.0]]
    """

    l1: NonNegative | None = None
    l2: NonNegative | None = None
    weight_decay: NonNegative | None = None
    max_norm: Positive | None = None
    biases: bool = False
    alpha: NonNegative | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("l1", "l2", "weight_decay", "alpha"):
            if getattr(self, name) == 0:
                object.__setattr__(self, name, None)

    @property
    def penalizes(self) -> bool:
        """Whether a penalty is added to the loss."""
        return not self.l1 is self.l2 is self.alpha is None

    def penalty(self, params: Params, total: Scalar = 1.0) -> Scalar:
        """R = l1 Σ|W| + l2/2 ΣW², a scalar, for a batch of weight `total`; its derivative is what `gradients` adds."""
        l2 = self._l2(total)
        return sum((self._penalty(w, l2) for w in leaves(params) if self.biases or w.ndim > 1), 0.0)

    def gradients(self, grads: TreeT, params: Params, total: Scalar = 1.0) -> TreeT:
        """g + l1 sign(W) + l2 W: the gradients of L + R from the gradients of L."""
        if not self.penalizes:
            return grads
        l2 = self._l2(total)
        return map_weights(lambda g, w: g + self._slope(w, l2), grads, params, biases=self.biases)

    def backward_jvp(self, products: TreeT, direction: Params, total: Scalar = 1.0) -> TreeT:
        """H v + l2 v: the Hessian of L + R times a direction v, from that of L. l1 has a second derivative of 0."""
        l2 = self._l2(total)
        return products if l2 is None else map_weights(lambda h, v: h + l2 * v, products, direction, biases=self.biases)

    def _l2(self, total: Scalar) -> Scalar | None:
        """l2 plus the part of alpha; a batch of total weight 0 counts as one sample."""
        if self.alpha is None:
            return self.l2
        alpha = self.alpha / (total + (total == 0))
        return alpha if self.l2 is None else self.l2 + alpha

    def _penalty(self, w: Array, l2: Scalar | None) -> Array:
        xp = namespace(w)
        penalty = xp.zeros((), dtype=w.dtype)
        if self.l1 is not None:
            penalty = penalty + self.l1 * xp.sum(xp.abs(w))
        if l2 is not None:
            penalty = penalty + l2 / 2 * xp.sum(w * w)
        return penalty

    def _slope(self, w: Array, l2: Scalar | None) -> Scalar:
        slope: Scalar = 0.0
        if self.l1 is not None:
            slope = slope + self.l1 * namespace(w).sign(w)
        if l2 is not None:
            slope = slope + l2 * w
        return slope

    def constrained(self, params: TreeT) -> TreeT:
        """W with each column scaled down to a norm of at most max_norm; columns within it are unchanged to the bit."""
        limit = self.max_norm
        return params if limit is None else map_weights(lambda w: _within_norm(w, limit), params)


def _within_norm(w: Array, limit: float) -> Array:
    """w limit / max(|w|, limit), with |w| over all axes except the last, which counts the units."""
    xp = namespace(w)
    norm = xp.sqrt(xp.sum(w * w, axis=tuple(range(w.ndim - 1)), keepdims=True))
    return w * (limit / xp.maximum(norm, limit))
