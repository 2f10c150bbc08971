"""Feature maps: fixed functions of the inputs, so that a linear unit can separate more classes."""

from __future__ import annotations

import itertools
import math
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field

from ...core.arrays import Array, namespace
from ...core.errors import InputError, Problem
from ...core.printable import received
from ..part import Count, ForwardContext, InitContext, Initializer, Positive, check_parameters
from .base import ParameterFree, flat_width

_MOST_FEATURES = 100_000


class Monomials(ParameterFree[tuple[()], Array]):
    """Products of inputs. A subclass states the factors of each product.

    Shapes: x (n, d), y (n, products). Backward: dL/dx_j = Σ over the products and their factors x_j of dL/dy times the
    other factors. Along x_dot, the derivative of a product is the sum over its factors of x_dot there times the other
    factors; the derivative of dL/dx follows by applying this rule to the other factors.
    """

    is_feature_map: ClassVar[bool] = True
    input_axes: ClassVar[int | None] = 1

    @abstractmethod
    def products(self, width: int) -> Iterable[tuple[int, ...]]:
        """The factors of each product, as columns of samples of that width."""

    def _factors(self, width: int) -> np.ndarray:
        """(products, most factors): the column of each factor, padded with `width`, a column of ones."""
        products = list(itertools.islice(self.products(width), _MOST_FEATURES + 1))
        if len(products) > _MOST_FEATURES:
            raise InputError(self.kind, f"makes more than {_MOST_FEATURES:,} features of {width} inputs; use fewer")
        most = max(map(len, products))
        return np.array([(*product, *[width] * (most - len(product))) for product in products])

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], tuple[()], tuple[int, ...]]:
        return (), (), (len(self._factors(flat_width(self, shape))),)

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        return namespace(x).prod(self._gathered(x), axis=-1), state, x

    def _gathered(self, x: Array, padding: float = 1.0) -> Array:
        """(n, products, factors): the factors of each product."""
        xp = namespace(x)
        return xp.concat([x, xp.full_like(x[:, :1], padding)], axis=1)[:, self._factors(x.shape[1])]

    def _scattered(self, x: Array, delta: Array, others: Iterable[Array]) -> Array:
        """Σ over the places k of delta * others[k], added to the column of the factor at place k."""
        xp = namespace(x)
        factors = self._factors(x.shape[1])
        dx = xp.zeros_like(x)
        for place, other in enumerate(others):
            chosen = xp.asarray(factors[:, place, None] == np.arange(x.shape[1]), dtype=x.dtype)
            dx = dx + (delta * other) @ chosen
        return dx

    def backward(self, params: tuple[()], cache: Array, delta: Array) -> tuple[Array, tuple[()]]:
        factors = self._gathered(cache)
        others = (_without(factors, place) for place in range(factors.shape[-1]))
        return self._scattered(cache, delta, others), params

    def jvp(self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array) -> Array:
        return _product_rule(self._gathered(cache), self._gathered(x_dot, padding=0.0))

    def backward_jvp(
        self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array, delta: Array
    ) -> tuple[Array, tuple[()]]:
        factors = self._gathered(cache)
        factor_dots = self._gathered(x_dot, padding=0.0)
        others = (_product_rule(factors, factor_dots, place) for place in range(factors.shape[-1]))
        return self._scattered(cache, delta, others), params


def _without(factors: Array, *places: int) -> Array:
    """The products (n, products) of the factors at all places except these."""
    kept = ~np.isin(np.arange(factors.shape[-1]), places)
    return namespace(factors).prod(factors[:, :, kept], axis=-1)


def _product_rule(factors: Array, factor_dots: Array, *places: int) -> Array:
    """The derivative of the products of the factors at all places except these, along `factor_dots`."""
    kept = [place for place in range(factors.shape[-1]) if place not in places]
    terms = (factor_dots[:, :, place] * _without(factors, *places, place) for place in kept)
    return sum(terms, namespace(factors).zeros_like(factors[:, :, 0]))


@dataclass(frozen=True)
class Products(Monomials, kind="products"):
    """The inputs, and the product of each pair: (x₁, x₂) -> (x₁, x₂, x₁x₂);  dy/dx by the product rule.

    >>> import numpy as np
    >>> Products().forward((), (), np.array([[2.0, 3.0]]), ForwardContext(training=True))[0].tolist()
    [[2.0, 3.0, 6.0]]
    """

    def products(self, width: int) -> Iterable[tuple[int, ...]]:
        for degree in (1, 2):
            yield from itertools.combinations(range(width), degree)


@dataclass(frozen=True)
class PolynomialFeatures(Monomials, kind="polynomial"):
    """All products of up to `degree` inputs, powers too: (x₁, x₂) -> (x₁, x₂, x₁², x₁x₂, x₂²);  dy/dx as for powers.

    The order is that of scikit-learn's PolynomialFeatures, without its column of ones: the unit has a bias.

    >>> import numpy as np
    >>> PolynomialFeatures(2).forward((), (), np.array([[2.0, 3.0]]), ForwardContext(training=True))[0].tolist()
    [[2.0, 3.0, 4.0, 6.0, 9.0]]
    """

    degree: Annotated[int, Field(ge=1, le=20, strict=True)] = 2

    @property
    def is_linear(self) -> bool:
        """Whether the inputs are all there is."""
        return self.degree == 1

    def products(self, width: int) -> Iterable[tuple[int, ...]]:
        for degree in range(1, self.degree + 1):
            yield from itertools.combinations_with_replacement(range(width), degree)


class _Curve(NamedTuple):
    """A function of one number, with its first and second derivative."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    bend: Callable[[Array], Array]


_CURVES = {
    "": _Curve(lambda p: p, lambda p: namespace(p).ones_like(p), lambda p: namespace(p).zeros_like(p)),
    "sin": _Curve(lambda p: namespace(p).sin(p), lambda p: namespace(p).cos(p), lambda p: -namespace(p).sin(p)),
    "cos": _Curve(lambda p: namespace(p).cos(p), lambda p: -namespace(p).sin(p), lambda p: -namespace(p).cos(p)),
}
_FACTOR = re.compile(r"x([1-9]\d{0,5})(?:\^([1-9]|1\d|20))?")
_FEATURE = re.compile(rf"(?:(sin|cos) )?({_FACTOR.pattern}(?:\*{_FACTOR.pattern})*)")


def _as_features(texts: tuple[str, ...]) -> tuple[str, ...]:
    problems = [
        Problem(f"[{place}]", f"expected a feature like x1, x1^2, x1*x2 or sin x1, received {received(text)}")
        for place, text in enumerate(texts)
        if not _FEATURE.fullmatch(text)
    ]
    if problems or not texts:
        raise InputError("features", problems or "expected at least 1 feature")
    return texts


@dataclass(frozen=True)
class Features(Monomials, kind="features"):
    """Chosen functions of the inputs: y_k = f_k(p_k), p_k a product of inputs, f_k nothing, sin or cos.

    Backward: dL/dx_j = Σ_k dL/dy_k f_k'(p_k) dp_k/dx_j

    The derivative of dL/dx along x_dot follows from f_k'' and from the rule for products.

    functions: one text for each feature: `x1` for the first input, `x1^2` for a power (up to 20), `x1*x2` for a
    product, `sin x1` or `cos x1*x2` for a function of one of these.

    >>> import numpy as np
    >>> layer, x = Features(("x2", "x1^2", "x1*x2", "sin x1")), np.array([[2.0, 3.0]])
    >>> layer.forward((), (), x, ForwardContext(training=True))[0].round(4).tolist()
    [[3.0, 4.0, 6.0, 0.9093]]
    """

    functions: Annotated[tuple[str, ...], AfterValidator(_as_features)]

    @property
    def is_linear(self) -> bool:
        """Whether each feature is an input."""
        return all("^" not in text and "*" not in text and " " not in text for text in self.functions)

    @property
    def curves(self) -> tuple[str, ...]:
        """The name of each f_k: empty, "sin" or "cos"."""
        return tuple(text.rpartition(" ")[0] for text in self.functions)

    def products(self, width: int) -> Iterable[tuple[int, ...]]:
        for text in self.functions:
            factors = [(int(number), int(power or 1)) for number, power in _FACTOR.findall(text)]
            if missing := [number for number, _ in factors if number > width]:
                raise InputError(self.kind, f"{text!r} needs input {missing[0]}, but there are {width} inputs")
            yield tuple(number - 1 for number, power in factors for _ in range(power))

    def _through(self, products: Array, order: Literal["value", "slope", "bend"]) -> Array:
        """f_k, f_k' or f_k'' of each product (n, features)."""
        xp = namespace(products)
        result = products
        for name, curve in _CURVES.items():
            chosen = np.array([own == name for own in self.curves])
            result = xp.where(xp.asarray(chosen), getattr(curve, order)(products), result) if chosen.any() else result
        return result

    def forward(
        self, params: tuple[()], state: tuple[()], x: Array, context: ForwardContext
    ) -> tuple[Array, tuple[()], Array]:
        products, state, cache = super().forward(params, state, x, context)
        return self._through(products, "value"), state, cache

    def backward(self, params: tuple[()], cache: Array, delta: Array) -> tuple[Array, tuple[()]]:
        return super().backward(params, cache, delta * self._through(_without(self._gathered(cache)), "slope"))

    def jvp(self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array) -> Array:
        slope = self._through(_without(self._gathered(cache)), "slope")
        return slope * super().jvp(params, cache, direction, x_dot)

    def backward_jvp(
        self, params: tuple[()], cache: Array, direction: tuple[()], x_dot: Array, delta: Array
    ) -> tuple[Array, tuple[()]]:
        products = _without(self._gathered(cache))
        product_dots = super().jvp(params, cache, direction, x_dot)
        bent, _ = super().backward(params, cache, delta * self._through(products, "bend") * product_dots)
        turned, _ = super().backward_jvp(params, cache, direction, x_dot, delta * self._through(products, "slope"))
        return bent + turned, params


class Centres(NamedTuple):
    """Fixed centres of radial features: c (units, d)."""

    c: Array


@dataclass(frozen=True)
class Radial(ParameterFree[Centres, tuple[Array, Array]], kind="radial"):
    """Closeness to fixed centres: y_k = exp(-|x - c_k|² / (2 width²));  dy_k/dx = y_k (c_k - x) / width².

    Shapes: x (n, d), c (units, d), y (n, units).

    Backward: dL/dx = Σ_k dL/dy_k y_k (c_k - x) / width².

    Along x_dot: y_dot_k = y_k (c_k - x)·x_dot / width², and the derivative of dL/dx is
    Σ_k dL/dy_k (y_dot_k (c_k - x) - y_k x_dot) / width².

    units: number of centres.
    width: distance at which a feature has fallen to exp(-1/2).
    centres: initializer of the centres, which are drawn once and do not learn; None: the standard normal distribution,
    which suits standardised inputs. `{ kind = "given", values = [[0, 1], [1, 0]] }` states them.

    Source: Broomhead and Lowe 1988.

    >>> import numpy as np
    >>> at, centres = np.array([[1.0, 0.0]]), Centres(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> Radial(2).forward((), centres, at, ForwardContext(training=True))[0].round(4).tolist()
    [[1.0, 0.6065]]
    """

    is_feature_map: ClassVar[bool] = True
    input_axes: ClassVar[int | None] = 1

    units: Count
    width: Positive = 1.0
    centres: Initializer | None = None

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[tuple[()], Centres, tuple[int, ...]]:
        size = (self.units, flat_width(self, shape))
        check_parameters(math.prod(size))
        c = self.centres(context.rng, size) if self.centres else context.rng.standard_normal(size)
        return (), Centres(c), (self.units,)

    def forward(
        self, params: tuple[()], state: Centres, x: Array, context: ForwardContext
    ) -> tuple[Array, Centres, tuple[Array, Array]]:
        xp = namespace(x)
        offsets = x[:, None, :] - state.c
        y = xp.exp(-xp.sum(offsets * offsets, axis=-1) / (2 * self.width**2))
        return y, state, (offsets, y)

    def backward(self, params: tuple[()], cache: tuple[Array, Array], delta: Array) -> tuple[Array, tuple[()]]:
        offsets, y = cache
        return -namespace(delta).sum((delta * y)[:, :, None] * offsets, axis=1) / self.width**2, params

    def jvp(self, params: tuple[()], cache: tuple[Array, Array], direction: tuple[()], x_dot: Array) -> Array:
        offsets, y = cache
        return -y * namespace(x_dot).sum(offsets * x_dot[:, None, :], axis=-1) / self.width**2

    def backward_jvp(
        self, params: tuple[()], cache: tuple[Array, Array], direction: tuple[()], x_dot: Array, delta: Array
    ) -> tuple[Array, tuple[()]]:
        offsets, y = cache
        y_dot = self.jvp(params, cache, direction, x_dot)
        terms = (delta * y_dot)[:, :, None] * offsets + (delta * y)[:, :, None] * x_dot[:, None, :]
        return -namespace(delta).sum(terms, axis=1) / self.width**2, params
