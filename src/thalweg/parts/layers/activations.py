"""Activations, each a layer by itself: y = f(z), and delta_z = delta_y * f'(z)."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Array, namespace
from ...core.functions import erf, sigmoid, softmax, softplus
from ..initializers import HeNormal, LeCunNormal
from ..part import ForwardContext, Initializer, LocalFactor, MeanField, NonNegative, Number
from .base import ParameterFree

# A grid over a standard normal number. A fine sum rather than a quadrature rule, because slopes jump; 0 is left out.
_Z = np.linspace(-9, 9, 3600)
_DENSITY = np.exp(-(_Z**2) / 2)
_DENSITY /= _DENSITY.sum()

SELU_LAMBDA = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717


class Activation(ParameterFree[tuple[()], tuple[Array, Array]]):
    """An elementwise activation. A subclass states `value` and, next to it, `derivative` and `second_derivative`.

    Shapes: z and y (n, width). Backward: dL/dz = dL/dy f'(z).
    Along z_dot: y_dot = f'(z) z_dot, and the derivative of dL/dz is dL/dy f''(z) z_dot.
    """

    input_symbol = "z"

    @property
    @abstractmethod
    def output_range(self) -> tuple[float, float]: ...

    @property
    @abstractmethod
    def steepest_slope(self) -> float: ...

    def mean_field(self, draws: Sequence[tuple[()]], square: float) -> MeanField:
        """E f(√s z)² and E f'(√s z)² over z ~ N(0, 1), s the mean square of the inputs.

        >>> [round(value, 3) for value in ReLU().mean_field([()], 2.0)]
        [1.0, 0.5]
        """
        z = np.sqrt(square) * _Z
        y = self.value(z)
        return MeanField(float(_DENSITY @ y**2), float(_DENSITY @ self.derivative(z, y) ** 2))

    @abstractmethod
    def value(self, z: Array) -> Array:
        """f(z)."""

    @abstractmethod
    def derivative(self, z: Array, y: Array) -> Array:
        """f'(z). y = f(z) is given because many derivatives are shorter in terms of it."""

    @abstractmethod
    def second_derivative(self, z: Array, y: Array) -> Array:
        """f''(z); at a kink that of the side which `derivative` takes."""

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], tuple[Array, Array]]:
        y = self.value(x)
        return y, state, (x, y)

    def backward(self, params: tuple[()], cache: tuple[Array, Array], delta: Array) -> tuple[Array, tuple[()]]:
        return delta * self.derivative(*cache), params

    def local_factors(self, params: tuple[()], cache: tuple[Array, Array], delta: Array) -> tuple[LocalFactor, ...]:
        return (LocalFactor("f'(z)", self.derivative(*cache), "the slope of the activation"),)

    def jvp(self, params: tuple[()], cache: tuple[Array, Array], direction: tuple[()], x_dot: Array) -> Array:
        return x_dot * self.derivative(*cache)

    def backward_jvp(
        self, params: tuple[()], cache: tuple[Array, Array], direction: tuple[()], x_dot: Array, delta: Array
    ) -> tuple[Array, tuple[()]]:
        return delta * self.second_derivative(*cache) * x_dot, params


@dataclass(frozen=True)
class Identity(Activation, kind="identity", also=("linear",)):
    """y = z;  dy/dz = 1.

    >>> float(Identity().value(2.0))
    2.0
    """

    is_identity = True
    is_linear = True
    output_range = (-math.inf, math.inf)
    steepest_slope = 1.0

    def value(self, z: Array) -> Array:
        return z

    def derivative(self, z: Array, y: Array) -> Array:
        return namespace(z).ones_like(z)

    def second_derivative(self, z: Array, y: Array) -> Array:
        return namespace(z).zeros_like(z)


@dataclass(frozen=True)
class Step(Activation, kind="step", also=("heaviside",)):
    """Heaviside's step: y = 1 where z >= 0, else 0;  dy/dz = 0 (no gradient passes: the layers below do not learn).

    Source: Rosenblatt 1958, The perceptron.

    >>> import numpy as np
    >>> Step().value(np.array([-2.0, 0.0, 3.0])).tolist()
    [0.0, 1.0, 1.0]
    """

    output_range = (0.0, 1.0)
    steepest_slope = 0.0

    def value(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.astype(z >= 0, z.dtype)

    def derivative(self, z: Array, y: Array) -> Array:
        return namespace(z).zeros_like(z)

    def second_derivative(self, z: Array, y: Array) -> Array:
        return namespace(z).zeros_like(z)


@dataclass(frozen=True)
class Sign(Activation, kind="sign"):
    """y = -1, 0 or 1 with the sign of z;  dy/dz = 0 (no gradient passes).

    >>> import numpy as np
    >>> Sign().value(np.array([-2.0, 0.0, 3.0])).tolist()
    [-1.0, 0.0, 1.0]
    """

    output_range = (-1.0, 1.0)
    steepest_slope = 0.0

    def value(self, z: Array) -> Array:
        return namespace(z).sign(z)

    def derivative(self, z: Array, y: Array) -> Array:
        return namespace(z).zeros_like(z)

    def second_derivative(self, z: Array, y: Array) -> Array:
        return namespace(z).zeros_like(z)


@dataclass(frozen=True)
class Sigmoid(Activation, kind="sigmoid"):
    """y = 1 / (1 + exp(-z));  dy/dz = y (1 - y), at most 1/4.

    d²y/dz² = y (1 - y) (1 - 2y).

    >>> import numpy as np
    >>> Sigmoid().value(np.array([0.0])).tolist()
    [0.5]
    """

    output_range = (0.0, 1.0)
    steepest_slope = 0.25
    saturates = True

    def value(self, z: Array) -> Array:
        return sigmoid(z)

    def derivative(self, z: Array, y: Array) -> Array:
        return y * (1 - y)

    def second_derivative(self, z: Array, y: Array) -> Array:
        return y * (1 - y) * (1 - 2 * y)


@dataclass(frozen=True)
class Tanh(Activation, kind="tanh"):
    """y = tanh(z);  dy/dz = 1 - y².

    d²y/dz² = -2 y (1 - y²).

    >>> import numpy as np
    >>> Tanh().value(np.array([0.0])).tolist()
    [0.0]
    """

    output_range = (-1.0, 1.0)
    steepest_slope = 1.0
    saturates = True

    def value(self, z: Array) -> Array:
        return namespace(z).tanh(z)

    def derivative(self, z: Array, y: Array) -> Array:
        return 1 - y * y

    def second_derivative(self, z: Array, y: Array) -> Array:
        return -2 * y * (1 - y * y)


@dataclass(frozen=True)
class ReLU(Activation, kind="relu"):
    """y = max(z, 0);  dy/dz = 1 where z > 0, else 0 (0 at z = 0).

    Source: Nair and Hinton 2010; Glorot, Bordes, Bengio 2011.

    >>> import numpy as np
    >>> ReLU().value(np.array([-2.0, 3.0])).tolist()
    [0.0, 3.0]
    """

    can_die = True
    output_range = (0.0, math.inf)
    steepest_slope = 1.0
    suited_initializer = HeNormal()

    def value(self, z: Array) -> Array:
        return namespace(z).maximum(z, 0)

    def derivative(self, z: Array, y: Array) -> Array:
        xp = namespace(z)
        return xp.astype(z > 0, z.dtype)

    def second_derivative(self, z: Array, y: Array) -> Array:
        return namespace(z).zeros_like(z)


@dataclass(frozen=True)
class LeakyReLU(Activation, kind="leaky_relu"):
    """y = z where z > 0, else alpha z;  dy/dz = 1 where z > 0, else alpha.

    Source: Maas, Hannun, Ng 2013.

    >>> import numpy as np
    >>> LeakyReLU(0.1).value(np.array([-2.0, 3.0])).tolist()
    [-0.2, 3.0]
    """

    alpha: Number = 0.01

    @property
    def suited_initializer(self) -> Initializer:
        return HeNormal(slope=self.alpha)

    @property
    def can_die(self) -> bool:
        return self.alpha == 0

    @property
    def output_range(self) -> tuple[float, float]:
        return (-math.inf if self.alpha > 0 else 0.0), math.inf

    @property
    def steepest_slope(self) -> float:
        return max(1.0, abs(self.alpha))

    def value(self, z: Array) -> Array:
        return namespace(z).where(z > 0, z, self.alpha * z)

    def derivative(self, z: Array, y: Array) -> Array:
        xp = namespace(z)
        return xp.where(z > 0, xp.ones_like(z), self.alpha)

    def second_derivative(self, z: Array, y: Array) -> Array:
        return namespace(z).zeros_like(z)


@dataclass(frozen=True)
class ELU(Activation, kind="elu"):
    """y = z where z > 0, else alpha (exp(z) - 1);  dy/dz = 1 where z > 0, else y + alpha.

    d²y/dz² = 0 where z > 0, else y + alpha.

    Source: Clevert, Unterthiner, Hochreiter 2016, equation 15.

    >>> import numpy as np
    >>> ELU().value(np.array([-1000.0, 3.0])).tolist()
    [-1.0, 3.0]
    """

    alpha: NonNegative = 1.0

    suited_initializer = HeNormal()

    @property
    def output_range(self) -> tuple[float, float]:
        return -self.alpha, math.inf

    @property
    def steepest_slope(self) -> float:
        return max(1.0, self.alpha)

    def value(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.where(z > 0, z, self.alpha * xp.expm1(xp.minimum(z, 0)))

    def derivative(self, z: Array, y: Array) -> Array:
        xp = namespace(z)
        return xp.where(z > 0, xp.ones_like(z), y + self.alpha)

    def second_derivative(self, z: Array, y: Array) -> Array:
        xp = namespace(z)
        return xp.where(z > 0, xp.zeros_like(z), y + self.alpha)


@dataclass(frozen=True)
class SELU(Activation, kind="selu"):
    """y = lambda z where z > 0, else lambda alpha (exp(z) - 1);  dy/dz = lambda where z > 0, else y + lambda alpha.

    d²y/dz² = 0 where z > 0, else y + lambda alpha.

    With these constants and LeCun's normal initialisation, mean 0 and variance 1 are a fixed point of the layers.

    Source: Klambauer et al. 2017, equation 2 and its footnote for the constants.

    >>> import numpy as np
    >>> SELU().value(np.array([1.0])).round(4).tolist()
    [1.0507]
    """

    output_range = (-SELU_LAMBDA * SELU_ALPHA, math.inf)
    steepest_slope = SELU_LAMBDA * SELU_ALPHA
    suited_initializer = LeCunNormal()

    def value(self, z: Array) -> Array:
        xp = namespace(z)
        return SELU_LAMBDA * xp.where(z > 0, z, SELU_ALPHA * xp.expm1(xp.minimum(z, 0)))

    def derivative(self, z: Array, y: Array) -> Array:
        xp = namespace(z)
        return xp.where(z > 0, xp.full_like(z, SELU_LAMBDA), y + SELU_LAMBDA * SELU_ALPHA)

    def second_derivative(self, z: Array, y: Array) -> Array:
        xp = namespace(z)
        return xp.where(z > 0, xp.zeros_like(z), y + SELU_LAMBDA * SELU_ALPHA)


@dataclass(frozen=True)
class GELU(Activation, kind="gelu"):
    """y = z Phi(z), Phi the normal distribution function;  dy/dz = Phi(z) + z phi(z), phi the normal density.

    With `tanh=True` it is the approximation of the paper, which older networks were trained with:
    y = z (1 + tanh u) / 2,  u = sqrt(2/pi) (z + 0.044715 z³);
    dy/dz = (1 + tanh u) / 2 + z (1 - tanh² u) / 2 * u',  u' = sqrt(2/pi) (1 + 3 * 0.044715 z²).

    d²y/dz² = (2 - z²) phi(z); of the approximation (1 - tanh² u) (u' + z u''/2 - z tanh(u) u'²), where
    z u''/2 = sqrt(2/pi) 3 * 0.044715 z².

    Source: Hendrycks and Gimpel 2016, section 2.

    >>> import numpy as np
    >>> GELU().value(np.array([1.0])).round(4).tolist(), GELU(tanh=True).value(np.array([1.0])).round(4).tolist()
    ([0.8413], [0.8412])
    """

    tanh: bool = False

    suited_initializer = HeNormal()

    @property
    def output_range(self) -> tuple[float, float]:
        """The minimum is at z = -0.752."""
        return (-0.1700408 if self.tanh else -0.1699712), math.inf

    @property
    def steepest_slope(self) -> float:
        """At z = sqrt(2), and at 1.4185 for the approximation."""
        return 1.1289931 if self.tanh else 1.1289042

    def _u(self, z: Array) -> Array:
        return math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z)

    def _du(self, z: Array) -> Array:
        return math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z * z)

    def value(self, z: Array) -> Array:
        if self.tanh:
            return z * (1 + namespace(z).tanh(self._u(z))) / 2
        return z * (1 + erf(z / math.sqrt(2))) / 2

    def derivative(self, z: Array, y: Array) -> Array:
        xp = namespace(z)
        if self.tanh:
            t = xp.tanh(self._u(z))
            return (1 + t) / 2 + z * (1 - t * t) / 2 * self._du(z)
        return (1 + erf(z / math.sqrt(2))) / 2 + z * xp.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    def second_derivative(self, z: Array, y: Array) -> Array:
        xp = namespace(z)
        if self.tanh:
            t = xp.tanh(self._u(z))
            du = self._du(z)
            return (1 - t * t) * (du + math.sqrt(2 / math.pi) * 3 * 0.044715 * z * z - z * t * du * du)
        return (2 - z * z) * xp.exp(-z * z / 2) / math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class Exponential(Activation, kind="exponential"):
    """y = exp(z);  dy/dz = y.

    d²y/dz² = y.

    >>> import numpy as np
    >>> Exponential().value(np.array([0.0])).tolist()
    [1.0]
    """

    output_range = (0.0, math.inf)
    steepest_slope = math.inf

    def value(self, z: Array) -> Array:
        return namespace(z).exp(z)

    def derivative(self, z: Array, y: Array) -> Array:
        return y

    def second_derivative(self, z: Array, y: Array) -> Array:
        return y


@dataclass(frozen=True)
class Softplus(Activation, kind="softplus"):
    """y = log(1 + exp(z));  dy/dz = sigmoid(z).

    d²y/dz² = s (1 - s) with s = sigmoid(z).

    Source: Dugas et al. 2001.

    >>> import numpy as np
    >>> Softplus().value(np.array([0.0, 1000.0])).round(4).tolist()
    [0.6931, 1000.0]
    """

    output_range = (0.0, math.inf)
    steepest_slope = 1.0
    suited_initializer = HeNormal()

    def value(self, z: Array) -> Array:
        return softplus(z)

    def derivative(self, z: Array, y: Array) -> Array:
        return sigmoid(z)

    def second_derivative(self, z: Array, y: Array) -> Array:
        s = sigmoid(z)
        return s * (1 - s)


@dataclass(frozen=True)
class Swish(Activation, kind="swish", also=("silu",)):
    """y = z sigmoid(beta z);  dy/dz = s + beta y (1 - s) with s = sigmoid(beta z). With beta = 1 it is called SiLU.

    d²y/dz² = beta (1 - s) (2s + beta y (1 - 2s)).

    Source: Ramachandran, Zoph, Le 2017; Elfwing, Uchibe, Doya 2017.

    >>> import numpy as np
    >>> Swish().value(np.array([1.0])).round(4).tolist()
    [0.7311]
    """

    beta: Number = 1.0

    suited_initializer = HeNormal()

    @property
    def output_range(self) -> tuple[float, float]:
        """u sigmoid(u) is least at u = -1.278; y is that over beta, which turns the sign round where beta < 0."""
        if self.beta == 0:
            return -math.inf, math.inf
        extreme = -0.2784646 / self.beta
        return (extreme, math.inf) if self.beta > 0 else (-math.inf, extreme)

    @property
    def steepest_slope(self) -> float:
        """At beta z = 2.399, whatever beta is; with beta = 0 the function is z/2."""
        return 1.0998394 if self.beta else 0.5

    def value(self, z: Array) -> Array:
        return z * sigmoid(self.beta * z)

    def derivative(self, z: Array, y: Array) -> Array:
        s = sigmoid(self.beta * z)
        return s + self.beta * y * (1 - s)

    def second_derivative(self, z: Array, y: Array) -> Array:
        s = sigmoid(self.beta * z)
        return self.beta * (1 - s) * (2 * s + self.beta * y * (1 - 2 * s))


@dataclass(frozen=True)
class Softmax(ParameterFree[tuple[()], Array], kind="softmax"):
    """y_k = exp(z_k) / Σ_j exp(z_j) over the units of a sample.

    Backward with the full Jacobian dy_k/dz_j = y_k (1[k=j] - y_j):  dL/dz = y * (d - Σ_k d_k y_k), d = dL/dy.

    Along z_dot, since the Jacobian is symmetric: y_dot = y * (z_dot - Σ_k y_k z_dot_k), and the derivative of dL/dz is
    y_dot * (d - Σ_k d_k y_k) - y * Σ_k d_k y_dot_k.

    On a single unit the output is always 1, and no gradient passes.

    Source: Bridle 1990; Goodfellow et al. 2016, equation 6.29.

    >>> import numpy as np
    >>> z = np.array([[2.0, 1.0, 0.1]])
    >>> y, _, cache = Softmax().forward((), (), z, ForwardContext(training=True))
    >>> y.round(3).tolist()
    [[0.659, 0.242, 0.099]]
    """

    input_symbol = "z"
    sums_to_one = True
    output_range = (0.0, 1.0)

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        y = softmax(x)
        return y, state, y

    def backward(self, params: tuple[()], cache: Array, delta: Array) -> tuple[Array, tuple[()]]:
        return cache * (delta - _row_sum(delta * cache)), params

    def local_factors(self, params: tuple[()], cache: Array, delta: Array) -> tuple[LocalFactor, ...]:
        return (LocalFactor("y", cache),)

    def jvp(self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array) -> Array:
        return self.backward(params, cache, x_dot)[0]

    def backward_jvp(
        self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array, delta: Array
    ) -> tuple[Array, tuple[()]]:
        y_dot = self.jvp(params, cache, direction, x_dot)
        return y_dot * (delta - _row_sum(delta * cache)) - cache * _row_sum(delta * y_dot), params


def _row_sum(terms: Array) -> Array:
    """The sum over the units of each sample (n, 1)."""
    return namespace(terms).sum(terms, axis=-1, keepdims=True)
