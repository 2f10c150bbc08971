"""Optimizers: rules that turn gradients into updates. The new parameters are params + updates.

g is the gradient, Δ the update, η the learning rate, t = 1, 2, ... the number of the update. Every rate may be a number
or a schedule. Moments have the structure of the parameters. All operations are elementwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias, cast

from ..core.arrays import Array, Grads, Moments, Params, Scalar, Tree, TreeT, map_arrays, namespace
from .part import FractionRate, NonNegative, Optimizer, Positive, Rate, at


def _zeros(params: TreeT) -> TreeT:
    return map_arrays(lambda p: namespace(p).zeros_like(p), params)


def _average(old: TreeT, new: Tree, decay: Scalar) -> TreeT:
    """decay * old + (1 - decay) * new."""
    return map_arrays(lambda a, b: decay * a + (1 - decay) * b, old, new)


def _average_square(old: TreeT, new: Tree, decay: Scalar) -> TreeT:
    """decay * old + (1 - decay) * new²."""
    return map_arrays(lambda a, b: decay * a + (1 - decay) * (b * b), old, new)


def _times(tree: TreeT, factor: Scalar) -> TreeT:
    return map_arrays(lambda a: a * factor, tree)


def _scaled(gradient: TreeT, square: Tree, rate: Scalar, epsilon: float, correct: Scalar = 1.0) -> TreeT:
    """-rate * g / (√(correct s) + ε)."""
    return map_arrays(lambda g, s: -rate * g / (namespace(s).sqrt(s * correct) + epsilon), gradient, square)


@dataclass(frozen=True)
class SGD(Optimizer[tuple[()]], kind="sgd"):
    """Stochastic gradient descent: Δ = -η g.

    Source: Robbins and Monro 1951.

    >>> import numpy as np
    >>> SGD(0.1).update((np.array([2.0]),), (), (np.array([1.0]),), 0)[0][0].tolist()
    [-0.2]
    """

    learning_rate: Rate = 0.01

    def init(self, params: Params) -> tuple[()]:
        return ()

    def update(self, grads: TreeT, moments: tuple[()], params: Params, step: Scalar) -> tuple[TreeT, tuple[()]]:
        rate = at(self.learning_rate, step)
        return map_arrays(lambda g: -rate * g, grads), moments


@dataclass(frozen=True)
class GradientDescent(SGD, kind="gradient_descent"):
    """Gradient descent on the full batch: Δ = -η g, with g over all training samples; one update an epoch.

    >>> GradientDescent(0.1).full_batch
    True
    """

    full_batch: ClassVar[bool] = True


class Velocity(NamedTuple):
    """The running velocity."""

    velocity: Tree


@dataclass(frozen=True)
class Momentum(Optimizer[Velocity], kind="momentum"):
    """v <- μ v - η g;  Δ = v.

    Source: Polyak 1964; Rumelhart, Hinton, Williams 1986.

    >>> import numpy as np
    >>> rule, params, g = Momentum(0.1, momentum=0.5), (np.array([1.0]),), (np.array([1.0]),)
    >>> first, moments = rule.update(g, rule.init(params), params, 0)
    >>> second, _ = rule.update(g, moments, params, 1)
    >>> first[0].round(3).tolist(), second[0].round(3).tolist()
    ([-0.1], [-0.15])
    """

    learning_rate: Rate = 0.01
    momentum: FractionRate = 0.9

    def init(self, params: Params) -> Velocity:
        return Velocity(_zeros(params))

    def update(self, grads: TreeT, moments: Velocity, params: Params, step: Scalar) -> tuple[TreeT, Velocity]:
        mu = at(self.momentum, step)
        rate = at(self.learning_rate, step)
        velocity = map_arrays(lambda g, v: mu * v - rate * g, grads, moments.velocity)
        return velocity, Velocity(velocity)


@dataclass(frozen=True)
class Nesterov(Momentum, kind="nesterov"):
    """v <- μ v - η g;  Δ = μ v - η g: momentum whose gradient counts as if it were taken one velocity ahead.

    The parameters are kept at the point ahead, as Keras, PyTorch and scikit-learn do.

    Source: Nesterov 1983; Sutskever et al. 2013; Bengio, Boulanger-Lewandowski, Pascanu 2013, equations 6 and 7.

    >>> import numpy as np
    >>> rule, params, g = Nesterov(0.1, momentum=0.5), (np.array([1.0]),), (np.array([1.0]),)
    >>> rule.update(g, rule.init(params), params, 0)[0][0].round(3).tolist()
    [-0.15]
    """

    def update(self, grads: TreeT, moments: Velocity, params: Params, step: Scalar) -> tuple[TreeT, Velocity]:
        mu = at(self.momentum, step)
        rate = at(self.learning_rate, step)
        velocity, moments = super().update(grads, moments, params, step)
        return map_arrays(lambda v, g: mu * v - rate * g, velocity, grads), moments


class SumOfSquares(NamedTuple):
    """The sum of all squared gradients."""

    total: Tree


@dataclass(frozen=True)
class Adagrad(Optimizer[SumOfSquares], kind="adagrad"):
    """s <- s + g²;  Δ = -η g / (√s + ε). s starts at 0.

    Source: Duchi, Hazan, Singer 2011.

    >>> import numpy as np
    >>> rule, params = Adagrad(0.1), (np.array([1.0]),)
    >>> rule.update((np.array([5.0]),), rule.init(params), params, 0)[0][0].round(6).tolist()
    [-0.1]
    """

    learning_rate: Rate = 0.01
    epsilon: Positive = 1e-10

    def init(self, params: Params) -> SumOfSquares:
        return SumOfSquares(_zeros(params))

    def update(self, grads: TreeT, moments: SumOfSquares, params: Params, step: Scalar) -> tuple[TreeT, SumOfSquares]:
        total = map_arrays(lambda s, g: s + g * g, moments.total, grads)
        return _scaled(grads, total, at(self.learning_rate, step), self.epsilon), SumOfSquares(total)


class MeanSquare(NamedTuple):
    """The running mean of squared gradients."""

    square: Tree


@dataclass(frozen=True)
class RMSProp(Optimizer[MeanSquare], kind="rmsprop"):
    """s <- ρ s + (1-ρ) g²;  Δ = -η g / (√s + ε).

    Source: Tieleman and Hinton 2012, lecture 6.5.

    >>> import numpy as np
    >>> rule, params = RMSProp(0.1, rho=0.75), (np.array([1.0]),)
    >>> rule.update((np.array([5.0]),), rule.init(params), params, 0)[0][0].round(6).tolist()
    [-0.2]
    """

    learning_rate: Rate = 1e-3
    rho: FractionRate = 0.9
    epsilon: Positive = 1e-8

    def init(self, params: Params) -> MeanSquare:
        return MeanSquare(_zeros(params))

    def update(self, grads: TreeT, moments: MeanSquare, params: Params, step: Scalar) -> tuple[TreeT, MeanSquare]:
        square = _average_square(moments.square, grads, at(self.rho, step))
        return _scaled(grads, square, at(self.learning_rate, step), self.epsilon), MeanSquare(square)


class TwoMeanSquares(NamedTuple):
    """The running means of squared gradients and of squared updates."""

    square: Tree
    update: Tree


@dataclass(frozen=True)
class Adadelta(Optimizer[TwoMeanSquares], kind="adadelta"):
    """s <- ρ s + (1-ρ) g²;  d = g √(u + ε) / √(s + ε);  u <- ρ u + (1-ρ) d²;  Δ = -η d.

    Source: Zeiler 2012, algorithm 1 (η = 1 there).

    >>> import numpy as np
    >>> rule, params = Adadelta(), (np.array([1.0]),)
    >>> rule.update((np.array([5.0]),), rule.init(params), params, 0)[0][0].round(4).tolist()
    [-0.0045]
    """

    learning_rate: Rate = 1.0
    rho: FractionRate = 0.95
    epsilon: Positive = 1e-6

    def init(self, params: Params) -> TwoMeanSquares:
        return TwoMeanSquares(_zeros(params), _zeros(params))

    def update(
        self, grads: TreeT, moments: TwoMeanSquares, params: Params, step: Scalar
    ) -> tuple[TreeT, TwoMeanSquares]:
        rho = at(self.rho, step)
        rate = at(self.learning_rate, step)
        epsilon = self.epsilon
        square = _average_square(moments.square, grads, rho)

        def scaled(g: Array, s: Array, u: Array) -> Array:
            xp = namespace(g)
            return g * xp.sqrt(u + epsilon) / xp.sqrt(s + epsilon)

        d = map_arrays(scaled, grads, square, moments.update)
        new = TwoMeanSquares(square, _average_square(moments.update, d, rho))
        return map_arrays(lambda d: -rate * d, d), new


class TwoMoments(NamedTuple):
    """Running means of the gradients, m, and of their squares, v."""

    m: Tree
    v: Tree


class ThreeMoments(NamedTuple):
    """Adam's two moments, and the largest v so far."""

    m: Tree
    v: Tree
    largest: Tree


AdamMoments: TypeAlias = TwoMoments | ThreeMoments


def adam_moments(moments: Moments) -> AdamMoments:
    """The moments of an `Adam` rule, which a training holds as any optimizer's."""
    assert isinstance(moments, AdamMoments | ThreeMoments)
    return moments


class Corrected(NamedTuple):
    """The parts of Adam's update Δ = -η m̂ / (√v̂ + ε) with m̂ = correct_m m and v̂ = correct_v v.

    The update multiplies the rate by correct_m, which is one number, instead of m, which is many.

    m: running mean of the gradients.
    v: running mean of their squares.
    correct_m: factor that corrects the bias of m towards its initial 0.
    correct_v: the same for v.
    """

    m: Tree
    v: Tree
    correct_m: Scalar
    correct_v: Scalar

    @property
    def m_hat(self) -> Tree:
        """m̂."""
        return _times(self.m, self.correct_m)

    @property
    def v_hat(self) -> Tree:
        """v̂."""
        return _times(self.v, self.correct_v)


@dataclass(frozen=True)
class Adam(Optimizer[AdamMoments], kind="adam"):
    """m <- β₁ m + (1-β₁) g;  v <- β₂ v + (1-β₂) g²;  m̂ = m/(1-β₁ᵗ);  v̂ = v/(1-β₂ᵗ);  Δ = -η m̂ / (√v̂ + ε).

    Source: Kingma and Ba 2015, algorithm 1.

    >>> import numpy as np
    >>> rule, params = Adam(0.01), (np.array([1.0]),)
    >>> rule.update((np.array([-0.341]),), rule.init(params), params, 0)[0][0].round(6).tolist()
    [0.01]
    """

    learning_rate: Rate = 1e-3
    beta_1: FractionRate = 0.9
    beta_2: FractionRate = 0.999
    epsilon: Positive = 1e-8

    def init(self, params: Params) -> AdamMoments:
        return TwoMoments(_zeros(params), _zeros(params))

    def _moments(self, grads: Grads, moments: AdamMoments, step: Scalar) -> AdamMoments:
        m = _average(moments.m, grads, at(self.beta_1, step))
        return TwoMoments(m, _average_square(moments.v, grads, at(self.beta_2, step)))

    def _corrections(self, step: Scalar) -> tuple[Scalar, Scalar]:
        """1 / (1 - β₁ᵗ) and 1 / (1 - β₂ᵗ): they correct the bias of the averages towards their initial 0."""
        return 1 / (1 - at(self.beta_1, step) ** (step + 1)), 1 / (1 - at(self.beta_2, step) ** (step + 1))

    def corrected(self, grads: Grads, moments: AdamMoments, step: Scalar) -> Corrected:
        """The parts of the update, from moments that include the gradients."""
        return Corrected(moments.m, moments.v, *self._corrections(step))

    def update(self, grads: TreeT, moments: AdamMoments, params: Params, step: Scalar) -> tuple[TreeT, AdamMoments]:
        new = self._moments(grads, moments, step)
        corrected = self.corrected(grads, new, step)
        rate = at(self.learning_rate, step) * corrected.correct_m
        updates = _scaled(corrected.m, corrected.v, rate, self.epsilon, corrected.correct_v)
        return cast(TreeT, updates), new


@dataclass(frozen=True)
class AdamHat(Adam, kind="adam_hat"):
    """Adam with ε added to the uncorrected √v: Δ = -η √(1-β₂ᵗ)/(1-β₁ᵗ) m / (√v + ε).

    The form of scikit-learn and Keras. It is Adam with ε / √(1-β₂ᵗ) in place of ε: the first steps are smaller if
    gradients are tiny.

    Source: Kingma and Ba 2015, the last lines of section 2, where this ε is written ε̂.

    >>> import numpy as np
    >>> rule, params = AdamHat(0.01, epsilon=0.1), (np.array([1.0]),)
    >>> rule.update((np.array([1.0]),), rule.init(params), params, 0)[0][0].round(6).tolist()
    [-0.002403]
    """

    def _corrections(self, step: Scalar) -> tuple[Scalar, Scalar]:
        """√(1-β₂ᵗ)/(1-β₁ᵗ) for m, and 1 for v."""
        correct_m, correct_v = super()._corrections(step)
        return correct_m / correct_v**0.5, 1.0


@dataclass(frozen=True)
class AdamW(Adam, kind="adamw"):
    """Adam with decoupled decay of the weights: Δ = -η m̂ / (√v̂ + ε) - η λ W. Biases do not decay.

    Source: Loshchilov and Hutter 2019, algorithm 2.

    >>> import numpy as np
    >>> rule, params = AdamW(0.01, weight_decay=0.5), (np.array([[2.0]]),)
    >>> rule.update((np.array([[0.0]]),), rule.init(params), params, 0)[0][0].round(6).tolist()
    [[-0.01]]
    """

    weight_decay: NonNegative = 0.01
    by_element: ClassVar[bool] = False

    def update(self, grads: TreeT, moments: AdamMoments, params: Params, step: Scalar) -> tuple[TreeT, AdamMoments]:
        updates, moments = super().update(grads, moments, params, step)
        return self.decayed(updates, params, step, self.weight_decay), moments


@dataclass(frozen=True)
class AMSGrad(Adam, kind="amsgrad"):
    """Adam that divides by the largest v so far: s <- max(s, v);  Δ = -η m̂ / (√(s/(1-β₂ᵗ)) + ε).

    Source: Reddi, Kale, Kumar 2018, algorithm 2, with Adam's bias corrections as in PyTorch.

    >>> import numpy as np
    >>> rule, params = AMSGrad(0.01), (np.array([1.0]),)
    >>> rule.update((np.array([3.0]),), rule.init(params), params, 0)[0][0].round(6).tolist()
    [-0.01]
    """

    def init(self, params: Params) -> AdamMoments:
        return ThreeMoments(_zeros(params), _zeros(params), _zeros(params))

    def _moments(self, grads: Grads, moments: AdamMoments, step: Scalar) -> AdamMoments:
        assert isinstance(moments, ThreeMoments)
        new = super()._moments(grads, moments, step)
        return ThreeMoments(new.m, new.v, map_arrays(lambda s, v: namespace(v).maximum(s, v), moments.largest, new.v))

    def corrected(self, grads: Grads, moments: AdamMoments, step: Scalar) -> Corrected:
        """The same with the largest v so far in place of v."""
        assert isinstance(moments, ThreeMoments)
        return super().corrected(grads, moments, step)._replace(v=moments.largest)


@dataclass(frozen=True)
class Nadam(Adam, kind="nadam"):
    """Adam with Nesterov's look ahead: m̂ = β₁ m/(1-β₁ᵗ⁺¹) + (1-β₁) g/(1-β₁ᵗ);  the rest as Adam.

    Source: Dozat 2016, with a constant β₁.

    >>> import numpy as np
    >>> rule, params = Nadam(0.01), (np.array([1.0]),)
    >>> rule.update((np.array([3.0]),), rule.init(params), params, 0)[0][0].round(5).tolist()
    [-0.01474]
    """

    def corrected(self, grads: Grads, moments: AdamMoments, step: Scalar) -> Corrected:
        """The same with Nesterov's m̂, which needs no further factor."""
        beta = at(self.beta_1, step)
        correct_now, correct_v = self._corrections(step)
        correct_next = 1 / (1 - beta ** (step + 2))
        m_hat = map_arrays(lambda m, g: beta * correct_next * m + (1 - beta) * correct_now * g, moments.m, grads)
        return Corrected(m_hat, moments.v, 1.0, correct_v)
