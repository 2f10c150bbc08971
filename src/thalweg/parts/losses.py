"""Losses: value and delta come from one function, so that they always agree.

Every loss is L = Σ_i w_i l_i / Σ_i w_i over the samples i of the batch, and delta_i = (w_i / Σ w) dl_i/d(outputs_i).
Below, y is the output, t the target and z a logit, each of shape (n, K); sums and means run over the K outputs. If no
Hessian is given, it is 0: the loss is piecewise linear.

The cross-entropies have a `label_smoothing` s in [0, 1): in their formulas (1 - s) t + s/K replaces t, or
(1 - s) t + s/2 if each output is a separate label. The smallest loss is then above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..core.arrays import Array, namespace
from ..core.functions import log_softmax, sigmoid, softmax, softplus
from .layers.activations import Sigmoid, Softmax
from .part import Fraction, Layer, Loss, Number, Positive

Labels = Literal["0/1", "-1/1"]
"""The numbers with which a linear unit encodes no and yes."""

_GUARD = 1e-7
_LEAST_MEAN = 1e-30


def as_targets(outputs: Array, y: Array, members: int = 1) -> Array:
    """Targets in the shape and type of the outputs: classes (n,) become one-hot rows, or a column for a single output.

    Of an ensemble of that many `members`, they have the shape of the outputs of one.

    >>> import numpy as np
    >>> as_targets(np.zeros((2, 3)), np.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    xp = namespace(outputs)
    if y.ndim == 1:
        width = outputs.shape[-1] // members
        y = y[:, None] if width == 1 else y[:, None] == xp.arange(width)
    return xp.astype(y, outputs.dtype)


def smoothed(targets: Array, smoothing: float, classes: int) -> Array:
    """(1 - s) t + s / classes: a fraction s of the certainty is spread over all classes; s = 0 leaves t unchanged.

    Source: Szegedy et al. 2016, section 7.

    >>> import numpy as np
    >>> smoothed(np.array([[1.0, 0.0]]), 0.2, classes=2).tolist()
    [[0.9, 0.1]]
    """
    return (1 - smoothing) * targets + smoothing / classes


@dataclass(frozen=True)
class SquaredError(Loss, kind="squared_error"):
    """l = 1/2 Σ (y - t)²;  dl/dy = y - t. The form of textbooks: the delta is the error.

    Hessian: d²l/dy² = 1.

    >>> import numpy as np
    >>> loss, delta = SquaredError()(np.array([[2.0]]), np.array([[4.0]]), np.array([1.0]))
    >>> float(loss), delta.tolist()
    (2.0, [[-2.0]])
    """

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        error = outputs - targets
        return namespace(outputs).sum(error * error, axis=-1) / 2, error

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        return direction


@dataclass(frozen=True)
class MeanSquaredError(Loss, kind="mean_squared_error", also=("mse",)):
    """l = mean (y - t)²;  dl/dy = 2 (y - t) / K. The definition of Keras, PyTorch and scikit-learn's metric.

    Hessian: d²l/dy² = 2 / K.

    >>> import numpy as np
    >>> loss, delta = MeanSquaredError()(np.array([[2.0, 0.0]]), np.array([[4.0, 0.0]]), np.array([1.0]))
    >>> float(loss), delta.tolist()
    (2.0, [[-2.0, 0.0]])
    """

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        error = outputs - targets
        return namespace(outputs).mean(error * error, axis=-1), 2 * error / outputs.shape[-1]

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        return 2 * direction / outputs.shape[-1]


@dataclass(frozen=True)
class HalfMeanSquaredError(Loss, kind="half_mean_squared_error"):
    """l = 1/2 mean (y - t)²;  dl/dy = (y - t) / K: the loss that scikit-learn's networks report for numbers.

    With one output it equals `SquaredError`, and `Huber` if no error exceeds its delta.

    Hessian: d²l/dy² = 1 / K.

    >>> import numpy as np
    >>> loss, delta = HalfMeanSquaredError()(np.array([[2.0, 0.0]]), np.array([[4.0, 0.0]]), np.array([1.0]))
    >>> float(loss), delta.tolist()
    (1.0, [[-1.0, 0.0]])
    """

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        error = outputs - targets
        return namespace(outputs).mean(error * error, axis=-1) / 2, error / outputs.shape[-1]

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        return direction / outputs.shape[-1]


@dataclass(frozen=True)
class MeanAbsoluteError(Loss, kind="mean_absolute_error", also=("mae",)):
    """l = mean |y - t|;  dl/dy = sign(y - t) / K (0 where y = t).

    >>> import numpy as np
    >>> loss, delta = MeanAbsoluteError()(np.array([[2.0]]), np.array([[4.0]]), np.array([1.0]))
    >>> float(loss), delta.tolist()
    (2.0, [[-1.0]])
    """

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp = namespace(outputs)
        error = outputs - targets
        return xp.mean(xp.abs(error), axis=-1), xp.sign(error) / outputs.shape[-1]

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        return namespace(direction).zeros_like(direction)


@dataclass(frozen=True)
class Huber(Loss, kind="huber"):
    """l = mean h(e) with e = y - t, h = e²/2 where |e| <= delta, else delta (|e| - delta/2);  h' = e cut to ±delta.

    Hessian: h'' = 1 where |e| <= delta, else 0.

    Source: Huber 1964.

    >>> import numpy as np
    >>> loss, delta = Huber()(np.array([[4.0]]), np.array([[0.0]]), np.array([1.0]))
    >>> float(loss), delta.tolist()
    (3.5, [[1.0]])
    """

    delta: Positive = 1.0

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp = namespace(outputs)
        error = outputs - targets
        cut = xp.maximum(xp.minimum(error, self.delta), -self.delta)
        # cut (e - cut/2) is e²/2 inside and delta (|e| - delta/2) outside.
        return xp.mean(cut * (error - cut / 2), axis=-1), cut / outputs.shape[-1]

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        xp = namespace(outputs)
        inside = xp.abs(outputs - targets) <= self.delta
        return xp.where(inside, direction, xp.zeros_like(direction)) / outputs.shape[-1]


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss, kind="softmax_cross_entropy"):
    """Cross-entropy on logits: l = -Σ t log softmax(z);  dl/dz = softmax(z) Σt - t, which is softmax(z) - t.

    Stable for any finite logits: the maximum is subtracted before log softmax(z).

    Hessian times a, with p = softmax(z): p * (a - Σ p a) Σt. It is positive semidefinite.

    Source: Goodfellow et al. 2016, section 6.2.2.3.

    >>> import numpy as np
    >>> z, t = np.array([[2.0, 1.0, 0.1]]), np.array([[1.0, 0.0, 0.0]])
    >>> loss, delta = SoftmaxCrossEntropy()(z, t, np.array([1.0]))
    >>> round(float(loss), 3), delta.round(3).tolist()
    (0.417, [[-0.341, 0.242, 0.099]])
    """

    takes = "logits"

    label_smoothing: Fraction = 0.0

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp = namespace(outputs)
        targets = smoothed(targets, self.label_smoothing, classes=outputs.shape[-1])
        log_p = log_softmax(outputs)
        return -xp.sum(targets * log_p, axis=-1), xp.exp(log_p) * xp.sum(targets, axis=-1, keepdims=True) - targets

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        xp = namespace(outputs)
        targets = smoothed(targets, self.label_smoothing, classes=outputs.shape[-1])
        p = softmax(outputs)
        p_dot = p * (direction - xp.sum(p * direction, axis=-1, keepdims=True))
        return p_dot * xp.sum(targets, axis=-1, keepdims=True)

    def probabilities(self, outputs: Array) -> Array:
        return softmax(outputs)


@dataclass(frozen=True)
class CrossEntropy(Loss, kind="cross_entropy"):
    """Cross-entropy on probabilities: l = -Σ t log max(p, 1e-7), p = y / Σ y.

    Outputs that do not sum to 1 (after ReLU or Sigmoid) are first divided by their sum, as in Keras, unless it is 0.

    Backward, with u = t/p where p > 1e-7, else 0:  dl/dy_j = -(u_j - Σ_k u_k p_k) / Σ y.

    After a final `Softmax` the two are fused to `SoftmaxCrossEntropy`, with delta = y - t at the logits.

    Hessian times a, with g = dl/dy and p_dot = (a - p Σa) / Σ y, since Σ u p is constant:  (u p_dot/p - g Σa) / Σ y.

    >>> import numpy as np
    >>> loss, delta = CrossEntropy()(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]), np.array([1.0]))
    >>> round(float(loss), 4), delta.tolist()
    (0.6931, [[-1.0, 1.0]])
    """

    takes = "probabilities"

    label_smoothing: Fraction = 0.0

    def fused_with(self, last: Layer) -> Loss | None:
        return SoftmaxCrossEntropy(self.label_smoothing) if isinstance(last, Softmax) else None

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp = namespace(outputs)
        targets = smoothed(targets, self.label_smoothing, classes=outputs.shape[-1])
        total, p, u = _relative(outputs, targets)
        return -xp.sum(targets * xp.log(xp.maximum(p, _GUARD)), axis=-1), _pull(p, u) / total

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        xp = namespace(outputs)
        targets = smoothed(targets, self.label_smoothing, classes=outputs.shape[-1])
        total, p, u = _relative(outputs, targets)
        # A sum of 0 is not divided by, so that its derivative does not count either.
        total_dot = xp.where(_sum(outputs) == 0, xp.zeros_like(total), _sum(direction))
        p_dot = (direction - p * total_dot) / total
        return (u * p_dot / xp.maximum(p, _GUARD) - _pull(p, u) / total * total_dot) / total


def _sum(x: Array) -> Array:
    """The sum over the outputs (n, 1)."""
    return namespace(x).sum(x, axis=-1, keepdims=True)


def _relative(outputs: Array, targets: Array) -> tuple[Array, Array, Array]:
    """Σ y (or 1 if it is 0), p and u of `CrossEntropy`."""
    xp = namespace(outputs)
    total = _sum(outputs)
    total = xp.where(total == 0, xp.ones_like(total), total)
    p = outputs / total
    return total, p, xp.where(p > _GUARD, targets / xp.maximum(p, _GUARD), xp.zeros_like(p))


def _pull(p: Array, u: Array) -> Array:
    """-(u_j - Σ_k u_k p_k) of `CrossEntropy`."""
    return _sum(u * p) - u


@dataclass(frozen=True)
class SigmoidBinaryCrossEntropy(Loss, kind="sigmoid_binary_cross_entropy"):
    """Binary cross-entropy on logits: l = Σ (softplus(z) - t z);  dl/dz = sigmoid(z) - t.

    The sum over several outputs is the negative log-likelihood of independent labels (multi-label classification);
    PyTorch and Keras take the mean over the outputs.

    Hessian: d²l/dz² = p (1 - p) with p = sigmoid(z).

    >>> import numpy as np
    >>> loss, delta = SigmoidBinaryCrossEntropy()(np.array([[0.0]]), np.array([[1.0]]), np.array([1.0]))
    >>> round(float(loss), 4), delta.tolist()
    (0.6931, [[-0.5]])
    """

    takes = "logits"

    label_smoothing: Fraction = 0.0

    @property
    def threshold(self) -> float:
        return 0.0

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp = namespace(outputs)
        targets = smoothed(targets, self.label_smoothing, classes=2)
        return xp.sum(softplus(outputs) - targets * outputs, axis=-1), sigmoid(outputs) - targets

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        p = sigmoid(outputs)
        return p * (1 - p) * direction

    def probabilities(self, outputs: Array) -> Array:
        return sigmoid(outputs)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss, kind="binary_cross_entropy"):
    """Binary cross-entropy on probabilities: l = -Σ (t log p + (1-t) log(1-p)), p = y clipped to [1e-7, 1 - 1e-7].

    dl/dy = (p - t) / (p (1 - p)) where y is within these bounds, else 0.

    After a final `Sigmoid` the two are fused to `SigmoidBinaryCrossEntropy`, with delta = y - t at the logits.

    Hessian: d²l/dy² = t / p² + (1 - t) / (1 - p)² where y is within these bounds, else 0.

    >>> import numpy as np
    >>> loss, delta = BinaryCrossEntropy()(np.array([[0.5]]), np.array([[1.0]]), np.array([1.0]))
    >>> round(float(loss), 4), delta.tolist()
    (0.6931, [[-2.0]])
    """

    takes = "probabilities"

    label_smoothing: Fraction = 0.0

    def fused_with(self, last: Layer) -> Loss | None:
        return SigmoidBinaryCrossEntropy(self.label_smoothing) if isinstance(last, Sigmoid) else None

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp = namespace(outputs)
        targets = smoothed(targets, self.label_smoothing, classes=2)
        p = _cut(outputs)
        slope = xp.where(p == outputs, (p - targets) / (p * (1 - p)), xp.zeros_like(p))
        return -xp.sum(targets * xp.log(p) + (1 - targets) * xp.log(1 - p), axis=-1), slope

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        xp = namespace(outputs)
        targets = smoothed(targets, self.label_smoothing, classes=2)
        p = _cut(outputs)
        return xp.where(p == outputs, (targets / p**2 + (1 - targets) / (1 - p) ** 2) * direction, xp.zeros_like(p))


def _cut(p: Array) -> Array:
    """p clipped to [1e-7, 1 - 1e-7]."""
    xp = namespace(p)
    return xp.minimum(xp.maximum(p, _GUARD), 1 - _GUARD)


@dataclass(frozen=True)
class Poisson(Loss, kind="poisson"):
    """Half the Poisson deviance: l = Σ (t log(t/y) - t + y) for counts t and their means y;  dl/dy = 1 - t/y.

    t is at least 0 and y above 0, as after `Exponential`; inside the logarithm y is at least 1e-30.

    Hessian: d²l/dy² = t / y².

    Source: McCullagh and Nelder 1989, Generalized Linear Models, section 6.2.

    >>> import numpy as np
    >>> loss, delta = Poisson()(np.array([[1.0, 2.0]]), np.array([[0.0, 2.0]]), np.array([1.0]))
    >>> float(loss), delta.tolist()
    (1.0, [[1.0, 0.0]])
    """

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp = namespace(outputs)
        mean = xp.maximum(outputs, _LEAST_MEAN)
        # t log t is 0 for t = 0. With |t| the slope also holds for a target below 0, which is no count.
        log_ratio = xp.log(xp.where(targets != 0, xp.abs(targets), mean)) - xp.log(mean)
        slope = 1 - xp.where(outputs > _LEAST_MEAN, targets / mean, xp.zeros_like(mean))
        return xp.sum(targets * log_ratio - targets + outputs, axis=-1), slope

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        xp = namespace(outputs)
        mean = xp.maximum(outputs, _LEAST_MEAN)
        return xp.where(outputs > _LEAST_MEAN, targets / mean / mean * direction, xp.zeros_like(mean))


@dataclass(frozen=True)
class Hinge(Loss, kind="hinge"):
    """l = Σ max(0, 1 - s y), s = +1 for targets above 0 and -1 for the others;  dl/dy = -s where s y < 1, else 0.

    With several outputs each is a separate classifier of one class against the rest.

    Source: Cortes and Vapnik 1995; Rosasco et al. 2004.

    >>> import numpy as np
    >>> loss, delta = Hinge()(np.array([[0.25]]), np.array([[1.0]]), np.array([1.0]))
    >>> float(loss), delta.tolist()
    (0.75, [[-1.0]])
    """

    takes = "scores"

    @property
    def threshold(self) -> float:
        return 0.0

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp = namespace(outputs)
        s = xp.where(targets > 0, xp.ones_like(outputs), -1)
        margin = 1 - s * outputs
        return xp.sum(xp.maximum(margin, 0), axis=-1), xp.where(margin > 0, -s, xp.zeros_like(s))

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        return namespace(direction).zeros_like(direction)


@dataclass(frozen=True)
class PerceptronLoss(Loss, kind="perceptron"):
    """l = Σ (y - t) z with the step output y = 1 where z > 0, else 0;  dl/dz = y - t: 0 unless the sample is wrong.

    At z = 0 a single output is `step_at_zero`: 0, or 1 as in the textbooks whose unit fires where z >= 0.

    One step of `sgd` on one sample is the perceptron rule, w <- w + η (t - y) x. With `labels = "-1/1"` no is encoded
    as -1, and l and dl/dz are twice as large. With several outputs, one for each class, y is 1 for the largest z: a
    wrong sample is added to its class and subtracted from the predicted one.

    Source: Rosenblatt 1958; for several classes Duda, Hart, Stork 2001, section 5.12.

    >>> import numpy as np
    >>> loss, delta = PerceptronLoss()(np.array([[0.5], [2.0]]), np.array([[0.0], [1.0]]), np.ones(2))
    >>> float(loss), delta.tolist()
    (0.25, [[0.5], [0.0]])
    """

    takes = "scores"

    labels: Labels = "0/1"
    step_at_zero: Literal[0, 1] = 0

    @property
    def threshold(self) -> float:
        # Predictions above it mean yes: a 0 has to lie above. A smaller number would be rounded to 0 in 32 bits.
        return -float(np.finfo(np.float32).tiny) if self.step_at_zero else 0.0

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp = namespace(outputs)
        predicted = outputs > self.threshold
        if outputs.shape[-1] > 1:
            predicted = xp.argmax(outputs, axis=-1)[:, None] == xp.arange(outputs.shape[-1])
        error = _distance(self.labels) * (xp.astype(predicted, outputs.dtype) - targets)
        return xp.sum(error * outputs, axis=-1), error

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        return namespace(direction).zeros_like(direction)


@dataclass(frozen=True)
class LeastMeanSquares(Loss, kind="lms"):
    """l = 1/2 Σ (z - t)² with classes as numbers, t = 0 or 1 (`labels = "-1/1"`: -1 or 1);  dl/dz = z - t.

    One step of `sgd` on one sample is the rule of Widrow and Hoff, w <- w + η (t - z) x. `decide_at` is the decision
    threshold of a single output: None is halfway between the labels (0.5, or 0); "tuned" chooses it after training on
    the validation rows. With several outputs the largest decides the class.

    Hessian: d²l/dz² = 1.

    Source: Widrow and Hoff 1960.

    >>> import numpy as np
    >>> loss, delta = LeastMeanSquares("-1/1")(np.array([[0.5]]), np.array([[0.0]]), np.ones(1))
    >>> float(loss), delta.tolist()
    (1.125, [[1.5]])
    """

    takes = "scores"

    labels: Labels = "0/1"
    decide_at: Number | Literal["tuned"] | None = None

    @property
    def threshold(self) -> float:
        if isinstance(self.decide_at, float | int):
            return self.decide_at
        return 1 - _distance(self.labels) / 2

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        error = outputs - (1 - _distance(self.labels) * (1 - targets))
        return namespace(outputs).sum(error * error, axis=-1) / 2, error

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        return direction


def _distance(labels: Labels) -> float:
    """The distance between no and yes."""
    return 1.0 if labels == "0/1" else 2.0


@dataclass(frozen=True)
class MemberLoss(Loss, kind="member_loss"):
    """The mean of a loss over the members of an ensemble: l = Σ_m l(y_m, t) / M;  dl/dy_m = l'(y_m, t) / M.

    Each member learns as if it were alone; their probabilities are averaged afterwards. Outputs (n, M K) hold those of
    the members side by side, targets are (n, K).

    Hessian times a: that of the loss of each member times its part of a, divided by M.

    members: number M of members.
    loss: the loss of each member.

    Source: Gorishniy, Kotelnikov, Babenko 2024, TabM, section 3.

    >>> import numpy as np
    >>> both = MemberLoss(2, SquaredError())
    >>> loss, delta = both(np.array([[2.0, 4.0]]), np.array([[4.0]]), np.array([1.0]))
    >>> float(loss), delta.tolist(), both.probabilities(np.array([[2.0, 4.0]])).tolist()
    (1.0, [[-1.0, 0.0]], [[3.0]])
    """

    members: Annotated[int, Field(ge=1, le=1024, strict=True)] = 1
    loss: Loss = SoftmaxCrossEntropy()

    @property
    def takes(self) -> Literal["values", "probabilities", "logits", "scores"]:
        return self.loss.takes

    @property
    def threshold(self) -> float:
        """That of a probability."""
        return self.loss.decision_threshold

    @property
    def decision_threshold(self) -> float:
        return self.loss.decision_threshold

    def _by_member(self, outputs: Array) -> Array:
        """The outputs (n, M, K)."""
        return namespace(outputs).reshape(outputs, (outputs.shape[0], self.members, outputs.shape[1] // self.members))

    def _rows(self, outputs: Array) -> Array:
        """The outputs (n M, K), a row for each member."""
        return namespace(outputs).reshape(outputs, (-1, outputs.shape[1] // self.members))

    def _repeated(self, targets: Array) -> Array:
        """The targets (n M, K) of these rows."""
        copies = namespace(targets).concat([targets] * self.members, axis=1)
        return self._rows(copies)

    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp = namespace(outputs)
        values, slopes = self.loss.terms(self._rows(outputs), self._repeated(targets))
        mean = xp.mean(xp.reshape(values, (outputs.shape[0], self.members)), axis=-1)
        return mean, xp.reshape(slopes, outputs.shape) / self.members

    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        own = self.loss.hvp(self._rows(outputs), self._repeated(targets), self._rows(direction))
        return namespace(own).reshape(own, outputs.shape) / self.members

    def probabilities(self, outputs: Array) -> Array:
        """The mean of the members' probabilities, or of their values."""
        return namespace(outputs).mean(self.loss.probabilities(self._by_member(outputs)), axis=1)

    def answers(self, outputs: Array) -> Array:
        return self.probabilities(outputs)
